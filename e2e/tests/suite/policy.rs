//! Rules and freezes of RiskPolicies, end to end: what they refuse, and what a pack that changes or goes does to plans
//! that wait. They bind the whole cluster, so these run in one of their own, one after the other.

use anyhow::{Context, Result, ensure};
use kube::Client;
use kube::api::{DeleteParams, PostParams};
use kubechat_crds::condition::{find, types};
use kubechat_crds::{CommandPlan, PlanPhase, RequestPhase};
use kubechat_e2e::cluster::Options;
use kubechat_e2e::product;
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::tools::{at, change, ended_unsent, nginx, object, raw, status_of};
use super::turn::{
    LATER, SOON, approve, ask, ended_as, ended_turn, held_up, phase, plan_for, read, says, verdict,
};
use crate::runner::{Test, own, with_product};

const DEMO: &str = "demo";

pub(crate) fn tests() -> Vec<Test> {
    own![rules_freezes_and_packs_that_change_or_go_bind_plans_as_the_stricter_of_then_and_now]
}

/// The people of these tests.
struct People {
    admin: Client,
    alice: Client,
    bob: Client,
    carol: Client,
}

impl People {
    async fn apply(&self, name: &str, spec: &Value) -> Result<()> {
        let packs = raw(&self.admin, "RiskPolicy", "");
        packs
            .create(&PostParams::default(), &object("RiskPolicy", name, spec)?)
            .await?;
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<()> {
        raw(&self.admin, "RiskPolicy", "")
            .delete(name, &DeleteParams::default())
            .await?;
        Ok(())
    }

    async fn replicas(&self) -> Result<Value> {
        Ok(at(&nginx(&self.alice, DEMO).await?, "/spec/replicas"))
    }
}

async fn rules_freezes_and_packs_that_change_or_go_bind_plans_as_the_stricter_of_then_and_now() -> Result<()>
{
    with_product(
        Options::default(),
        product::Options::default(),
        async |cluster, _| {
            let people = People {
                admin: cluster.client("admin").await?,
                alice: cluster.client("alice").await?,
                bob: cluster.client("bob").await?,
                carol: cluster.client("carol").await?,
            };
            a_deny_blocks_the_turn(&people).await.context("a Deny rule")?;
            a_freeze_blocks_the_turn(&people).await.context("a freeze")?;
            the_stricter_of_two_packs_wins(&people)
                .await
                .context("contradicting packs")?;
            loosened_or_deleted_the_frozen_requirement_binds(&people)
                .await
                .context("a loosened pack")?;
            a_deny_that_comes_later_ends_the_plan(&people)
                .await
                .context("a tightened pack")
        },
    )
    .await
}

/// Asks until the packs of now are seen; the turn must end Blocked, naming them.
async fn blocked(people: &People, prompt: &str, policy: &str, rule: &str) -> Result<String> {
    eventually(LATER, &format!("{policy}/{rule} blocks"), || async {
        let turn = ask(&people.alice, DEMO, prompt).await?;
        let turn = ended_turn(&people.alice, &turn).await?;
        let status = status_of(&turn);
        ensure!(
            status.phase == Some(RequestPhase::Blocked),
            "it is {:?}",
            status.phase
        );
        let by = status.blocked.as_ref().context("status.blocked is not there")?;
        ensure!(by.policy == policy && by.rule == rule, "blocked by {by:?}");
        let ended = find(&status.conditions, types::SUCCEEDED).context("it has no verdict")?;
        Ok(ended.message.clone())
    })
    .await
}

async fn a_deny_blocks_the_turn(people: &People) -> Result<()> {
    let rule = json!({"name": "small", "effect": "Deny", "message": "Three are enough",
        "when": "step.action == 'scale' && has(step.params.replicas) && step.params.replicas > 3 && namespaceObject.name == 'demo'"});
    people.apply("guard", &json!({"rules": [rule]})).await?;
    let message = blocked(people, "scale nginx to 4 replicas", "guard", "small").await?;
    says(
        &message,
        &[
            "RiskPolicy guard, rule small",
            "Three are enough",
            "Nothing was done",
        ],
    )?;
    ensure!(people.replicas().await? == 2, "it was scaled");
    // What the rule does not speak of goes on.
    let plan = plan_for(&people.alice, DEMO, "scale nginx to 3 replicas").await?;
    approve(&people.bob, &plan).await?;
    ended_as(&people.alice, &plan, PlanPhase::Succeeded).await?;
    people.remove("guard").await
}

async fn a_freeze_blocks_the_turn(people: &People) -> Result<()> {
    let freeze =
        json!({"cron": "* * * * *", "duration": "1h", "timeZone": "Europe/Berlin", "effect": "Deny"});
    people.apply("frozen", &json!({"freezes": [freeze]})).await?;
    let message = blocked(people, "scale nginx to 4 replicas", "frozen", "freeze-1").await?;
    says(
        &message,
        &[
            "RiskPolicy frozen freezes all changes",
            "Europe/Berlin",
            "Ask again after",
        ],
    )?;
    people.remove("frozen").await
}

async fn the_stricter_of_two_packs_wins(people: &People) -> Result<()> {
    let rule = |name: &str, effect: &str| json!({"rules": [{"name": name, "when": "step.action == 'scale'", "effect": effect}]});
    people.apply("lax", &rule("yes", "Allow")).await?;
    people.apply("tight", &rule("no", "Deny")).await?;
    let message = blocked(people, "scale nginx to 4 replicas", "tight", "no").await?;
    says(
        &message,
        &["RiskPolicy lax, rule yes would allow it", "the stricter one wins"],
    )?;
    people.remove("tight").await?;
    people.remove("lax").await
}

async fn waits(people: &People, plan: &CommandPlan, summary: &str) -> Result<()> {
    eventually(SOON, &format!("the plan waits with {summary}"), || async {
        let now = read(&people.alice, plan).await?;
        ensure!(
            phase(&now) == Some(PlanPhase::AwaitingApproval),
            "it is {:?}",
            phase(&now)
        );
        let found = now.status.and_then(|s| s.approvals).map(|a| a.summary);
        ensure!(found.as_deref() == Some(summary), "it is {found:?}");
        Ok(())
    })
    .await
}

async fn loosened_or_deleted_the_frozen_requirement_binds(people: &People) -> Result<()> {
    people
        .apply("two", &json!({"approvals": {"caution": {"count": 2}}}))
        .await?;
    let plan = eventually(LATER, "a plan needs two", || async {
        let plan = plan_for(&people.alice, DEMO, "scale nginx to 4 replicas").await?;
        ensure!(
            plan.spec
                .requirement
                .iter()
                .any(|r| r.policy == "two" && r.count == 2),
            "not yet"
        );
        Ok(plan)
    })
    .await?;
    approve(&people.bob, &plan).await?;
    waits(people, &plan, "1/2").await?;
    let packs = raw(&people.admin, "RiskPolicy", "");
    change(&packs, "two", &json!({"approvals": {"caution": {"count": 1}}})).await?;
    waits(people, &plan, "1/2").await?;
    people.remove("two").await?;
    waits(people, &plan, "1/2").await?;
    ensure!(people.replicas().await? == 3, "one approval sufficed");
    approve(&people.carol, &plan).await?;
    ended_as(&people.alice, &plan, PlanPhase::Succeeded).await?;
    ensure!(people.replicas().await? == 4);
    Ok(())
}

async fn a_deny_that_comes_later_ends_the_plan(people: &People) -> Result<()> {
    let plan = plan_for(&people.alice, DEMO, "scale nginx to 5 replicas").await?;
    held_up(&people.alice, &plan, "AwaitingApproval").await?;
    let rule = json!({"name": "no-scale", "when": "step.action == 'scale'", "effect": "Deny"});
    people.apply("later", &json!({"rules": [rule]})).await?;
    let plan = ended_unsent(&people.alice, &plan, PlanPhase::Blocked).await?;
    let ended = verdict(&plan)?;
    ensure!(ended.reason == "PolicyDenied", "it ended as {ended:?}");
    says(&ended.message, &["RiskPolicy later, rule no-scale"])?;
    ensure!(people.replicas().await? == 4, "it was scaled");
    people.remove("later").await
}
