//! KubeChat's decisions, as pure functions: what a sentence means ([`interpret`]), what steps it becomes ([`plan`]), how
//! dangerous they are ([`risk`]), what they need ([`policy`], [`authz`]) and what happens next to each kind
//! ([`lifecycle`]).
//!
//! **Invariant:** no clock, no client, no async, no I/O. Callers pass data and the time in; the webhook and the operator
//! call the same functions, so what was admitted is what is executed.

pub mod authz;
pub mod backoff;
pub mod blast;
pub mod catalogue;
pub mod clock;
pub mod decider;
pub mod duration;
pub mod fields;
pub mod gitops;
pub mod holders;
pub mod interpret;
pub mod lease;
pub mod lifecycle;
pub mod models;
pub mod plan;
pub mod policy;
pub mod reason;
pub mod redact;
pub mod risk;
pub mod seal;
pub mod search;
pub mod secrets;
pub mod shown;
pub mod sshsig;
