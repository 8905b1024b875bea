//! KubeChat's tamper-evident audit log.
//!
//! - [`record`]: the log's words: event types, outcomes, who and what. [`draft`]: what callers say happened.
//! - [`entry`]: the header that is hashed and the bounds on what people control ([`Entry`]).
//! - [`chain`]: leaf hashes and the HMAC chain. [`key`]: the key's file.
//! - [`verify`]: from rows to a [`Report`]. Pure, like `chain`. [`report`]: what it found, and what that means.
//! - [`spool`]: results that wait for a store that went away.
//! - [`store`]: the [`AuditStore`] trait and SQLite behind it.
//!
//! Invariants: an entry's bytes are made once, stored verbatim and never serialised again to verify them; a step
//! is begun at most once, because its intent and its lock are one commit; nobody who gets an error may act as if
//! the event had been recorded. The crate knows no cluster and no other crate of KubeChat.
//!
//! What this first form does not detect: a log that was put back as a whole from an older copy, or begun anew
//! with the same key. That takes the Merkle tree's checkpoints outside the database.

pub mod chain;
pub mod draft;
pub mod entry;
pub mod error;
pub mod key;
pub mod record;
pub mod report;
pub mod spool;
pub mod store;
pub mod verify;

pub use chain::ChainKey;
pub use draft::Draft;
pub use entry::Entry;
pub use error::Error;
pub use key::{KeyError, init_key, read_key};
pub use record::{Actor, EventType, Ids, Outcome, Risk, Source, Target};
pub use report::{Report, Verdict, VerifyExit};
pub use spool::{Replayed, Spool};
pub use store::{
    Appended, AuditStore, Filter, Head, IntentOutcome, ResultOutcome, SqliteOptions, SqliteStore, StepRecord,
    list_file, verify_file,
};
