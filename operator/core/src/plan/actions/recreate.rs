//! recreate: what undoes a delete. Only a rollback makes it.

use kubechat_crds::command_plan::{Effect, Target, Undo};
use kubechat_crds::intent::{Action, IntentParams};

use super::super::{Draft, blank, finish};
use super::change::{Change, Make, Mark, Pods, Reads};
use super::inverse;
use crate::risk::{floors, weights};

pub(super) const CHANGE: Change = Change {
    kinds: &[],
    params: &[],
    says: &[],
    make: Make::Kept,
    reads: Reads::Nothing,
    floor: |_| floors::RECREATE,
    floors: &[floors::RECREATE],
    instead: None,
    weight: |_| weights::CREATE,
    // What makes an object may need what a webhook or a quota would have refused.
    pods: |_| Pods::Made,
    harmless: false,
    line: |_, line| format!("create -f {}-{}.yaml", line.kind, line.names),
    undo: "deleting it (destructive)",
    mark: Mark::StepId,
};

/// The step that creates a deleted target again. `Err` when nothing was recorded that could be created.
///
/// # Errors
/// A sentence for people.
pub fn draft(deleted: &Target, undo: &Undo, index: usize) -> Result<Draft, String> {
    let Some(manifest) = undo.manifest.clone() else {
        return Err(format!(
            "no manifest of {}/{} was recorded",
            deleted.kind.to_lowercase(),
            deleted.name
        ));
    };
    let target = Target {
        uid: None,
        resource_version: None,
        generation: None,
        spec_digest: None,
        ..deleted.clone()
    };
    let mut step = blank(
        Action::Recreate,
        Effect::Create,
        vec![target],
        IntentParams::default(),
    );
    step.manifest = Some(manifest);
    step.manifest_digest.clone_from(&undo.manifest_digest);
    step.rollback = inverse(
        Action::Delete,
        IntentParams::default(),
        "delete it again (a destructive plan)".to_owned(),
    );
    finish(&mut step, index);
    Ok(Draft {
        step,
        sidecars: vec![],
        before: vec![],
    })
}
