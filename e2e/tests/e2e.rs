//! Black-box tests against a real API server: `cargo test -p kubechat-e2e --test e2e [NAME]`.
//!
//! Most tests share one cluster with KubeChat, each in a namespace of its own; those that stop, break or
//! restore something start a cluster of their own, three at a time. See [`runner`] for how to write one,
//! [`suite`] for where.

mod runner;
mod suite;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    runner::run(Arguments::from_args(), suite::all())
}
