//! Whether the effect of a step is there, judged from the objects as they are read: rollouts finished, deleted objects gone.

use kubechat_crds::command_plan::{Effect, Target};
use serde_json::Value;

/// How far a rollout is: done, or what it waits for; `None` for kinds without one. As `kubectl rollout status` judges, and
/// for update strategies that it refuses to judge: what the controller will do by itself.
#[must_use]
pub fn rollout(kind: &str, object: &Value) -> Option<Result<String, String>> {
    let number = |p: &str| object.pointer(p).and_then(Value::as_i64);
    let text = |p: &str| object.pointer(p).and_then(Value::as_str).unwrap_or_default();
    let or_zero = |p: &str| number(p).unwrap_or(0);
    if object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return Some(Ok("the rollout is paused".to_owned()));
    }
    let observed = or_zero("/status/observedGeneration") >= or_zero("/metadata/generation");
    let replicas = number("/spec/replicas").unwrap_or(1);
    // OnDelete: pods take the change when somebody deletes them, which may be never.
    let by_hand =
        matches!(kind, "StatefulSet" | "DaemonSet") && text("/spec/updateStrategy/type") == "OnDelete";
    let kept_back = match kind {
        "StatefulSet" => or_zero("/spec/updateStrategy/rollingUpdate/partition").clamp(0, replicas.max(0)),
        _ => 0,
    };
    let (wanted, updated, ready) = match kind {
        "Deployment" => (
            replicas,
            or_zero("/status/updatedReplicas"),
            or_zero("/status/availableReplicas"),
        ),
        "StatefulSet" => {
            // With one revision only there is nothing that has to take it.
            let settled = !text("/status/updateRevision").is_empty()
                && text("/status/updateRevision") == text("/status/currentRevision");
            let updated = or_zero("/status/updatedReplicas");
            let updated = if settled { updated.max(replicas) } else { updated };
            (replicas, updated, or_zero("/status/readyReplicas"))
        }
        "DaemonSet" => (
            or_zero("/status/desiredNumberScheduled"),
            or_zero("/status/updatedNumberScheduled"),
            or_zero("/status/numberAvailable"),
        ),
        "ReplicaSet" | "ReplicationController" => (replicas, replicas, or_zero("/status/readyReplicas")),
        _ => return None,
    };
    let total = number("/status/replicas")
        .filter(|_| kind != "DaemonSet")
        .unwrap_or(wanted);
    let mut said = format!("{ready} of {wanted} ready, {updated} updated");
    if by_hand {
        said.push_str(
            "; pods take a change of their template only when they are deleted (updateStrategy OnDelete)",
        );
    } else if kept_back > 0 {
        said.push_str(&format!(
            "; {kept_back} keep the earlier template (updateStrategy partition)"
        ));
    }
    if let Some(why) = stuck(object) {
        said.push_str(&format!("; {why}"));
    }
    let taken = by_hand || updated >= wanted - kept_back;
    let whole = observed && ready == wanted && taken && total == wanted;
    Some(if whole { Ok(said) } else { Err(said) })
}

/// What a Deployment says when its rollout does not get on.
fn stuck(object: &Value) -> Option<String> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array)?;
    let is = |c: &&Value, field: &str, value: &str| c.get(field).and_then(Value::as_str) == Some(value);
    let late = conditions
        .iter()
        .find(|c| is(c, "type", "Progressing") && is(c, "reason", "ProgressDeadlineExceeded"))?;
    let message = late.get("message").and_then(Value::as_str).unwrap_or_default();
    Some(format!("its progress deadline is exceeded: {message}"))
}

/// What is seen of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How it stands, for the evidence: `deployment/web: 2 of 2 ready, 2 updated`.
    pub line: String,
    /// Whether the effect of the step is not there yet.
    pub open: bool,
    /// Whether what was changed is not there any more: somebody removed or replaced it since.
    pub lost: bool,
}

/// How one target stands, given what the step does to it. `object` is `None` when it is not there.
#[must_use]
pub fn standing(effect: Effect, target: &Target, object: Option<&Value>) -> Standing {
    let name = format!("{}/{}", target.kind.to_lowercase(), target.name);
    let say = |text: &str, open: bool| Standing {
        line: format!("{name}: {text}"),
        open,
        lost: false,
    };
    let gone = |text: &str| Standing {
        lost: effect != Effect::Delete,
        ..say(text, false)
    };
    let Some(object) = object else {
        return gone("not there");
    };
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
    let same = target.uid.is_none() || uid == target.uid.as_deref();
    if !same {
        return gone("another object of this name, created later");
    }
    let leaving = object.pointer("/metadata/deletionTimestamp").is_some();
    match (effect, rollout(&target.kind, object)) {
        (Effect::Delete, _) if leaving => say("being deleted", true),
        (Effect::Delete, _) => say("there", true),
        // Whoever deletes it ends the rollout: there is nothing to wait for.
        (Effect::Create | Effect::Update | Effect::Read, _) if leaving => gone("being deleted"),
        (Effect::Create | Effect::Update | Effect::Read, Some(Ok(text))) => say(&text, false),
        (Effect::Create | Effect::Update | Effect::Read, Some(Err(text))) => say(&text, true),
        (Effect::Create | Effect::Update | Effect::Read, None) => say("there", false),
    }
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

    fn stateful_set(strategy: &Value, updated: i64, ready: i64, revisions: (&str, &str)) -> Value {
        json!({"metadata": {"generation": 2}, "spec": {"replicas": 3, "updateStrategy": strategy},
            "status": {"observedGeneration": 2, "replicas": 3, "readyReplicas": ready, "updatedReplicas": updated,
                "currentRevision": revisions.0, "updateRevision": revisions.1}})
    }

    #[test]
    fn a_stateful_set_whose_pods_were_not_replaced_yet_is_waited_for() {
        let rolling = json!({"type": "RollingUpdate"});
        let at = |updated, ready, revisions| {
            rollout("StatefulSet", &stateful_set(&rolling, updated, ready, revisions)).unwrap()
        };
        // All pods are ready, but of the earlier revision.
        assert!(at(0, 3, ("a", "b")).is_err());
        assert!(at(2, 3, ("a", "b")).is_err());
        assert!(at(3, 2, ("a", "b")).is_err());
        assert!(at(3, 3, ("a", "b")).is_ok());
        assert!(at(0, 3, ("b", "b")).is_ok());
        assert!(at(0, 3, ("", "")).is_err());
    }

    #[test]
    fn a_partition_keeps_pods_back_and_on_delete_keeps_all_of_them() {
        let partition = |n: i64| json!({"type": "RollingUpdate", "rollingUpdate": {"partition": n}});
        let at = |strategy: Value, updated| {
            rollout("StatefulSet", &stateful_set(&strategy, updated, 3, ("a", "b"))).unwrap()
        };
        assert!(at(partition(2), 0).is_err());
        let said = at(partition(2), 1).unwrap();
        assert!(said.contains("2 keep the earlier template"), "{said}");
        assert!(
            at(partition(9), 0).is_ok(),
            "a partition beyond all pods updates none"
        );
        let said = at(json!({"type": "OnDelete"}), 0).unwrap();
        assert!(said.contains("OnDelete"), "{said}");
        let daemons = json!({"metadata": {"generation": 1}, "spec": {"updateStrategy": {"type": "OnDelete"}},
            "status": {"observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 0, "numberAvailable": 3}});
        assert!(rollout("DaemonSet", &daemons).unwrap().is_ok());
    }

    #[test]
    fn a_rollout_that_is_stuck_says_so() {
        let stuck = json!({"metadata": {"generation": 1}, "spec": {"replicas": 1}, "status": {"observedGeneration": 1,
            "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "no image"}]}});
        let said = rollout("Deployment", &stuck).unwrap().unwrap_err();
        assert!(said.contains("no image"), "{said}");
    }

    #[test]
    fn a_target_is_waited_for_only_while_it_is_the_one_that_was_changed() {
        let target = Target {
            kind: "Deployment".into(),
            name: "web".into(),
            uid: Some("u".into()),
            ..Target::default()
        };
        let object = |uid: &str, leaving: bool| {
            let mut o = json!({"metadata": {"uid": uid, "generation": 2}, "spec": {"replicas": 2}});
            if leaving {
                o["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            o
        };
        let (waits, lost, fine) = ((true, false), (false, true), (false, false));
        for (effect, found, expected, says) in [
            (Effect::Update, Some(object("u", false)), waits, "0 of 2 ready"),
            (
                Effect::Update,
                Some(object("other", false)),
                lost,
                "another object",
            ),
            (Effect::Update, Some(object("u", true)), lost, "being deleted"),
            (Effect::Update, None, lost, "not there"),
            (Effect::Delete, Some(object("u", false)), waits, "there"),
            (Effect::Delete, Some(object("u", true)), waits, "being deleted"),
            (
                Effect::Delete,
                Some(object("other", false)),
                fine,
                "another object",
            ),
            (Effect::Delete, None, fine, "not there"),
        ] {
            let seen = standing(effect, &target, found.as_ref());
            assert_eq!((seen.open, seen.lost), expected, "{effect:?} {found:?}");
            assert!(seen.line.contains(says), "{seen:?}");
        }
    }
}
