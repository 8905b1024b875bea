//! Something to talk about: a small nginx in a namespace.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::accounts;
use crate::apply::Applier;
use crate::wait::eventually;

/// The Deployment's name, also of its Service.
pub const DEPLOYMENT: &str = "nginx";
/// Its replicas at the start.
pub const REPLICAS: i32 = 2;

const READY_DEADLINE: Duration = Duration::from_secs(60);

/// Deployment, Service and ConfigMap.
#[must_use]
pub fn objects(namespace: &str) -> Vec<Value> {
    let labels = json!({"app": DEPLOYMENT});
    let metadata = |name: &str| json!({"name": name, "namespace": namespace, "labels": labels});
    vec![
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("nginx-conf"),
            "data": {"nginx.conf": "events {}\nhttp { server { listen 80; } }\n"},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata(DEPLOYMENT),
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 80}]},
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(DEPLOYMENT),
            "spec": {
                "replicas": REPLICAS,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "containers": [{
                            "name": "nginx",
                            "image": "nginx:1.27",
                            "ports": [{"name": "http", "containerPort": 80}],
                            "resources": {
                                "requests": {"cpu": "50m", "memory": "64Mi"},
                                "limits": {"cpu": "250m", "memory": "128Mi"},
                            },
                            "volumeMounts": [{"name": "conf", "mountPath": "/etc/nginx/conf.d"}],
                        }],
                        "volumes": [{"name": "conf", "configMap": {"name": "nginx-conf"}}],
                    },
                },
            },
        }),
    ]
}

/// Makes the namespaces, everyone's rights, and nginx in `demo`; returns when nginx stands at two ready
/// replicas.
///
/// `admin` must be a client with all rights. Done again, what a person changed of nginx stays as it was left.
///
/// # Errors
/// When the API server refuses something, or nginx does not become ready.
pub async fn set_up(admin: &Client) -> Result<()> {
    let applier = Applier::new(admin.clone());
    applier.apply_typed(&accounts::namespaces()).await?;
    applier.apply_typed(&accounts::cluster_bindings()).await?;
    applier.apply_typed(&accounts::ops_bindings()).await?;
    set_up_namespace(admin, &applier, accounts::DEMO).await
}

/// The same rights and nginx in another namespace that exists.
pub(crate) async fn set_up_namespace(admin: &Client, applier: &Applier, namespace: &str) -> Result<()> {
    applier.apply_typed(&accounts::work_bindings(namespace)).await?;
    let deployments: Api<Deployment> = Api::namespaced(admin.clone(), namespace);
    let is_new = deployments.get_opt(DEPLOYMENT).await?.is_none();
    applier.create_all(&objects(namespace)).await?;
    if is_new {
        wait_ready(admin, namespace, DEPLOYMENT, REPLICAS).await?;
    }
    Ok(())
}

/// Makes a work namespace of its own: everyone's rights as in `demo`, and a ready nginx.
///
/// # Errors
/// When the API server refuses something, or nginx does not become ready.
pub async fn make_namespace(admin: &Client, name: &str) -> Result<()> {
    let applier = Applier::new(admin.clone());
    applier
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
        .await?;
    set_up_namespace(admin, &applier, name).await
}

/// Waits until a Deployment has exactly this many ready replicas and its controller has seen the newest spec.
///
/// # Errors
/// When that does not happen in a minute; the message says what was seen last.
pub async fn wait_ready(client: &Client, namespace: &str, name: &str, replicas: i32) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let what = format!("Deployment {namespace}/{name} has {replicas} ready replicas");
    eventually(READY_DEADLINE, &what, || async {
        let found = deployments.get(name).await?;
        let status = found.status.unwrap_or_default();
        let (ready, updated) = (
            status.ready_replicas.unwrap_or(0),
            status.updated_replicas.unwrap_or(0),
        );
        ensure!(
            ready == replicas && updated == replicas,
            "{ready} are ready, {updated} are of the newest template"
        );
        let (seen, newest) = (status.observed_generation, found.metadata.generation);
        ensure!(
            seen == newest,
            "its controller has seen generation {seen:?} of {newest:?}"
        );
        Ok(())
    })
    .await
}
