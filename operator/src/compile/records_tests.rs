//! What of KubeChat's own a plan that removes a namespace finds in its way, over the whole way of an approved plan.

use jiff::Timestamp;
use kubechat_core::plan::{self, Draft, Found, KindRef};
use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};
use kubechat_crds::{CommandPlanSpec, PlanPhase};
use serde_json::{Value, json};

use crate::failpoint::Point;
use crate::testing::plans::Verb;
use crate::testing::process::{Fuse, Ran, World};

/// What removes namespace `name`, which is there.
fn removal(world: &World, name: &str) -> Vec<Draft> {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {}}});
    let object = world.server.put(&path(name), object);
    let kind = KindRef {
        version: "v1".into(),
        kind: "Namespace".into(),
        resource: "namespaces".into(),
        ..KindRef::default()
    };
    let intent = Intent {
        action: Action::Delete,
        target: IntentTarget::default(),
        params: IntentParams::default(),
        confidence: 100,
        span: Span::default(),
    };
    plan::draft(&intent, &[Found { kind, object }], &[], Timestamp::now()).unwrap()
}

fn path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}")
}

/// A plan there, with this status.
fn hold(world: &World, place: &str, name: &str, status: &Value) {
    let plan = json!({"apiVersion": "kubechat.io/v1beta1", "kind": "CommandPlan",
        "metadata": {"name": name, "namespace": place},
        "spec": serde_json::to_value(CommandPlanSpec::default()).unwrap(), "status": status});
    let path = format!("/apis/kubechat.io/v1beta1/namespaces/{place}/commandplans/{name}");
    world.server.put(&path, plan);
}

/// How an approved plan ends that removes namespace `name`, with what it says, and whether the namespace is there.
async fn removed(name: &str, others: &[(&str, Value)]) -> (PlanPhase, String, bool) {
    let mut world = World::new();
    let drafts = removal(&world, name);
    world.approved(drafts).await;
    for (place, status) in others {
        for n in 0..120 {
            let finished = json!({"conditions": [condition("Succeeded", "True")]});
            // The one that is asked about stands on the second page of the list.
            let status = if n == 119 { status.clone() } else { finished };
            hold(&world, place, &format!("p{n:03}"), &status);
        }
    }
    let process = world.start(Fuse::long()).await;
    let plan = process.finish(&world).await;
    let status = plan.status.unwrap();
    let said = kubechat_crds::condition::find(&status.conditions, "Succeeded").unwrap();
    (
        status.phase.unwrap(),
        said.message.clone(),
        world.server.get(&path(name)).is_some(),
    )
}

fn condition(kind: &str, status: &str) -> Value {
    json!({"type": kind, "status": status, "reason": "R", "message": "m", "lastTransitionTime": "2026-05-01T10:00:00Z"})
}

#[tokio::test]
async fn a_namespace_goes_only_where_no_plan_in_it_is_still_needed_when_it_is_executed() {
    let under_way = json!({"conditions": [condition("Succeeded", "Unknown")]});
    let decision = json!({"name": "glass", "uid": "u", "username": "erin", "via": "BreakGlass", "decision": "Approve", "time": "2026-05-01T10:00:00Z"});
    let emergency = json!({"conditions": [condition("Succeeded", "True")], "steps": [{"id": "s1", "state": "Done"}],
        "approvals": {"summary": "1/1", "required": 1, "received": 1, "decisions": [decision]}});
    for (status, words) in [
        (under_way, "kubectl kubechat cancel p119 -n other"),
        (emergency, "kubectl kubechat review p119 -n other"),
    ] {
        let (phase, said, there) = removed("other", &[("other", status.clone())]).await;
        assert_eq!((phase, there), (PlanPhase::Stale, true), "{said}");
        assert!(said.contains(words) && !said.contains("so it is not"), "{said}");
        // In another namespace it is in nobody's way.
        let (phase, said, there) = removed("other", &[("third", status)]).await;
        assert_eq!((phase, there), (PlanPhase::Succeeded, false), "{said}");
    }
}

#[tokio::test]
async fn the_namespace_of_the_plan_itself_is_not_removed_by_it() {
    let (phase, said, there) = removed("demo", &[]).await;
    assert_eq!((phase, there), (PlanPhase::Stale, true), "{said}");
    assert!(said.contains("holds the request itself"), "{said}");
}

#[tokio::test]
async fn a_namespace_in_which_a_plan_began_since_the_first_step_is_not_removed_by_a_later_one() {
    let mut world = World::new();
    let mut drafts = world.drafts(Verb::Label, 1);
    drafts.extend(removal(&world, "other"));
    world.approved(drafts).await;
    let process = world.start(Fuse::at(Point::AfterResult)).await;
    let Ran::Stopped(stopped) = process.reconcile(world.plan()).await else {
        panic!("it was not begun");
    };
    let under_way = json!({"conditions": [condition("Succeeded", "Unknown")]});
    hold(&world, "other", "late", &under_way);
    stopped.resume().await.unwrap();
    let status = world.plan().status.unwrap();
    let said = kubechat_crds::condition::find(&status.conditions, "Succeeded").unwrap();
    assert_eq!(status.phase, Some(PlanPhase::Interrupted), "{}", said.message);
    assert!(
        said.message.contains("kubectl kubechat cancel late -n other"),
        "{}",
        said.message
    );
    assert!(world.server.get(&path("other")).is_some());
}
