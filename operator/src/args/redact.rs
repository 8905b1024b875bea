//! `kubechat redact`: works on files, needs no cluster.

use std::path::PathBuf;

use clap::Args;

use super::AuditFormat;

/// `kubechat redact`.
#[derive(Args, Debug)]
pub struct RedactArgs {
    /// File to read; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
    /// Do it so often and print how many milliseconds each took
    #[arg(long, value_name = "N", hide = true)]
    pub measure: Option<u32>,
    /// Form of the output: the text, or what was found and where
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: AuditFormat,
}
