//! Whether broken glass meets what was asked for when the plan was made, and when that is not known.

use super::*;

fn asks(groups: &[&str]) -> Asks {
    Asks {
        glass: groups.iter().map(|g| (*g).to_owned()).collect(),
        ..Asks::default()
    }
}

fn dev(person: &'static str) -> Vote {
    Vote {
        group: "dev",
        ..glass(person)
    }
}

/// What becomes of a plan that was made by one policy, by one that holds now.
fn verdict(then: &Asks, now: &Asks, votes: &[Vote]) -> Verdict {
    let then = Effective::from_policies(&[pack("a", then)]).unwrap();
    judged_now(&plan(Level::Destructive, &then), now, votes)
}

fn judged_now(plan: &CommandPlanSpec, now: &Asks, votes: &[Vote]) -> Verdict {
    let now = Effective::from_policies(&[pack("a", now)]).unwrap();
    let approvals: Vec<Facts> = votes.iter().enumerate().map(|(i, v)| facts(i, v)).collect();
    decide(&Observed {
        name: "p",
        namespace: "demo",
        plan,
        approvals: &approvals,
        policies: Ok(&now),
        holders: None,
        withdrawn: None,
        stamped: at(0),
        planned: at(0),
        not_after: None,
        now: at(20),
    })
    .0
}

#[test]
fn glass_that_may_be_broken_since_does_not_loosen_what_was_asked_before() {
    let (none, sre, both) = (asks(&[]), asks(&["sre"]), asks(&["sre", "dev"]));
    for (then, now, vote, goes) in [
        (&sre, &sre, glass("bob"), true),
        (&none, &sre, glass("bob"), false),
        (&sre, &none, glass("bob"), false),
        (&sre, &both, dev("bob"), false),
        (&sre, &both, glass("bob"), true),
        (&both, &sre, dev("bob"), false),
        (&both, &sre, glass("bob"), true),
    ] {
        let found = verdict(then, now, &[vote]);
        assert_eq!(found == Verdict::Go, goes, "{then:?} {now:?}: {found:?}");
    }
    // Nor does it stand in for a word without it.
    assert_eq!(verdict(&none, &sre, &[yes("bob"), yes("carol")]), Verdict::Go);
}

#[test]
fn a_plan_that_does_not_say_who_might_break_the_glass_takes_it_from_nobody() {
    let sre = asks(&["sre"]);
    let policies = Effective::from_policies(&[pack("a", &sre)]).unwrap();
    let mut old = plan(Level::Destructive, &policies);
    for entry in &mut old.requirement {
        entry.break_glass.clear();
    }
    assert!(matches!(
        judged_now(&old, &sre, &[glass("bob")]),
        Verdict::Wait { .. }
    ));
    let terms = Terms::of(&old, Ok(&policies), at(20));
    let no = judge(&old, &terms, &facts(0, &glass("bob")), at(20)).unwrap_err();
    assert_eq!((no.reason, no.unknown), (reason::NOT_ELIGIBLE, false));
    assert!(no.message.contains("kubechat again"), "{}", no.message);
}

#[test]
fn while_the_policies_cannot_be_read_nobody_is_told_that_he_may_not_break_the_glass() {
    let policies = Effective::from_policies(&[pack("a", &asks(&["sre"]))]).unwrap();
    let plan = plan(Level::Destructive, &policies);
    let none: [RiskPolicy; 0] = [];
    let problem = Effective::from_policies(&none).unwrap_err();
    let terms = Terms::of(&plan, Err(&problem), at(20));
    let no = judge(&plan, &terms, &facts(0, &glass("bob")), at(20)).unwrap_err();
    assert_eq!((no.reason, no.unknown), (reason::NO_POLICY, true));
    // What does not rest on them is said at once.
    let own = judge(&plan, &terms, &facts(0, &glass("alice")), at(20)).unwrap_err();
    assert_eq!((own.reason, own.unknown), (reason::SELF_APPROVAL, false));
}

#[test]
fn whoever_has_the_verb_may_deny_whichever_people_are_asked_for() {
    let asks = Asks {
        groups: vec!["sre".into()],
        ..Asks::default()
    };
    let deny = Vote {
        decision: DecisionKind::Deny,
        group: "dev",
        ..yes("dave")
    };
    let (verdict, _) = outcome(&[pack("a", &asks)], Level::Destructive, &[yes("bob"), deny]);
    let Verdict::End(ending) = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(ending.phase, PlanPhase::Denied);
}
