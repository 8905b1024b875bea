//! A deterministic API server in memory. It holds to what the executor rests on: resourceVersion and UID preconditions,
//! dry-run, generations, field owners of a scale, 409 for a second create, 404 and 409 for deletes. It can refuse, hang or
//! lose answers as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use kubechat_core::seal::SealKeys;
use serde_json::{Value, json};
use tower::BoxError;

use super::people::{person, stamped};
use super::wire::{Place, controlled, discovered, echo, place};

/// An answer.
pub(crate) type Answer = Response<axum::body::Body>;

/// One request, as far as faults are chosen by it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Whom KubeChat acts as; `None` for its own requests.
    pub(crate) user: Option<String>,
    pub(crate) dry_run: bool,
    /// The field manager that it names.
    pub(crate) manager: Option<String>,
    /// The id the request has in the server's audit log.
    pub(crate) audit_id: Option<String>,
}

impl Asked {
    /// Whether it changes a workload for good.
    pub(crate) fn is_write(&self) -> bool {
        self.user.is_some() && !self.dry_run && self.method != Method::GET && self.method != Method::POST
            || self.user.is_some()
                && !self.dry_run
                && self.method == Method::POST
                && !self.path.ends_with("reviews")
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered.
    Answered,
    /// It is refused with this status; nothing was done.
    Refused(u16),
    /// As [`Self::Refused`], with these words.
    Told(u16, &'static str),
    /// It is done, and answered with this status all the same.
    DoneBut(u16),
    /// It is lost before it is read.
    Lost,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// Somebody else touches the status of the object right before.
    Overtaken,
}

/// A write of a person that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) user: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) audit_id: Option<String>,
}

type Fates = Box<dyn FnMut(&Asked) -> Fate + Send>;
type Rights = Box<dyn Fn(&Value) -> bool + Send>;

struct State {
    /// By path: `/apis/apps/v1/namespaces/demo/deployments/web`.
    objects: BTreeMap<String, Value>,
    version: u64,
    uids: u64,
    /// Every change ever made: where, the object, and whether it is there.
    changes: Vec<(String, Value, bool)>,
    written: Vec<Written>,
    asked: u64,
    fates: Fates,
    allowed: Rights,
    stamping: bool,
    /// How far its clock is ahead of this machine's.
    ahead: jiff::SignedDuration,
}

/// The server; clones are the same one.
#[derive(Clone)]
pub(crate) struct Server {
    state: Arc<Mutex<State>>,
    keys: SealKeys,
}

fn status(code: u16, message: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": code,
        "message": message, "reason": "Test"})
}

fn answer(code: u16, body: &Value) -> Answer {
    let mut answer = Response::new(axum::body::Body::from(body.to_string()));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}

type Outcome = Result<Value, (u16, String)>;

fn no(code: u16, why: impl Into<String>) -> (u16, String) {
    (code, why.into())
}

impl Server {
    pub(crate) fn new(keys: SealKeys) -> Self {
        let state = State {
            objects: BTreeMap::new(),
            version: 100,
            uids: 0,
            changes: vec![],
            written: vec![],
            asked: 0,
            fates: Box::new(|_| Fate::Answered),
            allowed: Box::new(|_| true),
            stamping: true,
            ahead: jiff::SignedDuration::ZERO,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            keys,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores an object as an administrator; what the server fills in is filled in. Returns it.
    pub(crate) fn put(&self, path: &str, object: Value) -> Value {
        self.state().store_new(path, object)
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.state().objects.get(path).cloned()
    }

    /// Objects whose path holds this.
    pub(crate) fn all(&self, part: &str) -> Vec<Value> {
        let state = self.state();
        let found = state.objects.iter().filter(|(path, _)| path.contains(part));
        found.map(|(_, object)| object.clone()).collect()
    }

    pub(crate) fn remove(&self, path: &str) -> Option<Value> {
        self.state().take(path)
    }

    /// How many changes there were.
    pub(crate) fn changes(&self) -> usize {
        self.state().changes.len()
    }

    /// So many of them, from this one on.
    pub(crate) fn changed(&self, from: usize, many: usize) -> Vec<(String, Value, bool)> {
        let state = self.state();
        state.changes.iter().skip(from).take(many).cloned().collect()
    }

    /// Changes an object as an administrator.
    pub(crate) fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        let before = state.objects[path].clone();
        let mut after = before.clone();
        change(&mut after);
        state.settle(path, &before, after, false);
    }

    /// What decides the fate of each request.
    pub(crate) fn fates(&self, fates: impl FnMut(&Asked) -> Fate + Send + 'static) {
        self.state().fates = Box::new(fates);
    }

    /// Which rights are granted, by what a SubjectAccessReview asks.
    pub(crate) fn allow(&self, allowed: impl Fn(&Value) -> bool + Send + 'static) {
        self.state().allowed = Box::new(allowed);
    }

    /// How many seconds its clock is ahead of this machine's.
    pub(crate) fn run_ahead(&self, seconds: i64) {
        self.state().ahead = jiff::SignedDuration::from_secs(seconds);
    }

    /// Whether admission stamps what is created.
    pub(crate) fn stamp(&self, stamping: bool) {
        self.state().stamping = stamping;
    }

    pub(crate) fn written(&self) -> Vec<Written> {
        self.state().written.clone()
    }

    pub(crate) fn asked(&self) -> u64 {
        self.state().asked
    }

    /// Answers one request.
    pub(crate) async fn handle(&self, request: Request<Body>) -> Result<Answer, BoxError> {
        let (head, body) = request.into_parts();
        let bytes = axum::body::to_bytes(axum::body::Body::new(body), 1 << 20).await?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let query = head.uri.query().unwrap_or_default().to_owned();
        let header = |name: &str| head.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
        let asked = Asked {
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            user: header("impersonate-user"),
            dry_run: query.contains("dryRun=All") || body.get("dryRun").is_some(),
            manager: query
                .split('&')
                .find_map(|part| part.strip_prefix("fieldManager="))
                .map(str::to_owned),
            audit_id: header("audit-id"),
        };
        let mut state = self.state();
        state.asked += 1;
        let fate = (state.fates)(&asked);
        match fate {
            Fate::Lost => return Err("connection reset".into()),
            Fate::Told(code, words) => return Ok(answer(code, &status(code, words))),
            Fate::Refused(code) => return Ok(answer(code, &status(code, "told to refuse"))),
            Fate::Overtaken => state.touch(&asked.path),
            Fate::Answered | Fate::DoneBut(_) | Fate::AnswerLost => {}
        }
        let outcome = match asked.path.as_str() {
            "/apis/authentication.k8s.io/v1/selfsubjectreviews" => Ok(echo(&head.headers)),
            "/apis/authorization.k8s.io/v1/subjectaccessreviews" => {
                let mut review = body.clone();
                review["status"] = json!({"allowed": (state.allowed)(&body["spec"])});
                Ok(review)
            }
            "/api" => Ok(discovered(&[("configmaps", "ConfigMap", "cm")])),
            "/apis" => Ok(discovered(&[])),
            _ => state.serve(&self.keys, &asked, &query, &body),
        };
        drop(state);
        match (fate, outcome) {
            (Fate::AnswerLost, _) => Err("connection reset".into()),
            (Fate::DoneBut(code), Ok(_)) => Ok(answer(code, &status(code, "told to answer so"))),
            (_, Ok(object)) => Ok(answer(200, &object)),
            (_, Err((code, why))) => Ok(answer(code, &status(code, &why))),
        }
    }
}

/// What the API server writes as the time of creation.
fn created_now() -> Value {
    created(jiff::Timestamp::now())
}

fn created(at: jiff::Timestamp) -> Value {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

impl State {
    fn next_version(&mut self) -> Value {
        self.version += 1;
        self.version.to_string().into()
    }

    fn keep(&mut self, path: &str, object: &Value) {
        self.objects.insert(path.to_owned(), object.clone());
        self.changes.push((path.to_owned(), object.clone(), true));
    }

    fn take(&mut self, path: &str) -> Option<Value> {
        let object = self.objects.remove(path)?;
        self.changes.push((path.to_owned(), object.clone(), false));
        Some(object)
    }

    fn store_new(&mut self, path: &str, mut object: Value) -> Value {
        self.uids += 1;
        let version = self.next_version();
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.insert("resourceVersion".into(), version);
        metadata
            .entry("uid")
            .or_insert_with(|| format!("uid-{}", self.uids).into());
        metadata.entry("creationTimestamp").or_insert_with(created_now);
        let has_status = object.get("spec").is_some();
        if has_status {
            object["metadata"]["generation"] = 1.into();
        }
        controlled(&mut object);
        self.keep(path, &object);
        object
    }

    /// Stores a changed object: a new version where anything changed, a new generation where the spec did.
    fn settle(&mut self, path: &str, before: &Value, mut after: Value, scaled: bool) -> Value {
        if *before == after {
            return after;
        }
        if before.get("spec") != after.get("spec") {
            let generation = before.pointer("/metadata/generation").and_then(Value::as_i64);
            after["metadata"]["generation"] = (generation.unwrap_or(0) + 1).into();
        }
        let number = number_of(before);
        if before.get("spec").and_then(|s| s.get(number)) != after.get("spec").and_then(|s| s.get(number)) {
            let field = format!("f:{number}");
            // The field's owner is whoever changed it last.
            after["metadata"]["managedFields"] = if scaled {
                json!([{"manager": "kubechat", "operation": "Update", "subresource": "scale", "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:spec": {(field): {}}}}])
            } else {
                json!([{"manager": "somebody", "operation": "Update", "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:spec": {(field): {}}}}])
            };
        }
        controlled(&mut after);
        after["metadata"]["resourceVersion"] = self.next_version();
        self.keep(path, &after);
        after
    }

    /// A controller writes the status of the object of a request.
    fn touch(&mut self, path: &str) {
        let at = place(path);
        let Some(name) = at.name else { return };
        let path = format!("{}/{name}", at.collection);
        if let Some(before) = self
            .objects
            .get(&path)
            .filter(|o| o.get("spec").is_some())
            .cloned()
        {
            let mut after = before.clone();
            after["status"]["seen"] = (self.version + 1).into();
            self.settle(&path, &before, after, false);
        }
    }

    fn serve(&mut self, keys: &SealKeys, asked: &Asked, query: &str, body: &Value) -> Outcome {
        let at = place(&asked.path);
        let Some(name) = at.name.clone() else {
            return if asked.method == Method::POST {
                self.create(keys, asked, &at, body)
            } else {
                Ok(self.list(&at, query))
            };
        };
        let path = format!("{}/{name}", at.collection);
        let Some(object) = self.objects.get(&path).cloned() else {
            return Err(no(404, format!("{} \"{name}\" not found", at.resource)));
        };
        match asked.method {
            Method::PATCH => self.patch(asked, &at, &path, &object, body),
            Method::DELETE => self.delete(asked, &path, &object, body),
            Method::POST if at.sub.as_deref() == Some("eviction") => {
                self.delete(asked, &path, &object, &body["deleteOptions"])
            }
            Method::PUT if body["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] => {
                Err(no(409, "the object has been modified"))
            }
            Method::PUT => Ok(self.settle(&path, &object, body.clone(), false)),
            _ if at.sub.as_deref() == Some("scale") => Ok(scale_of(&object)),
            _ => Ok(object),
        }
    }

    fn accepted(&mut self, asked: &Asked, path: &str) {
        if let Some(user) = asked.user.clone() {
            self.written.push(Written {
                user,
                method: asked.method.to_string(),
                path: path.to_owned(),
                audit_id: asked.audit_id.clone(),
            });
        }
    }

    fn create(&mut self, keys: &SealKeys, asked: &Asked, at: &Place, body: &Value) -> Outcome {
        let name = body
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let path = format!("{}/{name}", at.collection);
        let mut object = body.clone();
        if at.collection.contains("/namespaces/") {
            object["metadata"]["namespace"] = at.collection.rsplit('/').nth(1).into();
        }
        if at.resource == "chatrequests" && self.stamping {
            object = stamped(keys, &at.collection, object, &person("kubechat", &[]));
        } else if self.objects.contains_key(&path) {
            return Err(no(409, format!("{} \"{name}\" already exists", at.resource)));
        }
        if asked.dry_run {
            object["metadata"]["creationTimestamp"] = created(jiff::Timestamp::now() + self.ahead);
            return Ok(object);
        }
        self.accepted(asked, &path);
        Ok(self.store_new(&path, object))
    }

    fn list(&self, at: &Place, query: &str) -> Value {
        let wanted = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("fieldSelector=spec.planRef.name%3D"))
            .map(str::to_owned);
        let in_all = |path: &str| {
            let of = place(path);
            of.resource == at.resource && !at.collection.contains("/namespaces/")
        };
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(path, _)| {
                path.rsplit_once('/').is_some_and(|(c, _)| c == at.collection) || in_all(path)
            })
            .map(|(_, o)| o)
            .filter(|o| {
                wanted
                    .as_deref()
                    .is_none_or(|w| o.pointer("/spec/planRef/name").and_then(Value::as_str) == Some(w))
            })
            .collect();
        let number = |key: &str| query.split('&').find_map(|p| p.strip_prefix(key)?.parse().ok());
        let from: usize = number("continue=").unwrap_or(0);
        let end = items.len().min(from + number("limit=").unwrap_or(usize::MAX / 2));
        let next = if end < items.len() {
            end.to_string()
        } else {
            String::new()
        };
        json!({"apiVersion": "v1", "kind": "List", "items": items[from..end],
            "metadata": {"resourceVersion": self.version.to_string(), "continue": next}})
    }

    fn patch(&mut self, asked: &Asked, at: &Place, path: &str, before: &Value, patch: &Value) -> Outcome {
        let scale = at.sub.as_deref() == Some("scale");
        let seen = if scale { scale_of(before) } else { before.clone() };
        let mut after = seen.clone();
        if patch.is_array() {
            let ops: json_patch::Patch =
                serde_json::from_value(patch.clone()).map_err(|e| no(400, e.to_string()))?;
            json_patch::patch(&mut after, &ops).map_err(|e| no(422, e.to_string()))?;
        } else {
            json_patch::merge(&mut after, patch);
        }
        for field in ["uid", "resourceVersion"] {
            if after["metadata"][field] != seen["metadata"][field] {
                return Err(no(
                    409,
                    format!(
                        "the object has been modified; please apply your changes to the latest version ({field})"
                    ),
                ));
            }
        }
        let mut object = before.clone();
        match at.sub.as_deref() {
            Some("scale") => object["spec"][number_of(before)] = after["spec"]["replicas"].clone(),
            Some("status") => object["status"] = after["status"].clone(),
            _ => {
                after["status"] = before["status"].clone();
                if after["status"].is_null() {
                    after.as_object_mut().unwrap().remove("status");
                }
                object = after.clone();
            }
        }
        if !asked.dry_run {
            self.accepted(asked, path);
            object = self.settle(path, before, object, scale);
        }
        if scale {
            let replicas = &object["spec"][number_of(before)];
            return Ok(
                json!({"kind": "Scale", "metadata": after["metadata"], "spec": {"replicas": replicas}}),
            );
        }
        Ok(object)
    }

    fn delete(&mut self, asked: &Asked, path: &str, object: &Value, options: &Value) -> Outcome {
        for field in ["uid", "resourceVersion"] {
            let wanted = options.pointer(&format!("/preconditions/{field}"));
            if wanted.is_some_and(|w| *w != object["metadata"][field]) {
                return Err(no(409, format!("Precondition failed: {field}")));
            }
        }
        if !asked.dry_run {
            self.accepted(asked, path);
            self.take(path);
        }
        Ok(object.clone())
    }
}

/// Where a kind keeps its number of replicas (`specReplicasPath`).
fn number_of(object: &Value) -> &'static str {
    let elsewhere = object["kind"] == "Cluster";
    if elsewhere { "instances" } else { "replicas" }
}

fn scale_of(object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": object["spec"][number_of(object)]},
        "metadata": {"name": metadata["name"], "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}})
}
