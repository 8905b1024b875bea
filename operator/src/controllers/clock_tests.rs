//! A clock that runs ahead ends nothing and removes nothing; the same things end by the right one.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kubechat_core::reason;
use serde_json::{Value, json};

use super::{approval, chat_request, chat_session, command_plan};
use crate::error::Error;
use crate::testing::people::{person, stamped};
use crate::testing::plans::{Verb, plan_path, turn_path};
use crate::testing::process::{Fuse, Process, World};

const OURS: &str = "/apis/kubechat.io/v1beta1/namespaces/demo";

fn ago(hours: i64) -> Value {
    let then = Timestamp::now() - SignedDuration::from_hours(hours);
    then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

/// What time ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing {
    Plan,
    Frozen,
    /// All was sent; its effect is waited for.
    Effect,
    Turn,
    Session,
    Approval,
    OldTurn,
    OldApproval,
}

impl Thing {
    fn path(self) -> String {
        match self {
            Self::Plan | Self::Frozen | Self::Effect => plan_path(),
            Self::Turn | Self::OldTurn => turn_path(),
            Self::Session => format!("{OURS}/chatsessions/talk"),
            Self::Approval | Self::OldApproval => format!("{OURS}/approvals/bob"),
        }
    }

    /// A world in which its time came an hour ago, and in which it is not over.
    async fn world(self) -> World {
        let mut world = World::new();
        let verb = if self == Self::Effect {
            Verb::Delete
        } else {
            Verb::Label
        };
        let steps = world.propose(&[verb]).await;
        let (server, path) = (&world.server, self.path());
        let condition = |kind: &str| json!([{"type": kind, "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": ago(2000)}]);
        // As somebody wrote it, with its seal.
        let sealed = |change: &dyn Fn(&mut Value), who: &str| {
            let mut object = server.get(&path).unwrap();
            change(&mut object["spec"]);
            let collection = path.rsplit_once('/').unwrap().0;
            let object = stamped(&world.seal, collection, object, &person(who, &["developers"]));
            server.edit(&path, |o| *o = object.clone());
        };
        match self {
            Self::Plan => world.rewrite(true, |plan| plan.expires_at = ago(1).as_str().unwrap().to_owned()),
            Self::Frozen => server.edit("/apis/kubechat.io/v1beta1/riskpolicies/baseline", |o| {
                o["spec"]["rules"] = json!([{"name": "night", "effect": "Deny", "message": "not now",
                    "when": format!("now > timestamp('{}')", ago(1).as_str().unwrap())}]);
            }),
            Self::Effect => server.edit(&path, |o| {
                o["status"] = json!({"phase": "Executing", "steps": [{"id": steps[0].id, "state": "Done", "done": 1,
                    "endTime": ago(1)}]});
            }),
            Self::Turn => {
                drop(server.remove(&plan_path()));
                sealed(&|spec| spec["notAfter"] = ago(1), "alice");
            }
            Self::Session => {
                let talk = json!({"apiVersion": "kubechat.io/v1beta1", "kind": "ChatSession", "spec": {"ttl": "10s"},
                    "metadata": {"name": "talk", "namespace": "demo"}});
                let collection = format!("{OURS}/chatsessions");
                let mut talk = stamped(&world.seal, &collection, talk, &person("alice", &[]));
                // As long ago as its seal may differ.
                let created = Timestamp::now() - SignedDuration::from_secs(60);
                talk["metadata"]["creationTimestamp"] =
                    created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
                server.put(&path, talk);
            }
            Self::Approval => sealed(&|spec| spec["expiresAt"] = ago(1), "bob"),
            Self::OldTurn => server.edit(&path, |o| {
                o["spec"]["ttlSecondsAfterFinished"] = 0.into();
                o["status"] = json!({"completionTime": ago(1), "conditions": condition("Succeeded")});
            }),
            Self::OldApproval => {
                drop(server.remove(&plan_path()));
                server.edit(&path, |o| {
                    o["status"] = json!({"planGoneSince": ago(1000), "conditions": condition("Accepted")});
                });
            }
        }
        world
    }

    async fn look(self, world: &World, process: &Process) -> Result<(), Error> {
        let (object, ctx) = (world.server.get(&self.path()).unwrap(), Arc::clone(&process.ctx));
        let action = match self {
            Self::Plan | Self::Frozen | Self::Effect => command_plan::reconcile(of(object), ctx).await,
            Self::Turn | Self::OldTurn => chat_request::reconcile(of(object), ctx).await,
            Self::Session => chat_session::reconcile(of(object), ctx).await,
            Self::Approval | Self::OldApproval => approval::reconcile(of(object), ctx).await,
        };
        action.map(drop)
    }

    fn is_over(self, world: &World) -> bool {
        let Some(object) = world.server.get(&self.path()) else {
            return true;
        };
        let conditions = object["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let ended = |kind: &str| {
            conditions
                .iter()
                .any(|c| c["type"] == kind && c["status"] == "False")
        };
        match self {
            Self::Plan | Self::Frozen | Self::Effect | Self::Turn => ended("Succeeded"),
            Self::Session => object["status"]["phase"] == "Expired",
            Self::Approval => ended("Accepted"),
            Self::OldTurn | Self::OldApproval => false,
        }
    }
}

fn of<K: serde::de::DeserializeOwned>(object: Value) -> Arc<K> {
    Arc::new(serde_json::from_value(object).unwrap())
}

#[tokio::test]
async fn nothing_ends_and_nothing_is_removed_by_a_clock_that_runs_ahead_of_the_api_servers() {
    let mut wrong = vec![];
    for thing in [
        Thing::Plan,
        Thing::Frozen,
        Thing::Effect,
        Thing::Turn,
        Thing::Session,
        Thing::Approval,
        Thing::OldTurn,
        Thing::OldApproval,
    ] {
        let mut world = thing.world().await;
        // By the API server's clock there is an hour left.
        world.server.run_ahead(-7200);
        let process = world.start(Fuse::long()).await;
        let looked = thing.look(&world, &process).await;
        if thing.is_over(&world) {
            wrong.push(thing);
            continue;
        }
        match looked {
            Err(error) if thing == Thing::OldTurn => panic!("a failure of the turn: {error}"),
            Err(error) => assert_eq!(error.reason(), reason::CLOCK_SKEW, "{thing:?}: {error}"),
            // It stays, and has nothing to say.
            Ok(()) if thing == Thing::OldTurn => {}
            // An approval says so itself.
            Ok(()) => {
                let conditions = &world.server.get(&thing.path()).unwrap()["status"]["conditions"];
                assert_eq!(
                    conditions[0]["reason"],
                    reason::CLOCK_SKEW,
                    "{thing:?}: {conditions}"
                );
            }
        }
        world.server.run_ahead(0);
        thing.look(&world, &process).await.unwrap();
        assert!(thing.is_over(&world), "{thing:?} is not over");
        drop(process);
        let entries = world.entries().await;
        let opened = entries.iter().filter(|e| e.reason == "SessionOpened").count();
        assert_eq!(opened, usize::from(thing == Thing::Session), "{thing:?}");
    }
    assert_eq!(wrong, [], "over");
}
