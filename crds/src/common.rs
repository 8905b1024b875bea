//! Value types that several kinds share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How dangerous a change is. Ordered: `Safe < Caution < Destructive`.
///
/// Forbidden is not a level: a forbidden turn is Blocked and gets no plan.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Reads only.
    #[default]
    Safe,
    /// Reversible changes of limited reach.
    Caution,
    /// Changes that lose something or reach far.
    Destructive,
}

impl Level {
    /// The level's name as it stands in objects, metrics and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Caution => "caution",
            Self::Destructive => "destructive",
        }
    }

    /// Lower bound of the level's score band (0, 25, 70 of 100).
    #[must_use]
    pub const fn score_floor(self) -> i32 {
        match self {
            Self::Safe => 0,
            Self::Caution => 25,
            Self::Destructive => 70,
        }
    }

    /// The RBAC verb on `commandplans` that lets a person approve or deny a plan of this level.
    #[must_use]
    pub const fn approve_verb(self) -> &'static str {
        match self {
            Self::Safe | Self::Caution => crate::VERB_APPROVE_CAUTION,
            Self::Destructive => crate::VERB_APPROVE_DESTRUCTIVE,
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a turn may execute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Plan, wait for what the policy asks, execute.
    #[default]
    Auto,
    /// Plan and show; never execute.
    PlanOnly,
}

/// A reference to an object of a fixed kind in the same namespace (or cluster-wide for cluster kinds).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LocalRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

impl LocalRef {
    /// A reference by name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

/// Identifies one object, or what was asked about when it does not exist yet (then without `uid`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ObjectId {
    /// API group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub group: String,
    /// Kind, for example `Deployment`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Namespace; absent for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub uid: Option<String>,
}

impl std::fmt::Display for ObjectId {
    /// `kind/name` in lower-case kind, with the namespace behind it: `deployment/nginx in demo`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.to_lowercase(), self.name)?;
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => Ok(()),
        }
    }
}

/// How far a plan is with its approvals; the same in ChatRequest and CommandPlan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalSummary {
    /// `received/required`, for people.
    #[schemars(length(max = 16))]
    pub summary: String,
    /// How many approvals the strictest requirement asks for.
    pub required: i32,
    /// How many of them count so far.
    pub received: i32,
    /// Who may still approve: users or groups as subjects (at most 20), where they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 300)))]
    pub eligible: Vec<String>,
    /// The decisions received, in the order of their creation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub decisions: Vec<DecisionRecord>,
}

/// One decision as the plan counted it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionRecord {
    /// Name of the Approval object.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its UID: another Approval of this name is another decision.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub uid: String,
    /// The person who decided.
    #[schemars(length(max = 1024))]
    pub username: String,
    /// How the decision arrived.
    pub via: crate::approval::Via,
    /// What was decided.
    pub decision: crate::approval::DecisionKind,
    /// When the Approval was created (RFC 3339).
    #[schemars(length(max = 40))]
    pub time: String,
}
