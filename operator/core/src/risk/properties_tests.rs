//! More never means less, and the order of steps never shows.

use kubechat_crds::command_plan::{
    Access, BlastRadius, DiffLine, FieldOwner, NamespaceFact, RollbackKind, WindowFact,
};
use kubechat_crds::intent::Action;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::testing::*;
use super::*;

const NAMESPACES: &[&str] = &["demo", "other", "kube-system", "prod-eu", "unread"];

fn any_target() -> impl Strategy<Value = Target> {
    let kinds = select(vec![
        ("", "Pod"),
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("policy", "PodDisruptionBudget"),
        ("networking.k8s.io", "NetworkPolicy"),
        ("", "PersistentVolumeClaim"),
        ("", "Secret"),
        ("", "Node"),
        ("", "Namespace"),
        ("x.io", "Odd"),
    ]);
    (kinds, select(NAMESPACES), "[a-c]").prop_map(|((group, kind), namespace, name)| {
        let mut target = step(Action::Get, Effect::Read, group, kind, &name)
            .targets
            .remove(0);
        target.namespace = target.namespace.map(|_| namespace.to_owned());
        target
    })
}

fn any_line() -> impl Strategy<Value = DiffLine> {
    let paths = select(vec![
        "/spec/replicas",
        "/spec/template/spec/hostNetwork",
        "/spec/template/spec/containers/0/image",
        "/spec/template/spec/containers/0/securityContext/privileged",
        "/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation",
        "/spec/template/spec/containers/0/securityContext/runAsNonRoot",
        "/spec/template/spec/containers/0/securityContext/capabilities/add/0",
        "/spec/template/spec/volumes/0/hostPath",
        "(7 more changed fields are not shown)",
    ]);
    let values = || {
        option::of(select(vec![
            "true", "false", "1", "9", "web", "web:2", "NET_RAW", "BPF",
        ]))
    };
    (0..2, paths, values(), values()).prop_map(|(target, path, before, after)| DiffLine {
        target,
        path: path.into(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let effects = select(vec![
        Effect::Read,
        Effect::Update,
        Effect::Update,
        Effect::Create,
        Effect::Delete,
    ]);
    let rollbacks = select(vec![
        RollbackKind::Inverse,
        RollbackKind::Recreate,
        RollbackKind::None,
    ]);
    let selected = vec(
        select(vec!["service/web".to_owned(), "unreadable: services".to_owned()]),
        0..2,
    );
    let keys = vec(
        select(vec!["team".to_owned(), "argocd.argoproj.io/x".to_owned()]),
        0..2,
    );
    (
        (select(Action::ALL.to_vec()), effects, rollbacks),
        // A step without a target may mean any object: there the first target narrows. No stored plan has one.
        vec(any_target(), 1..4),
        (option::of(-1..12_i32), any::<bool>(), any::<bool>()),
        vec(any_line(), 0..3),
        (selected, keys),
    )
        .prop_map(
            |((action, effect, rollback), targets, (replicas, force, odd), diff, (selected_by, remove))| {
                let mut step = step(action, effect, "", "Pod", "x");
                step.targets = targets;
                step.rollback.kind = rollback;
                step.params.replicas = replicas;
                step.params.force = Some(force);
                step.params.remove = remove;
                step.subresource = odd.then(|| "scale".to_owned());
                step.diff = diff;
                step.selected_by = selected_by;
                step
            },
        )
}

fn any_blast() -> impl Strategy<Value = BlastRadius> {
    let names = || vec("[a-c]", 0..2);
    (
        (0..600_i64, names(), names(), names(), names(), names()),
        (option::of(-1..3_i64), 0..101, 0..3_i64, names(), any::<bool>()),
    )
        .prop_map(
            |(
                (lost, zero, violated, pvcs, volumes, single),
                (headroom, nodes, outside, undone, complete),
            )| {
                BlastRadius {
                    pods_lost: lost,
                    services_at_zero: zero,
                    pdbs_violated: violated,
                    pvcs,
                    unrecoverable_volumes: volumes,
                    single_replicas: single,
                    pdb_headroom: headroom,
                    nodes_percent: nodes,
                    outside_namespace: outside,
                    undone_by: undone,
                    complete,
                    ..BlastRadius::default()
                }
            },
        )
}

fn any_plan() -> impl Strategy<Value = CommandPlanSpec> {
    let protected = vec(any::<bool>(), NAMESPACES.len() - 1);
    let window = (0..400_i32, 0..600_i64, 0..60_i64);
    (
        vec(any_step(), 1..5),
        option::of(any_blast()),
        protected,
        window,
        (any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |(mut steps, blast, protected, (plans, objects, deleted), (incident, untrusted))| {
                for (index, step) in steps.iter_mut().enumerate() {
                    step.id = format!("s{}", index + 1);
                }
                let mut plan = plan(steps);
                plan.blast_radius = blast;
                plan.facts.namespaces = NAMESPACES
                    .iter()
                    .zip(protected)
                    .map(|(name, protected)| NamespaceFact {
                        name: (*name).to_owned(),
                        protected,
                        ..NamespaceFact::default()
                    })
                    .collect();
                plan.facts.window = WindowFact {
                    plans,
                    objects,
                    deleted,
                };
                plan.facts.incident = incident;
                plan.facts.untrusted_text = untrusted;
                plan
            },
        )
}

/// Ways in which a plan gets worse.
#[derive(Clone, Debug)]
enum Worse {
    Step(Box<Step>),
    Target(usize, Target),
    Selector(usize),
    Protected(usize),
    Forgotten(usize),
    Production(usize),
    Window(WindowFact),
    Incident,
    Untrusted,
    NoRight(usize),
    Undone(usize),
    Blast(BlastRadius),
}

fn any_worse() -> impl Strategy<Value = Worse> {
    let at = || 0..8_usize;
    prop_oneof![
        3 => any_step().prop_map(|s| Worse::Step(Box::new(s))),
        3 => (at(), any_target()).prop_map(|(i, t)| Worse::Target(i, t)),
        1 => at().prop_map(Worse::Selector),
        1 => at().prop_map(Worse::Protected),
        1 => at().prop_map(Worse::Forgotten),
        1 => at().prop_map(Worse::Production),
        1 => (0..200_i32, 0..200_i64, 0..50_i64)
            .prop_map(|(plans, objects, deleted)| Worse::Window(WindowFact { plans, objects, deleted })),
        1 => Just(Worse::Incident),
        1 => Just(Worse::Untrusted),
        1 => at().prop_map(Worse::NoRight),
        1 => at().prop_map(Worse::Undone),
        3 => any_blast().prop_map(Worse::Blast),
    ]
}

fn worsen(plan: &mut CommandPlanSpec, worse: Worse) {
    let steps = plan.steps.len();
    let facts = plan.facts.namespaces.len().max(1);
    match worse {
        Worse::Step(step) => plan.steps.push(*step),
        Worse::Target(at, target) => plan.steps[at % steps].targets.push(target),
        Worse::Selector(at) => plan.steps[at % steps].selector = Some("*".into()),
        Worse::Protected(at) => plan.facts.namespaces[at % facts].protected = true,
        Worse::Forgotten(at) => {
            // Nothing recorded is worse than anything but a protected one, which weighs the same.
            let name = plan.facts.namespaces[at % facts].name.clone();
            plan.facts.namespaces.retain(|f| f.name != name);
        }
        Worse::Production(at) => {
            let labels = &mut plan.facts.namespaces[at % facts].labels;
            labels.insert("env".into(), "prod".into());
        }
        Worse::Window(more) => {
            let window = &mut plan.facts.window;
            window.plans += more.plans;
            window.objects += more.objects;
            window.deleted += more.deleted;
        }
        Worse::Incident => plan.facts.incident = true,
        Worse::Untrusted => plan.facts.untrusted_text = true,
        Worse::NoRight(at) => plan.steps[at % steps].access.push(Access::default()),
        Worse::Undone(at) => plan.steps[at % steps].owners.push(FieldOwner {
            will_be_undone: true,
            ..FieldOwner::default()
        }),
        Worse::Blast(more) => {
            // Where none is recorded, what is found does not say that it is all.
            let blast = plan.blast_radius.get_or_insert_default();
            blast.pods_lost += more.pods_lost;
            blast.services_at_zero.extend(more.services_at_zero);
            blast.pdbs_violated.extend(more.pdbs_violated);
            blast.pvcs.extend(more.pvcs);
            blast.unrecoverable_volumes.extend(more.unrecoverable_volumes);
            blast.single_replicas.extend(more.single_replicas);
            blast.pdb_headroom = match (blast.pdb_headroom, more.pdb_headroom) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            blast.nodes_percent = blast.nodes_percent.max(more.nodes_percent);
            blast.outside_namespace += more.outside_namespace;
            blast.undone_by.extend(more.undone_by);
            blast.complete &= more.complete;
        }
    }
}

fn not_less(before: &Risk, after: &Risk) -> Result<(), TestCaseError> {
    prop_assert!(after.level >= before.level, "{before:?}\n{after:?}");
    prop_assert!(after.score >= before.score, "{before:?}\n{after:?}");
    // Each factor by itself: in a score that is 100 already, a lost one would not show.
    for factor in weights::ALL.iter().map(|w| w.factor) {
        let (was, is) = (weight(before, factor), weight(after, factor));
        prop_assert!(
            is >= was,
            "{factor} fell from {was} to {is}: {before:?}\n{after:?}"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_makes_a_plan_worse_lowers_its_score_or_level(mut plan in any_plan(), worse in vec(any_worse(), 1..4)) {
        let mut before = judge(&plan);
        for one in worse {
            worsen(&mut plan, one);
            let after = judge(&plan);
            not_less(&before, &after)?;
            before = after;
        }
    }

    #[test]
    fn taking_a_disruption_budget_away_never_lowers_what_it_guarded_against(mut plan in any_plan(), first in any::<bool>()) {
        plan.steps.push(restart("web"));
        let before = judge(&plan);
        let guard = delete("policy", "PodDisruptionBudget", "web");
        let at = if first { 0 } else { plan.steps.len() };
        plan.steps.insert(at, guard);
        // Once it is gone, no budget is violated any more, and none has headroom.
        if let Some(blast) = &mut plan.blast_radius {
            blast.pdbs_violated.clear();
            blast.pdb_headroom = None;
        }
        let after = judge(&plan);
        not_less(&before, &after)?;
        prop_assert_eq!(after.level, Level::Destructive);
    }

    #[test]
    fn the_order_of_steps_and_targets_never_shows(plan in any_plan(), seed in any::<u64>()) {
        let before = judge(&plan);
        let mut turned = plan.clone();
        let by = usize::try_from(seed % 7).unwrap() % turned.steps.len();
        turned.steps.rotate_left(by);
        prop_assert_eq!(&before, &judge(&turned));
        turned.steps.reverse();
        prop_assert_eq!(&before, &judge(&turned));
        turned.facts.namespaces.reverse();
        prop_assert_eq!(&before, &judge(&turned));
    }

    #[test]
    fn no_judgement_is_below_its_floor_outside_its_band_or_unexplained(plan in any_plan()) {
        let risk = judge(&plan);
        let floor = plan.steps.iter().map(floor_level).max().unwrap();
        prop_assert!(risk.level >= floor);
        prop_assert!(risk.score >= risk.level.score_floor() && risk.score <= 100);
        prop_assert_eq!(band(risk.score), risk.level);
        prop_assert!(risk.factors.len() <= 128 && !risk.factors.is_empty());
        let ids: BTreeSet<&str> = risk.factors.iter().map(|f| f.id.as_str()).collect();
        prop_assert_eq!(ids.len(), risk.factors.len());
        for factor in &risk.factors {
            prop_assert!(!factor.text.is_empty() && !factor.evidence.is_empty(), "{:?}", factor);
            prop_assert!(factor.text.len() <= 512 && factor.evidence.len() <= 512 && factor.id.len() <= 63);
        }
        let weighed = score(risk.factors.iter().map(|f| u8::try_from(f.weight).unwrap()));
        prop_assert_eq!(risk.score, weighed.max(risk.level.score_floor()));
    }
}

/// The properties above say nothing of a factor that the generators never reach.
#[test]
fn every_factor_is_reached_and_raised_by_what_makes_a_plan_worse() {
    let mut runner = TestRunner::deterministic();
    let mut raised: BTreeSet<&str> = BTreeSet::new();
    for _ in 0..4_000 {
        let mut plan = any_plan().new_tree(&mut runner).unwrap().current();
        let worse = any_worse().new_tree(&mut runner).unwrap().current();
        let before = judge(&plan);
        worsen(&mut plan, worse);
        let after = judge(&plan);
        let factors = weights::ALL.iter().map(|w| w.factor);
        raised.extend(factors.filter(|f| weight(&after, f) > weight(&before, f)));
    }
    let missed: Vec<&str> = weights::ALL
        .iter()
        .map(|w| w.factor)
        .filter(|f| !raised.contains(f))
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
}
