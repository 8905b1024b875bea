//! A Git pipeline that carries decisions never changes what judges them.

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use kubechat_e2e::cluster::Cluster;
use kubechat_e2e::flux::git::Repository;
use kubechat_e2e::flux::pipeline::{Pipeline, Settings, Synced};
use kubechat_e2e::flux::{self, APPLIER};
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::{SHOP, trust, with_flux};
use crate::runner::{Test, own};
use crate::suite::tools::{self, PUBLIC_KEY, at, dry_run, impersonating, raw};
use crate::suite::turn::{SOON, says};

/// Flux's own account, as a RiskPolicy names it. It may do everything in the cluster.
const FLUX: &str = "flux-system/kustomize-controller";
const REFUSED: &str = "a trusted applier (RiskPolicy gitops.trustedAppliers) never changes";

pub(super) fn tests() -> Vec<Test> {
    own![a_trusted_pipeline_never_changes_its_own_judge]
}

async fn a_trusted_pipeline_never_changes_its_own_judge() -> Result<()> {
    with_flux(async |cluster, _, flux| {
        let admin = cluster.client("admin").await?;
        let settings = Settings {
            service_account: None,
            wait: false,
        };
        let pipeline = Pipeline::create(flux, &admin, flux::NAMESPACE, "fleet", settings).await?;
        let files = pipeline.repository();

        // A pipeline that nobody trusts with decisions may keep policies in Git.
        write(files, "extra.yaml", &policy("extra", 2))?;
        pipeline.push("a policy").await?.healthy()?;
        let extra = raw(&admin, "RiskPolicy", "").get("extra").await?;
        ensure!(
            extra.data["spec"]["changedBy"]["username"] == APPLIER,
            "{}",
            extra.data
        );

        trust(&admin, &[FLUX], SHOP).await?;
        refuses_by_now(cluster).await?;
        let before = policies(&admin).await?;

        write(files, "key.yaml", &key("mallory"))?;
        refused(&pipeline.push("a key of mine").await?)?;
        files.remove("key.yaml")?;

        write(files, "extra.yaml", &policy("extra", 1))?;
        refused(&pipeline.push("one will do").await?)?;
        write(files, "extra.yaml", &policy("extra", 2))?;

        let mut loose = policy("baseline", 1);
        loose["spec"]["suspend"] = json!(false);
        write(files, "baseline.yaml", &loose)?;
        refused(&pipeline.push("trust nobody, judge nothing").await?)?;
        files.remove("baseline.yaml")?;

        write(files, "provider.yaml", &provider())?;
        refused(&pipeline.push("another interpreter").await?)?;
        files.remove("provider.yaml")?;

        write(files, "audit.yaml", &unheard())?;
        refused(&pipeline.push("record nothing").await?)?;
        files.remove("audit.yaml")?;

        files.remove("extra.yaml")?;
        let pruned = pipeline.push("without that policy").await?;
        ensure!(!pruned.ready, "it removed a policy: {pruned:?}");

        ensure!(policies(&admin).await? == before, "a policy was changed");
        let keys = raw(&admin, "ApproverKey", "").list(&Default::default()).await?;
        ensure!(keys.items.is_empty(), "a key was added");

        // A person with the right does it directly.
        raw(&admin, "RiskPolicy", "")
            .delete("extra", &Default::default())
            .await?;
        Ok(())
    })
    .await
}

fn write(files: &Repository, path: &str, object: &Value) -> Result<()> {
    files.write(path, &serde_json::to_string_pretty(object)?)
}

fn refused(synced: &Synced) -> Result<()> {
    ensure!(!synced.ready, "it was applied");
    says(&synced.message, &[REFUSED, "Nothing was written"])
}

fn policy(name: &str, count: i32) -> Value {
    json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "RiskPolicy", "metadata": {"name": name},
        "spec": {"approvals": {"destructive": {"count": count}}},
    })
}

fn key(username: &str) -> Value {
    json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "ApproverKey", "metadata": {"name": username},
        "spec": {"username": username, "publicKey": PUBLIC_KEY},
    })
}

fn provider() -> Value {
    json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "AIProvider", "metadata": {"name": "mine"},
        "spec": {"type": "Rules"},
    })
}

fn unheard() -> Value {
    json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "AuditPolicy", "metadata": {"name": "default"},
        "spec": {"levels": {"command_generation": "Off"}},
    })
}

/// Name, version and spec of every policy.
async fn policies(admin: &Client) -> Result<Vec<Value>> {
    let all = raw(admin, "RiskPolicy", "").list(&Default::default()).await?;
    let seen = all.items.iter().map(|one| {
        let generation = one.metadata.generation.unwrap_or_default();
        json!([one.metadata.name, generation, at(&one.data, "/spec")])
    });
    Ok(seen.collect())
}

/// The API server reads policies through a cache: waits until it knows of the trust.
async fn refuses_by_now(cluster: &Cluster) -> Result<()> {
    let applier = impersonating(cluster, APPLIER, &["system:masters"], &[]).await?;
    eventually(SOON, "the API server knows who is trusted", || async {
        let object = tools::object("ApproverKey", "probe", &key("probe")["spec"])?;
        let tried = raw(&applier, "ApproverKey", "").create(&dry_run(), &object).await;
        let said = tried.err().context("it would be accepted")?;
        says(&said.to_string(), &[REFUSED])
    })
    .await
}
