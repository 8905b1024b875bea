use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::radius::{MAX_NAMES, bounded};
use super::*;

fn of(objects: &[(&str, i64)]) -> BlastRadius {
    BlastRadius {
        objects: objects.iter().map(|(k, n)| ((*k).to_owned(), *n)).collect(),
        ..BlastRadius::default()
    }
}

#[test]
fn up_to_three_objects_or_ten_percent_more_of_the_same_kinds_are_let_pass() {
    for (before, after, stale) in [
        (1, 1, false),
        (1, 4, false),
        (1, 5, true),
        (30, 33, false),
        (30, 34, true),
        (100, 110, false),
        (100, 111, true),
        (3, 43, true),
        (43, 3, false),
    ] {
        let found = grown(&of(&[("Pod", before)]), &of(&[("Pod", after)]));
        assert_eq!(found.is_some(), stale, "{before} -> {after}: {found:?}");
    }
}

#[test]
fn a_new_kind_is_growth_however_few_there_are() {
    let found = grown(&of(&[("Pod", 3)]), &of(&[("Pod", 3), ("Service", 1)]));
    assert_eq!(
        found.as_deref(),
        Some("the blast radius grew: the plan now also hits 1 Service")
    );
    assert_eq!(
        grown(&of(&[("Pod", 3), ("Service", 1)]), &of(&[("Pod", 3)])),
        None
    );
}

#[test]
fn growth_is_told_in_numbers() {
    let found = grown(
        &of(&[("Pod", 3), ("Deployment", 1)]),
        &of(&[("Pod", 43), ("Deployment", 1)]),
    );
    assert_eq!(
        found.as_deref(),
        Some("the blast radius grew from 4 to 44 objects (Pod from 3 to 43)")
    );
}

#[test]
fn what_could_not_be_read_for_the_plan_was_approved_as_unknown_and_nothing_else() {
    let missing = |lines: &[&str]| BlastRadius {
        complete: lines.is_empty(),
        missing: lines.iter().map(|l| (*l).to_owned()).collect(),
        ..BlastRadius::default()
    };
    for (planned, what, seen) in [
        (missing(&[]), "pods in demo", true),
        (
            missing(&["pods in demo: list pods: etcd is away"]),
            "pods in demo",
            false,
        ),
        (
            missing(&["pods in demo: the requester may not read them"]),
            "pods in demo",
            false,
        ),
        (
            missing(&["pods in demo: no answer within 2 s"]),
            "services in demo",
            true,
        ),
        (
            missing(&["pods in demo-2: no answer within 2 s"]),
            "pods in demo",
            true,
        ),
        (missing(&["pods in demo and more"]), "pods in demo", true),
    ] {
        assert_eq!(was_seen(&planned, what), seen, "{planned:?} {what}");
    }
}

fn gaps(lines: &[String], counted: &[(&str, i64)]) -> BlastRadius {
    BlastRadius {
        complete: lines.is_empty(),
        missing: bounded(lines.to_vec(), 20),
        ..of(counted)
    }
}

/// So many kinds that cannot be read.
fn kinds(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("kind{n:02}s in demo: refused")).collect()
}

#[test]
fn of_gaps_that_are_not_all_named_one_of_what_the_plan_counts_is_new_and_so_is_one_more_of_them() {
    let counted = [
        ("Pod", 3),
        ("NetworkPolicy", 1),
        ("Ingress", 1),
        ("Widget.x.io", 1),
    ];
    let with = |n: usize, more: &[&str]| {
        let mut lines: Vec<String> = more
            .iter()
            .map(|what| format!("{what} in demo: refused"))
            .collect();
        lines.extend(kinds(n));
        gaps(&lines, &counted)
    };
    for n in [1, 19, 20, 21, 40] {
        let planned = with(n, &[]);
        assert_eq!(lost_sight(&planned, &planned, "demo"), [""; 0], "{n}");
        assert_eq!(lost_sight(&planned, &with(n - 1, &[]), "demo"), [""; 0], "{n}");
        // Others are not named, but they are one more; where all are named it is known by its name.
        assert!(!lost_sight(&planned, &with(n + 1, &[]), "demo").is_empty(), "{n}");
        for what in ["pods", "networkpolicies", "ingresses", "widgets"] {
            // One that could not be read then can be now: as many as there were.
            let now = with(n - 1, &[what]);
            assert_eq!(
                lost_sight(&planned, &now, "demo"),
                [format!("{what} in demo: refused")],
                "{n}"
            );
            assert!(was_seen(&planned, &format!("{what} in demo")), "{n} {what}");
        }
        // What the plan counts nothing of may be among those that are not named.
        let hidden = n > 20;
        let other = with(n - 1, &["configmaps"]);
        assert_eq!(lost_sight(&planned, &other, "demo").is_empty(), hidden, "{n}");
        assert_eq!(was_seen(&planned, "configmaps in demo"), !hidden, "{n}");
        assert!(!was_seen(&planned, "kind00s in demo"));
        assert!(!lost_sight(&gaps(&[], &counted), &planned, "demo").is_empty());
    }
}

#[test]
fn what_was_counted_in_one_namespace_says_nothing_of_another() {
    // Pods of b could not be read, which is among the gaps that are not named.
    let planned = |outside: i64| BlastRadius {
        outside_namespace: outside,
        ..gaps(
            &[kinds(22), vec!["pods in b: refused".to_owned()]].concat(),
            &[("Pod", 3)],
        )
    };
    let now = |what: &str, outside: i64| BlastRadius {
        outside_namespace: outside,
        ..gaps(
            &[vec![format!("{what}: refused")], kinds(22)].concat(),
            &[("Pod", 3)],
        )
    };
    for (what, outside, seen) in [
        ("pods in a", 0, true),
        ("pods in b", 0, false),
        // Which of them the pods are of is not told.
        ("pods in a", 1, false),
        ("pods in b", 1, false),
        ("pods", 1, true),
    ] {
        // What does not answer is waited for: it may have been read.
        assert!(was_seen(&planned(outside), what), "{what} {outside}");
        let lost = lost_sight(&planned(outside), &now(what, outside), "a");
        assert_eq!(!lost.is_empty(), seen, "{what} {outside}: {lost:?}");
    }
}

fn services(names: &[String]) -> BlastRadius {
    BlastRadius {
        services_at_zero: bounded(names.to_vec(), MAX_NAMES),
        ..BlastRadius::default()
    }
}

#[test]
fn one_less_of_a_list_that_is_cut_is_nothing_worse_and_one_more_is_told() {
    let all: Vec<String> = (0..150).map(|n| format!("demo/s{n:03}")).collect();
    for gone in [0, 50, 98, 99, 149] {
        let mut less = all.clone();
        less.remove(gone);
        assert_eq!(worse(&services(&all), &services(&less)), None, "{gone}");
        let why = worse(&services(&less), &services(&all)).unwrap();
        assert!(why.contains("would be left without a ready pod"), "{why}");
        assert!(!why.contains("and 5"), "{why}");
    }
}

proptest! {
    #[test]
    fn a_part_of_a_list_is_never_worse_than_the_whole_and_the_whole_is_worse(
        all in prop::collection::btree_set(0..400_u32, 1..250), keep in prop::collection::vec(any::<bool>(), 250)
    ) {
        let name = |n: &u32| format!("demo/s{n:03}");
        let kept: BTreeSet<u32> = all.iter().zip(keep).filter(|(_, keep)| *keep).map(|(n, _)| *n).collect();
        let (whole, part): (Vec<String>, Vec<String>) = (all.iter().map(name).collect(), kept.iter().map(name).collect());
        prop_assert_eq!(worse(&services(&whole), &services(&part)), None);
        prop_assert_eq!(worse(&services(&part), &services(&whole)).is_some(), part.len() < whole.len());
    }
}
