//! An execution rests on no watch: caches only wake it. Whatever they hold, what counts is read anew.

use std::sync::Arc;

use kubechat_crds::{PlanPhase, Step};
use serde_json::Value;

use super::{Progress, advance};
use crate::context::Context;
use crate::testing::plans::{Verb, turn_path};
use crate::testing::process::{Fuse, Process, Ran, World};
use crate::testing::server::Server;
use crate::testing::watches::{Loss, Watches};

async fn proposed() -> (World, Step, Process) {
    let mut world = World::new();
    let step = world.propose(&[Verb::Label]).await.remove(0);
    let process = world.start(Fuse::long()).await;
    (world, step, process)
}

/// Changes that no watch tells of.
fn unseen(world: &World, process: &Process, change: impl FnOnce(&Server)) {
    change(&world.server);
    process.watches.suffer(&world.server, || Loss::Lost);
}

fn paths(world: &World, part: &str) -> Vec<String> {
    let names = world.server.all(part);
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    names.iter().map(name).collect()
}

#[tokio::test]
async fn what_no_watch_told_of_stops_a_plan_that_all_caches_let_go() {
    type Change = fn(&World, &Server);
    let changes: [(&str, Change); 4] = [
        ("decisions deleted", |world, server| {
            for name in paths(world, "/approvals/") {
                server.remove(&format!(
                    "/apis/kubechat.io/v1beta1/namespaces/demo/approvals/{name}"
                ));
            }
        }),
        ("suspended", |world, server| {
            for name in paths(world, "/riskpolicies/") {
                server.edit(&format!("/apis/kubechat.io/v1beta1/riskpolicies/{name}"), |o| {
                    o["spec"]["suspend"] = true.into();
                });
            }
        }),
        ("withdrawn", |_, server| {
            server.edit(&turn_path(), |o| o["spec"]["cancel"] = true.into());
        }),
        ("the turn deleted", |_, server| drop(server.remove(&turn_path()))),
    ];
    for (what, change) in changes {
        let (world, step, process) = proposed().await;
        let plan = world.plan();
        unseen(&world, &process, |server| change(&world, server));
        assert!(matches!(process.reconcile(plan).await, Ran::Ended(_)), "{what}");
        assert_eq!(world.writes(&step), [0], "{what}");
        assert_ne!(
            world.plan().status.unwrap().phase,
            Some(PlanPhase::Succeeded),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_plan_is_executed_once_though_every_cache_is_empty() {
    let (world, step, process) = proposed().await;
    let blind = Arc::new(Context {
        stores: Watches::of(&Server::new(world.seal.clone())).stores(),
        ..(*process.ctx).clone()
    });
    assert!(blind.stores.policies.state().is_empty());
    let (progress, _) = advance(&blind, "plan", "demo").await.unwrap().unwrap();
    assert!(matches!(progress, Progress::Sent(_)), "{progress:?}");
    assert_eq!(world.writes(&step), [1]);
}

#[tokio::test]
async fn caches_that_are_behind_make_no_end_of_a_plan_that_was_executed() {
    let (mut world, step, process) = proposed().await;
    let old = world.plan();
    let done = world.start(Fuse::long()).await.finish(&world).await;
    let before = world.entries().await.len();
    // This process saw nothing of it, and no decision either; but that the turn was withdrawn, which came too late.
    for name in paths(&world, "/approvals/") {
        world.server.remove(&format!(
            "/apis/kubechat.io/v1beta1/namespaces/demo/approvals/{name}"
        ));
    }
    world
        .server
        .edit(&turn_path(), |o| o["spec"]["cancel"] = true.into());
    drop(process);
    let late = world.start(Fuse::long()).await;
    assert!(matches!(late.reconcile(old).await, Ran::Ended(Ok(_))));
    assert_eq!(world.plan().status, done.status);
    assert_eq!(
        world.entries().await.len(),
        before,
        "the log tells of an end that was none"
    );
    assert_eq!(world.writes(&step), [1]);
}
