//! Results that the store could not take, kept in a file beside it until it can.
//!
//! A step was sent, the cluster answered, and the store went away: what the cluster said is known to this process only.
//! Without this file a restart would have to call the step unknown.
//!
//! Invariants: a line is on the disk (fsync) before anybody hears that it was kept; a line that is torn, or was not made
//! with the chain's key, is never believed; replaying twice records once, because a step has one result; only results are
//! kept here, so the file can never allow anything to be sent. One line a result: `<HMAC hex> <JSON>`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::chain::{ChainKey, ChainMac, same_mac};
use crate::draft::{Draft, StepRole};
use crate::error::Error;
use crate::key::sync_parent;
use crate::store::AuditStore;

/// Largest spool, in bytes; more results than that are not waited for.
pub const MAX_SPOOL_BYTES: u64 = 4 * 1024 * 1024;

/// The file of results that wait for the store.
#[derive(Debug, Clone)]
pub struct Spool {
    path: PathBuf,
    key: ChainKey,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Results that stand in the log now.
    pub recorded: usize,
    /// Results that the log had already.
    pub known: usize,
    /// Lines that were torn or not made with the key, and results of steps that the log does not know.
    pub dropped: usize,
}

impl Spool {
    /// The spool of the store in this file: beside it, with `.spool` at its end.
    pub fn beside(store: &Path, key: ChainKey) -> Self {
        let mut path = store.as_os_str().to_owned();
        path.push(".spool");
        Self {
            path: path.into(),
            key,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether something waits in it.
    pub fn is_empty(&self) -> bool {
        std::fs::metadata(&self.path).map_or(true, |about| about.len() == 0)
    }

    /// Keeps a result; when this returns, it is on the disk. Blocks for the time of an fsync.
    ///
    /// # Errors
    /// When it is no result of a step, the file is full, or the file system says no: then it was not kept.
    pub fn keep(&self, draft: &Draft) -> io::Result<()> {
        let refused = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why.to_owned()));
        if draft.step_role() != StepRole::Result {
            return refused("only results of steps are kept here");
        }
        let text = serde_json::to_string(draft)?;
        let new = !self.path.exists();
        let mut file = self.open()?;
        file.lock()?;
        let end = file.seek(SeekFrom::End(0))?;
        if end.saturating_add(text.len() as u64) > MAX_SPOOL_BYTES {
            return refused("it is full");
        }
        let mut line = String::new();
        // What was torn by a crash stays a line of its own.
        if end > 0 && last_byte(&mut file)? != b'\n' {
            line.push('\n');
        }
        line.push_str(&format!("{} {text}\n", self.key.spool_line(text.as_bytes())));
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        if new {
            sync_parent(&self.path)?;
        }
        Ok(())
    }

    /// Records what waits, in order, and empties the file. What the store still does not take stays.
    ///
    /// # Errors
    /// When the store does not take a result, or the file cannot be read or emptied: nothing of it is lost.
    pub async fn replay(&self, store: &dyn AuditStore) -> Result<Replayed, Error> {
        let mut done = Replayed::default();
        if self.is_empty() {
            return Ok(done);
        }
        let failed = |error: io::Error| Error::Spool {
            path: self.path.clone(),
            why: error.to_string(),
        };
        let bytes = self.read().map_err(failed)?;
        let (drafts, torn) = self.parse(&bytes);
        done.dropped = torn;
        for draft in drafts {
            let step = draft.ids.step_id.clone().unwrap_or_default();
            match store.append_result(draft).await {
                Ok(crate::store::ResultOutcome::Recorded { .. }) => done.recorded += 1,
                Ok(crate::store::ResultOutcome::AlreadyThere { .. }) => done.known += 1,
                // It can never be recorded: the log was put back from an older copy.
                Err(error @ (Error::NoIntent { .. } | Error::Invalid(_) | Error::NotCanonical(_))) => {
                    tracing::error!(step, %error, "a kept result was dropped");
                    done.dropped += 1;
                }
                Err(error) => return Err(error),
            }
        }
        self.clear(&bytes).map_err(failed)?;
        tracing::warn!(?done, "results that waited for the audit store were recorded");
        Ok(done)
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)
    }

    /// All of it. The lock is held for the reading only: nobody waits for the store with it.
    fn read(&self) -> io::Result<Vec<u8>> {
        let mut file = self.open()?;
        file.lock()?;
        let mut bytes = vec![];
        file.seek(SeekFrom::Start(0))?;
        file.take(MAX_SPOOL_BYTES * 2).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Empties the file, unless it holds more than what was recorded: then the next replay finds all of it again.
    fn clear(&self, recorded: &[u8]) -> io::Result<()> {
        let mut file = self.open()?;
        file.lock()?;
        let mut bytes = vec![];
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        if bytes == recorded {
            file.set_len(0)?;
            file.sync_all()?;
        }
        Ok(())
    }

    /// The results, and how many lines are none.
    fn parse(&self, bytes: &[u8]) -> (Vec<Draft>, usize) {
        let (mut drafts, mut torn) = (vec![], 0);
        for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            match self.believed(line) {
                Some(draft) => drafts.push(draft),
                None => {
                    tracing::error!(spool = %self.path.display(), "a line of the spool is torn or was not made with the key; it is not believed");
                    torn += 1;
                }
            }
        }
        (drafts, torn)
    }

    fn believed(&self, line: &[u8]) -> Option<Draft> {
        let text = std::str::from_utf8(line).ok()?;
        let (mac, json) = text.split_once(' ')?;
        let claimed = ChainMac(hex::decode(mac).ok()?.try_into().ok()?);
        if !same_mac(claimed, self.key.spool_line(json.as_bytes())) {
            return None;
        }
        serde_json::from_str(json).ok()
    }
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut byte = [0_u8];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
