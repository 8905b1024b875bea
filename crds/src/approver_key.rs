//! ApproverKey: the public key of a person, for approvals that arrive through Git.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::Identity;

/// A person's public key.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kubechat.io",
    version = "v1beta1",
    kind = "ApproverKey",
    status = "ApproverKeyStatus",
    shortname = "kcak",
    category = "kubechat",
    category = "kubechat-policy",
    doc = "The public key of a person whose signed approvals may arrive through Git.",
    selectable = ".spec.username",
    printcolumn(name = "User", type_ = "string", json_path = ".spec.username"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Not after", type_ = "string", json_path = ".spec.notAfter"),
    printcolumn(name = "Revoked", type_ = "date", json_path = ".spec.revokedAt", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.username == oldSelf.username && self.publicKey == oldSelf.publicKey", "message": "a key belongs to one person for ever: create another ApproverKey"},
    {"rule": "!has(oldSelf.revokedAt) || (has(self.revokedAt) && self.revokedAt == oldSelf.revokedAt)", "message": "a revocation is final"},
    {"rule": "!self.username.startsWith('system:')", "message": "an ApproverKey belongs to a person, not to a system user"}
]))]
pub struct ApproverKeySpec {
    /// The person, as the API server names him.
    #[schemars(length(min = 1, max = 253))]
    pub username: String,
    /// Groups the person counts in when a requirement names groups, and with which the right to approve is asked (RBAC):
    /// whoever writes this field grants those rights to what the key signs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(max = 253)))]
    pub groups: Vec<String>,
    /// OpenSSH public key line (`ssh-ed25519 AAAA..`).
    #[schemars(
        length(min = 16, max = 4096),
        regex(pattern = r"^(ssh-|ecdsa-|sk-)[A-Za-z0-9@.\-]+ [A-Za-z0-9+/=]+( .*)?$")
    )]
    pub public_key: String,
    /// Not valid before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// Not valid after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// Revoked since; final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// Who created it or changed its spec last; stamped by admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<Identity>,
}

/// What is known of a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApproverKeyStatus {
    /// `metadata.generation` this status was made for; -1 before the first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}
