//! What still holds when parts of the guard are taken away: the admission policies without the webhook, and the operator
//! without either.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::condition::{find, types};
use kubechat_crds::{Approval, ChatRequest, ChatSession, CommandPlan, PlanPhase, RequestPhase};
use kubechat_e2e::cluster::Options;
use kubechat_e2e::product::{self, Product};
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::super::tools::{
    at, change, dry_run, ended_unsent, is_over, nginx, object, raw, recorded_refusal, refused, status_of,
};
use super::super::turn::{LATER, SOON, plan_for, read, says};
use crate::runner::{Test, own, with_product};

const DEMO: &str = "demo";
const WEBHOOKS: &str = "kubechat";

pub(super) fn tests() -> Vec<Test> {
    own![without_the_webhook_forged_stamps_are_refused_and_without_any_admission_nothing_unsealed_is_acted_on]
}

async fn without_the_webhook_forged_stamps_are_refused_and_without_any_admission_nothing_unsealed_is_acted_on()
-> Result<()> {
    with_product(
        Options::default(),
        product::Options::default(),
        async |cluster, product| {
            let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
            let sealed = plan_for(&alice, DEMO, "scale nginx to 5 replicas").await?;
            remove_webhooks(&admin).await?;
            policies_refuse(&alice, &sealed)
                .await
                .context("without the webhook")?;
            remove_policies(&admin).await?;
            unsealed_turns_are_refused(&alice, product)
                .await
                .context("without any admission")?;
            unsealed_decisions_do_not_count(&alice, &sealed)
                .await
                .context("without any admission")?;
            unsealed_sessions_take_no_turns(&alice)
                .await
                .context("without any admission")?;
            stamps_are_changed_by_nobody(&admin, &sealed)
                .await
                .context("without any admission")?;
            forged_plans_are_not_executed(&admin, &alice, &sealed)
                .await
                .context("without any admission")?;
            ensure!(
                at(&nginx(&alice, DEMO).await?, "/spec/replicas") == 2,
                "nginx was scaled"
            );
            Ok(())
        },
    )
    .await
}

async fn remove_webhooks(admin: &Client) -> Result<()> {
    let none = DeleteParams::default();
    Api::<MutatingWebhookConfiguration>::all(admin.clone())
        .delete(WEBHOOKS, &none)
        .await?;
    Api::<ValidatingWebhookConfiguration>::all(admin.clone())
        .delete(WEBHOOKS, &none)
        .await?;
    Ok(())
}

async fn remove_policies(admin: &Client) -> Result<()> {
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(admin.clone());
    let ours = bindings.list(&ListParams::default()).await?.items;
    let ours = ours
        .iter()
        .filter(|binding| binding.name_any().ends_with(".kubechat.io"));
    for binding in ours {
        bindings
            .delete(&binding.name_any(), &DeleteParams::default())
            .await?;
    }
    Ok(())
}

/// What alice is to the API server, without a seal.
fn alices_stamp() -> Value {
    json!({
        "username": "alice", "uid": "8f4b1c9e-0000-4000-8000-000000000001",
        "groups": ["developers", "system:authenticated"],
    })
}

async fn policies_refuse(alice: &Client, plan: &CommandPlan) -> Result<()> {
    let turns = raw(alice, "ChatRequest", DEMO);
    let with = |field: &str, value: Value| {
        let mut stamp = alices_stamp();
        stamp[field] = value;
        stamp
    };
    // The webhook is gone for good once a turn comes back without a seal.
    eventually(SOON, "the API server no longer asks the webhook", || async {
        let spec = json!({"prompt": "list pods", "requester": alices_stamp()});
        let made = turns
            .create(&dry_run(), &object("ChatRequest", "plain", &spec)?)
            .await?;
        ensure!(
            made.data["spec"]["requester"]["seal"].is_null(),
            "it still stamps"
        );
        Ok(())
    })
    .await?;
    let cases = [
        ("no stamp", Value::Null),
        ("another name", with("username", json!("erin"))),
        ("another uid", with("uid", json!("0"))),
        (
            "no uid",
            json!({"username": "alice", "groups": ["developers", "system:authenticated"]}),
        ),
        (
            "one group more",
            with(
                "groups",
                json!(["developers", "platform", "system:authenticated"]),
            ),
        ),
        ("no group", with("groups", json!([]))),
        ("something extra", with("extra", json!({"scopes": ["all"]}))),
    ];
    for (what, stamp) in cases {
        let words = ["is not who created the object", "It was not created"];
        for (kind, mut spec, field) in [
            (
                "ChatRequest",
                json!({"prompt": "scale nginx to 50 replicas"}),
                "requester",
            ),
            ("ChatSession", json!({}), "requester"),
            (
                "Approval",
                json!({"planRef": {"name": plan.name_any()}, "planDigest": plan.spec.digest, "decision": "Approve"}),
                "submittedBy",
            ),
        ] {
            if !stamp.is_null() {
                spec[field] = stamp.clone();
            }
            let made = raw(alice, kind, DEMO)
                .create(&PostParams::default(), &object(kind, "forged-", &spec)?)
                .await;
            refused(&format!("{kind} with {what}"), made, 403, &words)?;
        }
    }
    Ok(())
}

/// Stamped like the real thing, but sealed by nobody, or by somebody without the key.
async fn unsealed_turns_are_refused(alice: &Client, product: &Product) -> Result<()> {
    let mut stamps = vec![Value::Null, alices_stamp()];
    let mut guessed = alices_stamp();
    guessed["seal"] = json!({"keyId": "k", "nonce": "00".repeat(16), "mac": "ab".repeat(32)});
    stamps.push(guessed);
    let turns: Api<ChatRequest> = Api::namespaced(alice.clone(), DEMO);
    for stamp in stamps {
        let mut spec = json!({"prompt": "scale nginx to 50 replicas"});
        if !stamp.is_null() {
            spec["requester"] = stamp.clone();
        }
        let made = eventually(SOON, "the API server no longer asks the policies", || async {
            let made = object("ChatRequest", "unsealed-", &spec)?;
            Ok(raw(alice, "ChatRequest", DEMO)
                .create(&PostParams::default(), &made)
                .await?)
        })
        .await?;
        let turn = eventually(LATER, "the turn is refused", || async {
            let turn = turns.get(&made.name_any()).await?;
            ensure!(is_over(&turn), "it is {:?}", turn.status);
            Ok(turn)
        })
        .await?;
        let status = status_of(&turn);
        ensure!(status.phase == Some(RequestPhase::Failed), "{stamp}: {status:?}");
        ensure!(status.plan_ref.is_none(), "{stamp}: it became a plan");
        let stalled =
            find(&status.conditions, types::STALLED).with_context(|| format!("it is {status:?}"))?;
        ensure!(
            stalled.status == "True" && stalled.reason == "UntrustedOrigin",
            "{stamp}: {stalled:?}"
        );
        says(
            &stalled.message,
            &["no valid seal", "Nothing was done", "create it again"],
        )?;
        recorded_refusal(product, &turn, "UntrustedOrigin").await?;
    }
    Ok(())
}

async fn unsealed_decisions_do_not_count(alice: &Client, plan: &CommandPlan) -> Result<()> {
    let approvals: Api<Approval> = Api::namespaced(alice.clone(), DEMO);
    let mut bobs = alices_stamp();
    bobs["username"] = json!("bob");
    for stamp in [alices_stamp(), bobs] {
        let spec = json!({
            "planRef": {"name": plan.name_any()}, "planDigest": plan.spec.digest, "decision": "Approve",
            "submittedBy": stamp,
        });
        let made = object("Approval", "unsealed-", &spec)?;
        let made = raw(alice, "Approval", DEMO)
            .create(&PostParams::default(), &made)
            .await?;
        let name = made.name_any();
        eventually(LATER, "the decision is refused", || async {
            let status = approvals.get(&name).await?.status.unwrap_or_default();
            let accepted = find(&status.conditions, types::ACCEPTED).context("it was not judged")?;
            ensure!(
                accepted.status == "False" && accepted.reason == "UntrustedOrigin",
                "{accepted:?}"
            );
            Ok(())
        })
        .await?;
    }
    let phase = read(alice, plan).await?.status.and_then(|status| status.phase);
    ensure!(
        phase == Some(PlanPhase::AwaitingApproval),
        "the plan is {phase:?}"
    );
    Ok(())
}

async fn unsealed_sessions_take_no_turns(alice: &Client) -> Result<()> {
    let spec = json!({"requester": alices_stamp()});
    raw(alice, "ChatSession", DEMO)
        .create(&PostParams::default(), &object("ChatSession", "unsealed", &spec)?)
        .await?;
    let sessions: Api<ChatSession> = Api::namespaced(alice.clone(), DEMO);
    eventually(LATER, "the session is refused", || async {
        let status = sessions.get("unsealed").await?.status.unwrap_or_default();
        let ready = find(&status.conditions, types::READY).context("it was not looked at")?;
        ensure!(
            ready.status == "False" && ready.reason == "UntrustedOrigin",
            "{ready:?}"
        );
        Ok(())
    })
    .await
}

/// The rule of the kind itself, which needs no admission of ours.
async fn stamps_are_changed_by_nobody(admin: &Client, sealed: &CommandPlan) -> Result<()> {
    let turn = sealed.spec.chat_request_ref.name.as_str();
    for (kind, name) in [("ChatRequest", turn), ("ChatSession", "unsealed")] {
        for stamp in [json!({"username": "erin"}), Value::Null] {
            let changed = change(&raw(admin, kind, DEMO), name, &json!({"requester": stamp})).await;
            let words = ["spec.requester is stamped once and never changes"];
            refused(&format!("{kind} with {stamp}"), changed, 422, &words)?;
        }
    }
    Ok(())
}

/// A plan that an administrator made, of a turn that alice really asked, in her name, for something else.
async fn forged_plans_are_not_executed(admin: &Client, alice: &Client, sealed: &CommandPlan) -> Result<()> {
    let mut forged = sealed.spec.clone();
    forged.requirement.clear();
    forged.digest = forged.compute_digest()?.to_string();
    let plans: Api<CommandPlan> = Api::namespaced(admin.clone(), DEMO);
    let made = plans
        .create(&PostParams::default(), &CommandPlan::new("forged", forged))
        .await?;
    // Its approvals are those of the live policies all the same, and nobody's decision is sealed any more.
    let waits = eventually(LATER, "the forged plan is looked at", || async {
        let plan = read(alice, &made).await?;
        let phase = plan.status.and_then(|status| status.phase);
        phase.context("it was not looked at")
    })
    .await?;
    ensure!(
        waits == PlanPhase::AwaitingApproval,
        "the forged plan is {waits:?}"
    );
    let turn = &sealed.spec.chat_request_ref.name;
    change(&raw(alice, "ChatRequest", DEMO), turn, &json!({"cancel": true})).await?;
    ended_unsent(alice, sealed, PlanPhase::Cancelled).await.map(drop)
}
