use kubechat_crds::{Level, RiskPolicy};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::risk::testing::{delete, plan as of, restart, scale};

fn at() -> Timestamp {
    Timestamp::from_second(20).unwrap()
}

fn policies(spec: serde_json::Value) -> Effective {
    Effective::from_policies(&[RiskPolicy::new("p", serde_json::from_value(spec).unwrap())]).unwrap()
}

fn radius() -> BlastRadius {
    BlastRadius {
        objects: [("Deployment".to_owned(), 1), ("Pod".to_owned(), 5)].into(),
        pods_lost: 1,
        complete: true,
        ..BlastRadius::default()
    }
}

/// A plan as the planner judges it by these policies.
fn planned(mut plan: CommandPlanSpec, radius: BlastRadius, policies: &Effective) -> CommandPlanSpec {
    plan.blast_radius = Some(radius);
    plan.risk = risk::judge(&plan);
    let found = policies.evaluate(&plan, at());
    plan.risk.level = found.level;
    plan.risk.score = plan.risk.score.max(found.level.score_floor());
    plan.requirement = found.requirement;
    plan
}

fn said(plan: &CommandPlanSpec, now: &BlastRadius, policies: &Effective) -> Option<String> {
    outgrown(
        plan,
        "demo",
        plan.blast_radius.as_ref().unwrap(),
        now,
        policies,
        at(),
    )
}

#[test]
fn the_same_objects_that_are_hit_harder_are_not_what_was_approved() {
    let none = policies(json!({}));
    let plan = planned(of(vec![restart("web")]), radius(), &none);
    assert_eq!(plan.risk.level, Level::Caution);
    let with = |change: fn(&mut BlastRadius)| {
        let mut now = radius();
        change(&mut now);
        said(&plan, &now, &none)
    };
    assert_eq!(with(|_| {}), None);
    assert_eq!(with(|r| r.pods_lost = 0), None);
    // No more pods are lost; nodes are not counted again.
    assert_eq!(with(|r| (r.pods_percent, r.nodes_percent) = (100, 100)), None);
    for (change, words) in [
        (
            (|r| r.pdbs_violated = vec!["demo/web".into()]) as fn(&mut BlastRadius),
            "demo/web would be violated",
        ),
        (
            |r| r.services_at_zero = vec!["demo/front".into()],
            "demo/front would be left without a ready pod",
        ),
        (
            |r| r.unrecoverable_volumes = vec!["demo/data".into()],
            "demo/data would be lost with their data",
        ),
        (
            |r| {
                r.complete = false;
                r.missing = vec!["pods in demo: the requester may not read them".into()];
            },
            "cannot be seen any more (pods in demo",
        ),
        (
            |r| r.objects = [("Deployment".to_owned(), 1), ("Pod".to_owned(), 15)].into(),
            "grew from 6 to 16",
        ),
    ] {
        let why = with(change).unwrap_or_else(|| panic!("{words}: it is not seen"));
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn what_makes_a_plan_more_dangerous_or_asks_for_more_approvals_is_told() {
    let none = policies(json!({}));
    let plan = planned(of(vec![scale(Some(10), Some(8))]), radius(), &none);
    assert_eq!(plan.risk.level, Level::Caution);
    // Nothing of it is new by name: a headroom that is used up, and pods that are lost now.
    let mut now = radius();
    now.pods_lost = 600;
    now.pdb_headroom = Some(0);
    now.single_replicas = vec!["Deployment demo/a".into()];
    now.outside_namespace = 1;
    let why = said(&plan, &now, &none).unwrap();
    for words in ["it is destructive, and was caution", "600 pods"] {
        assert!(why.contains(words), "{words} in {why}");
    }

    let rule = json!({"rules": [{"name": "many", "when": "plan.blastRadius.podsLost > 3", "effect": "RequireApproval", "require": {"count": 2}}]});
    let strict = policies(rule);
    let plan = planned(of(vec![restart("web")]), radius(), &strict);
    let mut now = radius();
    now.pods_lost = 4;
    assert!(said(&plan, &now, &strict).unwrap().contains("more approvals"));
    now.pods_lost = 3;
    assert_eq!(said(&plan, &now, &strict), None);
}

#[test]
fn what_was_approved_as_not_seen_is_not_missed_and_what_was_seen_is() {
    let none = policies(json!({}));
    let gap = |lines: &[&str]| BlastRadius {
        complete: lines.is_empty(),
        missing: lines.iter().map(|l| (*l).to_owned()).collect(),
        ..radius()
    };
    let routes = "httproutes in demo: the requester may not read them";
    let plan = planned(of(vec![restart("web")]), gap(&[routes]), &none);
    assert_eq!(said(&plan, &gap(&[]), &none), None);
    assert_eq!(said(&plan, &gap(&[routes]), &none), None);
    assert_eq!(
        said(&plan, &gap(&["httproutes in demo: no answer within 2 s"]), &none),
        None
    );
    for lines in [
        &["pods in demo: the requester may not read them"][..],
        &[routes, "pods in demo: stopped after 5000 objects"],
        &["httproutes in other: the requester may not read them"],
    ] {
        assert!(said(&plan, &gap(lines), &none).is_some(), "{lines:?}");
    }
    // Of a list that was cut nobody knows what else was missing, but pods were counted.
    let many: Vec<String> = (0..19).map(|n| format!("kind{n} in demo: refused")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.push("and 7 more");
    let plan = planned(of(vec![restart("web")]), gap(&many), &none);
    assert_eq!(said(&plan, &gap(&many), &none), None);
    assert_eq!(said(&plan, &gap(&["configmaps in demo: refused"]), &none), None);
    assert!(said(&plan, &gap(&["pods in demo: refused"]), &none).is_some());
    many.pop();
    many.push("and 8 more");
    assert!(said(&plan, &gap(&many), &none).is_some());
}

#[test]
fn more_pods_that_are_lost_are_the_share_that_is_counted_now() {
    let share = policies(json!({"limits": {"clusterShare": 10}}));
    for (before, planned_percent, after, percent, stale) in [
        (0, 0, 0, 0, false),
        // One pod that was not ready when the plan was made, of many and of few.
        (0, 0, 1, 1, false),
        (0, 0, 1, 11, true),
        // It could not be counted.
        (0, 0, 1, 100, true),
        (100, 4, 250, 10, false),
        (100, 4, 101, 11, true),
        // No more of them than were approved, of a cluster that is smaller, or was not counted.
        (100, 4, 100, 12, false),
        (100, 4, 90, 100, false),
        (i64::MAX, 9, i64::MAX, 100, false),
        (1, 9, i64::MAX, 100, true),
    ] {
        let lost = |pods_lost, pods_percent| BlastRadius {
            pods_lost,
            pods_percent,
            ..radius()
        };
        let plan = planned(
            of(vec![delete("apps", "Deployment", "web")]),
            lost(before, planned_percent),
            &share,
        );
        let said = said(&plan, &lost(after, percent), &share);
        assert_eq!(
            said.is_some(),
            stale,
            "{before} are {planned_percent} %, {after} are {percent} %: {said:?}"
        );
        if let Some(said) = said {
            assert!(said.contains("% of the pods"), "{said}");
        }
    }
}

proptest! {
    /// A radius that is nothing more than it was never stops a plan.
    #[test]
    fn what_is_hit_less_never_stops_a_plan(
        pods in 1_i64..40, lost in 0_i64..40, fewer in 0_i64..40, names in prop::collection::vec("[a-c]", 0..3), keep in 0_usize..3
    ) {
        let none = policies(json!({}));
        let before = BlastRadius {
            objects: [("Pod".to_owned(), pods)].into(),
            pods_lost: lost,
            services_at_zero: names.clone(),
            pdbs_violated: names.clone(),
            unrecoverable_volumes: names.clone(),
            complete: true,
            ..BlastRadius::default()
        };
        let left: Vec<String> = names.into_iter().take(keep).collect();
        let now = BlastRadius {
            objects: [("Pod".to_owned(), (pods - fewer).max(0))].into(),
            pods_lost: (lost - fewer).max(0),
            services_at_zero: left.clone(),
            pdbs_violated: left.clone(),
            unrecoverable_volumes: left,
            ..before.clone()
        };
        let plan = planned(of(vec![restart("web")]), before, &none);
        prop_assert_eq!(said(&plan, &now, &none), None);
    }
}
