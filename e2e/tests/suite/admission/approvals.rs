//! Who may decide on a plan: what admission refuses, with the words people read.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use kubechat_crds::chat_request::Scope;
use kubechat_crds::{ChatRequestSpec, CommandPlan, DecisionKind, PlanPhase};
use kubechat_e2e::accounts::OPS;
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::super::tools::{
    at, dry_run, ended_unsent, impersonating, nginx, object, raw, recorded_refusal_of, refused, says_prompt,
};
use super::super::turn::{SOON, approve, ask_with, decide, ended, ended_as, plan_for, waiting_plan};
use crate::runner::{Ctx, Test, shared};

/// Life of a plan that a test lets expire; it is made anew, longer, where the machine was too slow for it.
const LIVES: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(45),
];

pub(super) fn tests() -> Vec<Test> {
    shared![
        a_forged_or_stale_digest_is_refused,
        a_destructive_plan_is_not_approved_and_no_plan_denied_by_its_requester,
        a_service_account_decides_nothing,
        a_plan_past_its_time_is_not_executed_and_takes_no_approval,
        a_finished_plan_or_none_takes_no_decision,
        an_approver_needs_the_right_in_every_touched_namespace,
        what_counts_for_nothing_is_refused_with_the_reason,
    ]
}

/// An Approval as raw JSON.
fn approval(plan: &CommandPlan, change: impl FnOnce(&mut Value)) -> Result<kube::api::DynamicObject> {
    let mut spec = json!({
        "planRef": {"name": plan.name_any()}, "planDigest": plan.spec.digest, "decision": "Approve",
    });
    change(&mut spec);
    object("Approval", "try-", &spec)
}

async fn a_forged_or_stale_digest_is_refused(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("digest").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    // The same sentence about the same object: what differs is when it was asked.
    let earlier = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let digest = plan.spec.digest.clone();
    let hex = digest.trim_start_matches("sha256:").to_owned();
    let another = "the Approval names another digest than the plan has";
    let pattern = "spec.planDigest";
    for (what, forged, code, said) in [
        ("an earlier plan's", earlier.spec.digest.clone(), 403, another),
        (
            "a made up one",
            format!("sha256:{}", "0".repeat(64)),
            403,
            another,
        ),
        ("a prefix", digest[..20].to_owned(), 422, pattern),
        ("nothing", String::new(), 422, pattern),
        (
            "upper case",
            format!("sha256:{}", hex.to_uppercase()),
            422,
            pattern,
        ),
        ("no algorithm", hex.clone(), 422, pattern),
        ("too long", format!("{digest}0"), 422, pattern),
        ("another algorithm", format!("sha512:{hex}"), 422, pattern),
        ("a line more", format!("{digest}\n"), 422, pattern),
    ] {
        for person in [&alice, &bob] {
            let tried = approval(&plan, |spec| spec["planDigest"] = json!(forged))?;
            let tried = raw(person, "Approval", &namespace)
                .create(&PostParams::default(), &tried)
                .await;
            refused(what, tried, code, &[said])?;
        }
    }
    ensure!(at(&nginx(&alice, &namespace).await?, "/spec/replicas") == 2);
    Ok(())
}

async fn a_destructive_plan_is_not_approved_and_no_plan_denied_by_its_requester(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("self").await?;
    let alice = ctx.client("alice").await?;
    let plan = plan_for(&alice, &namespace, "delete service nginx").await?;
    let tried = raw(&alice, "Approval", &namespace)
        .create(&PostParams::default(), &approval(&plan, |_| {})?)
        .await;
    refused(
        "a destructive plan of her own",
        tried,
        403,
        &[
            "The Approval was not stored",
            "the requester cannot approve this plan himself",
            "another person",
        ],
    )?;
    let caution = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let deny = approval(&caution, |spec| spec["decision"] = json!("Deny"))?;
    let denied = raw(&alice, "Approval", &namespace)
        .create(&PostParams::default(), &deny)
        .await;
    refused(
        "denying her own",
        denied,
        403,
        &["by cancelling it", "kubechat cancel"],
    )?;
    Ok(())
}

async fn a_service_account_decides_nothing(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("robot").await?;
    let robot = format!("system:serviceaccount:{namespace}:robot");
    let admin = ctx.client("admin").await?;
    bind(&admin, &namespace, "kubechat-approver-destructive", &robot).await?;
    let groups = ["system:serviceaccounts", "system:authenticated", "approvers"];
    let plan = plan_for(
        &ctx.client("alice").await?,
        &namespace,
        "scale nginx to 3 replicas",
    )
    .await?;
    for (user, decision) in [
        (robot.as_str(), "Approve"),
        (&robot, "Deny"),
        ("system:kube-controller-manager", "Approve"),
        (
            "system:serviceaccount:kubechat-system:kubechat-operator",
            "Approve",
        ),
    ] {
        let client = impersonating(
            &ctx.cluster,
            user,
            &[&groups[..], &["system:masters"]].concat(),
            &[],
        )
        .await?;
        let tried = approval(&plan, |spec| spec["decision"] = json!(decision))?;
        let tried = raw(&client, "Approval", &namespace)
            .create(&PostParams::default(), &tried)
            .await;
        refused(user, tried, 403, &["only people decide on plans", user])?;
    }
    Ok(())
}

/// A plan that waits and will have expired soon.
async fn short_lived(alice: &Client, namespace: &str) -> Result<CommandPlan> {
    for life in LIVES {
        let spec = ChatRequestSpec {
            not_after: Some(Time(Timestamp::now() + life)),
            ..says_prompt("scale nginx to 3 replicas")
        };
        let turn = ask_with(alice, namespace, spec).await?;
        if let Ok(plan) = waiting_plan(alice, &turn).await {
            return Ok(plan);
        }
    }
    bail!("no plan was made in time")
}

async fn a_plan_past_its_time_is_not_executed_and_takes_no_approval(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("late").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let plan = short_lived(&alice, &namespace).await?;
    let plan = ended_unsent(&alice, &plan, PlanPhase::Expired).await?;
    recorded_refusal_of(product, &plan, "Expired").await?;
    for person in [&alice, &bob] {
        let late = raw(person, "Approval", &namespace)
            .create(&PostParams::default(), &approval(&plan, |_| {})?)
            .await;
        refused(
            "after its time",
            late,
            403,
            &["Expired", "takes no decision", "kubechat again"],
        )?;
    }
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let past = approval(&plan, |spec| spec["expiresAt"] = json!("2020-01-01T00:00:00Z"))?;
    let past = raw(&bob, "Approval", &namespace)
        .create(&PostParams::default(), &past)
        .await;
    refused(
        "a decision past its own time",
        past,
        403,
        &["past its own expiresAt"],
    )?;
    ensure!(at(&nginx(&alice, &namespace).await?, "/spec/replicas") == 2);
    Ok(())
}

async fn a_finished_plan_or_none_takes_no_decision(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("finished").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let denied = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    decide(&bob, &denied, DecisionKind::Deny).await?;
    ended_unsent(&alice, &denied, PlanPhase::Denied).await?;
    let done = plan_for(&alice, &namespace, "label service nginx tier=front").await?;
    approve(&alice, &done).await?;
    ended_as(&alice, &done, PlanPhase::Succeeded).await?;
    for (plan, phase) in [(&denied, "Denied"), (&done, "Succeeded")] {
        for (person, decision) in [(&alice, "Approve"), (&bob, "Approve"), (&bob, "Deny")] {
            let late = approval(plan, |spec| spec["decision"] = json!(decision))?;
            let late = raw(person, "Approval", &namespace)
                .create(&PostParams::default(), &late)
                .await;
            refused(phase, late, 403, &["is finished", phase, "takes no decision"])?;
        }
    }
    let none = approval(&done, |spec| spec["planRef"] = json!({"name": "no-such-plan"}))?;
    let none = raw(&bob, "Approval", &namespace)
        .create(&PostParams::default(), &none)
        .await;
    refused(
        "no plan",
        none,
        403,
        &["there is no CommandPlan no-such-plan", "kubectl get commandplans"],
    )?;
    Ok(())
}

/// Binds a ClusterRole to a user in a namespace.
async fn bind(admin: &Client, namespace: &str, role: &str, user: &str) -> Result<()> {
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"generateName": "test-"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }))?;
    Api::<RoleBinding>::namespaced(admin.clone(), namespace)
        .create(&PostParams::default(), &binding)
        .await?;
    Ok(())
}

async fn an_approver_needs_the_right_in_every_touched_namespace(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let (near, far) = (ctx.namespace("near").await?, ctx.namespace("far").await?);
    let (admin, erin, alice) = (
        ctx.client("admin").await?,
        ctx.client("erin").await?,
        ctx.client("alice").await?,
    );
    let own = plan_for(&alice, &near, "scale nginx to 3 replicas").await?;
    let dave = raw(&ctx.client("dave").await?, "Approval", &near)
        .create(&PostParams::default(), &approval(&own, |_| {})?)
        .await;
    let lacks = "dave lacks the right to approve-caution commandplans.kubechat.io in namespace";
    refused(
        "one who may only ask",
        dave,
        403,
        &[lacks, "kubechat-approver-caution"],
    )?;

    let spec = ChatRequestSpec {
        scope: Some(Scope {
            namespaces: vec![near.clone(), far.clone()],
            cluster_scoped: false,
        }),
        ..says_prompt(&format!(
            "scale nginx in {near} to 3 and scale nginx in {far} to 3"
        ))
    };
    let plan = waiting_plan(&erin, &ask_with(&erin, OPS, spec).await?).await?;
    let frank = impersonating(&ctx.cluster, "frank", &[], &[]).await?;
    let approvals = raw(&frank, "Approval", OPS);
    for namespace in [OPS, near.as_str()] {
        bind(&admin, namespace, "kubechat-approver-caution", "frank").await?;
    }
    // RBAC takes a moment; then the one namespace left is named.
    let missing = format!("approve-caution commandplans.kubechat.io in namespace {far}");
    eventually(SOON, "the right in the second namespace is missed", || async {
        let tried = approvals.create(&dry_run(), &approval(&plan, |_| {})?).await;
        refused(
            "a right in one of two",
            tried,
            403,
            &["frank lacks the right to", &missing],
        )
        .map(drop)
    })
    .await?;
    bind(&admin, &far, "kubechat-approver-caution", "frank").await?;
    eventually(SOON, "the approval is taken", || async {
        approvals
            .create(&dry_run(), &approval(&plan, |_| {})?)
            .await
            .map(drop)
            .context("not yet")
    })
    .await?;
    approvals
        .create(&PostParams::default(), &approval(&plan, |_| {})?)
        .await?;
    let plan = ended(&erin, &plan).await?;
    ensure!(
        super::super::turn::phase(&plan) == Some(PlanPhase::Succeeded),
        "{:?}",
        plan.status
    );
    for namespace in [&near, &far] {
        ensure!(at(&nginx(&erin, namespace).await?, "/spec/replicas") == 3);
    }
    Ok(())
}

async fn what_counts_for_nothing_is_refused_with_the_reason(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("special").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    for (what, field, value, said) in [
        (
            "a review of what was not executed by break-glass",
            "decision",
            json!("Review"),
            "the plan has not ended",
        ),
        (
            "break-glass that no policy allows",
            "breakGlass",
            json!({"incident": "INC-1"}),
            "bob may not break the glass",
        ),
        (
            "a claim",
            "approver",
            json!({"username": "carol"}),
            "approver is only for what a trusted applier brings from Git",
        ),
        (
            "no signature",
            "signature",
            json!({"format": "sshsig", "value": "x"}),
            "the signature cannot be read",
        ),
    ] {
        let tried = approval(&plan, |spec| spec[field] = value)?;
        let tried = raw(&bob, "Approval", &namespace)
            .create(&PostParams::default(), &tried)
            .await;
        refused(what, tried, 403, &[said])?;
    }
    Ok(())
}
