//! suspend and resume: `spec.suspend` of a CronJob or a Job.

use kubechat_crds::Step;
use kubechat_crds::intent::{Action, IntentParams};
use serde_json::{Value, json};

use super::change::{Asked, Change, Make, Mark, Pods, Reads};
use super::{Draft, Refusal, inverse, label_of, update};
use crate::risk::{floors, weights};

pub(super) const SUSPEND: Change = Change {
    kinds: &[("batch", "CronJob"), ("batch", "Job")],
    params: &[],
    says: &["suspend cronjob backup", "suspend backup", "pause cronjob backup"],
    make: Make::Of(|asked| draft(asked, true)),
    reads: Reads::Nothing,
    floor: |_| floors::SUSPEND,
    floors: &[floors::SUSPEND],
    instead: None,
    weight: |_| weights::HOLD,
    pods: |step| if of_a_job(step) { Pods::Ended } else { Pods::Kept },
    harmless: false,
    line: |_, line| format!("patch {} -p '{{\"spec\":{{\"suspend\":true}}}}'", line.objects),
    undo: "resume; a Job begins with new pods",
    mark: Mark::StepId,
};

pub(super) const RESUME: Change = Change {
    says: &[
        "resume cronjob backup",
        "unsuspend backup",
        "unpause cronjob backup",
    ],
    make: Make::Of(|asked| draft(asked, false)),
    floor: |_| floors::RESUME,
    floors: &[floors::RESUME],
    pods: |_| Pods::Made,
    line: |_, line| format!("patch {} -p '{{\"spec\":{{\"suspend\":false}}}}'", line.objects),
    undo: "suspend",
    ..SUSPEND
};

fn of_a_job(step: &Step) -> bool {
    step.targets.iter().any(|t| t.kind != "CronJob")
}

fn draft(asked: &Asked<'_>, suspend: bool) -> Result<Draft, Refusal> {
    let (intent, found) = (asked.intent, asked.found);
    let name = label_of(found);
    if !(found.kind.is("batch", "CronJob") || found.kind.is("batch", "Job")) {
        return Err(Refusal::Invalid(format!(
            "{name} cannot be suspended: only CronJobs and Jobs can"
        )));
    }
    if found.object.pointer("/status/completionTime").is_some() {
        return Err(Refusal::Invalid(format!("{name} has finished already")));
    }
    let is = found.object.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true);
    if is == suspend {
        let state = if suspend { "suspended" } else { "not suspended" };
        return Err(Refusal::Nothing(format!(
            "{name} is {state} already; nothing was changed"
        )));
    }
    let (back, why) = match (suspend, found.kind.kind.as_str()) {
        (true, "Job") => (Action::Resume, "resume it; its pods are new ones"),
        (true, _) => (Action::Resume, "resume it"),
        (false, _) => (
            Action::Suspend,
            "suspend it again; runs that began meanwhile go on",
        ),
    };
    let rollback = inverse(back, IntentParams::default(), why.to_owned());
    let patch = json!({"spec": {"suspend": suspend}});
    Ok(update(intent, found, IntentParams::default(), &patch, rollback))
}
