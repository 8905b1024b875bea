//! rollout-undo: put the pod template of an earlier revision back.

use kubechat_crds::intent::{Action, Intent, IntentParams};
use serde_json::{Value, json};

use super::super::{Revision, carry, object};
use super::{Draft, Found, Refusal, inverse, label_of, update};

pub(super) fn draft(intent: &Intent, found: &Found, revisions: &[Revision]) -> Result<Draft, Refusal> {
    let name = label_of(found);
    if !matches!(
        found.kind.kind.as_str(),
        "Deployment" | "StatefulSet" | "DaemonSet"
    ) {
        return Err(Refusal::Invalid(format!("{name} has no rollout")));
    }
    if found.object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return Err(Refusal::Invalid(format!(
            "the rollout of {name} is paused; resume it first"
        )));
    }
    let mut sorted: Vec<&Revision> = revisions.iter().collect();
    sorted.sort_by_key(|r| std::cmp::Reverse(r.number));
    let current = sorted.first().map(|r| r.number);
    let known: Vec<String> = sorted
        .iter()
        .skip(1)
        .map(|r| format!("revision {}", r.number))
        .collect();
    let wanted = match intent.params.revision {
        Some(n) if n > 0 => sorted.iter().find(|r| r.number == n),
        Some(_) | None => sorted.get(1),
    };
    let Some(wanted) = wanted else {
        let message = match intent.params.revision {
            Some(n) => format!("{name} has no revision {n}"),
            None => format!("{name} has no earlier revision to go back to"),
        };
        return Err(Refusal::NeedsInput {
            message,
            candidates: known,
        });
    };
    if Some(wanted.number) == current {
        return Err(Refusal::Nothing(format!(
            "{name} is at revision {} already; nothing was changed",
            wanted.number
        )));
    }
    let mut template = wanted.template.clone();
    if let Some(labels) = template
        .pointer_mut("/metadata/labels")
        .and_then(Value::as_object_mut)
    {
        labels.remove("pod-template-hash");
    }
    let full = json!([{"op": "replace", "path": "/spec/template", "value": template}]);
    let params = |revision| IntentParams {
        revision: Some(revision),
        ..IntentParams::default()
    };
    let rollback = match current {
        Some(n) => inverse(
            Action::RolloutUndo,
            params(n),
            format!("go forward to revision {n} again"),
        ),
        None => super::irreversible("the present revision is not recorded"),
    };
    let mut draft = update(intent, found, params(wanted.number), &full, rollback);
    let (text, digest, sidecar) = carry(&full, &object::masked(&full));
    if let Some(sidecar) = sidecar {
        draft.step.patch = None;
        draft.step.manifest = Some(text);
        draft.step.manifest_digest = digest;
        draft.sidecars.push(sidecar);
    }
    Ok(draft)
}
