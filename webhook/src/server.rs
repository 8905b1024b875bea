//! The HTTP side: admission over TLS, health and metrics in the clear. **Invariants:** bodies, connections, handshakes
//! and judgements have named limits; every review that can be read is answered, with a refusal when there is doubt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use kubechat_crds::install::admission::{MUTATE_PATH, VALIDATE_PATH};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::timeout::TimeoutLayer;

use crate::early::Early;
use crate::events::Record;
use crate::refusal::{Refusal, reason};
use crate::review::{Allowed, Review, Verdict};
use crate::state::State;
use crate::{stamp, validate};

/// Largest review: an object and the one before it (3 MiB each at most), and the rest of the review.
const MAX_BODY: usize = 8 << 20;
/// Longest judgement; below the 5 s after which the API server gives up, so that the refusal still says why.
const JUDGEMENT_DEADLINE: Duration = Duration::from_secs(4);
/// Longest request in all, from its first byte.
const REQUEST_DEADLINE: Duration = Duration::from_secs(6);
/// Longest TLS handshake and longest wait for request headers.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// Most connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 512;
/// Pause after a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The two sides of admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Mutate,
    Validate,
}

impl Side {
    const fn path(self) -> &'static str {
        match self {
            Self::Mutate => MUTATE_PATH,
            Self::Validate => VALIDATE_PATH,
        }
    }
}

/// The admission endpoints.
pub fn router(state: Arc<State>) -> Router {
    Router::new()
        .route(
            MUTATE_PATH,
            post(|Shared(state): Shared<Arc<State>>, body: Bytes| answer(state, Side::Mutate, body)),
        )
        .route(
            VALIDATE_PATH,
            post(|Shared(state): Shared<Arc<State>>, body: Bytes| answer(state, Side::Validate, body)),
        )
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            REQUEST_DEADLINE,
        ))
        .with_state(state)
}

/// Liveness, readiness and metrics.
fn health_router(state: Arc<State>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            REQUEST_DEADLINE,
        ))
        .with_state(state)
}

async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    let missing = state.missing();
    if missing.is_empty() {
        return "ok".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("waiting for: {}", missing.join(", ")),
    )
        .into_response()
}

async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    match state.metrics.encode() {
        Ok(text) => (
            [(
                header::CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Reads a review, judges it in time, and leaves its traces.
async fn answer(state: Arc<State>, side: Side, body: Bytes) -> Response {
    let began = Instant::now();
    let review = match Review::parse(&body) {
        Ok(review) => review,
        Err(refusal) => {
            state.metrics.answered("other", "other", refusal.reason);
            return (StatusCode::BAD_REQUEST, refusal.message).into_response();
        }
    };
    let verdict = judge(&state, side, &review).await;
    state.metrics.took(side.path(), began.elapsed());
    record(&state, &review, &verdict);
    axum::Json(review.answer(verdict)).into_response()
}

async fn judge(state: &Arc<State>, side: Side, review: &Review) -> Verdict {
    let Ok(_permit) = state.in_flight.try_acquire() else {
        return Err(Refusal::too_many(
            reason::OVERLOADED,
            "KubeChat's webhook has too many requests to judge at once. Nothing was stored. Try again in a few seconds",
        ));
    };
    if side == Side::Mutate {
        Early::begin(state, review);
    }
    let judgement = async {
        match side {
            Side::Mutate => stamp::stamp(state, review),
            Side::Validate => validate::validate(state, review).await,
        }
    };
    tokio::time::timeout(JUDGEMENT_DEADLINE, judgement).await.unwrap_or_else(|_| {
        Err(Refusal::unavailable(
            reason::TIMEOUT,
            "KubeChat's webhook could not judge this in time. Nothing was stored. Try again; if it stays, the API server answers slowly",
        ))
    })
}

/// Metric, log line and Event of a judgement.
fn record(state: &State, review: &Review, verdict: &Result<Allowed, Refusal>) {
    let Err(refusal) = verdict else {
        state
            .metrics
            .answered(review.kind_label(), review.operation(), "");
        return;
    };
    state
        .metrics
        .answered(review.kind_label(), review.operation(), refusal.reason);
    tracing::info!(
        kind = review.kind_label(),
        operation = review.operation(),
        namespace = review.namespace(),
        name = review.name(),
        user = review.user().username.as_deref().unwrap_or_default(),
        reason = refusal.reason,
        dry_run = review.request.dry_run,
        "refused"
    );
    if !review.request.dry_run && !state.events.offer(Record::refused(review, refusal)) {
        state.metrics.event_dropped();
    }
}

/// Serves health and metrics until stopped.
pub(crate) async fn serve_health(
    listener: TcpListener,
    state: Arc<State>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    axum::serve(listener, health_router(state))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await?;
    Ok(())
}

/// Serves admission over TLS until stopped, then waits for open connections.
pub(crate) async fn serve_admission(
    listener: TcpListener,
    state: Arc<State>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let app = router(state.clone());
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(config) = state.tls() else {
            tracing::warn!("a connection came before the certificate; it is closed");
            continue;
        };
        let (app, stop) = (app.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, TlsAcceptor::from(config), app, stop).await;
            drop(place);
        });
    }
    connections.close();
    connections.wait().await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = places
        .clone()
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // An answer is small and waited for: it is sent at once.
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, app: Router, stop: CancellationToken) {
    let stream = match tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => return tracing::debug!("TLS handshake took too long"),
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_DEADLINE);
    builder.http2().timer(TokioTimer::new());
    let mut connection =
        std::pin::pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Fixture, alice, create, nothing};

    fn secret_prompt() -> Value {
        create("ChatRequest", &alice(), &json!({"prompt": "password=hunter2"}))
    }

    #[tokio::test]
    async fn refuses_bodies_that_are_no_review() {
        let fixture = Fixture::new(&[], nothing());
        let whole = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": secret_prompt()});
        let with = |at: &str, value: Value| {
            let mut changed = whole.clone();
            *changed.pointer_mut(at).unwrap() = value;
            serde_json::to_vec(&changed).unwrap()
        };
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes();
        let bad = [
            vec![],
            b"{}".to_vec(),
            b"not json".to_vec(),
            vec![0xff; 64],
            deep,
            with("/apiVersion", json!("admission.k8s.io/v1beta1")),
            with("/kind", json!("ConversionReview")),
            with("/request", Value::Null),
            with("/request/uid", json!("")),
            with("/request/operation", json!("PATCH")),
            with("/request/userInfo", json!("alice")),
            with("/request/object", json!([])),
        ];
        for body in bad {
            for path in [MUTATE_PATH, VALIDATE_PATH] {
                let (status, text) = fixture.post(path, body.clone()).await;
                assert_eq!(status, 400, "{}", String::from_utf8_lossy(&text));
            }
        }
        let metrics = fixture.state.metrics.encode().unwrap();
        assert!(metrics.contains(r#"kubechat_admission_total{kind="other",operation="other",outcome="refused",reason="Malformed"} 24"#));
    }

    #[tokio::test]
    async fn refuses_a_body_beyond_the_limit_and_other_paths() {
        let fixture = Fixture::new(&[], nothing());
        assert_eq!(fixture.post(MUTATE_PATH, vec![b' '; MAX_BODY + 1]).await.0, 413);
        assert_eq!(fixture.post("/", vec![]).await.0, 404);
    }

    #[tokio::test]
    async fn refuses_kinds_groups_subresources_and_operations_without_a_rule() {
        let fixture = Fixture::new(&[], nothing());
        let with = |at: &str, value: Value| {
            let mut changed = secret_prompt();
            changed[at] = value;
            changed
        };
        let cases = [
            with(
                "kind",
                json!({"group": "kubechat.io", "version": "v1beta1", "kind": "ResourceView"}),
            ),
            with(
                "kind",
                json!({"group": "apps", "version": "v1", "kind": "ChatRequest"}),
            ),
            with("subResource", json!("status")),
            with("operation", json!("CONNECT")),
            with("operation", json!("DELETE")),
        ];
        for request in cases {
            for path in [MUTATE_PATH, VALIDATE_PATH] {
                let response = fixture.review(path, &request).await;
                assert_eq!(response["allowed"], false);
                assert_eq!(response["status"]["reason"], "UnknownKind", "{request}");
                assert_eq!(response["auditAnnotations"]["refused"], "UnknownKind");
            }
        }
        let metrics = fixture.state.metrics.encode().unwrap();
        assert!(
            !metrics.contains("ResourceView"),
            "unknown kinds are no label values"
        );
    }

    #[tokio::test]
    async fn a_refusal_leaves_an_event_and_a_dry_run_does_not() {
        let mut fixture = Fixture::new(&[], nothing());
        let mut dry = secret_prompt();
        dry["dryRun"] = json!(true);
        assert_eq!(fixture.reason(&dry).await, "SecretFound");
        assert!(fixture.background.events.try_recv().is_err());
        assert_eq!(fixture.reason(&secret_prompt()).await, "SecretFound");
        let text = format!("{:?}", fixture.background.events.try_recv().unwrap());
        assert!(
            text.contains("AdmissionRefused") && text.contains("alice") && !text.contains("hunter2"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn deleting_a_policy_is_allowed_and_leaves_an_event() {
        let mut fixture = Fixture::unready(nothing());
        let mut request = create("RiskPolicy", &alice(), &json!({}));
        request["operation"] = json!("DELETE");
        request["oldObject"] = request["object"].take();
        let mut dry = request.clone();
        dry["dryRun"] = json!(true);
        assert_eq!(fixture.reason(&dry).await, "");
        assert!(fixture.background.events.try_recv().is_err());
        assert_eq!(fixture.reason(&request).await, "");
        let text = format!("{:?}", fixture.background.events.try_recv().unwrap());
        assert!(
            text.contains("PolicyDeleted") && text.contains("RiskPolicy x was deleted by alice"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_full_event_queue_never_blocks_and_is_counted() {
        let fixture = Fixture::new(&[], nothing());
        for _ in 0..300 {
            assert_eq!(fixture.reason(&secret_prompt()).await, "SecretFound");
        }
        assert!(
            fixture
                .state
                .metrics
                .encode()
                .unwrap()
                .contains("kubechat_admission_events_dropped_total 44")
        );
    }

    #[tokio::test]
    async fn refuses_at_once_when_too_many_reviews_are_under_way() {
        let fixture = Fixture::new(&[], nothing());
        let places = u32::try_from(fixture.state.in_flight.available_permits()).unwrap();
        let _all = fixture.state.in_flight.acquire_many(places).await.unwrap();
        assert_eq!(fixture.reason(&secret_prompt()).await, "Overloaded");
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_does_not_answer_is_a_refusal_in_time() {
        let fixture = Fixture::new(&[], Arc::new(|_, _, _| (0, Value::Null)));
        let request = create(
            "ChatRequest",
            &alice(),
            &json!({"prompt": "x", "sessionRef": {"name": "s"}}),
        );
        let began = tokio::time::Instant::now();
        assert_eq!(fixture.reason(&request).await, "Unreachable");
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn every_refusal_is_counted_and_leaves_an_event_with_its_reason() {
        let mut fixture = Fixture::new(&[], nothing());
        let request = create("ChatRequest", &alice(), &json!({"prompt": "list pods"}));
        let envelope =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let review = Review::parse(&serde_json::to_vec(&envelope).unwrap()).unwrap();
        for reason in kubechat_core::reason::ALL.iter().chain(reason::ALL) {
            record(
                &fixture.state,
                &review,
                &Err(Refusal::forbidden(reason, "Nothing was stored")),
            );
            let left = fixture.background.events.try_recv().unwrap();
            assert_eq!(
                left,
                Record::refused(&review, &Refusal::forbidden(reason, "Nothing was stored"))
            );
            let metrics = fixture.state.metrics.encode().unwrap();
            assert!(metrics.contains(&format!("reason=\"{reason}\"}} 1")), "{reason}");
        }
        assert!(fixture.background.events.try_recv().is_err());
    }

    #[tokio::test]
    async fn not_ready_until_keys_certificate_and_policies_are_there() {
        let fixture = Fixture::unready(nothing());
        let get = async |fixture: &Fixture| {
            let request = http::Request::get("/readyz")
                .body(axum::body::Body::empty())
                .unwrap();
            tower::ServiceExt::oneshot(health_router(fixture.state.clone()), request)
                .await
                .unwrap()
                .status()
        };
        assert_eq!(get(&fixture).await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(fixture.state.missing().len(), 3);
        fixture.state.set_keys(crate::testing::keys());
        fixture.state.set_policies_synced();
        assert_eq!(get(&fixture).await, StatusCode::SERVICE_UNAVAILABLE);
    }
}
