//! How long a decision is kept, against the API server in memory.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::controller::Action;
use kubechat_crds::Approval;
use serde_json::{Value, json};

use super::reconcile;
use crate::testing::plans::{Verb, plan_path};
use crate::testing::process::{Fuse, World};

const BOB: &str = "/apis/kubechat.io/v1beta1/namespaces/demo/approvals/bob";

fn since(world: &World) -> Value {
    world.server.get(BOB).unwrap()["status"]["planGoneSince"].clone()
}

/// One look of a process whose caches hold what stands there.
async fn look(world: &mut World) -> Action {
    let process = world.start(Fuse::long()).await;
    let approval: Approval = serde_json::from_value(world.server.get(BOB).unwrap()).unwrap();
    reconcile(Arc::new(approval), Arc::clone(&process.ctx))
        .await
        .unwrap()
}

fn days_ago(days: i64) -> Value {
    let then = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

/// A decision that was judged a year ago; its plan is there.
async fn judged() -> World {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    world.server.edit(BOB, |bob| {
        bob["metadata"]["creationTimestamp"] = days_ago(365);
        bob["status"] = json!({"conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
            "lastTransitionTime": days_ago(365)}]});
    });
    world
}

#[tokio::test]
async fn a_decision_whose_plan_is_there_stays_and_is_not_looked_at_over_and_over() {
    let mut world = judged().await;
    for _ in 0..2 {
        assert_eq!(look(&mut world).await, Action::await_change());
    }
    assert_eq!(since(&world), Value::Null);
}

#[tokio::test]
async fn a_decision_goes_thirty_days_after_its_plan_was_found_gone() {
    let mut world = judged().await;
    let plan = world.server.remove(&plan_path()).unwrap();
    let action = look(&mut world).await;
    assert_ne!(action, Action::await_change());
    assert_ne!(action, Action::requeue(Duration::from_millis(50)));
    let first = since(&world);
    assert!(first.is_string(), "{first}");
    look(&mut world).await;
    assert_eq!(since(&world), first, "it is counted from the first time");

    // The cluster's state was put back, and the plan with it.
    world.server.put(&plan_path(), plan);
    assert_eq!(look(&mut world).await, Action::await_change());
    assert_eq!(since(&world), Value::Null);

    world.server.remove(&plan_path());
    for (days, stays) in [(29, true), (31, false)] {
        world
            .server
            .edit(BOB, |bob| bob["status"]["planGoneSince"] = days_ago(days));
        look(&mut world).await;
        assert_eq!(world.server.get(BOB).is_some(), stays, "after {days} days");
    }
}

#[tokio::test]
async fn a_decision_that_git_tracks_stays() {
    let mut world = judged().await;
    world.server.remove(&plan_path());
    world.server.edit(BOB, |bob| {
        bob["metadata"]["labels"] = json!({"kustomize.toolkit.fluxcd.io/name": "demo"});
        bob["status"]["planGoneSince"] = days_ago(60);
    });
    assert_eq!(look(&mut world).await, Action::await_change());
    assert!(world.server.get(BOB).is_some());
}
