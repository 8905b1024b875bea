//! Exit codes: what a script can rely on. `--help` documents them.

use std::process::ExitCode;

use kubechat_audit::VerifyExit;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Something went wrong before the cluster could say yes or no.
    Error,
    /// Wrong usage.
    Usage,
    /// A person, a policy or a missing right said no.
    Refused,
    /// The sentence was not clear.
    NeedsInput,
    /// Not finished in time.
    Waiting,
    /// Failed, stale, expired, cancelled or interrupted.
    NotDone,
    /// Result of `audit verify`.
    Audit(VerifyExit),
    /// `policy test`: some plans would be judged otherwise.
    PolicyChanges,
    /// Stopped by Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NeedsInput => 4,
            Self::Waiting => 5,
            Self::NotDone => 6,
            Self::Audit(verdict) => verdict.code(),
            Self::PolicyChanges => 20,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
