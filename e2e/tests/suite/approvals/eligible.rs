//! Whom a waiting plan names as those who may still approve, and that a right taken away takes its decision along. In
//! protected namespaces, where the baseline asks for two people.

use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::{ApprovalSummary, ChatRequest, CommandPlan, PlanPhase};
use kubechat_e2e::wait::eventually;
use serde_json::json;
use tokio::process::Command;

use super::super::tools::{impersonating, texts};
use super::super::turn::{LATER, approve, ended_as, phase, plan_for, read, says};
use crate::runner::{Ctx, Test, shared};

const ROLE: &str = "kubechat-approver-destructive";

pub(super) fn tests() -> Vec<Test> {
    shared![
        a_waiting_plan_names_who_may_still_approve,
        an_approver_whose_binding_was_removed_counts_no_longer,
    ]
}

/// A namespace of its own where destructive plans need two people.
async fn protected(ctx: &Ctx, name: &str) -> Result<String> {
    let namespace = ctx.namespace(name).await?;
    let api: Api<Namespace> = Api::all(ctx.client("admin").await?);
    let label = Patch::Merge(json!({"metadata": {"labels": {"kubechat.io/protected": "true"}}}));
    api.patch(&namespace, &PatchParams::default(), &label).await?;
    Ok(namespace)
}

/// Binds the approver's role to somebody, as binding `name`.
async fn bind(admin: &Client, namespace: &str, name: &str, subject: serde_json::Value) -> Result<()> {
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE},
        "subjects": [subject],
    }))?;
    let api: Api<RoleBinding> = Api::namespaced(admin.clone(), namespace);
    api.create(&PostParams::default(), &binding).await?;
    Ok(())
}

async fn unbind(admin: &Client, namespace: &str, name: &str) -> Result<()> {
    let api: Api<RoleBinding> = Api::namespaced(admin.clone(), namespace);
    api.delete(name, &DeleteParams::default()).await?;
    Ok(())
}

fn user(name: &str) -> serde_json::Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name})
}

/// Waits until the plan's approvals are as wanted, and its turn says the same.
async fn approvals(
    person: &Client,
    plan: &CommandPlan,
    what: &str,
    wanted: impl Fn(&ApprovalSummary) -> bool,
) -> Result<ApprovalSummary> {
    let turns: Api<ChatRequest> = Api::namespaced(person.clone(), &plan.namespace().unwrap_or_default());
    eventually(LATER, what, || async {
        let status = read(person, plan).await?.status.unwrap_or_default();
        let found = status.approvals.context("nothing was counted")?;
        ensure!(wanted(&found), "{found:?}");
        let turn = turns.get(&plan.spec.chat_request_ref.name).await?;
        let of_turn = turn.status.and_then(|s| s.approvals);
        ensure!(of_turn.as_ref() == Some(&found), "the turn says {of_turn:?}");
        Ok(found)
    })
    .await
}

async fn a_waiting_plan_names_who_may_still_approve(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = protected(&ctx, "named").await?;
    let (admin, alice) = (ctx.client("admin").await?, ctx.client("alice").await?);
    let robot = json!({"kind": "ServiceAccount", "name": "default", "namespace": namespace});
    bind(&admin, &namespace, "robot", robot).await?;
    bind(&admin, &namespace, "alice", user("alice")).await?;
    let plan = plan_for(&alice, &namespace, "delete service nginx").await?;
    // Bob and carol are the approvers. Neither the requester nor a service account is named, whatever is bound to them.
    let names = |wanted: &[&str], others: &[&str], found: &ApprovalSummary| {
        let named = |who: &str| found.eligible.iter().any(|one| one == who);
        wanted.iter().all(|who| named(who)) && !others.iter().any(|who| named(who))
    };
    let approvers = "group approvers";
    let found = approvals(&alice, &plan, "the approvers are named", |found| {
        names(&[approvers], &["user alice", "user frank"], found)
    })
    .await?;
    ensure!(
        !found.eligible.iter().any(|who| who.contains("default")),
        "{found:?}"
    );
    bind(&admin, &namespace, "frank", user("frank")).await?;
    approvals(&alice, &plan, "who got the right since is named", |found| {
        names(&[approvers, "user frank"], &[], found)
    })
    .await?;
    for (args, said) in [
        (
            vec!["why"],
            ["May still approve: group approvers; ", "user frank"],
        ),
        (vec!["explain"], [approvers, "user frank"]),
        (vec!["plans", "-o", "yaml"], ["- group approvers", "- user frank"]),
    ] {
        let mut command = Command::new(product.binary());
        command.arg("--kubeconfig").arg(ctx.cluster.kubeconfig_path());
        command.args(["--context", "alice", "-n", &namespace]).args(&args);
        if args.len() == 1 {
            command.arg(plan.name_any());
        }
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        let (out, err) = texts(&output);
        says(&out, &said).with_context(|| format!("{args:?}: {err}"))?;
    }
    let frank = impersonating(&ctx.cluster, "frank", &[], &[]).await?;
    approve(&frank, &plan).await?;
    let found = approvals(&alice, &plan, "who approved is not asked again", |found| {
        found.summary == "1/2" && names(&[approvers], &["user frank"], found)
    })
    .await?;
    ensure!(found.decisions.len() == 1, "{found:?}");
    approve(&ctx.client("carol").await?, &plan).await?;
    let plan = ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
    let left = plan
        .status
        .and_then(|s| s.approvals)
        .context("nothing was counted")?;
    ensure!(left.eligible.is_empty(), "{left:?}");
    Ok(())
}

async fn an_approver_whose_binding_was_removed_counts_no_longer(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = protected(&ctx, "removed").await?;
    let (admin, alice) = (ctx.client("admin").await?, ctx.client("alice").await?);
    bind(&admin, &namespace, "frank", user("frank")).await?;
    let plan = plan_for(&alice, &namespace, "delete service nginx").await?;
    let frank = impersonating(&ctx.cluster, "frank", &[], &[]).await?;
    approve(&frank, &plan).await?;
    let counts = |wanted: &'static str| move |found: &ApprovalSummary| found.summary == wanted;
    approvals(&alice, &plan, "frank is counted", counts("1/2")).await?;
    unbind(&admin, &namespace, "frank").await?;
    let found = approvals(&alice, &plan, "frank is not counted any more", counts("0/2")).await?;
    ensure!(found.decisions.is_empty(), "{found:?}");
    approve(&ctx.client("bob").await?, &plan).await?;
    approvals(&alice, &plan, "bob alone is counted", counts("1/2")).await?;
    ensure!(
        phase(&read(&alice, &plan).await?) == Some(PlanPhase::AwaitingApproval),
        "it did not wait for a second person"
    );
    approve(&ctx.client("carol").await?, &plan).await?;
    ended_as(&alice, &plan, PlanPhase::Succeeded).await.map(drop)
}
