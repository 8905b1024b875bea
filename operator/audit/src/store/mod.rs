//! What a store of the log can do, whatever database is behind it.
//!
//! Invariants: an answer is given after the commit, never before; entries are never changed or removed; a step's
//! intent is taken at most once and ended at most once; a writer with a lower fence than the stored one writes
//! nothing. When a store cannot say that something was recorded, the caller must not act (fail closed).
//! Called by the operator only, as `Arc<dyn AuditStore>`.

use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;
use serde_json::Value;

use crate::chain::ChainMac;
use crate::draft::Draft;
use crate::entry::Entry;
use crate::error::Error;
use crate::record::EventType;

mod batch;
mod guard;
mod open;
mod rows;
mod session;
mod sqlite;

pub use open::{list_file, verify_file};
pub use sqlite::{Clock, SqliteOptions, SqliteStore};

/// Most entries that one `list` returns.
pub const MAX_LIST: usize = 1000;
/// Most drafts that one `append` takes.
pub const MAX_APPEND: usize = 256;
/// Largest rollback data of one step, in bytes.
pub const MAX_ROLLBACK_BYTES: usize = 8 * 1024 * 1024;

/// The future of a store call.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// An entry that is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its number.
    pub seq: u64,
    /// Its time.
    pub time: Timestamp,
}

/// What became of an intent. Only `Recorded` allows to send the step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntentOutcome {
    /// The lock was taken now: send the step once.
    Recorded {
        /// Number of the intent entry.
        seq: u64,
    },
    /// The step was begun before: never send it again.
    AlreadyThere {
        /// Number of the intent entry of that time.
        seq: u64,
        /// How it ended, where that is known.
        result: Option<Box<Entry>>,
    },
}

/// What became of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultOutcome {
    /// Recorded now.
    Recorded {
        /// Number of the result entry.
        seq: u64,
    },
    /// The step had ended before; that result stands and nothing was written.
    AlreadyThere {
        /// Number of the result entry of that time.
        seq: u64,
        /// The result that stands.
        result: Box<Entry>,
    },
}

/// What is known of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRecord {
    /// Number of the intent entry.
    pub seq: u64,
    /// Fence of the writer that took the lock.
    pub fence: u64,
    /// How it ended, where that is known.
    pub result: Option<Box<Entry>>,
}

/// Where the log ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The log's name.
    pub origin: String,
    /// Number of the last entry; 0 for an empty log.
    pub seq: u64,
    /// The chain's end.
    pub mac: ChainMac,
    /// Highest fence seen. A new leader takes at least this plus one.
    pub fence: u64,
}

/// Which entries `list` returns: those that fit every field that is set, by rising number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Of this type.
    pub event_type: Option<EventType>,
    /// Of the CommandPlan with this name or uid.
    pub plan: Option<String>,
    /// Of the ChatRequest with this name or uid.
    pub request: Option<String>,
    /// By this user.
    pub user: Option<String>,
    /// From this number on. For the next page: the last number returned plus one.
    pub since_seq: u64,
    /// At most so many; never more than [`MAX_LIST`].
    pub limit: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            event_type: None,
            plan: None,
            request: None,
            user: None,
            since_seq: 0,
            limit: MAX_LIST,
        }
    }
}

/// A store of the log.
pub trait AuditStore: Send + Sync {
    /// Records events, all of them or none, in order. At most [`MAX_APPEND`]. Intents and results of steps go
    /// through [`Self::append_intent`] and [`Self::append_result`] only.
    fn append(&self, drafts: Vec<Draft>) -> StoreFuture<'_, Vec<Appended>>;

    /// Takes the one-execution lock of a step and records the intent, together. The draft must be a
    /// `command_execution` with outcome `intent`; its step id is set to this one.
    fn append_intent<'a>(&'a self, draft: Draft, step_id: &'a str) -> StoreFuture<'a, IntentOutcome>;

    /// Records how a step ended; its draft is a `command_execution` with the step id in `ids` and outcome
    /// `success`, `failure` or `unknown`. The first result stands for good, also an `unknown` one. Without an
    /// intent it is refused.
    fn append_result(&self, draft: Draft) -> StoreFuture<'_, ResultOutcome>;

    /// What is known of a step. Sees every write that was handed in before it, also those that timed out.
    fn intent<'a>(&'a self, step_id: &'a str) -> StoreFuture<'a, Option<StepRecord>>;

    /// Where the log ends.
    fn head(&self) -> StoreFuture<'_, Head>;

    /// Takes over writing: from now on every writer with a lower fence is refused. Fails with `Fenced` when
    /// there is a higher one already. Returns the fence that is in force.
    fn raise_fence(&self, fence: u64) -> StoreFuture<'_, u64>;

    /// Entries by filter.
    fn list(&self, filter: Filter) -> StoreFuture<'_, Vec<Entry>>;

    /// The payload of an entry, compared with the header's commitment. None when there is no such entry.
    fn payload(&self, seq: u64) -> StoreFuture<'_, Option<Value>>;

    /// Keeps the bytes that undo a step. Not part of the log, never exported. The same bytes again are fine;
    /// other bytes for the same step are refused. At most [`MAX_ROLLBACK_BYTES`].
    fn put_rollback<'a>(&'a self, plan_uid: &'a str, step_id: &'a str, bytes: Vec<u8>)
    -> StoreFuture<'a, ()>;

    /// The bytes that undo a step, compared with the digest taken when they were kept.
    fn rollback<'a>(&'a self, plan_uid: &'a str, step_id: &'a str) -> StoreFuture<'a, Option<Vec<u8>>>;

    /// For which plans bytes are kept: their uids in rising order, from behind this one on, at most [`MAX_LIST`].
    fn rollback_plans<'a>(&'a self, after: &'a str) -> StoreFuture<'a, Vec<String>>;

    /// Forgets the bytes of a plan (with a step id, of that step). Returns how many steps had any.
    fn delete_rollback<'a>(&'a self, plan_uid: &'a str, step_id: Option<&'a str>) -> StoreFuture<'a, u64>;
}
