//! The numbers of a blast radius.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kubechat_crds::Step;
use kubechat_crds::command_plan::{BlastRadius, Effect};
use kubechat_crds::condition::clip;
use kubechat_crds::intent::Action;

use super::Question;
use super::graph::{Facts, Graph, Key, Node, selects};
use super::walk::{Touch, Walked};
use super::{managed, needs};

/// Names in one list.
pub(super) const MAX_NAMES: usize = 100;
/// Kinds counted one by one.
const MAX_KINDS: usize = 60;
/// Groups whose kinds are named without their group.
const BUILT_IN: &[&str] = &["", "apps", "batch", "autoscaling", "policy"];

/// Which ready pods are lost.
#[derive(Debug, Default)]
struct Lost {
    /// Places of ready pods that are removed.
    gone: BTreeSet<usize>,
    /// Of each workload: its other ready pods, and how many of them are lost.
    of: Vec<(usize, BTreeSet<usize>, i64)>,
}

impl Lost {
    /// How many of the ready pods that a test selects are lost in the worst case.
    fn among(&self, test: impl Fn(usize) -> bool) -> i64 {
        let gone = self.gone.iter().filter(|at| test(**at)).count();
        let each = self.of.iter().map(|(_, pods, lost)| {
            let selected = pods.iter().filter(|at| test(**at)).count();
            (*lost).min(count(selected))
        });
        count(gone) + each.sum::<i64>()
    }
}

/// Gaps that are named; more are counted.
const MAX_MISSING: usize = 20;

/// The numbers of a plan over what was gathered and walked.
#[must_use]
pub fn radius(question: &Question<'_>, graph: &Graph, walked: &Walked) -> BlastRadius {
    let keys = reached(question, graph, walked);
    let lost = losses(graph, walked);
    let touched = |at: usize| walked.touch(at);
    let nodes = || graph.nodes().iter().enumerate();
    let pods_total = nodes()
        .filter(|(at, n)| n.is_pod() && touched(*at).is_some())
        .count();
    let ready_reached = nodes()
        .filter(|(at, n)| n.is_ready_pod() && touched(*at).is_some())
        .count();
    let pods_lost = lost.among(|_| true).min(count(ready_reached));
    let claims: Vec<&Node> = nodes()
        .filter(|(at, n)| matches!(n.facts, Facts::Claim(_)) && touched(*at) >= Some(Touch::Lossy))
        .map(|(_, n)| n)
        .collect();
    let singles = nodes()
        .filter(|(at, n)| single(graph, *at, n, walked, &lost))
        .map(|(_, n)| n);
    let (pdbs_violated, pdb_headroom) = budgets(graph, walked, &lost);
    let mut missing: Vec<String> = graph.missing.iter().cloned().collect();
    let gone = nodes().filter(|(at, _)| touched(*at) == Some(Touch::Gone));
    missing.extend(gone.filter_map(|(_, n)| needs::unseen(n)));
    if !walked.complete {
        missing.push(format!(
            "more than {} steps away, or more than {} objects",
            super::MAX_DEPTH,
            super::MAX_OBJECTS
        ));
    }
    BlastRadius {
        objects: by_kind(&keys),
        pods_lost,
        pods_total: count(pods_total),
        services_at_zero: names(services_at_zero(question.steps, graph, walked, &lost)),
        pdbs_violated,
        pvcs: names(claims.iter().map(|n| n.key.path())),
        unrecoverable_volumes: names(
            claims
                .iter()
                .filter(|n| unrecoverable(graph, n))
                .map(|n| n.key.path()),
        ),
        single_replicas: names(singles.map(|n| format!("{} {}", n.key.kind, n.key.path()))),
        pdb_headroom,
        nodes_percent: percent(count(targeted_nodes(question.steps)), graph.nodes_total),
        pods_percent: percent(pods_lost, graph.pods_total),
        outside_namespace: count(
            keys.iter()
                .filter(|k| k.namespace.as_deref().is_some_and(|n| n != question.namespace))
                .count(),
        ),
        undone_by: managed::undone_by(question, graph),
        complete: missing.is_empty(),
        missing: bounded(missing, MAX_MISSING),
    }
}

/// Targets (but those that are yet to be made) and what was reached.
fn reached(question: &Question<'_>, graph: &Graph, walked: &Walked) -> BTreeSet<Key> {
    let steps = question.steps.iter().filter(|s| s.effect != Effect::Create);
    let targets = steps.flat_map(|s| s.targets.iter().map(Key::of));
    let nodes = graph.nodes().iter().enumerate();
    let walked = nodes.filter(|(at, _)| walked.touch(*at).is_some());
    targets.chain(walked.map(|(_, n)| n.key.clone())).collect()
}

fn by_kind(keys: &BTreeSet<Key>) -> BTreeMap<String, i64> {
    let mut found: BTreeMap<String, i64> = BTreeMap::new();
    for key in keys {
        let built_in = BUILT_IN.contains(&key.group.as_str()) || key.group.ends_with(".k8s.io");
        let kind = if built_in {
            key.kind.clone()
        } else {
            format!("{}.{}", key.kind, key.group)
        };
        let kind = if found.contains_key(&kind) || found.len() < MAX_KINDS {
            kind
        } else {
            "other kinds".to_owned()
        };
        *found.entry(kind).or_default() += 1;
    }
    found
}

fn losses(graph: &Graph, walked: &Walked) -> Lost {
    let is_gone = |at: usize| walked.touch(at) == Some(Touch::Gone);
    let nodes = graph.nodes();
    let ready = |at: usize| nodes.get(at).is_some_and(Node::is_ready_pod);
    let mut owned: HashMap<&str, Vec<usize>> = HashMap::new();
    if !walked.losses.is_empty() {
        for (at, node) in nodes.iter().enumerate() {
            for owner in node.owners.iter().filter(|o| !o.uid.is_empty()) {
                owned.entry(&owner.uid).or_default().push(at);
            }
        }
    }
    let of = walked
        .losses
        .iter()
        .filter(|(at, _)| !is_gone(**at))
        .map(|(at, loss)| {
            let below = below(*at, nodes, &owned);
            let pods: BTreeSet<usize> = below
                .into_iter()
                .filter(|at| ready(*at) && !is_gone(*at))
                .collect();
            let lost = loss.of(count(pods.len()));
            (*at, pods, lost)
        });
    Lost {
        of: of.collect(),
        gone: (0..nodes.len()).filter(|at| is_gone(*at) && ready(*at)).collect(),
    }
}

/// The object and what it owns, over at most so many edges as a walk follows.
fn below(at: usize, nodes: &[Node], owned: &HashMap<&str, Vec<usize>>) -> BTreeSet<usize> {
    let mut all = BTreeSet::from([at]);
    let mut level = vec![at];
    for _ in 0..super::MAX_DEPTH {
        let children = level
            .iter()
            .filter_map(|at| owned.get(nodes.get(*at)?.uid.as_str()));
        level = children.flatten().copied().filter(|at| all.insert(*at)).collect();
    }
    all
}

/// Services that have a ready pod now and none afterwards.
fn services_at_zero<'a>(
    steps: &'a [Step],
    graph: &'a Graph,
    walked: &'a Walked,
    lost: &'a Lost,
) -> impl Iterator<Item = String> + 'a {
    let moved = moved(steps, graph);
    let services = graph.nodes().iter().enumerate();
    services.filter_map(move |(at, node)| {
        let Facts::Service(Some(selector)) = &node.facts else {
            return None;
        };
        let touch = walked.touch(at)?;
        (touch > Touch::Still && left(graph, node, selector, &moved, lost, touch)).then(|| node.key.path())
    })
}

/// Whether a Service is left with nothing.
fn left(
    graph: &Graph,
    service: &Node,
    selector: &LabelSelector,
    moved: &BTreeMap<usize, BTreeMap<String, String>>,
    lost: &Lost,
    touch: Touch,
) -> bool {
    let behind = |at: usize| {
        graph.nodes().get(at).is_some_and(|pod| {
            pod.is_ready_pod()
                && pod.key.namespace == service.key.namespace
                && selects(Some(selector), &pod.labels)
        })
    };
    let leaves = |at: usize| {
        moved
            .get(&at)
            .is_some_and(|labels| !selects(Some(selector), labels))
    };
    let all: Vec<usize> = (0..graph.nodes().len()).filter(|at| behind(*at)).collect();
    let staying: BTreeSet<usize> = all.iter().copied().filter(|at| !leaves(*at)).collect();
    let after = count(staying.len()) - lost.among(|at| staying.contains(&at));
    !all.is_empty() && (touch == Touch::Gone || after <= 0)
}

/// Labels of pods after the label steps, where they differ.
fn moved(steps: &[Step], graph: &Graph) -> BTreeMap<usize, BTreeMap<String, String>> {
    let mut found: BTreeMap<usize, BTreeMap<String, String>> = BTreeMap::new();
    for step in steps.iter().filter(|s| s.action == Action::Label) {
        for target in &step.targets {
            let Some(at) = graph.place(&Key::of(target)) else {
                continue;
            };
            let Some(pod) = graph.nodes().get(at).filter(|n| n.is_pod()) else {
                continue;
            };
            let labels = found.entry(at).or_insert_with(|| pod.labels.clone());
            labels.extend(step.params.set.clone());
            for key in &step.params.remove {
                labels.remove(key);
            }
        }
    }
    found
}

/// Budgets that are violated, and what the tightest still allows.
fn budgets(graph: &Graph, walked: &Walked, lost: &Lost) -> (Vec<String>, Option<i64>) {
    let mut violated = vec![];
    let mut headroom: Option<i64> = None;
    for (at, node) in graph.nodes().iter().enumerate() {
        let Facts::Budget { selector, allowed } = &node.facts else {
            continue;
        };
        if !matches!(walked.touch(at), Some(Touch::Seen | Touch::Moved | Touch::Lossy)) {
            continue;
        }
        let covers = |at: usize| {
            graph.nodes().get(at).is_some_and(|pod| {
                pod.key.namespace == node.key.namespace && selects(selector.as_ref(), &pod.labels)
            })
        };
        let lost = lost.among(covers);
        if lost > *allowed {
            violated.push(node.key.path());
        }
        let rest = (allowed - lost).max(0);
        headroom = Some(headroom.map_or(rest, |h| h.min(rest)));
    }
    (names(violated), headroom)
}

/// A workload of one replica that is nobody's part and loses a pod.
fn single(graph: &Graph, at: usize, node: &Node, walked: &Walked, lost: &Lost) -> bool {
    let Facts::Workload { replicas: 1, .. } = node.facts else {
        return false;
    };
    let part = node.owners.iter().any(|o| {
        graph
            .nodes()
            .iter()
            .any(|n| n.uid == o.uid && matches!(n.facts, Facts::Workload { .. }))
    });
    let loses = lost.of.iter().any(|(w, _, n)| *w == at && *n > 0);
    !part && (walked.touch(at) == Some(Touch::Gone) || loses)
}

/// Whether a claim's volume goes with it, as far as is known; a claim without a volume holds nothing.
fn unrecoverable(graph: &Graph, claim: &Node) -> bool {
    let Facts::Claim(Some(volume)) = &claim.facts else {
        return false;
    };
    let volume = graph.get(&Key::new("", "PersistentVolume", None, volume));
    !volume.is_some_and(|v| matches!(v.facts, Facts::Volume { goes: false, .. }))
}

fn targeted_nodes(steps: &[Step]) -> usize {
    let changing = steps
        .iter()
        .filter(|s| matches!(s.effect, Effect::Update | Effect::Delete));
    let nodes = changing
        .flat_map(|s| &s.targets)
        .filter(|t| t.group.is_empty() && t.kind == "Node");
    nodes.map(|t| t.name.as_str()).collect::<BTreeSet<_>>().len()
}

/// A share, rounded up; of an unknown whole it is all.
fn percent(part: i64, whole: Option<i64>) -> i32 {
    match (part, whole) {
        (0, _) => 0,
        (part, Some(whole)) if whole > 0 => {
            let share = (part.saturating_mul(100) + whole - 1) / whole;
            i32::try_from(share.min(100)).unwrap_or(100)
        }
        (_, Some(_) | None) => 100,
    }
}

fn names(all: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = all.into_iter().collect();
    all.sort();
    all.dedup();
    bounded(all, MAX_NAMES)
}

/// A list as it may stand in a plan; what was cut is counted in its last entry.
pub(super) fn bounded(mut all: Vec<String>, most: usize) -> Vec<String> {
    if all.len() > most {
        let more = all.len() - (most - 1);
        all.truncate(most - 1);
        all.push(format!("and {more} more"));
    }
    all.into_iter().map(|text| clip(text, 300)).collect()
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "radius_tests.rs"]
mod tests;
