//! The decisions a plan's status lists: which object each one is, which stay listed where there are too many, and which are
//! never forgotten.

use std::collections::BTreeSet;

use kubechat_crds::common::DecisionRecord;
use kubechat_crds::{ApprovalSummary, DecisionKind, Via};

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
