//! What is reached from the targets, over which edges, and how hard it is hit.
//!
//! | From | Touched | To | Touched |
//! |---|---|---|---|
//! | owner | Gone | what it owns | Gone |
//! | owner | Lossy | pods and workloads it owns; of a pod, also its claims | Lossy |
//! | Namespace, CRD, Node | Gone | all in it, its objects, its pods | Gone |
//! | pod | Gone, Lossy, Moved | Services and budgets that select it | Seen |
//! | pod | Gone | NetworkPolicies that select it, claims it mounts | Seen |
//! | pod | Moved | workloads that select it | Seen |
//! | Service, budget, NetworkPolicy | Gone | pods it selects | Seen |
//! | Service | any but Still | Ingresses and HTTPRoutes that lead to it | Seen |
//! | claim | Gone | its volume | Gone where it is removed with it, else Seen |
//! | claim | Lossy | its volume | Seen |
//! | volume | Gone, Lossy | its claim | Lossy |
//! | ConfigMap, Secret, ServiceAccount, claim | Gone (claim: Lossy) | pods that use it | Seen |
//! | workload | Gone, Lossy | autoscalers of it | Seen |
//! | autoscaler | Gone | what it scales | Seen |

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::graph::{Facts, Graph, Key, Node, selects};
use super::impact::{Impact, Loss, impact};
use super::{MAX_DEPTH, MAX_OBJECTS, Question};

/// How hard an object is hit. Only more than Still reaches further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Touch {
    /// It changes, or matches a selector, and nothing follows.
    Still,
    /// Something it rests on is hit.
    Seen,
    /// A pod that is selected by others from now on.
    Moved,
    /// It, or pods of it, may be lost.
    Lossy,
    /// It is removed.
    Gone,
}

/// How far a walk goes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Edges from a target.
    pub depth: usize,
    /// Objects.
    pub objects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: MAX_DEPTH,
            objects: MAX_OBJECTS,
        }
    }
}

/// What a walk found.
#[derive(Clone, Debug, Default)]
pub struct Walked {
    touched: Vec<Option<Touch>>,
    /// What each workload loses, by its place in the graph.
    pub losses: BTreeMap<usize, Loss>,
    /// No limit stopped it.
    pub complete: bool,
}

impl Walked {
    /// How hard the object at this place is hit; `None` when it is not reached.
    #[must_use]
    pub fn touch(&self, at: usize) -> Option<Touch> {
        self.touched.get(at).copied().flatten()
    }
}

/// Objects by what edges look for.
struct Index<'a> {
    graph: &'a Graph,
    owned: HashMap<&'a str, Vec<usize>>,
    by_namespace: HashMap<&'a str, Places>,
}

/// Places of the objects of one namespace (or of none).
#[derive(Default)]
struct Places {
    pods: Vec<usize>,
    /// Everything else.
    others: Vec<usize>,
}

impl<'a> Index<'a> {
    fn new(graph: &'a Graph) -> Self {
        let mut owned: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut by_namespace: HashMap<&str, Places> = HashMap::new();
        for (at, node) in graph.nodes().iter().enumerate() {
            for owner in node.owners.iter().filter(|o| !o.uid.is_empty()) {
                owned.entry(&owner.uid).or_default().push(at);
            }
            let places = by_namespace
                .entry(node.key.namespace.as_deref().unwrap_or_default())
                .or_default();
            if node.is_pod() {
                &mut places.pods
            } else {
                &mut places.others
            }
            .push(at);
        }
        Self {
            graph,
            owned,
            by_namespace,
        }
    }

    fn node(&self, at: usize) -> Option<&'a Node> {
        self.graph.nodes().get(at)
    }

    fn owned_by(&self, node: &Node) -> &[usize] {
        self.owned.get(node.uid.as_str()).map_or(&[], Vec::as_slice)
    }

    fn pods_of(&self, namespace: Option<&str>) -> &[usize] {
        let places = self.by_namespace.get(namespace.unwrap_or_default());
        places.map_or(&[], |p| p.pods.as_slice())
    }

    fn others_of(&self, namespace: Option<&str>) -> &[usize] {
        let places = self.by_namespace.get(namespace.unwrap_or_default());
        places.map_or(&[], |p| p.others.as_slice())
    }

    fn among<'b>(
        &'b self,
        places: &'b [usize],
        test: impl Fn(&Node) -> bool + 'b,
    ) -> impl Iterator<Item = usize> + 'b {
        places
            .iter()
            .copied()
            .filter(move |at| self.node(*at).is_some_and(&test))
    }

    fn everything(&self, test: impl Fn(&Node) -> bool) -> Vec<usize> {
        let all = self.graph.nodes().iter().enumerate();
        all.filter(|(_, n)| test(n)).map(|(at, _)| at).collect()
    }
}

/// Walks from the targets of the steps.
#[must_use]
pub fn walk(question: &Question<'_>, graph: &Graph) -> Walked {
    walk_within(question, graph, Limits::default())
}

/// As [`walk`], with other limits.
#[must_use]
pub fn walk_within(question: &Question<'_>, graph: &Graph, limits: Limits) -> Walked {
    let index = Index::new(graph);
    let (mut level, losses) = seeds(question, graph);
    let mut seen: HashSet<(usize, Touch)> = level.iter().copied().collect();
    let mut walked = Walked {
        touched: vec![None; graph.nodes().len()],
        losses,
        complete: true,
    };
    let mut reached = 0;
    let mut mark = |walked: &mut Walked, at: usize, touch: Touch| {
        let Some(slot) = walked.touched.get_mut(at) else {
            return false;
        };
        if slot.is_none() {
            if reached >= limits.objects {
                walked.complete = false;
                return false;
            }
            reached += 1;
        }
        *slot = (*slot).max(Some(touch));
        true
    };
    level.retain(|(at, touch)| mark(&mut walked, *at, *touch));
    for depth in 0..=limits.depth {
        let mut next = vec![];
        for (at, touch) in level {
            for found in follow(&index, at, touch) {
                if seen.contains(&found) {
                    continue;
                }
                if depth == limits.depth {
                    walked.complete = false;
                } else if mark(&mut walked, found.0, found.1) {
                    seen.insert(found);
                    next.push(found);
                }
            }
        }
        level = next;
    }
    walked
}

/// Where the walk begins: targets that are in the graph, and what matches their selectors.
fn seeds(question: &Question<'_>, graph: &Graph) -> (Vec<(usize, Touch)>, BTreeMap<usize, Loss>) {
    let mut found = BTreeSet::new();
    let mut losses: BTreeMap<usize, Vec<Loss>> = BTreeMap::new();
    for step in question.steps {
        for target in &step.targets {
            let Some(at) = graph.place(&Key::of(target)) else {
                continue;
            };
            let touch = match impact(step, graph.nodes().get(at)) {
                Impact::Made => continue,
                Impact::Still => Touch::Still,
                Impact::Moved => Touch::Moved,
                Impact::Gone => Touch::Gone,
                Impact::Lossy(loss) => {
                    losses.entry(at).or_default().push(loss);
                    Touch::Lossy
                }
            };
            found.insert((at, touch));
        }
    }
    for at in graph.matched.iter().filter_map(|key| graph.place(key)) {
        found.insert((at, Touch::Still));
    }
    let worst = |all: Vec<Loss>| all.into_iter().max_by_key(|l| l.of(i64::MAX / 2));
    let losses = losses.into_iter().filter_map(|(at, all)| Some((at, worst(all)?)));
    (found.into_iter().collect(), losses.collect())
}

/// Where the edges of one object lead. Only what the table in the module's documentation says.
fn follow(index: &Index<'_>, at: usize, touch: Touch) -> Vec<(usize, Touch)> {
    let Some(node) = index.node(at) else {
        return vec![];
    };
    let mut found = vec![];
    owned(index, node, touch, &mut found);
    match &node.facts {
        Facts::Pod { claims, .. } => selectors_of(index, node, claims, touch, &mut found),
        Facts::Service(selector) => {
            if touch > Touch::Still {
                let name = (
                    node.key.namespace.clone().unwrap_or_default(),
                    node.key.name.clone(),
                );
                let leads = index.everything(|n| matches!(&n.facts, Facts::Route(to) if to.contains(&name)));
                found.extend(leads.into_iter().map(|at| (at, Touch::Seen)));
            }
            selected(index, node, selector.as_ref(), touch, &mut found);
        }
        Facts::Budget { selector, .. } => selected(index, node, selector.as_ref(), touch, &mut found),
        Facts::Policy(selector) => selected(index, node, selector.as_ref(), touch, &mut found),
        Facts::Claim(volume) => claim(index, node, volume.as_deref(), touch, &mut found),
        Facts::Volume { claim, .. } => {
            if let (Some((namespace, name)), true) = (claim, touch >= Touch::Lossy) {
                let key = Key::new("", "PersistentVolumeClaim", Some(namespace), name);
                found.extend(index.graph.place(&key).map(|at| (at, Touch::Lossy)));
            }
        }
        Facts::Workload { .. } => {
            if touch >= Touch::Lossy {
                let scales = |n: &Node| matches!(&n.facts, Facts::Autoscaler { kind, name } if *kind == node.key.kind && *name == node.key.name);
                let others = index.others_of(node.key.namespace.as_deref());
                found.extend(index.among(others, scales).map(|at| (at, Touch::Seen)));
            }
        }
        Facts::Autoscaler { kind, name } => {
            if touch == Touch::Gone {
                let scaled = |n: &Node| {
                    matches!(n.facts, Facts::Workload { .. }) && n.key.kind == *kind && n.key.name == *name
                };
                let others = index.others_of(node.key.namespace.as_deref());
                found.extend(index.among(others, scaled).map(|at| (at, Touch::Seen)));
            }
        }
        Facts::Definition { group, kind } => {
            if touch == Touch::Gone {
                found.extend(
                    index
                        .everything(|n| n.key.is(group, kind))
                        .into_iter()
                        .map(|at| (at, Touch::Gone)),
                );
            }
        }
        Facts::Plain => plain(index, node, touch, &mut found),
        Facts::Route(_) | Facts::Grant(_) => {}
    }
    found
}

fn owned(index: &Index<'_>, node: &Node, touch: Touch, found: &mut Vec<(usize, Touch)>) {
    if node.uid.is_empty() {
        return;
    }
    for at in index.owned_by(node) {
        let Some(child) = index.node(*at) else { continue };
        let goes = match touch {
            Touch::Gone => true,
            Touch::Lossy => match child.facts {
                Facts::Pod { .. } | Facts::Workload { .. } => true,
                Facts::Claim(_) => node.is_pod(),
                Facts::Plain
                | Facts::Service(_)
                | Facts::Budget { .. }
                | Facts::Policy(_)
                | Facts::Route(_)
                | Facts::Grant(_)
                | Facts::Volume { .. }
                | Facts::Autoscaler { .. }
                | Facts::Definition { .. } => false,
            },
            Touch::Still | Touch::Seen | Touch::Moved => false,
        };
        if goes {
            found.push((*at, touch));
        }
    }
}

/// From a pod to what selects it, and to the claims it mounts.
fn selectors_of(
    index: &Index<'_>,
    pod: &Node,
    claims: &BTreeSet<String>,
    touch: Touch,
    found: &mut Vec<(usize, Touch)>,
) {
    if touch <= Touch::Seen {
        return;
    }
    let reaches = |node: &Node| match &node.facts {
        Facts::Service(selector) | Facts::Budget { selector, .. } => selects(selector.as_ref(), &pod.labels),
        Facts::Policy(selector) => touch == Touch::Gone && selects(selector.as_ref(), &pod.labels),
        Facts::Workload { selector, .. } => touch == Touch::Moved && selects(selector.as_ref(), &pod.labels),
        Facts::Claim(_) => touch == Touch::Gone && claims.contains(&node.key.name),
        Facts::Plain
        | Facts::Pod { .. }
        | Facts::Route(_)
        | Facts::Grant(_)
        | Facts::Volume { .. }
        | Facts::Autoscaler { .. }
        | Facts::Definition { .. } => false,
    };
    let others = index.others_of(pod.key.namespace.as_deref());
    found.extend(index.among(others, reaches).map(|at| (at, Touch::Seen)));
}

/// From what selects pods to these pods, once it is gone.
fn selected(
    index: &Index<'_>,
    node: &Node,
    selector: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>,
    touch: Touch,
    found: &mut Vec<(usize, Touch)>,
) {
    if touch != Touch::Gone {
        return;
    }
    let pods = index.pods_of(node.key.namespace.as_deref());
    found.extend(
        index
            .among(pods, |pod| selects(selector, &pod.labels))
            .map(|at| (at, Touch::Seen)),
    );
}

fn claim(
    index: &Index<'_>,
    node: &Node,
    volume: Option<&str>,
    touch: Touch,
    found: &mut Vec<(usize, Touch)>,
) {
    if touch < Touch::Lossy {
        return;
    }
    let volume = volume.and_then(|name| index.graph.place(&Key::new("", "PersistentVolume", None, name)));
    if let Some(at) = volume {
        let goes = index
            .node(at)
            .is_some_and(|n| matches!(n.facts, Facts::Volume { goes: true, .. }));
        let gone = goes && touch == Touch::Gone;
        found.push((at, if gone { Touch::Gone } else { Touch::Seen }));
    }
    using(
        index,
        node,
        found,
        |facts, name| matches!(facts, Facts::Pod { claims, .. } if claims.contains(name)),
    );
}

/// Kinds without facts of their own: Namespace, Node, and what pods use by name.
fn plain(index: &Index<'_>, node: &Node, touch: Touch, found: &mut Vec<(usize, Touch)>) {
    if touch != Touch::Gone || !node.key.group.is_empty() {
        return;
    }
    let name = node.key.name.as_str();
    match node.key.kind.as_str() {
        "Namespace" => {
            let (pods, others) = (index.pods_of(Some(name)), index.others_of(Some(name)));
            found.extend(pods.iter().chain(others).map(|at| (*at, Touch::Gone)));
        }
        "Node" => {
            let runs = |n: &Node| matches!(&n.facts, Facts::Pod { node: Some(on), .. } if on == name);
            found.extend(index.everything(runs).into_iter().map(|at| (at, Touch::Gone)));
        }
        "ConfigMap" => using(
            index,
            node,
            found,
            |facts, name| matches!(facts, Facts::Pod { config_maps, .. } if config_maps.contains(name)),
        ),
        "Secret" => using(
            index,
            node,
            found,
            |facts, name| matches!(facts, Facts::Pod { secrets, .. } if secrets.contains(name)),
        ),
        "ServiceAccount" => using(
            index,
            node,
            found,
            |facts, name| matches!(facts, Facts::Pod { account, .. } if account == name),
        ),
        _ => {}
    }
}

fn using(
    index: &Index<'_>,
    node: &Node,
    found: &mut Vec<(usize, Touch)>,
    uses: impl Fn(&Facts, &str) -> bool,
) {
    let pods = index.pods_of(node.key.namespace.as_deref());
    let name = node.key.name.as_str();
    found.extend(
        index
            .among(pods, |pod| uses(&pod.facts, name))
            .map(|at| (at, Touch::Seen)),
    );
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
