use super::*;
use crate::blast::testing::{
    by, deployment, graph, labels, object, owned_by, pod, pod_facts, scale, step, wide, workload,
};
use kubechat_crds::Step;
use kubechat_crds::intent::Action;

fn question(steps: &[Step]) -> Question<'_> {
    Question {
        steps,
        namespace: "demo",
        again: false,
    }
}

/// How hard each object is hit by the steps.
fn touched(nodes: &[Node], steps: &[Step]) -> BTreeMap<String, Touch> {
    let graph = graph(nodes.to_vec());
    let walked = walk(&question(steps), &graph);
    let all = graph.nodes().iter().enumerate();
    all.filter_map(|(at, n)| Some((n.key.label("demo"), walked.touch(at)?)))
        .collect()
}

fn pod_with(change: impl FnOnce(&mut Facts)) -> Node {
    let mut facts = pod_facts(true);
    change(&mut facts);
    object("", "Pod", "p", facts)
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn each_edge_reaches_what_it_should_and_nothing_beside() {
    use Touch::{Gone, Lossy, Seen};
    let service = object("", "Service", "s", Facts::Service(by(&[("app", "web")])));
    let elsewhere = |mut node: Node| {
        node.key.namespace = Some("other".into());
        node
    };
    let budget = Facts::Budget {
        selector: by(&[("app", "web")]),
        allowed: 1,
    };
    let route = Facts::Route([("demo".to_owned(), "s".to_owned())].into());
    let claim = object("", "PersistentVolumeClaim", "c", Facts::Claim(Some("v".into())));
    let volume = |goes| Facts::Volume {
        claim: Some(("demo".into(), "c".into())),
        goes,
    };
    let volume = |goes| wide("", "PersistentVolume", "v", volume(goes));
    let mounts = pod_with(|f| {
        if let Facts::Pod { claims, .. } = f {
            *claims = names(&["c"]);
        }
    });
    let reads = pod_with(|f| {
        if let Facts::Pod {
            config_maps,
            secrets,
            account,
            ..
        } = f
        {
            (*config_maps, *secrets, *account) = (names(&["m"]), names(&["k"]), "a".into());
        }
    });
    let placed = pod_with(|f| {
        if let Facts::Pod { node, .. } = f {
            *node = Some("n".into());
        }
    });
    let plain = |kind| object("", kind, "m", Facts::Plain);
    let hpa = Facts::Autoscaler {
        kind: "Deployment".into(),
        name: "web".into(),
    };
    let hpa = object("autoscaling", "HorizontalPodAutoscaler", "h", hpa);
    let top = workload("Deployment", "web", 2, Some(0));
    let definition = Facts::Definition {
        group: "example.org".into(),
        kind: "Widget".into(),
    };
    let definition = wide(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "d",
        definition,
    );
    let named = |mut node: Node, name: &str| {
        node.key.name = name.into();
        node
    };
    // Deleted, another object, and how the other one is hit.
    let cases: Vec<(Node, Node, Option<Touch>)> = vec![
        (
            top.clone(),
            owned_by(object("", "ConfigMap", "m", Facts::Plain), &top),
            Some(Gone),
        ),
        (top.clone(), object("", "ConfigMap", "m", Facts::Plain), None),
        (
            wide("", "Namespace", "demo", Facts::Plain),
            plain("ConfigMap"),
            Some(Gone),
        ),
        (
            wide("", "Namespace", "demo", Facts::Plain),
            elsewhere(plain("ConfigMap")),
            None,
        ),
        (
            definition.clone(),
            object("example.org", "Widget", "w", Facts::Plain),
            Some(Gone),
        ),
        (
            definition.clone(),
            object("example.com", "Widget", "w", Facts::Plain),
            None,
        ),
        (wide("", "Node", "n", Facts::Plain), placed.clone(), Some(Gone)),
        (wide("", "Node", "o", Facts::Plain), placed, None),
        (pod("p"), service.clone(), Some(Seen)),
        (pod("p"), elsewhere(service.clone()), None),
        (
            pod("p"),
            object("", "Service", "s", Facts::Service(by(&[("app", "db")]))),
            None,
        ),
        (pod("p"), object("", "Service", "s", Facts::Service(None)), None),
        (
            pod("p"),
            object("policy", "PodDisruptionBudget", "b", budget.clone()),
            Some(Seen),
        ),
        (
            pod("p"),
            object("networking.k8s.io", "NetworkPolicy", "n", Facts::Policy(by(&[]))),
            Some(Seen),
        ),
        (service.clone(), pod("p"), Some(Seen)),
        (
            object("policy", "PodDisruptionBudget", "b", budget),
            pod("p"),
            Some(Seen),
        ),
        (
            object("networking.k8s.io", "NetworkPolicy", "n", Facts::Policy(by(&[]))),
            pod("p"),
            Some(Seen),
        ),
        (
            service.clone(),
            object("networking.k8s.io", "Ingress", "i", route.clone()),
            Some(Seen),
        ),
        (
            service.clone(),
            object("gateway.networking.k8s.io", "HTTPRoute", "r", route.clone()),
            Some(Seen),
        ),
        (
            service,
            elsewhere(object("networking.k8s.io", "Ingress", "i", route)),
            Some(Seen),
        ),
        (mounts.clone(), claim.clone(), Some(Seen)),
        (pod("p"), claim.clone(), None),
        (claim.clone(), mounts, Some(Seen)),
        (claim.clone(), volume(true), Some(Gone)),
        (claim.clone(), volume(false), Some(Seen)),
        (volume(true), claim, Some(Lossy)),
        (plain("ConfigMap"), reads.clone(), Some(Seen)),
        (plain("Secret"), reads.clone(), None),
        (named(plain("Secret"), "k"), reads.clone(), Some(Seen)),
        (named(plain("ServiceAccount"), "a"), reads.clone(), Some(Seen)),
        (named(plain("ServiceAccount"), "b"), reads, None),
        (top.clone(), hpa.clone(), Some(Seen)),
        (hpa.clone(), top, Some(Seen)),
        (hpa, workload("Deployment", "other", 1, None), None),
    ];
    for (deleted, other, expected) in cases {
        let found = touched(
            &[deleted.clone(), other.clone()],
            &[step(Action::Delete, std::slice::from_ref(&deleted.key))],
        );
        assert_eq!(
            found.get(&other.key.label("demo")).copied(),
            expected,
            "{} -> {}",
            deleted.key.label("demo"),
            other.key.label("demo")
        );
        assert_eq!(found[&deleted.key.label("demo")], Gone);
    }
}

#[test]
fn only_what_takes_pods_away_reaches_beyond_its_target() {
    let service = object("", "Service", "s", Facts::Service(by(&[("app", "web")])));
    let nodes = [deployment(2), vec![service]].concat();
    let (top, pod) = (nodes[0].key.clone(), nodes[2].key.clone());
    let cases = [
        (scale(&top, 5), 1),
        (scale(&top, 2), 1),
        (scale(&top, 1), 5),
        (step(Action::Restart, std::slice::from_ref(&top)), 5),
        (step(Action::Label, std::slice::from_ref(&top)), 1),
        (step(Action::Annotate, std::slice::from_ref(&pod)), 1),
        (step(Action::Delete, std::slice::from_ref(&pod)), 2),
        (step(Action::CreateNamespace, std::slice::from_ref(&top)), 0),
    ];
    for (step, reached) in cases {
        let found = touched(&nodes, std::slice::from_ref(&step));
        assert_eq!(found.len(), reached, "{}: {found:?}", step.action);
    }
    // A label that a selector reads moves the pod out from under what selects it.
    let mut moved = step(Action::Label, &[pod]);
    moved.selected_by = vec!["service/s".into()];
    let found = touched(&nodes, &[moved]);
    assert_eq!(found["service/s"], Touch::Seen);
    assert_eq!(found["pod/web-1-0"], Touch::Moved);
}

#[test]
fn a_walk_ends_in_circles_of_owners() {
    let (mut a, mut b) = (
        object("", "ConfigMap", "a", Facts::Plain),
        object("", "ConfigMap", "b", Facts::Plain),
    );
    a = owned_by(a.clone(), &b);
    b = owned_by(b, &a);
    let found = touched(&[a.clone(), b], &[step(Action::Delete, &[a.key])]);
    assert_eq!(found.len(), 2);
}

/// So many ConfigMaps, each owned by the one before.
fn chain(length: usize) -> Vec<Node> {
    let mut all = vec![object("", "ConfigMap", "m0", Facts::Plain)];
    for n in 1..length {
        let next = object("", "ConfigMap", &format!("m{n}"), Facts::Plain);
        all.push(owned_by(next, &all[n - 1]));
    }
    all
}

#[test]
fn a_walk_stops_six_edges_away_and_says_so() {
    for (length, reached, complete) in [(6, 6, true), (7, 7, true), (8, 7, false), (9, 7, false)] {
        let graph = graph(chain(length));
        let steps = [step(Action::Delete, &[graph.nodes()[0].key.clone()])];
        let walked = walk(&question(&steps), &graph);
        let found = (0..length).filter(|at| walked.touch(*at).is_some()).count();
        assert_eq!((found, walked.complete), (reached, complete), "{length}");
    }
}

#[test]
fn a_walk_stops_at_its_limit_of_objects_and_says_so() {
    let top = object("", "ConfigMap", "top", Facts::Plain);
    let children = (0..20).map(|n| owned_by(object("", "ConfigMap", &format!("m{n}"), Facts::Plain), &top));
    let graph = graph([top.clone()].into_iter().chain(children));
    let steps = [step(Action::Delete, &[top.key])];
    for (objects, complete) in [(20, false), (21, true)] {
        let limits = Limits {
            objects,
            ..Limits::default()
        };
        let walked = walk_within(&question(&steps), &graph, limits);
        let found = (0..21).filter(|at| walked.touch(*at).is_some()).count();
        assert_eq!((found, walked.complete), (objects, complete));
    }
    assert_eq!((Limits::default().depth, Limits::default().objects), (6, 5_000));
}

#[test]
fn what_matches_a_selector_by_now_is_counted_and_left_alone() {
    let top = object("", "ConfigMap", "m", Facts::Plain);
    let later = object("", "ConfigMap", "later", Facts::Plain);
    let child = owned_by(object("", "ConfigMap", "child", Facts::Plain), &later);
    let mut graph = graph([top.clone(), later.clone(), child]);
    graph.matched.insert(later.key.clone());
    let steps = [step(Action::Delete, &[top.key])];
    let walked = walk(&question(&steps), &graph);
    let found: Vec<_> = (0..3).map(|at| walked.touch(at)).collect();
    assert_eq!(found, [Some(Touch::Gone), Some(Touch::Still), None]);
    assert_eq!(labels(&[]).len(), 0);
}
