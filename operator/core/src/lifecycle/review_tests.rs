use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kubechat_crds::command_plan::StepStatus;
use kubechat_crds::common::DecisionRecord;
use kubechat_crds::condition::{set, types};
use kubechat_crds::risk_policy::BreakGlassPolicy;
use kubechat_crds::{ApprovalSpec, ApprovalSummary, Identity, RiskPolicy, RiskPolicySpec};

use super::*;
use crate::decider::Decider;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn plan() -> CommandPlanSpec {
    CommandPlanSpec {
        digest: "sha256:d".into(),
        requester: Identity {
            username: "alice".into(),
            ..Default::default()
        },
        ..Default::default()
    }
}

/// Executed at 1000, approved by bob.
fn executed(via: Via) -> CommandPlanStatus {
    let mut status = CommandPlanStatus {
        steps: vec![StepStatus {
            state: StepState::Done,
            ..Default::default()
        }],
        approvals: Some(ApprovalSummary {
            decisions: vec![DecisionRecord {
                username: "bob".into(),
                via,
                decision: DecisionKind::Approve,
                ..Default::default()
            }],
            ..Default::default()
        }),
        completion_time: Some(Time(at(1000))),
        ..Default::default()
    };
    set(
        &mut status.conditions,
        types::SUCCEEDED,
        "True",
        "Executed",
        "",
        None,
        at(1000),
    );
    status
}

fn review_by(name: &str) -> Facts {
    Facts {
        name: "r".into(),
        uid: "u-r".into(),
        spec: ApprovalSpec {
            plan_digest: "sha256:d".into(),
            decision: DecisionKind::Review,
            ..Default::default()
        },
        created: at(1001),
        sealed: true,
        refused: None,
        stands: None,
        decider: Ok(Decider {
            person: Identity {
                username: name.into(),
                ..Default::default()
            },
            ..Default::default()
        }),
        right: Some(Ok(())),
    }
}

#[test]
fn who_neither_asked_nor_approved_reviews_what_was_executed_by_break_glass() {
    let broken = executed(Via::BreakGlass);
    let reason = |status: &CommandPlanStatus, facts: &Facts| {
        judge(&plan(), status, facts, at(1002)).map_or_else(|no| no.reason, |_| "")
    };
    assert_eq!(reason(&broken, &review_by("carol")), "");
    assert_eq!(reason(&broken, &review_by("alice")), reason::SELF_APPROVAL);
    assert_eq!(reason(&broken, &review_by("bob")), reason::NOT_ELIGIBLE);
    let plain = executed(Via::Direct);
    assert_eq!(reason(&plain, &review_by("carol")), reason::NOT_BREAK_GLASS);
    let mut unsent = executed(Via::BreakGlass);
    unsent.steps[0].state = StepState::Skipped;
    assert_eq!(reason(&unsent, &review_by("carol")), reason::NOT_BREAK_GLASS);
    let mut running = executed(Via::BreakGlass);
    running.conditions.clear();
    assert_eq!(reason(&running, &review_by("carol")), reason::EXECUTING);
    let mut powerless = review_by("carol");
    powerless.right = Some(Err("approve".into()));
    assert_eq!(reason(&broken, &powerless), reason::FORBIDDEN);
    let mut unsealed = review_by("carol");
    unsealed.sealed = false;
    assert_eq!(reason(&broken, &unsealed), reason::UNTRUSTED_ORIGIN);
    let mut other = review_by("carol");
    other.spec.plan_digest = "sha256:e".into();
    assert_eq!(reason(&broken, &other), reason::DIGEST_MISMATCH);
}

#[test]
fn a_review_is_due_by_the_shortest_time_of_all_packs_and_then_overdue_until_it_comes() {
    let pack = |name: &str, within: &str| {
        RiskPolicy::new(
            name,
            RiskPolicySpec {
                break_glass: Some(BreakGlassPolicy {
                    groups: vec!["sre".into()],
                    review_within: within.into(),
                }),
                ..Default::default()
            },
        )
    };
    let packs = Effective::from_policies(&[pack("a", "2h"), pack("b", "1h")]).unwrap();
    let none = Effective::from_policies(&[RiskPolicy::new("plain", RiskPolicySpec::default())]).unwrap();
    let broken = executed(Via::BreakGlass);
    let found = |policies: &Effective, reviewer, now| {
        let found = standing("p", &broken, Ok(policies), reviewer, at(now)).unwrap();
        (found.status, found.reason, found.changes_at)
    };
    assert_eq!(
        found(&packs, None, 1000),
        ("Unknown", reason::REVIEW_DUE, Some(at(4600)))
    );
    assert_eq!(found(&packs, None, 4600), ("False", reason::REVIEW_OVERDUE, None));
    // It still can be, later.
    assert_eq!(
        found(&packs, Some("carol"), 9999),
        ("True", reason::REVIEWED, None)
    );
    assert_eq!(found(&none, None, 4600).1, reason::REVIEW_DUE);
    assert_eq!(found(&none, None, 1000 + 24 * 3600).1, reason::REVIEW_OVERDUE);
    assert_eq!(
        standing("p", &executed(Via::Direct), Ok(&packs), None, at(1)),
        None
    );
}

#[test]
fn what_was_executed_by_break_glass_waits_for_its_review_and_its_removal_before_is_told() {
    let broken = executed(Via::BreakGlass);
    assert!(awaited(&broken));
    assert!(
        removed("p", &broken)
            .unwrap()
            .contains("plan p was executed by break-glass")
    );
    let mut running = executed(Via::BreakGlass);
    running.conditions.clear();
    assert!(awaited(&running), "also while it is under way");
    let said = |status: &str| {
        let mut plan = executed(Via::BreakGlass);
        set(
            &mut plan.conditions,
            types::REVIEWED,
            status,
            "R",
            "",
            None,
            at(1000),
        );
        plan
    };
    for (status, waits) in [("True", false), ("False", true), ("Unknown", true)] {
        assert_eq!(awaited(&said(status)), waits, "{status}");
        assert_eq!(removed("p", &said(status)).is_some(), waits);
    }
    assert!(!awaited(&executed(Via::Direct)));
    let mut unsent = executed(Via::BreakGlass);
    unsent.steps[0].state = StepState::Skipped;
    assert_eq!(removed("p", &unsent), None);
}
