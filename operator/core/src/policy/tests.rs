use kubechat_crds::command_plan::{BlastRadius, Target};
use kubechat_crds::risk_policy::{
    ApprovalRule, BreakGlassPolicy, LevelApprovals, Limits, PolicyRule, RuleEffect,
};
use kubechat_crds::{Identity, Step};

use super::*;

const NOON: &str = "2026-07-01T12:00:00Z";

fn pack(name: &str, spec: RiskPolicySpec) -> RiskPolicy {
    RiskPolicy::new(name, spec)
}

fn rule(name: &str, when: &str, effect: RuleEffect) -> PolicyRule {
    PolicyRule {
        name: name.into(),
        when: when.into(),
        effect,
        ..PolicyRule::default()
    }
}

fn with_rules(name: &str, rules: Vec<PolicyRule>) -> RiskPolicy {
    pack(
        name,
        RiskPolicySpec {
            rules,
            ..RiskPolicySpec::default()
        },
    )
}

fn deployment(namespace: &str, name: &str) -> Target {
    Target {
        group: "apps".into(),
        version: "v1".into(),
        kind: "Deployment".into(),
        resource: "deployments".into(),
        namespace: Some(namespace.into()),
        name: name.into(),
        ..Target::default()
    }
}

fn step(action: &str, targets: &[Target]) -> Step {
    let text = serde_json::json!({
        "id": "s1", "action": action, "effect": "update", "targets": targets, "command": "", "level": "caution",
        "rollback": {"kind": "None", "why": ""}
    });
    serde_json::from_value(text).unwrap()
}

/// A plan whose namespaces are labelled `env: NAME`; `prod` is protected.
fn plan(level: Level, steps: Vec<Step>) -> CommandPlanSpec {
    let mut plan = CommandPlanSpec {
        requester: Identity {
            username: "alice".into(),
            groups: vec!["shop".into()],
            ..Identity::default()
        },
        steps,
        ..CommandPlanSpec::default()
    };
    plan.risk.level = level;
    plan.risk.score = level.score_floor();
    plan.facts.namespaces = ["dev", "prod"]
        .map(|name| NamespaceFact {
            name: name.into(),
            labels: [("env".to_owned(), name.to_owned())].into(),
            protected: name == "prod",
        })
        .into();
    plan
}

fn judge(packs: &[RiskPolicy], plan: &CommandPlanSpec) -> Evaluation {
    Effective::from_policies(packs)
        .unwrap()
        .evaluate(plan, NOON.parse().unwrap())
}

/// `policy[/rule]:count`, `+self` where the requester may confirm.
fn asked(found: &Evaluation) -> Vec<String> {
    let entry = |r: &Requirement| {
        let rule = r.rule.as_ref().map(|r| format!("/{r}")).unwrap_or_default();
        format!(
            "{}{rule}:{}{}",
            r.policy,
            r.count,
            if r.self_confirm { "+self" } else { "" }
        )
    };
    found.requirement.iter().map(entry).collect()
}

#[test]
fn no_policy_means_nothing_is_approved() {
    assert_eq!(
        Effective::from_policies::<RiskPolicy>(&[]).unwrap_err().reason,
        reason::NO_POLICY
    );
}

#[test]
fn refuses_packs_it_can_only_half_honour() {
    let specs = [
        serde_json::json!({"rules": [{"name": "bad", "when": "plan.", "effect": "Deny"}]}),
        serde_json::json!({"rules": [{"name": "text", "when": "plan.level", "effect": "Deny"}]}),
        serde_json::json!({"rules": [{"name": "a", "when": "true", "effect": "Deny"}, {"name": "a", "when": "false", "effect": "Deny"}]}),
        serde_json::json!({"rules": [{"name": "a", "when": "true", "effect": "Deny", "require": {"count": 1}}]}),
        serde_json::json!({"freezes": [{"cron": "0 0 * * *", "duration": "1h", "timeZone": "Nowhere", "effect": "Deny"}]}),
        serde_json::json!({"notifiers": [{"name": "n", "type": "Webhook", "endpoint": "https://hooks.example.org"}]}),
        serde_json::json!({"breakGlass": {"groups": [], "reviewWithin": "1h"}}),
        serde_json::json!({"maxPlanAge": {"caution": "soon"}}),
        serde_json::json!({"approvals": {"destructive": {"count": 1, "selfConfirm": true}}}),
        serde_json::json!({"approvals": {"destructive": {"count": 3, "users": ["a", "b"]}}}),
    ];
    for spec in specs {
        let good = pack("good", RiskPolicySpec::default());
        let bad = pack("bad", serde_json::from_value(spec.clone()).unwrap());
        let problem = Effective::from_policies(&[good, bad]).unwrap_err();
        assert_eq!(problem.reason, reason::POLICY_NOT_READY, "{spec}");
        assert!(problem.message.contains("RiskPolicy bad"), "{problem}");
    }
}

#[test]
fn every_pack_adds_an_entry_and_the_smallest_limit_binds() {
    let strict = RiskPolicySpec {
        limits: Some(Limits {
            targets_per_step: Some(3),
            ..Default::default()
        }),
        max_plan_age: Some(LevelDurations {
            caution: Some("10m".into()),
            destructive: None,
        }),
        ..Default::default()
    };
    let packs = [pack("b", strict), pack("a", RiskPolicySpec::default())];
    let all = Effective::from_policies(&packs).unwrap();
    let one = |level| {
        judge(
            &packs,
            &plan(level, vec![step("scale", &[deployment("dev", "web")])]),
        )
    };
    assert_eq!(asked(&one(Level::Caution)), ["a:1+self", "b:1+self"]);
    assert_eq!(asked(&one(Level::Safe)), Vec::<String>::new());
    assert_eq!(asked(&one(Level::Destructive)), ["a:1", "b:1"]);
    assert_eq!((all.max_targets(), all.max_steps()), (3, 64));
    assert_eq!(all.max_plan_age(Level::Caution), Duration::from_secs(600));
    assert_eq!(all.max_plan_age(Level::Destructive), DESTRUCTIVE_AGE);
    let hours = |level| all.max_identity_age(level).as_secs() / 3600;
    assert_eq!((hours(Level::Caution), hours(Level::Destructive)), (8, 4));
}

#[test]
fn deny_beats_require_approval_beats_allow_over_all_packs() {
    let deny = || rule("no", "step.action == 'scale'", RuleEffect::Deny);
    let ask = || rule("ask", "step.action == 'scale'", RuleEffect::RequireApproval);
    let allow = || rule("yes", "step.action == 'scale'", RuleEffect::Allow);
    let scale = plan(Level::Caution, vec![step("scale", &[deployment("dev", "web")])]);

    let found = judge(&[with_rules("lax", vec![allow()])], &scale);
    assert_eq!((found.denied, found.requirement), (None, vec![]));

    let found = judge(
        &[with_rules("lax", vec![allow()]), with_rules("other", vec![])],
        &scale,
    );
    assert_eq!(
        asked(&found),
        ["other:1+self"],
        "Allow waives its own pack's approvals only"
    );

    let found = judge(
        &[with_rules("lax", vec![allow()]), with_rules("tight", vec![ask()])],
        &scale,
    );
    assert_eq!(asked(&found), ["lax:1+self", "tight:1+self"]);
    assert!(
        found.notes[0].contains("RiskPolicy lax, rule yes")
            && found.notes[0].contains("RiskPolicy tight, rule ask"),
        "{:?}",
        found.notes
    );

    let found = judge(
        &[
            with_rules("lax", vec![allow(), ask()]),
            with_rules("tight", vec![deny()]),
        ],
        &scale,
    );
    let denied = found.denied.unwrap();
    assert_eq!((denied.policy.as_str(), denied.rule.as_str()), ("tight", "no"));
    assert!(
        denied
            .message
            .contains("RiskPolicy lax, rule yes would allow it; the stricter one wins"),
        "{}",
        denied.message
    );
}

#[test]
fn allow_counts_only_where_all_steps_and_targets_are_allowed_and_never_for_destructive() {
    let allow = |when: &str| rule("yes", when, RuleEffect::Allow);
    let web = || deployment("dev", "web");
    let api = || deployment("dev", "api");
    let prod = || deployment("prod", "web");
    let table = [
        ("target.name == 'web'", vec![step("scale", &[web()])], true),
        (
            "target.name == 'web'",
            vec![step("scale", &[web(), api()])],
            false,
        ),
        (
            "namespaceObject.labels.env == 'dev'",
            vec![step("scale", &[web(), api()])],
            true,
        ),
        (
            "namespaceObject.labels.env == 'dev'",
            vec![step("scale", &[web(), prod(), api()])],
            false,
        ),
        (
            "step.action == 'scale'",
            vec![step("scale", &[web()]), step("restart", &[web()])],
            false,
        ),
        (
            "step.action in ['scale', 'restart']",
            vec![step("scale", &[web()]), step("restart", &[prod()])],
            true,
        ),
        (
            "requester.username == 'alice'",
            vec![step("scale", &[web()]), step("restart", &[prod()])],
            true,
        ),
    ];
    for (when, steps, waived) in table {
        let packs = [with_rules("p", vec![allow(when)])];
        let found = judge(&packs, &plan(Level::Caution, steps.clone()));
        assert_eq!(found.requirement.is_empty(), waived, "{when}");
        let destructive = judge(&packs, &plan(Level::Destructive, steps));
        assert_eq!(asked(&destructive), ["p:1"], "{when}");
    }
    // Two rules of one pack may share the work.
    let both = [with_rules(
        "p",
        vec![
            allow("target.name == 'web'"),
            rule("also", "step.action == 'restart'", RuleEffect::Allow),
        ],
    )];
    let steps = vec![step("scale", &[web()]), step("restart", &[api()])];
    assert_eq!(judge(&both, &plan(Level::Caution, steps)).requirement, vec![]);
    // Two packs may not.
    let apart = [
        with_rules("p", vec![allow("target.name == 'web'")]),
        with_rules("q", vec![allow("target.name == 'api'")]),
    ];
    let steps = vec![step("scale", &[web(), api()])];
    assert_eq!(
        asked(&judge(&apart, &plan(Level::Caution, steps))),
        ["p:1+self", "q:1+self"]
    );
}

#[test]
fn a_rule_adds_its_people_and_raises_the_level_for_all_rules() {
    let raise = PolicyRule {
        at_least: Some(Level::Destructive),
        ..rule(
            "images",
            "step.action == 'set-image' && plan.level == 'caution'",
            RuleEffect::RequireApproval,
        )
    };
    let two = PolicyRule {
        require: Some(ApprovalRule {
            count: 2,
            groups: vec!["ops".into()],
            ..ApprovalRule::default()
        }),
        ..rule(
            "two",
            "plan.level == 'destructive' && plan.score >= 70",
            RuleEffect::RequireApproval,
        )
    };
    let packs = [with_rules("p", vec![two, raise])];
    let mut image = plan(
        Level::Caution,
        vec![step("set-image", &[deployment("dev", "web")])],
    );
    let found = judge(&packs, &image);
    assert_eq!(found.level, Level::Destructive);
    assert_eq!(asked(&found), ["p:1", "p/two:2"]);
    assert_eq!(found.requirement[1].groups, ["ops"]);
    let fired: Vec<_> = found.records.iter().filter_map(|r| r.rule.as_deref()).collect();
    assert_eq!(fired, ["two", "images"]);

    // What is recorded is not below what the webhook finds a moment later.
    image.risk.level = found.level;
    image.risk.score = found.level.score_floor();
    assert!(at_least(&found.requirement, &judge(&packs, &image).requirement));
}

#[test]
fn a_rule_that_cannot_be_judged_denies_and_says_which() {
    let packs = [with_rules(
        "p",
        vec![rule(
            "teams",
            "namespaceObject.labels.team == 'shop'",
            RuleEffect::Allow,
        )],
    )];
    let found = judge(
        &packs,
        &plan(Level::Caution, vec![step("scale", &[deployment("dev", "web")])]),
    );
    let denied = found.denied.unwrap();
    assert_eq!((denied.policy.as_str(), denied.rule.as_str()), ("p", "teams"));
    assert!(denied.message.contains("No such key: team"), "{}", denied.message);

    let mut many = plan(Level::Caution, vec![step("scale", &[deployment("dev", "web")])]);
    many.requester.groups = vec!["g".into(); 257];
    let denied = judge(
        &[with_rules("p", vec![rule("x", "true", RuleEffect::Allow)])],
        &many,
    )
    .denied
    .unwrap();
    assert!(denied.message.contains("requester.groups"), "{}", denied.message);
}

#[test]
fn a_plan_too_large_to_judge_is_denied_in_bounded_time() {
    let costly = "requester.groups.exists(a, requester.groups.exists(b, a + target.name == b))";
    let rules: Vec<_> = (0..64)
        .map(|i| rule(&format!("r{i}"), costly, RuleEffect::Deny))
        .collect();
    let targets: Vec<_> = (0..500).map(|i| deployment("dev", &format!("web-{i}"))).collect();
    let mut large = plan(Level::Caution, vec![step("scale", &targets)]);
    large.requester.groups = (0..8).map(|i| format!("g{i}")).collect();
    match Effective::from_policies(&[with_rules("p", rules)]) {
        Err(problem) => assert!(problem.message.contains("costs too much"), "{problem}"),
        Ok(all) => {
            let denied = all.evaluate(&large, NOON.parse().unwrap()).denied.unwrap();
            assert!(
                denied.message.contains("too large to be judged"),
                "{}",
                denied.message
            );
        }
    }
    let cheap = "target.name in ['a', 'b', 'c'] || target.name.startsWith('db')";
    let rules: Vec<_> = (0..64)
        .map(|i| rule(&format!("r{i}"), cheap, RuleEffect::Deny))
        .collect();
    let found = judge(&[with_rules("p", rules)], &large);
    assert_eq!(
        found.denied, None,
        "ordinary rules have room for the largest plans"
    );
}

#[test]
fn namespaces_that_nobody_knows_are_protected() {
    let packs = [with_rules(
        "p",
        vec![rule(
            "prot",
            "namespaceObject.protected || plan.protected",
            RuleEffect::Deny,
        )],
    )];
    let at = |namespace: &str| {
        plan(
            Level::Caution,
            vec![step("scale", &[deployment(namespace, "web")])],
        )
    };
    assert_eq!(judge(&packs, &at("dev")).denied, None);
    assert!(judge(&packs, &at("prod")).denied.is_some());
    assert!(judge(&packs, &at("unheard-of")).denied.is_some());
    // A selector that was set after the plan was made protects as well.
    let selecting = RiskPolicySpec {
        protected_namespaces: serde_json::from_str(r#"{"matchLabels": {"env": "dev"}}"#).unwrap(),
        ..packs[0].spec.clone()
    };
    assert!(judge(&[pack("p", selecting)], &at("dev")).denied.is_some());
    // The namespace that is itself the target counts as touched; a node is in none.
    let target = |kind: &str, name: &str| Target {
        kind: kind.into(),
        name: name.into(),
        ..Target::default()
    };
    assert!(
        judge(
            &packs,
            &plan(
                Level::Caution,
                vec![step("label", &[target("Namespace", "prod")])]
            )
        )
        .denied
        .is_some()
    );
    assert_eq!(
        judge(
            &packs,
            &plan(Level::Caution, vec![step("cordon", &[target("Node", "n1")])])
        )
        .denied,
        None
    );
}

#[test]
fn a_freeze_denies_or_asks_for_somebody_else_while_it_holds() {
    let frozen = |effect: &str| {
        let spec = serde_json::json!({"freezes": [{"cron": "0 12 * * WED", "duration": "1h", "timeZone": "UTC", "effect": effect}]});
        pack("p", serde_json::from_value(spec).unwrap())
    };
    let scale = plan(Level::Caution, vec![step("scale", &[deployment("dev", "web")])]);
    let at = |packs: &[RiskPolicy], now: &str| {
        Effective::from_policies(packs)
            .unwrap()
            .evaluate(&scale, now.parse().unwrap())
    };
    let deny = [frozen("Deny")];
    let denied = at(&deny, NOON).denied.unwrap();
    assert_eq!(denied.rule, "freeze-1");
    assert!(
        denied.message.contains("2026-07-01T13:00:00Z"),
        "{}",
        denied.message
    );
    assert_eq!(at(&deny, "2026-07-01T13:00:00Z").denied, None);
    let ask = [
        frozen("RequireApproval"),
        with_rules("lax", vec![rule("yes", "true", RuleEffect::Allow)]),
    ];
    assert_eq!(asked(&at(&ask, NOON)), ["lax:1+self", "p:1+self", "p/freeze-1:1"]);
    assert_eq!(asked(&at(&ask, "2026-07-01T11:59:59Z")), ["p:1+self"]);
}

#[test]
fn the_share_of_the_cluster_binds_and_what_is_not_known_is_over_it() {
    let packs = [pack(
        "p",
        RiskPolicySpec {
            limits: Some(Limits {
                cluster_share: Some(20),
                ..Limits::default()
            }),
            ..RiskPolicySpec::default()
        },
    )];
    let with = |blast: Option<BlastRadius>| {
        let mut plan = plan(Level::Caution, vec![step("scale", &[deployment("dev", "web")])]);
        plan.blast_radius = blast;
        judge(&packs, &plan).denied.map(|d| d.message)
    };
    let blast = |pods, nodes, complete| {
        Some(BlastRadius {
            pods_percent: pods,
            nodes_percent: nodes,
            complete,
            ..BlastRadius::default()
        })
    };
    assert_eq!(with(blast(20, 20, true)), None);
    assert!(with(blast(21, 0, true)).unwrap().contains("21 % of the pods"));
    assert!(with(blast(0, 21, true)).unwrap().contains("21 % of the nodes"));
    assert!(with(blast(0, 0, false)).unwrap().contains("could not be counted"));
    assert!(with(None).unwrap().contains("not known"));
}

mod more;
