//! The rules of an execution, one by one, against the API server in memory.

use http::Method;
use kubechat_audit::Outcome;
use kubechat_crds::{CommandPlan, PlanPhase, Step, StepState};
use serde_json::json;

use crate::error::Error;
use crate::failpoint::Point;
use crate::testing::plans::{AFTER, Verb, path_of, plan_path, turn_path};
use crate::testing::process::{Fuse, Ran, World};
use crate::testing::server::{Asked, Fate};
use crate::testing::store::Luck;

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

fn state(plan: &CommandPlan) -> StepState {
    plan.status.as_ref().unwrap().steps[0].state
}

fn says(plan: &CommandPlan) -> String {
    let conditions = &plan.status.as_ref().unwrap().conditions;
    conditions.iter().map(|c| c.message.as_str()).collect()
}

/// The fate of the first real write, and of every one after it.
fn writes(world: &World, first: Fate, later: Fate) {
    let mut count = 0;
    world.server.fates(move |asked: &Asked| {
        if !asked.is_write() {
            return Fate::Answered;
        }
        count += 1;
        if count == 1 { first } else { later }
    });
}

#[tokio::test]
async fn every_action_is_executed_once_with_evidence_and_marks() {
    for verb in Verb::ALL {
        let (mut world, step) = proposed(verb).await;
        let plan = executed(&mut world).await;
        assert_eq!(phase(&plan), PlanPhase::Succeeded, "{verb:?}: {}", says(&plan));
        assert!(world.writes(&step).iter().all(|n| *n == 1), "{verb:?}");
        let evidence = plan.status.clone().unwrap().evidence.unwrap();
        assert!(
            evidence.before.contains(&step.targets[0].name),
            "{verb:?}: {evidence:?}"
        );
        assert!(
            evidence.after.contains(&step.targets[0].name),
            "{verb:?}: {evidence:?}"
        );
        assert_eq!(evidence.verdict, "the effect is there", "{verb:?}");
        let id = kubechat_core::plan::step_id(plan.metadata.uid.as_deref().unwrap(), 0, &step);
        for object in step.targets.iter().filter_map(|t| world.object(t)) {
            let marked = kubechat_core::plan::object::annotation(&object, kubechat_crds::STEP_ID_ANNOTATION);
            match verb {
                Verb::Scale => assert_eq!(object["spec"]["replicas"], AFTER),
                _ => assert_eq!(marked, Some(id.as_str()), "{verb:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_done_when_the_object_bears_its_mark() {
    for verb in Verb::ALL {
        for lost in [
            Fate::AnswerLost,
            Fate::DoneBut(500),
            Fate::DoneBut(504),
            Fate::DoneBut(408),
        ] {
            let (mut world, step) = proposed(verb).await;
            writes(&world, lost, Fate::Answered);
            let plan = executed(&mut world).await;
            assert_eq!(
                phase(&plan),
                PlanPhase::Succeeded,
                "{verb:?} {lost:?}: {}",
                says(&plan)
            );
            assert!(world.writes(&step).iter().all(|n| *n == 1), "{verb:?} {lost:?}");
        }
    }
}

#[tokio::test]
async fn a_write_that_may_have_been_lost_on_its_way_is_unknown_and_never_repeated() {
    for verb in Verb::ALL {
        for lost in [
            Fate::Lost,
            Fate::Refused(500),
            Fate::Refused(503),
            Fate::Refused(408),
        ] {
            let (mut world, step) = proposed(verb).await;
            writes(&world, lost, Fate::Answered);
            let plan = executed(&mut world).await;
            assert_eq!(phase(&plan), PlanPhase::Interrupted, "{verb:?} {lost:?}");
            assert_eq!(state(&plan), StepState::Unknown, "{verb:?} {lost:?}");
            assert!(says(&plan).contains("not sent again"), "{}", says(&plan));
            assert_eq!(world.writes(&step).iter().sum::<usize>(), 0, "{verb:?} {lost:?}");
            // Nobody who looks later sends it.
            executed(&mut world).await;
            assert_eq!(world.writes(&step).iter().sum::<usize>(), 0, "{verb:?} {lost:?}");
        }
    }
}

#[tokio::test]
async fn a_conflict_is_tried_again_while_the_object_is_what_was_approved() {
    for verb in [Verb::Scale, Verb::Restart, Verb::SetImage, Verb::Cordon] {
        let (mut world, step) = proposed(verb).await;
        writes(&world, Fate::Overtaken, Fate::Answered);
        let plan = executed(&mut world).await;
        assert_eq!(phase(&plan), PlanPhase::Succeeded, "{verb:?}: {}", says(&plan));
        assert_eq!(world.writes(&step), [1], "{verb:?}");
    }
}

#[tokio::test]
async fn conflicts_without_end_fail_the_step_after_a_few_tries() {
    let (mut world, step) = proposed(Verb::Scale).await;
    writes(&world, Fate::Refused(409), Fate::Refused(409));
    let plan = executed(&mut world).await;
    assert_eq!(
        (phase(&plan), state(&plan)),
        (PlanPhase::Failed, StepState::Failed)
    );
    assert_eq!(world.writes(&step), [0]);
}

#[tokio::test]
async fn too_many_requests_are_waited_for_a_bounded_time() {
    let (mut world, step) = proposed(Verb::Delete).await;
    writes(&world, Fate::Refused(429), Fate::Answered);
    let plan = executed(&mut world).await;
    assert_eq!(phase(&plan), PlanPhase::Succeeded, "{}", says(&plan));
    assert_eq!(world.writes(&step), [1]);

    let (mut world, step) = proposed(Verb::Delete).await;
    writes(&world, Fate::Refused(429), Fate::Refused(429));
    let plan = executed(&mut world).await;
    assert_eq!(
        (phase(&plan), state(&plan)),
        (PlanPhase::Failed, StepState::Failed)
    );
    assert_eq!(world.writes(&step), [0]);
}

#[tokio::test]
async fn an_object_that_exists_is_not_created_over_and_not_taken_for_our_own() {
    for verb in [Verb::CreateNamespace, Verb::Recreate] {
        let (mut world, step) = proposed(verb).await;
        let path = path_of(&step.targets[0]);
        // It appears between the dry-run and the write.
        let (server, at) = (world.server.clone(), path.clone());
        let process = world.start(Fuse::at(Point::BeforeSend)).await;
        let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
            panic!("{verb:?}: not passed");
        };
        server.put(
            &at,
            json!({"metadata": {"name": step.targets[0].name}, "data": {"of": "somebody else"}}),
        );
        let _ = stopped.resume().await;
        let plan = executed(&mut world).await;
        assert_eq!(
            (phase(&plan), state(&plan)),
            (PlanPhase::Failed, StepState::Failed),
            "{verb:?}"
        );
        assert_eq!(world.writes(&step), [0], "{verb:?}");
        assert_eq!(world.server.get(&path).unwrap()["data"]["of"], "somebody else");
    }
}

#[tokio::test]
async fn a_target_that_was_created_again_under_its_name_is_never_touched() {
    for verb in [Verb::Scale, Verb::Label, Verb::Delete, Verb::Cordon] {
        // Before the execution, and between the dry-run and the write.
        for point in [Point::BeforeIntent, Point::BeforeSend] {
            let (mut world, step) = proposed(verb).await;
            let path = path_of(&step.targets[0]);
            let process = world.start(Fuse::at(point)).await;
            let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
                panic!("{verb:?}: not passed");
            };
            let mut other = world.server.remove(&path).unwrap();
            other["metadata"].as_object_mut().unwrap().remove("uid");
            let other = world.server.put(&path, other);
            let _ = stopped.resume().await;
            let plan = executed(&mut world).await;
            // Our own object is gone, which is what a delete was to bring about.
            let expected = if verb == Verb::Delete {
                PlanPhase::Succeeded
            } else {
                PlanPhase::Failed
            };
            assert_eq!(phase(&plan), expected, "{verb:?} {point:?}: {}", says(&plan));
            assert_eq!(world.server.get(&path), Some(other), "{verb:?} {point:?}");
            assert_eq!(world.writes(&step), [0], "{verb:?} {point:?}");
        }
    }
}

#[tokio::test]
async fn a_target_that_was_replaced_before_the_execution_makes_the_plan_stale() {
    for verb in [Verb::Scale, Verb::LabelMany, Verb::DeleteMany] {
        let (mut world, step) = proposed(verb).await;
        let path = path_of(step.targets.last().unwrap());
        let mut other = world.server.remove(&path).unwrap();
        other["metadata"].as_object_mut().unwrap().remove("uid");
        world.server.put(&path, other);
        let plan = executed(&mut world).await;
        assert_eq!(phase(&plan), PlanPhase::Stale, "{verb:?}");
        assert!(says(&plan).contains("created again"), "{}", says(&plan));
        assert_eq!(world.writes(&step).iter().sum::<usize>(), 0, "{verb:?}");
    }
}

#[tokio::test]
async fn the_first_refusal_stops_and_says_what_was_done() {
    let mut world = World::new();
    let steps = world.propose(&[Verb::Label, Verb::LabelMany, Verb::Scale]).await;
    let second = path_of(&steps[1].targets[1]);
    world.server.fates(move |asked: &Asked| {
        if asked.is_write() && asked.path == second {
            Fate::Refused(403)
        } else {
            Fate::Answered
        }
    });
    let plan = executed(&mut world).await;
    assert_eq!(phase(&plan), PlanPhase::Failed);
    let status = plan.status.clone().unwrap();
    let states: Vec<_> = status.steps.iter().map(|s| s.state).collect();
    assert_eq!(states, [StepState::Done, StepState::Failed, StepState::Skipped]);
    assert_eq!((status.steps[1].done, status.steps[1].failed.len()), (1, 2));
    assert!(status.rollback_available);
    for said in [
        "Done: s1",
        "1 of 3 target(s)",
        "1 later step(s) were not sent",
        "kubechat rollback plan",
    ] {
        assert!(says(&plan).contains(said), "{said}: {}", says(&plan));
    }
    assert_eq!(world.writes(&steps[1]), [1, 0, 0]);
    assert_eq!(world.writes(&steps[2]), [0]);
}

#[tokio::test]
async fn a_partly_failed_step_counts_what_was_done_after_a_crash_too() {
    let (mut world, step) = proposed(Verb::DeleteMany).await;
    let second = path_of(&step.targets[1]);
    world.server.fates(move |asked: &Asked| {
        if asked.is_write() && asked.path == second {
            Fate::Refused(403)
        } else {
            Fate::Answered
        }
    });
    let process = world.start(Fuse::at(Point::AfterResult)).await;
    assert!(matches!(process.reconcile(world.plan()).await, Ran::Stopped(_)));
    let plan = executed(&mut world).await;
    let status = plan.status.clone().unwrap();
    assert_eq!(
        (status.steps[0].state, status.steps[0].done),
        (StepState::Failed, 1)
    );
    assert!(status.rollback_available, "what was deleted can be created again");
}

#[tokio::test]
async fn a_plan_that_has_ended_is_left_alone_whatever_the_cache_says() {
    let (mut world, _) = proposed(Verb::Label).await;
    let old = world.plan();
    let ended = executed(&mut world).await;
    let before = world.server.asked();
    let process = world.start(Fuse::long()).await;
    assert!(matches!(process.reconcile(old).await, Ran::Ended(Ok(_))));
    assert_eq!(world.plan().status, ended.status);
    assert!(world.server.asked() - before < 20, "it was read, and no more");
    assert_eq!(
        world
            .entries()
            .await
            .iter()
            .filter(|e| e.outcome == Outcome::Intent)
            .count(),
        1
    );
}

#[tokio::test]
async fn a_result_that_the_audit_log_could_not_take_is_not_unknown_after_a_restart() {
    for (fate, expected) in [
        (Fate::Answered, StepState::Done),
        (Fate::Refused(422), StepState::Failed),
    ] {
        for luck in [Luck::Away, Luck::Unconfirmed] {
            let (mut world, step) = proposed(Verb::Scale).await;
            writes(&world, fate, Fate::Answered);
            let process = world.start(Fuse::long()).await;
            process
                .store
                .luck(move |what| if what == "result" { luck } else { Luck::Good });
            assert!(matches!(process.look(&world).await, Err(Error::Audit(_))));
            assert!(!world.spool().is_empty());
            drop(process);
            // The object alone could not tell: somebody else scaled it back meanwhile.
            world
                .server
                .edit(&path_of(&step.targets[0]), |o| o["spec"]["replicas"] = 2.into());
            let plan = executed(&mut world).await;
            assert_eq!(state(&plan), expected, "{fate:?} {luck:?}: {}", says(&plan));
            assert!(world.spool().is_empty());
            let entries = world.entries().await;
            let results = entries.iter().filter(|e| e.ids.step_id.is_some()).count();
            assert_eq!(results, 2, "{:?}", World::short(&entries));
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_while_the_audit_log_does_not_take_the_intent() {
    let (mut world, step) = proposed(Verb::Label).await;
    let process = world.start(Fuse::long()).await;
    process
        .store
        .luck(|what| if what == "intent" { Luck::Away } else { Luck::Good });
    for _ in 0..3 {
        assert!(matches!(process.look(&world).await, Err(Error::Audit(_))));
    }
    assert_eq!(world.writes(&step), [0]);
    process.store.luck(|_| Luck::Good);
    assert_eq!(phase(&process.finish(&world).await), PlanPhase::Succeeded);
    assert_eq!(world.writes(&step), [1]);
}

#[tokio::test]
async fn nothing_is_sent_while_the_clock_is_behind_what_the_api_server_stamped() {
    let (mut world, step) = proposed(Verb::Label).await;
    let later = jiff::Timestamp::now()
        .checked_add(jiff::SignedDuration::from_secs(60))
        .unwrap();
    let later = later.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let path = turn_path();
    let true_time = world.server.get(&path).unwrap()["metadata"]["creationTimestamp"].clone();
    world
        .server
        .edit(&path, |o| o["metadata"]["creationTimestamp"] = later.into());
    let process = world.start(Fuse::long()).await;
    let error = process.look(&world).await.unwrap_err();
    assert_eq!(error.reason(), "ClockSkew");
    assert!(says(&world.plan()).contains("clock"), "{}", says(&world.plan()));
    assert_eq!(world.writes(&step), [0]);
    world
        .server
        .edit(&path, |o| o["metadata"]["creationTimestamp"] = true_time);
    assert_eq!(phase(&process.finish(&world).await), PlanPhase::Succeeded);
}

#[tokio::test]
async fn an_old_turn_that_was_created_again_from_a_backup_is_not_acted_on() {
    let (mut world, step) = proposed(Verb::Label).await;
    let path = turn_path();
    let created = world.server.get(&path).unwrap()["metadata"]["creationTimestamp"].clone();
    let other = jiff::Timestamp::now()
        .checked_sub(jiff::SignedDuration::from_mins(10))
        .unwrap();
    let other = other.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    // Stamp, seal and UID as they were, but not the time of sealing.
    world
        .server
        .edit(&path, |o| o["metadata"]["creationTimestamp"] = other.into());
    let process = world.start(Fuse::long()).await;
    let _ = process.look(&world).await;
    assert_eq!(world.writes(&step), [0]);
    assert_eq!(phase(&world.plan()), PlanPhase::Blocked);
    world
        .server
        .edit(&path, |o| o["metadata"]["creationTimestamp"] = created);
    let _ = process.look(&world).await;
    assert_eq!(world.writes(&step), [0], "what ended stays ended");
}

#[tokio::test]
async fn a_right_that_is_gone_stops_the_plan_before_anything_is_sent() {
    let (mut world, step) = proposed(Verb::Label).await;
    let process = world.start(Fuse::at(Point::BeforeIntent)).await;
    assert!(matches!(process.reconcile(world.plan()).await, Ran::Stopped(_)));
    world.server.allow(|_| false);
    let process = world.start(Fuse::long()).await;
    let _ = process.look(&world).await;
    assert_eq!(world.writes(&step), [0]);
    assert_ne!(phase(&world.plan()), PlanPhase::Succeeded);
}

#[tokio::test]
async fn a_plan_that_was_withdrawn_between_two_steps_stops_there() {
    let mut world = World::new();
    let steps = world.propose(&[Verb::Label, Verb::Scale]).await;
    let process = world.start(Fuse::at(Point::AfterResult)).await;
    let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
        panic!("not passed");
    };
    world
        .server
        .edit(&turn_path(), |o| o["spec"]["cancel"] = true.into());
    let _ = stopped.resume().await;
    let plan = executed(&mut world).await;
    assert_eq!(phase(&plan), PlanPhase::Interrupted);
    assert_eq!(
        (world.writes(&steps[0]), world.writes(&steps[1])),
        (vec![1], vec![0])
    );
}

#[tokio::test]
async fn a_late_report_of_a_leader_that_was_replaced_lands_on_nothing() {
    let (mut world, _) = proposed(Verb::Label).await;
    // It hangs in the request that says "sending".
    let report = |method: &Method, path: &str| *method == Method::PATCH && path.ends_with("/plan/status");
    let process = world.start(Fuse::before(report)).await;
    let Ran::Stopped(late) = process.reconcile(world.plan()).await else {
        panic!("not passed");
    };
    let plan = executed(&mut world).await;
    assert_eq!(phase(&plan), PlanPhase::Interrupted);
    let _ = late.wake().await;
    assert_eq!(world.plan().status, plan.status);
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_waited_for_a_bounded_time() {
    let (mut world, step) = proposed(Verb::Scale).await;
    let path = path_of(&step.targets[0]);
    let written = std::sync::atomic::AtomicBool::new(false);
    world.server.fates(move |asked: &Asked| {
        let here = asked.path.starts_with(&path);
        let before = written.fetch_or(here && asked.is_write(), std::sync::atomic::Ordering::SeqCst);
        if before && here && asked.method == Method::GET {
            Fate::Refused(500)
        } else {
            Fate::Answered
        }
    });
    let process = world.start(Fuse::long()).await;
    process.look(&world).await.unwrap();
    let plan = world.plan();
    assert_eq!(phase(&plan), PlanPhase::Executing, "{}", says(&plan));
    assert!(says(&plan).contains("cannot be read"), "{}", says(&plan));
    world.server.edit(&plan_path(), |o| {
        o["status"]["steps"][0]["endTime"] = "2020-01-01T00:00:00Z".into();
    });
    process.look(&world).await.unwrap();
    let plan = world.plan();
    assert_eq!(phase(&plan), PlanPhase::Failed, "{}", says(&plan));
    for said in ["the effect is not there", "cannot be read", "rollback plan"] {
        assert!(says(&plan).contains(said), "{said}: {}", says(&plan));
    }
}

#[tokio::test]
async fn an_object_that_nothing_is_waited_for_at_holds_no_plan_up_when_it_cannot_be_read() {
    let (mut world, step) = proposed(Verb::Label).await;
    let path = path_of(&step.targets[0]);
    let written = std::sync::atomic::AtomicBool::new(false);
    world.server.fates(move |asked: &Asked| {
        let here = asked.path == path;
        let before = written.fetch_or(here && asked.is_write(), std::sync::atomic::Ordering::SeqCst);
        if before && here && asked.method == Method::GET {
            Fate::Refused(500)
        } else {
            Fate::Answered
        }
    });
    let plan = executed(&mut world).await;
    assert_eq!(phase(&plan), PlanPhase::Succeeded, "{}", says(&plan));
    let evidence = plan.status.unwrap().evidence.unwrap();
    assert!(evidence.after.contains("cannot be read"), "{evidence:?}");
}
