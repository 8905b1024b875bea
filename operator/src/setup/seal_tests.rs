//! Rotation of the seal key, against the API server in memory.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kubechat_core::seal::SealKeys;
use kubechat_crds::{ChatRequest, PlanPhase};
use serde_json::{Value, json};

use super::{ROTATE, data, fresh, refresh, take};
use crate::context::Context;
use crate::testing::people::{person, stamped};
use crate::testing::plans::{Verb, turn_path};
use crate::testing::process::{Fuse, World};

const SECRET: &str = "/api/v1/namespaces/kubechat-system/secrets/kubechat-seal";
const TURNS: &str = "/apis/kubechat.io/v1beta1/namespaces/demo/chatrequests";

/// The Secret as it stands.
fn secret(world: &World) -> Secret {
    serde_json::from_value(world.server.get(SECRET).unwrap()).unwrap()
}

fn keys(world: &World) -> SealKeys {
    SealKeys::from_secret_data(&secret(world).data.unwrap()).unwrap()
}

/// A world whose Secret holds its keys, and is asked for a new one.
fn asked(world: &World) {
    let held = Secret {
        data: Some(data(&world.seal.current, None)),
        ..Secret::default()
    };
    let mut held = serde_json::to_value(held).unwrap();
    held["metadata"] =
        json!({"name": "kubechat-seal", "namespace": "kubechat-system", "annotations": {ROTATE: "now"}});
    world.server.put(SECRET, held);
}

async fn trusted(ctx: &Context, turn: &Value) -> bool {
    let turn: ChatRequest = serde_json::from_value(turn.clone()).unwrap();
    let stamp = turn.spec.requester.as_ref();
    ctx.sealed("ChatRequest", "chatrequests", &turn.metadata, &turn.spec, stamp)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_rotation_loses_nothing_that_waits_and_two_end_what_the_first_key_sealed() {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    asked(&world);
    let process = world.start(Fuse::long()).await;
    take(secret(&world), &process.ctx).await.unwrap();
    let now = keys(&world);
    assert_ne!(now.current.id, world.seal.current.id);
    assert_eq!(now.previous, Some(world.seal.current.clone()));
    assert!(secret(&world).metadata.annotations.unwrap_or_default().is_empty());
    let entries = world.entries().await;
    assert!(entries.iter().any(|e| e.reason == "SealKeyRotated"));

    // The turn and its approvals were sealed before.
    let waiting = world.server.get(&turn_path()).unwrap();
    assert!(trusted(&process.ctx, &waiting).await);
    let process = world.start(Fuse::long()).await;
    refresh(&process.ctx).await.unwrap();
    let plan = process.finish(&world).await;
    assert_eq!(plan.status.unwrap().phase, Some(PlanPhase::Succeeded));

    // Taken once more without being asked, nothing changes.
    take(secret(&world), &process.ctx).await.unwrap();
    assert_eq!(keys(&world), now);
    let mut again = secret(&world);
    again.metadata.annotations = Some([(ROTATE.to_owned(), String::new())].into());
    take(again, &process.ctx).await.unwrap();
    assert!(!trusted(&process.ctx, &waiting).await);
}

#[tokio::test]
async fn what_the_webhook_sealed_with_a_key_that_is_new_here_is_trusted_at_once() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    asked(&world);
    let made = fresh().unwrap();
    let held = serde_json::to_value(Secret {
        data: Some(data(&made, Some(&world.seal.current))),
        ..Secret::default()
    });
    let held = held.unwrap();
    world.server.edit(SECRET, |s| s["data"] = held["data"].clone());
    let turn = json!({"apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequest",
        "metadata": {"name": "new", "namespace": "demo"}, "spec": {"prompt": "list pods"}});
    let keys = |key| SealKeys {
        current: key,
        previous: None,
    };
    let alice = person("alice", &[]);
    let turn = world
        .server
        .put(&format!("{TURNS}/new"), stamped(&keys(made), TURNS, turn, &alice));
    assert!(trusted(&process.ctx, &turn).await);

    let forged = stamped(&keys(fresh().unwrap()), TURNS, turn.clone(), &alice);
    let forged = world.server.put(&format!("{TURNS}/forged"), forged);
    assert!(!trusted(&process.ctx, &forged).await);
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_leaves_the_keys_that_were_read_before() {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    asked(&world);
    let process = world.start(Fuse::long()).await;
    world
        .server
        .edit(SECRET, |s| s["data"]["current.key"] = "AAAA".into());
    assert!(take(secret(&world), &process.ctx).await.is_err());
    assert!(refresh(&process.ctx).await.is_err());
    world.server.remove(SECRET);
    refresh(&process.ctx).await.unwrap();
    let waiting = world.server.get(&turn_path()).unwrap();
    assert!(trusted(&process.ctx, &waiting).await);
}

#[tokio::test]
async fn only_a_leader_rotates() {
    let mut world = World::new();
    asked(&world);
    let process = world.start(Fuse::long()).await;
    process.ctx.leadership.lose();
    let ctx = Arc::clone(&process.ctx);
    assert!(take(secret(&world), &ctx).await.is_err());
    assert_eq!(keys(&world).current, world.seal.current);
}
