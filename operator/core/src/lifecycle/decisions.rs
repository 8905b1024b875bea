//! The decisions a plan's status lists: which object each one is.

use kubechat_crds::common::DecisionRecord;
use kubechat_crds::{ApprovalSummary, DecisionKind};

/// The record of this very Approval among the decisions a plan counted: the same object (a name may be taken again) that
/// still says the same. A Review is never among them: it is judged, each one.
#[must_use]
pub fn recorded<'a>(
    summary: Option<&'a ApprovalSummary>,
    uid: &str,
    decision: DecisionKind,
) -> Option<&'a DecisionRecord> {
    let counted = summary.map(|s| s.decisions.as_slice()).unwrap_or_default();
    counted
        .iter()
        .find(|d| !uid.is_empty() && d.uid == uid)
        .filter(|d| d.decision == decision && decision != DecisionKind::Review)
}

#[cfg(test)]
#[path = "decisions_tests.rs"]
mod tests;
