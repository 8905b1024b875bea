//! How an execution stops: where nothing is lost, with what was done, and how to undo it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kubechat_audit::Outcome;
use kubechat_crds::condition::is_finished;
use kubechat_crds::{CommandPlan, DecisionKind, PlanPhase, StepState};

use crate::failpoint::Point;
use crate::testing::plans::{Verb, path_of, plan_path, turn_path};
use crate::testing::process::{Fuse, Process, Ran, World};
use crate::testing::server::{Asked, Fate};

const BASELINE: &str = "/apis/kubechat.io/v1beta1/riskpolicies/baseline";

fn phase(plan: &CommandPlan) -> PlanPhase {
    plan.status.as_ref().and_then(|s| s.phase).unwrap()
}

fn states(plan: &CommandPlan) -> Vec<StepState> {
    plan.status
        .iter()
        .flat_map(|s| &s.steps)
        .map(|s| s.state)
        .collect()
}

fn says(plan: &CommandPlan) -> String {
    let conditions = &plan.status.as_ref().unwrap().conditions;
    conditions.iter().map(|c| c.message.as_str()).collect()
}

/// Asks the world's processes to end with the first real write.
fn stop_with_the_first_write(world: &World) {
    let stop = world.stop.clone();
    world.server.fates(move |asked: &Asked| {
        if asked.is_write() {
            stop.cancel();
        }
        Fate::Answered
    });
}

/// The next process, which is not asked to end.
async fn next(world: &mut World) -> Process {
    world.stop = tokio_util::sync::CancellationToken::new();
    world.start(Fuse::long()).await
}

#[tokio::test]
async fn a_step_under_way_stops_between_two_targets_with_a_known_outcome() {
    let mut world = World::new();
    let step = world.propose(&[Verb::LabelMany]).await.remove(0);
    stop_with_the_first_write(&world);
    let process = world.start(Fuse::long()).await;
    process.look(&world).await.unwrap();
    let plan = world.plan();
    assert_eq!(states(&plan), [StepState::Failed], "{}", says(&plan));
    assert_eq!(phase(&plan), PlanPhase::Interrupted);
    let step_status = &plan.status.as_ref().unwrap().steps[0];
    assert_eq!((step_status.done, step_status.failed.len()), (1, 2));
    assert_eq!(world.writes(&step), [1, 0, 0]);
    for said in [
        "asked to end",
        "was not sent",
        "1 of 3 target(s)",
        "kubechat rollback plan",
    ] {
        assert!(says(&plan).contains(said), "{said}: {}", says(&plan));
    }
    let entries = world.entries().await;
    let of_step: Vec<Outcome> = entries
        .iter()
        .filter(|e| e.ids.step_id.is_some())
        .map(|e| e.outcome)
        .collect();
    assert_eq!(of_step, [Outcome::Intent, Outcome::Failure]);
}

#[tokio::test]
async fn a_process_that_is_asked_to_end_begins_no_further_step_and_the_next_one_goes_on() {
    let mut world = World::new();
    let steps = world.propose(&[Verb::Label, Verb::Scale, Verb::Annotate]).await;
    stop_with_the_first_write(&world);
    let process = world.start(Fuse::long()).await;
    process.look(&world).await.unwrap();
    let plan = world.plan();
    assert_eq!(
        states(&plan),
        [StepState::Done, StepState::Pending, StepState::Pending]
    );
    assert!(!is_finished(&plan.status.as_ref().unwrap().conditions));
    assert!(says(&plan).contains("1 of 3 step(s)"), "{}", says(&plan));
    let plan = next(&mut world).await.finish(&world).await;
    assert_eq!(phase(&plan), PlanPhase::Succeeded, "{}", says(&plan));
    for step in &steps {
        assert_eq!(world.writes(step), [1], "{}", step.id);
    }
}

#[tokio::test]
async fn a_process_that_is_asked_to_end_before_the_intent_sends_nothing_and_records_nothing() {
    // While the targets are made ready, and right before the intent.
    for point in [None, Some(Point::BeforeIntent)] {
        let mut world = World::new();
        let step = world.propose(&[Verb::LabelMany]).await.remove(0);
        let process = match point {
            None => {
                world.stop.cancel();
                let process = world.start(Fuse::long()).await;
                process.look(&world).await.unwrap();
                process
            }
            Some(point) => {
                let process = world.start(Fuse::at(point)).await;
                let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
                    panic!("not passed");
                };
                world.stop.cancel();
                stopped.resume().await.unwrap();
                process
            }
        };
        drop(process);
        assert_eq!(world.writes(&step), [0, 0, 0], "{point:?}");
        assert!(world.entries().await.iter().all(|e| e.outcome != Outcome::Intent));
        let plan = next(&mut world).await.finish(&world).await;
        assert_eq!(phase(&plan), PlanPhase::Succeeded, "{point:?}: {}", says(&plan));
        assert_eq!(world.writes(&step), [1, 1, 1], "{point:?}");
    }
}

#[tokio::test]
async fn a_write_that_waits_for_its_turn_at_the_api_server_is_interrupted_at_shutdown_and_not_failed() {
    let mut world = World::new();
    let step = world.propose(&[Verb::LabelMany]).await.remove(0);
    let (stop, tries) = (world.stop.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&tries);
    world.server.fates(move |asked: &Asked| {
        if !asked.is_write() {
            return Fate::Answered;
        }
        stop.cancel();
        counted.fetch_add(1, Ordering::SeqCst);
        Fate::Refused(429)
    });
    let process = world.start(Fuse::long()).await;
    process.look(&world).await.unwrap();
    let plan = world.plan();
    assert_eq!(states(&plan), [StepState::Failed], "{}", says(&plan));
    assert_eq!(phase(&plan), PlanPhase::Interrupted, "{}", says(&plan));
    let status = plan.status.as_ref().unwrap();
    assert_eq!(status.steps[0].reason.as_deref(), Some("Interrupted"));
    for said in [
        "No step was done",
        "asked to end",
        "told to refuse",
        "kubechat again plan",
    ] {
        assert!(says(&plan).contains(said), "{said}: {}", says(&plan));
    }
    assert!(!says(&plan).contains("rollback"), "{}", says(&plan));
    assert_eq!(tries.load(Ordering::SeqCst), 1, "it is tried once, and not again");
    // Nothing was written, and the next process has nothing to take up.
    world.server.fates(|_| Fate::Answered);
    let plan = next(&mut world).await.finish(&world).await;
    assert_eq!(phase(&plan), PlanPhase::Interrupted);
    assert_eq!(world.writes(&step), [0, 0, 0]);
}

#[tokio::test]
async fn why_a_step_ended_is_the_same_whoever_reports_it() {
    type Cause = fn(&World);
    let interrupted = PlanPhase::Interrupted;
    let failed = PlanPhase::Failed;
    let cases: [(Cause, &str, PlanPhase, &str); 5] = [
        (
            stop_with_the_first_write,
            "Interrupted",
            interrupted,
            "Interrupted",
        ),
        (refuse_writes::<403>, "Forbidden", failed, "Forbidden"),
        (refuse_writes::<422>, "StepFailed", failed, "StepFailed"),
        (
            |world| conflict_and_then(world, Fate::Refused(404)),
            "Stale",
            failed,
            "StepFailed",
        ),
        (
            |world| conflict_and_then(world, Fate::Lost),
            "OutcomeUnknown",
            interrupted,
            "OutcomeUnknown",
        ),
    ];
    for (cause, reason, ended, of_plan) in cases {
        let mut world = World::new();
        world.propose(&[Verb::LabelMany]).await;
        cause(&world);
        let process = world.start(Fuse::at(Point::AfterResult)).await;
        assert!(matches!(process.reconcile(world.plan()).await, Ran::Stopped(_)));
        drop(process);
        world.server.fates(|_| Fate::Answered);
        // Only the log knows of the result.
        let plan = next(&mut world).await.finish(&world).await;
        let status = plan.status.as_ref().unwrap();
        assert_eq!(status.steps[0].reason.as_deref(), Some(reason), "{}", says(&plan));
        assert_eq!(phase(&plan), ended, "{}", says(&plan));
        let verdict = kubechat_crds::condition::find(&status.conditions, "Succeeded").unwrap();
        assert_eq!(verdict.reason, of_plan, "{}", says(&plan));
    }
}

/// Has the first real write of a ConfigMap meet a conflict, and every look at one after it this fate.
fn conflict_and_then(world: &World, later: Fate) {
    let mut met = false;
    world.server.fates(move |asked: &Asked| {
        if asked.is_write() {
            met = true;
            return Fate::Refused(409);
        }
        if met && asked.path.contains("configmaps") {
            later
        } else {
            Fate::Answered
        }
    });
}

/// Has the API server refuse every real write with this code.
fn refuse_writes<const CODE: u16>(world: &World) {
    world.server.fates(|asked: &Asked| {
        if asked.is_write() {
            Fate::Refused(CODE)
        } else {
            Fate::Answered
        }
    });
}

#[tokio::test]
async fn a_long_plan_gives_way_to_others_after_each_step_and_gets_on() {
    let mut world = World::new();
    let steps = world.propose(&[Verb::Label, Verb::Scale, Verb::Annotate]).await;
    let mut process = world.start(Fuse::long()).await;
    let ctx = Arc::get_mut(&mut process.ctx).unwrap();
    ctx.pace = ctx.pace.clone().with_turn(Duration::ZERO);
    for done in 1..=2 {
        process.look(&world).await.unwrap();
        let plan = world.plan();
        let found = states(&plan).iter().filter(|s| **s == StepState::Done).count();
        assert_eq!(found, done, "{}", says(&plan));
    }
    let plan = process.finish(&world).await;
    assert_eq!(phase(&plan), PlanPhase::Succeeded, "{}", says(&plan));
    for step in &steps {
        assert_eq!(world.writes(step), [1], "{}", step.id);
    }
}

/// Stops a plan of two steps after the first one, lets `meanwhile` happen, and goes on: in the same process, or in the next.
async fn halfway(restarted: bool, meanwhile: impl Fn(&World, &[kubechat_crds::Step])) -> CommandPlan {
    let mut world = World::new();
    let steps = world.propose(&[Verb::Label, Verb::Scale]).await;
    let process = world.start(Fuse::at(Point::AfterResult)).await;
    let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
        panic!("not passed");
    };
    meanwhile(&world, &steps);
    if restarted {
        drop(stopped);
        drop(process);
        let process = world.start(Fuse::long()).await;
        let _ = process.look(&world).await;
    } else {
        let _ = stopped.resume().await;
    }
    assert_eq!(world.writes(&steps[0]), [1]);
    assert_eq!(world.writes(&steps[1]), [0]);
    world.plan()
}

#[tokio::test]
async fn a_plan_that_ends_midway_is_interrupted_and_says_what_was_done_and_how_to_undo_it() {
    type Meanwhile = fn(&World, &[kubechat_crds::Step]);
    let cases: [(&str, Meanwhile, &str); 9] = [
        (
            "the identity grew too old",
            |world, _| {
                world.server.edit(BASELINE, |o| {
                    o["spec"]["maxIdentityAge"] = serde_json::json!({"caution": "1ms", "destructive": "1ms"});
                });
            },
            "stamped too long ago",
        ),
        (
            "withdrawn",
            |world, _| {
                world.server.edit(&turn_path(), |o| {
                    o["spec"]["cancel"] = true.into();
                });
            },
            "withdrawn (spec.cancel)",
        ),
        (
            "an approval was taken back",
            |world, _| {
                for who in ["bob", "carol"] {
                    let path = format!("/apis/kubechat.io/v1beta1/namespaces/demo/approvals/{who}");
                    world.server.remove(&path);
                }
            },
            "do not suffice any more",
        ),
        (
            "the turn removed",
            |world, _| drop(world.server.remove(&turn_path())),
            "the turn that asked for it is gone",
        ),
        (
            "denied",
            |world, _| world.decide("dave", &world.plan().spec.digest, DecisionKind::Deny),
            "dave denied it",
        ),
        (
            "put back from a backup",
            |world, _| {
                world.server.edit(&turn_path(), |o| {
                    o["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z".into();
                });
            },
            "no valid seal",
        ),
        (
            "changed",
            |world, steps| {
                world.server.edit(&path_of(&steps[1].targets[0]), |o| {
                    o["spec"]["replicas"] = 7.into();
                });
            },
            "was changed since the plan was made",
        ),
        (
            "refused",
            |world, steps| {
                let path = path_of(&steps[1].targets[0]);
                world.server.fates(move |asked: &Asked| {
                    if asked.dry_run && asked.path.starts_with(&path) {
                        Fate::Refused(422)
                    } else {
                        Fate::Answered
                    }
                });
            },
            "refused step s2",
        ),
        (
            "not what was approved",
            |world, _| {
                world.server.edit(&plan_path(), |o| {
                    o["spec"]["digest"] = "sha256:other".into();
                });
            },
            "does not have the digest",
        ),
    ];
    for (what, meanwhile, because) in cases {
        for restarted in [false, true] {
            // The plan itself is read once an execution.
            if what == "not what was approved" && !restarted {
                continue;
            }
            let plan = halfway(restarted, meanwhile).await;
            let said = says(&plan);
            let told = format!("{what}, restarted {restarted}: {said}");
            assert_eq!(phase(&plan), PlanPhase::Interrupted, "{told}");
            for words in [
                because,
                "stopped midway",
                "Done: s1",
                "1 later step(s)",
                "kubechat rollback plan",
            ] {
                assert!(said.contains(words), "{words:?} in {told}");
            }
            assert!(!said.to_lowercase().contains("nothing was executed"), "{told}");
            assert!(plan.status.unwrap().rollback_available, "{told}");
        }
    }
}

#[tokio::test]
async fn a_clock_that_runs_ahead_ends_a_plan_early_and_sends_nothing() {
    let mut world = World::new();
    let step = world.propose(&[Verb::Label]).await.remove(0);
    // What a clock that is an hour ahead makes of it.
    let passed = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    world.rewrite(true, |plan| plan.expires_at = passed);
    let plan = world.start(Fuse::long()).await.finish(&world).await;
    assert_eq!(phase(&plan), PlanPhase::Expired);
    for words in [
        "by the operator's clock it is",
        "Nothing was executed",
        "kubechat again plan",
    ] {
        assert!(says(&plan).contains(words), "{words:?} in {}", says(&plan));
    }
    assert_eq!(world.writes(&step), [0]);
    assert!(world.entries().await.iter().any(|e| e.reason == "Expired"));
}

#[tokio::test]
async fn a_right_that_is_lost_midway_interrupts_and_says_what_was_done() {
    let plan = halfway(true, |world, _| world.server.allow(|_| false)).await;
    let said = says(&plan);
    // Without rights the decisions do not count either, which is looked at first.
    assert_eq!(phase(&plan), PlanPhase::Interrupted, "{said}");
    for words in ["stopped midway", "Done: s1", "kubechat rollback plan"] {
        assert!(said.contains(words), "{words:?} in {said}");
    }
}

#[tokio::test]
async fn a_plan_that_ends_before_its_first_step_says_that_nothing_was_executed() {
    let mut world = World::new();
    let step = world.propose(&[Verb::Label]).await.remove(0);
    world
        .server
        .edit(&path_of(&step.targets[0]), |o| o["data"]["a"] = "other".into());
    let plan = world.start(Fuse::long()).await.finish(&world).await;
    assert_eq!(phase(&plan), PlanPhase::Stale);
    for words in ["Nothing was executed", "kubechat again plan"] {
        assert!(says(&plan).contains(words), "{}", says(&plan));
    }
    assert!(!says(&plan).contains("midway"), "{}", says(&plan));
}

#[tokio::test]
async fn how_an_object_stood_before_is_told_once_however_often_its_step_was_tried() {
    let mut world = World::new();
    let step = world.propose(&[Verb::Scale]).await.remove(0);
    let process = world.start(Fuse::long()).await;
    process.store.luck(|what| {
        if what == "intent" {
            crate::testing::store::Luck::Away
        } else {
            crate::testing::store::Luck::Good
        }
    });
    for _ in 0..3 {
        let _ = process.look(&world).await;
    }
    process.store.luck(|_| crate::testing::store::Luck::Good);
    let plan = process.finish(&world).await;
    let before = plan.status.unwrap().evidence.unwrap().before;
    let name = &step.targets[0].name;
    assert_eq!(before.matches(name.as_str()).count(), 1, "{before}");
}

#[tokio::test]
async fn what_cannot_be_undone_is_not_told_to_be_undone_and_what_can_is() {
    // Pods that are evicted do not come back; labels can be taken off.
    for (verbs, undone) in [
        ([Verb::Evict, Verb::Scale], false),
        ([Verb::Label, Verb::Scale], true),
    ] {
        let mut world = World::new();
        let steps = world.propose(&verbs).await;
        let second = path_of(&steps[1].targets[0]);
        world.server.fates(move |asked: &Asked| {
            if asked.is_write() && asked.path.starts_with(&second) {
                Fate::Refused(403)
            } else {
                Fate::Answered
            }
        });
        let plan = world.start(Fuse::long()).await.finish(&world).await;
        assert_eq!(
            states(&plan),
            [StepState::Done, StepState::Failed],
            "{}",
            says(&plan)
        );
        assert_eq!(
            says(&plan).contains("kubechat rollback plan"),
            undone,
            "{}",
            says(&plan)
        );
        assert_ne!(
            says(&plan).contains("It cannot be undone"),
            undone,
            "{}",
            says(&plan)
        );
        assert_eq!(plan.status.unwrap().rollback_available, undone);
    }
}
