//! `kubechat egress`: works on the log's file, needs no cluster.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::AuditFormat;

/// `kubechat egress ...`.
#[derive(Debug, Subcommand)]
pub enum EgressCommand {
    /// List the calls of models: who asked, where to, how many bytes with which hash, what was taken out, how it ended
    List(EgressListArgs),
}

/// `kubechat egress list`.
#[derive(Args, Debug)]
pub struct EgressListArgs {
    /// The log (SQLite file)
    #[arg(long, value_name = "FILE")]
    pub db: PathBuf,
    /// Verify the log with this key first; nothing is listed when it is not valid
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Only calls for this turn (name or uid)
    #[arg(long, value_name = "REQUEST")]
    pub request: Option<String>,
    /// Only calls by this user
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// From this entry on
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    pub since_seq: u64,
    /// At most so many entries
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub limit: usize,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: AuditFormat,
}
