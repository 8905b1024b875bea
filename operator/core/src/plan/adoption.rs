//! What a new workload takes over that is there already, and the labels that its pods will have.

use std::collections::BTreeMap;

use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::intent::Action;
use serde_json::Value;

use super::{Draft, object, selector};
use crate::risk;

/// The label by which the pods of a ReplicaSet of a Deployment are told from those of its other ones.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// Objects of a kind that a new workload may take over: those to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// API group; empty for core.
    pub group: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Label selector as the API server takes it; none for all.
    pub labels: Option<String>,
}

/// The object that a step makes: the manifest in full, inline or beside it. `None` for a step that makes none, and for one that
/// makes again what a plan deleted.
#[must_use]
pub fn made(draft: &Draft) -> Option<Value> {
    let step = &draft.step;
    if step.effect != Effect::Create || step.action == Action::Recreate {
        return None;
    }
    let beside = |digest: &String| draft.sidecars.iter().find(|s| s.digest == *digest);
    // What nobody can read says nothing here, and is judged as what it may be (`risk`).
    match &step.manifest_digest {
        Some(digest) => serde_json::from_slice(&beside(digest)?.bytes).ok(),
        None => serde_json::from_str(step.manifest.as_deref()?).ok(),
    }
}

/// The labels of the pods that a new object makes, by its manifest and by what the API server made of it.
#[must_use]
pub fn template_labels(draft: &Draft, target: &Target) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let new = draft.step.effect == Effect::Create && draft.step.action != Action::Recreate;
    let Some(at) = object::pod_spec_pointer(&target.kind).filter(|_| new) else {
        return labels;
    };
    let pointer = format!("{}/metadata/labels", at.strip_suffix("/spec").unwrap_or(at));
    let shown = draft.step.diff.iter().filter_map(|line| {
        let text = line.after.as_deref()?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
        Some(risk::nested(&line.path, value))
    });
    for object in made(draft).into_iter().chain(shown) {
        let found = object.pointer(&pointer).and_then(Value::as_object);
        for (key, value) in found.into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            labels.insert(key.clone(), text);
        }
    }
    labels
}

/// What to look at to know what a new object takes over. A Deployment takes over ReplicaSets, and through them pods; a
/// StatefulSet pods and claims that are called like its own. What takes over by its kind alone is not looked at: it is
/// destructive whatever there is.
#[must_use]
pub fn looks(target: &Target, manifest: &Value) -> Vec<Look> {
    let labels = manifest.pointer("/spec/selector").and_then(selector_text);
    let look = |group, kind, labels| Look { group, kind, labels };
    match (target.group.as_str(), target.kind.as_str()) {
        ("apps", "Deployment") => vec![
            look("apps", "ReplicaSet", labels.clone()),
            look("", "Pod", labels),
        ],
        ("apps", "StatefulSet") => {
            let claims = manifest
                .pointer("/spec/volumeClaimTemplates")
                .and_then(Value::as_array);
            let mut all = vec![look("", "Pod", labels)];
            if claims.is_some_and(|claims| !claims.is_empty()) {
                all.push(look("", "PersistentVolumeClaim", None));
            }
            all
        }
        _ => vec![],
    }
}

/// Whether a new object takes over this one.
#[must_use]
pub fn takes(target: &Target, manifest: &Value, kind: &str, found: &Value) -> bool {
    let ordinal = |prefix: &str| {
        let rest = object::name(found).strip_prefix(prefix);
        rest.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    if kind == "PersistentVolumeClaim" {
        let claims = manifest
            .pointer("/spec/volumeClaimTemplates")
            .and_then(Value::as_array);
        let names = claims.into_iter().flatten().map(object::name);
        return names
            .into_iter()
            .any(|claim| ordinal(&format!("{claim}-{}-", target.name)));
    }
    let labels: BTreeMap<String, String> = found
        .pointer("/metadata/labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let selects = manifest
        .pointer("/spec/selector")
        .is_none_or(|s| selector::selects(s, &labels));
    let own = match (target.kind.as_str(), kind) {
        ("Deployment", "Pod") => labels.contains_key(TEMPLATE_HASH),
        ("StatefulSet", _) => ordinal(&format!("{}-", target.name)),
        _ => true,
    };
    object::controller(found).is_none() && selects && own
}

/// A label selector as the API server takes it; `None` where it is empty, or holds what is not known.
fn selector_text(selector: &Value) -> Option<String> {
    let mut parts = vec![];
    for (key, value) in selector
        .get("matchLabels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        parts.push(format!("{key}={}", value.as_str()?));
    }
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for expression in expressions.into_iter().flatten() {
        let key = expression.get("key")?.as_str()?;
        let values = expression.get("values").and_then(Value::as_array);
        let values: Option<Vec<&str>> = values.into_iter().flatten().map(Value::as_str).collect();
        let values = values?.join(",");
        parts.push(match expression.get("operator")?.as_str()? {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

#[cfg(test)]
#[path = "adoption_tests.rs"]
mod tests;
