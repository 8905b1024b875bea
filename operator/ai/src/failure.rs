//! Why a provider gave no intents. Texts are for people and logs: they hold no prompt, key or answer.

use std::time::Duration;

use kubechat_core::redact::{Blocked, names::Forged, second::Stop};

use crate::net::Refused;
use crate::parse::Reject;

/// Why there are no intents.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The prompt could not be looked through for secrets; nothing was sent.
    #[error("nothing was sent: {0}")]
    Blocked(#[from] Blocked),
    /// The second detector did not like the body; nothing was sent.
    #[error("nothing was sent: {0}")]
    Stopped(#[from] Stop),
    /// The provider's address must not be reached.
    #[error("nothing was sent: {0}")]
    Refused(#[from] Refused),
    /// No connection, or it broke.
    #[error("the model server cannot be reached: {0}")]
    Unreachable(&'static str),
    /// No whole answer in time.
    #[error("the model server did not answer within {0:?}")]
    Timeout(Duration),
    /// The answer is longer than is read.
    #[error("the model server's answer has more than {0} bytes")]
    TooLong(usize),
    /// It wants to be asked later.
    #[error("the model server is busy{}", after.map_or_else(String::new, |a| format!("; it may be asked again in {} s", a.as_secs())))]
    Busy {
        /// When it may be asked again, if it said so.
        after: Option<Duration>,
    },
    /// It answered with an error, or a redirect, which is not followed.
    #[error("the model server answered with HTTP status {0}")]
    Status(u16),
    /// Its answer is not of the form of its own API.
    #[error("the model server's answer is not of the form its API has: {0}")]
    Form(&'static str),
    /// It took the request and declined this prompt, or answered it in too many words: that says nothing of the server.
    #[error("the model server gave no answer to this: {0}")]
    Declined(&'static str),
    /// The model's words are no intents.
    #[error("the model's answer was rejected: {0}")]
    Rejected(#[from] Reject),
    /// The model named something it was never given.
    #[error("the model's answer was rejected: {0}")]
    Forged(#[from] Forged),
    /// The model speaks of something that the person did not name.
    #[error("the model's answer was rejected: {0} holds what the request does not name")]
    Invented(&'static str),
    /// The call could not be recorded, so it was not made, or its answer is not used.
    #[error("the outbound ledger cannot be written, so no answer is used")]
    Unrecorded,
    /// It is not asked now: its breaker is open, it has no room, or the person has used what he may.
    #[error("it is not asked: {0}")]
    NotAsked(String),
}

impl Failure {
    /// Whether the model itself may do better when told what was wrong.
    #[must_use]
    pub const fn is_repairable(&self) -> bool {
        match self {
            Self::Rejected(_) | Self::Forged(_) | Self::Invented(_) => true,
            Self::Blocked(_)
            | Self::Stopped(_)
            | Self::Refused(_)
            | Self::Unreachable(_)
            | Self::Timeout(_)
            | Self::TooLong(_)
            | Self::Busy { .. }
            | Self::Status(_)
            | Self::Form(_)
            | Self::Declined(_)
            | Self::Unrecorded
            | Self::NotAsked(_) => false,
        }
    }
}
