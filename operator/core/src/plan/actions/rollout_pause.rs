//! rollout-pause and rollout-resume: `spec.paused` of a Deployment.

use kubechat_crds::intent::{Action, IntentParams};
use serde_json::{Value, json};

use super::change::{Asked, Change, Make, Mark, Pods, Reads};
use super::{Draft, Refusal, inverse, label_of, update};
use crate::risk::{floors, weights};

pub(super) const PAUSE: Change = Change {
    kinds: &[("apps", "Deployment")],
    params: &[],
    says: &[
        "pause the rollout of web",
        "pause deployment web",
        "kubectl rollout pause deployment/web",
    ],
    make: Make::Of(|asked| draft(asked, true)),
    reads: Reads::Nothing,
    floor: |_| floors::ROLLOUT_PAUSE,
    floors: &[floors::ROLLOUT_PAUSE],
    instead: None,
    weight: |_| weights::HOLD,
    pods: |_| Pods::Kept,
    harmless: false,
    line: |_, line| format!("rollout pause {}", line.objects),
    undo: "rollout-resume",
    mark: Mark::StepId,
};

pub(super) const RESUME: Change = Change {
    says: &[
        "resume the rollout of web",
        "resume deployment web",
        "kubectl rollout resume deployment/web",
    ],
    make: Make::Of(|asked| draft(asked, false)),
    floor: |_| floors::ROLLOUT_RESUME,
    floors: &[floors::ROLLOUT_RESUME],
    // What waited is rolled out now.
    pods: |_| Pods::Replaced,
    line: |_, line| format!("rollout resume {}", line.objects),
    undo: "rollout-pause; what was rolled out in between stays",
    ..PAUSE
};

fn draft(asked: &Asked<'_>, pause: bool) -> Result<Draft, Refusal> {
    let (intent, found) = (asked.intent, asked.found);
    let name = label_of(found);
    if !found.kind.is("apps", "Deployment") {
        return Err(Refusal::Invalid(format!(
            "{name} has no rollout that can be held: only Deployments have"
        )));
    }
    let is = found.object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true);
    if is == pause {
        let state = if pause { "paused" } else { "not paused" };
        return Err(Refusal::Nothing(format!(
            "the rollout of {name} is {state} already; nothing was changed"
        )));
    }
    let (value, back, why) = if pause {
        (json!(true), Action::RolloutResume, "resume the rollout")
    } else {
        (
            Value::Null,
            Action::RolloutPause,
            "pause the rollout again; what was rolled out in between stays",
        )
    };
    let rollback = inverse(back, IntentParams::default(), why.to_owned());
    let patch = json!({"spec": {"paused": value}});
    Ok(update(intent, found, IntentParams::default(), &patch, rollback))
}
