//! One real control plane with fake nodes, on free loopback ports, in a folder of its own.
//!
//! Folder: `etcd/` (data), `certs/`, `sa.key`, `sa.pub`, `tokens.csv`, `tokens.json`, `ports.json`,
//! `kubeconfig` (people), `<component>.kubeconfig`, `logs/<component>.log`, `logs/apiserver-audit.log` if
//! asked for, `product/`. A temporary folder goes with the cluster; it stays, without etcd's data, when
//! [`Cluster::keep_folder`] was called. A folder given by the caller always stays, and the next start finds
//! the same state, keys and (if free) ports.

mod component;
mod credentials;
mod folder;
mod metrics;
mod nodes;
mod ports;
mod snapshot;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use nix::sys::signal::Signal;

use crate::build::Binaries;
use crate::process::{Exit, Process};
use crate::progress::Progress;
use crate::wait::eventually;
pub use component::Component;
use credentials::Credentials;
pub(crate) use credentials::token_file_kubeconfig;
use folder::Folder;
pub use metrics::{RequestTotals, Sample};
pub use nodes::Nodes;
pub(crate) use ports::{Ports, free_port};

/// How long each component may take until it answers, on a loaded machine.
const READY_DEADLINE: Duration = Duration::from_secs(90);
/// How long etcd may take to end by itself; all others keep no state and are killed.
const ETCD_GRACE: Duration = Duration::from_secs(3);

/// How to start a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it keeps its state across starts; a temporary folder if not given.
    pub folder: Option<PathBuf>,
    /// The fake nodes.
    pub nodes: Nodes,
    /// Whether etcd waits for the disk; on only where durability is measured.
    pub fsync: bool,
    /// Whether the API server writes its audit log (level Metadata), see [`Cluster::api_audit_log`].
    pub audit_log: bool,
    /// More arguments for the API server.
    pub apiserver_args: Vec<String>,
    /// Where the progress of the start is shown.
    pub progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            folder: None,
            nodes: Nodes::default(),
            fsync: false,
            audit_log: false,
            apiserver_args: Vec::new(),
            progress: Progress::Silent,
        }
    }
}

/// A running cluster. Dropping it stops everything, the API server before etcd.
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    folder: Folder,
    ports: Ports,
    credentials: Credentials,
    options: Options,
    running: Mutex<BTreeMap<Component, Process>>,
}

impl Cluster {
    /// Builds what is missing, starts every component and waits until nodes are ready and controllers work.
    ///
    /// # Errors
    /// When a component does not build, ends early or does not become ready; the message holds the end of its
    /// log.
    pub async fn start(options: Options) -> Result<Self> {
        let binaries = Binaries::ensure(&options.progress).await?;
        let folder = Folder::open(options.folder.as_deref())?;
        let ports = Ports::choose(&folder.path().join("ports.json"))?;
        let credentials = Credentials::open(folder.path())?;
        let running = Mutex::default();
        let cluster = Self {
            binaries,
            folder,
            ports,
            credentials,
            options,
            running,
        };
        if let Err(reason) = cluster.bring_up().await {
            cluster.keep_folder();
            let logs = cluster.folder.path().join("logs");
            return Err(reason.context(format!("the cluster did not start (logs: {})", logs.display())));
        }
        Ok(cluster)
    }

    async fn bring_up(&self) -> Result<()> {
        let step = self.options.progress.step("starting the control plane");
        self.start_process(Component::Etcd).await?;
        self.start_process(Component::KubeApiserver).await?;
        for component in [
            Component::KubeControllerManager,
            Component::KubeScheduler,
            Component::Kwok,
        ] {
            self.start_process(component).await?;
        }
        step.done();
        let step = self.options.progress.step("waiting for nodes and controllers");
        let admin = self.client("admin").await?;
        nodes::create(&admin, &self.options.nodes).await?;
        self.or_early_end(nodes::wait_ready(&admin, &self.options.nodes))
            .await?;
        self.or_early_end(wait_for_controllers(&admin)).await?;
        step.done();
        Ok(())
    }

    /// A client for one of [`crate::accounts::ACCOUNTS`].
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn client(&self, account: &str) -> Result<Client> {
        client_for(&self.kubeconfig_path(), Some(account)).await
    }

    /// The kubeconfig with one context per account; current is alice in namespace demo.
    #[must_use]
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// The cluster's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The API server's own audit log; written only with [`Options::audit_log`].
    #[must_use]
    pub fn api_audit_log(&self) -> PathBuf {
        self.folder.path().join("logs/apiserver-audit.log")
    }

    /// The programs of the cluster, kubectl among them.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The address of the API server.
    #[must_use]
    pub fn server_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.apiserver)
    }

    pub(crate) fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Process ids of the components that run now, by program name.
    #[must_use]
    pub fn pids(&self) -> BTreeMap<String, u32> {
        let running = self.running();
        let alive = running.iter().filter(|(_, process)| process.is_running());
        alive
            .map(|(component, process)| (component.program().to_owned(), process.pid()))
            .collect()
    }

    /// The process id of one component, if it runs.
    #[must_use]
    pub fn pid(&self, component: Component) -> Option<u32> {
        self.pids().get(component.program()).copied()
    }

    /// Tells when a component ends; `None` if it was never started.
    #[must_use]
    pub fn exit(&self, component: Component) -> Option<Exit> {
        self.running().get(&component).map(Process::exit)
    }

    /// Sends a signal to a component.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self, component: Component, signal: Signal) -> Result<()> {
        let sent = self
            .running()
            .get(&component)
            .map(|process| process.signal(signal))
            .transpose()?;
        ensure!(sent == Some(true), "{} does not run", component.program());
        Ok(())
    }

    /// Stops a component (etcd gently, the others by SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// When it survives.
    pub async fn stop_process(&self, component: Component) -> Result<()> {
        let process = self.running().remove(&component);
        match process {
            Some(process) => process.stop(component.grace()).await,
            None => Ok(()),
        }
    }

    /// Starts a component on the same port with the same state, and waits until it answers.
    ///
    /// # Errors
    /// When it runs already, ends early or does not become ready.
    pub async fn start_process(&self, component: Component) -> Result<()> {
        let alive = self.running().get(&component).is_some_and(Process::is_running);
        ensure!(!alive, "{} runs already", component.program());
        let process = component.program_for(self)?.start()?;
        let mut exit = process.exit();
        self.running().insert(component, process);
        let end = tokio::select! {
            ready = self.wait_answering(component) => return ready,
            status = exit.wait() => status,
        };
        Err(self.obituary(component, end))
    }

    async fn wait_answering(&self, component: Component) -> Result<()> {
        let what = format!("{} answers", component.program());
        match component {
            Component::Etcd => {
                let client = plain_client(self.ports.etcd)?;
                eventually(READY_DEADLINE, &what, || get_ok(&client, "/health")).await
            }
            Component::KubeApiserver => {
                eventually(READY_DEADLINE, &what, || async {
                    self.credentials
                        .write_kubeconfigs(self.folder.path(), &self.server_url())?;
                    get_ok(&self.client("admin").await?, "/readyz").await
                })
                .await
            }
            // Their work is what is waited for: see `bring_up`.
            Component::KubeControllerManager | Component::KubeScheduler | Component::Kwok => Ok(()),
        }
    }

    /// `work`, unless a component ends first.
    async fn or_early_end<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let exits = Component::ALL.map(|component| {
            let exit = self.exit(component);
            Box::pin(async move {
                match exit {
                    Some(mut exit) => (component, exit.wait().await),
                    None => std::future::pending().await,
                }
            })
        });
        let (component, status) = tokio::select! {
            done = work => return done,
            (ended, ..) = futures::future::select_all(exits) => ended,
        };
        Err(self.obituary(component, status))
    }

    fn obituary(&self, component: Component, status: std::process::ExitStatus) -> anyhow::Error {
        match self.running().get(&component) {
            Some(process) => process.obituary(status),
            None => anyhow!("{} ended early ({status})", component.program()),
        }
    }

    /// Counters of API requests since the API server started.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn request_totals(&self) -> Result<RequestTotals> {
        Ok(RequestTotals::parse(&self.metrics_text().await?))
    }

    /// The API server's metrics as text.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn metrics_text(&self) -> Result<String> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        self.client("admin")
            .await?
            .request_text(request)
            .await
            .context("the API server's metrics cannot be read")
    }

    /// Keeps a temporary folder (without etcd's data) when the cluster stops, and says where it is.
    pub fn keep_folder(&self) {
        self.folder.keep();
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<Component, Process>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut running = std::mem::take(&mut *self.running());
        for component in Component::STOP_ORDER {
            if let Some(process) = running.remove(&component) {
                let grace = if self.folder.is_temporary() {
                    Duration::ZERO
                } else {
                    component.grace()
                };
                process.stop_blocking(grace);
            }
        }
        if std::thread::panicking() {
            self.keep_folder();
        }
    }
}

/// A client from a kubeconfig file and one of its contexts (the current one if not given).
///
/// # Errors
/// When the file or the context is not there.
pub async fn client_for(kubeconfig: &Path, context: Option<&str>) -> Result<Client> {
    let read = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("the kubeconfig {} cannot be read", kubeconfig.display()))?;
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(read, &options).await;
    Ok(Client::try_from(config.with_context(|| {
        format!("there is no account {}", context.unwrap_or_default())
    })?)?)
}

/// A client for plain HTTP on a loopback port, which does not try again by itself.
pub(crate) fn plain_client(port: u16) -> Result<Client> {
    let mut config = Config::new(format!("http://127.0.0.1:{port}").parse()?);
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// Succeeds when a GET of the path answers 2xx.
pub(crate) async fn get_ok(client: &Client, path: &str) -> Result<()> {
    client
        .request_text(http::Request::get(path).body(Vec::new())?)
        .await
        .with_context(|| format!("GET {path}"))?;
    Ok(())
}

/// The controllers work once one of them has made the default service account.
async fn wait_for_controllers(admin: &Client) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), "default");
    eventually(
        READY_DEADLINE,
        "the controllers have made the default service account",
        || async {
            accounts.get("default").await?;
            Ok(())
        },
    )
    .await
}
