//! `kubechat-bench`: the benches behind `make bench`; see [`kubechat_e2e::bench`].

use std::process::ExitCode;

use clap::Parser;
use kubechat_e2e::bench::{Args, run};

/// What shells report for a program ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let ended = tokio::select! {
        ended = run(Args::parse()) => ended,
        // Dropping the run stops everything it started.
        _ = tokio::signal::ctrl_c() => return ExitCode::from(INTERRUPTED),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("kubechat-bench: {reason:#}");
            ExitCode::FAILURE
        }
    }
}
