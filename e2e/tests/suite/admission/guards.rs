//! What only KubeChat itself writes, and what a plan never writes.

use std::sync::Arc;

use anyhow::{Result, ensure};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::{CommandPlan, CommandPlanSpec, DecisionKind, Level};
use kubechat_e2e::cluster::client_for;
use serde_json::{Value, json};

use super::super::tools::{POLICY, PUBLIC_KEY, WORK, change, dry_run, impersonating, object, raw, refused};
use super::super::turn::{ask, decide, plan_for};
use crate::runner::{Ctx, Test, shared};

pub(super) fn tests() -> Vec<Test> {
    shared![
        a_plan_created_by_a_person_is_refused_whoever_it_is,
        a_plan_of_the_operator_is_judged_again_and_refused_where_it_is_below_its_steps_or_the_policies,
        status_written_by_a_person_is_refused_for_every_kind,
        a_write_made_by_a_plan_is_refused_for_every_kind,
    ]
}

async fn a_plan_created_by_a_person_is_refused_whoever_it_is(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("own-plan").await?;
    let alice = ctx.client("alice").await?;
    // Valid in every way but in who creates it.
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let copy = object("CommandPlan", "copied", &serde_json::to_value(&plan.spec)?)?;
    for account in ["alice", "bob", "dave"] {
        let plans = raw(&ctx.client(account).await?, "CommandPlan", &namespace);
        let made = plans.create(&PostParams::default(), &copy).await;
        refused(account, made, 403, &["commandplans"])?;
    }
    let webhook = "system:serviceaccount:kubechat-system:kubechat-webhook";
    for powerful in [
        ctx.client("admin").await?,
        ctx.client("erin").await?,
        impersonating(&ctx.cluster, webhook, &["system:masters"], &[]).await?,
    ] {
        let made = raw(&powerful, "CommandPlan", &namespace)
            .create(&PostParams::default(), &copy)
            .await;
        refused(
            "an administrator",
            made,
            403,
            &["only KubeChat's operator", "Create a ChatRequest"],
        )?;
    }
    Ok(())
}

/// What a broken or captured operator could change of a plan. Whether the digest is made anew for it; the answer.
type Lowered = (&'static str, fn(&mut CommandPlanSpec), bool, u16, &'static str);

async fn a_plan_of_the_operator_is_judged_again_and_refused_where_it_is_below_its_steps_or_the_policies(
    ctx: Arc<Ctx>,
) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("lowered").await?;
    let alice = ctx.client("alice").await?;
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let operator = client_for(&product.kubeconfig("kubechat-operator"), None).await?;
    let plans: Api<CommandPlan> = Api::namespaced(operator, &namespace);
    // As it is, it would be taken: what is refused below is refused for what was changed.
    plans
        .create(&dry_run(), &CommandPlan::new("copied", plan.spec.clone()))
        .await?;
    let content = "but the digest of the plan's content is";
    let cases: [Lowered; 6] = [
        (
            "a made up digest",
            |plan| plan.digest = format!("sha256:{}", "0".repeat(64)),
            false,
            422,
            content,
        ),
        (
            "other content under the digest",
            |plan| plan.steps[0].params.replicas = Some(50),
            false,
            422,
            content,
        ),
        (
            "a lower score",
            |plan| plan.risk.score -= 1,
            true,
            403,
            "but the steps amount to",
        ),
        (
            "a lower level",
            |plan| plan.risk.level = Level::Safe,
            true,
            403,
            "spec.risk.level is safe, but the steps are caution",
        ),
        (
            "no requirement",
            |plan| plan.requirement.clear(),
            true,
            403,
            "spec.requirement is below what the RiskPolicies ask",
        ),
        (
            "a service account that does not sign",
            |plan| plan.requester.username = "system:serviceaccount:flux-system:flux".to_owned(),
            true,
            403,
            "is no service account of namespace",
        ),
    ];
    for (what, lower, digested, code, words) in cases {
        let mut spec = plan.spec.clone();
        lower(&mut spec);
        if digested {
            spec.digest = spec.compute_digest()?.to_string();
        }
        let made = plans
            .create(&PostParams::default(), &CommandPlan::new("copied", spec))
            .await;
        refused(what, made, code, &["judge.kubechat.io", words])?;
    }
    let stored = plans.list(&ListParams::default()).await?.items;
    ensure!(stored.len() == 1, "{} plans are stored", stored.len());
    Ok(())
}

/// An object of each kind of ours: (kind, its name).
async fn one_of_each(ctx: &Ctx, namespace: &str) -> Result<Vec<(&'static str, String)>> {
    let (alice, bob, admin) = (
        ctx.client("alice").await?,
        ctx.client("bob").await?,
        ctx.client("admin").await?,
    );
    let plan: CommandPlan = plan_for(&alice, namespace, "scale nginx to 3 replicas").await?;
    let approval = decide(&bob, &plan, DecisionKind::Deny).await?.name_any();
    let session = object("ChatSession", "talk", &json!({}))?;
    raw(&alice, "ChatSession", namespace)
        .create(&PostParams::default(), &session)
        .await?;
    let key = format!("key-of-{namespace}");
    let spec = json!({"username": "bob", "publicKey": PUBLIC_KEY});
    raw(&admin, "ApproverKey", "")
        .create(&PostParams::default(), &object("ApproverKey", &key, &spec)?)
        .await?;
    let name = |kind: &str, shipped: Option<&str>| match kind {
        "ChatRequest" => plan.spec.chat_request_ref.name.clone(),
        "ChatSession" => "talk".to_owned(),
        "CommandPlan" => plan.name_any(),
        "Approval" => approval.clone(),
        _ => shipped.unwrap_or(&key).to_owned(),
    };
    let work = WORK.iter().map(|(kind, _)| (*kind, name(kind, None)));
    let policy = POLICY
        .iter()
        .map(|(kind, _, shipped)| (*kind, name(kind, *shipped)));
    Ok(work.chain(policy).collect())
}

async fn status_written_by_a_person_is_refused_for_every_kind(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("own-status").await?;
    let status = json!({"status": {"observedGeneration": 99, "conditions": []}});
    for (kind, name) in one_of_each(&ctx, &namespace).await? {
        for account in ["alice", "bob"] {
            let api = raw(&ctx.client(account).await?, kind, &namespace);
            let merge = Patch::Merge(&status);
            let written = api.patch_status(&name, &PatchParams::default(), &merge).await;
            refused(&format!("{account} on {kind}"), written, 403, &["status"])?;
        }
        for account in ["admin", "erin"] {
            let api = raw(&ctx.client(account).await?, kind, &namespace);
            let merge = Patch::Merge(&status);
            let written = api.patch_status(&name, &PatchParams::default(), &merge).await;
            let words = ["only KubeChat's operator", "writes status"];
            refused(&format!("{account} on {kind}"), written, 403, &words)?;
            // The operator may write between the two; that conflict says nothing of the rule.
            let replaced = loop {
                let current = api.get(&name).await?;
                let replaced = api.replace_status(&name, &PostParams::default(), &current).await;
                if !matches!(&replaced, Err(kube::Error::Api(status)) if status.code == 409) {
                    break replaced;
                }
            };
            refused(&format!("{account} on {kind}"), replaced, 403, &words)?;
        }
    }
    Ok(())
}

/// A spec of the kind that would be taken from a person.
fn good_spec(kind: &str, plan: &CommandPlan) -> Value {
    match kind {
        "ChatRequest" => json!({"prompt": "list pods"}),
        "Approval" => json!({
            "planRef": {"name": plan.name_any()}, "planDigest": plan.spec.digest, "decision": "Approve",
        }),
        "CommandPlan" => serde_json::to_value(&plan.spec).unwrap_or_default(),
        "AIProvider" => json!({"type": "Rules"}),
        "ApproverKey" => json!({"username": "bob", "publicKey": PUBLIC_KEY}),
        _ => json!({}),
    }
}

async fn a_write_made_by_a_plan_is_refused_for_every_kind(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("own-judge").await?;
    let plan = plan_for(
        &ctx.client("alice").await?,
        &namespace,
        "scale nginx to 4 replicas",
    )
    .await?;
    let objects = one_of_each(&ctx, &namespace).await?;
    let by_plan = |user, groups: &'static [&'static str]| {
        let extra = [("kubechat.io/plan", plan.spec.digest.as_str())];
        let cluster = &ctx.cluster;
        async move { impersonating(cluster, user, groups, &extra).await }
    };
    let words = [
        "a plan never changes objects of kubechat.io",
        "Nothing was written",
    ];
    let writers: [Client; 2] = [
        by_plan("alice", &["developers", "system:masters"]).await?,
        by_plan("erin", &["platform"]).await?,
    ];
    for client in &writers {
        for (kind, name) in &objects {
            let api = raw(client, kind, &namespace);
            let spec = good_spec(kind, &plan);
            // The one AuditPolicy there may be is there already; that answer would come after admission.
            let fresh = if *kind == "AuditPolicy" {
                "default"
            } else {
                "made-by-plan"
            };
            let made = api
                .create(&PostParams::default(), &object(kind, fresh, &spec)?)
                .await;
            // Two policies refuse a CommandPlan; either may answer first.
            let either = if *kind == "CommandPlan" {
                &words[1..]
            } else {
                &words
            };
            refused(&format!("create {kind}"), made, 403, either)?;
            let labelled = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
            let labelled = api.patch(name, &PatchParams::default(), &labelled).await;
            refused(&format!("label {kind}"), labelled, 403, &words)?;
            let deleted = api.delete(name, &DeleteParams::default()).await;
            refused(&format!("delete {kind}"), deleted.map(|_| ()), 403, &words)?;
        }
    }
    // The same people without the mark of a plan may.
    let erin = impersonating(&ctx.cluster, "erin", &["platform"], &[]).await?;
    let baseline = raw(&erin, "RiskPolicy", "").get("baseline").await?;
    ensure!(baseline.labels().get("a").is_none(), "the baseline was labelled");
    raw(&erin, "RiskPolicy", "")
        .create(&dry_run(), &object("RiskPolicy", "by-erin", &json!({}))?)
        .await?;
    let turn = ask(&erin, &namespace, "list pods").await?;
    change(
        &raw(&erin, "ChatRequest", &namespace),
        &turn.name_any(),
        &json!({"cancel": true}),
    )
    .await?;
    Ok(())
}
