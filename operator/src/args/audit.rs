//! `kubechat audit`: works on files, needs no cluster.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use kubechat_audit::EventType;

use super::AuditFormat;

/// `kubechat audit ...`: works on files, needs no cluster.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Make the log's key, in a new file that only you can read
    Init {
        /// File to make; never overwritten
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Verify the whole log
    Verify {
        /// The log (SQLite file)
        #[arg(long, value_name = "FILE")]
        db: PathBuf,
        /// The log's key; without it the chain cannot be checked
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Form of the output
        #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
        output: AuditFormat,
    },
    /// List entries. Shows what is stored: `verify` says whether it was changed
    List(AuditListArgs),
}

/// `kubechat audit list`.
#[derive(Args, Debug)]
pub struct AuditListArgs {
    /// The log (SQLite file)
    #[arg(long, value_name = "FILE")]
    pub db: PathBuf,
    /// Verify the log with this key first; nothing is listed when it is not valid
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Only this type of event (approval, command_execution, ..)
    #[arg(long = "type", value_name = "TYPE")]
    pub event_type: Option<EventType>,
    /// Only events of this plan (name or uid)
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
    /// Only events of this turn (name or uid)
    #[arg(long, value_name = "REQUEST")]
    pub request: Option<String>,
    /// Only events by this user
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
