//! The operator's own client: its rights, no retries.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::error::Error;

/// Longest wait for one answer of the API server.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The configuration from a kubeconfig file and context, or of the pod.
///
/// # Errors
/// When neither can be read.
pub async fn config(kubeconfig: Option<&Path>, context: Option<&str>) -> anyhow::Result<Config> {
    let mut config = match kubeconfig {
        None if context.is_none() => match Config::incluster() {
            Ok(config) => config,
            Err(_) => Config::from_kubeconfig(&KubeConfigOptions::default()).await?,
        },
        file => {
            let options = KubeConfigOptions {
                context: context.map(str::to_owned),
                ..KubeConfigOptions::default()
            };
            match file {
                Some(path) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?,
                None => Config::from_kubeconfig(&options).await?,
            }
        }
    };
    // kube's default client repeats POSTs; a repeated create is a second effect.
    config.default_retry = false;
    Ok(config)
}

/// A client with that configuration.
///
/// # Errors
/// When TLS or the credentials cannot be set up.
pub fn client(config: Config) -> anyhow::Result<Client> {
    Ok(Client::try_from(config)?)
}

/// One call with the usual deadline.
///
/// # Errors
/// What the API server said, or that it did not answer.
pub async fn call<T>(
    what: impl Into<String>,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(Error::Api {
            what: what.into(),
            source,
        }),
        Err(_) => Err(Error::Timeout {
            what: what.into(),
            seconds: DEADLINE.as_secs(),
        }),
    }
}
