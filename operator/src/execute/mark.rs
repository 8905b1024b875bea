//! What a target is called, and the mark by which an executor recognises its own work.

use kube::Client;
use kubechat_core::plan::{self, KindRef, Trace, scaling};
use kubechat_crds::Step;
use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::intent::Action;
use serde_json::Value;

use crate::cluster::objects::{ClientDebug, Objects};
use crate::error::Error;

/// Targets named in a status.
pub(super) const MAX_NAMED: usize = 20;

/// The kind of a target.
pub(super) fn kind_of(target: &Target) -> KindRef {
    KindRef {
        group: target.group.clone(),
        version: target.version.clone(),
        kind: target.kind.clone(),
        resource: target.resource.clone(),
        namespaced: target.namespace.is_some(),
        scalable: false,
    }
}

/// Identifies a target within a plan.
pub(super) type Key = (String, String, Option<String>, String);

/// The key of a target.
pub(super) fn key(target: &Target) -> Key {
    (
        target.group.clone(),
        target.kind.clone(),
        target.namespace.clone(),
        target.name.clone(),
    )
}

/// `configmap/settings`.
pub(crate) fn label(target: &Target) -> String {
    format!("{}/{}", target.kind.to_lowercase(), target.name)
}

/// The UID of an object.
pub(super) fn uid(object: &Value) -> Option<String> {
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
    uid.map(str::to_owned)
}

/// UID of the object that a step made, as far as it bears the step's mark. Who may not look, or gets no answer, cannot know.
pub(super) async fn made(client: &ClientDebug, step: &Step, step_id: &str) -> Option<String> {
    let target = step.targets.first().filter(|_| step.effect == Effect::Create)?;
    let kind = kind_of(target);
    let api = Objects::new(client, &kind, target.namespace.as_deref());
    let object = api.find(&target.name).await.ok()??;
    let marked = plan::trace(step, target, Some(&object), None, step_id) == Trace::Done;
    uid(&object).filter(|_| marked)
}

/// Targets that do not bear the step's mark.
pub(super) async fn untraced<'s>(
    client: Client,
    step: &'s Step,
    step_id: &str,
) -> Result<Vec<&'s Target>, Error> {
    let client = ClientDebug(client);
    let mut lost = vec![];
    for target in &step.targets {
        if !bears_mark(&client, step, target, step_id).await? {
            lost.push(target);
        }
    }
    Ok(lost)
}

/// Whether the object proves that the step's write happened. Who may not look cannot know.
pub(crate) async fn bears_mark(
    client: &ClientDebug,
    step: &Step,
    target: &Target,
    step_id: &str,
) -> Result<bool, Error> {
    let kind = kind_of(target);
    let api = Objects::new(client, &kind, target.namespace.as_deref());
    let looked = async {
        let object = api.find(&target.name).await?;
        let elsewhere = step.action == Action::Scale && !scaling::in_spec(&target.group, &target.kind);
        let scale = match &object {
            Some(_) if elsewhere => api.find_scale(&target.name).await?,
            Some(_) | None => None,
        };
        let trace = plan::trace(step, target, object.as_ref(), scale.as_ref(), step_id);
        Ok(trace == Trace::Done)
    };
    match looked.await {
        Err(error @ Error::Api { .. }) if error.status().is_some_and(|s| s.code == 403) => Ok(false),
        looked => looked,
    }
}
