//! create-service-account: an account without any right.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::Refusal;
use super::change::{Change, Make, Mark, Pods, Reads};
use super::make::{Making, NewKind};
use crate::risk::{floors, weights};

pub(super) const CHANGE: Change = Change {
    kinds: &[("", "ServiceAccount")],
    params: &[],
    says: &[
        "create a service account called ci",
        "kubectl create serviceaccount ci",
    ],
    make: Make::Object(&KIND),
    reads: Reads::Nothing,
    floor: |_| floors::CREATE,
    floors: &[floors::CREATE],
    instead: None,
    weight: |_| weights::CREATE,
    pods: |_| Pods::Made,
    harmless: false,
    line: |_, line| format!("create serviceaccount {}", line.names),
    undo: "deleting it (destructive)",
    mark: Mark::StepId,
};

const KIND: NewKind = NewKind {
    group: "",
    version: "v1",
    kind: "ServiceAccount",
    resource: "serviceaccounts",
    from: &[],
    blind: false,
    body,
};

fn body(_: &Making<'_>, _: &mut IntentParams) -> Result<Value, Refusal> {
    Ok(json!({}))
}
