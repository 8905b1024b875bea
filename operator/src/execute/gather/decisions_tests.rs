use kubechat_crds::PlanPhase;
use serde_json::json;

use super::super::fresh;
use super::*;
use crate::testing::plans::Verb;
use crate::testing::process::{Fuse, World};

const APPROVALS: &str = "/apis/kubechat.io/v1beta1/namespaces/demo/approvals";

/// A world whose caution plan nobody but its requester has decided on.
async fn confirmed() -> World {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    for who in ["bob", "carol"] {
        world.server.remove(&format!("{APPROVALS}/{who}"));
    }
    let plan = world.plan();
    world.decide("alice", &plan.spec.digest, DecisionKind::Approve);
    world
}

#[tokio::test]
async fn who_confirms_his_own_plan_is_asked_for_the_right_to_create_approvals_there() {
    for granted in [true, false] {
        let mut world = confirmed().await;
        world.server.allow(move |asked| {
            let what = &asked["resourceAttributes"];
            let own = what["resource"] == "approvals";
            if own {
                assert_eq!(
                    (&what["verb"], &what["namespace"], &asked["user"]),
                    (&"create".into(), &"demo".into(), &"alice".into())
                );
            }
            assert!(own || what["resource"] != "commandplans", "{asked}");
            !own || granted
        });
        let process = world.start(Fuse::long()).await;
        let found = fresh(&process.ctx, "plan", "demo").await.unwrap();
        assert_eq!(
            found.approvals[0].right.as_ref().map(Result::is_ok),
            Some(granted)
        );
        process.reconcile(world.plan()).await;
        let phase = world.plan().status.unwrap().phase;
        assert_eq!(phase == Some(PlanPhase::AwaitingApproval), !granted, "{phase:?}");
    }
}

/// So many decisions as a pipeline could make them, judged so (`Accepted`).
fn crowd(world: &World, decision: DecisionKind, accepted: &str, ends: &str) {
    world.decide("erin", &world.plan().spec.digest, decision);
    let one = world.server.remove(&format!("{APPROVALS}/erin")).unwrap();
    for n in 0..=MAX_READ {
        let mut copy = one.clone();
        let name = format!("copy-{n:05}");
        copy["metadata"] = json!({"name": name, "namespace": "demo"});
        copy["spec"]["reason"] = format!("number {n}").into();
        copy["spec"]["expiresAt"] = format!("{ends}-01-01T00:{:02}:{:02}Z", n / 60 % 60, n % 60).into();
        copy["status"]["conditions"] = json!([{"type": "Accepted", "status": accepted, "reason": "R",
            "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        if accepted == "True" {
            copy["status"]["effectiveApprover"] = "erin".into();
            copy["status"]["via"] = "GitOps".into();
        }
        world.server.put(&format!("{APPROVALS}/{name}"), copy);
    }
}

#[tokio::test]
async fn decisions_that_do_not_count_neither_hold_a_plan_up_nor_hide_a_deny() {
    use DecisionKind::{Approve, Review};
    for (decision, accepted, ends, read) in [
        (Approve, "False", "2999", true),
        (Approve, "True", "2999", true),
        (Approve, "Unknown", "2001", true),
        (Review, "Unknown", "2999", true),
        (Approve, "Unknown", "2999", false),
    ] {
        let told = format!("{decision:?} {accepted} {ends}");
        let mut world = World::new();
        world.propose(&[Verb::Label]).await;
        crowd(&world, decision, accepted, ends);
        let digest = world.plan().spec.digest;
        world.decide("zoe", &digest, DecisionKind::Deny);
        let process = world.start(Fuse::long()).await;
        let found = fresh(&process.ctx, "plan", "demo").await;
        assert_eq!(found.is_ok(), read, "{told}");
        if let Ok(found) = found {
            assert!(
                found.approvals.len() <= 3 + MAX_SAME,
                "{told}: {}",
                found.approvals.len()
            );
            let plan = process.finish(&world).await;
            assert_eq!(plan.status.unwrap().phase, Some(PlanPhase::Denied), "{told}");
        }
    }
}

#[tokio::test]
async fn an_accepted_deny_ends_a_plan_whatever_became_of_its_author_and_one_that_is_not_judged_yet_does_not()
{
    for (lost, accepted) in [
        ("right", true),
        ("seal", true),
        ("time", true),
        ("right", false),
        ("seal", false),
        ("time", false),
    ] {
        let mut world = World::new();
        let step = world.propose(&[Verb::Label]).await.remove(0);
        world.decide("dave", &world.plan().spec.digest, DecisionKind::Deny);
        world.server.edit(&format!("{APPROVALS}/dave"), |deny| {
            if accepted {
                deny["status"] = json!({"effectiveApprover": "dave", "via": "Direct", "conditions": [{"type": "Accepted",
                    "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
            }
            match lost {
                "seal" => deny["spec"]["submittedBy"]["seal"] = json!(null),
                "time" => deny["spec"]["expiresAt"] = "2001-01-01T00:00:00Z".into(),
                _ => {}
            }
        });
        world
            .server
            .allow(move |asked| lost != "right" || asked["user"] != "dave");
        let process = world.start(Fuse::long()).await;
        let plan = process.finish(&world).await;
        let told = format!("{lost} {accepted}: {:?}", plan.status);
        let phase = plan.status.unwrap().phase;
        assert_eq!(phase == Some(PlanPhase::Denied), accepted, "{told}");
        assert_eq!(world.writes(&step) == [0], accepted, "{told}");
    }
}
