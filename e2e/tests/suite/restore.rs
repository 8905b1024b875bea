//! The cluster's state put back to before an execution: what was executed is not executed again.

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client};
use kubechat_crds::{CommandPlan, PlanPhase, StepState};
use kubechat_e2e::cluster::{Cluster, Options};
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::product::{Part, Product};
use kubechat_e2e::wait::eventually;

use super::crash::short_lease;
use super::tools::recorded_refusal_of;
use super::turn::{
    LATER, approve, ask, audit_entries, ended_as, ended_turn, leads, plan_for, says, step_entries, steps,
    verdict,
};
use crate::runner::{Test, own, with_product};

const DEMO: &str = "demo";

pub(crate) fn tests() -> Vec<Test> {
    own![
        a_plan_is_not_executed_again_after_an_etcd_restore_by_a_new_operator,
        a_plan_is_not_executed_again_after_an_etcd_restore_by_an_operator_that_went_on,
    ]
}

async fn a_plan_is_not_executed_again_after_an_etcd_restore_by_a_new_operator() -> Result<()> {
    with_product(Options::default(), short_lease(), async |cluster, product| {
        let (alice, plan) =
            executed_and_restored(cluster, product, async || product.stop(Part::Operator).await).await?;
        product.resume(Part::Operator).await?;
        not_again(&alice, product, &plan).await
    })
    .await
}

/// Its caches are newer than the cluster then.
async fn a_plan_is_not_executed_again_after_an_etcd_restore_by_an_operator_that_went_on() -> Result<()> {
    with_product(Options::default(), short_lease(), async |cluster, product| {
        let (alice, plan) = executed_and_restored(cluster, product, async || Ok(())).await?;
        leads(product, Part::Operator).await?;
        // What is asked now is answered: the operator sees the cluster as it is.
        let turn = ask(&alice, DEMO, "list pods").await?;
        ended_turn(&alice, &turn).await?;
        not_again(&alice, product, &plan).await
    })
    .await
}

/// Executes a plan and puts the cluster back to when it was approved and not begun. `before` runs before that.
async fn executed_and_restored(
    cluster: &Cluster,
    product: &Product,
    before: impl AsyncFnOnce() -> Result<()>,
) -> Result<(Client, CommandPlan)> {
    let alice = cluster.client("alice").await?;
    let plan = plan_for(&alice, DEMO, "scale nginx to 3 replicas").await?;
    product.stop(Part::Operator).await?;
    approve(&alice, &plan).await?;
    let snapshot = cluster.folder().join("snapshot");
    cluster.etcd_snapshot(&snapshot).await?;
    product.resume(Part::Operator).await?;
    let alice = cluster.client("alice").await?;
    ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
    demo::wait_ready(&alice, DEMO, DEPLOYMENT, 3).await?;
    before().await?;
    cluster.etcd_restore(&snapshot).await?;
    Ok((cluster.client("alice").await?, plan))
}

async fn not_again(alice: &Client, product: &Product, plan: &CommandPlan) -> Result<()> {
    let plan = ended_as(alice, plan, PlanPhase::Interrupted).await?;
    says(
        &verdict(&plan)?.message,
        &["not executed again", "restored from a backup", "ask"],
    )?;
    ensure!(steps(&plan) == [StepState::Done], "{:?}", plan.status);
    let deployments: Api<Deployment> = Api::namespaced(alice.clone(), DEMO);
    let nginx = deployments.get(DEPLOYMENT).await?;
    ensure!(
        nginx.spec.and_then(|spec| spec.replicas) == Some(2),
        "it was executed again"
    );
    let found = step_entries(&audit_entries(product).await?, &plan);
    ensure!(found.len() == 2, "{found:?}");
    recorded_refusal_of(product, &plan, "Interrupted").await?;
    // KubeChat works on: the same sentence is a new plan.
    let again = eventually(LATER, "the same can be asked again", || {
        plan_for(alice, DEMO, "scale nginx to 3 replicas")
    })
    .await?;
    approve(alice, &again).await?;
    ended_as(alice, &again, PlanPhase::Succeeded).await?;
    demo::wait_ready(alice, DEMO, DEPLOYMENT, 3).await
}
