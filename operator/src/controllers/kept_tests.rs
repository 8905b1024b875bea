use http::Method;
use serde_json::json;

use super::*;
use crate::testing::process::{Fuse, Process, World};
use crate::testing::server::{Asked, Fate};
use crate::testing::store::Luck;

const DIGEST: &str = "sha256:4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a";

/// A turn with bytes. Returns its UID.
async fn turn(world: &World, process: &Process, name: &str) -> String {
    let path = format!("/apis/kubechat.io/v1beta1/namespaces/demo/chatrequests/{name}");
    let made = world.server.put(
        &path,
        json!({"apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequest", "metadata": {"name": name, "namespace": "demo"},
            "spec": {"prompt": "p"}}),
    );
    let uid = made["metadata"]["uid"].as_str().unwrap().to_owned();
    process.ctx.audit.keep(&uid, DIGEST, vec![1]).await.unwrap();
    uid
}

fn delete(world: &World, name: &str) {
    let path = format!("/apis/kubechat.io/v1beta1/namespaces/demo/chatrequests/{name}");
    world.server.remove(&path).unwrap();
}

async fn left(process: &Process) -> Vec<String> {
    process.ctx.audit.kept_for().await.unwrap()
}

#[tokio::test]
async fn the_bytes_of_deleted_turns_are_forgotten_and_no_others_while_no_cache_is_filled() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    // More than a page of turns: the last ones stand on the second.
    for at in 0..=PAGE {
        turn(&world, &process, &format!("turn-{at:03}")).await;
    }
    let gone = turn(&world, &process, "wrong").await;
    let before = left(&process).await;
    assert_eq!(sweep(&process.ctx).await.unwrap(), 0);
    assert_eq!(left(&process).await, before);
    delete(&world, "wrong");
    assert_eq!(sweep(&process.ctx).await.unwrap(), 1);
    let after = left(&process).await;
    assert_eq!(after.len(), before.len() - 1);
    assert!(!after.contains(&gone));
}

#[tokio::test]
async fn a_turn_made_again_under_its_name_does_not_keep_the_old_ones_bytes() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    turn(&world, &process, "again").await;
    delete(&world, "again");
    let new = turn(&world, &process, "again").await;
    assert_eq!(sweep(&process.ctx).await.unwrap(), 1);
    assert_eq!(left(&process).await, [new]);
}

#[tokio::test]
async fn nothing_is_forgotten_on_the_word_of_an_api_server_that_does_not_answer_to_the_end() {
    for fate in [
        Fate::Lost,
        Fate::Refused(410),
        Fate::Refused(500),
        Fate::AnswerLost,
    ] {
        for page in 0..2 {
            let mut world = World::new();
            let process = world.start(Fuse::long()).await;
            for at in 0..=PAGE {
                turn(&world, &process, &format!("turn-{at:03}")).await;
            }
            turn(&world, &process, "wrong").await;
            delete(&world, "wrong");
            let before = left(&process).await;
            let mut lists = 0;
            world.server.fates(move |asked: &Asked| {
                let list = asked.method == Method::GET && asked.path.ends_with("/chatrequests");
                lists += usize::from(list);
                if list && lists == page + 1 {
                    fate
                } else {
                    Fate::Answered
                }
            });
            assert!(sweep(&process.ctx).await.is_err(), "{fate:?} on page {page}");
            assert_eq!(left(&process).await, before, "{fate:?} on page {page}");
        }
    }
}

#[tokio::test]
async fn a_process_that_ends_anywhere_in_a_sweep_leaves_the_rest_to_the_next_one() {
    for boundary in 1..20 {
        let mut world = World::new();
        let first = world.start(Fuse::long()).await;
        let mut kept = vec![turn(&world, &first, "a").await, turn(&world, &first, "b").await];
        for name in ["x", "y", "z"] {
            turn(&world, &first, name).await;
            delete(&world, name);
        }
        let dying = world.start(Fuse::after(boundary)).await;
        let fuse = Arc::clone(&dying.fuse);
        tokio::select! {
            biased;
            () = fuse.blown() => {}
            swept = sweep(&dying.ctx) => assert_eq!(swept.unwrap(), 3, "at {boundary}"),
        }
        let next = world.start(Fuse::long()).await;
        sweep(&next.ctx).await.unwrap();
        kept.sort();
        assert_eq!(left(&next).await, kept, "ended at {boundary}");
    }
}

#[tokio::test]
async fn a_store_that_is_away_and_a_leader_that_was_replaced_forget_nothing() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    turn(&world, &process, "x").await;
    delete(&world, "x");
    process.store.luck(|_| Luck::Away);
    assert!(sweep(&process.ctx).await.is_err());
    process.store.luck(|_| Luck::Good);
    process.ctx.leadership.lose();
    assert!(matches!(sweep(&process.ctx).await, Err(Error::NotLeader)));
    assert_eq!(left(&process).await.len(), 1);
}
