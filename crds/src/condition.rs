//! Conditions: types, reasons and the one way to set them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// Condition types.
pub mod types {
    /// One-shot kinds: Unknown while under way, then True or False for ever.
    pub const SUCCEEDED: &str = "Succeeded";
    /// Configuration kinds.
    pub const READY: &str = "Ready";
    /// Abnormal-true: the controller is working (kstatus InProgress).
    pub const RECONCILING: &str = "Reconciling";
    /// Abnormal-true: the controller cannot go on and a person must act (kstatus Failed).
    pub const STALLED: &str = "Stalled";
    /// A person is waited for. Neither Reconciling nor Stalled stands beside it.
    pub const AWAITING_APPROVAL: &str = "AwaitingApproval";
    /// Approval: whether it counts, and why not.
    pub const ACCEPTED: &str = "Accepted";
    /// CommandPlan that was executed by break-glass: whether somebody reviewed it.
    pub const REVIEWED: &str = "Reviewed";
    /// ChatRequest: the requester's privileged groups were dropped before acting.
    pub const RIGHTS_REDUCED: &str = "RightsReduced";
    /// AuditPolicy: the log is whole.
    pub const AUDIT_INTEGRITY: &str = "AuditIntegrity";
}

/// Sets a condition. `lastTransitionTime` moves only when the status changes; the message is cut to 4 KiB.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: &str,
    status: &str,
    reason: &str,
    message: impl Into<String>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let message = clip(message.into(), 4096);
    if let Some(found) = conditions.iter_mut().find(|c| c.type_ == type_) {
        if found.status != status {
            status.clone_into(&mut found.status);
            found.last_transition_time = Time(now);
        }
        reason.clone_into(&mut found.reason);
        found.message = message;
        found.observed_generation = generation;
        return;
    }
    conditions.push(Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: Time(now),
    });
}

/// Removes a condition (abnormal-true conditions stand only while True).
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|c| c.type_ != type_);
}

/// The condition of that type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether the condition is there and True.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|c| c.status == "True")
}

/// Whether `Succeeded` has reached its final True or False.
#[must_use]
pub fn is_finished(conditions: &[Condition]) -> bool {
    find(conditions, types::SUCCEEDED).is_some_and(|c| c.status != "Unknown")
}

/// Cuts a text to at most `max` bytes at a character border and marks the cut.
#[must_use]
pub fn clip(text: String, max: usize) -> String {
    if text.len() <= max {
        return text;
    }
    let mut end = max.saturating_sub(4);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} …", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn transition_time_moves_only_when_the_status_changes() {
        let mut list = vec![];
        set(&mut list, "Ready", "False", "A", "m", Some(1), at(1));
        set(&mut list, "Ready", "False", "B", "n", Some(2), at(2));
        assert_eq!(
            (list[0].last_transition_time.0, list[0].reason.as_str()),
            (at(1), "B")
        );
        set(&mut list, "Ready", "True", "B", "n", Some(2), at(3));
        assert_eq!(list[0].last_transition_time.0, at(3));
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character_and_says_so() {
        let mut list = vec![];
        set(&mut list, "Ready", "False", "A", "ä".repeat(4000), None, at(1));
        assert!(list[0].message.len() <= 4096 && list[0].message.ends_with('…'));
    }
}
