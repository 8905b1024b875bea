//! Somebody stops a plan in the middle of a step of many targets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kubechat_audit::Outcome;
use kubechat_crds::{CommandPlan, PlanPhase, StepState};
use serde_json::{Value, json};

use super::advance;
use crate::context::Context;
use crate::failpoint::Point;
use crate::testing::plans::{Verb, plan_path, turn_path};
use crate::testing::process::{Fuse, Ran, World};
use crate::testing::server::{Asked, Fate, Server};
use crate::testing::watches::{Loss, Watches};

const BASELINE: &str = "/apis/kubechat.io/v1beta1/riskpolicies/baseline";

fn says(plan: &CommandPlan) -> String {
    let conditions = &plan.status.as_ref().unwrap().conditions;
    conditions.iter().map(|c| c.message.as_str()).collect()
}

/// A Deny of the plan with these conditions.
fn denied(world: &World, conditions: &Value) {
    let spec =
        json!({"planRef": {"name": "plan"}, "planDigest": world.plan().spec.digest, "decision": "Deny"});
    let path = "/apis/kubechat.io/v1beta1/namespaces/demo/approvals/dave";
    let object = json!({"apiVersion": "kubechat.io/v1beta1", "kind": "Approval", "metadata": {"name": "dave", "namespace": "demo"},
        "spec": spec, "status": {"conditions": conditions}});
    world.server.put(path, object);
}

/// Executes the first of three targets of a step, lets `meanwhile` happen, which the watches tell, and goes on. How often each
/// target was written.
async fn in_the_middle(world: &mut World, verb: Verb, meanwhile: impl Fn(&World)) -> Vec<usize> {
    let step = world.propose(&[verb]).await.remove(0);
    let process = world.start(Fuse::at(Point::AfterSend)).await;
    let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
        panic!("not passed");
    };
    meanwhile(world);
    process.watches.suffer(&world.server, || Loss::None);
    stopped.resume().await.unwrap();
    world.writes(&step)
}

#[tokio::test]
async fn who_stops_a_plan_in_the_middle_of_a_step_stops_it_before_the_next_target_and_is_told_what_was_done()
{
    type Meanwhile = fn(&World);
    let accepted = |world: &World| {
        let condition = json!({"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
            "lastTransitionTime": "2026-05-01T10:00:00Z"});
        denied(world, &json!([condition]));
    };
    let cases: [(Meanwhile, &str); 5] = [
        (
            |world| {
                world
                    .server
                    .edit(BASELINE, |o| o["spec"]["suspend"] = true.into());
            },
            "RiskPolicy baseline suspends all execution",
        ),
        (
            |world| {
                for policy in world.server.all("/riskpolicies/") {
                    let name = policy["metadata"]["name"].as_str().unwrap();
                    let path = format!("/apis/kubechat.io/v1beta1/riskpolicies/{name}");
                    world.server.remove(&path);
                }
            },
            "There is no RiskPolicy",
        ),
        (
            |world| {
                world
                    .server
                    .edit(&turn_path(), |o| o["spec"]["cancel"] = true.into());
            },
            "spec.cancel",
        ),
        (
            |world| drop(world.server.remove(&turn_path())),
            "the turn that asked for it is gone",
        ),
        (accepted, "denied it"),
    ];
    for verb in [Verb::LabelMany, Verb::DeleteMany, Verb::EvictMany] {
        for (meanwhile, because) in cases {
            let mut world = World::new();
            let writes = in_the_middle(&mut world, verb, meanwhile).await;
            let plan = world.plan();
            let told = format!("{verb:?} {because}: {}", says(&plan));
            assert_eq!(writes, [1, 0, 0], "{told}");
            let status = plan.status.as_ref().unwrap();
            assert_eq!(status.phase, Some(PlanPhase::Interrupted), "{told}");
            let step = &status.steps[0];
            assert_eq!((step.state, step.done), (StepState::Failed, 1), "{told}");
            assert_eq!(step.failed.len(), 2, "{told}");
            let undo = if verb == Verb::EvictMany {
                "It cannot be undone"
            } else {
                "kubechat rollback plan"
            };
            for words in [because, "was not sent", "1 of 3 target(s)", undo] {
                assert!(told.contains(words), "{words:?} is not in {told}");
            }
            assert_eq!(
                status.rollback_available,
                told.contains("rollback plan"),
                "{told}"
            );
            let entries = world.entries().await;
            let of_step = entries.iter().filter(|e| e.ids.step_id.is_some());
            let outcomes: Vec<Outcome> = of_step.map(|e| e.outcome).collect();
            assert_eq!(outcomes, [Outcome::Intent, Outcome::Failure], "{told}");
        }
    }
}

#[tokio::test]
async fn where_nobody_says_that_the_plan_still_is_there_it_counts_as_gone_when_no_cache_holds_it() {
    for (doubt, writes) in [(false, [1, 1, 1]), (true, [0, 0, 0])] {
        let mut world = World::new();
        let step = world.propose(&[Verb::LabelMany]).await.remove(0);
        let process = world.start(Fuse::long()).await;
        let blind = Context {
            stores: Watches::of(&Server::new(world.seal.clone())).stores(),
            ..(*process.ctx).clone()
        };
        let first = AtomicUsize::new(0);
        world.server.fates(move |asked: &Asked| {
            let report =
                asked.method == http::Method::PATCH && asked.path == format!("{}/status", plan_path());
            if doubt && report && first.fetch_add(1, Ordering::SeqCst) == 0 {
                Fate::Refused(500)
            } else {
                Fate::Answered
            }
        });
        advance(&blind, "plan", "demo").await.unwrap();
        assert_eq!(world.writes(&step), writes, "{doubt}");
        let entries = world.entries().await;
        let result = entries.iter().rfind(|e| e.ids.step_id.is_some()).unwrap();
        assert_eq!(
            result.message.contains("the plan was removed"),
            doubt,
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn a_plan_that_is_removed_in_the_middle_of_a_step_goes_no_further_and_the_log_says_how_far_it_went() {
    let mut world = World::new();
    let removed = |world: &World| drop(world.server.remove(&plan_path()));
    let writes = in_the_middle(&mut world, Verb::DeleteMany, removed).await;
    assert_eq!(writes, [1, 0, 0]);
    let entries = world.entries().await;
    let result = entries.iter().rfind(|e| e.ids.step_id.is_some()).unwrap();
    assert_eq!(result.outcome, Outcome::Failure);
    for words in ["the plan was removed", "1 of 3 target(s) were done"] {
        assert!(result.message.contains(words), "{words:?} is not in {result:?}");
    }
}

#[tokio::test]
async fn a_deny_that_does_not_count_stops_no_step() {
    let mut world = World::new();
    let writes = in_the_middle(&mut world, Verb::LabelMany, |world| denied(world, &json!([]))).await;
    assert_eq!(writes, [1, 1, 1]);
    assert_eq!(world.plan().status.unwrap().phase, Some(PlanPhase::Succeeded));
}

#[tokio::test]
async fn an_eviction_that_waits_for_its_budget_is_not_asked_for_again_once_the_plan_is_withdrawn() {
    let mut world = World::new();
    let step = world.propose(&[Verb::Evict]).await.remove(0);
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    world.server.fates(move |asked: &Asked| {
        if !asked.path.ends_with("/eviction") {
            return Fate::Answered;
        }
        counted.fetch_add(usize::from(!asked.dry_run), Ordering::SeqCst);
        Fate::Refused(429)
    });
    let process = world.start(Fuse::long()).await;
    let withdrawn = async {
        while tries.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        world
            .server
            .edit(&turn_path(), |o| o["spec"]["cancel"] = true.into());
        process.watches.suffer(&world.server, || Loss::None);
    };
    let (looked, ()) = tokio::join!(process.look(&world), withdrawn);
    looked.unwrap();
    let plan = world.plan();
    assert_eq!(
        plan.status.as_ref().unwrap().phase,
        Some(PlanPhase::Interrupted),
        "{}",
        says(&plan)
    );
    assert!(says(&plan).contains("spec.cancel"), "{}", says(&plan));
    assert_eq!(world.writes(&step), [0]);
    // Otherwise it is asked for 14 times.
    assert!(tries.load(Ordering::SeqCst) < 6, "{tries:?}");
}
