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
    // What the watch saw last may be older than what the log knows: what began, began.
    removed.note(&plan("p1", 5, StepState::Pending), now());
    assert!(removed.with(none(), "alice", now())[0].effect);
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

/// What all of them add up to.
fn sum(found: &[Past]) -> Many {
    let mut all = Many::default();
    found.iter().for_each(|p| all.add(p.sum()));
    all
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
    assert_eq!((of("alice").len(), of("bob").len()), (MAX_KEPT + 1, 1));
    assert!(uids(&of("alice")).contains(&"first"));
    // Those that found no room count all the same.
    assert_eq!(sum(&of("alice")).plans, MAX_KEPT + 11);
}

#[test]
fn whatever_came_before_them_the_newest_of_too_many_plans_count_until_their_own_hour_is_over() {
    let removed = Removed::default();
    // A thousand that never began, which count for no change, and then what matters.
    for i in 0..MAX_KEPT {
        removed.note(&plan(&format!("idle{i}"), 50, StepState::Pending), now());
    }
    let mut deletes = plan("newest", 1, StepState::Done);
    deletes.spec.steps[0].effect = Effect::Delete;
    removed.note(&plan("newer", 2, StepState::Done), now());
    removed.note(&deletes, now());
    let at = |minutes: i64| now().checked_add(SignedDuration::from_mins(minutes)).unwrap();
    let counted = |minutes: i64| sum(&removed.with(std::iter::empty(), "alice", at(minutes)));
    let many = |plans: usize, effects: usize| Many {
        plans,
        effects,
        changed: effects,
        deleted: usize::from(effects > 0),
    };
    assert_eq!(counted(0), many(MAX_KEPT + 2, 2));
    // The hour of the first thousand is over; what was added up is told apart no more and stays for the newest one's.
    assert_eq!(counted(15), many(2, 2));
    assert_eq!(counted(58), many(2, 2));
    assert_eq!(counted(60), many(0, 0));
    // Then there is room again.
    let mut later = plan("later", 0, StepState::Done);
    later.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(60)));
    removed.note(&later, at(60));
    assert_eq!(
        uids(&removed.with(std::iter::empty(), "alice", at(61))),
        ["later"]
    );
}

#[test]
fn a_plan_of_no_known_time_counts_for_an_hour_and_not_for_ever() {
    let removed = Removed::default();
    let mut timeless = plan("p", 0, StepState::Done);
    timeless.metadata.creation_timestamp = None;
    removed.note(&timeless, now());
    let after = |minutes: i64| {
        let then = now().checked_add(SignedDuration::from_mins(minutes)).unwrap();
        removed.with(std::iter::empty(), "alice", then).len()
    };
    assert_eq!((after(0), after(59), after(60)), (1, 1, 0));
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
    let (removed, unread) = Removed::read(audit, now).await.unwrap();
    assert_eq!(unread, 0);
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
    let (late, _) = Removed::read(audit, later).await.unwrap();
    assert!(late.with(std::iter::empty(), "alice", now).is_empty());
}

#[tokio::test]
async fn what_was_executed_is_read_back_from_the_entries_the_executor_writes() {
    let mut world = World::new();
    world.propose(&[Verb::DeleteMany]).await;
    let process = world.start(Fuse::long()).await;
    let plan = process.finish(&world).await;
    let now = Timestamp::now();
    let (found, _) = Removed::read(&process.ctx.audit, now).await.unwrap();
    let found = found.with(std::iter::empty(), "alice", now);
    let expected = Past::of(&plan);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].changed, expected.changed);
    assert_eq!((found[0].deleted.len(), found[0].effect), (3, true));
    assert_eq!(found[0].turn, expected.turn);
}

/// An entry that says that a plan was made.
fn made(uid: &str) -> Draft {
    let plan = plan(uid, 0, StepState::Pending);
    about_plan(
        &plan,
        EventType::CommandGeneration,
        "plan",
        Outcome::Success,
        PLAN_MADE,
    )
}

/// An intent to delete these, by a plan.
fn intent(uid: &str, names: &[&str]) -> Draft {
    let plan = plan(uid, 0, StepState::Done);
    let mut intent = about_plan(
        &plan,
        EventType::CommandExecution,
        "delete",
        Outcome::Intent,
        "Executing",
    );
    intent.target = Some(target(&plan.spec.steps[0].targets[0]));
    let of = |name: &&str| json!({"kind": "Deployment", "namespace": "demo", "name": name, "uid": name});
    intent.payload = json!({"targets": names.iter().map(of).collect::<Vec<_>>()});
    intent
}

#[tokio::test]
async fn what_of_the_log_is_not_as_it_was_written_is_counted_and_the_rest_of_the_hour_stands() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    let audit = &process.ctx.audit;
    for uid in ["one", "two", "three"] {
        audit.record(made(uid)).await.unwrap();
        audit.intent(intent(uid, &["a", "b"]), uid).await.unwrap();
    }
    // What stands beside the intent of `one`, and the entry that tells of `two` and its intent.
    process.store.damage_payload(2);
    process.store.damage_entry(3);
    process.store.damage_entry(4);
    let now = Timestamp::now();
    let (removed, unread) = Removed::read(audit, now).await.unwrap();
    assert_eq!(unread, 3);
    let mut found = removed.with(std::iter::empty(), "alice", now);
    found.sort_by(|a, b| a.plan.cmp(&b.plan));
    assert_eq!(uids(&found), ["one", "three"]);
    // Of `one` the entry itself names an object.
    let reach = |p: &Past| (p.effect, p.changed.len(), p.deleted.len());
    assert_eq!((reach(&found[0]), reach(&found[1])), ((true, 1, 1), (true, 2, 2)));
}

#[tokio::test]
async fn the_log_is_read_a_page_at_a_time_from_its_end_and_each_entry_once() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    let audit = &process.ctx.audit;
    let all = MAX_KEPT as u64 + 205;
    for i in 0..all {
        audit.record(made(&format!("p{}", i % 3))).await.unwrap();
    }
    let first = audit.page(None).await.unwrap();
    let second = audit.page(first.next).await.unwrap();
    let seqs = |page: &crate::audit::Page| page.entries.iter().map(|e| e.seq).collect::<Vec<_>>();
    assert_eq!((seqs(&first).len(), seqs(&second).len()), (1000, 205));
    assert_eq!(
        [seqs(&second), seqs(&first)].concat(),
        (1..=all).collect::<Vec<_>>()
    );
    assert_eq!((first.unread, second.next), (0, None));
    // The oldest entry says when a plan was made, however late it is read.
    let now = Timestamp::now();
    let (removed, _) = Removed::read(audit, now).await.unwrap();
    let found = removed.with(std::iter::empty(), "alice", now);
    let oldest = second.entries.first().unwrap().time;
    assert!(found.iter().any(|p| p.made == Some(oldest)), "{found:?}");
    // Only so far as needed: entry 1 is of the hour, and is not reached when it is not.
    process.store.damage_entry(1);
    assert_eq!(Removed::read(audit, now).await.unwrap().1, 1);
    let later = now.checked_add(SignedDuration::from_mins(61)).unwrap();
    assert_eq!(Removed::read(audit, later).await.unwrap().1, 0);
    let empty = audit.page(Some(1)).await.unwrap();
    assert_eq!(empty, crate::audit::Page::default());
}

/// An entry about a decision on a plan.
fn decision(uid: &str, verb: &str, outcome: Outcome, why: &str) -> Draft {
    let mut draft = Draft::new(EventType::Approval, Actor::named("erin"), verb, outcome, why);
    draft.ids.plan_uid = Some(uid.into());
    draft.ids.plan = Some(format!("name-{uid}"));
    draft.target = Some(kubechat_audit::Target {
        namespace: Some("demo".into()),
        ..kubechat_audit::Target::default()
    });
    draft
}

#[tokio::test]
async fn an_emergency_is_open_until_it_is_reviewed_or_told_as_removed() {
    use Outcome::{Denied, Success};
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    let audit = &process.ctx.audit;
    let glass = reason::BREAK_GLASS;
    for (uid, entries) in [
        ("open", vec![("approve", Success, glass)]),
        // In time or not, only a review that counts closes it.
        (
            "overdue",
            vec![
                ("approve", Success, glass),
                ("review", Denied, "ReviewOverdue"),
                ("review", Denied, "SelfApproval"),
            ],
        ),
        (
            "reviewed",
            vec![("approve", Success, glass), ("review", Success, "Accepted")],
        ),
        (
            "told",
            vec![("approve", Success, glass), ("remove", Denied, "ReviewOverdue")],
        ),
        ("plain", vec![("approve", Success, "Accepted")]),
        ("refused", vec![("approve", Denied, "NotBreakGlass")]),
        ("denied", vec![("deny", Success, "Accepted")]),
    ] {
        for (verb, outcome, why) in entries {
            audit.record(decision(uid, verb, outcome, why)).await.unwrap();
        }
    }
    let found = emergencies(audit).await.unwrap();
    let named: Vec<_> = found.iter().map(|e| (e.plan.as_str(), e.name.as_str())).collect();
    assert_eq!(named, [("open", "name-open"), ("overdue", "name-overdue")]);
    assert_eq!(found[0].namespace.as_deref(), Some("demo"));
    process.store.damage_entry(1);
    assert!(emergencies(audit).await.is_err());
}
