//! Executions that the audit log leaves open: begun, and without an end on record.

use std::collections::BTreeMap;

use futures::future::join_all;
use kubechat_audit::EventType;
use serde_json::Value;

use super::Execution;
use crate::audit::Audit;
use crate::error::Error;

/// Payloads that are read at a time.
const AT_ONCE: usize = 64;

/// The executions that the log leaves open, by UID of their plan. The log is read once: each time only what came since. This
/// narrows them down; whether one is open in truth is seen from all its entries ([`Audit::execution`]).
#[derive(Debug, Default)]
pub struct Executions {
    open: BTreeMap<String, Execution>,
    next: u64,
    unread: u64,
}

impl Executions {
    /// Reads on. What cannot be read is left out and counted.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn learn(&mut self, audit: &Audit) -> Result<(), Error> {
        // A result that waits beside the store may be the end of one.
        audit.catch_up().await?;
        loop {
            let page = audit.of_type(EventType::CommandExecution, self.next).await?;
            for entry in &page.entries {
                if let Some(plan) = &entry.ids.plan_uid {
                    self.open.entry(plan.clone()).or_default().tells(entry);
                }
            }
            self.narrow(audit).await?;
            self.next = page.next;
            self.unread += page.unread;
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Keeps those that are open.
    async fn narrow(&mut self, audit: &Audit) -> Result<(), Error> {
        self.open.retain(|_, execution| execution.may_be_open());
        let asked: Vec<(String, String, u64)> = self
            .open
            .iter()
            .filter(|(_, execution)| execution.lacks_total())
            .filter_map(|(plan, execution)| {
                let (step, seq) = execution.intents().into_iter().next()?;
                Some((plan.clone(), step, seq))
            })
            .collect();
        for some in asked.chunks(AT_ONCE) {
            let payloads = join_all(some.iter().map(|(_, _, seq)| beside(audit, *seq))).await;
            for ((plan, step, _), payload) in some.iter().zip(payloads) {
                let payload = payload?;
                self.unread += u64::from(payload.is_none());
                if let Some(execution) = self.open.get_mut(plan) {
                    execution.adds(step, &payload.unwrap_or_default());
                }
            }
        }
        self.open.retain(|_, execution| execution.is_open());
        Ok(())
    }

    /// UIDs and names of the plans of those that are open.
    #[must_use]
    pub fn open(&self) -> Vec<(String, String)> {
        let name = |one: &Execution| one.about().and_then(|about| about.ids.plan.clone());
        let open = self.open.iter();
        open.map(|(uid, one)| (uid.clone(), name(one).unwrap_or_default()))
            .collect()
    }

    /// Entries that could not be read, since this was last asked.
    pub fn unread(&mut self) -> u64 {
        std::mem::take(&mut self.unread)
    }

    /// Of this one there is nothing to be told any more.
    pub fn close(&mut self, plan: &str) {
        self.open.remove(plan);
    }
}

/// What stands beside an entry; `None` when it is not what was recorded.
pub(crate) async fn beside(audit: &Audit, seq: u64) -> Result<Option<Value>, Error> {
    match audit.payload(seq).await {
        Ok(payload) => Ok(Some(payload)),
        Err(Error::Audit(kubechat_audit::Error::Integrity { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "executions_tests.rs"]
mod tests;
