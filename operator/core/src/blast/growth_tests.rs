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
