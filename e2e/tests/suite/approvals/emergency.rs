//! Break-glass with its review, very many decisions on one plan, and what the program says and signs. Policies bind the
//! whole cluster, so this has one of its own.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::condition::{find, types};
use kubechat_crds::{Approval, CommandPlan, DecisionKind, PlanPhase, Via};
use kubechat_e2e::cluster::{Cluster, Options};
use kubechat_e2e::product::{self, Part, Product};
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};
use tokio::process::Command;

use super::super::tools::{change, object, raw, refused, texts};
use super::super::turn::{
    LATER, SOON, approve, audit_entries, conditions, decide, ended_as, metric, plan_for, read, says,
};
use super::keys::KeyPair;
use crate::runner::{Test, own, with_product};

const DEMO: &str = "demo";
/// Approvals of one person on one plan.
const MANY: usize = 1_000;
/// Of them, under way at once.
const AT_ONCE: usize = 16;

pub(super) fn tests() -> Vec<Test> {
    own![an_emergency_is_approved_alone_reviewed_afterwards_and_everything_is_explained]
}

struct Stage<'a> {
    cluster: &'a Cluster,
    product: &'a Product,
    admin: Client,
    alice: Client,
    bob: Client,
    carol: Client,
}

async fn an_emergency_is_approved_alone_reviewed_afterwards_and_everything_is_explained() -> Result<()> {
    with_product(
        Options::default(),
        product::Options::default(),
        async |cluster, product| {
            let stage = Stage {
                cluster,
                product,
                admin: cluster.client("admin").await?,
                alice: cluster.client("alice").await?,
                bob: cluster.client("bob").await?,
                carol: cluster.client("carol").await?,
            };
            let strict = json!({
                "approvals": {"caution": {"count": 1, "selfConfirm": true}, "destructive": {"count": 2}},
                "breakGlass": {"groups": ["approvers"], "reviewWithin": "24h"},
            });
            raw(&stage.admin, "RiskPolicy", "")
                .create(&PostParams::default(), &object("RiskPolicy", "glass", &strict)?)
                .await?;
            // The baseline allows no break-glass by itself, so it keeps asking for its one person.
            stage.printed_and_signed_for_git().await.context("for Git")?;
            stage.taken_back_before_use().await.context("taken back")?;
            stage
                .many_approvals_of_one_person_are_one()
                .await
                .context("many")?;
            stage.broken_and_reviewed().await.context("break-glass")
        },
    )
    .await
}

impl Stage<'_> {
    /// Runs the program as somebody: (exit code, output, errors).
    async fn kubechat(&self, account: &str, args: &[&str]) -> Result<(Option<i32>, String, String)> {
        let output = Command::new(self.product.binary())
            .arg("--kubeconfig")
            .arg(self.cluster.kubeconfig_path())
            .args(["--context", account, "-n", DEMO])
            .args(args)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let (out, err) = texts(&output);
        Ok((output.status.code(), out, err))
    }

    async fn printed_and_signed_for_git(&self) -> Result<()> {
        let plan = plan_for(&self.alice, DEMO, "delete service nginx").await?;
        let name = plan.name_any();
        let args = ["approve", &name, "--git", "--expires", "1h"];
        let (code, out, err) = self.kubechat("bob", &args).await?;
        ensure!(code == Some(0), "{out}{err}");
        let printed: Value = serde_saphyr::from_str(&out).context("no YAML on stdout")?;
        ensure!(
            printed["kind"] == "Approval" && printed["spec"].get("signature").is_none(),
            "{out}"
        );
        let expires = printed["spec"]["expiresAt"].as_str().context("no expiry")?;
        let statement = format!(
            "kubechat.io/approval/v1\n{}\n{DEMO}/{name}\n{}\nApprove\n{expires}\n-\n",
            plan.spec.cluster_uid, plan.spec.digest
        );
        says(&err, &[&statement, "ssh-keygen -Y sign -n kubechat-approval"])?;
        // The printed command, run by a shell with a key of this test, signs these very bytes.
        let key = KeyPair::new("ed25519", "").await?;
        let line = err
            .lines()
            .find(|l| l.starts_with("printf "))
            .context("no command")?;
        let line = line.replace("~/.ssh/id_ed25519", &key.private().to_string_lossy());
        let signed = Command::new("sh").args(["-c", &line]).output().await?;
        let (by_shell, complaint) = texts(&signed);
        ensure!(signed.status.success(), "{complaint}");
        key.verify(&statement, &by_shell)
            .await
            .context("by the printed command")?;
        ensure!(
            key.verify(&statement.replace("Approve", "Deny"), &by_shell)
                .await
                .is_err()
        );
        // The program's own signatures pass ssh-keygen, for both families of keys.
        for algorithm in ["ed25519", "ecdsa"] {
            let key = KeyPair::new(algorithm, "").await?;
            let file = key.private();
            let file = file.to_string_lossy();
            let (code, out, err) = self
                .kubechat("bob", &["approve", &name, "--git", "--sign-with", &file])
                .await?;
            ensure!(code == Some(0), "{out}{err}");
            let printed: Value = serde_saphyr::from_str(&out)?;
            let value = printed["spec"]["signature"]["value"]
                .as_str()
                .context("not signed")?;
            let statement = statement.replace(expires, "-");
            key.verify(&statement, value).await.context(algorithm)?;
        }
        let locked = KeyPair::new("ed25519", "open sesame").await?;
        let file = locked.private();
        let (code, _, err) = self
            .kubechat(
                "bob",
                &["approve", &name, "--git", "--sign-with", &file.to_string_lossy()],
            )
            .await?;
        ensure!(code == Some(1), "{err}");
        says(&err, &["passphrase", "nothing was signed", "ssh-keygen"])?;
        decide(&self.bob, &plan, DecisionKind::Deny).await?;
        ended_as(&self.alice, &plan, PlanPhase::Denied).await?;
        let (code, out, _) = self.kubechat("alice", &["why", &name]).await?;
        ensure!(code == Some(0), "{out}");
        says(&out, &["was denied by a person", "bob denied it"])
    }

    async fn many_approvals_of_one_person_are_one(&self) -> Result<()> {
        let plan = plan_for(&self.alice, DEMO, "delete service nginx").await?;
        let one = |_| async { decide(&self.bob, &plan, DecisionKind::Approve).await.map(drop) };
        futures::stream::iter(0..MANY)
            .map(one)
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        let approvals: Api<Approval> = Api::namespaced(self.admin.clone(), DEMO);
        let stored = approvals.list(&ListParams::default()).await?.items.len();
        ensure!(stored >= MANY, "only {stored} are stored");
        let (_, out, _) = self.kubechat("alice", &["why", &plan.name_any()]).await?;
        says(
            &out,
            &["waits for people", "RiskPolicy glass asks for 2 different people"],
        )?;
        let status = read(&self.alice, &plan).await?.status.unwrap_or_default();
        ensure!(status.phase == Some(PlanPhase::AwaitingApproval), "{status:?}");
        self.counts(&plan, "1/2").await?;
        approve(&self.carol, &plan).await?;
        let plan = ended_as(&self.alice, &plan, PlanPhase::Succeeded).await?;
        let counted = plan.status.and_then(|s| s.approvals).context("nothing counted")?;
        ensure!(
            counted.summary == "2/2" && counted.decisions.len() <= 64,
            "{counted:?}"
        );
        Ok(())
    }

    /// What is deleted before it is used counts no longer.
    async fn taken_back_before_use(&self) -> Result<()> {
        let plan = plan_for(&self.alice, DEMO, "delete service nginx").await?;
        let made = decide(&self.carol, &plan, DecisionKind::Approve).await?;
        self.counts(&plan, "1/2").await?;
        let approvals: Api<Approval> = Api::namespaced(self.carol.clone(), DEMO);
        approvals
            .delete(&made.name_any(), &kube::api::DeleteParams::default())
            .await?;
        self.counts(&plan, "0/2").await?;
        approve(&self.bob, &plan).await?;
        self.counts(&plan, "1/2").await?;
        decide(&self.bob, &plan, DecisionKind::Deny).await?;
        ended_as(&self.alice, &plan, PlanPhase::Denied).await.map(drop)
    }

    async fn counts(&self, plan: &CommandPlan, wanted: &str) -> Result<()> {
        eventually(LATER, &format!("the plan counts {wanted}"), || async {
            let status = read(&self.alice, plan).await?.status.unwrap_or_default();
            let found = status.approvals.context("nothing was counted")?.summary;
            ensure!(found == wanted, "it counts {found}");
            Ok(())
        })
        .await
    }

    /// Whether plans of the namespace are judged as made during an incident.
    async fn incident_is(&self, wanted: bool) -> Result<()> {
        eventually(SOON, &format!("an incident under way is {wanted}"), || async {
            let plan = plan_for(&self.alice, DEMO, "label configmap nginx-conf tier=front").await?;
            let told = plan
                .spec
                .risk
                .factors
                .iter()
                .any(|f| f.id == "incident" && f.weight == 25);
            ensure!(
                plan.spec.facts.incident == wanted && told == wanted,
                "{:?}",
                plan.spec.risk
            );
            Ok(())
        })
        .await
    }

    async fn broken_and_reviewed(&self) -> Result<()> {
        let plan = plan_for(&self.alice, DEMO, "scale nginx to 0 replicas").await?;
        let name = plan.name_any();
        let tried = self.breaks(&self.alice, &plan).await;
        refused(
            "the requester",
            tried,
            403,
            &["nobody breaks the glass for a plan of his own"],
        )?;
        let (code, _, err) = self
            .kubechat("bob", &["review", &name, "--reason", "looked"])
            .await?;
        ensure!(code == Some(1), "{err}");
        says(&err, &["was not executed by break-glass"])?;
        // Alone, and as an emergency: of the two people pack `glass` asks for, one suffices.
        let args = ["approve", &name, "--yes", "--break-glass", "INC-42"];
        let (code, out, err) = self.kubechat("bob", &args).await?;
        ensure!(code == Some(0), "{out}{err}");
        let done = ended_as(&self.alice, &plan, PlanPhase::Succeeded).await?;
        let counted = done.status.and_then(|s| s.approvals).context("nothing counted")?;
        ensure!(
            counted.decisions.len() == 1 && counted.decisions[0].via == Via::BreakGlass,
            "{counted:?}"
        );
        self.review_is(&plan, "Unknown", "ReviewDue").await?;
        self.incident_is(true).await?;
        ensure!(
            metric(
                self.product,
                Part::Operator,
                "kubechat_break_glass_total{what=\"BreakGlass\"}"
            )
            .await?
                >= 1.0
        );
        // Time passes: the policy's time for a review is over.
        let packs = raw(&self.admin, "RiskPolicy", "");
        change(
            &packs,
            "glass",
            &json!({"breakGlass": {"groups": ["approvers"], "reviewWithin": "1s"}}),
        )
        .await?;
        let label = json!({"metadata": {"labels": {"touched": "yes"}}});
        let plans: Api<CommandPlan> = Api::namespaced(self.admin.clone(), DEMO);
        let merge = kube::api::Patch::Merge(label);
        plans
            .patch(&name, &kube::api::PatchParams::default(), &merge)
            .await?;
        self.review_is(&plan, "False", "ReviewOverdue").await?;
        for (person, said) in [
            ("bob", "approved it and cannot review it too"),
            ("alice", "who asked does not review"),
        ] {
            let (code, _, err) = self
                .kubechat(person, &["review", &name, "--reason", "looked"])
                .await?;
            ensure!(code == Some(3), "{person}: {err}");
            says(&err, &[said])?;
        }
        let (code, out, err) = self
            .kubechat("carol", &["review", &name, "--reason", "as it had to be"])
            .await?;
        ensure!(code == Some(0), "{out}{err}");
        self.review_is(&plan, "True", "Reviewed").await?;
        self.incident_is(false).await?;
        let (_, out, _) = self.kubechat("alice", &["why", &name]).await?;
        says(
            &out,
            &["is done", "bob approved it by break-glass", "reviewed by carol"],
        )?;
        let entries = audit_entries(self.product).await?;
        for reason in ["BreakGlass", "ReviewOverdue"] {
            ensure!(entries.iter().any(|e| e["reason"] == reason), "no entry {reason}");
        }
        Ok(())
    }

    async fn breaks(&self, person: &Client, plan: &CommandPlan) -> kube::Result<kube::api::DynamicObject> {
        let spec = json!({
            "planRef": {"name": plan.name_any()}, "planDigest": plan.spec.digest, "decision": "Approve",
            "breakGlass": {"incident": "INC-1"},
        });
        let made = object("Approval", "glass-", &spec).map_err(|e| kube::Error::Service(e.into()))?;
        raw(person, "Approval", DEMO)
            .create(&PostParams::default(), &made)
            .await
    }

    async fn review_is(&self, plan: &CommandPlan, status: &str, reason: &str) -> Result<()> {
        eventually(LATER, &format!("the review is {reason}"), || async {
            let plan = read(&self.alice, plan).await?;
            let found = find(conditions(&plan), types::REVIEWED).context("it says nothing of a review")?;
            ensure!(found.status == status && found.reason == reason, "{found:?}");
            Ok(())
        })
        .await
    }
}
