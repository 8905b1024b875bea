//! One write of a step: what is sent for one target, tried first, then in earnest.

use kubechat_core::plan::KindRef;
use kubechat_crds::Step;
use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::intent::Action;
use serde_json::Value;

use crate::cluster::objects::{ClientDebug, Earnest, Objects};
use crate::error::Error;

/// One write, ready to go.
#[derive(Debug)]
pub(super) struct Write<'a> {
    pub(super) target: &'a Target,
    pub(super) kind: KindRef,
    /// Patch or manifest; `Null` for a delete.
    pub(super) body: Value,
    pub(super) version: Option<String>,
    /// The object that is changed, as it was read for this write; `Null` where there is none.
    pub(super) before: Value,
    /// An apply of fields that KubeChat itself wrote by other means, as its dry-run showed.
    pub(super) force: bool,
    /// How the target stood when it was read last.
    pub(super) was: String,
}

impl Write<'_> {
    /// How the target stood before, for the evidence.
    pub(super) fn was(&self) -> &str {
        &self.was
    }
}

/// A manifest with the step id, so that a restart recognises its own work.
pub(super) fn marked(manifest: &str, step_id: &str) -> Result<Value, String> {
    let mut manifest: Value =
        serde_json::from_str(manifest).map_err(|e| format!("the recorded manifest is no JSON: {e}"))?;
    if !manifest.is_object() {
        return Err("the recorded manifest is no object".to_owned());
    }
    manifest["metadata"]["annotations"][kubechat_crds::STEP_ID_ANNOTATION] = step_id.into();
    Ok(manifest)
}

/// The dry-run of one write: the object after it, where the answer holds it. What it shows of an apply stays true for the
/// version of the object that the write is bound to.
pub(super) async fn try_out(
    client: &ClientDebug,
    step: &Step,
    write: &mut Write<'_>,
) -> Result<Value, Error> {
    if step.effect == Effect::Update && step.action == Action::Apply {
        let target = write.target;
        let api = Objects::new(client, &write.kind, target.namespace.as_deref());
        let (after, force) = api.would_apply(&target.name, &write.body).await?;
        write.force = force;
        return Ok(after);
    }
    execute(client, step, write, Earnest::No).await
}

/// Sends one write, or has it tried. Returns the object after it, where the answer holds it.
pub(super) async fn execute(
    client: &ClientDebug,
    step: &Step,
    write: &Write<'_>,
    earnest: Earnest<'_>,
) -> Result<Value, Error> {
    let target = write.target;
    let api = Objects::new(client, &write.kind, target.namespace.as_deref());
    match step.effect {
        Effect::Update if step.action == Action::Apply => {
            api.apply(&target.name, &write.body, write.force, earnest).await
        }
        Effect::Update => {
            api.patch(&target.name, step.subresource.as_deref(), &write.body, earnest)
                .await
        }
        Effect::Create => api.create(&write.body, earnest).await,
        Effect::Delete => {
            let uid = target.uid.as_deref().unwrap_or_default();
            let grace = step.params.grace_period_seconds;
            if step.subresource.is_some() {
                let evicted = api.evict(&target.name, uid, grace, earnest).await;
                return evicted.map(|()| Value::Null);
            }
            api.delete(&target.name, uid, write.version.as_deref(), grace, earnest)
                .await
        }
        Effect::Read => Ok(Value::Null),
    }
}
