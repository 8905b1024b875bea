//! cordon and uncordon: `spec.unschedulable` of a node.

use kubechat_crds::intent::{Action, IntentParams};
use serde_json::{Value, json};

use super::change::{Asked, Change, Make, Mark, NODE, Pods, Reads};
use super::{Draft, Refusal, inverse, label_of, update};
use crate::risk::{floors, weights};

pub(super) const CORDON: Change = Change {
    kinds: NODE,
    params: &[],
    says: &[
        "cordon node-1",
        "take node-1 out of rotation",
        "kubectl cordon node-1",
    ],
    make: Make::Of(|asked| draft(asked, true)),
    reads: Reads::Nothing,
    floor: |_| floors::CORDON,
    floors: &[floors::CORDON],
    instead: Some(("", "Node")),
    weight: |_| weights::CORDON,
    pods: |_| Pods::Kept,
    harmless: false,
    line: |_, line| format!("cordon {}", line.names),
    undo: "uncordon",
    mark: Mark::StepId,
};

pub(super) const UNCORDON: Change = Change {
    says: &[
        "uncordon node-1",
        "put node-1 back in rotation",
        "kubectl uncordon node-1",
    ],
    make: Make::Of(|asked| draft(asked, false)),
    floor: |_| floors::UNCORDON,
    floors: &[floors::UNCORDON],
    weight: |_| weights::UNCORDON,
    line: |_, line| format!("uncordon {}", line.names),
    undo: "cordon",
    ..CORDON
};

pub(super) fn draft(asked: &Asked<'_>, cordon: bool) -> Result<Draft, Refusal> {
    let (intent, found) = (asked.intent, asked.found);
    let name = label_of(found);
    if !found.kind.is("", "Node") {
        return Err(Refusal::Invalid(format!("{name} is no node")));
    }
    let is = found
        .object
        .pointer("/spec/unschedulable")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    if is == cordon {
        let state = if cordon { "cordoned" } else { "schedulable" };
        return Err(Refusal::Nothing(format!(
            "{name} is {state} already; nothing was changed"
        )));
    }
    let value = if cordon { json!(true) } else { Value::Null };
    let back = if cordon { Action::Uncordon } else { Action::Cordon };
    let rollback = inverse(back, IntentParams::default(), format!("{back} it"));
    Ok(update(
        intent,
        found,
        IntentParams::default(),
        &json!({"spec": {"unschedulable": value}}),
        rollback,
    ))
}
