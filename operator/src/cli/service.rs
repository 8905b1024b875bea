//! `kubechat operator` and `kubechat webhook`: logs, signals, and a shutdown that both hear.

use std::io::{self, IsTerminal, Write};

use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::error::CliError;
use super::exit::Exit;
use crate::args::{InterpreterArgs, LogFormat, OperatorArgs, WebhookArgs};

/// Environment variable with the log filter.
const LOG_FILTER: &str = "KUBECHAT_LOG";

/// `kubechat operator`.
pub(crate) async fn operator(args: OperatorArgs) -> Result<Exit, CliError> {
    start_logs(args.log_format, "info");
    let shutdown = on_signals()?;
    ended(crate::run::run(args, shutdown).await)
}

/// `kubechat interpreter`.
pub(crate) async fn interpreter(args: InterpreterArgs) -> Result<Exit, CliError> {
    start_logs(args.log_format, "info");
    let shutdown = on_signals()?;
    ended(crate::interpreter::run(args, shutdown).await)
}

/// `kubechat webhook`.
pub(crate) async fn webhook(args: WebhookArgs) -> Result<Exit, CliError> {
    let WebhookArgs {
        kubeconfig,
        context,
        namespace,
        credentials_namespace: credentials,
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
        credentials,
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
        .with_writer(|| WithoutSecrets(io::stderr()));
    // Fails only where logs were started before, and then they go on.
    let _ = match format {
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
}

/// Takes secrets out of each line of the log: errors repeat what was sent and what clusters said.
struct WithoutSecrets<W>(W);

impl<W: Write> Write for WithoutSecrets<W> {
    /// The subscriber hands over one whole event at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.write_all(kubechat_core::redact::shown(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_line_holds_no_secret_and_stays_one_line_of_json() {
        let page = Page::default();
        let out = page.clone();
        let logs = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || WithoutSecrets(out.clone()))
            .finish();
        let problem =
            "refused: password=Tr0ub4dor&3x, \"token\": \"ghp_Zx8Kq2LmW9vTr4Yp6BnD1sGf7HjC3uEa5Xo0\"";
        tracing::subscriber::with_default(
            logs,
            || tracing::warn!(%problem, object = "demo/web", "did not succeed"),
        );
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (line["object"].as_str(), text.lines().count()),
            (Some("demo/web"), 1)
        );
        assert!(line["problem"].as_str().unwrap().contains("[REDACTED:"), "{text}");
        assert!(!text.contains("Tr0ub4dor") && !text.contains("ghp_"), "{text}");
    }
}
