//! expand-pvc: more room for a PersistentVolumeClaim. Kubernetes has no way back, and a smaller size is refused.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::change::{Asked, Change, Make, Mark, Pods, Reads};
use super::{Draft, Refusal, irreversible, label_of, update};
use crate::plan::quantity;
use crate::risk::{floors, weights};

pub(super) const CHANGE: Change = Change {
    kinds: &[("", "PersistentVolumeClaim")],
    params: &["size"],
    says: &[
        "expand pvc data to 20Gi",
        "grow volume claim data to 20Gi",
        "resize pvc data to 20Gi",
    ],
    make: Make::Of(draft),
    reads: Reads::Nothing,
    floor: |_| floors::EXPAND,
    floors: &[floors::EXPAND],
    instead: Some(("", "PersistentVolumeClaim")),
    weight: |_| weights::EXPAND,
    pods: |_| Pods::Kept,
    harmless: true,
    line: |step, line| {
        let size = step.params.size.as_deref().unwrap_or_default();
        format!(
            "patch {} -p '{{\"spec\":{{\"resources\":{{\"requests\":{{\"storage\":\"{size}\"}}}}}}}}'",
            line.objects
        )
    },
    undo: "nothing: a claim cannot be made smaller. No data is touched",
    mark: Mark::StepId,
};

fn draft(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    let (intent, found) = (asked.intent, asked.found);
    let name = label_of(found);
    if !found.kind.is("", "PersistentVolumeClaim") {
        return Err(Refusal::Invalid(format!(
            "{name} is no PersistentVolumeClaim, so it has no size"
        )));
    }
    let current = found
        .object
        .pointer("/spec/resources/requests/storage")
        .and_then(Value::as_str)
        .unwrap_or("0");
    let Some(size) = intent.params.size.as_deref() else {
        return Err(Refusal::NeedsInput {
            message: format!("How large should {name} be? It asks for {current}"),
            candidates: vec![],
        });
    };
    let (Some(new), Some(old)) = (quantity::nano(size), quantity::nano(current)) else {
        return Err(Refusal::Invalid(format!(
            "{size} is no size that Kubernetes takes; write it like 20Gi"
        )));
    };
    if new == old {
        return Err(Refusal::Nothing(format!(
            "{name} asks for {current} already; nothing was changed"
        )));
    }
    if new < old {
        return Err(Refusal::Invalid(format!(
            "{name} asks for {current}, and a claim cannot be made smaller ({size})"
        )));
    }
    let params = IntentParams {
        size: Some(size.to_owned()),
        ..IntentParams::default()
    };
    let patch = json!({"spec": {"resources": {"requests": {"storage": size}}}});
    let rollback = irreversible("a claim cannot be made smaller again; its data is not touched");
    Ok(update(intent, found, params, &patch, rollback))
}
