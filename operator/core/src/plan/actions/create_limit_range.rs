//! create-limit-range: what a container gets that says nothing of its requests and limits.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::Refusal;
use super::change::{Change, Make};
use super::make::{CREATES, Making, NewKind};
use crate::plan::quantity;

pub(super) const CHANGE: Change = Change {
    kinds: &[("", "LimitRange")],
    params: &["limits", "requests"],
    says: &[
        "create limit range defaults with limits cpu=500m and memory=512Mi",
        "create limit range defaults with limits cpu=500m and requests cpu=100m",
    ],
    make: Make::Object(&KIND),
    line: |_, line| format!("create -f limitrange-{}.yaml", line.names),
    ..CREATES
};

const KIND: NewKind = NewKind {
    group: "",
    version: "v1",
    kind: "LimitRange",
    resource: "limitranges",
    from: &[],
    blind: false,
    body,
};

fn body(making: &Making<'_>, _: &mut IntentParams) -> Result<Value, Refusal> {
    let p = &making.intent.params;
    if p.limits.is_empty() && p.requests.is_empty() {
        return Making::ask(format!(
            "What does {} give a container? Write for example 'limits cpu=500m and requests cpu=100m'",
            making.name
        ));
    }
    let mut all = p.limits.iter().chain(&p.requests);
    if let Some((key, value)) = all.find(|(_, v)| quantity::nano(v).is_none()) {
        return Err(Refusal::Invalid(format!("{key}={value} is no quantity")));
    }
    let mut limit = json!({"type": "Container"});
    if !p.limits.is_empty() {
        limit["default"] = json!(p.limits);
    }
    if !p.requests.is_empty() {
        limit["defaultRequest"] = json!(p.requests);
    }
    Ok(json!({"spec": {"limits": [limit]}}))
}
