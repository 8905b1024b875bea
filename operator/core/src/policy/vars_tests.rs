use serde_json::json;

use super::super::expression::{Program, context};
use super::*;

/// Every value that rules can reach, with its path.
fn all(path: String, value: &Value, found: &mut Vec<(String, Shape)>) {
    match value {
        Value::List(list) => list.iter().for_each(|v| all(format!("{path}[]"), v, found)),
        Value::Map(map) => {
            for (key, value) in map.map.iter() {
                let Key::String(key) = key else { panic!("{key:?}") };
                let known = fields(&path).is_some();
                let path = if known {
                    format!("{path}.{key}")
                } else {
                    format!("{path}[]")
                };
                all(path, value, found);
            }
        }
        _ => {}
    }
    found.push((path, measured(value)));
}

/// A plan that holds as much as one may, so many of each.
fn full(n: usize) -> CommandPlanSpec {
    let names = |n: usize| (0..n).map(|i| format!("{i:0>300}")).collect::<Vec<_>>();
    let map = |n: usize| {
        (0..n)
            .map(|i| (format!("{i:0>100}"), "v".repeat(63)))
            .collect::<BTreeMap<_, _>>()
    };
    let target = |i: usize| json!({"group": "g".repeat(253), "version": "v1", "kind": format!("K{i:0>60}"), "resource": "r", "namespace": format!("n{}", i % 64), "name": "n".repeat(253)});
    let step = |i: usize| {
        json!({
            "id": format!("s{i}"), "action": "label", "effect": "update", "targets": (0..n.min(8)).map(target).collect::<Vec<_>>(),
            "command": "c".repeat(1024), "level": "caution", "rollback": {"kind": "None", "why": ""}, "selector": "s".repeat(1024),
            "params": {"set": map(n.min(64)), "remove": names(n.min(64)), "requests": map(2)}, "selectedBy": names(n.min(50)),
            "diff": (0..n.min(200)).map(|i| json!({"target": 0, "path": format!("/{i:0>250}")})).collect::<Vec<_>>()
        })
    };
    let plan = json!({
        "chatRequestRef": {"name": "a", "uid": "u"}, "expiresAt": "", "clusterUID": "", "digest": "",
        "requester": {"username": "u".repeat(1024), "groups": (0..n.min(256)).map(|i| format!("{i:0>200}")).collect::<Vec<_>>(),
            "extra": (0..n.min(20)).map(|i| (format!("k{i}"), vec!["v".repeat(100); 10])).collect::<BTreeMap<_, _>>()},
        "steps": (0..n.min(64)).map(step).collect::<Vec<_>>(),
        "risk": {"level": "caution", "score": 50, "factors": (0..n.min(128)).map(|i| json!({"id": format!("{i:0>63}"), "weight": 1, "text": ""})).collect::<Vec<_>>()},
        "facts": {"namespaces": [{"name": "n0", "labels": map(n.min(64))}]}
    });
    let mut plan: CommandPlanSpec = serde_json::from_value(plan).unwrap();
    let hundred = names(n.min(100));
    plan.blast_radius = Some(BlastRadius {
        objects: (0..n.min(61)).map(|i| (format!("Kind{i}"), 1)).collect(),
        services_at_zero: hundred.clone(),
        pdbs_violated: hundred.clone(),
        pvcs: hundred.clone(),
        unrecoverable_volumes: hundred.clone(),
        single_replicas: hundred.clone(),
        undone_by: hundred,
        ..BlastRadius::default()
    });
    plan
}

#[test]
fn what_rules_see_is_never_more_than_is_said_of_it_and_the_largest_plan_can_be_judged() {
    let mut paths = std::collections::BTreeSet::new();
    for n in [0, 1, 500] {
        let made = full(n);
        let mut found = vec![];
        let of = |name: &str, value: Result<Value, TooLong>, found: &mut Vec<_>| {
            all(name.to_owned(), &value.unwrap(), found);
        };
        of("plan", plan(&made, Level::Caution, 50, true), &mut found);
        of("requester", requester(&made.requester), &mut found);
        of("now", Ok(now(Timestamp::MAX)), &mut found);
        for one in &made.steps {
            of("step", step(one), &mut found);
            one.targets
                .iter()
                .for_each(|t| of("target", target(t), &mut found));
        }
        let fact = made.facts.namespaces.first();
        let view = NamespaceView {
            name: "n0",
            fact,
            protected: true,
        };
        of("namespaceObject", namespace(&view), &mut found);
        for (path, is) in found {
            // Of what is not named, what it stands in says enough: step.params.set and the like.
            let Some(may) = most(&path) else {
                assert!(path.starts_with("step.params[]"), "{path}");
                continue;
            };
            let fits =
                is.len <= may.len && is.inner <= may.inner && is.values <= may.values && is.text <= may.text;
            assert!(fits, "{path}: {is:?} but {may:?}");
            paths.insert(path);
        }
    }
    for root in NAMES {
        for field in fields(root).unwrap_or_default() {
            assert!(paths.contains(&format!("{root}.{field}")), "{root}.{field}");
        }
    }
}

#[test]
fn a_plan_with_more_than_that_is_too_long() {
    let long = "x".repeat(5000);
    let mut plan_of = full(1);
    plan_of.steps[0].command = long.clone();
    assert_eq!(step(&plan_of.steps[0]).unwrap_err(), TooLong("step.command"));
    let mut who = full(1).requester;
    who.groups = vec!["g".into(); 257];
    assert_eq!(requester(&who).unwrap_err(), TooLong("requester.groups"));
    who.groups = vec!["g".repeat(1000); 100];
    assert_eq!(requester(&who).unwrap_err(), TooLong("requester.groups"));
    who.groups.clear();
    who.extra = [("k".into(), vec![long.clone()])].into();
    assert_eq!(requester(&who).unwrap_err(), TooLong("requester.extra[]"));
    let mut one = plan_of.steps[0].targets[0].clone();
    one.name = long;
    assert_eq!(target(&one).unwrap_err(), TooLong("target.name"));
    plan_of.steps[0].command.clear();
    plan_of.steps[0].params.set = (0..300).map(|i| (format!("k{i}"), String::new())).collect();
    assert_eq!(step(&plan_of.steps[0]).unwrap_err(), TooLong("step.params"));
}

/// Whatever is within the bounds is judged, also on a plan as large as one can be. How long it takes is measured by
/// `kubechat-bench` (B25): a test of this kind says nothing of time.
#[test]
fn the_costliest_expressions_are_judged_on_the_largest_plan() {
    let plan_of = full(500);
    let one = &plan_of.steps[0];
    let view = NamespaceView {
        name: "n0",
        fact: plan_of.facts.namespaces.first(),
        protected: true,
    };
    let nested = ".map(x, x + x)".repeat(6);
    let table = [
        "requester.groups.exists(g, g in requester.groups && g == 'x')",
        "requester.groups.map(g, g + g).size() == 1",
        "plan.steps.exists(a, plan.steps.exists(b, a.id == b.id && a.action == 'x'))",
        "plan.namespaces.exists(a, plan.namespaces.exists(b, a + b == b))",
        "plan == plan && step == step && requester == requester",
        "namespaceObject.labels.exists(k, namespaceObject.labels[k] == 'x' || k.contains('y'))",
        "plan.factors.exists(f, step.command.contains('ccccccccd'))",
        "requester.username.matches('^(u?){30}u{30}x$')",
        "step.command.matches('(c+)+(c+)+(c+)+x') || step.command.matches('(.*)(.*)(.*)(.*)(.*)(.*)[xyz]$')",
        "requester.username.matches('^([a-z]?){97}[a-z]{97}[0-9]$') || step.command.matches('[0-9]+$')",
        "now.getHours('America/Argentina/Buenos_Aires') == 25 || timestamp('2026-07-01T12:00:00Z') < now - duration('4h')",
        "plan.factors.all(f, now.getHours('Asia/Kolkata') < 25)",
        "string(plan.score) == '7' || int('7') == 8 || double('1.5') > 2.0 || size(step.command) == 3",
        &format!(
            "[1]{nested}.size() == 2 && ['a']{nested}.size() == 2 && [requester.groups].map(x, x + x).size() == 3"
        ),
        "[1, 2, 3].map(a, [a, a]).map(a, [a, a, a]).all(a, a == [[1], [2]])",
    ];
    for source in table {
        let program = Program::compile(source).unwrap_or_else(|p| panic!("{source}: {p}"));
        let mut root = context(&Arc::new(program.patterns.clone()));
        let values = [
            ("plan", plan(&plan_of, Level::Caution, 50, true).unwrap()),
            ("requester", requester(&plan_of.requester).unwrap()),
            ("now", now(Timestamp::UNIX_EPOCH)),
            ("step", step(one).unwrap()),
            ("target", target(&one.targets[0]).unwrap()),
            ("namespaceObject", namespace(&view).unwrap()),
        ];
        for (name, value) in values {
            root.add_variable_from_value(name, value);
        }
        let answer = program.run(&root);
        assert!(answer.is_ok(), "{source}: {answer:?}");
    }
}
