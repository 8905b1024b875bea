//! create-job: one container that runs to its end, or what a CronJob would run now.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::change::{Change, Make};
use super::make::{CREATES, Making, NewKind, after_dashes, flag, template};
use super::{Refusal, label_of};

pub(super) const CHANGE: Change = Change {
    kinds: &[("batch", "Job")],
    params: &["image", "command", "from"],
    says: &[
        "create job import with image busybox:1.37 running 'echo hello'",
        "create job manual from cronjob backup",
        "kubectl create job manual --from=cronjob/backup",
    ],
    make: Make::Object(&KIND),
    line: |step, line| {
        let p = &step.params;
        format!(
            "create job {}{}{}{}",
            line.names,
            flag("from", p.from.as_ref()),
            flag("image", p.image.as_ref()),
            after_dashes(&p.command)
        )
    },
    ..CREATES
};

const KIND: NewKind = NewKind {
    group: "batch",
    version: "v1",
    kind: "Job",
    resource: "jobs",
    from: &[("batch", "CronJob")],
    blind: false,
    body,
};

fn body(making: &Making<'_>, _: &mut IntentParams) -> Result<Value, Refusal> {
    let Some(cron) = making.source else {
        return Ok(json!({"spec": {"template": template(making, Some("Never"))?}}));
    };
    if making.intent.params.image.is_some() || !making.intent.params.command.is_empty() {
        return Err(Refusal::Invalid(format!(
            "a job from {} runs what that runs; leave out the image and the command",
            label_of(cron)
        )));
    }
    let Some(spec) = cron.object.pointer("/spec/jobTemplate/spec") else {
        return Err(Refusal::Invalid(format!("{} has no job in it", label_of(cron))));
    };
    let labels = cron.object.pointer("/spec/jobTemplate/metadata/labels");
    // As kubectl marks it: started by hand, not by its schedule.
    Ok(json!({
        "metadata": {"labels": labels.cloned().unwrap_or_else(|| json!({})),
            "annotations": {"cronjob.kubernetes.io/instantiate": "manual"}},
        "spec": spec,
    }))
}
