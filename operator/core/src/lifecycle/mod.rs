//! What happens next to an object of each kind: pure decisions over observed data. One file a kind, mirrored in
//! `controllers` (which observe and apply) and in the webhook's `validate`.

pub mod ai_provider;
pub mod approval;
pub mod approver_key;
pub mod audit_policy;
pub mod brakes;
pub mod chat_request;
pub mod chat_session;
pub mod command_plan;
pub mod decisions;
pub mod eligible;
pub mod namespaces;
pub mod radius;
pub mod retention;
pub mod review;
pub mod risk_policy;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kubechat_crds::condition::{remove, set, types};

use crate::reason;

/// Conditions of a one-shot object, moved together so that kstatus, Argo CD and people read the same.
#[derive(Debug)]
pub struct OneShot<'a> {
    /// The object's conditions.
    pub conditions: &'a mut Vec<Condition>,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// Now.
    pub now: Timestamp,
}

impl OneShot<'_> {
    /// Under way: `Succeeded=Unknown`, `Reconciling=True`.
    pub fn working(&mut self, reason: &str, message: &str) {
        self.put(types::SUCCEEDED, "Unknown", reason, message);
        self.put(types::RECONCILING, "True", reason, message);
        remove(self.conditions, types::AWAITING_APPROVAL);
        remove(self.conditions, types::STALLED);
    }

    /// A person is waited for: `Succeeded=Unknown`, `AwaitingApproval=True`, and neither Reconciling nor Stalled.
    pub fn awaiting(&mut self, reason: &str, message: &str) {
        // The command to run stands once, where it is waited; the other condition names the cause only.
        self.put(
            types::SUCCEEDED,
            "Unknown",
            reason,
            message.lines().next().unwrap_or_default(),
        );
        self.put(types::AWAITING_APPROVAL, "True", reason, message);
        remove(self.conditions, types::RECONCILING);
        remove(self.conditions, types::STALLED);
    }

    /// Finished for ever.
    pub fn finish(&mut self, succeeded: bool, reason: &str, message: &str) {
        self.put(
            types::SUCCEEDED,
            if succeeded { "True" } else { "False" },
            reason,
            message,
        );
        for gone in [types::AWAITING_APPROVAL, types::RECONCILING, types::STALLED] {
            remove(self.conditions, gone);
        }
    }

    /// Cannot be acted on: `Stalled=True`.
    pub fn stalled(&mut self, reason: &str, message: &str) {
        self.finish(false, reason, message);
        self.put(types::STALLED, "True", reason, message);
    }

    fn put(&mut self, type_: &str, status: &str, reason: &str, message: &str) {
        set(
            self.conditions,
            type_,
            status,
            reason,
            message,
            self.generation,
            self.now,
        );
    }
}

/// `Ready` of a configuration object.
pub fn ready(
    conditions: &mut Vec<Condition>,
    verdict: Result<&str, (&str, String)>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let (status, reason, message) = match verdict {
        Ok(message) => ("True", reason::READY, message.to_owned()),
        Err((reason, message)) => ("False", reason, message),
    };
    set(conditions, types::READY, status, reason, message, generation, now);
}

/// Whether two lists of conditions say the same, whatever their times.
#[must_use]
pub fn same_ignoring_time(a: &[Condition], b: &[Condition]) -> bool {
    let key = |c: &Condition| {
        (
            c.type_.clone(),
            c.status.clone(),
            c.reason.clone(),
            c.message.clone(),
            c.observed_generation,
        )
    };
    a.len() == b.len() && a.iter().all(|x| b.iter().any(|y| key(x) == key(y)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kubechat_crds::condition::{find, is_true};

    #[test]
    fn a_waiting_object_is_neither_reconciling_nor_stalled_and_a_finished_one_nothing_else() {
        let mut conditions = vec![];
        let mut shot = OneShot {
            conditions: &mut conditions,
            generation: Some(1),
            now: Timestamp::UNIX_EPOCH,
        };
        shot.working("Progressing", "m");
        shot.awaiting("AwaitingApproval", "m");
        assert!(is_true(shot.conditions, types::AWAITING_APPROVAL));
        assert!(find(shot.conditions, types::RECONCILING).is_none());
        shot.finish(true, "Executed", "m");
        assert_eq!(conditions.len(), 1);
    }
}
