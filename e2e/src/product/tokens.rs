//! Tokens of service accounts, in files that are renewed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};

use crate::build::write_atomically;
pub(crate) use crate::cluster::token_file_kubeconfig as kubeconfig;

const LIFE: Duration = Duration::from_secs(3600);
/// After a renewal that failed; the API server may be away for a while in tests.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
const REQUEST_DEADLINE: Duration = Duration::from_secs(20);

/// The token of one service account, kept in a file only the owner may read.
pub(crate) struct TokenFile {
    api: Api<ServiceAccount>,
    namespace: &'static str,
    account: &'static str,
    path: PathBuf,
}

impl TokenFile {
    pub(crate) fn new(admin: Client, namespace: &'static str, account: &'static str, path: PathBuf) -> Self {
        Self {
            api: Api::namespaced(admin, namespace),
            namespace,
            account,
            path,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Asks for a new token and replaces the file.
    pub(crate) async fn renew(&self) -> Result<()> {
        let seconds = i64::try_from(LIFE.as_secs()).unwrap_or(i64::MAX);
        let spec = TokenRequestSpec {
            expiration_seconds: Some(seconds),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest {
            spec,
            ..TokenRequest::default()
        };
        let params = PostParams::default();
        let asked = self.api.create_token_request(self.account, &params, &request);
        let what = || format!("no token for service account {}/{}", self.namespace, self.account);
        let answer = tokio::time::timeout(REQUEST_DEADLINE, asked)
            .await
            .with_context(what)?
            .with_context(what)?;
        let status = answer.status.with_context(what)?;
        write_atomically(&self.path, &status.token)
    }

    /// Renews the token at half its life, for ever.
    pub(crate) async fn keep_fresh(self) {
        loop {
            tokio::time::sleep(LIFE / 2).await;
            while self.renew().await.is_err() {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}
