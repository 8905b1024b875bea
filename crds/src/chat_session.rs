//! ChatSession: a conversation, its defaults and when it ends.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Identity, LocalRef};

/// A conversation: turns (ChatRequests) name it by `sessionRef`.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kubechat.io",
    version = "v1beta1",
    kind = "ChatSession",
    namespaced,
    status = "ChatSessionStatus",
    shortname = "kcs",
    category = "kubechat",
    category = "kubechat-work",
    doc = "A conversation: defaults for its turns and the time it ends. Turns are ChatRequests that name it.",
    selectable = ".spec.requester.username",
    selectable = ".status.phase",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Turns", type_ = "integer", json_path = ".status.turns"),
    printcolumn(name = "Requester", type_ = "string", json_path = ".spec.requester.username"),
    printcolumn(name = "Title", type_ = "string", json_path = ".spec.title", priority = 1),
    printcolumn(
        name = "Expires",
        type_ = "string",
        json_path = ".status.expiresAt",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(oldSelf.requester) || (has(self.requester) && self.requester == oldSelf.requester)", "message": "spec.requester is stamped once and never changes"}
]))]
pub struct ChatSessionSpec {
    /// What the conversation is about, for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub title: Option<String>,
    /// What a turn of this session takes where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<SessionDefaults>,
    /// How long after the last turn the session expires (Go duration, `30m`, `8h`). Default 8h, at most 168h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]+(h|m|s))+$"))]
    pub ttl: Option<String>,
    /// True ends the conversation; no further turn is taken.
    #[serde(default)]
    pub closed: bool,
    /// Who owns the conversation; stamped by admission, whatever a client sent is overwritten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<Identity>,
}

/// Defaults for the turns of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionDefaults {
    /// Namespace that names without one mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Cluster the turns are about; absent is the cluster KubeChat runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ref: Option<LocalRef>,
    /// AIProvider that interprets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_ref: Option<LocalRef>,
    /// Which changes of the session wait for somebody's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Confirm>,
    /// Names of notifiers (RiskPolicy `notifiers`) told of waiting plans.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 63)))]
    pub notify: Vec<String>,
}

/// Which changes of a session wait for somebody's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Confirm {
    /// Every change, also a safe one: its requester confirms it, or somebody else who may approve it.
    Always,
    /// Those that a RiskPolicy asks an approval for.
    PolicyOnly,
}

/// What is known of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatSessionStatus {
    /// `metadata.generation` this status was made for; -1 before the first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// For display; programs read conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<SessionPhase>,
    /// Turns so far.
    #[serde(default)]
    pub turns: i64,
    /// When the newest turn was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<Time>,
    /// When the session ends if nothing more is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Conditions, a list-map by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SessionPhase {
    /// Takes turns.
    Active,
    /// A turn is under way.
    Processing,
    /// Nothing was asked for the length of its ttl.
    Expired,
    /// Closed by its owner.
    Terminated,
}
