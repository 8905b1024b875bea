//! Break-glass afterwards: who may review what was executed in an emergency, and until when.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kubechat_crds::condition::{is_finished, is_true, types};
use kubechat_crds::{CommandPlanSpec, CommandPlanStatus, DecisionKind, StepState, Via};

use super::approval::{Facts, NotCounted, decided_by, holds_right};
use crate::policy::{Effective, PolicyProblem};
use crate::{reason, shown};

/// When a review is due where no policy says so any more.
const DEFAULT_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// Whether the glass was broken for a plan, whatever became of it, and nobody has reviewed it.
#[must_use]
pub fn is_open(status: &CommandPlanStatus) -> bool {
    by_break_glass(status) && !is_true(&status.conditions, types::REVIEWED)
}

/// Whether a plan was executed, at least in part, with a break-glass approval among those that counted.
#[must_use]
pub fn broke_glass(status: &CommandPlanStatus) -> bool {
    let untouched = |s: StepState| matches!(s, StepState::Pending | StepState::Skipped);
    by_break_glass(status) && status.steps.iter().any(|s| !untouched(s.state))
}

fn by_break_glass(status: &CommandPlanStatus) -> bool {
    let approvals = status.approvals.iter().flat_map(|a| &a.decisions);
    approvals
        .filter(|d| d.decision == DecisionKind::Approve)
        .any(|d| d.via == Via::BreakGlass)
}

/// Whether a review of this plan is still to come: until then it is kept, with the turn it hangs on.
#[must_use]
pub fn awaited(status: &CommandPlanStatus) -> bool {
    broke_glass(status) && !is_true(&status.conditions, types::REVIEWED)
}

/// What is told of a plan that somebody removed before its review, which nobody can give any more; `None` where none was to
/// come. People who approved it and what they said stand in the log.
#[must_use]
pub fn removed(name: &str, status: &CommandPlanStatus) -> Option<String> {
    awaited(status).then(|| unreviewable(name))
}

/// What is told of a plan that was executed by break-glass and is gone without a review.
#[must_use]
pub fn unreviewable(name: &str) -> String {
    format!(
        "plan {name} was executed by break-glass and removed before its review, so nobody can give it any more. Who removed it stands in the API server's own audit log; what was done stands in this one: kubechat audit show"
    )
}

/// What is told of a plan that was approved by break-glass and is gone without a review, where the log does not show whether
/// it was executed.
#[must_use]
pub fn unreadable(name: &str) -> String {
    format!(
        "plan {name} was approved by break-glass and removed before its review, so nobody can give it any more. Whether it was executed cannot be read in the audit log, which is damaged: find what was changed with kubechat audit verify. Who removed it stands in the API server's own audit log"
    )
}

/// Judges a decision Review on a plan.
///
/// # Errors
/// Why it does not count.
pub fn judge(
    plan: &CommandPlanSpec,
    status: &CommandPlanStatus,
    facts: &Facts,
    now: Timestamp,
) -> Result<Via, NotCounted> {
    let decider = decided_by(plan, facts)?;
    if !is_finished(&status.conditions) {
        return Err(NotCounted {
            reason: reason::EXECUTING,
            message: "the plan has not ended: it is reviewed when it has".to_owned(),
            unknown: true,
        });
    }
    if !broke_glass(status) {
        return Err(NotCounted::no(
            reason::NOT_BREAK_GLASS,
            "a Review is for a plan that was executed by break-glass, and this one was not",
        ));
    }
    if facts.spec.expires_at.as_ref().is_some_and(|t| t.0 <= now) {
        return Err(NotCounted::no(
            reason::EXPIRED,
            "the Review is past its own expiresAt. Create another one",
        ));
    }
    let person = decider.person.username.as_str();
    if person == plan.requester.username {
        return Err(NotCounted::no(
            reason::SELF_APPROVAL,
            "who asked does not review what was done. Somebody else with the right must",
        ));
    }
    let approved = status
        .approvals
        .iter()
        .flat_map(|a| &a.decisions)
        .any(|d| d.decision == DecisionKind::Approve && d.username == person);
    if approved {
        return Err(NotCounted::no(
            reason::NOT_ELIGIBLE,
            format!(
                "{} approved it and cannot review it too. Somebody else with the right must",
                shown::identity(person)
            ),
        ));
    }
    holds_right(plan, decider, facts)?;
    Ok(if decider.git { Via::GitOps } else { Via::Direct })
}

/// What condition `Reviewed` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Reason constant.
    pub reason: &'static str,
    /// Who reviewed it, or what to do.
    pub message: String,
    /// When it changes by itself.
    pub changes_at: Option<Timestamp>,
}

/// Where the review of a finished plan stands; `None` where none is due. `reviewer` is a person whose Review counts.
#[must_use]
pub fn standing(
    name: &str,
    status: &CommandPlanStatus,
    policies: Result<&Effective, &PolicyProblem>,
    reviewer: Option<&str>,
    now: Timestamp,
) -> Option<Standing> {
    if !is_finished(&status.conditions) || !broke_glass(status) {
        return None;
    }
    if let Some(person) = reviewer {
        return Some(Standing {
            status: "True",
            reason: reason::REVIEWED,
            message: format!("executed by break-glass; reviewed by {}", shown::identity(person)),
            changes_at: None,
        });
    }
    let within = policies
        .ok()
        .and_then(Effective::break_glass)
        .map_or(DEFAULT_WITHIN, |glass| glass.review_within);
    // A plan without an end was never finished by KubeChat: the review is due at once.
    let ended = status
        .completion_time
        .as_ref()
        .map_or(Timestamp::UNIX_EPOCH, |t| t.0);
    let due = SignedDuration::try_from(within)
        .ok()
        .and_then(|w| ended.checked_add(w).ok())
        .unwrap_or(ended);
    let command =
        format!("Somebody who neither asked nor approved reviews it: kubectl kubechat review {name}");
    Some(if now >= due {
        Standing {
            status: "False",
            reason: reason::REVIEW_OVERDUE,
            message: format!("executed by break-glass; a review was due by {due} and is missing. {command}"),
            changes_at: None,
        }
    } else {
        Standing {
            status: "Unknown",
            reason: reason::REVIEW_DUE,
            message: format!("executed by break-glass; a review is due by {due}. {command}"),
            changes_at: Some(due),
        }
    })
}

#[cfg(test)]
#[path = "review_tests.rs"]
mod tests;
