//! `kubechat-dev`: the dev runner behind `make run`; see [`kubechat_e2e::dev`].

use std::process::ExitCode;

use clap::Parser;
use kubechat_e2e::dev::{Args, Outcome, run};

/// What shells report for a program ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(Outcome::Finished) => ExitCode::SUCCESS,
        Ok(Outcome::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(reason) => {
            eprintln!("kubechat-dev: {reason:#}");
            ExitCode::FAILURE
        }
    }
}
