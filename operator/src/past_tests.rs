use kube::core::ObjectMeta;
use kubechat_audit::{Actor, Draft, Ids};
use kubechat_crds::CommandPlanStatus;
use kubechat_crds::command_plan::StepStatus;
use serde_json::json;

use super::*;
use crate::audit::{about_plan, target};
use crate::cli::testing::plan as scale;
use crate::testing::plans::Verb;
use crate::testing::process::{Fuse, World};

fn now() -> Timestamp {
    "2026-05-01T10:00:00Z".parse().unwrap()
}

/// A plan of alice's, so many minutes old, whose only step is in this state.
fn plan(uid: &str, age: i64, state: StepState) -> CommandPlan {
    let mut plan = scale();
    let made = now().checked_sub(SignedDuration::from_mins(age)).unwrap();
    plan.metadata = ObjectMeta {
        name: Some(uid.into()),
        uid: Some(uid.into()),
        creation_timestamp: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(made)),
        ..ObjectMeta::default()
    };
    plan.spec.requester.username = "alice".into();
    plan.spec.steps[0].targets[0].name = format!("web-{uid}");
    plan.status = Some(CommandPlanStatus {
        phase: Some(PlanPhase::Executing),
        steps: vec![StepStatus {
            state,
            ..StepStatus::default()
        }],
        ..CommandPlanStatus::default()
    });
    plan
}

fn uids(found: &[Past]) -> Vec<&str> {
    found.iter().map(|p| p.plan.as_str()).collect()
}

#[test]
fn a_plan_that_was_removed_goes_on_counting_for_its_hour_and_once() {
    let removed = Removed::default();
    let none = std::iter::empty::<&CommandPlan>;
    assert!(removed.with(none(), "alice", now()).is_empty());
    removed.note(&plan("p1", 5, StepState::Done), now());
    removed.note(&plan("old", 61, StepState::Done), now());
    let found = removed.with(none(), "alice", now());
    assert_eq!(uids(&found), ["p1"]);
    assert!(found[0].effect && found[0].changed.len() == 1);
    assert!(removed.with(none(), "bob", now()).is_empty());
    // Told twice, or still in the cache, it is one plan.
    let there = plan("p1", 5, StepState::Done);
    removed.note(&there, now());
    assert_eq!(uids(&removed.with([&there].into_iter(), "alice", now())), ["p1"]);
    let later = now().checked_add(SignedDuration::from_mins(56)).unwrap();
    assert!(removed.with(none(), "alice", later).is_empty());
}

#[test]
fn of_a_plan_removed_before_its_first_step_only_the_number_counts() {
    for (state, effect) in [
        (StepState::Pending, false),
        (StepState::Skipped, false),
        (StepState::Sent, true),
        (StepState::Unknown, true),
        (StepState::Failed, true),
        (StepState::Done, true),
    ] {
        let removed = Removed::default();
        removed.note(&plan("p", 1, state), now());
        let found = removed.with(std::iter::empty(), "alice", now());
        assert_eq!((found.len(), found[0].effect), (1, effect), "{state:?}");
    }
}

#[test]
fn so_many_removed_plans_of_one_person_push_out_nobodys() {
    let removed = Removed::default();
    removed.note(&plan("first", 1, StepState::Done), now());
    let mut other = plan("other", 1, StepState::Done);
    other.spec.requester.username = "bob".into();
    removed.note(&other, now());
    for i in 0..(MAX_KEPT + 10) {
        removed.note(&plan(&format!("p{i}"), 1, StepState::Done), now());
    }
    let of = |who: &str| removed.with(std::iter::empty(), who, now());
    assert_eq!((of("alice").len(), of("bob").len()), (MAX_KEPT, 1));
    assert!(uids(&of("alice")).contains(&"first"));
}

#[tokio::test]
async fn after_a_restart_the_log_says_what_was_done_within_the_hour() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    let audit = &process.ctx.audit;
    let (shown, done) = (
        plan("shown", 0, StepState::Pending),
        plan("done", 0, StepState::Done),
    );
    for plan in [&shown, &done] {
        let made = about_plan(
            plan,
            EventType::CommandGeneration,
            "plan",
            Outcome::Success,
            PLAN_MADE,
        );
        audit.record(made).await.unwrap();
    }
    let mut intent = about_plan(
        &done,
        EventType::CommandExecution,
        "delete",
        Outcome::Intent,
        "Executing",
    );
    intent.target = Some(target(&done.spec.steps[0].targets[0]));
    intent.payload = json!({"targets": [{"kind": "Deployment", "namespace": "demo", "name": "a", "uid": "1"},
        {"kind": "Deployment", "namespace": "demo", "name": "b", "uid": "2"}]});
    audit.intent(intent, "step").await.unwrap();
    // Other entries tell of no plan.
    let mut noise = Draft::new(
        EventType::DataAccess,
        Actor::named("alice"),
        "read",
        Outcome::Success,
        "Answered",
    );
    noise.ids = Ids {
        plan_uid: Some("noise".into()),
        ..Ids::default()
    };
    audit.record(noise).await.unwrap();

    let now = Timestamp::now();
    let removed = Removed::read(audit, now).await.unwrap();
    let mut found = removed.with(std::iter::empty(), "alice", now);
    found.sort_by(|a, b| a.plan.cmp(&b.plan));
    assert_eq!(uids(&found), ["done", "shown"]);
    let reach = |p: &Past| (p.effect, p.changed.len(), p.deleted.len());
    assert_eq!(
        (reach(&found[0]), reach(&found[1])),
        ((true, 2, 2), (false, 0, 0))
    );
    let later = now.checked_add(SignedDuration::from_mins(61)).unwrap();
    assert!(removed.with(std::iter::empty(), "alice", later).is_empty());
    let late = Removed::read(audit, later).await.unwrap();
    assert!(late.with(std::iter::empty(), "alice", now).is_empty());
}

#[tokio::test]
async fn what_was_executed_is_read_back_from_the_entries_the_executor_writes() {
    let mut world = World::new();
    world.propose(&[Verb::DeleteMany]).await;
    let process = world.start(Fuse::long()).await;
    let plan = process.finish(&world).await;
    let now = Timestamp::now();
    let found = Removed::read(&process.ctx.audit, now).await.unwrap();
    let found = found.with(std::iter::empty(), "alice", now);
    let expected = Past::of(&plan);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].changed, expected.changed);
    assert_eq!((found[0].deleted.len(), found[0].effect), (3, true));
    assert_eq!(found[0].turn, expected.turn);
}
