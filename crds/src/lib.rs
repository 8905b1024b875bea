//! The API of KubeChat: one custom resource per file, the value types they share, digests, and the manifests
//! that install them ([`install`]).
//!
//! **Invariant:** pure. No clock, no client, no I/O, no async. Everything here is data or a function over data,
//! so that the operator, the webhook and the tests judge the same bytes in the same way.

// kube-derive takes one `printcolumn`, `category` or `selectable` attribute for each, which clippy reads as repeats.
#![allow(clippy::duplicated_attributes)]

pub mod action;
pub mod ai_provider;
pub mod approval;
pub mod approver_key;
pub mod audit_policy;
pub mod chat_request;
pub mod chat_session;
pub mod command_plan;
pub mod common;
pub mod condition;
pub mod digest;
pub mod identity;
pub mod install;
pub mod intent;
pub mod risk_policy;
pub mod schema;

pub use ai_provider::{AIProvider, AIProviderSpec, AIProviderStatus};
pub use approval::{Approval, ApprovalSpec, ApprovalStatus, DecisionKind, Via};
pub use approver_key::{ApproverKey, ApproverKeySpec, ApproverKeyStatus};
pub use audit_policy::{AuditPolicy, AuditPolicySpec, AuditPolicyStatus};
pub use chat_request::{ChatRequest, ChatRequestSpec, ChatRequestStatus, RequestPhase};
pub use chat_session::{ChatSession, ChatSessionSpec, ChatSessionStatus, SessionPhase};
pub use command_plan::{CommandPlan, CommandPlanSpec, CommandPlanStatus, PlanPhase, Step, StepState};
pub use common::{ApprovalSummary, Level, LocalRef, Mode, ObjectId};
pub use digest::{PlanDigest, canonical, sha256_hex};
pub use identity::{Identity, Seal};
pub use risk_policy::{RiskPolicy, RiskPolicySpec, RiskPolicyStatus};

/// API group of every KubeChat kind.
pub const GROUP: &str = "kubechat.io";
/// The only served version.
pub const VERSION: &str = "v1beta1";
/// Field manager of every write KubeChat makes.
pub const FIELD_MANAGER: &str = "kubechat";
/// Annotation on a changed object: the step (hex SHA-256) that changed it last. A restarted executor recognises its own work by it.
pub const STEP_ID_ANNOTATION: &str = "kubechat.io/step-id";
/// Impersonation extra that names the plan digest in the API server's own audit log.
pub const PLAN_EXTRA: &str = "kubechat.io/plan";
/// Synthetic verb an approver of plans up to caution needs on `commandplans.kubechat.io`.
pub const VERB_APPROVE_CAUTION: &str = "approve-caution";
/// Synthetic verb an approver of destructive plans needs on `commandplans.kubechat.io`.
pub const VERB_APPROVE_DESTRUCTIVE: &str = "approve-destructive";
