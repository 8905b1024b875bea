//! CommandPlan: whether it waits, goes, or ends.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use kubechat_crds::command_plan::Requirement;
use kubechat_crds::common::DecisionRecord;
use kubechat_crds::{ApprovalSummary, CommandPlanSpec, DecisionKind, Mode};

use super::approval::{self, Facts, Terms};
use super::decisions::listed;
use super::eligible::eligible;
use crate::holders::Holders;
use crate::policy::{Effective, HOLDS_ALL, PolicyProblem, at_least};
use crate::{gitops, reason, shown};

/// What the shell gathered about a plan that has not been begun.
#[derive(Debug)]
pub struct Observed<'a> {
    /// Name of the plan.
    pub name: &'a str,
    /// Namespace of the plan.
    pub namespace: &'a str,
    /// Its spec.
    pub plan: &'a CommandPlanSpec,
    /// Decisions that name it, in order of creation.
    pub approvals: &'a [Facts],
    /// The live policies.
    pub policies: Result<&'a Effective, &'a PolicyProblem>,
    /// Who holds the approve verbs, to name whom to ask; `None` while that is not known.
    pub holders: Option<&'a Holders>,
    /// Why its turn does not ask for it any more, if it does not.
    pub withdrawn: Option<Withdrawn>,
    /// When the requester's identity was stamped (creation of the turn).
    pub stamped: Timestamp,
    /// When the plan was made.
    pub planned: Timestamp,
    /// `notAfter` of the turn.
    pub not_after: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
}

/// Why a plan's turn does not ask for it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// `spec.cancel`: the requester may set it, and whoever may approve or deny there. Who it was is in the API server's log.
    Cancelled,
    /// The turn is gone, is being removed, or was made again.
    TurnGone,
    /// The turn carries no valid seal.
    Untrusted,
    /// The turn's requester is not the plan's.
    AnotherRequester,
}

impl Withdrawn {
    /// How a plan ends by it.
    #[must_use]
    pub fn ending(self) -> Ending {
        use kubechat_crds::PlanPhase::{Blocked, Cancelled};
        let (phase, reason, what) = match self {
            Self::Cancelled => (Cancelled, reason::CANCELLED, "withdrawn (spec.cancel)"),
            Self::TurnGone => (Cancelled, reason::TURN_GONE, "the turn that asked for it is gone"),
            Self::Untrusted => (
                Blocked,
                reason::UNTRUSTED_ORIGIN,
                "its turn carries no valid seal of KubeChat's webhook, so nobody can be held to it",
            ),
            Self::AnotherRequester => (
                Blocked,
                reason::ANOTHER_REQUESTER,
                "its turn names another requester than the plan",
            ),
        };
        Ending::new(phase, reason, what).then("Whoever wants it asks again")
    }
}

/// What to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Shown, never executed.
    PlanOnly,
    /// Wait for a person, or for a policy to become ready.
    Wait {
        /// Reason constant.
        reason: &'static str,
        /// What happens next, who must act, and the command.
        message: String,
    },
    /// Everything required is there.
    Go,
    /// It ends without execution.
    End(Ending),
}

/// How a plan ends before all of its steps were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Phase it ends in.
    pub phase: kubechat_crds::PlanPhase,
    /// Reason constant.
    pub reason: &'static str,
    /// What happened.
    pub message: String,
    /// What to do; empty where there is nothing.
    pub next: String,
}

impl Ending {
    /// An end with what happened.
    #[must_use]
    pub fn new(phase: kubechat_crds::PlanPhase, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            phase,
            reason,
            message: message.into(),
            next: String::new(),
        }
    }

    /// And with what to do.
    #[must_use]
    pub fn then(self, next: impl Into<String>) -> Self {
        let next = next.into();
        Self { next, ..self }
    }

    /// In words, of a plan that nothing was sent of.
    #[must_use]
    pub fn unbegun(&self) -> String {
        self.told("", "Nothing was executed")
    }

    /// In words, of a plan that was under way; `account` says what was done.
    #[must_use]
    pub fn midway(&self, account: &str) -> String {
        Self {
            message: without_claim(&self.message),
            next: without_claim(&self.next),
            ..self.clone()
        }
        .told("stopped midway: ", account)
    }

    fn told(&self, before: &str, account: &str) -> String {
        let message = self.message.trim_end_matches('.');
        let next = if self.next.is_empty() {
            String::new()
        } else {
            format!(". {}", self.next)
        };
        format!("{before}{message}. {account}{next}")
    }
}

/// What a suspended plan does that was not begun.
const WAITS_FOR_IT: &str = ". The plan waits until that is taken back";

/// What denies or holds a plan says of one that was not begun that nothing was done and that it waits; of one that was,
/// that is not said.
pub(super) fn without_claim(text: &str) -> String {
    const CLAIM: &str = "Nothing was done";
    let mut left = text.replace(WAITS_FOR_IT, "").replace(HOLDS_ALL, "");
    while let Some(at) = left.find(CLAIM) {
        let (before, after) = left.split_at(at);
        let after = after.get(CLAIM.len()..).unwrap_or_default();
        let after = after.trim_start_matches(['.', ' ']);
        left = format!("{before}{after}");
    }
    left.trim_end().to_owned()
}

/// Of those who may still approve, so many are named in the message; the status names more.
const MAX_TOLD: usize = 4;
/// Decides, and says how far the approvals are.
#[must_use]
pub fn decide(seen: &Observed<'_>) -> (Verdict, ApprovalSummary) {
    use kubechat_crds::PlanPhase::{Blocked, Denied, Expired, Stale};
    let terms = Terms::of(seen.plan, seen.policies, seen.now);
    let count = count(seen, &terms);
    let end = |phase, reason, message: String| Verdict::End(Ending::new(phase, reason, message));
    if seen.plan.mode == Mode::PlanOnly {
        return (Verdict::PlanOnly, count.summary);
    }
    if let Some(withdrawn) = seen.withdrawn {
        return (Verdict::End(withdrawn.ending()), count.summary);
    }
    if let Some((by, why)) = &count.denied {
        let why = if why.is_empty() {
            String::new()
        } else {
            format!(": {why}")
        };
        return (
            end(
                Denied,
                reason::DENIED,
                format!("{} denied it{why}", shown::identity(by)),
            ),
            count.summary,
        );
    }
    if let Err(why) = gitops::may_change(&seen.plan.requester, seen.namespace) {
        return (end(Blocked, reason::APPLIER_IDENTITY, why), count.summary);
    }
    let live = seen.policies.ok().map(|p| p.evaluate(seen.plan, seen.now));
    if let Some(denial) = live.as_ref().and_then(|l| l.denied.as_ref()) {
        return (
            end(Blocked, reason::POLICY_DENIED, denial.message.clone()),
            count.summary,
        );
    }
    // Who approved looked at a lesser plan, with a lesser right; and identities of a higher level age sooner.
    let planned = seen.plan.risk.level;
    if let Some(level) = live.as_ref().map(|l| l.level).filter(|level| *level > planned) {
        let message = format!("the RiskPolicies make it {level} now, and it was planned as {planned}");
        let next = format!("Ask again: kubechat again {}", seen.name);
        let ending = Ending::new(Stale, reason::STALE, message).then(next);
        return (Verdict::End(ending), count.summary);
    }
    if let Some(why) = expired(seen) {
        let ending = Ending::new(Expired, reason::EXPIRED, why);
        let next = format!("Ask again: kubechat again {}", seen.name);
        return (Verdict::End(ending.then(next)), count.summary);
    }
    let policies = match seen.policies {
        Ok(policies) => policies,
        Err(problem) => {
            return (
                Verdict::Wait {
                    reason: problem.reason,
                    message: problem.message.clone(),
                },
                count.summary,
            );
        }
    };
    if let Some(pack) = policies.suspended_by() {
        let message = format!("RiskPolicy {pack} suspends all execution (spec.suspend){WAITS_FOR_IT}");
        return (
            Verdict::Wait {
                reason: reason::SUSPENDED,
                message,
            },
            count.summary,
        );
    }
    if count.missing == 0 {
        return (Verdict::Go, count.summary);
    }
    let grew = live.is_some_and(|l| !at_least(&seen.plan.requirement, &l.requirement));
    let reason = if grew {
        reason::REQUIREMENT_CHANGED
    } else {
        reason::AWAITING_APPROVAL
    };
    (
        Verdict::Wait {
            reason,
            message: waiting_message(seen, &count),
        },
        count.summary,
    )
}

/// The recorded requirement and what the live policies ask beyond it: the stricter of both binds.
#[must_use]
pub fn binding_requirement(
    plan: &CommandPlanSpec,
    policies: Result<&Effective, &PolicyProblem>,
    now: Timestamp,
) -> Vec<Requirement> {
    let mut all = plan.requirement.clone();
    if let Ok(policies) = policies {
        for live in policies.evaluate(plan, now).requirement {
            if !at_least(&plan.requirement, std::slice::from_ref(&live)) {
                all.push(live);
            }
        }
    }
    all
}

fn expired(seen: &Observed<'_>) -> Option<String> {
    match seen.plan.expires_at.parse::<Timestamp>() {
        Err(_) => return Some("the plan's expiry cannot be read".to_owned()),
        Ok(at) if seen.now >= at => {
            return Some(format!(
                "the plan expired at {at}, and by the operator's clock it is {}",
                seen.now.strftime("%Y-%m-%dT%H:%M:%SZ")
            ));
        }
        Ok(_) => {}
    }
    if let Some(at) = seen.not_after.filter(|t| seen.now >= *t) {
        return Some(format!("the turn was not to be executed after {at}"));
    }
    if seen.plan.requester.is_service_account() {
        // Its stamp holds no groups of a person that could age: `notAfter` alone limits it.
        return None;
    }
    if let Some(at) = ages_out(seen.plan, seen.planned, seen.policies).filter(|at| seen.now >= *at) {
        return Some(format!(
            "by the RiskPolicies of now a plan of this level lives until {at} only (maxPlanAge)"
        ));
    }
    let limit = seen
        .policies
        .ok()
        .map(|p| p.max_identity_age(seen.plan.risk.level))?;
    let age = seen.now.duration_since(seen.stamped);
    (age >= SignedDuration::try_from(limit).ok()?)
        .then(|| "the requester's identity was stamped too long ago (maxIdentityAge)".to_owned())
}

/// When a person's plan becomes too old by the live policies, whatever it says itself; `None` where they say nothing.
fn ages_out(
    plan: &CommandPlanSpec,
    planned: Timestamp,
    policies: Result<&Effective, &PolicyProblem>,
) -> Option<Timestamp> {
    let limit = policies.ok()?.max_plan_age(plan.risk.level);
    let limit = SignedDuration::try_from(limit).ok()?;
    (!plan.requester.is_service_account())
        .then(|| planned.checked_add(limit).ok())
        .flatten()
}

/// When a plan that waits ends by its age: as it says itself, or sooner by the live policies.
#[must_use]
pub fn ends_at(
    plan: &CommandPlanSpec,
    planned: Timestamp,
    policies: Result<&Effective, &PolicyProblem>,
) -> Option<Timestamp> {
    let own = plan.expires_at.parse::<Timestamp>().ok()?;
    Some(ages_out(plan, planned, policies).map_or(own, |live| live.min(own)))
}

struct Count {
    summary: ApprovalSummary,
    /// People still missing in the entry that lacks most.
    missing: i32,
    denied: Option<(String, String)>,
}

fn count(seen: &Observed<'_>, terms: &Terms) -> Count {
    let requirement = &terms.requirement;
    let mut accepted: Vec<&Facts> = vec![];
    let mut decisions = vec![];
    let mut denied = None;
    for facts in seen.approvals {
        let judged = || {
            let via = approval::judge(seen.plan, terms, facts, seen.now).ok()?;
            Some((facts.username()?.to_owned(), via))
        };
        let Some((by, via)) = facts.stands.clone().or_else(judged) else {
            continue;
        };
        decisions.push(DecisionRecord {
            name: facts.name.clone(),
            uid: facts.uid.clone(),
            username: by.clone(),
            via,
            decision: facts.spec.decision,
            time: facts.created.to_string(),
        });
        match facts.spec.decision {
            DecisionKind::Approve => accepted.push(facts),
            DecisionKind::Deny => denied = denied.or_else(|| Some((by, facts.spec.reason.clone()))),
            DecisionKind::Review => {}
        }
    }
    // One person who may break the glass meets an entry alone.
    let needed = |entry: &Requirement| {
        let broken = accepted.iter().any(|f| approval::breaks(entry, terms, f));
        if broken { (1, true) } else { (entry.count, false) }
    };
    let lacking = |entry: &Requirement| {
        let (needed, broken) = needed(entry);
        if broken {
            return 0;
        }
        let people: BTreeSet<&str> = accepted
            .iter()
            .filter(|f| approval::counts_for(entry, seen.plan, f))
            .filter_map(|f| f.username())
            .collect();
        (needed - i32::try_from(people.len()).unwrap_or(i32::MAX)).max(0)
    };
    let required = requirement.iter().map(|r| needed(r).0).max().unwrap_or(0);
    let missing = requirement.iter().map(lacking).max().unwrap_or(0);
    let received = (required - missing).max(0);
    let open: Vec<&Requirement> = requirement.iter().filter(|r| lacking(r) > 0).collect();
    let eligible = if missing > 0 {
        eligible(seen.plan, &open, &accepted, seen.holders)
    } else {
        vec![]
    };
    let summary = ApprovalSummary {
        summary: format!("{received}/{required}"),
        required,
        received,
        eligible,
        decisions: listed(decisions),
    };
    Count {
        summary,
        missing,
        denied,
    }
}

/// A ready Approval for `kubectl create -f -`.
#[must_use]
pub fn approval_manifest(name: &str, namespace: &str, digest: &str) -> String {
    format!(
        "kubectl create -f - <<'EOF'\napiVersion: kubechat.io/v1beta1\nkind: Approval\nmetadata: {{generateName: {name}-, namespace: {namespace}}}\nspec: {{planRef: {{name: {name}}}, planDigest: \"{digest}\", decision: Approve}}\nEOF"
    )
}

fn waiting_message(seen: &Observed<'_>, count: &Count) -> String {
    let eligible = &count.summary.eligible;
    let mut who = eligible
        .iter()
        .take(MAX_TOLD)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    if eligible.len() > MAX_TOLD {
        who.push_str(&format!(
            "; and {} more (status.approvals.eligible)",
            eligible.len() - MAX_TOLD
        ));
    }
    let until = ends_at(seen.plan, seen.planned, seen.policies).map_or_else(
        || seen.plan.expires_at.clone(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    );
    let text = format!(
        "waits for {} more approval(s) until {}: {who}. `kubectl kubechat approve {} -n {}`, or:\n{}",
        count.missing,
        until,
        seen.name,
        seen.namespace,
        approval_manifest(seen.name, seen.namespace, &seen.plan.digest),
    );
    kubechat_crds::condition::clip(text, 2048)
}

#[cfg(test)]
#[path = "ending_tests.rs"]
mod ending_tests;
#[cfg(test)]
#[path = "command_plan_tests.rs"]
mod tests;
