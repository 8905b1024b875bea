//! The steps of one plan, in order.

use std::collections::BTreeSet;
use std::time::Instant;

use kube::{Api, Client};
use kubechat_audit::{EventType, IntentOutcome, Outcome};
use kubechat_core::backoff::Class;
use kubechat_core::{authz, plan as plans, reason};
use kubechat_crds::{CommandPlan, PlanPhase, Step, StepState};
use serde_json::{Value, json};

use super::brakes::Brakes;
use super::send::{self, Sent};
use super::{Progress, Run, ending, gather, mark};
use crate::audit::{PLAN_NAMESPACE, STEP, STEPS_TOTAL, TARGETS_TOTAL, about_plan};
use crate::cluster::client::call;
use crate::compile::blast::{self, Unfit};
use crate::compile::records;
use crate::controllers::status::{self, Written};
use crate::error::Error;
use crate::failpoint::{self, Point};
use kubechat_core::lifecycle::OneShot;
use kubechat_core::lifecycle::brakes::Shown;
use kubechat_core::lifecycle::command_plan::{Ending, Verdict, decide};

/// How old what was read may be when the first step is sent.
const FRESH_FOR: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

/// Targets of a step that its entry in the log names, and how many bytes they may take: with more, nothing of what stands
/// beside the entry would be kept. It counts them all.
const MAX_LISTED: usize = 100;
const MAX_LISTED_BYTES: usize = 10 * 1024;

/// Sends what has not been sent.
pub(super) async fn run(run: &mut Run<'_>) -> Result<Progress, Error> {
    let plan = run.plan();
    if let Some(missing) = run.rights().await? {
        return run.conclude(missing).await;
    }
    let acting = match authz::acting(&plan.spec.requester) {
        Ok(acting) => acting,
        Err(refused) => {
            return refuse(run, reason::REFUSED_IDENTITY, refused.to_string()).await;
        }
    };
    let person = match run.ctx.people.writer(&acting, &plan.spec.digest).await {
        Ok(person) => person,
        Err(Error::Identity(why)) => return refuse(run, reason::FORBIDDEN, why).await,
        Err(error) => return Err(error),
    };
    // Of a plan under way this is asked before its next step.
    if !run.begun()
        && let Some(changed) = gather::namespaces::outgrown(run.ctx, run.fresh).await?
    {
        return stale(run, &changed).await;
    }
    // Nothing is sent while any target of any step is not as it was planned. One step alone is checked where it is sent.
    if plan.spec.steps.len() > 1 {
        for (index, step) in plan
            .spec
            .steps
            .iter()
            .enumerate()
            .filter(|(i, _)| run.is(*i, StepState::Pending))
        {
            if run.ctx.pace.stopping() {
                return Ok(pause(run).await);
            }
            if let Err(changed) = send::check(&person, step, &touched_before(plan, index)).await? {
                return stale(run, &changed).await;
            }
        }
    }
    // Without a policy to judge by it was not let go.
    if !run.begun()
        && let Ok(policies) = &run.fresh.policies
        && let Some(grown) = blast::outgrown(run.ctx, &person, plan, policies, run.fresh.now).await?
    {
        return match grown {
            Unfit::Changed(changed) => stale(run, &changed).await,
            Unfit::Refused(why) => unfit(run, why).await,
        };
    }
    let (began, mut moved) = (Instant::now(), false);
    for index in 0..plan.spec.steps.len() {
        if run.is(index, StepState::Done) {
            continue;
        }
        if !run.is(index, StepState::Pending) {
            // Whatever it is, it is not to be sent; a finished plan is never gone on with.
            return Ok(Progress::Nothing);
        }
        // Where a step was done, so that a plan always gets on.
        if run.ctx.pace.stopping() || moved && run.ctx.pace.spent(began) {
            return Ok(pause(run).await);
        }
        if let Some(ended) = one(run, &person, index).await? {
            return Ok(ended);
        }
        moved = true;
    }
    Ok(Progress::Sent(Box::new(std::mem::take(&mut run.status))))
}

async fn stale(run: &mut Run<'_>, changed: &str) -> Result<Progress, Error> {
    unfit(run, format!("{changed}, so it is not what was approved")).await
}

async fn unfit(run: &mut Run<'_>, message: String) -> Result<Progress, Error> {
    let name = run.plan().metadata.name.clone().unwrap_or_default();
    let ending = Ending::new(PlanPhase::Stale, reason::STALE, message);
    run.conclude(ending.then(format!("Ask again: kubechat again {name}")))
        .await
}

async fn refuse(run: &mut Run<'_>, reason: &'static str, why: String) -> Result<Progress, Error> {
    run.conclude(Ending::new(PlanPhase::Failed, reason, why)).await
}

/// Leaves the plan where nothing is lost: no step is under way, and the next look goes on with the next one.
async fn pause(run: &mut Run<'_>) -> Progress {
    if run.begun() {
        let all = run.status.steps.len();
        let done = (0..all).filter(|i| run.is(*i, StepState::Done)).count();
        let message = format!("{done} of {all} step(s) are done; it goes on by itself");
        // The next look finds in the log what was done.
        if let Err(problem) = report(run, reason::EXECUTING, &message).await {
            tracing::warn!(%problem, "progress was not reported");
        }
    }
    Progress::Paused
}

/// Targets that an earlier step of the plan changes: their own precondition is void by design.
fn touched_before(plan: &CommandPlan, index: usize) -> BTreeSet<mark::Key> {
    plan.spec
        .steps
        .iter()
        .take(index)
        .flat_map(|s| s.targets.iter().map(mark::key))
        .collect()
}

/// Right before a step is sent: kill switch, cancel, decisions and policies once more. What was read a moment ago is not
/// read again.
async fn may_go_on(run: &mut Run<'_>, index: usize) -> Result<Option<Progress>, Error> {
    let age = jiff::Timestamp::now().duration_since(run.fresh.now);
    if index == 0 && age < FRESH_FOR {
        return Ok(None);
    }
    let plan = run.plan();
    let name = plan.metadata.name.as_deref().unwrap_or_default();
    let namespace = plan.metadata.namespace.as_deref().unwrap_or_default();
    let fresh = match gather::fresh(run.ctx, name, namespace).await {
        Err(error) if error.is_not_found() => return run.left().await.map(Some),
        fresh => fresh?,
    };
    if fresh.plan.metadata.uid != plan.metadata.uid || fresh.plan.metadata.deletion_timestamp.is_some() {
        return run.left().await.map(Some);
    }
    run.shown = fresh.shown;
    super::clock(&fresh)?;
    let (verdict, approvals) = decide(&fresh.observed());
    super::timely(run.ctx, &verdict).await?;
    run.decided(approvals);
    if verdict != Verdict::Go && !run.begun() {
        return Ok(Some(Progress::NotYet(Box::new((verdict, run.status.clone())))));
    }
    if let Some(ending) = ending::halting(verdict) {
        return run.conclude(ending).await.map(Some);
    }
    if let Some(changed) = gather::namespaces::outgrown(run.ctx, &fresh).await? {
        return stale(run, &changed).await.map(Some);
    }
    // What a namespace holds that goes with this step may have come since the first one.
    let steps = plan.spec.steps.get(index..=index).unwrap_or_default();
    match records::forbidden(run.ctx, steps, namespace).await? {
        None => Ok(None),
        Some(forbidden) => unfit(run, forbidden.text).await.map(Some),
    }
}

/// One step: dry-run, intent, status, send, result. `Some` when the plan ends here.
async fn one(run: &mut Run<'_>, person: &Client, index: usize) -> Result<Option<Progress>, Error> {
    let plan = run.plan();
    let Some(step) = plan.spec.steps.get(index) else {
        return Ok(None);
    };
    let body = match body(run, step).await? {
        Ok(body) => body,
        Err(why) => return refuse(run, reason::INVALID, why).await.map(Some),
    };
    let step_id = run.step_id(index);
    let brakes = Brakes::new(run.ctx, plan);
    let sender = send::Sender::new(
        person,
        step,
        body,
        step_id.clone(),
        touched_before(plan, index),
        brakes,
    );
    let writes = match sender.prepare().await? {
        Ok(writes) => writes,
        Err(send::NotReady::Changed(changed)) => return stale(run, &changed).await.map(Some),
        Err(send::NotReady::Refused { reason, message }) => {
            let text = format!(
                "the API server refused step {} before anything of it was sent: {message}",
                step.id
            );
            refuse(run, reason, text).await?;
            // Only now: where the log could not take it, the plan goes on, and a step of it that is skipped never would.
            run.set(index, StepState::Skipped, Some(reason), &message);
            return Ok(Some(Progress::Finished(Box::new(run.status.clone()))));
        }
        Err(send::NotReady::Stopping) => return Ok(Some(pause(run).await)),
    };
    if let Some(stopped) = may_go_on(run, index).await? {
        return Ok(Some(stopped));
    }
    let draft = intent(run, step, index);
    failpoint::at(Point::BeforeIntent).await;
    run.ctx.leadership.check()?;
    if run.ctx.pace.stopping() {
        return Ok(Some(pause(run).await));
    }
    // The caches may be ahead of what was read, or behind it: who waits a moment reads which.
    if let Some(why) = brakes.pulled_by_somebody(&mut run.shown) {
        return Err(Error::Unsettled(format!(
            "what the operator was last told of the cluster ({why}) is not what it read from the API server. Nothing of this step is sent while the two differ"
        )));
    }
    let seq = match run.ctx.audit.intent(draft, &step_id).await? {
        IntentOutcome::Recorded { seq } => seq,
        // Somebody was here before: never sent twice. The next reconcile settles it from the log.
        IntentOutcome::AlreadyThere { .. } => return Err(Error::NotLeader),
    };
    // From here on it counts, whatever its status gets to say before somebody removes it.
    run.ctx.past.begun(plan, jiff::Timestamp::now());
    failpoint::at(Point::AfterIntent).await;
    // After the intent, which comes once: a step that is tried again is told of once.
    for write in &writes {
        run.was(write.was());
    }
    run.set(index, StepState::Sent, None, "");
    if let Some(status) = run.status.steps.get_mut(index) {
        status.audit_seq = i64::try_from(seq).ok();
    }
    let progress = format!("sending step {} of {}", index + 1, plan.spec.steps.len());
    // The log is the authority: a report that fails does not keep a recorded step from being sent. One that finds no plan
    // any more does: nobody could stop, see or undo what it does.
    let reported = report(run, reason::EXECUTING, &progress).await;
    let shown = match standing(run, reported).await {
        Standing::Gone => return run.removed(index).await.map(Some),
        Standing::There => run.shown,
        Standing::Unsure => Shown::ALL,
    };
    failpoint::at(Point::AfterReport).await;
    run.ctx.metrics.steps_sent.inc();
    let mut last_sent = None;
    let sent = sender.send(writes, shown, &mut last_sent).await;
    failpoint::at(Point::BeforeResult).await;
    settle(run, index, sent, last_sent).await
}

/// Whether the plan is there, by what became of a report on it.
enum Standing {
    /// It is.
    There,
    /// It was removed, or is on its way out.
    Gone,
    /// The API server did not say.
    Unsure,
}

async fn standing(run: &Run<'_>, reported: Result<Written, Error>) -> Standing {
    let problem = match reported {
        Ok(Written::Gone) => return Standing::Gone,
        Ok(Written::Stands(_) | Written::Unchanged) => return Standing::There,
        Err(problem) => problem,
    };
    tracing::warn!(%problem, "progress was not reported");
    if problem.class() != Class::Conflict {
        return Standing::Unsure;
    }
    // Somebody wrote to it, or it is another one, or on its way out.
    let metadata = &run.plan().metadata;
    let (name, namespace) = (metadata.name.as_deref(), metadata.namespace.as_deref());
    let api: Api<CommandPlan> = Api::namespaced(run.ctx.client.clone(), namespace.unwrap_or_default());
    match call("read the plan", api.get_metadata(name.unwrap_or_default())).await {
        Ok(now) if now.metadata.uid == metadata.uid && now.metadata.deletion_timestamp.is_none() => {
            Standing::There
        }
        Ok(_) => Standing::Gone,
        Err(error) if error.is_not_found() => Standing::Gone,
        Err(_) => Standing::Unsure,
    }
}

/// Records what came of a sent step, first in the log, then in the status.
async fn settle(
    run: &mut Run<'_>,
    index: usize,
    sent: Sent,
    last_sent: Option<String>,
) -> Result<Option<Progress>, Error> {
    let (state, outcome, why, message) = match sent {
        Sent::Done { made } => {
            if let Some(status) = run.status.steps.get_mut(index) {
                status.made = made;
            }
            (StepState::Done, Outcome::Success, reason::EXECUTED, String::new())
        }
        Sent::Failed {
            reason,
            message,
            done,
            failed,
        } => {
            if let Some(status) = run.status.steps.get_mut(index) {
                status.done = done;
                status.failed = failed;
            }
            (StepState::Failed, Outcome::Failure, reason, message)
        }
        Sent::Unknown {
            message,
            done,
            failed,
        } => {
            if let Some(status) = run.status.steps.get_mut(index) {
                status.done = done;
                status.failed = failed;
            }
            (
                StepState::Unknown,
                Outcome::Unknown,
                reason::OUTCOME_UNKNOWN,
                message,
            )
        }
    };
    run.record_result(index, outcome, why, &message, last_sent)
        .await?;
    failpoint::at(Point::AfterResult).await;
    run.set(
        index,
        state,
        Some(why).filter(|_| state != StepState::Done),
        &message,
    );
    if state == StepState::Done {
        Ok(None)
    } else {
        run.stop(index, state, &message).await.map(Some)
    }
}

/// What is sent: the patch or manifest in full, from the plan or from the audit database.
async fn body(run: &Run<'_>, step: &Step) -> Result<Result<Option<String>, String>, Error> {
    let inline = step.patch.clone().or_else(|| step.manifest.clone());
    let Some(digest) = &step.manifest_digest else {
        return Ok(Ok(inline));
    };
    let uid = &run.plan().spec.chat_request_ref.uid;
    Ok(match run.ctx.audit.kept(uid, digest).await? {
        Some(bytes) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| "the kept bytes are no text; nothing was sent".to_owned()),
        None => Err(format!(
            "the bytes of step {} ({digest}) are no longer kept, or are not those that were approved; nothing of it was sent",
            step.id
        )),
    })
}

fn intent(run: &Run<'_>, step: &Step, index: usize) -> kubechat_audit::Draft {
    let plan = run.plan();
    let mut draft = about_plan(
        plan,
        EventType::CommandExecution,
        step.action.as_str(),
        Outcome::Intent,
        reason::EXECUTING,
    );
    draft.impersonated = true;
    draft.target = step.targets.first().map(crate::audit::target);
    draft.message = step.command.clone();
    let decisions: Vec<Value> = run
        .status
        .approvals
        .iter()
        .flat_map(|a| &a.decisions)
        .map(|d| json!({"approval": d.name, "by": d.username, "via": d.via, "decision": d.decision}))
        .collect();
    draft.payload = json!({
        "digest": plan.spec.digest,
        STEP: step.id,
        "index": index,
        "stepId": plans::step_id(plan.metadata.uid.as_deref().unwrap_or_default(), index, step),
        "targets": listed(step),
        TARGETS_TOTAL: step.targets.len(),
        STEPS_TOTAL: plan.spec.steps.len(),
        PLAN_NAMESPACE: plan.metadata.namespace,
        "approvals": decisions,
    });
    draft
}

/// Targets of a step as its entry names them, as many as there is room for.
fn listed(step: &Step) -> Vec<Value> {
    let mut bytes = 0;
    let named = step
        .targets
        .iter()
        .map(|t| json!({"kind": t.kind, "namespace": t.namespace, "name": t.name, "uid": t.uid}));
    let has_room = |target: &Value| {
        bytes += target.to_string().len();
        bytes <= MAX_LISTED_BYTES
    };
    named.take(MAX_LISTED).take_while(has_room).collect()
}

/// Reports progress before something is sent.
async fn report(run: &mut Run<'_>, why: &str, message: &str) -> Result<Written, Error> {
    let plan = run.plan();
    run.status.phase = Some(PlanPhase::Executing);
    if run.status.start_time.is_none() {
        run.status.start_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            jiff::Timestamp::now(),
        ));
    }
    let mut shot = OneShot {
        conditions: &mut run.status.conditions,
        generation: plan.metadata.generation,
        now: jiff::Timestamp::now(),
    };
    shot.working(why, message);
    let stands = run.stands.status.as_ref();
    let written = status::write_onto(run.ctx, &run.stands, stands, &run.status).await?;
    if let Written::Stands(Some(version)) = &written {
        run.stands.metadata.resource_version = Some(version.clone());
        run.stands.status = Some(run.status.clone());
    }
    Ok(written)
}
