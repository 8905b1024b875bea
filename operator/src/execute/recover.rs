//! What became of steps that were begun before: settled from the audit log, else by the mark on the object, else Unknown.
//!
//! **Invariant:** nothing here sends anything, and whatever comes out, a step that was begun is never sent again.

use kube::Client;
use kubechat_audit::{EventType, Outcome};
use kubechat_core::{authz, reason};
use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::{PlanPhase, Step, StepState};

use super::{Progress, Run, mark};
use crate::audit::about_plan;
use crate::cluster::objects::ClientDebug;
use crate::error::Error;

impl Run<'_> {
    /// Looks at what the audit log knows of each step: a recorded intent is never sent again.
    pub(super) async fn recover(&mut self) -> Result<Option<Progress>, Error> {
        let mut unreported = vec![];
        for index in 0..self.plan().spec.steps.len() {
            let Some(state) = self.status.steps.get(index).map(|s| s.state) else {
                continue;
            };
            match state {
                StepState::Done | StepState::Skipped => continue,
                StepState::Failed | StepState::Unknown => {
                    let message = self
                        .status
                        .steps
                        .get(index)
                        .and_then(|s| s.excerpt.clone())
                        .unwrap_or_default();
                    return self.stop(index, state, &message).await.map(Some);
                }
                StepState::Pending | StepState::Sent => {}
            }
            let Some(record) = self.ctx.audit.known(&self.step_id(index)).await? else {
                if state == StepState::Pending {
                    continue;
                }
                return self.lost(index).await.map(Some);
            };
            let seq = record.seq;
            let why = record.result.as_ref().map(|result| result.reason.clone());
            let (state, message) = match record.result {
                Some(result) => {
                    let ended = settled(result.outcome);
                    self.made(index, result.target.as_ref().and_then(|t| t.uid.clone()));
                    if ended != StepState::Done {
                        // What was done of many targets is what can be undone.
                        self.count(index).await?;
                    } else if state == StepState::Pending {
                        unreported.push(index);
                    }
                    (ended, result.message.clone())
                }
                None => self.settle_by_trace(index, seq).await?,
            };
            self.set(
                index,
                state,
                Some(recorded(why.as_deref(), state)).filter(|_| state != StepState::Done),
                &message,
            );
            if let Some(step) = self.status.steps.get_mut(index) {
                step.audit_seq = i64::try_from(seq).ok();
            }
            if state != StepState::Done {
                return self.stop(index, state, &message).await.map(Some);
            }
        }
        let mut forgotten = vec![];
        for index in unreported {
            forgotten.extend(self.forgotten(index).await?);
        }
        if forgotten.is_empty() {
            return Ok(None);
        }
        // Where only the status was lost, the objects show what was done, and the plan goes on.
        let name = self.plan().metadata.name.clone().unwrap_or_default();
        let message = format!(
            "the audit log says that steps of this plan were done, but the plan's status does not, and these objects bear no mark of them any more: {}. They were restored from a backup, or changed by somebody since; which of the two is not known from here. It is not executed again. Look at the objects; if the change is still wanted, ask again: kubechat again {name}",
            named(&forgotten)
        );
        self.end(PlanPhase::Interrupted, reason::INTERRUPTED, &message)
            .await
            .map(Some)
    }

    /// A step that was begun by its status, but not by the audit log: the lock on it is gone, so it is not sent.
    async fn lost(&mut self, index: usize) -> Result<Progress, Error> {
        let message = "the plan says that the step was sent, but the audit log has no record of it: the log is older than the plan (an older copy was put back, or --audit-store names another file). Whether the change happened cannot be known from here. It is not sent again. Look at the object; if the change is still wanted, ask again";
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

    /// Targets of a step that do not bear its mark.
    async fn untraced(&self, index: usize) -> Result<Vec<&'_ Target>, Error> {
        let plan = self.plan();
        let Some(step) = plan.spec.steps.get(index) else {
            return Ok(vec![]);
        };
        match self.reader().await? {
            Some(person) => mark::untraced(person, step, &self.step_id(index)).await,
            None => Ok(step.targets.iter().collect()),
        }
    }

    /// Who looks at the objects: the requester. `None` when nobody can as him any more, so that nobody can know.
    async fn reader(&self) -> Result<Option<Client>, Error> {
        let acting =
            authz::acting(&self.plan().spec.requester).map_err(|e| Error::Identity(e.to_string()))?;
        match self.ctx.people.reader(&acting).await {
            Ok(person) => Ok(Some(person)),
            Err(Error::Identity(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Targets of a step that was done, by the log, of which no object shows it. A later step of the plan writes its own mark
    /// over the one before, and it came after it: its mark shows both.
    async fn forgotten(&self, index: usize) -> Result<Vec<String>, Error> {
        let mut forgotten = vec![];
        for target in self.untraced(index).await? {
            if !self.shows_later_step(index, target).await? {
                forgotten.push(mark::label(target));
            }
        }
        Ok(forgotten)
    }

    async fn shows_later_step(&self, index: usize, target: &Target) -> Result<bool, Error> {
        let steps = self.plan().spec.steps.iter().enumerate().skip(index + 1);
        for (later, step) in steps.filter(|(later, _)| self.is(*later, StepState::Done)) {
            let same = step.targets.iter().find(|t| mark::key(t) == mark::key(target));
            let (Some(same), Some(person)) = (same, self.reader().await?) else {
                continue;
            };
            if mark::bears_mark(&ClientDebug(person), step, same, &self.step_id(later)).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// As [`Self::untraced`], noted in the step's status.
    async fn count(&mut self, index: usize) -> Result<Vec<String>, Error> {
        let lost: Vec<String> = self.untraced(index).await?.into_iter().map(mark::label).collect();
        let all = self.plan().spec.steps.get(index).map_or(0, |s| s.targets.len());
        if let Some(status) = self.status.steps.get_mut(index) {
            status.done = i32::try_from(all - lost.len().min(all)).unwrap_or(i32::MAX);
            status.failed = lost.iter().take(mark::MAX_NAMED).cloned().collect();
        }
        Ok(lost)
    }

    /// Notes which object a step made, as the log or the object shows it.
    fn made(&mut self, index: usize, uid: Option<String>) {
        let creates = |s: &Step| s.effect == Effect::Create;
        let creates = self.plan().spec.steps.get(index).is_some_and(creates);
        if let Some(status) = self.status.steps.get_mut(index).filter(|_| creates) {
            status.made = uid;
        }
    }

    /// A recorded intent (entry `seq`) without result: only the object can tell.
    async fn settle_by_trace(&mut self, index: usize, seq: u64) -> Result<(StepState, String), Error> {
        let lost = self.count(index).await?;
        let (state, outcome, message) = if lost.is_empty() {
            if let (Some(step), Some(person)) = (self.plan().spec.steps.get(index), self.reader().await?) {
                let uid = mark::made(&ClientDebug(person), step, &self.step_id(index)).await;
                self.made(index, uid);
            }
            (
                StepState::Done,
                Outcome::Success,
                "recognised by its mark after an interruption".to_owned(),
            )
        } else {
            let message = format!(
                "the operator ended after it recorded that the step begins (entry {seq} of the audit log) and before a result was recorded. The change is not to be seen on: {}. So it was never made, or has been changed since. It is not sent again. {}",
                named(&lost),
                look_there(&self.step_id(index))
            );
            (StepState::Unknown, Outcome::Unknown, message)
        };
        self.record_result(index, outcome, reason_of(state), &message, None)
            .await?;
        Ok((state, message))
    }
}

/// Names of objects, bounded.
fn named(objects: &[String]) -> String {
    kubechat_crds::condition::clip(objects.join(", "), 2000)
}

/// Where a person finds what KubeChat cannot know.
pub(super) fn look_there(step_id: &str) -> String {
    format!(
        "Look at the object, or find what begins with {step_id} as auditID in the API server's audit log; if the change is still wanted, ask again"
    )
}

fn settled(outcome: Outcome) -> StepState {
    match outcome {
        Outcome::Success => StepState::Done,
        Outcome::Failure | Outcome::Denied => StepState::Failed,
        Outcome::Unknown | Outcome::Intent => StepState::Unknown,
    }
}

/// The reason of a step that ended, as the log has it where that says more than its state.
fn recorded(why: Option<&str>, state: StepState) -> &'static str {
    const OF_A_STEP: [&str; 5] = [
        reason::INTERRUPTED,
        reason::FORBIDDEN,
        reason::STALE,
        reason::UNREACHABLE,
        reason::INVALID,
    ];
    let known = OF_A_STEP.into_iter().find(|known| why == Some(*known));
    known.unwrap_or_else(|| reason_of(state))
}

fn reason_of(state: StepState) -> &'static str {
    match state {
        StepState::Done => reason::EXECUTED,
        StepState::Unknown => reason::OUTCOME_UNKNOWN,
        StepState::Pending | StepState::Sent | StepState::Failed | StepState::Skipped => reason::STEP_FAILED,
    }
}
