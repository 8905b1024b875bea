//! What hangs on a target otherwise than by selector: autoscalers and owner references.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kubechat_crds::PlanPhase;
use kubechat_e2e::demo::DEPLOYMENT;
use kubechat_e2e::wait::eventually;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::tools::{ended_unsent, nginx};
use super::turn::{LATER, approve_as_asked, plan_for, says, verdict};
use crate::runner::{Ctx, Test, shared};

pub(crate) fn tests() -> Vec<Test> {
    shared![
        an_autoscaler_is_told_of_where_a_patch_sets_its_number,
        a_target_that_got_an_owner_since_the_approval_makes_the_plan_stale,
    ]
}

async fn make<K>(api: Api<K>, object: Value) -> Result<()>
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    api.create(&PostParams::default(), &serde_json::from_value(object)?)
        .await?;
    Ok(())
}

/// An owner reference to nginx.
async fn to_nginx(client: &Client, namespace: &str) -> Result<Value> {
    let uid = nginx(client, namespace).await?["metadata"]["uid"].clone();
    Ok(json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT, "uid": uid}]))
}

async fn an_autoscaler_is_told_of_where_a_patch_sets_its_number(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("autoscaled").await?;
    let (admin, alice) = (ctx.client("admin").await?, ctx.client("alice").await?);
    // It raises the number to its smallest without any metric.
    let hpa = json!({"metadata": {"name": "web"}, "spec": {"minReplicas": 3, "maxReplicas": 4,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT}}});
    make::<HorizontalPodAutoscaler>(Api::namespaced(admin.clone(), &namespace), hpa).await?;
    eventually(LATER, "the autoscaler has scaled", || async {
        let replicas = nginx(&admin, &namespace).await?["spec"]["replicas"].clone();
        ensure!(replicas == 3, "{replicas} replicas");
        Ok(())
    })
    .await?;
    for line in [
        r#"kubectl patch deployment nginx --type=merge -p '{"spec":{"replicas":1}}'"#,
        "scale nginx to 1 replica",
    ] {
        let plan = plan_for(&alice, &namespace, line).await?;
        let found = plan
            .spec
            .blast_radius
            .as_ref()
            .context("it has no blast radius")?;
        let told = "HorizontalPodAutoscaler web sets the replicas of deployment/nginx";
        ensure!(found.undone_by == [told], "{line}: {found:?}");
    }
    // The name under which the autoscaler really writes.
    let line = r#"kubectl patch deployment nginx --type=merge -p '{"spec":{"replicas":1}}'"#;
    let plan = plan_for(&alice, &namespace, line).await?;
    let owners = plan.spec.steps.iter().flat_map(|s| &s.owners);
    let owner = owners
        .filter(|o| o.field == "/spec/replicas")
        .find(|o| o.will_be_undone)
        .with_context(|| format!("nobody puts it back: {:?}", plan.spec.steps))?;
    ensure!(owner.manager == "kube-controller-manager", "{owner:?}");
    Ok(())
}

async fn a_target_that_got_an_owner_since_the_approval_makes_the_plan_stale(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("adopted").await?;
    let (admin, alice, bob) = (
        ctx.client("admin").await?,
        ctx.client("alice").await?,
        ctx.client("bob").await?,
    );
    let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), &namespace);
    make(maps.clone(), json!({"metadata": {"name": "settings"}})).await?;
    let plan = plan_for(&alice, &namespace, "label configmap settings tier=front").await?;
    let adopted = json!({"metadata": {"ownerReferences": to_nginx(&admin, &namespace).await?}});
    let patch = Patch::Merge(adopted);
    maps.patch("settings", &PatchParams::default(), &patch).await?;
    approve_as_asked(&[&bob], &plan).await?;
    let ended = ended_unsent(&alice, &plan, PlanPhase::Stale).await?;
    says(&verdict(&ended)?.message, &["settings", "Nothing was executed"])
}
