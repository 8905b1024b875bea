//! Plans that are removed while they are under way, and emergencies of which one cannot be told.

use super::emergency::{Trusted, meanwhile};
use super::tests::{executed_in_an_emergency, on_record, recorded, waiting_over};
use super::*;
use crate::failpoint::Point;
use crate::past::Emergencies;
use crate::testing::plans::{Verb, plan_path};
use crate::testing::process::{Fuse, Ran, World};
use crate::testing::server::Fate as Fated;
use kubechat_core::reason;

/// What the log says of plans being gone, when one was removed at this point of its execution, which then goes on or not.
async fn removed_at(point: Point, goes_on: bool) -> Vec<String> {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    let seen = world.plan();
    let process = world.start(Fuse::at(point)).await;
    let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
        panic!("not passed");
    };
    let (leaving, waiting) = waiting_over(&process);
    let telling = tokio::spawn(waiting.tell(Arc::clone(&process.ctx)));
    world.server.remove(&plan_path());
    leaving.plan(&seen);
    assert!(leaving.queue.capacity() < MAX_WAITING, "it may be begun");
    while leaving.queue.capacity() < MAX_WAITING {
        tokio::task::yield_now().await;
    }
    if goes_on {
        let _ = stopped.resume().await;
    } else {
        drop(stopped);
    }
    drop(leaving);
    telling.await.unwrap();
    drop(process);
    let entries = world.entries().await;
    let told = entries
        .iter()
        .filter(|e| e.reason == reason::PLAN_GONE && e.ids.step_id.is_none());
    told.map(|e| e.message.clone()).collect()
}

#[tokio::test]
async fn of_a_plan_that_is_removed_while_it_is_only_looked_at_nothing_is_told() {
    assert!(removed_at(Point::BeforeIntent, false).await.is_empty());
}

#[tokio::test]
async fn of_a_plan_that_is_removed_while_a_step_is_sent_it_is_told_what_came_of_that_step() {
    let told = removed_at(Point::AfterSend, true).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("Done before: s1."), "{told:?}");
}

#[tokio::test]
async fn a_plan_that_ended_here_is_not_told_as_removed_midway_by_a_watch_that_lost_its_end() {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    let process = world.start(Fuse::at(Point::Waiting)).await;
    let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
        panic!("not passed");
    };
    // Its last state that the watch knows: all is done, and the effect is waited for.
    let seen = world.plan();
    stopped.resume().await.unwrap();
    let ended = process.finish(&world).await;
    assert_eq!(
        ended.status.unwrap().phase,
        Some(kubechat_crds::PlanPhase::Succeeded)
    );
    let (leaving, waiting) = waiting_over(&process);
    world.server.remove(&plan_path());
    leaving.plan(&seen);
    drop(leaving);
    waiting.tell(Arc::clone(&process.ctx)).await;
    drop(process);
    let entries = world.entries().await;
    assert!(
        entries.iter().all(|e| e.reason != reason::PLAN_GONE),
        "{:?}",
        World::short(&entries)
    );
}

#[tokio::test]
async fn an_emergency_that_cannot_be_looked_at_silences_none_of_the_others_and_is_told_later() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let mut stored: CommandPlan = serde_json::from_value(world.server.remove(&path).unwrap()).unwrap();
    world.server.remove(&plan_path());
    for name in ["first", "second"] {
        stored.metadata.name = Some(format!("plan-{name}"));
        stored.metadata.uid = Some(name.into());
        on_record(&process, &stored).await;
    }
    world.server.fates(|asked| {
        if asked.path.ends_with("/plan-first") {
            Fated::Refused(500)
        } else {
            Fated::Answered
        }
    });
    let mut known = Emergencies::default();
    let past = Arc::clone(&process.ctx.past);
    let looked = meanwhile(&process.ctx, &past, &mut known, Trusted::Nothing).await;
    assert!(looked.unwrap().again && known.was_told("second") && !known.was_told("first"));
    world.server.fates(|_| Fated::Answered);
    let looked = meanwhile(&process.ctx, &past, &mut known, Trusted::Nothing).await;
    let looked = looked.unwrap();
    assert!(!looked.waits && !looked.again && known.was_told("first"));
    drop(process);
    assert_eq!(recorded(&mut world).await, ["first", "second"]);
}
