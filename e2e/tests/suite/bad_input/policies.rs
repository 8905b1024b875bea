//! Policies that are missing, unsupported, suspended or stricter than before hold plans back. They bind the whole
//! cluster, so these run in one of their own, one after the other.

use anyhow::{Context, Result, ensure};
use kube::api::{DeleteParams, PostParams};
use kube::{Client, ResourceExt};
use kubechat_crds::condition::{find, types};
use kubechat_crds::{CommandPlan, PlanPhase};
use kubechat_e2e::cluster::Options;
use kubechat_e2e::product::{self, Product};
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::super::tools::{at, change, ended_unsent, nginx, object, raw, recorded_refusal};
use super::super::turn::{
    LATER, SOON, approve, ask, conditions, ended_as, phase, plan_for, read, says, verdict, waiting_plan,
};
use super::changed::demote;
use crate::runner::{Test, own, with_product};

const DEMO: &str = "demo";

pub(super) fn tests() -> Vec<Test> {
    own![a_policy_that_is_missing_unsupported_suspended_or_stricter_than_before_holds_plans_back]
}

/// The people of these tests.
struct People {
    admin: Client,
    alice: Client,
    bob: Client,
    carol: Client,
}

async fn a_policy_that_is_missing_unsupported_suspended_or_stricter_than_before_holds_plans_back()
-> Result<()> {
    with_product(
        Options::default(),
        product::Options::default(),
        async |cluster, product| {
            let people = People {
                admin: cluster.client("admin").await?,
                alice: cluster.client("alice").await?,
                bob: cluster.client("bob").await?,
                carol: cluster.client("carol").await?,
            };
            stricter_after_the_plan_binds(&people)
                .await
                .context("a stricter policy")?;
            unsupported_is_not_ready(&people)
                .await
                .context("an unsupported policy")?;
            missing_approves_nothing(&people).await.context("no policy")?;
            short_lives_expire(&people).await.context("a short maxPlanAge")?;
            limits_refuse_what_is_more(&people, product)
                .await
                .context("small limits")?;
            suspended_sends_nothing_and_rights_are_asked_again(&people, product)
                .await
                .context("a suspended policy")
        },
    )
    .await
}

/// Waits until the plan says that it waits for this reason; returns the message.
async fn waits_for(people: &People, plan: &CommandPlan, reason: &str) -> Result<String> {
    eventually(LATER, &format!("the plan waits: {reason}"), || async {
        let plan = read(&people.alice, plan).await?;
        let waiting = find(conditions(&plan), types::AWAITING_APPROVAL)
            .with_context(|| format!("{:?}", plan.status))?;
        ensure!(
            waiting.status == "True" && waiting.reason == reason,
            "{waiting:?}"
        );
        ensure!(
            phase(&plan) == Some(PlanPhase::AwaitingApproval),
            "it is {:?}",
            phase(&plan)
        );
        Ok(waiting.message.clone())
    })
    .await
}

async fn replicas(people: &People) -> Result<Value> {
    Ok(at(&nginx(&people.alice, DEMO).await?, "/spec/replicas"))
}

async fn stricter_after_the_plan_binds(people: &People) -> Result<()> {
    let packs = raw(&people.admin, "RiskPolicy", "");
    let plan = plan_for(&people.alice, DEMO, "scale nginx to 3 replicas").await?;
    let strict = json!({"approvals": {"caution": {"count": 2, "selfConfirm": false}}});
    packs
        .create(&PostParams::default(), &object("RiskPolicy", "strict", &strict)?)
        .await?;
    waits_for(people, &plan, "RequirementChanged").await?;
    approve(&people.bob, &plan).await?;
    counts(people, &plan, "1/2").await?;
    ensure!(replicas(people).await? == 2, "one approval sufficed");
    approve(&people.carol, &plan).await?;
    ended_as(&people.alice, &plan, PlanPhase::Succeeded).await?;
    ensure!(replicas(people).await? == 3);
    loosened_after_the_plan_does_not_help(people).await?;
    tightened_after_the_approval_binds(people).await
}

/// Waits until this many of the approvals asked for are counted.
async fn counts(people: &People, plan: &CommandPlan, wanted: &str) -> Result<()> {
    eventually(SOON, &format!("{wanted} is counted"), || async {
        let status = read(&people.alice, plan).await?.status;
        let found = status.and_then(|s| s.approvals).map(|a| a.summary);
        ensure!(found.as_deref() == Some(wanted), "it is {found:?}");
        Ok(())
    })
    .await
}

/// Pack `strict` stands, and goes: what the plan froze still binds.
async fn loosened_after_the_plan_does_not_help(people: &People) -> Result<()> {
    let packs = raw(&people.admin, "RiskPolicy", "");
    let plan = plan_for(&people.alice, DEMO, "label configmap nginx-conf kept=frozen").await?;
    approve(&people.bob, &plan).await?;
    counts(people, &plan, "1/2").await?;
    packs.delete("strict", &DeleteParams::default()).await?;
    // Once a plan goes with one person, the operator has seen that the pack is gone.
    eventually(LATER, "one person suffices for a new plan", || async {
        let next = plan_for(&people.alice, DEMO, "label deployment nginx next=one").await?;
        ensure!(
            next.spec.requirement.iter().all(|r| r.count == 1),
            "{:?}",
            next.spec.requirement
        );
        approve(&people.bob, &next).await?;
        ended_as(&people.alice, &next, PlanPhase::Succeeded)
            .await
            .map(drop)
    })
    .await?;
    waits_for(people, &plan, "AwaitingApproval").await?;
    counts(people, &plan, "1/2").await?;
    approve(&people.carol, &plan).await?;
    ended_as(&people.alice, &plan, PlanPhase::Succeeded)
        .await
        .map(drop)
}

/// Approved by all that were asked for, held by the kill switch; then a pack asks for more.
async fn tightened_after_the_approval_binds(people: &People) -> Result<()> {
    let packs = raw(&people.admin, "RiskPolicy", "");
    change(&packs, "baseline", &json!({"suspend": true})).await?;
    let plan = plan_for(&people.alice, DEMO, "label configmap nginx-conf more=tight").await?;
    waits_for(people, &plan, "Suspended").await?;
    approve(&people.bob, &plan).await?;
    counts(people, &plan, "1/1").await?;
    let strict = json!({"approvals": {"caution": {"count": 2, "selfConfirm": false}}});
    packs
        .create(&PostParams::default(), &object("RiskPolicy", "strict", &strict)?)
        .await?;
    counts(people, &plan, "1/2").await?;
    change(&packs, "baseline", &json!({"suspend": false})).await?;
    waits_for(people, &plan, "RequirementChanged").await?;
    approve(&people.carol, &plan).await?;
    ended_as(&people.alice, &plan, PlanPhase::Succeeded).await?;
    packs.delete("strict", &DeleteParams::default()).await?;
    Ok(())
}

async fn unsupported_is_not_ready(people: &People) -> Result<()> {
    let packs = raw(&people.admin, "RiskPolicy", "");
    let plan = plan_for(&people.alice, DEMO, "scale nginx to 4 replicas").await?;
    for spec in [
        json!({"notifiers": [{"name": "n", "type": "Email", "endpoint": "ops@example.org"}]}),
        json!({"notifiers": [{"name": "n", "type": "Webhook", "endpoint": "https://hooks.example.org"}]}),
    ] {
        packs
            .create(&PostParams::default(), &object("RiskPolicy", "later", &spec)?)
            .await?;
        let ready = eventually(SOON, "the pack is judged", || async {
            let found = packs.get("later").await?;
            found
                .data
                .pointer("/status/conditions/0")
                .cloned()
                .context("it has no condition")
        })
        .await?;
        ensure!(
            ready["type"] == "Ready" && ready["status"] == "False" && ready["reason"] == "NotSupported",
            "{spec} is {ready}"
        );
        let message = waits_for(people, &plan, "PolicyNotReady").await?;
        says(&message, &["RiskPolicy later"])?;
        packs.delete("later", &DeleteParams::default()).await?;
        waits_for(people, &plan, "AwaitingApproval").await?;
    }
    // A decision that came while the pack stood counts as soon as it is gone.
    let later = json!({"notifiers": [{"name": "n", "type": "Email", "endpoint": "ops@example.org"}]});
    packs
        .create(&PostParams::default(), &object("RiskPolicy", "later", &later)?)
        .await?;
    waits_for(people, &plan, "PolicyNotReady").await?;
    approve(&people.bob, &plan).await?;
    waits_for(people, &plan, "PolicyNotReady").await?;
    ensure!(replicas(people).await? == 3, "it was executed");
    packs.delete("later", &DeleteParams::default()).await?;
    ended_as(&people.alice, &plan, PlanPhase::Succeeded).await?;
    ensure!(replicas(people).await? == 4);
    Ok(())
}

async fn missing_approves_nothing(people: &People) -> Result<()> {
    let packs = raw(&people.admin, "RiskPolicy", "");
    let baseline = packs.get("baseline").await?;
    packs.delete("baseline", &DeleteParams::default()).await?;
    let turn = ask(&people.alice, DEMO, "scale nginx to 5 replicas").await?;
    let plan = waiting_plan(&people.alice, &turn).await?;
    let message = waits_for(people, &plan, "NoPolicy").await?;
    says(&message, &["RiskPolicy"])?;
    // Reads need no policy.
    super::super::tools::ends_as(
        &people.alice,
        DEMO,
        super::super::tools::says_prompt("list pods"),
        kubechat_crds::RequestPhase::Succeeded,
        "Answered",
    )
    .await?;
    for person in [&people.alice, &people.bob] {
        // Taken or refused: it does not let the plan pass.
        drop(approve(person, &plan).await);
    }
    waits_for(people, &plan, "NoPolicy").await?;
    ensure!(replicas(people).await? == 4, "it was executed without a policy");
    let spec = baseline.data["spec"].clone();
    packs
        .create(&PostParams::default(), &object("RiskPolicy", "baseline", &spec)?)
        .await?;
    eventually(LATER, "the plan goes on", || async {
        let now = read(&people.alice, &plan).await?;
        let waits = find(conditions(&now), types::AWAITING_APPROVAL).map(|c| c.reason.clone());
        ensure!(
            waits.as_deref() != Some("NoPolicy"),
            "it still waits for a policy"
        );
        Ok(())
    })
    .await?;
    if phase(&read(&people.alice, &plan).await?) == Some(PlanPhase::AwaitingApproval) {
        drop(approve(&people.bob, &plan).await);
    }
    ended_as(&people.alice, &plan, PlanPhase::Succeeded).await?;
    ensure!(replicas(people).await? == 5);
    Ok(())
}

async fn short_lives_expire(people: &People) -> Result<()> {
    let packs = raw(&people.admin, "RiskPolicy", "");
    let hasty = json!({"maxPlanAge": {"caution": "3s"}});
    packs
        .create(&PostParams::default(), &object("RiskPolicy", "hasty", &hasty)?)
        .await?;
    eventually(LATER, "a plan lives three seconds", || async {
        let turn = ask(&people.alice, DEMO, "scale nginx to 6 replicas").await?;
        let plan = super::super::turn::ended_turn(&people.alice, &turn)
            .await?
            .status
            .and_then(|s| s.plan_ref);
        let plan = plan.context("it became no plan")?;
        let plans: kube::Api<CommandPlan> = kube::Api::namespaced(people.alice.clone(), DEMO);
        let plan = plans.get(&plan.name).await?;
        ensure!(
            phase(&plan) == Some(PlanPhase::Expired),
            "it is {:?}",
            phase(&plan)
        );
        says(
            &verdict(&plan)?.message,
            &["the plan expired at", "Nothing was executed"],
        )?;
        ensure!(approve(&people.bob, &plan).await.is_err(), "it takes an approval");
        Ok(())
    })
    .await?;
    packs.delete("hasty", &DeleteParams::default()).await?;
    Ok(())
}

async fn limits_refuse_what_is_more(people: &People, product: &Product) -> Result<()> {
    let packs = raw(&people.admin, "RiskPolicy", "");
    for (limit, prompt, words) in [
        (
            "stepsPerPlan",
            "scale nginx to 3 and restart nginx",
            ["2 steps", "the limit is 1"],
        ),
        (
            "targetsPerStep",
            "kubectl label configmap nginx-conf kube-root-ca.crt limit=one",
            ["2 objects", "the limit is 1"],
        ),
        (
            "changesPerUserPerHour",
            "scale nginx to 3",
            ["plans within the hour", "the limit is 1"],
        ),
    ] {
        let small = object("RiskPolicy", "small", &json!({"limits": {limit: 1}}))?;
        packs.create(&PostParams::default(), &small).await?;
        eventually(SOON, "the pack is judged", || async {
            let found = packs.get("small").await?;
            let ready = at(&found.data, "/status/conditions/0/status");
            ensure!(ready == "True", "it is {}", found.data);
            Ok(())
        })
        .await?;
        let spec = super::super::tools::says_prompt(prompt);
        let blocked = kubechat_crds::RequestPhase::Blocked;
        let (turn, said) =
            super::super::tools::ends_as(&people.alice, DEMO, spec, blocked, "LimitExceeded").await?;
        says(&said, &words).context(limit)?;
        recorded_refusal(product, &turn, "LimitExceeded").await?;
        packs.delete("small", &DeleteParams::default()).await?;
    }
    ensure!(replicas(people).await? == 5, "something was done");
    Ok(())
}

async fn suspended_sends_nothing_and_rights_are_asked_again(
    people: &People,
    product: &Product,
) -> Result<()> {
    let packs = raw(&people.admin, "RiskPolicy", "");
    change(&packs, "baseline", &json!({"suspend": true})).await?;
    let turn = ask(&people.alice, DEMO, "scale nginx to 2 replicas").await?;
    let plan = waiting_plan(&people.alice, &turn).await?;
    let message = waits_for(people, &plan, "Suspended").await?;
    says(&message, &["RiskPolicy baseline", "spec.suspend"])?;
    approve(&people.bob, &plan).await?;
    counts(people, &plan, "1/1").await?;
    waits_for(people, &plan, "Suspended").await?;
    ensure!(replicas(people).await? == 5, "it was executed while suspended");
    // Approved with the right, to be executed without it.
    demote(&people.admin, DEMO).await?;
    change(&packs, "baseline", &json!({"suspend": false})).await?;
    let plan = ended_unsent(&people.alice, &plan, PlanPhase::Failed).await?;
    let ended = verdict(&plan)?;
    ensure!(ended.reason == "Forbidden", "it ended as {ended:?}");
    says(
        &ended.message,
        &[
            "alice may not patch deployments/scale.apps",
            "any more",
            "Nothing was executed",
        ],
    )?;
    recorded_refusal(product, &turn, "Forbidden").await?;
    ensure!(
        at(&nginx(&people.admin, DEMO).await?, "/spec/replicas") == 5,
        "{}",
        plan.name_any()
    );
    Ok(())
}
