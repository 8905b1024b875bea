//! The later half of the catalogue on real objects, and back: one test a family.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim};
use kube::Api;
use kube::api::PostParams;
use kubechat_crds::{Level, PlanPhase, RequestPhase};
use kubechat_e2e::accounts::OPS;
use serde_json::{Value, json};

use super::super::tools::{at, ends_as, nginx, says_prompt, undo_of, undo_plan};
use super::super::turn::{approve, ask_with, ended_as, plan_for, says, waiting_plan};
use super::changes::{cluster_wide, confirm};
use crate::runner::{Ctx, Test, shared};

pub(super) fn tests() -> Vec<Test> {
    shared![
        variables_and_rollouts_of_a_deployment_are_changed_and_put_back,
        an_autoscaler_is_made_changed_and_put_back,
        a_cronjob_is_suspended_and_goes_on,
        a_patch_is_destructive_and_is_put_back,
        a_claim_is_never_made_smaller,
        nodes_are_tainted_and_untainted_from_ops,
    ]
}

const ENV: &str = "/spec/template/spec/containers/0/env";

async fn variables_and_rollouts_of_a_deployment_are_changed_and_put_back(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("env").await?;
    let alice = ctx.client("alice").await?;
    let first = plan_for(
        &alice,
        &namespace,
        "set env LOG_LEVEL=canary-of-the-cluster on nginx",
    )
    .await?;
    confirm(&alice, &first).await?;
    let plan = plan_for(&alice, &namespace, "set the env var LOG_LEVEL of nginx to debug").await?;
    let plan = confirm(&alice, &plan).await?;
    let env = at(&nginx(&alice, &namespace).await?, ENV);
    ensure!(env == json!([{"name": "LOG_LEVEL", "value": "debug"}]), "{env}");
    // The value that was in the cluster comes back without ever standing in a plan.
    let undo = undo_plan(&alice, &plan).await?;
    for plan in [&plan, &undo] {
        let text = serde_json::to_string(&plan)?;
        ensure!(!text.contains("canary-of-the-cluster"), "{text}");
    }
    confirm(&alice, &undo).await?;
    let env = at(&nginx(&alice, &namespace).await?, ENV);
    ensure!(
        env == json!([{"name": "LOG_LEVEL", "value": "canary-of-the-cluster"}]),
        "{env}"
    );

    let paused = async || anyhow::Ok(at(&nginx(&alice, &namespace).await?, "/spec/paused"));
    let plan = plan_for(&alice, &namespace, "pause the rollout of nginx").await?;
    let plan = confirm(&alice, &plan).await?;
    ensure!(paused().await? == true, "it is not paused");
    confirm(&alice, &undo_plan(&alice, &plan).await?).await?;
    ensure!(paused().await?.is_null(), "it is still paused");
    Ok(())
}

async fn an_autoscaler_is_made_changed_and_put_back(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("hpa").await?;
    let alice = ctx.client("alice").await?;
    let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(alice.clone(), &namespace);
    let bounds = async || {
        let spec = hpas.get("nginx").await?.spec.unwrap_or_default();
        anyhow::Ok((spec.min_replicas.unwrap_or(1), spec.max_replicas))
    };
    let made = plan_for(&alice, &namespace, "autoscale nginx between 2 and 4 replicas").await?;
    confirm(&alice, &made).await?;
    ensure!(bounds().await? == (2, 4), "{:?}", bounds().await?);

    let line = "kubectl autoscale deployment nginx --max=6";
    let changed = confirm(&alice, &plan_for(&alice, &namespace, line).await?).await?;
    ensure!(bounds().await? == (2, 6), "{:?}", bounds().await?);
    confirm(&alice, &undo_plan(&alice, &changed).await?).await?;
    ensure!(bounds().await? == (2, 4), "{:?}", bounds().await?);
    Ok(())
}

async fn a_cronjob_is_suspended_and_goes_on(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("cron").await?;
    let alice = ctx.client("alice").await?;
    let jobs: Api<CronJob> = Api::namespaced(alice.clone(), &namespace);
    let backup: CronJob = serde_json::from_value(
        json!({"metadata": {"name": "backup"}, "spec": {"schedule": "0 3 1 1 *",
        "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1.37"}]}}}}}}),
    )?;
    jobs.create(&PostParams::default(), &backup).await?;
    let suspended = async || {
        let spec = jobs.get("backup").await?.spec.unwrap_or_default();
        anyhow::Ok(spec.suspend.unwrap_or(false))
    };
    let plan = plan_for(&alice, &namespace, "suspend cronjob backup").await?;
    let plan = confirm(&alice, &plan).await?;
    ensure!(suspended().await?, "it is not suspended");
    confirm(&alice, &undo_plan(&alice, &plan).await?).await?;
    ensure!(!suspended().await?, "it is still suspended");
    Ok(())
}

async fn a_patch_is_destructive_and_is_put_back(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("patch").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let seconds = async || anyhow::Ok(at(&nginx(&alice, &namespace).await?, "/spec/minReadySeconds"));
    let line = r#"kubectl patch deployment nginx --type=merge -p '{"spec":{"minReadySeconds":1}}'"#;
    let plan = plan_for(&alice, &namespace, line).await?;
    ensure!(plan.spec.risk.level == Level::Destructive, "{:?}", plan.spec.risk);
    ensure!(approve(&alice, &plan).await.is_err(), "the requester approved it");
    approve(&bob, &plan).await?;
    let plan = ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
    ensure!(seconds().await? == 1, "{}", seconds().await?);
    let undo = undo_plan(&alice, &plan).await?;
    approve(&bob, &undo).await?;
    ended_as(&alice, &undo, PlanPhase::Succeeded).await?;
    ensure!(seconds().await?.is_null(), "{}", seconds().await?);
    Ok(())
}

async fn a_claim_is_never_made_smaller(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("claim").await?;
    let alice = ctx.client("alice").await?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(alice.clone(), &namespace);
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({"metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}}))?;
    claims.create(&PostParams::default(), &claim).await?;
    let smaller = says_prompt("expand pvc data to 5Gi");
    let (_, said) = ends_as(&alice, &namespace, smaller, RequestPhase::Failed, "Invalid").await?;
    says(&said, &["10Gi", "cannot be made smaller", "Nothing was done"])?;
    // A claim that is not bound cannot grow: the API server says so, in its words.
    let larger = says_prompt("expand pvc data to 20Gi");
    let (_, said) = ends_as(&alice, &namespace, larger, RequestPhase::Failed, "DryRunFailed").await?;
    says(&said, &["dry-run", "Nothing was done"])
}

async fn nodes_are_tainted_and_untainted_from_ops(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let erin = ctx.client("erin").await?;
    let nodes: Api<Node> = Api::all(erin.clone());
    let taints = async || -> Result<Value> {
        let spec = nodes.get("node-2").await?.spec.unwrap_or_default();
        let ours = spec
            .taints
            .unwrap_or_default()
            .into_iter()
            .filter(|t| t.key == "dedicated");
        Ok(serde_json::to_value(ours.collect::<Vec<_>>())?)
    };
    let spec = cluster_wide("taint node-2 with dedicated=e2e:PreferNoSchedule");
    let plan = waiting_plan(&erin, &ask_with(&erin, OPS, spec).await?).await?;
    let plan = confirm(&erin, &plan).await?;
    ensure!(
        taints().await? == json!([{"key": "dedicated", "value": "e2e", "effect": "PreferNoSchedule"}]),
        "{}",
        taints().await?
    );
    let undo = kubechat_crds::ChatRequestSpec {
        scope: cluster_wide("").scope,
        ..undo_of(&plan)
    };
    let undo = waiting_plan(&erin, &ask_with(&erin, OPS, undo).await?).await?;
    confirm(&erin, &undo).await?;
    ensure!(taints().await? == json!([]), "{}", taints().await?);

    let spec = cluster_wide("taint node-2 with dedicated=e2e:NoExecute");
    let plan = waiting_plan(&erin, &ask_with(&erin, OPS, spec).await?).await?;
    ensure!(plan.spec.risk.level == Level::Destructive, "{:?}", plan.spec.risk);
    Ok(())
}
