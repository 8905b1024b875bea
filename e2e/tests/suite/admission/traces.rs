//! What is left of a refusal, and who may remove or forge what is left.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::DecisionKind;
use kubechat_e2e::accounts::SYSTEM;
use kubechat_e2e::product::{Part, Product};
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::super::tools::{object, raw, refused, texts};
use super::super::turn::{LATER, ask, decide, plan_for, run};
use crate::runner::{Ctx, Test, shared};

const REFUSED: &str = "AdmissionRefused";
/// The operator's mark on an Event that stands in the audit log.
const ENTRY: &str = "kubechat.io/audit-seq";

pub(super) fn tests() -> Vec<Test> {
    shared![
        a_refusal_at_admission_leaves_a_metric_an_event_and_an_audit_entry,
        a_deleted_policy_object_leaves_an_audit_entry,
        events_of_refusals_are_not_forged_nor_changed_by_people,
        turns_and_decisions_are_removed_by_their_author_only,
    ]
}

/// The Event about an object of this name.
async fn event_about(admin: &Client, reason: &str, kind: &str, name: &str) -> Result<Event> {
    let events: Api<Event> = Api::namespaced(admin.clone(), SYSTEM);
    eventually(
        LATER,
        &format!("there is an Event about {kind} {name}, recorded"),
        || async {
            let all = events
                .list(&ListParams::default().fields(&format!("reason={reason}")))
                .await?;
            let about = |event: &&Event| {
                let related = event.related.clone().unwrap_or_default();
                related.kind.as_deref() == Some(kind) && related.name.as_deref() == Some(name)
            };
            let found = all.items.iter().find(about).context("there is none")?;
            ensure!(
                found.annotations().contains_key(ENTRY),
                "it is not recorded: {:?}",
                found.metadata
            );
            Ok(found.clone())
        },
    )
    .await
}

/// The audit entry that an Event is marked with.
async fn entry_of(product: &Product, event: &Event) -> Result<Value> {
    let seq = event.annotations().get(ENTRY).context("it is not marked")?;
    let db = product.audit_db().display().to_string();
    let args = [
        "audit",
        "list",
        "--db",
        &db,
        "-o",
        "json",
        "--since-seq",
        seq,
        "--limit",
        "1",
    ];
    let output = run(product, args).await?;
    let entries: Vec<Value> = serde_json::from_str(&texts(&output).0)?;
    entries
        .into_iter()
        .next()
        .with_context(|| format!("there is no entry {seq}"))
}

/// Count of refusals with this reason, from the webhook's metrics.
async fn refusals(product: &Product, kind: &str, reason: &str) -> Result<f64> {
    let text = product.metrics_text(Part::Webhook).await?;
    let is_it = |line: &&str| {
        line.starts_with("kubechat_admission_total{")
            && line.contains(&format!("kind=\"{kind}\""))
            && line.contains(&format!("reason=\"{reason}\""))
    };
    let values = text
        .lines()
        .filter(is_it)
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}

async fn a_refusal_at_admission_leaves_a_metric_an_event_and_an_audit_entry(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("trace").await?;
    let (alice, admin) = (ctx.client("alice").await?, ctx.client("admin").await?);
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let forged = json!({
        "planRef": {"name": plan.name_any()}, "planDigest": format!("sha256:{}", "0".repeat(64)), "decision": "Approve",
    });
    for (kind, spec, reason, event_type) in [
        ("Approval", forged, "DigestMismatch", "approval"),
        (
            "ChatRequest",
            json!({"prompt": format!("label service nginx token={token}")}),
            "SecretFound",
            "command_generation",
        ),
    ] {
        let name = format!("trace-{:08x}", rand::random::<u32>());
        let before = refusals(product, kind, reason).await?;
        let made = raw(&alice, kind, &namespace)
            .create(&PostParams::default(), &object(kind, &name, &spec)?)
            .await;
        ensure!(made.is_err(), "{kind} was taken");
        ensure!(
            refusals(product, kind, reason).await? >= before + 1.0,
            "{kind}: {reason} was not counted"
        );
        let event = event_about(&admin, REFUSED, kind, &name).await?;
        let note = event.note.clone().unwrap_or_default();
        ensure!(
            note.starts_with(reason) && !note.contains(&token),
            "the Event says {note}"
        );
        let entry = entry_of(product, &event).await?;
        ensure!(
            entry["eventType"] == event_type && entry["outcome"] == "denied" && entry["reason"] == reason,
            "the entry is {entry}"
        );
        ensure!(
            entry["actor"]["username"] == "alice" && entry["target"]["name"] == name.as_str(),
            "the entry is {entry}"
        );
        ensure!(
            !entry.to_string().contains(&token),
            "the entry holds the secret: {entry}"
        );
    }
    // Nothing is left of what was only tried.
    let name = format!("dry-{:08x}", rand::random::<u32>());
    let spec = json!({"prompt": ""});
    let tried = raw(&alice, "ChatRequest", &namespace)
        .create(
            &super::super::tools::dry_run(),
            &object("ChatRequest", &name, &spec)?,
        )
        .await;
    ensure!(tried.is_err());
    Ok(())
}

async fn a_deleted_policy_object_leaves_an_audit_entry(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let (admin, erin) = (ctx.client("admin").await?, ctx.client("erin").await?);
    let name = format!("brief-{:08x}", rand::random::<u32>());
    let providers = raw(&erin, "AIProvider", "");
    let spec = json!({"type": "Rules"});
    providers
        .create(&PostParams::default(), &object("AIProvider", &name, &spec)?)
        .await?;
    providers.delete(&name, &DeleteParams::default()).await?;
    let event = event_about(&admin, "PolicyDeleted", "AIProvider", &name).await?;
    let entry = entry_of(product, &event).await?;
    ensure!(
        entry["eventType"] == "configuration_change"
            && entry["verb"] == "delete"
            && entry["outcome"] == "success",
        "the entry is {entry}"
    );
    ensure!(
        entry["actor"]["username"] == "erin" && entry["target"]["name"] == name.as_str(),
        "the entry is {entry}"
    );
    Ok(())
}

async fn events_of_refusals_are_not_forged_nor_changed_by_people(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let (admin, alice) = (ctx.client("admin").await?, ctx.client("alice").await?);
    let namespace = ctx.namespace("forger").await?;
    let event = |namespace: &str, reason: &str| -> Result<Event> {
        Ok(serde_json::from_value(json!({
            "metadata": {"generateName": "forged-", "namespace": namespace},
            "eventTime": k8s_openapi::jiff::Timestamp::now().to_string(), "reason": reason, "type": "Warning",
            "action": "Refuse", "reportingController": "kubechat.io/webhook", "reportingInstance": "x",
            "regarding": {"apiVersion": "v1", "kind": "Namespace", "name": namespace, "namespace": namespace},
        }))?)
    };
    let in_system: Api<Event> = Api::namespaced(admin.clone(), SYSTEM);
    let words = ["are written by KubeChat's webhook only", "Nothing was written"];
    for reason in [REFUSED, "PolicyDeleted"] {
        let made = in_system
            .create(&PostParams::default(), &event(SYSTEM, reason)?)
            .await;
        refused(reason, made, 403, &words)?;
        let old: k8s_openapi::api::core::v1::Event = serde_json::from_value(json!({
            "metadata": {"generateName": "forged-"}, "reason": reason, "type": "Warning",
            "involvedObject": {"kind": "Namespace", "name": SYSTEM, "namespace": SYSTEM},
        }))?;
        let old_api = Api::<k8s_openapi::api::core::v1::Event>::namespaced(admin.clone(), SYSTEM);
        refused(
            reason,
            old_api.create(&PostParams::default(), &old).await,
            403,
            &words,
        )?;
    }
    // A real one stays as it is.
    let name = format!("real-{:08x}", rand::random::<u32>());
    let empty = object("ChatRequest", &name, &json!({"prompt": " "}))?;
    let made = raw(&alice, "ChatRequest", &namespace)
        .create(&PostParams::default(), &empty)
        .await;
    ensure!(made.is_err(), "an empty prompt was taken");
    let real = event_about(&admin, REFUSED, "ChatRequest", &name)
        .await?
        .name_any();
    for change in [
        json!({"metadata": {"annotations": {"kubechat.io/user": "bob"}}}),
        json!({"metadata": {"annotations": {ENTRY: null}}}),
    ] {
        let changed = in_system
            .patch(&real, &PatchParams::default(), &Patch::Merge(&change))
            .await;
        refused(&change.to_string(), changed, 403, &words)?;
    }
    // Other Events and other namespaces are nobody's business here.
    in_system
        .create(&PostParams::default(), &event(SYSTEM, "Harmless")?)
        .await?;
    Api::<Event>::namespaced(admin, &namespace)
        .create(&PostParams::default(), &event(&namespace, REFUSED)?)
        .await?;
    Ok(())
}

async fn turns_and_decisions_are_removed_by_their_author_only(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("remove").await?;
    let client = async |account| ctx.client(account).await;
    let (alice, bob, carol, dave, erin) = (
        client("alice").await?,
        client("bob").await?,
        client("carol").await?,
        client("dave").await?,
        client("erin").await?,
    );
    let none = DeleteParams::default();
    let words = ["only the person who created it", "Nothing was deleted"];
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let turn = plan.spec.chat_request_ref.name.clone();
    let others = raw(&dave, "ChatRequest", &namespace);
    refused("another's turn", others.delete(&turn, &none).await, 403, &words)?;
    let all = others.delete_collection(&none, &ListParams::default()).await;
    ensure!(all.is_err(), "all turns were deleted by another");
    raw(&alice, "ChatRequest", &namespace)
        .get(&turn)
        .await
        .context("the turn is gone")?;

    raw(&alice, "ChatSession", &namespace)
        .create(
            &PostParams::default(),
            &object("ChatSession", "talk", &json!({}))?,
        )
        .await?;
    let session = raw(&dave, "ChatSession", &namespace).delete("talk", &none).await;
    refused("another's session", session, 403, &words)?;

    let decision = decide(&bob, &plan, DecisionKind::Deny).await?.name_any();
    let evidence = raw(&carol, "Approval", &namespace).delete(&decision, &none).await;
    refused("another's decision", evidence, 403, &words)?;
    raw(&bob, "Approval", &namespace)
        .delete(&decision, &none)
        .await
        .context("one's own decision")?;
    raw(&alice, "ChatSession", &namespace)
        .delete("talk", &none)
        .await
        .context("one's own session")?;
    raw(&alice, "ChatRequest", &namespace)
        .delete(&turn, &none)
        .await
        .context("one's own turn")?;
    // Whoever may remove plans may tidy up.
    let left = ask(&dave, &namespace, "list pods").await?.name_any();
    raw(&erin, "ChatRequest", &namespace)
        .delete(&left, &none)
        .await
        .context("an administrator")?;
    Ok(())
}
