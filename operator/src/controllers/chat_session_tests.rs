//! What the controller makes of a session that admission did not see, and of one that asks for too much.

use std::sync::Arc;

use kubechat_audit::Outcome;
use kubechat_crds::condition::{find, types};
use kubechat_crds::{ChatSession, Identity};
use serde_json::{Value, json};

use super::reconcile;
use crate::testing::people::{person, stamped};
use crate::testing::process::{Fuse, World};

const SESSIONS: &str = "/apis/kubechat.io/v1beta1/namespaces/demo/chatsessions";

fn session(spec: &Value) -> Value {
    json!({"apiVersion": "kubechat.io/v1beta1", "kind": "ChatSession",
        "metadata": {"name": "talk", "namespace": "demo"}, "spec": spec})
}

/// Stores it, lets the controller look twice, and returns reason and message of `Ready`, and the metrics.
async fn looked_at(world: &mut World, session: Value) -> (String, String, String) {
    let path = format!("{SESSIONS}/talk");
    world.server.put(&path, session);
    let process = world.start(Fuse::long()).await;
    for _ in 0..2 {
        let stored: ChatSession = serde_json::from_value(world.server.get(&path).unwrap()).unwrap();
        reconcile(Arc::new(stored), Arc::clone(&process.ctx))
            .await
            .unwrap();
    }
    let seen: ChatSession = serde_json::from_value(world.server.get(&path).unwrap()).unwrap();
    let conditions = seen.status.unwrap().conditions;
    let ready = find(&conditions, types::READY).unwrap().clone();
    (ready.reason, ready.message, process.ctx.metrics.text())
}

#[tokio::test]
async fn a_session_without_a_valid_seal_is_refused_recorded_once_and_counted() {
    let alice = Identity {
        seal: None,
        ..person("alice", &[])
    };
    for spec in [json!({}), json!({"requester": alice})] {
        let mut world = World::new();
        let (reason, said, metrics) = looked_at(&mut world, session(&spec)).await;
        assert_eq!(reason, "UntrustedOrigin");
        assert!(said.contains("create it again"), "{said}");
        let refusals: Vec<_> = metrics
            .lines()
            .filter(|l| l.contains("kind=\"ChatSession\"") && l.contains("UntrustedOrigin"))
            .collect();
        assert!(
            matches!(refusals[..], [one] if one.ends_with(" 1")),
            "{refusals:?}"
        );
        let entries = world.entries().await;
        let [entry] = &entries[..] else {
            panic!("{:?}", World::short(&entries));
        };
        assert_eq!(
            (entry.outcome, entry.reason.as_str()),
            (Outcome::Denied, "UntrustedOrigin")
        );
        assert_eq!(entry.ids.session.as_deref(), Some("talk"));
        assert_eq!(entry.actor.username, "(unstamped)");
    }
}

#[tokio::test]
async fn a_session_that_asks_for_what_is_not_supported_says_so() {
    for (spec, reason) in [
        (json!({"defaults": {"namespace": "demo"}}), "Ready"),
        (json!({"defaults": {"confirm": "Always"}}), "Ready"),
        (json!({"defaults": {"notify": ["ops"]}}), "NotSupported"),
        // That it is over matters more.
        (
            json!({"closed": true, "defaults": {"notify": ["ops"]}}),
            "SessionClosed",
        ),
    ] {
        let mut world = World::new();
        let alice = person("alice", &[]);
        let sealed = stamped(&world.seal, SESSIONS, session(&spec), &alice);
        assert_eq!(looked_at(&mut world, sealed).await.0, reason, "{spec}");
    }
}
