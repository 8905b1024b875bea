use kubechat_audit::{Actor, Draft, EventType, Outcome, Target};
use kubechat_core::reason;

use super::*;
use crate::testing::process::{Fuse, Process, World};

/// An entry about a decision on a plan.
fn decision(uid: &str, verb: &str, outcome: Outcome, why: &str) -> Draft {
    let mut draft = Draft::new(EventType::Approval, Actor::named("erin"), verb, outcome, why);
    draft.ids.plan_uid = Some(uid.into());
    draft.ids.plan = Some(format!("name-{uid}"));
    draft.target = Some(Target {
        namespace: Some("demo".into()),
        ..Target::default()
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
    let found = all(&process).await.open();
    let named: Vec<_> = found.iter().map(|e| (e.plan.as_str(), e.name.as_str())).collect();
    assert_eq!(named, [("open", "name-open"), ("overdue", "name-overdue")]);
    assert_eq!(found[0].namespace.as_deref(), Some("demo"));
}

/// Everything that the log tells.
async fn all(process: &Process) -> Emergencies {
    let mut known = Emergencies::default();
    known.learn(&process.ctx.audit).await.unwrap();
    known
}

async fn broken(process: &Process, uid: &str) -> u64 {
    let draft = decision(uid, "approve", Outcome::Success, reason::BREAK_GLASS);
    process.ctx.audit.record(draft).await.unwrap().unwrap()
}

fn named(known: &Emergencies) -> Vec<String> {
    known.open().into_iter().map(|e| e.plan).collect()
}

#[tokio::test]
async fn one_entry_that_cannot_be_read_silences_none_of_the_others() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    let mut seqs = vec![];
    for uid in ["a", "b", "c"] {
        seqs.push(broken(&process, uid).await);
    }
    process.store.damage_entry(seqs[1]);
    let mut known = all(&process).await;
    assert_eq!(
        (named(&known), known.unread(), known.unread()),
        (vec!["a".into(), "c".into()], 1, 0)
    );
    // It is read, and told, once.
    broken(&process, "d").await;
    known.learn(&process.ctx.audit).await.unwrap();
    assert_eq!((named(&known).len(), known.unread()), (3, 0));
    // Whatever the place of the damage.
    for seq in [seqs[0], seqs[2]] {
        process.store.damage_entry(seq);
    }
    let mut known = all(&process).await;
    assert_eq!((named(&known), known.unread()), (vec!["d".into()], 3));
}

#[tokio::test]
async fn what_was_read_of_the_log_is_not_read_again_and_what_came_since_is() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    let audit = &process.ctx.audit;
    let first = broken(&process, "a").await;
    broken(&process, "b").await;
    let mut known = all(&process).await;
    // Whoever read it again would meet the damage.
    process.store.damage_entry(first);
    known.learn(audit).await.unwrap();
    assert_eq!((named(&known).len(), known.unread()), (2, 0));
    audit
        .record(decision("a", "review", Outcome::Success, "Accepted"))
        .await
        .unwrap();
    broken(&process, "c").await;
    known.learn(audit).await.unwrap();
    assert_eq!((named(&known), known.unread()), (vec!["b".into(), "c".into()], 0));
    known.tell("b");
    known.close("c");
    assert!(named(&known).is_empty());
    assert_eq!((known.was_told("b"), known.was_told("c")), (true, false));
}
