//! What the API server does alone: the writes of one recorded turn, repeated on a plain kind of the same size.
//!
//! The plain kind has no webhook, no schema beyond "an object", no rules, no printer columns, and nobody watches it
//! but the API server's own controllers. It is written as admin, whom priority and fairness never queues and who needs no
//! role. So everything that KubeChat's kinds cost beyond the bytes counts against KubeChat.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use futures::stream::{SelectAll, select_all};
use http::Request;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams, WatchEvent};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::turns::Asker;
use crate::apply::Applier;

const GROUP: &str = "bench.example.com";
const PLURAL: &str = "plains";
const KIND: &str = "Plain";
/// Kinds of KubeChat that a turn writes.
const WRITTEN: [&str; 3] = ["chatrequests", "commandplans", "approvals"];
/// A turn is over when nothing of it was written for so long.
const QUIET: Duration = Duration::from_secs(2);

/// One write of a turn. Objects are numbered in the order in which they were created.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Write {
    /// A create with this spec.
    Create(Value),
    /// A merge patch of an object's status.
    Status(usize, Value),
    /// A merge patch of an object's label: stands for the write on the turn's target.
    Label(usize),
}

type Events = SelectAll<futures::stream::BoxStream<'static, kube::Result<WatchEvent<Value>>>>;

/// Has one turn done and writes down what was written for it.
pub(super) async fn record(
    admin: &Client,
    asker: &Asker,
    namespace: &str,
    name: &str,
    prompt: &str,
) -> Result<Vec<Write>> {
    let mut events = watch_all(admin, namespace).await?;
    asker.turn(name, prompt).await?;
    let mut versions = Vec::new();
    while let Ok(event) = timeout(QUIET, events.next()).await {
        match event.context("a watch of a turn's writes ended")?? {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => versions.push(object),
            WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
        }
    }
    let writes = writes(&versions);
    let creates = writes
        .iter()
        .filter(|write| matches!(write, Write::Create(_)))
        .count();
    ensure!(
        creates == WRITTEN.len(),
        "a turn created {creates} objects; nothing else may be asked meanwhile"
    );
    Ok(writes)
}

async fn watch_all(admin: &Client, namespace: &str) -> Result<Events> {
    let mut streams = Vec::new();
    for plural in WRITTEN {
        let path = format!("/apis/kubechat.io/v1beta1/namespaces/{namespace}/{plural}");
        let listed: Value = admin
            .request(Request::get(format!("{path}?limit=1")).body(Vec::new())?)
            .await?;
        let version = listed["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let request = Request::get(format!("{path}?watch=true&resourceVersion={version}")).body(Vec::new())?;
        streams.push(admin.request_events::<Value>(request).await?.boxed());
    }
    Ok(select_all(streams))
}

/// The writes that lead through these versions of objects, and the one on the target. Metadata-only versions count as a
/// status write without change.
fn writes(versions: &[Value]) -> Vec<Write> {
    let mut known: HashMap<&str, (usize, &Value)> = HashMap::new();
    let mut writes = Vec::new();
    for version in versions {
        let uid = version["metadata"]["uid"].as_str().unwrap_or_default();
        let status = &version["status"];
        let count = known.len();
        match known.get_mut(uid) {
            None => {
                known.insert(uid, (count, status));
                writes.push(Write::Create(version["spec"].clone()));
            }
            Some((number, before)) => {
                writes.push(Write::Status(*number, merge_patch(before, status)));
                *before = status;
            }
        }
    }
    if !known.is_empty() {
        writes.push(Write::Label(0));
    }
    writes
}

/// The JSON merge patch (RFC 7386) from one value to another; values that are no objects are replaced.
fn merge_patch(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return new.clone();
    };
    let gone = old
        .keys()
        .filter(|key| !new.contains_key(*key))
        .map(|key| (key.clone(), Value::Null));
    let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(*value));
    let changed = changed.map(|(key, value)| {
        (
            key.clone(),
            merge_patch(old.get(key).unwrap_or(&Value::Null), value),
        )
    });
    Value::Object(gone.chain(changed).collect::<Map<String, Value>>())
}

/// Writes recorded turns to the plain kind.
#[derive(Debug)]
pub(super) struct RawWriter {
    api: Api<DynamicObject>,
    resource: ApiResource,
    writes: Vec<Write>,
}

impl RawWriter {
    /// Makes the plain kind and waits until it is served.
    pub(super) async fn new(admin: &Client, namespace: &str, writes: Vec<Write>) -> Result<Self> {
        Applier::new(admin.clone()).apply_all(&[definition()]).await?;
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1", KIND), PLURAL);
        Ok(Self {
            api: Api::namespaced_with(admin.clone(), namespace, &resource),
            resource,
            writes,
        })
    }

    /// Writes of one turn.
    pub(super) fn writes_per_turn(&self) -> usize {
        self.writes.len()
    }

    /// Bytes of JSON in the bodies of one turn.
    pub(super) fn bytes_per_turn(&self) -> usize {
        let body = |write: &Write| match write {
            Write::Create(body) | Write::Status(_, body) => body.to_string().len(),
            Write::Label(_) => 0,
        };
        self.writes.iter().map(body).sum()
    }

    /// The writes of one turn, one after the other. `name` must be new.
    pub(super) async fn turn(&self, name: &str) -> Result<()> {
        let mut created = 0;
        for write in &self.writes {
            let object = |number: usize| format!("{name}-{number}");
            let patched = match write {
                Write::Create(spec) => {
                    let new =
                        DynamicObject::new(&object(created), &self.resource).data(json!({"spec": spec}));
                    created += 1;
                    self.api.create(&PostParams::default(), &new).await
                }
                Write::Status(number, status) => {
                    let patch = Patch::Merge(json!({"status": status}));
                    self.api
                        .patch_status(&object(*number), &PatchParams::default(), &patch)
                        .await
                }
                Write::Label(number) => {
                    let patch = Patch::Merge(json!({"metadata": {"labels": {"bench": name}}}));
                    self.api
                        .patch(&object(*number), &PatchParams::default(), &patch)
                        .await
                }
            };
            let written = patched.with_context(|| format!("a raw write of {name} failed"))?;
            ensure!(
                written.resource_version().is_some(),
                "a raw write of {name} was not kept"
            );
        }
        Ok(())
    }
}

fn definition() -> Value {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{PLURAL}.{GROUP}")},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": KIND, "plural": PLURAL, "singular": "plain", "listKind": "PlainList"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": anything},
            }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_holds_only_what_changed() {
        let cases = [
            (
                json!({"a": 1, "b": {"c": 1, "d": 2}}),
                json!({"a": 1, "b": {"c": 3, "d": 2}}),
                json!({"b": {"c": 3}}),
            ),
            (json!({"a": 1}), json!({}), json!({"a": null})),
            (json!({"a": [1]}), json!({"a": [1, 2]}), json!({"a": [1, 2]})),
            (Value::Null, json!({"a": {"b": 1}}), json!({"a": {"b": 1}})),
            (json!({"a": 1}), json!({"a": 1}), json!({})),
        ];
        for (old, new, patch) in cases {
            assert_eq!(merge_patch(&old, &new), patch, "{old} -> {new}");
        }
    }

    #[test]
    fn versions_become_the_writes_that_made_them() {
        let version = |uid: &str, spec: u32, status: Value| json!({"metadata": {"uid": uid}, "spec": spec, "status": status});
        let versions = [
            version("r", 1, Value::Null),
            version("p", 2, Value::Null),
            version("p", 2, json!({"phase": "A"})),
            version("r", 1, json!({"phase": "B"})),
            version("p", 2, json!({"phase": "A", "more": 1})),
        ];
        let expected = [
            Write::Create(json!(1)),
            Write::Create(json!(2)),
            Write::Status(1, json!({"phase": "A"})),
            Write::Status(0, json!({"phase": "B"})),
            Write::Status(1, json!({"more": 1})),
            Write::Label(0),
        ];
        assert_eq!(writes(&versions), expected);
        assert!(writes(&[]).is_empty());
    }
}
