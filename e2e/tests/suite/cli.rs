//! The program as people and scripts call it: what it prints, and how it ends.

use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use kubechat_crds::{ChatRequest, DecisionKind, PlanPhase, RequestPhase};
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::wait::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::process::Command;

use super::tools::{at, ended_unsent, nginx, status_of, texts};
use super::turn::{LATER, SOON, ask, decide, ended_as, phase, plan_for, read, says, waiting_plan};
use crate::runner::{Ctx, Test, shared};

/// Longest run of a command that waits for the cluster.
const COMMAND: Duration = Duration::from_secs(120);
const ESCAPE: char = '\u{1b}';

pub(crate) fn tests() -> Vec<Test> {
    shared![
        help_of_every_command_says_what_it_takes_and_the_exit_codes_are_documented,
        a_confirmed_change_is_done_and_printed_as_json,
        exit_codes_say_how_it_ended,
        plans_are_listed_explained_approved_denied_and_withdrawn,
        following_a_turn_ends_with_the_turn_and_again_undoes_nothing,
        ctrl_c_leaves_the_turn_as_it_is,
        colours_are_off_for_pipes_and_no_color_and_text_of_others_is_escaped,
        a_wrong_place_or_account_is_named,
    ]
}

/// The program, called as somebody in a namespace.
pub(super) struct Caller<'a> {
    ctx: &'a Ctx,
    account: &'a str,
    namespace: &'a str,
}

impl<'a> Caller<'a> {
    pub(super) fn new(ctx: &'a Ctx, account: &'a str, namespace: &'a str) -> Self {
        Self {
            ctx,
            account,
            namespace,
        }
    }

    async fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(self.ctx.product().await?.binary());
        command
            .arg("--kubeconfig")
            .arg(self.ctx.cluster.kubeconfig_path())
            .args(["--context", self.account, "-n", self.namespace])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_remove("NO_COLOR")
            .kill_on_drop(true);
        Ok(command)
    }

    async fn run(&self, args: &[&str]) -> Result<Output> {
        let output = self.command(args).await?.output();
        let output = tokio::time::timeout(COMMAND, output).await;
        Ok(output.with_context(|| format!("kubechat {} does not end", args.join(" ")))??)
    }

    /// Runs it, expects this exit code, and returns what it printed: (output, errors).
    pub(super) async fn ends(&self, args: &[&str], code: i32) -> Result<(String, String)> {
        let output = self.run(args).await?;
        let (out, err) = texts(&output);
        ensure!(
            output.status.code() == Some(code),
            "{} kubechat {}: {:?} instead of {code}\n{out}{err}",
            self.account,
            args.join(" "),
            output.status
        );
        Ok((out, err))
    }
}

async fn help_of_every_command_says_what_it_takes_and_the_exit_codes_are_documented(
    ctx: Arc<Ctx>,
) -> Result<()> {
    let caller = Caller::new(&ctx, "alice", "demo");
    let (help, _) = caller.ends(&["--help"], 0).await?;
    says(
        &help,
        &[
            "Exit codes:",
            "refused",
            "needs input",
            "130",
            "NO_COLOR",
            "--kubeconfig",
            "--context",
        ],
    )?;
    let commands = [
        "ask",
        "plans",
        "approve",
        "deny",
        "review",
        "cancel",
        "again",
        "watch",
        "rollback",
        "why",
        "explain",
        "audit",
        "policy",
        "completions",
        "crds",
        "manifests",
        "operator",
        "webhook",
    ];
    for name in commands {
        ensure!(
            help.lines()
                .any(|line| line.trim_start().starts_with(&format!("{name} "))),
            "{name} is not listed"
        );
        let (own, _) = caller.ends(&[name, "--help"], 0).await?;
        says(&own, &["Usage:", name, "--kubeconfig"])?;
    }
    let (version, _) = caller.ends(&["--version"], 0).await?;
    says(&version, &["kubechat"])?;
    for shell in ["bash", "zsh", "fish"] {
        let (script, _) = caller.ends(&["completions", shell], 0).await?;
        says(&script, &["rollback"])?;
    }
    let (crds, _) = caller.ends(&["crds"], 0).await?;
    says(
        &crds,
        &["kind: CustomResourceDefinition", "chatrequests.kubechat.io"],
    )
}

async fn a_confirmed_change_is_done_and_printed_as_json(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("cli-ask").await?;
    let alice = Caller::new(&ctx, "alice", &namespace);
    let (out, err) = alice
        .ends(&["ask", "scale nginx to 3 replicas", "--yes", "-o", "json"], 0)
        .await?;
    let turn: ChatRequest = serde_json::from_str(&out).with_context(|| format!("no JSON: {out}"))?;
    ensure!(
        status_of(&turn).phase == Some(RequestPhase::Succeeded),
        "{:?}",
        turn.status
    );
    ensure!(turn.metadata.managed_fields.is_none(), "it prints managedFields");
    says(&err, &["Confirmed as alice"])?;
    demo::wait_ready(&ctx.client("alice").await?, &namespace, DEPLOYMENT, 3).await?;

    let plan = status_of(&turn).plan_ref.context("it has no plan")?.name;
    let (shown, _) = alice.ends(&["rollback", &plan, "--yes"], 0).await?;
    says(
        &shown,
        &[
            "Plan ",
            "caution",
            "3",
            "2",
            "kubectl scale deployment/nginx --replicas=2",
        ],
    )?;
    demo::wait_ready(&ctx.client("alice").await?, &namespace, DEPLOYMENT, 2).await?;

    let (answered, _) = alice
        .ends(&["ask", "how", "many", "pods", "are", "there"], 0)
        .await?;
    says(&answered, &["2 pods"])?;
    let (yaml, _) = alice.ends(&["ask", "list pods", "-o", "yaml"], 0).await?;
    let turn: Value = serde_saphyr::from_str(&yaml)?;
    ensure!(
        turn["kind"] == "ChatRequest" && turn["status"]["answer"]["table"]["total"] == 2,
        "{yaml}"
    );
    Ok(())
}

async fn exit_codes_say_how_it_ended(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("cli-exit").await?;
    let alice = Caller::new(&ctx, "alice", &namespace);
    let dave = Caller::new(&ctx, "dave", &namespace);
    let carol = Caller::new(&ctx, "carol", &namespace);
    let long = "x".repeat(16 * 1024 + 1);
    let cases: [(&Caller<'_>, &[&str], i32, &[&str]); 12] = [
        (&alice, &["ask", "how many pods are there"], 0, &["2 pods"]),
        (
            &alice,
            &["explain", "no-such-plan"],
            1,
            &["no plan or turn no-such-plan", &namespace],
        ),
        (&alice, &["ask"], 2, &["SENTENCE"]),
        (&alice, &["ask", " "], 2, &["the sentence is empty"]),
        (&alice, &["ask", &long], 2, &["16384"]),
        (&alice, &["approve", "Not_A_Name"], 2, &["Not_A_Name"]),
        (&alice, &["frobnicate"], 2, &["frobnicate"]),
        (
            &dave,
            &["ask", "scale nginx to 3 replicas"],
            3,
            &["dave may not patch deployments/scale.apps"],
        ),
        (
            &alice,
            &["ask", "list pods in kube-system"],
            3,
            &["outside the scope"],
        ),
        (
            &carol,
            &["ask", "list pods"],
            3,
            &["you may not create chatrequests", "kubechat-requester"],
        ),
        (&alice, &["ask", "restart ngnix"], 4, &["deployment/nginx"]),
        (
            &alice,
            &["ask", "delete service nginx", "--yes", "--timeout", "3s"],
            5,
            &["watch", "cancel"],
        ),
    ];
    for (caller, args, code, words) in cases {
        let (out, err) = caller.ends(args, code).await?;
        says(&format!("{out}{err}"), words)?;
    }
    // The plan that nobody approved in time waits on; withdrawn, it was not done.
    let client = ctx.client("alice").await?;
    let turns: Api<ChatRequest> = Api::namespaced(client.clone(), &namespace);
    let waiting = turns
        .list(&ListParams::default().fields("status.phase=AwaitingApproval"))
        .await?
        .items;
    let [waiting] = waiting.as_slice() else {
        anyhow::bail!("{} turns wait", waiting.len());
    };
    alice.ends(&["cancel", &waiting.name_any()], 0).await?;
    let (out, err) = alice.ends(&["watch", &waiting.name_any()], 6).await?;
    says(&format!("{out}{err}"), &["Cancelled"])?;
    let (_, err) = alice.ends(&["cancel", &waiting.name_any()], 1).await?;
    says(&err, &["finished already"])?;
    let (out, _) = alice
        .ends(&["ask", "delete service nginx", "--no-wait"], 0)
        .await?;
    says(&out, &["destructive"])
}

async fn plans_are_listed_explained_approved_denied_and_withdrawn(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("cli-plans").await?;
    let client = ctx.client("alice").await?;
    let (alice, bob) = (
        Caller::new(&ctx, "alice", &namespace),
        Caller::new(&ctx, "bob", &namespace),
    );
    let (none, _) = bob.ends(&["plans"], 0).await?;
    says(&none, &["There are no plans"])?;

    let delete = plan_for(&client, &namespace, "delete service nginx").await?;
    let scale = plan_for(&client, &namespace, "scale nginx to 4 replicas").await?;
    let (delete_name, scale_name) = (delete.name_any(), scale.name_any());
    let (listed, _) = bob.ends(&["plans"], 0).await?;
    let judged = [&delete, &scale].map(|p| format!("{} {}", p.spec.risk.level, p.spec.risk.score));
    // The baseline asks for a second person where the score is high.
    let wanted = delete.spec.requirement.iter().map(|r| r.count).max().unwrap_or(0);
    let none_of = format!("0/{wanted}");
    for words in [
        [
            delete_name.as_str(),
            "AwaitingApproval",
            &judged[0],
            &none_of,
            "alice",
            "kubectl delete service/nginx",
        ],
        [
            &scale_name,
            "AwaitingApproval",
            &judged[1],
            "0/1",
            "alice",
            "kubectl scale deployment/nginx --replicas=4",
        ],
    ] {
        let line = listed.lines().find(|line| line.starts_with(words[0]));
        says(
            line.with_context(|| format!("{} is not listed:\n{listed}", words[0]))?,
            &words,
        )?;
    }
    let (json, _) = bob.ends(&["plans", "-o", "json"], 0).await?;
    let json: Value = serde_json::from_str(&json)?;
    ensure!(
        json["kind"] == "List" && json["items"].as_array().map(Vec::len) == Some(2),
        "{json}"
    );

    let (explained, _) = bob.ends(&["explain", &scale_name], 0).await?;
    says(
        &explained,
        &[
            "asked by: alice",
            "scale nginx to 4 replicas",
            "caution",
            "2",
            "4",
            "patch deployments/scale.apps",
            "kind: Approval",
        ],
    )?;
    // Without a terminal nothing is approved by accident, and nothing by those who may not.
    let (_, err) = bob.ends(&["approve", &delete_name], 2).await?;
    says(&err, &["nothing was approved", "--yes"])?;
    let (_, err) = alice.ends(&["approve", &delete_name, "--yes"], 3).await?;
    says(&err, &["the requester cannot approve this plan himself"])?;
    ensure!(phase(&read(&client, &delete).await?) == Some(PlanPhase::AwaitingApproval));

    let (approved, _) = bob
        .ends(
            &[
                "approve",
                &delete_name,
                "--yes",
                "--reason",
                "agreed",
                "--ticket",
                "CHG-7",
            ],
            0,
        )
        .await?;
    says(&approved, &["Approved", &delete_name, "watch"])?;
    if wanted > 1 {
        decide(&ctx.client("carol").await?, &delete, DecisionKind::Approve).await?;
    }
    ended_as(&client, &delete, PlanPhase::Succeeded).await?;
    let (denied, _) = bob
        .ends(&["deny", &scale_name, "--reason", "not today"], 0)
        .await?;
    says(&denied, &["Denied"])?;
    ended_unsent(&client, &scale, PlanPhase::Denied).await?;
    let (explained, _) = alice.ends(&["explain", &scale_name], 0).await?;
    says(&explained, &["bob denied it: not today"])?;
    let (_, err) = bob.ends(&["approve", &scale_name, "--yes"], 1).await?;
    says(&err, &["takes no decision", "Denied"])?;
    let (left, _) = bob.ends(&["plans"], 0).await?;
    says(&left, &["No plan waits or runs", "2 finished"])?;
    let (all, _) = bob.ends(&["plans", "--all", "-A"], 0).await?;
    says(
        &all,
        &[&namespace, &scale_name, "Denied", &delete_name, "Succeeded"],
    )
}

async fn following_a_turn_ends_with_the_turn_and_again_undoes_nothing(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("cli-watch").await?;
    let (client, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let alice = Caller::new(&ctx, "alice", &namespace);
    let plan = plan_for(&client, &namespace, "scale nginx to 4 replicas").await?;
    let name = plan.name_any();
    let args = ["watch", &name];
    let watch = alice.ends(&args, 0);
    let approve = async {
        decide(&bob, &plan, DecisionKind::Approve).await?;
        ended_as(&client, &plan, PlanPhase::Succeeded).await
    };
    let ((out, err), _) = tokio::try_join!(watch, approve)?;
    says(
        &format!("{out}{err}"),
        &["kubectl scale deployment/nginx --replicas=4", "rollback"],
    )?;
    // The same again is nothing new.
    let (out, _) = alice.ends(&["again", &name], 0).await?;
    says(&out, &["has 4 replicas already", "nothing was changed"])?;
    let (_, err) = alice.ends(&["rollback", "no-such-plan"], 1).await?;
    says(&err, &["no plan or turn no-such-plan"])?;
    let (out, _) = alice.ends(&["rollback", &name, "--plan-only"], 0).await?;
    says(&out, &["--replicas=2"])?;
    ensure!(
        at(&nginx(&client, &namespace).await?, "/spec/replicas") == 4,
        "a plan to show was executed"
    );
    Ok(())
}

async fn ctrl_c_leaves_the_turn_as_it_is(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("cli-stop").await?;
    let client = ctx.client("alice").await?;
    let alice = Caller::new(&ctx, "alice", &namespace);
    let child = alice.command(&["ask", "delete service nginx"]).await?.spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id().context("it has ended")?)?);
    let turns: Api<ChatRequest> = Api::namespaced(client.clone(), &namespace);
    let turn = eventually(LATER, "the turn is made", || async {
        turns
            .list(&ListParams::default())
            .await?
            .items
            .pop()
            .context("there is none")
    })
    .await?;
    let plan = waiting_plan(&client, &turn).await?;
    kill(pid, Signal::SIGINT)?;
    let output = tokio::time::timeout(SOON, child.wait_with_output())
        .await
        .context("it does not end")??;
    let (out, err) = texts(&output);
    ensure!(
        output.status.code() == Some(130),
        "{:?}\n{out}{err}",
        output.status
    );
    says(
        &format!("{out}{err}"),
        &["Left alone, not stopped", "watch", "cancel"],
    )?;
    ensure!(
        phase(&read(&client, &plan).await?) == Some(PlanPhase::AwaitingApproval),
        "the plan was touched"
    );
    ensure!(
        !turns.get(&turn.name_any()).await?.spec.cancel,
        "the turn was withdrawn"
    );
    Ok(())
}

async fn colours_are_off_for_pipes_and_no_color_and_text_of_others_is_escaped(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("cli-color").await?;
    let client = ctx.client("alice").await?;
    let alice = Caller::new(&ctx, "alice", &namespace);
    let plan = plan_for(&client, &namespace, "scale nginx to 4 replicas")
        .await?
        .name_any();
    let (plain, _) = alice.ends(&["explain", &plan], 0).await?;
    ensure!(!plain.contains(ESCAPE), "colours in a pipe: {plain:?}");
    let (never, _) = alice.ends(&["--color", "never", "explain", &plan], 0).await?;
    ensure!(!never.contains(ESCAPE), "colours although never: {never:?}");
    let (always, _) = alice.ends(&["--color", "always", "explain", &plan], 0).await?;
    ensure!(always.contains(ESCAPE), "no colours although always: {always:?}");
    let mut quiet = alice.command(&["explain", &plan]).await?;
    let (quiet, _) = texts(&quiet.env("NO_COLOR", "1").output().await?);
    // All but the time that is left.
    let lines = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("expires:"));
        lines.map(str::to_owned).collect()
    };
    ensure!(
        lines(&quiet) == lines(&plain),
        "NO_COLOR changes more than colours:\n{quiet}\n{plain}"
    );
    let errors = alice.run(&["--color", "never", "explain", "nothing"]).await?;
    ensure!(!texts(&errors).1.contains(ESCAPE));

    // A bidirectional override and a C1 control pass admission as text, and must not reach a terminal.
    let turn = ask(&client, &namespace, "frobnicate \u{202e}xnign\u{9b}2J").await?;
    super::turn::ended_turn(&client, &turn).await?;
    let (shown, _) = alice.ends(&["explain", &turn.name_any()], 0).await?;
    ensure!(!shown.contains(['\u{202e}', '\u{9b}']), "not escaped: {shown:?}");
    Ok(())
}

async fn a_wrong_place_or_account_is_named(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let nobody = Caller::new(&ctx, "nobody", "demo");
    let (_, err) = nobody.ends(&["plans"], 1).await?;
    says(&err, &["nobody", "--context"])?;
    let run = async |args: &[&str]| {
        let output = Command::new(product.binary())
            .args(args)
            .stdin(Stdio::null())
            .output()
            .await?;
        anyhow::Ok((output.status.code(), texts(&output).1))
    };
    let (code, err) = run(&["plans", "--kubeconfig", "no-such-file"]).await?;
    ensure!(code == Some(1), "{code:?}: {err}");
    says(&err, &["no-such-file", "--kubeconfig"])?;
    let (code, err) = run(&["audit", "verify", "--db", "no-such-file"]).await?;
    ensure!(code == Some(2), "{code:?}: {err}");
    says(&err, &["--key"])?;
    let missing = Caller::new(&ctx, "alice", "no-such-namespace");
    let (out, err) = missing.ends(&["plans"], 3).await?;
    says(&format!("{out}{err}"), &["no-such-namespace"])
}
