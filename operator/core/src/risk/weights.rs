//! What each reason weighs: the one table of the weighted score.
//!
//! A weight is the share, in percent, by which a reason alone brings a plan nearer to "will do harm". Weights are
//! multiples of five, so that the score is computed exactly. docs/risk.md shows this table and is tested against it.

/// One case of a factor. Of the cases of one factor only the heaviest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Id of the factor.
    pub factor: &'static str,
    /// When it applies.
    pub case: &'static str,
    /// Percent, a multiple of five.
    pub percent: u8,
    /// What a person reads.
    pub text: &'static str,
}

macro_rules! weights {
    ($($name:ident = $factor:literal, $case:literal, $percent:literal, $text:literal;)*) => {
        $(pub(crate) const $name: Weight = Weight { factor: $factor, case: $case, percent: $percent, text: $text };)*
        /// Every case, in the order of the documentation.
        pub const ALL: &[Weight] = &[$($name),*];
    };
}

weights! {
    UNCORDON = "verb", "uncordon", 10, "puts a node back into scheduling";
    LABEL = "verb", "label, annotate", 15, "changes what others may read of an object, not what it runs";
    HOLD = "verb", "pause, resume, suspend", 15, "holds something, or lets it go on";
    CREATE = "verb", "create, recreate", 15, "makes a new object; nothing that runs is touched";
    NETWORK_POLICY = "verb", "create-network-policy", 30, "what a network policy does not allow is cut off";
    BIND_READS = "verb", "bind-role: a role that only reads", 30, "lets somebody see more";
    BIND_CHANGES = "verb", "bind-role: a role that changes", 50, "lets somebody change more";
    BIND_SECRETS = "verb", "bind-role: a role that reads Secrets it names", 60, "lets somebody read Secrets";
    BIND_ALL = "verb", "bind-role: a role that grants everything, rights, approvals, running pods or any Secret, or cannot be read", 80, "lets somebody do everything, or what leads to it";
    BIND_EVERYBODY = "verb", "bind-role: to all who log in, all who do not, or all service accounts", 80, "lets everybody do it";
    SCALE_UP = "verb", "scale up", 20, "adds replicas, which need room";
    EXPAND = "verb", "expand-pvc", 10, "gives a claim more room; its data is not touched";
    AUTOSCALE = "verb", "autoscale", 20, "lets an autoscaler choose the number of replicas";
    TAINT = "verb", "taint", 20, "keeps new pods off a node";
    CORDON = "verb", "cordon", 20, "takes a node out of scheduling";
    RESTART = "verb", "restart", 25, "replaces the running pods one by one";
    SET_ENV = "verb", "set-env", 25, "changes what the code reads and replaces the pods";
    SET_RESOURCES = "verb", "set-resources", 25, "changes requests or limits and replaces the pods";
    SCALE_DOWN = "verb", "scale down, or from an unknown number", 30, "takes replicas away";
    SET_IMAGE = "verb", "set-image", 30, "changes what code runs";
    EVICT = "verb", "evict, drain", 40, "asks for pods to go, as their budgets allow";
    PATCH = "verb", "patch", 40, "may change any field";
    TAINT_NO_EXECUTE = "verb", "taint with NoExecute", 50, "drives pods off a node";
    ROLLOUT_UNDO = "verb", "rollout-undo", 40, "puts earlier code and settings back, whatever they were";
    SCALE_TO_ZERO = "verb", "scale to zero, or to an unknown number", 50, "leaves no replica running";
    DELETE = "verb", "delete", 55, "removes objects";
    DELETE_NOW = "verb", "delete --force; delete, evict, drain without grace", 65, "removes objects without letting them end in order";
    UNKNOWN_VERB = "verb", "a read that changes, an unknown subresource", 70, "does something KubeChat has no rule for";

    STATELESS = "kind-class", "workloads without state, Service, ConfigMap, Ingress, HPA", 10, "a kind that is quickly made again";
    STATEFUL = "kind-class", "StatefulSet", 25, "its pods have a name and data of their own";
    GUARD = "kind-class", "PodDisruptionBudget, NetworkPolicy, quota, ServiceAccount", 30, "a kind that protects others";
    CLUSTER_UNIT = "kind-class", "Namespace, Node", 30, "a kind that holds others";
    STORAGE = "kind-class", "PVC, PV, StorageClass, snapshots", 60, "a kind that holds data";
    IDENTITY = "kind-class", "Secret, RBAC, webhooks and admission policies, CRD, APIService", 60, "a kind that decides who may do what, or that others are made of";
    UNKNOWN_KIND = "kind-class", "any other kind", 60, "a kind KubeChat does not know";

    RECREATED = "reversibility", "undone only by creating it again", 20, "undone only by making it again: what it held besides its manifest is gone";
    RECREATED_UNKNOWN = "reversibility", "created again, of a kind KubeChat does not know", 50, "undone only by making it again: what its controller removed with it does not come back";
    IRREVERSIBLE = "reversibility", "not undone (a restart apart, which loses nothing)", 50, "nothing undoes it";

    LOST_1 = "lost-pods", "1 to 4 ready pods", 10, "a few pods stop";
    LOST_5 = "lost-pods", "5 to 19", 20, "several pods stop";
    LOST_20 = "lost-pods", "20 to 99", 30, "many pods stop";
    LOST_100 = "lost-pods", "100 to 499", 45, "hundreds of pods stop";
    LOST_500 = "lost-pods", "500 and more", 60, "a large part of what runs stops";

    SERVICE_AT_ZERO = "services-at-zero", "any", 60, "a Service is left with nothing to answer for it";
    PDB_NO_HEADROOM = "pdb", "no disruption left", 35, "a PodDisruptionBudget allows nothing more after it";
    PDB_VIOLATED = "pdb", "violated", 60, "stops more pods than a PodDisruptionBudget allows";
    SINGLE_REPLICA = "single-replica", "any", 30, "the only replica of a workload is hit";
    CLAIM_LOST = "volumes", "claims are removed", 40, "claims go, and with them the way to their data";
    VOLUME_LOST = "volumes", "the volume goes too (reclaim policy Delete)", 60, "volumes are removed with their claims: nothing brings the data back";

    NAMESPACES_2 = "namespaces", "2 or 3, or objects outside the turn's own", 20, "reaches into more than one namespace";
    NAMESPACES_4 = "namespaces", "4 to 7", 30, "reaches into several namespaces";
    NAMESPACES_8 = "namespaces", "8 and more", 40, "reaches into many namespaces";
    CLUSTER_SCOPE = "cluster-scope", "any", 20, "changes an object that belongs to the whole cluster";
    NODES = "nodes", "a share of the nodes, up to all of them (less in proportion, at least 5)", 70, "changes a share of the nodes";
    SELECTOR = "selector", "any", 25, "what it changes was found by a selector, not named one by one";

    PRODUCTION = "namespace-class", "production, by name or label", 25, "in a namespace that says it is production";
    PROTECTED = "namespace-class", "protected by a RiskPolicy", 40, "in a namespace that a RiskPolicy protects, or whose labels could not be read";
    UNKNOWN_NAMESPACE = "namespace-class", "nothing is recorded of it", 40, "in a namespace of which nothing is recorded, so it counts as protected";
    SYSTEM = "namespace-class", "the control plane's", 60, "in a namespace of the control plane";

    LATEST = "image-tag", "any", 15, "runs an image whose content may change by itself (no tag, or latest)";
    ESCALATION = "privilege-escalation", "any", 20, "lets a process gain more rights than its parent";
    RUN_AS_ROOT = "run-as-root", "any", 25, "runs, or may run, as root";
    CAPABILITY = "capabilities", "added", 25, "adds kernel capabilities";
    CAPABILITY_NODE = "capabilities", "one that is as good as root", 60, "adds kernel capabilities that are as good as root on the node";
    HOST_NAMESPACE = "host-namespaces", "any", 45, "shares the node's network, processes or memory";
    HOST_PATH = "host-path", "any", 50, "mounts files of the node";
    PRIVILEGED = "privileged", "any", 70, "runs a privileged container: root on the node";

    UNDONE = "will-be-undone", "any", 20, "somebody else manages it and will put it back";
    INCIDENT = "incident", "any", 25, "an incident is under way where it changes something";
    UNTRUSTED = "untrusted-text", "any", 20, "text that no person wrote, or that hides characters, took part in making it";
    INCOMPLETE = "incomplete", "any", 30, "not everything it may hit could be seen";

    OBJECTS_20 = "many-objects", "20 to 49", 10, "many objects, with what the same person changed within the hour";
    OBJECTS_50 = "many-objects", "50 to 149", 20, "very many objects, with what the same person changed within the hour";
    OBJECTS_150 = "many-objects", "150 to 499", 30, "hundreds of objects, with what the same person changed within the hour";
    OBJECTS_500 = "many-objects", "500 and more", 50, "a large part of a cluster, with what the same person changed within the hour";
    PLANS_100 = "many-plans", "100 to 299", 10, "the same person had very many plans within the hour";
    PLANS_300 = "many-plans", "300 and more", 20, "the same person had more plans within the hour than people make by hand";
    DELETES_5 = "many-deletes", "5 to 19", 15, "several objects removed, with what the same person removed within the hour";
    DELETES_20 = "many-deletes", "20 to 49", 30, "many objects removed, with what the same person removed within the hour";
    DELETES_50 = "many-deletes", "50 and more", 45, "very many objects removed, with what the same person removed within the hour";

    NO_ROOM = "no-room", "any", 30, "takes nodes out of scheduling and replaces pods: they may find no place";
    GUARD_THEN_USE = "guard-then-use", "any", 60, "takes a guard away and does what it guarded against";
}

/// The weight of a scale.
pub(crate) fn scale(step: &kubechat_crds::Step) -> Weight {
    match step.params.replicas {
        Some(n) if n > 0 && super::floors::Replicas::of(step).adds() => SCALE_UP,
        Some(n) if n > 0 => SCALE_DOWN,
        Some(_) | None => SCALE_TO_ZERO,
    }
}

/// The case for a number: the last of the ascending `(from, case)` pairs whose bound is reached.
pub(super) fn banded(number: i64, bands: &[(i64, Weight)]) -> Option<Weight> {
    bands
        .iter()
        .rev()
        .find(|(from, _)| number >= *from)
        .map(|(_, weight)| *weight)
}
