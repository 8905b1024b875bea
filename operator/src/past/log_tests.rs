use std::collections::BTreeMap;

use jiff::SignedDuration;
use kubechat_audit::{Actor, Draft, Ids};
use kubechat_core::plan::Draft as Drafted;
use kubechat_crds::audit_policy::AuditLevel;
use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};
use kubechat_crds::{AuditPolicySpec, CommandPlan, StepState};
use serde_json::json;

use super::super::tests::{plan, uids};
use super::*;
use crate::audit::{about_plan, target};
use crate::testing::plans::Verb;
use crate::testing::process::{Fuse, Process, World};

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

/// What the next leader knows of a plan that was executed and is gone, and what this one knew of it.
async fn known_of(world: &World, process: &Process) -> (Past, Past) {
    let plan: CommandPlan = process.finish(world).await;
    let now = Timestamp::now();
    process.ctx.past.note(&plan, now);
    let mut before = process.ctx.past.with(std::iter::empty(), "alice", now);
    let (read, unread) = Removed::read(&process.ctx.audit, now).await.unwrap();
    let mut after = read.with(std::iter::empty(), "alice", now);
    assert_eq!((before.len(), after.len(), unread), (1, 1, 0));
    (before.remove(0), after.remove(0))
}

#[tokio::test]
async fn what_any_action_did_adds_up_to_the_same_for_the_next_leader() {
    for verb in Verb::ALL {
        let mut world = World::new();
        world.propose(&[verb]).await;
        let process = world.start(Fuse::long()).await;
        let (before, after) = known_of(&world, &process).await;
        assert!(after.effect, "{verb:?}");
        assert_eq!(after.sum(), before.sum(), "{verb:?}");
        assert_eq!(
            (&after.changed, &after.turn),
            (&before.changed, &before.turn),
            "{verb:?}"
        );
    }
}

/// A deletion of so many ConfigMaps.
fn deletion(world: &World, many: usize) -> Vec<Drafted> {
    let found: Vec<_> = (0..many).map(|i| world.config_map(&format!("m{i}"))).collect();
    let intent = Intent {
        action: Action::Delete,
        target: IntentTarget::default(),
        params: IntentParams::default(),
        confidence: 100,
        span: Span::default(),
    };
    kubechat_core::plan::draft(&intent, &found, &[], Timestamp::now()).unwrap()
}

#[tokio::test]
async fn targets_that_an_entry_does_not_name_count_for_the_next_leader_whatever_a_policy_leaves_out() {
    for level in [AuditLevel::Full, AuditLevel::Metadata, AuditLevel::Off] {
        let mut world = World::new();
        let drafts = deletion(&world, 130);
        assert_eq!(drafts.len(), 1);
        world.approved(drafts).await;
        let process = world.start(Fuse::long()).await;
        let levels = BTreeMap::from([("command_execution".to_owned(), level)]);
        process.ctx.audit.honour(&AuditPolicySpec {
            levels,
            ..AuditPolicySpec::default()
        });
        let (before, after) = known_of(&world, &process).await;
        assert_eq!(
            (after.sum().changed, after.sum().deleted),
            (130, 130),
            "{level:?}"
        );
        assert_eq!(after.sum(), before.sum(), "{level:?}");
        let named = if level == AuditLevel::Full { 100 } else { 1 };
        assert_eq!(after.deleted.len(), named, "{level:?}");
    }
}

#[tokio::test]
async fn what_stands_beside_an_intent_is_kept_however_long_the_names_of_its_targets_are() {
    let mut world = World::new();
    let found: Vec<_> = (0..130)
        .map(|i| world.config_map(&format!("{}-{i}", "n".repeat(200))))
        .collect();
    let intent = Intent {
        action: Action::Delete,
        target: IntentTarget::default(),
        params: IntentParams::default(),
        confidence: 100,
        span: Span::default(),
    };
    let drafts = kubechat_core::plan::draft(&intent, &found, &[], Timestamp::now()).unwrap();
    world.approved(drafts).await;
    let process = world.start(Fuse::long()).await;
    let (before, after) = known_of(&world, &process).await;
    assert_eq!((after.sum(), after.sum().deleted), (before.sum(), 130));
    assert!(
        (10..100).contains(&after.deleted.len()),
        "{}",
        after.deleted.len()
    );
    let entries = process.ctx.audit.page(None).await.unwrap().entries;
    let intent = entries.iter().find(|e| is_intent(e)).unwrap();
    let beside = process.ctx.audit.payload(intent.seq).await.unwrap();
    let kept = ["stepsTotal", "targetsTotal", "planNamespace", "step"].map(|key| beside[key].clone());
    assert_eq!(kept, [json!(1), json!(130), json!("demo"), json!("s1")]);
}

#[tokio::test]
async fn what_was_begun_long_after_it_was_made_counts_from_then_on_for_the_next_leader_too() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    let audit = &process.ctx.audit;
    audit.record(made("p")).await.unwrap();
    for step in ["one", "two"] {
        audit.intent(intent("p", &[step]), step).await.unwrap();
    }
    let entries = audit.page(None).await.unwrap().entries;
    let (mut plans, at) = (HashMap::new(), |minutes: i64| {
        Timestamp::UNIX_EPOCH
            .checked_add(SignedDuration::from_mins(minutes))
            .unwrap()
    });
    for (entry, minutes) in entries.iter().zip([0, 50, 55]).rev() {
        let mut entry = entry.clone();
        entry.time = at(minutes);
        read(&mut plans, &entry, &Value::Null);
    }
    let past = plans.remove("p").unwrap();
    assert_eq!((past.made, past.begun), (Some(at(0)), Some(at(55))));
    let removed = Removed::default();
    removed.keep(past, at(55));
    let there = |minutes: i64| removed.with(std::iter::empty(), "alice", at(minutes)).len();
    assert_eq!((there(60), there(114), there(115)), (1, 1, 0));
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
    let all = 1205;
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
