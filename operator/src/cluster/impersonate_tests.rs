//! What goes over the wire when KubeChat acts as a person, seen by a small API server of the test's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::*;

/// One request as it arrived.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    path: String,
    headers: HeaderMap,
}

impl Seen {
    /// Headers about impersonation, each with all its values.
    fn acting(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, value) in &self.headers {
            if name.as_str().starts_with("impersonate-") {
                let values = found.entry(name.to_string()).or_default();
                values.insert(value.to_str().unwrap().to_owned());
            }
        }
        found
    }
}

/// How the server answers.
#[derive(Clone, Debug, Default)]
struct Mood {
    /// The identity of a SelfSubjectReview instead of the one asked for.
    echoed: Option<Value>,
    /// The status of everything else.
    status: Option<u16>,
}

#[derive(Clone, Debug, Default)]
struct Server {
    seen: Arc<Mutex<Vec<Seen>>>,
    mood: Mood,
}

impl Server {
    /// Starts it, and returns the configuration of the operator's own client for it.
    async fn start(mood: Mood) -> (Self, Config) {
        let server = Self {
            seen: Arc::default(),
            mood,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let mut config = Config::new(url.parse().unwrap());
        config.auth_info.token = Some("operators-own-token".to_owned().into());
        config.default_retry = false;
        (server, config)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Requests that were no SelfSubjectReview.
    fn others(&self) -> Vec<Seen> {
        let seen = self.seen().into_iter();
        seen.filter(|s| !s.path.ends_with("/selfsubjectreviews"))
            .collect()
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let seen = Seen {
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        headers: request.headers().clone(),
    };
    server.seen.lock().unwrap().push(seen.clone());
    if seen.path.ends_with("/selfsubjectreviews") {
        let acting = seen.acting();
        let one = |name: &str| acting.get(name).and_then(|v| v.first().cloned());
        let groups = acting.get("impersonate-group").cloned().unwrap_or_default();
        let groups: Vec<String> = groups
            .into_iter()
            .chain(["system:authenticated".to_owned()])
            .collect();
        let user =
            json!({"username": one("impersonate-user"), "uid": one("impersonate-uid"), "groups": groups});
        let user = server.mood.echoed.clone().unwrap_or(user);
        return Json(json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {},
            "status": {"userInfo": user},
        }))
        .into_response();
    }
    let code = server.mood.status.unwrap_or(200);
    let body = if code == 200 {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}})
    } else {
        json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": code, "message": "no", "reason": "Test"})
    };
    (StatusCode::from_u16(code).unwrap(), Json(body)).into_response()
}

fn alice() -> Acting {
    let identity = kubechat_crds::Identity {
        username: "alice".to_owned(),
        uid: "uid-1".to_owned(),
        groups: ["developers", "system:masters", "on-call", "system:authenticated"]
            .map(str::to_owned)
            .into(),
        extra: BTreeMap::from([("session".to_owned(), vec!["all".to_owned()])]),
        ..kubechat_crds::Identity::default()
    };
    kubechat_core::authz::acting(&identity).unwrap()
}

fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|v| (*v).to_owned()).collect()
}

async fn create(client: &Client) -> Result<ConfigMap, kube::Error> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "demo");
    let made: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "settings"}})).unwrap();
    api.create(&PostParams::default(), &made).await
}

async fn patch(client: &Client) -> Result<ConfigMap, kube::Error> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "demo");
    let change = Patch::Merge(json!({"data": {"a": "b"}}));
    api.patch("settings", &PatchParams::default(), &change).await
}

#[tokio::test]
async fn a_write_names_the_person_their_groups_and_the_plan_and_nothing_else() {
    let (server, config) = Server::start(Mood::default()).await;
    let people = Impersonator::new(config).unwrap();
    let client = people.writer(&alice(), "sha256:abc").await.unwrap();
    create(&client).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    for request in &seen {
        let expected = BTreeMap::from([
            ("impersonate-user".to_owned(), set(&["alice"])),
            ("impersonate-uid".to_owned(), set(&["uid-1"])),
            ("impersonate-group".to_owned(), set(&["developers", "on-call"])),
            (
                "impersonate-extra-kubechat.io%2fplan".to_owned(),
                set(&["sha256:abc"]),
            ),
        ]);
        assert_eq!(request.acting(), expected, "{request:?}");
        assert_eq!(request.headers["authorization"], "Bearer operators-own-token");
    }
}

#[tokio::test]
async fn a_client_that_reads_is_proven_again_after_five_minutes_and_one_that_writes_each_time() {
    let (server, config) = Server::start(Mood::default()).await;
    let people = Impersonator::new(config).unwrap();
    let proofs = || server.seen().len() - server.others().len();
    for (wait, expected) in [(0, 1), (299, 1), (2, 2), (298, 2)] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(wait)).await;
        tokio::time::resume();
        people.reader(&alice()).await.unwrap();
        assert_eq!(proofs(), expected, "{wait}");
    }
    for expected in [3, 4] {
        people.writer(&alice(), "sha256:abc").await.unwrap();
        assert_eq!(proofs(), expected);
    }
}

#[tokio::test]
async fn a_read_names_the_person_and_no_plan() {
    let (server, config) = Server::start(Mood::default()).await;
    let people = Impersonator::new(config).unwrap();
    let client = people.reader(&alice()).await.unwrap();
    patch(&client).await.unwrap();
    people.reader(&alice()).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 2, "proven once, then kept: {seen:?}");
    assert!(
        !seen[1].acting().keys().any(|name| name.contains("extra")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_person_who_logs_in_again_is_not_proven_again_and_one_of_other_groups_or_uid_is() {
    type Change = fn(&mut Acting);
    let same: Change = |a| {
        let id = "authentication.kubernetes.io/credential-id".to_owned();
        a.extra.insert(id, vec!["JTI=another".to_owned()]);
    };
    let changes: [(Change, usize); 5] = [
        (same, 1),
        (|a| a.dropped.clear(), 1),
        (|a| drop(a.groups.pop()), 2),
        (|a| a.uid = "uid-2".to_owned(), 2),
        (|a| a.username = "bob".to_owned(), 2),
    ];
    for (number, (change, expected)) in changes.into_iter().enumerate() {
        let (server, config) = Server::start(Mood::default()).await;
        let people = Impersonator::new(config).unwrap();
        let mut again = alice();
        change(&mut again);
        people.reader(&alice()).await.unwrap();
        people.reader(&again).await.unwrap();
        assert_eq!(server.seen().len(), expected, "change {number}");
        assert_eq!(people.proven.lock().unwrap().len(), expected, "change {number}");
    }
}

#[tokio::test]
async fn the_operators_own_client_acts_as_nobody() {
    let (server, config) = Server::start(Mood::default()).await;
    let people = Impersonator::new(config.clone()).unwrap();
    people.reader(&alice()).await.unwrap();
    let own = crate::cluster::client::client(config).unwrap();
    create(&own).await.unwrap();
    let [request] = server.others().try_into().unwrap();
    assert_eq!(request.acting(), BTreeMap::new());
}

#[tokio::test]
async fn nothing_is_sent_twice_whatever_the_server_answers() {
    for status in [429, 500, 502, 503, 504] {
        let mood = Mood {
            status: Some(status),
            ..Mood::default()
        };
        let (server, config) = Server::start(mood).await;
        let people = Impersonator::new(config.clone()).unwrap();
        let person = people.writer(&alice(), "sha256:abc").await.unwrap();
        let own = crate::cluster::client::client(config).unwrap();
        for client in [person, own] {
            assert!(create(&client).await.is_err());
            assert!(patch(&client).await.is_err());
        }
        let methods: Vec<Method> = server.others().into_iter().map(|s| s.method).collect();
        assert_eq!(
            methods,
            [Method::POST, Method::PATCH, Method::POST, Method::PATCH],
            "{status}"
        );
    }
}

#[tokio::test]
async fn refuses_to_act_when_the_server_sees_somebody_else() {
    let seen_as =
        |user: &str, uid: &str, groups: &[&str]| json!({"username": user, "uid": uid, "groups": groups});
    let wrong = [
        seen_as("operator", "uid-1", &["developers", "on-call"]),
        seen_as("alice", "uid-2", &["developers", "on-call"]),
        seen_as("alice", "uid-1", &["developers"]),
        seen_as("alice", "uid-1", &["developers", "on-call", "system:masters"]),
        seen_as("alice", "uid-1", &["developers", "on-call", "admins"]),
        json!({}),
    ];
    for echoed in wrong {
        let mood = Mood {
            echoed: Some(echoed.clone()),
            ..Mood::default()
        };
        let (server, config) = Server::start(mood).await;
        let people = Impersonator::new(config).unwrap();
        for refused in [
            people.reader(&alice()).await,
            people.writer(&alice(), "sha256:abc").await,
        ] {
            assert!(matches!(refused, Err(Error::Identity(_))), "{echoed}");
        }
        assert!(server.others().is_empty(), "{echoed}");
    }
}
