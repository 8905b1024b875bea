//! What a deleted object, whatever it is, may own by an owner reference alone.
//!
//! A namespace may hold thousands of objects of these kinds, of which few are owned by what goes. So their metadata is read
//! after everything else ([`Need::Owned`]), what has owners is held [aside](Graph::aside), and only what goes is read itself.

use std::collections::{BTreeSet, HashMap};

use super::graph::{Graph, Key};
use super::needs::Need;
use super::walk::{Touch, Walked};
use super::{MAX_DEPTH, MAX_OBJECTS};

/// Kinds that are looked at. ReplicaSets and pods are found by selectors.
pub(super) const BESIDE: &[(&str, &str)] = &[
    ("", "ConfigMap"),
    ("", "Secret"),
    ("", "Service"),
    ("", "ServiceAccount"),
    ("", "PersistentVolumeClaim"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("policy", "PodDisruptionBudget"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "NetworkPolicy"),
];

/// The lists of a namespace that something is deleted from.
pub(super) fn lists(namespace: &str) -> impl Iterator<Item = Need> {
    BESIDE.iter().map(|(group, kind)| Need::Owned {
        group: (*group).to_owned(),
        kind: (*kind).to_owned(),
        namespace: namespace.to_owned(),
    })
}

/// What is held aside and goes with what is removed, or with what goes with that, as far as it was not read yet.
pub(super) fn going(graph: &Graph, walked: &Walked) -> BTreeSet<Key> {
    let mut found = BTreeSet::new();
    if graph.aside.is_empty() {
        return found;
    }
    let mut owned: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, node) in graph.aside.iter().enumerate() {
        for owner in node.owners.iter().filter(|o| !o.uid.is_empty()) {
            owned.entry(&owner.uid).or_default().push(at);
        }
    }
    let gone = graph.nodes().iter().enumerate();
    let gone = gone.filter(|(at, _)| walked.touch(*at) == Some(Touch::Gone));
    let mut level: Vec<&str> = gone.map(|(_, n)| n.uid.as_str()).collect();
    // No further than a walk follows, and no more than it reaches; of either one more, so that it says that there is more.
    for _ in 0..=MAX_DEPTH {
        let mut next = vec![];
        // Each owner is looked up once, so that a circle ends.
        for at in level.iter().filter_map(|uid| owned.remove(uid)).flatten() {
            let Some(node) = graph.aside.get(at) else { continue };
            next.push(node.uid.as_str());
            if found.len() <= MAX_OBJECTS && graph.place(&node.key).is_none() {
                found.insert(node.key.clone());
            }
        }
        level = next;
    }
    found
}

#[cfg(test)]
#[path = "beside_tests.rs"]
mod tests;
