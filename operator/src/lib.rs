//! The `kubechat` binary as a library: the command line ([`args`], [`cli`]) and what it starts ([`run`]).

pub mod args;
pub mod audit;
pub mod cli;
pub mod cluster;
pub mod compile;
pub mod context;
pub mod controllers;
mod duty;
pub mod error;
pub mod events;
pub mod execute;
pub mod failpoint;
pub mod http;
pub mod interpreter;
pub mod leader;
pub mod metrics;
pub mod models;
pub mod pace;
pub mod past;
pub mod run;
pub mod selfcheck;
pub mod setup;
pub mod talks;
#[cfg(test)]
mod testing;
