//! The file that tells other programs that everything runs, and where.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::build::write_atomically;

/// What stands in the file, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Description {
    /// One context per account; the current one is alice in namespace demo.
    pub(super) kubeconfig: PathBuf,
    pub(super) contexts: Vec<&'static str>,
    /// A folder for PATH: kubectl, kubechat, kubectl-kubechat.
    pub(super) bin: PathBuf,
    /// Process ids by program.
    pub(super) pids: BTreeMap<String, u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) audit_db: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) audit_key: Option<PathBuf>,
}

/// The file; there only while everything runs.
#[derive(Debug)]
pub(super) struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Takes the file's place: what an earlier run left there is removed, because nothing is ready yet.
    pub(super) fn claim(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
        match std::fs::remove_file(&path) {
            Err(reason) if reason.kind() != std::io::ErrorKind::NotFound => {
                Err(reason).with_context(|| format!("{} cannot be replaced", path.display()))
            }
            Ok(()) | Err(_) => Ok(Self(path)),
        }
    }

    /// Writes or replaces the file; a reader never sees half of it.
    pub(super) fn write(&self, description: &Description) -> Result<()> {
        write_atomically(&self.0, &serde_json::to_string_pretty(description)?)
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        // Already gone, or its folder is: the same to a reader.
        let _gone = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    fn description(product: bool) -> Description {
        Description {
            kubeconfig: "/k".into(),
            contexts: vec!["admin", "alice"],
            bin: "/b".into(),
            pids: [("etcd".to_owned(), 7)].into(),
            audit_db: product.then(|| "/db".into()),
            audit_key: product.then(|| "/key".into()),
        }
    }

    #[test]
    fn the_file_has_the_published_fields_and_goes_with_the_run() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("ready.json");
        std::fs::write(&path, "from an earlier run").unwrap();
        let file = ReadyFile::claim(&path).unwrap();
        assert!(!path.exists());
        file.write(&description(true)).unwrap();
        let read: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let expected = json!({
            "kubeconfig": "/k", "contexts": ["admin", "alice"], "bin": "/b", "pids": {"etcd": 7},
            "auditDb": "/db", "auditKey": "/key",
        });
        assert_eq!(read, expected);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_cluster_alone_has_no_audit_files() {
        let text = serde_json::to_string(&description(false)).unwrap();
        assert!(!text.contains("audit"), "{text}");
    }

    #[test]
    fn refuses_a_place_that_is_a_folder_or_has_none() {
        let folder = TempDir::new().unwrap();
        assert!(ReadyFile::claim(folder.path()).is_err());
        let file = ReadyFile::claim(&folder.path().join("missing/ready.json")).unwrap();
        assert!(file.write(&description(true)).is_err());
    }
}
