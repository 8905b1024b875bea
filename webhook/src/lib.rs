//! KubeChat's admission webhook. It stamps and seals who wrote an object ([`stamp`]) and refuses what must not be stored
//! ([`validate`]); see the admission table of the design.
//!
//! **Invariants:** it writes nothing but Events; it asks the API server only SubjectAccessReviews and reads of the objects
//! a request names; what it cannot find out in time is refused. It never logs or reports prompts, secrets or keys.
//!
//! Called by the binary's `webhook` subcommand ([`run`]) and, without a network, by the tests ([`router`]).

mod access;
mod early;
mod events;
mod hint;
mod limit;
mod metrics;
mod refusal;
mod review;
mod server;
mod stamp;
mod state;
#[cfg(test)]
mod testing;
mod tls;
mod validate;
mod watch;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use server::router;
pub use state::State;

/// How long connections may finish after shutdown was asked for.
const DRAIN: Duration = Duration::from_secs(10);

/// What the webhook needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Kubeconfig file; absent: the service account of the pod, or the default file when `context` is given.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; absent: its current one.
    pub context: Option<String>,
    /// KubeChat's own namespace: its two Secrets and its Events.
    pub namespace: String,
    /// Namespace of the keys that AIProviders name.
    pub credentials: String,
    /// TLS address of the admission endpoints.
    pub listen: SocketAddr,
    /// Plain HTTP address of `/healthz`, `/readyz` and `/metrics`.
    pub health_listen: SocketAddr,
}

/// Serves until `shutdown` is ready, then lets open requests finish.
///
/// # Errors
/// When the cluster's configuration cannot be read, an address cannot be bound, or a task ends that must not.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let Config {
        kubeconfig,
        context,
        namespace,
        credentials,
        listen,
        health_listen,
    } = config;
    let client = client(kubeconfig, context).await?;
    let health = bind(health_listen).await?;
    let admission = bind(listen).await?;
    let (state, background) = State::new(client.clone(), &namespace, &credentials);
    // Patterns are compiled at their first use: now, not while somebody waits.
    kubechat_core::secrets::prepare();
    let stop = CancellationToken::new();
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    tasks.spawn(server::serve_health(health, state.clone(), stop.clone()));
    tasks.spawn(server::serve_admission(admission, state.clone(), stop.clone()));
    tasks.spawn(watch::seal_keys(client.clone(), state.clone(), stop.clone()));
    tasks.spawn(watch::certificate(client.clone(), state.clone(), stop.clone()));
    tasks.spawn(watch::policies(
        client.clone(),
        state.clone(),
        background.policies,
        stop.clone(),
    ));
    tasks.spawn(events::deliver(
        client,
        state.clone(),
        background.events,
        stop.clone(),
    ));
    tracing::info!(%listen, %health_listen, namespace, "webhook started");
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        ended = tasks.join_next() => Err(unexpected_end(ended)),
    };
    stop.cancel();
    let drained = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("connections were still open after {DRAIN:?}; they are closed");
    }
    ended
}

fn unexpected_end(ended: Option<Result<anyhow::Result<()>, tokio::task::JoinError>>) -> anyhow::Error {
    match ended {
        Some(Ok(Err(error))) => error,
        Some(Err(error)) => anyhow::Error::new(error).context("a task of the webhook ended abnormally"),
        Some(Ok(Ok(()))) | None => anyhow::anyhow!("a task of the webhook ended before shutdown"),
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; nothing was started. Choose a free address"))
}

async fn client(kubeconfig: Option<PathBuf>, context: Option<String>) -> anyhow::Result<kube::Client> {
    let options = KubeConfigOptions {
        context,
        ..KubeConfigOptions::default()
    };
    let config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(&path)
                .with_context(|| format!("cannot read kubeconfig {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(file, &options).await?
        }
        None if options.context.is_some() => kube::Config::from_kubeconfig(&options).await?,
        None => match kube::Config::incluster() {
            Ok(config) => config,
            Err(_) => kube::Config::from_kubeconfig(&options)
                .await
                .context("not in a pod, and no kubeconfig was found: give --kubeconfig")?,
        },
    };
    kube::Client::try_from(config).context("cannot make a client for the API server")
}
