//! The peer of B4: a webhook with the same server stack as KubeChat's that reads a review and allows it. It is a process
//! of its own, as KubeChat's webhook is.

use std::convert::Infallible;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio_rustls::TlsAcceptor;

/// How long the peer may take to start.
const START: Duration = Duration::from_secs(10);
/// Its certificate in its folder.
const CERTIFICATE: &str = "peer.pem";

/// The running peer; dropping it ends the process.
#[derive(Debug)]
pub(super) struct Noop {
    _process: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Noop {
    /// Starts it on a free port of loopback.
    pub(super) async fn start() -> Result<Self> {
        let folder = tempfile::TempDir::new()?;
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--noop-webhook")
            .arg(folder.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the no-op webhook was not started")?;
        let out = process.stdout.take().context("the no-op webhook has no output")?;
        let mut lines = BufReader::new(out).lines();
        let line = tokio::time::timeout(START, lines.next_line())
            .await
            .context("the no-op webhook does not start")??;
        let port = line.context("the no-op webhook ended")?.trim().parse()?;
        Ok(Self {
            _process: process,
            folder,
            port,
        })
    }

    /// A client for it.
    pub(super) fn client(&self) -> Result<kube::Client> {
        let pem = std::fs::read(self.folder.path().join(CERTIFICATE))?;
        super::admission::client(&format!("https://127.0.0.1:{}", self.port), &pem)
    }
}

#[derive(Deserialize)]
struct Review {
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    uid: String,
}

async fn allow(body: Bytes) -> axum::Json<Value> {
    let uid = serde_json::from_slice::<Review>(&body)
        .map(|review| review.request.uid)
        .unwrap_or_default();
    axum::Json(json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": uid, "allowed": true},
    }))
}

/// The process: writes its certificate to the folder, prints its port, and answers until it is ended.
pub(super) async fn serve(folder: &Path) -> Result<Infallible> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
    std::fs::write(folder.join(CERTIFICATE), certificate.pem())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let app = Router::new()
        .route(kubechat_crds::install::admission::MUTATE_PATH, post(allow))
        .route(kubechat_crds::install::admission::VALIDATE_PATH, post(allow));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (acceptor, app) = (acceptor.clone(), app.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ended = builder
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
                .await;
        });
    }
}
