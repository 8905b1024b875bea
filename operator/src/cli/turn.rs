//! What is known of one turn, and what follows from it. Pure: the commands ask, show and wait around it.

use jiff::Timestamp;
use kube::ResourceExt;
use kubechat_core::lifecycle::eligible;
use kubechat_core::reason;
use kubechat_crds::condition::{self, types};
use kubechat_crds::{ChatRequest, CommandPlan, Mode, PlanPhase, RequestPhase, StepState};

use super::exit::Exit;

/// A turn as it was last seen: its request, its plan, or both.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn {
    /// The ChatRequest; `None` when it is gone or may not be read.
    pub(crate) request: Option<ChatRequest>,
    /// The CommandPlan; `None` while there is none.
    pub(crate) plan: Option<CommandPlan>,
}

/// Where a turn stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// KubeChat is at work.
    Working,
    /// A person is waited for.
    AwaitingApproval,
    /// Nothing more will happen.
    Finished(Exit),
}

impl Turn {
    /// Name by which this turn is followed: the request's, else the plan's.
    pub(crate) fn name(&self) -> String {
        let request = self.request.as_ref().map(ResourceExt::name_any);
        request
            .or_else(|| self.plan.as_ref().map(ResourceExt::name_any))
            .unwrap_or_default()
    }

    /// Name of the plan, known before the plan itself was read.
    pub(crate) fn plan_name(&self) -> Option<String> {
        let planned = self
            .request
            .as_ref()
            .and_then(|r| r.status.as_ref())
            .and_then(|s| s.plan_ref.as_ref());
        planned
            .map(|plan| plan.name.clone())
            .or_else(|| self.plan.as_ref().map(ResourceExt::name_any))
    }

    /// Where the turn stands. The request says when it is over; until then the plan, where there is one, knows more.
    pub(crate) fn standing(&self) -> Standing {
        match (&self.request, &self.plan) {
            (Some(request), Some(plan)) => match (request_standing(request), plan_standing(plan)) {
                (Standing::Finished(exit), _) => Standing::Finished(exit),
                (Standing::Working | Standing::AwaitingApproval, Standing::AwaitingApproval) => {
                    Standing::AwaitingApproval
                }
                (
                    Standing::Working | Standing::AwaitingApproval,
                    Standing::Working | Standing::Finished(_),
                ) => Standing::Working,
            },
            (Some(request), None) => request_standing(request),
            (None, Some(plan)) => plan_standing(plan),
            (None, None) => Standing::Working,
        }
    }

    /// What holds a waiting plan up besides people: no usable policy, or the kill switch. The whole message.
    pub(crate) fn held_by(&self) -> Option<&str> {
        let status = self.plan.as_ref().and_then(|plan| plan.status.as_ref())?;
        let waits =
            condition::find(&status.conditions, types::AWAITING_APPROVAL).filter(|c| c.status == "True")?;
        let held =
            [reason::NO_POLICY, reason::POLICY_NOT_READY, reason::SUSPENDED].contains(&waits.reason.as_str());
        held.then_some(waits.message.as_str())
    }

    /// Why it stands there, in KubeChat's words: the message of the condition that decides.
    pub(crate) fn message(&self) -> Option<&str> {
        let conditions = match (&self.request, &self.plan) {
            (Some(request), _) => request.status.as_ref().map(|s| s.conditions.as_slice()),
            (None, Some(plan)) => plan.status.as_ref().map(|s| s.conditions.as_slice()),
            (None, None) => None,
        };
        let conditions = conditions.unwrap_or_default();
        let stalled = condition::find(conditions, types::STALLED).filter(|c| c.status == "True");
        let telling = stalled.or_else(|| condition::find(conditions, types::SUCCEEDED))?;
        Some(telling.message.as_str()).filter(|message| !message.is_empty())
    }
}

fn request_standing(request: &ChatRequest) -> Standing {
    let Some(status) = &request.status else {
        return Standing::Working;
    };
    let ended = ending(&status.conditions);
    let waits = condition::is_true(&status.conditions, types::AWAITING_APPROVAL);
    match (ended, status.phase) {
        (Some(Ended::Well), _) => Standing::Finished(Exit::Done),
        (Some(Ended::Badly(why)), Some(phase)) => Standing::Finished(request_exit(phase, why)),
        (Some(Ended::Badly(why)), None) => Standing::Finished(reason_exit(why)),
        (None, Some(RequestPhase::AwaitingApproval)) => Standing::AwaitingApproval,
        (None, _) if waits => Standing::AwaitingApproval,
        (None, Some(_) | None) => Standing::Working,
    }
}

fn plan_standing(plan: &CommandPlan) -> Standing {
    let Some(status) = &plan.status else {
        return Standing::Working;
    };
    let ended = ending(&status.conditions);
    let waits = condition::is_true(&status.conditions, types::AWAITING_APPROVAL);
    match (ended, status.phase) {
        (Some(Ended::Well), _) => Standing::Finished(Exit::Done),
        (Some(Ended::Badly(why)), Some(phase)) => Standing::Finished(plan_exit(phase, why)),
        (Some(Ended::Badly(why)), None) => Standing::Finished(reason_exit(why)),
        (None, Some(PlanPhase::AwaitingApproval)) => Standing::AwaitingApproval,
        (None, _) if waits => Standing::AwaitingApproval,
        (None, Some(_) | None) => Standing::Working,
    }
}

enum Ended<'c> {
    Well,
    Badly(&'c str),
}

/// How it ended, by the conditions: programs never read phases for this. An object without a valid seal never
/// gets a `Succeeded`, and is never acted on.
fn ending(conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]) -> Option<Ended<'_>> {
    let untrusted = |c: &&_| is_untrusted(c);
    if let Some(stalled) = condition::find(conditions, types::STALLED).filter(untrusted) {
        return Some(Ended::Badly(&stalled.reason));
    }
    let succeeded = condition::find(conditions, types::SUCCEEDED)?;
    match succeeded.status.as_str() {
        "True" => Some(Ended::Well),
        "False" => Some(Ended::Badly(&succeeded.reason)),
        _ => None,
    }
}

fn is_untrusted(stalled: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition) -> bool {
    stalled.status == "True" && stalled.reason == reason::UNTRUSTED_ORIGIN
}

/// Exit code of a request that ended without success.
fn request_exit(phase: RequestPhase, why: &str) -> Exit {
    match phase {
        RequestPhase::NeedsInput => Exit::NeedsInput,
        RequestPhase::Denied | RequestPhase::Blocked => Exit::Refused,
        RequestPhase::Expired | RequestPhase::Cancelled | RequestPhase::Stale | RequestPhase::Interrupted => {
            Exit::NotDone
        }
        RequestPhase::Failed
        | RequestPhase::Pending
        | RequestPhase::Interpreting
        | RequestPhase::Planning
        | RequestPhase::AwaitingApproval
        | RequestPhase::Approved
        | RequestPhase::Executing
        | RequestPhase::Succeeded => reason_exit(why),
    }
}

/// Exit code of a plan that ended without success.
fn plan_exit(phase: PlanPhase, why: &str) -> Exit {
    match phase {
        PlanPhase::Denied | PlanPhase::Blocked => Exit::Refused,
        PlanPhase::Expired | PlanPhase::Cancelled | PlanPhase::Stale | PlanPhase::Interrupted => {
            Exit::NotDone
        }
        PlanPhase::Failed
        | PlanPhase::AwaitingApproval
        | PlanPhase::Approved
        | PlanPhase::Executing
        | PlanPhase::Succeeded
        | PlanPhase::PlanOnly => reason_exit(why),
    }
}

fn reason_exit(why: &str) -> Exit {
    match why {
        reason::NEEDS_INPUT => Exit::NeedsInput,
        reason::FORBIDDEN
        | reason::FORBIDDEN_CLASS
        | reason::DENIED
        | reason::REFUSED_IDENTITY
        | reason::APPLIER_IDENTITY => Exit::Refused,
        _ => Exit::NotDone,
    }
}

/// Phase of a plan; a plan nobody has looked at yet waits.
pub(crate) fn plan_phase(plan: &CommandPlan) -> PlanPhase {
    let phase = plan.status.as_ref().and_then(|status| status.phase);
    match (phase, plan.spec.mode) {
        (Some(phase), _) => phase,
        (None, Mode::PlanOnly) => PlanPhase::PlanOnly,
        (None, Mode::Auto) => PlanPhase::AwaitingApproval,
    }
}

/// Whether a plan still takes a decision: it waits, may be executed and has not expired.
pub(crate) fn takes_decisions(plan: &CommandPlan, now: Timestamp) -> bool {
    plan_phase(plan) == PlanPhase::AwaitingApproval && expires_in(plan, now).is_none_or(|seconds| seconds > 0)
}

/// Whether a Deny would stop the plan: it waits for decisions, is approved and held up, or is being executed.
pub(crate) fn takes_denials(plan: &CommandPlan, now: Timestamp) -> bool {
    match plan_phase(plan) {
        PlanPhase::Executing => true,
        PlanPhase::Approved => expires_in(plan, now).is_none_or(|seconds| seconds > 0),
        PlanPhase::AwaitingApproval
        | PlanPhase::PlanOnly
        | PlanPhase::Denied
        | PlanPhase::Blocked
        | PlanPhase::Expired
        | PlanPhase::Cancelled
        | PlanPhase::Stale
        | PlanPhase::Interrupted
        | PlanPhase::Failed
        | PlanPhase::Succeeded => takes_decisions(plan, now),
    }
}

/// Seconds until the plan expires; `None` when it does not say.
pub(crate) fn expires_in(plan: &CommandPlan, now: Timestamp) -> Option<i64> {
    let at: Timestamp = plan.spec.expires_at.parse().ok()?;
    Some(at.as_second() - now.as_second())
}

/// Whether this person may be asked to confirm the plan: it waits, it is this person's own, the policy lets the
/// requester confirm it, and that was not done yet. Admission and the operator judge again.
pub(crate) fn may_self_confirm(plan: &CommandPlan, me: &str, now: Timestamp) -> bool {
    let decided = |status: &kubechat_crds::CommandPlanStatus| {
        status
            .approvals
            .as_ref()
            .is_some_and(|approvals| approvals.decisions.iter().any(|d| d.username == me))
    };
    !me.is_empty()
        && plan.spec.requester.username == me
        && takes_decisions(plan, now)
        && eligible::may_self_confirm(&plan.spec)
        && !plan.status.as_ref().is_some_and(decided)
}

/// How many steps are done, and how many there are.
pub(crate) fn steps_done(plan: &CommandPlan) -> (usize, usize) {
    let states = plan
        .status
        .iter()
        .flat_map(|status| &status.steps)
        .map(|step| step.state);
    let done = states.filter(|state| *state == StepState::Done).count();
    (done, plan.spec.steps.len())
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
