//! cordon and uncordon: `spec.unschedulable` of a node.

use kubechat_crds::intent::{Action, Intent, IntentParams};
use serde_json::{Value, json};

use super::{Draft, Found, Refusal, inverse, label_of, update};

pub(super) fn draft(intent: &Intent, found: &Found, cordon: bool) -> Result<Draft, Refusal> {
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
