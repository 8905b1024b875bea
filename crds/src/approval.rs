//! Approval: one decision by one person on one plan digest.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::LocalRef;
use crate::identity::Identity;

/// One decision. Not owned by the plan: it is evidence and outlives it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kubechat.io",
    version = "v1beta1",
    kind = "Approval",
    namespaced,
    status = "ApprovalStatus",
    shortname = "kca",
    category = "kubechat",
    category = "kubechat-work",
    doc = "One person's decision on one plan, bound to the plan's digest.",
    selectable = ".spec.submittedBy.username",
    selectable = ".spec.planRef.name",
    selectable = ".spec.planDigest",
    printcolumn(name = "Plan", type_ = "string", json_path = ".spec.planRef.name"),
    printcolumn(name = "Decision", type_ = "string", json_path = ".spec.decision"),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.submittedBy.username"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "an Approval never changes: create another one, or delete it before it is used"}
]))]
pub struct ApprovalSpec {
    /// The plan, in this namespace.
    pub plan_ref: LocalRef,
    /// The plan's digest, in full: what was seen is what is decided on.
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub plan_digest: String,
    /// Approve, Deny, or Review (after break-glass).
    pub decision: DecisionKind,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// Change ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub ticket: Option<String>,
    /// A claim of who decided, only through a trusted applier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<Claim>,
    /// Signature by a registered ApproverKey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// Does not count after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Emergency approval, where a policy allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
    /// Who submitted it; stamped by admission, whatever a client sent is overwritten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<Identity>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DecisionKind {
    /// Go ahead.
    Approve,
    /// One Deny by a person with the right ends the plan.
    #[default]
    Deny,
    /// Looked at after a break-glass execution.
    Review,
}

/// How a decision arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Via {
    /// The requester confirmed his own caution plan.
    #[serde(rename = "Self")]
    Self_,
    /// The approver created the object.
    #[default]
    Direct,
    /// Through a trusted applier: signed, or a claim where a policy counts those.
    GitOps,
    /// By break-glass.
    BreakGlass,
}

/// A claimed person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// Username of the ApproverKey.
    #[schemars(length(max = 253))]
    pub username: String,
}

/// A detached signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signature {
    /// Only `sshsig` (`ssh-keygen -Y sign -n kubechat-approval`).
    pub format: SignatureFormat,
    /// The armoured signature.
    #[schemars(length(max = 8192))]
    pub value: String,
}

/// Signature formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureFormat {
    /// OpenSSH's SSHSIG.
    Sshsig,
}

/// An emergency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BreakGlass {
    /// The incident's id.
    #[schemars(length(min = 1, max = 253))]
    pub incident: String,
}

/// What became of a decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// `metadata.generation` this status was made for; -1 before the first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The person it counts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub effective_approver: Option<String>,
    /// How it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Via>,
    /// Since when its plan is gone. It goes 30 days later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_gone_since: Option<Time>,
    /// `Accepted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}
