//! `kubechat operator` and `kubechat webhook`: logs, signals, and a shutdown that both hear.

use std::io::IsTerminal;

use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::error::CliError;
use super::exit::Exit;
use crate::args::{LogFormat, OperatorArgs, WebhookArgs};

/// Environment variable with the log filter.
const LOG_FILTER: &str = "KUBECHAT_LOG";

/// `kubechat operator`.
pub(crate) async fn operator(args: OperatorArgs) -> Result<Exit, CliError> {
    start_logs(args.log_format, "info");
    let shutdown = on_signals()?;
    ended(crate::run::run(args, shutdown).await)
}

/// `kubechat webhook`.
pub(crate) async fn webhook(args: WebhookArgs) -> Result<Exit, CliError> {
    let WebhookArgs {
        kubeconfig,
        context,
        namespace,
        listen,
        health_listen,
        log_format,
    } = args;
    start_logs(log_format, "info");
    let shutdown = on_signals()?;
    let config = kubechat_webhook::Config {
        kubeconfig,
        context,
        namespace,
        listen,
        health_listen,
    };
    ended(kubechat_webhook::run(config, shutdown.cancelled_owned()).await)
}

/// Diagnostics of the terminal commands: only where they were asked for.
pub(crate) fn start_diagnostics() {
    if std::env::var_os(LOG_FILTER).is_some() {
        start_logs(LogFormat::Text, "off");
    }
}

fn ended(result: anyhow::Result<()>) -> Result<Exit, CliError> {
    match result {
        Ok(()) => Ok(Exit::Done),
        Err(error) => Err(CliError::Other(format!("{error:#}"))),
    }
}

/// Logs go to stderr, so that stdout stays for what a command prints.
fn start_logs(format: LogFormat, default: &str) {
    let filter = EnvFilter::try_from_env(LOG_FILTER).unwrap_or_else(|_| EnvFilter::new(default));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // Fails only where logs were started before, and then they go on.
    let _ = match format {
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
}

/// A token that SIGTERM and Ctrl-C cancel.
fn on_signals() -> Result<CancellationToken, CliError> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen =
        |kind| signal(kind).map_err(|error| CliError::Other(format!("cannot listen for signals: {error}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        cancelled.cancel();
    });
    Ok(token)
}
