//! The program under test, and how its parts are called.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Part, Product, install};
use crate::accounts;
use crate::cluster::Ports;
use crate::process::Program;

/// Names the program to test instead of the one beside the harness.
const BINARY_VARIABLE: &str = "KUBECHAT_BIN";

impl Product {
    /// An operator; the second one differs from the first only in its port and its log.
    pub(super) fn operator_program(&self, part: Part) -> Program {
        let port = health_port(&self.ports, part);
        let store = format!("sqlite:{}", self.audit_db.display());
        self.program(part, "operator", install::OPERATOR_ACCOUNT)
            .args(["--audit-store", &store])
            .args(["--audit-key".into(), self.audit_key().into_os_string()])
            .args([
                "--listen",
                &format!("127.0.0.1:{port}"),
                "--webhook-url",
                &self.webhook_url(),
            ])
            .args(["--log-format", "json"])
    }

    /// The webhook.
    pub(super) fn webhook_program(&self) -> Program {
        let (admission, health) = (self.ports.webhook, self.ports.webhook_health);
        self.program(Part::Webhook, "webhook", install::WEBHOOK_ACCOUNT)
            .args([
                "--listen",
                &format!("127.0.0.1:{admission}"),
                "--health-listen",
                &format!("127.0.0.1:{health}"),
            ])
    }

    /// An interpreter of its own, which reaches models on this machine.
    pub(super) fn interpreter_program(&self) -> Program {
        let port = health_port(&self.ports, Part::Interpreter);
        self.program(Part::Interpreter, "interpreter", install::INTERPRETER_ACCOUNT)
            .args(["--listen", &format!("127.0.0.1:{port}"), "--development"])
    }

    /// What installs the product with an interpreter of its own, in a folder.
    pub(super) async fn separate_manifests(&self) -> Result<PathBuf> {
        let folder = self.folder.join("manifests");
        std::fs::create_dir_all(&folder).context("the folder for manifests was not made")?;
        let mut command = tokio::process::Command::new(&self.binary);
        command.args([
            "manifests",
            "--separate-interpreter",
            "--namespace",
            accounts::SYSTEM,
        ]);
        let output = command
            .output()
            .await
            .context("kubechat manifests does not run")?;
        ensure!(
            output.status.success(),
            "kubechat manifests: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::write(folder.join("all.yaml"), &output.stdout).context("the manifests were not written")?;
        Ok(folder)
    }

    fn program(&self, part: Part, command: &str, account: &str) -> Program {
        Program::new(part.name(), &self.binary, self.log(part.name()))
            .args([
                command.into(),
                "--kubeconfig".into(),
                self.kubeconfig(account).into_os_string(),
            ])
            .args(["--namespace", accounts::SYSTEM])
    }
}

/// The port of a part's `/healthz`, `/readyz` and `/metrics`.
pub(super) const fn health_port(ports: &Ports, part: Part) -> u16 {
    match part {
        Part::Operator => ports.operator,
        Part::Webhook => ports.webhook_health,
        Part::SecondOperator => ports.second_operator,
        Part::Interpreter => ports.interpreter,
    }
}

pub(super) fn with_options(program: Program, args: &[String], env: &[(String, String)]) -> Program {
    env.iter().fold(program.args(args), |program, (name, value)| {
        program.env(name, value)
    })
}

/// Builds the program under test, so that nobody tests what was built before; not if `KUBECHAT_BIN` names one.
///
/// # Errors
/// When cargo does not run, or it does not build.
pub async fn build_binary(release: bool) -> Result<()> {
    if std::env::var_os(BINARY_VARIABLE).is_some() {
        return Ok(());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = tokio::process::Command::new(cargo);
    // The whole workspace's features: with those of one package, its dependencies would be built a second time.
    command.args(["build", "--quiet", "--workspace", "--bin", "kubechat"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    if release {
        command.arg("--release");
    }
    let output = command.output().await.context("cargo does not run")?;
    ensure!(
        output.status.success(),
        "kubechat does not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The given program, else that of `KUBECHAT_BIN`, else `kubechat` beside the harness (or beside its `deps`
/// folder).
///
/// # Errors
/// When there is none; the message says how to build it.
pub fn find_binary(given: Option<&Path>) -> Result<PathBuf> {
    let named = given
        .map(Path::to_owned)
        .or_else(|| std::env::var_os(BINARY_VARIABLE).map(PathBuf::from));
    if let Some(path) = named {
        ensure!(
            path.is_file(),
            "there is no program {}; correct {BINARY_VARIABLE}",
            path.display()
        );
        return std::path::absolute(path).context("the program's path cannot be made absolute");
    }
    let harness = std::env::current_exe().context("the harness does not know where it is")?;
    let beside = harness
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("kubechat"))
        .find(|path| path.is_file());
    beside.with_context(|| {
        format!(
            "kubechat is not built beside {}; build it with: cargo build -p kubechat-operator",
            harness.display()
        )
    })
}
