//! The words of the log: event types, outcomes, and who did what to which object.
//!
//! Names in here are part of the log's format: they are never renamed, only added to.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The kind of an event. The snake_case names are part of the log's format and of AuditPolicy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// Somebody was identified (a session began).
    Authentication,
    /// Words became a typed plan.
    CommandGeneration,
    /// A step was about to be sent, or ended.
    CommandExecution,
    /// Somebody's rights were asked for.
    PermissionCheck,
    /// Something was read from the cluster for somebody.
    DataAccess,
    /// A policy or setting of KubeChat changed.
    ConfigurationChange,
    /// Somebody approved, denied, or was refused.
    Approval,
    /// Something left the cluster (a model was asked, a sink was served).
    Outbound,
    /// The log itself was exported.
    Export,
    /// KubeChat's own life: start, leadership, key changes.
    System,
}

impl EventType {
    /// Every event type, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Authentication,
        Self::CommandGeneration,
        Self::CommandExecution,
        Self::PermissionCheck,
        Self::DataAccess,
        Self::ConfigurationChange,
        Self::Approval,
        Self::Outbound,
        Self::Export,
        Self::System,
    ];

    /// The name used in the log, in AuditPolicy and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::CommandGeneration => "command_generation",
            Self::CommandExecution => "command_execution",
            Self::PermissionCheck => "permission_check",
            Self::DataAccess => "data_access",
            Self::ConfigurationChange => "configuration_change",
            Self::Approval => "approval",
            Self::Outbound => "outbound",
            Self::Export => "export",
            Self::System => "system",
        }
    }

    /// Whether an AuditPolicy may leave events of this type out of the log. What changes the cluster, allows a
    /// change, leaves the cluster or changes the rules is always recorded.
    pub fn can_be_switched_off(self) -> bool {
        match self {
            Self::CommandExecution | Self::Approval | Self::Outbound | Self::ConfigurationChange => false,
            Self::Authentication
            | Self::CommandGeneration
            | Self::PermissionCheck
            | Self::DataAccess
            | Self::Export
            | Self::System => true,
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EventType {
    type Err = UnknownEventType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownEventType(text.to_owned()))
    }
}

/// A word that names no event type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no audit event type; use one of: authentication, command_generation, command_execution, permission_check, data_access, configuration_change, approval, outbound, export, system"
)]
pub struct UnknownEventType(pub String);

/// How an event ended, or that it is about to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// About to be done. Recorded before the cluster is asked.
    Intent,
    /// Done.
    Success,
    /// Tried, and did not work.
    Failure,
    /// Not tried: a rule, a right or a person said no.
    Denied,
    /// Sent, and nobody can say what became of it. Never retried silently.
    Unknown,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [
        Self::Intent,
        Self::Success,
        Self::Failure,
        Self::Denied,
        Self::Unknown,
    ];

    /// The name used in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        }
    }

    /// Whether this ends a step for good: a step has at most one such result.
    pub fn is_final_result(self) -> bool {
        match self {
            Self::Success | Self::Failure | Self::Unknown => true,
            Self::Intent | Self::Denied => false,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who did it, as the API server named them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Actor {
    /// Username. Cut visibly when longer than 1 KiB.
    pub username: String,
    /// Uid, where the authenticator gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Groups. The first 64 are kept; the entry's `groupsHash` covers all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Extra attributes of the authenticator. Replaced by their hash when larger than 4 KiB.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Actor {
    /// An actor of whom only the name is known (a service account of KubeChat, say).
    pub fn named(username: impl Into<String>) -> Self {
        Self {
            username: username.into(),
            ..Self::default()
        }
    }
}

/// What the entry belongs to. Names and uids of KubeChat's own objects; each at most 256 bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ids {
    /// ChatSession name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// ChatRequest name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// CommandPlan name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Approval name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// Step id: sha256 of plan uid, index and spec hash. Of a call of a model: its id, and a hash of all that it says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_id: Option<String>,
    /// ChatRequest uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_uid: Option<String>,
    /// CommandPlan uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_uid: Option<String>,
    /// CommandPlan digest: what joins the entry to the API server's own audit log (impersonation extra `kubechat.io/plan`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<String>,
}

/// The object of the cluster that the event is about. Each text is cut visibly at 256 bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// API group; none for the core group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// API version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Namespace; none for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name; none when the event is about many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// How dangerous the event was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Risk {
    /// Level: safe, caution or destructive.
    pub level: String,
    /// Score, 0 to 100.
    pub score: u8,
}

/// Where the actor says they came from. Claimed, never proven: both can be forged by the client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// Network address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// User agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn event_type_names_round_trip_through_text_and_json() {
        for kind in EventType::ALL {
            assert_eq!(kind.as_str().parse::<EventType>(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), Value::from(kind.as_str()));
        }
        for outcome in Outcome::ALL {
            assert_eq!(
                serde_json::to_value(outcome).unwrap(),
                Value::from(outcome.as_str())
            );
        }
    }

    #[test]
    fn refuses_event_type_names_that_do_not_exist() {
        for bad in ["", "Approval", "commandExecution", "approval ", "all"] {
            let said = bad.parse::<EventType>().unwrap_err().to_string();
            assert!(said.contains("command_execution"), "{said}");
        }
        for kind in EventType::ALL {
            assert!(
                UnknownEventType(String::new())
                    .to_string()
                    .contains(kind.as_str())
            );
        }
    }

    #[test]
    fn what_changes_or_leaves_the_cluster_cannot_be_switched_off() {
        let fixed: Vec<_> = EventType::ALL
            .into_iter()
            .filter(|kind| !kind.can_be_switched_off())
            .collect();
        assert_eq!(
            fixed,
            [
                EventType::CommandExecution,
                EventType::ConfigurationChange,
                EventType::Approval,
                EventType::Outbound
            ]
        );
    }
}
