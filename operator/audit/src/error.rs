//! What can go wrong with a store, and whether anything was written.

use std::path::PathBuf;
use std::time::Duration;

use crate::draft::InvalidDraft;
use crate::entry::NotCanonical;

/// A store call that did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The database cannot be read or written now. Nothing was written.
    #[error(
        "the audit store is not available: {why}; nothing was written and nothing may be executed until it is back"
    )]
    Unavailable {
        /// What the system said.
        why: String,
    },
    /// The queue was full for the whole deadline. Nothing was written.
    #[error("the audit store did not take the entry within {} s because too many wait before it; nothing was written; try again", .0.as_secs_f32())]
    Overloaded(Duration),
    /// No answer in time. The entry may have been written.
    #[error("the audit store did not answer within {} s; the entry may or may not be in the log: ask for the step again before doing anything", .0.as_secs_f32())]
    Timeout(Duration),
    /// The commit failed half-way. The entry may have been written.
    #[error(
        "the audit store could not confirm the commit: {why}; the entry may or may not be in the log: ask for the step again before doing anything"
    )]
    Unconfirmed {
        /// What the system said.
        why: String,
    },
    /// Another writer took over.
    #[error(
        "this process may not write the audit log any more: its fence is {mine}, and {stored} has taken over; nothing was written; it must stop acting as leader"
    )]
    Fenced {
        /// Fence of this handle.
        mine: u64,
        /// Fence in the store.
        stored: u64,
    },
    /// The log is not what it should be.
    #[error(
        "the audit log failed its integrity check: {why}; nothing was written and nothing may be executed; run `kubechat audit verify` and keep a copy of the file as evidence"
    )]
    Integrity {
        /// What was found.
        why: String,
    },
    /// The caller made a draft that cannot be recorded.
    #[error(transparent)]
    Invalid(#[from] InvalidDraft),
    /// The draft has no canonical form.
    #[error(transparent)]
    NotCanonical(#[from] NotCanonical),
    /// A result for a step that was never begun.
    #[error(
        "step {step_id} has no intent in the audit log, so its result was not recorded; record the intent first"
    )]
    NoIntent {
        /// The step.
        step_id: String,
    },
    /// Rollback data that cannot be kept or is not what was kept.
    #[error("the rollback data of step {step_id} of plan {plan_uid} {why}")]
    Rollback {
        /// The plan.
        plan_uid: String,
        /// The step.
        step_id: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The file of results that wait for the store cannot be used.
    #[error("results wait for the audit store in {path}, which cannot be used: {why}; they are recorded once it can", path = .path.display())]
    Spool {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The file is not an audit log that this program can use.
    #[error("{path} cannot be used as audit log: {why}; nothing was written", path = .path.display())]
    NotALog {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Error {
    /// Whether the store itself is the problem, so that the same call may succeed later.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Overloaded(_) | Self::Timeout(_) | Self::Unconfirmed { .. } => {
                true
            }
            Self::Fenced { .. }
            | Self::Integrity { .. }
            | Self::Invalid(_)
            | Self::NotCanonical(_)
            | Self::NoIntent { .. }
            | Self::Rollback { .. }
            | Self::Spool { .. }
            | Self::NotALog { .. } => false,
        }
    }

    /// Whether the entry may be in the log although the call failed.
    pub fn may_have_been_written(&self) -> bool {
        match self {
            Self::Timeout(_) | Self::Unconfirmed { .. } => true,
            Self::Unavailable { .. }
            | Self::Overloaded(_)
            | Self::Fenced { .. }
            | Self::Integrity { .. }
            | Self::Invalid(_)
            | Self::NotCanonical(_)
            | Self::NoIntent { .. }
            | Self::Rollback { .. }
            | Self::Spool { .. }
            | Self::NotALog { .. } => false,
        }
    }

    /// Whether the whole batch must be given up, not only the call that met it.
    pub(crate) fn spoils_batch(&self) -> bool {
        self.is_unavailable() || matches!(self, Self::Integrity { .. })
    }

    pub(crate) fn integrity(why: impl Into<String>) -> Self {
        Self::Integrity { why: why.into() }
    }

    pub(crate) fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable { why: why.into() }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            // What the schema forbids, or pages that are no pages: somebody else was at the file.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation) => {
                Self::integrity(error.to_string())
            }
            Some(_) => Self::unavailable(error.to_string()),
            // Not the database but a value in it: of a type or size that was never written.
            None => Self::integrity(error.to_string()),
        }
    }
}
