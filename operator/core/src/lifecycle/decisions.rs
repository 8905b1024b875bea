//! The decisions a plan's status lists: which object each one is, which stay listed where there are too many, and which are
//! never forgotten.

use std::collections::BTreeSet;

use kubechat_crds::common::DecisionRecord;
use kubechat_crds::condition::{is_true, types};
use kubechat_crds::{Approval, ApprovalSummary, CommandPlanSpec, DecisionKind, Via};

/// Decisions a plan's status lists; all are counted.
const MAX_DECISIONS: usize = 64;

/// The record of this very Approval among the decisions a plan counted: the same object (a name may be taken again) that
/// still says the same. A Review is never among them: it is judged, each one.
#[must_use]
pub fn recorded<'a>(
    summary: Option<&'a ApprovalSummary>,
    uid: &str,
    decision: DecisionKind,
) -> Option<&'a DecisionRecord> {
    let counted = summary.map(|s| s.decisions.as_slice()).unwrap_or_default();
    counted
        .iter()
        .find(|d| !uid.is_empty() && d.uid == uid)
        .filter(|d| d.decision == decision && decision != DecisionKind::Review)
}

/// Whose Deny of this plan it is and how it came, if it was accepted. It stops the plan for good, whatever became since of
/// its author's right, of a key or of its seal: to stop takes less than to let go.
#[must_use]
pub fn stands(approval: &Approval, plan: &CommandPlanSpec) -> Option<(String, Via)> {
    let (spec, status) = (&approval.spec, approval.status.as_ref()?);
    let denies = spec.decision == DecisionKind::Deny && spec.plan_digest == plan.digest;
    (denies && is_true(&status.conditions, types::ACCEPTED)).then(|| {
        let stamped = || spec.submitted_by.clone().unwrap_or_default().username;
        let who = status.effective_approver.clone().unwrap_or_else(stamped);
        (who, status.via.unwrap_or_default())
    })
}

/// What is listed of the decisions that count, in their order. Where they are too many, nobody who decided is pushed out by
/// somebody who decided often: first one emergency of each person, then one of each person's decisions, then the rest.
#[must_use]
pub(super) fn listed(decisions: Vec<DecisionRecord>) -> Vec<DecisionRecord> {
    if decisions.len() <= MAX_DECISIONS {
        return decisions;
    }
    let (mut emergencies, mut people) = (BTreeSet::new(), BTreeSet::new());
    let mut ranked: Vec<(u8, usize)> = vec![];
    for (at, decision) in decisions.iter().enumerate() {
        let who = decision.username.as_str();
        let emergency = decision.via == Via::BreakGlass && emergencies.insert(who);
        let first = people.insert((who, word(decision.decision)));
        let rank = match (emergency, first) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        };
        ranked.push((rank, at));
    }
    ranked.sort_unstable();
    let kept: BTreeSet<usize> = ranked.iter().take(MAX_DECISIONS).map(|(_, at)| *at).collect();
    decisions
        .into_iter()
        .enumerate()
        .filter_map(|(at, decision)| kept.contains(&at).then_some(decision))
        .collect()
}

/// What a plan under way says of its decisions: those on whose word it began stay recorded, whatever became of their
/// objects since, and those that count now are added.
#[must_use]
pub fn united(began: Option<&ApprovalSummary>, now: ApprovalSummary) -> ApprovalSummary {
    let mut decisions: Vec<DecisionRecord> = began.map(|b| b.decisions.clone()).unwrap_or_default();
    for decision in now.decisions {
        let known = |d: &DecisionRecord| (&d.uid, &d.name) == (&decision.uid, &decision.name);
        if !decisions.iter().any(known) {
            decisions.push(decision);
        }
    }
    ApprovalSummary {
        decisions: listed(decisions),
        ..now
    }
}

fn word(decision: DecisionKind) -> &'static str {
    match decision {
        DecisionKind::Approve => "approve",
        DecisionKind::Deny => "deny",
        DecisionKind::Review => "review",
    }
}

#[cfg(test)]
#[path = "decisions_tests.rs"]
mod tests;
