use jiff::Timestamp;
use kubechat_crds::Level;
use kubechat_crds::command_plan::{Effect, RollbackKind};
use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};
use serde_json::{Value, json};

use super::changes_tests::{deployment, found, kind, plain};
use crate::plan::{Found, Refusal};
use crate::risk::floor_level;

// Tables read better with values.
#[allow(clippy::needless_pass_by_value)]
fn pod(name: &str, namespace: &str, owner: Option<&str>, volumes: Value) -> Found {
    let mut pod = found(kind("", "v1", "Pod", "pods"), name, json!({"volumes": volumes}));
    pod.object["metadata"]["namespace"] = namespace.into();
    if let Some(owner) = owner {
        pod.object["metadata"]["ownerReferences"] =
            json!([{"kind": owner, "name": "its-owner", "controller": true}]);
    }
    pod
}

fn drained(params: IntentParams, node: &Found, pods: &[Found]) -> Result<super::drain::Drained, Refusal> {
    let intent = Intent {
        action: Action::Drain,
        target: IntentTarget::default(),
        params,
        confidence: 100,
        span: Span::default(),
    };
    super::drain::parts(&intent, node, pods, Timestamp::UNIX_EPOCH)
}

#[test]
fn a_drain_cordons_and_evicts_what_is_replaced_elsewhere_and_names_what_stays_and_what_is_lost() {
    let node = found(kind("", "v1", "Node", "nodes"), "n1", json!({}));
    let mut mirror = pod("etcd", "kube-system", None, json!([]));
    mirror.object["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    let pods = [
        pod("b", "two", Some("ReplicaSet"), json!([])),
        pod(
            "a",
            "one",
            Some("ReplicaSet"),
            json!([{"name": "cache", "emptyDir": {}}, {"name": "c", "configMap": {}}]),
        ),
        pod("c", "one", Some("StatefulSet"), json!([])),
        pod("agent", "one", Some("DaemonSet"), json!([])),
        mirror,
    ];
    let done = drained(IntentParams::default(), &node, &pods).unwrap();
    let steps: Vec<(Action, Vec<&str>)> = done
        .drafts
        .iter()
        .map(|d| {
            (
                d.step.action,
                d.step.targets.iter().map(|t| t.name.as_str()).collect(),
            )
        })
        .collect();
    assert_eq!(
        steps,
        [
            (Action::Cordon, vec!["n1"]),
            (Action::Evict, vec!["a", "c"]),
            (Action::Evict, vec!["b"])
        ]
    );
    for draft in done.drafts.iter().skip(1) {
        assert_eq!(draft.step.subresource.as_deref(), Some("eviction"));
        assert_eq!(
            (draft.step.effect, floor_level(&draft.step)),
            (Effect::Delete, Level::Destructive)
        );
        assert!(draft.step.targets.iter().all(|t| t.uid.is_some()));
        let rights = crate::plan::access_needed(&draft.step);
        assert!(
            rights
                .iter()
                .all(|q| q.verb == "create" && q.subresource == "eviction"),
            "{rights:?}"
        );
    }
    assert!(
        done.drafts[1]
            .step
            .rollback
            .why
            .contains("emptyDir volume cache is lost")
    );
    assert!(
        done.notes[0].contains("one/agent") && done.notes[0].contains("kube-system/etcd"),
        "{:?}",
        done.notes
    );
}

#[test]
fn a_drain_refuses_pods_that_nothing_replaces_unless_it_is_said() {
    let node = found(
        kind("", "v1", "Node", "nodes"),
        "n1",
        json!({"unschedulable": true}),
    );
    let pods = [
        pod("alone", "one", None, json!([])),
        pod("a", "one", Some("ReplicaSet"), json!([])),
    ];
    let refused = drained(IntentParams::default(), &node, &pods);
    assert!(
        matches!(&refused, Err(Refusal::Invalid(why)) if why.contains("one/alone") && why.contains("force")),
        "{refused:?}"
    );
    let force = IntentParams {
        force: Some(true),
        ..IntentParams::default()
    };
    let done = drained(force, &node, &pods).unwrap();
    assert_eq!(done.drafts.iter().map(|d| d.step.targets.len()).sum::<usize>(), 2);
    // The one that nothing replaces is a step of its own, judged as a deletion.
    let forced: Vec<_> = done
        .drafts
        .iter()
        .filter(|d| d.step.params.force == Some(true))
        .collect();
    assert_eq!(forced.len(), 1);
    assert_eq!(forced[0].step.targets[0].name, "alone");
    let daemons = [pod("agent", "one", Some("DaemonSet"), json!([]))];
    assert!(matches!(
        drained(IntentParams::default(), &node, &daemons),
        Err(Refusal::Nothing(_))
    ));
    assert!(matches!(
        drained(IntentParams::default(), &deployment(None), &daemons),
        Err(Refusal::Invalid(_))
    ));
}

#[test]
fn only_pods_that_something_replaces_are_evicted() {
    let none = IntentParams::default;
    let owned = pod("a", "demo", Some("ReplicaSet"), json!([]));
    let draft = plain(Action::Evict, none(), &owned).unwrap();
    assert_eq!(draft.step.params.timeout_seconds, Some(60));
    assert_eq!(draft.step.rollback.kind, RollbackKind::None);
    let alone = pod("a", "demo", None, json!([]));
    assert!(matches!(
        plain(Action::Evict, none(), &alone),
        Err(Refusal::Invalid(_))
    ));
    assert!(matches!(
        plain(Action::Evict, none(), &deployment(None)),
        Err(Refusal::Invalid(_))
    ));
    let mut leaving = owned;
    leaving.object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert!(matches!(
        plain(Action::Evict, none(), &leaving),
        Err(Refusal::Nothing(_))
    ));
}

fn nodes_labelled(selector: Option<&str>) -> Intent {
    Intent {
        action: Action::Drain,
        target: IntentTarget {
            selector: selector.map(str::to_owned),
            names: selector.is_none().then(|| "n1".to_owned()).into_iter().collect(),
            ..IntentTarget::default()
        },
        params: IntentParams::default(),
        confidence: 100,
        span: Span::default(),
    }
}

#[test]
fn every_step_of_a_drain_says_by_which_selector_its_node_was_found() {
    let node = found(kind("", "v1", "Node", "nodes"), "n1", json!({}));
    let pods = [pod("a", "one", Some("ReplicaSet"), json!([]))];
    for selector in [Some("pool=old"), None] {
        let done =
            super::drain::parts(&nodes_labelled(selector), &node, &pods, Timestamp::UNIX_EPOCH).unwrap();
        let told: Vec<Option<&str>> = done.drafts.iter().map(|d| d.step.selector.as_deref()).collect();
        assert_eq!(told, [selector, selector]);
        // The pods are those of the node, whatever their own labels are.
        assert_eq!(done.drafts[1].step.params.from.as_deref(), Some("node/n1"));
    }
}

#[test]
fn no_step_evicts_many_pods_and_all_of_them_go_in_the_order_of_their_names() {
    let node = found(
        kind("", "v1", "Node", "nodes"),
        "n1",
        json!({"unschedulable": true}),
    );
    let mut pods: Vec<Found> = (0..35)
        .map(|n| pod(&format!("p{n:02}"), "one", Some("ReplicaSet"), json!([])))
        .collect();
    pods.reverse();
    let done = drained(IntentParams::default(), &node, &pods).unwrap();
    let most = done.drafts.iter().map(|d| d.step.targets.len()).max().unwrap();
    assert_eq!(most, crate::plan::MAX_EVICTIONS);
    assert_eq!(done.drafts.len(), 4);
    let names: Vec<&str> = done
        .drafts
        .iter()
        .flat_map(|d| d.step.targets.iter().map(|t| t.name.as_str()))
        .collect();
    assert!(names.len() == 35 && names.is_sorted(), "{names:?}");
}

#[test]
fn what_each_pod_of_a_drain_loses_is_told_in_full_however_long_the_names_are() {
    let node = found(kind("", "v1", "Node", "nodes"), "n1", json!({}));
    for length in [1, 60, 200] {
        let name = |n: usize| format!("p{n}-{}", "x".repeat(length));
        let cache = |n: usize| json!([{"name": format!("cache-{n}"), "emptyDir": {}}]);
        let pods: Vec<Found> = (0..20)
            .map(|n| pod(&name(n), "one", Some("ReplicaSet"), cache(n)))
            .collect();
        let mut done = drained(IntentParams::default(), &node, &pods).unwrap();
        for (index, draft) in done.drafts.iter_mut().enumerate() {
            crate::plan::finish(&mut draft.step, index);
        }
        let told: Vec<&str> = done.drafts.iter().map(|d| d.step.rollback.why.as_str()).collect();
        for n in 0..20 {
            let lost = format!("emptyDir volume cache-{n} is lost");
            assert!(told.iter().any(|why| why.contains(&lost)), "{lost}: {told:?}");
        }
    }
}

#[test]
fn pods_that_are_evicted_without_grace_weigh_as_pods_that_are_deleted_so() {
    let weight = |grace: Option<i64>| {
        let params = IntentParams {
            grace_period_seconds: grace,
            ..IntentParams::default()
        };
        let owned = pod("a", "demo", Some("ReplicaSet"), json!([]));
        let step = plain(Action::Evict, params, &owned).unwrap().step;
        (crate::catalogue::change(Action::Evict).unwrap().weight)(&step)
    };
    assert_eq!(weight(Some(0)), crate::risk::weights::DELETE_NOW);
    assert_eq!(weight(Some(1)), crate::risk::weights::EVICT);
    assert_eq!(weight(None), crate::risk::weights::EVICT);
}

/// The steps that drain nodes with so many pods each.
fn of_nodes(pods: &[usize]) -> Vec<kubechat_crds::Step> {
    let mut all = vec![];
    for (n, many) in pods.iter().enumerate() {
        let node = found(kind("", "v1", "Node", "nodes"), &format!("n{n}"), json!({}));
        let pods: Vec<Found> = (0..*many)
            .map(|p| pod(&format!("p{n}-{p:03}"), "one", Some("ReplicaSet"), json!([])))
            .collect();
        let done = drained(IntentParams::default(), &node, &pods).unwrap();
        all.extend(done.drafts.into_iter().map(|d| d.step));
    }
    all
}

#[test]
fn who_drains_more_than_a_plan_holds_is_told_which_nodes_fit() {
    let said = |pods: &[usize], limit: usize| {
        let steps = of_nodes(pods);
        super::drain::fewer(&steps.iter().collect::<Vec<_>>(), limit).unwrap()
    };
    // Six full nodes: each a cordon and eleven steps of ten pods.
    let six = [110; 6];
    assert_eq!(of_nodes(&six).len(), 72);
    let told = said(&six, 64);
    assert!(told.contains("evicts 10 pods at most"), "{told}");
    assert!(told.contains("fewer nodes"), "{told}");
    assert!(told.ends_with("ask \"drain n0, n1, n2, n3 and n4\""), "{told}");
    assert!(said(&six, 24).ends_with("\"drain n0 and n1\""));
    assert!(said(&six, 23).ends_with("\"drain n0\""));
    let alone = said(&six, 11);
    assert!(alone.contains("n0 alone needs 12 steps"), "{alone}");
    assert!(alone.contains("evict pods labelled KEY=VALUE"), "{alone}");
    assert!(
        said(&[1; 40], 64).ends_with("n6 and n7\""),
        "not all of them are named"
    );
}

#[test]
fn what_else_a_plan_does_takes_room_of_its_nodes_and_what_drains_none_is_told_nothing_of_nodes() {
    let steps = of_nodes(&[10, 10]);
    let other = crate::plan::actions::create_namespace::draft("x", 0).step;
    let said = |steps: &[&kubechat_crds::Step], limit: usize| super::drain::fewer(steps, limit);
    let mut all: Vec<_> = steps.iter().collect();
    assert!(said(&all, 4).unwrap().ends_with("drain n0 and n1\""));
    all.push(&other);
    assert!(said(&all, 4).unwrap().ends_with("drain n0\""));
    assert_eq!(said(&[&other], 0), None);
    // A cordon alone is no drain.
    assert_eq!(said(&[&steps[0], &other], 0), None);
    // Nor is a plan of nothing.
    assert_eq!(said(&[], 0), None);
}

#[test]
fn a_node_on_which_there_is_nothing_to_do_holds_up_none_of_the_others_and_is_named() {
    let cordoned = |name: &str| {
        found(
            kind("", "v1", "Node", "nodes"),
            name,
            json!({"unschedulable": true}),
        )
    };
    let web = [pod("web", "one", Some("ReplicaSet"), json!([]))];
    let alone = [pod("alone", "one", None, json!([]))];
    let of = |name: &str, pods: &[Found]| drained(IntentParams::default(), &cordoned(name), pods);
    let done = super::drain::together(vec![of("n1", &[]), of("n2", &web)]).unwrap();
    assert_eq!(done.drafts.len(), 1);
    assert_eq!(done.drafts[0].step.params.from.as_deref(), Some("node/n2"));
    assert!(
        done.notes.iter().any(|n| n.contains("node/n1 is cordoned")),
        "{:?}",
        done.notes
    );
    let none = super::drain::together(vec![of("n1", &[]), of("n3", &[])]);
    assert!(
        matches!(&none, Err(Refusal::Nothing(why)) if why.contains("node/n1") && why.contains("node/n3")),
        "{none:?}"
    );
    // What stands in the way of one of them stands in the way of all.
    let refused = super::drain::together(vec![of("n1", &[]), of("n2", &web), of("n4", &alone)]);
    assert!(matches!(&refused, Err(Refusal::Invalid(_))), "{refused:?}");
}
