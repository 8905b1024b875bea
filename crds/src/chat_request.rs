//! ChatRequest: one turn, one-shot.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{ApprovalSummary, Level, LocalRef, Mode, ObjectId};
use crate::identity::Identity;
use crate::intent::{Action, Intent};

/// One turn: a sentence, stamped with who wrote it. One-shot: the spec never changes, except `cancel` to true.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kubechat.io",
    version = "v1beta1",
    kind = "ChatRequest",
    namespaced,
    status = "ChatRequestStatus",
    shortname = "kcr",
    category = "kubechat",
    category = "kubechat-work",
    doc = "One chat turn. A read is answered in status.answer; a change becomes a CommandPlan (status.planRef) that waits for what the policy asks.",
    selectable = ".spec.requester.username",
    selectable = ".spec.sessionRef.name",
    selectable = ".status.phase",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Risk", type_ = "string", json_path = ".status.risk.level"),
    printcolumn(name = "Approvals", type_ = "string", json_path = ".status.approvals.summary"),
    printcolumn(name = "Plan", type_ = "string", json_path = ".status.planRef.name"),
    printcolumn(name = "Requester", type_ = "string", json_path = ".spec.requester.username"),
    printcolumn(name = "Prompt", type_ = "string", json_path = ".spec.prompt", priority = 1),
    printcolumn(
        name = "Answer",
        type_ = "string",
        json_path = ".status.answer.firstLine",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.prompt == oldSelf.prompt && self.mode == oldSelf.mode && has(self.sessionRef) == has(oldSelf.sessionRef) && (!has(self.sessionRef) || self.sessionRef == oldSelf.sessionRef) && has(self.clusterRef) == has(oldSelf.clusterRef) && (!has(self.clusterRef) || self.clusterRef == oldSelf.clusterRef) && has(self.providerRef) == has(oldSelf.providerRef) && (!has(self.providerRef) || self.providerRef == oldSelf.providerRef)", "message": "a ChatRequest is one turn and never changes: create a new one (kubechat again NAME re-asks it)"},
    {"rule": "has(self.scope) == has(oldSelf.scope) && (!has(self.scope) || self.scope == oldSelf.scope) && has(self.references) == has(oldSelf.references) && (!has(self.references) || self.references == oldSelf.references) && has(self.rollbackOf) == has(oldSelf.rollbackOf) && (!has(self.rollbackOf) || self.rollbackOf == oldSelf.rollbackOf) && has(self.notAfter) == has(oldSelf.notAfter) && (!has(self.notAfter) || self.notAfter == oldSelf.notAfter) && has(self.ttlSecondsAfterFinished) == has(oldSelf.ttlSecondsAfterFinished) && (!has(self.ttlSecondsAfterFinished) || self.ttlSecondsAfterFinished == oldSelf.ttlSecondsAfterFinished)", "message": "a ChatRequest is one turn and never changes: create a new one (kubechat again NAME re-asks it)"},
    {"rule": "!has(oldSelf.requester) || (has(self.requester) && self.requester == oldSelf.requester)", "message": "spec.requester is stamped once and never changes"},
    {"rule": "!oldSelf.cancel || self.cancel", "message": "spec.cancel goes from false to true only"},
    {"rule": "self.prompt != '' || has(self.rollbackOf)", "message": "spec.prompt is empty: say what to do (it may be empty only together with rollbackOf)"}
]))]
pub struct ChatRequestSpec {
    /// The sentence, at most 16 KiB. May be empty only with `rollbackOf`.
    #[serde(default)]
    #[schemars(length(max = 16384))]
    pub prompt: String,
    /// The conversation this turn belongs to; a session of the same requester in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_ref: Option<LocalRef>,
    /// The cluster the turn is about; absent is the cluster KubeChat runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ref: Option<LocalRef>,
    /// The AIProvider that interprets; absent is the built-in rules interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_ref: Option<LocalRef>,
    /// Upper bound of what the turn may touch. Default: its own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Auto executes when the policy is met; PlanOnly never executes.
    #[serde(default)]
    pub mode: Mode,
    /// Things the person selected, which "it" and "these" mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub references: Vec<ObjectId>,
    /// A CommandPlan of this namespace to undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_of: Option<LocalRef>,
    /// The turn is not begun, and its plan not executed, after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// The finished turn is removed after so many seconds; default 7 days. Never while Argo CD or Flux tracks it, nor while what was executed by break-glass waits for its review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub ttl_seconds_after_finished: Option<i64>,
    /// True withdraws the turn: what has not been sent is not sent.
    #[serde(default)]
    pub cancel: bool,
    /// Who asks; stamped by admission, whatever a client sent is overwritten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<Identity>,
}

/// What a turn may touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// Namespaces; `*` is all. More than the request's own only where a RiskPolicy's `wideScopeFrom` selects the request's namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,
    /// Cluster-scoped objects too (nodes, namespaces).
    #[serde(default)]
    pub cluster_scoped: bool,
}

/// What became of a turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatRequestStatus {
    /// `metadata.generation` this status was made for; -1 before the first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// For display; programs read conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RequestPhase>,
    /// `Succeeded`, `AwaitingApproval`, `Reconciling`, `Stalled`, `RightsReduced`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// What was understood, and by whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpretation: Option<InterpretationStatus>,
    /// The answer to what was asked, or what is needed to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// The plan this turn became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_ref: Option<PlanRef>,
    /// The plan's judgement, copied for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<RiskSummary>,
    /// Which policy blocked the turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
    /// How far the approvals are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<ApprovalSummary>,
    /// Signals correlated with the turn (filled once SignalSources are supported).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub signals: Vec<Signal>,
    /// How reading the sentence stands, where a process of its own asks models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// How far a model's answer is while it comes in, written at most once a second; absent before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Partial>,
    /// What left the cluster, one entry a call of a provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub outbound: Vec<Outbound>,
    /// What the turn cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// When work on it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it was finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
}

/// Where a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RequestPhase {
    /// Not begun.
    Pending,
    /// A model reads the sentence.
    Interpreting,
    /// Unclear; `answer` says what is needed. Final: the answer is a new turn.
    NeedsInput,
    /// The cluster is being asked.
    Planning,
    /// A person is waited for.
    AwaitingApproval,
    /// All that was required is there.
    Approved,
    /// Steps are being sent.
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
    /// Withdrawn.
    Cancelled,
    /// What was approved is no longer what stands there.
    Stale,
    /// Stopped midway; a step's effect is unknown or steps were not sent.
    Interrupted,
}

/// What was understood.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InterpretationStatus {
    /// One sentence, for the person.
    #[schemars(length(max = 2048))]
    pub understood: String,
    /// The typed intents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub intents: Vec<Intent>,
    /// The turn only asked what these would do: none of them is planned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_asked: bool,
    /// AIProvider that interpreted; `rules` is built in.
    #[schemars(length(max = 253))]
    pub provider: String,
    /// Model, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub model: Option<String>,
    /// How sure, in percent (the least sure intent).
    pub confidence: i32,
    /// `sha256:..` of the prompt.
    #[schemars(length(max = 71))]
    pub prompt_digest: String,
    /// How many secrets were taken out before anything left, by class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::count_map")]
    pub redactions: BTreeMap<String, i64>,
    /// Model tokens used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<i64>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
}

/// The answer of a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The first line of `text`, for `kubectl get -o wide`.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub first_line: String,
    /// The answer in words, at most 4 KiB.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub text: String,
    /// Rows, at most 200 and 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Table>,
    /// What an analysis found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub findings: Vec<Finding>,
    /// Which objects the answer rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub citations: Vec<Citation>,
    /// What could have been meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 512)))]
    pub candidates: Vec<String>,
    /// A corrected manifest, ready to create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20_480))]
    pub suggestion: Option<String>,
}

/// A bounded table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    /// Column titles.
    #[schemars(length(max = 20), inner(length(max = 63)))]
    pub columns: Vec<String>,
    /// Cells, row by row.
    #[schemars(length(max = 200), inner(length(max = 20), inner(length(max = 1024))))]
    pub rows: Vec<Vec<String>>,
    /// Rows there are in all, also beyond those shown.
    pub total: i64,
    /// Set when rows were left out: how to see them.
    #[serde(default, rename = "continue", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub continue_: Option<String>,
}

/// One finding of an analysis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable id of the analysis rule.
    #[schemars(length(max = 63))]
    pub id: String,
    /// Info, Warning or Error.
    #[schemars(length(max = 16))]
    pub severity: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectId>,
    /// What was found.
    #[schemars(length(max = 1024))]
    pub text: String,
}

/// An object an answer rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Citation {
    /// The object.
    pub object: ObjectId,
    /// Its version when read.
    #[schemars(length(max = 64))]
    pub resource_version: String,
}

/// The plan of a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanRef {
    /// Name of the CommandPlan in this namespace.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its digest, which an Approval must name.
    #[schemars(length(max = 71))]
    pub digest: String,
}

/// A plan's judgement in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RiskSummary {
    /// The level.
    pub level: Level,
    /// 0 to 100.
    pub score: i32,
}

/// What blocked a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blocked {
    /// The policy, or `kubechat` for what is forbidden always.
    #[schemars(length(max = 253))]
    pub policy: String,
    /// Its rule.
    #[schemars(length(max = 253))]
    pub rule: String,
}

/// One call that leaves the cluster; the audit log commits it before it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outbound {
    /// Unique in the turn.
    #[schemars(length(max = 64))]
    pub id: String,
    /// Intended, Committed, Done or Failed.
    pub state: OutboundState,
    /// Sequence number of the audit entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_seq: Option<i64>,
    /// The AIProvider.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub provider: String,
    /// Scheme, host and port.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub endpoint: String,
    /// The model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub model: String,
    /// Bytes of the body.
    #[serde(default)]
    pub bytes: i64,
    /// `sha256:..` of the body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 71))]
    pub digest: String,
    /// What was taken out of the prompt before, by class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::count_map")]
    pub redactions: BTreeMap<String, i64>,
    /// What became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<OutboundEnd>,
}

/// An answer that still comes in. Its words are not judged yet, so none of them stands here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Partial {
    /// AIProvider that answers.
    #[schemars(length(max = 253))]
    pub provider: String,
    /// Letters so far.
    #[schemars(range(min = 0))]
    pub letters: i64,
    /// Actions that it has named so far, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub actions: Vec<Action>,
}

/// What became of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboundEnd {
    /// Whether the server may have had the body.
    #[serde(default)]
    pub sent: bool,
    /// Tokens read, as the server says.
    #[serde(default)]
    pub tokens_in: i64,
    /// Tokens written, as the server says.
    #[serde(default)]
    pub tokens_out: i64,
    /// How long it took.
    #[serde(default)]
    pub milliseconds: i64,
    /// Why there is no answer; absent: there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub failure: Option<String>,
    /// Nobody recorded what became of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// Sequence number of the audit entry of the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_seq: Option<i64>,
}

/// How reading a sentence stands, where a process of its own asks the models for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// Asked, Understood, Rules or Nothing.
    pub state: ReadingState,
    /// AIProvider that is asked first.
    #[schemars(length(max = 253))]
    pub provider: String,
    /// Namespace that names without one mean.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Why there are no intents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub message: Option<String>,
}

/// What came of asking models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReadingState {
    /// The operator has judged the turn; the interpreter is to ask.
    #[default]
    Asked,
    /// `interpretation` holds the intents.
    Understood,
    /// No model answered, and the built-in rules come last.
    Rules,
    /// Nothing; `message` says why.
    Nothing,
}

/// How far an outbound call is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OutboundState {
    /// The interpreter wants to make it.
    #[default]
    Intended,
    /// The audit log holds the intent; it may be made.
    Committed,
    /// Made.
    Done,
    /// Not made, or failed.
    Failed,
}

/// What a turn cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Model tokens in.
    #[serde(default)]
    pub tokens_in: i64,
    /// Model tokens out.
    #[serde(default)]
    pub tokens_out: i64,
}

/// One signal on the turn's time axis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signal {
    /// Name of the SignalSource.
    #[schemars(length(max = 253))]
    pub source: String,
    /// When (RFC 3339).
    #[schemars(length(max = 40))]
    pub time: String,
    /// What it says.
    #[schemars(length(max = 512))]
    pub text: String,
}
