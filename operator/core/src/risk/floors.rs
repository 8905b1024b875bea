//! Floor rules: what a change is at least, whatever its score. The first column of design "Risk".

use std::collections::{BTreeMap, BTreeSet};

use kubechat_crds::command_plan::{Effect, RiskFactor};
use kubechat_crds::intent::Action;
use kubechat_crds::{CommandPlanSpec, Level, Step};

use super::kinds::{self, Class};
use super::{changes, combination, name, place, pods, security, tell, weights};
use crate::catalogue;
use crate::plan::selector::ELSEWHERE;

/// A rule: what it finds is at least of this level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Id.
    pub id: &'static str,
    /// The level.
    pub level: Level,
    /// What a person reads.
    pub text: &'static str,
}

macro_rules! floors {
    ($($name:ident = $level:ident, $id:literal, $text:literal;)*) => {
        $(pub(crate) const $name: Floor = Floor { id: $id, level: Level::$level, text: $text };)*
        /// Every rule, in the order of the documentation.
        pub const ALL: &[Floor] = &[$($name),*];
    };
}

floors! {
    READ = Safe, "read", "only reads";
    SCALE_UP = Caution, "scale-up", "adds replicas";
    SCALE_DOWN = Caution, "scale-down", "takes replicas away, and leaves some";
    RESTARTS = Caution, "restart", "replaces the running pods one by one";
    SET_IMAGE = Caution, "set-image", "changes what code runs";
    SET_RESOURCES = Caution, "set-resources", "changes requests or limits and replaces the pods";
    LABEL = Caution, "label", "changes labels";
    ANNOTATE = Caution, "annotate", "changes annotations";
    CORDON = Caution, "cordon", "takes a node out of scheduling";
    UNCORDON = Caution, "uncordon", "puts a node back into scheduling";
    CREATE_NAMESPACE = Caution, "create-namespace", "makes a namespace";
    SET_ENV = Caution, "set-env", "changes environment variables and replaces the pods";
    ROLLOUT_PAUSE = Caution, "rollout-pause", "holds a rollout: what is changed later waits";
    ROLLOUT_RESUME = Caution, "rollout-resume", "lets a rollout go on, with all that waited";
    SUSPEND = Caution, "suspend", "holds a CronJob or Job; the pods of a Job end";
    RESUME = Caution, "resume", "lets a CronJob or Job go on";
    AUTOSCALE = Caution, "autoscale", "lets an autoscaler choose the number of replicas";
    TAINT = Caution, "taint", "keeps new pods off a node";
    UNTAINT = Caution, "untaint", "takes a taint off a node";
    EXPAND = Caution, "expand-pvc", "gives a claim more room, which cannot be taken back";
    CREATE = Caution, "create", "makes a new object";
    RECREATE = Caution, "recreate", "creates an object again from its recorded manifest";
    SCALE_TO_ZERO = Destructive, "scale-to-zero", "leaves no replica running";
    SCALE_UNKNOWN = Destructive, "scale-unknown", "does not say how many replicas are left";
    REMOVES = Destructive, "delete", "removes objects";
    TAINT_NO_EXECUTE = Destructive, "taint-no-execute", "drives pods off a node";
    EVICT = Destructive, "evict", "asks for pods to go";
    APPLY = Destructive, "apply", "may change any field of an object that is there";
    NODE_ACCESS = Destructive, "node-access", "a manifest makes pods that reach the node itself: privileged, with its files, network or processes, or capabilities as good as root";
    POD_POWER = Destructive, "pod-power", "a manifest makes pods that ask for more than an ordinary pod: another service account than default, a priority class, another runtime, a node or a port of the node, a place on the nodes of the control plane, a claim or storage that is there already (also as what a new claim is made of), no seccomp or AppArmor, annotations that give rights or networks, or something else that the Pod Security level baseline forbids";
    ADOPTS_PODS = Destructive, "adopts-pods", "makes a controller that takes over what is there already, and may delete it: a ReplicaSet, ReplicationController, DaemonSet or Job with manualSelector, whatever there is; a Deployment or StatefulSet where there are ReplicaSets, pods or claims that it would take over, or they cannot be listed";
    TAKES_ADDRESSES = Destructive, "external-ips", "a manifest makes a Service that takes the traffic to addresses of others (externalIPs, loadBalancerIP), or gives a name of the cluster to one elsewhere (externalName)";
    OPENS_NETWORK = Destructive, "opens-network", "a manifest makes a NetworkPolicy that allows all traffic of a direction, or nearly all, and so undoes what others deny";
    ACCOUNT_RIGHTS = Destructive, "account-annotations", "a manifest makes a ServiceAccount, Service or Ingress with annotations, by which clouds give rights and controllers take names, addresses and settings";
    PATCH = Destructive, "patch", "may change any field";
    ROLLOUT_UNDO = Destructive, "rollout-undo", "puts an earlier revision back";
    STORAGE = Destructive, "storage-change", "changes what holds data (volumes, claims, storage classes)";
    SECRET = Destructive, "secret-change", "changes a Secret";
    RBAC = Destructive, "rbac-change", "changes who may do what";
    ADMISSION = Destructive, "admission-change", "changes what the API server checks before it stores";
    DEFINITION = Destructive, "definition-change", "changes a kind that other objects are made of";
    NAMESPACE = Destructive, "namespace-change", "changes a namespace itself, its labels or annotations too";
    NODE = Destructive, "node-change", "changes a node itself, its labels or annotations too";
    SYSTEM = Destructive, "system-change", "changes or makes something in a namespace of the control plane (kube-system, kube-public, kube-node-lease)";
    SELECTOR_LABEL = Destructive, "selector-label", "changes a label that a selector uses, or may use, or makes pods with one (a Service, PodDisruptionBudget or NetworkPolicy that is there selects them; a Pod by itself also what takes it over)";
    GUARD_KEY = Destructive, "guard-annotation", "changes a label or annotation that guards the object or says who manages it";
    GUARD_THEN_USE = Destructive, "guard-then-use", "takes a guard away and does what it guarded against";
    UNKNOWN_KIND = Destructive, "unknown-kind", "changes a kind KubeChat does not know";
    UNKNOWN_SUBRESOURCE = Destructive, "unknown-subresource", "writes to a subresource KubeChat does not know";
    MISLABELLED = Destructive, "mislabelled", "calls itself a read but changes objects, or the other way round";
    UNSEEN = Destructive, "unseen", "takes pods away or replaces them, and what depends on them could not be read whole";
    NO_TARGET = Destructive, "no-target", "names no target, so it could be any";
    NO_RIGHT = Destructive, "no-right", "needs a right that the requester does not have";
}

/// A rule that fired, with what it fired on.
#[derive(Clone, Debug)]
pub(super) struct Fired {
    /// The rule.
    pub(super) floor: Floor,
    /// On what.
    pub(super) evidence: BTreeSet<String>,
}

impl Fired {
    /// The rule as a factor: it sets the level and weighs nothing in the score.
    pub(super) fn told(self) -> RiskFactor {
        RiskFactor {
            id: format!("floor-{}", self.floor.id),
            weight: 0,
            text: self.floor.text.to_owned(),
            evidence: tell(&self.evidence),
        }
    }
}

/// Every rule that fires on a plan.
pub(super) fn of(plan: &CommandPlanSpec) -> BTreeMap<&'static str, Fired> {
    let whole = combination::guards_used(&plan.steps)
        .into_iter()
        .map(|evidence| (GUARD_THEN_USE, evidence));
    let unseen = unseen(plan).into_iter().map(|evidence| (UNSEEN, evidence));
    let mut fired: BTreeMap<&'static str, Fired> = BTreeMap::new();
    for (floor, evidence) in plan.steps.iter().flat_map(of_step).chain(whole).chain(unseen) {
        fired
            .entry(floor.id)
            .or_insert_with(|| Fired {
                floor,
                evidence: BTreeSet::new(),
            })
            .evidence
            .insert(evidence);
    }
    fired
}

/// Changes that stop no pod that runs.
const ADDS: &[&str] = &[
    "read",
    "scale-up",
    "label",
    "annotate",
    "cordon",
    "uncordon",
    "create-namespace",
    "rollout-pause",
    "resume",
    "untaint",
    "expand-pvc",
    "create",
    "recreate",
];

/// Lists that say who is served, and not what a pod's end breaks: where they cannot be read, that is a factor.
const SERVED: &[&str] = &[
    "ingresses",
    "httproutes",
    "grpcroutes",
    "horizontalpodautoscalers",
];

/// What could not be read of what hangs on the pods that a plan stops.
fn unseen(plan: &CommandPlanSpec) -> Vec<String> {
    let stops = |step: &Step| changes(step) && !ADDS.contains(&action(step).id);
    let Some(blast) = plan.blast_radius.as_ref().filter(|b| !b.complete) else {
        return vec![];
    };
    if !plan.steps.iter().any(stops) {
        return vec![];
    }
    let served = |line: &&String| {
        let kind = line.split(['.', ' ']).next().unwrap_or_default();
        SERVED.contains(&kind)
    };
    let named: Vec<String> = blast
        .missing
        .iter()
        .filter(|line| !served(line))
        .cloned()
        .collect();
    // What is not complete and does not say why may be anything.
    if named.is_empty() && blast.missing.is_empty() {
        return vec!["the blast radius is not complete".to_owned()];
    }
    named
}

/// The floor level of one step.
#[must_use]
pub fn floor_level(step: &Step) -> Level {
    of_step(step)
        .into_iter()
        .map(|(floor, _)| floor.level)
        .max()
        .unwrap_or(Level::Safe)
}

fn of_step(step: &Step) -> Vec<(Floor, String)> {
    let mut found = vec![];
    let by_action = action(step);
    for target in &step.targets {
        found.push((by_action, name(target)));
        if changes(step) {
            found.extend(kind(step, target.group.as_str(), &target.kind).map(|floor| (floor, name(target))));
            let system = place(target).filter(|place| kinds::is_system(place, ""));
            found.extend(system.map(|place| (SYSTEM, format!("{} in {place}", name(target)))));
        }
    }
    if step.targets.is_empty() {
        found.push((by_action, format!("step {}", step.id)));
        found.push((NO_TARGET, format!("step {}", step.id)));
    }
    if !changes(step) {
        return found;
    }
    if step.effect == Effect::Read {
        found.push((MISLABELLED, format!("step {}", step.id)));
    }
    if step.effect == Effect::Delete && step.action != Action::Delete && !kinds::is_eviction(step) {
        found.push((REMOVES, format!("step {}", step.id)));
    }
    found.extend(subresource(step).map(|name| (UNKNOWN_SUBRESOURCE, name)));
    if step.action == Action::Apply {
        found.extend(reaches_nodes(step));
        let powers = pods::powers(step).into_iter();
        found.extend(powers.map(|power| (POD_POWER, power)));
    }
    found.extend(step.adopts.iter().map(|taken| (ADOPTS_PODS, taken.clone())));
    found.extend(keys(step));
    let missing = step.access.iter().filter(|access| !access.allowed);
    found.extend(missing.map(|a| (NO_RIGHT, format!("{} {}", a.verb, a.resource))));
    found
}

fn action(step: &Step) -> Floor {
    match catalogue::change(step.action) {
        Some(change) => (change.floor)(step),
        None if step.effect == Effect::Read => READ,
        None => MISLABELLED,
    }
}

/// What a manifest adds that is root on a node, or leads to it. Of other changes only a patch can add it, which is destructive
/// whatever it changes.
fn reaches_nodes(step: &Step) -> impl Iterator<Item = (Floor, String)> {
    let root = [
        weights::PRIVILEGED,
        weights::HOST_PATH,
        weights::HOST_NAMESPACE,
        weights::CAPABILITY_NODE,
    ];
    let added = security::added(step).into_iter();
    added
        .filter(move |(weight, _)| root.contains(weight))
        .map(|(_, evidence)| (NODE_ACCESS, evidence))
}

/// The floor of a scale.
pub(crate) fn scale(step: &Step) -> Floor {
    match step.params.replicas {
        Some(n) if n > 0 && Replicas::of(step).adds() => SCALE_UP,
        Some(n) if n > 0 => SCALE_DOWN,
        Some(_) => SCALE_TO_ZERO,
        None => SCALE_UNKNOWN,
    }
}

/// The floor of an autoscale: as of a scale to its maximum, where more runs now.
pub(crate) fn autoscale(step: &Step) -> Floor {
    match autoscale_lost(step) {
        Some(0) => AUTOSCALE,
        Some(_) => SCALE_DOWN,
        None => SCALE_UNKNOWN,
    }
}

/// Replicas that the maximum of an autoscaler takes from what runs now; `None` where the step does not say.
pub(crate) fn autoscale_lost(step: &Step) -> Option<i64> {
    let (now, most) = step.params.current_replicas.zip(step.params.max_replicas)?;
    let each = i64::from(now).saturating_sub(i64::from(most)).max(0);
    let targets = i64::try_from(step.targets.len()).unwrap_or(i64::MAX);
    Some(each.saturating_mul(targets))
}

/// Floors by what kind of object is changed.
fn kind(step: &Step, group: &str, kind: &str) -> Option<Floor> {
    let own = catalogue::change(step.action).and_then(|change| change.instead);
    if own == Some((group, kind)) {
        return None;
    }
    match kinds::class(group, kind) {
        Class::Storage => Some(STORAGE),
        Class::Secret => Some(SECRET),
        Class::Rbac => Some(RBAC),
        Class::Admission => Some(ADMISSION),
        Class::Definition => Some(DEFINITION),
        Class::Unknown => Some(UNKNOWN_KIND),
        Class::Namespace => Some(NAMESPACE),
        Class::Node => Some(NODE),
        Class::Stateless | Class::Stateful | Class::Guard => None,
    }
}

/// The subresource of a step that no rule knows.
pub(super) fn subresource(step: &Step) -> Option<String> {
    let known = |name: &str| {
        matches!(
            (name, step.action),
            ("scale", Action::Scale) | ("eviction", Action::Evict)
        )
    };
    step.subresource.clone().filter(|name| !known(name))
}

/// Floors of label and annotation changes, by a patch or a manifest too, by what reads them.
fn keys(step: &Step) -> Vec<(Floor, String)> {
    let makes = step.effect == Effect::Create;
    let relabels = matches!(
        step.action,
        Action::Label | Action::Annotate | Action::Patch | Action::Apply
    );
    let selected = step
        .selected_by
        .iter()
        .filter(|by| (relabels || makes) && !only_weighs(step, by))
        .map(|by| (SELECTOR_LABEL, by.clone()));
    let guards = kinds::guard_keys(step).into_iter().filter(|_| relabels);
    guards.map(|key| (GUARD_KEY, key)).chain(selected).collect()
}

/// Whether something that could not be read weighs and sets no level: who has rights in one namespace may make a workload there,
/// and never sees the policies of others.
fn only_weighs(step: &Step, by: &str) -> bool {
    let pod = step.targets.iter().any(|t| t.group.is_empty() && t.kind == "Pod");
    step.effect == Effect::Create && !pod && by.starts_with("unreadable") && by.ends_with(ELSEWHERE)
}

/// Replicas before a scale, as far as the step records them, and after it.
#[derive(Clone, Debug)]
pub(super) struct Replicas {
    /// Of each target; `None` where nothing records it.
    before: Vec<Option<i64>>,
    after: i64,
}

impl Replicas {
    /// Read from the diff and from what undoes the step; of two that differ, the one that loses more counts.
    pub(super) fn of(step: &Step) -> Self {
        let shown = |index: usize| {
            let line = step
                .diff
                .iter()
                .find(|l| usize::try_from(l.target) == Ok(index) && l.path == "/spec/replicas")?;
            line.before.as_deref()?.parse::<i64>().ok()
        };
        let undone = |index: usize| step.rollback.undo_of(index)?.params.replicas.map(i64::from);
        Self {
            before: (0..step.targets.len()).map(|i| shown(i).max(undone(i))).collect(),
            after: step.params.replicas.map_or(0, i64::from),
        }
    }

    /// Whether every target gets more than it had.
    pub(super) fn adds(&self) -> bool {
        !self.before.is_empty() && self.before.iter().all(|b| b.is_some_and(|b| b <= self.after))
    }

    /// Replicas that go; an unknown number counts as one.
    pub(super) fn lost(&self) -> i64 {
        let lost = |before: &Option<i64>| before.map_or(1, |b| b.saturating_sub(self.after).max(0));
        self.before.iter().map(lost).fold(0, i64::saturating_add)
    }
}
