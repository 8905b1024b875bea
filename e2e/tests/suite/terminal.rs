//! The program where a person sits: on a (pseudo) terminal it asks, takes an answer or Ctrl-C, turns a spinner and shows
//! colours. What it does in a pipe is in [`super::cli`].

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use kubechat_crds::{CommandPlan, PlanPhase};
use pty_process::{Pty, Size};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;

use super::cli::Caller;
use super::tools::{at, nginx};
use super::turn::{LATER, ended_as, phase, plan_for, read, says};
use crate::runner::{Ctx, Test, shared};

const ESCAPE: char = '\u{1b}';
/// How a terminal is told to erase its line.
const ERASE: &str = "\u{1b}[2K";
/// What a terminal makes SIGINT of.
const CTRL_C: &str = "\u{3}";

pub(crate) fn tests() -> Vec<Test> {
    shared![
        a_change_is_asked_about_before_it_is_made_and_only_yes_is_yes,
        an_approval_takes_a_yes_and_for_a_destructive_plan_its_name_and_nothing_else,
        a_spinner_turns_on_a_terminal_and_leaves_nothing_behind,
        colours_are_for_terminals_and_for_those_who_do_not_mind,
    ]
}

/// The program on a terminal.
struct Terminal {
    child: Child,
    pty: Pty,
    shown: Vec<u8>,
}

impl Terminal {
    async fn start(
        ctx: &Ctx,
        account: &str,
        namespace: &str,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Result<Self> {
        let (pty, pts) = pty_process::open()?;
        pty.resize(Size::new(50, 120))?;
        let child = pty_process::Command::new(ctx.product().await?.binary())
            .arg("--kubeconfig")
            .arg(ctx.cluster.kubeconfig_path())
            .args(["--context", account, "-n", namespace])
            .args(args)
            .env_remove("NO_COLOR")
            .env("TERM", "xterm-256color")
            .envs(env.iter().copied())
            .kill_on_drop(true)
            .spawn(pts)?;
        Ok(Self {
            child,
            pty,
            shown: Vec::new(),
        })
    }

    /// Everything that was sent to the terminal so far.
    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    /// Reads a piece more; false at the end. (A terminal that nobody holds open any more answers with an error.)
    async fn more(&mut self) -> bool {
        let mut piece = [0; 4096];
        match self.pty.read(&mut piece).await {
            Ok(length) if length > 0 => {
                self.shown.extend_from_slice(&piece[..length]);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    async fn until(&mut self, what: &str, is: impl Fn(&str) -> bool) -> Result<()> {
        let found = tokio::time::timeout(LATER, async {
            while !is(&self.shown()) {
                if !self.more().await {
                    return false;
                }
            }
            true
        });
        if found.await != Ok(true) {
            bail!("the terminal never showed {what}:\n{}", self.shown());
        }
        Ok(())
    }

    async fn press(&mut self, keys: &str) -> Result<()> {
        self.pty.write_all(keys.as_bytes()).await?;
        Ok(())
    }

    /// Waits for the end, which must have this exit code, and returns everything that was shown.
    async fn ends(mut self, code: i32) -> Result<String> {
        let ended = tokio::time::timeout(LATER, async {
            while self.more().await {}
            self.child.wait().await
        });
        let ended = ended
            .await
            .with_context(|| format!("it does not end:\n{}", self.shown()))??;
        ensure!(
            ended.code() == Some(code),
            "it ended with {ended} instead of {code}:\n{}",
            self.shown()
        );
        Ok(self.shown())
    }
}

/// The plan that scales nginx to so many.
async fn plan_to(person: &Client, namespace: &str, replicas: i32) -> Result<CommandPlan> {
    let plans: Api<CommandPlan> = Api::namespaced(person.clone(), namespace);
    let all = plans.list(&ListParams::default()).await?.items;
    let mut all = all.into_iter();
    let found = all.find(|plan| plan.spec.steps[0].params.replicas == Some(replicas));
    found.with_context(|| format!("there is no plan to {replicas}"))
}

async fn a_change_is_asked_about_before_it_is_made_and_only_yes_is_yes(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("asked").await?;
    let alice = ctx.client("alice").await?;
    let no = "Not confirmed; nothing is executed.";
    for (replicas, keys, code, words) in [
        (4, "n\n", 5, no),
        (5, "\n", 5, no),
        (6, "yess\n", 5, no),
        (7, CTRL_C, 130, no),
        (3, "y\n", 0, "Confirmed as alice."),
    ] {
        let sentence = format!("scale nginx to {replicas} replicas");
        let mut terminal = Terminal::start(&ctx, "alice", &namespace, &["ask", &sentence], &[]).await?;
        terminal
            .until("the question", |shown| shown.contains("Confirm? [y/N]"))
            .await?;
        // It was shown what is asked about, and nothing was done yet.
        let command = format!("kubectl scale deployment/nginx --replicas={replicas}");
        says(&terminal.shown(), &[&command])?;
        let plan = plan_to(&alice, &namespace, replicas).await?;
        ensure!(
            phase(&plan) == Some(PlanPhase::AwaitingApproval),
            "{:?}",
            plan.status
        );
        terminal.press(keys).await?;
        let shown = terminal.ends(code).await.with_context(|| format!("{keys:?}"))?;
        says(&shown, &[words]).with_context(|| format!("{keys:?}"))?;
        if code == 0 {
            ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
        } else {
            says(&shown, &["Go on watching", "Withdraw it"])?;
            let left = phase(&read(&alice, &plan).await?);
            ensure!(left == Some(PlanPhase::AwaitingApproval), "{keys:?}: {left:?}");
            ensure!(at(&nginx(&alice, &namespace).await?, "/spec/replicas") == 2);
        }
    }
    ensure!(at(&nginx(&alice, &namespace).await?, "/spec/replicas") == 3);
    Ok(())
}

async fn an_approval_takes_a_yes_and_for_a_destructive_plan_its_name_and_nothing_else(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("approved").await?;
    let alice = ctx.client("alice").await?;
    let scale = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let delete = plan_for(&alice, &namespace, "delete service nginx").await?;
    let (scale_name, delete_name) = (scale.name_any(), delete.name_any());
    let by_name = format!("This is destructive. Type {delete_name} to approve it:");
    let (no, done) = ("Nothing was approved.", "Approved");
    for (plan, question, keys, code, words) in [
        (&scale, "Approve? [y/N]", "\n".to_owned(), 1, no),
        (&scale, "Approve? [y/N]", format!("{scale_name}\n"), 1, no),
        (&scale, "Approve? [y/N]", CTRL_C.to_owned(), 130, ""),
        (&delete, &by_name, "y\n".to_owned(), 1, no),
        (&delete, &by_name, "yes\n".to_owned(), 1, no),
        (&delete, &by_name, format!("{scale_name}\n"), 1, no),
        (&delete, &by_name, CTRL_C.to_owned(), 130, ""),
        (&scale, "Approve? [y/N]", "y\n".to_owned(), 0, done),
        (&delete, &by_name, format!("{delete_name}\n"), 0, done),
    ] {
        let name = plan.name_any();
        let before = approvals(&alice, plan).await?;
        let mut terminal = Terminal::start(&ctx, "bob", &namespace, &["approve", &name], &[]).await?;
        terminal.until(question, |shown| shown.contains(question)).await?;
        terminal.press(&keys).await?;
        let shown = terminal.ends(code).await.with_context(|| format!("{keys:?}"))?;
        says(&shown, &[words]).with_context(|| format!("{keys:?}"))?;
        let made = approvals(&alice, plan).await? - before;
        ensure!(
            made == usize::from(code == 0),
            "{keys:?} made {made} approvals of {name}"
        );
    }
    ended_as(&alice, &scale, PlanPhase::Succeeded).await.map(drop)
}

/// How many decisions there are on a plan.
async fn approvals(person: &Client, plan: &CommandPlan) -> Result<usize> {
    let all: Api<kubechat_crds::Approval> =
        Api::namespaced(person.clone(), &plan.namespace().unwrap_or_default());
    let of_plan = format!("spec.planRef.name={}", plan.name_any());
    let found = all.list(&ListParams::default().fields(&of_plan)).await?;
    Ok(found.items.len())
}

/// The pictures of a spinner: Braille patterns, which nothing else here prints.
fn frames(shown: &str) -> BTreeSet<char> {
    let is_frame = |c: &char| ('\u{2801}'..='\u{28ff}').contains(c);
    shown.chars().filter(is_frame).collect()
}

async fn a_spinner_turns_on_a_terminal_and_leaves_nothing_behind(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("spinner").await?;
    let args = ["ask", "delete service nginx"];
    let mut terminal = Terminal::start(&ctx, "alice", &namespace, &args, &[]).await?;
    terminal
        .until("a spinner that turns below the plan", |shown| {
            let below = shown
                .split("kubectl delete service/nginx")
                .last()
                .unwrap_or_default();
            shown.contains("kubectl delete service/nginx") && frames(below).len() > 1
        })
        .await?;
    terminal.press(CTRL_C).await?;
    let shown = terminal.ends(130).await?;
    says(&shown, &["Left alone, not stopped."])?;
    let last = shown
        .rfind(|c: char| frames(&c.to_string()).len() == 1)
        .unwrap_or_default();
    ensure!(
        shown[last..].contains(ERASE),
        "the spinner stays: {:?}",
        &shown[last..]
    );

    // Where nobody looks, each step is a line, and nothing is drawn.
    let alice = Caller::new(&ctx, "alice", &namespace);
    let timed = [&args[..], &["--timeout", "1s"]].concat();
    let (out, err) = alice.ends(&timed, 5).await?;
    let all = format!("{out}{err}");
    ensure!(
        frames(&all).is_empty() && !all.contains(ESCAPE),
        "it draws in a pipe: {all:?}"
    );
    says(&err, &["wait"])
}

async fn colours_are_for_terminals_and_for_those_who_do_not_mind(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("colours").await?;
    let alice = ctx.client("alice").await?;
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let name = plan.name_any();
    let plain = ["explain", name.as_str()];
    let never = [&["--color", "never"], &plain[..]].concat();
    for (args, env, coloured) in [
        (&plain[..], &[] as &[(&str, &str)], true),
        (&plain, &[("NO_COLOR", "1")], false),
        (&plain, &[("NO_COLOR", "0")], false),
        // Set to nothing is not set.
        (&plain, &[("NO_COLOR", "")], true),
        (&plain, &[("TERM", "dumb")], false),
        (&never, &[], false),
    ] {
        let terminal = Terminal::start(&ctx, "alice", &namespace, args, env).await?;
        let shown = terminal.ends(0).await?;
        says(&shown, &["kubectl scale deployment/nginx --replicas=3"])?;
        ensure!(
            shown.contains(ESCAPE) == coloured,
            "{args:?} with {env:?} shows {shown:?}"
        );
    }
    Ok(())
}
