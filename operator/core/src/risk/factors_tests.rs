use kubechat_crds::command_plan::{Access, BlastRadius, FieldOwner, RollbackKind};
use kubechat_crds::intent::Action;

use super::testing::*;
use super::*;

const UPDATE: Effect = Effect::Update;

fn on(group: &str, kind: &str) -> CommandPlanSpec {
    plan(vec![step(Action::Label, UPDATE, group, kind, "x")])
}

fn blast(change: impl FnOnce(&mut BlastRadius)) -> CommandPlanSpec {
    let mut blast = BlastRadius {
        complete: true,
        ..BlastRadius::default()
    };
    change(&mut blast);
    with(|plan| plan.blast_radius = Some(blast))
}

fn targets(number: usize) -> CommandPlanSpec {
    with(|plan| {
        let one = plan.steps[0].targets[0].clone();
        plan.steps[0].targets = vec![one; number];
    })
}

fn named(name: &str, key: &str, value: &str) -> CommandPlanSpec {
    with(|plan| {
        plan.steps[0].targets[0].namespace = Some(name.into());
        plan.facts.namespaces[0].name = name.into();
        plan.facts.namespaces[0].labels.insert(key.into(), value.into());
    })
}

fn pods(number: usize) -> CommandPlanSpec {
    let mut gone = delete("", "Pod", "p");
    gone.targets = vec![gone.targets[0].clone(); number];
    plan(vec![gone])
}

#[test]
fn verbs_and_kinds_weigh_as_the_table_says() {
    let verb = |step: Step| weight(&judge(&plan(vec![step])), "verb");
    let mut force = delete("", "Pod", "p");
    force.params.force = Some(true);
    let mut at_once = delete("", "Pod", "p");
    at_once.params.grace_period_seconds = Some(0);
    let mut disguised = restart("a");
    disguised.effect = Effect::Delete;
    let deployment = |action| step(action, UPDATE, "apps", "Deployment", "a");
    let cases = [
        (step(Action::Uncordon, UPDATE, "", "Node", "n"), 10),
        (deployment(Action::Label), 15),
        (deployment(Action::Annotate), 15),
        (
            step(Action::CreateNamespace, Effect::Create, "", "Namespace", "a"),
            15,
        ),
        (step(Action::Recreate, Effect::Create, "", "Pod", "a"), 15),
        (scale(Some(2), Some(5)), 20),
        (step(Action::Cordon, UPDATE, "", "Node", "n"), 20),
        (restart("a"), 25),
        (deployment(Action::SetResources), 25),
        (scale(Some(5), Some(2)), 30),
        (scale(None, Some(2)), 30),
        (deployment(Action::SetImage), 30),
        (deployment(Action::RolloutUndo), 40),
        (scale(Some(5), Some(0)), 50),
        (scale(Some(5), None), 50),
        (delete("", "Pod", "p"), 55),
        (disguised, 55),
        (force, 65),
        (at_once, 65),
        (step(Action::List, UPDATE, "", "Pod", "p"), 70),
    ];
    for (step, expected) in cases {
        assert_eq!(verb(step.clone()), expected, "{step:?}");
    }
    let kinds = [
        ("apps", "Deployment", 10),
        ("", "ConfigMap", 10),
        ("apps", "StatefulSet", 25),
        ("policy", "PodDisruptionBudget", 30),
        ("networking.k8s.io", "NetworkPolicy", 30),
        ("", "ServiceAccount", 30),
        ("", "Namespace", 30),
        ("", "Node", 30),
        ("", "PersistentVolumeClaim", 60),
        ("storage.k8s.io", "StorageClass", 60),
        ("", "Secret", 60),
        ("rbac.authorization.k8s.io", "Role", 60),
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration",
            60,
        ),
        ("apiextensions.k8s.io", "CustomResourceDefinition", 60),
        ("apiregistration.k8s.io", "APIService", 60),
        ("example.com", "Widget", 60),
    ];
    for (group, kind, expected) in kinds {
        assert_eq!(weight(&judge(&on(group, kind)), "kind-class"), expected, "{kind}");
    }
}

#[test]
fn every_other_factor_weighs_as_the_table_says() {
    let none = with(|p| p.steps[0].rollback.kind = RollbackKind::None);
    let irreversible = {
        let mut step = step(Action::SetImage, UPDATE, "apps", "Deployment", "a");
        step.rollback.kind = RollbackKind::None;
        plan(vec![step])
    };
    let many = |names: &[&str]| {
        let steps = names.iter().map(|n| {
            let mut step = restart("web");
            step.targets[0].namespace = Some((*n).into());
            step
        });
        plan(steps.collect())
    };
    let eight = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let share = |percent| {
        let mut plan = blast(|b| b.nodes_percent = percent);
        plan.steps = vec![step(Action::Cordon, UPDATE, "", "Node", "n")];
        plan
    };
    let removal = |deleted| {
        let mut plan = pods(1);
        plan.facts.window.deleted = deleted;
        plan
    };
    let objects = |objects| with(|p| p.facts.window.objects = objects);
    let plans = |plans| with(|p| p.facts.window.plans = plans);
    let cases = [
        ("reversibility", none, 0),
        ("reversibility", irreversible, 50),
        ("reversibility", pods(1), 20),
        ("lost-pods", with(|_| ()), 0),
        ("lost-pods", pods(1), 10),
        ("lost-pods", pods(5), 20),
        ("lost-pods", plan(vec![scale(Some(30), Some(10))]), 30),
        ("lost-pods", plan(vec![scale(None, Some(10))]), 10),
        ("lost-pods", plan(vec![scale(Some(1), Some(10))]), 0),
        ("lost-pods", blast(|b| b.pods_lost = 100), 45),
        ("lost-pods", blast(|b| b.pods_lost = 500), 60),
        (
            "services-at-zero",
            blast(|b| b.services_at_zero = vec!["web".into()]),
            60,
        ),
        ("pdb", blast(|b| b.pdb_headroom = Some(1)), 0),
        ("pdb", blast(|b| b.pdb_headroom = Some(0)), 35),
        ("pdb", blast(|b| b.pdbs_violated = vec!["web".into()]), 60),
        (
            "single-replica",
            blast(|b| b.single_replicas = vec!["web".into()]),
            30,
        ),
        ("volumes", blast(|b| b.pvcs = vec!["data".into()]), 40),
        (
            "volumes",
            plan(vec![delete("", "PersistentVolumeClaim", "data")]),
            40,
        ),
        (
            "volumes",
            blast(|b| b.unrecoverable_volumes = vec!["data".into()]),
            60,
        ),
        ("namespaces", many(&eight[..1]), 0),
        ("namespaces", many(&eight[..2]), 20),
        ("namespaces", many(&eight[..4]), 30),
        ("namespaces", many(&eight), 40),
        ("namespaces", blast(|b| b.outside_namespace = 1), 20),
        ("cluster-scope", with(|_| ()), 0),
        ("cluster-scope", on("", "Node"), 20),
        ("cluster-scope", on("", "Namespace"), 20),
        (
            "selector",
            with(|p| p.steps[0].selector = Some("app=web".into())),
            25,
        ),
        ("nodes", share(1), 5),
        ("nodes", share(34), 20),
        ("nodes", share(100), 70),
        ("nodes", blast(|b| b.nodes_percent = 100), 0),
        ("namespace-class", with(|_| ()), 0),
        ("namespace-class", named("prod-eu", "team", "x"), 25),
        ("namespace-class", named("shop", "environment", "Production"), 25),
        ("namespace-class", named("shop", "example.com/env", "prod"), 25),
        ("namespace-class", named("products", "team", "live"), 0),
        (
            "namespace-class",
            with(|p| p.facts.namespaces[0].protected = true),
            40,
        ),
        ("namespace-class", with(|p| p.facts.namespaces.clear()), 40),
        ("namespace-class", many(&["kube-system"]), 60),
        (
            "will-be-undone",
            blast(|b| b.undone_by = vec!["hpa/web".into()]),
            20,
        ),
        (
            "will-be-undone",
            with(|p| {
                p.steps[0].owners = vec![FieldOwner {
                    manager: "argocd".into(),
                    will_be_undone: true,
                    ..FieldOwner::default()
                }];
            }),
            20,
        ),
        (
            "will-be-undone",
            with(|p| p.steps[0].owners = vec![FieldOwner::default()]),
            0,
        ),
        ("incident", with(|p| p.facts.incident = true), 25),
        ("untrusted-text", with(|p| p.facts.untrusted_text = true), 20),
        ("incomplete", blast(|_| ()), 0),
        ("incomplete", with(|p| p.blast_radius = None), 30),
        ("incomplete", blast(|b| b.complete = false), 30),
        (
            "incomplete",
            with(|p| p.steps[0].access = vec![Access::default()]),
            30,
        ),
        (
            "incomplete",
            line("(301 more changed fields are not shown)", None, None),
            30,
        ),
        (
            "incomplete",
            with(|p| p.steps[0].selected_by = vec!["unreadable: services".into()]),
            30,
        ),
        ("many-objects", targets(19), 0),
        ("many-objects", targets(20), 10),
        ("many-objects", objects(49), 20),
        ("many-objects", objects(149), 30),
        ("many-objects", objects(499), 50),
        ("many-plans", plans(99), 0),
        ("many-plans", plans(100), 10),
        ("many-plans", plans(300), 20),
        ("many-deletes", removal(3), 0),
        ("many-deletes", removal(4), 15),
        ("many-deletes", removal(19), 30),
        ("many-deletes", removal(49), 45),
        ("many-deletes", with(|p| p.facts.window.deleted = 49), 0),
        (
            "no-room",
            plan(vec![
                step(Action::Cordon, UPDATE, "", "Node", "n"),
                restart("web"),
            ]),
            30,
        ),
        (
            "no-room",
            plan(vec![step(Action::Cordon, UPDATE, "", "Node", "n")]),
            0,
        ),
        (
            "guard-then-use",
            plan(vec![
                delete("policy", "PodDisruptionBudget", "web"),
                restart("web"),
            ]),
            60,
        ),
    ];
    for (factor, plan, expected) in cases {
        let risk = judge(&plan);
        assert_eq!(weight(&risk, factor), expected, "{factor}: {risk:?}");
        for told in &risk.factors {
            assert!(!told.text.is_empty() && !told.evidence.is_empty(), "{told:?}");
        }
    }
}

#[test]
fn no_factor_is_without_a_test_and_all_weights_are_multiples_of_five() {
    let source = concat!(
        include_str!("factors_tests.rs"),
        include_str!("security_tests.rs")
    );
    let mut factors = BTreeSet::new();
    for case in weights::ALL {
        factors.insert(case.factor);
        assert!(
            case.percent > 0 && case.percent < 100 && case.percent.is_multiple_of(5),
            "{case:?}"
        );
        assert!(!case.text.is_empty() && !case.case.is_empty());
        let tested = source.contains(&format!("\"{}\"", case.factor));
        assert!(tested, "{} is not tested", case.factor);
    }
    assert!(factors.len() > 20);
}

#[test]
fn the_score_is_the_noisy_or_of_the_weights_rounded_half_up() {
    let cases: [(&[u8], i32); 9] = [
        (&[], 0),
        (&[0, 0], 0),
        (&[20, 10], 28),
        (&[50, 5], 53),
        (&[25, 25, 25], 58),
        (&[100], 100),
        (&[5], 5),
        (&[95, 95, 95, 95], 100),
        (&[55, 10, 20], 68),
    ];
    for (weights, expected) in cases {
        assert_eq!(score(weights.iter().copied()), expected, "{weights:?}");
        assert_eq!(score(weights.iter().rev().copied()), expected, "{weights:?}");
    }
    assert_eq!(score([5; 27].into_iter()), 75);
    assert_eq!(
        score([5; 28].into_iter()),
        100,
        "more than can be computed exactly"
    );
}

#[test]
fn the_bands_are_those_of_the_levels() {
    let cases = [
        (0, Level::Safe),
        (24, Level::Safe),
        (25, Level::Caution),
        (69, Level::Caution),
        (70, Level::Destructive),
        (100, Level::Destructive),
    ];
    for (score, level) in cases {
        assert_eq!(band(score), level, "{score}");
    }
}

#[test]
fn many_harmless_reasons_together_make_a_change_destructive() {
    let mut plan = plan(vec![scale(Some(2), Some(5))]);
    plan.facts.namespaces[0].protected = true;
    assert_eq!(judge(&plan).level, Level::Caution);
    plan.facts.incident = true;
    plan.steps[0].selector = Some("*".into());
    let risk = judge(&plan);
    assert_eq!((risk.level, risk.score), (Level::Destructive, 76), "{risk:?}");
}

#[test]
fn a_factor_reads_as_what_why_and_weight() {
    let mut plan = plan(vec![delete("apps", "Deployment", "web")]);
    let one = plan.steps[0].targets[0].clone();
    plan.steps[0].targets.extend((0..9).map(|n| {
        let mut more = one.clone();
        more.name = format!("web-{n}");
        more
    }));
    let risk = judge(&plan);
    let lines: Vec<String> = risk.factors.iter().take(2).map(told).collect();
    let who =
        "deployment/web, deployment/web-0, deployment/web-1, deployment/web-2, deployment/web-3, and 5 more";
    assert_eq!(
        lines,
        [
            format!("removes objects: {who} (sets the level)"),
            format!("removes objects: {who} (weight 55)"),
        ]
    );
}

#[test]
fn only_reads_weigh_nothing_wherever_they_look() {
    let mut read = step(Action::List, Effect::Read, "", "Secret", "a");
    read.targets[0].namespace = Some("kube-system".into());
    let mut plan = plan(vec![read]);
    plan.facts.incident = true;
    let risk = judge(&plan);
    assert_eq!((risk.level, risk.score), (Level::Safe, 0), "{risk:?}");
}

#[test]
fn to_make_an_object_of_an_unknown_kind_again_weighs_like_nothing_that_undoes_it() {
    let of = |group: &str, kind: &str| {
        let risk = judge(&plan(vec![delete(group, kind, "x")]));
        weight(&risk, "reversibility")
    };
    assert_eq!(of("", "ConfigMap"), 20);
    assert_eq!(of("db.example.com", "Database"), 50);
}

#[test]
fn snapshots_weigh_as_what_holds_data() {
    for kind in ["VolumeSnapshot", "VolumeSnapshotContent", "VolumeSnapshotClass"] {
        let risk = judge(&plan(vec![delete("snapshot.storage.k8s.io", kind, "x")]));
        let told = risk.factors.iter().find(|f| f.id == "kind-class");
        assert!(
            told.is_some_and(|f| f.text == "a kind that holds data"),
            "{kind}: {risk:?}"
        );
        assert!(
            risk.factors.iter().any(|f| f.id == "floor-storage-change"),
            "{kind}: {risk:?}"
        );
    }
}
