//! What `make run` does: a cluster, people, KubeChat, and then nothing until Ctrl-C.
//!
//! The binary `kubechat-dev` only reads its arguments and calls [`run`].

mod ready;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::accounts::{ACCOUNTS, CURRENT};
use crate::build::Binaries;
use crate::cluster::{self, Cluster, Component};
use crate::demo;
use crate::product::{self, Product};
use crate::progress::Progress;
use ready::ReadyFile;

/// Command line and environment of `kubechat-dev`.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "kubechat-dev",
    about = "Runs a local cluster with KubeChat until Ctrl-C",
    after_help = "State in KUBECHAT_DEV_DIR: etcd/ (the cluster's data), certs/, kubeconfig, audit/audit.db, \
                  audit/audit.key, logs/, bin/. Stop kubechat-dev before you copy or replace any of it."
)]
pub struct Args {
    /// File that gets a JSON description of everything when it is ready, and again after each restart
    #[arg(long, env = "KUBECHAT_DEV_READY", value_name = "FILE")]
    ready: Option<PathBuf>,
    /// Folder that keeps the state across starts; without it, everything goes away at the end
    #[arg(long, env = "KUBECHAT_DEV_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Whether a killed operator or webhook is started again (1) or stays down (0)
    #[arg(
        long,
        env = "KUBECHAT_DEV_RESTART",
        default_value = "1",
        value_name = "0|1",
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    restart: bool,
    /// Only build the cluster's programs
    #[arg(long)]
    build_only: bool,
    /// Run the cluster without KubeChat (for tests of the harness)
    #[arg(long, hide = true)]
    cluster_only: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was asked for.
    Finished,
    /// It was stopped before it was ready.
    Interrupted,
}

/// Brings everything up, says what to try, and stays until SIGINT, SIGTERM or SIGHUP.
///
/// # Errors
/// One message that says what happened and what to do.
pub async fn run(args: Args) -> Result<Outcome> {
    let mut stop = Stop::listen()?;
    let progress = Progress::for_people();
    let ready = args.ready.as_deref().map(ReadyFile::claim).transpose()?;
    if args.build_only {
        return stop
            .unless(Binaries::ensure(&progress))
            .await
            .map_or(Ok(Outcome::Interrupted), |built| built.map(|_| Outcome::Finished));
    }
    let Some(world) = stop.unless(World::bring_up(&args, &progress)).await else {
        return Ok(Outcome::Interrupted);
    };
    let world = world?;
    if let Some(file) = &ready {
        file.write(&world.description())?;
    }
    println!("{}", world.welcome());
    let watched = world.watch(ready.as_ref(), &progress, stop).await;
    drop(ready);
    let step = progress.step("stopping");
    // Stopping blocks for a moment; signals stay handled, so a second Ctrl-C does not leave anything behind.
    tokio::task::spawn_blocking(move || drop(world))
        .await
        .context("the stop was cut short")?;
    step.done();
    watched.map(|()| Outcome::Finished)
}

/// Everything that runs. Fields are dropped in this order.
struct World {
    product: Option<Product>,
    cluster: Cluster,
}

impl World {
    async fn bring_up(args: &Args, progress: &Progress) -> Result<Self> {
        if !args.cluster_only {
            // Asked first: it is quick, and the cluster is not.
            product::find_binary(None)?;
        }
        let (folder, shown) = (args.dir.clone(), progress.clone());
        let options = cluster::Options {
            folder,
            progress: shown.clone(),
            ..cluster::Options::default()
        };
        let cluster = Cluster::start(options).await?;
        let mut world = Self {
            product: None,
            cluster,
        };
        if let Err(reason) = world.populate(args, shown).await {
            world.cluster.keep_folder();
            return Err(reason);
        }
        Ok(world)
    }

    async fn populate(&mut self, args: &Args, progress: Progress) -> Result<()> {
        let step = progress.step("setting up people and the namespace demo");
        demo::set_up(&self.cluster.client("admin").await?).await?;
        step.done();
        if !args.cluster_only {
            let options = product::Options {
                restart: args.restart,
                progress,
                // A model on this machine may be asked.
                operator_args: vec!["--development".to_owned()],
                ..product::Options::default()
            };
            self.product = Some(Product::start(&self.cluster, options).await?);
        }
        self.link_programs()
    }

    /// A folder for PATH with kubectl and KubeChat as its plugin.
    fn link_programs(&self) -> Result<()> {
        let folder = self.programs();
        std::fs::create_dir_all(&folder).with_context(|| format!("{} was not made", folder.display()))?;
        link(&self.cluster.binaries().kubectl(), &folder.join("kubectl"))?;
        if let Some(product) = &self.product {
            link(product.binary(), &folder.join("kubechat"))?;
            link(product.binary(), &folder.join("kubectl-kubechat"))?;
        }
        Ok(())
    }

    fn programs(&self) -> PathBuf {
        self.cluster.folder().join("bin")
    }

    fn description(&self) -> ready::Description {
        let mut pids = self.cluster.pids();
        pids.extend(self.product.iter().flat_map(Product::pids));
        ready::Description {
            kubeconfig: self.cluster.kubeconfig_path(),
            contexts: ACCOUNTS.iter().map(|account| account.name).collect(),
            bin: self.programs(),
            pids,
            audit_db: self.product.as_ref().map(|product| product.audit_db().to_owned()),
            audit_key: self.product.as_ref().map(Product::audit_key),
        }
    }

    /// Publishes restarts and says when a component dies, until the person stops it.
    async fn watch(&self, ready: Option<&ReadyFile>, progress: &Progress, mut stop: Stop) -> Result<()> {
        let mut changes = self.product.as_ref().map(Product::changes);
        let mut reports = std::pin::pin!(self.report_deaths(progress));
        loop {
            tokio::select! {
                () = stop.wait() => return Ok(()),
                () = &mut reports => {}
                () = next_change(&mut changes) => {
                    if let Some(file) = ready {
                        file.write(&self.description())?;
                    }
                    progress.say("operator or webhook was started again");
                }
            }
        }
    }

    /// Never ends: with every component dead, it is still the person who decides.
    async fn report_deaths(&self, progress: &Progress) {
        futures::future::join_all(Component::ALL.map(|component| self.report_death(component, progress)))
            .await;
        std::future::pending::<()>().await;
    }

    async fn report_death(&self, component: Component, progress: &Progress) {
        if let Some(mut exit) = self.cluster.exit(component) {
            let status = exit.wait().await;
            let log = self
                .cluster
                .folder()
                .join("logs")
                .join(format!("{}.log", component.program()));
            progress.say(&format!(
                "{} ended ({status}); it is not started again. Its log: {}. Ctrl-C stops the rest.",
                component.program(),
                log.display()
            ));
        }
    }

    fn welcome(&self) -> String {
        let people = ACCOUNTS.iter().map(|account| {
            let current = if account.name == CURRENT { " (current)" } else { "" };
            format!("    {:<6} {}{current}\n", account.name, account.about)
        });
        let kubeconfig = self.cluster.kubeconfig_path();
        format!(
            "\nKubeChat runs. Ctrl-C stops everything.\n\n  kubeconfig  {}\n  contexts\n{}  logs        {}\n\n\
             Try in another terminal, from this folder:\n\n  export KUBECONFIG={} PATH={}:$PATH\n\
             \x20 kubectl --context alice apply -f examples/scale/chatrequest.yaml\n\
             \x20 kubectl kubechat plans\n\
             \x20 kubectl kubechat ask \"list pods\"\n",
            kubeconfig.display(),
            people.collect::<String>(),
            self.cluster.folder().join("logs").display(),
            kubeconfig.display(),
            self.programs().display(),
        )
    }
}

/// The next start of a part; never, where there is no product.
async fn next_change(changes: &mut Option<tokio::sync::watch::Receiver<u64>>) {
    let changed = match changes {
        Some(changes) => changes.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending::<()>().await;
    }
}

fn link(target: &Path, name: &Path) -> Result<()> {
    if name.is_symlink() {
        std::fs::remove_file(name).with_context(|| format!("{} was not replaced", name.display()))?;
    }
    std::os::unix::fs::symlink(target, name).with_context(|| format!("{} was not linked", name.display()))
}

/// The signals that end a run. Once listened to, they no longer kill the process.
struct Stop([Signal; 3]);

impl Stop {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be handled");
        let [interrupt, terminate, hangup] = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        Ok(Self([listen(interrupt)?, listen(terminate)?, listen(hangup)?]))
    }

    async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} _ = hangup.recv() => {} }
    }

    /// The result of `work`, or `None` when a signal came first; then `work` is dropped, and what it started
    /// ends.
    async fn unless<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! { done = work => Some(done), () = self.wait() => None }
    }
}
