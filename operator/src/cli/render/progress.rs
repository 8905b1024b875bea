//! What is happening now, in one line, and what happened since the last look, in a few.

use kubechat_crds::common::DecisionRecord;
use kubechat_crds::{CommandPlan, DecisionKind, PlanPhase, RequestPhase, Step, StepState, Via};

use super::{Look, Page, Tone, plan, status};
use crate::cli::turn::{Standing, Turn, plan_phase};

/// What a person sees while waiting, in one line. Not escaped yet: the terminal line escapes it.
pub(crate) fn now_line(turn: &Turn) -> String {
    if turn.standing() == Standing::AwaitingApproval {
        return waiting(turn);
    }
    if let Some(plan) = &turn.plan {
        return planned(turn, plan);
    }
    match turn
        .request
        .as_ref()
        .and_then(|r| r.status.as_ref())
        .and_then(|s| s.phase)
    {
        None | Some(RequestPhase::Pending) => {
            stalled(turn).unwrap_or_else(|| "waiting for KubeChat".to_owned())
        }
        Some(RequestPhase::Interpreting) => reading(turn),
        Some(RequestPhase::Planning) => "asking the cluster".to_owned(),
        Some(
            RequestPhase::AwaitingApproval
            | RequestPhase::Approved
            | RequestPhase::Executing
            | RequestPhase::NeedsInput
            | RequestPhase::Succeeded
            | RequestPhase::Failed
            | RequestPhase::Denied
            | RequestPhase::Blocked
            | RequestPhase::Expired
            | RequestPhase::Cancelled
            | RequestPhase::Stale
            | RequestPhase::Interrupted,
        ) => "reading the plan".to_owned(),
    }
}

/// How far a model is with the sentence.
fn reading(turn: &Turn) -> String {
    let status = turn.request.as_ref().and_then(|r| r.status.as_ref());
    let Some(partial) = status.and_then(|s| s.partial.as_ref()) else {
        return "a model reads the sentence".to_owned();
    };
    let mut text = format!("{} answers, {} letters so far", partial.provider, partial.letters);
    if !partial.actions.is_empty() {
        let actions: Vec<&str> = partial.actions.iter().map(|action| action.as_str()).collect();
        text.push_str(&format!(": {}", actions.join(", ")));
    }
    text
}

/// What a plan that does not wait for anybody is at.
fn planned(turn: &Turn, plan: &CommandPlan) -> String {
    match plan_phase(plan) {
        PlanPhase::AwaitingApproval | PlanPhase::Approved => {
            stalled(turn).unwrap_or_else(|| "approved, about to begin".to_owned())
        }
        PlanPhase::Executing => executing(plan),
        PlanPhase::Succeeded
        | PlanPhase::Failed
        | PlanPhase::Denied
        | PlanPhase::Blocked
        | PlanPhase::Expired
        | PlanPhase::Cancelled
        | PlanPhase::Stale
        | PlanPhase::Interrupted
        | PlanPhase::PlanOnly => "finishing".to_owned(),
    }
}

/// What stands in the way, where KubeChat says so.
fn stalled(turn: &Turn) -> Option<String> {
    turn.message()
        .map(|message| message.lines().next().unwrap_or_default().to_owned())
}

fn waiting(turn: &Turn) -> String {
    if let Some(held) = turn.held_by() {
        return held.lines().next().unwrap_or_default().to_owned();
    }
    let Some(waits) = &turn.plan else {
        return "waiting for approval".to_owned();
    };
    let summary = waits
        .status
        .as_ref()
        .and_then(|s| s.approvals.as_ref())
        .map(|a| format!(" ({})", a.summary));
    format!(
        "waiting for approval by {}{}",
        plan::eligible(waits),
        summary.unwrap_or_default()
    )
}

fn executing(plan: &CommandPlan) -> String {
    let Some(state) = &plan.status else {
        return "executing".to_owned();
    };
    let all = plan.spec.steps.len();
    for (index, (step, at)) in plan.spec.steps.iter().zip(&state.steps).enumerate() {
        let what = format!("step {} of {all}: {}", index + 1, step.command);
        match at.state {
            StepState::Done | StepState::Skipped => {}
            StepState::Sent if step.targets.len() > 1 => {
                return format!("{what} ({} of {} objects)", at.done, step.targets.len());
            }
            StepState::Pending | StepState::Sent | StepState::Failed | StepState::Unknown => return what,
        }
    }
    let effect = state
        .evidence
        .as_ref()
        .map(|e| e.during.as_str())
        .filter(|during| !during.is_empty());
    effect.map_or_else(
        || "waiting for the effect".to_owned(),
        |during| format!("waiting for the effect: {during}"),
    )
}

/// What happened between two looks: decisions that arrived, steps that ended.
pub(crate) fn news(look: &Look, before: Option<&CommandPlan>, after: &CommandPlan) -> String {
    let mut page = Page::new(look);
    let known = before.map_or(0, |plan| decisions(plan).len());
    for new in decisions(after).iter().skip(known) {
        page.line(0, decision_tone(new.decision), &decision(new));
    }
    for (step, state) in after.spec.steps.iter().zip(states(after)) {
        let was = before
            .and_then(|plan| states(plan).into_iter().find(|(id, _)| *id == state.0))
            .map(|(_, was)| was);
        if was != Some(state.1) {
            step_news(&mut page, step, state.1);
        }
    }
    page.finish()
}

fn decisions(plan: &CommandPlan) -> &[DecisionRecord] {
    plan.status
        .as_ref()
        .and_then(|s| s.approvals.as_ref())
        .map_or(&[], |a| a.decisions.as_slice())
}

fn states(plan: &CommandPlan) -> Vec<(&str, StepState)> {
    plan.status
        .iter()
        .flat_map(|s| &s.steps)
        .map(|step| (step.id.as_str(), step.state))
        .collect()
}

fn step_news(page: &mut Page<'_>, step: &Step, state: StepState) {
    let (word, tone) = status::state(state);
    match state {
        StepState::Done | StepState::Failed | StepState::Unknown => {
            let title = format!("Step {} ", step.id);
            page.spans(
                0,
                &[
                    (Tone::Plain, &title),
                    (tone, word),
                    (Tone::Plain, ": "),
                    (Tone::Plain, &step.command),
                ],
            );
        }
        StepState::Pending | StepState::Sent | StepState::Skipped => {}
    }
}

/// One decision in words.
pub(crate) fn decision(decision: &DecisionRecord) -> String {
    let DecisionRecord {
        name,
        username,
        via,
        decision,
        time,
        uid: _,
    } = decision;
    let did = match decision {
        DecisionKind::Approve => "approved it",
        DecisionKind::Deny => "denied it",
        DecisionKind::Review => "reviewed it",
    };
    let how = match via {
        Via::Direct => "",
        Via::Self_ => ", own change",
        Via::GitOps => ", signed, through Git",
        Via::BreakGlass => ", by break-glass",
    };
    format!("{username} {did}{how} ({name}, {time})")
}

fn decision_tone(decision: DecisionKind) -> Tone {
    match decision {
        DecisionKind::Approve | DecisionKind::Review => Tone::Good,
        DecisionKind::Deny => Tone::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{decision as by, plan, request, set_plan, set_request, set_step};

    const LOOK: Look = Look {
        width: None,
        color: false,
    };

    fn at(phase: RequestPhase, plan: Option<CommandPlan>) -> Turn {
        let mut request = request();
        set_request(&mut request, phase, "Unknown", "X", "");
        Turn {
            request: Some(request),
            plan,
        }
    }

    #[test]
    fn every_phase_has_its_line() {
        let mut approved = plan();
        set_plan(&mut approved, PlanPhase::Approved, "Unknown", "Approved", "");
        let mut executing = plan();
        set_plan(&mut executing, PlanPhase::Executing, "Unknown", "Executing", "");
        set_step(&mut executing, 0, StepState::Sent);
        let mut effect = executing.clone();
        set_step(&mut effect, 0, StepState::Done);
        let mut measured = effect.clone();
        let during = "3 of 5 replicas are ready".to_owned();
        measured.status.as_mut().unwrap().evidence = Some(kubechat_crds::command_plan::Evidence {
            during,
            ..Default::default()
        });
        for (turn, line) in [
            (at(RequestPhase::Pending, None), "waiting for KubeChat"),
            (at(RequestPhase::Planning, None), "asking the cluster"),
            (at(RequestPhase::AwaitingApproval, None), "waiting for approval"),
            (
                at(RequestPhase::AwaitingApproval, Some(plan())),
                "waiting for approval by group approvers (0/1)",
            ),
            (
                at(RequestPhase::Approved, Some(approved)),
                "approved, about to begin",
            ),
            (
                at(RequestPhase::Executing, Some(executing)),
                "step 1 of 1: kubectl scale deployment/nginx --replicas=5 -n demo",
            ),
            (
                at(RequestPhase::Executing, Some(effect)),
                "waiting for the effect",
            ),
            (
                at(RequestPhase::Executing, Some(measured)),
                "waiting for the effect: 3 of 5 replicas are ready",
            ),
        ] {
            assert_eq!(now_line(&turn), line);
        }
    }

    #[test]
    fn what_holds_an_approved_plan_back_is_said() {
        let mut approved = plan();
        set_plan(
            &mut approved,
            PlanPhase::Approved,
            "Unknown",
            "AuditUnavailable",
            "",
        );
        let mut turn = at(RequestPhase::Approved, Some(approved));
        set_request(
            turn.request.as_mut().unwrap(),
            RequestPhase::Approved,
            "Unknown",
            "AuditUnavailable",
            "the audit log cannot be written\nmore",
        );
        assert_eq!(now_line(&turn), "the audit log cannot be written");
    }

    #[test]
    fn a_plan_held_up_by_policy_says_so_instead_of_naming_approvers() {
        let mut held = plan();
        let conditions = &mut held.status.as_mut().unwrap().conditions;
        let (awaiting, now) = (
            kubechat_crds::condition::types::AWAITING_APPROVAL,
            crate::cli::testing::now(),
        );
        kubechat_crds::condition::set(
            conditions,
            awaiting,
            "True",
            "NoPolicy",
            "there is no RiskPolicy",
            None,
            now,
        );
        assert_eq!(
            now_line(&at(RequestPhase::AwaitingApproval, Some(held))),
            "there is no RiskPolicy"
        );
    }

    #[test]
    fn news_are_told_once() {
        let before = plan();
        let mut after = before.clone();
        after
            .status
            .as_mut()
            .unwrap()
            .approvals
            .as_mut()
            .unwrap()
            .decisions = vec![by("bob\u{1b}")];
        set_step(&mut after, 0, StepState::Done);
        let told = "bob\\u{1b} approved it (approve-bob\\u{1b}, 2026-05-01T10:01:00Z)\n\
                    Step s1 done: kubectl scale deployment/nginx --replicas=5 -n demo\n";
        assert_eq!(news(&LOOK, Some(&before), &after), told);
        assert_eq!(news(&LOOK, Some(&after), &after), "");
        assert_eq!(news(&LOOK, None, &before), "");
        let mut sent = before.clone();
        set_step(&mut sent, 0, StepState::Sent);
        assert_eq!(news(&LOOK, Some(&before), &sent), "");
    }
}
