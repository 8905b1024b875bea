//! create-pdb: how many pods of a workload may be disturbed at a time.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::Refusal;
use super::change::{Change, Make, WORKLOADS};
use super::make::{CREATES, Making, NewKind, flag, selector};

pub(super) const CHANGE: Change = Change {
    kinds: &[("policy", "PodDisruptionBudget")],
    params: &["minAvailable", "maxUnavailable", "from"],
    says: &[
        "create pdb web for deployment web with min available 1",
        "create a pod disruption budget web for pods labelled app=web with max unavailable 1",
        "kubectl create pdb web --selector=app=web --min-available=1",
    ],
    make: Make::Object(&KIND),
    line: |step, line| {
        let p = &step.params;
        format!(
            "create poddisruptionbudget {}{}{}",
            line.names,
            flag("min-available", p.min_available.as_ref()),
            flag("max-unavailable", p.max_unavailable.as_ref())
        )
    },
    ..CREATES
};

const KIND: NewKind = NewKind {
    group: "policy",
    version: "v1",
    kind: "PodDisruptionBudget",
    resource: "poddisruptionbudgets",
    from: WORKLOADS,
    blind: false,
    body,
};

fn body(making: &Making<'_>, _: &mut IntentParams) -> Result<Value, Refusal> {
    let p = &making.intent.params;
    let bound = |text: &str| text.parse::<i64>().map_or_else(|_| json!(text), |n| json!(n));
    let mut spec = match (&p.min_available, &p.max_unavailable) {
        (Some(min), None) => json!({"minAvailable": bound(min)}),
        (None, Some(max)) => json!({"maxUnavailable": bound(max)}),
        (None, None) => {
            return Making::ask(format!(
                "How many pods must stay available under {}? Say for example 'min available 1'",
                making.name
            ));
        }
        (Some(_), Some(_)) => {
            return Err(Refusal::Invalid(
                "a budget says how many stay available or how many may go, not both".to_owned(),
            ));
        }
    };
    spec["selector"] = selector(making)?;
    Ok(json!({"spec": spec}))
}
