//! Real Flux: source-controller fetches Git repositories from a server on loopback, kustomize-controller applies what
//! they hold, both as their own service accounts with the rights of Flux's own installation.
//!
//! - [`git`]: bare repositories, commits, and a Git server over HTTP (Flux refuses `file://`).
//! - [`pipeline`]: a GitRepository with its Kustomization, and syncs that are asked for and waited for.
//!
//! **Invariant**: like everything of the harness, its processes end with it.

pub mod git;
pub mod pipeline;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::apply::Applier;
use crate::build::{FluxBinaries, write_atomically};
use crate::cluster::{Cluster, free_port, get_ok, plain_client};
use crate::process::{Process, Program};
use crate::product::tokens::{TokenFile, kubeconfig};
use crate::progress::Progress;
use crate::wait::eventually;
use git::GitServer;

/// The namespace of Flux itself.
pub const NAMESPACE: &str = "flux-system";
/// The service account that applies what a Kustomization without an account of its own names.
pub const APPLIER: &str = "system:serviceaccount:flux-system:kustomize-controller";
const SOURCE: &str = "source-controller";
const KUSTOMIZE: &str = "kustomize-controller";
/// How long a controller may take until it is ready, on a loaded machine.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// A running Flux. Dropping it stops its processes; drop it before its [`Cluster`].
#[derive(Debug)]
pub struct Flux {
    processes: Vec<Process>,
    renewals: Vec<JoinHandle<()>>,
    git: GitServer,
}

impl Flux {
    /// Builds what is missing, installs Flux's kinds and roles, and starts both controllers and the Git server.
    ///
    /// # Errors
    /// When something does not build, is refused, or does not become ready; the message holds the end of its log.
    pub async fn start(cluster: &Cluster, progress: &Progress) -> Result<Self> {
        let binaries = FluxBinaries::ensure(progress).await?;
        let folder = cluster.folder().join("flux");
        std::fs::create_dir_all(&folder).with_context(|| format!("{} was not made", folder.display()))?;
        let admin = cluster.client("admin").await?;
        install(&Applier::new(admin.clone()), &binaries).await?;
        let mut flux = Self {
            processes: Vec::new(),
            renewals: Vec::new(),
            git: GitServer::start(&folder.join("repositories")).await?,
        };
        let storage = free_port(None)?;
        let source = [
            format!("--storage-path={}", own_folder(&folder, "artifacts")?.display()),
            format!("--storage-addr=127.0.0.1:{storage}"),
            format!("--storage-adv-addr=127.0.0.1:{storage}"),
        ];
        let program = binaries.source_controller();
        flux.run(cluster, &admin, SOURCE, program, &source).await?;
        let kustomize = ["--no-remote-bases".to_owned()];
        let program = binaries.kustomize_controller();
        flux.run(cluster, &admin, KUSTOMIZE, program, &kustomize).await?;
        Ok(flux)
    }

    /// The Git server.
    #[must_use]
    pub const fn git(&self) -> &GitServer {
        &self.git
    }

    async fn run(
        &mut self,
        cluster: &Cluster,
        admin: &Client,
        name: &'static str,
        program: PathBuf,
        args: &[String],
    ) -> Result<()> {
        let home = own_folder(&cluster.folder().join("flux"), name)?;
        let token = TokenFile::new(admin.clone(), NAMESPACE, name, home.join("token"));
        token.renew().await?;
        let config = kubeconfig(cluster.folder(), &cluster.server_url(), name, token.path())?;
        write_atomically(&home.join("kubeconfig"), &config)?;
        self.renewals.push(tokio::spawn(token.keep_fresh()));

        let (metrics, health) = (free_port(None)?, free_port(None)?);
        let log = cluster.folder().join("logs").join(format!("flux-{name}.log"));
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let process = Program::new(name, program, log)
            .args([
                "--watch-all-namespaces".to_owned(),
                format!("--metrics-addr=127.0.0.1:{metrics}"),
                format!("--health-addr=127.0.0.1:{health}"),
                "--interval-jitter-percentage=0".to_owned(),
            ])
            .args(args.iter().cloned())
            .env("KUBECONFIG", text(&home.join("kubeconfig")))
            .env("RUNTIME_NAMESPACE", NAMESPACE)
            .env("HOME", text(&home))
            .env("TMPDIR", text(&own_folder(&home, "tmp")?))
            .start()?;
        let mut exit = process.exit();
        let client = plain_client(health)?;
        let what = format!("{name} is ready");
        tokio::select! {
            ready = eventually(READY_DEADLINE, &what, || get_ok(&client, "/readyz")) => {
                ready.with_context(|| process.log_tail())?;
            }
            status = exit.wait() => return Err(process.obituary(status)),
        }
        self.processes.push(process);
        Ok(())
    }

    /// Fails when a controller has ended.
    ///
    /// # Errors
    /// Its name and the end of its log.
    pub fn check(&self) -> Result<()> {
        match self.processes.iter().find(|process| !process.is_running()) {
            None => Ok(()),
            Some(ended) => bail!("{} has ended:\n{}", ended.name(), ended.log_tail()),
        }
    }
}

impl Drop for Flux {
    fn drop(&mut self) {
        for renewal in &self.renewals {
            renewal.abort();
        }
    }
}

fn own_folder(parent: &Path, name: &str) -> Result<PathBuf> {
    let folder = parent.join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("{} was not made", folder.display()))?;
    Ok(folder)
}

/// Kinds, accounts and roles. As in Flux's own installation kustomize-controller may do everything, so that only
/// KubeChat's admission stands between Git and KubeChat's policies.
async fn install(applier: &Applier, binaries: &FluxBinaries) -> Result<()> {
    let mut objects = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})];
    for (name, text) in [SOURCE, KUSTOMIZE].into_iter().zip(binaries.manifests()?) {
        let parsed: Vec<Value> = serde_saphyr::from_multiple(&text)
            .with_context(|| format!("the manifests of {name} are not YAML"))?;
        for mut object in parsed.into_iter().filter(|object| !object.is_null()) {
            if object["kind"] == "ClusterRole" {
                // Both modules call theirs the same.
                object["metadata"]["name"] = json!(name);
            }
            objects.push(object);
        }
        objects.push(json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}
        }));
        objects.push(binding(name, name));
    }
    objects.push(binding(KUSTOMIZE, "cluster-admin"));
    applier.apply_all(&objects).await
}

fn binding(account: &str, role: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": format!("flux-{account}-{role}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}],
    })
}
