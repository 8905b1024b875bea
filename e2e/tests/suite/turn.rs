//! What people do with KubeChat, through the API alone: ask, approve, wait for the end; and what the audit log
//! says of it afterwards.

use std::ffi::OsStr;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::condition::{find, is_finished, types};
use kubechat_crds::{
    Approval, ApprovalSpec, ChatRequest, ChatRequestSpec, CommandPlan, DecisionKind, LocalRef, PlanPhase,
    StepState,
};
use kubechat_e2e::product::{Part, Product};
use kubechat_e2e::wait::eventually;
use serde_json::Value;

/// How long something that is not held up may take on a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// How long something may take that waits for another leader, or for an error to be tried again.
pub(crate) const LATER: Duration = Duration::from_secs(90);

/// Asks for something in a namespace.
pub(crate) async fn ask(person: &Client, namespace: &str, prompt: &str) -> Result<ChatRequest> {
    let spec = ChatRequestSpec {
        prompt: prompt.to_owned(),
        ..ChatRequestSpec::default()
    };
    ask_with(person, namespace, spec).await
}

/// Asks with more than a sentence.
pub(crate) async fn ask_with(person: &Client, namespace: &str, spec: ChatRequestSpec) -> Result<ChatRequest> {
    let prompt = spec.prompt.clone();
    let request = ChatRequest {
        metadata: ObjectMeta {
            generate_name: Some("ask-".to_owned()),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    };
    let api: Api<ChatRequest> = Api::namespaced(person.clone(), namespace);
    let made = api.create(&PostParams::default(), &request).await;
    made.with_context(|| format!("{prompt:?} was not taken"))
}

/// The turn's plan, once it waits for approval.
pub(crate) async fn waiting_plan(person: &Client, turn: &ChatRequest) -> Result<CommandPlan> {
    let namespace = turn.namespace().unwrap_or_default();
    let (turns, plans) = (
        Api::<ChatRequest>::namespaced(person.clone(), &namespace),
        Api::<CommandPlan>::namespaced(person.clone(), &namespace),
    );
    let what = format!("{:?} becomes a plan that waits", turn.spec.prompt);
    let waiting = eventually(LATER, &what, || async {
        let status = turns.get(&turn.name_any()).await?.status.unwrap_or_default();
        let Some(plan) = &status.plan_ref else {
            ensure!(is_finished(&status.conditions), "there is no plan yet");
            return Ok(Err(status));
        };
        let plan = plans.get(&plan.name).await?;
        let phase = phase(&plan);
        ensure!(phase == Some(PlanPhase::AwaitingApproval), "it is {phase:?}");
        Ok(Ok(plan))
    })
    .await?;
    waiting.map_err(|status| anyhow!("{:?} became no plan: {:?}", turn.spec.prompt, status.conditions))
}

/// Asks for a change and returns its plan, once it waits.
pub(crate) async fn plan_for(person: &Client, namespace: &str, prompt: &str) -> Result<CommandPlan> {
    waiting_plan(person, &ask(person, namespace, prompt).await?).await
}

/// Decides on a plan.
pub(crate) async fn decide(person: &Client, plan: &CommandPlan, decision: DecisionKind) -> Result<Approval> {
    let approval = Approval {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", plan.name_any())),
            ..ObjectMeta::default()
        },
        spec: ApprovalSpec {
            plan_ref: LocalRef::new(plan.name_any()),
            plan_digest: plan.spec.digest.clone(),
            decision,
            ..ApprovalSpec::default()
        },
        status: None,
    };
    let api: Api<Approval> = Api::namespaced(person.clone(), &plan.namespace().unwrap_or_default());
    Ok(api.create(&PostParams::default(), &approval).await?)
}

/// Approves a plan.
pub(crate) async fn approve(person: &Client, plan: &CommandPlan) -> Result<()> {
    decide(person, plan, DecisionKind::Approve)
        .await
        .with_context(|| format!("the approval of {} was not taken", plan.name_any()))
        .map(drop)
}

/// As many of these people approve as the plan asks for.
pub(crate) async fn approve_as_asked(people: &[&Client], plan: &CommandPlan) -> Result<()> {
    let wanted = plan.spec.requirement.iter().map(|r| r.count).max().unwrap_or(1);
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    ensure!(wanted <= people.len(), "it asks for {wanted} people");
    for person in people.iter().take(wanted) {
        approve(person, plan).await?;
    }
    Ok(())
}

/// The plan as it stands now.
pub(crate) async fn read(person: &Client, plan: &CommandPlan) -> Result<CommandPlan> {
    let api: Api<CommandPlan> = Api::namespaced(person.clone(), &plan.namespace().unwrap_or_default());
    Ok(api.get(&plan.name_any()).await?)
}

/// The plan, once it has ended one way or another.
pub(crate) async fn ended(person: &Client, plan: &CommandPlan) -> Result<CommandPlan> {
    eventually(LATER, &format!("plan {} ends", plan.name_any()), || async {
        let plan = read(person, plan).await?;
        ensure!(is_finished(conditions(&plan)), "it is {:?}", plan.status);
        Ok(plan)
    })
    .await
}

/// The plan, which must have ended in this phase.
pub(crate) async fn ended_as(person: &Client, plan: &CommandPlan, wanted: PlanPhase) -> Result<CommandPlan> {
    let plan = ended(person, plan).await?;
    ensure!(
        phase(&plan) == Some(wanted),
        "it ended as {:?}: {}",
        phase(&plan),
        verdict(&plan).map(|c| c.message.clone())?
    );
    Ok(plan)
}

/// The turn, once it has ended.
pub(crate) async fn ended_turn(person: &Client, turn: &ChatRequest) -> Result<ChatRequest> {
    let api: Api<ChatRequest> = Api::namespaced(person.clone(), &turn.namespace().unwrap_or_default());
    eventually(LATER, &format!("{:?} is answered", turn.spec.prompt), || async {
        let turn = api.get(&turn.name_any()).await?;
        let conditions = turn.status.as_ref().map(|s| s.conditions.clone());
        ensure!(
            is_finished(&conditions.unwrap_or_default()),
            "it is {:?}",
            turn.status
        );
        Ok(turn)
    })
    .await
}

/// The plan, once its `Reconciling` condition has this reason: it is held up.
pub(crate) async fn held_up(person: &Client, plan: &CommandPlan, reason: &str) -> Result<Condition> {
    let what = format!("plan {} says {reason}", plan.name_any());
    eventually(LATER, &what, || async {
        let plan = read(person, plan).await?;
        let found = find(conditions(&plan), types::RECONCILING).cloned();
        let found = found.with_context(|| format!("it is {:?}", plan.status))?;
        ensure!(found.reason == reason, "it says {found:?}");
        Ok(found)
    })
    .await
}

/// Phase of a plan.
pub(crate) fn phase(plan: &CommandPlan) -> Option<PlanPhase> {
    plan.status.as_ref().and_then(|status| status.phase)
}

/// Conditions of a plan.
pub(crate) fn conditions(plan: &CommandPlan) -> &[Condition] {
    plan.status.as_ref().map_or(&[], |status| &status.conditions)
}

/// The condition `Succeeded` of a plan.
pub(crate) fn verdict(plan: &CommandPlan) -> Result<&Condition> {
    find(conditions(plan), types::SUCCEEDED).context("it has no verdict")
}

/// States of a plan's steps.
pub(crate) fn steps(plan: &CommandPlan) -> Vec<StepState> {
    let steps = plan.status.as_ref().map(|status| status.steps.as_slice());
    steps.unwrap_or_default().iter().map(|step| step.state).collect()
}

/// The words of a refusal; fails when there was none.
pub(crate) fn refused<T>(result: Result<T>) -> Result<String> {
    match result {
        Ok(_) => bail!("it was not refused"),
        Err(refusal) => Ok(format!("{refusal:#}")),
    }
}

/// Fails unless the text says each of these.
pub(crate) fn says(text: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(text.contains(word), "{text:?} does not say {word:?}");
    }
    Ok(())
}

/// A metric without labels, from a part's metrics.
pub(crate) async fn metric(product: &Product, part: Part, name: &str) -> Result<f64> {
    let text = product.metrics_text(part).await?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.with_context(|| format!("there is no metric {name}"))?
        .parse()
        .context("it is no number")
}

/// Waits until a part leads.
pub(crate) async fn leads(product: &Product, part: Part) -> Result<()> {
    eventually(LATER, &format!("the {} leads", part.name()), || async {
        ensure!(
            metric(product, part, "kubechat_leader").await? == 1.0,
            "it does not"
        );
        product.wait_ready(part).await
    })
    .await
}

/// Runs the program under test and returns what it printed and how it ended.
pub(crate) async fn run<S: AsRef<OsStr>>(
    product: &Product,
    args: impl IntoIterator<Item = S>,
) -> Result<Output> {
    let mut command = std::process::Command::new(product.binary());
    command.args(args);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    Ok(output)
}

/// Every entry of the audit log, which must verify.
pub(crate) async fn audit_entries(product: &Product) -> Result<Vec<Value>> {
    let (db, key) = (product.audit_db().display().to_string(), product.audit_key());
    let key = key.display().to_string();
    let mut all: Vec<Value> = Vec::new();
    loop {
        let since = (all.len() + 1).to_string();
        let args = [
            "audit",
            "list",
            "--db",
            &db,
            "--key",
            &key,
            "-o",
            "json",
            "--since-seq",
            &since,
        ];
        let output = run(product, args).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!(
                "the log does not verify: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let page: Vec<Value> = serde_json::from_str(&text)?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    let gapless = all.iter().enumerate().all(|(at, entry)| entry["seq"] == at + 1);
    ensure!(gapless, "the log has gaps");
    Ok(all)
}

/// Entries of steps of one plan, as (outcome, step id).
pub(crate) fn step_entries(entries: &[Value], plan: &CommandPlan) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_plan = |entry: &&Value| {
        entry["ids"]["planUid"] == plan.uid().unwrap_or_default().as_str()
            && entry["ids"]["stepId"].is_string()
    };
    let steps = entries.iter().filter(of_plan);
    steps
        .map(|entry| (text(&entry["outcome"]), text(&entry["ids"]["stepId"])))
        .collect()
}
