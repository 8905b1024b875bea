//! The blast radius once more, the slow way: every object against every other, over and over. Written from the tables in
//! the documentation and from nothing of the implementation: it shares the data ([`Graph`], [`Touch`]) and no function that
//! finds, counts or names anything.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kubechat_crds::Step;
use kubechat_crds::command_plan::{BlastRadius, Effect, Target};
use kubechat_crds::intent::Action;
use proptest::prelude::*;

use super::graph::{Facts, Graph, Key, Node};
use super::testing::cluster_and_plan;
use super::walk::{Touch, walk};
use super::{Question, radius};

/// As the documentation says, not as the code does.
const DEPTH: usize = 6;

/// A target's object.
fn is(node: &Node, target: &Target) -> bool {
    let key = &node.key;
    (&key.group, &key.kind, &key.namespace, &key.name)
        == (&target.group, &target.kind, &target.namespace, &target.name)
}

fn is_pod(node: &Node) -> bool {
    matches!(node.facts, Facts::Pod { .. })
}

fn path(node: &Node) -> String {
    let namespace = node.key.namespace.iter().map(|n| format!("{n}/"));
    namespace.collect::<String>() + &node.key.name
}

fn picks(selector: &Option<LabelSelector>, pod: &Node) -> bool {
    match selector {
        None => false,
        Some(s) => fits(s, &pod.labels),
    }
}

fn fits(s: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    for (k, v) in s.match_labels.clone().unwrap_or_default() {
        if labels.get(&k) != Some(&v) {
            return false;
        }
    }
    for e in s.match_expressions.clone().unwrap_or_default() {
        let values = e.values.clone().unwrap_or_default();
        let has = labels.get(&e.key).is_some_and(|v| values.contains(v));
        let ok = match e.operator.as_str() {
            "In" => has,
            "NotIn" => !has,
            "Exists" => labels.contains_key(&e.key),
            _ => !labels.contains_key(&e.key),
        };
        if !ok {
            return false;
        }
    }
    true
}

/// Everything that one object does to another.
fn hits(a: &Node, t: Touch, b: &Node) -> Vec<Touch> {
    use Touch::{Gone, Lossy, Moved, Seen, Still};
    let mut out = vec![];
    let owns = b.owners.iter().any(|o| o.uid == a.uid);
    let near = a.key.namespace == b.key.namespace;
    let gone = t == Gone;
    let pod = matches!(b.facts, Facts::Pod { .. });
    let runs = matches!(b.facts, Facts::Workload { .. });
    let core = |kind: &str| a.key.group.is_empty() && a.key.kind == kind;
    if owns && gone {
        out.push(Gone);
    }
    if owns && t == Lossy && (pod || runs || (a.key.kind == "Pod" && b.key.kind == "PersistentVolumeClaim")) {
        out.push(Lossy);
    }
    if gone && core("Namespace") && b.key.namespace.as_ref() == Some(&a.key.name) {
        out.push(Gone);
    }
    if let (true, Facts::Definition { group, kind }) = (gone, &a.facts)
        && b.key.group == *group
        && b.key.kind == *kind
    {
        out.push(Gone);
    }
    if let (true, Facts::Pod { node: Some(n), .. }) = (gone && core("Node"), &b.facts)
        && *n == a.key.name
    {
        out.push(Gone);
    }
    if let (Facts::Pod { claims, .. }, true) = (&a.facts, near) {
        let seen = match &b.facts {
            Facts::Service(s) => picks(s, a) && [Gone, Lossy, Moved].contains(&t),
            Facts::Budget { selector, .. } => picks(selector, a) && [Gone, Lossy, Moved].contains(&t),
            Facts::Policy(s) => picks(s, a) && gone,
            Facts::Workload { selector, .. } => picks(selector, a) && t == Moved,
            Facts::Claim(_) => gone && claims.contains(&b.key.name),
            _ => false,
        };
        if seen {
            out.push(Seen);
        }
    }
    if gone && pod && near {
        let picked = match &a.facts {
            Facts::Service(s) | Facts::Policy(s) => picks(s, b),
            Facts::Budget { selector, .. } => picks(selector, b),
            _ => false,
        };
        if picked {
            out.push(Seen);
        }
    }
    if let (Facts::Service(_), Facts::Route(to)) = (&a.facts, &b.facts)
        && t != Still
        && to.contains(&(a.key.namespace.clone().unwrap(), a.key.name.clone()))
    {
        out.push(Seen);
    }
    if let (Facts::Claim(Some(v)), Facts::Volume { goes, .. }) = (&a.facts, &b.facts)
        && *v == b.key.name
        && [Gone, Lossy].contains(&t)
    {
        out.push(if *goes && gone { Gone } else { Seen });
    }
    if let (
        Facts::Volume {
            claim: Some((ns, n)), ..
        },
        Facts::Claim(_),
    ) = (&a.facts, &b.facts)
        && b.key.namespace.as_ref() == Some(ns)
        && b.key.name == *n
        && [Gone, Lossy].contains(&t)
    {
        out.push(Lossy);
    }
    if let (
        Facts::Pod {
            claims,
            config_maps,
            secrets,
            account,
            ..
        },
        true,
    ) = (&b.facts, near)
    {
        let n = &a.key.name;
        let uses = (core("ConfigMap") && gone && config_maps.contains(n))
            || (core("Secret") && gone && secrets.contains(n))
            || (core("ServiceAccount") && gone && account == n)
            || (core("PersistentVolumeClaim") && [Gone, Lossy].contains(&t) && claims.contains(n));
        if uses {
            out.push(Seen);
        }
    }
    let scales = |hpa: &Node, w: &Node| {
        matches!(&hpa.facts, Facts::Autoscaler { kind, name } if *kind == w.key.kind && *name == w.key.name)
            && matches!(w.facts, Facts::Workload { .. })
    };
    if near && ((scales(b, a) && [Gone, Lossy].contains(&t)) || (scales(a, b) && gone)) {
        out.push(Seen);
    }
    out
}

/// What a step does to a target: the touch, and how a number of ready pods becomes a number of lost ones.
type Start = (Touch, Option<Taking>);
type Taking = Box<dyn Fn(i64) -> i64>;

fn start(step: &Step, node: &Node) -> Option<Start> {
    let scale_from = match &node.facts {
        Facts::Workload { replicas, .. } => Some(*replicas),
        _ => None,
    };
    Some(match (step.effect, step.action) {
        (Effect::Create, _) => return None,
        (Effect::Delete, _) => (Touch::Gone, None),
        (_, Action::Scale) => {
            let to = i64::from(step.params.replicas.unwrap());
            match scale_from {
                Some(from) if to >= from => (Touch::Still, None),
                Some(_) if ["Deployment", "ReplicaSet"].contains(&node.key.kind.as_str()) => {
                    (Touch::Lossy, Some(Box::new(move |ready| (ready - to).max(0))))
                }
                Some(from) => (Touch::Lossy, Some(Box::new(move |ready| ready.min(from - to)))),
                None => (Touch::Lossy, Some(Box::new(|ready| ready))),
            }
        }
        (_, Action::Restart | Action::SetImage) => match &node.facts {
            Facts::Workload { at_once: Some(n), .. } => {
                let n = *n;
                (Touch::Lossy, Some(Box::new(move |ready| ready.min(n))))
            }
            _ => (Touch::Lossy, Some(Box::new(|ready| ready))),
        },
        (_, Action::Label) if !step.selected_by.is_empty() => (Touch::Moved, None),
        _ => (Touch::Still, None),
    })
}

fn brute(steps: &[Step], graph: &Graph, own: &str) -> BlastRadius {
    let nodes = graph.nodes();
    let n = nodes.len();
    // Distance of each (object, touch).
    let mut distance: BTreeMap<(usize, Touch), usize> = BTreeMap::new();
    let mut takes: BTreeMap<usize, Vec<Taking>> = BTreeMap::new();
    for step in steps {
        for target in &step.targets {
            for (i, node) in nodes.iter().enumerate().filter(|(_, x)| is(x, target)) {
                if let Some((touch, lost)) = start(step, node) {
                    distance.insert((i, touch), 0);
                    takes.entry(i).or_default().extend(lost);
                }
            }
        }
    }
    for (i, node) in nodes.iter().enumerate() {
        if graph.matched.contains(&node.key) {
            distance.insert((i, Touch::Still), 0);
        }
    }
    let mut complete = true;
    for round in 0..=DEPTH {
        let now: Vec<(usize, Touch)> = distance
            .iter()
            .filter(|(_, d)| **d == round)
            .map(|(k, _)| *k)
            .collect();
        for (i, touch) in now {
            for j in 0..n {
                for next in hits(&nodes[i], touch, &nodes[j]) {
                    if distance.contains_key(&(j, next)) {
                        continue;
                    }
                    if round == DEPTH {
                        complete = false;
                    } else {
                        distance.insert((j, next), round + 1);
                    }
                }
            }
        }
    }
    let touch = |i: usize| distance.keys().filter(|(j, _)| *j == i).map(|(_, t)| *t).max();
    let is_gone = |i: usize| touch(i) == Some(Touch::Gone);
    let ready = |i: usize| matches!(nodes[i].facts, Facts::Pod { ready: true, .. });
    // Each workload that loses some: pods at most so far below it, and the number.
    let mut some: Vec<(usize, Vec<usize>, i64)> = vec![];
    for (w, lost) in &takes {
        if is_gone(*w) || lost.is_empty() {
            continue;
        }
        let mut below = BTreeSet::from([*w]);
        for _ in 0..DEPTH {
            let more: Vec<usize> = (0..n)
                .filter(|j| {
                    nodes[*j]
                        .owners
                        .iter()
                        .any(|o| below.iter().any(|b| nodes[*b].uid == o.uid))
                })
                .collect();
            below.extend(more);
        }
        let pods: Vec<usize> = below.into_iter().filter(|i| ready(*i) && !is_gone(*i)).collect();
        let count = i64::try_from(pods.len()).unwrap();
        let worst = lost.iter().map(|f| f(i64::MAX / 2)).max().unwrap();
        let worst = lost
            .iter()
            .filter(|f| f(i64::MAX / 2) == worst)
            .map(|f| f(count))
            .max()
            .unwrap();
        some.push((*w, pods, worst));
    }
    let lost_among = |set: &dyn Fn(usize) -> bool| -> i64 {
        let mut sum = 0;
        for i in 0..n {
            if is_gone(i) && ready(i) && set(i) {
                sum += 1;
            }
        }
        for (_, pods, lost) in &some {
            let inside = pods.iter().filter(|i| set(**i)).count();
            sum += (*lost).min(i64::try_from(inside).unwrap());
        }
        sum
    };
    let reached: Vec<usize> = (0..n).filter(|i| touch(*i).is_some()).collect();
    let mut keys: BTreeSet<Key> = reached.iter().map(|i| nodes[*i].key.clone()).collect();
    for step in steps.iter().filter(|s| s.effect != Effect::Create) {
        keys.extend(step.targets.iter().cloned().map(|t| Key {
            group: t.group,
            kind: t.kind,
            namespace: t.namespace,
            name: t.name,
        }));
    }
    let mut found = BlastRadius {
        complete: complete && graph.missing.is_empty(),
        missing: graph.missing.iter().cloned().collect(),
        ..BlastRadius::default()
    };
    if !complete {
        found
            .missing
            .push("more than 6 steps away, or more than 5000 objects".to_owned());
    }
    for key in &keys {
        let kind = if key.group == "example.org" {
            "Widget.example.org"
        } else {
            &key.kind
        };
        *found.objects.entry(kind.to_owned()).or_default() += 1;
        if key.namespace.as_deref().unwrap_or(own) != own {
            found.outside_namespace += 1;
        }
    }
    let pods = reached.iter().filter(|i| is_pod(&nodes[**i]));
    found.pods_total = i64::try_from(pods.count()).unwrap();
    let most = i64::try_from(reached.iter().filter(|i| ready(**i)).count()).unwrap();
    found.pods_lost = lost_among(&|_| true).min(most);
    for i in 0..n {
        let node = &nodes[i];
        let same = |j: usize| nodes[j].key.namespace == node.key.namespace;
        match &node.facts {
            Facts::Service(s @ Some(selector)) if touch(i) > Some(Touch::Still) => {
                let behind = |j: usize| ready(j) && same(j) && picks(s, &nodes[j]);
                let stays = |j: usize| behind(j) && still_fits(steps, &nodes[j], selector);
                let before = (0..n).filter(|j| behind(*j)).count();
                let after = i64::try_from((0..n).filter(|j| stays(*j)).count()).unwrap() - lost_among(&stays);
                if before > 0 && (is_gone(i) || after <= 0) {
                    found.services_at_zero.push(path(node));
                }
            }
            Facts::Budget { selector, allowed } if touch(i) > Some(Touch::Still) && !is_gone(i) => {
                let lost = lost_among(&|j| same(j) && picks(selector, &nodes[j]));
                if lost > *allowed {
                    found.pdbs_violated.push(path(node));
                }
                let rest = (allowed - lost).max(0);
                found.pdb_headroom = Some(found.pdb_headroom.map_or(rest, |h| h.min(rest)));
            }
            Facts::Claim(volume) if touch(i) >= Some(Touch::Lossy) => {
                found.pvcs.push(path(node));
                let kept = |v: &Node| matches!(v.facts, Facts::Volume { goes: false, .. });
                if let Some(name) = volume
                    && !nodes.iter().any(|v| v.key.name == *name && kept(v))
                {
                    found.unrecoverable_volumes.push(path(node));
                }
            }
            Facts::Workload { replicas: 1, .. } => {
                let parts = nodes.iter().filter(|x| matches!(x.facts, Facts::Workload { .. }));
                let is_part = parts
                    .into_iter()
                    .any(|x| node.owners.iter().any(|o| o.uid == x.uid));
                let loses = some.iter().any(|(w, _, lost)| *w == i && *lost > 0);
                if !is_part && (is_gone(i) || loses) {
                    found
                        .single_replicas
                        .push(format!("{} {}", node.key.kind, path(node)));
                }
            }
            _ => {}
        }
    }
    for list in [
        &mut found.services_at_zero,
        &mut found.pdbs_violated,
        &mut found.pvcs,
        &mut found.unrecoverable_volumes,
        &mut found.single_replicas,
    ] {
        list.sort();
    }
    let mut named = BTreeSet::new();
    for step in steps.iter().filter(|s| s.effect != Effect::Create) {
        named.extend(
            step.targets
                .iter()
                .filter(|t| t.kind == "Node")
                .map(|t| t.name.clone()),
        );
    }
    found.nodes_percent = share(i64::try_from(named.len()).unwrap(), graph.nodes_total);
    found.pods_percent = share(found.pods_lost, graph.pods_total);
    found.undone_by = undone(steps, nodes, own);
    found
}

/// Who manages a target, controls it, or sets what is scaled.
fn undone(steps: &[Step], nodes: &[Node], own: &str) -> Vec<String> {
    let mut all = BTreeSet::new();
    for step in steps.iter().filter(|s| s.effect != Effect::Create) {
        for (position, target) in step.targets.iter().enumerate() {
            let mut label = format!("{}/{}", target.kind.to_lowercase(), target.name);
            if target.namespace.as_deref().is_some_and(|n| n != own) {
                label.push_str(&format!(" in {}", target.namespace.clone().unwrap()));
            }
            for node in nodes.iter().filter(|n| is(n, target)) {
                all.extend(node.managers.iter().map(|m| format!("{m} manages {label}")));
                let does = match step.effect {
                    Effect::Delete => "replaces",
                    _ => "controls",
                };
                if let Some(owner) = node.owners.iter().find(|o| o.controller) {
                    all.insert(format!("{} {} {does} {label}", owner.kind, owner.name));
                }
            }
            for node in nodes.iter().filter(|_| writes_number(step, position)) {
                let sets = match &node.facts {
                    Facts::Autoscaler { kind, name } => (kind, name) == (&target.kind, &target.name),
                    _ => false,
                };
                if sets && node.key.namespace == target.namespace {
                    all.insert(format!(
                        "HorizontalPodAutoscaler {} sets the replicas of {label}",
                        node.key.name
                    ));
                }
            }
        }
    }
    let mut all: Vec<String> = all.into_iter().collect();
    if all.len() > 20 {
        let more = all.split_off(19).len();
        all.push(format!("and {more} more"));
    }
    all
}

/// Through `scale`, or by a change of that field, or by one that is not shown.
fn writes_number(step: &Step, position: usize) -> bool {
    let mut writes = step.subresource.is_some();
    for line in &step.diff {
        let here = line.target == i32::try_from(position).unwrap();
        writes |= (here && line.path == "/spec/replicas") || line.path.starts_with('(');
    }
    writes
}

/// Whether a pod still fits once every label step was done.
fn still_fits(steps: &[Step], pod: &Node, selector: &LabelSelector) -> bool {
    let mut labels = pod.labels.clone();
    for step in steps.iter().filter(|s| s.action == Action::Label) {
        if step.targets.iter().any(|t| is(pod, t)) {
            labels.extend(step.params.set.clone());
        }
    }
    fits(selector, &labels)
}

fn share(part: i64, whole: Option<i64>) -> i32 {
    if part == 0 {
        return 0;
    }
    match whole {
        Some(whole) if whole > 0 => ((part as f64 / whole as f64 * 100.0).ceil() as i32).min(100),
        _ => 100,
    }
}

fn question<'a>(steps: &'a [Step], namespace: &'a str) -> Question<'a> {
    Question {
        steps,
        namespace,
        again: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn the_walk_finds_exactly_what_brute_force_finds((graph, steps) in cluster_and_plan()) {
        let question = question(&steps, "a");
        let found = radius(&question, &graph, &walk(&question, &graph));
        prop_assert_eq!(found, brute(&steps, &graph, "a"));
    }
}
