//! The harness itself: a cluster that behaves like a real one, people with the right rights, and no process
//! left behind.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, PodTemplate};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use kubechat_e2e::cluster::{Cluster, Component, Options};
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::process::Program;
use kubechat_e2e::wait::eventually;
use nix::sys::signal::Signal;
use serde::Deserialize;
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
        make_run_says_where_everything_is_and_starts_what_was_killed_unless_told_not_to,
        a_killed_harness_leaves_no_process,
        ctrl_c_stops_everything_and_removes_the_folder,
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
    let added = ctx.cluster.request_totals().await?.since(&before);
    let writes = added.persisted_writes(|_, resource| resource == "podtemplates");
    let posts =
        added.sum(|sample| sample.label("resource") == "podtemplates" && sample.label("verb") == "POST");
    ensure!(
        (writes, posts) == (2.0, 3.0),
        "{writes} writes, {posts} posts in {added:?}"
    );
    Ok(())
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

/// The part of the ready file these tests read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    kubeconfig: std::path::PathBuf,
    bin: std::path::PathBuf,
    pids: BTreeMap<String, u32>,
    audit_db: Option<std::path::PathBuf>,
    audit_key: Option<std::path::PathBuf>,
}

/// Starts the dev runner with a cluster alone and returns it once it is ready.
async fn start_dev(folder: &Path) -> Result<(kubechat_e2e::process::Process, Ready)> {
    start_dev_with(folder, &["--cluster-only"], "1").await
}

/// Starts the dev runner and returns it once it is ready.
async fn start_dev_with(
    folder: &Path,
    args: &[&str],
    restart: &str,
) -> Result<(kubechat_e2e::process::Process, Ready)> {
    let file = folder.join("ready.json");
    let program = Program::new(
        "kubechat-dev",
        env!("CARGO_BIN_EXE_kubechat-dev"),
        folder.join("dev.log"),
    )
    .args(args.iter().copied())
    .args(["--ready"])
    .args([file.as_os_str()])
    .env("KUBECHAT_DEV_RESTART", restart)
    .env("TMPDIR", folder.to_string_lossy());
    let dev = program.start()?;
    let ready = eventually(Duration::from_secs(120), "kubechat-dev is ready", || async {
        let text = std::fs::read_to_string(&file).with_context(|| dev.log_tail())?;
        Ok(serde_json::from_str::<Ready>(&text)?)
    })
    .await?;
    for component in Component::ALL {
        let pid = ready
            .pids
            .get(component.program())
            .with_context(|| format!("{} has no pid", component.program()))?;
        ensure!(is_alive(*pid), "{} does not run", component.program());
    }
    Ok((dev, ready))
}

async fn make_run_says_where_everything_is_and_starts_what_was_killed_unless_told_not_to() -> Result<()> {
    kubechat_e2e::product::build_binary(!cfg!(debug_assertions)).await?;
    for restart in ["1", "0"] {
        let folder = TempDir::new()?;
        let (dev, ready) = start_dev_with(folder.path(), &[], restart).await?;
        for file in [&ready.audit_db, &ready.audit_key] {
            let file = file.as_ref().context("the ready file names no audit log")?;
            ensure!(file.is_file(), "{} is not there", file.display());
        }
        for program in ["kubectl", "kubechat", "kubectl-kubechat"] {
            ensure!(
                ready.bin.join(program).exists(),
                "{program} is not in the folder for PATH"
            );
        }
        let pid = |ready: &Ready, part: &str| {
            let pid = ready.pids.get(part).copied();
            pid.with_context(|| format!("the ready file has no {part}: {:?}", ready.pids))
        };
        let (operator, webhook) = (pid(&ready, "operator")?, pid(&ready, "webhook")?);
        ensure!(is_alive(operator) && is_alive(webhook));
        let killed = nix::unistd::Pid::from_raw(i32::try_from(operator)?);
        nix::sys::signal::kill(killed, Signal::SIGKILL)?;
        let written = || -> Result<Ready> {
            Ok(serde_json::from_str(&std::fs::read_to_string(
                folder.path().join("ready.json"),
            )?)?)
        };
        if restart == "1" {
            eventually(SOON, "the operator runs again, and the file says so", || async {
                let now = pid(&written()?, "operator")?;
                ensure!(now != operator && is_alive(now), "it is {now}");
                Ok(())
            })
            .await?;
        } else {
            eventually(SOON, "the operator is gone", || async {
                ensure!(!is_alive(operator), "it runs");
                Ok(())
            })
            .await?;
            // It would be back after two seconds.
            tokio::time::sleep(Duration::from_secs(5)).await;
            let now = written()?.pids.get("operator").copied();
            ensure!(
                now.is_none_or(|pid| !is_alive(pid)),
                "the operator was started again"
            );
        }
        ensure!(is_alive(webhook), "the webhook went with it");
        dev.signal(Signal::SIGINT)?;
        let ended = dev.exit().within(Duration::from_secs(30)).await;
        ensure!(ended.is_some_and(|status| status.success()), "{}", dev.log_tail());
    }
    Ok(())
}

async fn a_killed_harness_leaves_no_process() -> Result<()> {
    let folder = TempDir::new()?;
    let (dev, ready) = start_dev(folder.path()).await?;
    dev.signal(Signal::SIGKILL)?;
    wait_until_gone(&ready).await
}

async fn ctrl_c_stops_everything_and_removes_the_folder() -> Result<()> {
    let folder = TempDir::new()?;
    let (dev, ready) = start_dev(folder.path()).await?;
    let state = ready
        .kubeconfig
        .parent()
        .context("the kubeconfig has no folder")?;
    ensure!(state.exists());
    dev.signal(Signal::SIGINT)?;
    match dev.exit().within(Duration::from_secs(10)).await {
        Some(status) => ensure!(status.success(), "{}", dev.obituary(status)),
        None => bail!("it did not end in 10 s:\n{}", dev.log_tail()),
    }
    ensure!(!state.exists(), "{} is still there", state.display());
    ensure!(
        !folder.path().join("ready.json").exists(),
        "the ready file is still there"
    );
    wait_until_gone(&ready).await
}

async fn wait_until_gone(ready: &Ready) -> Result<()> {
    eventually(
        Duration::from_secs(5),
        "every process of the cluster is gone",
        || async {
            let left: Vec<&String> = ready
                .pids
                .iter()
                .filter(|(_, pid)| is_alive(**pid))
                .map(|(name, _)| name)
                .collect();
            ensure!(left.is_empty(), "still there: {left:?}");
            Ok(())
        },
    )
    .await
}

/// Dead, or dead and waiting to be collected, is the same here.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
