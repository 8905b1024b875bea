//! Plans whose ground moved between planning and approval: nothing is sent.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kubechat_crds::{ChatRequest, CommandPlan, PlanPhase};
use kubechat_e2e::demo::DEPLOYMENT;
use kubechat_e2e::product::Product;
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::super::tools::{at, ended_unsent, nginx, recorded_refusal};
use super::super::turn::{SOON, approve, ask, says, verdict, waiting_plan};
use crate::runner::{Ctx, Test, shared};

pub(super) fn tests() -> Vec<Test> {
    shared![
        a_plan_whose_object_was_changed_is_stale_and_nothing_is_sent,
        a_plan_whose_requester_lost_the_right_is_forbidden_and_nothing_is_sent,
    ]
}

/// Approves, and expects this end, its words, and its entry in the audit log.
async fn approved_in_vain(
    product: &Product,
    (alice, bob): (&Client, &Client),
    (turn, plan): (&ChatRequest, &CommandPlan),
    (phase, reason): (PlanPhase, &str),
    words: &[&str],
) -> Result<()> {
    approve(bob, plan).await?;
    let plan = ended_unsent(alice, plan, phase).await?;
    let ended = verdict(&plan)?;
    ensure!(ended.reason == reason, "it ended as {ended:?}");
    says(&ended.message, words)?;
    recorded_refusal(product, turn, reason).await
}

async fn a_plan_whose_object_was_changed_is_stale_and_nothing_is_sent(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("stale").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let deployments: Api<Deployment> = Api::namespaced(alice.clone(), &namespace);
    let maps: Api<ConfigMap> = Api::namespaced(alice.clone(), &namespace);
    let config: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "settings"}, "data": {"a": "1"}}))?;
    maps.create(&PostParams::default(), &config).await?;
    let mut waiting = vec![];
    for prompt in [
        "scale nginx to 5 replicas",
        "set the image of nginx to nginx:1.28",
        "label deployment nginx tier=front",
        "delete configmap settings",
        "label configmap settings tier=front",
        "scale nginx to 5 and label configmap settings tier=front",
    ] {
        let turn = ask(&alice, &namespace, prompt).await?;
        let plan = waiting_plan(&alice, &turn).await?;
        waiting.push((turn, plan));
    }
    let patch = |spec: Value| Patch::Merge(spec);
    deployments
        .patch(
            DEPLOYMENT,
            &PatchParams::default(),
            &patch(json!({"spec": {"replicas": 3}})),
        )
        .await?;
    maps.patch(
        "settings",
        &PatchParams::default(),
        &patch(json!({"data": {"a": "2"}})),
    )
    .await?;
    let words = [
        "changed since the plan was made",
        "Nothing was executed",
        "kubechat again",
    ];
    for (turn, plan) in &waiting {
        let end = (PlanPhase::Stale, "Stale");
        approved_in_vain(product, (&alice, &bob), (turn, plan), end, &words).await?;
    }
    // Gone, and made again under the same name.
    let turn = ask(&alice, &namespace, "delete configmap settings").await?;
    let plan = waiting_plan(&alice, &turn).await?;
    maps.delete("settings", &DeleteParams::default()).await?;
    maps.create(&PostParams::default(), &config).await?;
    let words = ["deleted and created again"];
    approved_in_vain(
        product,
        (&alice, &bob),
        (&turn, &plan),
        (PlanPhase::Stale, "Stale"),
        &words,
    )
    .await?;
    let turn = ask(&alice, &namespace, "delete configmap settings").await?;
    let plan = waiting_plan(&alice, &turn).await?;
    maps.delete("settings", &DeleteParams::default()).await?;
    approved_in_vain(
        product,
        (&alice, &bob),
        (&turn, &plan),
        (PlanPhase::Stale, "Stale"),
        &["is gone"],
    )
    .await?;

    let found = nginx(&alice, &namespace).await?;
    ensure!(at(&found, "/spec/replicas") == 3, "{found}");
    ensure!(at(&found, "/metadata/labels/tier").is_null(), "{found}");
    ensure!(
        at(&found, "/spec/template/spec/containers/0/image") == "nginx:1.27",
        "{found}"
    );
    Ok(())
}

/// Takes alice's right to edit away and waits until the API server says so too.
pub(super) async fn demote(admin: &Client, namespace: &str) -> Result<()> {
    let bindings: Api<RoleBinding> = Api::namespaced(admin.clone(), namespace);
    bindings
        .delete("developers-edit", &DeleteParams::default())
        .await?;
    eventually(SOON, "alice may change nothing", || async {
        let review: SubjectAccessReview = serde_json::from_value(json!({
            "metadata": {},
            "spec": {
                "user": "alice", "groups": ["developers"],
                "resourceAttributes": {
                    "verb": "patch", "group": "apps", "resource": "deployments", "subresource": "scale",
                    "namespace": namespace,
                },
            },
        }))?;
        let answer = Api::all(admin.clone())
            .create(&PostParams::default(), &review)
            .await?;
        ensure!(
            answer.status.is_some_and(|status| !status.allowed),
            "she still may"
        );
        Ok(())
    })
    .await
}

async fn a_plan_whose_requester_lost_the_right_is_forbidden_and_nothing_is_sent(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("demoted").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let admin = ctx.client("admin").await?;
    let turn = ask(&alice, &namespace, "scale nginx to 5 replicas").await?;
    let plan = waiting_plan(&alice, &turn).await?;
    demote(&admin, &namespace).await?;
    let right = format!("alice may not patch deployments/scale.apps in namespace {namespace} any more");
    let words = [right.as_str(), "Nothing was executed"];
    approved_in_vain(
        product,
        (&alice, &bob),
        (&turn, &plan),
        (PlanPhase::Failed, "Forbidden"),
        &words,
    )
    .await?;
    ensure!(at(&nginx(&admin, &namespace).await?, "/spec/replicas") == 2);
    Ok(())
}
