//! The Go toolchain: found, checked, never downloaded by us.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Cache;
use crate::process::Program;

/// Longest build of one program, cold and on a loaded machine, downloads of its modules included.
const BUILD_DEADLINE: Duration = Duration::from_secs(25 * 60);
/// Longest look-up of a module's folder, download included.
const LIST_DEADLINE: Duration = Duration::from_secs(5 * 60);

/// How a program is built.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags<'a> {
    /// For Go's linker.
    pub(super) linker: &'a str,
    /// For the C and C++ in it; without them none of it is built.
    pub(super) c: Option<&'a str>,
}

/// A Go toolchain that is new enough.
pub(super) struct Go(());

impl Go {
    /// Checks that `go` is there and not older than `wanted` ("1.26.0").
    pub(super) fn check(wanted: &str) -> Result<Self> {
        let found = Command::new("go")
            .args(["env", "GOVERSION"])
            .env("GOTOOLCHAIN", "local")
            .output();
        let Ok(output) = found else {
            bail!(
                "Go is not installed, so the cluster was not built; {}",
                advice(wanted)
            );
        };
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !is_new_enough(&version, wanted) {
            bail!(
                "Go {wanted} or newer is needed, found {version:?}, so the cluster was not built; {}",
                advice(wanted)
            );
        }
        Ok(Self(()))
    }

    /// Builds one package of the module in `folder` into the file `out`, which appears when it is complete.
    pub(super) async fn build(
        &self,
        cache: &Cache,
        folder: &Path,
        flags: Flags<'_>,
        package: &str,
        out: &Path,
    ) -> Result<()> {
        let partial = out.with_extension("partial");
        // Go refuses to write over what an interrupted build left; usually there is nothing.
        let _usually_nothing = std::fs::remove_file(&partial);
        let mut program =
            self.program(cache, folder, "build")
                .args(["build", "-ldflags", flags.linker, "-o"]);
        if let Some(flags) = flags.c {
            program = program.env("CGO_ENABLED", "1");
            program = program.env("CGO_CFLAGS", flags).env("CGO_CXXFLAGS", flags);
        }
        run(
            program.args([partial.as_os_str()]).args([package]),
            BUILD_DEADLINE,
        )
        .await
        .with_context(|| {
            format!("{package} was not built; after mending the cause, run the same command again")
        })?;
        std::fs::rename(&partial, out).with_context(|| format!("{} was not put in place", out.display()))
    }

    /// The folder with the source of a module that the one in `folder` requires.
    pub(super) async fn module_folder(&self, cache: &Cache, folder: &Path, module: &str) -> Result<PathBuf> {
        let log = self.program(cache, folder, "list").log;
        std::fs::write(&log, "").with_context(|| format!("{} cannot be written", log.display()))?;
        let download = ["mod", "download", module];
        run(self.program(cache, folder, "list").args(download), LIST_DEADLINE).await?;
        let list = ["list", "-m", "-f", "{{.Dir}}", module];
        run(self.program(cache, folder, "list").args(list), LIST_DEADLINE).await?;
        let said =
            std::fs::read_to_string(&log).with_context(|| format!("{} cannot be read", log.display()))?;
        let last = said
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or_default();
        let source = PathBuf::from(last.trim());
        anyhow::ensure!(source.is_dir(), "go list -m {module} named no folder: {last:?}");
        Ok(source)
    }

    fn program(&self, cache: &Cache, folder: &Path, log: &str) -> Program {
        let mut program = Program::new("go", "go", cache.logs().join(format!("go-{log}.log")))
            .env("GOTOOLCHAIN", "local")
            .env("GOWORK", "off")
            .env("GOFLAGS", "-mod=readonly")
            .env("CGO_ENABLED", "0")
            .env("GOCACHE", cache.go_build().to_string_lossy());
        program.folder = Some(folder.to_owned());
        program
    }
}

async fn run(program: Program, deadline: Duration) -> Result<()> {
    let process = program.start()?;
    match process.exit().within(deadline).await {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(process.obituary(status)),
        None => bail!(
            "go did not end within {} min; it was stopped",
            deadline.as_secs() / 60
        ),
    }
}

/// The one command that installs Go.
fn advice(wanted: &str) -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!(
        "install it with: curl -fsSL https://go.dev/dl/go{wanted}.linux-{architecture}.tar.gz | \
         sudo tar -C /usr/local -xz && export PATH=/usr/local/go/bin:$PATH"
    )
}

/// Compares "go1.26.8" with "1.26.0", number by number.
fn is_new_enough(found: &str, wanted: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<u32>> {
        let plain = text.trim_start_matches("go");
        let end = plain
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(plain.len());
        plain[..end].split('.').map(|part| part.parse().ok()).collect()
    };
    match (numbers(found), numbers(wanted)) {
        (Some(found), Some(wanted)) => found >= wanted,
        (None, _) | (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number_and_odd_ones_are_too_old() {
        let cases = [
            ("go1.26.8", true),
            ("go1.26.0", true),
            ("go1.27rc1", true),
            ("go2.0.0", true),
            ("go1.9.9", false),
            ("go1.25.99", false),
            ("go1.26", false),
            ("devel", false),
            ("", false),
        ];
        for (found, enough) in cases {
            assert_eq!(is_new_enough(found, "1.26.0"), enough, "{found}");
        }
    }

    #[test]
    fn the_advice_is_one_command_for_the_pinned_version() {
        let text = advice("1.26.0");
        assert!(text.contains("go1.26.0.linux-") && !text.contains('\n'), "{text}");
    }
}
