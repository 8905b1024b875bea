use kubechat_crds::PlanPhase;

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
