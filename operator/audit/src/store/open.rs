//! Opening a log's file: for the writer (checked, made if new) and for readers (never changed).
//!
//! Invariants: a file that is not an audit log is never touched; a log whose last entries do not verify is opened
//! by no writer; readers see one consistent moment and change nothing, also while the operator writes.
//! The schema's version is SQLite's `user_version`.

use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::guard::{self, Guard};
use super::{Filter, Head, rows};
use crate::chain::{ChainKey, same_mac};
use crate::entry::Entry;
use crate::error::Error;
use crate::key::sync_parent;
use crate::report::{Report, Verdict};
use crate::verify::Verifier;

/// "KCAL": marks the file as ours.
const APPLICATION_ID: i64 = 0x4b43_414c;
const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = include_str!("schema.sql");
/// How many of the last entries are verified when a writer opens the log.
pub(super) const VERIFIED_AT_OPEN: u64 = 1000;
/// How long a reader waits for a lock.
const READ_BUSY: Duration = Duration::from_secs(2);
/// Longest origin, in bytes.
const MAX_ORIGIN_BYTES: usize = 200;

/// What a writer opens.
pub(super) struct Request<'a> {
    pub(super) path: &'a Path,
    pub(super) key: &'a ChainKey,
    /// Name that the log must have, or gets when it is new.
    pub(super) origin: Option<&'a str>,
    pub(super) fence: u64,
    pub(super) busy: Duration,
    /// Where this process last saw the log end. With one, nothing new is made.
    pub(super) known: Option<&'a Head>,
}

/// A log open for writing.
pub(super) struct Opened {
    pub(super) db: Connection,
    pub(super) guard: Guard,
    pub(super) head: Head,
}

/// Opens a log for writing; makes it when there is no file.
pub(super) fn open(request: &Request<'_>) -> Result<Opened, Error> {
    let path = request.path;
    if request.known.is_none() {
        create(path)?;
    }
    guard::check_writable(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(request.busy)?;
    identify(&db, path)?;
    configure(&db, path)?;
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if identify(&tx, path)? == Content::Nothing {
        if request.known.is_some() {
            return Err(Error::integrity(
                "the log is empty although entries were written to it",
            ));
        }
        tx.execute_batch(SCHEMA)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        rows::insert_head(&tx, &new_head(request)?)?;
    }
    let mut head = rows::head(&tx)?;
    check_origin(request, &head)?;
    if let Some(known) = request.known {
        check_continues(known, &head)?;
    }
    check_tail(&tx, request.key, &head)?;
    if request.fence > head.fence {
        let raised = Head {
            fence: request.fence,
            ..head.clone()
        };
        rows::update_head(&tx, &head, &raised)?;
        head = raised;
    }
    tx.commit().map_err(|error| Error::Unconfirmed {
        why: error.to_string(),
    })?;
    let guard = Guard::remember(path)?;
    Ok(Opened { db, guard, head })
}

/// Makes an empty file that only its owner can read.
fn create(path: &Path) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::unavailable(format!("{}: {error}", path.display()));
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(file) => file.sync_all().and_then(|()| sync_parent(path)).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn configure(db: &Connection, path: &Path) -> Result<(), Error> {
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        let why = format!("its file system does not allow a write-ahead log (journal mode {mode})");
        return Err(Error::NotALog {
            path: path.into(),
            why,
        });
    }
    // FULL: a commit is on the disk before it is answered.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    Ok(())
}

fn new_head(request: &Request<'_>) -> Result<Head, Error> {
    let origin = match request.origin {
        Some(origin) => origin.to_owned(),
        None => format!("kubechat/local/{}", hex::encode(rand::random::<[u8; 8]>())),
    };
    let plain = |byte: u8| byte.is_ascii_graphic();
    if origin.is_empty() || origin.len() > MAX_ORIGIN_BYTES || !origin.bytes().all(plain) {
        let why = "its origin must be 1 to 200 printable ASCII characters without spaces".to_owned();
        return Err(Error::NotALog {
            path: request.path.into(),
            why,
        });
    }
    let mac = request.key.genesis(&origin);
    Ok(Head {
        origin,
        seq: 0,
        mac,
        fence: request.fence,
    })
}

fn check_origin(request: &Request<'_>, head: &Head) -> Result<(), Error> {
    match request.origin {
        Some(wanted) if wanted != head.origin => Err(Error::NotALog {
            path: request.path.into(),
            why: format!(
                "it is the log {:?} and not {wanted:?}; name another file",
                head.origin
            ),
        }),
        Some(_) | None => Ok(()),
    }
}

/// The log must still hold what this process saw in it.
pub(super) fn check_continues(known: &Head, now: &Head) -> Result<(), Error> {
    if known.origin != now.origin || now.seq < known.seq {
        return Err(Error::integrity(format!(
            "the log went back from entry {} to entry {}: an older copy was put in its place",
            known.seq, now.seq
        )));
    }
    if now.seq == known.seq && !same_mac(now.mac, known.mac) {
        return Err(Error::integrity(format!(
            "the head row's link changed at entry {}",
            now.seq
        )));
    }
    Ok(())
}

/// Verifies the last entries and the head row with this key.
fn check_tail(db: &Connection, key: &ChainKey, head: &Head) -> Result<(), Error> {
    let start = head.seq.saturating_sub(VERIFIED_AT_OPEN);
    let mac = match start {
        0 => key.genesis(&head.origin),
        _ => rows::mac_of(db, start)?.ok_or_else(|| Error::integrity(format!("entry {start} is missing")))?,
    };
    let report = verify_from(db, Verifier::resume(key, &head.origin, start, mac), start)?;
    match report.verdict {
        Verdict::Valid => Ok(()),
        Verdict::Tampered { .. } | Verdict::Truncated { .. } | Verdict::Chain { .. } => Err(
            Error::integrity(report.to_string().lines().next().unwrap_or_default()),
        ),
    }
}

fn verify_from(db: &Connection, mut verifier: Verifier<'_>, start: u64) -> Result<Report, Error> {
    rows::feed(db, start, &mut verifier)?;
    Ok(verifier.finish(&rows::ending(db, start)?))
}

/// Verifies a whole log file with its key. Changes nothing; works while the operator writes, and on copies.
/// An error means that nothing could be said (`VerifyExit::Usage`).
pub fn verify_file(path: &Path, key: &ChainKey) -> Result<Report, Error> {
    let mut db = open_read_only(path)?;
    let tx = db.transaction()?;
    let origin = match rows::head(&tx) {
        Ok(head) => head.origin,
        // The verifier says that the head row is missing or no head row.
        Err(Error::Integrity { .. }) => String::new(),
        Err(other) => return Err(other),
    };
    verify_from(&tx, Verifier::new(key, &origin), 0)
}

/// Entries of a log file by filter. Changes nothing and verifies nothing.
pub fn list_file(path: &Path, filter: &Filter) -> Result<Vec<Entry>, Error> {
    rows::list(&open_read_only(path)?, filter)
}

fn open_read_only(path: &Path) -> Result<Connection, Error> {
    let not_a_log = |why: &str| Error::NotALog {
        path: path.into(),
        why: why.to_owned(),
    };
    let about = std::fs::metadata(path).map_err(|error| not_a_log(&error.to_string()))?;
    if !about.is_file() {
        return Err(not_a_log("it is not a file"));
    }
    let mut db = connect(path, OpenFlags::empty())?;
    let wal_is_empty = std::fs::metadata(guard::wal_path(path)).map_or(true, |wal| wal.len() == 0);
    if wal_is_empty && lacks_helper_files(&db) {
        db = connect(&immutable_uri(path), OpenFlags::SQLITE_OPEN_URI)?;
    }
    match identify(&db, path)? {
        Content::Log => Ok(db),
        Content::Nothing => Err(not_a_log("it is empty")),
    }
}

fn connect(name: &Path, more: OpenFlags) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let db = Connection::open_with_flags(name, flags)?;
    db.busy_timeout(READ_BUSY)?;
    db.pragma_update(None, "trusted_schema", false)?;
    Ok(db)
}

/// Whether SQLite cannot make its helper files beside the database. Then no writer can either: the file stands
/// still and may be read as it is.
fn lacks_helper_files(db: &Connection) -> bool {
    let probe = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| {
        row.get::<_, i64>(0)
    });
    match probe.map_err(|error| error.sqlite_error_code()) {
        Err(Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)) => true,
        Ok(_) | Err(_) => false,
    }
}

/// `file:` URI that tells SQLite that nobody writes the file.
fn immutable_uri(path: &Path) -> std::path::PathBuf {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri.into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// A log of this version.
    Log,
    /// A new, empty file.
    Nothing,
}

/// What the file is. Anything that is neither empty nor a log of this version is refused.
fn identify(db: &Connection, path: &Path) -> Result<Content, Error> {
    let not_a_log = |why: String| Error::NotALog {
        path: path.into(),
        why,
    };
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
    let read = || -> rusqlite::Result<_> {
        Ok((
            number("PRAGMA application_id")?,
            number("PRAGMA user_version")?,
            number("SELECT count(*) FROM sqlite_schema")?,
        ))
    };
    match read() {
        Ok((0, 0, 0)) => Ok(Content::Nothing),
        Ok((APPLICATION_ID, SCHEMA_VERSION, _)) => Ok(Content::Log),
        Ok((APPLICATION_ID, version, _)) => Err(not_a_log(format!(
            "its schema version {version} belongs to another version of kubechat"
        ))),
        Ok(_) => Err(not_a_log("it is a database of another program".to_owned())),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(not_a_log("it is not a database".to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immutable_uri_keeps_any_path_apart_from_its_options() {
        let uri = immutable_uri(Path::new("/a b/c?d#e%f.db"));
        assert_eq!(uri, Path::new("file:/a%20b/c%3Fd%23e%25f.db?immutable=1"));
    }
}
