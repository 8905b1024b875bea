//! An admission webhook of the test's own, which counts what plans write and holds it up: the window between the
//! intent of a step and its result, as wide as a test wants it.
//!
//! It sees only real writes (no dry-runs) that a plan makes: those carry the plan's digest in their user's extra.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use axum::Json;
use axum::extract::State;
use axum::routing::post;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::PostParams;
use kube::{Api, Client};
use kubechat_e2e::wait::eventually;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// How long the API server waits for an answer (30 s is the most it allows).
const PATIENCE: i32 = 30;
/// How long it may take until a write arrives, or until the API server knows of the webhook.
const ARRIVAL: Duration = Duration::from_secs(60);

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Let through, after so many milliseconds.
    Allow(u64),
    /// Held until the mood changes.
    Hold,
    /// Cut: the connection is closed without an answer.
    Cut,
}

/// One write of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    /// Who writes.
    pub(crate) user: String,
    /// `resource` or `resource/subresource`.
    pub(crate) resource: String,
    /// Name of the object.
    pub(crate) name: String,
    /// Step id on the object; empty where none is written.
    pub(crate) step: String,
}

/// The running webhook; dropping it stops it.
#[derive(Debug)]
pub(crate) struct SlowHook {
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    mood: watch::Sender<Mood>,
    writes: Mutex<Vec<Write>>,
}

impl SlowHook {
    /// Starts it for these rules (`admissionregistration.k8s.io/v1 RuleWithOperations`) and waits until the API
    /// server asks it.
    pub(crate) async fn start(admin: &Client, mood: Mood, rules: Value) -> Result<Self> {
        let shared = Arc::new(Shared {
            mood: watch::Sender::new(Mood::Allow(0)),
            writes: Mutex::default(),
        });
        let (ca, acceptor) = loopback_tls()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://{}/", listener.local_addr()?);
        let serving = tokio::spawn(serve(listener, acceptor, Arc::clone(&shared)));
        let hook = Self { shared, serving };
        hook.install(admin, &url, &ca, rules).await?;
        hook.set(mood);
        Ok(hook)
    }

    /// Creates the configuration, and waits until the API server has it: a probe of its own rule arrives.
    async fn install(&self, admin: &Client, url: &str, ca: &str, rules: Value) -> Result<()> {
        let webhook = |name: &str, rules: Value, expression: &str| {
            json!({
                "name": format!("{name}.e2e.test"),
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": url, "caBundle": BASE64_STANDARD.encode(ca)},
                "failurePolicy": "Fail",
                "sideEffects": "NoneOnDryRun",
                "timeoutSeconds": PATIENCE,
                "matchPolicy": "Equivalent",
                "matchConditions": [{"name": "only", "expression": expression}],
                "rules": rules,
            })
        };
        let of_plans = "!(has(request.dryRun) && request.dryRun) && has(request.userInfo.extra) \
                        && 'kubechat.io/plan' in request.userInfo.extra";
        let probe_rule = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["podtemplates"]}]);
        let configuration: ValidatingWebhookConfiguration = serde_json::from_value(json!({
            "metadata": {"name": "slow-hook"},
            "webhooks": [webhook("slow", rules, of_plans), webhook("probe", probe_rule, "request.name == 'slow-hook-probe'")],
        }))?;
        Api::all(admin.clone())
            .create(&PostParams::default(), &configuration)
            .await?;
        let probes: Api<k8s_openapi::api::core::v1::PodTemplate> = Api::namespaced(admin.clone(), "default");
        let probe = serde_json::from_value(json!({
            "metadata": {"name": "slow-hook-probe"},
            "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}},
        }))?;
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        eventually(ARRIVAL, "the API server asks the slow hook", || async {
            probes.create(&dry, &probe).await?;
            ensure!(!self.writes().is_empty(), "it was not asked");
            Ok(())
        })
        .await?;
        self.lock().clear();
        Ok(())
    }

    /// What becomes of writes from now on, also of those that are held.
    pub(crate) fn set(&self, mood: Mood) {
        self.shared.mood.send_replace(mood);
    }

    /// The writes so far, in the order they arrived.
    pub(crate) fn writes(&self) -> Vec<Write> {
        self.lock().clone()
    }

    /// Writes to one object so far.
    pub(crate) fn writes_to(&self, name: &str) -> usize {
        self.lock().iter().filter(|write| write.name == name).count()
    }

    /// Waits until so many writes have arrived.
    pub(crate) async fn wait_for(&self, count: usize) -> Result<()> {
        eventually(ARRIVAL, &format!("{count} writes arrive"), || async {
            let writes = self.writes();
            ensure!(writes.len() == count, "these did: {writes:?}");
            Ok(())
        })
        .await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Write>> {
        self.shared.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SlowHook {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A certificate for a server on loopback (PEM), and what speaks TLS with it.
pub(crate) fn loopback_tls() -> Result<(String, TlsAcceptor)> {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    Ok((made.cert.pem(), TlsAcceptor::from(Arc::new(config))))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let app = axum::Router::new()
        .route("/", post(answer))
        .with_state(Arc::clone(&shared));
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, app, mut mood) = (acceptor.clone(), app.clone(), shared.mood.subscribe());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let builder = auto::Builder::new(TokioExecutor::new());
            let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
            // How a connection ends is the API server's business; a cut one ends here.
            tokio::select! {
                _ = connection => {}
                _ = mood.wait_for(|mood| *mood == Mood::Cut) => {}
            }
        });
    }
}

async fn answer(State(shared): State<Arc<Shared>>, Json(review): Json<Value>) -> Json<Value> {
    let request = &review["request"];
    shared
        .writes
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(seen(request));
    let mut mood = shared.mood.subscribe();
    loop {
        let now = *mood.borrow_and_update();
        match now {
            Mood::Allow(after) => {
                tokio::time::sleep(Duration::from_millis(after)).await;
                return Json(json!({
                    "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                    "response": {"uid": request["uid"], "allowed": true},
                }));
            }
            // Also with nobody left to change it there is no answer.
            Mood::Hold | Mood::Cut => {
                if mood.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

fn seen(request: &Value) -> Write {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (resource, sub) = (
        text(&request["resource"]["resource"]),
        text(&request["subResource"]),
    );
    Write {
        user: text(&request["userInfo"]["username"]),
        resource: if sub.is_empty() {
            resource
        } else {
            format!("{resource}/{sub}")
        },
        name: text(&request["name"]),
        step: text(&request["object"]["metadata"]["annotations"][kubechat_crds::STEP_ID_ANNOTATION]),
    }
}

/// Rules for what the tests change.
pub(crate) fn rules() -> Value {
    json!([
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["configmaps", "namespaces"]},
        {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments", "deployments/scale"]},
    ])
}
