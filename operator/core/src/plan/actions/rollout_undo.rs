//! rollout-undo: put the pod template of an earlier revision back.

use kubechat_crds::intent::{Action, IntentParams};
use serde_json::{Value, json};

use super::super::{Revision, carry, object};
use super::change::{Asked, Change, Make, Mark, Pods, Reads, WORKLOADS};
use super::{Draft, Refusal, inverse, label_of, update};
use crate::risk::{floors, weights};

pub(super) const CHANGE: Change = Change {
    kinds: WORKLOADS,
    params: &["revision"],
    says: &[
        "roll back web",
        "roll back web to revision 1",
        "kubectl rollout undo deployment/web --to-revision=1",
    ],
    make: Make::Of(draft),
    reads: Reads::Revisions,
    floor: |_| floors::ROLLOUT_UNDO,
    floors: &[floors::ROLLOUT_UNDO],
    instead: None,
    weight: |_| weights::ROLLOUT_UNDO,
    pods: |_| Pods::Replaced,
    harmless: false,
    line: |step, line| {
        let to = step.params.revision.map(|r| format!(" --to-revision={r}"));
        format!("rollout undo {}{}", line.objects, to.unwrap_or_default())
    },
    undo: "going forward to the revision before again",
    mark: Mark::StepId,
};

fn draft(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    let (intent, found) = (asked.intent, asked.found);
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
    let mut sorted: Vec<&Revision> = asked.beside.revisions.iter().collect();
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
