//! The cache folder: `$XDG_CACHE_HOME/kubechat`, or `~/.cache/kubechat`.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::progress::Progress;
use crate::wait::eventually;

/// How long a run waits for another one that builds.
const LOCK_DEADLINE: Duration = Duration::from_secs(40 * 60);

/// The cache folder.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Finds the cache folder and makes it.
    ///
    /// # Errors
    /// When there is no home folder, or it cannot be written.
    pub fn locate() -> Result<Self> {
        let given = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let base = given
            .or_else(home)
            .context("there is no cache folder: set XDG_CACHE_HOME or HOME")?;
        let cache = Self {
            root: base.join("kubechat"),
        };
        for folder in [cache.programs(), cache.go_build(), cache.logs()] {
            std::fs::create_dir_all(&folder).with_context(|| {
                format!(
                    "{} cannot be made; set XDG_CACHE_HOME to a folder of yours",
                    folder.display()
                )
            })?;
        }
        Ok(cache)
    }

    /// Where built programs lie, one folder for each module and key.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// Go's own build cache.
    #[must_use]
    pub fn go_build(&self) -> PathBuf {
        self.root.join("go-build")
    }

    /// What the builds said.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Waits until no other run builds; the lock ends with the returned file.
    pub(super) async fn lock(&self, progress: &Progress) -> Result<File> {
        let path = self.root.join("build.lock");
        let file = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        if try_lock(&file)? {
            return Ok(file);
        }
        let step = progress.step("waiting for another run that builds the cluster's programs");
        eventually(LOCK_DEADLINE, "the other build ends", || async {
            ensure!(try_lock(&file)?, "{} is still held", path.display());
            Ok(())
        })
        .await?;
        step.done();
        Ok(file)
    }
}

fn try_lock(file: &File) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(reason)) => bail!("the cache folder cannot be locked: {reason}"),
    }
}

/// Writes a file so that a reader sees the old text or the new one, never a part; only its owner may read it.
pub(crate) fn write_atomically(path: &Path, text: &str) -> Result<()> {
    let write = || -> Result<()> {
        let folder = path.parent().context("it has no folder")?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    #[tokio::test]
    async fn a_second_run_waits_for_the_first() {
        let folder = TempDir::new().unwrap();
        let cache = Cache {
            root: folder.path().to_owned(),
        };
        let first = cache.lock(&Progress::Silent).await.unwrap();
        let mut second = tokio::spawn(async move { cache.lock(&Progress::Silent).await.is_ok() });
        assert!(
            tokio::time::timeout(Duration::from_millis(300), &mut second)
                .await
                .is_err()
        );
        drop(first);
        assert!(second.await.unwrap());
    }

    #[test]
    fn a_written_file_replaces_the_old_one_and_is_private() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        write_atomically(&path, "old").unwrap();
        write_atomically(&path, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(write_atomically(&folder.path().join("missing/file"), "x").is_err());
    }
}
