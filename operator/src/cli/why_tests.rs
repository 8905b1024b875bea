use kubechat_crds::condition::set;
use kubechat_crds::risk_policy::{ApprovalRule, BreakGlassPolicy, LevelApprovals};
use kubechat_crds::{ApprovalStatus, PlanPhase, RequestPhase, RiskPolicySpec};

use super::*;
use crate::cli::decide::approval;
use crate::cli::testing::{decision, now, plan, request, set_plan, set_request};

fn pack(spec: RiskPolicySpec) -> Vec<RiskPolicy> {
    vec![RiskPolicy::new("baseline", spec)]
}

fn turn(plan: CommandPlan) -> Turn {
    Turn {
        request: None,
        plan: Some(plan),
    }
}

fn all(why: &Why) -> String {
    format!(
        "{}\n{}\n{}",
        why.headline,
        why.because.join("\n"),
        why.next.join("\n")
    )
}

fn says(why: &Why, words: &[&str]) {
    let text = all(why);
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

#[test]
fn a_waiting_plan_says_for_whom_until_when_and_by_which_policy() {
    let found = explain(&turn(plan()), &[], Some(&pack(RiskPolicySpec::default())), now());
    assert_eq!(
        found.headline,
        "ask-1-plan waits for people: 0/1 approvals are there."
    );
    says(
        &found,
        &[
            "a caution plan (score 25), asked for by alice",
            "RiskPolicy baseline asks for 1 person; the requester may be one of them",
            "expires at 2026-05-01T18:00:00Z, in 480 min",
            "May still approve: group approvers: kubectl kubechat approve ask-1-plan",
        ],
    );
}

#[test]
fn decisions_that_count_and_those_that_do_not_are_told_apart() {
    let mut plan = plan();
    let mut by_git = decision("carol");
    by_git.via = Via::GitOps;
    let summary = plan.status.as_mut().unwrap().approvals.as_mut().unwrap();
    summary.decisions = vec![decision("bob"), by_git];
    let refused = |name: &str| {
        let mut made = approval(&plan, DecisionKind::Approve, "", None);
        made.metadata.name = Some(name.into());
        let mut conditions = vec![];
        set(
            &mut conditions,
            types::ACCEPTED,
            "False",
            reason::KEY_REVOKED,
            "key was revoked",
            None,
            now(),
        );
        made.status = Some(ApprovalStatus {
            conditions,
            ..ApprovalStatus::default()
        });
        made
    };
    let many: Vec<Approval> = (0..25).map(|i| refused(&format!("late-{i}"))).collect();
    let found = explain(&turn(plan.clone()), &many, None, now());
    says(
        &found,
        &[
            "bob approved it (approve-bob)",
            "carol approved it through Git",
            "late-0 does not count (KeyRevoked): key was revoked",
            "5 more decisions do not count",
        ],
    );
    assert!(!all(&found).contains("late-24"));
}

#[test]
fn what_policies_say_today_is_told_where_it_is_stricter_or_stops_everything() {
    let two = RiskPolicySpec {
        approvals: Some(LevelApprovals {
            caution: Some(ApprovalRule {
                count: 2,
                groups: vec!["sre".into()],
                signature: true,
                ..ApprovalRule::default()
            }),
            destructive: None,
        }),
        break_glass: Some(BreakGlassPolicy {
            groups: vec!["oncall".into()],
            review_within: "24h".into(),
        }),
        ..RiskPolicySpec::default()
    };
    let found = explain(&turn(plan()), &[], Some(&pack(two)), now());
    says(
        &found,
        &[
            "stricter today: RiskPolicy baseline asks for 2 different people of sre, signed",
            "one other person of oncall may approve alone",
        ],
    );
    for held in [reason::NO_POLICY, reason::POLICY_NOT_READY, reason::SUSPENDED] {
        let mut waiting = plan();
        let conditions = &mut waiting.status.as_mut().unwrap().conditions;
        set(
            conditions,
            types::AWAITING_APPROVAL,
            "True",
            held,
            "it is held",
            None,
            now(),
        );
        let found = explain(&turn(waiting), &[], None, now());
        says(
            &found,
            &["no approval helps", "it is held", "who keeps the RiskPolicies"],
        );
    }
    let found = explain(&turn(plan()), &[], Some(&[]), now());
    says(&found, &["There is no RiskPolicy"]);
}

#[test]
fn every_end_has_its_words_and_a_way_on() {
    for (phase, reason, said) in [
        (PlanPhase::Stale, reason::STALE, "went stale"),
        (PlanPhase::Expired, reason::EXPIRED, "expired before"),
        (PlanPhase::Denied, reason::DENIED, "denied by a person"),
        (PlanPhase::Blocked, reason::POLICY_DENIED, "refused by a policy"),
        (PlanPhase::Failed, reason::FORBIDDEN, "a right is missing"),
        (PlanPhase::Failed, reason::FORBIDDEN_CLASS, "never does this"),
        (PlanPhase::Cancelled, reason::CANCELLED, "withdrawn"),
        (
            PlanPhase::Cancelled,
            reason::TURN_GONE,
            "turn that asked for it is gone",
        ),
        (PlanPhase::Failed, reason::STEP_FAILED, "failed"),
        (PlanPhase::Interrupted, reason::OUTCOME_UNKNOWN, "stopped midway"),
        (PlanPhase::Failed, reason::EFFECT_TIMED_OUT, "effect did not come"),
        (PlanPhase::Failed, reason::DIGEST_MISMATCH, "(DigestMismatch)"),
    ] {
        let mut ended = plan();
        set_plan(&mut ended, phase, "False", reason, "the very words");
        let found = explain(&turn(ended), &[], None, now());
        says(&found, &[said, "the very words"]);
        assert!(!found.next.is_empty(), "{reason}");
    }
    let mut done = plan();
    set_plan(
        &mut done,
        PlanPhase::Succeeded,
        "True",
        reason::EXECUTED,
        "1 step done",
    );
    let conditions = &mut done.status.as_mut().unwrap().conditions;
    set(
        conditions,
        types::REVIEWED,
        "Unknown",
        reason::REVIEW_DUE,
        "a review is due",
        None,
        now(),
    );
    says(
        &explain(&turn(done), &[], None, now()),
        &["is done", "a review is due"],
    );
}

#[test]
fn a_plan_that_was_stopped_midway_never_reads_as_if_nothing_was_done() {
    for why in [
        reason::CANCELLED,
        reason::DENIED,
        reason::EXPIRED,
        reason::STALE,
        reason::POLICY_DENIED,
        reason::FORBIDDEN,
        reason::DRY_RUN_FAILED,
        reason::SUSPENDED,
        reason::INTERRUPTED,
    ] {
        let mut ended = plan();
        set_plan(&mut ended, PlanPhase::Interrupted, "False", why, "the very words");
        let found = explain(&turn(ended.clone()), &[], None, now());
        says(
            &found,
            &[
                "stopped midway",
                "the very words",
                "kubectl kubechat rollback ask-1-plan",
            ],
        );
        // By its steps too, whatever its phase.
        set_plan(&mut ended, PlanPhase::Failed, "False", why, "the very words");
        ended.status.as_mut().unwrap().steps = vec![kubechat_crds::command_plan::StepStatus {
            id: "s1".into(),
            state: kubechat_crds::StepState::Done,
            ..Default::default()
        }];
        says(
            &explain(&turn(ended), &[], None, now()),
            &["stopped midway", "rollback"],
        );
    }
}

#[test]
fn a_plan_that_was_interrupted_before_anything_was_done_offers_no_undo() {
    let step = |state, done| kubechat_crds::command_plan::StepStatus {
        id: "s1".into(),
        state,
        done,
        ..Default::default()
    };
    let mut ended = plan();
    set_plan(
        &mut ended,
        PlanPhase::Interrupted,
        "False",
        reason::INTERRUPTED,
        "the very words",
    );
    for (state, done, untouched) in [
        (StepState::Failed, 0, true),
        (StepState::Skipped, 0, true),
        (StepState::Failed, 1, false),
        (StepState::Unknown, 0, false),
        (StepState::Sent, 0, false),
        (StepState::Pending, 0, false),
    ] {
        ended.status.as_mut().unwrap().steps = vec![step(state, done), step(StepState::Skipped, 0)];
        let found = explain(&turn(ended.clone()), &[], None, now());
        let said = all(&found);
        assert_eq!(said.contains("before any of it was done"), untouched, "{said}");
        assert_eq!(said.contains("rollback"), !untouched, "{said}");
        assert_eq!(said.contains("kubechat again ask-1-plan"), untouched, "{said}");
    }
}

#[test]
fn a_turn_without_a_plan_is_explained_too() {
    let mut unclear = request();
    unclear.status.as_mut().unwrap().plan_ref = None;
    set_request(
        &mut unclear,
        RequestPhase::NeedsInput,
        "False",
        reason::NEEDS_INPUT,
        "which one?",
    );
    let found = explain(
        &Turn {
            request: Some(unclear),
            plan: None,
        },
        &[],
        None,
        now(),
    );
    assert_eq!(found.name, "ask-1");
    says(&found, &["not clear enough", "which one?"]);
    assert_eq!(
        explain(&Turn::default(), &[], None, now()).headline,
        " is being worked on; there is no plan yet."
    );
}
