//! The programs of the cluster, built once from pinned Go modules into a cache outside the clone.
//!
//! The modules stand in `e2e/cluster/<name>/`. A built program lies in `<cache>/bin/<name>-<key>/`, where the
//! key is derived from go.mod, go.sum and the version flags, so a changed pin never meets an old program.
//! Programs are renamed into place when complete, and a file lock lets two runs share one build.

mod cache;
mod flux;
mod go;
mod ollama;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::progress::Progress;
pub use cache::Cache;
pub(crate) use cache::write_atomically;
pub use flux::FluxBinaries;
use go::{Flags, Go};
pub use ollama::{OllamaBinaries, WEIGHTS_VARIABLE};

/// Where the pinned modules stand.
const MODULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster");
/// The module whose version the control plane reports as its own.
const KUBERNETES: &str = "k8s.io/kubernetes";
/// The module that holds kwok and the stages it plays.
const KWOK: &str = "sigs.k8s.io/kwok";
const KWOK_STAGES: [&str; 3] = ["pod/fast", "node/fast", "node/heartbeat-with-lease"];
const STAGES_FILE: &str = "stages.yaml";
/// As many hex digits of the key as the folder's name shows.
const KEY_DIGITS: usize = 12;

/// One program of a module.
struct Target {
    program: &'static str,
    package: &'static str,
    /// About how long the first build takes on two cores, for the person who waits.
    expected: &'static str,
}

const CONTROL_PLANE: [Target; 5] = [
    Target {
        program: "etcd",
        package: "go.etcd.io/etcd/server/v3",
        expected: "1 min",
    },
    Target {
        program: "kube-apiserver",
        package: "k8s.io/kubernetes/cmd/kube-apiserver",
        expected: "4 min",
    },
    Target {
        program: "kube-controller-manager",
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        expected: "90 s",
    },
    Target {
        program: "kube-scheduler",
        package: "k8s.io/kubernetes/cmd/kube-scheduler",
        expected: "10 s",
    },
    Target {
        program: "kubectl",
        package: "k8s.io/kubernetes/cmd/kubectl",
        expected: "30 s",
    },
];

const NODES: [Target; 1] = [Target {
    program: "kwok",
    package: "sigs.k8s.io/kwok/cmd/kwok",
    expected: "80 s",
}];

/// Where the built programs are.
#[derive(Clone, Debug)]
pub struct Binaries {
    control_plane: PathBuf,
    kwok: PathBuf,
}

impl Binaries {
    /// Finds all programs, building what is missing.
    ///
    /// # Errors
    /// When Go is missing or too old (the message says how to install it), or when a build fails.
    pub async fn ensure(progress: &Progress) -> Result<Self> {
        let cache = Cache::locate()?;
        let control_plane = Module::read("control-plane", &CONTROL_PLANE)?
            .ensure(&cache, progress)
            .await?;
        let nodes = Module::read("kwok", &NODES)?;
        let kwok = nodes.ensure(&cache, progress).await?;
        if !kwok.join(STAGES_FILE).exists() {
            let source = Go::check(&nodes.go_version()?)?
                .module_folder(&cache, &nodes.folder, KWOK)
                .await?;
            cache::write_atomically(
                &kwok.join(STAGES_FILE),
                &join_stages(&source.join("kustomize/stage"))?,
            )?;
        }
        Ok(Self { control_plane, kwok })
    }

    /// One program of the control plane, or kubectl.
    #[must_use]
    pub fn control_plane(&self, program: &str) -> PathBuf {
        self.control_plane.join(program)
    }

    /// kubectl of the control plane's own version.
    #[must_use]
    pub fn kubectl(&self) -> PathBuf {
        self.control_plane("kubectl")
    }

    /// kwok, which plays nodes and pods.
    #[must_use]
    pub fn kwok(&self) -> PathBuf {
        self.kwok.join("kwok")
    }

    /// The stages kwok plays: nodes become ready and keep their lease, pods run, complete and go.
    #[must_use]
    pub fn kwok_stages(&self) -> PathBuf {
        self.kwok.join(STAGES_FILE)
    }
}

/// A pinned Go module and what is built from it.
struct Module {
    name: &'static str,
    folder: PathBuf,
    go_mod: String,
    go_sum: String,
    targets: &'static [Target],
    /// Flags for the C in it, if there is any.
    c: Option<&'static str>,
}

impl Module {
    fn read(name: &'static str, targets: &'static [Target]) -> Result<Self> {
        let folder = Path::new(MODULES).join(name);
        let read = |file: &str| {
            let path = folder.join(file);
            std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
        };
        let (go_mod, go_sum) = (read("go.mod")?, read("go.sum")?);
        Ok(Self {
            name,
            folder,
            go_mod,
            go_sum,
            targets,
            c: None,
        })
    }

    /// The same with C in it, compiled so.
    fn with_c(self, flags: &'static str) -> Self {
        Self {
            c: Some(flags),
            ..self
        }
    }

    /// Returns the folder with all programs of this module.
    async fn ensure(&self, cache: &Cache, progress: &Progress) -> Result<PathBuf> {
        let flags = self.linker_flags()?;
        let out = cache
            .programs()
            .join(format!("{}-{}", self.name, self.key(&flags)));
        if self.missing(&out).next().is_none() {
            return Ok(out);
        }
        let go = Go::check(&self.go_version()?)?;
        std::fs::create_dir_all(&out).with_context(|| format!("{} cannot be made", out.display()))?;
        let _lock = cache.lock(progress).await?;
        // Asked again under the lock: another run may have built them meanwhile.
        for target in self.missing(&out) {
            let step = progress.step(format!(
                "building {} (once, about {})",
                target.program, target.expected
            ));
            go.build(
                cache,
                &self.folder,
                Flags {
                    linker: &flags,
                    c: self.c,
                },
                target.package,
                &out.join(target.program),
            )
            .await?;
            step.done();
        }
        Ok(out)
    }

    fn missing<'a>(&'a self, out: &'a Path) -> impl Iterator<Item = &'a Target> {
        self.targets
            .iter()
            .filter(|target| !out.join(target.program).exists())
    }

    fn key(&self, flags: &str) -> String {
        let mut hash = Sha256::new();
        let parts = [self.go_mod.as_str(), &self.go_sum, flags];
        for part in parts.into_iter().chain(self.c) {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        let mut key = hex::encode(hash.finalize());
        key.truncate(KEY_DIGITS);
        key
    }

    /// The version Kubernetes programs report; without these flags the server says v0.0.0.
    fn linker_flags(&self) -> Result<String> {
        let Some(version) = required_version(&self.go_mod, KUBERNETES) else {
            return Ok("-s -w".to_owned());
        };
        let mut parts = version.trim_start_matches('v').split('.');
        let (major, minor) = parts
            .next()
            .zip(parts.next())
            .with_context(|| format!("odd version {version}"))?;
        let base = "k8s.io/component-base/version";
        Ok(format!(
            "-s -w -X {base}.gitVersion={version} -X {base}.gitMajor={major} -X {base}.gitMinor={minor} \
             -X k8s.io/client-go/pkg/version.gitVersion={version}"
        ))
    }

    /// The Go version the module asks for.
    fn go_version(&self) -> Result<String> {
        let line = self.go_mod.lines().find_map(|line| line.strip_prefix("go "));
        line.map(|version| version.trim().to_owned())
            .with_context(|| format!("{}/go.mod has no go line", self.name))
    }
}

/// The version a go.mod requires of a module, in a `require` line or block.
fn required_version<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let mut words = line
            .trim_start()
            .trim_start_matches("require ")
            .split_whitespace();
        (words.next() == Some(module))
            .then(|| words.next())
            .flatten()
            .filter(|word| word.starts_with('v'))
    })
}

/// All stage files of the three folders as one YAML stream.
fn join_stages(root: &Path) -> Result<String> {
    let mut documents = Vec::new();
    for stage in KWOK_STAGES {
        let folder = root.join(stage);
        let listed =
            std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        let mut files: Vec<PathBuf> = listed
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<_>>()?;
        files.retain(|file| {
            file.extension().is_some_and(|kind| kind == "yaml") && !file.ends_with("kustomization.yaml")
        });
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            documents.push(text);
        }
    }
    anyhow::ensure!(
        documents.len() >= KWOK_STAGES.len(),
        "kwok's stages are not where they were: {}",
        root.display()
    );
    Ok(documents.join("\n---\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn module(go_mod: &str) -> Module {
        let (name, folder, go_sum) = ("test", PathBuf::new(), String::new());
        Module {
            name,
            folder,
            go_mod: go_mod.to_owned(),
            go_sum,
            targets: &NODES,
            c: None,
        }
    }

    #[test]
    fn the_pinned_modules_name_every_program_they_build() {
        for (name, targets) in [("control-plane", &CONTROL_PLANE[..]), ("kwok", &NODES[..])] {
            let module = Module::read(name, targets).unwrap();
            for target in targets {
                assert!(
                    module.go_mod.contains(target.package),
                    "{name} does not pin {}",
                    target.package
                );
            }
            assert!(module.go_version().unwrap().starts_with("1."));
        }
    }

    #[test]
    fn versions_are_read_from_lines_and_blocks_but_never_from_replacements() {
        let cases = [
            ("require k8s.io/kubernetes v1.36.3", Some("v1.36.3")),
            (
                "require (\n\tk8s.io/kubernetes v1.36.3 // indirect\n)",
                Some("v1.36.3"),
            ),
            ("tool k8s.io/kubernetes/cmd/kubectl", None),
            (
                "replace (\n\tk8s.io/kubernetes => k8s.io/kubernetes v9.9.9\n)",
                None,
            ),
            ("", None),
        ];
        for (go_mod, version) in cases {
            assert_eq!(required_version(go_mod, KUBERNETES), version, "{go_mod}");
        }
    }

    #[test]
    fn the_server_reports_the_pinned_version() {
        let flags = module("require k8s.io/kubernetes v1.36.3")
            .linker_flags()
            .unwrap();
        assert!(
            flags.contains("version.gitVersion=v1.36.3 ") && flags.contains("gitMinor=36 "),
            "{flags}"
        );
        assert_eq!(module("module x").linker_flags().unwrap(), "-s -w");
    }

    #[test]
    fn every_pin_changes_the_key() {
        let plain = module("a");
        let mut other_sum = module("a");
        other_sum.go_sum = "b".to_owned();
        let keys = [
            plain.key(""),
            plain.key("-s"),
            module("b").key(""),
            other_sum.key(""),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(key.len(), KEY_DIGITS);
            assert!(!keys[at + 1..].contains(key), "{keys:?}");
        }
    }

    #[test]
    fn refuses_a_module_without_stages() {
        let folder = TempDir::new().unwrap();
        assert!(join_stages(folder.path()).is_err());
        for stage in KWOK_STAGES {
            std::fs::create_dir_all(folder.path().join(stage)).unwrap();
        }
        assert!(
            join_stages(folder.path())
                .unwrap_err()
                .to_string()
                .contains("not where they were")
        );
        for stage in KWOK_STAGES {
            std::fs::write(folder.path().join(stage).join("stage.yaml"), stage).unwrap();
            std::fs::write(folder.path().join(stage).join("kustomization.yaml"), "no").unwrap();
        }
        assert_eq!(join_stages(folder.path()).unwrap(), KWOK_STAGES.join("\n---\n"));
    }
}
