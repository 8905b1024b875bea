//! Blast radius: what a plan hits beside what it names. Pure over a [`graph::Graph`] that the shell gathers as the
//! requester; [`needs::wanted`] tells the shell what to read, so that a plan that hits nothing else costs no read.
//!
//! - [`graph`], [`read`]: objects as the few facts that edges need.
//! - [`impact`]: what a step does to its targets. [`walk`]: what is reached from there, over which edges.
//! - [`radius`]: the numbers. [`growth`]: whether they outgrew what was approved. [`managed`]: who manages or protects.
//!
//! **Invariant:** where something is not known, the worse is taken, and `complete` is false.

mod beside;
pub mod graph;
pub mod growth;
pub mod impact;
pub mod managed;
pub mod needs;
pub mod radius;
pub mod read;
pub mod walk;
pub mod words;

pub use graph::{Graph, Key, Node};
pub use growth::{grown, lost_sight, was_seen, worse};
pub use managed::refusal;
pub use needs::{Need, wanted};
pub use radius::radius;

/// Edges that a walk follows from a target at most.
pub const MAX_DEPTH: usize = 6;
/// Objects that are gathered, and reached, at most.
pub const MAX_OBJECTS: usize = 5_000;

/// What the numbers are computed for.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The steps.
    pub steps: &'a [kubechat_crds::Step],
    /// The request's namespace.
    pub namespace: &'a str,
    /// Asked again before execution: the share of the nodes is not counted.
    pub again: bool,
}

#[cfg(test)]
mod brute_tests;
#[cfg(test)]
mod reads_tests;
#[cfg(test)]
pub(crate) mod testing;
