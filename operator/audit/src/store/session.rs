//! What the log does inside one transaction: the rules of locks, results and fences.
//!
//! Invariants: a call that is refused has written nothing (all checks come first), so that one bad call never
//! spoils the batch it is in; the head moves with the entries, in the same transaction.

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::Value;

use super::sqlite::Clock;
use super::{Appended, Head, IntentOutcome, MAX_ROLLBACK_BYTES, ResultOutcome, StepRecord, rows};
use crate::chain::{ChainKey, Leaf};
use crate::draft::Draft;
use crate::entry::{Entry, Sealed, commitment, next_time};
use crate::error::Error;

/// One open transaction.
pub(super) struct Session<'a> {
    db: &'a Connection,
    key: &'a ChainKey,
    clock: &'a Clock,
    found: Head,
    head: Head,
    fence: u64,
    last_time: Option<Timestamp>,
}

impl<'a> Session<'a> {
    /// Begins with the head as this transaction sees it.
    pub(super) fn begin(
        db: &'a Connection,
        key: &'a ChainKey,
        clock: &'a Clock,
        head: Head,
        fence: u64,
    ) -> Result<Self, Error> {
        let last_time = rows::time_of(db, head.seq)?;
        Ok(Self {
            db,
            key,
            clock,
            found: head.clone(),
            head,
            fence,
            last_time,
        })
    }

    /// Writes the head row when something moved. Returns the head and this writer's fence.
    pub(super) fn end(self) -> Result<(Head, u64), Error> {
        if self.head != self.found {
            rows::update_head(self.db, &self.found, &self.head)?;
        }
        Ok((self.head, self.fence))
    }

    pub(super) fn append(&mut self, drafts: Vec<Draft>) -> Result<Vec<Appended>, Error> {
        self.check_fence()?;
        let mut seq = self.head.seq;
        let mut time = self.last_time;
        let mut sealed = Vec::with_capacity(drafts.len());
        for draft in drafts {
            seq = seq.saturating_add(1);
            let now = next_time(time, (self.clock)());
            sealed.push(Entry::seal(draft, seq, now, rand::random())?);
            time = Some(now);
        }
        sealed.iter().map(|sealed| self.insert(sealed)).collect()
    }

    pub(super) fn append_intent(&mut self, draft: Draft, step_id: &str) -> Result<IntentOutcome, Error> {
        self.check_fence()?;
        if let Some(StepRecord {
            seq,
            fence: _,
            result,
        }) = rows::step(self.db, step_id)?
        {
            return Ok(IntentOutcome::AlreadyThere { seq, result });
        }
        let seq = self.append_one(draft)?;
        rows::insert_intent(self.db, step_id, seq, self.fence)?;
        Ok(IntentOutcome::Recorded { seq })
    }

    pub(super) fn append_result(&mut self, draft: Draft, step_id: &str) -> Result<ResultOutcome, Error> {
        self.check_fence()?;
        match rows::step(self.db, step_id)? {
            None => {
                return Err(Error::NoIntent {
                    step_id: step_id.to_owned(),
                });
            }
            Some(StepRecord {
                result: Some(result), ..
            }) => {
                return Ok(ResultOutcome::AlreadyThere {
                    seq: result.seq,
                    result,
                });
            }
            Some(StepRecord { result: None, .. }) => {}
        }
        let seq = self.append_one(draft)?;
        rows::insert_result(self.db, step_id, seq)?;
        Ok(ResultOutcome::Recorded { seq })
    }

    pub(super) fn intent(&self, step_id: &str) -> Result<Option<StepRecord>, Error> {
        rows::step(self.db, step_id)
    }

    pub(super) fn head(&self) -> Head {
        self.head.clone()
    }

    pub(super) fn raise_fence(&mut self, fence: u64) -> Result<u64, Error> {
        let mine = self.fence.max(fence);
        if mine < self.head.fence {
            return Err(Error::Fenced {
                mine,
                stored: self.head.fence,
            });
        }
        self.fence = mine;
        self.head.fence = mine;
        Ok(mine)
    }

    pub(super) fn list(&self, filter: &super::Filter) -> Result<Vec<Entry>, Error> {
        rows::list(self.db, filter)
    }

    pub(super) fn payload(&self, seq: u64) -> Result<Option<Value>, Error> {
        let Some(entry) = rows::entry(self.db, seq)? else {
            return Ok(None);
        };
        let changed = || {
            Error::integrity(format!(
                "the payload of entry {seq} is not the one that was recorded"
            ))
        };
        let (salt, payload) = rows::payload(self.db, seq)?.ok_or_else(changed)?;
        if commitment(&salt, payload.as_bytes()) != entry.payload_commitment {
            return Err(changed());
        }
        serde_json::from_str(&payload).map(Some).map_err(|_| changed())
    }

    pub(super) fn put_rollback(&self, plan_uid: &str, step_id: &str, bytes: &[u8]) -> Result<(), Error> {
        self.check_fence()?;
        let refused = |why| Err(rollback_error(plan_uid, step_id, why));
        if bytes.len() > MAX_ROLLBACK_BYTES {
            return refused("is larger than 8 MiB and was not kept; the step has no rollback");
        }
        match rows::rollback(self.db, plan_uid, step_id)? {
            None => rows::insert_rollback(self.db, plan_uid, step_id, bytes),
            Some(Some(kept)) if kept == bytes => Ok(()),
            Some(_) => refused("was kept before with other content and was not changed"),
        }
    }

    pub(super) fn rollback(&self, plan_uid: &str, step_id: &str) -> Result<Option<Vec<u8>>, Error> {
        match rows::rollback(self.db, plan_uid, step_id)? {
            None => Ok(None),
            Some(Some(bytes)) => Ok(Some(bytes)),
            Some(None) => Err(rollback_error(
                plan_uid,
                step_id,
                "is not what was kept; it must not be used, roll back by hand",
            )),
        }
    }

    pub(super) fn rollback_plans(&self, after: &str) -> Result<Vec<String>, Error> {
        rows::rollback_plans(self.db, after)
    }

    pub(super) fn delete_rollback(&self, plan_uid: &str, step_id: Option<&str>) -> Result<u64, Error> {
        self.check_fence()?;
        rows::delete_rollback(self.db, plan_uid, step_id)
    }

    fn append_one(&mut self, draft: Draft) -> Result<u64, Error> {
        let now = next_time(self.last_time, (self.clock)());
        let sealed = Entry::seal(draft, self.head.seq.saturating_add(1), now, rand::random())?;
        Ok(self.insert(&sealed)?.seq)
    }

    fn insert(&mut self, sealed: &Sealed) -> Result<Appended, Error> {
        let mac = self.key.link(self.head.mac, Leaf::of(&sealed.header));
        rows::insert_entry(self.db, sealed, mac, self.key.id())?;
        let Entry { seq, time, .. } = sealed.entry;
        self.head.seq = seq;
        self.head.mac = mac;
        self.last_time = Some(time);
        Ok(Appended { seq, time })
    }

    fn check_fence(&self) -> Result<(), Error> {
        let (mine, stored) = (self.fence, self.head.fence);
        if mine < stored {
            Err(Error::Fenced { mine, stored })
        } else {
            Ok(())
        }
    }
}

fn rollback_error(plan_uid: &str, step_id: &str, why: &'static str) -> Error {
    Error::Rollback {
        plan_uid: plan_uid.to_owned(),
        step_id: step_id.to_owned(),
        why,
    }
}
