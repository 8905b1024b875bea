//! Signed decisions that a trusted applier of Git content brings. Policies bind the whole cluster, so this has one of its
//! own; the applier is a service account without a Flux behind it.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DynamicObject, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::{CommandPlan, PlanPhase, Via};
use kubechat_e2e::cluster::{Cluster, Options};
use kubechat_e2e::product::{self, Part, Product};
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::super::tools::{at, change, impersonating, object, raw, refused};
use super::super::turn::{LATER, SOON, approve, ask, ended_as, plan_for, read, waiting_plan};
use super::keys::KeyPair;
use crate::runner::{Test, own, with_product};

const DEMO: &str = "demo";
const APPLIER: &str = "system:serviceaccount:flux-system:applier";

pub(super) fn tests() -> Vec<Test> {
    own![decisions_that_a_trusted_applier_brings_are_of_who_signed_them]
}

/// The people of this test and the applier.
struct Stage {
    admin: Client,
    alice: Client,
    bob: Client,
    applier: Client,
    bobs: KeyPair,
    carols: KeyPair,
}

async fn decisions_that_a_trusted_applier_brings_are_of_who_signed_them() -> Result<()> {
    with_product(
        Options::default(),
        product::Options::default(),
        async |cluster, product| {
            let stage = Stage::set_up(cluster).await?;
            stage.what_proves_nothing_is_not_counted().await?;
            stage.two_signers_and_a_revoked_key().await?;
            stage
                .what_came_before_its_plan_is_judged_when_it_appears(product)
                .await?;
            stage.only_a_trusted_applier_brings_anything(cluster).await
        },
    )
    .await
}

impl Stage {
    async fn set_up(cluster: &Cluster) -> Result<Self> {
        let stage = Self {
            admin: cluster.client("admin").await?,
            alice: cluster.client("alice").await?,
            bob: cluster.client("bob").await?,
            applier: applier(cluster, APPLIER).await?,
            bobs: KeyPair::new("ed25519", "").await?,
            carols: KeyPair::new("ecdsa", "").await?,
        };
        let tried = stage.bobs.sign("this").await?;
        stage.bobs.verify("this", &tried).await?;
        bind(&stage.admin, APPLIER).await?;
        let git = json!({
            "approvals": {"caution": {"count": 1, "selfConfirm": true}, "destructive": {"count": 2, "signature": true}},
            "gitops": {"trustedAppliers": [{"serviceAccount": "flux-system/applier", "namespaces": [DEMO]}]},
        });
        raw(&stage.admin, "RiskPolicy", "")
            .create(&PostParams::default(), &object("RiskPolicy", "git", &git)?)
            .await?;
        let keys = raw(&stage.admin, "ApproverKey", "");
        for (person, pair) in [("bob", &stage.bobs), ("carol", &stage.carols)] {
            let spec = json!({"username": person, "groups": ["approvers"], "publicKey": pair.public()?});
            keys.create(&PostParams::default(), &object("ApproverKey", person, &spec)?)
                .await?;
            ready(&keys, person, "True", "Ready").await?;
        }
        let weak = json!({"username": "bob", "publicKey": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ=="});
        let tried = keys
            .create(&PostParams::default(), &object("ApproverKey", "weak", &weak)?)
            .await;
        refused(
            "an unreadable key",
            tried,
            422,
            &["spec.publicKey", "Nothing was stored"],
        )?;
        Ok(stage)
    }

    async fn what_proves_nothing_is_not_counted(&self) -> Result<()> {
        let plan = plan_for(&self.alice, DEMO, "delete service nginx").await?;
        let earlier = plan_for(&self.alice, DEMO, "delete service nginx").await?;
        let unknown = KeyPair::new("ed25519", "").await?;
        let good = spec(&plan);
        let mut cases: Vec<(&str, Value, &str)> = vec![
            ("unsigned", good.clone(), "SignatureMissing"),
            (
                "by nobody's key",
                signed(&unknown, &plan, good.clone()).await?,
                "UnknownKey",
            ),
            (
                "by a person, for another plan",
                {
                    let mut replayed = good.clone();
                    replayed["signature"] =
                        signed(&self.bobs, &earlier, spec(&earlier)).await?["signature"].clone();
                    replayed
                },
                "SignatureInvalid",
            ),
            (
                "for what the plan was not",
                {
                    let mut other = good.clone();
                    other["planDigest"] = json!(format!("sha256:{}", "0".repeat(64)));
                    signed(&self.bobs, &plan, other).await?
                },
                "DigestMismatch",
            ),
            (
                "past its own time",
                {
                    let mut late = good.clone();
                    late["expiresAt"] = json!("2020-01-01T00:00:00Z");
                    signed(&self.bobs, &plan, late).await?
                },
                "Expired",
            ),
        ];
        for (field, value) in [
            ("decision", json!("Deny")),
            ("expiresAt", json!("2099-01-01T00:00:00Z")),
            ("breakGlass", json!({"incident": "INC-1"})),
            ("breakGlass", json!({"incident": "-"})),
        ] {
            let mut flipped = signed(&self.bobs, &plan, good.clone()).await?;
            flipped[field] = value;
            cases.push((field, flipped, "SignatureInvalid"));
        }
        let mut elsewhere = good.clone();
        let text = statement(&plan, &elsewhere).replace(&plan.spec.cluster_uid, "another-cluster");
        elsewhere["signature"] = json!({"format": "sshsig", "value": self.bobs.sign(&text).await?});
        cases.push(("for another cluster", elsewhere, "SignatureInvalid"));
        for (what, spec, reason) in cases {
            let brought = self.brings(&spec).await?;
            judged(&self.admin, &brought, "False", reason)
                .await
                .context(what)?;
        }
        let mut early = good;
        early["planRef"] = json!({"name": "not-there"});
        let brought = self.brings(&signed(&self.bobs, &plan, early).await?).await?;
        judged(&self.admin, &brought, "Unknown", "PlanNotFound").await?;
        let status = read(&self.alice, &plan).await?.status.unwrap_or_default();
        ensure!(status.phase == Some(PlanPhase::AwaitingApproval), "{status:?}");
        Ok(())
    }

    async fn two_signers_and_a_revoked_key(&self) -> Result<()> {
        let plan = plan_for(&self.alice, DEMO, "delete service nginx").await?;
        // A plain yes counts for the baseline, but not where a policy wants it signed.
        approve(&self.bob, &plan).await?;
        counted(&self.alice, &plan, "0/2").await?;
        let carols = self
            .brings(&signed(&self.carols, &plan, spec(&plan)).await?)
            .await?;
        let found = judged(&self.admin, &carols, "True", "Accepted").await?;
        ensure!(
            at(&found, "/status/effectiveApprover") == "carol" && at(&found, "/status/via") == "GitOps",
            "{found}"
        );
        counted(&self.alice, &plan, "1/2").await?;
        let keys = raw(&self.admin, "ApproverKey", "");
        change(&keys, "carol", &json!({"revokedAt": "2026-01-01T00:00:00Z"})).await?;
        ready(&keys, "carol", "False", "KeyRevoked").await?;
        counted(&self.alice, &plan, "0/2").await?;
        let late = self
            .brings(&signed(&self.carols, &plan, spec(&plan)).await?)
            .await?;
        judged(&self.admin, &late, "False", "KeyRevoked").await?;
        // Carol gets another key; Bob signs his own Approval directly.
        let another = KeyPair::new("ed25519", "").await?;
        let new = json!({"username": "carol", "groups": ["approvers"], "publicKey": another.public()?});
        keys.create(&PostParams::default(), &object("ApproverKey", "carol-2", &new)?)
            .await?;
        self.brings(&signed(&another, &plan, spec(&plan)).await?).await?;
        counted(&self.alice, &plan, "1/2").await?;
        // A key that is gone proves nothing, also of what it signed before.
        keys.delete("carol-2", &kube::api::DeleteParams::default())
            .await?;
        counted(&self.alice, &plan, "0/2").await?;
        keys.create(&PostParams::default(), &object("ApproverKey", "carol-2", &new)?)
            .await?;
        counted(&self.alice, &plan, "1/2").await?;
        let own = signed(&self.bobs, &plan, spec(&plan)).await?;
        raw(&self.bob, "Approval", DEMO)
            .create(&PostParams::default(), &object("Approval", "bobs-", &own)?)
            .await?;
        let plan = ended_as(&self.alice, &plan, PlanPhase::Succeeded).await?;
        let decisions = plan
            .status
            .and_then(|s| s.approvals)
            .context("nothing was counted")?
            .decisions;
        let by = |name: &str, via: Via| decisions.iter().any(|d| d.username == name && d.via == via);
        ensure!(
            by("carol", Via::GitOps) && by("bob", Via::Direct),
            "{decisions:?}"
        );
        Ok(())
    }

    /// The plan's name is known once the turn has its UID; its digest is not, so nobody approves what nobody has seen.
    async fn what_came_before_its_plan_is_judged_when_it_appears(&self, product: &Product) -> Result<()> {
        product.stop(Part::Operator).await?;
        let turn = ask(&self.alice, DEMO, "scale nginx to 0 replicas").await?;
        let hash = kubechat_crds::sha256_hex(turn.uid().unwrap_or_default().as_bytes());
        let name = format!("{}-{}", turn.name_any(), &hash[..8]);
        let early = json!({
            "planRef": {"name": name}, "planDigest": format!("sha256:{}", "1".repeat(64)), "decision": "Approve",
        });
        let brought = self.brings(&early).await?;
        product.resume(Part::Operator).await?;
        let plan = waiting_plan(&self.alice, &turn).await?;
        ensure!(
            plan.name_any() == name,
            "the plan is {}, not {name}",
            plan.name_any()
        );
        judged(&self.admin, &brought, "False", "SignatureMissing").await?;
        counted(&self.alice, &plan, "0/2").await
    }

    async fn only_a_trusted_applier_brings_anything(&self, cluster: &Cluster) -> Result<()> {
        let plan = plan_for(&self.alice, DEMO, "scale nginx to 3 replicas").await?;
        let other = "system:serviceaccount:flux-system:other";
        bind(&self.admin, other).await?;
        let client = applier(cluster, other).await?;
        let good = signed(&self.bobs, &plan, spec(&plan)).await?;
        let tried = raw(&client, "Approval", DEMO)
            .create(&PostParams::default(), &object("Approval", "try-", &good)?)
            .await;
        refused(
            "an applier nobody trusts",
            tried,
            403,
            &["only people decide", other],
        )?;
        Ok(())
    }

    /// The applier applies an Approval; admission takes whatever it says.
    async fn brings(&self, spec: &Value) -> Result<DynamicObject> {
        raw(&self.applier, "Approval", DEMO)
            .create(&PostParams::default(), &object("Approval", "git-", spec)?)
            .await
            .context("a sync broke")
    }
}

async fn applier(cluster: &Cluster, user: &str) -> Result<Client> {
    impersonating(
        cluster,
        user,
        &["system:serviceaccounts", "system:authenticated"],
        &[],
    )
    .await
}

async fn bind(admin: &Client, user: &str) -> Result<()> {
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"generateName": "test-"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kubechat-requester"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }))?;
    Api::<RoleBinding>::namespaced(admin.clone(), DEMO)
        .create(&PostParams::default(), &binding)
        .await?;
    // RBAC takes a moment.
    let client = raw(admin, "ChatRequest", DEMO);
    client.list(&kube::api::ListParams::default()).await?;
    Ok(())
}

fn spec(plan: &CommandPlan) -> Value {
    json!({"planRef": {"name": plan.name_any()}, "planDigest": plan.spec.digest, "decision": "Approve"})
}

/// The bytes the documentation says are signed, made here once more.
fn statement(plan: &CommandPlan, spec: &Value) -> String {
    let or_dash = |pointer: &str| at(spec, pointer).as_str().unwrap_or("-").to_owned();
    format!(
        "kubechat.io/approval/v1\n{}\n{DEMO}/{}\n{}\n{}\n{}\n{}\n",
        plan.spec.cluster_uid,
        or_dash("/planRef/name"),
        or_dash("/planDigest"),
        or_dash("/decision"),
        or_dash("/expiresAt"),
        or_dash("/breakGlass/incident"),
    )
}

async fn signed(key: &KeyPair, plan: &CommandPlan, mut spec: Value) -> Result<Value> {
    let value = key.sign(&statement(plan, &spec)).await?;
    spec["signature"] = json!({"format": "sshsig", "value": value});
    Ok(spec)
}

/// The Approval, once KubeChat says this of it.
async fn judged(admin: &Client, approval: &DynamicObject, status: &str, reason: &str) -> Result<Value> {
    let api = raw(admin, "Approval", DEMO);
    eventually(LATER, &format!("an Approval is judged: {reason}"), || async {
        let found = serde_json::to_value(api.get(&approval.name_any()).await?)?;
        let condition = at(&found, "/status/conditions/0");
        ensure!(condition["type"] == "Accepted", "{found}");
        ensure!(
            condition["status"] == status && condition["reason"] == reason,
            "{condition}"
        );
        Ok(found)
    })
    .await
}

/// Waits until the plan has counted so many.
async fn counted(person: &Client, plan: &CommandPlan, summary: &str) -> Result<()> {
    eventually(LATER, &format!("the plan counts {summary}"), || async {
        let status = read(person, plan).await?.status.unwrap_or_default();
        let found = status.approvals.context("nothing was counted")?;
        ensure!(found.summary == summary, "{found:?}");
        Ok(())
    })
    .await
}

async fn ready(keys: &Api<DynamicObject>, name: &str, status: &str, reason: &str) -> Result<()> {
    eventually(SOON, &format!("ApproverKey {name} is {reason}"), || async {
        let found = serde_json::to_value(keys.get(name).await?)?;
        let condition = at(&found, "/status/conditions/0");
        ensure!(
            condition["status"] == status && condition["reason"] == reason,
            "{condition}"
        );
        Ok(())
    })
    .await
}
