//! Approval: whether a decision counts, and if not, why. The same judgement for its `Accepted` condition and for the plan
//! that counts it.

use jiff::Timestamp;
use kubechat_crds::command_plan::Requirement;
use kubechat_crds::{ApprovalSpec, CommandPlanSpec, DecisionKind, Via};

use super::command_plan::binding_requirement;
use crate::authz::{Question, approver_questions, confirm_question};
use crate::decider::Decider;
use crate::policy::{BreakGlass, Effective, PolicyProblem};
use crate::{reason, shown};

/// A decision as the shell gathered it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Name of the Approval object.
    pub name: String,
    /// Its UID; empty while it is being created.
    pub uid: String,
    /// Its spec.
    pub spec: ApprovalSpec,
    /// When it was created.
    pub created: Timestamp,
    /// Whether its seal is valid.
    pub sealed: bool,
    /// Why it was finally refused before, if it was: what the record calls refused never counts later.
    pub refused: Option<String>,
    /// Whose Deny it is and how it came, where it was accepted before ([`super::decisions::stands`]).
    pub stands: Option<(String, Via)>,
    /// Whose decision it is ([`crate::decider::decider`]).
    pub decider: Result<Decider, NotCounted>,
    /// Whether the API server says that the person may decide so ([`questions`]): `Err` names the missing right; `None` when
    /// it was not asked or did not answer.
    pub right: Option<Result<(), String>>,
}

impl Facts {
    /// Username of the person it counts for.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.decider.as_ref().ok().map(|d| d.person.username.as_str())
    }

    /// Whether it is the requester's own yes to his plan, which needs another right than anybody else's word.
    #[must_use]
    pub fn confirms_own(&self, plan: &CommandPlanSpec) -> bool {
        self.spec.decision == DecisionKind::Approve
            && self.spec.break_glass.is_none()
            && self.username() == Some(plan.requester.username.as_str())
    }
}

/// What the API server is asked about the person behind a decision on a plan of this namespace.
#[must_use]
pub fn questions(plan: &CommandPlanSpec, namespace: &str, facts: &Facts) -> Vec<Question> {
    if facts.confirms_own(plan) {
        vec![confirm_question(namespace)]
    } else {
        approver_questions(plan)
    }
}

/// Why a decision does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCounted {
    /// Reason constant.
    pub reason: &'static str,
    /// What to do.
    pub message: String,
    /// The answer may still change (the API server did not answer).
    pub unknown: bool,
}

impl NotCounted {
    /// For good.
    #[must_use]
    pub fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            unknown: false,
        }
    }
}

/// Whether a refusal for this reason may be another one by other policies: who may, what counts unsigned, who is trusted.
#[must_use]
pub fn rests_on_policies(reason: &str) -> bool {
    [
        reason::NOT_ELIGIBLE,
        reason::SELF_APPROVAL,
        reason::SIGNATURE_MISSING,
        reason::UNTRUSTED_APPLIER,
    ]
    .contains(&reason)
}

/// What a plan's decisions are measured by, read from the policies once for all of them.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Every entry must be met.
    pub requirement: Vec<Requirement>,
    /// Who may break the glass now, and what that meets.
    glass: Option<BreakGlass>,
    /// Why the policies cannot say that now, if they cannot.
    unread: Option<PolicyProblem>,
}

impl Terms {
    /// The stricter of the recorded and the live requirement, and who may break the glass now.
    #[must_use]
    pub fn of(plan: &CommandPlanSpec, policies: Result<&Effective, &PolicyProblem>, now: Timestamp) -> Self {
        Self {
            glass: policies.ok().and_then(Effective::break_glass),
            unread: policies.err().cloned(),
            requirement: binding_requirement(plan, policies, now),
        }
    }
}

/// Judges one decision on one plan that waits.
///
/// # Errors
/// Why it does not count.
pub fn judge(
    plan: &CommandPlanSpec,
    terms: &Terms,
    facts: &Facts,
    now: Timestamp,
) -> Result<Via, NotCounted> {
    let no = |reason, message: &str| Err(NotCounted::no(reason, message));
    let decider = decided_by(plan, facts)?;
    if facts.spec.decision == DecisionKind::Review {
        return no(
            reason::NOT_BREAK_GLASS,
            "a Review is for a plan that was executed by break-glass, and this one was not",
        );
    }
    if facts.spec.expires_at.as_ref().is_some_and(|t| t.0 <= now) {
        return no(
            reason::EXPIRED,
            "the Approval is past its own expiresAt. Create another one",
        );
    }
    // A Deny also stops what began in time and is still under way.
    let expired = plan
        .expires_at
        .parse::<Timestamp>()
        .map_or(true, |t| facts.created >= t);
    if expired && facts.spec.decision != DecisionKind::Deny {
        return no(
            reason::EXPIRED,
            "the plan had expired when this was decided. Ask again: kubechat again PLAN",
        );
    }
    let own = decider.person.username == plan.requester.username;
    if facts.spec.break_glass.is_some() {
        broken_glass(terms, decider, facts, own)?;
    } else if own {
        return match facts.spec.decision {
            DecisionKind::Approve
                if plan.risk.level <= kubechat_crds::Level::Caution
                    && terms.requirement.iter().any(|r| r.self_confirm) =>
            {
                holds_right(plan, decider, facts)?;
                Ok(if decider.git { Via::GitOps } else { Via::Self_ })
            }
            DecisionKind::Approve => no(
                reason::SELF_APPROVAL,
                "the requester cannot approve this plan himself: another person with the right must",
            ),
            DecisionKind::Deny | DecisionKind::Review => no(
                reason::SELF_APPROVAL,
                "the requester withdraws a plan by cancelling it: kubechat cancel PLAN",
            ),
        };
    }
    holds_right(plan, decider, facts)?;
    Ok(if facts.spec.break_glass.is_some() {
        Via::BreakGlass
    } else if decider.git {
        Via::GitOps
    } else {
        Via::Direct
    })
}

/// The person, where the decision is somebody's and about this very plan.
pub(super) fn decided_by<'a>(plan: &CommandPlanSpec, facts: &'a Facts) -> Result<&'a Decider, NotCounted> {
    if !facts.sealed {
        return Err(NotCounted::no(
            reason::UNTRUSTED_ORIGIN,
            "the Approval carries no valid seal of KubeChat's webhook, so nobody can be held to it. Delete it and create it again",
        ));
    }
    if let Some(why) = &facts.refused {
        return Err(NotCounted::no(
            reason::NOT_ELIGIBLE,
            format!("refused before ({why}). Create another Approval"),
        ));
    }
    let decider = facts.decider.as_ref().map_err(Clone::clone)?;
    if facts.spec.plan_digest != plan.digest {
        return Err(NotCounted::no(
            reason::DIGEST_MISMATCH,
            "the Approval names another digest than the plan has: it was given for something else. Look at the plan again and approve that",
        ));
    }
    Ok(decider)
}

/// Whether this person may break the glass at all.
fn broken_glass(terms: &Terms, decider: &Decider, facts: &Facts, own: bool) -> Result<(), NotCounted> {
    if facts.spec.decision != DecisionKind::Approve {
        return Err(NotCounted::no(
            reason::INVALID,
            "only an Approve breaks the glass: a Deny needs no incident. Leave breakGlass out",
        ));
    }
    if own {
        return Err(NotCounted::no(
            reason::SELF_APPROVAL,
            "nobody breaks the glass for a plan of his own: another person must",
        ));
    }
    if let Some(problem) = &terms.unread {
        return Err(NotCounted {
            reason: problem.reason,
            message: format!(
                "whether {} may break the glass is not known yet: {}",
                shown::identity(&decider.person.username),
                problem.message
            ),
            unknown: true,
        });
    }
    let groups = &decider.person.groups;
    if terms.glass.as_ref().is_some_and(|g| g.may(groups)) {
        if terms.requirement.iter().any(|entry| frozen(entry, groups)) {
            return Ok(());
        }
        return Err(NotCounted::no(
            reason::NOT_ELIGIBLE,
            "when the plan was made, no policy that it waits for let his groups break the glass. Approve without breakGlass, or ask for a new plan: kubechat again PLAN",
        ));
    }
    let who = match &terms.glass {
        None => "no RiskPolicy allows it to anybody (breakGlass)".to_owned(),
        Some(glass) if glass.groups.is_empty() => {
            "the RiskPolicies have no group in common that may (breakGlass)".to_owned()
        }
        Some(glass) => {
            let groups: Vec<_> = glass.groups.iter().map(|g| shown::identity(g)).collect();
            format!("only members of {} may", groups.join(", "))
        }
    };
    Err(NotCounted::no(
        reason::NOT_ELIGIBLE,
        format!(
            "{} may not break the glass: {who}. Approve without breakGlass, or ask one of them",
            shown::identity(&decider.person.username)
        ),
    ))
}

pub(super) fn holds_right(
    plan: &CommandPlanSpec,
    decider: &Decider,
    facts: &Facts,
) -> Result<(), NotCounted> {
    match &facts.right {
        Some(Ok(())) => Ok(()),
        Some(Err(missing)) => {
            let role = if facts.confirms_own(plan) {
                "requester".to_owned()
            } else {
                format!("approver-{}", plan.risk.level)
            };
            Err(NotCounted::no(
                reason::FORBIDDEN,
                format!(
                    "{} lacks the right to {missing}. Ask for the role kubechat-{role} there",
                    shown::identity(&decider.person.username),
                ),
            ))
        }
        None => Err(NotCounted {
            reason: reason::UNREACHABLE,
            message: "the API server did not say whether this person may decide; it will be asked again"
                .to_owned(),
            unknown: true,
        }),
    }
}

/// Whether an accepted Approve of this person counts for one entry of the requirement.
#[must_use]
pub fn counts_for(entry: &Requirement, plan: &CommandPlanSpec, facts: &Facts) -> bool {
    let Ok(decider) = &facts.decider else {
        return false;
    };
    let person = &decider.person;
    let own = person.username == plan.requester.username;
    (!own || entry.self_confirm)
        && (!entry.signature || decider.signed)
        && (entry.users.is_empty() || entry.users.contains(&person.username))
        && (entry.groups.is_empty() || entry.groups.iter().any(|g| person.groups.contains(g)))
}

/// Whether an accepted Approve meets the whole entry by itself: it broke the glass, and the entry is of a pack that allows
/// that to a group of this person, and did when the plan was made. A pack that does not, or is gone, is not loosened by
/// another, nor what is recorded by what was allowed since; a signature stays required.
#[must_use]
pub fn breaks(entry: &Requirement, terms: &Terms, facts: &Facts) -> bool {
    let Some(glass) = terms.glass.as_ref().filter(|_| facts.spec.break_glass.is_some()) else {
        return false;
    };
    facts.decider.as_ref().is_ok_and(|decider| {
        (!entry.signature || decider.signed)
            && glass.meets(&entry.policy)
            && glass.may(&decider.person.groups)
            && frozen(entry, &decider.person.groups)
    })
}

/// Whether a member of these groups could break the glass for this entry when it was written.
fn frozen(entry: &Requirement, groups: &[String]) -> bool {
    entry.break_glass.iter().any(|group| groups.contains(group))
}

#[cfg(test)]
#[path = "approval_tests.rs"]
mod tests;
