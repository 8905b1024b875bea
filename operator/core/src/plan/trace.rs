//! What an object shows of a step that was sent: its mark, and whether it is the object that the step was about.

use kubechat_crds::STEP_ID_ANNOTATION;
use kubechat_crds::command_plan::{Effect, Step, Target};
use kubechat_crds::intent::Action;
use serde_json::Value;

use super::{object, scaling};

/// What an object read after a crash says about a step that was recorded but has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// It bears the step's mark: the write happened.
    Done,
    /// Nobody can know.
    Unknown,
}

/// Judges the trace of one target. `object` is `None` when it is not there; `scale` is its Scale, where only that says how
/// many replicas it has.
///
/// A scale leaves no annotation, because its write goes to a subresource: its mark is the number reached, a generation that
/// moved, and that the number was last written by KubeChat. An autoscaler that reached the same number is no proof.
#[must_use]
pub fn trace(
    step: &Step,
    target: &Target,
    object: Option<&Value>,
    scale: Option<&Value>,
    step_id: &str,
) -> Trace {
    let marked = object.is_some_and(|o| object::annotation(o, STEP_ID_ANNOTATION) == Some(step_id));
    let uid = object
        .and_then(|o| o.pointer("/metadata/uid"))
        .and_then(Value::as_str);
    let done = match step.effect {
        Effect::Read => true,
        Effect::Create => marked,
        Effect::Delete => {
            uid != target.uid.as_deref()
                || object.is_some_and(|o| o.pointer("/metadata/deletionTimestamp").is_some())
        }
        Effect::Update if step.action == Action::Scale => {
            let generation = object
                .and_then(|o| o.pointer("/metadata/generation"))
                .and_then(Value::as_i64);
            let replicas = object.and_then(|o| scaling::current(&target.group, &target.kind, o, scale));
            uid == target.uid.as_deref()
                && generation > target.generation
                && replicas.is_some()
                && replicas == step.params.replicas.map(i64::from)
                && object.is_some_and(|o| scaling::set_by_us(target, o))
        }
        Effect::Update => marked && uid == target.uid.as_deref(),
    };
    if done { Trace::Done } else { Trace::Unknown }
}

/// Whether an object read later is the one that a step changed or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Same {
    /// It is.
    Yes,
    /// It is another one under its name.
    No,
    /// Nobody can know.
    Unknown,
}

/// Whether an object read now is the one that a step changed or made: what was replaced under its name since is not undone.
/// `made` is the UID of what the step made. Where that is not known, the step's mark shows it until something is written over
/// it, which KubeChat itself does with each further change.
#[must_use]
pub fn is_the_one(step: &Step, target: &Target, object: &Value, step_id: &str, made: Option<&str>) -> Same {
    let (creates, wanted) = match step.effect {
        Effect::Create => (true, made),
        Effect::Update | Effect::Delete | Effect::Read => (false, target.uid.as_deref()),
    };
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
    match wanted {
        Some(wanted) if uid == Some(wanted) => Same::Yes,
        Some(_) => Same::No,
        None if creates && object::annotation(object, STEP_ID_ANNOTATION) == Some(step_id) => Same::Yes,
        None => Same::Unknown,
    }
}

#[cfg(test)]
#[path = "trace_tests.rs"]
mod tests;
