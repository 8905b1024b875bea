//! Who did it: the identity stamp, which only admission writes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An authenticated identity as the API server saw it (`AdmissionReview.userInfo`), stamped at CREATE.
///
/// Whatever a client writes here is overwritten. Programs must not believe it without a valid [`Seal`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The API server's username, for example `alice` or `system:serviceaccount:flux-system:kustomize-controller`.
    #[schemars(length(max = 1024))]
    pub username: String,
    /// The API server's uid of the user, if the authenticator gives one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub uid: String,
    /// Groups at the moment of the request: a snapshot, which is why plans and identities expire.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 1024)))]
    pub groups: Vec<String>,
    /// Extra attributes, as evidence. Only an allow-list of them is ever replayed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::extra")]
    pub extra: BTreeMap<String, Vec<String>>,
    /// Proof that KubeChat's webhook wrote this stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
}

impl Identity {
    /// Whether this is a Kubernetes service account.
    #[must_use]
    pub fn is_service_account(&self) -> bool {
        self.username.starts_with("system:serviceaccount:")
    }

    /// `(namespace, name)` of the service account, if it is one.
    #[must_use]
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.username
            .strip_prefix("system:serviceaccount:")?
            .split_once(':')
    }
}

/// HMAC-SHA256 over kind, namespace, name or generateName, the immutable part of the spec, the identity and the nonce.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Seal {
    /// Which key made the seal; two are valid while a rotation is under way.
    #[schemars(length(max = 64))]
    pub key_id: String,
    /// 128 random bits and the time of sealing (milliseconds, then seconds since 1970), all hex.
    #[schemars(length(max = 64))]
    pub nonce: String,
    /// The MAC, 64 hex digits.
    #[schemars(length(max = 64))]
    pub mac: String,
}
