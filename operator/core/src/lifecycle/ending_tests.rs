//! How a plan's end is told: of one that was not begun, and of one that was under way.

use kubechat_crds::{Identity, Level, PlanPhase, RiskPolicy};

use super::*;
use crate::risk::testing::{plan as of, restart};

/// Messages that say of a plan that was not begun that nothing was done, as denials do.
fn denials() -> Vec<String> {
    let rule = |when: &str| {
        let rules = serde_json::json!([{"name": "r", "when": when, "effect": "Deny", "message": "no"}]);
        let spec = serde_json::from_value(serde_json::json!({"rules": rules})).unwrap();
        Effective::from_policies(&[RiskPolicy::new("p", spec)]).unwrap()
    };
    let robot = Identity {
        username: "system:serviceaccount:flux:applier".into(),
        ..Default::default()
    };
    let system = Identity {
        username: "system:node:n".into(),
        ..Default::default()
    };
    let mut all: Vec<String> = ["true", "step.params.replicas > 3"]
        .iter()
        .map(|when| {
            let mut plan = of(vec![restart("web")]);
            plan.risk.level = Level::Caution;
            let now = Timestamp::UNIX_EPOCH;
            rule(when).evaluate(&plan, now).denied.unwrap().message
        })
        .collect();
    all.push(gitops::may_change(&robot, "demo").unwrap_err());
    all.push(crate::authz::acting(&system).unwrap_err().to_string());
    for message in &all {
        assert!(message.contains("Nothing was done"), "{message}");
    }
    all
}

#[test]
fn a_plan_ends_by_the_age_that_the_policies_of_now_let_it_reach() {
    let at = |minutes: i64| Timestamp::from_second(minutes * 60).unwrap();
    let live = |age: &str| {
        let spec = serde_json::json!({"maxPlanAge": {"caution": age}});
        Effective::from_policies(&[RiskPolicy::new("p", serde_json::from_value(spec).unwrap())]).unwrap()
    };
    let mut plan = of(vec![restart("web")]);
    plan.risk.level = Level::Caution;
    plan.expires_at = at(480).to_string();
    let robot = "system:serviceaccount:prod:deployer";
    for (who, age, planned, now, ends) in [
        ("alice", "10m", 5, 14, false),
        ("alice", "10m", 5, 15, true),
        // What it says itself binds as well.
        ("alice", "24h", 5, 479, false),
        ("alice", "24h", 5, 480, true),
        // A service account's plan waits for Git, until its notAfter.
        (robot, "10m", 5, 60, false),
    ] {
        plan.requester.username = who.into();
        let policies = live(age);
        let found = decide(&Observed {
            name: "p",
            namespace: "prod",
            plan: &plan,
            approvals: &[],
            policies: Ok(&policies),
            holders: None,
            withdrawn: None,
            stamped: at(5),
            planned: at(planned),
            not_after: None,
            now: at(now),
        })
        .0;
        let expired = matches!(&found, Verdict::End(e) if e.phase == PlanPhase::Expired);
        assert_eq!(expired, ends, "{who} {age} {now}: {found:?}");
        let until = ends_at(&plan, at(planned), Ok(&policies)).unwrap();
        assert_eq!(at(now) >= until, ends, "{who} {age} {now}: {until}");
        if let Verdict::Wait { message, .. } = found {
            assert!(message.contains(&format!("until {until}")), "{message}");
        }
    }
}

#[test]
fn what_stopped_midway_never_says_that_nothing_was_done() {
    let mut all = denials();
    all.extend(
        [
            "Nothing was done",
            "Nothing was done. Ask",
            "no. Nothing was done",
            "no. Nothing was done. Nothing was done.",
        ]
        .map(str::to_owned),
    );
    for message in all {
        let ending = Ending::new(PlanPhase::Blocked, reason::POLICY_DENIED, message.clone());
        for ending in [ending.clone().then(message.as_str()), ending] {
            let said = ending.midway("Done: s1");
            assert!(!said.contains("Nothing was"), "{said}");
            assert!(
                said.starts_with("stopped midway") && said.contains("Done: s1"),
                "{said}"
            );
            assert!(!said.contains("..") && !said.contains(". ."), "{said}");
            // Of one that was not begun it is true.
            assert!(ending.unbegun().contains("Nothing was executed"));
        }
    }
    // The rest of what denies it stays.
    let said =
        Ending::new(PlanPhase::Blocked, "R", "held back. Nothing was done. Ask bob").midway("Done: s1");
    assert_eq!(said, "stopped midway: held back. Ask bob. Done: s1");
}

#[test]
fn what_stopped_midway_never_says_that_it_waits_or_that_nothing_is_executed() {
    let pack = |spec: serde_json::Value| RiskPolicy::new("p", serde_json::from_value(spec).unwrap());
    let hook = serde_json::json!({"name": "n", "type": "Webhook", "endpoint": "https://hooks.example.org"});
    let broken = pack(serde_json::json!({"notifiers": [hook]}));
    let none: [RiskPolicy; 0] = [];
    let mut held = vec![
        Effective::from_policies(&none).unwrap_err().message,
        Effective::from_policies(&[broken]).unwrap_err().message,
    ];
    let suspended = Effective::from_policies(&[pack(serde_json::json!({"suspend": true}))]).unwrap();
    let mut plan = of(vec![restart("web")]);
    plan.expires_at = "2026-01-01T00:00:00Z".into();
    let seen = Observed {
        name: "p",
        namespace: "demo",
        plan: &plan,
        approvals: &[],
        policies: Ok(&suspended),
        holders: None,
        withdrawn: None,
        stamped: Timestamp::UNIX_EPOCH,
        planned: Timestamp::UNIX_EPOCH,
        not_after: None,
        now: Timestamp::UNIX_EPOCH,
    };
    let Verdict::Wait { message, .. } = decide(&seen).0 else {
        panic!("{:?}", decide(&seen))
    };
    held.push(message);
    for message in held {
        assert!(
            message.contains("nothing is approved or executed") || message.contains("waits until"),
            "{message}"
        );
        let said =
            Ending::new(PlanPhase::Interrupted, reason::SUSPENDED, message.as_str()).midway("Done: s1");
        for wrong in ["waits", "nothing is", "..", ". .", " ,"] {
            assert!(!said.contains(wrong), "{wrong:?} in {said}");
        }
        assert!(said.contains("RiskPolicy") && said.contains("Done: s1"), "{said}");
    }
}

proptest::proptest! {
    #[test]
    fn wherever_it_is_said_that_nothing_was_done_it_is_left_out_midway(before in "[a-z .]{0,12}", after in "[a-z .]{0,12}") {
        let message = format!("{before}Nothing was done{after}");
        let said = Ending::new(PlanPhase::Blocked, "R", message).midway("Done: s1");
        proptest::prop_assert!(!said.contains("Nothing was done"), "{}", said);
    }
}
