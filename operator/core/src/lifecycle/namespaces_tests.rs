use kubechat_crds::risk_policy::{ApprovalRule, LevelApprovals};
use kubechat_crds::{RiskPolicy, RiskPolicySpec};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::risk::testing::{plan as of, restart, step};
use kubechat_crds::command_plan::Effect;

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

/// A step that sets and removes labels of a namespace.
fn relabel(name: &str, set: &[(&str, &str)], remove: &[&str]) -> Step {
    let mut made = step(Action::Label, Effect::Update, "", "Namespace", name);
    made.params.set = set.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    made.params.remove = remove.iter().map(|k| (*k).into()).collect();
    made
}

/// A plan of these steps, judged in namespace demo with these labels.
fn of_steps(steps: Vec<Step>, labels: &[(&str, &str)], policies: &Effective) -> CommandPlanSpec {
    let mut plan = of(steps);
    let labels = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    plan.facts.namespaces = vec![fact("demo", Some(labels), Some(policies))];
    plan.risk = risk::judge(&plan);
    let found = policies.evaluate(&plan, now());
    plan.risk.level = found.level;
    plan.risk.score = plan.risk.score.max(found.level.score_floor());
    plan.requirement = found.requirement;
    plan
}

#[test]
fn a_plan_that_relabels_a_namespace_by_which_a_later_step_is_judged_stops_itself() {
    let guarded = policies(json!({
        "protectedNamespaces": {"matchLabels": {"guard": "on"}},
        "rules": [
            {"name": "held", "when": "'hold' in namespaceObject.labels", "effect": "Deny", "message": "held back"},
            {"name": "two", "when": "'two' in namespaceObject.labels", "effect": "RequireApproval", "require": {"count": 2}},
        ],
    }));
    type Labels = &'static [(&'static str, &'static str)];
    let cases: [(Labels, Labels, &[&str], Option<&str>); 9] = [
        (&[], &[("guard", "on")], &[], Some("score")),
        (&[], &[("hold", "yes")], &[], Some("held back")),
        (&[], &[("two", "yes")], &[], Some("more approvals")),
        (&[], &[("env", "production")], &[], Some("score")),
        (&[("env", "test")], &[("env", "production")], &[], Some("score")),
        // Of no rule's concern, or less strict.
        (&[], &[("team", "a")], &[], None),
        (&[("guard", "on")], &[], &["guard"], None),
        (&[("two", "yes")], &[], &["two"], None),
        (&[("guard", "on")], &[("team", "a")], &[], None),
    ];
    for (before, set, remove, said) in cases {
        let plan = |steps| of_steps(steps, before, &guarded);
        let label = || relabel("demo", set, remove);
        let found = stops_itself(&plan(vec![label(), restart("web")]), &guarded, now());
        match said {
            Some(said) => {
                let why = found.unwrap_or_else(|| panic!("{set:?} is not seen"));
                for part in [said, "step s1", "namespace demo", "stop midway"] {
                    assert!(why.contains(part), "{part}: {why}");
                }
            }
            None => assert_eq!(found, None, "{set:?}"),
        }
        // As the last step, of another namespace, or on another kind it stops nothing.
        let mut other = relabel("demo", set, remove);
        other.targets[0].kind = "Pod".into();
        for harmless in [
            vec![restart("web"), label()],
            vec![label()],
            vec![relabel("elsewhere", set, remove), restart("web")],
            vec![other, restart("web")],
        ] {
            assert_eq!(stops_itself(&plan(harmless), &guarded, now()), None, "{set:?}");
        }
    }
}

#[test]
fn what_several_steps_make_of_a_namespace_adds_up_and_no_annotation_counts() {
    let both = policies(
        json!({"rules": [{"name": "both", "effect": "Deny", "message": "both",
        "when": "'a' in namespaceObject.labels && 'b' in namespaceObject.labels"}]}),
    );
    let steps = |last: Step| {
        let all = vec![relabel("demo", &[("a", "1")], &[]), last, restart("web")];
        of_steps(all, &[], &both)
    };
    let mut second = relabel("demo", &[("b", "1")], &[]);
    second.id = "s2".into();
    let why = stops_itself(&steps(second.clone()), &both, now()).unwrap();
    assert!(why.starts_with("step s2 ") && why.contains("both"), "{why}");
    second.action = Action::Annotate;
    assert_eq!(stops_itself(&steps(second), &both, now()), None);
    let taken = relabel("demo", &[("b", "1")], &["a"]);
    assert_eq!(stops_itself(&steps(taken), &both, now()), None);
    assert_eq!(stops_itself(&of_steps(vec![], &[], &both), &both, now()), None);
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
