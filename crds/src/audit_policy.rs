//! AuditPolicy: what is recorded, where it goes, how long it stays.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ai_provider::SecretKeyRef;
use crate::identity::Identity;

/// The audit policy; one object, named `default`. The store itself is a start option, never a field.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kubechat.io",
    version = "v1beta1",
    kind = "AuditPolicy",
    plural = "auditpolicies",
    status = "AuditPolicyStatus",
    shortname = "kcaup",
    category = "kubechat",
    category = "kubechat-policy",
    validation = Rule::new("self.metadata.name == 'default'").message("there is one AuditPolicy, named default. Nothing was stored. Name it default"),
    doc = "What is recorded in the audit log. One object, named default. Executions, approvals, outbound calls and configuration changes are always recorded.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Integrity",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"AuditIntegrity\")].status"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"AuditIntegrity\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.levels) || !self.levels.exists(k, k in ['command_execution', 'approval', 'outbound', 'configuration_change'] && self.levels[k] == 'Off')", "message": "command_execution, approval, outbound and configuration_change are always recorded"}
]))]
pub struct AuditPolicySpec {
    /// Level by event type (authentication, command_generation, command_execution, permission_check, data_access, configuration_change, approval, outbound, export, system). Default Full.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "levels_schema")]
    pub levels: BTreeMap<String, AuditLevel>,
    /// Where entries are sent beside the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub sinks: Vec<AuditSink>,
    /// How long payloads stay (Go duration in hours, `8760h`); hashes stay for ever. Absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^[0-9]+h$"))]
    pub retention: Option<String>,
    /// Nothing is pruned while true.
    #[serde(default)]
    pub legal_hold: bool,
    /// How often a checkpoint is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointPolicy>,
    /// HTTP witnesses (C2SP tlog-witness).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 1024)))]
    pub witnesses: Vec<String>,
    /// Who created it or changed its spec last; stamped by admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<Identity>,
}

/// How much of an event is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AuditLevel {
    /// Nothing.
    Off,
    /// Who, what, when, outcome.
    Metadata,
    /// The redacted payload too.
    #[default]
    Full,
}

/// A receiver of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditSink {
    /// Name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Webhook URL, or absent for stdout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub endpoint: Option<String>,
    /// JSON or CEF.
    #[serde(default)]
    pub format: SinkFormat,
    /// Signing secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
}

/// Formats of a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum SinkFormat {
    /// One JSON object an entry.
    #[default]
    Json,
    /// ArcSight Common Event Format.
    Cef,
}

/// When checkpoints are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointPolicy {
    /// At least so often (Go duration).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]+(h|m|s))+$"))]
    pub interval: Option<String>,
    /// After so many entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub entries: Option<i64>,
}

/// What is known of the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditPolicyStatus {
    /// `metadata.generation` this status was made for; -1 before the first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `AuditIntegrity`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Payloads of entries below this sequence number are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned_below: Option<i64>,
}

fn levels_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 10,
        "additionalProperties": { "type": "string", "enum": ["Off", "Metadata", "Full"] }
    })
}
