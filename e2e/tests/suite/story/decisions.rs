//! Who decides on a plan, and how it ends without being done.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use kubechat_crds::{ChatRequest, DecisionKind, PlanPhase, RequestPhase, Via};
use kubechat_e2e::demo::{self, DEPLOYMENT};
use serde_json::json;

use super::super::tools::{at, ended_unsent, ends_as, nginx, status_of, texts, undo_of};
use super::super::turn::{
    approve, ask, decide, ended_as, ended_turn, plan_for, run, says, verdict, waiting_plan,
};
use crate::runner::{Ctx, Test, shared};

pub(super) fn tests() -> Vec<Test> {
    shared![
        an_approver_may_approve_instead_of_the_requester_and_it_is_done_as_the_requester,
        a_deny_ends_the_plan_and_the_requester_reads_why,
        the_requester_withdraws_a_turn_and_nothing_is_executed,
        the_same_is_asked_again_after_a_turn_went_stale,
        a_plan_that_is_not_finished_is_not_undone_until_it_is_withdrawn,
    ]
}

async fn an_approver_may_approve_instead_of_the_requester_and_it_is_done_as_the_requester(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("bob").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    approve(&bob, &plan).await?;
    let plan = ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
    // Bob himself could not have done it.
    demo::wait_ready(&alice, &namespace, DEPLOYMENT, 3).await?;
    says(&verdict(&plan)?.message, &["done as alice", "kubechat rollback"])?;
    let decisions = plan
        .status
        .and_then(|status| status.approvals)
        .context("nothing was counted")?
        .decisions;
    ensure!(
        decisions.len() == 1 && decisions[0].username == "bob" && decisions[0].via == Via::Direct,
        "{decisions:?}"
    );
    Ok(())
}

async fn a_deny_ends_the_plan_and_the_requester_reads_why(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("deny").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let turn = ask(&alice, &namespace, "scale nginx to 4 replicas").await?;
    let plan = waiting_plan(&alice, &turn).await?;
    decide(&bob, &plan, DecisionKind::Deny).await?;
    let plan = ended_unsent(&alice, &plan, PlanPhase::Denied).await?;
    says(
        &verdict(&plan)?.message,
        &["bob denied it", "Nothing was executed"],
    )?;
    let turn = ended_turn(&alice, &turn).await?;
    ensure!(
        status_of(&turn).phase == Some(RequestPhase::Denied),
        "{:?}",
        turn.status
    );
    super::super::tools::recorded_refusal(product, &turn, "Denied").await?;
    let late = decide(&alice, &plan, DecisionKind::Approve).await;
    ensure!(late.is_err(), "a denied plan takes an approval");
    ensure!(at(&nginx(&alice, &namespace).await?, "/spec/replicas") == 2);
    Ok(())
}

async fn a_plan_that_is_not_finished_is_not_undone_until_it_is_withdrawn(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("undo-early").await?;
    let alice = ctx.client("alice").await?;
    let plan = plan_for(&alice, &namespace, "scale nginx to 4 replicas").await?;
    let failed = RequestPhase::Failed;
    let (_, message) = ends_as(&alice, &namespace, undo_of(&plan), failed, "Invalid").await?;
    let cancel = format!("kubectl kubechat cancel {}", plan.name_any());
    says(&message, &["is not finished", "Nothing was done", &cancel])
}

async fn the_requester_withdraws_a_turn_and_nothing_is_executed(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("cancel").await?;
    let alice = ctx.client("alice").await?;
    let turn = ask(&alice, &namespace, "scale nginx to 4 replicas").await?;
    let plan = waiting_plan(&alice, &turn).await?;
    let turns: Api<ChatRequest> = Api::namespaced(alice.clone(), &namespace);
    let cancel = Patch::Merge(json!({"spec": {"cancel": true}}));
    turns
        .patch(&turn.name_any(), &PatchParams::default(), &cancel)
        .await?;
    let plan = ended_unsent(&alice, &plan, PlanPhase::Cancelled).await?;
    says(&verdict(&plan)?.message, &["withdrawn", "Nothing was executed"])?;
    let turn = ended_turn(&alice, &turn).await?;
    ensure!(
        status_of(&turn).phase == Some(RequestPhase::Cancelled),
        "{:?}",
        turn.status
    );
    super::super::tools::recorded_refusal(product, &turn, "Cancelled").await?;
    ensure!(
        decide(&alice, &plan, DecisionKind::Approve).await.is_err(),
        "it takes an approval"
    );
    ensure!(at(&nginx(&alice, &namespace).await?, "/spec/replicas") == 2);
    Ok(())
}

async fn the_same_is_asked_again_after_a_turn_went_stale(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("again").await?;
    let alice = ctx.client("alice").await?;
    let plan = plan_for(&alice, &namespace, "scale nginx to 4 replicas").await?;
    let deployments: Api<Deployment> = Api::namespaced(alice.clone(), &namespace);
    let change = Patch::Merge(json!({"spec": {"replicas": 3}}));
    deployments
        .patch(DEPLOYMENT, &PatchParams::default(), &change)
        .await?;
    approve(&alice, &plan).await?;
    let plan = ended_unsent(&alice, &plan, PlanPhase::Stale).await?;
    says(
        &verdict(&plan)?.message,
        &["changed since the plan was made", "kubechat again"],
    )?;

    let kubeconfig = ctx.cluster.kubeconfig_path().display().to_string();
    let name = plan.name_any();
    let args = [
        "again",
        &name,
        "--yes",
        "--kubeconfig",
        &kubeconfig,
        "--context",
        "alice",
        "-n",
        &namespace,
    ];
    let output = run(product, args).await?;
    ensure!(output.status.code() == Some(0), "{:?}", texts(&output));
    demo::wait_ready(&alice, &namespace, DEPLOYMENT, 4).await
}
