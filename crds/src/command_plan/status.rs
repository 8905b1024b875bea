//! Status of a CommandPlan: where it is, step by step.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::ApprovalSummary;

/// What became of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandPlanStatus {
    /// `metadata.generation` this status was made for; -1 before the first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// For display; programs read conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<PlanPhase>,
    /// `Succeeded`, `AwaitingApproval`, `Reconciling`, `Stalled`; `Reviewed` after break-glass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// How far the approvals are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<ApprovalSummary>,
    /// Steps, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub steps: Vec<StepStatus>,
    /// What was measured before, during and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Whether `kubechat rollback` can undo what was done.
    #[serde(default)]
    pub rollback_available: bool,
    /// When execution began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the plan was finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
}

/// Where a plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PlanPhase {
    /// A person, or a policy that is not ready, is waited for.
    AwaitingApproval,
    /// All that was required is there.
    Approved,
    /// Steps are being sent, or their effect is waited for.
    Executing,
    /// Done.
    Succeeded,
    /// Not done, or not all; the message says which.
    Failed,
    /// A person refused.
    Denied,
    /// A policy refused.
    Blocked,
    /// Its time ran out.
    Expired,
    /// Withdrawn by the requester.
    Cancelled,
    /// What was approved is no longer what stands there.
    Stale,
    /// A step is Unknown, or a running plan was stopped.
    Interrupted,
    /// Shown, never executed.
    PlanOnly,
}

/// How far a step is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Id of the step in the spec.
    #[schemars(length(max = 16))]
    pub id: String,
    /// State.
    pub state: StepState,
    /// PascalCase cause of a Failed, Unknown or Skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub reason: Option<String>,
    /// What the API server said or the wait saw, at most 4 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub excerpt: Option<String>,
    /// Targets done.
    #[serde(default)]
    pub done: i32,
    /// Targets not done (at most 20 named).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 512)))]
    pub failed: Vec<String>,
    /// UID of the object that the step made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub made: Option<String>,
    /// Sequence number of the audit entry that holds the intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_seq: Option<i64>,
    /// When it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Time>,
}

/// State of a step. Only the order of the list is ever followed; Unknown is never left by the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum StepState {
    /// Not begun.
    #[default]
    Pending,
    /// The audit log holds the intent; the write is on its way.
    Sent,
    /// The API server accepted it.
    Done,
    /// The API server refused it.
    Failed,
    /// Nobody can know whether it happened; a person decides.
    Unknown,
    /// Not sent because an earlier step failed or the plan was stopped.
    Skipped,
}

/// Measurements around an execution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Before the first step.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub before: String,
    /// While waiting for the effect.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub during: String,
    /// At the end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub after: String,
    /// What it means.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub verdict: String,
}
