//! Phases and states in words, and how a turn ended.

use kube::ResourceExt;
use kubechat_crds::{CommandPlan, PlanPhase, RequestPhase, StepState};

use super::{Hints, Look, Page, Tone, count};
use crate::cli::exit::Exit;
use crate::cli::turn::{Standing, Turn, plan_phase, steps_done};

/// A plan's phase.
pub(crate) fn phase_of_plan(phase: PlanPhase) -> (&'static str, Tone) {
    match phase {
        PlanPhase::AwaitingApproval => ("AwaitingApproval", Tone::Warn),
        PlanPhase::Approved => ("Approved", Tone::Good),
        PlanPhase::Executing => ("Executing", Tone::Warn),
        PlanPhase::Succeeded => ("Succeeded", Tone::Good),
        PlanPhase::Failed => ("Failed", Tone::Bad),
        PlanPhase::Denied => ("Denied", Tone::Bad),
        PlanPhase::Blocked => ("Blocked", Tone::Bad),
        PlanPhase::Expired => ("Expired", Tone::Bad),
        PlanPhase::Cancelled => ("Cancelled", Tone::Bad),
        PlanPhase::Stale => ("Stale", Tone::Bad),
        PlanPhase::Interrupted => ("Interrupted", Tone::Bad),
        PlanPhase::PlanOnly => ("PlanOnly", Tone::Plain),
    }
}

/// A turn's phase; one nobody has looked at yet is pending.
pub(crate) fn phase_of_request(phase: Option<RequestPhase>) -> (&'static str, Tone) {
    match phase.unwrap_or(RequestPhase::Pending) {
        RequestPhase::Pending => ("Pending", Tone::Warn),
        RequestPhase::Interpreting => ("Interpreting", Tone::Warn),
        RequestPhase::NeedsInput => ("NeedsInput", Tone::Warn),
        RequestPhase::Planning => ("Planning", Tone::Warn),
        RequestPhase::AwaitingApproval => ("AwaitingApproval", Tone::Warn),
        RequestPhase::Approved => ("Approved", Tone::Good),
        RequestPhase::Executing => ("Executing", Tone::Warn),
        RequestPhase::Succeeded => ("Succeeded", Tone::Good),
        RequestPhase::Failed => ("Failed", Tone::Bad),
        RequestPhase::Denied => ("Denied", Tone::Bad),
        RequestPhase::Blocked => ("Blocked", Tone::Bad),
        RequestPhase::Expired => ("Expired", Tone::Bad),
        RequestPhase::Cancelled => ("Cancelled", Tone::Bad),
        RequestPhase::Stale => ("Stale", Tone::Bad),
        RequestPhase::Interrupted => ("Interrupted", Tone::Bad),
    }
}

/// A step's state.
pub(crate) fn state(state: StepState) -> (&'static str, Tone) {
    match state {
        StepState::Pending => ("not begun", Tone::Faint),
        StepState::Sent => ("sent", Tone::Warn),
        StepState::Done => ("done", Tone::Good),
        StepState::Failed => ("failed", Tone::Bad),
        StepState::Unknown => ("unknown: nobody can say whether it happened", Tone::Bad),
        StepState::Skipped => ("not sent", Tone::Faint),
    }
}

/// How a finished turn ended: what was done, what was not, what to do now.
pub(crate) fn ending(look: &Look, turn: &Turn, hints: &Hints) -> String {
    let mut page = Page::new(look);
    let exit = match turn.standing() {
        Standing::Finished(exit) => exit,
        Standing::Working | Standing::AwaitingApproval => return page.finish(),
    };
    if exit != Exit::Done {
        failed(&mut page, turn, exit, hints);
    } else if let Some(plan) = &turn.plan {
        succeeded(&mut page, plan, hints);
    }
    page.finish()
}

fn succeeded(page: &mut Page<'_>, plan: &CommandPlan, hints: &Hints) {
    let name = plan.name_any();
    if plan_phase(plan) == PlanPhase::PlanOnly {
        page.line(
            0,
            Tone::Strong,
            "Planned only: nothing was executed, and this plan never will be.",
        );
        return;
    }
    let (done, all) = steps_done(plan);
    let steps = count(i64::try_from(all).unwrap_or(i64::MAX), "step", "steps");
    page.line(
        0,
        Tone::Good,
        &format!("Done: {done} of {steps}, as {}.", plan.spec.requester.username),
    );
    let status = plan.status.as_ref();
    if let Some(verdict) = status
        .and_then(|s| s.evidence.as_ref())
        .map(|e| e.verdict.as_str())
        .filter(|v| !v.is_empty())
    {
        page.line(0, Tone::Plain, verdict);
    }
    if status.is_some_and(|s| s.rollback_available) {
        page.spans(
            0,
            &[
                (Tone::Faint, "Undo it: "),
                (Tone::Plain, &hints.own(&format!("rollback {name}"))),
            ],
        );
    } else {
        page.line(0, Tone::Faint, "KubeChat cannot undo it; the plan says why.");
    }
}

fn failed(page: &mut Page<'_>, turn: &Turn, exit: Exit, hints: &Hints) {
    let request = turn.request.as_ref().and_then(|request| request.status.as_ref());
    let (word, tone) = match (request, &turn.plan) {
        (Some(status), _) => phase_of_request(status.phase),
        (None, Some(plan)) => phase_of_plan(plan_phase(plan)),
        (None, None) => ("Failed", Tone::Bad),
    };
    let answered = request.is_some_and(|status| status.answer.is_some());
    if exit != Exit::NeedsInput || !answered {
        page.field(0, word, tone, turn.message().unwrap_or("no reason was given"));
    }
    if let Some(blocked) = request.and_then(|status| status.blocked.as_ref()) {
        page.line(
            0,
            Tone::Plain,
            &format!("Policy {}, rule {}.", blocked.policy, blocked.rule),
        );
    }
    if let Some(plan) = &turn.plan {
        what_was_done(page, turn, plan, hints);
    }
    match exit {
        Exit::NotDone
            if turn
                .message()
                .is_some_and(|message| message.contains("kubechat again")) => {}
        Exit::NotDone => {
            let again = hints.own(&format!("again {}", turn.name()));
            page.spans(0, &[(Tone::Faint, "Ask the same again: "), (Tone::Plain, &again)]);
        }
        Exit::NeedsInput => page.line(0, Tone::Faint, "Nothing was done. Ask again, more exactly."),
        Exit::Done
        | Exit::Error
        | Exit::Usage
        | Exit::Refused
        | Exit::Waiting
        | Exit::Audit(_)
        | Exit::PolicyChanges
        | Exit::Interrupted => {}
    }
}

fn what_was_done(page: &mut Page<'_>, turn: &Turn, plan: &CommandPlan, hints: &Hints) {
    let Some(status) = &plan.status else { return };
    let sent = status
        .steps
        .iter()
        .any(|step| !matches!(step.state, StepState::Pending | StepState::Skipped));
    if !sent {
        if !turn
            .message()
            .is_some_and(|message| message.contains("Nothing was"))
        {
            page.line(0, Tone::Plain, "Nothing was sent to the cluster.");
        }
        return;
    }
    for step in &status.steps {
        let (word, tone) = state(step.state);
        page.field(2, &step.id, tone, word);
        if let Some(excerpt) = step
            .excerpt
            .as_deref()
            .filter(|_| matches!(step.state, StepState::Failed | StepState::Unknown))
        {
            page.line(6, Tone::Plain, excerpt);
        }
    }
    if status.rollback_available {
        let undo = hints.own(&format!("rollback {}", plan.name_any()));
        page.spans(0, &[(Tone::Faint, "Undo what was done: "), (Tone::Plain, &undo)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{plan, request, set_plan, set_request, set_step};

    const LOOK: Look = Look {
        width: None,
        color: false,
    };

    fn hints() -> Hints {
        Hints {
            program: "kubechat",
            namespace: "demo".into(),
            connection: String::new(),
        }
    }

    fn turn(phase: RequestPhase, plan_phase: PlanPhase, ok: bool, reason: &str, message: &str) -> Turn {
        let (mut request, mut plan) = (request(), plan());
        let status = if ok { "True" } else { "False" };
        set_request(&mut request, phase, status, reason, message);
        set_plan(&mut plan, plan_phase, status, reason, message);
        Turn {
            request: Some(request),
            plan: Some(plan),
        }
    }

    #[test]
    fn success_says_who_did_it_and_how_to_undo_it() {
        let mut turn = turn(
            RequestPhase::Succeeded,
            PlanPhase::Succeeded,
            true,
            "Executed",
            "",
        );
        let plan = turn.plan.as_mut().unwrap();
        set_step(plan, 0, StepState::Done);
        plan.status.as_mut().unwrap().rollback_available = true;
        assert_eq!(
            ending(&LOOK, &turn, &hints()),
            "Done: 1 of 1 step, as alice.\nUndo it: kubechat rollback ask-1-plan -n demo\n"
        );
    }

    #[test]
    fn a_failure_says_what_was_and_was_not_done() {
        let mut turn = turn(
            RequestPhase::Failed,
            PlanPhase::Failed,
            false,
            "StepFailed",
            "step s1 was refused",
        );
        assert_eq!(
            ending(&LOOK, &turn, &hints()),
            "Failed: step s1 was refused\nNothing was sent to the cluster.\n\
             Ask the same again: kubechat again ask-1 -n demo\n"
        );
        let plan = turn.plan.as_mut().unwrap();
        set_step(plan, 0, StepState::Failed);
        plan.status.as_mut().unwrap().steps[0].excerpt = Some("quota\u{1b}[2J exceeded".into());
        assert_eq!(
            ending(&LOOK, &turn, &hints()),
            "Failed: step s1 was refused\n  s1: failed\n      quota\\u{1b}[2J exceeded\n\
             Ask the same again: kubechat again ask-1 -n demo\n"
        );
    }

    #[test]
    fn a_refusal_names_the_rule_and_does_not_invite_to_ask_again() {
        let mut turn = turn(
            RequestPhase::Blocked,
            PlanPhase::Blocked,
            false,
            "Blocked",
            "kube-system is protected",
        );
        let blocked = kubechat_crds::chat_request::Blocked {
            policy: "baseline".into(),
            rule: "kube-system".into(),
        };
        turn.request.as_mut().unwrap().status.as_mut().unwrap().blocked = Some(blocked);
        turn.plan = None;
        assert_eq!(
            ending(&LOOK, &turn, &hints()),
            "Blocked: kube-system is protected\nPolicy baseline, rule kube-system.\n"
        );
    }

    #[test]
    fn an_unfinished_turn_has_no_ending() {
        assert_eq!(ending(&LOOK, &Turn::default(), &hints()), "");
    }
}
