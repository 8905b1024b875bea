//! Copies of etcd's data, taken and put back while nothing writes.
//!
//! The plain form, which works for any etcd of one member: stop the API server and etcd, copy the data
//! folder, start both again on the same ports. A restore also restarts the controllers, the scheduler and
//! kwok, as Kubernetes asks for after a restore: their caches are newer than the data. KubeChat's own
//! processes are left alone; how they take it is what tests want to know.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{Cluster, Component};

/// Those that live on caches of what the API server said.
const WATCHERS: [Component; 3] = [
    Component::Kwok,
    Component::KubeScheduler,
    Component::KubeControllerManager,
];

impl Cluster {
    /// Copies etcd's data into the folder `to`, which must not exist. The API server is away meanwhile.
    ///
    /// # Errors
    /// When the data cannot be copied, or a component does not come back.
    pub async fn etcd_snapshot(&self, to: &Path) -> Result<()> {
        ensure!(!to.exists(), "no snapshot was taken: {} exists", to.display());
        self.stop_storage().await?;
        let copied = copy_folder(&self.folder().join("etcd"), to);
        self.start_storage().await?;
        copied.with_context(|| format!("the snapshot {} is not complete; remove it", to.display()))
    }

    /// Puts the data of a snapshot back. Everything written since then is gone.
    ///
    /// # Errors
    /// When there is no such snapshot, or a component does not come back.
    pub async fn etcd_restore(&self, from: &Path) -> Result<()> {
        ensure!(
            from.join("member").is_dir(),
            "nothing was restored: {} is no snapshot",
            from.display()
        );
        for component in WATCHERS {
            self.stop_process(component).await?;
        }
        self.stop_storage().await?;
        let data = self.folder().join("etcd");
        std::fs::remove_dir_all(&data).with_context(|| format!("{} was not removed", data.display()))?;
        copy_folder(from, &data)
            .with_context(|| format!("the snapshot {} was not put back", from.display()))?;
        self.start_storage().await?;
        for component in WATCHERS {
            self.start_process(component).await?;
        }
        Ok(())
    }

    async fn stop_storage(&self) -> Result<()> {
        self.stop_process(Component::KubeApiserver).await?;
        self.stop_process(Component::Etcd).await
    }

    async fn start_storage(&self) -> Result<()> {
        self.start_process(Component::Etcd).await?;
        self.start_process(Component::KubeApiserver).await
    }
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
