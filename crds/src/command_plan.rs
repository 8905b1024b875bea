//! CommandPlan: what exactly will be done, why it is that dangerous, and what undoes it.

mod blast;
mod facts;
mod status;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{Level, LocalRef, Mode};
use crate::identity::Identity;
use crate::intent::{Action, IntentParams};

pub use blast::BlastRadius;
pub use facts::{NamespaceFact, PlanFacts, WindowFact};
pub use status::{CommandPlanStatus, Evidence, PlanPhase, StepState, StepStatus};

/// A plan: immutable and bound by its digest. Only the operator makes one.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kubechat.io",
    version = "v1beta1",
    kind = "CommandPlan",
    namespaced,
    status = "CommandPlanStatus",
    shortname = "kcp",
    category = "kubechat",
    category = "kubechat-work",
    doc = "The exact change a chat turn asks for: typed steps with their diff, rights, risk and rollback. Approvals are bound to its digest.",
    selectable = ".spec.requester.username",
    selectable = ".spec.digest",
    selectable = ".status.phase",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Risk", type_ = "string", json_path = ".spec.risk.level"),
    printcolumn(name = "Score", type_ = "integer", json_path = ".spec.risk.score"),
    printcolumn(name = "Approvals", type_ = "string", json_path = ".status.approvals.summary"),
    printcolumn(name = "Requester", type_ = "string", json_path = ".spec.requester.username"),
    printcolumn(
        name = "First step",
        type_ = "string",
        json_path = ".spec.steps[0].command",
        priority = 1
    ),
    printcolumn(
        name = "Expires",
        type_ = "string",
        json_path = ".spec.expiresAt",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.digest == oldSelf.digest && self == oldSelf", "message": "a CommandPlan never changes: ask again for another plan"}
]))]
pub struct CommandPlanSpec {
    /// The turn it came from.
    pub chat_request_ref: RequestRef,
    /// Copy of the turn's requester (with seal): the person every step runs as.
    pub requester: Identity,
    /// Cluster the steps run in; absent is the cluster KubeChat runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ref: Option<LocalRef>,
    /// PlanOnly plans take no Approval and are never executed.
    #[serde(default)]
    pub mode: Mode,
    /// What is done, in this order; the first failure stops the plan.
    #[schemars(length(min = 1, max = 64))]
    pub steps: Vec<Step>,
    /// How dangerous the whole is, and why.
    pub risk: Risk,
    /// What else is hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blast_radius: Option<BlastRadius>,
    /// What of the cluster the judgement rests on.
    #[serde(default)]
    pub facts: PlanFacts,
    /// Policies that had a say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub policies: Vec<PolicyRecord>,
    /// What must be approved; every entry must be met, one person may count in several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub requirement: Vec<Requirement>,
    /// The plan it undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_of: Option<RequestRef>,
    /// What a reviewer should know beside the diff: drift since the plan that is undone, changes that will not last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 1024)))]
    pub notes: Vec<String>,
    /// Not executed after this time (RFC 3339, UTC).
    #[schemars(length(max = 40))]
    pub expires_at: String,
    /// UID of namespace kube-system: an approval for one cluster is void in another.
    #[schemars(rename = "clusterUID", length(max = 128))]
    #[serde(rename = "clusterUID")]
    pub cluster_uid: String,
    /// `sha256:<64 hex>` over the canonical JSON (RFC 8785) of all the rest of the spec.
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
}

impl CommandPlanSpec {
    /// The digest over everything but `digest` itself, as RFC 8785 canonical JSON.
    ///
    /// # Errors
    /// When the spec cannot be written as JSON.
    pub fn compute_digest(&self) -> Result<crate::PlanDigest, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        if let Some(map) = value.as_object_mut() {
            map.remove("digest");
        }
        crate::digest::digest_of(&value)
    }
}

/// A reference with UID: a re-created object of the same name is another object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestRef {
    /// Name in the same namespace.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID.
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// What a step does to objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Makes an object.
    Create,
    /// Only reads.
    Read,
    /// Changes an object.
    #[default]
    Update,
    /// Removes an object.
    Delete,
}

/// One typed step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// `s1`, `s2`, ..
    #[schemars(length(max = 16))]
    pub id: String,
    /// Which action of the catalogue.
    pub action: Action,
    /// What it does to objects.
    pub effect: Effect,
    /// The objects, with what must still be true of them at execution.
    #[schemars(length(min = 1, max = 500))]
    pub targets: Vec<Target>,
    /// The label selector the targets were found by (`*`: all of the kind); absent when they were named. What matches it later is never touched, but makes the plan stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub selector: Option<String>,
    /// The action's parameters, resolved (a scale holds the final number).
    #[serde(default)]
    pub params: IntentParams,
    /// The same as a kubectl line. For display only: nothing runs it.
    #[schemars(length(max = 1024))]
    pub command: String,
    /// What is sent for each target: the JSON text of a merge patch (RFC 7386, an object) or a JSON patch (RFC 6902, an array). The executor adds uid, resourceVersion and step id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16_384))]
    pub patch: Option<String>,
    /// Subresource the patch goes to (`scale`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub subresource: Option<String>,
    /// What is created: JSON text (masked, with `manifestDigest` over the full bytes, where it holds values of the cluster).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16_384))]
    pub manifest: Option<String>,
    /// `sha256:..` of the full manifest where `manifest` is masked or too long; the bytes stand in the audit database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub manifest_digest: Option<String>,
    /// Structural diff, one line a changed field, as the API server's dry-run returned it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub diff: Vec<DiffLine>,
    /// Rights of the requester that the step needs, as the API server answered when the plan was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub access: Vec<Access>,
    /// Objects whose selector reads a label the step changes (Service, PodDisruptionBudget, ReplicaSet; NetworkPolicy for its pods and, from any namespace, for its peers); `unreadable: ..` where the requester may not list them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(max = 400)))]
    pub selected_by: Vec<String>,
    /// What is there already and a new workload takes over: ReplicaSets and pods that nothing controls, claims of a StatefulSet's names; `unreadable: ..` where the requester may not list them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(max = 400)))]
    pub adopts: Vec<String>,
    /// Who else owns the changed fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub owners: Vec<FieldOwner>,
    /// Floor level of this step.
    pub level: Level,
    /// What undoes it.
    pub rollback: Rollback,
}

/// One object of a step with its preconditions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// API group; empty for core.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub group: String,
    /// API version.
    #[schemars(length(max = 63))]
    pub version: String,
    /// Kind.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Resource (plural) as discovery names it.
    #[schemars(length(max = 63))]
    pub resource: String,
    /// Namespace; absent for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID; absent for a create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub uid: Option<String>,
    /// Version when planned: the precondition where no `specDigest` stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub resource_version: Option<String>,
    /// Generation when planned, for kinds that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// `sha256:..` over the object without status and metadata, plus labels, annotations and owners (of what is deleted also finalizers): the precondition for kinds whose status churns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub spec_digest: Option<String>,
    /// `sha256:..` over all that the dry-run of an apply changes, values too. When it is sent, it must change that or less, else the plan is Stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub change_digest: Option<String>,
}

/// One changed field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffLine {
    /// Index of the target in the step.
    pub target: i32,
    /// JSON pointer (RFC 6901) of the field.
    #[schemars(length(max = 512))]
    pub path: String,
    /// Value before; absent when the field is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub before: Option<String>,
    /// Value after; absent when the field is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub after: Option<String>,
}

/// One right the step needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Access {
    /// Verb.
    #[schemars(length(max = 63))]
    pub verb: String,
    /// `resource[/subresource][.group]`.
    #[schemars(length(max = 253))]
    pub resource: String,
    /// Namespace; absent for cluster-wide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// The API server's answer.
    pub allowed: bool,
}

/// Who else writes a field that the step changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldOwner {
    /// JSON pointer of the field.
    #[schemars(length(max = 512))]
    pub field: String,
    /// Field manager.
    #[schemars(length(max = 128))]
    pub manager: String,
    /// Whether that manager will put the field back.
    pub will_be_undone: bool,
}

/// What undoes a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// Inverse change, re-creation, or nothing.
    pub kind: RollbackKind,
    /// The action that undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Parameters of that action, where all targets share them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<IntentParams>,
    /// Where they do not: what each target needs, in the order of the targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub undo: Vec<Undo>,
    /// In words: what is undone how, or why it cannot be.
    #[schemars(length(max = 1024))]
    pub why: String,
}

impl Rollback {
    /// What undoes the step for target number `index`.
    #[must_use]
    pub fn undo_of(&self, index: usize) -> Option<Undo> {
        let shared = || {
            self.params.clone().map(|params| Undo {
                params,
                ..Undo::default()
            })
        };
        self.undo.get(index).cloned().or_else(shared)
    }

    /// Writes parameters that all targets share once instead of per target.
    pub fn share(&mut self) {
        let Some(first) = self.undo.first().cloned() else {
            return;
        };
        if first.manifest.is_none() && self.undo.iter().all(|undo| *undo == first) {
            self.params = Some(first.params);
            self.undo.clear();
        }
    }
}

/// What undoes a step for one target: parameters of the rollback's action, or the manifest to create again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Undo {
    /// Parameters of the rollback's action for this target.
    #[serde(default)]
    pub params: IntentParams,
    /// JSON text of the manifest to create again, masked where it held values of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16_384))]
    pub manifest: Option<String>,
    /// `sha256:..` of the full manifest, whose bytes stand in the audit database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub manifest_digest: Option<String>,
}

/// Kinds of rollback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RollbackKind {
    /// The old values are put back.
    Inverse,
    /// The object is created again; what it held besides its manifest is gone.
    Recreate,
    /// Nothing undoes it; `why` says why.
    #[default]
    None,
}

/// The judgement of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Risk {
    /// The level.
    pub level: Level,
    /// 0 to 100; bands: safe 0-24, caution 25-69, destructive 70-100.
    #[schemars(range(min = 0, max = 100))]
    pub score: i32,
    /// Why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub factors: Vec<RiskFactor>,
}

/// One reason of a judgement.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct RiskFactor {
    /// Stable id.
    #[schemars(length(max = 63))]
    pub id: String,
    /// Weight in the score, in percent; 0 where it is a floor rule, which sets the level.
    #[schemars(range(min = 0, max = 100))]
    pub weight: i32,
    /// What a person reads.
    #[schemars(length(max = 512))]
    pub text: String,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub evidence: String,
}

/// A policy that had a say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyRecord {
    /// Name of the RiskPolicy.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its UID.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// `sha256:..` of its spec.
    #[schemars(length(max = 71))]
    pub hash: String,
    /// The rule that matched; absent: the pack's approvals by level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub rule: Option<String>,
    /// Allow, RequireApproval or Deny.
    #[schemars(length(max = 32))]
    pub effect: String,
}

/// One entry of what must be approved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// The policy that asks.
    #[schemars(length(max = 253))]
    pub policy: String,
    /// Its rule; absent: the pack's approvals by level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub rule: Option<String>,
    /// How many people.
    #[schemars(range(min = 1, max = 20))]
    pub count: i32,
    /// Only members of these groups count; empty is anyone with the right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 253)))]
    pub groups: Vec<String>,
    /// Only these people count; empty is anyone with the right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(max = 253)))]
    pub users: Vec<String>,
    /// The requester may confirm it himself (caution only).
    #[serde(default)]
    pub self_confirm: bool,
    /// Only signed decisions count.
    #[serde(default)]
    pub signature: bool,
    /// Groups of which one member alone met it in an emergency, as the policy said when the plan was made. Absent: none;
    /// what the policy lets break the glass since then does not loosen it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 253)))]
    pub break_glass: Vec<String>,
}
