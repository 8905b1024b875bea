//! What an interpreter understood: typed intents. Interpreters produce them without any cluster data; the compiler
//! resolves them against the cluster as the requester.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::action::Action;

/// One thing the person asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// What to do.
    pub action: Action,
    /// To what.
    #[serde(default)]
    pub target: IntentTarget,
    /// With which parameters; only those of the action are set.
    #[serde(default)]
    pub params: IntentParams,
    /// How sure the interpreter is, in percent.
    pub confidence: i32,
    /// Where in the prompt it stands.
    #[serde(default)]
    pub span: Span,
}

/// Byte range of the prompt (UTF-8), end exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// First byte.
    pub start: i32,
    /// One past the last byte.
    pub end: i32,
}

/// What the words named. Nothing here is resolved yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntentTarget {
    /// Kind as the lexicon knows it (`Deployment`), or as written when it knows none. Absent: to be found by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub kind: Option<String>,
    /// API group of the kind, when the lexicon knew it. Absent for unknown kinds and the core group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,
    /// Names, in the order given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253)))]
    pub names: Vec<String>,
    /// Label selector in the API server's syntax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub selector: Option<String>,
    /// Namespace named in the prompt. Absent: the request's own (or the session's default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// All namespaces were asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_namespaces: bool,
    /// Every object of the kind was asked for ("all pods").
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// Parameters of all actions; each action reads its own and a set one that is not its own is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntentParams {
    /// scale, create-deployment: wanted replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub replicas: Option<i32>,
    /// scale: replicas to add (negative: remove), for "two more".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas_delta: Option<i32>,
    /// scale: factor in percent, for "double" (200) and "halve" (50).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub replicas_percent: Option<i32>,
    /// scale: a precondition, as `kubectl scale --current-replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_replicas: Option<i32>,
    /// set-image, create-deployment, create-job, create-cronjob, find: the image, taken literally. A bare tag is written `:tag` and keeps the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub image: Option<String>,
    /// set-image, set-env, set-resources, logs: the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub container: Option<String>,
    /// set-resources, create-limit-range: requests (`cpu`, `memory`) in Kubernetes quantities.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub requests: BTreeMap<String, String>,
    /// set-resources: limits. create-quota: what the namespace may ask for. create-limit-range: what a container may use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub limits: BTreeMap<String, String>,
    /// set-env: variables taken from a key of another object: `configmap/NAME/KEY` or `secret/NAME/KEY`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub env_refs: BTreeMap<String, String>,
    /// autoscale: fewest replicas; absent is 1, or what the autoscaler has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_replicas: Option<i32>,
    /// autoscale: most replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_replicas: Option<i32>,
    /// autoscale: wanted CPU use in percent of the requests; absent is 80, or what the autoscaler has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub cpu_percent: Option<i32>,
    /// taint, untaint: which taints. Without an effect, untaint takes every taint of the key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub taints: Vec<Taint>,
    /// `kind/name` or a name. create-job: the CronJob whose job is made. create-pdb, create-network-policy: the workload it is
    /// for (`*`: all pods). create-ingress: the Service. bind-role: the Role or ClusterRole. find: the owner. expose records what it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 317))]
    pub from: Option<String>,
    /// create-deployment: the container's port. expose, create-ingress: the Service's port. create-network-policy: the pods'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,
    /// expose: the port of the pods; absent is the one their containers declare, or the Service's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub target_port: Option<i32>,
    /// expose: `ClusterIP`, `NodePort` or `LoadBalancer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub service_type: Option<String>,
    /// expose: the Service's name, where it is not the workload's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub new_name: Option<String>,
    /// create-deployment, create-job, create-cronjob: the container's command, word by word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)))]
    pub command: Vec<String>,
    /// create-cronjob: when it runs, in cron's five fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub schedule: Option<String>,
    /// create-pdb: pods that stay available, a number or a percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub min_available: Option<String>,
    /// create-pdb: pods that may be gone, a number or a percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub max_unavailable: Option<String>,
    /// create-network-policy: directions in which nothing passes: `Ingress`, `Egress`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), inner(length(max = 16)))]
    pub deny: Vec<String>,
    /// create-network-policy: labels of the pods of the same namespace whose traffic comes in, `a=b,c=d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub allow_from: Option<String>,
    /// create-ingress: the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub host: Option<String>,
    /// create-ingress: the path and what is below it; absent is all. explain: the field, `spec.strategy`; absent is the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub path: Option<String>,
    /// create-ingress: the IngressClass; absent is the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub class_name: Option<String>,
    /// bind-role: who gets the role (apply records who of nearly everybody does): `user/NAME`, `group/NAME`, `serviceaccount/NAMESPACE/NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 320)))]
    pub subjects: Vec<String>,
    /// bind-role, apply: what the role grants, as KubeChat found it: `reads`, `changes`, `secrets`, `everything` or `unknown`. Never
    /// taken from a prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub grants: Option<String>,
    /// expand-pvc: the new size, a Kubernetes quantity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub size: Option<String>,
    /// apply, diff: the manifest of one object, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16_384))]
    pub manifest: Option<String>,
    /// patch: the patch as JSON: an object is a merge patch, an array a JSON patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16_384))]
    pub patch: Option<String>,
    /// label, annotate, set-env, create-configmap: keys to set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub set: BTreeMap<String, String>,
    /// label, annotate, set-env: keys to remove. set-resources (of a rollback): `requests.cpu`, `limits.memory`, ..
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 316)))]
    pub remove: Vec<String>,
    /// label, annotate, taint: an existing value may be replaced (a kubectl line without `--overwrite` may not).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overwrite: Option<bool>,
    /// rollout-undo: the revision; absent is the one before. rollout-history: only this one. diff: the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// diff: the second revision; absent is what the workload is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_revision: Option<i64>,
    /// find: the text that is looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub text: Option<String>,
    /// compare: the namespace of the second object, which has the name of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub other_namespace: Option<String>,
    /// can-i: what is to be allowed, a verb of RBAC or an action (`delete`, `scale`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub verb: Option<String>,
    /// evict, drain: how long one eviction is asked for again while a disruption budget forbids it, in seconds; absent is 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout_seconds: Option<i64>,
    /// delete, evict, drain: grace period in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub grace_period_seconds: Option<i64>,
    /// delete: `--force` was given (grace period 0 for pods). evict, drain: pods that nothing replaces go too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// delete: a missing object is no error (`--ignore-not-found`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_not_found: Option<bool>,
    /// logs: lines from the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub tail: Option<i64>,
    /// logs, events: not older than so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_seconds: Option<i64>,
    /// logs: of the container's previous run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<bool>,
    /// list, count: only rows in this state, a word of the kind's status column (`Running`, `Pending`, `NotReady`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub state: Option<String>,
    /// list, top: the rows with the most of this first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<SortBy>,
    /// get, list: `-o` of a pasted kubectl line; table is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// `--dry-run` of a pasted kubectl line: the turn becomes PlanOnly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// A taint of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Taint {
    /// Its key.
    #[schemars(length(max = 316))]
    pub key: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// What it does to pods that do not tolerate it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// No new ones come.
    NoSchedule,
    /// New ones come only where there is no other room.
    PreferNoSchedule,
    /// None come, and those there are have to go.
    NoExecute,
}

impl TaintEffect {
    /// As Kubernetes writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }

    /// The effect of this name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::NoSchedule, Self::PreferNoSchedule, Self::NoExecute]
            .into_iter()
            .find(|effect| effect.as_str().eq_ignore_ascii_case(name))
    }
}

/// What rows are put in order by, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SortBy {
    /// How often containers of a pod were started again.
    Restarts,
    /// CPU in use.
    Cpu,
    /// Memory in use.
    Memory,
}

/// Output forms of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// A table.
    Table,
    /// A table with more columns.
    Wide,
    /// YAML, masked.
    Yaml,
    /// JSON, masked.
    Json,
    /// `kind/name` lines.
    Name,
}
