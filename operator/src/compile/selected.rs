//! Which selectors read a label that a step changes: Services, PodDisruptionBudgets, NetworkPolicies, ReplicaSets.

use std::collections::BTreeMap;

use kubechat_core::plan::{Draft, object, selector};
use kubechat_crds::intent::Action;
use serde_json::Value;

use super::{Stop, Turn};
use crate::cluster::objects::{Objects, Query};

/// Kinds whose selectors read labels of pods, and where the selector stands.
const READERS: &[(&str, &str, &str)] = &[
    ("", "Service", "/spec/selector"),
    ("policy", "PodDisruptionBudget", "/spec/selector"),
    ("networking.k8s.io", "NetworkPolicy", "/spec/podSelector"),
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
    let mut found = vec![];
    for (group, name, pointer) in READERS {
        let Some(kind) = turn.kinds.known(group, name) else {
            continue;
        };
        let namespace = step.targets.first().and_then(|t| t.namespace.as_deref());
        let api = Objects::new(&turn.person, kind, namespace);
        let list = match api.list(&Query::default()).await {
            Ok(list) if list.metadata.continue_.is_empty() => list,
            Ok(_) => {
                found.push(format!("unreadable: more than one page of {}", kind.resource));
                continue;
            }
            Err(error) if error.status().is_some_and(|s| s.code == 403) => {
                found.push(format!("unreadable: {}", kind.resource));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for item in &list.items {
            let reads = |before: &Value| {
                let labels = labels(before);
                let after = changed(&labels, draft);
                item.pointer(pointer)
                    .is_some_and(|s| selector::reads_key(s, &keys, &labels, &after))
            };
            if draft.before.iter().any(reads) && found.len() < 50 {
                found.push(format!("{}/{}", name.to_lowercase(), object::name(item)));
            }
        }
    }
    found.truncate(50);
    Ok(found)
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let map = object
        .pointer("/metadata/labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    map.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect()
}

fn changed(labels: &BTreeMap<String, String>, draft: &Draft) -> BTreeMap<String, String> {
    let mut after = labels.clone();
    after.extend(draft.step.params.set.clone());
    for key in &draft.step.params.remove {
        after.remove(key);
    }
    after
}
