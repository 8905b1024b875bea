//! The chain key's file.
//!
//! Invariants: a key file is made once and never overwritten, its mode is 0600, and one that others may read is
//! refused: whoever reads the key can rewrite the log. Called by `kubechat audit init`, by the operator at start
//! and by `kubechat audit verify`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::chain::{ChainKey, KEY_BYTES};

/// Largest key file, in bytes.
pub const MAX_KEY_FILE_BYTES: u64 = 4096;
const KIND: &str = "kubechat-audit-key";
const VERSION: u8 = 1;
const OTHERS: u32 = 0o077;

/// Why a key file could not be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is a file already.
    #[error("{path} exists already and was not changed: an audit key is never overwritten, because the log it sealed could not be verified any more; name another file or move that one away", path = .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Other people may read the key.
    #[error("the audit key {path} can be read or changed by others (mode {mode:o}) and was not used; run: chmod 600 {path}", path = .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not a key.
    #[error("{path} is not an audit key: {why}; make one with `kubechat audit init --key FILE`", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it. Never holds key material.
        why: String,
    },
    /// The file system said no.
    #[error("cannot {doing} the audit key {path}: {why}", path = .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
}

/// The file's content. Borrowed or wiped after use, because it holds the key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile<'a> {
    kind: &'a str,
    version: u8,
    id: &'a str,
    key: &'a str,
}

/// Makes a new random chain key in a new file of mode 0600. Never overwrites.
pub fn init_key(path: &Path) -> Result<ChainKey, KeyError> {
    let failed = |error: &io::Error| KeyError::Io {
        doing: "write",
        path: path.into(),
        why: error.to_string(),
    };
    let key = ChainKey::generate();
    let encoded = Zeroizing::new(STANDARD.encode(key.bytes()));
    let file = KeyFile {
        kind: KIND,
        version: VERSION,
        id: key.id(),
        key: &encoded,
    };
    let mut text = Zeroizing::new(serde_json::to_string(&file).map_err(|error| failed(&error.into()))?);
    text.push('\n');
    let mut out = match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(out) => out,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(KeyError::Exists { path: path.into() });
        }
        Err(error) => return Err(failed(&error)),
    };
    out.write_all(text.as_bytes())
        .and_then(|()| out.sync_all())
        .map_err(|error| failed(&error))?;
    sync_parent(path).map_err(|error| failed(&error))?;
    Ok(key)
}

/// Reads a chain key. Refuses files that others may read, and anything that is not exactly a key.
pub fn read_key(path: &Path) -> Result<ChainKey, KeyError> {
    let failed = |error: &io::Error| KeyError::Io {
        doing: "read",
        path: path.into(),
        why: error.to_string(),
    };
    let malformed = |why: &str| KeyError::Malformed {
        path: path.into(),
        why: why.to_owned(),
    };
    let file = File::open(path).map_err(|error| failed(&error))?;
    let about = file.metadata().map_err(|error| failed(&error))?;
    if !about.is_file() {
        return Err(malformed("not a regular file"));
    }
    let mode = about.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(KeyError::Exposed {
            path: path.into(),
            mode,
        });
    }
    if about.len() > MAX_KEY_FILE_BYTES {
        return Err(malformed("larger than 4096 bytes"));
    }
    // Room for all of it at once: a growing buffer would leave copies of the key behind.
    let mut text = Zeroizing::new(String::with_capacity(
        usize::try_from(MAX_KEY_FILE_BYTES).unwrap_or_default(),
    ));
    file.take(MAX_KEY_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| failed(&error))?;
    parse(&text).map_err(malformed)
}

fn parse(text: &str) -> Result<ChainKey, &'static str> {
    let file: KeyFile<'_> = serde_json::from_str(text)
        .map_err(|_| "not the JSON object {\"kind\", \"version\", \"id\", \"key\"} of a key file")?;
    if file.kind != KIND {
        return Err("its kind is not kubechat-audit-key");
    }
    if file.version != VERSION {
        return Err("its version is not 1: a newer kubechat made it");
    }
    let decoded = Zeroizing::new(STANDARD.decode(file.key).map_err(|_| "its key is not base64")?);
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    if decoded.len() != bytes.len() {
        return Err("its key is not 32 bytes long");
    }
    bytes.copy_from_slice(&decoded);
    let key = ChainKey::new(bytes);
    if key.id() == file.id {
        Ok(key)
    } else {
        Err("its id does not belong to its key: the file was changed")
    }
}

/// Makes the new name itself durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        Some(_) | None => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_new_key_is_private_and_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        let made = init_key(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = read_key(&path).unwrap();
        assert_eq!(read.id(), made.id());
        assert_eq!(read.bytes(), made.bytes());
    }

    #[test]
    fn refuses_to_overwrite_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        init_key(&path).unwrap();
        let before = fs::read(&path).unwrap();
        let said = init_key(&path).unwrap_err();
        assert!(matches!(said, KeyError::Exists { .. }) && said.to_string().contains("never overwritten"));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn refuses_a_key_that_others_can_read_and_says_which_command_helps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        init_key(&path).unwrap();
        for mode in [0o640, 0o604, 0o644, 0o620, 0o601, 0o777] {
            set_mode(&path, mode);
            let said = read_key(&path).unwrap_err();
            assert_eq!(
                said,
                KeyError::Exposed {
                    path: path.clone(),
                    mode
                }
            );
            assert!(
                said.to_string()
                    .contains(&format!("chmod 600 {}", path.display())),
                "{said}"
            );
        }
        for mode in [0o600, 0o400] {
            set_mode(&path, mode);
            assert!(read_key(&path).is_ok());
        }
    }

    #[test]
    fn refuses_files_that_are_not_exactly_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        let key = init_key(&path).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        let short = STANDARD.encode([7_u8; 31]);
        let cases = [
            String::new(),
            "-----BEGIN PRIVATE KEY-----".to_owned(),
            "{}".to_owned(),
            good.replace("kubechat-audit-key", "other"),
            good.replace("\"version\":1", "\"version\":2"),
            good.replace("\"version\":1", "\"version\":1,\"more\":0"),
            good.replace(key.id(), "00000000"),
            good.replace(&STANDARD.encode(key.bytes()), &short),
            good.replace(&STANDARD.encode(key.bytes()), "%%%"),
            format!("{good}{good}"),
            " ".repeat(5000),
        ];
        for bad in cases {
            fs::write(&path, &bad).unwrap();
            let said = read_key(&path).unwrap_err();
            assert!(matches!(said, KeyError::Malformed { .. }), "{bad}: {said}");
            assert!(
                !said.to_string().contains(&STANDARD.encode(key.bytes())),
                "{said}"
            );
        }
    }

    #[test]
    fn refuses_what_is_not_there_or_not_a_file() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            read_key(&dir.path().join("none")),
            Err(KeyError::Io { doing: "read", .. })
        ));
        set_mode(dir.path(), 0o700);
        assert!(matches!(read_key(dir.path()), Err(KeyError::Malformed { .. })));
        assert!(matches!(
            init_key(&dir.path().join("no/such/dir")),
            Err(KeyError::Io { doing: "write", .. })
        ));
    }
}
