//! AuditPolicy: levels are honoured in this release; sinks, retention, checkpoints and witnesses say that they are not.

use kubechat_crds::AuditPolicySpec;

use crate::reason;

/// Event types an AuditPolicy may name.
pub const EVENT_TYPES: &[&str] = &[
    "authentication",
    "command_generation",
    "command_execution",
    "permission_check",
    "data_access",
    "configuration_change",
    "approval",
    "outbound",
    "export",
    "system",
];

/// Whether the policy is honoured in full, and what of it is not.
///
/// # Errors
/// Reason and message of `Ready=False`.
pub fn verdict(spec: &AuditPolicySpec) -> Result<&'static str, (&'static str, String)> {
    if let Some(unknown) = spec.levels.keys().find(|k| !EVENT_TYPES.contains(&k.as_str())) {
        return Err((
            reason::INVALID,
            format!(
                "levels names the unknown event type {unknown}; known are {}",
                EVENT_TYPES.join(", ")
            ),
        ));
    }
    let used = [
        (!spec.sinks.is_empty(), "sinks"),
        (spec.retention.is_some(), "retention"),
        (spec.checkpoint.is_some(), "checkpoint"),
        (!spec.witnesses.is_empty(), "witnesses"),
    ];
    let unsupported: Vec<_> = used
        .into_iter()
        .filter_map(|(u, name)| u.then_some(name))
        .collect();
    if unsupported.is_empty() {
        Ok("levels are honoured")
    } else {
        Err((
            reason::NOT_SUPPORTED,
            format!(
                "{} not supported in this version; levels are honoured and everything is kept",
                unsupported.join(", ")
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_not_honoured_is_named_and_levels_are() {
        let cases: [(Value, &str, &[&str]); 9] = [
            (json!({}), "", &[]),
            (
                json!({"levels": {"approval": "Metadata", "system": "Off"}}),
                "",
                &[],
            ),
            (
                json!({"levels": {"approvals": "Off"}}),
                "Invalid",
                &["approvals", "approval,"],
            ),
            (
                json!({"sinks": [{"name": "siem", "endpoint": "https://siem.example.org"}]}),
                "NotSupported",
                &["sinks"],
            ),
            (json!({"retention": "90h"}), "NotSupported", &["retention"]),
            (
                json!({"checkpoint": {"interval": "1h"}}),
                "NotSupported",
                &["checkpoint"],
            ),
            (
                json!({"checkpoint": {"entries": 1000}}),
                "NotSupported",
                &["checkpoint"],
            ),
            (
                json!({"witnesses": ["https://witness.example.org"]}),
                "NotSupported",
                &["witnesses"],
            ),
            (
                json!({"levels": {"approval": "Full"}, "retention": "90h", "witnesses": ["https://w.example.org"]}),
                "NotSupported",
                &["retention, witnesses", "everything is kept"],
            ),
        ];
        for (spec, reason, words) in cases {
            let typed: AuditPolicySpec = serde_json::from_value(spec.clone()).unwrap();
            match verdict(&typed) {
                Ok(_) => assert_eq!(reason, "", "{spec}"),
                Err((why, said)) => {
                    assert_eq!(why, reason, "{spec}: {said}");
                    assert!(words.iter().all(|w| said.contains(w)), "{spec}: {said}");
                }
            }
        }
    }
}
