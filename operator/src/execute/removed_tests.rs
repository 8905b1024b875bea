//! A plan that somebody removes while it is executed: what was not sent is not, and what was begun goes on counting.

use std::sync::Arc;

use http::Method;
use jiff::Timestamp;
use kubechat_audit::{EventType, Outcome};
use kubechat_core::plan::step_id;
use kubechat_crds::CommandPlan;

use crate::controllers::removed;
use crate::failpoint::Point;
use crate::past::Past;
use crate::testing::plans::{Verb, plan_path};
use crate::testing::process::{Fuse, Process, Ran, World};
use crate::testing::server::{Asked, Fate};

/// What counts of alice's hour when the watch has told that the plan was removed, as it saw it last.
fn hour(process: &Process, seen: &CommandPlan) -> Vec<Past> {
    let now = Timestamp::now();
    process.ctx.past.note(seen, now);
    process.ctx.past.with(std::iter::empty(), "alice", now)
}

fn is_report(asked: &Asked) -> bool {
    asked.method == Method::PATCH && asked.path == format!("{}/status", plan_path())
}

/// Intents and results, with their reasons and what they say.
async fn of_steps(world: &mut World) -> Vec<(Outcome, String, String)> {
    let entries = world.entries().await;
    let steps = entries.into_iter().filter(|e| e.ids.step_id.is_some());
    steps.map(|e| (e.outcome, e.reason, e.message)).collect()
}

/// What the log says, once, of the plan being gone.
async fn parting(world: &mut World) -> String {
    let entries = world.entries().await;
    let told: Vec<_> = entries
        .iter()
        .filter(|e| e.reason == "PlanGone" && e.ids.step_id.is_none())
        .collect();
    assert_eq!(told.len(), 1, "{:?}", World::short(&entries));
    assert_eq!(told[0].outcome, Outcome::Denied);
    told[0].message.clone()
}

type Removal = fn(&World);

/// What becomes of a plan that somebody removes.
const REMOVALS: [(&str, Removal); 3] = [
    ("gone", |world| drop(world.server.remove(&plan_path()))),
    ("another one under its name", |world| {
        let mut other = world.server.remove(&plan_path()).unwrap();
        other["metadata"].as_object_mut().unwrap().remove("uid");
        world.server.put(&plan_path(), other);
    }),
    ("on its way out", |world| {
        world.server.edit(&plan_path(), |o| {
            o["metadata"]["deletionTimestamp"] = "2026-05-01T10:00:00Z".into();
        });
    }),
];

#[tokio::test]
async fn a_plan_that_is_removed_between_its_intent_and_its_first_report_is_not_sent_and_the_log_says_so() {
    for (what, remove) in REMOVALS {
        let mut world = World::new();
        let step = world.propose(&[Verb::LabelMany]).await.remove(0);
        let seen = world.plan();
        let process = world.start(Fuse::at(Point::AfterIntent)).await;
        let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
            panic!("{what}: not passed");
        };
        remove(&world);
        stopped.resume().await.unwrap();
        assert_eq!(world.writes(&step), [0, 0, 0], "{what}");
        // As after a restart, when the intent is all that the log tells.
        let found = hour(&process, &seen);
        assert_eq!((found.len(), found[0].effect), (1, true), "{what}");
        // What nothing was sent of is no emergency to review.
        let uid = seen.metadata.uid.as_deref().unwrap();
        assert_eq!(process.ctx.audit.begun(uid).await.unwrap(), None, "{what}");
        let metrics = process.ctx.metrics.text();
        assert!(metrics.contains("reason=\"PlanGone\"} 1"), "{what}: {metrics}");
        drop(process);
        let told = of_steps(&mut world).await;
        let outcomes: Vec<_> = told.iter().map(|(o, why, _)| (*o, why.as_str())).collect();
        assert_eq!(
            outcomes,
            [(Outcome::Intent, "Executing"), (Outcome::Failure, "PlanGone")],
            "{what}"
        );
        for words in ["the plan was removed", "it was not sent"] {
            assert!(told[1].2.contains(words), "{what}: {words:?} is not in {told:?}");
        }
        let parting = parting(&mut world).await;
        assert!(parting.ends_with("No step was done"), "{what}: {parting}");
    }
}

#[tokio::test]
async fn a_plan_that_is_removed_before_a_later_step_is_sent_stops_there_and_the_log_says_what_was_done() {
    let mut world = World::new();
    let steps = world.propose(&[Verb::Label, Verb::Scale]).await;
    let mut reports = 0;
    world.server.fates(move |asked: &Asked| {
        reports += usize::from(is_report(asked));
        if is_report(asked) && reports == 2 {
            Fate::Refused(404)
        } else {
            Fate::Answered
        }
    });
    let process = world.start(Fuse::long()).await;
    process.look(&world).await.unwrap();
    let uid = world.plan().metadata.uid.unwrap();
    assert!(process.ctx.audit.begun(&uid).await.unwrap().is_some());
    drop(process);
    assert_eq!(
        (world.writes(&steps[0]), world.writes(&steps[1])),
        (vec![1], vec![0])
    );
    let told = of_steps(&mut world).await;
    let outcomes: Vec<Outcome> = told.iter().map(|(outcome, ..)| *outcome).collect();
    assert_eq!(
        outcomes,
        [
            Outcome::Intent,
            Outcome::Success,
            Outcome::Intent,
            Outcome::Failure
        ]
    );
    let parting = parting(&mut world).await;
    for words in ["Done before: s1", "ask for the opposite"] {
        assert!(parting.contains(words), "{words:?} is not in {parting:?}");
    }
}

#[tokio::test]
async fn what_was_sent_counts_though_the_status_never_got_to_say_so_before_the_plan_was_removed() {
    let mut world = World::new();
    let step = world.propose(&[Verb::Label]).await.remove(0);
    let seen = world.plan();
    world.server.fates(|asked: &Asked| {
        if is_report(asked) {
            Fate::Refused(500)
        } else {
            Fate::Answered
        }
    });
    let process = world.start(Fuse::long()).await;
    let _ = process.look(&world).await;
    assert_eq!(world.writes(&step), [1]);
    let found = hour(&process, &seen);
    assert_eq!((found.len(), found[0].changed.len()), (1, 1));
    assert!(found[0].effect, "{found:?}");
}

#[tokio::test]
async fn a_plan_that_is_removed_between_two_steps_goes_no_further_and_the_log_says_what_was_done() {
    for (what, remove) in REMOVALS {
        let mut world = World::new();
        let steps = world.propose(&[Verb::Label, Verb::Scale]).await;
        let process = world.start(Fuse::at(Point::AfterResult)).await;
        let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
            panic!("{what}: not passed");
        };
        remove(&world);
        stopped.resume().await.unwrap();
        drop(process);
        let writes = [world.writes(&steps[0]), world.writes(&steps[1])];
        assert_eq!(writes, [[1], [0]], "{what}");
        let entries = world.entries().await;
        let last = entries.last().unwrap();
        assert_eq!(
            (last.outcome, last.reason.as_str()),
            (Outcome::Denied, "PlanGone"),
            "{what}"
        );
        for words in ["no further step was sent", "Done before: s1"] {
            assert!(
                last.message.contains(words),
                "{what}: {words:?} is not in {last:?}"
            );
        }
        let intents = entries.iter().filter(|e| e.outcome == Outcome::Intent).count();
        assert_eq!(intents, 1, "{what}");
    }
}

#[tokio::test]
async fn a_plan_that_is_removed_between_two_tries_of_a_step_is_told_of_once_with_what_was_done_and_what_is_not_known()
 {
    for (what, open) in [("before its intent", false), ("after its intent", true)] {
        let mut world = World::new();
        let steps = world.propose(&[Verb::Label, Verb::Scale]).await;
        let process = world.start(Fuse::at(Point::AfterResult)).await;
        let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
            panic!("{what}: not passed");
        };
        // Whoever executes it ends here, as after an error that is tried again.
        drop(stopped);
        if open {
            let intent = crate::audit::about_plan(
                &world.plan(),
                EventType::CommandExecution,
                "scale",
                Outcome::Intent,
                "Executing",
            );
            let plan = world.plan();
            let id = step_id(plan.metadata.uid.as_deref().unwrap(), 1, &steps[1]);
            process.ctx.audit.intent(intent, &id).await.unwrap();
        }
        let seen = world.plan();
        world.server.remove(&plan_path());
        for _ in 0..2 {
            let (leaving, waiting) = removed::begin(&process.ctx.audit).await.unwrap();
            leaving.plan(&seen);
            drop(leaving);
            waiting.tell(Arc::clone(&process.ctx)).await;
        }
        drop(process);
        let parting = parting(&mut world).await;
        assert!(parting.contains("Done before: s1."), "{what}: {parting}");
        assert_eq!(
            parting.contains("not known to be done: s2"),
            open,
            "{what}: {parting}"
        );
    }
}

#[tokio::test]
async fn a_plan_that_is_removed_after_its_end_or_before_its_begin_leaves_nothing_to_be_told() {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    let unbegun = world.plan();
    let process = world.start(Fuse::long()).await;
    let finished = process.finish(&world).await;
    // Of the one that was never begun the log knows nothing either.
    let mut other = unbegun;
    other.metadata.uid = Some("another".into());
    let (leaving, waiting) = removed::begin(&process.ctx.audit).await.unwrap();
    leaving.plan(&other);
    leaving.plan(&finished);
    drop(leaving);
    waiting.tell(Arc::clone(&process.ctx)).await;
    drop(process);
    let entries = world.entries().await;
    assert!(
        entries.iter().all(|e| e.reason != "PlanGone"),
        "{:?}",
        World::short(&entries)
    );
}
