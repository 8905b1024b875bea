//! `kubechat why`: in plain words why a turn waits, was refused or went stale, and what to do. The text is a pure function
//! of what was read.

use jiff::Timestamp;
use kube::ResourceExt;
use kubechat_core::lifecycle::chat_session;
use kubechat_core::policy::{self, Effective};
use kubechat_core::reason;
use kubechat_crds::command_plan::{Requirement, StepStatus};
use kubechat_crds::condition::{find, types};
use kubechat_crds::{Approval, CommandPlan, DecisionKind, PlanPhase, RiskPolicy, StepState, Via};
use serde::Serialize;

use super::client::Cluster;
use super::error::CliError;
use super::exit::Exit;
use super::render::{Page, Tone};
use super::turn::{Standing, Turn, expires_in, plan_phase, takes_decisions};
use super::ui::Ui;
use crate::args::WhyArgs;
use crate::execute::did_something;

/// Decisions that are told of one by one.
const MAX_TOLD: usize = 20;

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Why {
    /// The turn or plan.
    name: String,
    /// One sentence.
    headline: String,
    /// What led to it.
    because: Vec<String>,
    /// What can be done, by whom.
    next: Vec<String>,
}

/// `kubechat why`.
pub(crate) async fn why(cluster: &Cluster, ui: &Ui, args: &WhyArgs) -> Result<Exit, CliError> {
    let turn = cluster.turn(&args.name).await?;
    let approvals = match &turn.plan {
        Some(plan) => cluster.approvals(&plan.name_any()).await.unwrap_or_default(),
        None => vec![],
    };
    // Not everybody may read policies; then what the plan recorded must do.
    let policies = cluster.policies().await.ok();
    let found = explain(&turn, &approvals, policies.as_deref(), Timestamp::now());
    let mut page = Page::new(&ui.look);
    page.line(0, Tone::Strong, &found.headline);
    for line in &found.because {
        page.line(2, Tone::Plain, &format!("- {line}"));
    }
    for line in &found.next {
        page.line(0, Tone::Good, &format!("-> {line}"));
    }
    ui.show(&page.finish());
    ui.emit_value(&found)?;
    Ok(Exit::Done)
}

/// Why it stands where it stands.
fn explain(turn: &Turn, approvals: &[Approval], policies: Option<&[RiskPolicy]>, now: Timestamp) -> Why {
    let name = turn
        .plan
        .as_ref()
        .map_or_else(|| turn.name(), ResourceExt::name_any);
    let mut why = Why {
        name,
        ..Why::default()
    };
    match (turn.standing(), &turn.plan) {
        (Standing::Finished(exit), _) => ended(&mut why, turn, exit),
        (Standing::AwaitingApproval, Some(plan)) => waits(&mut why, plan, policies, now),
        (Standing::AwaitingApproval | Standing::Working, _) => working(&mut why, turn),
    }
    if let Some(plan) = &turn.plan {
        decisions(&mut why, plan, approvals);
        review(&mut why, plan);
    }
    why
}

fn ended(why: &mut Why, turn: &Turn, exit: Exit) {
    let name = &why.name;
    let reason = ended_reason(turn);
    let undo = format!(
        "See what was done and undo it: kubectl kubechat explain {name}; kubectl kubechat rollback {name}"
    );
    let again = format!("Ask anew: kubectl kubechat again {name}");
    let (headline, next) = match reason {
        _ if exit == Exit::Done => (format!("{name} is done."), None),
        reason::EFFECT_TIMED_OUT => (
            format!("{name} was sent, but its effect did not come in time."),
            Some(undo),
        ),
        reason::STEP_FAILED => (format!("{name} failed."), Some(undo)),
        // Whatever stopped it: something was done.
        _ if midway(turn) => (
            format!("{name} was stopped midway; some of it was done, or may have been."),
            Some(undo),
        ),
        reason::STALE => (
            format!(
                "{name} went stale: what was approved is not what stands there now, so nothing (more) was sent."
            ),
            Some(again),
        ),
        reason::EXPIRED => (format!("{name} expired before it was executed."), Some(again)),
        reason::DENIED => (format!("{name} was denied by a person."), Some(again)),
        reason::POLICY_DENIED => (
            format!("{name} was refused by a policy."),
            Some("Ask who keeps the RiskPolicies, or ask for something else".to_owned()),
        ),
        reason::FORBIDDEN_CLASS => (
            format!("{name} was refused: KubeChat never does this, whoever asks."),
            Some("Do it without KubeChat, if you must".to_owned()),
        ),
        reason::FORBIDDEN => (
            format!("{name} was refused: a right is missing."),
            Some(format!("Ask for the right, then: kubectl kubechat again {name}")),
        ),
        reason::APPLIER_IDENTITY => (
            format!("{name} was refused: a service account asked for a change."),
            None,
        ),
        reason::CANCELLED => (format!("{name} was withdrawn."), Some(again)),
        reason::TURN_GONE => (
            format!("{name} was dropped: the turn that asked for it is gone."),
            Some("Ask anew: kubectl kubechat ask \"..\"".to_owned()),
        ),
        reason::NEEDS_INPUT => (
            format!("{name} was not clear enough to do anything."),
            Some("Ask again with what is missing".to_owned()),
        ),
        reason::UNTRUSTED_ORIGIN => (
            format!("{name} is not believed: it carries no valid seal of KubeChat's webhook."),
            Some("Delete it and ask again".to_owned()),
        ),
        reason::DRY_RUN_FAILED => (format!("{name} failed."), Some(again)),
        reason::INTERRUPTED if turn.plan.is_some() => (
            format!("{name} was stopped before any of it was done."),
            Some(again),
        ),
        reason::OUTCOME_UNKNOWN | reason::INTERRUPTED => (format!("{name} was stopped midway."), Some(undo)),
        other => (format!("{name} ended without success ({other})."), Some(again)),
    };
    why.headline = headline;
    why.because.extend(turn.message().map(str::to_owned));
    why.next.extend(next);
}

/// Whether the plan was stopped after something of it was done, or may have been.
fn midway(turn: &Turn) -> bool {
    let status = turn.plan.as_ref().and_then(|p| p.status.as_ref());
    let untouched = |step: &StepStatus| match step.state {
        StepState::Skipped => true,
        StepState::Failed => !did_something(step),
        // Of a plan that has ended, nobody can say what became of these.
        StepState::Pending | StepState::Sent | StepState::Done | StepState::Unknown => false,
    };
    status.is_some_and(|s| {
        let known = !s.steps.is_empty() && s.steps.iter().all(untouched);
        s.phase == Some(PlanPhase::Interrupted) && !known || s.steps.iter().any(did_something)
    })
}

/// The reason of the condition that ended it.
fn ended_reason(turn: &Turn) -> &str {
    let of_request = turn
        .request
        .as_ref()
        .and_then(|r| r.status.as_ref())
        .map(|s| s.conditions.as_slice());
    let of_plan = turn
        .plan
        .as_ref()
        .and_then(|p| p.status.as_ref())
        .map(|s| s.conditions.as_slice());
    [of_request, of_plan]
        .into_iter()
        .flatten()
        .find_map(|conditions| {
            let stalled = find(conditions, types::STALLED).filter(|c| c.status == "True");
            let ended = find(conditions, types::SUCCEEDED).filter(|c| c.status != "Unknown");
            Some(stalled.or(ended)?.reason.as_str())
        })
        .unwrap_or_default()
}

fn waits(why: &mut Why, plan: &CommandPlan, policies: Option<&[RiskPolicy]>, now: Timestamp) {
    let name = why.name.clone();
    let conditions = plan.status.as_ref().map(|s| s.conditions.as_slice());
    let waiting = find(conditions.unwrap_or_default(), types::AWAITING_APPROVAL);
    let found = waiting.map_or(reason::AWAITING_APPROVAL, |c| c.reason.as_str());
    let first_line = waiting.and_then(|c| c.message.lines().next()).unwrap_or_default();
    match found {
        reason::NO_POLICY | reason::POLICY_NOT_READY | reason::SUSPENDED => {
            why.headline = format!("{name} waits, and no approval helps: the policies hold it.");
            why.because.push(first_line.to_owned());
            why.next
                .push("Ask who keeps the RiskPolicies: kubectl get riskpolicies".to_owned());
        }
        reason::REQUIREMENT_CHANGED => {
            why.headline = format!("{name} waits again: a policy became stricter after it was planned.");
        }
        _ => {
            let summary = plan.status.as_ref().and_then(|s| s.approvals.as_ref());
            let summary = summary.map(|a| a.summary.clone()).unwrap_or_default();
            why.headline = format!("{name} waits for people: {summary} approvals are there.");
        }
    }
    why.because.push(format!(
        "it is a {} plan (score {}), asked for by {}",
        plan.spec.risk.level, plan.spec.risk.score, plan.spec.requester.username
    ));
    why.because.extend(plan.spec.requirement.iter().map(asked));
    if let Some(policies) = policies {
        live(why, plan, policies, now);
    }
    if !takes_decisions(plan, now) {
        why.because
            .push(format!("it takes no decision any more: {:?}", plan_phase(plan)));
        return;
    }
    let eligible = plan
        .status
        .as_ref()
        .and_then(|s| s.approvals.as_ref())
        .map(|a| a.eligible.join("; "));
    if let Some(who) = eligible.filter(|w| !w.is_empty()) {
        why.next.push(format!(
            "May still approve: {who}: kubectl kubechat approve {name}"
        ));
    }
    if let Some(seconds) = expires_in(plan, now) {
        why.because.push(format!(
            "it expires at {}, in {} min",
            plan.spec.expires_at,
            seconds / 60
        ));
    }
}

/// What the policies of today say beyond what the plan recorded.
fn live(why: &mut Why, plan: &CommandPlan, policies: &[RiskPolicy], now: Timestamp) {
    let effective = match Effective::from_policies(policies) {
        Ok(effective) => effective,
        Err(problem) => {
            if !why.because.contains(&problem.message) {
                why.because.push(problem.message);
            }
            return;
        }
    };
    let evaluation = effective.evaluate(&plan.spec, now);
    if let Some(denied) = &evaluation.denied {
        why.because.push(format!(
            "RiskPolicy {} forbids it now (rule {}): {}",
            denied.policy, denied.rule, denied.message
        ));
    }
    for entry in &evaluation.requirement {
        if !policy::at_least(&plan.spec.requirement, std::slice::from_ref(entry)) {
            why.because.push(format!("stricter today: {}", asked(entry)));
        }
    }
    if let Some(glass) = effective.break_glass().filter(|g| !g.groups.is_empty()) {
        why.next.push(format!(
            "In an emergency one other person of {} may approve alone: kubectl kubechat approve {} --break-glass INCIDENT",
            glass.groups.join(", "),
            why.name
        ));
    }
}

/// One entry of the requirement in words.
fn asked(entry: &Requirement) -> String {
    let mut text = match chat_session::asked_by(entry) {
        Some(session) => format!("ChatSession {session} (defaults.confirm: Always)"),
        None => format!("RiskPolicy {}", entry.policy),
    };
    if let Some(rule) = &entry.rule {
        text.push_str(&format!(", rule {rule},"));
    }
    let people = if entry.count == 1 {
        "person"
    } else {
        "different people"
    };
    text.push_str(&format!(" asks for {} {people}", entry.count));
    if !entry.groups.is_empty() {
        text.push_str(&format!(" of {}", entry.groups.join(" or ")));
    }
    if !entry.users.is_empty() {
        text.push_str(&format!(" among {}", entry.users.join(", ")));
    }
    if entry.signature {
        text.push_str(", signed");
    }
    if entry.self_confirm {
        text.push_str("; the requester may be one of them");
    }
    text
}

/// Who decided, and whose decision does not count.
fn decisions(why: &mut Why, plan: &CommandPlan, approvals: &[Approval]) {
    let counted = plan.status.as_ref().and_then(|s| s.approvals.as_ref());
    let counted = counted.map(|a| a.decisions.as_slice()).unwrap_or_default();
    for decision in counted.iter().take(MAX_TOLD) {
        let did = match decision.decision {
            DecisionKind::Approve => "approved it",
            DecisionKind::Deny => "denied it",
            DecisionKind::Review => "reviewed it",
        };
        let how = match decision.via {
            Via::Self_ => " himself, as the requester",
            Via::Direct => "",
            Via::GitOps => " through Git",
            Via::BreakGlass => " by break-glass",
        };
        why.because
            .push(format!("{} {did}{how} ({})", decision.username, decision.name));
    }
    let mut left_out = 0_usize;
    for approval in approvals
        .iter()
        .filter(|a| counted.iter().all(|d| Some(&d.uid) != a.metadata.uid.as_ref()))
    {
        let conditions = approval.status.as_ref().map(|s| s.conditions.as_slice());
        let Some(said) = find(conditions.unwrap_or_default(), types::ACCEPTED).filter(|c| c.status != "True")
        else {
            continue;
        };
        left_out += 1;
        if left_out <= MAX_TOLD {
            why.because.push(format!(
                "{} does not count ({}): {}",
                approval.name_any(),
                said.reason,
                said.message
            ));
        }
    }
    if left_out > MAX_TOLD {
        why.because
            .push(format!("{} more decisions do not count", left_out - MAX_TOLD));
    }
}

fn review(why: &mut Why, plan: &CommandPlan) {
    let conditions = plan.status.as_ref().map(|s| s.conditions.as_slice());
    if let Some(reviewed) = find(conditions.unwrap_or_default(), types::REVIEWED) {
        why.because.push(reviewed.message.clone());
    }
}

fn working(why: &mut Why, turn: &Turn) {
    let name = &why.name;
    why.headline = match &turn.plan {
        Some(_) => format!("{name} is being carried out."),
        None => format!("{name} is being worked on; there is no plan yet."),
    };
    why.because.extend(turn.message().map(str::to_owned));
    let conditions = turn
        .plan
        .as_ref()
        .and_then(|p| p.status.as_ref())
        .map(|s| s.conditions.as_slice());
    let busy = find(conditions.unwrap_or_default(), types::RECONCILING);
    if let Some(busy) = busy.filter(|c| !why.because.contains(&c.message)) {
        why.because.push(busy.message.clone());
    }
    why.next.push(format!("Follow it: kubectl kubechat watch {name}"));
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
