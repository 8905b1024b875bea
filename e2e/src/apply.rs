//! Server-side apply of any object, and reading the manifests that ship.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiCapabilities, ApiResource, Scope, pinned_kind};
use kube::{Client, ResourceExt};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::wait::eventually;

/// The field manager of everything the harness applies.
const MANAGER: &str = "kubechat-e2e";
/// The field manager of a person who works with kubectl.
const PERSONS_MANAGER: &str = "kubectl-create";
const CRD_KIND: &str = "CustomResourceDefinition";
/// How long a new CRD may take to be established, and its kind to show up in discovery.
const ESTABLISHED_DEADLINE: Duration = Duration::from_secs(20);
/// Longest single write.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// Applies objects of any kind, and remembers where each kind is served.
pub struct Applier {
    client: Client,
    kinds: Mutex<HashMap<GroupVersionKind, (ApiResource, ApiCapabilities)>>,
}

impl Applier {
    /// An applier that acts as `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            kinds: Mutex::default(),
        }
    }

    /// Applies typed objects in the given order.
    ///
    /// # Errors
    /// The API server's answer to the first object it refuses.
    pub async fn apply_typed<T: Serialize + Sync>(&self, objects: &[T]) -> Result<()> {
        for object in objects {
            self.apply(&serde_json::to_value(object)?).await?;
        }
        Ok(())
    }

    /// Applies objects in the given order; waits until CRDs are established before anything that follows
    /// them.
    ///
    /// # Errors
    /// The API server's answer to the first object it refuses.
    pub async fn apply_all(&self, objects: &[Value]) -> Result<()> {
        let mut fresh: Vec<String> = Vec::new();
        for object in objects {
            if object["kind"] == CRD_KIND {
                fresh.push(self.apply(object).await?.name_any());
            } else {
                self.wait_established(&std::mem::take(&mut fresh)).await?;
                self.apply(object).await?;
            }
        }
        self.wait_established(&fresh).await
    }

    /// Applies one object.
    ///
    /// # Errors
    /// When it is not an object of Kubernetes, its kind is not served, or the API server refuses it.
    pub async fn apply(&self, object: &Value) -> Result<DynamicObject> {
        let (api, name) = self.api_for(object).await?;
        let patch = PatchParams::apply(MANAGER).force();
        let applied = timeout(WRITE_DEADLINE, api.patch(&name, &patch, &Patch::Apply(object))).await;
        let what = || {
            format!(
                "{} {name} was not applied",
                object["kind"].as_str().unwrap_or_default()
            )
        };
        applied.with_context(what)?.with_context(what)
    }

    /// Creates objects as `kubectl create` does, so that they look like a person's; those that exist stay as
    /// they are.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn create_all(&self, objects: &[Value]) -> Result<()> {
        let params = PostParams {
            field_manager: Some(PERSONS_MANAGER.to_owned()),
            ..PostParams::default()
        };
        for object in objects {
            let (api, name) = self.api_for(object).await?;
            let typed: DynamicObject = serde_json::from_value(object.clone())?;
            let created = timeout(WRITE_DEADLINE, api.create(&params, &typed)).await;
            let what = || {
                format!(
                    "{} {name} was not created",
                    object["kind"].as_str().unwrap_or_default()
                )
            };
            match created.with_context(what)? {
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                other => drop(other.with_context(what)?),
            }
        }
        Ok(())
    }

    async fn api_for(&self, object: &Value) -> Result<(Api<DynamicObject>, String)> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let version = text(&object["apiVersion"]).context("an object without apiVersion")?;
        let kind = text(&object["kind"]).context("an object without kind")?;
        let name = text(&object["metadata"]["name"]).with_context(|| format!("a {kind} without a name"))?;
        let (resource, capabilities) = self.resource(&version, &kind).await?;
        let api = match capabilities.scope {
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            Scope::Namespaced => {
                let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
        };
        Ok((api, name))
    }

    async fn resource(&self, version: &str, kind: &str) -> Result<(ApiResource, ApiCapabilities)> {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let wanted = GroupVersionKind::gvk(group, version, kind);
        if let Some(known) = self.kinds.lock().await.get(&wanted) {
            return Ok(known.clone());
        }
        let found = eventually(
            ESTABLISHED_DEADLINE,
            &format!("the API server serves {kind}"),
            || async { Ok(pinned_kind(&self.client, &wanted).await?) },
        )
        .await?;
        self.kinds.lock().await.insert(wanted, found.clone());
        Ok(found)
    }

    async fn wait_established(&self, crds: &[String]) -> Result<()> {
        if crds.is_empty() {
            return Ok(());
        }
        let (resource, _) = self.resource("apiextensions.k8s.io/v1", CRD_KIND).await?;
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        for name in crds {
            eventually(
                ESTABLISHED_DEADLINE,
                &format!("CRD {name} is established"),
                || async {
                    let crd = api.get(name).await?;
                    ensure!(
                        is_established(&crd.data),
                        "its conditions are {}",
                        crd.data["status"]["conditions"]
                    );
                    Ok(())
                },
            )
            .await?;
        }
        Ok(())
    }
}

fn is_established(crd: &Value) -> bool {
    let conditions = crd["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|one| one["type"] == "Established" && one["status"] == "True")
}

/// Reads every document of every `*.yaml` file of a folder, files in the order of their names.
///
/// # Errors
/// When the folder or a file cannot be read, or is not YAML.
pub fn read_manifests(folder: &Path) -> Result<Vec<Value>> {
    let listed = std::fs::read_dir(folder).with_context(|| {
        format!(
            "the manifests {} cannot be read; make them with: make crds",
            folder.display()
        )
    })?;
    let mut files: Vec<PathBuf> = listed
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|kind| kind == "yaml"));
    files.sort();
    ensure!(
        !files.is_empty(),
        "{} holds no manifests; make them with: make crds",
        folder.display()
    );
    let mut documents = Vec::new();
    for file in files {
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let parsed: Vec<Value> =
            serde_saphyr::from_multiple(&text).with_context(|| format!("{} is not YAML", file.display()))?;
        documents.extend(parsed.into_iter().filter(|document| !document.is_null()));
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tempfile::TempDir;

    #[test]
    fn manifests_come_in_the_order_of_file_names_without_empty_documents() {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("10-b.yaml", "kind: B\n---\n---\nkind: C\n");
        write("00-a.yaml", "---\n# a comment\nkind: A\n");
        write("notes.txt", "kind: No");
        let kinds: Vec<Value> = read_manifests(folder.path())
            .unwrap()
            .into_iter()
            .map(|document| document["kind"].clone())
            .collect();
        assert_eq!(kinds, [json!("A"), json!("B"), json!("C")]);
    }

    #[test]
    fn refuses_folders_without_manifests_and_says_how_to_make_them() {
        let folder = TempDir::new().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("missing")] {
            let message = format!("{:#}", read_manifests(&path).unwrap_err());
            assert!(message.contains("make crds"), "{message}");
        }
        std::fs::write(folder.path().join("bad.yaml"), "a: [").unwrap();
        assert!(format!("{:#}", read_manifests(folder.path()).unwrap_err()).contains("is not YAML"));
    }

    #[test]
    fn a_crd_counts_as_established_only_with_the_condition() {
        let with =
            |status: &str| json!({"status": {"conditions": [{"type": "Established", "status": status}]}});
        assert!(is_established(&with("True")));
        assert!(!is_established(&with("False")));
        assert!(!is_established(&json!({})));
    }
}
