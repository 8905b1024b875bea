//! create-deployment: one container of one image.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::Refusal;
use super::change::{Change, Make};
use super::make::{CREATES, Making, NewKind, after_dashes, flag, template};

pub(super) const CHANGE: Change = Change {
    kinds: &[("apps", "Deployment")],
    params: &["image", "replicas", "port", "command"],
    says: &[
        "create deployment web with image nginx:1.28",
        "create a deployment called web with image nginx:1.28 and 3 replicas",
        "kubectl create deployment web --image=nginx:1.28 --replicas=3 --port=80",
    ],
    make: Make::Object(&KIND),
    line: |step, line| {
        let p = &step.params;
        format!(
            "create deployment {}{}{}{}{}",
            line.names,
            flag("image", p.image.as_ref()),
            flag("replicas", p.replicas.as_ref()),
            flag("port", p.port.as_ref()),
            after_dashes(&p.command)
        )
    },
    ..CREATES
};

const KIND: NewKind = NewKind {
    group: "apps",
    version: "v1",
    kind: "Deployment",
    resource: "deployments",
    from: &[],
    blind: false,
    body,
};

fn body(making: &Making<'_>, _: &mut IntentParams) -> Result<Value, Refusal> {
    let labels = json!({"app": making.name});
    Ok(json!({
        "metadata": {"labels": labels},
        "spec": {"replicas": making.intent.params.replicas.unwrap_or(1), "selector": {"matchLabels": labels},
            "template": template(making, None)?},
    }))
}
