//! The main job from end to end: a sentence becomes an approved, executed, audited change, and is undone.

mod catalogue;
mod changes;
mod creates;
mod decisions;
mod drain;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, ResourceExt};
use kubechat_crds::command_plan::RollbackKind;
use kubechat_crds::{Approval, ChatRequest, CommandPlan, Level, PlanPhase, RequestPhase, Via};
use kubechat_e2e::cluster::{Cluster, Options};
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::product::{self, Product};
use kubechat_e2e::wait::eventually;
use serde_json::Value;
use tempfile::TempDir;

use super::tools::{kubectl_ok, status_of, texts};
use super::turn::{SOON, audit_entries, ended_as, ended_turn, phase, run, says, step_entries, waiting_plan};
use crate::runner::{Test, own, with_product};

const DEMO: &str = "demo";
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/scale/chatrequest.yaml");
const OPERATOR: &str = "system:serviceaccount:kubechat-system:kubechat-operator";

pub(crate) fn tests() -> Vec<Test> {
    [
        own![a_sentence_becomes_an_approved_executed_audited_change_and_is_rolled_back],
        catalogue::tests(),
        changes::tests(),
        creates::tests(),
        decisions::tests(),
        drain::tests(),
    ]
    .concat()
}

async fn a_sentence_becomes_an_approved_executed_audited_change_and_is_rolled_back() -> Result<()> {
    let options = Options {
        audit_log: true,
        ..Options::default()
    };
    with_product(options, product::Options::default(), async |cluster, product| {
        let alice = cluster.client("alice").await?;
        kubectl_ok(cluster, "alice", &["apply", "-f", EXAMPLE], "").await?;
        let turns: Api<ChatRequest> = Api::namespaced(alice.clone(), DEMO);
        let turn = turns.get("scale-nginx").await?;
        let plan = waiting_plan(&alice, &turn).await?;
        shows_the_change(&plan)?;

        let shell = Shell::new(cluster, product)?;
        let waiting = find_message(&turns.get("scale-nginx").await?)?;
        shell.run(ready_command(&waiting)?).await?;
        demo::wait_ready(&alice, DEMO, DEPLOYMENT, 5).await?;
        let plan = ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
        let turn = ended_turn(&alice, &turn).await?;
        ensure!(
            status_of(&turn).phase == Some(RequestPhase::Succeeded),
            "{:?}",
            turn.status
        );
        counted_as_own_confirmation(cluster, &plan).await?;
        done_as_alice(cluster, &plan).await?;
        audited(product, &plan).await?;

        let command = format!(
            "kubectl kubechat rollback {} --yes --context alice",
            plan.name_any()
        );
        let said = shell.run(&command).await?;
        demo::wait_ready(&alice, DEMO, DEPLOYMENT, demo::REPLICAS).await?;
        says(
            &said,
            &[
                "undoes: plan",
                "/spec/replicas",
                "- 5",
                "+ 2",
                "Confirmed as alice",
            ],
        )?;
        undone_by_a_plan_of_its_own(cluster, product, &plan).await
    })
    .await
}

/// Level, diff, rights, what undoes it, and a digest.
fn shows_the_change(plan: &CommandPlan) -> Result<()> {
    let spec = &plan.spec;
    ensure!(
        spec.risk.level == Level::Caution && (25..70).contains(&spec.risk.score),
        "{:?}",
        spec.risk
    );
    let verb = spec.risk.factors.iter().find(|factor| factor.id == "verb");
    ensure!(
        verb.is_some_and(|f| f.weight == 20
            && f.text.contains("adds replicas")
            && f.evidence.contains("nginx")),
        "nothing says why it is that dangerous: {:?}",
        spec.risk.factors
    );
    let [namespace] = spec.facts.namespaces.as_slice() else {
        anyhow::bail!("the namespaces are {:?}", spec.facts.namespaces);
    };
    ensure!(
        namespace.name == DEMO && !namespace.protected && !namespace.labels.is_empty(),
        "{namespace:?}"
    );
    let [step] = spec.steps.as_slice() else {
        anyhow::bail!("{} steps", spec.steps.len());
    };
    let [line] = step.diff.as_slice() else {
        anyhow::bail!("the diff is {:?}", step.diff);
    };
    ensure!(
        line.path == "/spec/replicas"
            && line.before.as_deref() == Some("2")
            && line.after.as_deref() == Some("5"),
        "the diff is {line:?}"
    );
    let [right] = step.access.as_slice() else {
        anyhow::bail!("the rights are {:?}", step.access);
    };
    ensure!(
        right.allowed && right.verb == "patch" && right.resource == "deployments/scale.apps",
        "the right is {right:?}"
    );
    let undo = &step.rollback;
    ensure!(undo.kind == RollbackKind::Inverse, "it is undone by {undo:?}");
    ensure!(
        undo.params.as_ref().and_then(|params| params.replicas) == Some(2),
        "it is undone by {undo:?}"
    );
    let digest = spec.compute_digest()?.to_string();
    ensure!(
        digest == spec.digest,
        "its digest is {}, not {digest}",
        spec.digest
    );
    Ok(())
}

/// The message with which a turn waits for a person.
fn find_message(turn: &ChatRequest) -> Result<String> {
    let conditions = status_of(turn).conditions;
    let waiting = conditions
        .iter()
        .find(|one| one.type_ == "AwaitingApproval" && one.status == "True");
    Ok(waiting
        .with_context(|| format!("it does not wait: {conditions:?}"))?
        .message
        .clone())
}

/// The command that the message holds ready.
fn ready_command(message: &str) -> Result<&str> {
    let at = message
        .find("kubectl create -f -")
        .context("no command is ready")?;
    Ok(&message[at..])
}

/// A shell as alice has it, with kubectl and the plugin.
struct Shell {
    folder: TempDir,
    kubeconfig: std::path::PathBuf,
}

impl Shell {
    fn new(cluster: &Cluster, product: &Product) -> Result<Self> {
        let folder = TempDir::new()?;
        let link = |from: &Path, name: &str| std::os::unix::fs::symlink(from, folder.path().join(name));
        link(&cluster.binaries().kubectl(), "kubectl")?;
        link(product.binary(), "kubectl-kubechat")?;
        Ok(Self {
            folder,
            kubeconfig: cluster.kubeconfig_path(),
        })
    }

    /// Runs a command line, which must succeed, and returns all it printed.
    async fn run(&self, line: &str) -> Result<String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let output = tokio::process::Command::new("/bin/sh")
            .args(["-c", line])
            .env("PATH", format!("{}:{path}", self.folder.path().display()))
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let (out, err) = texts(&output);
        ensure!(output.status.success(), "{line}: {:?}\n{out}{err}", output.status);
        Ok(format!("{out}{err}"))
    }
}

async fn counted_as_own_confirmation(cluster: &Cluster, plan: &CommandPlan) -> Result<()> {
    let approvals: Api<Approval> = Api::namespaced(cluster.client("alice").await?, DEMO);
    let decisions = plan.status.as_ref().and_then(|status| status.approvals.clone());
    let decisions = decisions.context("it counted nothing")?;
    let [one] = decisions.decisions.as_slice() else {
        anyhow::bail!("it counted {:?}", decisions.decisions);
    };
    ensure!(
        one.username == "alice" && one.via == Via::Self_,
        "it counted {one:?}"
    );
    ensure!(decisions.summary == "1/1", "it counted {}", decisions.summary);
    eventually(SOON, "the Approval is accepted", || async {
        let status = approvals.get(&one.name).await?.status.unwrap_or_default();
        let accepted = status
            .conditions
            .iter()
            .any(|c| c.type_ == "Accepted" && c.status == "True");
        ensure!(
            accepted
                && status.effective_approver.as_deref() == Some("alice")
                && status.via == Some(Via::Self_),
            "{status:?}"
        );
        Ok(())
    })
    .await
}

/// One write, by the operator's account acting as alice, which names the plan; and the field manager says so.
async fn done_as_alice(cluster: &Cluster, plan: &CommandPlan) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client("alice").await?, DEMO);
    let nginx = deployments.get(DEPLOYMENT).await?;
    let managed = nginx.managed_fields().iter().any(|entry| {
        entry.manager.as_deref() == Some("kubechat") && entry.subresource.as_deref() == Some("scale")
    });
    ensure!(managed, "the field managers are {:?}", nginx.managed_fields());
    let writes = writes_of_deployments(&cluster.api_audit_log())?;
    let [write] = writes.as_slice() else {
        anyhow::bail!("{} writes: {writes:#?}", writes.len());
    };
    ensure!(
        write["user"]["username"] == OPERATOR,
        "it was sent by {}",
        write["user"]
    );
    let acting = &write["impersonatedUser"];
    ensure!(acting["username"] == "alice", "it was done as {acting}");
    ensure!(
        acting["extra"]["kubechat.io/plan"] == serde_json::json!([plan.spec.digest]),
        "it names the plan {}",
        acting["extra"]
    );
    let groups = acting["groups"].to_string();
    ensure!(
        groups.contains("developers"),
        "it was done with the groups {groups}"
    );
    Ok(())
}

/// Persisted writes on Deployments through KubeChat, from the API server's own audit log.
fn writes_of_deployments(log: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(log)?;
    let events: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let is_write = |event: &Value| {
        event["stage"] == "ResponseComplete"
            && event["objectRef"]["resource"] == "deployments"
            && event["verb"] == "patch"
            && event["user"]["username"]
                .as_str()
                .is_some_and(|user| user.contains("kubechat"))
            && !event["requestURI"]
                .as_str()
                .is_some_and(|uri| uri.contains("dryRun"))
    };
    Ok(events.into_iter().filter(is_write).collect())
}

/// Plan, decision, intent and result stand in the log, and `kubechat audit verify` says that it is whole.
async fn audited(product: &Product, plan: &CommandPlan) -> Result<()> {
    let entries = audit_entries(product).await?;
    let outcomes: Vec<String> = step_entries(&entries, plan)
        .into_iter()
        .map(|(outcome, _)| outcome)
        .collect();
    ensure!(outcomes == ["intent", "success"], "the steps left {outcomes:?}");
    for (kind, outcome) in [
        ("command_generation", "success"),
        ("approval", "success"),
        ("command_execution", "intent"),
    ] {
        let by_alice = entries.iter().any(|entry| {
            entry["eventType"] == kind
                && entry["outcome"] == outcome
                && entry["actor"]["username"] == "alice"
                && entry["ids"]["plan"] == plan.name_any()
        });
        ensure!(by_alice, "there is no {kind} ({outcome}) by alice: {entries:#?}");
    }
    let (db, key) = (product.audit_db().display().to_string(), product.audit_key());
    let key = key.display().to_string();
    let verified = run(product, ["audit", "verify", "--db", &db, "--key", &key]).await?;
    ensure!(verified.status.code() == Some(0), "{:?}", texts(&verified));
    let listed = run(
        product,
        ["audit", "list", "--db", &db, "--plan", &plan.name_any()],
    )
    .await?;
    says(
        &texts(&listed).0,
        &["alice", "scale", "demo/deployment/nginx", "intent", "success"],
    )
}

async fn undone_by_a_plan_of_its_own(
    cluster: &Cluster,
    product: &Product,
    undone: &CommandPlan,
) -> Result<()> {
    let plans: Api<CommandPlan> = Api::namespaced(cluster.client("alice").await?, DEMO);
    let all = plans.list(&kube::api::ListParams::default()).await?.items;
    let undoing = all.iter().find(|plan| {
        plan.spec
            .rollback_of
            .as_ref()
            .is_some_and(|of| of.name == undone.name_any())
    });
    let undoing = undoing.context("no plan undoes it")?;
    ensure!(
        phase(undoing) == Some(PlanPhase::Succeeded),
        "{:?}",
        undoing.status
    );
    let approvals = undoing
        .status
        .as_ref()
        .and_then(|status| status.approvals.clone());
    ensure!(
        approvals.is_some_and(|a| a.summary == "1/1"),
        "it was not approved"
    );
    let entries = audit_entries(product).await?;
    ensure!(
        step_entries(&entries, undoing).len() == 2,
        "it left no intent and result"
    );
    ensure!(
        writes_of_deployments(&cluster.api_audit_log())?.len() == 2,
        "it was not one write"
    );
    Ok(())
}
