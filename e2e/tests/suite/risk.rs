//! The judgement of plans on a real cluster: what of the cluster it rests on, and what it says.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kubechat_crds::chat_request::Scope;
use kubechat_crds::command_plan::{NamespaceFact, RiskFactor};
use kubechat_crds::{ChatRequestSpec, CommandPlan, Level, RequestPhase};
use kubechat_e2e::accounts::OPS;
use serde_json::json;

use super::tools::{ends_as, says_prompt};
use super::turn::{ask_with, plan_for, says, waiting_plan};
use crate::runner::{Ctx, Test, shared};

pub(super) fn tests() -> Vec<Test> {
    shared![
        a_protected_namespace_makes_the_same_change_more_dangerous,
        taking_a_disruption_budget_away_and_restarting_what_it_guards_is_destructive,
        what_one_person_changed_within_the_hour_is_part_of_the_judgement,
        a_plan_that_would_stop_itself_by_relabelling_a_namespace_is_not_made,
    ]
}

fn factor<'a>(plan: &'a CommandPlan, id: &str) -> Option<&'a RiskFactor> {
    plan.spec.risk.factors.iter().find(|factor| factor.id == id)
}

fn namespace_of(plan: &CommandPlan) -> Result<&NamespaceFact> {
    plan.spec
        .facts
        .namespaces
        .first()
        .context("no namespace is recorded")
}

async fn a_protected_namespace_makes_the_same_change_more_dangerous(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("risk-protected").await?;
    let (alice, admin) = (ctx.client("alice").await?, ctx.client("admin").await?);
    let plain = plan_for(&alice, &namespace, "scale nginx to 5 replicas").await?;
    let known = namespace_of(&plain)?;
    ensure!(!known.protected && known.labels.len() == 1, "{known:?}");
    ensure!(
        factor(&plain, "namespace-class").is_none(),
        "{:?}",
        plain.spec.risk
    );

    let label = json!({"metadata": {"labels": {"kubechat.io/protected": "true"}}});
    let namespaces: Api<Namespace> = Api::all(admin);
    namespaces
        .patch(&namespace, &PatchParams::default(), &Patch::Merge(&label))
        .await?;
    let guarded = plan_for(&alice, &namespace, "scale nginx to 5 replicas").await?;
    let known = namespace_of(&guarded)?;
    ensure!(
        known.protected && known.labels.get("kubechat.io/protected").map(String::as_str) == Some("true"),
        "{known:?}"
    );
    let told = factor(&guarded, "namespace-class").context("protection weighs nothing")?;
    ensure!(told.weight == 40 && told.evidence == namespace, "{told:?}");
    ensure!(
        guarded.spec.risk.score > plain.spec.risk.score && guarded.spec.risk.level >= plain.spec.risk.level,
        "{:?}, and before {:?}",
        guarded.spec.risk,
        plain.spec.risk
    );
    Ok(())
}

async fn taking_a_disruption_budget_away_and_restarting_what_it_guards_is_destructive(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("risk-guard").await?;
    let alice = ctx.client("alice").await?;
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(alice.clone(), &namespace);
    let budget: PodDisruptionBudget = serde_json::from_value(json!({
        "metadata": {"name": "nginx"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "nginx"}}},
    }))?;
    budgets.create(&PostParams::default(), &budget).await?;
    let prompt = "delete poddisruptionbudget nginx and restart deployment nginx";
    let plan = plan_for(&alice, &namespace, prompt).await?;
    ensure!(plan.spec.steps.len() == 2, "{:?}", plan.spec.steps);
    ensure!(plan.spec.risk.level == Level::Destructive, "{:?}", plan.spec.risk);
    let rule = factor(&plan, "floor-guard-then-use").context("the rule is not told")?;
    ensure!(
        rule.weight == 0 && rule.evidence == "poddisruptionbudget/nginx guards deployment/nginx",
        "{rule:?}"
    );
    ensure!(
        factor(&plan, "guard-then-use").is_some_and(|f| f.weight == 60),
        "{:?}",
        plan.spec.risk
    );
    Ok(())
}

async fn what_one_person_changed_within_the_hour_is_part_of_the_judgement(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("risk-window").await?;
    let alice = ctx.client("alice").await?;
    let first = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let second = plan_for(&alice, &namespace, "scale nginx to 4 replicas").await?;
    let (before, after) = (&first.spec.facts.window, &second.spec.facts.window);
    ensure!(after.plans > before.plans, "{before:?}, then {after:?}");
    ensure!(after.objects >= 1, "{before:?}, then {after:?}");
    Ok(())
}

async fn a_plan_that_would_stop_itself_by_relabelling_a_namespace_is_not_made(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("risk-relabel").await?;
    let erin = ctx.client("erin").await?;
    let wide = |prompt: String| ChatRequestSpec {
        scope: Some(Scope {
            namespaces: vec!["*".to_owned()],
            cluster_scoped: true,
        }),
        ..says_prompt(&prompt)
    };
    let (label, scale) = (
        |value: &str| format!("label namespace {namespace} env={value}"),
        format!("scale deployment nginx to 3 in namespace {namespace}"),
    );
    let first = wide(format!("{} and {scale}", label("production")));
    let (_, message) = ends_as(&erin, OPS, first, RequestPhase::NeedsInput, "NeedsInput").await?;
    says(
        &message,
        &[
            "stop midway",
            namespace.as_str(),
            "Nothing was done",
            "as the last one",
        ],
    )?;
    // As the last step, and with a label that nothing is judged by, it is a plan.
    for prompt in [
        format!("{scale} and {}", label("production")),
        format!("{} and {scale}", label("blue")),
    ] {
        let turn = ask_with(&erin, OPS, wide(prompt)).await?;
        let plan = waiting_plan(&erin, &turn).await?;
        ensure!(plan.spec.steps.len() == 2, "{:?}", plan.spec.steps);
    }
    Ok(())
}
