//! Reading the log a page at a time, also where a part of it is damaged.

use jiff::Timestamp;
use kubechat_audit::store::{Filter, MAX_LIST};
use kubechat_audit::{Entry, EventType, Outcome};

use super::Audit;
use crate::error::Error;
use crate::past::{Execution, beside};

/// Entries of a page of the log.
const PAGE: u64 = MAX_LIST as u64;

/// A part of the log, towards its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// By rising number.
    pub entries: Vec<Entry>,
    /// Entries of it that cannot be read, or are gone.
    pub unread: u64,
    /// Before which the next page ends; `None` where the log begins.
    pub next: Option<u64>,
}

/// A part of the log, towards its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Onward {
    /// By rising number.
    pub entries: Vec<Entry>,
    /// Entries of it that cannot be read, or are gone: of which type they were nobody knows.
    pub unread: u64,
    /// From where to read on, now or later.
    pub next: u64,
    /// There is more by now.
    pub more: bool,
}

impl Audit {
    /// The entries before number `end` (`None`: the newest ones), a page at a time towards the beginning of the log. Entries
    /// that cannot be read are left out and counted.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn page(&self, end: Option<u64>) -> Result<Page, Error> {
        let end = match end {
            Some(end) => end,
            None => self.store.head().await?.seq + 1,
        };
        let first = end.saturating_sub(PAGE).max(1);
        let (entries, unread) = self.between(first, end).await?;
        Ok(Page {
            entries,
            unread,
            next: (first > 1).then_some(first),
        })
    }

    /// The entries of this type from a number on, a page at a time towards the end of the log. Entries that cannot be read
    /// are left out and counted.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn of_type(&self, event_type: EventType, since: u64) -> Result<Onward, Error> {
        let end = self.store.head().await?.seq + 1;
        let filter = Filter {
            event_type: Some(event_type),
            since_seq: since,
            ..Filter::default()
        };
        match self.store.list(filter).await {
            Ok(entries) => {
                let more = entries.len() >= MAX_LIST;
                let read = entries.last().map_or(since, |last| last.seq + 1);
                Ok(Onward {
                    entries,
                    unread: 0,
                    next: if more { read } else { read.max(end) },
                    more,
                })
            }
            Err(kubechat_audit::Error::Integrity { .. }) => {
                let since = since.max(1);
                let next = since.saturating_add(PAGE).min(end).max(since);
                let (mut entries, unread) = self.between(since, next).await?;
                entries.retain(|entry| entry.event_type == event_type);
                Ok(Onward {
                    entries,
                    unread,
                    next,
                    more: next < end,
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The entries from one number to before another, at most a page, and how many of them cannot be read or are gone.
    async fn between(&self, first: u64, end: u64) -> Result<(Vec<Entry>, u64), Error> {
        let all = end.saturating_sub(first);
        let of = |since_seq, limit| Filter {
            since_seq,
            limit,
            ..Filter::default()
        };
        let limit = usize::try_from(all).unwrap_or(MAX_LIST);
        let mut found = match self.store.list(of(first, limit)).await {
            Ok(found) => found,
            Err(kubechat_audit::Error::Integrity { .. }) => {
                let mut found = vec![];
                for seq in first..end {
                    match self.store.list(of(seq, 1)).await {
                        Ok(one) => found.extend(one.into_iter().filter(|entry| entry.seq == seq)),
                        Err(kubechat_audit::Error::Integrity { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                found
            }
            Err(error) => return Err(error.into()),
        };
        found.retain(|entry| (first..end).contains(&entry.seq));
        let read = u64::try_from(found.len()).unwrap_or(u64::MAX);
        Ok((found, all.saturating_sub(read)))
    }

    /// The number of the first entry that is not older than this; one past the last where all are. What cannot be read is
    /// taken for newer, so that nothing is missed.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn first_since(&self, time: Timestamp) -> Result<u64, Error> {
        let (mut low, mut high) = (1, self.store.head().await?.seq + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let filter = Filter {
                since_seq: middle,
                limit: 1,
                ..Filter::default()
            };
            let older = match self.store.list(filter).await {
                Ok(found) => found.first().is_some_and(|entry| entry.time < time),
                Err(kubechat_audit::Error::Integrity { .. }) => false,
                Err(error) => return Err(error.into()),
            };
            if older {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The intent of a plan's first step that was begun; `None` when none was, or none was sent because the plan was removed
    /// first.
    ///
    /// # Errors
    /// When the store does not answer, or an entry of an execution of the plan cannot be read.
    pub async fn begun(&self, plan_uid: &str) -> Result<Option<Entry>, Error> {
        // A result that waits beside the store may say that nothing was sent.
        self.catch_up().await?;
        let entries = self.of_execution(plan_uid).await?;
        let unsent = |intent: &Entry| {
            let result = |e: &&Entry| e.outcome != Outcome::Intent && e.ids.step_id == intent.ids.step_id;
            let result = entries.iter().find(result);
            result.is_some_and(|e| e.reason == kubechat_core::reason::PLAN_GONE)
        };
        let mut begun = entries.iter().filter(|e| e.outcome == Outcome::Intent);
        Ok(begun.find(|e| !unsent(e)).cloned())
    }

    /// What the log tells of a plan's execution, in order.
    ///
    /// # Errors
    /// When the store does not answer, or one of the entries cannot be read.
    pub async fn of_execution(&self, plan_uid: &str) -> Result<Vec<Entry>, Error> {
        let filter = Filter {
            event_type: Some(EventType::CommandExecution),
            plan: Some(plan_uid.to_owned()),
            ..Filter::default()
        };
        Ok(self.store.list(filter).await?)
    }
}

impl Audit {
    /// All that the log tells of a plan's execution, with what stands beside its intents as far as that can be read.
    ///
    /// # Errors
    /// When the store does not answer, or one of the entries cannot be read.
    pub async fn execution(&self, plan_uid: &str) -> Result<Execution, Error> {
        // A result that waits beside the store may say what became of a step.
        self.catch_up().await?;
        let mut execution = Execution::default();
        for entry in self.of_execution(plan_uid).await? {
            execution.tells(&entry);
        }
        for (step, seq) in execution.intents() {
            let payload = beside(self, seq).await?.unwrap_or_default();
            execution.adds(&step, &payload);
        }
        Ok(execution)
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
