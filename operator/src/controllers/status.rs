//! Writing status: only what changed, as a merge patch.
//!
//! **Invariant:** this is the only writer, and whatever a status begins to refuse or hold back is told here by an Event and
//! a metric with the same reason. So no refusal stays silent, whichever controller decided it. No secret that the API server
//! or a cluster put into a message gets into a status, whichever controller copied it.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use kubechat_core::reason;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;
use crate::events::Events;
use crate::leader::Leadership;
use crate::metrics::Metrics;

/// What our kinds must be to have their status written.
pub trait Reported: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug {}
impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug> Reported for K {}

/// What came of writing a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// There was nothing to change.
    Unchanged,
    /// It stands; the version of the object after it.
    Stands(Option<String>),
    /// There is no such object any more.
    Gone,
}

/// Who reports.
pub trait Reports: Sync {
    /// His own rights.
    fn client(&self) -> &Client;
    /// Whether he still leads.
    fn leadership(&self) -> &Leadership;
    /// Where refusals are told.
    fn told(&self) -> (&Events, &Metrics);
}

impl Reports for Context {
    fn client(&self) -> &Client {
        &self.client
    }

    fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    fn told(&self) -> (&Events, &Metrics) {
        (&self.events, &self.metrics)
    }
}

impl<R: Reports + Send> Reports for Arc<R> {
    fn client(&self) -> &Client {
        self.as_ref().client()
    }

    fn leadership(&self) -> &Leadership {
        self.as_ref().leadership()
    }

    fn told(&self) -> (&Events, &Metrics) {
        self.as_ref().told()
    }
}

/// Writes the difference between two statuses of a namespaced object; nothing when there is none.
///
/// # Errors
/// What the API server said.
pub async fn write<K, S>(ctx: &impl Reports, object: &K, old: Option<&S>, new: &S) -> Result<(), Error>
where
    K: Reported + Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    S: Serialize,
{
    let api: Api<K> = Api::namespaced(ctx.client().clone(), &object.namespace().unwrap_or_default());
    patch(ctx, &api, object, old, new, false).await.map(drop)
}

/// As [`write`]; says whether the object is still there. To be asked only with a status that differs.
///
/// # Errors
/// What the API server said.
pub async fn write_if_there<K, S>(
    ctx: &impl Reports,
    object: &K,
    old: Option<&S>,
    new: &S,
) -> Result<bool, Error>
where
    K: Reported + Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    S: Serialize,
{
    let api: Api<K> = Api::namespaced(ctx.client().clone(), &object.namespace().unwrap_or_default());
    let written = patch(ctx, &api, object, old, new, false).await?;
    Ok(matches!(written, Written::Stands(_)))
}

/// As [`write`], but only onto the very version of the object that was looked at: what was decided on an older cache, or
/// by a leader whose request was late, must not overwrite a newer status.
///
/// # Errors
/// A conflict when the object has moved on; what the API server said.
pub async fn write_onto<K, S>(
    ctx: &impl Reports,
    object: &K,
    old: Option<&S>,
    new: &S,
) -> Result<Written, Error>
where
    K: Reported + Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    S: Serialize,
{
    let api: Api<K> = Api::namespaced(ctx.client().clone(), &object.namespace().unwrap_or_default());
    patch(ctx, &api, object, old, new, true).await
}

/// As [`write`], for cluster-scoped objects.
///
/// # Errors
/// What the API server said.
pub async fn write_cluster<K, S>(
    ctx: &impl Reports,
    object: &K,
    old: Option<&S>,
    new: &S,
) -> Result<(), Error>
where
    K: Reported + Resource<Scope = k8s_openapi::ClusterResourceScope>,
    S: Serialize,
{
    let api = Api::all(ctx.client().clone());
    patch(ctx, &api, object, old, new, false).await.map(drop)
}

/// As [`write_onto`], for cluster-scoped objects.
///
/// # Errors
/// A conflict when the object has moved on; what the API server said.
pub async fn write_cluster_onto<K, S>(
    ctx: &impl Reports,
    object: &K,
    old: Option<&S>,
    new: &S,
) -> Result<(), Error>
where
    K: Reported + Resource<Scope = k8s_openapi::ClusterResourceScope>,
    S: Serialize,
{
    let api = Api::all(ctx.client().clone());
    patch(ctx, &api, object, old, new, true).await.map(drop)
}

async fn patch<K: Reported, S: Serialize>(
    ctx: &impl Reports,
    api: &Api<K>,
    object: &K,
    old: Option<&S>,
    new: &S,
    onto: bool,
) -> Result<Written, Error> {
    let old = old
        .map(serde_json::to_value)
        .transpose()?
        .unwrap_or_else(|| json!({}));
    let mut new = serde_json::to_value(new)?;
    redact(&mut new);
    let Some(change) = difference(&old, &new) else {
        return Ok(Written::Unchanged);
    };
    // Another leader's report must not be overwritten by one that lost the lease meanwhile.
    ctx.leadership().check()?;
    // The UID keeps a status from landing on an object that was created again under the name.
    let mut metadata = json!({ "uid": object.uid() });
    if onto {
        metadata["resourceVersion"] = json!(object.resource_version());
    }
    let written = match send(api, object, &metadata, &change).await {
        // A status that the schema refuses must not hide the end of the object: its core is written alone.
        Err(error) if error.status().is_some_and(|s| s.code == 422) => {
            let core = core_of(&change);
            // Nothing written is not written.
            if core.as_object().is_none_or(Map::is_empty) {
                return Err(error);
            }
            tracing::error!(object = %object.name_any(), problem = %error, "a status was refused; only its core is written");
            send(api, object, &metadata, &core).await?
        }
        written => written?,
    };
    if matches!(written, Written::Stands(_)) {
        let (events, metrics) = ctx.told();
        tell(events, metrics, &object.object_ref(&()), (&old, &new));
    }
    Ok(written)
}

/// Takes secrets out of what conditions say: the API server's words stand in many of them.
fn redact(status: &mut Value) {
    let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        if let Some(Value::String(message)) = condition.get_mut("message") {
            *message = kubechat_core::redact::shown(message);
        }
    }
}

/// Event and metric of each refusal that the new status gives and the old one did not.
fn tell(events: &Events, metrics: &Metrics, about: &ObjectReference, (old, new): (&Value, &Value)) {
    let before = refusals(old);
    for (reason, message) in refusals(new) {
        if !before.contains_key(reason) {
            metrics.refused(about.kind.as_deref().unwrap_or_default(), reason);
            events.tell(about.clone(), true, reason, message);
        }
    }
}

/// The reasons in a status that refuse or hold back, with the longest message of each.
fn refusals(status: &Value) -> BTreeMap<&str, &str> {
    let mut found: BTreeMap<&str, &str> = BTreeMap::new();
    let conditions = status["conditions"].as_array().map(Vec::as_slice);
    for condition in conditions.unwrap_or_default() {
        let (reason, message) = (condition["reason"].as_str(), condition["message"].as_str());
        if let Some(reason) = reason.filter(|reason| reason::is_refusal(reason)) {
            let said = found.entry(reason).or_default();
            *said = message.filter(|m| m.len() > said.len()).unwrap_or(said);
        }
    }
    found
}

async fn send<K: Reported>(
    api: &Api<K>,
    object: &K,
    metadata: &Value,
    change: &Value,
) -> Result<Written, Error> {
    let body = json!({ "metadata": metadata, "status": change });
    let params = PatchParams {
        field_manager: Some(kubechat_crds::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match call(
        "write status",
        api.patch_status(&object.name_any(), &params, &Patch::Merge(body)),
    )
    .await
    {
        Ok(written) => Ok(Written::Stands(written.resource_version())),
        Err(error) if error.is_not_found() => Ok(Written::Gone),
        Err(error) => Err(error),
    }
}

/// The part of a status that programs and people cannot do without.
fn core_of(change: &Value) -> Value {
    let keep = [
        "observedGeneration",
        "phase",
        "conditions",
        "planRef",
        "startTime",
        "completionTime",
    ];
    let fields = change.as_object().into_iter().flatten();
    Value::Object(
        fields
            .filter(|(k, _)| keep.contains(&k.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
    )
}

/// The JSON merge patch (RFC 7386) that turns `old` into `new`; `None` when they are equal.
fn difference(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(a), Value::Object(b)) = (old, new) else {
        return Some(new.clone());
    };
    let mut patch = Map::new();
    for (key, value) in b {
        match a.get(key) {
            Some(before) => {
                if let Some(change) = difference(before, value) {
                    patch.insert(key.clone(), change);
                }
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in a.keys().filter(|k| !b.contains_key(*k)) {
        patch.insert(key.clone(), Value::Null);
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod told;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_condition_holds_a_secret_and_what_people_need_stays() {
        let digest = format!("sha256:{}", "0a1b2c3d".repeat(8));
        let waits = format!(
            "waits for one approval: kubectl create -f - <<E\nspec:\n  planRef: {{name: web-0a1b2c3d}}\n  planDigest: {digest}\nE"
        );
        let refused = format!(
            "denied: password=Tr0ub4dor&3x in {}",
            "ghp_Zx8Kq2LmW9vTr4Yp6BnD1sGf7HjC3uEa5Xo0"
        );
        let mut status = json!({"conditions": [{"message": waits}, {"message": refused}, {"type": "Ready"}]});
        redact(&mut status);
        assert_eq!(status["conditions"][0]["message"], json!(waits));
        let said = status["conditions"][1]["message"].as_str().unwrap();
        assert!(
            said.starts_with("denied: ") && said.contains("[REDACTED:"),
            "{said}"
        );
        assert!(!said.contains("Tr0ub4dor") && !said.contains("ghp_"), "{said}");
        let once = status.clone();
        redact(&mut status);
        assert_eq!(status, once, "what was taken out once is not written again");
    }

    #[test]
    fn an_unchanged_status_is_not_written_and_a_changed_one_only_where_it_changed() {
        let old = json!({"a": 1, "b": {"c": 1, "d": 2}, "gone": 1, "list": [1]});
        assert_eq!(difference(&old, &old), None);
        let new = json!({"a": 1, "b": {"c": 3, "d": 2}, "list": [1, 2], "added": {"x": 1}});
        assert_eq!(
            difference(&old, &new).unwrap(),
            json!({"b": {"c": 3}, "gone": null, "list": [1, 2], "added": {"x": 1}})
        );
    }
}
