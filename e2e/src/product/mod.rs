//! KubeChat itself, as it runs in a cluster: operator and webhook are two processes on loopback, each with a
//! token of its own service account and exactly the roles that ship; never as admin.
//!
//! **Invariants**
//! - Tokens come from TokenRequest and are renewed at half their life; the processes read them from files.
//! - A part that ends although it should run is started again after [`RESTART_PAUSE`] on the same ports,
//!   unless [`Options::restart`] is off.
//! - A part that was stopped with [`Product::stop`] stays down until [`Product::resume`].

mod install;
mod programs;
mod service;
pub(crate) mod tokens;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::Client;
use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::accounts;
use crate::apply::{Applier, read_manifests};
use crate::cluster::{Cluster, Ports, get_ok, plain_client};
use crate::process::Program;
use crate::progress::Progress;
use crate::wait::eventually;
pub(crate) use install::WEBHOOK_ACCOUNT;
pub use programs::{build_binary, find_binary};
use service::Service;
use tokens::TokenFile;

/// How long after its end a part is started again.
pub const RESTART_PAUSE: Duration = Duration::from_secs(2);
/// How long a part may take until it is ready.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long a part may take to end by itself.
const STOP_GRACE: Duration = Duration::from_secs(4);
/// Longest run of a command that only prepares something.
const COMMAND_DEADLINE: Duration = Duration::from_secs(30);
/// The manifests that ship.
const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/manifests");

/// A process of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Interprets, plans, executes, audits.
    Operator,
    /// Admission.
    Webhook,
    /// A second operator beside the first; only after [`Product::start_second_operator`].
    SecondOperator,
    /// Asks models, with an account of its own; only with [`Options::separate_interpreter`].
    Interpreter,
}

impl Part {
    /// Its name in files, messages and the ready file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Webhook => "webhook",
            Self::SecondOperator => "operator-2",
            Self::Interpreter => "interpreter",
        }
    }
}

/// How to start the product.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program; `KUBECHAT_BIN`, or `kubechat` beside the harness, if not given.
    pub binary: Option<PathBuf>,
    /// The folder with the manifests that ship.
    pub manifests: PathBuf,
    /// Whether a part that ends is started again.
    pub restart: bool,
    /// The audit database; in the cluster's folder if not given.
    pub audit_db: Option<PathBuf>,
    /// More arguments for the operator.
    pub operator_args: Vec<String>,
    /// More environment for the operator, such as failpoints.
    pub operator_env: Vec<(String, String)>,
    /// Whether a process of its own asks models.
    pub separate_interpreter: bool,
    /// More arguments for the webhook.
    pub webhook_args: Vec<String>,
    /// More environment for the webhook.
    pub webhook_env: Vec<(String, String)>,
    /// Where the progress of the start is shown.
    pub progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            binary: None,
            manifests: PathBuf::from(MANIFESTS),
            restart: true,
            audit_db: None,
            operator_args: Vec::new(),
            operator_env: Vec::new(),
            separate_interpreter: false,
            webhook_args: Vec::new(),
            webhook_env: Vec::new(),
            progress: Progress::Silent,
        }
    }
}

/// The running product. Dropping it stops its processes; drop it before its [`Cluster`].
#[derive(Debug)]
pub struct Product {
    binary: PathBuf,
    folder: PathBuf,
    ports: Ports,
    audit_db: PathBuf,
    services: std::sync::Mutex<BTreeMap<Part, Service>>,
    changes: watch::Sender<u64>,
    renewals: Vec<JoinHandle<()>>,
}

impl Product {
    /// Installs the manifests, starts operator and webhook and waits until both are ready.
    ///
    /// # Errors
    /// When the program is not built, a manifest is refused, or a part does not become ready; the message
    /// holds the end of its log.
    pub async fn start(cluster: &Cluster, options: Options) -> Result<Self> {
        let mut product = Self::prepare(cluster, &options)?;
        product.make_audit_key().await?;
        let admin = cluster.client("admin").await?;
        let applier = Applier::new(admin.clone());
        let folder = if options.separate_interpreter {
            product.separate_manifests().await?
        } else {
            options.manifests.clone()
        };
        let manifests = install::split(read_manifests(&folder)?, &product.webhook_url());

        let step = options
            .progress
            .step("installing KubeChat's kinds, roles and admission rules");
        applier.apply_all(&manifests.before).await?;
        let mut accounts = vec![install::OPERATOR_ACCOUNT, install::WEBHOOK_ACCOUNT];
        if options.separate_interpreter {
            accounts.push(install::INTERPRETER_ACCOUNT);
        }
        for account in accounts {
            product
                .issue_token(&admin, &cluster.server_url(), account)
                .await?;
        }
        step.done();

        let step = options.progress.step("starting operator and webhook");
        product.start_parts(&options)?;
        // The policies pass KubeChat's own admission, so they follow once it answers; the operator may wait
        // for them.
        tokio::try_join!(
            product.wait_ready(Part::Operator),
            product.wait_ready(Part::Webhook),
            install::apply_policies(&applier, &manifests.after),
        )?;
        if options.separate_interpreter {
            product.wait_ready(Part::Interpreter).await?;
        }
        step.done();
        Ok(product)
    }

    fn prepare(cluster: &Cluster, options: &Options) -> Result<Self> {
        let folder = cluster.folder().to_owned();
        let audit = folder.join("audit");
        std::fs::create_dir_all(&audit).with_context(|| format!("{} was not made", audit.display()))?;
        Ok(Self {
            binary: find_binary(options.binary.as_deref())?,
            folder,
            ports: cluster.ports().clone(),
            audit_db: options.audit_db.clone().unwrap_or_else(|| audit.join("audit.db")),
            services: std::sync::Mutex::default(),
            changes: watch::Sender::new(0),
            renewals: Vec::new(),
        })
    }

    fn start_parts(&self, options: &Options) -> Result<()> {
        let mut operator = self.operator_program(Part::Operator);
        if options.separate_interpreter {
            operator = operator.args(["--separate-interpreter"]);
            self.add(Part::Interpreter, self.interpreter_program(), options.restart)?;
        }
        let operator = programs::with_options(operator, &options.operator_args, &options.operator_env);
        self.add(Part::Operator, operator, options.restart)?;
        let webhook = self.webhook_program();
        let webhook = programs::with_options(webhook, &options.webhook_args, &options.webhook_env);
        self.add(Part::Webhook, webhook, options.restart)
    }

    async fn make_audit_key(&self) -> Result<()> {
        let key = self.audit_key();
        if key.exists() {
            return Ok(());
        }
        let args = ["audit", "init", "--key"]
            .map(Into::into)
            .into_iter()
            .chain([key.into_os_string()]);
        let init = Program::new("kubechat audit init", &self.binary, self.log("audit-init"))
            .args(args)
            .start()?;
        let status = init
            .exit()
            .within(COMMAND_DEADLINE)
            .await
            .context("kubechat audit init did not end")?;
        if status.success() {
            Ok(())
        } else {
            Err(init.obituary(status))
        }
    }

    async fn issue_token(&mut self, admin: &Client, server: &str, account: &'static str) -> Result<()> {
        let token = TokenFile::new(
            admin.clone(),
            accounts::SYSTEM,
            account,
            self.state(&format!("{account}.token")),
        );
        token.renew().await?;
        let kubeconfig = tokens::kubeconfig(&self.folder, server, account, token.path())?;
        crate::build::write_atomically(&self.kubeconfig(account), &kubeconfig)?;
        self.renewals.push(tokio::spawn(token.keep_fresh()));
        Ok(())
    }

    fn add(&self, part: Part, program: Program, restart: bool) -> Result<()> {
        let service = Service::new(program, restart, self.changes.clone());
        service.start()?;
        self.services().insert(part, service);
        Ok(())
    }

    /// Starts a second operator beside the first, with the same database, key and account; it is never
    /// restarted.
    ///
    /// # Errors
    /// When it ends early or does not answer `/healthz` (it may well not become ready: the first one leads).
    pub async fn start_second_operator(&self) -> Result<()> {
        let part = Part::SecondOperator;
        self.add(part, self.operator_program(part), false)?;
        self.wait_answer(part, "/healthz").await
    }

    /// Waits until a part is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time; the message holds the end of its log.
    pub async fn wait_ready(&self, part: Part) -> Result<()> {
        self.wait_answer(part, "/readyz").await
    }

    async fn wait_answer(&self, part: Part, path: &str) -> Result<()> {
        let name = part.name();
        let client = plain_client(programs::health_port(&self.ports, part))?;
        let mut exit = self
            .service(part)?
            .exit()
            .with_context(|| format!("{name} does not run"))?;
        let what = format!("the {name} answers {path}");
        let answered = tokio::select! {
            answered = eventually(READY_DEADLINE, &what, || get_ok(&client, path)) => answered,
            status = exit.wait() => Err(anyhow::anyhow!("the {name} ended early ({status})")),
        };
        let log = self.log(name);
        let tail = || {
            format!(
                "the end of its log {}:\n{}",
                log.display(),
                crate::process::log_tail(&log)
            )
        };
        answered.map_err(|reason| anyhow::anyhow!("{reason:#}\n{}", tail()))
    }

    /// Process ids of the parts that run now.
    #[must_use]
    pub fn pids(&self) -> BTreeMap<String, u32> {
        let services = self.services();
        services
            .iter()
            .filter_map(|(part, service)| Some((part.name().to_owned(), service.pid()?)))
            .collect()
    }

    /// The process id of one part, if it runs.
    #[must_use]
    pub fn pid(&self, part: Part) -> Option<u32> {
        self.services().get(&part).and_then(Service::pid)
    }

    /// Sends a signal to a part. It is started again after [`RESTART_PAUSE`] if [`Options::restart`] says so.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self, part: Part, signal: Signal) -> Result<()> {
        ensure!(
            self.service(part)?.signal(signal)?,
            "the {} does not run",
            part.name()
        );
        Ok(())
    }

    /// Kills a part without any notice (`kill -9`) and returns as soon as it is dead. [`Self::launch`] starts it again
    /// at once; with [`Options::restart`] it comes back by itself too.
    ///
    /// # Errors
    /// When it does not run, or survives.
    pub async fn destroy(&self, part: Part) -> Result<()> {
        let exit = self.service(part)?.exit();
        self.kill(part, Signal::SIGKILL)?;
        let mut dead = exit.with_context(|| format!("the {} does not run", part.name()))?;
        let ended = dead.within(STOP_GRACE).await;
        ended
            .with_context(|| format!("the {} survived", part.name()))
            .map(drop)
    }

    /// Starts a part that is down, on the same port, and waits for nothing.
    ///
    /// # Errors
    /// When it was never started, or runs.
    pub fn launch(&self, part: Part) -> Result<()> {
        self.service(part)?.start()
    }

    /// Stops a part gently; it stays down until [`Self::resume`].
    ///
    /// # Errors
    /// When it was never started, or survives.
    pub async fn stop(&self, part: Part) -> Result<()> {
        self.service(part)?.stop(STOP_GRACE).await
    }

    /// Starts a part that was stopped or died, on the same port, and waits until it is ready.
    ///
    /// # Errors
    /// When it was never started, runs, or does not become ready.
    pub async fn resume(&self, part: Part) -> Result<()> {
        self.launch(part)?;
        self.wait_ready(part).await
    }

    /// Changes how a part is started from its next start on; already running, it stays as it is.
    ///
    /// # Errors
    /// When it was never started.
    pub fn reconfigure(&self, part: Part, change: impl FnOnce(&mut Program)) -> Result<()> {
        self.service(part)?.reconfigure(change);
        Ok(())
    }

    /// A part's metrics as text.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics_text(&self, part: Part) -> Result<String> {
        self.get(part, "/metrics").await
    }

    /// What a part answers on its plain port (`/healthz`, `/readyz`, `/metrics`).
    ///
    /// # Errors
    /// When it does not answer, or with an error.
    pub async fn get(&self, part: Part, path: &str) -> Result<String> {
        let request = http::Request::get(path).body(Vec::new())?;
        let text = plain_client(programs::health_port(&self.ports, part))?
            .request_text(request)
            .await;
        text.with_context(|| format!("{path} of the {} cannot be read", part.name()))
    }

    /// Counts up whenever a part was started; for those who publish process ids.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The program under test.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The audit database.
    #[must_use]
    pub fn audit_db(&self) -> &Path {
        &self.audit_db
    }

    /// The key of the audit chain.
    #[must_use]
    pub fn audit_key(&self) -> PathBuf {
        self.folder.join("audit/audit.key")
    }

    /// The log of a part, by [`Part::name`].
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{name}.log"))
    }

    /// The kubeconfig with which a service account (of [`crate::accounts::SYSTEM`]) runs.
    #[must_use]
    pub fn kubeconfig(&self, account: &str) -> PathBuf {
        self.state(&format!("{account}.kubeconfig"))
    }

    fn webhook_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.webhook)
    }

    fn state(&self, file: &str) -> PathBuf {
        self.folder.join("product").join(file)
    }

    fn services(&self) -> std::sync::MutexGuard<'_, BTreeMap<Part, Service>> {
        self.services
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn service(&self, part: Part) -> Result<Service> {
        self.services()
            .get(&part)
            .cloned()
            .with_context(|| format!("the {} was never started", part.name()))
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        for renewal in &self.renewals {
            renewal.abort();
        }
        let services = std::mem::take(&mut *self.services());
        // Together, so that the slowest alone decides how long it takes.
        std::thread::scope(|scope| {
            for service in services.values() {
                scope.spawn(|| service.stop_blocking(STOP_GRACE));
            }
        });
    }
}
