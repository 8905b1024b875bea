//! delete: remove objects, each bound to its UID.

use kubechat_crds::command_plan::{Effect, Rollback, RollbackKind, Undo};
use kubechat_crds::intent::{Action, IntentParams};
use serde_json::Value;

use super::super::{blank, carry, object, removed_target};
use super::change::{Asked, Change, Make, Mark, Pods, Reads, USUAL};
use super::evict::volumes;
use super::{Draft, Found, Refusal, irreversible, label_of};
use crate::risk::{self, floors, weights};

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
    undo: "creating it again from its manifest, kept when the plan was made; not for Secrets, volumes, snapshots, StatefulSets that take their claims along, namespaces, CRDs and what a controller owns",
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
        vec![removed_target(&found.kind, &found.object)],
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
                why: again(found),
            }
        }
    };
    Ok(Draft {
        step,
        sidecars,
        before: vec![found.object.clone()],
    })
}

const SNAPSHOTS: &str = "snapshot.storage.k8s.io";
const GROUP_SNAPSHOTS: &str = "groupsnapshot.storage.k8s.io";

/// What creating an object again brings back, and what it does not.
fn again(found: &Found) -> String {
    let object = &found.object;
    let mut why = "create it again from its manifest; UID, status and history are new, and what was removed with it comes back only where a controller makes it again".to_owned();
    let mut add = |text: String| {
        why.push_str("; ");
        why.push_str(&text);
    };
    let name = label_of(found);
    if !risk::is_known_kind(&found.kind.group, &found.kind.kind) {
        add(format!(
            "{name} is of a kind KubeChat does not know: what its controller removed with it (data, things outside the cluster) does not come back"
        ));
    }
    match (found.kind.group.as_str(), found.kind.kind.as_str()) {
        ("batch", "Job") => add(format!("{name} runs again from its start")),
        ("", "Pod") => {
            let lost = volumes(object, &["emptyDir", "ephemeral"]);
            if !lost.is_empty() {
                add(format!(
                    "what is in the temporary volume {} of {name} is lost",
                    lost.join(", ")
                ));
            }
            if !object::list(object, "/spec/ephemeralContainers").is_empty() {
                add(format!(
                    "{name} comes back without its ephemeral (debug) containers, with which no pod can be created"
                ));
            }
        }
        _ => {}
    }
    let owners: Vec<String> = object::list(object, "/metadata/ownerReferences")
        .iter()
        .map(|owner| {
            let text = |field| owner.get(field).and_then(Value::as_str).unwrap_or("?");
            format!("{} {}", text("kind").to_lowercase(), text("name"))
        })
        .collect();
    if !owners.is_empty() {
        add(format!(
            "{name} no longer belongs to {}, so it is not removed together with it any more",
            owners.join(", ")
        ));
    }
    let finalizers: Vec<&str> = object::list(object, "/metadata/finalizers")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if !finalizers.is_empty() {
        add(format!(
            "finalizers of {name} are not set again: {}",
            finalizers.join(", ")
        ));
    }
    why
}

/// Whether the claims of a StatefulSet are deleted with it.
fn takes_claims(object: &Value) -> bool {
    let policy = object.pointer("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted");
    let keeps = policy.is_none_or(|policy| policy == "Retain");
    !keeps && !object::list(object, "/spec/volumeClaimTemplates").is_empty()
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
        ("apps", "StatefulSet") if takes_claims(&found.object) => {
            "its claims are deleted with it (persistentVolumeClaimRetentionPolicy.whenDeleted: Delete), and the data of a volume cannot be brought back"
        }
        (SNAPSHOTS | GROUP_SNAPSHOTS, kind) if !kind.ends_with("Class") => {
            "a snapshot may be deleted in the storage with it, and a new one would hold the data of that time"
        }
        ("", "Node") => "a node registers itself",
        ("apiextensions.k8s.io", "CustomResourceDefinition") => "all objects of that kind are lost with it",
        _ => return None,
    };
    Some(why.to_owned())
}
