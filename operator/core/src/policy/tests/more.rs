use super::*;

#[test]
fn the_glass_is_broken_only_by_groups_that_every_pack_names() {
    let glass = |name: &str, groups: &[&str], within: &str| {
        let spec = RiskPolicySpec {
            break_glass: Some(BreakGlassPolicy {
                groups: groups.iter().map(|g| (*g).to_owned()).collect(),
                review_within: within.into(),
            }),
            ..RiskPolicySpec::default()
        };
        pack(name, spec)
    };
    let of = |packs: &[RiskPolicy]| Effective::from_policies(packs).unwrap().break_glass();
    let silent = pack("z", RiskPolicySpec::default());
    assert_eq!(of(std::slice::from_ref(&silent)), None);
    let one = glass("a", &["sre", "cto"], "24h");
    assert_eq!(of(&[one.clone(), silent]).unwrap().groups, ["sre", "cto"]);
    let both = of(&[one.clone(), glass("b", &["sre"], "8h")]).unwrap();
    assert_eq!(
        (both.groups.as_slice(), both.review_within),
        (["sre".to_owned()].as_slice(), Duration::from_secs(8 * 3600))
    );
    assert!(both.may(&["dev".into(), "sre".into()]) && !both.may(&["cto".into()]) && !both.may(&[]));
    assert!(both.meets("a") && both.meets("b") && !both.meets("z"));
    assert_eq!(
        of(&[one, glass("b", &["dba"], "8h")]).unwrap().groups,
        Vec::<String>::new()
    );
}

#[test]
fn a_pack_that_was_compiled_is_not_confused_with_another_of_the_same_name_and_generation() {
    let of = |effect| {
        let mut policy = with_rules("p", vec![rule("r", "true", effect)]);
        policy.metadata.uid = Some("u".into());
        policy.metadata.generation = Some(1);
        policy
    };
    let scale = plan(Level::Caution, vec![step("scale", &[deployment("dev", "web")])]);
    assert!(judge(&[of(RuleEffect::Deny)], &scale).denied.is_some());
    assert_eq!(judge(&[of(RuleEffect::Allow)], &scale).denied, None);
    assert!(judge(&[of(RuleEffect::Deny)], &scale).denied.is_some());
}

#[test]
fn warns_of_rules_that_deny_by_accident() {
    let doubts =
        |when: &str, effect| doubtful(&with_rules("p", vec![rule("r", when, effect)]).spec).join("|");
    assert!(
        doubts(
            "namespaceObject.labels.env == 'prod'",
            RuleEffect::RequireApproval
        )
        .contains("without labels")
    );
    assert_eq!(
        doubts(
            "has(namespaceObject.labels.env) && namespaceObject.labels.env == 'prod'",
            RuleEffect::Deny
        ),
        ""
    );
    assert_eq!(doubts("'env' in namespaceObject.labels", RuleEffect::Deny), "");
    assert!(doubts("plan.score >= 0", RuleEffect::Deny).contains("denies every plan"));
}

#[test]
fn warns_of_rules_that_a_large_plan_could_not_be_judged_by() {
    let said = |when: &str| {
        doubtful(&with_rules("p", vec![rule("r", when, RuleEffect::RequireApproval)]).spec).join("|")
    };
    // Each step is asked, so what reads only the step counts as often as there are steps.
    let costly = said("step.fields.exists(f, f.matches('^/spec/template/'))");
    assert!(costly.contains("64 steps"), "{costly}");
    for fine in [
        "step.action == 'scale' && step.command.contains('replicas')",
        // What reads only the requester is asked once.
        "requester.groups.exists(g, g.matches('^sre-'))",
    ] {
        assert_eq!(said(fine), "", "{fine}");
    }
}

#[test]
fn a_rule_that_raises_the_level_counts_as_often_as_all_rules_are_asked_again() {
    let said = |raises: bool, when: &str| {
        let asks = rule("r", when, RuleEffect::RequireApproval);
        let mut raise = rule("s", "plan.score > 90", RuleEffect::RequireApproval);
        raise.at_least = raises.then_some(Level::Destructive);
        doubtful(&with_rules("p", vec![asks, raise]).spec).join("|")
    };
    // Once within the limit of a plan, three times beyond it.
    let when = "target.name.contains('x') && target.name.contains('y') && target.name.size() > 3";
    let costs = |when: &str| super::super::expression::Program::compile(when).unwrap().cost * 500;
    let many = (1..40)
        .map(|n| vec![when; n].join(" || "))
        .find(|w| costs(w) > 400_000)
        .unwrap();
    assert!(costs(&many) < 900_000, "{}", costs(&many));
    assert_eq!(said(false, &many), "");
    assert!(said(true, &many).contains("would be denied"));
}

#[test]
fn a_plan_larger_than_any_pack_lets_it_be_is_denied() {
    let limits = |steps, targets| {
        let limits = Limits {
            steps_per_plan: steps,
            targets_per_step: targets,
            ..Limits::default()
        };
        let spec = RiskPolicySpec {
            limits: Some(limits),
            ..RiskPolicySpec::default()
        };
        pack("p", spec)
    };
    let many: Vec<Target> = (0..3).map(|n| deployment("dev", &format!("web-{n}"))).collect();
    let large = plan(
        Level::Caution,
        vec![step("label", &many), step("scale", &many[..1])],
    );
    let denied = |steps, targets| {
        let free = pack("a", RiskPolicySpec::default());
        let found = judge(&[free, limits(steps, targets)], &large).denied;
        found.map(|d| (d.policy, d.rule))
    };
    assert_eq!(denied(None, None), None);
    assert_eq!(denied(Some(2), Some(3)), None);
    let by = |rule: &str| Some(("p".to_owned(), rule.to_owned()));
    assert_eq!(denied(Some(1), Some(3)), by("limits.stepsPerPlan"));
    assert_eq!(denied(Some(2), Some(2)), by("limits.targetsPerStep"));
}

#[test]
fn a_recorded_requirement_below_the_live_one_is_seen() {
    let live = Requirement {
        policy: "p".into(),
        count: 1,
        groups: vec!["a".into(), "b".into()],
        ..Default::default()
    };
    let ok = Requirement {
        groups: vec!["a".into()],
        count: 2,
        ..live.clone()
    };
    assert!(at_least(std::slice::from_ref(&ok), std::slice::from_ref(&live)));
    let weaker = [
        vec![],
        vec![Requirement {
            count: 0,
            ..ok.clone()
        }],
        vec![Requirement {
            groups: vec![],
            ..ok.clone()
        }],
        vec![Requirement {
            groups: vec!["c".into()],
            ..ok.clone()
        }],
        vec![Requirement {
            self_confirm: true,
            ..ok.clone()
        }],
        vec![Requirement {
            break_glass: vec!["oncall".into()],
            ..ok.clone()
        }],
        vec![Requirement {
            policy: "other".into(),
            ..ok
        }],
    ];
    for recorded in weaker {
        assert!(!at_least(&recorded, std::slice::from_ref(&live)), "{recorded:?}");
    }
}

#[test]
fn levels_of_people_are_those_of_the_pack() {
    let spec = RiskPolicySpec {
        approvals: Some(LevelApprovals {
            caution: Some(ApprovalRule {
                count: 2,
                groups: vec!["ops".into()],
                ..ApprovalRule::default()
            }),
            destructive: None,
        }),
        ..RiskPolicySpec::default()
    };
    let found = judge(
        &[pack("p", spec)],
        &plan(Level::Caution, vec![step("scale", &[deployment("dev", "web")])]),
    );
    assert_eq!(asked(&found), ["p:2"]);
    assert_eq!(found.requirement[0].groups, ["ops"]);
}
