//! What `make run` promises: everything runs and is said, what was killed comes back, a given folder keeps all of it, and
//! no process is left behind. `make run` builds and becomes the program `kubechat-dev`; that is what these start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kube::config::Kubeconfig;
use kube::{Api, Client, ResourceExt};
use kubechat_crds::{ChatRequest, CommandPlan, PlanPhase};
use kubechat_e2e::accounts::{ACCOUNTS, CURRENT};
use kubechat_e2e::cluster::{Component, client_for};
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::process::{Process, Program};
use kubechat_e2e::wait::eventually;
use nix::sys::signal::Signal;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::Command;

use super::tools::texts;
use super::turn::{approve, ended_as, phase, read, says, waiting_plan};
use crate::runner::{Test, own};

const DEMO: &str = "demo";
const SOON: Duration = Duration::from_secs(30);
/// The first start, once every program is built.
const FIRST_START: Duration = Duration::from_secs(120);
/// What a start in a folder that was used before may take. The promise of `make run`.
const SECOND_START: Duration = Duration::from_secs(20);
/// The machine runs other tests meanwhile: so often a start may be late before it counts.
const SECOND_STARTS: usize = 3;
/// Where the commands that are printed are meant to be run.
const CLONE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

pub(crate) fn tests() -> Vec<Test> {
    own![
        make_run_says_where_everything_is_keeps_its_folder_and_starts_what_was_killed_unless_told_not_to,
        a_killed_harness_leaves_no_process,
        ctrl_c_stops_everything_and_removes_the_folder,
    ]
}

/// The ready file: these fields and no others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ready {
    kubeconfig: PathBuf,
    contexts: Vec<String>,
    bin: PathBuf,
    pids: BTreeMap<String, u32>,
    audit_db: Option<PathBuf>,
    audit_key: Option<PathBuf>,
}

impl Ready {
    fn pid(&self, part: &str) -> Result<u32> {
        let pid = self.pids.get(part).copied();
        pid.with_context(|| format!("the ready file has no {part}: {:?}", self.pids))
    }

    async fn client(&self, account: &str) -> Result<Client> {
        client_for(&self.kubeconfig, Some(account)).await
    }
}

/// A run that is ready.
struct Dev {
    process: Process,
    ready: Ready,
    /// Where the ready file stands.
    file: PathBuf,
    /// What it prints.
    log: PathBuf,
    /// How long it took until the ready file was there.
    took: Duration,
}

impl Dev {
    /// Starts the dev runner, which keeps its files in `folder`, and returns once it is ready.
    async fn start(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        let (file, log) = (folder.join("ready.json"), folder.join("dev.log"));
        // What an earlier run said is not what this one says.
        std::fs::write(&log, "")?;
        let program = Program::new("kubechat-dev", env!("CARGO_BIN_EXE_kubechat-dev"), &log)
            .args(args.iter().copied())
            .env("KUBECHAT_DEV_READY", file.to_string_lossy())
            .env("TMPDIR", folder.to_string_lossy());
        let program = env
            .iter()
            .fold(program, |program, (name, value)| program.env(name, *value));
        let began = Instant::now();
        let process = program.start()?;
        let ready = eventually(FIRST_START, "kubechat-dev is ready", || async {
            let text = std::fs::read_to_string(&file).with_context(|| process.log_tail())?;
            Ok(serde_json::from_str::<Ready>(&text)?)
        })
        .await?;
        let took = began.elapsed();
        for component in Component::ALL {
            let program = component.program();
            ensure!(is_alive(ready.pid(program)?), "{program} does not run");
        }
        Ok(Self {
            process,
            ready,
            file,
            log,
            took,
        })
    }

    /// The ready file as it stands now.
    fn written(&self) -> Result<Ready> {
        Ok(serde_json::from_str(&std::fs::read_to_string(&self.file)?)?)
    }

    /// What it has printed, once it has said what to try.
    async fn said(&self) -> Result<String> {
        eventually(SOON, "it says what to try", || async {
            let said = std::fs::read_to_string(&self.log)?;
            ensure!(said.contains("kubechat ask"), "it said: {said}");
            Ok(said)
        })
        .await
    }

    async fn interrupt(&self, within: Duration) -> Result<()> {
        self.process.signal(Signal::SIGINT)?;
        match self.process.exit().within(within).await {
            Some(status) => ensure!(status.success(), "{}", self.process.obituary(status)),
            None => bail!("it did not end in {within:?}:\n{}", self.process.log_tail()),
        }
        ensure!(!self.file.exists(), "the ready file is still there");
        Ok(())
    }
}

async fn make_run_says_where_everything_is_keeps_its_folder_and_starts_what_was_killed_unless_told_not_to()
-> Result<()> {
    kubechat_e2e::product::build_binary(!cfg!(debug_assertions)).await?;
    let folder = TempDir::new()?;
    let state = folder.path().join("state");
    let kept = state.to_string_lossy().into_owned();
    let env = |restart| {
        [
            ("KUBECHAT_DEV_DIR", kept.as_str()),
            ("KUBECHAT_DEV_RESTART", restart),
        ]
    };

    let first = Dev::start(folder.path(), &[], &env("1")).await?;
    says_where_everything_is(&first, &state)
        .await
        .context("the first start")?;
    let plan = what_it_says_to_try_works(&first).await?;
    is_started_again(&first).await?;
    let kubeconfig = std::fs::read_to_string(&first.ready.kubeconfig)?;
    first.interrupt(SOON).await?;
    wait_until_gone(&first.ready).await?;

    let mut second = Dev::start(folder.path(), &[], &env("0")).await?;
    for _ in 1..SECOND_STARTS {
        if second.took < SECOND_START {
            break;
        }
        second.interrupt(SOON).await?;
        second = Dev::start(folder.path(), &[], &env("0")).await?;
    }
    ensure!(
        second.took < SECOND_START,
        "a second start takes {:?}:\n{}",
        second.took,
        second.process.log_tail()
    );
    says_where_everything_is(&second, &state)
        .await
        .context("the second start")?;
    ensure!(
        std::fs::read_to_string(&second.ready.kubeconfig)? == kubeconfig,
        "the kubeconfig changed"
    );
    goes_on(&second, &plan).await?;
    stays_down(&second).await?;
    second.interrupt(SOON).await?;
    ensure!(state.join("kubeconfig").is_file(), "the given folder was removed");
    Ok(())
}

/// In the ready file and on the screen.
async fn says_where_everything_is(dev: &Dev, state: &Path) -> Result<()> {
    let ready = &dev.ready;
    let people: Vec<&str> = ACCOUNTS.iter().map(|account| account.name).collect();
    ensure!(ready.contexts == people, "the contexts are {:?}", ready.contexts);
    let kubeconfig = Kubeconfig::read_from(&ready.kubeconfig)?;
    let contexts: Vec<&str> = kubeconfig.contexts.iter().map(|one| one.name.as_str()).collect();
    ensure!(contexts == people, "the kubeconfig has {contexts:?}");
    ensure!(
        kubeconfig.current_context.as_deref() == Some(CURRENT),
        "it starts as {:?}",
        kubeconfig.current_context
    );
    let parts = Component::ALL.map(Component::program);
    let parts: BTreeSet<&str> = parts.into_iter().chain(["operator", "webhook"]).collect();
    let running: BTreeSet<&str> = ready.pids.keys().map(String::as_str).collect();
    ensure!(running == parts, "these run: {running:?}");
    for part in parts {
        ensure!(is_alive(ready.pid(part)?), "{part} does not run");
    }
    for file in [&ready.audit_db, &ready.audit_key, &Some(ready.kubeconfig.clone())] {
        let file = file.as_ref().context("the ready file names no audit log")?;
        ensure!(
            file.is_file() && file.starts_with(state),
            "{} is not there, or not in the given folder",
            file.display()
        );
    }
    for program in ["kubectl", "kubechat", "kubectl-kubechat"] {
        ensure!(
            ready.bin.join(program).exists(),
            "{program} is not in the folder for PATH"
        );
    }
    let said = dev.said().await?;
    says(
        &said,
        &[&ready.kubeconfig.to_string_lossy(), "Ctrl-C stops everything"],
    )?;
    for account in ACCOUNTS {
        let current = if account.name == CURRENT { " (current)" } else { "" };
        let line = format!("{:<6} {}{current}", account.name, account.about);
        ensure!(
            said.lines().any(|said| said.trim() == line.trim()),
            "it does not say {line:?}:\n{said}"
        );
    }
    Ok(())
}

/// The three commands that are printed, as a person would paste them. Returns the plan that the first of them led to.
async fn what_it_says_to_try_works(dev: &Dev) -> Result<CommandPlan> {
    let said = dev.said().await?;
    let (_, commands) = said
        .split_once("Try in another terminal, from this folder:")
        .context("it says nothing to try")?;
    let commands: Vec<&str> = commands
        .lines()
        .map(str::trim)
        .filter(|line| ["export ", "kubectl "].iter().any(|word| line.starts_with(word)))
        .collect();
    let [export, apply, plans, question] = commands.as_slice() else {
        bail!("it says these to try: {commands:?}");
    };
    let alice = dev.ready.client("alice").await?;
    let out = pasted(export, apply).await?;
    says(&out, &["chatrequest.kubechat.io/scale-nginx created"])?;
    let turn = Api::<ChatRequest>::namespaced(alice.clone(), DEMO)
        .get("scale-nginx")
        .await?;
    let plan = waiting_plan(&alice, &turn).await?;
    let out = pasted(export, plans).await?;
    says(&out, &[&plan.name_any(), "AwaitingApproval"])?;
    let out = pasted(export, question).await?;
    says(&out, &["nginx-"])?;
    Ok(plan)
}

async fn pasted(export: &str, command: &str) -> Result<String> {
    let run = Command::new("sh")
        .args(["-ec", &format!("{export}\n{command}\n")])
        .current_dir(CLONE)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(SOON, run).await;
    let output = output.with_context(|| format!("{command} does not end"))??;
    let (out, err) = texts(&output);
    ensure!(
        output.status.success(),
        "{command}: {}\n{out}{err}",
        output.status
    );
    Ok(out)
}

/// A plan that waited while nothing ran is approved, executed and on record.
async fn goes_on(dev: &Dev, plan: &CommandPlan) -> Result<()> {
    let alice = dev.ready.client("alice").await?;
    let waits = phase(&read(&alice, plan).await?);
    ensure!(
        waits == Some(PlanPhase::AwaitingApproval),
        "the plan is {waits:?}"
    );
    approve(&alice, plan).await?;
    ended_as(&alice, plan, PlanPhase::Succeeded).await?;
    demo::wait_ready(&alice, DEMO, DEPLOYMENT, 5).await?;
    let (Some(db), Some(key)) = (&dev.ready.audit_db, &dev.ready.audit_key) else {
        bail!("the ready file names no audit log");
    };
    let verify = Command::new(dev.ready.bin.join("kubechat"))
        .args(["audit", "verify", "--db"])
        .arg(db)
        .arg("--key")
        .arg(key)
        .output()
        .await?;
    let (out, err) = texts(&verify);
    ensure!(verify.status.success(), "the log of both runs: {out}{err}");
    Ok(())
}

fn kill(pid: u32) -> Result<()> {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid)?);
    Ok(nix::sys::signal::kill(pid, Signal::SIGKILL)?)
}

async fn is_started_again(dev: &Dev) -> Result<()> {
    let operator = dev.ready.pid("operator")?;
    kill(operator)?;
    eventually(SOON, "the operator runs again, and the file says so", || async {
        let now = dev.written()?.pid("operator")?;
        ensure!(now != operator && is_alive(now), "it is {now}");
        Ok(())
    })
    .await?;
    ensure!(is_alive(dev.ready.pid("webhook")?), "the webhook went with it");
    Ok(())
}

async fn stays_down(dev: &Dev) -> Result<()> {
    let operator = dev.ready.pid("operator")?;
    kill(operator)?;
    eventually(SOON, "the operator is gone", || async {
        ensure!(!is_alive(operator), "it runs");
        Ok(())
    })
    .await?;
    // It would be back after two seconds.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let now = dev.written()?.pids.get("operator").copied();
    ensure!(
        now.is_none_or(|pid| !is_alive(pid)),
        "the operator was started again"
    );
    ensure!(is_alive(dev.ready.pid("webhook")?), "the webhook went with it");
    Ok(())
}

async fn a_killed_harness_leaves_no_process() -> Result<()> {
    let folder = TempDir::new()?;
    let dev = Dev::start(folder.path(), &["--cluster-only"], &[]).await?;
    dev.process.signal(Signal::SIGKILL)?;
    wait_until_gone(&dev.ready).await
}

async fn ctrl_c_stops_everything_and_removes_the_folder() -> Result<()> {
    let folder = TempDir::new()?;
    let dev = Dev::start(folder.path(), &["--cluster-only"], &[]).await?;
    let state = dev.ready.kubeconfig.parent();
    let state = state.context("the kubeconfig has no folder")?;
    ensure!(state.exists());
    dev.interrupt(Duration::from_secs(10)).await?;
    ensure!(!state.exists(), "{} is still there", state.display());
    wait_until_gone(&dev.ready).await
}

async fn wait_until_gone(ready: &Ready) -> Result<()> {
    eventually(
        Duration::from_secs(5),
        "every process of the cluster is gone",
        || async {
            let left: Vec<&String> = ready
                .pids
                .iter()
                .filter(|(_, pid)| is_alive(**pid))
                .map(|(name, _)| name)
                .collect();
            ensure!(left.is_empty(), "still there: {left:?}");
            Ok(())
        },
    )
    .await
}

/// Dead, or dead and waiting to be collected, is the same here.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
