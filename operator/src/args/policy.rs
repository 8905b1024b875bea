//! `kubechat policy ...`: works on files, needs no cluster.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::AuditFormat;

/// `kubechat policy ...`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Replay plans against packs: what would be decided, and what would change
    Test(PolicyTestArgs),
}

/// `kubechat policy test`.
#[derive(Args, Debug)]
pub struct PolicyTestArgs {
    /// File with a RiskPolicy (repeat for more: all packs bind together)
    #[arg(short, long, required = true, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// CommandPlans: a folder of YAML and JSON files, or one file (`kubectl get commandplans -A -o json`)
    #[arg(long, value_name = "DIR")]
    pub plans: PathBuf,
    /// Decide as if it were this time (2026-12-24T18:00:00Z) [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    /// Decide so often and print how many microseconds a decision takes
    #[arg(long, value_name = "N")]
    pub measure: Option<u32>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: AuditFormat,
}
