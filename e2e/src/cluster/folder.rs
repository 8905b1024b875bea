//! The folder of one cluster: temporary, or given by the caller and used by one harness at a time.
//!
//! A harness that is killed cannot remove its temporary folder, so the next one does: whoever runs holds a
//! lock on the file `lock` in its folder, and a folder whose lock is free belongs to nobody any more.

use std::fs::{DirBuilder, File, Metadata, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

const PREFIX: &str = "kubechat-";
const LOCK: &str = "lock";
/// Marks a temporary folder that was kept on purpose.
const KEPT: &str = "kept";
/// Younger folders are left alone: their harness may not have taken the lock yet.
const SWEEP_AGE: Duration = Duration::from_secs(60);

/// The folder, removed or kept when dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    place: Place,
    _lock: File,
}

#[derive(Debug)]
enum Place {
    Temporary { keep: AtomicBool },
    Given,
}

impl Folder {
    /// Opens the given folder, or makes a temporary one.
    pub(super) fn open(given: Option<&Path>) -> Result<Self> {
        let (path, place) = match given {
            None => {
                let all = std::env::temp_dir();
                sweep(&all, SWEEP_AGE);
                let mut builder = tempfile::Builder::new();
                let made = builder
                    .prefix(PREFIX)
                    .permissions(Permissions::from_mode(0o700))
                    .tempdir_in(&all);
                let made =
                    made.with_context(|| format!("no temporary folder was made in {}", all.display()))?;
                (
                    made.keep(),
                    Place::Temporary {
                        keep: AtomicBool::new(false),
                    },
                )
            }
            Some(path) => {
                let path =
                    std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
                make_private(&path)?;
                (path, Place::Given)
            }
        };
        let file = path.join(LOCK);
        let lock = File::create(&file).with_context(|| format!("{} cannot be written", file.display()))?;
        lock.try_lock().with_context(|| {
            format!(
                "{} is used by another cluster that runs; stop it, or choose another folder",
                path.display()
            )
        })?;
        for part in ["logs", "product"] {
            make_private(&path.join(part))?;
        }
        Ok(Self {
            path,
            place,
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_temporary(&self) -> bool {
        match self.place {
            Place::Temporary { .. } => true,
            Place::Given => false,
        }
    }

    /// Keeps a temporary folder.
    pub(super) fn keep(&self) {
        match &self.place {
            Place::Temporary { keep } => keep.store(true, Ordering::Relaxed),
            Place::Given => {}
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let Place::Temporary { keep } = &self.place else {
            return;
        };
        // What cannot be removed now is swept by a later run.
        if keep.load(Ordering::Relaxed) {
            let _mark = File::create(self.path.join(KEPT));
            let _data = std::fs::remove_dir_all(self.path.join("etcd"));
            eprintln!(
                "the cluster's logs are kept in {}",
                self.path.join("logs").display()
            );
        } else {
            let _removed = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Makes a folder only its owner may enter: it holds tokens.
fn make_private(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("the folder {} was not made", path.display()))
}

/// Removes what killed harnesses left behind. Best effort: what cannot be read or removed stays.
fn sweep(all: &Path, age: Duration) {
    let folders = std::fs::read_dir(all).into_iter().flatten().flatten();
    let ours = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    for entry in ours {
        if entry.metadata().is_ok_and(|about| may_be_swept(&about, age)) && is_abandoned(&entry.path()) {
            let _stays = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn may_be_swept(about: &Metadata, age: Duration) -> bool {
    let old = about
        .modified()
        .ok()
        .and_then(|time| time.elapsed().ok())
        .is_some_and(|passed| passed >= age);
    about.is_dir() && old && about.uid() == nix::unistd::geteuid().as_raw()
}

fn is_abandoned(folder: &Path) -> bool {
    let free = File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
    free && !folder.join(KEPT).exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_temporary_folder_is_private_and_goes_away() {
        let folder = Folder::open(None).unwrap();
        let path = folder.path().to_owned();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_kept_folder_loses_only_the_data() {
        let folder = Folder::open(None).unwrap();
        let path = folder.path().to_owned();
        std::fs::create_dir(path.join("etcd")).unwrap();
        folder.keep();
        drop(folder);
        assert!(path.join("logs").exists() && !path.join("etcd").exists());
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn refuses_a_folder_that_another_cluster_uses_and_takes_it_afterwards() {
        let given = TempDir::new().unwrap();
        let path = given.path().join("state");
        let first = Folder::open(Some(&path)).unwrap();
        let refused = format!("{:#}", Folder::open(Some(&path)).unwrap_err());
        assert!(refused.contains("another cluster"), "{refused}");
        drop(first);
        assert!(path.exists());
        assert!(Folder::open(Some(&path)).is_ok());
    }

    #[test]
    fn only_abandoned_folders_are_swept() {
        let all = TempDir::new().unwrap();
        let make = |name: &str, files: &[&str]| {
            let path = all.path().join(name);
            std::fs::create_dir(&path).unwrap();
            files
                .iter()
                .for_each(|file| drop(File::create(path.join(file)).unwrap()));
            path
        };
        let abandoned = make("kubechat-dead", &[LOCK, "tokens.csv"]);
        let kept = make("kubechat-kept", &[LOCK, KEPT]);
        let strange = make("kubechat-strange", &["tokens.csv"]);
        let other = make("other", &[LOCK]);
        let used = make("kubechat-used", &[LOCK]);
        let lock = File::open(used.join(LOCK)).unwrap();
        lock.lock().unwrap();

        sweep(all.path(), SWEEP_AGE);
        assert!(abandoned.exists(), "too young");
        sweep(all.path(), Duration::ZERO);
        assert!(!abandoned.exists());
        for path in [kept, strange, other, used] {
            assert!(path.exists(), "{}", path.display());
        }
    }
}
