//! Flux, which applies Git to the cluster: its two controllers, their kinds and their roles. Built only where a test of
//! Git runs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::go::Go;
use super::{Cache, Module, Target, write_atomically};
use crate::progress::Progress;

const MANIFESTS: &str = "manifests.yaml";

const SOURCE: [Target; 1] = [Target {
    program: "source-controller",
    package: "github.com/fluxcd/source-controller",
    expected: "3 min",
}];
const KUSTOMIZE: [Target; 1] = [Target {
    program: "kustomize-controller",
    package: "github.com/fluxcd/kustomize-controller",
    expected: "3 min",
}];

/// Where Flux's programs and manifests are.
#[derive(Clone, Debug)]
pub struct FluxBinaries {
    source: PathBuf,
    kustomize: PathBuf,
}

impl FluxBinaries {
    /// Finds both controllers, building what is missing.
    ///
    /// # Errors
    /// When Go is missing or too old, or when a build fails.
    pub async fn ensure(progress: &Progress) -> Result<Self> {
        let cache = Cache::locate()?;
        Ok(Self {
            source: controller(&cache, progress, "flux-source-controller", &SOURCE).await?,
            kustomize: controller(&cache, progress, "flux-kustomize-controller", &KUSTOMIZE).await?,
        })
    }

    /// Fetches Git repositories.
    #[must_use]
    pub fn source_controller(&self) -> PathBuf {
        self.source.join("source-controller")
    }

    /// Applies what was fetched.
    #[must_use]
    pub fn kustomize_controller(&self) -> PathBuf {
        self.kustomize.join("kustomize-controller")
    }

    /// Kinds and roles of both, as YAML streams.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn manifests(&self) -> Result<[String; 2]> {
        let read = |folder: &Path| {
            let file = folder.join(MANIFESTS);
            std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))
        };
        Ok([read(&self.source)?, read(&self.kustomize)?])
    }
}

async fn controller(
    cache: &Cache,
    progress: &Progress,
    name: &'static str,
    targets: &'static [Target; 1],
) -> Result<PathBuf> {
    let module = Module::read(name, targets)?;
    let built = module.ensure(cache, progress).await?;
    if !built.join(MANIFESTS).exists() {
        let [target] = targets;
        let source = Go::check(&module.go_version()?)?
            .module_folder(cache, &module.folder, target.package)
            .await?;
        write_atomically(&built.join(MANIFESTS), &manifests(&source)?)?;
    }
    Ok(built)
}

/// The module's CRDs and its role as one YAML stream.
fn manifests(source: &Path) -> Result<String> {
    let folder = source.join("config/crd/bases");
    let listed =
        std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files: Vec<PathBuf> = listed
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|kind| kind == "yaml"));
    ensure!(
        !files.is_empty(),
        "Flux's kinds are not where they were: {}",
        folder.display()
    );
    files.sort();
    files.push(source.join("config/rbac/role.yaml"));
    let texts: Vec<String> = files
        .iter()
        .map(|file| {
            std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
        })
        .collect::<Result<_>>()?;
    Ok(texts.join("\n---\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn the_pinned_modules_name_the_controllers() {
        for (name, targets) in [
            ("flux-source-controller", &SOURCE),
            ("flux-kustomize-controller", &KUSTOMIZE),
        ] {
            let module = Module::read(name, targets).unwrap();
            assert!(
                module.go_mod.contains(&format!("tool {}\n", targets[0].package)),
                "{name}"
            );
        }
    }

    #[test]
    fn kinds_and_role_are_one_stream_and_missing_ones_are_an_error() {
        let folder = TempDir::new().unwrap();
        let bases = folder.path().join("config/crd/bases");
        assert!(manifests(folder.path()).is_err());
        std::fs::create_dir_all(&bases).unwrap();
        let says = manifests(folder.path()).unwrap_err().to_string();
        assert!(says.contains("not where they were"), "{says}");
        std::fs::write(bases.join("kind.yaml"), "kind").unwrap();
        std::fs::write(bases.join("note.md"), "note").unwrap();
        assert!(manifests(folder.path()).is_err(), "no role");
        std::fs::create_dir_all(folder.path().join("config/rbac")).unwrap();
        std::fs::write(folder.path().join("config/rbac/role.yaml"), "role").unwrap();
        assert_eq!(manifests(folder.path()).unwrap(), "kind\n---\nrole");
    }
}
