use kubechat_crds::condition::{set, types};
use kubechat_crds::{ChatRequest, PlanPhase};

use super::super::chat_request;
use super::*;
use crate::testing::plans::{Verb, plan_path, turn_path};
use crate::testing::process::{Fuse, Process, World};
use crate::testing::server::Fate;

const PLANS: &str = "/apis/kubechat.io/v1beta1/namespaces/demo/commandplans";

/// A finished turn whose life is over, and its plan, which was executed by break-glass.
async fn executed_in_an_emergency() -> (World, Process, String) {
    let mut world = World::new();
    world.propose(&[Verb::Label]).await;
    let process = world.start(Fuse::long()).await;
    let mut plan = process.finish(&world).await;
    assert_eq!(plan.status.as_ref().unwrap().phase, Some(PlanPhase::Succeeded));
    let status = plan.status.as_mut().unwrap();
    status.approvals.as_mut().unwrap().decisions[0].via = kubechat_crds::Via::BreakGlass;
    let turn = turn(&world);
    let path = format!("{PLANS}/{}", chat_request::plan_name(&turn));
    let mut stored = serde_json::to_value(&plan).unwrap();
    stored["metadata"]["name"] = chat_request::plan_name(&turn).into();
    world.server.put(&path, stored);
    world.server.edit(&turn_path(), |o| {
        o["spec"]["ttlSecondsAfterFinished"] = 0.into();
        o["status"] = json!({"completionTime": "2026-05-01T10:00:00Z", "conditions": [{"type": "Succeeded",
            "status": "True", "reason": "Executed", "message": "", "lastTransitionTime": "2026-05-01T10:00:00Z"}]});
    });
    (world, process, path)
}

fn turn(world: &World) -> ChatRequest {
    serde_json::from_value(world.server.get(&turn_path()).unwrap()).unwrap()
}

fn reviewed(world: &World, path: &str, status: &str) {
    world.server.edit(path, |o| {
        let mut plan: CommandPlan = serde_json::from_value(o.clone()).unwrap();
        let conditions = &mut plan.status.as_mut().unwrap().conditions;
        set(
            conditions,
            types::REVIEWED,
            status,
            "R",
            "",
            None,
            Timestamp::now(),
        );
        *o = serde_json::to_value(plan).unwrap();
    });
}

#[tokio::test]
async fn a_turn_whose_emergency_waits_for_its_review_outlives_its_time_until_the_review_came() {
    let (world, process, path) = executed_in_an_emergency().await;
    let look = || chat_request::reconcile(Arc::new(turn(&world)), Arc::clone(&process.ctx));
    for said in [None, Some("Unknown"), Some("False")] {
        if let Some(status) = said {
            reviewed(&world, &path, status);
        }
        look().await.unwrap();
        assert!(world.server.get(&turn_path()).is_some(), "{said:?}");
    }
    reviewed(&world, &path, "True");
    look().await.unwrap();
    assert!(world.server.get(&turn_path()).is_none());
}

#[tokio::test]
async fn nobody_knows_of_a_review_while_the_plan_cannot_be_read_so_the_turn_stays() {
    let (world, process, path) = executed_in_an_emergency().await;
    let refused = path.clone();
    world.server.fates(move |asked| {
        let plan = asked.path == refused;
        if plan { Fate::Refused(500) } else { Fate::Answered }
    });
    let looked = chat_request::reconcile(Arc::new(turn(&world)), Arc::clone(&process.ctx)).await;
    assert!(looked.is_err() && world.server.get(&turn_path()).is_some());
    // Another turn's plan under this name, or none: nothing is waited for.
    world.server.fates(|_| Fate::Answered);
    world
        .server
        .edit(&path, |o| o["spec"]["chatRequestRef"]["uid"] = "another".into());
    chat_request::reconcile(Arc::new(turn(&world)), Arc::clone(&process.ctx))
        .await
        .unwrap();
    assert!(world.server.get(&turn_path()).is_none());
}

#[tokio::test]
async fn an_emergency_that_is_removed_before_its_review_is_on_record() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let stored = || -> CommandPlan { serde_json::from_value(world.server.get(&path).unwrap()).unwrap() };
    let mut plain = stored();
    plain.status.as_mut().unwrap().approvals = None;
    plan_gone(&plain, &process.ctx).await;
    plan_gone(&stored(), &process.ctx).await;
    reviewed(&world, &path, "True");
    plan_gone(&stored(), &process.ctx).await;
    drop(process);
    let entries = world.entries().await;
    let told: Vec<_> = entries.iter().filter(|e| e.reason == "ReviewOverdue").collect();
    assert_eq!(told.len(), 1, "{:?}", World::short(&entries));
    assert!(told[0].message.contains("removed before its review"));
}

/// The entry of the emergency approval of this plan, as the controller of decisions writes it.
async fn approved_by_break_glass(process: &Process, plan: &CommandPlan) {
    let mut draft = about_plan(
        plan,
        EventType::Approval,
        "approve",
        Outcome::Success,
        reason::BREAK_GLASS,
    );
    draft.target = Some(kubechat_audit::Target {
        namespace: plan.namespace(),
        ..kubechat_audit::Target::default()
    });
    process.ctx.audit.record(draft).await.unwrap();
}

#[tokio::test]
async fn an_emergency_that_is_removed_while_nobody_leads_is_told_once_by_the_next_leader() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let stored: CommandPlan = serde_json::from_value(world.server.get(&path).unwrap()).unwrap();
    world.server.remove(&plan_path());
    approved_by_break_glass(&process, &stored).await;
    // It is there: in the cache, or where that leaves it out because it cannot be read.
    assert!(meanwhile(&process.ctx).await.unwrap().is_empty());
    drop(process);
    world.server.edit(&path, |o| o["spec"]["steps"] = json!(7));
    let blind = world.server.remove(&path).unwrap();
    let process = world.start(Fuse::long()).await;
    assert!(process.ctx.stores.plans.state().is_empty());
    world.server.put(&path, blind);
    assert!(meanwhile(&process.ctx).await.unwrap().is_empty());
    // Another one of its name is not it.
    world
        .server
        .edit(&path, |o| o["metadata"]["uid"] = "another".into());
    let told = meanwhile(&process.ctx).await.unwrap();
    assert_eq!(told, [stored.uid().unwrap()].into());
    assert!(meanwhile(&process.ctx).await.unwrap().is_empty());
    drop(process);
    let entries = world.entries().await;
    let told: Vec<_> = entries.iter().filter(|e| e.reason == "ReviewOverdue").collect();
    assert_eq!(told.len(), 1, "{:?}", World::short(&entries));
    assert!(told[0].message.contains("removed before its review"));
    assert_eq!(
        (told[0].actor.username.as_str(), told[0].ids.plan_uid.clone()),
        ("alice", stored.uid())
    );
}

#[tokio::test]
async fn an_emergency_that_was_never_begun_or_was_told_already_is_not_told_by_the_next_leader() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let mut stored: CommandPlan = serde_json::from_value(world.server.get(&path).unwrap()).unwrap();
    world.server.remove(&path);
    world.server.remove(&plan_path());
    approved_by_break_glass(&process, &stored).await;
    plan_gone(&stored, &process.ctx).await;
    stored.metadata.uid = Some("never-begun".into());
    approved_by_break_glass(&process, &stored).await;
    drop(process);
    let process = world.start(Fuse::long()).await;
    assert!(meanwhile(&process.ctx).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_damaged_log_keeps_nobody_from_leading_and_is_heard_of() {
    let (mut world, process, path) = executed_in_an_emergency().await;
    let stored: CommandPlan = serde_json::from_value(world.server.get(&path).unwrap()).unwrap();
    approved_by_break_glass(&process, &stored).await;
    let entries = process.ctx.audit.page(None).await.unwrap().entries;
    let intent = entries.iter().find(|e| e.outcome == Outcome::Intent).unwrap();
    process.store.damage_payload(intent.seq);
    process.store.damage_entry(entries.last().unwrap().seq);
    let (leaving, waiting) = begin(&process.ctx.audit).await.unwrap();
    assert_eq!(waiting.unread, 2);
    // Whom it holds up no more than this: what leaves afterwards is told.
    leaving.plan(&stored);
    drop(leaving);
    waiting.tell(Arc::clone(&process.ctx)).await;
    // The entries of the hour, and that of the decision once more.
    assert_eq!(process.ctx.metrics.audit_unreadable.get(), 3);
    drop(process);
    let entries = world.entries().await;
    let told = entries.iter().filter(|e| e.reason == "ReviewOverdue").count();
    assert_eq!(told, 1, "{:?}", World::short(&entries));
}
