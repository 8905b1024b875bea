//! Evictions that a disruption budget forbids: asked for again, bounded, and never forced.

use kubechat_crds::{PlanPhase, StepState};

use crate::testing::plans::Verb;
use crate::testing::process::{Fuse, World};
use crate::testing::server::{Asked, Fate};

/// What becomes of a plan whose eviction is refused so often, dry-runs too; and how often the pod was written.
async fn refused(times: usize) -> (PlanPhase, StepState, String, Vec<usize>) {
    let mut world = World::new();
    let step = world.propose(&[Verb::Evict]).await.remove(0);
    let mut seen = 0;
    world.server.fates(move |asked: &Asked| {
        if !asked.path.ends_with("/eviction") {
            return Fate::Answered;
        }
        seen += usize::from(!asked.dry_run);
        if seen <= times {
            Fate::Refused(429)
        } else {
            Fate::Answered
        }
    });
    let process = world.start(Fuse::long()).await;
    let status = process.finish(&world).await.status.unwrap();
    let said: String = status.conditions.iter().map(|c| c.message.as_str()).collect();
    (
        status.phase.unwrap(),
        status.steps[0].state,
        said,
        world.writes(&step),
    )
}

#[tokio::test]
async fn an_eviction_that_a_budget_forbids_for_a_while_is_asked_for_again() {
    let (phase, state, said, writes) = refused(8).await;
    assert_eq!((phase, state), (PlanPhase::Succeeded, StepState::Done), "{said}");
    assert_eq!(writes, [1]);
}

#[tokio::test]
async fn an_eviction_that_a_budget_forbids_for_good_fails_when_its_time_is_up() {
    let (phase, state, said, writes) = refused(usize::MAX).await;
    assert_eq!((phase, state), (PlanPhase::Failed, StepState::Failed), "{said}");
    assert_eq!(writes, [0]);
}

#[tokio::test]
async fn an_eviction_that_two_budgets_judge_is_refused_for_good_and_known_not_to_have_happened() {
    const WORDS: &str =
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    for (dry, reason) in [(true, "DryRunFailed"), (false, "StepFailed")] {
        let mut world = World::new();
        let step = world.propose(&[Verb::Evict]).await.remove(0);
        world.server.fates(move |asked: &Asked| {
            if asked.path.ends_with("/eviction") && (dry || !asked.dry_run) {
                Fate::Told(500, WORDS)
            } else {
                Fate::Answered
            }
        });
        let process = world.start(Fuse::long()).await;
        let status = process.finish(&world).await.status.unwrap();
        let said: String = status.conditions.iter().map(|c| c.message.as_str()).collect();
        assert_eq!(status.phase, Some(PlanPhase::Failed), "{dry}: {said}");
        assert!(
            said.contains("more than one PodDisruptionBudget"),
            "{dry}: {said}"
        );
        let step_reason = status.steps[0].reason.as_deref();
        assert_eq!(step_reason, Some(reason), "{dry}: {said}");
        assert_eq!(world.writes(&step), [0], "{dry}");
    }
}
