//! Which reads a plan needs, given what is known so far. The shell asks again after each round until nothing is new, so
//! a label on a ConfigMap costs nothing and a deleted Deployment a handful of lists of its own namespace.
//!
//! **Invariant:** no list of all namespaces unless a target is cluster-scoped; of the cluster's pods a number at most.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kubechat_crds::GROUP;
use kubechat_crds::command_plan::Effect;
use kubechat_crds::intent::Action;

use super::graph::{Facts, Graph, Key, Node};
use super::impact::{Loss, needs_target};
use super::managed::sets_replicas;
use super::radius::radius;
use super::walk::{Touch, Walked};
use super::{Question, beside};

/// One read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// One object; that there is none is no gap.
    Get(Key),
    /// Objects of a kind.
    List {
        /// API group.
        group: String,
        /// Kind.
        kind: String,
        /// `None` is all namespaces, or a cluster-scoped kind.
        namespace: Option<String>,
        /// Label selector.
        labels: Option<String>,
        /// Field selector.
        fields: Option<String>,
    },
    /// As a list, of the objects that match the selector of a step.
    Matches {
        /// API group.
        group: String,
        /// Kind.
        kind: String,
        /// Namespace.
        namespace: Option<String>,
        /// Label selector; `None` is all.
        labels: Option<String>,
    },
    /// Of the objects of a kind those that have owners, by their metadata. Read after everything else, and held aside.
    Owned {
        /// API group.
        group: String,
        /// Kind.
        kind: String,
        /// Namespace.
        namespace: String,
    },
    /// Objects of every kind of a namespace but KubeChat's own.
    Everything(String),
    /// How many nodes there are.
    CountNodes,
    /// How many pods the cluster has.
    CountPods,
}

/// Kinds of Kubernetes' own that take along no more than what [`beside`] looks for.
const LEAVES: &[(&str, &str)] = &[
    ("", "Service"),
    ("", "ConfigMap"),
    ("", "Secret"),
    ("", "ServiceAccount"),
    ("", "PersistentVolumeClaim"),
    ("", "PersistentVolume"),
    ("", "Namespace"),
    ("", "Node"),
    ("", "ResourceQuota"),
    ("", "LimitRange"),
    ("", "Endpoints"),
    ("", "Event"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("policy", "PodDisruptionBudget"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("networking.k8s.io", "Ingress"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("storage.k8s.io", "StorageClass"),
    ("coordination.k8s.io", "Lease"),
];

/// Kinds by which objects of somebody else's kind (an operator's) commonly run pods.
const OWNED: &[(&str, &str)] = &[
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("", "Pod"),
    ("", "Service"),
    ("", "ConfigMap"),
    ("", "Secret"),
    ("", "PersistentVolumeClaim"),
];

/// KubeChat's own kinds in namespaces. They go with their namespace, and with nothing else.
const OWN: &[&str] = &["Approval", "ChatRequest", "ChatSession", "CommandPlan"];

const GATEWAY: &str = "gateway.networking.k8s.io";

/// Every read that the plan needs as far as is known. What was read already is in it too.
#[must_use]
pub fn wanted(question: &Question<'_>, graph: &Graph, walked: &Walked) -> BTreeSet<Need> {
    let mut all = BTreeSet::new();
    targets(question, graph, &mut all);
    let mut lost_in: BTreeSet<(Option<&str>, bool)> = BTreeSet::new();
    for (at, node) in graph.nodes().iter().enumerate() {
        let Some(touch) = walked.touch(at).filter(|t| *t > Touch::Still) else {
            continue;
        };
        around(node, touch, &mut all);
        if matches!(node.facts, Facts::Service(_)) {
            let namespace = node.key.namespace.as_deref();
            all.insert(list("networking.k8s.io", "Ingress", namespace));
            all.insert(list(GATEWAY, "HTTPRoute", namespace));
            if touch == Touch::Gone {
                granted(namespace, graph, &mut all);
            }
        }
        if touch > Touch::Seen && (node.is_pod() || matches!(node.facts, Facts::Workload { .. })) {
            lost_in.insert((node.key.namespace.as_deref(), touch == Touch::Gone));
        }
    }
    // A rollout that takes no pod away leaves every Service and budget as it is.
    let rolls = walked.losses.values().all(|l| *l == Loss::AtMost(0)) && !walked.losses.is_empty();
    for (namespace, gone) in lost_in {
        if rolls && !gone {
            continue;
        }
        all.insert(list("", "Service", namespace));
        all.insert(list("policy", "PodDisruptionBudget", namespace));
        if gone {
            all.insert(list("networking.k8s.io", "NetworkPolicy", namespace));
        }
    }
    rescues(question, graph, walked, &mut all);
    all.extend(beside::going(graph, walked).into_iter().map(Need::Get));
    subsume(&mut all);
    all
}

/// The targets themselves, what scales them, what matches their selector, and the whole they are a share of.
fn targets(question: &Question<'_>, graph: &Graph, all: &mut BTreeSet<Need>) {
    for step in question.steps.iter().filter(|s| s.effect != Effect::Create) {
        for (at, target) in step.targets.iter().enumerate() {
            let key = Key::of(target);
            if needs_target(step) && graph.place(&key).is_none() {
                all.insert(Need::Get(key.clone()));
            }
            if sets_replicas(step, at) {
                all.insert(list(
                    "autoscaling",
                    "HorizontalPodAutoscaler",
                    key.namespace.as_deref(),
                ));
            }
            if key.is("", "Node") && !question.again {
                all.insert(Need::CountNodes);
            }
            // Not of what is evicted: a drain reaches into every namespace.
            if step.effect == Effect::Delete && step.subresource.is_none() {
                all.extend(key.namespace.as_deref().into_iter().flat_map(beside::lists));
            }
        }
        let (Some(selector), Some(first)) = (&step.selector, step.targets.first()) else {
            continue;
        };
        // What is as wanted already matches too and is no target: so the plan counts all that match, and what matches by
        // execution is measured by that. The selector of a drain is that of its nodes.
        let drains = step.action == Action::Evict && step.params.from.is_some();
        let (group, kind, namespace) = if drains {
            (String::new(), "Node".to_owned(), None)
        } else {
            (first.group.clone(), first.kind.clone(), first.namespace.clone())
        };
        all.insert(Need::Matches {
            group,
            kind,
            namespace,
            labels: Some(selector.clone()).filter(|s| s != "*"),
        });
    }
}

/// What one touched object asks for.
fn around(node: &Node, touch: Touch, all: &mut BTreeSet<Need>) {
    let namespace = node.key.namespace.as_deref();
    match &node.facts {
        Facts::Workload {
            selector, claims_go, ..
        } => {
            if touch >= Touch::Lossy {
                workload(node, selector.as_ref(), touch, all);
                if *claims_go {
                    all.insert(list("", "PersistentVolumeClaim", namespace));
                }
            }
            if touch == Touch::Gone {
                all.insert(list("autoscaling", "HorizontalPodAutoscaler", namespace));
            }
        }
        Facts::Pod { claims, .. } => {
            if touch == Touch::Gone && !claims.is_empty() {
                all.insert(list("", "PersistentVolumeClaim", namespace));
            }
            if touch == Touch::Moved {
                all.insert(list("apps", "ReplicaSet", namespace));
                all.insert(list("apps", "StatefulSet", namespace));
                all.insert(list("apps", "DaemonSet", namespace));
            }
        }
        Facts::Service(selector) => {
            if touch == Touch::Gone {
                all.extend(pods_of(namespace, selector.as_ref()));
            }
        }
        Facts::Budget { selector, .. } if touch == Touch::Gone => {
            all.extend(pods_of(namespace, selector.as_ref()));
        }
        Facts::Policy(selector) if touch == Touch::Gone => {
            all.extend(pods_of(namespace, selector.as_ref()));
        }
        Facts::Claim(volume) if touch >= Touch::Lossy => {
            all.extend(
                volume
                    .as_ref()
                    .map(|name| Need::Get(Key::new("", "PersistentVolume", None, name))),
            );
            all.insert(list("", "Pod", namespace));
        }
        Facts::Volume {
            claim: Some((namespace, name)),
            ..
        } if touch >= Touch::Lossy => {
            all.insert(Need::Get(Key::new(
                "",
                "PersistentVolumeClaim",
                Some(namespace),
                name,
            )));
        }
        Facts::Autoscaler { kind, name } if touch == Touch::Gone => {
            let group = if kind == "ReplicationController" {
                ""
            } else {
                "apps"
            };
            all.insert(Need::Get(Key::new(group, kind, namespace, name)));
        }
        Facts::Definition { group, kind } if touch == Touch::Gone => {
            all.insert(list(group, kind, None));
        }
        Facts::Plain if touch == Touch::Gone => plain(node, all),
        // Somebody else's kind that is scaled: its pods are not known by any selector.
        Facts::Plain if touch == Touch::Lossy => owned(namespace, all),
        Facts::Plain
        | Facts::Budget { .. }
        | Facts::Policy(_)
        | Facts::Claim(_)
        | Facts::Volume { .. }
        | Facts::Autoscaler { .. }
        | Facts::Definition { .. }
        | Facts::Grant(_)
        | Facts::Route(_) => {}
    }
}

/// Routes of other namespaces, for Services that are left with nothing. They lead here only where a ReferenceGrant beside the
/// Services lets them, so no more namespaces are read than these name.
fn granted(namespace: Option<&str>, graph: &Graph, all: &mut BTreeSet<Need>) {
    all.insert(list(GATEWAY, "ReferenceGrant", namespace));
    let here = graph
        .nodes()
        .iter()
        .filter(|n| n.key.namespace.as_deref() == namespace);
    for node in here {
        if let Facts::Grant(from) = &node.facts {
            all.extend(from.iter().map(|other| list(GATEWAY, "HTTPRoute", Some(other))));
        }
    }
}

/// What a workload owns: by its selector where it has one.
fn workload(node: &Node, selector: Option<&LabelSelector>, touch: Touch, all: &mut BTreeSet<Need>) {
    let namespace = node.key.namespace.as_deref();
    if node.key.is("batch", "CronJob") {
        all.insert(list("batch", "Job", namespace));
        return;
    }
    let Some(selector) = selector else {
        // Somebody else's kind, or a workload that says nothing of its pods.
        if touch == Touch::Gone {
            anything(namespace, all);
        } else {
            owned(namespace, all);
        }
        return;
    };
    if node.key.is("apps", "Deployment") {
        all.insert(labelled("apps", "ReplicaSet", namespace, text(selector)));
    }
    all.insert(labelled("", "Pod", namespace, text(selector)));
}

fn plain(node: &Node, all: &mut BTreeSet<Need>) {
    let kind = (node.key.group.as_str(), node.key.kind.as_str());
    let namespace = node.key.namespace.as_deref();
    match kind {
        ("", "Namespace") => {
            all.insert(Need::Everything(node.key.name.clone()));
            all.extend(OWN.iter().map(|kind| list(GROUP, kind, Some(&node.key.name))));
        }
        ("", "Node") => {
            all.insert(Need::List {
                group: String::new(),
                kind: "Pod".to_owned(),
                namespace: None,
                labels: None,
                fields: Some(format!("spec.nodeName={}", node.key.name)),
            });
            all.insert(list("", "Service", None));
            all.insert(list("policy", "PodDisruptionBudget", None));
        }
        ("", "ConfigMap" | "Secret" | "ServiceAccount") => {
            all.insert(list("", "Pod", namespace));
        }
        _ if LEAVES.contains(&kind) => {}
        _ => anything(namespace, all),
    }
}

/// What a kind of somebody else's takes along may be of any kind, and own objects of further kinds. Of one that belongs to
/// no namespace that would be the whole cluster, which is not read: [`unseen`] says so.
fn anything(namespace: Option<&str>, all: &mut BTreeSet<Need>) {
    all.extend(namespace.map(|n| Need::Everything(n.to_owned())));
}

/// What a removed object may take along that is not looked for, in words.
pub(super) fn unseen(node: &Node) -> Option<String> {
    let (group, kind) = (node.key.group.as_str(), node.key.kind.as_str());
    let foreign = !group.is_empty() && group.contains('.') && !group.ends_with(".k8s.io");
    let known = !matches!(node.facts, Facts::Plain | Facts::Workload { .. });
    if node.key.namespace.is_some() || !foreign || known || LEAVES.contains(&(group, kind)) {
        return None;
    }
    let label = node.key.label("");
    Some(format!(
        "what {label} owns: it belongs to no namespace, so that may stand in any"
    ))
}

fn owned(namespace: Option<&str>, all: &mut BTreeSet<Need>) {
    if namespace.is_some() {
        all.extend(OWNED.iter().map(|(group, kind)| list(group, kind, namespace)));
    }
}

/// Services that would be left with nothing as far as is known: other pods behind them may save them. And the whole that
/// lost pods are a share of.
fn rescues(question: &Question<'_>, graph: &Graph, walked: &Walked, all: &mut BTreeSet<Need>) {
    let known = radius(question, graph, walked);
    for path in &known.services_at_zero {
        let Some((namespace, name)) = path.split_once('/') else {
            continue;
        };
        if let Some(Node {
            facts: Facts::Service(selector),
            ..
        }) = graph.get(&Key::new("", "Service", Some(namespace), name))
        {
            all.extend(pods_of(Some(namespace), selector.as_ref()));
            granted(Some(namespace), graph, all);
        }
    }
    if known.pods_lost > 0 {
        all.insert(Need::CountPods);
    }
}

fn pods_of(namespace: Option<&str>, selector: Option<&LabelSelector>) -> Option<Need> {
    Some(labelled("", "Pod", namespace, text(selector?)))
}

fn list(group: &str, kind: &str, namespace: Option<&str>) -> Need {
    labelled(group, kind, namespace, None)
}

fn labelled(group: &str, kind: &str, namespace: Option<&str>, labels: Option<String>) -> Need {
    Need::List {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        labels,
        fields: None,
    }
}

/// A selector in the API server's syntax; `None` selects everything. An operator that is not known is left out, which
/// selects more.
#[must_use]
pub fn text(selector: &LabelSelector) -> Option<String> {
    let equal = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(k, v)| format!("{k}={v}"));
    let others = selector.match_expressions.iter().flatten().filter_map(|e| {
        let values = e.values.clone().unwrap_or_default().join(",");
        match e.operator.as_str() {
            "In" => Some(format!("{} in ({values})", e.key)),
            "NotIn" => Some(format!("{} notin ({values})", e.key)),
            "Exists" => Some(e.key.clone()),
            "DoesNotExist" => Some(format!("!{}", e.key)),
            _ => None,
        }
    });
    let all: Vec<String> = equal.chain(others).collect();
    (!all.is_empty()).then(|| all.join(","))
}

/// Leaves out what a wider read of the same kind brings along. Of two that bring the same (a selector written in another
/// order), the first stays.
fn subsume(all: &mut BTreeSet<Need>) {
    let wide = all.clone();
    let stands_for =
        |other: &Need, need: &Need| covers(other, need) && (other < need || !covers(need, other));
    all.retain(|need| !wide.iter().any(|other| other != need && stands_for(other, need)));
}

/// Whether one read brings everything that another one would.
fn covers(wide: &Need, narrow: &Need) -> bool {
    match (wide, narrow) {
        (
            Need::List {
                group,
                kind,
                namespace,
                labels,
                fields: None,
            },
            Need::List {
                group: g,
                kind: k,
                namespace: n,
                labels: l,
                ..
            },
        ) => {
            group == g
                && kind == k
                && (namespace.is_none() || namespace == n)
                && parts(labels.as_deref()).is_subset(&parts(l.as_deref()))
        }
        // It is a part of the whole list.
        (
            wide,
            Need::Owned {
                group,
                kind,
                namespace,
            },
        ) => covers(wide, &list(group, kind, Some(namespace))),
        (
            Need::Everything(namespace),
            Need::List {
                namespace: n, group, ..
            },
        ) => n.as_ref() == Some(namespace) && group != GROUP,
        _ => false,
    }
}

/// The requirements of a selector; one with sets stands as a whole.
fn parts(labels: Option<&str>) -> BTreeSet<&str> {
    let labels = labels.into_iter();
    labels
        .flat_map(|l| l.split(if l.contains('(') { '\n' } else { ',' }))
        .collect()
}

#[cfg(test)]
#[path = "needs_tests.rs"]
mod tests;
