//! A fake API server and AdmissionReviews for the tests of this crate.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::to_bytes;
use http::{Request, Response};
use kube::client::Body;
use kube::runtime::watcher::Event;
use kubechat_core::seal::{SealKey, SealKeys};
use kubechat_crds::RiskPolicy;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::state::{Background, State};

/// Answers a question to the API server: method, path, body (of a read: its query) to status and body.
pub(crate) type Answer = Arc<dyn Fn(&str, &str, &Value) -> (u16, Value) + Send + Sync>;

/// The webhook under test with its fake API server.
pub(crate) struct Fixture {
    pub(crate) state: Arc<State>,
    pub(crate) background: Background,
    /// `METHOD path` of every question, in order.
    pub(crate) asked: Arc<Mutex<VecDeque<String>>>,
    /// How long the API server takes for each answer.
    pub(crate) pause: Arc<Mutex<Duration>>,
}

pub(crate) fn keys() -> SealKeys {
    SealKeys {
        current: SealKey {
            id: "k1".into(),
            bytes: [7; 32],
        },
        previous: None,
    }
}

/// The policy that ships, and a wide scope for namespaces labelled `ops`.
pub(crate) fn baseline() -> Value {
    json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "RiskPolicy", "metadata": {"name": "baseline"},
        "spec": {
            "approvals": {"caution": {"count": 1, "selfConfirm": true}, "destructive": {"count": 1}},
            "wideScopeFrom": {"matchLabels": {"ops": "yes"}}
        }
    })
}

impl Fixture {
    /// Ready, with these policies and this API server.
    pub(crate) fn new(policies: &[Value], answer: Answer) -> Self {
        let fixture = Self::unready(answer);
        let Self {
            state,
            mut background,
            asked,
            pause,
        } = fixture;
        state.set_keys(keys());
        background.policies.apply_watcher_event(&Event::Init);
        for policy in policies {
            let policy: RiskPolicy = serde_json::from_value(policy.clone()).unwrap();
            background.policies.apply_watcher_event(&Event::InitApply(policy));
        }
        background.policies.apply_watcher_event(&Event::InitDone);
        state.set_policies_synced();
        Self {
            state,
            background,
            asked,
            pause,
        }
    }

    /// As after start: no keys, no policies.
    pub(crate) fn unready(answer: Answer) -> Self {
        let asked = Arc::new(Mutex::new(VecDeque::new()));
        let pause = Arc::new(Mutex::new(Duration::ZERO));
        let (seen, slow) = (asked.clone(), pause.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (answer, seen) = (answer.clone(), seen.clone());
            let pause = *slow.lock().unwrap();
            async move {
                let (parts, body) = request.into_parts();
                let bytes = body.collect_bytes().await.unwrap();
                let query = parts.uri.query().map_or(Value::Null, Value::from);
                let body = serde_json::from_slice(&bytes).unwrap_or(query);
                let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
                seen.lock().unwrap().push_back(format!("{method} {path}"));
                let (status, body) = answer(&method, &path, &body);
                if status == 0 {
                    std::future::pending::<()>().await;
                }
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                let body = Body::from(serde_json::to_vec(&body).unwrap());
                Ok::<_, std::convert::Infallible>(Response::builder().status(status).body(body).unwrap())
            }
        });
        let client = kube::Client::new(service, "default");
        let (state, background) = State::new(client, "kubechat-system", "keys");
        Self {
            state,
            background,
            asked,
            pause,
        }
    }

    /// The HTTP answer to a body.
    pub(crate) async fn post(&self, path: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let request = Request::post(path).body(axum::body::Body::from(body)).unwrap();
        let response = crate::router(self.state.clone()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec(),
        )
    }

    /// The `response` to a review.
    pub(crate) async fn review(&self, path: &str, request: &Value) -> Value {
        let (status, body) = self.post(path, review(request)).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["response"]["uid"], "review-1");
        answer["response"].clone()
    }

    /// The reason of a refusal; empty where it was allowed.
    pub(crate) async fn reason(&self, request: &Value) -> String {
        let response = self.review("/validate", request).await;
        if response["allowed"] == json!(true) {
            return String::new();
        }
        let status = &response["status"];
        assert!(status["code"].as_u64().unwrap() >= 400, "{status}");
        let message = status["message"].as_str().unwrap();
        assert!(
            [" not ", "No ", "Nothing "]
                .iter()
                .any(|word| message.contains(word)),
            "says what did not happen: {message}"
        );
        status["reason"].as_str().unwrap().to_owned()
    }
}

/// An API server that has nothing and allows nothing.
pub(crate) fn nothing() -> Answer {
    Arc::new(|method, path, _| {
        if method == "POST" && path.ends_with("/subjectaccessreviews") {
            return (201, access(false));
        }
        not_found()
    })
}

pub(crate) fn not_found() -> (u16, Value) {
    (
        404,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "message": "none", "code": 404}),
    )
}

pub(crate) fn access(allowed: bool) -> Value {
    json!({"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": {}, "status": {"allowed": allowed}})
}

fn review(request: &Value) -> Vec<u8> {
    serde_json::to_vec(
        &json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}),
    )
    .unwrap()
}

pub(crate) fn alice() -> Value {
    json!({"username": "alice", "uid": "2", "groups": ["developers", "system:authenticated"], "extra": {"session": ["a"]}})
}

/// A CREATE in namespace `demo` (or of a cluster kind, where `namespace` is null).
pub(crate) fn create(kind: &str, user: &Value, spec: &Value) -> Value {
    let policy = matches!(kind, "RiskPolicy" | "AuditPolicy" | "AIProvider" | "ApproverKey");
    let namespace = if policy { Value::Null } else { json!("demo") };
    let mut object =
        json!({"apiVersion": "kubechat.io/v1beta1", "kind": kind, "metadata": {"name": "x"}, "spec": spec});
    if !policy {
        object["metadata"]["namespace"] = namespace.clone();
    }
    json!({
        "uid": "review-1",
        "kind": {"group": "kubechat.io", "version": "v1beta1", "kind": kind},
        "resource": {"group": "kubechat.io", "version": "v1beta1", "resource": "xs"},
        "name": "x", "namespace": namespace, "operation": "CREATE", "userInfo": user,
        "object": object, "oldObject": null, "dryRun": false
    })
}

/// An UPDATE from one spec to another.
pub(crate) fn update(kind: &str, user: &Value, old: &Value, new: &Value) -> Value {
    let mut request = create(kind, user, new);
    request["operation"] = json!("UPDATE");
    request["oldObject"] = request["object"].clone();
    request["oldObject"]["spec"] = old.clone();
    request
}
