//! A node's kubelet as far as logs go: kwok's fake nodes keep none. The API server asks it as it asks a real one.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::slow_hook::loopback_tls;

/// Lines of each log.
const LINES: usize = 100;

type Asked = Arc<Mutex<Vec<String>>>;

/// The running kubelet; dropping it stops it.
pub(crate) struct Kubelet {
    asked: Asked,
    serving: JoinHandle<()>,
}

impl Kubelet {
    /// Starts it, and tells the API server that it is this node's.
    pub(crate) async fn start(admin: &Client, node: &str) -> Result<Self> {
        let (_, acceptor) = loopback_tls()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let asked = Asked::default();
        let serving = tokio::spawn(serve(listener, acceptor, Arc::clone(&asked)));
        let addresses = ["InternalIP", "Hostname"].map(|kind| json!({"type": kind, "address": "127.0.0.1"}));
        let here = json!({"status": {
            "addresses": addresses, "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }});
        Api::<Node>::all(admin.clone())
            .patch_status(node, &PatchParams::default(), &Patch::Merge(here))
            .await?;
        Ok(Self { asked, serving })
    }

    /// Path and query of each request so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, asked: Asked) {
    let app = Router::new().fallback(log).with_state(asked);
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, app) = (acceptor.clone(), app.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let builder = auto::Builder::new(TokioExecutor::new());
                // How a connection ends is the API server's business.
                let _ended = builder
                    .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
                    .await;
            }
        });
    }
}

/// `/containerLogs/NAMESPACE/POD/CONTAINER`: the last lines, the very last of which tells a secret.
async fn log(State(asked): State<Asked>, uri: Uri) -> String {
    asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(uri.to_string());
    let container = uri.path().rsplit('/').next().unwrap_or_default();
    let pairs = uri.query().unwrap_or_default().split('&');
    let of = |key: &str| {
        pairs
            .clone()
            .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
    };
    let tail = of("tailLines")
        .and_then(|number| number.parse().ok())
        .unwrap_or(LINES);
    let when = if of("previous") == Some("true") {
        "before"
    } else {
        "now"
    };
    let from = LINES.saturating_sub(tail);
    let line = |number: usize| format!("{container} {when}, line {number}\n");
    let lines: String = (from + 1..LINES).map(line).collect();
    format!("{lines}login with password=Tr0ub4dor&3x failed\n")
}
