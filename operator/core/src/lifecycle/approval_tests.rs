//! Break-glass, signatures and what holds for every set of decisions.

use kubechat_crds::approval::BreakGlass;
use kubechat_crds::command_plan::Risk;
use kubechat_crds::risk_policy::{ApprovalRule, BreakGlassPolicy, LevelApprovals};
use kubechat_crds::{ApprovalSummary, Identity, Level, PlanPhase, RiskPolicy, RiskPolicySpec};
use proptest::prelude::*;

use super::*;

#[path = "approval_glass_tests.rs"]
mod glass_tests;

use crate::lifecycle::command_plan::{Ending, Observed, Verdict, decide};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// What a pack asks of every level.
#[derive(Clone, Debug)]
struct Asks {
    count: i32,
    groups: Vec<String>,
    self_confirm: bool,
    signature: bool,
    glass: Vec<String>,
}

impl Default for Asks {
    fn default() -> Self {
        Self {
            count: 2,
            groups: vec![],
            self_confirm: false,
            signature: false,
            glass: vec![],
        }
    }
}

fn pack(name: &str, asks: &Asks) -> RiskPolicy {
    let rule = |self_confirm| ApprovalRule {
        count: asks.count,
        groups: asks.groups.clone(),
        self_confirm,
        signature: asks.signature,
        ..Default::default()
    };
    RiskPolicy::new(
        name,
        RiskPolicySpec {
            approvals: Some(LevelApprovals {
                caution: Some(rule(asks.self_confirm)),
                destructive: Some(rule(false)),
            }),
            break_glass: (!asks.glass.is_empty()).then(|| BreakGlassPolicy {
                groups: asks.glass.clone(),
                review_within: "24h".into(),
            }),
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

#[derive(Clone, Debug)]
struct Vote {
    person: &'static str,
    group: &'static str,
    decision: DecisionKind,
    signed: bool,
    glass: bool,
    right: bool,
}

fn yes(person: &'static str) -> Vote {
    Vote {
        person,
        group: "sre",
        decision: DecisionKind::Approve,
        signed: false,
        glass: false,
        right: true,
    }
}

fn glass(person: &'static str) -> Vote {
    Vote {
        glass: true,
        ..yes(person)
    }
}

fn facts(i: usize, vote: &Vote) -> Facts {
    let person = Identity {
        username: vote.person.into(),
        groups: vec![vote.group.into()],
        ..Default::default()
    };
    let robot = person.username.starts_with("system:");
    Facts {
        name: format!("a{i}"),
        uid: format!("u{i}"),
        spec: ApprovalSpec {
            plan_digest: "sha256:d".into(),
            decision: vote.decision,
            break_glass: vote.glass.then(|| BreakGlass {
                incident: "INC-1".into(),
            }),
            ..Default::default()
        },
        created: at(10),
        sealed: true,
        refused: None,
        stands: None,
        decider: if robot {
            Err(NotCounted::no(reason::NOT_A_PERSON, ""))
        } else {
            Ok(Decider {
                person,
                signed: vote.signed,
                git: false,
            })
        },
        right: Some(if vote.right { Ok(()) } else { Err("approve".into()) }),
    }
}

fn outcome(packs: &[RiskPolicy], level: Level, votes: &[Vote]) -> (Verdict, ApprovalSummary) {
    let policies = Effective::from_policies(packs).unwrap();
    let plan = plan(level, &policies);
    let approvals: Vec<Facts> = votes.iter().enumerate().map(|(i, v)| facts(i, v)).collect();
    decide(&Observed {
        name: "p",
        namespace: "demo",
        plan: &plan,
        approvals: &approvals,
        policies: Ok(&policies),
        holders: None,
        withdrawn: None,
        stamped: at(0),
        planned: at(0),
        not_after: None,
        now: at(20),
    })
}

fn goes(packs: &[RiskPolicy], votes: &[Vote]) -> bool {
    outcome(packs, Level::Destructive, votes).0 == Verdict::Go
}

#[test]
fn one_other_person_of_the_groups_breaks_the_glass_and_it_is_told() {
    let packs = [pack(
        "a",
        &Asks {
            glass: vec!["sre".into()],
            groups: vec!["security".into()],
            ..Asks::default()
        },
    )];
    assert!(!goes(&packs, &[yes("bob"), yes("carol")]));
    let (verdict, summary) = outcome(&packs, Level::Destructive, &[glass("bob")]);
    assert_eq!(verdict, Verdict::Go);
    assert_eq!(
        (summary.summary.as_str(), summary.decisions[0].via),
        ("1/1", Via::BreakGlass)
    );
    // Not the requester, not somebody of another group, not without the right.
    assert!(!goes(&packs, &[glass("alice")]));
    assert!(!goes(
        &packs,
        &[Vote {
            group: "dev",
            ..glass("bob")
        }]
    ));
    assert!(!goes(
        &packs,
        &[Vote {
            right: false,
            ..glass("bob")
        }]
    ));
}

#[test]
fn a_deny_stays_and_no_other_pack_is_loosened_by_broken_glass() {
    let with = pack(
        "a",
        &Asks {
            glass: vec!["sre".into()],
            ..Asks::default()
        },
    );
    let deny = Vote {
        decision: DecisionKind::Deny,
        ..yes("carol")
    };
    assert!(matches!(
        outcome(
            std::slice::from_ref(&with),
            Level::Destructive,
            &[glass("bob"), deny]
        )
        .0,
        Verdict::End(Ending {
            phase: PlanPhase::Denied,
            ..
        })
    ));
    let without = pack("b", &Asks::default());
    let both = [with, without];
    assert!(!goes(&both, &[glass("bob")]));
    assert!(goes(&both, &[glass("bob"), yes("carol")]));
    let signed = pack(
        "a",
        &Asks {
            glass: vec!["sre".into()],
            signature: true,
            ..Asks::default()
        },
    );
    assert!(!goes(std::slice::from_ref(&signed), &[glass("bob")]));
    assert!(goes(
        &[signed],
        &[Vote {
            signed: true,
            ..glass("bob")
        }]
    ));
}

#[test]
fn with_several_packs_only_a_group_that_all_of_them_name_breaks_the_glass() {
    let asks = |groups: &[&str]| Asks {
        glass: groups.iter().map(|g| (*g).to_owned()).collect(),
        ..Asks::default()
    };
    let packs = [pack("a", &asks(&["sre", "dev"])), pack("b", &asks(&["sre"]))];
    assert!(goes(&packs, &[glass("bob")]));
    let dev = Vote {
        group: "dev",
        ..glass("bob")
    };
    assert!(!goes(&packs, std::slice::from_ref(&dev)));
    assert!(goes(&packs[..1], &[dev]));
    assert!(!goes(
        &[pack("a", &asks(&["dev"])), pack("b", &asks(&["sre"]))],
        &[glass("bob")]
    ));
}

#[test]
fn where_a_signature_is_asked_for_a_plain_yes_does_not_count() {
    let packs = [pack(
        "a",
        &Asks {
            count: 1,
            signature: true,
            ..Asks::default()
        },
    )];
    assert!(!goes(&packs, &[yes("bob")]));
    assert!(goes(
        &packs,
        &[Vote {
            signed: true,
            ..yes("bob")
        }]
    ));
}

#[test]
fn who_confirmed_his_own_plan_and_lost_the_right_to_decide_there_no_longer_counts() {
    let own = Asks {
        count: 1,
        self_confirm: true,
        ..Asks::default()
    };
    let sre = Asks {
        count: 1,
        groups: vec!["sre".into()],
        ..Asks::default()
    };
    let packs = [pack("a", &own), pack("b", &sre)];
    let without = Vote {
        right: false,
        ..yes("alice")
    };
    let two = [
        pack(
            "a",
            &Asks {
                count: 2,
                ..own.clone()
            },
        ),
        pack("b", &sre),
    ];
    assert_eq!(
        outcome(&two, Level::Caution, &[yes("alice"), yes("bob")]).0,
        Verdict::Go
    );
    let (verdict, summary) = outcome(&two, Level::Caution, &[without.clone(), yes("bob")]);
    assert!(matches!(verdict, Verdict::Wait { .. }), "{verdict:?}");
    assert_eq!(
        summary
            .decisions
            .iter()
            .map(|d| d.username.as_str())
            .collect::<Vec<_>>(),
        ["bob"]
    );
    let policies = Effective::from_policies(&packs).unwrap();
    let plan = plan(Level::Caution, &policies);
    let terms = Terms::of(&plan, Ok(&policies), at(20));
    let no = judge(&plan, &terms, &facts(0, &without), at(20)).unwrap_err();
    assert_eq!((no.reason, no.unknown), (reason::FORBIDDEN, false));
    assert!(no.message.contains("role kubechat-requester"), "{}", no.message);
    let unasked = Facts {
        right: None,
        ..facts(0, &yes("alice"))
    };
    let no = judge(&plan, &terms, &unasked, at(20)).unwrap_err();
    assert!(no.unknown, "{no:?}");
}

#[test]
fn a_thousand_approvals_of_one_person_are_one_and_the_emergency_stays_listed() {
    let packs = [pack(
        "a",
        &Asks {
            glass: vec!["sre".into()],
            ..Asks::default()
        },
    )];
    let mut votes = vec![yes("bob"); 1000];
    assert!(!goes(&packs, &votes));
    votes.push(glass("carol"));
    let (verdict, summary) = outcome(&packs, Level::Destructive, &votes);
    assert_eq!(verdict, Verdict::Go);
    assert_eq!(summary.decisions.len(), 64);
    assert!(summary.decisions.iter().any(|d| d.username == "carol"));
}

#[test]
fn a_name_that_looks_like_anothers_is_another_person_and_shown_as_such() {
    let packs = [pack("a", &Asks::default())];
    assert!(goes(&packs, &[yes("bob"), yes("b\u{43e}b")]));
    let deny = Vote {
        decision: DecisionKind::Deny,
        ..yes("b\u{43e}b\u{202e}")
    };
    let Verdict::End(ending) = outcome(&packs, Level::Destructive, &[deny]).0 else {
        panic!()
    };
    assert!(
        ending.message.starts_with("b\\u{43e}b\\u{202e} denied it"),
        "{ending:?}"
    );
}

fn vote() -> impl Strategy<Value = Vote> {
    let people = ["alice", "bob", "carol", "dave", "system:serviceaccount:a:b"];
    let kinds = [DecisionKind::Approve, DecisionKind::Approve, DecisionKind::Deny];
    (
        prop::sample::select(people.to_vec()),
        prop::sample::select(vec!["sre", "dev"]),
        prop::sample::select(kinds.to_vec()),
        any::<bool>(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.8),
    )
        .prop_map(|(person, group, decision, signed, glass, right)| Vote {
            person,
            group,
            decision,
            signed,
            glass,
            right,
        })
}

fn asks() -> impl Strategy<Value = Asks> {
    let groups = prop_oneof![Just(vec![]), Just(vec!["sre".to_owned()])];
    let glass = prop_oneof![3 => Just(vec![]), 1 => Just(vec!["sre".to_owned()])];
    (1..4, groups, any::<bool>(), prop::bool::weighted(0.2), glass).prop_map(
        |(count, groups, self_confirm, signature, glass)| Asks {
            count,
            groups,
            self_confirm,
            signature,
            glass,
        },
    )
}

fn level() -> impl Strategy<Value = Level> {
    prop_oneof![Just(Level::Caution), Just(Level::Destructive)]
}

fn only_approvals(votes: Vec<Vote>) -> Vec<Vote> {
    votes
        .into_iter()
        .filter(|v| v.decision == DecisionKind::Approve)
        .collect()
}

proptest! {
    #[test]
    fn more_approvals_never_turn_go_into_wait(
        asks in prop::collection::vec(asks(), 1..3), level in level(),
        votes in prop::collection::vec(vote(), 0..6), more in prop::collection::vec(vote(), 0..4),
    ) {
        let packs: Vec<_> = asks.iter().enumerate().map(|(i, a)| pack(&format!("p{i}"), a)).collect();
        let votes = only_approvals(votes);
        if outcome(&packs, level, &votes).0 == Verdict::Go {
            let all = [votes, only_approvals(more)].concat();
            prop_assert_eq!(outcome(&packs, level, &all).0, Verdict::Go);
        }
    }

    #[test]
    fn a_person_is_counted_once_and_order_never_matters(
        asks in asks(), level in level(), votes in prop::collection::vec(vote(), 0..6), times in 1_usize..4,
    ) {
        let packs = [pack("p", &asks)];
        let once = outcome(&packs, level, &votes);
        let mut again: Vec<Vote> = votes.iter().cycle().take(votes.len() * times).cloned().collect();
        again.reverse();
        let many = outcome(&packs, level, &again);
        prop_assert_eq!((once.1.received, once.1.required), (many.1.received, many.1.required));
        prop_assert_eq!(matches!(once.0, Verdict::Go), matches!(many.0, Verdict::Go));
    }

    #[test]
    fn without_broken_glass_enough_different_people_with_the_right_are_behind_every_go(
        asks in asks(), level in level(), votes in prop::collection::vec(vote(), 0..8),
    ) {
        let asks = Asks { glass: vec![], ..asks };
        if outcome(&[pack("p", &asks)], level, &votes).0 == Verdict::Go {
            let own = asks.self_confirm && level == Level::Caution;
            let people: std::collections::BTreeSet<_> = votes.iter()
                .filter(|v| !v.person.starts_with("system:") && !v.glass)
                .filter(|v| v.right && (own || v.person != "alice"))
                .filter(|v| asks.groups.is_empty() || asks.groups.iter().any(|g| g == v.group))
                .filter(|v| !asks.signature || v.signed)
                .map(|v| v.person)
                .collect();
            prop_assert!(people.len() >= usize::try_from(asks.count).unwrap(), "{people:?}");
        }
    }

    #[test]
    fn a_deny_by_a_person_with_the_right_always_ends_it(
        asks in asks(), level in level(), votes in prop::collection::vec(vote(), 0..6),
    ) {
        let deny = Vote { decision: DecisionKind::Deny, ..yes("erin") };
        let all = [votes, vec![deny]].concat();
        let ended = matches!(outcome(&[pack("p", &asks)], level, &all).0, Verdict::End(Ending { phase: PlanPhase::Denied, .. }));
        prop_assert!(ended);
    }
}
