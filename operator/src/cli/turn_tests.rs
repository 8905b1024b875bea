//! Tests of what follows from a turn.

use super::*;
use crate::cli::testing::{now, plan, request, set_plan, set_request};
use kubechat_crds::Level;

#[test]
fn exit_code_follows_from_how_the_turn_ended() {
    use RequestPhase as P;
    for (phase, status, why, wanted) in [
        (P::Pending, "Unknown", "Pending", Standing::Working),
        (P::Planning, "Unknown", "Planning", Standing::Working),
        (P::Executing, "Unknown", "Executing", Standing::Working),
        (
            P::AwaitingApproval,
            "Unknown",
            "AwaitingApproval",
            Standing::AwaitingApproval,
        ),
        (P::Succeeded, "True", "Answered", Standing::Finished(Exit::Done)),
        (
            P::NeedsInput,
            "False",
            "NeedsInput",
            Standing::Finished(Exit::NeedsInput),
        ),
        (P::Denied, "False", "Denied", Standing::Finished(Exit::Refused)),
        (
            P::Blocked,
            "False",
            "ForbiddenClass",
            Standing::Finished(Exit::Refused),
        ),
        (P::Failed, "False", "Forbidden", Standing::Finished(Exit::Refused)),
        (
            P::Failed,
            "False",
            "StepFailed",
            Standing::Finished(Exit::NotDone),
        ),
        (P::Stale, "False", "Stale", Standing::Finished(Exit::NotDone)),
        (P::Expired, "False", "Expired", Standing::Finished(Exit::NotDone)),
        (
            P::Cancelled,
            "False",
            "Cancelled",
            Standing::Finished(Exit::NotDone),
        ),
        (
            P::Interrupted,
            "False",
            "OutcomeUnknown",
            Standing::Finished(Exit::NotDone),
        ),
    ] {
        let mut request = request();
        set_request(&mut request, phase, status, why, "because");
        let turn = Turn {
            request: Some(request),
            plan: None,
        };
        assert_eq!(turn.standing(), wanted, "{phase:?}");
        assert_eq!(turn.message(), Some("because"));
    }
}

#[test]
fn a_phase_alone_never_ends_a_turn() {
    let mut request = request();
    set_request(&mut request, RequestPhase::Succeeded, "Unknown", "Executing", "");
    assert_eq!(
        Turn {
            request: Some(request),
            plan: None
        }
        .standing(),
        Standing::Working
    );
    assert_eq!(Turn::default().standing(), Standing::Working);
}

#[test]
fn an_untrusted_object_is_the_end_though_it_never_succeeds_or_fails() {
    let mut request = request();
    set_request(&mut request, RequestPhase::Pending, "Unknown", "Pending", "");
    let conditions = &mut request.status.as_mut().unwrap().conditions;
    condition::set(
        conditions,
        types::STALLED,
        "True",
        "UntrustedOrigin",
        "no seal",
        None,
        now(),
    );
    let turn = Turn {
        request: Some(request),
        plan: None,
    };
    assert_eq!(turn.standing(), Standing::Finished(Exit::NotDone));
    assert_eq!(turn.message(), Some("no seal"));
}

#[test]
fn without_its_request_the_plan_speaks() {
    let mut plan = plan();
    assert_eq!(
        Turn {
            request: None,
            plan: Some(plan.clone())
        }
        .standing(),
        Standing::AwaitingApproval
    );
    set_plan(&mut plan, PlanPhase::Blocked, "False", "PolicyDeny", "");
    assert_eq!(
        Turn {
            request: None,
            plan: Some(plan)
        }
        .standing(),
        Standing::Finished(Exit::Refused)
    );
}

#[test]
fn only_the_requester_may_be_asked_to_confirm_and_only_once_and_in_time() {
    assert!(may_self_confirm(&plan(), "alice", now()));
    type Change = fn(&mut CommandPlan);
    let refused: [(&str, Change, &str); 12] = [
        ("somebody else", |_| {}, "bob"),
        ("nobody", |p| p.spec.requester.username.clear(), ""),
        (
            "policy does not let",
            |p| p.spec.requirement[0].self_confirm = false,
            "alice",
        ),
        (
            "other people are asked for",
            |p| p.spec.requirement[0].users = vec!["bob".into()],
            "alice",
        ),
        (
            "people of another group are asked for",
            |p| p.spec.requirement[0].groups = vec!["security".into()],
            "alice",
        ),
        (
            "a signature is asked for",
            |p| p.spec.requirement[0].signature = true,
            "alice",
        ),
        (
            "a service account asked",
            |p| p.spec.requester.username = "system:serviceaccount:demo:robot".into(),
            "system:serviceaccount:demo:robot",
        ),
        ("destructive", |p| p.spec.risk.level = Level::Destructive, "alice"),
        ("nothing to confirm", |p| p.spec.requirement.clear(), "alice"),
        (
            "plan only",
            |p| set_plan(p, PlanPhase::PlanOnly, "True", "PlanOnly", ""),
            "alice",
        ),
        (
            "expired",
            |p| p.spec.expires_at = "2020-01-01T00:00:00Z".into(),
            "alice",
        ),
        (
            "finished",
            |p| set_plan(p, PlanPhase::Succeeded, "True", "Executed", ""),
            "alice",
        ),
    ];
    for (case, change, me) in refused {
        let mut plan = plan();
        change(&mut plan);
        assert!(!may_self_confirm(&plan, me, now()), "{case}");
    }
    // Where one entry takes it, that another does not is no reason not to ask.
    let mut two = plan();
    let mut other = two.spec.requirement[0].clone();
    other.users = vec!["bob".into()];
    two.spec.requirement.insert(0, other);
    assert!(may_self_confirm(&two, "alice", now()));
    let mut decided = plan();
    let approvals = decided.status.as_mut().unwrap().approvals.as_mut().unwrap();
    approvals.decisions.push(crate::cli::testing::decision("alice"));
    assert!(!may_self_confirm(&decided, "alice", now()));
}

#[test]
fn the_plan_knows_sooner_that_it_runs_and_the_request_alone_ends_the_turn() {
    let (mut request, mut plan) = (request(), plan());
    set_request(
        &mut request,
        RequestPhase::AwaitingApproval,
        "Unknown",
        "AwaitingApproval",
        "",
    );
    let turn = |request: &ChatRequest, plan: &CommandPlan| Turn {
        request: Some(request.clone()),
        plan: Some(plan.clone()),
    };
    assert_eq!(turn(&request, &plan).standing(), Standing::AwaitingApproval);
    set_plan(&mut plan, PlanPhase::Executing, "Unknown", "Executing", "");
    assert_eq!(turn(&request, &plan).standing(), Standing::Working);
    set_plan(&mut plan, PlanPhase::Succeeded, "True", "Executed", "");
    assert_eq!(turn(&request, &plan).standing(), Standing::Working);
    set_request(&mut request, RequestPhase::Succeeded, "True", "Executed", "");
    assert_eq!(turn(&request, &plan).standing(), Standing::Finished(Exit::Done));
}

#[test]
fn a_denial_is_taken_while_a_plan_waits_is_held_or_runs_and_an_approval_only_while_it_waits() {
    use PlanPhase as P;
    for (phase, late, denials, approvals) in [
        (P::AwaitingApproval, false, true, true),
        (P::AwaitingApproval, true, false, false),
        (P::Approved, false, true, false),
        (P::Approved, true, false, false),
        (P::Executing, false, true, false),
        (P::Executing, true, true, false),
        (P::Succeeded, false, false, false),
        (P::Denied, false, false, false),
        (P::Stale, false, false, false),
        (P::PlanOnly, false, false, false),
    ] {
        let mut plan = plan();
        set_plan(&mut plan, phase, "Unknown", "Reason", "");
        if late {
            plan.spec.expires_at = "2020-01-01T00:00:00Z".into();
        }
        let taken = (takes_denials(&plan, now()), takes_decisions(&plan, now()));
        assert_eq!(taken, (denials, approvals), "{phase:?}, late: {late}");
    }
}
