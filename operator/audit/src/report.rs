//! What a verification found, in words, in JSON and as an exit code.
//!
//! What is said when something is wrong (the smallest number that is known to be bad is always named):
//!
//! - **Tampered** (exit 10): an entry contradicts itself or its neighbours. Anyone can see it without the key: a
//!   header that does not match its leaf hash, its search columns or its payload, a number that is missing, a
//!   time that goes back, an execution lock without its entry. Also: the key is proven right by other entries,
//!   and this entry's link was not made from its content; so the content was replaced together with its leaf, or
//!   everything from here on was written without the key.
//! - **Chain** (exit 13): every entry fits its own content, but the links do not verify: the key is not the one
//!   that sealed the log, the whole log was written anew with another key, or only the stored link was changed.
//! - **Truncated** (exit 11): everything there verifies, but the head row knows of more.
//! - **Valid** (exit 0).
//!
//! Content goes before chain, chain before truncation. A log that was cut together with its head row, or put
//! back as a whole from an older copy, is valid to this verifier: only a copy elsewhere can tell.

use std::fmt;

use serde::Serialize;

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing wrong.
    Valid,
    /// Content at this number was changed, removed or put in.
    #[serde(rename_all = "camelCase")]
    Tampered {
        /// First bad entry.
        first_bad_seq: u64,
        /// What is wrong with it.
        why: String,
    },
    /// Entries are missing at the end.
    #[serde(rename_all = "camelCase")]
    Truncated {
        /// First missing entry.
        first_bad_seq: u64,
        /// Number the head row knows.
        head_seq: u64,
    },
    /// The links do not verify with this key.
    #[serde(rename_all = "camelCase")]
    Chain {
        /// First entry whose link is wrong.
        first_bad_seq: u64,
        /// What is wrong with it.
        why: String,
    },
}

impl Verdict {
    /// The smallest number that is known to be bad.
    pub fn first_bad_seq(&self) -> Option<u64> {
        match self {
            Self::Valid => None,
            Self::Tampered { first_bad_seq, .. }
            | Self::Truncated { first_bad_seq, .. }
            | Self::Chain { first_bad_seq, .. } => Some(*first_bad_seq),
        }
    }
}

/// Exit codes of `kubechat audit verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyExit {
    /// Valid.
    Valid,
    /// Could not verify: no key, no such file, not an audit log.
    Usage,
    /// Tampered.
    Tampered,
    /// Truncated.
    Truncated,
    /// Chain.
    Chain,
}

impl VerifyExit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Usage => 2,
            Self::Tampered => 10,
            Self::Truncated => 11,
            Self::Chain => 13,
        }
    }
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The log's name.
    pub origin: String,
    /// Id of the key it was checked with.
    pub key_id: String,
    /// Entries read.
    pub entries: u64,
    /// First number read.
    pub first_seq: Option<u64>,
    /// Last number read.
    pub last_seq: Option<u64>,
    /// The chain after the last entry whose content is good, computed from the content. Of a valid log it is
    /// the head: write it down elsewhere to compare later.
    pub head_mac: String,
    /// What was found.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Report {
    /// The exit code that belongs to it.
    pub fn exit(&self) -> VerifyExit {
        match self.verdict {
            Verdict::Valid => VerifyExit::Valid,
            Verdict::Tampered { .. } => VerifyExit::Tampered,
            Verdict::Truncated { .. } => VerifyExit::Truncated,
            Verdict::Chain { .. } => VerifyExit::Chain,
        }
    }

    /// Whether nothing is wrong.
    pub fn is_valid(&self) -> bool {
        self.verdict == Verdict::Valid
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Valid => writeln!(f, "valid: every entry is unchanged and in its place")?,
            Verdict::Tampered { first_bad_seq, why } => {
                writeln!(f, "TAMPERED: first bad entry is seq {first_bad_seq}: {why}")?;
            }
            Verdict::Truncated {
                first_bad_seq,
                head_seq,
            } => writeln!(
                f,
                "TRUNCATED: entries from seq {first_bad_seq} to {head_seq} are missing at the end"
            )?,
            Verdict::Chain { first_bad_seq, why } => {
                writeln!(f, "CHAIN BROKEN: first bad entry is seq {first_bad_seq}: {why}")?;
            }
        }
        let Self {
            origin,
            key_id,
            entries,
            first_seq,
            last_seq,
            head_mac,
            verdict: _,
        } = self;
        writeln!(f, "log:     {}", origin.escape_default())?;
        match (first_seq, last_seq) {
            (Some(first), Some(last)) => writeln!(f, "entries: {entries} (seq {first} to {last})")?,
            (None, _) | (_, None) => writeln!(f, "entries: {entries}")?,
        }
        writeln!(f, "key:     {key_id}")?;
        write!(f, "head:    {head_mac}")
    }
}
