//! How an execution ends, in words: what was done, what was not, and what a person does next.

use k8s_openapi::api::core::v1::ObjectReference;
use kubechat_audit::{Draft, EventType, Outcome};
use kubechat_core::lifecycle::command_plan::{Ending, Verdict};
use kubechat_core::{plan as plans, reason};
use kubechat_crds::{CommandPlan, PlanPhase, StepState};
use serde_json::json;

use super::{Progress, Run, can_be_undone, did_something, finish};
use crate::audit::about_plan;
use crate::context::Context;
use crate::controllers::reference;
use crate::error::Error;
use crate::past::Execution;

/// Why a plan under way may not go on, by a verdict that is not Go.
pub(super) fn halting(verdict: Verdict) -> Option<Ending> {
    match verdict {
        Verdict::Go => None,
        // What to approve is of no use to a plan that ends here.
        Verdict::Wait { reason, .. }
            if [reason::AWAITING_APPROVAL, reason::REQUIREMENT_CHANGED].contains(&reason) =>
        {
            let message = "its approvals do not suffice any more (one was taken back or has expired, or a policy asks for more)";
            Some(Ending::new(PlanPhase::Interrupted, reason, message))
        }
        // The policies hold it. One that was not begun would wait; this one does not come back.
        Verdict::Wait { reason, message } => Some(
            Ending::new(PlanPhase::Interrupted, reason, message)
                .then("It is not gone on with: ask again for what is left, once that is mended"),
        ),
        Verdict::End(ending) => Some(ending),
        Verdict::PlanOnly => {
            let message = "the plan is for showing only";
            Some(Ending::new(PlanPhase::Interrupted, reason::PLAN_ONLY, message))
        }
    }
}

impl Run<'_> {
    /// A step that did not get done stops the plan.
    pub(super) async fn stop(
        &mut self,
        index: usize,
        state: StepState,
        message: &str,
    ) -> Result<Progress, Error> {
        let id = self
            .plan()
            .spec
            .steps
            .get(index)
            .map(|s| s.id.clone())
            .unwrap_or_default();
        let (phase, reason) = match self.step_reason(index) {
            _ if state == StepState::Unknown => (PlanPhase::Interrupted, reason::OUTCOME_UNKNOWN),
            reason::INTERRUPTED => (PlanPhase::Interrupted, reason::INTERRUPTED),
            why => (PlanPhase::Failed, why),
        };
        let mut text = format!("step {id} is {state:?}: {message}. {}", self.account());
        if reason == reason::INTERRUPTED && !self.status.steps.iter().any(did_something) {
            let name = self.plan().metadata.name.as_deref().unwrap_or_default();
            text.push_str(&format!(". Ask again: kubechat again {name}"));
        }
        // The step's own result entry tells of it.
        Ok(self.close(phase, reason, &text))
    }

    fn step_reason(&self, index: usize) -> &'static str {
        match self.status.steps.get(index).and_then(|s| s.reason.as_deref()) {
            Some(r) if r == reason::FORBIDDEN => reason::FORBIDDEN,
            Some(r) if r == reason::INTERRUPTED => reason::INTERRUPTED,
            Some(_) | None => reason::STEP_FAILED,
        }
    }

    /// What was done, what was not sent, and how to undo it.
    fn account(&self) -> String {
        let steps = &self.status.steps;
        let is = |state: StepState| steps.iter().filter(move |s| s.state == state);
        let done: Vec<&str> = is(StepState::Done).map(|s| s.id.as_str()).collect();
        let partly = is(StepState::Failed).any(|s| s.done > 0) || is(StepState::Unknown).next().is_some();
        let mut text = if !done.is_empty() {
            format!("Done: {}", done.join(", "))
        } else if partly {
            "No other step was done".to_owned()
        } else {
            "No step was done".to_owned()
        };
        let unsent = is(StepState::Pending).chain(is(StepState::Skipped)).count();
        if unsent > 0 {
            text.push_str(&format!("; {unsent} later step(s) were not sent"));
        }
        if can_be_undone(self.plan(), &self.status) {
            let name = self.plan().metadata.name.as_deref().unwrap_or_default();
            text.push_str(&format!(". Undo what was done: kubechat rollback {name}"));
        } else if steps.iter().any(did_something) {
            text.push_str(". It cannot be undone");
        }
        text
    }

    /// The plan was removed after a step of it was recorded and before anything of that step was sent. The log is all that is
    /// left to tell it to.
    pub(super) async fn removed(&self, index: usize) -> Result<Progress, Error> {
        let message = "the plan was removed, by itself or with its turn, before anything of this step was sent; it was not sent";
        self.record_result(index, Outcome::Failure, reason::PLAN_GONE, message, None)
            .await?;
        abandoned(self.ctx, self.plan()).await?;
        Ok(Progress::Nothing)
    }

    /// The plan was removed between two steps, or before the first one.
    pub(super) async fn left(&self) -> Result<Progress, Error> {
        if self.begun() {
            abandoned(self.ctx, self.plan()).await?;
        }
        Ok(Progress::Nothing)
    }

    /// Ends the plan: as it says where nothing was begun, else as Interrupted and with what was done and how to undo it.
    pub(super) async fn conclude(&mut self, ending: Ending) -> Result<Progress, Error> {
        if self.begun() {
            let text = ending.midway(&self.account());
            return self.end(PlanPhase::Interrupted, ending.reason, &text).await;
        }
        self.end(ending.phase, ending.reason, &ending.unbegun()).await
    }

    /// Ends the plan in this phase, which no result entry tells of: so the log gets one. Steps not begun are Skipped.
    pub(super) async fn end(
        &mut self,
        phase: PlanPhase,
        reason: &'static str,
        message: &str,
    ) -> Result<Progress, Error> {
        let mut draft = about_plan(
            self.plan(),
            EventType::CommandExecution,
            "execute",
            Outcome::Denied,
            reason,
        );
        draft.message = message.to_owned();
        self.ctx.audit.record(draft).await?;
        Ok(self.close(phase, reason, message))
    }

    fn close(&mut self, phase: PlanPhase, reason: &'static str, message: &str) -> Progress {
        for step in &mut self.status.steps {
            if step.state == StepState::Pending {
                step.state = StepState::Skipped;
            }
        }
        let plan = self.plan();
        finish(&mut self.status, plan, phase, reason, message);
        Progress::Finished(Box::new(self.status.clone()))
    }
}

/// Says, once, that a plan is gone whose execution was begun: the log is all that is left to tell it to.
///
/// # Errors
/// When the log does not answer, or this process does not lead any more: worth trying again.
pub(crate) async fn abandoned(ctx: &Context, plan: &CommandPlan) -> Result<(), Error> {
    let uid = plan.metadata.uid.as_deref().unwrap_or_default();
    let name_of = |id: &str| {
        let mut steps = plan.spec.steps.iter().enumerate();
        let step = steps.find(|(index, step)| plans::step_id(uid, *index, step) == id);
        step.map(|(_, step)| step.id.clone())
    };
    let words = |execution: &Execution| {
        let why = reason::PLAN_GONE;
        let mut draft = about_plan(plan, EventType::CommandExecution, "execute", Outcome::Denied, why);
        draft.message = format!(
            "the plan was removed, by itself or with its turn, while it was executed; no further step was sent. {}",
            execution.account(name_of)
        );
        Some(draft)
    };
    part(ctx, uid, reference(plan), words).await
}

/// The same of a plan of which only the log tells, where that tells of no end.
///
/// # Errors
/// As [`abandoned`].
pub(crate) async fn left_open(ctx: &Context, plan: ObjectReference) -> Result<(), Error> {
    let uid = plan.uid.clone().unwrap_or_default();
    let words = |execution: &Execution| {
        let about = execution.about().filter(|_| execution.is_open())?;
        let mut draft = Draft::new(
            EventType::CommandExecution,
            about.actor.clone(),
            "execute",
            Outcome::Denied,
            reason::PLAN_GONE,
        );
        draft.ids = about.ids.clone();
        draft.ids.step_id = None;
        draft.risk.clone_from(&about.risk);
        draft.payload = json!({"removed": true, "unseen": true});
        draft.message = format!(
            "the plan was removed, by itself or with its turn, after its execution had begun and before its end was recorded; no operator saw it go. No further step was sent. {}",
            execution.account(|_| None)
        );
        Some(draft)
    };
    part(ctx, &uid, plan, words).await
}

async fn part(
    ctx: &Context,
    uid: &str,
    plan: ObjectReference,
    words: impl FnOnce(&Execution) -> Option<Draft> + Send,
) -> Result<(), Error> {
    // The next leader finds it in the log.
    ctx.leadership.check()?;
    let Some(message) = ctx.audit.parted(uid, words).await? else {
        return Ok(());
    };
    ctx.metrics.refused("CommandPlan", reason::PLAN_GONE);
    ctx.events.tell(plan, true, reason::PLAN_GONE, &message);
    Ok(())
}
