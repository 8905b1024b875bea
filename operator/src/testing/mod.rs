//! What the tests of the executor run against: an API server in memory ([`server`]), an audit store that can fail
//! ([`store`]), processes that end at any boundary ([`process`]), watches that lose
//! events ([`watches`]), and plans of every kind ([`plans`]).
//!
//! The code under test is the product's own, from the controller down; only what is outside the process is made up.

pub(crate) mod events;
mod objects;
pub(crate) mod people;
pub(crate) mod plans;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod store;
pub(crate) mod watches;
mod wire;
