use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::ObjectMeta;
use kubechat_crds::CommandPlanStatus;
use kubechat_crds::command_plan::StepStatus;

use super::*;
use crate::cli::testing::plan as scale;

fn now() -> Timestamp {
    "2026-05-01T10:00:00Z".parse().unwrap()
}

/// A plan of alice's, so many minutes old, whose only step is in this state.
pub(super) fn plan(uid: &str, age: i64, state: StepState) -> CommandPlan {
    let mut plan = scale();
    let made = now().checked_sub(SignedDuration::from_mins(age)).unwrap();
    plan.metadata = ObjectMeta {
        name: Some(uid.into()),
        uid: Some(uid.into()),
        creation_timestamp: Some(Time(made)),
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

pub(super) fn uids(found: &[Past]) -> Vec<&str> {
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
    // Those that found no room count all the same, and each once, however often it is told.
    let last = format!("p{}", MAX_KEPT + 9);
    for _ in 0..3 {
        removed.begun(&plan(&last, 1, StepState::Sent), now());
        removed.note(&plan(&last, 1, StepState::Done), now());
    }
    assert!(uids(&of("alice")).contains(&last.as_str()));
    assert_eq!(sum(&of("alice")).plans, MAX_KEPT + 11);
}

#[test]
fn a_sum_is_of_the_last_hour_however_busy_the_person_is() {
    let removed = Removed::default();
    let at = |minute: i64| now().checked_add(SignedDuration::from_mins(minute)).unwrap();
    const EACH: usize = 40;
    for minute in 0..150 {
        for i in 0..EACH {
            let mut done = plan(&format!("p{minute}-{i}"), 0, StepState::Done);
            done.metadata.creation_timestamp = Some(Time(at(minute)));
            removed.note(&done, at(minute));
        }
        let counted = sum(&removed.with(std::iter::empty(), "alice", at(minute)));
        // What is added up is told apart by its minute only, and counts rather too long than too short.
        let hour = usize::try_from(minute + 1).unwrap().min(60) * EACH;
        for n in [counted.plans, counted.effects, counted.changed] {
            assert!(
                (hour..=hour + EACH).contains(&n),
                "{n} of {hour} in minute {minute}"
            );
        }
    }
    assert!(removed.with(std::iter::empty(), "alice", at(210)).is_empty());
}

#[test]
fn a_plan_that_waited_for_hours_counts_for_an_hour_from_when_it_was_begun() {
    let at = |minute: i64| now().checked_add(SignedDuration::from_mins(minute)).unwrap();
    let old = plan("old", 180, StepState::Pending);
    let none = std::iter::empty::<&CommandPlan>;
    let removed = Removed::default();
    assert!(removed.with([&old].into_iter(), "alice", now()).is_empty());
    removed.begun(&old, now());
    // Also while its status does not say so, in the cache or when it is removed.
    for seen in [&old, &plan("old", 180, StepState::Sent)] {
        let found = removed.with([seen].into_iter(), "alice", at(1));
        assert_eq!((uids(&found), sum(&found).changed), (vec!["old"], 1), "{found:?}");
    }
    assert!(removed.note(&old, at(2)), "it was begun");
    let effects = |minute: i64| sum(&removed.with(none(), "alice", at(minute))).effects;
    assert_eq!((effects(2), effects(59), effects(60)), (1, 1, 0));
    // A later step begins its hour anew.
    removed.begun(&old, at(3));
    assert_eq!((effects(62), effects(63)), (1, 0));
    // Nobody gets it as a new plan.
    assert!(!removed.with(none(), "alice", at(3))[0].is_new(at(3)));
}

#[test]
fn a_plan_that_is_there_counts_from_when_its_status_says_a_step_was_begun() {
    let removed = Removed::default();
    let with = |state: StepState, minutes: i64| {
        let mut old = plan("old", 180, state);
        let begun = now().checked_sub(SignedDuration::from_mins(minutes)).unwrap();
        old.status.as_mut().unwrap().steps[0].start_time = Some(Time(begun));
        let found = removed.with([&old].into_iter(), "alice", now());
        // Removed now, it counts the same.
        let alone = Removed::default();
        alone.note(&old, now());
        assert_eq!(alone.with(std::iter::empty(), "alice", now()).len(), found.len());
        sum(&found).effects
    };
    assert_eq!((with(StepState::Done, 59), with(StepState::Done, 60)), (1, 0));
    assert_eq!((with(StepState::Unknown, 1), with(StepState::Failed, 1)), (1, 1));
    // The time of a step that was passed over is no beginning.
    assert_eq!(with(StepState::Skipped, 1), 0);
}

#[test]
fn a_step_that_took_long_counts_for_an_hour_from_its_end() {
    let removed = Removed::default();
    let mut drained = plan("p", 300, StepState::Done);
    let ago = |minutes: i64| {
        Some(Time(
            now().checked_sub(SignedDuration::from_mins(minutes)).unwrap(),
        ))
    };
    let step = &mut drained.status.as_mut().unwrap().steps[0];
    (step.start_time, step.end_time) = (ago(70), ago(30));
    let after = |minutes: i64| {
        let then = now().checked_add(SignedDuration::from_mins(minutes)).unwrap();
        removed.with([&drained].into_iter(), "alice", then).len()
    };
    assert_eq!((after(0), after(29), after(30)), (1, 1, 0));
}

#[test]
fn whoever_removes_a_plan_that_is_under_way_may_remove_one_that_is_begun() {
    let removed = Arc::new(Removed::default());
    let one = || {
        let mut one = plan("p", 1, StepState::Pending);
        one.metadata.namespace = Some("demo".into());
        one
    };
    assert!(!removed.note(&one(), now()));
    let first = removed.under_way("demo", "p");
    let second = removed.under_way("demo", "p");
    assert!(removed.note(&one(), now()));
    drop(first);
    assert!(removed.note(&one(), now()));
    for (namespace, name) in [("demo", "q"), ("prod", "p")] {
        assert!(!removed.is_under_way(namespace, name));
    }
    drop(second);
    assert!(!removed.note(&one(), now()));
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
    // The hour of the first thousand is over, also of those that were added up.
    assert_eq!(counted(15), many(2, 2));
    assert_eq!(counted(57), many(2, 2));
    assert_eq!(counted(58), many(1, 1));
    assert_eq!(counted(60), many(0, 0));
    // Then there is room again.
    let mut later = plan("later", 0, StepState::Done);
    later.metadata.creation_timestamp = Some(Time(at(60)));
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

#[test]
fn a_plan_that_was_just_made_counts_until_the_cache_shows_it_and_once() {
    let removed = Removed::default();
    let none = std::iter::empty::<&CommandPlan>;
    let mut made = plan("p", 0, StepState::Pending);
    made.spec.chat_request_ref.uid = "turn".into();
    let with_uid = made.clone();
    // Nobody knows whether the first try made it.
    made.metadata.uid = None;
    removed.made(&made, now());
    removed.made(&with_uid, now());
    assert_eq!(uids(&removed.with(none(), "alice", now())), ["p"]);
    assert!(removed.with(none(), "bob", now()).is_empty());
    // Shown, and removed before its first step: as every other one.
    assert_eq!(removed.with([&with_uid].into_iter(), "alice", now()).len(), 1);
    assert!(!removed.note(&with_uid, now()), "it was not begun");
    let found = removed.with(none(), "alice", now());
    assert_eq!((uids(&found), found[0].effect), (vec!["p"], false));
    // One that no cache ever shows is forgotten.
    made.spec.chat_request_ref.uid = "other".into();
    removed.made(&made, now());
    let at = |minute: i64| now().checked_add(SignedDuration::from_mins(minute)).unwrap();
    let counted = |minute: i64| removed.with(none(), "alice", at(minute)).len();
    assert_eq!((counted(4), counted(5)), (2, 1));
}
