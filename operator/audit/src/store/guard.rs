//! Is the file behind the open database still the one at its path, and may it be written?
//!
//! SQLite goes on writing to a file that was deleted, replaced or marked read-only after it was opened. For an
//! audit log that would be records nobody finds again, so the writer asks before every batch. The checks cost a
//! few system calls and never open the file (closing it again would drop SQLite's own locks).

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::error::Error;

const WRITE_BITS: u32 = 0o222;

/// The files of an open database as they were when it was opened.
#[derive(Debug)]
pub(super) struct Guard {
    files: Vec<(PathBuf, Identity)>,
}

/// Device and inode.
type Identity = (u64, u64);

impl Guard {
    /// Remembers the database file and, once SQLite has made it, its write-ahead log.
    pub(super) fn remember(path: &Path) -> Result<Self, Error> {
        let mut files = vec![(path.to_owned(), identity(&about(path)?))];
        let wal = wal_path(path);
        if let Ok(about) = fs::metadata(&wal) {
            files.push((wal, identity(&about)));
        }
        Ok(Self { files })
    }

    /// Refuses when a file is gone, is another one, or must not be written.
    pub(super) fn check(&self) -> Result<(), Error> {
        for (path, remembered) in &self.files {
            if identity(&about(path)?) != *remembered {
                let why = "is another file than the one that was opened; put the right one back, or restart";
                return Err(refused(path, why));
            }
            check_writable(path)?;
        }
        Ok(())
    }
}

/// Refuses a file that is marked read-only, stands in a read-only folder or on a read-only file system. The mode
/// counts even for root: whoever took the write bits away meant it.
pub(super) fn check_writable(path: &Path) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    for path in [path, folder] {
        if about(path)?.permissions().mode() & WRITE_BITS == 0 {
            return Err(refused(path, "is marked read-only"));
        }
        access(path, Access::WRITE_OK)
            .map_err(|error| refused(path, &format!("cannot be written: {error}")))?;
    }
    Ok(())
}

/// The write-ahead log beside a database.
pub(super) fn wal_path(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

fn about(path: &Path) -> Result<Metadata, Error> {
    fs::metadata(path).map_err(|error| refused(path, &error.to_string()))
}

fn identity(about: &Metadata) -> Identity {
    (about.dev(), about.ino())
}

fn refused(path: &Path, why: &str) -> Error {
    Error::unavailable(format!("{}: {why}", path.display()))
}
