//! Every action, ended or suspended at every named point, taken up by the process itself or by another leader: one effect
//! or Unknown, never two, and a log in which every intent has one result.

use kubechat_audit::Outcome;
use kubechat_crds::intent::Action;
use kubechat_crds::{PlanPhase, StepState};

use super::random_tests::judge;
use crate::failpoint::Point;
use crate::testing::plans::Verb;
use crate::testing::process::{Fuse, Ran, World};

/// What takes the plan up after the first process was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The first process is dead.
    Restart,
    /// It hangs, and comes back after another one has led.
    SecondLeader,
}

/// One effect was sent before this point.
fn sent_before(point: Point) -> bool {
    match point {
        Point::BeforeIntent | Point::AfterIntent | Point::AfterReport | Point::BeforeSend => false,
        Point::AfterSend | Point::BeforeResult | Point::AfterResult | Point::Waiting | Point::BeforeEnd => {
            true
        }
    }
}

async fn crash(verb: Verb, point: Point, next: Next) {
    let what = format!("{verb:?} at {point:?}, {next:?}");
    let mut world = World::new();
    let steps = world.propose(&[verb]).await;
    let first = world.start(Fuse::at(point)).await;
    let mut hanging = match first.reconcile(world.plan()).await {
        Ran::Stopped(hanging) => Some(hanging),
        Ran::Ended(ended) => panic!("{what}: not passed: {ended:?}, {:?}", world.plan().status),
    };
    if next == Next::Restart {
        hanging = None;
    }
    let second = world.start(Fuse::long()).await;
    second.finish(&world).await;
    if let Some(hanging) = hanging {
        let _ = hanging.wake().await;
    }
    let plan = world.plan();
    let status = plan.status.unwrap();
    let writes: usize = world.writes(&steps[0]).iter().sum();
    let targets = steps[0].targets.len();
    let began = point != Point::BeforeIntent;
    // Of many targets the first only was written when the process stopped after a write.
    let partly = point == Point::AfterSend && targets > 1;
    let (phase, state, expected) = if began && !sent_before(point) {
        (PlanPhase::Interrupted, StepState::Unknown, 0)
    } else if partly {
        (PlanPhase::Interrupted, StepState::Unknown, 1)
    } else {
        (PlanPhase::Succeeded, StepState::Done, targets)
    };
    assert_eq!(writes, expected, "{what}: {:?}", world.server.written());
    assert_eq!(status.phase, Some(phase), "{what}: {:?}", status.conditions);
    assert_eq!(status.steps[0].state, state, "{what}");
    if partly {
        assert_eq!(status.steps[0].done, 1, "{what}");
        assert_eq!(status.steps[0].failed.len(), targets - 1, "{what}");
    }
    let entries = world.entries().await;
    let of_step: Vec<Outcome> = entries
        .iter()
        .filter(|e| e.ids.step_id.is_some())
        .map(|e| e.outcome)
        .collect();
    let result = if state == StepState::Done {
        Outcome::Success
    } else {
        Outcome::Unknown
    };
    assert_eq!(
        of_step,
        [Outcome::Intent, result],
        "{what}: {:?}",
        World::short(&entries)
    );
}

#[tokio::test]
async fn a_process_that_ends_at_any_point_of_any_action_leaves_one_effect_or_unknown() {
    for verb in Verb::ALL {
        for point in Point::ALL {
            crash(verb, point, Next::Restart).await;
        }
    }
}

#[tokio::test]
async fn a_process_that_hangs_at_any_point_and_comes_back_after_another_leader_changes_nothing() {
    for verb in Verb::ALL {
        for point in Point::ALL {
            crash(verb, point, Next::SecondLeader).await;
        }
    }
}

/// What the matrix does for each action of the catalogue. Who adds an action adds its row here, or it does not compile.
const fn rows(action: Action) -> &'static [Verb] {
    match action {
        // They write nothing, and no plan is made of them.
        Action::List
        | Action::Get
        | Action::Describe
        | Action::Logs
        | Action::Events
        | Action::Count
        | Action::RolloutStatus
        | Action::RolloutHistory
        | Action::Diff
        | Action::Compare
        | Action::CanI
        | Action::Top
        | Action::Explain
        | Action::Find => &[],
        Action::Scale => &[Verb::Scale],
        Action::Restart => &[Verb::Restart],
        Action::SetImage => &[Verb::SetImage],
        Action::SetResources => &[Verb::SetResources],
        Action::Delete => &[Verb::Delete, Verb::DeleteMany],
        Action::Label => &[Verb::Label, Verb::LabelMany],
        Action::Annotate => &[Verb::Annotate],
        Action::Cordon => &[Verb::Cordon],
        Action::Uncordon => &[Verb::Uncordon],
        Action::CreateNamespace => &[Verb::CreateNamespace],
        Action::RolloutUndo => &[Verb::RolloutUndo],
        Action::Recreate => &[Verb::Recreate],
        Action::SetEnv => &[Verb::SetEnv],
        Action::RolloutPause => &[Verb::RolloutPause],
        Action::RolloutResume => &[Verb::RolloutResume],
        Action::Autoscale => &[Verb::Autoscale, Verb::AutoscaleAgain],
        Action::Suspend => &[Verb::Suspend],
        Action::Resume => &[Verb::Resume],
        Action::Patch => &[Verb::Patch],
        Action::ExpandPvc => &[Verb::ExpandPvc],
        Action::Taint => &[Verb::Taint],
        Action::Untaint => &[Verb::Untaint],
        Action::Evict => &[Verb::Evict, Verb::EvictMany],
        Action::Expose => &[Verb::Expose],
        Action::Apply => &[Verb::Apply, Verb::ApplyAgain],
        Action::CreateDeployment => &[Verb::Make(Action::CreateDeployment)],
        Action::CreateConfigMap => &[Verb::Make(Action::CreateConfigMap)],
        Action::CreateJob => &[Verb::Make(Action::CreateJob)],
        Action::CreateCronJob => &[Verb::Make(Action::CreateCronJob)],
        Action::CreatePdb => &[Verb::Make(Action::CreatePdb)],
        Action::CreateQuota => &[Verb::Make(Action::CreateQuota)],
        Action::CreateLimitRange => &[Verb::Make(Action::CreateLimitRange)],
        Action::CreateNetworkPolicy => &[Verb::Make(Action::CreateNetworkPolicy)],
        Action::CreateIngress => &[Verb::Make(Action::CreateIngress)],
        Action::CreateServiceAccount => &[Verb::Make(Action::CreateServiceAccount)],
        Action::BindRole => &[Verb::Make(Action::BindRole)],
        // Its steps are those of cordon and evict.
        Action::Drain => &[],
    }
}

#[tokio::test]
async fn every_action_of_the_catalogue_that_changes_something_is_in_the_matrix() {
    let mut covered = vec![];
    for action in Action::ALL {
        let action = *action;
        let writes = !action.is_read() && action != Action::Drain;
        assert_eq!(rows(action).is_empty(), !writes, "{action:?}");
        for verb in rows(action) {
            let steps = World::new().propose(&[*verb]).await;
            assert_eq!(steps[0].action, action, "{verb:?}");
            covered.push(*verb);
        }
    }
    for verb in Verb::ALL {
        assert!(covered.contains(&verb), "{verb:?} is of no action");
    }
    assert_eq!(covered.len(), Verb::ALL.len());
}

/// Boundaries that a process may pass while it executes one step; more than any does.
const MOST_BOUNDARIES: i64 = 400;

/// Beyond the named points: before each request and after each answer, before and after each write to the audit log.
#[tokio::test]
async fn a_process_that_is_stopped_at_any_boundary_whatever_leaves_one_effect_and_a_whole_log() {
    for verb in Verb::ALL {
        for next in [Next::Restart, Next::SecondLeader] {
            let mut passed = 0;
            for boundary in 1..MOST_BOUNDARIES {
                let mut world = World::new();
                let steps = world.propose(&[verb]).await;
                let first = world.start(Fuse::after(boundary)).await;
                let Ran::Stopped(hanging) = first.reconcile(world.plan()).await else {
                    break;
                };
                passed = boundary;
                let hanging = Some(hanging).filter(|_| next == Next::SecondLeader);
                let plan = world.start(Fuse::long()).await.finish(&world).await;
                if let Some(hanging) = hanging {
                    let _ = hanging.wake().await;
                }
                assert_eq!(
                    world.plan().status,
                    plan.status,
                    "{verb:?} at {boundary}: changed after its end"
                );
                judge(&mut world, &plan, &steps).await;
            }
            assert!(
                (20..MOST_BOUNDARIES - 1).contains(&passed),
                "{verb:?}: {passed} boundaries"
            );
        }
    }
}
