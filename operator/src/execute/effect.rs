//! Waiting for the effect: rollouts finished, deleted objects gone. Bounded, with progress.

use std::time::Duration;

use kube::Client;
use kubechat_core::plan::KindRef;
use kubechat_crds::command_plan::Effect;
use kubechat_crds::{CommandPlan, Step};
use serde_json::Value;

use crate::cluster::objects::{ClientDebug, Objects};
use crate::error::Error;

/// Longest wait for the effect of a plan.
pub const MAX_WAIT: Duration = Duration::from_secs(120);

/// How far a rollout is: done, or what it waits for; `None` for kinds without one. As `kubectl rollout status` judges.
#[must_use]
pub fn rollout(kind: &str, object: &Value) -> Option<Result<String, String>> {
    let number = |p: &str| object.pointer(p).and_then(Value::as_i64);
    let or_zero = |p: &str| number(p).unwrap_or(0);
    if object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return Some(Ok("the rollout is paused".to_owned()));
    }
    let observed = or_zero("/status/observedGeneration") >= or_zero("/metadata/generation");
    let (wanted, updated, ready) = match kind {
        "Deployment" | "StatefulSet" => {
            let ready = if kind == "Deployment" {
                "/status/availableReplicas"
            } else {
                "/status/readyReplicas"
            };
            (
                number("/spec/replicas").unwrap_or(1),
                or_zero("/status/updatedReplicas"),
                or_zero(ready),
            )
        }
        "DaemonSet" => (
            or_zero("/status/desiredNumberScheduled"),
            or_zero("/status/updatedNumberScheduled"),
            or_zero("/status/numberAvailable"),
        ),
        "ReplicaSet" | "ReplicationController" => (
            number("/spec/replicas").unwrap_or(1),
            number("/spec/replicas").unwrap_or(1),
            or_zero("/status/readyReplicas"),
        ),
        _ => return None,
    };
    let total = number("/status/replicas")
        .filter(|_| kind != "DaemonSet")
        .unwrap_or(wanted);
    let text = format!("{ready} of {wanted} ready, {updated} updated");
    let whole = observed
        && ready == wanted
        && (updated >= wanted || kind == "StatefulSet" && updated == 0)
        && total == wanted;
    Some(if whole { Ok(text) } else { Err(text) })
}

/// What is still waited for; empty when the effect is there.
///
/// # Errors
/// When the API server does not answer.
pub async fn waiting(person: &Client, plan: &CommandPlan) -> Result<Vec<String>, Error> {
    let mut open = vec![];
    for step in &plan.spec.steps {
        open.extend(of_step(person, step).await?);
    }
    Ok(open)
}

async fn of_step(person: &Client, step: &Step) -> Result<Vec<String>, Error> {
    let client = ClientDebug(person.clone());
    let mut open = vec![];
    for target in &step.targets {
        let has_rollout = matches!(
            target.kind.as_str(),
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet"
        ) && step.effect != Effect::Delete;
        if !has_rollout && step.effect != Effect::Delete {
            continue;
        }
        let kind = KindRef {
            group: target.group.clone(),
            version: target.version.clone(),
            kind: target.kind.clone(),
            resource: target.resource.clone(),
            namespaced: target.namespace.is_some(),
            scalable: false,
        };
        let name = format!("{}/{}", target.kind.to_lowercase(), target.name);
        let object = match Objects::new(&client, &kind, target.namespace.as_deref())
            .find(&target.name)
            .await
        {
            Ok(object) => object,
            // Who may change but not look gets no progress.
            Err(error) if error.status().is_some_and(|s| s.code == 403) => continue,
            Err(error) => return Err(error),
        };
        match (step.effect, object) {
            (Effect::Delete, Some(found)) => {
                let uid = found.pointer("/metadata/uid").and_then(Value::as_str);
                if uid == target.uid.as_deref() {
                    open.push(format!("{name} is being deleted"));
                }
            }
            (Effect::Update | Effect::Create | Effect::Read, Some(found)) => {
                if let Some(Err(text)) = rollout(&target.kind, &found) {
                    open.push(format!("{name}: {text}"));
                }
            }
            (_, None) => {}
        }
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rollout_is_done_only_when_observed_updated_and_ready() {
        let deployment = |observed: i64, updated: i64, available: i64, replicas: i64| {
            json!({"metadata": {"generation": 3}, "spec": {"replicas": 5},
                "status": {"observedGeneration": observed, "updatedReplicas": updated, "availableReplicas": available, "replicas": replicas}})
        };
        assert!(rollout("Deployment", &deployment(3, 5, 5, 5)).unwrap().is_ok());
        for waiting in [
            deployment(2, 5, 5, 5),
            deployment(3, 4, 5, 5),
            deployment(3, 5, 4, 5),
            deployment(3, 5, 5, 6),
        ] {
            assert!(rollout("Deployment", &waiting).unwrap().is_err(), "{waiting}");
        }
        assert!(rollout("ConfigMap", &json!({})).is_none());
    }
}
