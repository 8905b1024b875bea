//! create-network-policy: which traffic reaches the pods of a workload, or leaves them. What a policy selects takes nothing
//! but what some policy allows, so even one that only allows something cuts the rest off.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::Refusal;
use super::change::{Change, Make, WORKLOADS};
use super::make::{CREATES, Making, NewKind, labels, selector};
use crate::risk::weights;

pub(super) const CHANGE: Change = Change {
    kinds: &[("networking.k8s.io", "NetworkPolicy")],
    params: &["deny", "allowFrom", "port", "from"],
    says: &[
        "create network policy quiet for deployment web that denies all ingress",
        "create network policy front for pods labelled app=web allowing traffic from app=api on port 8080",
        "create network policy closed for all pods denying all traffic",
    ],
    make: Make::Object(&KIND),
    weight: |_| weights::NETWORK_POLICY,
    line: |_, line| format!("create -f networkpolicy-{}.yaml", line.names),
    ..CREATES
};

const KIND: NewKind = NewKind {
    group: "networking.k8s.io",
    version: "v1",
    kind: "NetworkPolicy",
    resource: "networkpolicies",
    from: WORKLOADS,
    blind: false,
    body,
};

fn body(making: &Making<'_>, _: &mut IntentParams) -> Result<Value, Refusal> {
    let p = &making.intent.params;
    let pods = if p.from.as_deref() == Some(ALL_PODS) {
        if making.intent.target.selector.is_some() {
            return Err(Refusal::Invalid(
                "the pods are all of them, and picked by labels; say one of the two".to_owned(),
            ));
        }
        json!({})
    } else {
        selector(making)?
    };
    let mut spec = match (&p.allow_from, p.deny.as_slice()) {
        (Some(from), []) => {
            let mut rule = json!({"from": [{"podSelector": {"matchLabels": labels(from)?}}]});
            if let Some(port) = p.port {
                rule["ports"] = json!([{"port": port, "protocol": "TCP"}]);
            }
            json!({"policyTypes": ["Ingress"], "ingress": [rule]})
        }
        (None, []) => {
            return Making::ask(format!(
                "What does {} do? Say for example 'denying all ingress', or 'allowing traffic from app=api'",
                making.name
            ));
        }
        (None, deny) if p.port.is_none() && deny.iter().all(|d| d == "Ingress" || d == "Egress") => {
            json!({"policyTypes": deny})
        }
        (None | Some(_), _) => {
            return Err(Refusal::Invalid(
                "a policy denies all traffic of a direction, or allows some that comes in; say one of the two".to_owned(),
            ));
        }
    };
    spec["podSelector"] = pods;
    Ok(json!({"spec": spec}))
}

/// In the place of a workload: every pod of the namespace.
pub const ALL_PODS: &str = "*";
