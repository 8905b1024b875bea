//! Which selectors read a label of a pod that a step changes, or gives a new pod, also through the template of a new workload:
//! Services, PodDisruptionBudgets, NetworkPolicies (the pods they are for and their peers, from any namespace); of a pod that
//! nothing controls also ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers and Jobs, which take it over.

use std::collections::BTreeMap;

use kubechat_core::plan::{Draft, KindRef, adoption, object, selector};
use kubechat_crds::Step;
use kubechat_crds::intent::Action;
use serde_json::Value;

use super::{Stop, Turn};
use crate::cluster::objects::{Objects, Query};

type Labels = BTreeMap<String, String>;

/// Objects that are named.
const MAX_FOUND: usize = 50;
/// Kinds whose selectors read labels of pods.
const READERS: &[(&str, &str)] = &[("", "Service"), ("policy", "PodDisruptionBudget")];
/// Kinds that take over pods which nothing controls, by their labels.
const CONTROLLERS: &[(&str, &str)] = &[
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("", "ReplicationController"),
    ("batch", "Job"),
];
/// What is told where a diff is cut, so that labels which the API server gave may be missing in it.
const UNSHOWN: &str = "unreadable: labels, of which the change shows not all";

/// Names of the objects whose selector reads a changed label; what cannot be listed counts as reading it.
pub(super) async fn by(turn: &Turn<'_>, draft: &Draft) -> Result<Vec<String>, Stop> {
    let step = &draft.step;
    let alone = is_pod(draft) && matches!(step.action, Action::Label | Action::Apply);
    let keys = keys(draft);
    let unshown = alone && step.action == Action::Apply && step.diff.iter().any(|l| l.path.starts_with('('));
    if !alone && keys.is_empty() {
        return Ok(vec![]);
    }
    let reads = |selects: &dyn Fn(&Labels, &Labels) -> bool| {
        befores(draft)
            .iter()
            .any(|labels| selects(labels, &changed(labels, draft)))
    };
    let mut found = network_policies(turn, draft, &keys).await?;
    // The pods of a workload have a controller: no other one takes them.
    let controllers = CONTROLLERS.iter().filter(|_| alone);
    found.extend(unshown.then(|| UNSHOWN.to_owned()));
    for (group, name) in READERS.iter().chain(controllers) {
        let Some(kind) = turn.kinds.known(group, name) else {
            continue;
        };
        let namespace = step.targets.first().and_then(|t| t.namespace.as_deref());
        let items = match all(turn, kind, namespace, None).await? {
            Ok(items) => items,
            Err(unreadable) => {
                found.push(unreadable);
                continue;
            }
        };
        for item in &items {
            let selector = item.pointer("/spec/selector");
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
    let items = match all(turn, kind, None, None).await? {
        Ok(items) => items,
        Err(unreadable) => {
            // Those of the pods' own namespace may still be named.
            found.push(format!("{unreadable}{}", selector::ELSEWHERE));
            match all(turn, kind, own, None).await? {
                Ok(items) => items,
                Err(unreadable) => {
                    found.push(unreadable);
                    vec![]
                }
            }
        }
    };
    for item in &items {
        let place = item.pointer("/metadata/namespace").and_then(Value::as_str);
        let same = place == own;
        let reads = |labels: &Labels| {
            selector::network_policy_reads(item, same, keys, labels, &changed(labels, draft))
        };
        if befores(draft).iter().any(reads) && found.len() < MAX_FOUND {
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
pub(super) async fn all(
    turn: &Turn<'_>,
    kind: &KindRef,
    namespace: Option<&str>,
    labels: Option<&str>,
) -> Result<Result<Vec<Value>, String>, Stop> {
    match Objects::new(&turn.person, kind, namespace)
        .list(&Query {
            labels,
            ..Query::default()
        })
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

/// The labels of each target before the step; what a manifest makes has none.
fn befores(draft: &Draft) -> Vec<Labels> {
    if draft.before.is_empty() {
        return vec![Labels::new()];
    }
    draft.before.iter().map(labels).collect()
}

/// Whether a step is about pods themselves.
fn is_pod(draft: &Draft) -> bool {
    let target = draft.step.targets.first();
    target.is_some_and(|t| t.group.is_empty() && t.kind == "Pod")
}

/// The labels that the pods get which a new object makes, or that it has as a pod.
fn made(draft: &Draft) -> Labels {
    match draft.step.targets.first() {
        Some(target) if !is_pod(draft) => adoption::template_labels(draft, target),
        Some(_) => adoption::made(draft).as_ref().map(labels).unwrap_or_default(),
        None => Labels::new(),
    }
}

/// The keys of the labels of pods that a step sets or removes. Of an apply the diff says it, for the API server made it, and
/// of a new pod its manifest too, for the diff is cut.
fn keys(draft: &Draft) -> Vec<String> {
    let step = &draft.step;
    let new = made(draft).into_keys();
    if !is_pod(draft) {
        return new.collect();
    }
    let said = step
        .params
        .set
        .keys()
        .chain(&step.params.remove)
        .cloned()
        .chain(new);
    said.chain(shown(step).map(|(key, _)| key)).collect()
}

/// Labels that the diff of an apply shows, and what they are after it.
fn shown(step: &Step) -> impl Iterator<Item = (String, Option<String>)> {
    let applies = step.action == Action::Apply;
    let lines = step.diff.iter().filter(move |_| applies);
    lines.filter_map(|line| {
        let key = line.path.strip_prefix("/metadata/labels/")?;
        Some((key.replace("~1", "/").replace("~0", "~"), line.after.clone()))
    })
}

fn changed(labels: &Labels, draft: &Draft) -> Labels {
    let mut after = labels.clone();
    after.extend(made(draft));
    if !is_pod(draft) {
        return after;
    }
    after.extend(draft.step.params.set.clone());
    for key in &draft.step.params.remove {
        after.remove(key);
    }
    for (key, value) in shown(&draft.step) {
        match value {
            Some(value) => after.insert(key, value),
            None => after.remove(&key),
        };
    }
    after
}

#[cfg(test)]
#[path = "selected_tests.rs"]
mod tests;
