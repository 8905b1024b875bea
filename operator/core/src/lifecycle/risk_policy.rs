//! RiskPolicy: usable in full, or not at all.

use kubechat_crds::RiskPolicySpec;

use crate::{policy, reason};

/// Whether the pack is honoured.
///
/// # Errors
/// Reason and message of `Ready=False`.
pub fn verdict(spec: &RiskPolicySpec) -> Result<&'static str, (&'static str, String)> {
    let invalid = policy::invalid(spec);
    if !invalid.is_empty() {
        return Err((
            reason::INVALID,
            format!("{}. Plans wait until it is corrected", invalid.join("; ")),
        ));
    }
    let unsupported = policy::unsupported(spec);
    if !unsupported.is_empty() {
        return Err((
            reason::NOT_SUPPORTED,
            format!(
                "{} not supported in this version. Plans wait until they are taken out",
                unsupported.join(", ")
            ),
        ));
    }
    Ok(if spec.suspend {
        "the kill switch is on: no step is sent"
    } else {
        "honoured"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_ready_or_where_the_mistake_is() {
        let verdict = |text: &str| verdict(&serde_json::from_str(text).unwrap());
        assert_eq!(verdict("{}"), Ok("honoured"));
        assert_eq!(verdict(r#"{"egressHosts": ["example.com"]}"#), Ok("honoured"));
        assert_eq!(
            verdict(r#"{"suspend": true}"#),
            Ok("the kill switch is on: no step is sent")
        );
        let bad = verdict(r#"{"rules": [{"name": "r", "when": "plan.level ==", "effect": "Deny"}]}"#);
        let (reason, message) = bad.unwrap_err();
        assert_eq!(reason, reason::INVALID);
        assert!(message.contains("rule r: when, 1:14"), "{message}");
        let (reason, _) = verdict(
            r#"{"notifiers": [{"name": "n", "type": "Webhook", "endpoint": "https://hooks.example.org"}]}"#,
        )
        .unwrap_err();
        assert_eq!(reason, reason::NOT_SUPPORTED);
    }
}
