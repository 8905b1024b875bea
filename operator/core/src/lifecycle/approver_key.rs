//! ApproverKey: recorded, but signed approvals through Git come in a later release.

use jiff::Timestamp;
use kubechat_crds::ApproverKeySpec;

use crate::reason;

/// Whether the key is usable, and why not.
///
/// # Errors
/// Reason and message of `Ready=False`.
pub fn verdict(spec: &ApproverKeySpec, now: Timestamp) -> Result<&'static str, (&'static str, String)> {
    if spec.revoked_at.as_ref().is_some_and(|t| t.0 <= now) {
        return Err((
            "Revoked",
            "the key is revoked; no signature by it counts".to_owned(),
        ));
    }
    if spec.not_after.as_ref().is_some_and(|t| t.0 <= now) {
        return Err((
            reason::EXPIRED,
            "the key is past notAfter; no signature by it counts".to_owned(),
        ));
    }
    Err((
        reason::NOT_SUPPORTED,
        "signed approvals through Git are not supported in this version: the key is kept, no signature is checked".to_owned(),
    ))
}
