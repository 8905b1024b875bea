//! What of the plan's judgement holds while it is executed: on whose word, for whom, by which facts.

use kubechat_crds::{CommandPlan, PlanPhase, Step};
use serde_json::json;

use crate::failpoint::Point;
use crate::testing::people::stamped;
use crate::testing::plans::{Verb, plan_path, turn_path};
use crate::testing::process::{Fuse, Ran, World};

/// A world with an approved plan of one step.
async fn proposed(verb: Verb) -> (World, Step) {
    let mut world = World::new();
    let step = world.propose(&[verb]).await.remove(0);
    (world, step)
}

/// Executes it to its end.
async fn executed(world: &mut World) -> CommandPlan {
    let process = world.start(Fuse::long()).await;
    process.finish(world).await
}

fn phase(plan: &CommandPlan) -> PlanPhase {
    plan.status.as_ref().and_then(|s| s.phase).unwrap()
}

#[tokio::test]
async fn a_plan_that_is_gone_on_with_still_says_on_whose_word_it_began() {
    let mut world = World::new();
    world.propose(&[Verb::Label, Verb::Scale]).await;
    let process = world.start(Fuse::at(Point::AfterResult)).await;
    assert!(matches!(process.reconcile(world.plan()).await, Ran::Stopped(_)));
    // It began by an emergency approval whose object is gone since; those of two others suffice to go on.
    world.server.edit(&plan_path(), |o| {
        o["status"]["approvals"]["decisions"][0] = json!({"name": "glass", "uid": "gone",
            "username": "erin", "via": "BreakGlass", "decision": "Approve", "time": "2026-05-01T10:00:00Z"});
    });
    let plan = executed(&mut world).await;
    assert_eq!(phase(&plan), PlanPhase::Succeeded);
    let status = plan.status.unwrap();
    assert!(
        kubechat_core::lifecycle::review::broke_glass(&status),
        "{:?}",
        status.approvals
    );
    let people: Vec<_> = status
        .approvals
        .unwrap()
        .decisions
        .into_iter()
        .map(|d| d.username)
        .collect();
    assert_eq!(people, ["erin", "carol", "bob"]);
}

#[tokio::test]
async fn why_a_plan_is_not_asked_for_any_more_is_told_apart() {
    let other = json!({"username": "mallory", "groups": []});
    type Change = Box<dyn Fn(&World)>;
    let edit = |change: fn(&mut serde_json::Value)| -> Change {
        Box::new(move |world| world.server.edit(&turn_path(), change))
    };
    let cases: Vec<(&str, Change)> = vec![
        ("Cancelled", edit(|o| o["spec"]["cancel"] = true.into())),
        ("TurnGone", edit(|o| o["metadata"]["uid"] = "another".into())),
        (
            "TurnGone",
            edit(|o| o["metadata"]["deletionTimestamp"] = "2026-05-01T10:00:00Z".into()),
        ),
        (
            "TurnGone",
            Box::new(|world| drop(world.server.remove(&turn_path()))),
        ),
        (
            "UntrustedOrigin",
            edit(|o| o["spec"]["prompt"] = "do something else".into()),
        ),
        (
            "AnotherRequester",
            Box::new(move |world| {
                let (path, who) = (turn_path(), serde_json::from_value(other.clone()).unwrap());
                let turn = world.server.get(&path).unwrap();
                let turn = stamped(&world.seal, path.rsplit_once('/').unwrap().0, turn, &who);
                world.server.edit(&path, |o| o["spec"] = turn["spec"].clone());
            }),
        ),
    ];
    for (reason, change) in cases {
        let (mut world, step) = proposed(Verb::Label).await;
        change(&world);
        let plan = executed(&mut world).await;
        let conditions = &plan.status.as_ref().unwrap().conditions;
        let ended = kubechat_crds::condition::find(conditions, "Succeeded").unwrap();
        assert_eq!((ended.reason.as_str(), world.writes(&step)), (reason, vec![0]));
        let entries = world.entries().await;
        assert!(
            entries.iter().any(|e| e.reason == reason),
            "{:?}",
            World::short(&entries)
        );
    }
}

/// Namespace demo with these labels, as an administrator leaves it.
fn demo(world: &World, labels: &serde_json::Value) {
    let object =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo", "labels": labels}});
    world.server.put("/api/v1/namespaces/demo", object);
}

/// A world whose plan was made while namespace demo bore no label; `rule` is added to the baseline.
async fn planned_unlabelled(verbs: &[Verb], rule: Option<serde_json::Value>) -> (World, Vec<Step>) {
    let mut world = World::new();
    demo(&world, &json!({}));
    let steps = world.propose(verbs).await;
    if let Some(rule) = rule {
        world
            .server
            .edit("/apis/kubechat.io/v1beta1/riskpolicies/baseline", |o| {
                let rules = o["spec"]["rules"].as_array_mut().unwrap();
                rules.push(rule);
            });
    }
    (world, steps)
}

#[tokio::test]
async fn a_namespace_that_became_more_guarded_since_makes_the_plan_stale() {
    let deny = json!({"name": "hold", "when": "'hold' in namespaceObject.labels", "effect": "Deny", "message": "held"});
    for (rule, label, phase_now) in [
        (None, json!({}), PlanPhase::Succeeded),
        (None, json!({"team": "a"}), PlanPhase::Succeeded),
        (Some(deny.clone()), json!({"team": "a"}), PlanPhase::Succeeded),
        (Some(deny), json!({"hold": "yes"}), PlanPhase::Stale),
        (None, json!({"env": "production"}), PlanPhase::Stale),
    ] {
        let (mut world, steps) = planned_unlabelled(&[Verb::Label], rule).await;
        world.server.edit("/api/v1/namespaces/demo", |o| {
            o["metadata"]["labels"] = label.clone();
        });
        let plan = executed(&mut world).await;
        assert_eq!(phase(&plan), phase_now, "{label}: {:?}", plan.status);
        let sent = usize::from(phase_now == PlanPhase::Succeeded);
        assert_eq!(world.writes(&steps[0]), [sent]);
    }
    // Gone, or not to be read any more: it counts as protected.
    let (mut world, steps) = planned_unlabelled(&[Verb::Label], None).await;
    world.server.remove("/api/v1/namespaces/demo");
    assert_eq!(phase(&executed(&mut world).await), PlanPhase::Stale);
    assert_eq!(world.writes(&steps[0]), [0]);
}

#[tokio::test]
async fn a_namespace_that_became_more_guarded_between_two_steps_stops_the_plan_there() {
    let (mut world, steps) = planned_unlabelled(&[Verb::Label, Verb::Scale], None).await;
    let process = world.start(Fuse::at(Point::AfterResult)).await;
    let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
        panic!("not passed");
    };
    world.server.edit("/api/v1/namespaces/demo", |o| {
        o["metadata"]["labels"] = json!({"env": "production"});
    });
    let _ = stopped.resume().await;
    let plan = executed(&mut world).await;
    assert_eq!(phase(&plan), PlanPhase::Interrupted);
    assert_eq!(
        (world.writes(&steps[0]), world.writes(&steps[1])),
        (vec![1], vec![0])
    );
}

const BASELINE: &str = "/apis/kubechat.io/v1beta1/riskpolicies/baseline";

#[tokio::test]
async fn what_the_policies_limit_more_narrowly_since_is_not_executed() {
    let (one, many): (&[Verb], &[Verb]) = (&[Verb::Label], &[Verb::LabelMany]);
    let (two, node): (&[Verb], &[Verb]) = (&[Verb::Label, Verb::Scale], &[Verb::Cordon]);
    let ops = json!({"matchLabels": {"ops": "yes"}});
    for (verbs, field, value, phase_then, reason) in [
        (
            many,
            "limits",
            json!({"targetsPerStep": 3}),
            PlanPhase::Succeeded,
            "Executed",
        ),
        (
            many,
            "limits",
            json!({"targetsPerStep": 2}),
            PlanPhase::Blocked,
            "PolicyDenied",
        ),
        (
            two,
            "limits",
            json!({"stepsPerPlan": 2}),
            PlanPhase::Succeeded,
            "Executed",
        ),
        (
            two,
            "limits",
            json!({"stepsPerPlan": 1}),
            PlanPhase::Blocked,
            "PolicyDenied",
        ),
        (
            one,
            "maxPlanAge",
            json!({"caution": "10m", "destructive": "1ms"}),
            PlanPhase::Succeeded,
            "Executed",
        ),
        (
            one,
            "maxPlanAge",
            json!({"caution": "1ms"}),
            PlanPhase::Expired,
            "Expired",
        ),
        (
            one,
            "wideScopeFrom",
            ops.clone(),
            PlanPhase::Succeeded,
            "Executed",
        ),
        (
            node,
            "wideScopeFrom",
            json!({"matchLabels": {}}),
            PlanPhase::Succeeded,
            "Executed",
        ),
        (node, "wideScopeFrom", ops, PlanPhase::Stale, "Stale"),
    ] {
        let mut world = World::new();
        let steps = world.propose(verbs).await;
        world.server.edit(BASELINE, |o| o["spec"][field] = value.clone());
        let plan = executed(&mut world).await;
        let conditions = &plan.status.as_ref().unwrap().conditions;
        let ended = kubechat_crds::condition::find(conditions, "Succeeded").unwrap();
        assert_eq!(
            (phase(&plan), ended.reason.as_str()),
            (phase_then, reason),
            "{field} {value}: {ended:?}"
        );
        let sent = usize::from(phase_then == PlanPhase::Succeeded);
        assert!(
            world.writes(&steps[0]).iter().all(|n| *n == sent),
            "{field} {value}"
        );
    }
}

#[tokio::test]
async fn a_namespace_that_may_not_ask_for_more_any_more_stops_its_plan_between_two_steps() {
    let mut world = World::new();
    let steps = world.propose(&[Verb::Cordon, Verb::Label]).await;
    let process = world.start(Fuse::at(Point::AfterResult)).await;
    let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
        panic!("not passed");
    };
    world
        .server
        .edit(BASELINE, |o| o["spec"]["wideScopeFrom"] = json!(null));
    let _ = stopped.resume().await;
    let plan = executed(&mut world).await;
    assert_eq!(phase(&plan), PlanPhase::Interrupted);
    assert_eq!(
        (world.writes(&steps[0]), world.writes(&steps[1])),
        (vec![1], vec![0])
    );
}

#[tokio::test]
async fn approvals_that_were_created_again_from_a_backup_do_not_count() {
    let path = |who: &str| format!("/apis/kubechat.io/v1beta1/namespaces/demo/approvals/{who}");
    let backup: &[fn(&mut serde_json::Value)] = &[
        // Stamp and seal as they were, but created at another time, and with another UID.
        |o| {
            o["metadata"]["uid"] = "another".into();
            o["metadata"]["creationTimestamp"] = "2020-05-01T10:00:00Z".into();
        },
        // For another plan.
        |o| o["spec"]["planDigest"] = "sha256:other".into(),
    ];
    for change in backup {
        let (mut world, step) = proposed(Verb::Label).await;
        for who in ["bob", "carol"] {
            world.server.edit(&path(who), change);
        }
        let process = world.start(Fuse::long()).await;
        for _ in 0..3 {
            let _ = process.look(&world).await;
        }
        let plan = world.plan();
        let status = plan.status.clone().unwrap_or_default();
        assert!(
            !kubechat_crds::condition::is_finished(&status.conditions),
            "{status:?}"
        );
        assert_eq!(status.approvals.map_or(0, |a| a.received), 0);
        assert_eq!(world.writes(&step), [0]);
    }
}

#[tokio::test]
async fn nothing_is_changed_in_the_namespace_of_the_keys_that_the_operator_was_started_with() {
    for (credentials, phase_then, writes) in [
        ("keys", PlanPhase::Succeeded, [1]),
        ("demo", PlanPhase::Failed, [0]),
    ] {
        let (mut world, step) = proposed(Verb::Label).await;
        world.credentials = credentials;
        let process = world.start(Fuse::long()).await;
        let plan = process.finish(&world).await;
        assert_eq!(
            (phase(&plan), world.writes(&step)),
            (phase_then, writes.to_vec()),
            "{credentials}"
        );
    }
}
