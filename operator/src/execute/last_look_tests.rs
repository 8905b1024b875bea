//! Somebody stops a plan after everything was read and before its first target is written; and caches that are late.

use std::sync::Arc;

use kubechat_audit::Outcome;
use kubechat_core::lifecycle::brakes::Shown;
use kubechat_crds::condition::{find, types};
use kubechat_crds::{CommandPlan, DecisionKind, PlanPhase, StepState};
use serde_json::json;

use super::brakes::Brakes;
use super::{Progress, advance};
use crate::context::Context;
use crate::controllers::command_plan::reconcile;
use crate::error::Error;
use crate::failpoint::Point;
use crate::testing::plans::{Verb, plan_path, turn_path};
use crate::testing::process::{Fuse, Process, Ran, World};
use crate::testing::server::Server;
use crate::testing::watches::{Loss, Watches};

const BASELINE: &str = "/apis/kubechat.io/v1beta1/riskpolicies/baseline";
const DENY: &str = "/apis/kubechat.io/v1beta1/namespaces/demo/approvals/dave";

/// How somebody stops a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    KillSwitch,
    NoPolicy,
    Cancel,
    Deny,
    PlanRemoved,
    PlanLeaving,
    TurnRemoved,
    TurnLeaving,
}

const STOPS: [(Stop, &str); 8] = [
    (Stop::KillSwitch, "RiskPolicy baseline suspends all execution"),
    (Stop::NoPolicy, "There is no RiskPolicy"),
    (Stop::Cancel, "spec.cancel"),
    (Stop::Deny, "denied it"),
    (Stop::PlanRemoved, "the plan was removed"),
    (Stop::PlanLeaving, "the plan was removed"),
    (Stop::TurnRemoved, "the turn that asked for it is gone"),
    (Stop::TurnLeaving, "the turn that asked for it is gone"),
];

fn pull(stop: Stop, world: &World) {
    let server = &world.server;
    let leaving = |path: &str| {
        server.edit(path, |o| {
            o["metadata"]["deletionTimestamp"] = "2026-05-01T10:00:00Z".into();
        });
    };
    match stop {
        Stop::KillSwitch => server.edit(BASELINE, |o| o["spec"]["suspend"] = true.into()),
        Stop::NoPolicy => {
            for policy in server.all("/riskpolicies/") {
                let name = policy["metadata"]["name"].as_str().unwrap();
                server.remove(&format!("/apis/kubechat.io/v1beta1/riskpolicies/{name}"));
            }
        }
        Stop::Cancel => server.edit(&turn_path(), |o| o["spec"]["cancel"] = true.into()),
        Stop::Deny => {
            world.decide("dave", &world.plan().spec.digest, DecisionKind::Deny);
            server.edit(DENY, |o| {
                o["status"]["conditions"] = json!([{"type": "Accepted", "status": "True", "reason": "Accepted",
                    "message": "", "lastTransitionTime": "2026-05-01T10:00:00Z"}]);
            });
        }
        Stop::PlanRemoved => drop(server.remove(&plan_path())),
        Stop::PlanLeaving => leaving(&plan_path()),
        Stop::TurnRemoved => drop(server.remove(&turn_path())),
        Stop::TurnLeaving => leaving(&turn_path()),
    }
}

fn says(plan: &CommandPlan) -> String {
    let conditions = &plan.status.as_ref().unwrap().conditions;
    conditions.iter().map(|c| c.message.as_str()).collect()
}

fn phase(plan: &CommandPlan) -> Option<PlanPhase> {
    plan.status.as_ref().and_then(|s| s.phase)
}

#[tokio::test]
async fn who_stops_a_plan_before_its_first_target_is_written_stops_it_there_and_the_log_says_why() {
    for point in [Point::AfterIntent, Point::AfterReport, Point::BeforeSend] {
        for verb in [Verb::Label, Verb::DeleteMany] {
            for (stop, because) in STOPS {
                let mut world = World::new();
                let step = world.propose(&[verb]).await.remove(0);
                let process = world.start(Fuse::at(point)).await;
                let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
                    panic!("{point:?} was not passed");
                };
                pull(stop, &world);
                process.watches.suffer(&world.server, || Loss::None);
                // Of a plan that is gone nothing is reported any more.
                let _ = stopped.resume().await;
                let told = format!("{point:?} {verb:?} {stop:?}");
                let none = vec![0; step.targets.len()];
                assert_eq!(world.writes(&step), none, "{told}");
                let entries = world.entries().await;
                let of_step = || entries.iter().filter(|e| e.ids.step_id.is_some());
                let outcomes: Vec<Outcome> = of_step().map(|e| e.outcome).collect();
                assert_eq!(outcomes, [Outcome::Intent, Outcome::Failure], "{told}");
                let result = of_step().next_back().unwrap();
                for words in [because, "not sent"] {
                    assert!(result.message.contains(words), "{told}: {words:?}, {result:?}");
                }
                if matches!(stop, Stop::PlanRemoved | Stop::PlanLeaving) {
                    continue;
                }
                let plan = world.plan();
                let told = format!("{told}: {}", says(&plan));
                assert_eq!(phase(&plan), Some(PlanPhase::Interrupted), "{told}");
                let step = &plan.status.as_ref().unwrap().steps[0];
                assert_eq!((step.state, step.done), (StepState::Failed, 0), "{told}");
                for words in [because, "No step was done", "Ask again: kubechat again plan"] {
                    assert!(told.contains(words), "{words:?} is not in {told}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_stop_that_is_seen_before_the_step_is_recorded_leaves_nothing_behind_and_the_next_look_ends_the_plan()
 {
    use PlanPhase::{AwaitingApproval, Cancelled, Denied};
    let ends = |stop: Stop| match stop {
        // A suspended plan that was not begun waits.
        Stop::KillSwitch | Stop::NoPolicy => Some(AwaitingApproval),
        Stop::Cancel | Stop::TurnRemoved | Stop::TurnLeaving => Some(Cancelled),
        Stop::Deny => Some(Denied),
        Stop::PlanRemoved | Stop::PlanLeaving => None,
    };
    for (stop, because) in STOPS {
        let mut world = World::new();
        let step = world.propose(&[Verb::Label]).await.remove(0);
        let process = world.start(Fuse::at(Point::BeforeIntent)).await;
        let old = world.plan();
        let Ran::Stopped(stopped) = process.reconcile(old.clone()).await else {
            panic!("not passed");
        };
        pull(stop, &world);
        process.watches.suffer(&world.server, || Loss::None);
        let looked = stopped.resume().await;
        let Some(ends) = ends(stop) else {
            // Nobody is there to report to; what is left is not executed.
            assert!(looked.is_err(), "{stop:?}: {looked:?}");
            let _ = reconcile(Arc::new(old), Arc::clone(&process.ctx)).await;
            assert_eq!(world.writes(&step), [0], "{stop:?}");
            let entries = world.entries().await;
            assert!(entries.iter().all(|e| e.ids.step_id.is_none()), "{stop:?}");
            continue;
        };
        let Err(problem @ Error::Unsettled(_)) = &looked else {
            panic!("{stop:?}: {looked:?}");
        };
        assert!(problem.to_string().contains(because), "{stop:?}: {problem}");
        let told = says(&world.plan());
        for words in [because, "not executed yet", "tried again"] {
            assert!(told.contains(words), "{stop:?}: {words:?} is not in {told}");
        }
        let _ = process.look(&world).await;
        assert_eq!(
            phase(&world.plan()),
            Some(ends),
            "{stop:?}: {}",
            says(&world.plan())
        );
        assert_eq!(world.writes(&step), [0], "{stop:?}");
        let entries = world.entries().await;
        assert!(entries.iter().all(|e| e.ids.step_id.is_none()), "{stop:?}");
    }
}

#[tokio::test]
async fn a_cache_that_still_shows_a_stop_which_is_over_delays_a_plan_and_does_not_end_it() {
    type Over = fn(&World);
    let lifted: Over = |world| {
        world
            .server
            .edit(BASELINE, |o| o["spec"]["suspend"] = false.into());
    };
    let taken_back: Over = |world| drop(world.server.remove(DENY));
    for (stop, over, because) in [
        (Stop::KillSwitch, lifted, "suspends all execution"),
        (Stop::Deny, taken_back, "denied it"),
    ] {
        for verbs in [vec![Verb::Label], vec![Verb::Label, Verb::Scale]] {
            let mut world = World::new();
            let steps = world.propose(&verbs).await;
            let process = world.start(Fuse::long()).await;
            pull(stop, &world);
            process.watches.suffer(&world.server, || Loss::None);
            over(&world);
            // However often it looks.
            for _ in 0..3 {
                assert!(
                    matches!(process.look(&world).await, Err(Error::Unsettled(_))),
                    "{stop:?}"
                );
                let plan = world.plan();
                assert_eq!(
                    phase(&plan),
                    Some(PlanPhase::Approved),
                    "{stop:?}: {}",
                    says(&plan)
                );
                let condition = find(&plan.status.as_ref().unwrap().conditions, types::SUCCEEDED).unwrap();
                assert_eq!(condition.status, "Unknown", "{condition:?}");
                assert!(says(&plan).contains(because), "{stop:?}: {}", says(&plan));
            }
            process.watches.suffer(&world.server, || Loss::None);
            let plan = process.finish(&world).await;
            assert_eq!(
                phase(&plan),
                Some(PlanPhase::Succeeded),
                "{stop:?}: {}",
                says(&plan)
            );
            for step in &steps {
                assert_eq!(world.writes(step), [1], "{stop:?}");
            }
            let entries = world.entries().await;
            let of_steps: Vec<Outcome> = entries
                .iter()
                .filter(|e| e.ids.step_id.is_some())
                .map(|e| e.outcome)
                .collect();
            assert_eq!(
                of_steps,
                [Outcome::Intent, Outcome::Success].repeat(steps.len()),
                "{stop:?}"
            );
        }
    }
}

#[tokio::test]
async fn between_two_steps_a_cache_that_is_late_delays_the_plan_too() {
    let mut world = World::new();
    let steps = world.propose(&[Verb::Label, Verb::Scale]).await;
    let process = world.start(Fuse::at(Point::AfterResult)).await;
    let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
        panic!("not passed");
    };
    pull(Stop::KillSwitch, &world);
    process.watches.suffer(&world.server, || Loss::None);
    world
        .server
        .edit(BASELINE, |o| o["spec"]["suspend"] = false.into());
    assert!(matches!(stopped.resume().await, Err(Error::Unsettled(_))));
    let told = says(&world.plan());
    assert!(told.contains("under way, but it cannot go on"), "{told}");
    process.watches.suffer(&world.server, || Loss::None);
    let plan = process.finish(&world).await;
    assert_eq!(phase(&plan), Some(PlanPhase::Succeeded), "{}", says(&plan));
    for step in &steps {
        assert_eq!(world.writes(step), [1]);
    }
}

/// A process of this world whose watches have told nothing yet.
async fn blind(world: &mut World) -> (Process, Watches, Arc<Context>) {
    let process = world.start(Fuse::long()).await;
    let late = Watches::of(&Server::new(world.seal.clone()));
    let ctx = Context {
        stores: late.stores(),
        ..(*process.ctx).clone()
    };
    (process, late, Arc::new(ctx))
}

#[tokio::test]
async fn a_step_of_many_targets_is_done_whole_though_every_cache_is_empty() {
    let mut world = World::new();
    let step = world.propose(&[Verb::LabelMany]).await.remove(0);
    let (_process, _late, ctx) = blind(&mut world).await;
    let (progress, _) = advance(&ctx, "plan", "demo").await.unwrap().unwrap();
    assert!(matches!(progress, Progress::Sent(_)), "{progress:?}");
    assert_eq!(world.writes(&step), [1, 1, 1]);
}

#[tokio::test]
async fn what_a_late_cache_comes_to_hold_and_then_loses_is_gone() {
    for removed in [plan_path(), turn_path()] {
        let mut world = World::new();
        world.propose(&[Verb::LabelMany]).await;
        let (_process, late, ctx) = blind(&mut world).await;
        let plan = world.plan();
        let (brakes, mut shown) = (Brakes::new(&ctx, &plan), Shown::default());
        assert_eq!(brakes.pulled_by_somebody(&mut shown), None);
        late.suffer(&world.server, || Loss::None);
        assert_eq!(brakes.pulled_by_somebody(&mut shown), None);
        world.server.remove(&removed);
        late.suffer(&world.server, || Loss::None);
        assert!(brakes.pulled_by_somebody(&mut shown).is_some(), "{removed}");
    }
}
