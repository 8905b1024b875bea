//! Kinds that Kubernetes does not bring along, as their authors define them.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use kubechat_crds::{CommandPlan, PlanPhase, RequestPhase};
use kubechat_e2e::wait::eventually;
use serde_json::json;

use super::tools::{ends_as, says_prompt, undo_plan};
use super::turn::{LATER, approve_as_asked, ended_as, plan_for, says};
use crate::runner::{Ctx, Test, shared};

const GROUP: &str = "e2e.example.org";

pub(crate) fn tests() -> Vec<Test> {
    shared![a_kind_is_scaled_by_its_scale_subresource_wherever_its_number_stands_and_back]
}

/// Defines Databases, whose number of replicas stands in `spec.instances`.
async fn define(admin: &Client) -> Result<()> {
    let number = json!({"type": "integer"});
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"instances": number, "replicas": {"type": "string"}}},
        "status": {"type": "object", "properties": {"instances": number}}}});
    let scale = json!({"specReplicasPath": ".spec.instances", "statusReplicasPath": ".status.instances"});
    let crd: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {"name": format!("databases.{GROUP}")},
        "spec": {"group": GROUP, "scope": "Namespaced",
            "names": {"kind": "Database", "plural": "databases", "singular": "database"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}, "scale": scale}}]},
    }))?;
    let crds = Api::all(admin.clone());
    match crds.create(&PostParams::default(), &crd).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        made => Ok(made.map(drop)?),
    }
}

fn databases(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "Database"));
    Api::namespaced_with(client.clone(), namespace, &kind)
}

/// Lets alice do this with Databases of a namespace.
async fn grant(admin: &Client, namespace: &str, resources: &[&str]) -> Result<()> {
    let name = format!("databases-{}", resources.len());
    let verbs = ["get", "list", "watch", "patch"];
    let role: Role = serde_json::from_value(json!({"metadata": {"name": name},
        "rules": [{"apiGroups": [GROUP], "resources": resources, "verbs": verbs}]}))?;
    let group = "rbac.authorization.k8s.io";
    let binding: RoleBinding = serde_json::from_value(json!({"metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "alice"}]}))?;
    let params = PostParams::default();
    Api::namespaced(admin.clone(), namespace)
        .create(&params, &role)
        .await?;
    Api::namespaced(admin.clone(), namespace)
        .create(&params, &binding)
        .await?;
    Ok(())
}

/// The number before and after, as a plan shows it, and the one that undoes it.
fn numbers(plan: &CommandPlan) -> Option<(&str, &str, i32)> {
    let step = plan.spec.steps.first()?;
    let line = step.diff.iter().find(|l| l.path == "/spec/replicas")?;
    let undo = step.rollback.undo_of(0)?.params.replicas?;
    Some((line.before.as_deref()?, line.after.as_deref()?, undo))
}

async fn a_kind_is_scaled_by_its_scale_subresource_wherever_its_number_stands_and_back(
    ctx: Arc<Ctx>,
) -> Result<()> {
    let admin = ctx.client("admin").await?;
    define(&admin).await?;
    ctx.product().await?;
    let namespace = ctx.namespace("custom").await?;
    let alice = ctx.client("alice").await?;
    let (bob, carol) = (ctx.client("bob").await?, ctx.client("carol").await?);
    let pg: DynamicObject =
        serde_json::from_value(json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Database",
        "metadata": {"name": "pg"}, "spec": {"instances": 3, "replicas": "all over the world"}}))?;
    eventually(LATER, "a Database is made", || async {
        let made = databases(&admin, &namespace)
            .create(&PostParams::default(), &pg)
            .await;
        Ok(made.map(drop)?)
    })
    .await?;
    let instances = async || -> Result<i64> {
        let found = databases(&admin, &namespace).get("pg").await?;
        found.data["spec"]["instances"].as_i64().context("no number")
    };
    let prompt = "kubectl scale databases/pg --replicas=5";

    // Who may not read the number gets no plan that guesses it.
    grant(&admin, &namespace, &["databases"]).await?;
    let message = eventually(LATER, "the kind is known", || async {
        let spec = says_prompt(prompt);
        let (_, message) = ends_as(&alice, &namespace, spec, RequestPhase::Failed, "Forbidden").await?;
        Ok(message)
    })
    .await?;
    says(&message, &["databases/scale", "Nothing was done"])?;

    grant(&admin, &namespace, &["databases", "databases/scale"]).await?;
    let plan = eventually(LATER, "the right is known", || {
        plan_for(&alice, &namespace, prompt)
    })
    .await?;
    ensure!(numbers(&plan) == Some(("3", "5", 3)), "{:?}", plan.spec.steps);
    approve_as_asked(&[&bob, &carol], &plan).await?;
    ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
    ensure!(instances().await? == 5, "it has {}", instances().await?);

    let undo = undo_plan(&alice, &plan).await?;
    ensure!(numbers(&undo) == Some(("5", "3", 5)), "{:?}", undo.spec.steps);
    let drifted = undo.spec.notes.iter().any(|note| note.contains("changed since"));
    ensure!(!drifted, "{:?}", undo.spec.notes);
    approve_as_asked(&[&bob, &carol], &undo).await?;
    ended_as(&alice, &undo, PlanPhase::Succeeded).await?;
    ensure!(instances().await? == 3, "it has {}", instances().await?);
    Ok(())
}
