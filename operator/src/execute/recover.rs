//! What became of steps that were begun before: settled from the audit log, else by the mark on the object, else Unknown.
//!
//! **Invariant:** nothing here sends anything, and whatever comes out, a step that was begun is never sent again.

use kubechat_audit::{EventType, Outcome};
use kubechat_core::{authz, reason};
use kubechat_crds::{PlanPhase, StepState};

use super::{Progress, Run, mark};
use crate::audit::about_plan;
use crate::error::Error;

impl Run<'_> {
    /// Looks at what the audit log knows of each step: a recorded intent is never sent again.
    pub(super) async fn recover(&mut self) -> Result<Option<Progress>, Error> {
        let mut forgotten = false;
        for index in 0..self.plan().spec.steps.len() {
            let Some(state) = self.status.steps.get(index).map(|s| s.state) else {
                continue;
            };
            match state {
                StepState::Done | StepState::Skipped | StepState::RolledBack => continue,
                StepState::Failed | StepState::Unknown => {
                    let message = self
                        .status
                        .steps
                        .get(index)
                        .and_then(|s| s.excerpt.clone())
                        .unwrap_or_default();
                    return self.stop(index, state, &message).await.map(Some);
                }
                StepState::Pending | StepState::IntentRecorded | StepState::Sent => {}
            }
            let Some(record) = self.ctx.audit.known(&self.step_id(index)).await? else {
                if state == StepState::Pending {
                    continue;
                }
                return self.lost(index).await.map(Some);
            };
            forgotten |= state == StepState::Pending;
            let seq = record.seq;
            let (state, message) = match record.result {
                Some(result) => {
                    let state = settled(result.outcome);
                    if state != StepState::Done {
                        // What was done of many targets is what can be undone.
                        self.count(index).await?;
                    }
                    (state, result.message.clone())
                }
                None => self.settle_by_trace(index).await?,
            };
            self.set(
                index,
                state,
                Some(reason_of(state)).filter(|_| state != StepState::Done),
                &message,
            );
            if let Some(step) = self.status.steps.get_mut(index) {
                step.audit_seq = i64::try_from(seq).ok();
            }
            if state != StepState::Done {
                return self.stop(index, state, &message).await.map(Some);
            }
        }
        if forgotten {
            // The log knows of a step that the cluster has forgotten: its state was put back from a backup.
            let name = self.plan().metadata.name.clone().unwrap_or_default();
            let message = format!(
                "the audit log holds this plan's execution, but the cluster does not know of it (was it restored from a backup?). It is not executed again. Look at the objects and ask anew: kubechat again {name}"
            );
            return self
                .end(PlanPhase::Interrupted, reason::INTERRUPTED, &message)
                .await
                .map(Some);
        }
        Ok(None)
    }

    /// A step that was begun by its status, but not by the audit log: the lock on it is gone, so it is not sent.
    async fn lost(&mut self, index: usize) -> Result<Progress, Error> {
        let message = "the step was sent, but the audit log does not know of it (was the log put back from an older copy?), so whether it happened cannot be known. It is not sent again; look at the object, then roll back or ask again";
        let mut draft = about_plan(
            self.plan(),
            EventType::CommandExecution,
            "execute",
            Outcome::Unknown,
            reason::OUTCOME_UNKNOWN,
        );
        draft.message = message.to_owned();
        self.ctx.audit.record(draft).await?;
        self.set(index, StepState::Unknown, Some(reason::OUTCOME_UNKNOWN), message);
        self.stop(index, StepState::Unknown, message).await
    }

    /// Targets of a step that do not bear its mark, noted in its status.
    async fn count(&mut self, index: usize) -> Result<Vec<String>, Error> {
        let plan = self.plan();
        let Some(step) = plan.spec.steps.get(index) else {
            return Ok(vec![]);
        };
        let acting = authz::acting(&plan.spec.requester).map_err(|e| Error::Identity(e.to_string()))?;
        let step_id = self.step_id(index);
        let lost = match self.ctx.people.reader(&acting).await {
            Ok(person) => mark::untraced(person, step, &step_id).await?,
            // Nobody can look as the requester any more, so nobody can know.
            Err(Error::Identity(_)) => step.targets.iter().map(mark::label).collect(),
            Err(error) => return Err(error),
        };
        let all = step.targets.len();
        if let Some(status) = self.status.steps.get_mut(index) {
            status.done = i32::try_from(all - lost.len().min(all)).unwrap_or(i32::MAX);
            status.failed = lost.iter().take(mark::MAX_NAMED).cloned().collect();
        }
        Ok(lost)
    }

    /// A recorded intent without result: only the object can tell.
    async fn settle_by_trace(&mut self, index: usize) -> Result<(StepState, String), Error> {
        let lost = self.count(index).await?;
        let (state, outcome, message) = if lost.is_empty() {
            (
                StepState::Done,
                Outcome::Success,
                "recognised by its mark after an interruption".to_owned(),
            )
        } else {
            let message = format!(
                "the operator was interrupted between intent and result, and the object does not tell whether the change happened: {}. It is not sent again; look at it, then roll back or ask again",
                kubechat_crds::condition::clip(lost.join(", "), 2000)
            );
            (StepState::Unknown, Outcome::Unknown, message)
        };
        self.record_result(index, outcome, reason_of(state), &message)
            .await?;
        Ok((state, message))
    }
}

fn settled(outcome: Outcome) -> StepState {
    match outcome {
        Outcome::Success => StepState::Done,
        Outcome::Failure | Outcome::Denied => StepState::Failed,
        Outcome::Unknown | Outcome::Intent => StepState::Unknown,
    }
}

fn reason_of(state: StepState) -> &'static str {
    match state {
        StepState::Done => reason::EXECUTED,
        StepState::Unknown => reason::OUTCOME_UNKNOWN,
        StepState::Pending
        | StepState::IntentRecorded
        | StepState::Sent
        | StepState::Failed
        | StepState::Skipped
        | StepState::RolledBack => reason::STEP_FAILED,
    }
}
