//! Decisions that are committed to Git: a signed one is executed, once; whatever proves nobody counts for nothing, says
//! why, and breaks no sync.

use anyhow::{Context as _, Result, ensure};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::{Approval, ChatRequest, CommandPlan, PlanPhase, Via};
use kubechat_e2e::cluster::Cluster;
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::flux::Flux;
use kubechat_e2e::flux::git::Repository;
use kubechat_e2e::flux::pipeline::{Pipeline, Settings};
use kubechat_e2e::product::Product;
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::{DEPLOYER, SHOP, gone, made, request, trust, with_flux};
use crate::runner::{Test, own};
use crate::suite::approvals::keys::KeyPair;
use crate::suite::tools::{at, change, object, raw};
use crate::suite::turn::{
    LATER, SOON, audit_entries, ended_as, phase, read, says, step_entries, waiting_plan,
};

const REQUESTER: &str = "system:serviceaccount:shop:deployer";

pub(super) fn tests() -> Vec<Test> {
    own![
        a_change_in_git_is_signed_by_a_person_and_executed_once,
        decisions_in_git_that_prove_nobody_count_for_nothing_and_break_no_sync,
    ]
}

/// Namespace `shop` with a trusted pipeline, and bob's registered key.
pub(super) struct Shop {
    pub(super) admin: Client,
    pub(super) pipeline: Pipeline,
    pub(super) bobs: KeyPair,
}

impl Shop {
    pub(super) async fn set_up(cluster: &Cluster, flux: &Flux) -> Result<Self> {
        let admin = cluster.client("admin").await?;
        trust(&admin, &["shop/deployer"], SHOP).await?;
        let bobs = KeyPair::new("ed25519", "").await?;
        register(&admin, "bob", &bobs).await?;
        let settings = Settings {
            service_account: Some(DEPLOYER),
            wait: true,
        };
        let pipeline = Pipeline::create(flux, &admin, SHOP, "requests", settings).await?;
        Ok(Self {
            admin,
            pipeline,
            bobs,
        })
    }

    fn files(&self) -> &Repository {
        self.pipeline.repository()
    }

    /// Commits a request and returns its plan, once it waits.
    pub(super) async fn ask(&self, name: &str, prompt: &str) -> Result<(ChatRequest, CommandPlan)> {
        self.files()
            .write(&format!("{name}.yaml"), &request(SHOP, name, prompt)?.to_string())?;
        self.pipeline.push(prompt).await?.healthy()?;
        let turn = made(&self.admin, SHOP, name).await?;
        let plan = waiting_plan(&self.admin, &turn).await?;
        Ok((turn, plan))
    }

    /// Puts an Approval into the working tree.
    pub(super) fn decide(&self, name: &str, spec: &Value) -> Result<()> {
        let mut object = serde_json::to_value(object("Approval", name, spec)?)?;
        object["metadata"]["namespace"] = json!(SHOP);
        self.files().write(&format!("{name}.yaml"), &object.to_string())
    }

    /// The Approval, once KubeChat says this of it.
    pub(super) async fn judged(&self, name: &str, status: &str, reason: &str) -> Result<Approval> {
        let api: Api<Approval> = Api::namespaced(self.admin.clone(), SHOP);
        eventually(LATER, &format!("Approval {name} is judged: {reason}"), || async {
            let approval = api.get(name).await?;
            let conditions = approval.status.clone().unwrap_or_default().conditions;
            let accepted = conditions.iter().find(|one| one.type_ == "Accepted");
            let accepted = accepted.context("it is not judged")?;
            ensure!(
                accepted.status == status && accepted.reason == reason,
                "{accepted:?}"
            );
            Ok(approval)
        })
        .await
    }

    async fn nginx(&self) -> Result<(Option<i64>, Value)> {
        let api: Api<k8s_openapi::api::apps::v1::Deployment> = Api::namespaced(self.admin.clone(), SHOP);
        let found = api.get(DEPLOYMENT).await?;
        let spec = serde_json::to_value(&found.spec)?;
        Ok((found.metadata.generation, at(&spec, "/replicas")))
    }
}

pub(super) async fn register(admin: &Client, person: &str, key: &KeyPair) -> Result<()> {
    let spec = json!({"username": person, "groups": ["approvers"], "publicKey": key.public()?});
    let keys = raw(admin, "ApproverKey", "");
    keys.create(&PostParams::default(), &object("ApproverKey", person, &spec)?)
        .await?;
    Ok(())
}

pub(super) fn spec(plan: &CommandPlan) -> Value {
    json!({"planRef": {"name": plan.name_any()}, "planDigest": plan.spec.digest, "decision": "Approve"})
}

/// The bytes that docs/gitops.md says are signed.
fn statement(plan: &CommandPlan, spec: &Value) -> String {
    let or_dash = |pointer: &str| at(spec, pointer).as_str().unwrap_or("-").to_owned();
    format!(
        "kubechat.io/approval/v1\n{}\n{SHOP}/{}\n{}\n{}\n{}\n{}\n",
        plan.spec.cluster_uid,
        or_dash("/planRef/name"),
        or_dash("/planDigest"),
        or_dash("/decision"),
        or_dash("/expiresAt"),
        or_dash("/breakGlass/incident"),
    )
}

/// The spec with a key's signature over exactly itself.
pub(super) async fn signed(key: &KeyPair, plan: &CommandPlan, mut spec: Value) -> Result<Value> {
    let value = key.sign(&statement(plan, &spec)).await?;
    spec["signature"] = json!({"format": "sshsig", "value": value});
    Ok(spec)
}

async fn a_change_in_git_is_signed_by_a_person_and_executed_once() -> Result<()> {
    with_flux(async |cluster, product, flux| {
        let shop = Shop::set_up(cluster, flux).await?;
        let (turn, plan) = shop.ask("scale", "scale nginx to 5 replicas").await?;

        let yes = signed(&shop.bobs, &plan, spec(&plan)).await?;
        shop.decide("bobs-yes", &yes)?;
        shop.pipeline.push("bob says yes").await?.healthy()?;
        let plan = ended_as(&shop.admin, &plan, PlanPhase::Succeeded).await?;
        demo::wait_ready(&shop.admin, SHOP, DEPLOYMENT, 5).await?;
        let approval = shop.judged("bobs-yes", "True", "Accepted").await?;
        by_bob_as_the_deployer(&approval, &plan, product).await?;

        // Every later sync finds everything as it is.
        let before = json!([shop.nginx().await?, versions(&shop, &turn).await?]);
        for token in ["second", "third"] {
            shop.pipeline.apply(token).await?.healthy()?;
        }
        ensure!(
            json!([shop.nginx().await?, versions(&shop, &turn).await?]) == before,
            "a sync changed something"
        );

        made_again_it_is_not_executed_by_the_old_decision(&shop, &turn, &plan, &yes).await
    })
    .await
}

/// Resource versions of request and Approval.
async fn versions(shop: &Shop, turn: &ChatRequest) -> Result<Value> {
    let turn = raw(&shop.admin, "ChatRequest", SHOP)
        .get(&turn.name_any())
        .await?;
    let approval = raw(&shop.admin, "Approval", SHOP).get("bobs-yes").await?;
    Ok(json!([turn.resource_version(), approval.resource_version()]))
}

async fn by_bob_as_the_deployer(approval: &Approval, plan: &CommandPlan, product: &Product) -> Result<()> {
    let status = approval.status.clone().unwrap_or_default();
    ensure!(
        status.effective_approver.as_deref() == Some("bob") && status.via == Some(Via::GitOps),
        "{status:?}"
    );
    let submitted = approval
        .spec
        .submitted_by
        .clone()
        .context("it carries no stamp")?;
    ensure!(submitted.username == REQUESTER, "{submitted:?}");
    let counted = plan.status.as_ref().and_then(|status| status.approvals.clone());
    let counted = counted.context("it counted nothing")?;
    let [one] = counted.decisions.as_slice() else {
        anyhow::bail!("it counted {:?}", counted.decisions);
    };
    ensure!(one.username == "bob" && one.via == Via::GitOps, "{one:?}");

    let entries = audit_entries(product).await?;
    let outcomes: Vec<String> = step_entries(&entries, plan)
        .into_iter()
        .map(|(outcome, _)| outcome)
        .collect();
    ensure!(outcomes == ["intent", "success"], "the steps left {outcomes:?}");
    let executed = entries.iter().filter(|entry| {
        entry["eventType"] == "command_execution" && entry["ids"]["planDigest"] == plan.spec.digest.as_str()
    });
    for entry in executed {
        ensure!(entry["actor"]["username"] == REQUESTER, "{entry}");
    }
    Ok(())
}

/// The same file is another request: another UID, another digest. Neither bob's old yes nor one that borrows its signature
/// counts for it.
async fn made_again_it_is_not_executed_by_the_old_decision(
    shop: &Shop,
    turn: &ChatRequest,
    plan: &CommandPlan,
    yes: &Value,
) -> Result<()> {
    shop.files().remove("scale.yaml")?;
    shop.pipeline.push("without the request").await?.healthy()?;
    gone(&raw(&shop.admin, "ChatRequest", SHOP), "scale").await?;
    gone(&raw(&shop.admin, "CommandPlan", SHOP), &plan.name_any()).await?;
    let patch = Patch::Merge(json!({"spec": {"replicas": 2}}));
    let nginx: Api<k8s_openapi::api::apps::v1::Deployment> = Api::namespaced(shop.admin.clone(), SHOP);
    nginx.patch(DEPLOYMENT, &PatchParams::default(), &patch).await?;
    demo::wait_ready(&shop.admin, SHOP, DEPLOYMENT, 2).await?;

    let (again, other) = shop.ask("scale", "scale nginx to 5 replicas").await?;
    ensure!(
        again.uid() != turn.uid() && other.spec.digest != plan.spec.digest,
        "it is the old one"
    );
    let mut borrowed = spec(&other);
    borrowed["signature"] = yes["signature"].clone();
    shop.decide("borrowed", &borrowed)?;
    let mut renamed = yes.clone();
    renamed["planRef"] = json!({"name": other.name_any()});
    shop.decide("renamed", &renamed)?;
    shop.pipeline.push("once more").await?.healthy()?;
    shop.judged("borrowed", "False", "SignatureInvalid").await?;
    shop.judged("renamed", "False", "SignatureInvalid").await?;
    unmoved(shop, &other).await
}

/// The plan still waits with nothing counted, and nginx is as it was.
async fn unmoved(shop: &Shop, plan: &CommandPlan) -> Result<()> {
    let plan = read(&shop.admin, plan).await?;
    ensure!(
        phase(&plan) == Some(PlanPhase::AwaitingApproval),
        "{:?}",
        plan.status
    );
    let counted = plan
        .status
        .and_then(|status| status.approvals)
        .unwrap_or_default();
    ensure!(
        counted.received == 0 && counted.decisions.is_empty(),
        "{counted:?}"
    );
    let (_, replicas) = shop.nginx().await?;
    ensure!(replicas == 2, "nginx has {replicas} replicas");
    Ok(())
}

async fn decisions_in_git_that_prove_nobody_count_for_nothing_and_break_no_sync() -> Result<()> {
    with_flux(async |cluster, _, flux| {
        let shop = Shop::set_up(cluster, flux).await?;
        let (_, plan) = shop.ask("scale", "scale nginx to 5 replicas").await?;
        let cases = worthless(&shop, &plan).await?;
        for (name, spec, _) in &cases {
            shop.decide(name, spec)?;
        }
        // Its plan may come later, so this one is not refused yet.
        let mut early = spec(&plan);
        early["planRef"] = json!({"name": "not-there"});
        shop.decide("early", &signed(&shop.bobs, &plan, early).await?)?;
        shop.pipeline.push("anything goes").await?.healthy()?;
        for (name, _, reason) in &cases {
            shop.judged(name, "False", reason)
                .await
                .with_context(|| (*name).to_owned())?;
        }
        shop.judged("early", "Unknown", "PlanNotFound").await?;
        unmoved(&shop, &plan).await?;
        shop.pipeline.apply("again").await?.healthy()?;

        // A signed no ends it; a yes after that comes too late.
        let mut no = spec(&plan);
        no["decision"] = json!("Deny");
        shop.decide("bobs-no", &signed(&shop.bobs, &plan, no).await?)?;
        shop.pipeline.push("bob says no").await?.healthy()?;
        ended_as(&shop.admin, &plan, PlanPhase::Denied).await?;
        shop.decide("too-late", &signed(&shop.bobs, &plan, spec(&plan)).await?)?;
        shop.pipeline.push("but").await?.healthy()?;
        shop.judged("too-late", "False", "PlanFinished").await?;
        untrusted(&shop, flux).await
    })
    .await
}

/// Decisions on a plan that prove nobody: name, spec, and why they are not counted.
async fn worthless(shop: &Shop, plan: &CommandPlan) -> Result<Vec<(&'static str, Value, &'static str)>> {
    let good = spec(plan);
    let yes = signed(&shop.bobs, plan, good.clone()).await?;
    let with = |of: &Value, field: &str, value: Value| {
        let mut spec = of.clone();
        spec[field] = value;
        spec
    };
    let strangers = KeyPair::new("ed25519", "").await?;
    let revoked = KeyPair::new("ecdsa", "").await?;
    register(&shop.admin, "carol", &revoked).await?;
    let keys = raw(&shop.admin, "ApproverKey", "");
    change(&keys, "carol", &json!({"revokedAt": "2026-01-01T00:00:00Z"})).await?;
    let revoked_ready = || async {
        let key = keys.get("carol").await?;
        says(&key.data["status"].to_string(), &["KeyRevoked"])
    };
    eventually(SOON, "carol's key is known to be revoked", revoked_ready).await?;
    let elsewhere =
        statement(plan, &good).replace(&plan.spec.cluster_uid, "00000000-0000-0000-0000-000000000000");
    let elsewhere = json!({"format": "sshsig", "value": shop.bobs.sign(&elsewhere).await?});
    let past = with(&good, "expiresAt", json!("2020-01-01T00:00:00Z"));
    let other_digest = with(&good, "planDigest", json!(format!("sha256:{}", "0".repeat(64))));
    Ok(vec![
        ("unsigned", good.clone(), "SignatureMissing"),
        (
            "claimed",
            with(&good, "approver", json!({"username": "bob"})),
            "SignatureMissing",
        ),
        (
            "for-somebody-else",
            with(&yes, "approver", json!({"username": "carol"})),
            "ClaimMismatch",
        ),
        (
            "strangers-key",
            signed(&strangers, plan, good.clone()).await?,
            "UnknownKey",
        ),
        (
            "revoked-key",
            signed(&revoked, plan, good.clone()).await?,
            "KeyRevoked",
        ),
        (
            "other-decision",
            with(&yes, "decision", json!("Deny")),
            "SignatureInvalid",
        ),
        (
            "other-expiry",
            with(&yes, "expiresAt", json!("2099-01-01T00:00:00Z")),
            "SignatureInvalid",
        ),
        (
            "other-incident",
            with(&yes, "breakGlass", json!({"incident": "INC-1"})),
            "SignatureInvalid",
        ),
        (
            "other-cluster",
            with(&good, "signature", elsewhere),
            "SignatureInvalid",
        ),
        (
            "no-signature-at-all",
            with(&good, "signature", json!({"format": "sshsig", "value": "x"})),
            "SignatureInvalid",
        ),
        (
            "other-digest",
            signed(&shop.bobs, plan, other_digest).await?,
            "DigestMismatch",
        ),
        ("past", signed(&shop.bobs, plan, past).await?, "Expired"),
    ])
}

/// A pipeline that no policy trusts brings no decisions; that is told at once.
async fn untrusted(shop: &Shop, flux: &Flux) -> Result<()> {
    let (_, plan) = shop.ask("restart", "restart nginx").await?;
    let settings = Settings {
        service_account: None,
        wait: false,
    };
    let fleet = Pipeline::create(
        flux,
        &shop.admin,
        kubechat_e2e::flux::NAMESPACE,
        "fleet",
        settings,
    )
    .await?;
    let yes = signed(&shop.bobs, &plan, spec(&plan)).await?;
    let mut object = serde_json::to_value(object("Approval", "smuggled", &yes)?)?;
    object["metadata"]["namespace"] = json!(SHOP);
    fleet.repository().write("smuggled.yaml", &object.to_string())?;
    let synced = fleet.push("from another pipeline").await?;
    ensure!(!synced.ready, "it was applied");
    says(
        &synced.message,
        &["gitops.trustedAppliers", "kustomize-controller"],
    )
}
