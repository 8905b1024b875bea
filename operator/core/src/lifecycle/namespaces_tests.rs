use kubechat_crds::risk_policy::{ApprovalRule, LevelApprovals};
use kubechat_crds::{RiskPolicy, RiskPolicySpec};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::risk::testing::{plan as of, restart};

fn now() -> Timestamp {
    Timestamp::from_second(20).unwrap()
}

fn policies(spec: serde_json::Value) -> Effective {
    let mut spec: RiskPolicySpec = serde_json::from_value(spec).unwrap();
    spec.approvals = Some(LevelApprovals {
        caution: Some(ApprovalRule {
            count: 1,
            ..Default::default()
        }),
        destructive: None,
    });
    Effective::from_policies(&[RiskPolicy::new("p", spec)]).unwrap()
}

fn demo(labels: &[(&str, &str)], protected: bool) -> NamespaceFact {
    NamespaceFact {
        name: "demo".into(),
        labels: labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        protected,
    }
}

/// A plan that touches namespace demo, as the planner judges it by these policies.
fn planned(fact: NamespaceFact, policies: &Effective) -> CommandPlanSpec {
    let mut plan = of(vec![restart("web")]);
    plan.facts.namespaces = vec![fact];
    plan.risk = risk::judge(&plan);
    let found = policies.evaluate(&plan, now());
    plan.risk.level = found.level;
    plan.risk.score = plan.risk.score.max(found.level.score_floor());
    plan.requirement = found.requirement;
    plan
}

#[test]
fn a_label_that_makes_the_judgement_stricter_after_planning_is_seen() {
    let rule = |effect: &str, extra: serde_json::Value| {
        let mut rule = json!({"name": "r", "when": "\"hold\" in namespaceObject.labels", "effect": effect});
        rule.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        policies(json!({"rules": [rule]}))
    };
    let held = demo(&[("hold", "yes")], false);
    let cases = [
        (policies(json!({})), demo(&[], true), "score"),
        (
            policies(json!({})),
            demo(&[("env", "production")], false),
            "score",
        ),
        (
            rule("Deny", json!({"message": "held back"})),
            held.clone(),
            "held back",
        ),
        (
            rule("RequireApproval", json!({"atLeast": "destructive"})),
            held.clone(),
            "make it destructive",
        ),
        (
            rule("RequireApproval", json!({"require": {"count": 2}})),
            held.clone(),
            "more approvals",
        ),
    ];
    for (policies, after, said) in cases {
        let plan = planned(demo(&[], false), &policies);
        assert_eq!(stricter(&plan, &[demo(&[], false)], &policies, now()), None);
        let why = stricter(&plan, std::slice::from_ref(&after), &policies, now());
        let why = why.unwrap_or_else(|| panic!("{after:?} is not seen"));
        assert!(why.contains(said) && why.contains("namespace demo"), "{why}");
        // The other way round nothing becomes stricter, and another label is nobody's business.
        let lesser = planned(after, &policies);
        if lesser.risk.level < kubechat_crds::Level::Destructive {
            assert_eq!(stricter(&lesser, &[demo(&[], false)], &policies, now()), None);
        }
        assert_eq!(
            stricter(&plan, &[demo(&[("team", "a")], false)], &policies, now()),
            None
        );
    }
}

#[test]
fn a_namespace_of_which_nothing_is_known_any_more_counts_as_protected() {
    let policies = policies(json!({}));
    let plan = planned(demo(&[], false), &policies);
    assert!(stricter(&plan, &[], &policies, now()).is_some());
}

proptest! {
    #[test]
    fn what_is_recorded_of_the_namespaces_is_never_stricter_than_itself(protected in any::<bool>(), label in "[a-z]{1,8}") {
        let policies = policies(json!({}));
        let fact = demo(&[("env", label.as_str())], protected);
        let plan = planned(fact.clone(), &policies);
        prop_assert_eq!(stricter(&plan, &[fact], &policies, now()), None);
    }
}
