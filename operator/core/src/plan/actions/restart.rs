//! restart: a new `restartedAt` annotation on the pod template, as `kubectl rollout restart` writes it. The time is the
//! plan's, so that a replay writes the same.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::change::{Asked, Change, Make, Mark, Pods, Reads, WORKLOADS};
use super::{Draft, Refusal, irreversible, label_of, update};
use crate::risk::{floors, weights};

pub(super) const CHANGE: Change = Change {
    kinds: WORKLOADS,
    params: &[],
    says: &[
        "restart web",
        "bounce web",
        "kubectl rollout restart deployment/web",
    ],
    make: Make::Of(draft),
    reads: Reads::Nothing,
    floor: |_| floors::RESTARTS,
    floors: &[floors::RESTARTS],
    instead: None,
    weight: |_| weights::RESTART,
    pods: |_| Pods::Replaced,
    harmless: true,
    line: |_, line| format!("rollout restart {}", line.objects),
    undo: "nothing, and nothing is lost: the pods are new ones of the same template",
    mark: Mark::StepId,
};

fn draft(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    let (intent, found) = (asked.intent, asked.found);
    let name = label_of(found);
    let restartable = matches!(
        found.kind.kind.as_str(),
        "Deployment" | "StatefulSet" | "DaemonSet"
    ) && found.kind.group == "apps";
    if !restartable {
        return Err(Refusal::Invalid(format!(
            "{name} cannot be restarted: only Deployments, StatefulSets and DaemonSets can (delete a pod to have it replaced)"
        )));
    }
    if found.object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return Err(Refusal::Invalid(format!(
            "the rollout of {name} is paused, so a restart would not happen"
        )));
    }
    let stamp = asked.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": stamp}}}}});
    let rollback = irreversible("a restart cannot be undone: the pods are new ones of the same template");
    Ok(update(intent, found, IntentParams::default(), &patch, rollback))
}
