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
