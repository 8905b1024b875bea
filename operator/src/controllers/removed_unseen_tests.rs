//! Plans that are removed midway while nobody sees it, or while the log or the process goes away: told of once, by whoever can.

use std::time::Duration;

use kube::ResourceExt;
use kubechat_audit::{EventType, Outcome};
use kubechat_core::reason;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::tests::{on_record, recorded, told as overdue, waiting_over};
use super::*;
use crate::audit::about_plan;
use crate::failpoint::Point;
use crate::testing::plans::{Verb, plan_path};
use crate::testing::process::{Fuse, Process, Ran, Suspended, World};
use crate::testing::server::Fate;
use crate::testing::store::Luck;

/// UIDs and messages of the entries that say that a plan is gone.
async fn gone(process: &Process) -> Vec<(String, String)> {
    let entries = process.ctx.audit.page(None).await.unwrap().entries;
    let gone = entries
        .into_iter()
        .filter(|e| e.reason == reason::PLAN_GONE && e.ids.step_id.is_none() && e.outcome == Outcome::Denied);
    gone.map(|e| (e.ids.plan_uid.unwrap_or_default(), e.message))
        .collect()
}

/// Waits until so many plans are told of as gone.
async fn told(process: &Process, many: usize) {
    let all = async {
        while gone(process).await.len() < many {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
}

/// The next leader, which nobody asks to end.
async fn next(world: &mut World) -> Process {
    world.stop = CancellationToken::new();
    world.start(Fuse::long()).await
}

/// The first look of a leader.
async fn looks(process: &Process) {
    let (leaving, waiting) = waiting_over(process);
    drop(leaving);
    waiting.tell(Arc::clone(&process.ctx)).await;
}

/// A process that hangs at this point of an execution.
async fn hangs(verbs: &[Verb], point: Point) -> (World, Process, Suspended) {
    let mut world = World::new();
    world.propose(verbs).await;
    let process = world.start(Fuse::at(point)).await;
    let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
        panic!("not passed");
    };
    (world, process, stopped)
}

/// The log of a plan of which a step was begun, as this version writes it, or as an earlier one did.
async fn begun(process: &Process, plan: &CommandPlan, earlier: bool) {
    let (uid, kind) = (plan.uid().unwrap(), EventType::CommandExecution);
    let mut intent = about_plan(plan, kind, "label", Outcome::Intent, reason::EXECUTING);
    if !earlier {
        intent.payload = serde_json::json!({"stepsTotal": 1, "planNamespace": "demo", "step": "s1"});
    }
    let id = format!("step of {uid}");
    process.ctx.audit.intent(intent, &id).await.unwrap();
}

fn named(plan: &CommandPlan, uid: &str) -> CommandPlan {
    let mut plan = plan.clone();
    plan.metadata.uid = Some(uid.into());
    plan.metadata.name = Some(format!("plan-{uid}"));
    plan
}

#[tokio::test]
async fn a_plan_that_is_removed_midway_while_nobody_leads_is_told_of_once_by_the_next_leader() {
    let one: &[Verb] = &[Verb::Label];
    let two: &[Verb] = &[Verb::Label, Verb::Scale];
    for (verbs, point, words) in [
        (one, Point::AfterIntent, "not known to be done: s1."),
        (one, Point::AfterSend, "not known to be done: s1."),
        (two, Point::BeforeResult, "not known to be done: s1."),
        (two, Point::AfterResult, "Done before: s1."),
    ] {
        let (mut world, process, stopped) = hangs(verbs, point).await;
        drop((stopped, process));
        let seen = world.plan();
        let process = world.start(Fuse::long()).await;
        looks(&process).await;
        assert!(gone(&process).await.is_empty(), "{point:?}: it is there");
        drop(process);
        // Another one of its name is not it.
        let mut other = world.server.remove(&plan_path()).unwrap();
        other["metadata"].as_object_mut().unwrap().remove("uid");
        world.server.put(&plan_path(), other);
        for _ in 0..2 {
            let process = world.start(Fuse::long()).await;
            looks(&process).await;
            looks(&process).await;
            let gone = gone(&process).await;
            assert_eq!(gone.len(), 1, "{point:?}: {gone:?}");
            assert_eq!(gone[0].0, seen.uid().unwrap());
            for words in [words, "No further step was sent", "no operator saw it go"] {
                assert!(
                    gone[0].1.contains(words),
                    "{point:?}: {words:?} is not in {gone:?}"
                );
            }
            let entry = process.ctx.audit.page(None).await.unwrap().entries.pop().unwrap();
            assert_eq!(
                (entry.actor.username.as_str(), entry.ids.plan),
                ("alice", seen.metadata.name.clone())
            );
        }
    }
}

#[tokio::test]
async fn of_a_plan_that_ended_before_it_was_removed_nobody_says_that_it_was_removed_midway() {
    let mut world = World::new();
    world.propose(&[Verb::Label, Verb::Scale]).await;
    let process = world.start(Fuse::long()).await;
    process.finish(&world).await;
    drop(process);
    world.server.remove(&plan_path());
    let process = world.start(Fuse::long()).await;
    looks(&process).await;
    assert!(gone(&process).await.is_empty());
}

#[tokio::test]
async fn what_an_earlier_version_wrote_is_told_of_only_where_a_step_has_no_end_and_its_plan_is_nowhere() {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    let process = world.start(Fuse::long()).await;
    let (here, there) = (named(&world.plan(), "gone"), named(&world.plan(), "there"));
    for plan in [&here, &there, &named(&world.plan(), "done")] {
        begun(&process, plan, true).await;
    }
    let mut result = about_plan(
        &named(&world.plan(), "done"),
        EventType::CommandExecution,
        "label",
        Outcome::Success,
        "Executed",
    );
    result.ids.step_id = Some("step of done".into());
    process.ctx.audit.result(result).await.unwrap();
    let mut elsewhere = serde_json::to_value(&there).unwrap();
    elsewhere["metadata"]["namespace"] = "elsewhere".into();
    let path = plan_path().replace("/demo/", "/elsewhere/");
    let path = format!("{}/plan-there", path.rsplit_once('/').unwrap().0);
    world.server.put(&path, elsewhere);
    looks(&process).await;
    let gone = gone(&process).await;
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert_eq!(gone[0].0, "gone");
    assert!(
        gone[0]
            .1
            .contains("1 step(s) whose names the audit log does not tell"),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_plan_under_way_is_told_of_by_whoever_executes_it_and_looked_at_again_when_it_is_no_more() {
    let (world, process, stopped) = hangs(&[Verb::Label], Point::BeforeResult).await;
    let (leaving, waiting) = waiting_over(&process);
    world.server.remove(&plan_path());
    // Nobody saw it go.
    leaving.unread();
    let telling = tokio::spawn(waiting.tell(Arc::clone(&process.ctx)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(gone(&process).await.is_empty());
    // It ends without a result.
    drop(stopped);
    told(&process, 1).await;
    drop(leaving);
    telling.await.unwrap();
    assert_eq!(gone(&process).await.len(), 1);
}

#[tokio::test]
async fn of_more_removals_than_there_is_room_for_each_is_told_of_once() {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    let process = world.start(Fuse::long()).await;
    let (leaving, waiting) = waiting_over(&process);
    let telling = tokio::spawn(waiting.tell(Arc::clone(&process.ctx)));
    let first = named(&world.plan(), "first");
    begun(&process, &first, false).await;
    leaving.plan(&first);
    told(&process, 1).await;
    let many = MAX_WAITING + 40;
    let mut plans = vec![];
    for n in 0..many {
        plans.push(named(&world.plan(), &format!("many-{n:04}")));
        begun(&process, &plans[n], false).await;
    }
    // At once: nothing is taken from the queue in between.
    plans.iter().for_each(|plan| leaving.plan(plan));
    assert_eq!(leaving.queue.capacity(), 0);
    drop(leaving);
    telling.await.unwrap();
    let mut uids: Vec<String> = gone(&process).await.into_iter().map(|(uid, _)| uid).collect();
    uids.sort();
    let mut expected: Vec<String> = plans.iter().filter_map(ResourceExt::uid).collect();
    expected.insert(0, "first".into());
    assert_eq!(uids, expected);
}

#[tokio::test]
async fn while_one_emergency_cannot_be_looked_at_what_leaves_is_told_and_it_is_tried_again_by_itself() {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    let process = world.start(Fuse::long()).await;
    let (glass, midway) = (named(&world.plan(), "glass"), named(&world.plan(), "midway"));
    on_record(&process, &glass).await;
    begun(&process, &midway, false).await;
    world.server.fates(|asked| {
        let glass = asked.path.ends_with("/plan-glass") || asked.path.ends_with("/commandplans");
        if glass { Fate::Refused(500) } else { Fate::Answered }
    });
    let (leaving, waiting) = waiting_over(&process);
    let telling = tokio::spawn(waiting.tell(Arc::clone(&process.ctx)));
    leaving.plan(&midway);
    told(&process, 1).await;
    assert_eq!(gone(&process).await[0].0, "midway");
    world.server.fates(|_| Fate::Answered);
    // As a plan that is gone and as an emergency nobody reviewed, in whatever order they are tried again.
    told(&process, 2).await;
    overdue(&process, 1).await;
    drop(leaving);
    telling.await.unwrap();
    drop(process);
    assert_eq!(recorded(&mut world).await, ["glass"]);
}

#[tokio::test]
async fn what_cannot_be_read_of_one_plan_keeps_nobody_from_trying_another_one_again_and_is_heard_of_once() {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    let process = world.start(Fuse::long()).await;
    for uid in ["damaged", "refused"] {
        begun(&process, &named(&world.plan(), uid), false).await;
    }
    // Of this one an entry can be read, and another one cannot.
    let mut result = about_plan(
        &named(&world.plan(), "damaged"),
        EventType::CommandExecution,
        "execute",
        Outcome::Failure,
        "Executed",
    );
    result.ids.step_id = Some("step of damaged".into());
    process.ctx.audit.result(result).await.unwrap();
    process.store.damage_entry(3);
    let refused = |asked: &crate::testing::server::Asked| {
        if asked.path.ends_with("/plan-refused") {
            Fate::Refused(500)
        } else {
            Fate::Answered
        }
    };
    world.server.fates(refused);
    let (leaving, waiting) = waiting_over(&process);
    let telling = tokio::spawn(waiting.tell(Arc::clone(&process.ctx)));
    let damaged = || process.ctx.metrics.audit_unreadable.get();
    let heard = async {
        while damaged() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), heard)
        .await
        .unwrap();
    world.server.fates(|_| Fate::Answered);
    told(&process, 1).await;
    assert_eq!(gone(&process).await[0].0, "refused");
    drop(leaving);
    telling.await.unwrap();
    // The entry, and the plan that it is of.
    assert_eq!((damaged(), gone(&process).await.len()), (2, 1));
}

#[tokio::test]
async fn a_removal_that_the_log_does_not_take_at_first_is_told_of_when_it_does_and_once() {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    let process = world.start(Fuse::long()).await;
    let (leaving, waiting) = waiting_over(&process);
    let telling = tokio::spawn(waiting.tell(Arc::clone(&process.ctx)));
    let plan = named(&world.plan(), "midway");
    begun(&process, &plan, false).await;
    let mut tries = 0;
    process.store.luck(move |what| {
        tries += usize::from(what == "entry");
        match tries {
            1 => Luck::Away,
            2 => Luck::Unconfirmed,
            _ => Luck::Good,
        }
    });
    leaving.plan(&plan);
    told(&process, 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(leaving);
    telling.await.unwrap();
    assert_eq!(gone(&process).await.len(), 1);
}

/// A plan that was removed while its step is sent, by a process that is asked to end then.
async fn ends_meanwhile() -> (World, Process, Suspended, Leaving, JoinHandle<()>, CommandPlan) {
    let (world, process, stopped) = hangs(&[Verb::Label], Point::AfterSend).await;
    let (leaving, waiting) = waiting_over(&process);
    let telling = tokio::spawn(waiting.tell(Arc::clone(&process.ctx)));
    let seen = world.plan();
    world.server.remove(&plan_path());
    leaving.plan(&seen);
    while leaving.queue.capacity() < MAX_WAITING {
        tokio::task::yield_now().await;
    }
    world.stop.cancel();
    (world, process, stopped, leaving, telling, seen)
}

#[tokio::test]
async fn a_process_that_is_asked_to_end_tells_first_of_the_plans_that_were_removed_midway() {
    let (_world, process, stopped, leaving, telling, seen) = ends_meanwhile().await;
    // Waits in the queue yet.
    let another = named(&seen, "another");
    begun(&process, &another, false).await;
    leaving.plan(&another);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let _ = stopped.resume().await;
    // The watches are not needed for that.
    tokio::time::timeout(LAST_WORDS, telling).await.unwrap().unwrap();
    drop(leaving);
    let gone = gone(&process).await;
    assert_eq!(gone.len(), 2, "{gone:?}");
    assert!(
        gone.iter()
            .any(|(_, message)| message.contains("Done before: s1.")),
        "{gone:?}"
    );
}

#[tokio::test]
async fn what_a_process_that_ends_cannot_tell_in_its_time_is_told_by_the_next_leader() {
    // Neither does the log take it.
    let (mut world, process, stopped, leaving, telling, _) = ends_meanwhile().await;
    process.store.luck(|_| Luck::Away);
    drop(stopped);
    tokio::time::timeout(LAST_WORDS * 2, telling)
        .await
        .unwrap()
        .unwrap();
    assert!(gone(&process).await.is_empty());
    drop((leaving, process));
    let process = next(&mut world).await;
    looks(&process).await;
    assert_eq!(gone(&process).await.len(), 1);
}

#[tokio::test]
async fn a_process_that_does_not_lead_any_more_tells_nothing_and_ends_at_once() {
    let (mut world, process, stopped, leaving, telling, seen) = ends_meanwhile().await;
    process.ctx.leadership.lose();
    drop(stopped);
    let since = std::time::Instant::now();
    telling.await.unwrap();
    assert!(since.elapsed() < LAST_WORDS / 2, "{:?}", since.elapsed());
    assert!(gone(&process).await.is_empty());
    // Nor does one that believes that it leads, when another one has taken over.
    let seen = named(&seen, "other");
    begun(&process, &seen, false).await;
    drop((leaving, process));
    let (old, new) = (next(&mut world).await, next(&mut world).await);
    let fenced = crate::execute::abandoned(&old.ctx, &seen).await;
    assert!(fenced.is_err(), "{fenced:?}");
    assert!(gone(&new).await.is_empty());
    looks(&new).await;
    assert_eq!(gone(&new).await.len(), 2);
}

#[tokio::test]
async fn an_emergency_that_is_removed_while_the_process_ends_is_told_too() {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    let process = world.start(Fuse::long()).await;
    let mut plan = process.finish(&world).await;
    let status = plan.status.as_mut().unwrap();
    status.approvals.as_mut().unwrap().decisions[0].via = kubechat_crds::Via::BreakGlass;
    let (leaving, waiting) = waiting_over(&process);
    leaving.plan(&plan);
    world.stop.cancel();
    waiting.tell(Arc::clone(&process.ctx)).await;
    drop((leaving, process));
    assert_eq!(recorded(&mut world).await, [plan.uid().unwrap()]);
}
