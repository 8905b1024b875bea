//! taint and untaint: `spec.taints` of a node. The list is replaced as a whole; the resourceVersion that every patch
//! carries keeps a taint that somebody adds meanwhile.

use kubechat_crds::Step;
use kubechat_crds::intent::{Action, IntentParams, Taint, TaintEffect};
use serde_json::{Value, json};

use super::change::{Asked, Change, Make, Mark, NODE, Pods, Reads};
use super::{Draft, Refusal, inverse, label_of, update};
use crate::risk::floors::{self, Floor};
use crate::risk::weights;

pub(super) const TAINT: Change = Change {
    kinds: NODE,
    params: &["taints", "overwrite"],
    says: &[
        "taint node-1 with dedicated=gpu:NoSchedule",
        "taint node node-1 dedicated=gpu:NoExecute",
        "kubectl taint nodes node-1 dedicated=gpu:NoSchedule",
    ],
    make: Make::Of(add),
    reads: Reads::Nothing,
    floor,
    floors: &[floors::TAINT, floors::TAINT_NO_EXECUTE],
    instead: Some(("", "Node")),
    weight: |step| {
        if drives_away(step) {
            weights::TAINT_NO_EXECUTE
        } else {
            weights::TAINT
        }
    },
    pods: |step| if drives_away(step) { Pods::Gone } else { Pods::Kept },
    harmless: false,
    line: |step, line| format!("taint nodes {} {}", line.names, told(step, "")),
    undo: "untaint, or the value before",
    mark: Mark::StepId,
};

pub(super) const UNTAINT: Change = Change {
    params: &["taints"],
    says: &[
        "untaint node-1 dedicated:NoSchedule",
        "remove the taint dedicated from node-1",
        "kubectl taint nodes node-1 dedicated:NoSchedule-",
    ],
    make: Make::Of(remove),
    floor: |_| floors::UNTAINT,
    floors: &[floors::UNTAINT],
    weight: |_| weights::UNCORDON,
    pods: |_| Pods::Kept,
    line: |step, line| format!("taint nodes {} {}", line.names, told(step, "-")),
    undo: "taint",
    ..TAINT
};

fn floor(step: &Step) -> Floor {
    if drives_away(step) {
        floors::TAINT_NO_EXECUTE
    } else {
        floors::TAINT
    }
}

/// Whether pods have to go; an effect that is not said counts.
fn drives_away(step: &Step) -> bool {
    let gentle = |t: &Taint| {
        matches!(
            t.effect,
            Some(TaintEffect::NoSchedule | TaintEffect::PreferNoSchedule)
        )
    };
    step.params.taints.is_empty() || !step.params.taints.iter().all(gentle)
}

fn told(step: &Step, tail: &str) -> String {
    let all: Vec<String> = step.params.taints.iter().map(|t| text(t) + tail).collect();
    all.join(" ")
}

/// `key=value:Effect`.
fn text(taint: &Taint) -> String {
    let value = taint.value.as_ref().map(|v| format!("={v}")).unwrap_or_default();
    let effect = taint
        .effect
        .map(|e| format!(":{}", e.as_str()))
        .unwrap_or_default();
    format!("{}{value}{effect}", taint.key)
}

/// The node's taints; those that cannot be read are kept as they are.
fn present(asked: &Asked<'_>) -> Vec<Value> {
    let list = asked
        .found
        .object
        .pointer("/spec/taints")
        .and_then(Value::as_array);
    list.cloned().unwrap_or_default()
}

fn is(entry: &Value, taint: &Taint) -> bool {
    let text = |field: &str| entry.get(field).and_then(Value::as_str);
    text("key") == Some(taint.key.as_str())
        && taint.effect.is_none_or(|e| text("effect") == Some(e.as_str()))
        && taint
            .value
            .as_deref()
            .is_none_or(|v| text("value").unwrap_or_default() == v)
}

fn typed(entry: &Value) -> Taint {
    let text = |field: &str| entry.get(field).and_then(Value::as_str);
    Taint {
        key: text("key").unwrap_or_default().to_owned(),
        value: text("value").filter(|v| !v.is_empty()).map(str::to_owned),
        effect: text("effect").and_then(TaintEffect::named),
    }
}

fn wanted<'a>(asked: &Asked<'a>) -> Result<&'a [Taint], Refusal> {
    let name = label_of(asked.found);
    if !asked.found.kind.is("", "Node") {
        return Err(Refusal::Invalid(format!("{name} is no node")));
    }
    if asked.intent.params.taints.is_empty() {
        return Err(Refusal::NeedsInput {
            message: format!("Which taint of {name}? Write it as key=value:NoSchedule"),
            candidates: present(asked).iter().map(|t| text(&typed(t))).collect(),
        });
    }
    if let Some(own) = asked
        .intent
        .params
        .taints
        .iter()
        .find(|t| t.key.starts_with("node.kubernetes.io/"))
    {
        return Err(Refusal::Invalid(format!(
            "{} is set by Kubernetes itself from the node's state, which would put it back; cordon or uncordon the node instead",
            own.key
        )));
    }
    Ok(&asked.intent.params.taints)
}

fn add(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    let name = label_of(asked.found);
    let wanted = wanted(asked)?;
    let mut list = present(asked);
    let (mut gone, mut before) = (vec![], vec![]);
    for taint in wanted {
        let Some(effect) = taint.effect else {
            return Err(Refusal::NeedsInput {
                message: format!(
                    "What should the taint {} do? NoSchedule keeps new pods off, NoExecute drives pods away too",
                    taint.key
                ),
                candidates: ["NoSchedule", "PreferNoSchedule", "NoExecute"]
                    .iter()
                    .map(|e| {
                        format!(
                            "taint {} with {}:{e}",
                            super::object::name(&asked.found.object),
                            text(taint)
                        )
                    })
                    .collect(),
            });
        };
        let mut entry = json!({"key": taint.key, "effect": effect.as_str()});
        if let Some(value) = &taint.value {
            entry["value"] = json!(value);
        }
        let same_key = Taint {
            value: None,
            ..taint.clone()
        };
        match list.iter_mut().find(|t| is(t, &same_key)) {
            Some(old) if typed(old) == *taint => continue,
            Some(old) if asked.intent.params.overwrite == Some(false) => {
                return Err(Refusal::Invalid(format!(
                    "{name} has the taint {} already; to replace its value add --overwrite to the kubectl line, or say it in words",
                    text(&typed(old))
                )));
            }
            Some(old) => {
                before.push(typed(old));
                *old = entry;
            }
            None => {
                gone.push(taint.clone());
                list.push(entry);
            }
        }
    }
    let (undo, back, why) = match (before.is_empty(), gone.is_empty()) {
        (true, true) => {
            return Err(Refusal::Nothing(format!(
                "{name} has the taint already; nothing was changed"
            )));
        }
        (true, false) => (gone, Action::Untaint, "take the taint off again"),
        (false, true) => (before, Action::Taint, "put the taint's value back"),
        // One inverse cannot do both.
        (false, false) => {
            return Err(Refusal::Invalid(format!(
                "some of these taints are on {name} with another value, and some are not; ask for them one after the other"
            )));
        }
    };
    Ok(changed(
        asked,
        wanted,
        &list,
        inverse(back, taints(undo), why.to_owned()),
    ))
}

fn remove(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    let name = label_of(asked.found);
    let wanted = wanted(asked)?;
    let (out, list): (Vec<Value>, Vec<Value>) = present(asked)
        .into_iter()
        .partition(|entry| wanted.iter().any(|taint| is(entry, taint)));
    if out.is_empty() {
        return Err(Refusal::Nothing(format!(
            "{name} has no such taint; nothing was changed"
        )));
    }
    let undo = inverse(
        Action::Taint,
        taints(out.iter().map(typed).collect()),
        "put the taint back".to_owned(),
    );
    Ok(changed(asked, wanted, &list, undo))
}

fn taints(taints: Vec<Taint>) -> IntentParams {
    IntentParams {
        taints,
        ..IntentParams::default()
    }
}

fn changed(
    asked: &Asked<'_>,
    wanted: &[Taint],
    list: &[Value],
    undo: kubechat_crds::command_plan::Rollback,
) -> Draft {
    let value = if list.is_empty() { Value::Null } else { json!(list) };
    let patch = json!({"spec": {"taints": value}});
    update(asked.intent, asked.found, taints(wanted.to_vec()), &patch, undo)
}
