use kubechat_crds::condition::find;
use serde_json::{Value, json};

use super::*;
use crate::testing::people::{person, stamped};
use crate::testing::plans::{Verb, plan_path};
use crate::testing::process::{Fuse, Process, World};

const APPROVALS: &str = "/apis/kubechat.io/v1beta1/namespaces/demo/approvals";

/// A world whose plan was executed on the word of bob and carol.
async fn executed() -> (World, Process, String) {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    let process = world.start(Fuse::long()).await;
    let plan = process.finish(&world).await;
    assert_eq!(plan.status.unwrap().approvals.unwrap().decisions.len(), 2);
    // Whose cache shows the end.
    let process = world.start(Fuse::long()).await;
    (world, process, plan.spec.digest)
}

fn approval(name: &str, digest: &str, decision: &str) -> Value {
    json!({"apiVersion": "kubechat.io/v1beta1", "kind": "Approval", "metadata": {"name": name, "namespace": "demo"},
        "spec": {"planRef": {"name": "plan"}, "planDigest": digest, "decision": decision}})
}

/// What the controller says of the object under this name: condition `Accepted`, its reason, and for whom it counts.
async fn judgement(world: &World, process: &Process, name: &str) -> (String, String, Option<String>) {
    let path = format!("{APPROVALS}/{name}");
    let stored = || -> Approval { serde_json::from_value(world.server.get(&path).unwrap()).unwrap() };
    reconcile(Arc::new(stored()), Arc::clone(&process.ctx))
        .await
        .unwrap();
    let status = stored().status.unwrap();
    let said = find(&status.conditions, types::ACCEPTED).unwrap();
    (
        said.status.clone(),
        said.reason.clone(),
        status.effective_approver,
    )
}

#[tokio::test]
async fn the_object_that_was_counted_is_accepted_for_who_decided() {
    let (world, process, _) = executed().await;
    let found = judgement(&world, &process, "bob").await;
    assert_eq!(found, ("True".into(), "Accepted".into(), Some("bob".into())));
}

/// A world whose plan says that an approver may break the glass for it, and an emergency approval of one.
async fn emergency() -> World {
    let mut world = World::new();
    world.propose(&[Verb::Delete]).await;
    world.rewrite(true, |spec| {
        for entry in &mut spec.requirement {
            entry.break_glass = vec!["oncall".into()];
        }
    });
    let mut object = approval("erin", &world.plan().spec.digest, "Approve");
    object["spec"]["breakGlass"] = json!({"incident": "INC-1"});
    let object = stamped(&world.seal, APPROVALS, object, &person("erin", &["oncall"]));
    world.server.put(&format!("{APPROVALS}/erin"), object);
    world
}

const BASELINE: &str = "/apis/kubechat.io/v1beta1/riskpolicies/baseline";

#[tokio::test]
async fn nobody_is_refused_for_good_by_policies_of_which_the_cache_is_behind() {
    let mut world = emergency().await;
    let process = world.start(Fuse::long()).await;
    assert_eq!(judgement(&world, &process, "erin").await.1, "NotEligible");
    let mut world = emergency().await;
    let process = world.start(Fuse::long()).await;
    world.server.edit(BASELINE, |o| {
        o["spec"]["breakGlass"] = json!({"groups": ["oncall"], "reviewWithin": "24h"});
    });
    assert!(process.ctx.policies().unwrap().break_glass().is_none());
    let found = judgement(&world, &process, "erin").await;
    assert_eq!(found, ("True".into(), "Accepted".into(), Some("erin".into())));
}

#[tokio::test]
async fn an_emergency_approval_waits_while_there_are_no_policies_to_judge_it_by() {
    let mut world = emergency().await;
    let baseline = world.server.remove(BASELINE).unwrap();
    let process = world.start(Fuse::long()).await;
    let found = judgement(&world, &process, "erin").await;
    assert_eq!(found, ("Unknown".into(), "NoPolicy".into(), None));
    let mut baseline = baseline;
    baseline["spec"]["breakGlass"] = json!({"groups": ["oncall"], "reviewWithin": "24h"});
    world.server.put(BASELINE, baseline);
    let process = world.start(Fuse::long()).await;
    let found = judgement(&world, &process, "erin").await;
    assert_eq!(found, ("True".into(), "Accepted".into(), Some("erin".into())));
}

#[tokio::test]
async fn another_object_under_the_name_of_a_counted_decision_is_judged_by_itself() {
    let (mut world, process, digest) = executed().await;
    let path = format!("{APPROVALS}/bob");
    let sealed = |decision: &str| {
        stamped(
            &world.seal,
            APPROVALS,
            approval("bob", &digest, decision),
            &person("mallory", &[]),
        )
    };
    for (object, reason) in [
        // As whoever writes through a pipeline would: no seal, no signature.
        (approval("bob", &digest, "Review"), "UntrustedOrigin"),
        (sealed("Review"), "NotBreakGlass"),
        (approval("bob", &digest, "Approve"), "PlanFinished"),
        (sealed("Approve"), "PlanFinished"),
        (sealed("Deny"), "PlanFinished"),
    ] {
        world.server.remove(&path);
        world.server.put(&path, object.clone());
        let found = judgement(&world, &process, "bob").await;
        assert_eq!(found, ("False".into(), reason.into(), None), "{object}");
    }
    drop(process);
    let entries = world.entries().await;
    let counted = entries
        .iter()
        .any(|e| e.event_type == EventType::Approval && e.outcome == Outcome::Success);
    assert!(!counted, "{:?}", World::short(&entries));
}

#[tokio::test]
async fn an_approval_that_comes_after_the_last_step_was_begun_lets_nothing_go_and_a_deny_is_judged() {
    let (mut world, _, digest) = executed().await;
    world.server.edit(&plan_path(), |plan| {
        plan["status"]["conditions"] = json!([{"type": "Succeeded", "status": "Unknown", "reason": "WaitingForEffect",
            "message": "", "lastTransitionTime": "2026-05-01T10:00:00Z"}]);
    });
    let process = world.start(Fuse::long()).await;
    let found = judgement(&world, &process, "bob").await;
    assert_eq!(found.0, "True", "it was counted: {found:?}");
    world.decide("dave", &digest, DecisionKind::Approve);
    let found = judgement(&world, &process, "dave").await;
    assert_eq!((found.0.as_str(), found.1.as_str()), ("False", "PlanFinished"));
    world.decide("erin", &digest, DecisionKind::Deny);
    let found = judgement(&world, &process, "erin").await;
    assert_eq!(found.0, "True", "{found:?}");
    // While a step waits, it is judged as ever.
    world.server.edit(&plan_path(), |plan| {
        plan["status"]["steps"][0]["state"] = "Pending".into();
    });
    let process = world.start(Fuse::long()).await;
    world.decide("frank", &digest, DecisionKind::Approve);
    let found = judgement(&world, &process, "frank").await;
    assert_ne!(found.1, "PlanFinished");
}
