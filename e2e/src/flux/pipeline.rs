//! One pipeline: a GitRepository and the Kustomization that applies it, synced on demand and waited for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::Flux;
use super::git::{BRANCH, Repository};
use crate::apply::Applier;
use crate::wait::eventually;

/// How long one sync may take; Flux's own health checks time out after `TIMEOUT`.
const SYNC_DEADLINE: Duration = Duration::from_secs(90);
/// The shortest time-out Flux takes, so that an object which never becomes healthy is found out soon.
const TIMEOUT: &str = "30s";
/// Nothing is synced but on demand.
const INTERVAL: &str = "1h";
const REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";

/// How a pipeline applies.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Service account of the pipeline's namespace that it applies as; Flux's own account if not given.
    pub service_account: Option<&'a str>,
    /// Whether Flux waits until every object is healthy.
    pub wait: bool,
}

/// A GitRepository and a Kustomization of one name.
#[derive(Clone, Debug)]
pub struct Pipeline {
    namespace: String,
    name: String,
    repository: Repository,
    sources: Api<DynamicObject>,
    appliers: Api<DynamicObject>,
}

/// What a sync came to.
#[derive(Clone, Debug)]
pub struct Synced {
    /// Whether everything was applied (and, with `wait`, became healthy).
    pub ready: bool,
    /// Reason of the condition `Ready`.
    pub reason: String,
    /// Its message; refusals of admission stand in it.
    pub message: String,
}

impl Pipeline {
    /// Makes a repository and the two objects.
    ///
    /// # Errors
    /// When git or the API server refuses.
    pub async fn create(
        flux: &Flux,
        admin: &Client,
        namespace: &str,
        name: &str,
        settings: Settings<'_>,
    ) -> Result<Self> {
        let repository = flux.git().repository(&format!("{namespace}-{name}")).await?;
        let metadata = json!({"name": name, "namespace": namespace});
        let mut applied = json!({
            "interval": INTERVAL, "timeout": TIMEOUT, "prune": true, "path": "./", "wait": settings.wait,
            "sourceRef": {"kind": "GitRepository", "name": name},
        });
        if let Some(account) = settings.service_account {
            applied["serviceAccountName"] = json!(account);
        }
        let objects = [
            json!({
                "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": metadata,
                "spec": {"interval": INTERVAL, "url": repository.url(), "ref": {"branch": BRANCH}},
            }),
            json!({
                "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": metadata,
                "spec": applied,
            }),
        ];
        // Flux would otherwise begin with a repository that has no commit, and back off.
        repository.write("README.md", "What this namespace asks of KubeChat.\n")?;
        repository.push("begin").await?;
        Applier::new(admin.clone()).apply_all(&objects).await?;
        let api = |group: &str, kind: &str| {
            let kind = GroupVersionKind::gvk(&format!("{group}.toolkit.fluxcd.io"), "v1", kind);
            Api::namespaced_with(admin.clone(), namespace, &ApiResource::from_gvk(&kind))
        };
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            repository,
            sources: api("source", "GitRepository"),
            appliers: api("kustomize", "Kustomization"),
        })
    }

    /// Its repository.
    #[must_use]
    pub const fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Commits and pushes the working tree, has it fetched and applied, and says what came of it.
    ///
    /// # Errors
    /// When git refuses or Flux does not come to an end.
    pub async fn push(&self, message: &str) -> Result<Synced> {
        let commit = self.repository.push(message).await?;
        request(&self.sources, &self.name, &commit).await?;
        let fetched = format!("{}/{}: commit {commit} is fetched", self.namespace, self.name);
        eventually(SYNC_DEADLINE, &fetched, || async {
            let source = self.sources.get(&self.name).await?;
            let revision = source.data["status"]["artifact"]["revision"].clone();
            ensure!(
                revision.as_str().is_some_and(|text| text.ends_with(&commit)),
                "{}",
                source.data["status"]
            );
            Ok(())
        })
        .await?;
        self.apply(&commit).await
    }

    /// Has the newest commit applied once more; `token` must be one that was never used before.
    ///
    /// # Errors
    /// When Flux does not come to an end.
    pub async fn apply(&self, token: &str) -> Result<Synced> {
        request(&self.appliers, &self.name, token).await?;
        let applied = format!("{}/{}: sync {token} ends", self.namespace, self.name);
        eventually(SYNC_DEADLINE, &applied, || async {
            let status = self.appliers.get(&self.name).await?.data["status"].clone();
            ensure!(status["lastHandledReconcileAt"] == token, "{status}");
            let mut conditions = status["conditions"].as_array().into_iter().flatten();
            let ready = conditions.find(|one| one["type"] == "Ready").cloned();
            let ready = ready.with_context(|| format!("it says nothing: {status}"))?;
            ensure!(ready["status"] != "Unknown", "{ready}");
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            Ok(Synced {
                ready: ready["status"] == "True",
                reason: text(&ready["reason"]),
                message: text(&ready["message"]),
            })
        })
        .await
    }

    /// Removes the pipeline; Flux removes what it applied.
    ///
    /// # Errors
    /// When it does not go.
    pub async fn delete(&self) -> Result<()> {
        self.appliers.delete(&self.name, &Default::default()).await?;
        let what = format!("{}/{}: the pipeline is gone", self.namespace, self.name);
        eventually(SYNC_DEADLINE, &what, || async {
            let found = self.appliers.get_opt(&self.name).await?;
            ensure!(
                found.is_none(),
                "{:?}",
                found.map(|object| object.data["status"].clone())
            );
            Ok(())
        })
        .await
    }
}

async fn request(api: &Api<DynamicObject>, name: &str, token: &str) -> Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {REQUESTED_AT: token}}}));
    api.patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

impl Synced {
    /// Fails unless everything was applied.
    ///
    /// # Errors
    /// What Flux said.
    pub fn healthy(self) -> Result<Self> {
        ensure!(self.ready, "the sync failed ({}): {}", self.reason, self.message);
        Ok(self)
    }
}
