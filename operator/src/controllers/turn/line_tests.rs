//! Turns of one person at once, from the sentence to the plan.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kubechat_crds::{ChatRequest, ChatRequestSpec, CommandPlan};
use serde_json::json;

use super::super::chat_request::{plan_name, reconcile};
use super::super::observed;
use crate::context::Context;
use crate::error::Error;
use crate::testing::people::{person, stamped};
use crate::testing::plans::Verb;
use crate::testing::process::{Fuse, World};
use crate::testing::server::{Asked, Fate};

const OURS: &str = "/apis/kubechat.io/v1beta1/namespaces/demo";
/// As many as the operator works on at a time.
const WORKERS: usize = 16;

/// A turn of this person's that asks for a label.
fn asked(world: &World, name: &str, who: &str) -> Arc<ChatRequest> {
    let spec = ChatRequestSpec {
        prompt: "add label tier=cache to configmap settings".into(),
        ..ChatRequestSpec::default()
    };
    let turn = json!({"apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequest",
        "metadata": {"name": name, "namespace": "demo"}, "spec": serde_json::to_value(spec).unwrap()});
    let collection = format!("{OURS}/chatrequests");
    let turn = stamped(&world.seal, &collection, turn, &person(who, &["developers"]));
    let stored = world.server.put(&format!("{collection}/{name}"), turn);
    Arc::new(serde_json::from_value(stored).unwrap())
}

/// A cluster with its policies and something to label.
async fn cluster() -> World {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    for path in ["commandplans/plan", "chatrequests/turn"] {
        world.server.remove(&format!("{OURS}/{path}"));
    }
    world.config_map("settings");
    world
}

fn plan_of(world: &World, turn: &ChatRequest) -> Option<CommandPlan> {
    let plan = world
        .server
        .get(&format!("{OURS}/commandplans/{}", plan_name(turn)))?;
    Some(serde_json::from_value(plan).unwrap())
}

/// A worker that looks at a turn until it rests.
async fn works(turn: Arc<ChatRequest>, ctx: Arc<Context>) {
    let looked = reconcile(turn, ctx).await;
    assert!(looked.is_ok(), "{looked:?}");
}

#[tokio::test]
async fn turns_of_one_person_that_wait_for_each_other_do_not_keep_anothers_from_being_worked_on() {
    let mut world = cluster().await;
    let all: Vec<_> = (0..WORKERS + 4)
        .map(|n| asked(&world, &format!("mine-{n}"), "alice"))
        .collect();
    let other = asked(&world, "his", "bob");
    // The first one's plan is on its way for ever.
    let process = world
        .start(Fuse::before(|method, path| {
            method == http::Method::POST && path.ends_with("/commandplans")
        }))
        .await;
    let ctx = &process.ctx;
    let queue = all.iter().chain([&other]);
    let mut pool = futures::stream::iter(queue)
        .map(|turn| works(Arc::clone(turn), Arc::clone(ctx)))
        .buffer_unordered(WORKERS);
    let served = async {
        while plan_of(&world, &other).is_none() {
            assert!(pool.next().await.is_some(), "nobody is left to make it");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), served)
        .await
        .expect("the other person's turn is not worked on");
    assert!(all.iter().all(|turn| plan_of(&world, turn).is_none()));
}

#[tokio::test]
async fn turns_of_one_person_at_once_are_planned_one_after_the_other_and_each_sees_those_before() {
    let mut world = cluster().await;
    let turns: Vec<_> = (0..4)
        .map(|n| asked(&world, &format!("mine-{n}"), "alice"))
        .collect();
    let process = world.start(Fuse::long()).await;
    let ctx = &process.ctx;
    let looks = turns.iter().map(|turn| async {
        while plan_of(&world, turn).is_none() {
            works(Arc::clone(turn), Arc::clone(ctx)).await;
            tokio::task::yield_now().await;
        }
    });
    futures::future::join_all(looks).await;
    // No cache has shown any of them.
    assert!(ctx.stores.plans.state().is_empty());
    let plans = turns.iter().filter_map(|turn| plan_of(&world, turn));
    let mut seen: Vec<i32> = plans.map(|plan| plan.spec.facts.window.plans).collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_turn_in_line_that_is_withdrawn_ends_and_holds_up_nobody() {
    let mut world = cluster().await;
    let process = world.start(Fuse::long()).await;
    let ctx = &process.ctx;
    let (second, third) = (asked(&world, "second", "alice"), asked(&world, "third", "alice"));
    let first = ctx.past.hour("alice", "first").unwrap();
    for turn in [&second, &third] {
        let looked = reconcile(Arc::clone(turn), Arc::clone(ctx)).await.unwrap();
        assert_eq!(looked, Action::requeue(super::IN_LINE));
    }
    let path = format!("{OURS}/chatrequests/second");
    world.server.edit(&path, |o| o["spec"]["cancel"] = true.into());
    let withdrawn: ChatRequest = serde_json::from_value(world.server.get(&path).unwrap()).unwrap();
    works(Arc::new(withdrawn), Arc::clone(ctx)).await;
    assert_eq!(world.server.get(&path).unwrap()["status"]["phase"], "Cancelled");
    drop(first);
    works(Arc::clone(&third), Arc::clone(ctx)).await;
    assert!(plan_of(&world, &third).is_some());
}

#[tokio::test]
async fn a_plan_whose_making_is_cut_off_or_not_answered_counts_in_the_hour_of_its_person() {
    for (lost, status) in [
        (true, None),
        (false, None),
        (false, Some(408)),
        (false, Some(504)),
    ] {
        let mut world = cluster().await;
        let turn = asked(&world, "mine", "alice");
        let fuse = if lost || status.is_some() {
            Fuse::long()
        } else {
            Fuse::before(|method, path| method == http::Method::POST && path.ends_with("/commandplans"))
        };
        world.server.fates(move |asked: &Asked| {
            let makes = asked.method == http::Method::POST && asked.path.ends_with("/commandplans");
            match status {
                Some(code) if makes => Fate::DoneBut(code),
                _ if makes && lost => Fate::AnswerLost,
                Some(_) | None => Fate::Answered,
            }
        });
        let process = world.start(fuse).await;
        let ctx = Arc::clone(&process.ctx);
        // With the deadline that every look at a turn has.
        let looked = observed("ChatRequest", reconcile, Arc::clone(&turn), Arc::clone(&ctx)).await;
        assert!(looked.is_err(), "{lost} {status:?}: {looked:?}");
        let found = ctx.plans_within_the_hour("alice", jiff::Timestamp::now());
        let turns: Vec<_> = found.iter().map(|past| past.turn.clone()).collect();
        assert_eq!(turns, [turn.uid().unwrap()], "{lost} {status:?}");
        // It holds up nobody either.
        let next = asked(&world, "next", "alice");
        world.server.fates(|_| Fate::Answered);
        let looked: Result<Action, Error> = reconcile(Arc::clone(&next), ctx).await;
        assert!(looked.is_ok(), "{looked:?}");
        assert_eq!(plan_of(&world, &next).unwrap().spec.facts.window.plans, 1);
    }
}
