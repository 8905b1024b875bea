//! What a policy lets Git do beyond signed approvals: claims without a signature, up to caution; emergencies and their
//! review.

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use kubechat_crds::condition::{find, types};
use kubechat_crds::{CommandPlan, PlanPhase, Via};
use kubechat_e2e::apply::Applier;
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::decisions::{Shop, register, signed, spec};
use super::{SHOP, with_flux};
use crate::runner::{Test, own};
use crate::suite::approvals::keys::KeyPair;
use crate::suite::tools::{change, raw};
use crate::suite::turn::{LATER, ended_as, plan_for, read};

pub(super) fn tests() -> Vec<Test> {
    own![a_claim_counts_up_to_caution_and_an_emergency_in_git_is_reviewed_in_git]
}

async fn a_claim_counts_up_to_caution_and_an_emergency_in_git_is_reviewed_in_git() -> Result<()> {
    with_flux(async |cluster, _, flux| {
        let shop = Shop::set_up(cluster, flux).await?;
        let unsigned = claimed(&shop, &cluster.client("alice").await?)
            .await
            .context("claims")?;
        in_an_emergency(&shop).await.context("an emergency")?;
        let still = read(&shop.admin, &unsigned).await?.status.and_then(|s| s.phase);
        ensure!(still == Some(PlanPhase::AwaitingApproval), "{still:?}");
        Ok(())
    })
    .await
}

async fn allow(shop: &Shop, what: &Value) -> Result<()> {
    change(&raw(&shop.admin, "RiskPolicy", ""), "baseline", what).await?;
    Ok(())
}

/// How the one decision came that was counted.
fn via(plan: &CommandPlan) -> Result<(String, Via)> {
    let counted = plan.status.as_ref().and_then(|status| status.approvals.clone());
    let counted = counted.context("nothing was counted")?.decisions;
    let [one] = counted.as_slice() else {
        anyhow::bail!("it counted {counted:?}");
    };
    Ok((one.username.clone(), one.via))
}

/// Returns the plan that waits for a signed word.
async fn claimed(shop: &Shop, alice: &Client) -> Result<CommandPlan> {
    allow(shop, &json!({"gitops": {"unsignedClaims": "Caution"}})).await?;
    // Nobody believes a claim of groups.
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "bob", "namespace": SHOP},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kubechat-approver-destructive"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
    });
    Applier::new(shop.admin.clone()).apply_all(&[binding]).await?;
    let claim = |plan: &CommandPlan, person: &str| {
        let mut spec = spec(plan);
        spec["approver"] = json!({"username": person});
        spec
    };
    let more = plan_for(alice, SHOP, "scale nginx to 5 replicas").await?;
    shop.decide("bob-claims", &claim(&more, "bob"))?;
    shop.pipeline.push("bob says yes, they say").await?.healthy()?;
    let more = ended_as(&shop.admin, &more, PlanPhase::Succeeded).await?;
    ensure!(
        via(&more)? == ("bob".to_owned(), Via::GitOps),
        "{:?}",
        more.status
    );
    shop.judged("bob-claims", "True", "Accepted").await?;
    // A destructive plan is signed for; and what Git itself asks for waits for a signed word, whatever is claimed.
    let none = plan_for(alice, SHOP, "scale nginx to 0 replicas").await?;
    let (_, asked) = shop.ask("asked", "scale nginx to 4 replicas").await?;
    for (name, plan, verdict) in [
        ("bob-claims-more", &none, ("False", "SignatureMissing")),
        ("bob-claims-gits", &asked, ("True", "Accepted")),
    ] {
        shop.decide(name, &claim(plan, "bob"))?;
        shop.pipeline.push(name).await?.healthy()?;
        shop.judged(name, verdict.0, verdict.1).await?;
        let waits = read(&shop.admin, plan).await?.status.and_then(|s| s.phase);
        ensure!(waits == Some(PlanPhase::AwaitingApproval), "{waits:?}");
    }
    allow(shop, &json!({"gitops": {"unsignedClaims": "None"}})).await?;
    Ok(asked)
}

async fn in_an_emergency(shop: &Shop) -> Result<()> {
    let carols = KeyPair::new("ed25519", "").await?;
    register(&shop.admin, "carol", &carols).await?;
    allow(
        shop,
        &json!({"breakGlass": {"groups": ["approvers"], "reviewWithin": "24h"}}),
    )
    .await?;
    let (_, plan) = shop.ask("stop", "scale nginx to 0 replicas").await?;
    let mut breaks = spec(&plan);
    breaks["breakGlass"] = json!({"incident": "INC-7"});
    shop.decide("bob-breaks", &signed(&shop.bobs, &plan, breaks).await?)?;
    shop.pipeline.push("incident 7").await?.healthy()?;
    let plan = ended_as(&shop.admin, &plan, PlanPhase::Succeeded).await?;
    ensure!(
        via(&plan)? == ("bob".to_owned(), Via::BreakGlass),
        "{:?}",
        plan.status
    );
    reviewed(shop, &plan, "Unknown", "ReviewDue").await?;
    let mut looked = spec(&plan);
    looked["decision"] = json!("Review");
    // Who approved it does not review it.
    shop.decide("bob-reviews", &signed(&shop.bobs, &plan, looked.clone()).await?)?;
    shop.pipeline.push("bob looked at it").await?.healthy()?;
    shop.judged("bob-reviews", "False", "NotEligible").await?;
    shop.decide("carol-reviews", &signed(&carols, &plan, looked).await?)?;
    shop.pipeline.push("carol looked at it").await?.healthy()?;
    shop.judged("carol-reviews", "True", "Accepted").await?;
    reviewed(shop, &plan, "True", "Reviewed").await
}

async fn reviewed(shop: &Shop, plan: &CommandPlan, status: &str, reason: &str) -> Result<()> {
    eventually(LATER, &format!("the review is {reason}"), || async {
        let plan = read(&shop.admin, plan).await?;
        let conditions = plan.status.map(|s| s.conditions).unwrap_or_default();
        let found = find(&conditions, types::REVIEWED).context("it says nothing of a review")?;
        ensure!(found.status == status && found.reason == reason, "{found:?}");
        Ok(())
    })
    .await
}
