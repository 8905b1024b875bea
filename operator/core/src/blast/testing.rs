//! Clusters and plans made up for tests.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kubechat_crds::Step;
use kubechat_crds::command_plan::{DiffLine, Effect, Target};
use kubechat_crds::intent::{Action, IntentParams};
use proptest::collection::vec;
use proptest::prelude::*;

use super::graph::{Facts, Graph, Key, Node, Owner};
use crate::plan::blank;

pub(crate) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

pub(crate) fn by(pairs: &[(&str, &str)]) -> Option<LabelSelector> {
    Some(LabelSelector {
        match_labels: Some(labels(pairs)),
        match_expressions: None,
    })
}

/// An object in namespace `demo` with labels `app=web`, UID `kind/name`.
pub(crate) fn object(group: &str, kind: &str, name: &str, facts: Facts) -> Node {
    Node {
        key: Key::new(group, kind, Some("demo"), name),
        uid: format!("{kind}/{name}"),
        labels: labels(&[("app", "web")]),
        facts,
        ..Node::default()
    }
}

/// The same without a namespace.
pub(crate) fn wide(group: &str, kind: &str, name: &str, facts: Facts) -> Node {
    let mut node = object(group, kind, name, facts);
    node.key.namespace = None;
    node
}

pub(crate) fn owned_by(mut node: Node, owner: &Node) -> Node {
    node.owners.push(Owner {
        uid: owner.uid.clone(),
        kind: owner.key.kind.clone(),
        name: owner.key.name.clone(),
        controller: true,
    });
    node
}

pub(crate) fn pod_facts(ready: bool) -> Facts {
    Facts::Pod {
        ready,
        node: None,
        claims: BTreeSet::new(),
        config_maps: BTreeSet::new(),
        secrets: BTreeSet::new(),
        account: "default".to_owned(),
    }
}

pub(crate) fn pod(name: &str) -> Node {
    object("", "Pod", name, pod_facts(true))
}

pub(crate) fn workload(kind: &str, name: &str, replicas: i64, at_once: Option<i64>) -> Node {
    let facts = Facts::Workload {
        replicas,
        selector: by(&[("app", "web")]),
        at_once,
        claims_go: false,
    };
    object("apps", kind, name, facts)
}

/// Deployment `web`, its ReplicaSet and so many ready pods.
pub(crate) fn deployment(replicas: i64) -> Vec<Node> {
    let top = workload("Deployment", "web", replicas, Some(0));
    let set = owned_by(workload("ReplicaSet", "web-1", replicas, Some(0)), &top);
    let pods = (0..replicas).map(|i| owned_by(pod(&format!("web-1-{i}")), &set));
    let pods: Vec<Node> = pods.collect();
    [vec![top, set], pods].concat()
}

pub(crate) fn graph(nodes: impl IntoIterator<Item = Node>) -> Graph {
    let mut graph = Graph::default();
    nodes.into_iter().for_each(|node| graph.add(node));
    graph
}

pub(crate) fn target(key: &Key) -> Target {
    Target {
        group: key.group.clone(),
        version: "v1".to_owned(),
        kind: key.kind.clone(),
        resource: format!("{}s", key.kind.to_lowercase()),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: Some("u".to_owned()),
        ..Target::default()
    }
}

pub(crate) fn step(action: Action, keys: &[Key]) -> Step {
    let effect = match action {
        Action::Delete => Effect::Delete,
        Action::CreateNamespace => Effect::Create,
        _ => Effect::Update,
    };
    let mut step = blank(
        action,
        effect,
        keys.iter().map(target).collect(),
        IntentParams::default(),
    );
    if action == Action::Scale {
        step.subresource = Some("scale".to_owned());
    }
    step
}

pub(crate) fn scale(key: &Key, replicas: i32) -> Step {
    let mut step = step(Action::Scale, std::slice::from_ref(key));
    step.params.replicas = Some(replicas);
    step
}

const KINDS: &[(&str, &str)] = &[
    ("", "Pod"),
    ("", "Pod"),
    ("", "Pod"),
    ("", "Pod"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("", "Service"),
    ("policy", "PodDisruptionBudget"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("networking.k8s.io", "Ingress"),
    ("gateway.networking.k8s.io", "HTTPRoute"),
    ("gateway.networking.k8s.io", "ReferenceGrant"),
    ("", "PersistentVolumeClaim"),
    ("", "PersistentVolume"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("", "ConfigMap"),
    ("", "Secret"),
    ("", "ServiceAccount"),
    ("", "Node"),
    ("", "Namespace"),
    ("example.org", "Widget"),
];

fn name() -> impl Strategy<Value = String> {
    (0..4_u8).prop_map(|n| format!("o{n}"))
}

fn some_labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let one = (
        prop::sample::select(vec!["app", "tier"]),
        prop::sample::select(vec!["a", "b"]),
    );
    vec(one, 0..3).prop_map(|pairs| labels(&pairs))
}

fn some_selector() -> impl Strategy<Value = Option<LabelSelector>> {
    let operators = prop::sample::select(vec!["In", "NotIn", "Exists", "DoesNotExist"]);
    let expression = (operators, prop::sample::select(vec!["app", "tier"])).prop_map(|(operator, key)| {
        LabelSelectorRequirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: operator.ends_with("In").then(|| vec!["a".to_owned()]),
        }
    });
    let selector = (some_labels(), vec(expression, 0..2)).prop_map(|(labels, expressions)| LabelSelector {
        match_labels: Some(labels),
        match_expressions: Some(expressions),
    });
    prop::option::weighted(0.9, selector)
}

fn some_facts(group: &'static str, kind: &'static str) -> BoxedStrategy<Facts> {
    let names = || vec(name(), 0..2).prop_map(|n| n.into_iter().collect::<BTreeSet<_>>());
    match kind {
        "Pod" => (
            any::<bool>(),
            prop::option::of(name()),
            names(),
            names(),
            names(),
            name(),
        )
            .prop_map(
                |(ready, node, claims, config_maps, secrets, account)| Facts::Pod {
                    ready,
                    node,
                    claims,
                    config_maps,
                    secrets,
                    account,
                },
            )
            .boxed(),
        "Deployment" | "ReplicaSet" | "StatefulSet" => (
            0..4_i64,
            some_selector(),
            prop::option::of(0..3_i64),
            any::<bool>(),
        )
            .prop_map(|(replicas, selector, at_once, claims_go)| Facts::Workload {
                replicas,
                selector,
                at_once,
                claims_go,
            })
            .boxed(),
        "Service" => some_selector().prop_map(Facts::Service).boxed(),
        "PodDisruptionBudget" => (some_selector(), 0..3_i64)
            .prop_map(|(selector, allowed)| Facts::Budget { selector, allowed })
            .boxed(),
        "NetworkPolicy" => some_selector().prop_map(Facts::Policy).boxed(),
        "ReferenceGrant" => vec(prop::sample::select(vec!["a", "b"]), 0..2)
            .prop_map(|from| Facts::Grant(from.into_iter().map(str::to_owned).collect()))
            .boxed(),
        "Ingress" | "HTTPRoute" => vec((prop::sample::select(vec!["a", "b"]), name()), 0..3)
            .prop_map(|all| Facts::Route(all.into_iter().map(|(ns, n)| (ns.to_owned(), n)).collect()))
            .boxed(),
        "PersistentVolumeClaim" => prop::option::of(name()).prop_map(Facts::Claim).boxed(),
        "PersistentVolume" => (prop::option::of((Just("a".to_owned()), name())), any::<bool>())
            .prop_map(|(claim, goes)| Facts::Volume { claim, goes })
            .boxed(),
        "HorizontalPodAutoscaler" => (prop::sample::select(vec!["Deployment", "StatefulSet"]), name())
            .prop_map(|(kind, name)| Facts::Autoscaler {
                kind: kind.to_owned(),
                name,
            })
            .boxed(),
        "CustomResourceDefinition" => Just(Facts::Definition {
            group: "example.org".to_owned(),
            kind: "Widget".to_owned(),
        })
        .boxed(),
        _ => {
            let _ = group;
            Just(Facts::Plain).boxed()
        }
    }
}

fn some_node() -> impl Strategy<Value = Node> {
    let namespace = prop::sample::select(vec!["a", "a", "a", "b", "o0"]);
    // Mostly the object before, so that there are chains; sometimes one behind, so that there are circles.
    let owner = prop::sample::select(vec!["-1", "-1", "-1", "-2", "-3", "1", "99"]);
    prop::sample::select(KINDS.to_vec()).prop_flat_map(move |(group, kind)| {
        let parts = (
            some_facts(group, kind),
            name(),
            namespace.clone(),
            some_labels(),
            vec(owner.clone(), 0..3),
            vec(
                prop::sample::select(vec!["Helm release a", "Flux Kustomization b"]),
                0..2,
            ),
        );
        parts.prop_map(move |(facts, name, namespace, labels, owners, managers)| {
            let everywhere = matches!(
                kind,
                "Node" | "Namespace" | "PersistentVolume" | "CustomResourceDefinition"
            );
            let owner = |uid: &str| Owner {
                uid: uid.to_owned(),
                kind: "Owner".to_owned(),
                name: format!("of{uid}"),
                controller: uid == "-1",
            };
            Node {
                key: Key::new(group, kind, (!everywhere).then_some(namespace), &name),
                labels,
                owners: owners.into_iter().map(owner).collect(),
                managers: managers.into_iter().map(str::to_owned).collect(),
                facts,
                ..Node::default()
            }
        })
    })
}

/// What a step may change, and the line that stands for what is not shown.
const PATHS: &[&str] = &[
    "/spec/replicas",
    "/spec/paused",
    "(2 more changed fields are not shown)",
];

fn some_step(keys: Vec<Key>) -> impl Strategy<Value = Step> {
    let actions = vec![
        Action::Delete,
        Action::Delete,
        Action::Scale,
        Action::Restart,
        Action::SetImage,
        Action::Label,
        Action::Annotate,
        Action::Cordon,
        Action::CreateNamespace,
    ];
    let parts = (
        prop::sample::select(actions),
        vec(prop::sample::select(keys), 1..4),
        0..4_i32,
        some_labels(),
        any::<bool>(),
        vec((0..3_i32, prop::sample::select(PATHS.to_vec())), 0..2),
    );
    parts.prop_map(|(action, keys, replicas, set, read, changed)| {
        let mut step = step(action, &keys);
        step.params.replicas = Some(replicas);
        step.params.set = set;
        let line = |(target, path): (i32, &str)| DiffLine {
            target,
            path: path.to_owned(),
            before: None,
            after: None,
        };
        step.diff = changed.into_iter().map(line).collect();
        if read {
            step.selected_by = vec!["service/x".to_owned()];
        }
        step
    })
}

/// A cluster with chains and circles of owners, and a plan over some of its objects (and one that was not read).
pub(crate) fn cluster_and_plan() -> impl Strategy<Value = (Graph, Vec<Step>)> {
    let totals = (
        prop::option::of(0..9_i64),
        prop::option::of(0..9_i64),
        any::<bool>(),
    );
    let parts = (vec(some_node(), 1..40), totals, prop::bool::weighted(0.2));
    parts.prop_flat_map(|(mut nodes, (nodes_total, pods_total, gap), chain)| {
        for (at, node) in nodes.iter_mut().enumerate() {
            node.uid = format!("u{at}");
            if chain {
                node.owners.push(Owner {
                    uid: "-1".to_owned(),
                    ..Owner::default()
                });
            }
            for owner in &mut node.owners {
                let distance: i64 = owner.uid.parse().unwrap_or(0);
                owner.uid = format!("u{}", i64::try_from(at).unwrap_or(0) + distance);
            }
        }
        let mut graph = graph(nodes);
        graph.nodes_total = nodes_total;
        graph.pods_total = pods_total;
        if gap {
            graph.missing.insert("pods in a: refused".to_owned());
        }
        if let Some(node) = graph.nodes().last().filter(|_| gap) {
            graph.matched = BTreeSet::from([node.key.clone()]);
        }
        let mut keys: Vec<Key> = graph.nodes().iter().map(|n| n.key.clone()).collect();
        keys.push(Key::new("apps", "Deployment", Some("a"), "unread"));
        let steps = vec(some_step(keys), 1..4);
        (Just(graph), steps)
    })
}
