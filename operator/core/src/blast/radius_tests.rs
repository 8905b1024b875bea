use super::*;
use crate::blast::testing::{
    by, cluster_and_plan, deployment, graph, labels, object, owned_by, pod, pod_facts, scale, step, wide,
    workload,
};
use crate::blast::walk::walk;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

fn compute(nodes: Vec<Node>, steps: &[Step]) -> BlastRadius {
    of(&graph(nodes), steps)
}

fn of(graph: &Graph, steps: &[Step]) -> BlastRadius {
    let question = Question {
        steps,
        namespace: "demo",
        again: false,
    };
    radius(&question, graph, &walk(&question, graph))
}

fn service(name: &str, selector: &[(&str, &str)]) -> Node {
    object("", "Service", name, Facts::Service(by(selector)))
}

fn budget(allowed: i64) -> Node {
    let facts = Facts::Budget {
        selector: by(&[("app", "web")]),
        allowed,
    };
    object("policy", "PodDisruptionBudget", "b", facts)
}

/// Deployment `web` of so many ready pods behind Service `s` and a budget that allows so many disruptions.
fn web(replicas: i64, allowed: i64) -> Vec<Node> {
    [
        deployment(replicas),
        vec![service("s", &[("app", "web")]), budget(allowed)],
    ]
    .concat()
}

#[test]
fn pods_are_lost_by_what_each_step_does() {
    let top = Key::new("apps", "Deployment", Some("demo"), "web");
    let with = |at_once: Option<i64>| {
        let mut nodes = web(4, 1);
        nodes[0] = workload("Deployment", "web", 4, at_once);
        nodes
    };
    // Steps, at once in a rollout, lost, headroom, at zero.
    let cases = [
        (
            step(Action::Delete, std::slice::from_ref(&top)),
            Some(1),
            4,
            0,
            true,
        ),
        (scale(&top, 0), Some(1), 4, 0, true),
        (scale(&top, 3), Some(1), 1, 0, false),
        (scale(&top, 1), Some(1), 3, 0, false),
        (
            step(Action::Restart, std::slice::from_ref(&top)),
            Some(0),
            0,
            1,
            false,
        ),
        (
            step(Action::Restart, std::slice::from_ref(&top)),
            Some(1),
            1,
            0,
            false,
        ),
        (
            step(Action::SetImage, std::slice::from_ref(&top)),
            Some(9),
            4,
            0,
            true,
        ),
        (
            step(Action::SetResources, std::slice::from_ref(&top)),
            None,
            4,
            0,
            true,
        ),
        (
            step(Action::RolloutUndo, std::slice::from_ref(&top)),
            None,
            4,
            0,
            true,
        ),
    ];
    for (step, at_once, lost, headroom, at_zero) in cases {
        let found = compute(with(at_once), std::slice::from_ref(&step));
        let what = format!("{} {at_once:?}: {found:?}", step.action);
        assert_eq!((found.pods_lost, found.pods_total), (lost, 4), "{what}");
        assert_eq!(found.pdb_headroom, Some(headroom), "{what}");
        assert_eq!(found.services_at_zero == ["demo/s"], at_zero, "{what}");
        assert_eq!(found.pdbs_violated == ["demo/b"], lost > 1, "{what}");
        assert!(found.complete, "{what}");
    }
    for step in [scale(&top, 4), scale(&top, 9), step(Action::Label, &[top])] {
        let found = compute(with(None), &[step]);
        assert_eq!(
            (found.pods_lost, found.pods_total, found.pdb_headroom),
            (0, 0, None)
        );
    }
}

#[test]
fn a_workload_that_was_not_read_loses_everything_it_may_have() {
    let top = Key::new("apps", "Deployment", Some("demo"), "gone");
    let found = compute(vec![], &[scale(&top, 1)]);
    assert_eq!(found.objects, [("Deployment".to_owned(), 1)].into());
    // A kind of somebody else's: all of its pods.
    let mut other = object("example.org", "Web", "w", Facts::Plain);
    other.key.kind = "Web".into();
    let nodes = vec![
        other.clone(),
        owned_by(pod("p"), &other),
        owned_by(pod("q"), &other),
    ];
    assert_eq!(compute(nodes, &[scale(&other.key, 1)]).pods_lost, 2);
}

#[test]
fn pods_that_are_not_ready_go_first_with_a_deployment_and_last_is_known_with_nothing_else() {
    for (kind, lost) in [("Deployment", 1), ("ReplicaSet", 1), ("StatefulSet", 2)] {
        let top = workload(kind, "web", 4, Some(1));
        let ready = (0..3).map(|n| owned_by(pod(&format!("p{n}")), &top));
        let waiting = owned_by(object("", "Pod", "p3", pod_facts(false)), &top);
        let nodes: Vec<Node> = [top.clone(), waiting].into_iter().chain(ready).collect();
        let found = compute(nodes, &[scale(&top.key, 2)]);
        assert_eq!((found.pods_lost, found.pods_total), (lost, 4), "{kind}");
    }
}

#[test]
fn a_service_is_saved_by_a_ready_pod_of_another_workload_only() {
    let top = Key::new("apps", "Deployment", Some("demo"), "web");
    let delete = step(Action::Delete, &[top]);
    let other = |ready| object("", "Pod", "other", pod_facts(ready));
    let stray = |change: &dyn Fn(&mut Node)| {
        let mut node = other(true);
        change(&mut node);
        node
    };
    let cases = [
        (other(true), false),
        (other(false), true),
        (stray(&|n| n.labels = labels(&[("app", "db")])), true),
        (stray(&|n| n.key.namespace = Some("else".into())), true),
    ];
    for (other, at_zero) in cases {
        let found = compute([web(2, 5), vec![other]].concat(), std::slice::from_ref(&delete));
        assert_eq!(!found.services_at_zero.is_empty(), at_zero, "{found:?}");
    }
    // What has no endpoint today is not left without one.
    let idle = [deployment(0), vec![service("s", &[("app", "web")])]].concat();
    assert!(compute(idle, &[delete]).services_at_zero.is_empty());
}

#[test]
fn two_steps_that_each_leave_one_pod_leave_none_together() {
    let two = |n: &str| {
        let top = workload("StatefulSet", n, 1, Some(1));
        vec![owned_by(pod(&format!("{n}-0")), &top), top]
    };
    let nodes = [two("a"), two("b"), vec![service("s", &[("app", "web")])]].concat();
    let keys = [nodes[1].key.clone(), nodes[3].key.clone()];
    let restart = |key: &Key| step(Action::Restart, std::slice::from_ref(key));
    assert!(
        compute(nodes.clone(), &[restart(&keys[0])])
            .services_at_zero
            .is_empty()
    );
    let found = compute(nodes, &[restart(&keys[0]), restart(&keys[1])]);
    assert_eq!(found.services_at_zero, ["demo/s"]);
    assert_eq!(
        found.single_replicas,
        ["StatefulSet demo/a", "StatefulSet demo/b"]
    );
}

#[test]
fn a_pod_that_is_labelled_away_leaves_its_service() {
    let nodes = vec![pod("p"), service("s", &[("app", "web")]), budget(1)];
    let mut away = step(Action::Label, &[nodes[0].key.clone()]);
    away.selected_by = vec!["service/s".into()];
    away.params.set = labels(&[("app", "other")]);
    let found = compute(nodes.clone(), std::slice::from_ref(&away));
    assert_eq!(
        (found.services_at_zero.len(), found.pods_lost),
        (1, 0),
        "{found:?}"
    );
    away.params.set = labels(&[("tier", "x")]);
    assert!(
        compute(nodes.clone(), std::slice::from_ref(&away))
            .services_at_zero
            .is_empty()
    );
    away.params.remove = vec!["app".into()];
    assert_eq!(compute(nodes, &[away]).services_at_zero, ["demo/s"]);
}

#[test]
fn one_replica_is_named_where_it_is_lost_and_is_nobodys_part() {
    let top = Key::new("apps", "Deployment", Some("demo"), "web");
    let found = compute(deployment(1), &[step(Action::Delete, std::slice::from_ref(&top))]);
    assert_eq!(found.single_replicas, ["Deployment demo/web"]);
    let rolled = compute(
        deployment(1),
        &[step(Action::Restart, std::slice::from_ref(&top))],
    );
    assert!(rolled.single_replicas.is_empty(), "{rolled:?}");
    assert!(
        compute(deployment(2), &[step(Action::Delete, &[top])])
            .single_replicas
            .is_empty()
    );
}

#[test]
fn data_is_lost_with_its_claim_unless_the_volume_is_known_to_stay() {
    let volume = |goes| {
        let facts = Facts::Volume {
            claim: Some(("demo".into(), "c".into())),
            goes,
        };
        wide("", "PersistentVolume", "v", facts)
    };
    let claim = |volume: Option<&str>| {
        object(
            "",
            "PersistentVolumeClaim",
            "c",
            Facts::Claim(volume.map(str::to_owned)),
        )
    };
    let cases = [
        (claim(Some("v")), Some(volume(true)), true),
        (claim(Some("v")), Some(volume(false)), false),
        (claim(Some("v")), None, true),
        (claim(None), None, false),
    ];
    for (claim, volume, unrecoverable) in cases {
        let key = claim.key.clone();
        let found = compute(
            [claim].into_iter().chain(volume).collect(),
            &[step(Action::Delete, &[key])],
        );
        assert_eq!(found.pvcs, ["demo/c"]);
        assert_eq!(
            !found.unrecoverable_volumes.is_empty(),
            unrecoverable,
            "{found:?}"
        );
        // A volume is in no namespace.
        assert_eq!(found.outside_namespace, 0, "{found:?}");
    }
}

#[test]
fn shares_are_rounded_up_and_all_of_what_was_not_counted() {
    for (part, whole, expected) in [
        (0, None, 0),
        (0, Some(9), 0),
        (1, None, 100),
        (1, Some(0), 100),
        (1, Some(3), 34),
        (1, Some(1_000), 1),
        (3, Some(3), 100),
        (9, Some(3), 100),
    ] {
        assert_eq!(percent(part, whole), expected, "{part} of {whole:?}");
    }
    let nodes = ["n1", "n2"].map(|n| Key::new("", "Node", None, n));
    let steps = [step(Action::Cordon, &nodes), step(Action::Uncordon, &nodes[..1])];
    let mut graph = Graph::default();
    assert_eq!(of(&graph, &steps).nodes_percent, 100);
    graph.nodes_total = Some(8);
    assert_eq!(of(&graph, &steps).nodes_percent, 25);
    assert_eq!(of(&graph, &steps).outside_namespace, 0);
}

#[test]
fn kinds_of_others_are_named_with_their_group_and_many_kinds_are_bounded() {
    let keys = |n: usize| (0..n).map(|i| Key::new("example.org", &format!("K{i:03}"), Some("demo"), "x"));
    let found = by_kind(&keys(2).chain([Key::new("batch", "Job", None, "j")]).collect());
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        ["Job", "K000.example.org", "K001.example.org"]
    );
    let many = by_kind(&keys(200).collect());
    assert_eq!(many.len(), MAX_KINDS + 1);
    assert_eq!((many["other kinds"], many.values().sum::<i64>()), (140, 200));
}

#[test]
fn long_lists_say_how_many_they_left_out() {
    let all: Vec<String> = (0..150).map(|n| format!("demo/s{n:03}")).collect();
    let short = names(all);
    assert_eq!((short.len(), short[99].as_str()), (100, "and 51 more"));
    assert_eq!(bounded(vec!["x".repeat(999)], 5)[0].len(), 300);
}

#[test]
fn a_gap_makes_it_incomplete_and_is_named() {
    let mut graph = graph(deployment(1));
    graph.missing.insert("pods in demo: refused".into());
    let found = of(&graph, &[step(Action::Restart, &[graph.nodes()[0].key.clone()])]);
    assert!(!found.complete);
    assert_eq!(found.missing, ["pods in demo: refused"]);
}

/// The brute-force comparison proves nothing of a number that generated clusters never move.
#[test]
fn generated_clusters_move_every_number() {
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..1_500 {
        let (graph, steps) = cluster_and_plan().new_tree(&mut runner).unwrap().current();
        let found = of(&graph, &steps);
        let walked_far = graph.missing.is_empty() && !found.complete;
        let marks = [
            ("podsLost", found.pods_lost > 0),
            (
                "podsPartly",
                found.pods_lost > 0 && found.pods_lost < found.pods_total,
            ),
            ("servicesAtZero", !found.services_at_zero.is_empty()),
            ("pdbsViolated", !found.pdbs_violated.is_empty()),
            ("headroom", found.pdb_headroom.is_some_and(|h| h > 0)),
            ("pvcs", !found.pvcs.is_empty()),
            ("unrecoverable", !found.unrecoverable_volumes.is_empty()),
            (
                "recoverable",
                found.pvcs.len() > found.unrecoverable_volumes.len(),
            ),
            ("singles", !found.single_replicas.is_empty()),
            ("nodes", found.nodes_percent > 0),
            ("outside", found.outside_namespace > 0),
            ("undoneBy", !found.undone_by.is_empty()),
            ("tooFar", walked_far),
        ];
        for (mark, there) in marks {
            *seen.entry(mark).or_default() += usize::from(there);
        }
    }
    assert!(seen.values().all(|n| *n >= 3), "{seen:?}");
}

#[test]
fn what_a_scaled_kind_of_somebody_else_loses_is_counted_from_the_number_it_recorded() {
    for (from, to, lost) in [(3, 1, 2), (3, 3, 0), (3, 5, 0), (3, 0, 3)] {
        // Its object shows another number under the usual name, and says nothing by that.
        for facts in [
            Facts::Plain,
            Facts::Workload {
                replicas: 1,
                selector: None,
                at_once: None,
                claims_go: false,
            },
        ] {
            let top = object("example.org", "Widget", "w", facts);
            let mut nodes: Vec<Node> = (0..3).map(|n| owned_by(pod(&format!("w-{n}")), &top)).collect();
            let mut down = scale(&top.key, to);
            down.rollback.undo = vec![kubechat_crds::command_plan::Undo {
                params: kubechat_crds::intent::IntentParams {
                    replicas: Some(from),
                    ..Default::default()
                },
                ..Default::default()
            }];
            nodes.push(top);
            let found = compute(nodes, &[down]);
            assert_eq!(found.pods_lost, lost, "{from} -> {to}: {found:?}");
        }
    }
}

#[test]
fn what_a_removed_kind_of_somebody_else_owns_in_any_namespace_is_said_to_be_unseen() {
    for (group, kind, whole) in [
        ("example.org", "Far", false),
        ("infra.example.org", "Far", false),
        ("storage.k8s.io", "StorageClass", true),
        ("rbac.authorization.k8s.io", "ClusterRole", true),
        ("", "PersistentVolume", true),
    ] {
        let node = wide(group, kind, "f", Facts::Plain);
        let delete = step(Action::Delete, std::slice::from_ref(&node.key));
        let found = compute(vec![node.clone()], &[delete]);
        assert_eq!(found.complete, whole, "{kind}: {found:?}");
        let label = step(Action::Label, std::slice::from_ref(&node.key));
        assert!(compute(vec![node], &[label]).complete, "{kind}");
    }
}
