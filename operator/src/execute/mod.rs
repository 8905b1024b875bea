//! Executing an approved plan: per step, intent -> sent -> result, as the requester, at most once.
//!
//! **Invariants:** everything is read anew before the first write; the intent is committed to the audit log before anything
//! is sent, and an intent that is there already is never sent again; leadership is checked right before every send; the
//! first failure stops the plan; what cannot be known is Unknown and stays so.

mod brakes;
pub mod effect;
mod ending;
pub mod gather;
pub(crate) mod mark;
mod patience;
mod recover;
mod send;
mod steps;
mod write;

pub(crate) use ending::{abandoned, left_open};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kubechat_audit::{EventType, Outcome};
use kubechat_core::authz;
use kubechat_core::lifecycle::OneShot;
use kubechat_core::lifecycle::brakes::Shown;
use kubechat_core::lifecycle::command_plan::{Ending, Verdict, decide};
use kubechat_core::lifecycle::decisions::united;
use kubechat_core::plan::access_needed;
use kubechat_core::{plan as plans, reason, risk};
use kubechat_crds::command_plan::{Effect, RollbackKind, StepStatus};
use kubechat_crds::condition::is_finished;
use kubechat_crds::{ApprovalSummary, CommandPlan, CommandPlanStatus, PlanPhase, StepState};

use crate::audit::about_plan;
use crate::cluster::access::{Subject, first_refused};
use crate::context::Context;
use crate::error::Error;
use gather::Fresh;

/// What came of trying to execute.
#[derive(Debug)]
pub enum Progress {
    /// Not yet: the approvals (or a policy) do not suffice after all. The verdict and the status to report.
    NotYet(Box<(Verdict, CommandPlanStatus)>),
    /// Approved or under way, but something stands in the way; tried again. The status as far as it is known.
    Held(Box<(Error, CommandPlanStatus)>),
    /// The steps were sent; their effect is waited for.
    Sent(Box<CommandPlanStatus>),
    /// It is finished.
    Finished(Box<CommandPlanStatus>),
    /// It stands between two steps, where nothing is lost: the process was asked to end, or others have their turn.
    Paused,
    /// It is gone, or being deleted: nothing to do, and nobody to report to but the audit log.
    Nothing,
}

/// Begins or goes on with a plan. `ctx` must be of a leader. Returns what came of it and the plan as it stands in the API
/// server, onto whose version that is to be reported; `None` when it had ended before.
///
/// # Errors
/// What is worth trying again; nothing was sent, or its fate is recorded.
pub async fn advance(
    ctx: &Context,
    name: &str,
    namespace: &str,
) -> Result<Option<(Progress, CommandPlan)>, Error> {
    ctx.leadership.check()?;
    ctx.audit.head().await?;
    let _under_way = ctx.past.under_way(namespace, name);
    let fresh = gather::fresh(ctx, name, namespace).await?;
    // The cache that brought us here may be older than the end of the plan.
    let ended = fresh
        .plan
        .status
        .as_ref()
        .is_some_and(|s| is_finished(&s.conditions));
    if ended || fresh.plan.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    let mut run = Run::new(ctx, &fresh);
    let progress = match go_on(&mut run).await {
        // Whoever reports this must not take an older status for what stands there now.
        Err(error) if run.approved || run.begun() => {
            Progress::Held(Box::new((error, std::mem::take(&mut run.status))))
        }
        other => other?,
    };
    Ok(Some((progress, run.stands)))
}

async fn go_on(run: &mut Run<'_>) -> Result<Progress, Error> {
    let (ctx, fresh) = (run.ctx, run.fresh);
    if let Some(finished) = run.recover().await? {
        return Ok(finished);
    }
    if run.all_done() {
        return Ok(Progress::Sent(Box::new(std::mem::take(&mut run.status))));
    }
    if let Err(ending) = integrity(&fresh.plan, &ctx.cluster_uid, ctx.guarded()) {
        return run.conclude(ending).await;
    }
    clock(fresh)?;
    let (verdict, approvals) = decide(&fresh.observed());
    timely(ctx, &verdict).await?;
    run.decided(approvals);
    match verdict {
        Verdict::Go => run.approved = true,
        other => match ending::halting(other.clone()).filter(|_| run.begun()) {
            // A plan under way that may not go on is stopped where it is.
            Some(ending) => return run.conclude(ending).await,
            None => {
                let status = std::mem::take(&mut run.status);
                return Ok(Progress::NotYet(Box::new((other, status))));
            }
        },
    }
    guards(ctx).await?;
    steps::run(run).await
}

/// Fails while this machine's clock is behind what the API server has stamped: then nothing that expires can be judged.
fn clock(fresh: &Fresh) -> Result<(), Error> {
    let plan = fresh.plan.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let decisions = fresh.approvals.iter().map(|a| a.created);
    let written = plan.into_iter().chain(decisions).chain([fresh.stamped]);
    match kubechat_core::clock::behind(fresh.now, written) {
        None => Ok(()),
        Some(gap) => Err(Error::Dependency {
            reason: reason::CLOCK_SKEW,
            message: format!(
                "the operator's clock is {} s behind the API server's, so nothing that expires can be judged and nothing is sent. Set the clock of its machine (NTP)",
                gap.as_secs()
            ),
        }),
    }
}

/// No plan ends by a clock that is not the API server's: an expiry, a freeze and what policies say of the time are believed
/// once admission, which stamps by that clock, has been seen to agree.
async fn timely(ctx: &Context, verdict: &Verdict) -> Result<(), Error> {
    match verdict {
        Verdict::End(Ending {
            reason: reason::EXPIRED | reason::POLICY_DENIED | reason::STALE,
            ..
        }) => ctx.admission.check(ctx).await,
        Verdict::End(_) | Verdict::Go | Verdict::PlanOnly | Verdict::Wait { .. } => Ok(()),
    }
}

/// What must work before anything is sent: the audit log takes entries, admission stamps.
async fn guards(ctx: &Context) -> Result<(), Error> {
    ctx.audit.writable().await?;
    ctx.admission.check(ctx).await
}

/// Whether the plan is what it says it is, and for this installation: digest and judgement derived again.
fn integrity(plan: &CommandPlan, cluster: &str, guarded: risk::Guarded<'_>) -> Result<(), Ending> {
    let broken = |message: &str, next: &str| {
        Err(Ending::new(PlanPhase::Failed, reason::DIGEST_MISMATCH, message).then(next))
    };
    let digest = plan
        .spec
        .compute_digest()
        .map(|d| d.to_string())
        .unwrap_or_default();
    if digest != plan.spec.digest {
        return broken(
            "the plan's content does not have the digest it names",
            "Ask again",
        );
    }
    if plan.spec.cluster_uid != cluster {
        return broken("the plan was made for another cluster", "Ask again here");
    }
    let judged = risk::judge(&plan.spec);
    if judged.level > plan.spec.risk.level || judged.score > plan.spec.risk.score {
        return broken("the plan is more dangerous than it says", "Ask again");
    }
    risk::check_plan(&plan.spec, guarded).map_err(|forbidden| {
        Ending::new(PlanPhase::Failed, reason::FORBIDDEN_CLASS, forbidden.text)
            .then("No policy or approval can allow it")
    })
}

/// One plan being executed.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    ctx: &'a Context,
    fresh: &'a Fresh,
    status: CommandPlanStatus,
    /// The plan as the API server has it: every report goes onto this very version, so that the late one of a leader that
    /// was replaced lands on nothing.
    stands: CommandPlan,
    /// Everything required is there.
    approved: bool,
    /// What the caches have held since everything was read last.
    shown: Shown,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}

impl<'a> Run<'a> {
    fn new(ctx: &'a Context, fresh: &'a Fresh) -> Self {
        let mut status = fresh.plan.status.clone().unwrap_or_default();
        status.observed_generation = fresh.plan.metadata.generation;
        if status.steps.len() != fresh.plan.spec.steps.len() {
            status.steps = fresh
                .plan
                .spec
                .steps
                .iter()
                .map(|s| StepStatus {
                    id: s.id.clone(),
                    ..StepStatus::default()
                })
                .collect();
        }
        // A plan that has not ended skips nothing: whether a step was begun is for the log to say.
        for step in status.steps.iter_mut().filter(|s| s.state == StepState::Skipped) {
            step.state = StepState::Pending;
        }
        Self {
            ctx,
            fresh,
            status,
            stands: fresh.plan.clone(),
            approved: false,
            shown: fresh.shown,
        }
    }

    fn plan(&self) -> &'a CommandPlan {
        &self.fresh.plan
    }

    fn begun(&self) -> bool {
        let untouched = |s: StepState| matches!(s, StepState::Pending | StepState::Skipped);
        self.status.steps.iter().any(|s| !untouched(s.state))
    }

    /// Notes who decided. Those on whose word a plan began stay noted: what they must answer for was done.
    fn decided(&mut self, found: ApprovalSummary) {
        self.status.approvals = Some(if self.begun() {
            united(self.status.approvals.as_ref(), found)
        } else {
            found
        });
    }

    fn is(&self, index: usize, state: StepState) -> bool {
        self.status.steps.get(index).is_some_and(|s| s.state == state)
    }

    fn all_done(&self) -> bool {
        !self.status.steps.is_empty() && self.status.steps.iter().all(|s| s.state == StepState::Done)
    }

    fn step_id(&self, index: usize) -> String {
        let uid = self.plan().metadata.uid.as_deref().unwrap_or_default();
        self.plan()
            .spec
            .steps
            .get(index)
            .map(|s| plans::step_id(uid, index, s))
            .unwrap_or_default()
    }

    /// Adds to the evidence how a target stood before.
    fn was(&mut self, line: &str) {
        let evidence = self.status.evidence.get_or_insert_default();
        let named = effect::lines(&[std::mem::take(&mut evidence.before), line.to_owned()]);
        evidence.before = named.trim_start_matches("; ").to_owned();
    }

    async fn record_result(
        &self,
        index: usize,
        outcome: Outcome,
        reason: &str,
        message: &str,
        last_sent: Option<String>,
    ) -> Result<(), Error> {
        let mut draft = about_plan(
            self.plan(),
            EventType::CommandExecution,
            "execute",
            outcome,
            reason,
        );
        draft.impersonated = true;
        draft.ids.step_id = Some(self.step_id(index));
        draft.message = message.to_owned();
        draft.api_audit_id = last_sent;
        if let Some(step) = self.plan().spec.steps.get(index) {
            draft.verb = step.action.as_str().to_owned();
            draft.target = step.targets.first().map(crate::audit::target);
            if let Some(target) = draft.target.as_mut().filter(|_| step.effect == Effect::Create) {
                target.uid = self.status.steps.get(index).and_then(|s| s.made.clone());
            }
        }
        self.ctx.audit.result(draft).await?;
        Ok(())
    }

    fn set(&mut self, index: usize, state: StepState, reason: Option<&str>, message: &str) {
        let now = Time(Timestamp::now());
        let targets = self.plan().spec.steps.get(index).map_or(0, |s| s.targets.len());
        let Some(step) = self.status.steps.get_mut(index) else {
            return;
        };
        step.state = state;
        step.reason = reason.map(str::to_owned);
        step.excerpt = Some(kubechat_crds::condition::clip(
            kubechat_core::redact::shown(message),
            4000,
        ))
        .filter(|m| !m.is_empty());
        if step.start_time.is_none() {
            step.start_time = Some(now.clone());
        }
        if state == StepState::Done {
            step.done = i32::try_from(targets).unwrap_or(i32::MAX);
        }
        if !matches!(state, StepState::Pending | StepState::Sent) {
            step.end_time = Some(now);
        }
    }

    /// The requester's own rights, asked again.
    async fn rights(&self) -> Result<Option<Ending>, Error> {
        let missing = |message: String| Ending::new(PlanPhase::Failed, reason::FORBIDDEN, message);
        let acting = match authz::acting(&self.plan().spec.requester) {
            Ok(acting) => acting,
            Err(refused) => return Ok(Some(missing(refused.to_string()))),
        };
        let subject = Subject::acting(&acting);
        for step in &self.plan().spec.steps {
            let questions = access_needed(step);
            if let Some(refused) = first_refused(&self.ctx.client, &subject, &questions).await? {
                let message = format!("{} may not {} any more", acting.username, refused.describe());
                let next = "Ask for the right and ask again, or ask somebody who has it";
                return Ok(Some(missing(message).then(next)));
            }
        }
        Ok(None)
    }
}

/// Whether a step changed, or may have changed, something.
#[must_use]
pub fn did_something(step: &StepStatus) -> bool {
    match step.state {
        StepState::Done | StepState::Unknown => true,
        StepState::Failed => step.done > 0,
        StepState::Pending | StepState::Sent | StepState::Skipped => false,
    }
}

/// Whether anything of what was done can be undone.
#[must_use]
pub fn can_be_undone(plan: &CommandPlan, status: &CommandPlanStatus) -> bool {
    let mut steps = plan.spec.steps.iter().zip(&status.steps);
    steps.any(|(step, state)| did_something(state) && step.rollback.kind != RollbackKind::None)
}

/// Puts a plan's status into its final form.
pub fn finish(
    status: &mut CommandPlanStatus,
    plan: &CommandPlan,
    phase: PlanPhase,
    reason: &str,
    message: &str,
) {
    let now = Timestamp::now();
    status.phase = Some(phase);
    status.observed_generation = plan.metadata.generation;
    status.completion_time = Some(Time(now));
    status.rollback_available = can_be_undone(plan, status);
    let succeeded = matches!(phase, PlanPhase::Succeeded | PlanPhase::PlanOnly);
    let mut shot = OneShot {
        conditions: &mut status.conditions,
        generation: plan.metadata.generation,
        now,
    };
    shot.finish(succeeded, reason, message);
}

#[cfg(test)]
mod brakes_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod evict_tests;
#[cfg(test)]
mod expiry_tests;
#[cfg(test)]
mod joined_tests;
#[cfg(test)]
mod judged_tests;
#[cfg(test)]
mod last_look_tests;
#[cfg(test)]
mod made_tests;
#[cfg(test)]
mod protocol_tests;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod refused_tests;
#[cfg(test)]
mod removed_tests;
#[cfg(test)]
mod scale_tests;
#[cfg(test)]
mod stop_tests;
#[cfg(test)]
mod watch_tests;
