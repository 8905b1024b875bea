//! scale: change the number of replicas through the `scale` subresource.

use kubechat_crds::intent::{Action, IntentParams};
use serde_json::json;

use super::change::{Asked, Change, Make, Mark, Pods, Reads};
use super::{Draft, Refusal, inverse, label_of, update};
use crate::plan::scaling;
use crate::risk::{floors, weights};

pub(super) const CHANGE: Change = Change {
    kinds: &[("apps", "Deployment"), ("apps", "StatefulSet")],
    params: &["replicas", "replicasDelta", "replicasPercent", "currentReplicas"],
    says: &[
        "scale web to 5 replicas",
        "add two replicas to web",
        "double the replicas of web",
        "kubectl scale deployment/web --replicas=5 -n demo",
    ],
    make: Make::Of(draft),
    reads: Reads::Scale,
    floor: floors::scale,
    floors: &[
        floors::SCALE_UP,
        floors::SCALE_DOWN,
        floors::SCALE_TO_ZERO,
        floors::SCALE_UNKNOWN,
    ],
    instead: None,
    weight: weights::scale,
    pods: |_| Pods::Scaled,
    harmless: false,
    line: |step, line| {
        let replicas = step.params.replicas.unwrap_or_default();
        format!("scale {} --replicas={replicas}", line.objects)
    },
    undo: "scale back to the number before",
    mark: Mark::Reached,
};

fn draft(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    let (intent, found) = (asked.intent, asked.found);
    let scale = asked.beside.scale;
    let name = label_of(found);
    if !found.kind.scalable {
        return Err(Refusal::Invalid(format!(
            "{name} cannot be scaled: its kind has no scale subresource"
        )));
    }
    let current = scaling::current(&found.kind.group, &found.kind.kind, &found.object, scale)
        .ok_or_else(|| Refusal::Invalid(format!("how many replicas {name} has cannot be read")))?;
    let current = i32::try_from(current)
        .map_err(|_| Refusal::Invalid(format!("{name} has an absurd number of replicas")))?;
    let p = &intent.params;
    if let Some(expected) = p.current_replicas.filter(|e| *e != current) {
        return Err(Refusal::Invalid(format!(
            "{name} has {current} replicas, not {expected} as --current-replicas demands"
        )));
    }
    let wanted = match (p.replicas, p.replicas_delta, p.replicas_percent) {
        (Some(n), None, None) => i64::from(n),
        (None, Some(d), None) => i64::from(current) + i64::from(d),
        (None, None, Some(f)) => (i64::from(current) * i64::from(f) + 50) / 100,
        _ => {
            return Err(Refusal::NeedsInput {
                message: format!("How many replicas should {name} have? It has {current}"),
                candidates: vec![],
            });
        }
    };
    let wanted = i32::try_from(wanted)
        .ok()
        .filter(|n| (0..=1_000_000).contains(n))
        .ok_or_else(|| {
            Refusal::Invalid(format!(
                "{name} has {current} replicas, so it cannot be changed to {wanted}"
            ))
        })?;
    if wanted == current {
        return Err(Refusal::Nothing(format!(
            "{name} has {current} replicas already; nothing was changed"
        )));
    }
    let number = |n| IntentParams {
        replicas: Some(n),
        ..IntentParams::default()
    };
    let rollback = inverse(Action::Scale, number(current), format!("scale back to {current}"));
    let mut draft = update(
        intent,
        found,
        number(wanted),
        &json!({"spec": {"replicas": wanted}}),
        rollback,
    );
    draft.step.subresource = Some("scale".to_owned());
    Ok(draft)
}
