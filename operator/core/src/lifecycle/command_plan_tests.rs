use kubechat_crds::command_plan::Risk;
use kubechat_crds::risk_policy::{ApprovalRule, LevelApprovals};
use kubechat_crds::{ApprovalSpec, Identity, Level, PlanPhase, RiskPolicy, RiskPolicySpec};

use super::*;
use crate::decider::{Decider, Origin, decider};
use crate::lifecycle::approval::NotCounted;
use crate::sshsig::Keyring;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pack(count: i32, groups: &[&str]) -> RiskPolicy {
    let rule = |self_confirm| ApprovalRule {
        count,
        self_confirm,
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        ..Default::default()
    };
    let approvals = LevelApprovals {
        caution: Some(rule(true)),
        destructive: Some(rule(false)),
    };
    RiskPolicy::new(
        "baseline",
        RiskPolicySpec {
            approvals: Some(approvals),
            ..Default::default()
        },
    )
}

fn plan(level: Level, policies: &Effective) -> CommandPlanSpec {
    let mut plan = CommandPlanSpec {
        requester: Identity {
            username: "alice".into(),
            ..Default::default()
        },
        risk: Risk {
            level,
            ..Default::default()
        },
        expires_at: at(1000).to_string(),
        digest: "sha256:d".into(),
        ..Default::default()
    };
    plan.requirement = policies.evaluate(&plan, at(0)).requirement;
    plan
}

/// Whose decision it is where no policy trusts an applier and no key is registered.
fn decided(spec: &ApprovalSpec, by: &Identity) -> Result<Decider, NotCounted> {
    let policies = Effective::from_policies(&[pack(1, &[])]).unwrap();
    let origin = Origin {
        namespace: "demo",
        policies: Ok(&policies),
        keys: &Keyring::default(),
        now: at(20),
    };
    decider(&CommandPlanSpec::default(), spec, by, &origin)
}

fn by(name: &str, decision: DecisionKind) -> Facts {
    let groups = if name == "bob" {
        vec!["ops".to_owned()]
    } else {
        vec![]
    };
    let person = Identity {
        username: name.into(),
        groups,
        ..Default::default()
    };
    let spec = ApprovalSpec {
        plan_digest: "sha256:d".into(),
        decision,
        submitted_by: Some(person.clone()),
        ..Default::default()
    };
    Facts {
        name: format!("a-{name}"),
        uid: format!("u-{name}"),
        decider: decided(&spec, &person),
        spec,
        created: at(10),
        sealed: true,
        refused: None,
        stands: None,
        right: Some(Ok(())),
    }
}

fn verdict(plan: &CommandPlanSpec, approvals: &[Facts], policies: &Effective) -> (Verdict, ApprovalSummary) {
    decide(&Observed {
        name: "p",
        namespace: "demo",
        plan,
        approvals,
        policies: Ok(policies),
        holders: None,
        withdrawn: None,
        stamped: at(0),
        planned: at(0),
        not_after: None,
        now: at(20),
    })
}

fn waits(found: &(Verdict, ApprovalSummary)) -> bool {
    matches!(found.0, Verdict::Wait { .. })
}

#[test]
fn the_requester_confirms_a_caution_plan_but_never_a_destructive_one() {
    let one = Effective::from_policies(&[pack(1, &[])]).unwrap();
    let own = [by("alice", DecisionKind::Approve)];
    assert_eq!(verdict(&plan(Level::Caution, &one), &own, &one).0, Verdict::Go);
    assert!(waits(&verdict(&plan(Level::Destructive, &one), &own, &one)));
    assert_eq!(
        verdict(
            &plan(Level::Destructive, &one),
            &[by("bob", DecisionKind::Approve)],
            &one
        )
        .0,
        Verdict::Go
    );
}

#[test]
fn distinct_people_count_once() {
    let two = Effective::from_policies(&[pack(2, &[])]).unwrap();
    let plan = plan(Level::Destructive, &two);
    let bob = || by("bob", DecisionKind::Approve);
    let once = verdict(&plan, &[bob(), bob()], &two);
    assert!(waits(&once));
    assert_eq!(once.1.summary, "1/2");
    assert_eq!(
        verdict(&plan, &[bob(), by("carol", DecisionKind::Approve)], &two).0,
        Verdict::Go
    );
}

#[test]
fn refuses_decisions_that_cannot_be_held_against_a_person() {
    let one = Effective::from_policies(&[pack(1, &[])]).unwrap();
    let plan = plan(Level::Destructive, &one);
    let change = |f: fn(&mut Facts)| {
        let mut facts = by("bob", DecisionKind::Approve);
        f(&mut facts);
        facts
    };
    let cases = [
        (change(|f| f.sealed = false), reason::UNTRUSTED_ORIGIN),
        (
            change(|f| f.spec.plan_digest = "sha256:x".into()),
            reason::DIGEST_MISMATCH,
        ),
        (
            change(|f| f.spec.plan_digest = "sha256:".into()),
            reason::DIGEST_MISMATCH,
        ),
        (
            by("system:serviceaccount:a:b", DecisionKind::Approve),
            reason::UNTRUSTED_APPLIER,
        ),
        (by("system:admin", DecisionKind::Approve), reason::NOT_A_PERSON),
        (
            change(|f| f.right = Some(Err("approve".into()))),
            reason::FORBIDDEN,
        ),
        (change(|f| f.right = None), reason::UNREACHABLE),
        (
            change(|f| f.refused = Some("lacked the right".into())),
            reason::NOT_ELIGIBLE,
        ),
        (change(|f| f.created = at(1000)), reason::EXPIRED),
        (
            change(|f| {
                f.spec.expires_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(15)));
            }),
            reason::EXPIRED,
        ),
        (
            change(|f| f.spec.break_glass = Some(Default::default())),
            reason::NOT_ELIGIBLE,
        ),
        (by("bob", DecisionKind::Review), reason::NOT_BREAK_GLASS),
        (by("alice", DecisionKind::Deny), reason::SELF_APPROVAL),
    ];
    for (facts, want) in cases {
        let refused =
            approval::judge(&plan, &Terms::of(&plan, Ok(&one), at(20)), &facts, at(20)).unwrap_err();
        assert_eq!(refused.reason, want, "{facts:?}");
        assert!(waits(&verdict(&plan, &[facts], &one)));
    }
}

#[test]
fn one_deny_by_a_person_with_the_right_ends_it() {
    let one = Effective::from_policies(&[pack(1, &[])]).unwrap();
    let plan = plan(Level::Caution, &one);
    let both = [by("alice", DecisionKind::Approve), by("bob", DecisionKind::Deny)];
    assert!(matches!(
        verdict(&plan, &both, &one).0,
        Verdict::End(Ending {
            phase: PlanPhase::Denied,
            ..
        })
    ));
    let mut powerless = by("bob", DecisionKind::Deny);
    powerless.right = Some(Err("approve".into()));
    assert!(waits(&verdict(&plan, &[powerless], &one)));
}

#[test]
fn a_stricter_live_policy_binds_after_approval_and_a_looser_one_does_not_help() {
    let one = Effective::from_policies(&[pack(1, &[])]).unwrap();
    let two = Effective::from_policies(&[pack(2, &["ops"])]).unwrap();
    let bob = [by("bob", DecisionKind::Approve)];
    let Verdict::Wait { reason, .. } = verdict(&plan(Level::Destructive, &one), &bob, &two).0 else {
        panic!()
    };
    assert_eq!(reason, reason::REQUIREMENT_CHANGED);
    assert!(waits(&verdict(&plan(Level::Destructive, &two), &bob, &one)));
}

#[test]
fn a_plan_whose_level_a_policy_raises_after_planning_is_stale_whoever_approved_it() {
    let one = Effective::from_policies(&[pack(1, &[])]).unwrap();
    let raised = |at_least: &str, count: i32| {
        let mut stricter = pack(count, &[]);
        stricter.spec.rules = serde_json::from_value(serde_json::json!([
            {"name": "raise", "when": "plan.level == 'caution'", "effect": "RequireApproval", "atLeast": at_least}
        ]))
        .unwrap();
        Effective::from_policies(&[stricter]).unwrap()
    };
    let caution = plan(Level::Caution, &one);
    let approved = [
        by("bob", DecisionKind::Approve),
        by("carol", DecisionKind::Approve),
    ];
    assert_eq!(verdict(&caution, &approved, &one).0, Verdict::Go);
    for approvals in [&approved[..], &[]] {
        let Verdict::End(ending) = verdict(&caution, approvals, &raised("destructive", 1)).0 else {
            panic!("{:?}", verdict(&caution, approvals, &raised("destructive", 1)))
        };
        assert_eq!((ending.phase, ending.reason), (PlanPhase::Stale, reason::STALE));
        assert!(
            ending.unbegun().contains("destructive now") && ending.unbegun().contains("kubechat again p")
        );
    }
    // A level that stays is judged as before.
    assert_eq!(verdict(&caution, &approved, &raised("caution", 1)).0, Verdict::Go);
    assert_eq!(
        verdict(
            &plan(Level::Destructive, &one),
            &approved,
            &raised("destructive", 1)
        )
        .0,
        Verdict::Go
    );
}

#[test]
fn only_members_of_the_required_groups_count() {
    let ops = Effective::from_policies(&[pack(1, &["ops"])]).unwrap();
    let plan = plan(Level::Destructive, &ops);
    assert!(waits(&verdict(
        &plan,
        &[by("carol", DecisionKind::Approve)],
        &ops
    )));
    assert_eq!(
        verdict(&plan, &[by("bob", DecisionKind::Approve)], &ops).0,
        Verdict::Go
    );
}

#[test]
fn fails_closed_without_a_usable_policy_and_after_its_time() {
    let one = Effective::from_policies(&[pack(1, &[])]).unwrap();
    let plan = plan(Level::Caution, &one);
    let bob = [by("bob", DecisionKind::Approve)];
    let mut seen = Observed {
        name: "p",
        namespace: "demo",
        plan: &plan,
        approvals: &bob,
        policies: Ok(&one),
        holders: None,
        withdrawn: None,
        stamped: at(0),
        planned: at(0),
        not_after: None,
        now: at(20),
    };
    assert_eq!(decide(&seen).0, Verdict::Go);
    let problem = PolicyProblem {
        reason: reason::NO_POLICY,
        message: String::new(),
    };
    seen.policies = Err(&problem);
    assert!(waits(&decide(&seen)));
    seen.policies = Ok(&one);
    let ended = |seen: &Observed<'_>, want| {
        let Verdict::End(ending) = decide(seen).0 else {
            panic!("{:?}", decide(seen))
        };
        assert_eq!(ending.phase, want);
    };
    seen.now = at(1000);
    ended(&seen, PlanPhase::Expired);
    (seen.now, seen.not_after) = (at(20), Some(at(20)));
    ended(&seen, PlanPhase::Expired);
    (seen.not_after, seen.stamped) = (None, at(20 - 8 * 3600));
    ended(&seen, PlanPhase::Expired);
    (seen.stamped, seen.withdrawn) = (at(0), Some(Withdrawn::Cancelled));
    ended(&seen, PlanPhase::Cancelled);
    let suspended = Effective::from_policies(&[RiskPolicy::new(
        "stop",
        RiskPolicySpec {
            suspend: true,
            ..Default::default()
        },
    )])
    .unwrap();
    (seen.withdrawn, seen.policies) = (None, Ok(&suspended));
    let Verdict::Wait { reason, .. } = decide(&seen).0 else {
        panic!()
    };
    assert_eq!(reason, reason::SUSPENDED);
    let shown = CommandPlanSpec {
        mode: Mode::PlanOnly,
        ..plan.clone()
    };
    seen.plan = &shown;
    assert_eq!(decide(&seen).0, Verdict::PlanOnly);
}

#[test]
fn the_waiting_message_holds_an_approval_ready_to_create() {
    let one = Effective::from_policies(&[pack(1, &[])]).unwrap();
    let Verdict::Wait { message, .. } = verdict(&plan(Level::Caution, &one), &[], &one).0 else {
        panic!()
    };
    assert!(
        message.contains("kind: Approval") && message.contains("planDigest: \"sha256:d\""),
        "{message}"
    );
}

#[test]
fn however_many_may_approve_the_message_still_holds_the_approval() {
    let long: Vec<String> = (0..40).map(|n| format!("team-{n}-{}", "x".repeat(250))).collect();
    let groups: Vec<&str> = long.iter().map(String::as_str).collect();
    let policies = Effective::from_policies(&[pack(1, &groups)]).unwrap();
    let (found, summary) = verdict(&plan(Level::Destructive, &policies), &[], &policies);
    let Verdict::Wait { message, .. } = found else {
        panic!()
    };
    assert!(message.ends_with("decision: Approve}\nEOF"), "{message}");
    assert!(
        message.contains("and 16 more (status.approvals.eligible)"),
        "{message}"
    );
    assert_eq!(summary.eligible.len(), 20);
}

#[test]
fn a_plan_that_is_asked_for_no_more_ends_with_the_true_reason_and_names_nobody_for_a_cancel() {
    let one = Effective::from_policies(&[pack(1, &[])]).unwrap();
    let plan = plan(Level::Caution, &one);
    let approved = [by("bob", DecisionKind::Approve)];
    let cases = [
        (
            Withdrawn::Cancelled,
            PlanPhase::Cancelled,
            "Cancelled",
            "spec.cancel",
        ),
        (Withdrawn::TurnGone, PlanPhase::Cancelled, "TurnGone", "is gone"),
        (
            Withdrawn::Untrusted,
            PlanPhase::Blocked,
            "UntrustedOrigin",
            "no valid seal",
        ),
        (
            Withdrawn::AnotherRequester,
            PlanPhase::Blocked,
            "AnotherRequester",
            "another requester",
        ),
    ];
    for (why, phase, reason, says) in cases {
        let found = decide(&Observed {
            name: "p",
            namespace: "demo",
            plan: &plan,
            approvals: &approved,
            policies: Ok(&one),
            holders: None,
            withdrawn: Some(why),
            stamped: at(0),
            planned: at(0),
            not_after: None,
            now: at(20),
        });
        let Verdict::End(ending) = found.0 else {
            panic!("{why:?}: {found:?}")
        };
        assert_eq!((ending.phase, ending.reason), (phase, reason));
        let message = &ending.unbegun();
        assert!(message.contains(says), "{message}");
        assert!(!message.contains("by the requester"), "{message}");
    }
}

#[test]
fn what_a_deleted_pack_asked_for_when_the_plan_was_made_still_binds() {
    let mut strict = pack(2, &[]);
    strict.metadata.name = Some("strict".into());
    let then = Effective::from_policies(&[pack(1, &[]), strict]).unwrap();
    let now = Effective::from_policies(&[pack(1, &[])]).unwrap();
    for level in [Level::Caution, Level::Destructive] {
        let plan = plan(level, &then);
        let one = [by("bob", DecisionKind::Approve)];
        assert!(waits(&verdict(&plan, &one, &now)), "{level}");
        let two = [
            by("bob", DecisionKind::Approve),
            by("carol", DecisionKind::Approve),
        ];
        assert_eq!(verdict(&plan, &two, &now).0, Verdict::Go, "{level}");
    }
}

/// As [`by`], of person number `n`.
fn one_of_many(n: usize, decision: DecisionKind) -> Facts {
    let mut facts = by(&format!("p{n:04}"), decision);
    facts.uid = format!("{}-{decision:?}-{n}", facts.uid);
    facts
}

#[test]
fn of_a_thousand_approvals_each_person_counts_once_and_one_denial_ends_it() {
    // Five hundred people, each twice.
    let mut votes: Vec<Facts> = (0..1000)
        .map(|n| one_of_many(n % 500, DecisionKind::Approve))
        .collect();
    let enough = Effective::from_policies(&[pack(500, &[])]).unwrap();
    let more = Effective::from_policies(&[pack(501, &[])]).unwrap();
    let found = verdict(&plan(Level::Caution, &enough), &votes, &enough);
    assert_eq!(found.0, Verdict::Go);
    assert!(found.1.decisions.len() <= 64, "{}", found.1.decisions.len());
    let found = verdict(&plan(Level::Caution, &more), &votes, &more);
    assert!(waits(&found), "{:?}", found.0);
    assert_eq!((found.1.received, found.1.required), (500, 501));
    votes.push(one_of_many(7000, DecisionKind::Deny));
    let (Verdict::End(ending), _) = verdict(&plan(Level::Caution, &enough), &votes, &enough) else {
        panic!("a denial is not outvoted")
    };
    assert_eq!(ending.phase, PlanPhase::Denied);
}

#[test]
fn an_approval_that_is_older_than_its_plan_counts_for_exactly_what_it_names_and_is_listed() {
    let one = Effective::from_policies(&[pack(1, &[])]).unwrap();
    let mut early = by("bob", DecisionKind::Approve);
    early.created = at(-3600);
    let found = verdict(&plan(Level::Caution, &one), &[early.clone()], &one);
    assert_eq!(found.0, Verdict::Go);
    assert_eq!(found.1.decisions[0].time, at(-3600).to_string());
    early.spec.plan_digest = "sha256:guessed".into();
    let found = verdict(&plan(Level::Caution, &one), &[early], &one);
    assert!(waits(&found) && found.1.decisions.is_empty());
}
