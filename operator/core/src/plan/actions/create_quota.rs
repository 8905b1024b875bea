//! create-quota: how much a namespace may ask for.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::Refusal;
use super::change::{Change, Make, pairs};
use super::make::{CREATES, Making, NewKind};
use crate::plan::quantity;

pub(super) const CHANGE: Change = Change {
    kinds: &[("", "ResourceQuota")],
    params: &["limits"],
    says: &[
        "create quota compute with cpu=4, memory=8Gi and pods=10",
        "kubectl create quota compute --hard=cpu=4,memory=8Gi,pods=10",
    ],
    make: Make::Object(&KIND),
    line: |step, line| {
        format!(
            "create quota {} --hard={}",
            line.names,
            pairs(&step.params.limits)
        )
    },
    ..CREATES
};

const KIND: NewKind = NewKind {
    group: "",
    version: "v1",
    kind: "ResourceQuota",
    resource: "resourcequotas",
    from: &[],
    blind: false,
    body,
};

fn body(making: &Making<'_>, _: &mut IntentParams) -> Result<Value, Refusal> {
    let hard = &making.intent.params.limits;
    if hard.is_empty() {
        return Making::ask(format!(
            "What does {} limit? Write for example cpu=4, memory=8Gi, pods=10",
            making.name
        ));
    }
    if let Some((key, value)) = hard.iter().find(|(_, v)| quantity::nano(v).is_none()) {
        return Err(Refusal::Invalid(format!("{key}={value} is no quantity")));
    }
    Ok(json!({"spec": {"hard": hard}}))
}
