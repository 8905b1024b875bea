//! Whether enough is read: a made-up cluster answers what is asked for and nothing else, and what hangs on a deleted object
//! by owner references, or on a deleted Service by routes, must be among it. Which kinds those are is written here as the
//! documentation says it.

use std::collections::BTreeSet;

use kubechat_crds::Step;
use kubechat_crds::command_plan::Effect;
use kubechat_crds::intent::Action;
use proptest::prelude::*;

use super::graph::{Facts, Graph, Key, Node};
use super::testing::{cluster_and_plan, object, step};
use super::walk::{Touch, walk};
use super::{Need, Question, wanted};

/// Kinds that are looked at for owners, whatever is deleted.
const LOOKED_AT: &str = "ConfigMap Secret PersistentVolumeClaim Service Deployment StatefulSet ServiceAccount \
                         PodDisruptionBudget HorizontalPodAutoscaler Ingress NetworkPolicy";

fn question(steps: &[Step]) -> Question<'_> {
    Question {
        steps,
        namespace: "a",
        again: false,
    }
}

/// One requirement of a selector, in the API server's syntax. Sets hold one value here.
fn meets(node: &Node, requirement: &str) -> bool {
    let one = |key: &str, value: &str| node.labels.get(key).is_some_and(|v| v == value);
    let set = |words: &str| words.trim_matches(['(', ')']).to_owned();
    match requirement.split(' ').collect::<Vec<_>>().as_slice() {
        [key, "in", values] => one(key, &set(values)),
        [key, "notin", values] => !one(key, &set(values)),
        [pair] if pair.contains('=') => pair.split_once('=').is_some_and(|(k, v)| one(k, v)),
        [key] => match key.strip_prefix('!') {
            Some(key) => !node.labels.contains_key(key),
            None => node.labels.contains_key(*key),
        },
        _ => panic!("{requirement}"),
    }
}

/// Whether an API server's answer holds an object.
fn brings(need: &Need, node: &Node) -> bool {
    let fits = |group: &str, kind: &str, namespace: &Option<String>, labels: &Option<String>| {
        node.key.is(group, kind)
            && (namespace.is_none() || *namespace == node.key.namespace)
            && labels.iter().flat_map(|l| l.split(',')).all(|r| meets(node, r))
    };
    match need {
        Need::Get(key) => node.key == *key,
        Need::List {
            group,
            kind,
            namespace,
            labels,
            ..
        }
        | Need::Matches {
            group,
            kind,
            namespace,
            labels,
        } => fits(group, kind, namespace, labels),
        Need::Everything(namespace) => node.key.namespace.as_ref() == Some(namespace),
        Need::Owned { .. } | Need::CountNodes | Need::CountPods => false,
    }
}

/// What a list of metadata tells of an object, where it tells anything.
fn metadata(need: &Need, node: &Node) -> Option<Node> {
    let Need::Owned {
        group,
        kind,
        namespace,
    } = need
    else {
        return None;
    };
    let listed = node.key.is(group, kind) && node.key.namespace.as_ref() == Some(namespace);
    (listed && !node.owners.is_empty()).then(|| Node {
        key: node.key.clone(),
        uid: node.uid.clone(),
        owners: node.owners.clone(),
        ..Node::default()
    })
}

/// What is known once nothing more is asked for.
fn read(steps: &[Step], cluster: &Graph) -> Graph {
    let mut known = Graph::default();
    let targets: BTreeSet<Key> = steps.iter().flat_map(|s| &s.targets).map(Key::of).collect();
    for node in cluster.nodes().iter().filter(|n| targets.contains(&n.key)) {
        known.add(node.clone());
    }
    let question = question(steps);
    let mut asked = BTreeSet::new();
    loop {
        let all = wanted(&question, &known, &walk(&question, &known));
        if all.is_subset(&asked) {
            return known;
        }
        for node in cluster.nodes() {
            if all.iter().any(|need| brings(need, node)) {
                known.add(node.clone());
            }
        }
        let aside = all.iter().filter(|need| !asked.contains(*need));
        let aside = aside.flat_map(|need| cluster.nodes().iter().filter_map(|n| metadata(need, n)));
        known.aside.extend(aside);
        asked.extend(all);
    }
}

/// What goes with the targets by owner references alone, as far as it is looked at, six edges away at most.
fn goes(steps: &[Step], cluster: &Graph) -> BTreeSet<Key> {
    let targets: BTreeSet<Key> = steps.iter().flat_map(|s| &s.targets).map(Key::of).collect();
    let mut gone = targets.clone();
    for _ in 0..6 {
        let uids: Vec<(&String, &Option<String>)> = cluster
            .nodes()
            .iter()
            .filter(|n| gone.contains(&n.key) && n.key.namespace.is_some())
            .map(|n| (&n.uid, &n.key.namespace))
            .collect();
        let more = cluster.nodes().iter().filter(|n| {
            LOOKED_AT.split_whitespace().any(|kind| n.key.kind == kind)
                && n.owners
                    .iter()
                    .any(|o| uids.contains(&(&o.uid, &n.key.namespace)))
        });
        let more: Vec<Key> = more.map(|n| n.key.clone()).collect();
        gone.extend(more);
    }
    gone.retain(|key| cluster.get(key).is_some());
    gone
}

/// Routes that lead to a deleted Service: of its namespace, or of one that a grant beside it names.
fn routes(steps: &[Step], cluster: &Graph) -> BTreeSet<Key> {
    let mut found = BTreeSet::new();
    for target in steps
        .iter()
        .flat_map(|s| &s.targets)
        .filter(|t| t.kind == "Service")
    {
        let Some(home) = &target.namespace else { continue };
        if cluster.get(&Key::of(target)).is_none() {
            continue;
        }
        for node in cluster.nodes() {
            let (Facts::Route(to), Some(place)) = (&node.facts, &node.key.namespace) else {
                continue;
            };
            let granted = cluster.nodes().iter().any(|n| {
                matches!(&n.facts, Facts::Grant(from) if n.key.namespace.as_ref() == Some(home) && from.contains(place))
            });
            let leads = to.contains(&(home.clone(), target.name.clone()));
            if leads && (place == home || granted && node.key.kind == "HTTPRoute") {
                found.insert(node.key.clone());
            }
        }
    }
    found
}

/// A Service that is deleted, a route of another namespace that leads to it, and a grant that lets it or not.
fn door(home: &str, from: &str) -> ([Node; 3], Step) {
    let gateway = "gateway.networking.k8s.io";
    let at = |namespace: &str, group: &str, kind: &str, facts: Facts| {
        let mut node = object(group, kind, "door", facts);
        node.key.namespace = Some(namespace.to_owned());
        node
    };
    let service = at("a", "", "Service", Facts::Service(None));
    let to = Facts::Route([("a".to_owned(), "door".to_owned())].into());
    let grant = Facts::Grant([from.to_owned()].into());
    let delete = step(Action::Delete, std::slice::from_ref(&service.key));
    let route = at("b", gateway, "HTTPRoute", to);
    (
        [service, route, at(home, gateway, "ReferenceGrant", grant)],
        delete,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn what_goes_with_a_deleted_object_or_leads_to_it_is_read(
        (mut cluster, mut steps) in cluster_and_plan(),
        home in prop::sample::select(vec!["a", "b"]),
        from in prop::sample::select(vec!["a", "b"]),
    ) {
        steps.retain(|s| s.effect == Effect::Delete);
        let (nodes, delete) = door(home, from);
        nodes.into_iter().for_each(|node| cluster.add(node));
        steps.push(delete);
        let known = read(&steps, &cluster);
        let walked = walk(&question(&steps), &known);
        let touch = |key: &Key| known.place(key).and_then(|at| walked.touch(at));
        for key in goes(&steps, &cluster) {
            prop_assert_eq!(touch(&key), Some(Touch::Gone), "{:?}", key);
        }
        for key in routes(&steps, &cluster) {
            prop_assert!(touch(&key).is_some(), "{:?}", key);
        }
    }
}
