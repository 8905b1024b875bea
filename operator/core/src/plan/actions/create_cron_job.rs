//! create-cronjob: one container, run on a schedule.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::Refusal;
use super::change::{Change, Make};
use super::make::{CREATES, Making, NewKind, after_dashes, flag, template};

pub(super) const CHANGE: Change = Change {
    kinds: &[("batch", "CronJob")],
    params: &["image", "schedule", "command"],
    says: &[
        "create cronjob backup with image busybox:1.37 on schedule '0 3 * * *'",
        "kubectl create cronjob backup --image=busybox:1.37 --schedule='0 3 * * *'",
    ],
    make: Make::Object(&KIND),
    line: |step, line| {
        let p = &step.params;
        format!(
            "create cronjob {}{}{}{}",
            line.names,
            flag("image", p.image.as_ref()),
            flag("schedule", p.schedule.as_ref()),
            after_dashes(&p.command)
        )
    },
    ..CREATES
};

const KIND: NewKind = NewKind {
    group: "batch",
    version: "v1",
    kind: "CronJob",
    resource: "cronjobs",
    from: &[],
    blind: false,
    body,
};

fn body(making: &Making<'_>, _: &mut IntentParams) -> Result<Value, Refusal> {
    let Some(schedule) = &making.intent.params.schedule else {
        return Making::ask(format!(
            "When should {} run? Write a schedule like '0 3 * * *'",
            making.name
        ));
    };
    // As kubectl does: the next run comes by itself, so a container that fails is started again in its pod.
    let template = template(making, Some("OnFailure"))?;
    Ok(json!({"spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": template}}}}))
}
