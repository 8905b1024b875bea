//! Entries of calls of models, each made once: whoever died, or was not told, after an entry was made finds it in the log.

use jiff::{SignedDuration, Timestamp};
use kubechat_audit::store::{Filter, MAX_LIST};
use kubechat_audit::{Draft, Entry, EventType, Outcome};

use super::Audit;
use crate::error::Error;

/// How far back the log is searched for a call that belongs to no turn.
const SEARCHED: SignedDuration = SignedDuration::from_hours(24);

impl Audit {
    /// Makes the entry of a call, unless the log has it. Returns its number, and whether it is new.
    ///
    /// # Errors
    /// When it cannot be committed, or nobody can say whether it was: then what it tells of must not happen.
    pub async fn once(&self, draft: Draft) -> Result<(u64, bool), Error> {
        let _alone = self.calls.lock().await;
        if let Some(entry) = self.of_call(&draft).await? {
            return Ok((entry.seq, false));
        }
        Ok((self.record(draft).await?.unwrap_or_default(), true))
    }

    /// The entry of a call's intent, or of its end, if the log has it.
    ///
    /// # Errors
    /// When the store does not answer, or an entry of the turn cannot be read.
    pub async fn of_call(&self, draft: &Draft) -> Result<Option<Entry>, Error> {
        let is_it = |entry: &Entry| {
            entry.event_type == draft.event_type
                && entry.ids.step_id.is_some()
                && entry.ids.step_id == draft.ids.step_id
                && entry.ids.request_uid == draft.ids.request_uid
                && (entry.outcome == Outcome::Intent) == (draft.outcome == Outcome::Intent)
        };
        if draft.ids.request_uid.is_some() {
            let entries = self.calls_of(draft.ids.request_uid.clone()).await?;
            return Ok(entries.into_iter().find(is_it));
        }
        let since = Timestamp::now().saturating_sub(SEARCHED);
        let mut next = self.first_since(since.unwrap_or(Timestamp::UNIX_EPOCH)).await?;
        loop {
            let page = self.of_type(EventType::Outbound, next).await?;
            if let Some(found) = page.entries.into_iter().find(is_it) {
                return Ok(Some(found));
            }
            if !page.more {
                return Ok(None);
            }
            next = page.next;
        }
    }

    /// What the log tells of a turn's calls, in order.
    ///
    /// # Errors
    /// When the store does not answer, or an entry of the turn cannot be read.
    pub async fn calls_of(&self, turn_uid: Option<String>) -> Result<Vec<Entry>, Error> {
        let mut all: Vec<Entry> = vec![];
        loop {
            let filter = Filter {
                event_type: Some(EventType::Outbound),
                request: turn_uid.clone(),
                since_seq: all.last().map_or(0, |last| last.seq + 1),
                ..Filter::default()
            };
            let page = self.store.list(filter).await?;
            let more = page.len() >= MAX_LIST;
            all.extend(page);
            if !more {
                return Ok(all);
            }
        }
    }
}
