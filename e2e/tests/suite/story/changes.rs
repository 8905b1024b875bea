//! Each change of the catalogue on real objects, and back.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Service};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::chat_request::Scope;
use kubechat_crds::{
    ChatRequestSpec, CommandPlan, DecisionKind, Level, Mode, PlanPhase, RequestPhase, StepState,
};
use kubechat_e2e::accounts::OPS;
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::super::tools::{at, ends_as, nginx, says_prompt, undo_of, undo_plan};
use super::super::turn::{
    SOON, approve, approve_as_asked, ask_with, decide, ended_as, ended_turn, phase, plan_for, read, says,
    steps, verdict, waiting_plan,
};
use crate::runner::{Ctx, Test, shared};

pub(super) fn tests() -> Vec<Test> {
    shared![
        images_and_resources_of_a_deployment_are_changed_and_put_back,
        labels_and_annotations_are_changed_and_put_back,
        a_rollout_is_undone_with_somebody_elses_approval_and_redone,
        a_restart_replaces_the_pods_and_says_that_it_cannot_be_undone,
        a_deleted_object_needs_somebody_elses_approval_and_is_created_again_by_rollback,
        a_sentence_with_two_changes_is_one_plan_done_in_order,
        two_changes_are_undone_in_the_reverse_order,
        a_plan_only_turn_shows_its_plan_takes_no_approval_and_changes_nothing,
        nodes_are_cordoned_and_uncordoned_from_ops,
        a_namespace_is_created_from_ops_and_its_deletion_is_destructive,
    ]
}

/// Approves a caution plan as its requester and waits until it is done.
pub(super) async fn confirm(person: &Client, plan: &CommandPlan) -> Result<CommandPlan> {
    ensure!(
        plan.spec.risk.level == Level::Caution,
        "it is {:?}",
        plan.spec.risk
    );
    approve(person, plan).await?;
    ended_as(person, plan, PlanPhase::Succeeded).await
}

/// Does what a sentence says and undoes it; returns the Deployment as it was in between and as it is after.
async fn there_and_back(alice: &Client, namespace: &str, prompt: &str) -> Result<(Value, Value)> {
    let plan = confirm(alice, &plan_for(alice, namespace, prompt).await?).await?;
    let between = nginx(alice, namespace).await?;
    confirm(alice, &undo_plan(alice, &plan).await?).await?;
    Ok((between, nginx(alice, namespace).await?))
}

async fn images_and_resources_of_a_deployment_are_changed_and_put_back(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("set").await?;
    let alice = ctx.client("alice").await?;
    let container = "/spec/template/spec/containers/0";
    let before = nginx(&alice, &namespace).await?;

    let (between, after) = there_and_back(&alice, &namespace, "set the image of nginx to nginx:1.28").await?;
    ensure!(
        at(&between, &format!("{container}/image")) == "nginx:1.28",
        "{between}"
    );
    ensure!(
        at(&after, &format!("{container}/image")) == "nginx:1.27",
        "{after}"
    );

    let prompt = "kubectl set resources deployment/nginx --limits=cpu=500m,memory=256Mi --requests=cpu=100m";
    let (between, after) = there_and_back(&alice, &namespace, prompt).await?;
    let resources = at(&between, &format!("{container}/resources"));
    ensure!(
        resources["limits"] == json!({"cpu": "500m", "memory": "256Mi"}),
        "{resources}"
    );
    ensure!(
        resources["requests"] == json!({"cpu": "100m", "memory": "64Mi"}),
        "{resources}"
    );
    let pointer = format!("{container}/resources");
    ensure!(at(&after, &pointer) == at(&before, &pointer), "{after}");
    Ok(())
}

async fn labels_and_annotations_are_changed_and_put_back(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("label").await?;
    let alice = ctx.client("alice").await?;
    let services: Api<Service> = Api::namespaced(alice.clone(), &namespace);
    let plan = plan_for(&alice, &namespace, "label service nginx tier=front").await?;
    let plan = confirm(&alice, &plan).await?;
    ensure!(
        services
            .get(DEPLOYMENT)
            .await?
            .labels()
            .get("tier")
            .map(String::as_str)
            == Some("front")
    );
    confirm(&alice, &undo_plan(&alice, &plan).await?).await?;
    let service = services.get(DEPLOYMENT).await?;
    ensure!(
        !service.labels().contains_key("tier") && service.labels().contains_key("app"),
        "{service:?}"
    );

    let (between, after) =
        there_and_back(&alice, &namespace, "annotate deployment nginx owner=alice").await?;
    ensure!(
        at(&between, "/metadata/annotations/owner") == "alice",
        "{between}"
    );
    ensure!(at(&after, "/metadata/annotations/owner").is_null(), "{after}");
    Ok(())
}

async fn a_rollout_is_undone_with_somebody_elses_approval_and_redone(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("undo").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let image = async || {
        let found = nginx(&alice, &namespace).await?;
        anyhow::Ok(at(&found, "/spec/template/spec/containers/0/image"))
    };
    confirm(
        &alice,
        &plan_for(&alice, &namespace, "set the image of nginx to nginx:1.28").await?,
    )
    .await?;
    let undo = plan_for(&alice, &namespace, "roll back nginx").await?;
    ensure!(undo.spec.risk.level == Level::Destructive, "{:?}", undo.spec.risk);
    approve(&bob, &undo).await?;
    let undo = ended_as(&alice, &undo, PlanPhase::Succeeded).await?;
    ensure!(image().await? == "nginx:1.27", "it runs {}", image().await?);

    let redo = undo_plan(&alice, &undo).await?;
    approve(&bob, &redo).await?;
    ended_as(&alice, &redo, PlanPhase::Succeeded).await?;
    ensure!(image().await? == "nginx:1.28", "it runs {}", image().await?);
    Ok(())
}

async fn a_restart_replaces_the_pods_and_says_that_it_cannot_be_undone(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("restart").await?;
    let alice = ctx.client("alice").await?;
    let plan = confirm(&alice, &plan_for(&alice, &namespace, "restart nginx").await?).await?;
    let found = nginx(&alice, &namespace).await?;
    let mark = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
    ensure!(at(&found, mark).is_string(), "it was not restarted: {found}");
    says(&verdict(&plan)?.message, &["cannot be undone"])?;
    ensure!(
        !plan.status.clone().unwrap_or_default().rollback_available,
        "a rollback is offered"
    );
    let (_, said) = ends_as(
        &alice,
        &namespace,
        undo_of(&plan),
        RequestPhase::Failed,
        "Invalid",
    )
    .await?;
    says(&said, &["cannot be undone", "Nothing was done"])
}

async fn a_deleted_object_needs_somebody_elses_approval_and_is_created_again_by_rollback(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("delete").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let maps: Api<ConfigMap> = Api::namespaced(alice.clone(), &namespace);
    let made: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "settings", "labels": {"tier": "web"}}, "data": {"mode": "fast", "size": "3"},
    }))?;
    let made = maps.create(&PostParams::default(), &made).await?;

    let plan = plan_for(&alice, &namespace, "delete configmap settings").await?;
    ensure!(
        plan.spec.risk.level == Level::Destructive && plan.spec.risk.score >= 70,
        "{:?}",
        plan.spec.risk
    );
    approve(&bob, &plan).await?;
    let plan = ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
    ensure!(maps.get_opt("settings").await?.is_none(), "it is still there");

    confirm(&alice, &undo_plan(&alice, &plan).await?).await?;
    let again = maps.get("settings").await?;
    ensure!(again.uid() != made.uid(), "it is the old one");
    ensure!(
        again.data == made.data && again.labels() == made.labels(),
        "it is {again:?}"
    );
    Ok(())
}

async fn a_sentence_with_two_changes_is_one_plan_done_in_order(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("two").await?;
    let alice = ctx.client("alice").await?;
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 and restart nginx").await?;
    let actions: Vec<&str> = plan.spec.steps.iter().map(|step| step.action.as_str()).collect();
    ensure!(actions == ["scale", "restart"], "the steps are {actions:?}");
    let plan = confirm(&alice, &plan).await?;
    ensure!(
        steps(&plan) == [StepState::Done; 2],
        "the steps are {:?}",
        steps(&plan)
    );
    demo::wait_ready(&alice, &namespace, DEPLOYMENT, 3).await?;
    let order: Vec<_> = plan
        .status
        .iter()
        .flat_map(|status| &status.steps)
        .map(|step| step.audit_seq)
        .collect();
    ensure!(
        order.is_sorted() && order.iter().all(Option::is_some),
        "the audit log has them as {order:?}"
    );

    // Only the first of them can be undone, and the rollback says so.
    let undo = undo_plan(&alice, &plan).await?;
    ensure!(undo.spec.steps.len() == 1, "{:?}", undo.spec.steps);
    says(
        &undo.spec.notes.join("\n"),
        &["s2", "not undone", "cannot be undone"],
    )?;
    confirm(&alice, &undo).await?;
    demo::wait_ready(&alice, &namespace, DEPLOYMENT, 2).await
}

async fn two_changes_are_undone_in_the_reverse_order(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("reverse").await?;
    let alice = ctx.client("alice").await?;
    let configs: Api<ConfigMap> = Api::namespaced(alice.clone(), &namespace);
    let made: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "settings"}}))?;
    configs.create(&PostParams::default(), &made).await?;
    let prompt = "scale nginx to 3 and label configmap settings tier=web";
    let plan = confirm(&alice, &plan_for(&alice, &namespace, prompt).await?).await?;
    let undo = undo_plan(&alice, &plan).await?;
    let order = |plan: &CommandPlan| -> Vec<String> {
        let steps = plan.spec.steps.iter();
        steps
            .map(|step| format!("{} {}", step.action.as_str(), step.targets[0].name))
            .collect()
    };
    let (there, back) = (order(&plan), order(&undo));
    ensure!(there == ["scale nginx", "label settings"], "it does {there:?}");
    ensure!(back == ["label settings", "scale nginx"], "it undoes {back:?}");
    confirm(&alice, &undo).await?;
    demo::wait_ready(&alice, &namespace, DEPLOYMENT, 2).await?;
    let left = configs.get("settings").await?.metadata.labels.unwrap_or_default();
    ensure!(left.is_empty(), "it is labelled {left:?}");
    Ok(())
}

async fn a_plan_only_turn_shows_its_plan_takes_no_approval_and_changes_nothing(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("plan-only").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let spec = ChatRequestSpec {
        mode: Mode::PlanOnly,
        ..says_prompt("scale nginx to 5 replicas")
    };
    let (turn, _) = ends_as(&alice, &namespace, spec, RequestPhase::Succeeded, "PlanOnly").await?;
    let plans: Api<CommandPlan> = Api::namespaced(alice.clone(), &namespace);
    let [plan] = <[CommandPlan; 1]>::try_from(plans.list(&ListParams::default()).await?.items)
        .map_err(|all| anyhow::anyhow!("{} plans", all.len()))?;
    ensure!(
        turn.status
            .and_then(|status| status.plan_ref)
            .map(|plan| plan.name)
            == plan.metadata.name
    );
    ensure!(
        phase(&plan) == Some(PlanPhase::PlanOnly) && verdict(&plan)?.status == "True",
        "{:?}",
        plan.status
    );
    ensure!(!plan.spec.steps[0].diff.is_empty(), "it shows no diff");
    for person in [&alice, &bob] {
        let refused = decide(person, &plan, DecisionKind::Approve).await;
        let said = format!(
            "{:#}",
            refused
                .err()
                .ok_or_else(|| anyhow::anyhow!("it took an approval"))?
        );
        says(&said, &["PlanOnly", "never executed"])?;
    }
    ensure!(at(&nginx(&alice, &namespace).await?, "/spec/replicas") == 2);
    ensure!(phase(&read(&alice, &plan).await?) == Some(PlanPhase::PlanOnly));
    Ok(())
}

/// A turn from `ops` about things without a namespace.
pub(super) fn cluster_wide(prompt: &str) -> ChatRequestSpec {
    ChatRequestSpec {
        scope: Some(Scope {
            cluster_scoped: true,
            ..Scope::default()
        }),
        ..says_prompt(prompt)
    }
}

async fn nodes_are_cordoned_and_uncordoned_from_ops(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let (erin, bob) = (ctx.client("erin").await?, ctx.client("bob").await?);
    let nodes: Api<Node> = Api::all(erin.clone());
    let is_cordoned = async || {
        let spec = nodes.get("node-3").await?.spec.unwrap_or_default();
        anyhow::Ok(spec.unschedulable.unwrap_or(false))
    };
    let plan = waiting_plan(&erin, &ask_with(&erin, OPS, cluster_wide("cordon node-3")).await?).await?;
    ensure!(
        plan.spec.steps[0].targets[0].namespace.is_none(),
        "{:?}",
        plan.spec.steps
    );
    approve(&bob, &plan).await?;
    let plan = ended_as(&erin, &plan, PlanPhase::Succeeded).await?;
    ensure!(is_cordoned().await?, "it is not cordoned");

    let undo = ChatRequestSpec {
        scope: cluster_wide("").scope,
        ..undo_of(&plan)
    };
    let undo = waiting_plan(&erin, &ask_with(&erin, OPS, undo).await?).await?;
    confirm(&erin, &undo).await?;
    ensure!(!is_cordoned().await?, "it is still cordoned");

    for (prompt, cordoned) in [("cordon node-3", true), ("uncordon node-3", false)] {
        let plan = waiting_plan(&erin, &ask_with(&erin, OPS, cluster_wide(prompt)).await?).await?;
        confirm(&erin, &plan).await?;
        ensure!(is_cordoned().await? == cordoned, "{prompt} did nothing");
    }
    Ok(())
}

async fn a_namespace_is_created_from_ops_and_its_deletion_is_destructive(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let (erin, bob) = (ctx.client("erin").await?, ctx.client("bob").await?);
    let carol = ctx.client("carol").await?;
    let name = format!("team-{:05x}", rand::random_range(0..0x10_0000));
    let namespaces: Api<Namespace> = Api::all(erin.clone());
    let spec = cluster_wide(&format!("create namespace {name}"));
    let plan = waiting_plan(&erin, &ask_with(&erin, OPS, spec).await?).await?;
    ensure!(
        namespaces.get_opt(&name).await?.is_none(),
        "it is there before anybody approved"
    );
    approve(&bob, &plan).await?;
    let plan = ended_as(&erin, &plan, PlanPhase::Succeeded).await?;
    namespaces.get(&name).await?;

    let undo = ChatRequestSpec {
        scope: cluster_wide("").scope,
        ..undo_of(&plan)
    };
    let turn = ask_with(&erin, OPS, undo).await?;
    let undo = waiting_plan(&erin, &turn).await?;
    ensure!(undo.spec.risk.level == Level::Destructive, "{:?}", undo.spec.risk);
    approve_as_asked(&[&bob, &carol], &undo).await?;
    ended_turn(&erin, &turn).await?;
    eventually(SOON, "the namespace is gone", || async {
        let left = namespaces.get_opt(&name).await?;
        ensure!(
            left.is_none(),
            "it is {:?}",
            left.and_then(|namespace| namespace.status)
        );
        Ok(())
    })
    .await
}
