//! What the audit log tells of break-glass: which plans somebody approved in an emergency and nobody has reviewed.

use std::collections::{BTreeMap, BTreeSet};

use kubechat_audit::{Entry, EventType, Ids, Outcome};
use kubechat_core::reason;

use crate::audit::Audit;
use crate::error::Error;

/// Verb of the entry that tells of a plan that was removed before its review.
pub const REMOVED_UNREVIEWED: &str = "remove";

/// A plan that somebody approved in an emergency and that, by the log, nobody has reviewed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emergency {
    /// UID of the plan.
    pub plan: String,
    /// Its name.
    pub name: String,
    /// Its namespace, where the entry tells it.
    pub namespace: Option<String>,
    /// What the entry refers to.
    pub ids: Ids,
}

/// The emergencies that the log leaves open: neither reviewed nor told as removed before their review. The log is read once:
/// each time only what came since.
#[derive(Debug, Default)]
pub struct Emergencies {
    open: BTreeMap<String, Emergency>,
    reviewed: BTreeSet<String>,
    told: BTreeSet<String>,
    recorded: BTreeSet<String>,
    next: u64,
    unread: u64,
}

impl Emergencies {
    /// Reads on. What cannot be read is left out and counted.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn learn(&mut self, audit: &Audit) -> Result<(), Error> {
        loop {
            let page = audit.of_type(EventType::Approval, self.next).await?;
            page.entries.iter().for_each(|entry| self.decided(entry));
            self.next = page.next;
            self.unread += page.unread;
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Those that are open.
    #[must_use]
    pub fn open(&self) -> Vec<Emergency> {
        self.open.values().cloned().collect()
    }

    /// Entries that could not be read, since this was last asked.
    pub fn unread(&mut self) -> u64 {
        std::mem::take(&mut self.unread)
    }

    /// It is told that this plan was removed before its review.
    pub fn tell(&mut self, plan: &str) {
        self.open.remove(plan);
        self.told.insert(plan.to_owned());
    }

    /// Whether that was told here.
    #[must_use]
    pub fn was_told(&self, plan: &str) -> bool {
        self.told.contains(plan)
    }

    /// Whether a review of this plan is on record, as far as the log was read: its status may say so a moment later.
    #[must_use]
    pub fn was_reviewed(&self, plan: &str) -> bool {
        self.reviewed.contains(plan)
    }

    /// Whether nothing is to be told of this plan any more: it was reviewed, or that it was removed before is told or on record.
    #[must_use]
    pub fn is_settled(&self, plan: &str) -> bool {
        self.was_told(plan) || self.was_reviewed(plan) || self.recorded.contains(plan)
    }

    /// This plan is gone and was never begun: it needs no review.
    pub fn close(&mut self, plan: &str) {
        self.open.remove(plan);
    }

    /// What one entry about a decision tells of an emergency.
    fn decided(&mut self, entry: &Entry) {
        let Some(plan) = entry.ids.plan_uid.clone() else {
            return;
        };
        let counts = entry.outcome == Outcome::Success;
        if counts && entry.verb == "approve" && entry.reason == reason::BREAK_GLASS {
            let emergency = Emergency {
                plan: plan.clone(),
                name: entry.ids.plan.clone().unwrap_or_default(),
                namespace: entry.target.as_ref().and_then(|t| t.namespace.clone()),
                ids: entry.ids.clone(),
            };
            self.open.insert(plan, emergency);
        } else if counts && entry.verb == "review" {
            self.open.remove(&plan);
            self.reviewed.insert(plan);
        } else if entry.verb == REMOVED_UNREVIEWED {
            self.open.remove(&plan);
            self.recorded.insert(plan);
        }
    }
}

#[cfg(test)]
#[path = "emergency_tests.rs"]
mod tests;
