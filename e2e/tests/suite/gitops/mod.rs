//! What arrives through Git, with real Flux: requests and decisions are committed, fetched, applied by
//! kustomize-controller, and judged like everyone's.

mod decisions;
mod judge;
mod requests;
mod trusted;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use kubechat_crds::{ChatRequest, RiskPolicy};
use kubechat_e2e::apply::Applier;
use kubechat_e2e::build::FluxBinaries;
use kubechat_e2e::cluster::{Cluster, Options};
use kubechat_e2e::demo;
use kubechat_e2e::flux::Flux;
use kubechat_e2e::product::{self, Product};
use kubechat_e2e::progress::Progress;
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::turn::SOON;
use crate::runner::{Test, with_product};

pub(crate) fn tests() -> Vec<Test> {
    let tests = [
        decisions::tests(),
        judge::tests(),
        requests::tests(),
        trusted::tests(),
    ]
    .concat();
    // Nobody waits for Flux to be built who does not test it.
    tests
        .into_iter()
        .map(|test| {
            test.after(|| Box::pin(async { FluxBinaries::ensure(&Progress::for_people()).await.map(drop) }))
        })
        .collect()
}

/// The namespace whose people keep their requests in Git.
const SHOP: &str = "shop";
/// The service account of [`SHOP`] as which its Kustomization applies.
const DEPLOYER: &str = "deployer";

/// A cluster with KubeChat and Flux; and with namespace `shop`, whose `deployer` may edit there and apply turns and
/// decisions.
async fn with_flux(test: impl AsyncFnOnce(&Cluster, &Product, &Flux) -> Result<()>) -> Result<()> {
    with_product(Options::default(), product::Options::default(), async |cluster, product| {
        let admin = cluster.client("admin").await?;
        let flux = Flux::start(cluster, &Progress::Silent).await?;
        demo::make_namespace(&admin, SHOP).await?;
        let mut objects = vec![json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": DEPLOYER, "namespace": SHOP}
        })];
        objects.extend(["edit", "kubechat-applier"].map(|role| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": format!("{DEPLOYER}-{role}"), "namespace": SHOP},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": DEPLOYER, "namespace": SHOP}],
            })
        }));
        Applier::new(admin).apply_all(&objects).await?;
        test(cluster, product, &flux).await?;
        flux.check()
    })
    .await
}

/// Makes the baseline policy trust service accounts (`namespace/name`) with decisions in these namespaces.
async fn trust(admin: &Client, accounts: &[&str], namespace: &str) -> Result<()> {
    let policies: Api<RiskPolicy> = Api::all(admin.clone());
    let trusted: Vec<Value> = accounts
        .iter()
        .map(|account| json!({"serviceAccount": account, "namespaces": [namespace]}))
        .collect();
    let patch = Patch::Merge(json!({"spec": {"gitops": {"trustedAppliers": trusted}}}));
    policies
        .patch("baseline", &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

/// When a request of today is meant to end at the latest.
fn days_ahead(days: i64) -> Result<String> {
    let end = Timestamp::now().checked_add(SignedDuration::from_hours(24 * days))?;
    Ok(end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// A ChatRequest as it stands in Git.
fn request(namespace: &str, name: &str, prompt: &str) -> Result<Value> {
    Ok(json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequest",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"prompt": prompt, "notAfter": days_ahead(6)?},
    }))
}

/// The request that Git made.
async fn made(admin: &Client, namespace: &str, name: &str) -> Result<ChatRequest> {
    let turns: Api<ChatRequest> = Api::namespaced(admin.clone(), namespace);
    turns
        .get_opt(name)
        .await?
        .with_context(|| format!("Flux made no ChatRequest {name}"))
}

/// Waits until the object is gone.
async fn gone(api: &Api<DynamicObject>, name: &str) -> Result<()> {
    eventually(SOON, &format!("{name} is gone"), || async {
        let found = api.get_opt(name).await?;
        ensure!(found.is_none(), "it stands there");
        Ok(())
    })
    .await
}
