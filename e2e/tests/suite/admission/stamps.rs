//! Who wrote it is stamped once and never changes, and specs of one-shot kinds stay as they were created.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use kubechat_crds::{DecisionKind, PlanPhase};
use kubechat_e2e::cluster::Cluster;
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::super::tools::{change, impersonating, is_over, kubectl_ok, object, raw, refused};
use super::super::turn::{SOON, approve, ask, decide, ended_as, ended_turn, plan_for};
use crate::runner::{Ctx, Test, shared};

const ALICE_UID: &str = "8f4b1c9e-0000-4000-8000-000000000001";

pub(super) fn tests() -> Vec<Test> {
    shared![
        a_forged_requester_or_seal_is_overwritten_with_who_really_created_it,
        applying_the_same_manifest_again_changes_nothing,
        an_update_never_changes_a_stamp_whoever_writes_it,
        a_spec_that_was_created_never_changes,
        only_the_requester_or_an_approver_cancels_a_turn_and_never_takes_it_back,
        only_its_owner_changes_a_session,
        a_new_seal_key_leaves_what_waits_valid,
    ]
}

/// What a client would write to pass as somebody more powerful.
fn forged() -> Value {
    json!({
        "username": "admin", "uid": "0", "groups": ["system:masters", "platform"],
        "extra": {"kubechat.io/plan": ["sha256:x"]},
        "seal": {"keyId": "k", "nonce": "00", "mac": "ab".repeat(32)},
    })
}

/// Fails unless the stamp says alice, with a seal of KubeChat's own.
fn is_alices(what: &str, stamp: &Value) -> Result<()> {
    ensure!(
        stamp["username"] == "alice" && stamp["uid"] == ALICE_UID,
        "{what} is stamped {stamp}"
    );
    ensure!(
        stamp["groups"] == json!(["developers", "system:authenticated"]),
        "{what} is stamped {stamp}"
    );
    ensure!(
        stamp["extra"].get("kubechat.io/plan").is_none(),
        "{what} is stamped {stamp}"
    );
    let mac = stamp["seal"]["mac"].as_str().unwrap_or_default();
    ensure!(
        mac.len() == 64 && mac != "ab".repeat(32),
        "{what} is sealed {}",
        stamp["seal"]
    );
    Ok(())
}

async fn a_forged_requester_or_seal_is_overwritten_with_who_really_created_it(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("forged").await?;
    let alice = ctx.client("alice").await?;
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let decision = json!({
        "planRef": {"name": plan.name_any()}, "planDigest": plan.spec.digest, "decision": "Approve",
        "submittedBy": forged(),
    });
    for (kind, field, spec) in [
        (
            "ChatRequest",
            "requester",
            json!({"prompt": "list pods", "requester": forged()}),
        ),
        (
            "ChatSession",
            "requester",
            json!({"title": "t", "requester": forged()}),
        ),
        ("Approval", "submittedBy", decision),
    ] {
        let api = raw(&alice, kind, &namespace);
        let made = api
            .create(&PostParams::default(), &object(kind, "forged-", &spec)?)
            .await?;
        is_alices(kind, &made.data["spec"][field])?;
        let unstamped = made.name_any();
        let stored = api.get(&unstamped).await?;
        is_alices(kind, &stored.data["spec"][field])?;
    }
    // The seal is the webhook's own: the operator believes it and acts.
    let turn = ask(&alice, &namespace, "list pods").await?;
    ensure!(is_over(&ended_turn(&alice, &turn).await?));
    Ok(())
}

/// One way to apply a manifest, and what kubectl says when nothing changes.
struct Way {
    name: &'static str,
    args: &'static [&'static str],
    again: &'static str,
}

const WAYS: [Way; 2] = [
    Way {
        name: "client-side",
        args: &["apply", "-f", "-"],
        again: "unchanged",
    },
    Way {
        name: "server-side",
        args: &["apply", "--server-side", "--field-manager=flux", "-f", "-"],
        again: "serverside-applied",
    },
];

async fn applying_the_same_manifest_again_changes_nothing(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("apply").await?;
    let alice = ctx.client("alice").await?;
    let stamps = [("bare", Value::Null), ("forged", forged())];
    for (way, (manifest, stamp)) in WAYS
        .iter()
        .flat_map(|way| stamps.clone().map(|stamp| (way, stamp)))
    {
        for (kind, mut spec) in [
            ("ChatRequest", json!({"prompt": "list pods"})),
            ("ChatSession", json!({"title": "a talk"})),
        ] {
            if !stamp.is_null() {
                spec["requester"] = stamp.clone();
            }
            let name = format!("{}-{manifest}", way.name);
            let text = json!({
                "apiVersion": "kubechat.io/v1beta1", "kind": kind,
                "metadata": {"name": name, "namespace": namespace}, "spec": spec,
            })
            .to_string();
            let what = format!("{kind} {name}");
            again(&ctx.cluster, way, &raw(&alice, kind, &namespace), &name, &text)
                .await
                .context(what)?;
        }
    }
    Ok(())
}

/// Applies twice, and compares.
async fn again(
    cluster: &Cluster,
    way: &Way,
    api: &kube::Api<DynamicObject>,
    name: &str,
    manifest: &str,
) -> Result<()> {
    kubectl_ok(cluster, "alice", way.args, manifest).await?;
    let before = settled(api, name).await?;
    let (said, _) = kubectl_ok(cluster, "alice", way.args, manifest).await?;
    // A manifest with a stamp of its own makes kubectl send a patch, which the webhook turns into nothing.
    let silent = !manifest.contains("requester");
    ensure!(!silent || said.contains(way.again), "kubectl says {said}");
    let after = api.get(name).await?;
    let is_same = if silent {
        after.resource_version() == before.resource_version()
    } else {
        // The API server may note the time of that patch: it compares managedFields in the order of their times, and the
        // controller's stand between the two of kubectl.
        let but_times = |one: &DynamicObject| json!([one.metadata.generation, one.metadata.labels, one.data]);
        but_times(&after) == but_times(&before)
    };
    ensure!(
        is_same,
        "it was written again:\n{}\n{}",
        serde_json::to_string(&before)?,
        serde_json::to_string(&after)?
    );
    is_alices("it", &after.data["spec"]["requester"])
}

/// The object, once its controller has nothing more to write.
async fn settled(api: &kube::Api<DynamicObject>, name: &str) -> Result<DynamicObject> {
    kubechat_e2e::wait::eventually(super::super::turn::SOON, "its controller is done", || async {
        let found = api.get(name).await?;
        let phase = found.data["status"]["phase"].as_str().unwrap_or_default();
        ensure!(["Succeeded", "Active"].contains(&phase), "it is {phase:?}");
        Ok(found)
    })
    .await
}

async fn an_update_never_changes_a_stamp_whoever_writes_it(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("restamp").await?;
    let (alice, admin) = (ctx.client("alice").await?, ctx.client("admin").await?);
    let turn = ended_turn(&alice, &ask(&alice, &namespace, "list pods").await?).await?;
    for person in [&alice, &admin] {
        let api = raw(person, "ChatRequest", &namespace);
        let written = change(&api, &turn.name_any(), &json!({"requester": forged()})).await?;
        is_alices("the turn", &written.data["spec"]["requester"])?;
        let written = change(&api, &turn.name_any(), &json!({"requester": null})).await?;
        is_alices("the turn", &written.data["spec"]["requester"])?;
        ensure!(
            written.metadata.generation == turn.metadata.generation,
            "its spec was written"
        );
    }
    Ok(())
}

async fn a_spec_that_was_created_never_changes(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("immutable").await?;
    let (alice, bob, admin) = (
        ctx.client("alice").await?,
        ctx.client("bob").await?,
        ctx.client("admin").await?,
    );
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let turn = plan.spec.chat_request_ref.name.clone();
    let turns = raw(&alice, "ChatRequest", &namespace);
    let one_turn = "is one turn and never changes";
    for (what, spec) in [
        ("the prompt", json!({"prompt": "scale nginx to 50 replicas"})),
        ("the mode", json!({"mode": "PlanOnly"})),
        ("the scope", json!({"scope": {"clusterScoped": true}})),
        ("the session", json!({"sessionRef": {"name": "other"}})),
        ("the time limit", json!({"notAfter": "2099-01-01T00:00:00Z"})),
        ("the plan to undo", json!({"rollbackOf": {"name": "other"}})),
        (
            "the references",
            json!({"references": [{"kind": "Pod", "name": "x"}]}),
        ),
        ("the provider", json!({"providerRef": {"name": "rules"}})),
        ("the time to live", json!({"ttlSecondsAfterFinished": 1})),
    ] {
        refused(
            what,
            change(&turns, &turn, &spec).await,
            422,
            &[one_turn, "create a new one"],
        )?;
    }
    for person in [&alice, &admin] {
        let plans = raw(person, "CommandPlan", &namespace);
        let spec = json!({"expiresAt": "2099-01-01T00:00:00Z"});
        let result = change(&plans, &plan.name_any(), &spec).await;
        let code = if std::ptr::eq(person, &alice) { 403 } else { 422 };
        refused("a plan's expiry", result, code, &[])?;
    }
    let plans = raw(&admin, "CommandPlan", &namespace);
    let stolen = change(
        &plans,
        &plan.name_any(),
        &json!({"requester": {"username": "admin"}}),
    )
    .await;
    refused(
        "a plan's requester",
        stolen,
        422,
        &["a CommandPlan never changes"],
    )?;

    let deny = decide(&bob, &plan, DecisionKind::Deny).await?.name_any();
    let approvals = raw(&admin, "Approval", &namespace);
    let approve = change(&approvals, &deny, &json!({"decision": "Approve"})).await;
    refused("a decision", approve, 422, &["an Approval never changes"])?;
    Ok(())
}

async fn only_the_requester_or_an_approver_cancels_a_turn_and_never_takes_it_back(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("canceller").await?;
    let (alice, bob, dave) = (
        ctx.client("alice").await?,
        ctx.client("bob").await?,
        ctx.client("dave").await?,
    );
    let cancel = json!({"cancel": true});
    for canceller in [&alice, &bob] {
        let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
        let turn = &plan.spec.chat_request_ref.name;
        let by_dave = change(&raw(&dave, "ChatRequest", &namespace), turn, &cancel).await;
        refused(
            "another requester",
            by_dave,
            403,
            &["only the requester", "Nothing was cancelled"],
        )?;
        let turns = raw(canceller, "ChatRequest", &namespace);
        change(&turns, turn, &cancel)
            .await
            .context("it was not cancelled")?;
        let back = change(&turns, turn, &json!({"cancel": false})).await;
        refused("taking it back", back, 422, &["from false to true only"])?;
    }
    // Neither does a right to write turns alone suffice.
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let frank = impersonating(&ctx.cluster, "frank", &["system:masters-to-be"], &[]).await?;
    let turns = raw(&frank, "ChatRequest", &namespace);
    refused(
        "a stranger",
        change(&turns, &plan.spec.chat_request_ref.name, &cancel).await,
        403,
        &[],
    )?;
    Ok(())
}

async fn only_its_owner_changes_a_session(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("session-owner").await?;
    let (alice, dave, admin) = (
        ctx.client("alice").await?,
        ctx.client("dave").await?,
        ctx.client("admin").await?,
    );
    let sessions = raw(&alice, "ChatSession", &namespace);
    let spec = json!({"title": "mine"});
    sessions
        .create(&PostParams::default(), &object("ChatSession", "talk", &spec)?)
        .await?;
    for other in [&dave, &admin] {
        let closed = change(
            &raw(other, "ChatSession", &namespace),
            "talk",
            &json!({"closed": true}),
        )
        .await;
        refused(
            "another's session",
            closed,
            403,
            &["only the person who opened", "Nothing was changed"],
        )?;
    }
    let changed = change(&sessions, "talk", &json!({"title": "still mine"})).await?;
    ensure!(changed.data["spec"]["title"] == "still mine");
    is_alices("the session", &changed.data["spec"]["requester"])
}

async fn a_new_seal_key_leaves_what_waits_valid(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("rotation").await?;
    let (admin, alice) = (ctx.client("admin").await?, ctx.client("alice").await?);
    let secrets: Api<Secret> = Api::namespaced(admin, "kubechat-system");
    let key = |secret: &Secret, field: &str| {
        let data = secret.data.as_ref().and_then(|data| data.get(field));
        data.map(|bytes| bytes.0.clone())
    };
    let waiting = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let before = secrets.get("kubechat-seal").await?;
    let rotate = Patch::Merge(json!({"metadata": {"annotations": {"kubechat.io/rotate": "now"}}}));
    secrets
        .patch("kubechat-seal", &PatchParams::default(), &rotate)
        .await?;
    let after = eventually(SOON, "there is a new key", || async {
        let secret = secrets.get("kubechat-seal").await?;
        let asked = secret.metadata.annotations.clone().unwrap_or_default();
        ensure!(asked.is_empty(), "it still asks: {asked:?}");
        Ok(secret)
    })
    .await?;
    ensure!(
        key(&after, "current.id") != key(&before, "current.id")
            && key(&after, "previous.key") == key(&before, "current.key"),
        "the key before is not kept, or is the same"
    );
    // Asked before, approved after it.
    approve(&alice, &waiting).await?;
    ended_as(&alice, &waiting, PlanPhase::Succeeded).await?;
    let id = String::from_utf8(key(&after, "current.id").unwrap_or_default())?;
    eventually(SOON, "the webhook seals with the new key", || async {
        let turn = ended_turn(&alice, &ask(&alice, &namespace, "list pods").await?).await?;
        let reason = turn.status.map(|s| s.conditions[0].reason.clone());
        ensure!(reason.as_deref() == Some("Answered"), "it ended as {reason:?}");
        let seal = turn.spec.requester.and_then(|r| r.seal).map(|s| s.key_id);
        ensure!(seal.as_ref() == Some(&id), "it is sealed with {seal:?}");
        Ok(())
    })
    .await
}
