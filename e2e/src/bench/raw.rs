//! What the API server does alone: the writes of one recorded turn, repeated on kinds that nothing of KubeChat looks at.
//!
//! The kinds are copies of KubeChat's own in another group: the same objects of the same types and sizes, but no rules (CEL),
//! no defaults beyond the status, no printer columns, no webhook, no admission policy, and no controller that watches them. A
//! second set has no schema at all. They are written as admin, whom priority and fairness never queues and who needs no role.
//! So whatever KubeChat's kinds cost beyond storing their objects counts against KubeChat.

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

/// Kinds of KubeChat that a turn writes.
const WRITTEN: [(&str, &str); 3] = [
    ("ChatRequest", "chatrequests"),
    ("CommandPlan", "commandplans"),
    ("Approval", "approvals"),
];
const VERSION: &str = "v1";
/// A turn is over when nothing of it was written for so long.
const QUIET: Duration = Duration::from_secs(2);

/// One write of a turn. Objects are numbered in the order in which they were created.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Write {
    /// A create of this kind with this spec.
    Create(String, Value),
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
        .filter(|write| matches!(write, Write::Create(..)))
        .count();
    ensure!(
        creates == WRITTEN.len(),
        "a turn created {creates} objects; nothing else may be asked meanwhile"
    );
    Ok(writes)
}

async fn watch_all(admin: &Client, namespace: &str) -> Result<Events> {
    let mut streams = Vec::new();
    for (_, plural) in WRITTEN {
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
                let kind = version["kind"].as_str().unwrap_or_default().to_owned();
                writes.push(Write::Create(kind, version["spec"].clone()));
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

/// What the API server knows of the copied kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// The types of their fields.
    Types,
    /// Nothing.
    Anything,
}

impl Schema {
    const fn group(self) -> &'static str {
        match self {
            Self::Types => "types.example.com",
            Self::Anything => "anything.example.com",
        }
    }
}

/// Repeats the writes of a recorded turn on copied kinds.
#[derive(Debug)]
pub(super) struct RawWriter {
    writes: Vec<Write>,
    /// Of each object, in the order in which they are created.
    kinds: Vec<(Api<DynamicObject>, ApiResource)>,
}

impl RawWriter {
    /// Makes the kinds and waits until they are served.
    pub(super) async fn new(
        admin: &Client,
        namespace: &str,
        writes: Vec<Write>,
        schema: Schema,
    ) -> Result<Self> {
        Applier::new(admin.clone())
            .apply_all(&definitions(schema)?)
            .await?;
        let kind_of = |write: &Write| match write {
            Write::Create(kind, _) => Some(kind.clone()),
            Write::Status(..) | Write::Label(_) => None,
        };
        let api_of = |kind: String| {
            let (_, plural) = WRITTEN
                .into_iter()
                .find(|(known, _)| *known == kind)
                .with_context(|| format!("a turn wrote a {kind}"))?;
            let resource = ApiResource::from_gvk_with_plural(
                &GroupVersionKind::gvk(schema.group(), VERSION, &kind),
                plural,
            );
            Ok((
                Api::namespaced_with(admin.clone(), namespace, &resource),
                resource,
            ))
        };
        let kinds = writes
            .iter()
            .filter_map(kind_of)
            .map(api_of)
            .collect::<Result<_>>()?;
        Ok(Self { writes, kinds })
    }

    /// Writes of one turn.
    pub(super) fn writes_per_turn(&self) -> usize {
        self.writes.len()
    }

    /// Bytes of JSON in the bodies of one turn.
    pub(super) fn bytes_per_turn(&self) -> usize {
        let body = |write: &Write| match write {
            Write::Create(_, body) | Write::Status(_, body) => body.to_string().len(),
            Write::Label(_) => 0,
        };
        self.writes.iter().map(body).sum()
    }

    /// The writes of one turn, one after the other. `name` must be new.
    pub(super) async fn turn(&self, name: &str) -> Result<()> {
        let mut created = 0;
        for write in &self.writes {
            let number = match write {
                Write::Create(..) => {
                    created += 1;
                    created - 1
                }
                Write::Status(number, _) | Write::Label(number) => *number,
            };
            let (api, resource) = self
                .kinds
                .get(number)
                .context("a write on an object before its create")?;
            let written = send(api, resource, &format!("{name}-{number}"), write).await;
            let written = written.with_context(|| format!("a raw write of {name} failed"))?;
            ensure!(
                written.resource_version().is_some(),
                "a raw write of {name} was not kept"
            );
        }
        Ok(())
    }
}

async fn send(
    api: &Api<DynamicObject>,
    resource: &ApiResource,
    name: &str,
    write: &Write,
) -> kube::Result<DynamicObject> {
    match write {
        Write::Create(_, spec) => {
            let new = DynamicObject::new(name, resource).data(json!({"spec": spec}));
            api.create(&PostParams::default(), &new).await
        }
        Write::Status(_, status) => {
            let patch = Patch::Merge(json!({"status": status}));
            api.patch_status(name, &PatchParams::default(), &patch).await
        }
        Write::Label(_) => {
            let patch = Patch::Merge(json!({"metadata": {"labels": {"bench": name}}}));
            api.patch(name, &PatchParams::default(), &patch).await
        }
    }
}

/// The copied kinds.
fn definitions(schema: Schema) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for crd in kubechat_crds::install::crds::crds()? {
        let names = &crd.spec.names;
        if !WRITTEN.iter().any(|(kind, _)| *kind == names.kind) {
            continue;
        }
        let mut types = match schema {
            Schema::Types => {
                let version = crd
                    .spec
                    .versions
                    .into_iter()
                    .next()
                    .context("a kind without versions")?;
                serde_json::to_value(version.schema.and_then(|schema| schema.open_api_v3_schema))?
            }
            Schema::Anything => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        };
        drop_rules(&mut types);
        let group = schema.group();
        all.push(json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{}.{group}", names.plural)},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"kind": names.kind, "plural": names.plural, "singular": names.singular, "listKind": names.list_kind},
                "versions": [{
                    "name": VERSION, "served": true, "storage": true, "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": types},
                }],
            },
        }));
    }
    Ok(all)
}

fn drop_rules(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("x-kubernetes-validations");
            fields.values_mut().for_each(drop_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_rules),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
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
        let version = |uid: &str, spec: u32, status: Value| json!({"kind": "K", "metadata": {"uid": uid}, "spec": spec, "status": status});
        let versions = [
            version("r", 1, Value::Null),
            version("p", 2, Value::Null),
            version("p", 2, json!({"phase": "A"})),
            version("r", 1, json!({"phase": "B"})),
            version("p", 2, json!({"phase": "A", "more": 1})),
        ];
        let expected = [
            Write::Create("K".to_owned(), json!(1)),
            Write::Create("K".to_owned(), json!(2)),
            Write::Status(1, json!({"phase": "A"})),
            Write::Status(0, json!({"phase": "B"})),
            Write::Status(1, json!({"more": 1})),
            Write::Label(0),
        ];
        assert_eq!(writes(&versions), expected);
        assert!(writes(&[]).is_empty());
    }

    #[test]
    fn copied_kinds_have_the_types_of_ours_and_no_rules() {
        let typed = definitions(Schema::Types).unwrap();
        assert_eq!(typed.len(), WRITTEN.len());
        for definition in &typed {
            let text = definition.to_string();
            assert!(
                !text.contains("x-kubernetes-validations") && !text.contains("kubechat.io"),
                "{text}"
            );
            assert!(text.contains("maxLength"), "{text}");
        }
        for definition in definitions(Schema::Anything).unwrap() {
            assert!(definition.to_string().contains("preserve-unknown-fields"));
        }
    }
}
