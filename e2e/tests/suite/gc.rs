//! Garbage collection: what goes with a turn, what stays, and that nothing of ours holds up a deletion.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, PropagationPolicy};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::{Approval, ChatRequest, ChatRequestSpec, CommandPlan, DecisionKind, LocalRef, PlanPhase};
use kubechat_e2e::wait::eventually;
use serde_json::json;

use super::tools::{ended_unsent, is_over, object, raw, says_prompt};
use super::turn::{LATER, ask_with, decide, ended, plan_for, waiting_plan};
use crate::runner::{Ctx, Test, shared};

/// What Flux puts on everything it applies.
const FLUX: &str = "kustomize.toolkit.fluxcd.io/name";

pub(crate) fn tests() -> Vec<Test> {
    shared![
        a_plan_goes_with_its_turn_and_the_decision_on_it_stays,
        an_orphaned_plan_stays_and_is_never_executed,
        a_namespace_full_of_work_is_deleted_to_the_end,
        a_finished_turn_is_removed_after_its_time_unless_flux_tracks_it,
    ]
}

async fn is_gone<K>(api: &Api<K>, name: &str) -> Result<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug + ResourceExt,
{
    eventually(LATER, &format!("{name} is gone"), || async {
        let left = api.get_opt(name).await?;
        ensure!(
            left.is_none(),
            "it is there: {:?}",
            left.map(|object| object.meta().clone())
        );
        Ok(())
    })
    .await
}

fn apis(client: &Client, namespace: &str) -> (Api<ChatRequest>, Api<CommandPlan>, Api<Approval>) {
    (
        Api::namespaced(client.clone(), namespace),
        Api::namespaced(client.clone(), namespace),
        Api::namespaced(client.clone(), namespace),
    )
}

async fn a_plan_goes_with_its_turn_and_the_decision_on_it_stays(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("gc").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let (turns, plans, approvals) = apis(&alice, &namespace);
    for params in [DeleteParams::background(), DeleteParams::foreground()] {
        let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
        let decision = decide(&bob, &plan, DecisionKind::Deny).await?;
        let plan = ended_unsent(&alice, &plan, PlanPhase::Denied).await?;
        turns.delete(&plan.spec.chat_request_ref.name, &params).await?;
        is_gone(&turns, &plan.spec.chat_request_ref.name).await?;
        is_gone(&plans, &plan.name_any()).await?;
        let kept = approvals.get(&decision.name_any()).await?;
        ensure!(
            kept.metadata.deletion_timestamp.is_none(),
            "the decision is being removed"
        );
    }
    // A plan that waits goes as well: nobody is left who asked for it.
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    turns
        .delete(&plan.spec.chat_request_ref.name, &DeleteParams::foreground())
        .await?;
    is_gone(&turns, &plan.spec.chat_request_ref.name).await?;
    is_gone(&plans, &plan.name_any()).await
}

async fn an_orphaned_plan_stays_and_is_never_executed(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("orphan").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let (turns, plans, _) = apis(&alice, &namespace);
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    turns.delete(&plan.spec.chat_request_ref.name, &params).await?;
    is_gone(&turns, &plan.spec.chat_request_ref.name).await?;
    let orphan = plans.get(&plan.name_any()).await?;
    ensure!(
        orphan.owner_references().is_empty(),
        "it is owned by {:?}",
        orphan.owner_references()
    );
    // Whether or not the approval still comes in time, the turn is gone.
    if let Err(refused) = decide(&bob, &plan, DecisionKind::Approve).await {
        let said = format!("{refused:#}");
        ensure!(said.contains("is finished"), "{said}");
    }
    let orphan = ended(&alice, &plan).await?;
    let phase = orphan.status.and_then(|status| status.phase);
    ensure!(phase == Some(PlanPhase::Cancelled), "it is {phase:?}");
    Ok(())
}

async fn a_namespace_full_of_work_is_deleted_to_the_end(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("full").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let session = object("ChatSession", "talk", &json!({"title": "t"}))?;
    raw(&alice, "ChatSession", &namespace)
        .create(&PostParams::default(), &session)
        .await?;
    let turn = ChatRequestSpec {
        session_ref: Some(LocalRef::new("talk")),
        ..says_prompt("scale nginx to 3 replicas")
    };
    let denied = waiting_plan(&alice, &ask_with(&alice, &namespace, turn).await?).await?;
    decide(&bob, &denied, DecisionKind::Deny).await?;
    plan_for(&alice, &namespace, "delete service nginx").await?;
    let namespaces: Api<Namespace> = Api::all(ctx.client("admin").await?);
    namespaces.delete(&namespace, &DeleteParams::default()).await?;
    is_gone(&namespaces, &namespace).await
}

async fn a_finished_turn_is_removed_after_its_time_unless_flux_tracks_it(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("ttl").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let (turns, plans, approvals) = apis(&alice, &namespace);
    let brief = |prompt: &str| ChatRequestSpec {
        ttl_seconds_after_finished: Some(1),
        ..says_prompt(prompt)
    };
    let mut tracked = ChatRequest::new("tracked", brief("list pods"));
    tracked.metadata.labels = Some([(FLUX.to_owned(), "apps".to_owned())].into());
    turns.create(&PostParams::default(), &tracked).await?;
    eventually(LATER, "the tracked turn is finished", || async {
        ensure!(is_over(&turns.get("tracked").await?));
        Ok(())
    })
    .await?;
    let turn = ask_with(&alice, &namespace, brief("scale nginx to 3 replicas")).await?;
    let plan = waiting_plan(&alice, &turn).await?;
    let decision = decide(&bob, &plan, DecisionKind::Deny).await?;
    is_gone(&turns, &turn.name_any()).await?;
    is_gone(&plans, &plan.name_any()).await?;
    approvals.get(&decision.name_any()).await?;

    // The tracked one was finished before that one was even asked.
    let kept = turns.get("tracked").await?;
    ensure!(
        kept.metadata.deletion_timestamp.is_none(),
        "the tracked turn is being removed"
    );
    let untrack = Patch::Merge(json!({"metadata": {"labels": {FLUX: null}}}));
    turns.patch("tracked", &PatchParams::default(), &untrack).await?;
    is_gone(&turns, "tracked").await
}
