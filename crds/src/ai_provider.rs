//! AIProvider: who turns language into intents.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chat_request::Outbound;
use crate::common::LocalRef;
use crate::identity::Identity;

/// An interpreter of language. It never holds rights in the cluster.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kubechat.io",
    version = "v1beta1",
    kind = "AIProvider",
    plural = "aiproviders",
    status = "AIProviderStatus",
    shortname = "kcai",
    category = "kubechat",
    category = "kubechat-policy",
    doc = "Turns language into typed intents. Type Rules is built in and works offline; the others ask a model, and are Ready once they understood a probe.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Egress", type_ = "string", json_path = ".spec.egress"),
    printcolumn(name = "Score", type_ = "integer", json_path = ".status.probe.score"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.type == 'Rules' || has(self.endpoint)", "message": "spec.endpoint is needed for every type but Rules"},
    {"rule": "self.type != 'Rules' || !has(self.endpoint)", "message": "type Rules is built in and takes no endpoint"}
]))]
pub struct AIProviderSpec {
    /// Which protocol it speaks.
    #[serde(rename = "type")]
    pub type_: ProviderType,
    /// Base URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), regex(pattern = r"^https?://[^@\s]+$"))]
    pub endpoint: Option<String>,
    /// Model name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub model: Option<String>,
    /// Credential, in the credentials namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// TLS of the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ProviderTls>,
    /// Longest wait for an answer (Go duration).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]+(h|m|s|ms))+$"))]
    pub timeout: Option<String>,
    /// Most tokens of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_tokens: Option<i32>,
    /// Most turns at once; others wait, and people take turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent: Option<i32>,
    /// Most turns of one person within a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub rate_limit: Option<i32>,
    /// Spending limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The provider asked when this one fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<LocalRef>,
    /// Namespaces whose turns may use it; empty is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), inner(length(max = 63)))]
    pub allowed_namespaces: Vec<String>,
    /// Where its traffic may go. External needs a RiskPolicy that names its host.
    #[serde(default)]
    pub egress: Egress,
    /// What may be sent.
    #[serde(default)]
    pub disclosure: Disclosure,
    /// Who created it or changed its spec last; stamped by admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<Identity>,
}

/// Provider protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProviderType {
    /// The built-in rules interpreter.
    #[default]
    Rules,
    /// Ollama's API.
    Ollama,
    /// OpenAI's chat completions, and the many servers that speak it.
    OpenAICompatible,
    /// Anthropic's Messages API.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
}

/// Where traffic may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Egress {
    /// A Service of this cluster.
    #[default]
    ClusterLocal,
    /// Anywhere a policy names.
    External,
}

/// What may be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Disclosure {
    /// The redacted prompt.
    #[default]
    PromptOnly,
    /// Redacted findings too, to be explained.
    Findings,
}

/// A key of a Secret in the credentials namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// Name of the Secret (type `kubechat.io/credential`).
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// TLS options of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderTls {
    /// CA bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
    /// Name the certificate must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub server_name: Option<String>,
}

/// Spending limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Tokens one person may use in a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub tokens_per_user_per_day: Option<i64>,
}

/// What is known of a provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AIProviderStatus {
    /// `metadata.generation` this status was made for; -1 before the first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// `metadata.generation` that the audit log knows of, where probes are another process's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_generation: Option<i64>,
    /// The last calls of probes, where another process makes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub outbound: Vec<Outbound>,
    /// The last probe of a provider that asks a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeStatus>,
}

/// What a provider made of sentences whose meaning is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeStatus {
    /// When it ended.
    pub time: Time,
    /// Sentences of a hundred that it understood.
    #[schemars(range(min = 0, max = 100))]
    pub score: i32,
    /// Tokens that its model writes in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<i64>,
    /// Milliseconds of the middle answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<i64>,
    /// Milliseconds that 95 of a hundred answers stayed below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<i64>,
}
