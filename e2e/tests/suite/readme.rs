//! The README's way to a cluster of one's own, command by command as it is written there.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubechat_crds::PlanPhase;
use kubechat_e2e::cluster::{Cluster, Options};
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::process::Program;
use kubechat_e2e::product::{build_binary, find_binary};
use kubechat_e2e::wait::eventually;
use tempfile::TempDir;

use super::turn::{approve, ended_as, plan_for};
use crate::runner::{Test, own, with_cluster};

const DEMO: &str = "demo";
const CLONE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// What the commands may take together.
const TOGETHER: Duration = Duration::from_secs(90);

pub(crate) fn tests() -> Vec<Test> {
    own![the_commands_for_a_cluster_of_ones_own_lead_to_one_that_works]
}

async fn the_commands_for_a_cluster_of_ones_own_lead_to_one_that_works() -> Result<()> {
    build_binary(!cfg!(debug_assertions)).await?;
    with_cluster(Options::default(), async |cluster| {
        demo::set_up(&cluster.client("admin").await?).await?;
        let folder = TempDir::new()?;
        let program = prepared(cluster, folder.path())?;
        let commands = program.start()?;
        let done = folder.path().join("done");
        let mut exit = commands.exit();
        let ready = eventually(TOGETHER, "the commands are done", || async {
            ensure!(done.exists(), "{}", commands.log_tail());
            Ok(())
        });
        tokio::select! {
            ready = ready => ready?,
            status = exit.wait() => return Err(commands.obituary(status)),
        }
        let alice = cluster.client("alice").await?;
        let plan = plan_for(&alice, DEMO, "scale nginx to 3 replicas").await?;
        approve(&alice, &plan).await?;
        ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
        demo::wait_ready(&alice, DEMO, DEPLOYMENT, 3).await
    })
    .await
}

/// The commands, with their programs in PATH instead of built and installed, and on ports that are free here.
fn prepared(cluster: &Cluster, folder: &Path) -> Result<Program> {
    let readme = std::fs::read_to_string(Path::new(CLONE).join("README.md"))?;
    let (_, chapter) = readme
        .split_once("\n## On your own cluster\n")
        .context("the README has no such chapter")?;
    let (_, block) = chapter.split_once("```bash\n").context("it has no commands")?;
    let (block, _) = block.split_once("```").context("the commands have no end")?;
    let (install, commands) = block.split_once("\n\n").context("nothing is installed")?;
    ensure!(
        install.lines().all(|line| ["cargo build ", "sudo install "]
            .iter()
            .any(|word| line.starts_with(word))),
        "more than the program is installed: {install}"
    );
    let mut commands = commands.to_owned();
    let [operator, webhook, health] = free_ports()?;
    for (written, here) in [
        (
            "kubechat operator ",
            format!("kubechat operator --listen 127.0.0.1:{operator} "),
        ),
        (
            "kubechat webhook ",
            format!("kubechat webhook --listen 127.0.0.1:{webhook} --health-listen 127.0.0.1:{health} "),
        ),
        ("https://HOST:9443", format!("https://127.0.0.1:{webhook}")),
        ("http://127.0.0.1:8081", format!("http://127.0.0.1:{health}")),
    ] {
        ensure!(commands.contains(written), "the README does not say {written:?}");
        commands = commands.replace(written, &here);
    }

    symlink(Path::new(CLONE).join("crds"), folder.join("crds"))?;
    let bin = folder.join("bin");
    std::fs::create_dir(&bin)?;
    let kubechat = find_binary(None)?;
    symlink(cluster.binaries().kubectl(), bin.join("kubectl"))?;
    symlink(&kubechat, bin.join("kubechat"))?;
    let everyone = std::fs::read_to_string(cluster.kubeconfig_path())?;
    let admin = everyone.replace("current-context: alice", "current-context: admin");
    ensure!(admin != everyone, "the kubeconfig starts as somebody else");
    let kubeconfig = folder.join("admin.kubeconfig");
    std::fs::write(&kubeconfig, admin)?;

    let path = std::env::var("PATH").unwrap_or_default();
    let script = format!("set -euo pipefail\n{commands}\ntouch done\nwait\n");
    let mut program = Program::new("the README's commands", "bash", folder.join("log"))
        .args(["-c", &script])
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("KUBECONFIG", kubeconfig.to_string_lossy());
    program.folder = Some(folder.to_owned());
    Ok(program)
}

/// Ports that nobody listened on a moment ago.
fn free_ports() -> Result<[u16; 3]> {
    let listen = || std::net::TcpListener::bind("127.0.0.1:0");
    let all = [listen()?, listen()?, listen()?];
    let port = |at: usize| anyhow::Ok(all[at].local_addr()?.port());
    Ok([port(0)?, port(1)?, port(2)?])
}
