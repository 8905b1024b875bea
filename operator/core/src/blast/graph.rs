//! Objects and what connects them, as small facts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kubechat_crds::command_plan::Target;

use super::managed::Protection;

/// Which object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// API group; empty for core.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; `None` for cluster-scoped objects.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl Key {
    /// A key.
    #[must_use]
    pub fn new(group: &str, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    /// The object of a step.
    #[must_use]
    pub fn of(target: &Target) -> Self {
        let Target {
            group, kind, name, ..
        } = target;
        Self::new(group, kind, target.namespace.as_deref(), name)
    }

    /// Whether it is of this kind.
    #[must_use]
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    /// `deployment/web`, with ` in demo` where it stands outside that namespace.
    #[must_use]
    pub fn label(&self, own: &str) -> String {
        let name = format!("{}/{}", self.kind.to_lowercase(), self.name);
        match self.namespace.as_deref() {
            Some(namespace) if namespace != own => format!("{name} in {namespace}"),
            Some(_) | None => name,
        }
    }

    /// `demo/web`, or `web` for cluster-scoped objects.
    #[must_use]
    pub fn path(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// An owner reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// UID of the owner.
    pub uid: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// It controls the object.
    pub controller: bool,
}

/// What an edge needs to know of an object, by what the object is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Facts {
    /// Nothing beside its metadata.
    #[default]
    Plain,
    /// Runs pods.
    Workload {
        /// Wanted replicas.
        replicas: i64,
        /// Which pods are its own.
        selector: Option<LabelSelector>,
        /// Pods that a rollout may take away at once; `None` is all of them.
        at_once: Option<i64>,
        /// Claims may go with its pods (StatefulSet retention policy).
        claims_go: bool,
    },
    /// A pod.
    Pod {
        /// Ready, and not on its way out.
        ready: bool,
        /// Where it runs.
        node: Option<String>,
        /// Claims it mounts.
        claims: BTreeSet<String>,
        /// ConfigMaps it reads.
        config_maps: BTreeSet<String>,
        /// Secrets it reads.
        secrets: BTreeSet<String>,
        /// Its service account.
        account: String,
    },
    /// A Service; `None` has no selector, so its endpoints are not pods that we know.
    Service(Option<LabelSelector>),
    /// A PodDisruptionBudget.
    Budget {
        /// The pods it covers.
        selector: Option<LabelSelector>,
        /// Disruptions it allows now.
        allowed: i64,
    },
    /// A NetworkPolicy.
    Policy(Option<LabelSelector>),
    /// Ingress or HTTPRoute: the Services it leads to, as (namespace, name).
    Route(BTreeSet<(String, String)>),
    /// A ReferenceGrant: namespaces whose HTTPRoutes may lead to Services beside it.
    Grant(BTreeSet<String>),
    /// A PersistentVolumeClaim: the volume it is bound to.
    Claim(Option<String>),
    /// A PersistentVolume.
    Volume {
        /// The claim it is bound to, as (namespace, name).
        claim: Option<(String, String)>,
        /// It is removed with its claim.
        goes: bool,
    },
    /// A HorizontalPodAutoscaler: kind and name of what it scales.
    Autoscaler {
        /// Kind.
        kind: String,
        /// Name.
        name: String,
    },
    /// A CustomResourceDefinition: the kind it defines.
    Definition {
        /// Group.
        group: String,
        /// Kind.
        kind: String,
    },
}

/// One object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Which one.
    pub key: Key,
    /// UID; empty when it was not read.
    pub uid: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Its owners.
    pub owners: Vec<Owner>,
    /// The rest.
    pub facts: Facts,
    /// Who manages it, in words.
    pub managers: Vec<String>,
    /// What protects it from deletion.
    pub protection: Option<Protection>,
}

impl Node {
    /// Whether it is a ready pod.
    #[must_use]
    pub fn is_ready_pod(&self) -> bool {
        matches!(self.facts, Facts::Pod { ready: true, .. })
    }

    /// Whether it is a pod.
    #[must_use]
    pub fn is_pod(&self) -> bool {
        matches!(self.facts, Facts::Pod { .. })
    }
}

/// What was gathered.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    at: HashMap<Key, usize>,
    /// Objects that match a step's selector, targets or not.
    pub matched: BTreeSet<Key>,
    /// Objects that have owners, of which nothing but the metadata is known. No edge leads to them.
    pub aside: Vec<Node>,
    /// Nodes of the cluster, where they were counted.
    pub nodes_total: Option<i64>,
    /// Pods of the cluster, where they were counted.
    pub pods_total: Option<i64>,
    /// What could not be read, in words.
    pub missing: BTreeSet<String>,
}

impl Graph {
    /// Adds an object; one that is there already is replaced.
    pub fn add(&mut self, node: Node) {
        if let Some(there) = self.at.get(&node.key).and_then(|at| self.nodes.get_mut(*at)) {
            *there = node;
            return;
        }
        self.at.insert(node.key.clone(), self.nodes.len());
        self.nodes.push(node);
    }

    /// What is held aside under these keys becomes an object, as far as its metadata tells: whatever becomes of reading it.
    /// Returns which were.
    pub fn reach(&mut self, keys: &BTreeSet<Key>) -> BTreeSet<Key> {
        let held = self.aside.iter().filter(|n| keys.contains(&n.key));
        let held: Vec<Node> = held.filter(|n| !self.at.contains_key(&n.key)).cloned().collect();
        let reached = held.iter().map(|n| n.key.clone()).collect();
        held.into_iter().for_each(|node| self.add(node));
        reached
    }

    /// All objects, in the order they came.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Where an object stands in [`Graph::nodes`].
    #[must_use]
    pub fn place(&self, key: &Key) -> Option<usize> {
        self.at.get(key).copied()
    }

    /// The object.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Node> {
        self.nodes.get(self.place(key)?)
    }
}

/// Whether a selector selects; no selector selects nothing.
#[must_use]
pub fn selects(selector: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> bool {
    selector.is_some_and(|s| crate::policy::selects(s, labels))
}
