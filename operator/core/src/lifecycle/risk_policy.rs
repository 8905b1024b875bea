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
    Ok(match (spec.suspend, spec.protected_namespaces.is_some()) {
        (true, _) => "the kill switch is on: no step is sent",
        (false, true) => "honoured, except protectedNamespaces, which nothing reads before the risk engine",
        (false, false) => "honoured",
    })
}
