//! `scripts/need`, which each make target asks first: what it says, and does, on machines that lack something. Toolchains
//! and the package manager are stubs in a PATH of their own.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// What the script itself is made of; all of it is on the smallest Debian.
const USUAL: [&str; 9] = [
    "awk", "bash", "cat", "dirname", "env", "head", "sed", "sort", "uname",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The version after this word at the beginning of a line.
fn wanted(file: &str, word: &str) -> Result<String> {
    let text = std::fs::read_to_string(root().join(file))?;
    let found = text.lines().find_map(|line| line.strip_prefix(word));
    let found = found.with_context(|| format!("{file} has no {word}"))?;
    Ok(found.trim_matches('"').to_owned())
}

fn rust() -> Result<String> {
    wanted("Cargo.toml", "rust-version = ")
}

fn go() -> Result<String> {
    wanted("e2e/cluster/control-plane/go.mod", "go ")
}

/// A machine with these programs and no others. There is one at a time: a program that another thread's child still has
/// open for writing cannot be run ("text file busy").
struct Machine {
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// How the script ended there.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
    /// Commands of the package manager, one a line.
    installed: String,
}

impl Machine {
    /// The user of the machine is root.
    fn new() -> Result<Self> {
        let machine = Self {
            folder: TempDir::new()?,
            _alone: ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner),
        };
        let places = std::env::var_os("PATH").unwrap_or_default();
        for program in USUAL {
            let mut found = std::env::split_paths(&places).map(|place| place.join(program));
            let found = found.find(|path| path.exists());
            let found = found.with_context(|| format!("there is no {program}"))?;
            symlink(found, machine.folder.path().join(program))?;
        }
        Ok(machine.with("id", "echo 0"))
    }

    /// With one more program, or another one of this name.
    fn with(self, program: &str, script: &str) -> Self {
        let path = self.folder.path().join(program);
        let text = format!("#!{}/bash\n{script}\n", self.folder.path().display());
        // What stands there may be a link to the machine's own program, which is never written to.
        let _none = std::fs::remove_file(&path);
        let written = std::fs::write(&path, text)
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)));
        assert!(written.is_ok(), "{program} was not made: {written:?}");
        self
    }

    fn with_packages(self) -> Self {
        let all = ["setpriv", "ssh-keygen", "git"];
        let machine = self.with("cc", "cat >/dev/null");
        all.iter()
            .fold(machine, |machine, program| machine.with(program, "exit 0"))
    }

    /// A package manager that only notes what it is asked for.
    fn with_apt(self) -> Self {
        let note = format!(
            "echo \"apt-get $* (${{DEBIAN_FRONTEND:-asks}})\" >> {}",
            self.notes().display()
        );
        self.with("apt-get", &note)
    }

    fn with_rust(self, version: &str) -> Self {
        self.with("cargo", "exit 0")
            .with("rustc", &format!("echo 'rustc {version} (0123456 2026-01-01)'"))
    }

    fn notes(&self) -> PathBuf {
        self.folder.path().join("notes")
    }

    fn needs(&self, thing: &str) -> Result<Said> {
        let output = Command::new(self.folder.path().join("bash"))
            .arg(root().join("scripts/need"))
            .arg(thing)
            .env_clear()
            .env("PATH", self.folder.path())
            .stdin(Stdio::null())
            .output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
            installed: std::fs::read_to_string(self.notes()).unwrap_or_default(),
        })
    }

    /// It is refused with these words, and nothing is installed.
    fn lacks(&self, thing: &str, words: &[&str]) -> Result<()> {
        let said = self.needs(thing)?;
        ensure!(
            said.code == Some(1),
            "it ended with {:?}: {}",
            said.code,
            said.err
        );
        for word in words {
            ensure!(said.err.contains(word), "it does not say {word:?}: {}", said.err);
        }
        ensure!(said.installed.is_empty(), "it ran {}", said.installed);
        Ok(())
    }

    fn has(&self, thing: &str) -> Result<()> {
        let said = self.needs(thing)?;
        ensure!(
            said.code == Some(0),
            "it ended with {:?}: {}",
            said.code,
            said.err
        );
        ensure!(
            said.out.is_empty() && said.err.is_empty() && said.installed.is_empty(),
            "it says {}{}",
            said.out,
            said.err
        );
        Ok(())
    }
}

#[test]
fn a_missing_or_old_rust_is_named_with_the_one_command_that_mends_it() -> Result<()> {
    let wanted = rust()?;
    let rustup = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y";
    Machine::new()?.lacks("rust", &["Rust is not installed, so nothing was built", rustup])?;
    let update = [
        "stable toolchain is not installed",
        "rustup toolchain install stable",
    ];
    Machine::new()?.with("cargo", "exit 0").lacks("rust", &update)?;
    // rustup's own rustc, without a toolchain behind it.
    Machine::new()?
        .with("cargo", "exit 0")
        .with("rustc", "exit 1")
        .lacks("rust", &update)?;
    let old = format!("Rust {wanted} or newer is needed, found 1.9.0; nothing was built");
    Machine::new()?
        .with_rust("1.9.0")
        .lacks("rust", &[&old, "rustup update stable"])?;
    let parts = [
        "rustfmt or clippy is not installed",
        "rustup component add rustfmt clippy",
    ];
    for part in ["fmt", "clippy"] {
        Machine::new()?
            .with_rust(&wanted)
            .with("cargo", &format!("[ \"$1\" != {part} ]"))
            .lacks("rust", &parts)?;
    }
    Ok(())
}

#[test]
fn a_rust_of_the_wanted_version_or_a_newer_one_will_do() -> Result<()> {
    let wanted = rust()?;
    for version in [wanted.as_str(), "1.100.0", "2.0.0", "1.999.0-nightly"] {
        Machine::new()?
            .with_rust(version)
            .has("rust")
            .with_context(|| version.to_owned())?;
    }
    Ok(())
}

#[test]
fn a_missing_or_old_go_is_named_with_the_one_command_that_mends_it() -> Result<()> {
    let wanted = go()?;
    for (machine, architecture) in [("x86_64", "amd64"), ("aarch64", "arm64")] {
        let install = format!(
            "curl -fsSL https://go.dev/dl/go{wanted}.linux-{architecture}.tar.gz | sudo tar -C /usr/local -xz"
        );
        let here = || anyhow::Ok(Machine::new()?.with("uname", &format!("echo {machine}")));
        here()?.lacks("go", &["Go is not installed", &install])?;
        let old = format!("Go {wanted} or newer is needed, found go1.9.7");
        here()?
            .with("go", "echo go1.9.7")
            .lacks("go", &[&old, &install])?;
    }
    for version in [wanted.as_str(), "1.100.0", "2.0"] {
        Machine::new()?
            .with("go", &format!("echo go{version}"))
            .has("go")
            .with_context(|| version.to_owned())?;
    }
    Ok(())
}

#[test]
fn missing_packages_are_installed_with_one_command_without_questions() -> Result<()> {
    let update = "apt-get update -q (asks)\n";
    let said = Machine::new()?.with_apt().needs("packages")?;
    ensure!(said.code == Some(0), "{}{}", said.out, said.err);
    let all = "gcc libc6-dev util-linux openssh-client git";
    let install = format!("apt-get install -y --no-install-recommends {all} (noninteractive)\n");
    assert_eq!(said.installed, format!("{update}{install}"));
    assert_eq!(said.out, format!("Installing {all} ..\n"));
    // Only what is missing: a compiler whose headers are gone.
    let said = Machine::new()?
        .with_apt()
        .with_packages()
        .with("cc", "cat >/dev/null; exit 1")
        .needs("packages")?;
    let install = "apt-get install -y --no-install-recommends libc6-dev (noninteractive)\n";
    assert_eq!(said.installed, format!("{update}{install}"));
    Machine::new()?.with_apt().with_packages().has("packages")
}

#[test]
fn who_may_not_install_packages_reads_the_command() -> Result<()> {
    let person = || anyhow::Ok(Machine::new()?.with_apt().with_packages().with("id", "echo 1000"));
    let without_git = || {
        let machine = person()?;
        std::fs::remove_file(machine.folder.path().join("git"))?;
        anyhow::Ok(machine)
    };
    let command = "sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends git";
    // There is nobody to ask for a password.
    without_git()?
        .with("sudo", "exit 1")
        .lacks("packages", &["these packages are missing: git.", command])?;
    without_git()?.lacks("packages", &["these packages are missing: git.", command])?;
    let said = without_git()?
        .with("sudo", "[ \"$1\" != -n ] || exit 0\n\"$@\"")
        .needs("packages")?;
    ensure!(said.code == Some(0), "{}{}", said.out, said.err);
    assert_eq!(
        said.installed,
        "apt-get update -q (asks)\napt-get install -y --no-install-recommends git (noninteractive)\n"
    );
    person()?.has("packages")
}

#[test]
fn without_debians_package_manager_the_packages_are_named() -> Result<()> {
    Machine::new()?.lacks(
        "packages",
        &["these packages are missing: gcc libc6-dev util-linux openssh-client git (Debian's names)"],
    )
}
