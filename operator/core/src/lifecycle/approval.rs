//! Approval: whether a decision counts, and if not, why. The same judgement for its `Accepted` condition and for the plan
//! that counts it.

use jiff::Timestamp;
use kubechat_crds::command_plan::Requirement;
use kubechat_crds::{ApprovalSpec, CommandPlanSpec, DecisionKind, Via};

use crate::reason;

/// A decision as the shell gathered it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Name of the Approval object.
    pub name: String,
    /// Its spec.
    pub spec: ApprovalSpec,
    /// When it was created.
    pub created: Timestamp,
    /// Whether its seal is valid.
    pub sealed: bool,
    /// Why it was finally refused before, if it was: what the record calls refused never counts later.
    pub refused: Option<String>,
    /// Whether the API server says that the person may decide on this plan, in every touched namespace: `Err` names the
    /// missing right; `None` when it was not asked or did not answer.
    pub right: Option<Result<(), String>>,
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

/// Judges one decision on one plan.
///
/// # Errors
/// Why it does not count.
pub fn judge(
    plan: &CommandPlanSpec,
    requirement: &[Requirement],
    facts: &Facts,
    now: Timestamp,
) -> Result<Via, NotCounted> {
    let no = |reason, message: &str| {
        Err(NotCounted {
            reason,
            message: message.to_owned(),
            unknown: false,
        })
    };
    let Some(by) = facts.spec.submitted_by.as_ref().filter(|_| facts.sealed) else {
        return no(
            reason::UNTRUSTED_ORIGIN,
            "the Approval carries no valid seal of KubeChat's webhook, so nobody can be held to it. Delete it and create it again",
        );
    };
    if by.is_service_account() || by.username.starts_with("system:") {
        return no(
            reason::NOT_A_PERSON,
            "a service account or system user never counts as an approver. A person must create the Approval",
        );
    }
    if let Some(why) = &facts.refused {
        return no(
            reason::NOT_ELIGIBLE,
            &format!("refused before ({why}). Create another Approval"),
        );
    }
    if facts.spec.plan_digest != plan.digest {
        return no(
            reason::DIGEST_MISMATCH,
            "the Approval names another digest than the plan has: it was given for something else. Look at the plan again and approve that",
        );
    }
    let special = facts.spec.decision == DecisionKind::Review
        || facts.spec.break_glass.is_some()
        || facts.spec.signature.is_some()
        || facts.spec.approver.is_some();
    if special {
        return no(
            reason::NOT_SUPPORTED,
            "Review, breakGlass, signature and approver are not supported in this version",
        );
    }
    if facts.spec.expires_at.as_ref().is_some_and(|t| t.0 <= now) {
        return no(
            reason::EXPIRED,
            "the Approval is past its own expiresAt. Create another one",
        );
    }
    if plan
        .expires_at
        .parse::<Timestamp>()
        .map_or(true, |t| facts.created >= t)
    {
        return no(
            reason::EXPIRED,
            "the plan had expired when this was decided. Ask again: kubechat again PLAN",
        );
    }
    if by.username == plan.requester.username {
        return match facts.spec.decision {
            DecisionKind::Approve
                if plan.risk.level <= kubechat_crds::Level::Caution
                    && requirement.iter().any(|r| r.self_confirm) =>
            {
                Ok(Via::Self_)
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
    match &facts.right {
        Some(Ok(())) => Ok(Via::Direct),
        Some(Err(missing)) => no(
            reason::FORBIDDEN,
            &format!(
                "{} lacks the right to {missing}. Ask for the role kubechat-approver-{} there",
                by.username, plan.risk.level
            ),
        ),
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
    let Some(by) = facts.spec.submitted_by.as_ref() else {
        return false;
    };
    let own = by.username == plan.requester.username;
    (!own || entry.self_confirm)
        && !entry.signature
        && (entry.users.is_empty() || entry.users.contains(&by.username))
        && (entry.groups.is_empty() || entry.groups.iter().any(|g| by.groups.contains(g)))
}
