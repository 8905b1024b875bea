//! What an interpreter understood: typed intents. Interpreters produce them without any cluster data; the compiler
//! resolves them against the cluster as the requester.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The action catalogue of this release. Reads answer at once; changes make a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Rows of a kind.
    List,
    /// One object, short.
    Get,
    /// One object with what belongs to it.
    Describe,
    /// The end of a container's log.
    Logs,
    /// Events of an object or a namespace.
    Events,
    /// How many objects.
    Count,
    /// How far a rollout is.
    RolloutStatus,
    /// Change the number of replicas.
    Scale,
    /// Restart the pods of a workload one by one.
    Restart,
    /// Change a container's image.
    SetImage,
    /// Change a container's requests and limits.
    SetResources,
    /// Remove objects.
    Delete,
    /// Add, change or remove labels.
    Label,
    /// Add, change or remove annotations.
    Annotate,
    /// Mark a node unschedulable.
    Cordon,
    /// Mark a node schedulable again.
    Uncordon,
    /// Make a namespace.
    CreateNamespace,
    /// Back to an earlier revision of a Deployment, StatefulSet or DaemonSet.
    RolloutUndo,
    /// Create an object again from its recorded manifest. Only a rollback makes it, never a prompt.
    Recreate,
}

impl Action {
    /// Every action, in the order of the catalogue.
    pub const ALL: [Self; 19] = [
        Self::List,
        Self::Get,
        Self::Describe,
        Self::Logs,
        Self::Events,
        Self::Count,
        Self::RolloutStatus,
        Self::Scale,
        Self::Restart,
        Self::SetImage,
        Self::SetResources,
        Self::Delete,
        Self::Label,
        Self::Annotate,
        Self::Cordon,
        Self::Uncordon,
        Self::CreateNamespace,
        Self::RolloutUndo,
        Self::Recreate,
    ];

    /// The action's name in objects and documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Get => "get",
            Self::Describe => "describe",
            Self::Logs => "logs",
            Self::Events => "events",
            Self::Count => "count",
            Self::RolloutStatus => "rollout-status",
            Self::Scale => "scale",
            Self::Restart => "restart",
            Self::SetImage => "set-image",
            Self::SetResources => "set-resources",
            Self::Delete => "delete",
            Self::Label => "label",
            Self::Annotate => "annotate",
            Self::Cordon => "cordon",
            Self::Uncordon => "uncordon",
            Self::CreateNamespace => "create-namespace",
            Self::RolloutUndo => "rollout-undo",
            Self::Recreate => "recreate",
        }
    }

    /// Whether the action only reads.
    #[must_use]
    pub const fn is_read(self) -> bool {
        match self {
            Self::List
            | Self::Get
            | Self::Describe
            | Self::Logs
            | Self::Events
            | Self::Count
            | Self::RolloutStatus => true,
            Self::Scale
            | Self::Restart
            | Self::SetImage
            | Self::SetResources
            | Self::Delete
            | Self::Label
            | Self::Annotate
            | Self::Cordon
            | Self::Uncordon
            | Self::CreateNamespace
            | Self::RolloutUndo
            | Self::Recreate => false,
        }
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

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
    /// scale: wanted replicas.
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
    /// set-image: the image, taken literally. A bare tag is written `:tag` and keeps the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub image: Option<String>,
    /// set-image, set-resources, logs: the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub container: Option<String>,
    /// set-resources: requests (`cpu`, `memory`) in Kubernetes quantities.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub requests: BTreeMap<String, String>,
    /// set-resources: limits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub limits: BTreeMap<String, String>,
    /// label, annotate: keys to set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub set: BTreeMap<String, String>,
    /// label, annotate: keys to remove. set-resources (of a rollback): `requests.cpu`, `limits.memory`, ..
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 316)))]
    pub remove: Vec<String>,
    /// label, annotate: an existing value may be replaced (a kubectl line without `--overwrite` may not).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overwrite: Option<bool>,
    /// rollout-undo: the revision; absent is the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// delete: grace period in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub grace_period_seconds: Option<i64>,
    /// delete: `--force` was given (grace period 0 for pods).
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
    /// get, list: `-o` of a pasted kubectl line; table is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// `--dry-run` of a pasted kubectl line: the turn becomes PlanOnly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
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
