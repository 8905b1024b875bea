//! restart: a new `restartedAt` annotation on the pod template, as `kubectl rollout restart` writes it. The time is the
//! plan's, so that a replay writes the same.

use jiff::Timestamp;
use kubechat_crds::intent::{Intent, IntentParams};
use serde_json::{Value, json};

use super::{Draft, Found, Refusal, irreversible, label_of, update};

pub(super) fn draft(intent: &Intent, found: &Found, now: Timestamp) -> Result<Draft, Refusal> {
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
    let stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": stamp}}}}});
    let rollback = irreversible("a restart cannot be undone: the pods are new ones of the same template");
    Ok(update(intent, found, IntentParams::default(), &patch, rollback))
}
