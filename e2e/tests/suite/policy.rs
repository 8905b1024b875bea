//! Rules and freezes of RiskPolicies, end to end: what they refuse, and what a pack that changes or goes does to plans
//! that wait. They bind the whole cluster, so these run in one of their own, one after the other. A pack can be tried first.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::condition::{find, types};
use kubechat_crds::{ChatRequest, ChatRequestSpec, CommandPlan, LocalRef, PlanPhase, RequestPhase};
use kubechat_e2e::cluster::Options;
use kubechat_e2e::product;
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::cli::Caller;
use super::tools::{at, change, ended_unsent, kubectl_ok, nginx, object, raw, says_prompt, status_of};
use super::turn::{
    LATER, SOON, approve, ask, ask_with, ended_as, ended_turn, phase, plan_for, read, says, verdict,
    waiting_plan,
};
use crate::runner::{Ctx, Test, own, shared, with_product};

const DEMO: &str = "demo";

pub(crate) fn tests() -> Vec<Test> {
    let own = own![rules_freezes_and_packs_that_change_or_go_bind_plans_as_the_stricter_of_then_and_now];
    [own, shared![a_pack_is_tried_on_the_plans_of_a_cluster]].concat()
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
            pods_that_match_only_since_an_approval_make_the_plan_stale(&people)
                .await
                .context("pods that come to match")?;
            a_deny_that_comes_later_ends_the_plan(&people)
                .await
                .context("a tightened pack")?;
            a_session_that_confirms_always_asks_where_no_pack_does(&people)
                .await
                .context("a session that confirms always")
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

/// Between the first word and the last one, 40 more come to match.
async fn pods_that_match_only_since_an_approval_make_the_plan_stale(people: &People) -> Result<()> {
    people
        .apply("two", &json!({"approvals": {"destructive": {"count": 2}}}))
        .await?;
    let pods: Api<Pod> = Api::namespaced(people.alice.clone(), DEMO);
    let make = async |range: std::ops::Range<usize>| {
        for n in range {
            let pod = json!({
                "metadata": {"name": format!("batch-{n}"), "labels": {"batch": "x"}},
                "spec": {"containers": [{"name": "c", "image": "nginx:1.28"}]},
            });
            pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
                .await?;
        }
        anyhow::Ok(())
    };
    make(0..2).await?;
    let plan = eventually(LATER, "a plan needs two", || async {
        let plan = plan_for(&people.alice, DEMO, "delete pods -l batch=x").await?;
        let two = plan.spec.requirement.iter().any(|r| r.policy == "two");
        ensure!(two, "{:?}", plan.spec.requirement);
        Ok(plan)
    })
    .await?;
    approve(&people.bob, &plan).await?;
    waits(people, &plan, "1/2").await?;
    make(2..42).await?;
    approve(&people.carol, &plan).await?;
    let ended = ended_unsent(&people.alice, &plan, PlanPhase::Stale).await?;
    let grew = ["the blast radius grew from 2 to 42 objects", "Pod from 2 to 42"];
    says(&verdict(&ended)?.message, &grew)?;
    let all = ListParams::default().labels("batch=x");
    let left = pods.list(&all).await?.items;
    let untouched = left
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none());
    ensure!(untouched.count() == 42, "{} are left", left.len());
    pods.delete_collection(&DeleteParams::default(), &all).await?;
    people.remove("two").await
}

async fn a_deny_that_comes_later_ends_the_plan(people: &People) -> Result<()> {
    let plan = plan_for(&people.alice, DEMO, "scale nginx to 5 replicas").await?;
    let rule = json!({"name": "no-scale", "when": "step.action == 'scale'", "effect": "Deny"});
    people.apply("later", &json!({"rules": [rule]})).await?;
    let plan = ended_unsent(&people.alice, &plan, PlanPhase::Blocked).await?;
    let ended = verdict(&plan)?;
    ensure!(ended.reason == "PolicyDenied", "it ended as {ended:?}");
    says(&ended.message, &["RiskPolicy later, rule no-scale"])?;
    ensure!(people.replicas().await? == 4, "it was scaled");
    people.remove("later").await
}

async fn a_session_that_confirms_always_asks_where_no_pack_does(people: &People) -> Result<()> {
    let session = json!({"defaults": {"confirm": "Always"}});
    raw(&people.alice, "ChatSession", DEMO)
        .create(
            &PostParams::default(),
            &object("ChatSession", "careful", &session)?,
        )
        .await?;
    let rule = json!({"name": "free", "when": "step.action == 'scale'", "effect": "Allow"});
    change(
        &raw(&people.admin, "RiskPolicy", ""),
        "baseline",
        &json!({"rules": [rule]}),
    )
    .await?;
    // The pack lets it through.
    eventually(LATER, "a plan waits for nobody", || async {
        let turn = ask(&people.alice, DEMO, "scale nginx to 6 replicas").await?;
        let turns: Api<ChatRequest> = Api::namespaced(people.alice.clone(), DEMO);
        let phase = eventually(LATER, "it waits or is done", || async {
            let phase = status_of(&turns.get(&turn.name_any()).await?).phase;
            let stands = [
                Some(RequestPhase::AwaitingApproval),
                Some(RequestPhase::Succeeded),
            ];
            ensure!(stands.contains(&phase), "it is {phase:?}");
            Ok(phase)
        })
        .await?;
        ensure!(phase == Some(RequestPhase::Succeeded), "it is {phase:?}");
        Ok(())
    })
    .await?;
    let turn = ChatRequestSpec {
        session_ref: Some(LocalRef::new("careful")),
        ..says_prompt("scale nginx to 7 replicas")
    };
    let plan = waiting_plan(&people.alice, &ask_with(&people.alice, DEMO, turn).await?).await?;
    waits(people, &plan, "0/1").await?;
    ensure!(people.replicas().await? == 6, "it was scaled");
    approve(&people.alice, &plan).await?;
    ended_as(&people.alice, &plan, PlanPhase::Succeeded).await?;
    ensure!(people.replicas().await? == 7);
    Ok(())
}

async fn a_pack_is_tried_on_the_plans_of_a_cluster(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("policy-test").await?;
    let plan = plan_for(&ctx.client("alice").await?, &namespace, "scale nginx to 3").await?;
    let caller = Caller::new(&ctx, "alice", &namespace);
    let folder = tempfile::TempDir::new()?;
    let (plans, pack) = (folder.path().join("plans.json"), folder.path().join("pack.yaml"));
    let get = ["get", "commandplans", "-n", &namespace, "-o", "json"];
    let (list, _) = kubectl_ok(&ctx.cluster, "alice", &get, "").await?;
    std::fs::write(&plans, list)?;
    let (plans, file) = (plans.to_string_lossy(), pack.to_string_lossy());
    let args = ["policy", "test", "--file", &file, "--plans", &plans, "-o", "json"];
    let with = |rules: &Value| {
        json!({
            "apiVersion": "kubechat.io/v1beta1", "kind": "RiskPolicy", "metadata": {"name": "baseline"},
            "spec": {"rules": rules, "approvals": {"caution": {"count": 1, "selfConfirm": true}}},
        })
        .to_string()
    };
    for (rules, change, code) in [
        (json!([]), "same", 0),
        (
            json!([{"name": "no", "when": "step.action == 'scale'", "effect": "Deny", "message": "hands off"}]),
            "denied",
            20,
        ),
    ] {
        std::fs::write(&pack, with(&rules))?;
        let (out, _) = caller.ends(&args, code).await?;
        let found: Value = serde_json::from_str(&out)?;
        ensure!(
            found[0]["change"] == change
                && found[0]["plan"].as_str() == Some(&format!("{namespace}/{}", plan.name_any())),
            "{out}"
        );
    }
    std::fs::write(
        &pack,
        with(&json!([{"name": "bad", "when": "step.acton == 'x'", "effect": "Deny"}])),
    )?;
    let (_, err) = caller.ends(&args, 2).await?;
    says(&err, &["step has no field acton"])
}
