//! The harness itself: a cluster that behaves like a real one. What `make run` makes of it is in [`super::make_run`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, PodTemplate};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use kubechat_e2e::cluster::{Cluster, Options};
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::wait::eventually;
use serde_json::json;
use tempfile::TempDir;

use crate::runner::{Ctx, Test, own, shared, with_cluster};

const SOON: Duration = Duration::from_secs(30);
/// What the start of a cluster may take when every program is built.
const SECOND_START: Duration = Duration::from_secs(20);

pub(crate) fn tests() -> Vec<Test> {
    let shared = shared![
        a_deployment_follows_what_its_editor_asks_for,
        foreground_deletion_and_namespace_deletion_finish,
        request_totals_count_persisted_writes_and_no_dry_runs,
    ];
    let own = own![
        an_etcd_restore_brings_back_the_old_state,
        controllers_act_under_their_own_service_accounts,
        a_given_folder_keeps_state_ports_and_tokens,
    ];
    [shared, own].concat()
}

async fn a_deployment_follows_what_its_editor_asks_for(ctx: Arc<Ctx>) -> Result<()> {
    let namespace = ctx.namespace("scale").await?;
    let alice = ctx.client("alice").await?;
    demo::wait_ready(&alice, &namespace, DEPLOYMENT, 2).await?;
    let deployments: Api<Deployment> = Api::namespaced(alice.clone(), &namespace);
    let patch = Patch::Merge(json!({"spec": {"replicas": 5}}));
    deployments
        .patch(DEPLOYMENT, &PatchParams::default(), &patch)
        .await?;
    demo::wait_ready(&alice, &namespace, DEPLOYMENT, 5).await?;
    let pods: Api<Pod> = Api::namespaced(alice, &namespace);
    let running = pods
        .list(&ListParams::default().fields("status.phase=Running"))
        .await?;
    ensure!(running.items.len() == 5, "{} pods run", running.items.len());
    Ok(())
}

async fn foreground_deletion_and_namespace_deletion_finish(ctx: Arc<Ctx>) -> Result<()> {
    let namespace = ctx.namespace("deletion").await?;
    let (alice, admin) = (ctx.client("alice").await?, ctx.client("admin").await?);
    let deployments: Api<Deployment> = Api::namespaced(alice.clone(), &namespace);
    let sets: Api<ReplicaSet> = Api::namespaced(alice.clone(), &namespace);
    let pods: Api<Pod> = Api::namespaced(alice, &namespace);
    deployments
        .delete(DEPLOYMENT, &DeleteParams::foreground())
        .await?;
    eventually(SOON, "a foreground deletion ends", || async {
        ensure!(
            deployments.get_opt(DEPLOYMENT).await?.is_none(),
            "the Deployment is there"
        );
        Ok(())
    })
    .await?;
    let (sets, pods) = (
        sets.list(&ListParams::default()).await?,
        pods.list(&ListParams::default()).await?,
    );
    ensure!(sets.items.is_empty(), "the ReplicaSet outlived its Deployment");
    ensure!(
        pods.iter().all(|pod| pod.metadata.deletion_timestamp.is_some()),
        "pods outlived their Deployment"
    );

    let namespaces: Api<Namespace> = Api::all(admin);
    namespaces.delete(&namespace, &DeleteParams::default()).await?;
    eventually(SOON, "a namespace deletion ends", || async {
        let left = namespaces.get_opt(&namespace).await?;
        ensure!(
            left.is_none(),
            "it is there: {:?}",
            left.and_then(|namespace| namespace.status)
        );
        Ok(())
    })
    .await
}

/// Nothing else in the cluster writes this kind.
async fn request_totals_count_persisted_writes_and_no_dry_runs(ctx: Arc<Ctx>) -> Result<()> {
    let namespace = ctx.namespace("totals").await?;
    let templates: Api<PodTemplate> = Api::namespaced(ctx.client("admin").await?, &namespace);
    let template = |name: &str| -> Result<PodTemplate> {
        let spec = json!({"containers": [{"name": "c", "image": "i"}]});
        Ok(serde_json::from_value(
            json!({"metadata": {"name": name}, "template": {"spec": spec}}),
        )?)
    };
    let before = ctx.cluster.request_totals().await?;
    templates
        .create(&PostParams::default(), &template("kept")?)
        .await?;
    templates
        .create(
            &PostParams {
                dry_run: true,
                ..PostParams::default()
            },
            &template("dry")?,
        )
        .await?;
    ensure!(
        templates
            .create(&PostParams::default(), &template("kept")?)
            .await
            .is_err(),
        "made twice"
    );
    templates.delete("kept", &DeleteParams::default()).await?;
    // The API server counts a request after it has answered it.
    eventually(SOON, "the requests are counted", || async {
        let added = ctx.cluster.request_totals().await?.since(&before);
        let writes = added.persisted_writes(|_, resource| resource == "podtemplates");
        let posts =
            added.sum(|sample| sample.label("resource") == "podtemplates" && sample.label("verb") == "POST");
        ensure!(
            (writes, posts) == (2.0, 3.0),
            "{writes} writes, {posts} posts in {added:?}"
        );
        Ok(())
    })
    .await
}

async fn an_etcd_restore_brings_back_the_old_state() -> Result<()> {
    with_cluster(Options::default(), async |cluster| {
        let admin = cluster.client("admin").await?;
        demo::set_up(&admin).await?;
        let copies = TempDir::new()?;
        let snapshot = copies.path().join("snapshot");
        cluster.etcd_snapshot(&snapshot).await?;
        ensure!(
            cluster.etcd_snapshot(&snapshot).await.is_err(),
            "a snapshot was overwritten"
        );
        ensure!(
            cluster.etcd_restore(copies.path()).await.is_err(),
            "no snapshot was restored"
        );

        let deployments: Api<Deployment> = Api::namespaced(admin.clone(), "demo");
        let patch = Patch::Merge(json!({"spec": {"replicas": 4}}));
        deployments
            .patch(DEPLOYMENT, &PatchParams::default(), &patch)
            .await?;
        demo::wait_ready(&admin, "demo", DEPLOYMENT, 4).await?;
        create_note(&admin, "later").await?;

        cluster.etcd_restore(&snapshot).await?;
        let notes: Api<ConfigMap> = Api::namespaced(admin.clone(), "demo");
        ensure!(
            notes.get_opt("later").await?.is_none(),
            "what was written after the snapshot is still there"
        );
        demo::wait_ready(&admin, "demo", DEPLOYMENT, 2).await?;
        // The controllers work on the old state: a new wish is carried out.
        deployments
            .patch(
                DEPLOYMENT,
                &PatchParams::default(),
                &Patch::Merge(json!({"spec": {"replicas": 3}})),
            )
            .await?;
        demo::wait_ready(&admin, "demo", DEPLOYMENT, 3).await
    })
    .await
}

async fn create_note(client: &Client, name: &str) -> Result<()> {
    let note: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": name}, "data": {"text": "note"}}))?;
    Api::<ConfigMap>::namespaced(client.clone(), "demo")
        .create(&PostParams::default(), &note)
        .await?;
    Ok(())
}

async fn controllers_act_under_their_own_service_accounts() -> Result<()> {
    with_cluster(
        Options {
            audit_log: true,
            ..Options::default()
        },
        async |cluster| {
            demo::set_up(&cluster.client("admin").await?).await?;
            eventually(
                SOON,
                "the API server's audit log has the controllers' names",
                || async {
                    let log = std::fs::read_to_string(cluster.api_audit_log())?;
                    for controller in [
                        "deployment-controller",
                        "replicaset-controller",
                        "service-account-controller",
                    ] {
                        let user = format!("\"system:serviceaccount:kube-system:{controller}\"");
                        ensure!(log.contains(&user), "{controller} did nothing");
                    }
                    ensure!(
                        log.contains("\"system:kube-scheduler\""),
                        "the scheduler did nothing"
                    );
                    // Of deletes and evictions only: their options hold no secrets.
                    let of_removal = |line: &str| {
                        line.contains("\"verb\":\"delete\"") || line.contains("\"subresource\":\"eviction\"")
                    };
                    let bodies = log.lines().filter(|line| line.contains("requestObject"));
                    ensure!(bodies.into_iter().all(of_removal), "bodies are logged");
                    Ok(())
                },
            )
            .await
        },
    )
    .await
}

async fn a_given_folder_keeps_state_ports_and_tokens() -> Result<()> {
    let given = TempDir::new()?;
    let options = Options {
        folder: Some(given.path().join("state")),
        ..Options::default()
    };
    let first = Cluster::start(options.clone()).await?;
    demo::set_up(&first.client("admin").await?).await?;
    create_note(&first.client("alice").await?, "kept").await?;
    let kubeconfig = std::fs::read_to_string(first.kubeconfig_path())?;
    drop(first);

    let started = Instant::now();
    with_cluster(options, async |second| {
        demo::set_up(&second.client("admin").await?).await?;
        ensure!(
            started.elapsed() < SECOND_START,
            "it took {:?}",
            started.elapsed()
        );
        ensure!(
            std::fs::read_to_string(second.kubeconfig_path())? == kubeconfig,
            "the kubeconfig changed"
        );
        let alice = second.client("alice").await?;
        let note = Api::<ConfigMap>::namespaced(alice.clone(), "demo")
            .get("kept")
            .await?;
        ensure!(note.name_any() == "kept");
        let patch = Patch::Merge(json!({"spec": {"replicas": 3}}));
        Api::<Deployment>::namespaced(alice.clone(), "demo")
            .patch(DEPLOYMENT, &PatchParams::default(), &patch)
            .await?;
        demo::wait_ready(&alice, "demo", DEPLOYMENT, 3).await
    })
    .await
}
