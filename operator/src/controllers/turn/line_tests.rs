//! Turns of one person at once, from the sentence to the plan.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::watcher::Event;
use kubechat_crds::{ChatRequest, ChatRequestSpec, CommandPlan};
use serde_json::json;

use super::super::chat_request::{plan_name, reconcile};
use super::super::{IN_LINE, observed, retry};
use crate::context::Context;
use crate::error::Error;
use crate::testing::people::{person, stamped};
use crate::testing::plans::{Verb, plan_path};
use crate::testing::process::{Fuse, World};
use crate::testing::server::{Asked, Fate};
use crate::testing::watches::Loss;

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

/// One look, as the queue has it.
async fn looks(turn: Arc<ChatRequest>, ctx: Arc<Context>) -> Result<Action, Error> {
    let looked = observed("ChatRequest", reconcile, Arc::clone(&turn), Arc::clone(&ctx)).await;
    if let Err(error) = &looked {
        let _ = retry("ChatRequest", &*turn, error, &ctx);
    }
    looked
}

/// A worker that looks at a turn until it rests.
async fn works(turn: Arc<ChatRequest>, ctx: Arc<Context>) {
    let looked = reconcile(turn, ctx).await;
    assert!(matches!(looked, Ok(_) | Err(Error::InLine)), "{looked:?}");
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
        let looked = looks(Arc::clone(turn), Arc::clone(ctx)).await.unwrap();
        assert_eq!(looked, Action::requeue(IN_LINE));
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
async fn a_turn_that_has_its_plan_or_its_end_holds_up_nobody_in_line() {
    for ended in [false, true] {
        let mut world = World::new();
        world.propose(&[Verb::Label]).await;
        world.config_map("settings");
        let mut plan = world.server.remove(&plan_path()).unwrap();
        let process = world.start(Fuse::long()).await;
        let ctx = &process.ctx;
        let (second, third) = (asked(&world, "second", "alice"), asked(&world, "third", "alice"));
        let first = ctx.past.hour("alice", "first").unwrap();
        for turn in [&second, &third] {
            works(Arc::clone(turn), Arc::clone(ctx)).await;
        }
        let path = format!("{OURS}/chatrequests/second");
        if ended {
            world.server.edit(&path, |o| {
                o["status"] = json!({"completionTime": jiff::Timestamp::now().to_string(), "conditions": [{"type": "Succeeded",
                    "status": "False", "reason": "Invalid", "message": "", "lastTransitionTime": "2026-05-01T10:00:00Z"}]});
            });
        } else {
            // Made by an operator that could not say so.
            let name = plan_name(&second);
            plan["metadata"]["name"] = name.as_str().into();
            plan["spec"]["chatRequestRef"] = json!({"name": "second", "uid": second.uid().unwrap()});
            world
                .server
                .put(&format!("{OURS}/commandplans/{name}"), plan.take());
            process.watches.suffer(&world.server, || Loss::None);
        }
        let stands = serde_json::from_value(world.server.get(&path).unwrap()).unwrap();
        works(Arc::new(stands), Arc::clone(ctx)).await;
        drop(first);
        works(Arc::clone(&third), Arc::clone(ctx)).await;
        assert!(plan_of(&world, &third).is_some(), "ended {ended}");
    }
}

#[tokio::test]
async fn a_turn_that_needs_one_in_line_waits_for_it_and_the_time_in_line_does_not_count() {
    let mut world = cluster().await;
    let said = |name: &str, prompt: &str| {
        let turn = asked(&world, name, "alice");
        let path = format!("{OURS}/chatrequests/{name}");
        world.server.remove(&path);
        let mut turn = serde_json::to_value(&*turn).unwrap();
        turn["spec"]["sessionRef"] = json!({"name": "talk"});
        turn["spec"]["prompt"] = prompt.into();
        let turn = stamped(
            &world.seal,
            &format!("{OURS}/chatrequests"),
            turn,
            &person("alice", &["developers"]),
        );
        let stored: ChatRequest = serde_json::from_value(world.server.put(&path, turn)).unwrap();
        Arc::new(stored)
    };
    let talk = json!({"apiVersion": "kubechat.io/v1beta1", "kind": "ChatSession", "metadata": {"name": "talk",
        "namespace": "demo"}, "spec": {}});
    let sessions = format!("{OURS}/chatsessions");
    let talk = stamped(&world.seal, &sessions, talk, &person("alice", &["developers"]));
    world.server.put(&format!("{sessions}/talk"), talk);
    let first = said("first", "add label tier=cache to configmap settings");
    let second = said("second", "now remove that label from it");
    let process = world.start(Fuse::long()).await;
    let ctx = &process.ctx;
    for turn in [&first, &second] {
        ctx.talks.see(&Event::Apply((**turn).clone()));
    }
    let another = ctx.past.hour("alice", "another").unwrap();
    works(Arc::clone(&first), Arc::clone(ctx)).await;
    let long = Duration::from_millis(50);
    works(Arc::clone(&second), Arc::clone(ctx)).await;
    while ctx.talks.waited(&second) < long {
        tokio::task::yield_now().await;
    }
    works(Arc::clone(&second), Arc::clone(ctx)).await;
    assert!(ctx.talks.waited(&second) < long);
    // Out of the line, it counts.
    ctx.past.leave_line(first.metadata.uid.as_deref().unwrap());
    while ctx.talks.waited(&second) < long {
        tokio::task::yield_now().await;
    }
    works(Arc::clone(&second), Arc::clone(ctx)).await;
    assert!(ctx.talks.waited(&second) >= long);
    drop(another);
}

#[tokio::test]
async fn a_plan_that_is_refused_again_and_again_ends_its_turn_though_others_come_between() {
    let mut world = cluster().await;
    let process = world.start(Fuse::long()).await;
    let ctx = &process.ctx;
    let mine = asked(&world, "mine", "alice");
    world.server.fates(|asked: &Asked| {
        let makes = asked.method == http::Method::POST && asked.path.ends_with("/commandplans");
        if makes { Fate::Refused(422) } else { Fate::Answered }
    });
    let phase = || world.server.get(&format!("{OURS}/chatrequests/mine")).unwrap()["status"]["phase"].clone();
    for _ in 0..20 {
        if phase() == "Failed" {
            return;
        }
        let first = ctx.past.hour("alice", "another").unwrap();
        let _ = looks(Arc::clone(&mine), Arc::clone(ctx)).await;
        drop(first);
        let _ = looks(Arc::clone(&mine), Arc::clone(ctx)).await;
    }
    panic!("it is tried for ever: {}", phase());
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

#[tokio::test]
async fn what_others_change_whenever_it_is_tried_ends_its_turn_after_a_few_tries_and_not_after_one() {
    let mut world = cluster().await;
    let process = world.start(Fuse::long()).await;
    let ctx = &process.ctx;
    asked(&world, "mine", "alice");
    world.server.fates(|asked: &Asked| {
        let tries = asked.method == http::Method::PATCH && asked.path.ends_with("/configmaps/settings");
        let modified = "Operation cannot be fulfilled on configmaps \"settings\": the object has been modified; please apply your changes to the latest version and try again";
        if tries { Fate::Told(409, modified) } else { Fate::Answered }
    });
    let turn = || world.server.get(&format!("{OURS}/chatrequests/mine")).unwrap();
    let mut looks_taken = 0;
    while turn()["status"]["phase"] != "Failed" {
        looks_taken += 1;
        assert!(looks_taken < 20, "it is tried for ever: {}", turn()["status"]);
        let now = serde_json::from_value(turn()).unwrap();
        let _ = looks(Arc::new(now), Arc::clone(ctx)).await;
    }
    assert!(looks_taken > 3, "{looks_taken}");
    let said = turn()["status"]["conditions"].to_string();
    assert!(
        said.contains("DryRunFailed") && said.contains("changed by others"),
        "{said}"
    );
}
