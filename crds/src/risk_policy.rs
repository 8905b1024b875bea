//! RiskPolicy: a policy pack.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ai_provider::SecretKeyRef;
use crate::common::Level;
use crate::identity::Identity;

/// A policy pack: what is denied, what must be approved and by whom.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kubechat.io",
    version = "v1beta1",
    kind = "RiskPolicy",
    plural = "riskpolicies",
    status = "RiskPolicyStatus",
    shortname = "kcrp",
    category = "kubechat",
    category = "kubechat-policy",
    doc = "A policy pack: what plans need before they run. All packs bind together; the strictest wins.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Suspend", type_ = "boolean", json_path = ".spec.suspend"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct RiskPolicySpec {
    /// Rules over steps; Deny beats RequireApproval beats Allow over all packs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub rules: Vec<PolicyRule>,
    /// What each level needs where no rule says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<LevelApprovals>,
    /// Namespaces in which changes count as more dangerous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected_namespaces: Option<LabelSelector>,
    /// Namespaces whose ChatRequests may ask for a wider scope than their own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wide_scope_from: Option<LabelSelector>,
    /// Times in which changes are refused or need approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub freezes: Vec<Freeze>,
    /// Hosts that providers, sinks and notifiers with external egress may reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253)))]
    pub egress_hosts: Vec<String>,
    /// Trust in appliers of Git content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitops: Option<GitOps>,
    /// Emergency approvals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlassPolicy>,
    /// Ceilings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// How long a plan may wait (Go duration). Defaults: caution 8h, destructive 4h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_plan_age: Option<LevelDurations>,
    /// How old the requester's stamp may be at execution (people). Defaults: caution 8h, destructive 4h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_identity_age: Option<LevelDurations>,
    /// Where waiting plans are announced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub notifiers: Vec<Notifier>,
    /// The kill switch: while true, no step that has not been sent is sent.
    #[serde(default)]
    pub suspend: bool,
    /// Who created it or changed its spec last; stamped by admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<Identity>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    /// Name, shown to people.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// CEL over `step, plan, requester, target, namespaceObject, now`.
    #[schemars(length(min = 1, max = 4096))]
    pub when: String,
    /// What it does.
    pub effect: RuleEffect,
    /// Raises the level to at least this. A plan made before, at a lower level, goes stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Level>,
    /// What must be approved in addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require: Option<ApprovalRule>,
    /// Told to the requester.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// Effects of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RuleEffect {
    /// Waives the pack's approvals up to caution.
    Allow,
    /// Asks for approvals.
    #[default]
    RequireApproval,
    /// Refuses.
    Deny,
}

/// Approvals by level.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LevelApprovals {
    /// For caution. Default: one, and the requester may confirm it himself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caution: Option<ApprovalRule>,
    /// For destructive. Default: one other person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destructive: Option<ApprovalRule>,
}

/// Who must approve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalRule {
    /// How many different people.
    #[schemars(range(min = 1, max = 20))]
    pub count: i32,
    /// Only members of these groups count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 253)))]
    pub groups: Vec<String>,
    /// Only these people count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(max = 253)))]
    pub users: Vec<String>,
    /// The requester may confirm it himself (caution only).
    #[serde(default)]
    pub self_confirm: bool,
    /// Only signed decisions count.
    #[serde(default)]
    pub signature: bool,
}

/// A freeze window: `cron` with a length, or `from`/`to`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.cron) != has(self.from)", "message": "a freeze has either cron and duration, or from and to"},
    {"rule": "has(self.from) == has(self.to) && has(self.cron) == has(self.duration)", "message": "from goes with to, cron goes with duration"}
]))]
pub struct Freeze {
    /// When it begins again and again (five fields).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub cron: Option<String>,
    /// How long it lasts (Go duration).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub duration: Option<String>,
    /// Once: from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// Once: to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Time>,
    /// IANA time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub time_zone: Option<String>,
    /// RequireApproval or Deny.
    pub effect: RuleEffect,
}

/// Trust in Git appliers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitOps {
    /// Service accounts whose objects carry decisions of people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub trusted_appliers: Vec<TrustedApplier>,
    /// Whether an unsigned claim counts.
    #[serde(default)]
    pub unsigned_claims: UnsignedClaims,
}

/// A trusted applier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustedApplier {
    /// `namespace/name` of the service account.
    #[schemars(length(min = 3, max = 317))]
    pub service_account: String,
    /// Namespaces it is trusted for.
    #[schemars(length(min = 1, max = 200), inner(length(max = 63)))]
    pub namespaces: Vec<String>,
}

/// Unsigned claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UnsignedClaims {
    /// Never count.
    #[default]
    None,
    /// Count up to caution.
    Caution,
}

/// Who may break the glass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BreakGlassPolicy {
    /// Members of these groups.
    #[schemars(length(min = 1, max = 20), inner(length(max = 253)))]
    pub groups: Vec<String>,
    /// A Review is due after so long (Go duration).
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]+(h|m|s))+$"))]
    pub review_within: String,
}

/// Ceilings; the smallest over all packs binds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Steps of a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub steps_per_plan: Option<i32>,
    /// Targets of a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub targets_per_step: Option<i32>,
    /// Share of the cluster's pods, and of its nodes, a plan may hit, in percent; a share that cannot be told is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub cluster_share: Option<i32>,
    /// Turns one person may create a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub turns_per_user_per_minute: Option<i32>,
    /// Plans one person may get in an hour; those that were removed since count too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub changes_per_user_per_hour: Option<i32>,
}

/// A duration by level (Go durations).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LevelDurations {
    /// For caution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]+(h|m|s))+$"))]
    pub caution: Option<String>,
    /// For destructive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]+(h|m|s))+$"))]
    pub destructive: Option<String>,
}

/// A receiver of announcements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notifier {
    /// Name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Protocol.
    #[serde(rename = "type")]
    pub type_: NotifierType,
    /// URL or address.
    #[schemars(length(max = 1024))]
    pub endpoint: String,
    /// Credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// Levels it hears of; empty is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub levels: Vec<Level>,
    /// Text template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub template: Option<String>,
}

/// Notifier protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NotifierType {
    /// Plain HTTP POST.
    #[default]
    Webhook,
    /// Slack.
    Slack,
    /// Microsoft Teams.
    Teams,
    /// Mail.
    Email,
}

/// What is known of a pack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RiskPolicyStatus {
    /// `metadata.generation` this status was made for; -1 before the first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}
