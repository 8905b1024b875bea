//! AI providers: a sentence goes out without secrets and names, typed intents come back or nothing does.
//!
//! ```text
//! Prompt -> redact -> tokens for names -> wire body -> second detector -> ledger -> checked address, TLS -> parse, once repaired
//!        -> names back -> only what the person named
//! ```
//!
//! [`Interpreter`] is the one trait; [`Provider`] speaks to a model server in its own [`wire`] form, [`Chain`] asks the next
//! one when one fails. [`net`] is the only place that connects.
//!
//! **Invariants:** no byte leaves that [`kubechat_core::redact`] and, independently, [`kubechat_core::redact::second`] have
//! not passed; a model's answer is data of a closed schema, never text to act upon; no redirect is followed; no error
//! holds a prompt, a key or an answer.

mod cache;
mod chain;
mod failure;
mod ledger;
pub mod net;
mod parse;
mod progress;
mod provider;
mod schema;
#[cfg(test)]
mod testing;
pub mod wire;

pub use cache::Cache;
pub use chain::{Chain, Outcome};
pub use failure::Failure;
pub use ledger::{Call, End, Ledger};
pub use parse::{MAX_INTENTS, Reject, parse};
pub use progress::Progress;
pub use provider::{Ask, Interpreted, Interpreter, Limits, Provider, Setup};
pub use schema::answer as answer_schema;
