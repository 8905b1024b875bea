//! The outbound ledger: who sends a body says so first, and afterwards what came of it.
//!
//! **Invariant:** no body leaves before [`Ledger::intend`] has come back well; whatever becomes of the call, or of the one who
//! made it, [`Ledger::done`] is called or the intent stands alone in the log.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::failure::Failure;

/// A body that is to leave. Nothing of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Scheme, host and port.
    pub endpoint: String,
    /// The model.
    pub model: String,
    /// Bytes of the body.
    pub bytes: usize,
    /// `sha256:..` of the body.
    pub digest: String,
    /// What was taken out of the prompt, by class.
    pub redactions: BTreeMap<&'static str, usize>,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Why there is no answer; none: there is one.
    pub failure: Option<String>,
    /// Whether the server may have had the body.
    pub sent: bool,
    /// Tokens read and written, as the server says, or an estimate where it does not.
    pub tokens: (u64, u64),
    /// How long it took.
    pub took: Duration,
}

/// Where calls are recorded.
pub trait Ledger: std::fmt::Debug + Send + Sync {
    /// Records that a body is to be sent; returns the record's number.
    fn intend<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<u64, Failure>>;

    /// Records what became of it.
    fn done<'a>(&'a self, number: u64, call: &'a Call, end: &'a End) -> BoxFuture<'a, Result<(), Failure>>;
}
