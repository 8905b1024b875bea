//! delete: remove objects, each bound to its UID.

use kubechat_crds::command_plan::{Effect, Rollback, RollbackKind, Undo};
use kubechat_crds::intent::{Action, IntentParams};

use super::super::{blank, carry, object, target};
use super::change::{Asked, Change, Make, Mark, Pods, Reads, USUAL};
use super::{Draft, Found, Refusal, irreversible, label_of};
use crate::risk::{floors, weights};

pub(super) const CHANGE: Change = Change {
    kinds: USUAL,
    params: &["gracePeriodSeconds", "force", "ignoreNotFound"],
    says: &[
        "delete service web",
        "remove pods labelled app=web",
        "kubectl delete pod web-1 --grace-period=30",
    ],
    make: Make::Of(draft),
    reads: Reads::Nothing,
    floor: |_| floors::REMOVES,
    floors: &[floors::REMOVES],
    instead: None,
    weight: |step| {
        if step.params.force == Some(true) || step.params.grace_period_seconds == Some(0) {
            weights::DELETE_NOW
        } else {
            weights::DELETE
        }
    },
    pods: |_| Pods::Gone,
    harmless: false,
    line: |_, line| format!("delete {}", line.objects),
    undo: "creating it again from its manifest, kept when the plan was made; not for Secrets, volumes, namespaces, CRDs and what a controller owns",
    mark: Mark::Gone,
};

fn draft(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    let (intent, found) = (asked.intent, asked.found);
    let name = label_of(found);
    if found.object.pointer("/metadata/deletionTimestamp").is_some() {
        return Err(Refusal::Nothing(format!("{name} is being deleted already")));
    }
    let p = &intent.params;
    let params = IntentParams {
        grace_period_seconds: if p.force == Some(true) {
            Some(0)
        } else {
            p.grace_period_seconds
        },
        ..IntentParams::default()
    };
    let mut step = blank(
        Action::Delete,
        Effect::Delete,
        vec![target(&found.kind, &found.object)],
        params,
    );
    let mut sidecars = vec![];
    step.rollback = match lost(found) {
        Some(why) => irreversible(why),
        None => {
            let full = object::manifest_of(&found.object);
            let (manifest, digest, sidecar) = carry(&full, &object::masked(&full));
            sidecars.extend(sidecar);
            Rollback {
                kind: RollbackKind::Recreate,
                action: Some(Action::Recreate),
                params: None,
                undo: vec![Undo {
                    params: IntentParams::default(),
                    manifest: Some(manifest),
                    manifest_digest: digest,
                }],
                why: "create it again from its manifest; UID, status and history are new".to_owned(),
            }
        }
    };
    Ok(Draft {
        step,
        sidecars,
        before: vec![found.object.clone()],
    })
}

/// Why a deletion cannot be undone, if it cannot.
fn lost(found: &Found) -> Option<String> {
    let name = label_of(found);
    if let Some((kind, owner)) = object::controller(&found.object) {
        return Some(format!(
            "{name} belongs to {} {owner}, which replaces it by itself or deletes it again",
            kind.to_lowercase()
        ));
    }
    let why = match (found.kind.group.as_str(), found.kind.kind.as_str()) {
        ("", "Secret") => "the values of a Secret are never kept, so it cannot be created again",
        ("", "Namespace") => "everything in the namespace is lost with it",
        ("", "PersistentVolumeClaim" | "PersistentVolume") => "the data of a volume cannot be brought back",
        ("", "Node") => "a node registers itself",
        ("apiextensions.k8s.io", "CustomResourceDefinition") => "all objects of that kind are lost with it",
        _ => return None,
    };
    Some(why.to_owned())
}
