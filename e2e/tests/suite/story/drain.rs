//! A node is drained, and a budget keeps a pod. In a cluster of their own: they empty a node.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::chat_request::Scope;
use kubechat_crds::{ChatRequestSpec, Level, PlanPhase, StepState};
use kubechat_e2e::accounts::OPS;
use kubechat_e2e::cluster::Options;
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::product;
use serde_json::json;

use super::super::tools::says_prompt;
use super::super::turn::{
    approve_as_asked, ask_with, ended_as, plan_for, says, steps, verdict, waiting_plan,
};
use super::DEMO;
use crate::runner::{Test, own, with_product};

pub(super) fn tests() -> Vec<Test> {
    own![a_node_is_drained_and_a_pod_that_a_budget_keeps_is_not_evicted]
}

async fn nginx_pods(client: &Client) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), DEMO);
    let all = pods.list(&ListParams::default().labels("app=nginx")).await?.items;
    Ok(all
        .into_iter()
        .filter(|p| p.metadata.deletion_timestamp.is_none())
        .collect())
}

fn node_of(pod: &Pod) -> String {
    let node = pod.spec.as_ref().and_then(|s| s.node_name.clone());
    node.unwrap_or_default()
}

async fn a_node_is_drained_and_a_pod_that_a_budget_keeps_is_not_evicted() -> Result<()> {
    with_product(
        Options::default(),
        product::Options::default(),
        async |cluster, _| {
            let (admin, alice, erin) = (
                cluster.client("admin").await?,
                cluster.client("alice").await?,
                cluster.client("erin").await?,
            );
            let (bob, carol) = (cluster.client("bob").await?, cluster.client("carol").await?);
            demo::wait_ready(&admin, DEMO, DEPLOYMENT, 2).await?;
            let name = node_of(nginx_pods(&admin).await?.first().context("no pod")?);

            let spec = ChatRequestSpec {
                scope: Some(Scope {
                    namespaces: vec!["*".to_owned()],
                    cluster_scoped: true,
                }),
                ..says_prompt(&format!("drain node {name}"))
            };
            let plan = waiting_plan(&erin, &ask_with(&erin, OPS, spec).await?).await?;
            let actions: Vec<&str> = plan.spec.steps.iter().map(|s| s.action.as_str()).collect();
            ensure!(
                actions.first() == Some(&"cordon") && actions.contains(&"evict"),
                "{actions:?}"
            );
            ensure!(plan.spec.risk.level == Level::Destructive, "{:?}", plan.spec.risk);
            approve_as_asked(&[&bob, &carol], &plan).await?;
            let plan = ended_as(&erin, &plan, PlanPhase::Succeeded).await?;
            ensure!(
                steps(&plan).iter().all(|s| *s == StepState::Done),
                "{:?}",
                steps(&plan)
            );
            demo::wait_ready(&admin, DEMO, DEPLOYMENT, 2).await?;
            let left = nginx_pods(&admin).await?;
            ensure!(left.iter().all(|p| node_of(p) != name), "a pod runs on {name}");
            let node = Api::<Node>::all(admin.clone()).get(&name).await?;
            ensure!(
                node.spec.and_then(|s| s.unschedulable) == Some(true),
                "it is not cordoned"
            );

            // Both pods are needed now: neither may go, and the wait has an end.
            let budgets: Api<PodDisruptionBudget> = Api::namespaced(admin.clone(), DEMO);
            let budget = serde_json::from_value(json!({"metadata": {"name": "nginx"},
            "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "nginx"}}}}))?;
            budgets.create(&PostParams::default(), &budget).await?;
            kubechat_e2e::wait::eventually(Duration::from_secs(30), "the budget is counted", || async {
                let status = budgets.get("nginx").await?.status.unwrap_or_default();
                ensure!(
                    status.expected_pods == 2 && status.disruptions_allowed == 0,
                    "{status:?}"
                );
                Ok(())
            })
            .await?;
            let kept = left.first().context("no pod")?.clone();
            let prompt = format!("evict pod {} with a timeout of 2 seconds", kept.name_any());
            let plan = plan_for(&alice, DEMO, &prompt).await?;
            approve_as_asked(&[&bob, &carol], &plan).await?;
            let plan = ended_as(&alice, &plan, PlanPhase::Failed).await?;
            says(
                &verdict(&plan)?.message,
                &["disruption budget", "No step was done"],
            )?;
            let still = nginx_pods(&admin).await?;
            ensure!(still.iter().any(|p| p.uid() == kept.uid()), "it was evicted");
            Ok(())
        },
    )
    .await
}
