//! Which selectors read a label that a step changes: Services, PodDisruptionBudgets, NetworkPolicies (the pods they are for
//! and their peers, from any namespace), ReplicaSets.

use std::collections::BTreeMap;

use kubechat_core::plan::{Draft, KindRef, object, selector};
use kubechat_crds::intent::Action;
use serde_json::Value;

use super::{Stop, Turn};
use crate::cluster::objects::{Objects, Query};

type Labels = BTreeMap<String, String>;

/// Objects that are named.
const MAX_FOUND: usize = 50;
/// Kinds whose selectors read labels of pods, and where the selector stands.
const READERS: &[(&str, &str, &str)] = &[
    ("", "Service", "/spec/selector"),
    ("policy", "PodDisruptionBudget", "/spec/selector"),
    ("apps", "ReplicaSet", "/spec/selector"),
    ("apps", "StatefulSet", "/spec/selector"),
    ("apps", "DaemonSet", "/spec/selector"),
];

/// Names of the objects whose selector reads a changed label; what cannot be listed counts as reading it.
pub(super) async fn by(turn: &Turn<'_>, draft: &Draft) -> Result<Vec<String>, Stop> {
    let step = &draft.step;
    let pods = step
        .targets
        .first()
        .is_some_and(|t| t.group.is_empty() && t.kind == "Pod");
    if step.action != Action::Label || !pods {
        return Ok(vec![]);
    }
    let keys: Vec<String> = step
        .params
        .set
        .keys()
        .chain(&step.params.remove)
        .cloned()
        .collect();
    let reads = |selects: &dyn Fn(&Labels, &Labels) -> bool| {
        draft.before.iter().any(|before| {
            let labels = labels(before);
            selects(&labels, &changed(&labels, draft))
        })
    };
    let mut found = network_policies(turn, draft, &keys).await?;
    for (group, name, pointer) in READERS {
        let Some(kind) = turn.kinds.known(group, name) else {
            continue;
        };
        let namespace = step.targets.first().and_then(|t| t.namespace.as_deref());
        let items = match all(turn, kind, namespace).await? {
            Ok(items) => items,
            Err(unreadable) => {
                found.push(unreadable);
                continue;
            }
        };
        for item in &items {
            let selector = item.pointer(pointer);
            if reads(&|before, after| selector.is_some_and(|s| selector::reads_key(s, &keys, before, after)))
                && found.len() < MAX_FOUND
            {
                found.push(format!("{}/{}", name.to_lowercase(), object::name(item)));
            }
        }
    }
    found.truncate(MAX_FOUND);
    Ok(found)
}

/// NetworkPolicies of every namespace: one elsewhere may let these pods in by their labels.
async fn network_policies(turn: &Turn<'_>, draft: &Draft, keys: &[String]) -> Result<Vec<String>, Stop> {
    let Some(kind) = turn.kinds.known("networking.k8s.io", "NetworkPolicy") else {
        return Ok(vec![]);
    };
    let own = draft.step.targets.first().and_then(|t| t.namespace.as_deref());
    let mut found = vec![];
    let items = match all(turn, kind, None).await? {
        Ok(items) => items,
        Err(unreadable) => {
            // Those of the pods' own namespace may still be named.
            found.push(format!("{unreadable} of other namespaces"));
            all(turn, kind, own).await?.unwrap_or_default()
        }
    };
    for item in &items {
        let place = item.pointer("/metadata/namespace").and_then(Value::as_str);
        let same = place == own;
        let reads = |before: &Value| {
            let labels = labels(before);
            selector::network_policy_reads(item, same, keys, &labels, &changed(&labels, draft))
        };
        if draft.before.iter().any(reads) && found.len() < MAX_FOUND {
            let elsewhere = place
                .filter(|_| !same)
                .map(|p| format!(" in {p}"))
                .unwrap_or_default();
            found.push(format!("networkpolicy/{}{elsewhere}", object::name(item)));
        }
    }
    Ok(found)
}

/// All objects of a kind, read as the requester; `Err` says what cannot be read.
async fn all(
    turn: &Turn<'_>,
    kind: &KindRef,
    namespace: Option<&str>,
) -> Result<Result<Vec<Value>, String>, Stop> {
    match Objects::new(&turn.person, kind, namespace)
        .list(&Query::default())
        .await
    {
        Ok(list) if list.metadata.continue_.is_empty() => Ok(Ok(list.items)),
        Ok(_) => Ok(Err(format!(
            "unreadable: more than one page of {}",
            kind.resource
        ))),
        Err(error) if error.status().is_some_and(|s| s.code == 403) => {
            Ok(Err(format!("unreadable: {}", kind.resource)))
        }
        Err(error) => Err(error.into()),
    }
}

fn labels(object: &Value) -> Labels {
    let map = object
        .pointer("/metadata/labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    map.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect()
}

fn changed(labels: &Labels, draft: &Draft) -> Labels {
    let mut after = labels.clone();
    after.extend(draft.step.params.set.clone());
    for key in &draft.step.params.remove {
        after.remove(key);
    }
    after
}

#[cfg(test)]
#[path = "selected_tests.rs"]
mod tests;
