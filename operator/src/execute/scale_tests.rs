//! Scaling a kind of somebody else, whose number of replicas stands where its author put it.

use kubechat_core::plan::{self, Draft, Found, KindRef};
use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};
use kubechat_crds::{PlanPhase, Step, StepState};
use serde_json::json;

use crate::failpoint::Point;
use crate::testing::process::{Fuse, Ran, World};
use crate::testing::server::{Asked, Fate};

const PATH: &str = "/apis/postgresql.cnpg.io/v1/namespaces/demo/clusters/pg";

/// A Postgres cluster of three instances is to have five.
fn drafts(world: &World) -> Vec<Draft> {
    let object = json!({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
        "metadata": {"name": "pg", "namespace": "demo"}, "spec": {"instances": 3}});
    let object = world.server.put(PATH, object);
    let kind = KindRef {
        group: "postgresql.cnpg.io".into(),
        version: "v1".into(),
        kind: "Cluster".into(),
        resource: "clusters".into(),
        namespaced: true,
        scalable: true,
    };
    let intent = Intent {
        action: Action::Scale,
        target: IntentTarget::default(),
        params: IntentParams {
            replicas_delta: Some(2),
            ..IntentParams::default()
        },
        confidence: 100,
        span: Span::default(),
    };
    let scale = json!({"kind": "Scale", "spec": {"replicas": 3}});
    plan::draft_scale(&intent, &[(Found { kind, object }, Some(scale))]).unwrap()
}

async fn proposed() -> (World, Step) {
    let mut world = World::new();
    let drafts = drafts(&world);
    let step = world.approved(drafts).await.remove(0);
    (world, step)
}

fn instances(world: &World) -> i64 {
    world.server.get(PATH).unwrap()["spec"]["instances"]
        .as_i64()
        .unwrap()
}

fn ended(plan: &kubechat_crds::CommandPlan) -> (Option<PlanPhase>, StepState) {
    let status = plan.status.as_ref().unwrap();
    (status.phase, status.steps[0].state)
}

#[tokio::test]
async fn the_number_is_written_where_the_kind_keeps_it_once() {
    let (mut world, step) = proposed().await;
    assert_eq!(step.params.replicas, Some(5));
    let plan = world.start(Fuse::long()).await.finish(&world).await;
    assert_eq!(ended(&plan), (Some(PlanPhase::Succeeded), StepState::Done));
    assert_eq!(instances(&world), 5);
    assert_eq!(world.writes(&step), [1]);
}

#[tokio::test]
async fn a_restart_recognises_its_own_scale_by_the_scale_and_by_nothing_else() {
    let done = (Some(PlanPhase::Succeeded), StepState::Done);
    let unknown = (Some(PlanPhase::Interrupted), StepState::Unknown);
    for (meanwhile, readable, expected) in [
        (None, true, done),
        (Some(7), true, unknown),
        (None, false, unknown),
    ] {
        let (mut world, step) = proposed().await;
        let process = world.start(Fuse::at(Point::AfterSend)).await;
        assert!(matches!(process.reconcile(world.plan()).await, Ran::Stopped(_)));
        drop(process);
        if let Some(number) = meanwhile {
            world
                .server
                .edit(PATH, |o| o["spec"]["instances"] = number.into());
        }
        world.server.fates(move |asked: &Asked| {
            if !readable && asked.path.ends_with("/scale") {
                Fate::Refused(403)
            } else {
                Fate::Answered
            }
        });
        let plan = world.start(Fuse::long()).await.finish(&world).await;
        assert_eq!(ended(&plan), expected, "{meanwhile:?} {readable}");
        assert_eq!(world.writes(&step), [1], "{meanwhile:?} {readable}");
    }
}
