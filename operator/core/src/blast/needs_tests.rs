use super::*;
use crate::blast::beside::BESIDE;
use crate::blast::testing::{by, deployment, graph, labels, object, pod, scale, step, wide, workload};
use crate::blast::walk::walk;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use kubechat_crds::Step;
use kubechat_crds::intent::Action;

/// The reads in short words: `Pod app=web`, `get PersistentVolume v`, `count nodes`.
fn reads(nodes: Vec<Node>, steps: &[Step], again: bool) -> Vec<String> {
    let graph = graph(nodes);
    let question = Question {
        steps,
        namespace: "demo",
        again,
    };
    let all = wanted(&question, &graph, &walk(&question, &graph));
    all.into_iter().map(|need| short(&need)).collect()
}

fn short(need: &Need) -> String {
    let place = |n: &Option<String>| if n.is_none() { " everywhere" } else { "" };
    match need {
        Need::Get(key) => format!("get {} {}", key.kind, key.name),
        Need::List {
            kind,
            namespace,
            labels,
            fields,
            ..
        } => {
            let by = labels.iter().chain(fields).map(|s| format!(" {s}"));
            format!("{kind}{}{}", by.collect::<String>(), place(namespace))
        }
        Need::Owned { kind, .. } => format!("owned {kind}"),
        Need::Matches { kind, labels, .. } => format!("matches {kind} {}", labels.as_deref().unwrap_or("*")),
        Need::Everything(namespace) => format!("everything in {namespace}"),
        Need::CountNodes => "count nodes".to_owned(),
        Need::CountPods => "count pods".to_owned(),
    }
}

#[test]
fn a_change_of_one_object_alone_costs_no_read() {
    let map = object("", "ConfigMap", "m", Facts::Plain);
    let none: [String; 0] = [];
    for again in [false, true] {
        for action in [Action::Label, Action::Annotate] {
            let step = step(action, std::slice::from_ref(&map.key));
            assert_eq!(reads(vec![map.clone()], &[step], again), none);
        }
        let node = Key::new("", "Node", None, "n");
        let cordon = step(Action::Cordon, &[node]);
        let counted = reads(vec![], &[cordon], again);
        assert_eq!(
            counted,
            if again {
                vec![]
            } else {
                vec!["count nodes".to_owned()]
            }
        );
    }
    let made = step(Action::CreateNamespace, &[Key::new("", "Namespace", None, "new")]);
    assert_eq!(reads(vec![], &[made], false), none);
}

#[test]
fn a_change_of_scale_asks_for_autoscalers_and_for_more_only_when_it_goes_down() {
    let top = deployment(2)[0].clone();
    assert_eq!(
        reads(vec![top.clone()], &[scale(&top.key, 5)], false),
        ["HorizontalPodAutoscaler"]
    );
    assert_eq!(
        reads(vec![top.clone()], &[scale(&top.key, 1)], false),
        [
            "Pod app=web",
            "Service",
            "ReplicaSet app=web",
            "HorizontalPodAutoscaler",
            "PodDisruptionBudget"
        ]
    );
    // Before execution the target is read first.
    assert_eq!(
        reads(vec![], &[scale(&top.key, 1)], true),
        ["get Deployment web", "HorizontalPodAutoscaler",]
    );
}

/// A scale of somebody else's kind, which recorded how many replicas there were.
fn custom_scale(from: i32, to: i32) -> (Node, Step) {
    let top = object("example.org", "Widget", "w", Facts::Plain);
    let mut step = scale(&top.key, to);
    step.rollback.undo = vec![kubechat_crds::command_plan::Undo {
        params: kubechat_crds::intent::IntentParams {
            replicas: Some(from),
            ..Default::default()
        },
        ..Default::default()
    }];
    (top, step)
}

#[test]
fn a_scaled_kind_of_somebody_else_is_asked_for_what_it_owns_when_it_goes_down() {
    let (top, down) = custom_scale(5, 2);
    let found = reads(vec![top], &[down], false);
    for kind in ["Pod", "StatefulSet", "PersistentVolumeClaim"] {
        assert!(found.contains(&kind.to_owned()), "{kind}: {found:?}");
    }
    let (top, up) = custom_scale(2, 5);
    assert_eq!(reads(vec![top], &[up], false), ["HorizontalPodAutoscaler"]);
}

#[test]
fn a_rollout_that_takes_no_pod_away_leaves_services_unread() {
    let mut top = deployment(2)[0].clone();
    let restart = step(Action::Restart, &[top.key.clone()]);
    let found = reads(vec![top.clone()], std::slice::from_ref(&restart), false);
    assert_eq!(found, ["Pod app=web", "ReplicaSet app=web"]);
    top.facts = workload("Deployment", "web", 2, Some(1)).facts;
    let found = reads(vec![top], &[restart], false);
    assert_eq!(
        found,
        [
            "Pod app=web",
            "Service",
            "ReplicaSet app=web",
            "PodDisruptionBudget"
        ]
    );
}

#[test]
fn a_deletion_asks_for_what_goes_with_it_and_what_rests_on_it() {
    let claims = Facts::Workload {
        replicas: 1,
        selector: by(&[("app", "web")]),
        at_once: Some(1),
        claims_go: true,
    };
    let claim = object("", "PersistentVolumeClaim", "c", Facts::Claim(Some("v".into())));
    let volume = Facts::Volume {
        claim: Some(("demo".into(), "c".into())),
        goes: true,
    };
    let hpa = Facts::Autoscaler {
        kind: "Deployment".into(),
        name: "web".into(),
    };
    let definition = Facts::Definition {
        group: "example.org".into(),
        kind: "Widget".into(),
    };
    let lost = [
        "Service",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "PodDisruptionBudget",
    ];
    let cases: Vec<(Node, Vec<&str>)> = vec![
        (
            deployment(1)[0].clone(),
            [&["Pod app=web", "ReplicaSet app=web"], &lost[..]].concat(),
        ),
        (
            object("apps", "StatefulSet", "s", claims),
            [&["Pod app=web", "PersistentVolumeClaim"], &lost[..]].concat(),
        ),
        (
            object(
                "batch",
                "CronJob",
                "j",
                Facts::Workload {
                    replicas: 1,
                    selector: None,
                    at_once: Some(0),
                    claims_go: false,
                },
            ),
            [&["Job"], &lost[..]].concat(),
        ),
        (object("", "ConfigMap", "m", Facts::Plain), vec!["Pod"]),
        (object("", "Secret", "m", Facts::Plain), vec!["Pod"]),
        (object("", "ServiceAccount", "m", Facts::Plain), vec!["Pod"]),
        (claim, vec!["Pod", "get PersistentVolume v"]),
        (
            wide("", "PersistentVolume", "v", volume),
            vec!["get PersistentVolumeClaim c"],
        ),
        (
            object("", "Service", "s", Facts::Service(by(&[("app", "db")]))),
            vec!["Pod app=db", "Ingress", "HTTPRoute", "ReferenceGrant"],
        ),
        (
            object("networking.k8s.io", "NetworkPolicy", "n", Facts::Policy(by(&[]))),
            vec!["Pod"],
        ),
        (
            object("autoscaling", "HorizontalPodAutoscaler", "h", hpa),
            vec!["get Deployment web"],
        ),
        (
            wide(
                "apiextensions.k8s.io",
                "CustomResourceDefinition",
                "d",
                definition,
            ),
            vec!["Widget everywhere"],
        ),
        (
            wide("", "Namespace", "demo", Facts::Plain),
            vec![
                "everything in demo",
                // They are evidence, so they are counted too.
                "Approval",
                "ChatRequest",
                "ChatSession",
                "CommandPlan",
            ],
        ),
        (
            wide("", "Node", "n", Facts::Plain),
            vec![
                "Pod spec.nodeName=n everywhere",
                "Service everywhere",
                "PodDisruptionBudget everywhere",
                "count nodes",
            ],
        ),
        (
            object("rbac.authorization.k8s.io", "Role", "r", Facts::Plain),
            vec![],
        ),
        (wide("example.org", "Far", "f", Facts::Plain), vec![]),
    ];
    for (node, expected) in cases {
        let delete = step(Action::Delete, std::slice::from_ref(&node.key));
        let mut found = reads(vec![node.clone()], &[delete], false);
        // Whatever it is, it may own these by an owner reference.
        let beside = BESIDE.iter().map(|(_, kind)| *kind);
        let beside = beside.filter(|kind| node.key.namespace.is_some() && !expected.contains(kind));
        let beside: Vec<String> = beside.map(|kind| format!("owned {kind}")).collect();
        let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        expected.extend(beside);
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{}", node.key.kind);
    }
}

#[test]
fn a_deleted_kind_of_somebody_else_may_take_along_anything_of_its_namespace() {
    for facts in [
        Facts::Plain,
        Facts::Workload {
            replicas: 3,
            selector: None,
            at_once: None,
            claims_go: false,
        },
    ] {
        let widget = object("example.org", "Widget", "w", facts);
        let delete = step(Action::Delete, std::slice::from_ref(&widget.key));
        let found = reads(vec![widget], &[delete], false);
        assert!(found.contains(&"everything in demo".to_owned()), "{found:?}");
        assert!(!found.contains(&"Pod".to_owned()), "{found:?}");
    }
}

#[test]
fn of_two_reads_that_bring_the_same_one_stays() {
    let pods = |labels: &str| labelled("", "Pod", Some("demo"), Some(labels.to_owned()));
    let mut all = BTreeSet::from([pods("a=b,c=d"), pods("c=d,a=b"), pods("a=b,c=d,e=f")]);
    subsume(&mut all);
    assert_eq!(all, BTreeSet::from([pods("a=b,c=d")]));
    let mut all = BTreeSet::from([pods("a=b"), pods("c=d")]);
    subsume(&mut all);
    assert_eq!(all.len(), 2);
}

#[test]
fn nothing_is_listed_everywhere_for_a_target_in_a_namespace() {
    for (group, kind) in [
        ("", "ConfigMap"),
        ("", "Pod"),
        ("apps", "Deployment"),
        ("example.org", "Widget"),
    ] {
        let nodes = vec![object(group, kind, "x", Facts::Plain)];
        let delete = step(Action::Delete, &[nodes[0].key.clone()]);
        for again in [false, true] {
            let all = reads(nodes.clone(), std::slice::from_ref(&delete), again);
            assert!(all.iter().all(|read| !read.contains("everywhere")), "{all:?}");
        }
    }
}

#[test]
fn other_pods_are_asked_for_only_where_they_could_save_a_service() {
    let narrow = object(
        "",
        "Service",
        "s",
        Facts::Service(by(&[("app", "web"), ("tier", "x")])),
    );
    let other = object("", "Service", "s", Facts::Service(by(&[("tier", "x")])));
    let all = |service: Node, to: i32| {
        let mut nodes = deployment(2);
        nodes
            .iter_mut()
            .for_each(|n| n.labels = labels(&[("app", "web"), ("tier", "x")]));
        let top = nodes[0].key.clone();
        reads([nodes, vec![service]].concat(), &[scale(&top, to)], false)
    };
    assert!(all(other.clone(), 0).contains(&"Pod tier=x".to_owned()));
    assert!(!all(other.clone(), 1).contains(&"Pod tier=x".to_owned()));
    // Nor who else may lead to it.
    assert!(all(other.clone(), 0).contains(&"ReferenceGrant".to_owned()));
    assert!(!all(other, 1).contains(&"ReferenceGrant".to_owned()));
    // The pods of the Deployment are all that this one can have.
    let found = all(narrow, 0);
    let pods: Vec<_> = found.iter().filter(|r| r.starts_with("Pod ")).collect();
    assert_eq!(pods, ["Pod app=web"]);
    assert!(found.contains(&"count pods".to_owned()), "{found:?}");
}

#[test]
fn the_whole_that_lost_pods_are_a_share_of_is_counted_for_the_plan_and_before_execution() {
    let nodes = deployment(2);
    for again in [false, true] {
        for (to, counted) in [(1, true), (2, false)] {
            let found = reads(nodes.clone(), &[scale(&nodes[0].key, to)], again);
            assert_eq!(found.contains(&"count pods".to_owned()), counted, "{again} {to}");
        }
    }
}

#[test]
fn what_matches_the_selector_is_counted_for_the_plan_and_again_before_execution() {
    let map = object("", "ConfigMap", "m", Facts::Plain);
    let mut labelled = step(Action::Label, std::slice::from_ref(&map.key));
    let mut evicted = step(Action::Evict, &[Key::new("", "Pod", Some("demo"), "p")]);
    let matches = |step: &Step, again: bool| {
        let mut all = reads(vec![], std::slice::from_ref(step), again);
        all.retain(|read| read.starts_with("matches"));
        all
    };
    for again in [false, true] {
        labelled.selector = Some("app=web".into());
        assert_eq!(
            reads(vec![map.clone()], &[labelled.clone()], again),
            ["matches ConfigMap app=web"]
        );
        labelled.selector = Some("*".into());
        assert_eq!(
            reads(vec![map.clone()], &[labelled.clone()], again),
            ["matches ConfigMap *"]
        );
        evicted.params.from = None;
        evicted.selector = Some("*".into());
        assert_eq!(matches(&evicted, again), ["matches Pod *"]);
        // A drain chose its nodes by it, not its pods.
        evicted.params.from = Some("node/n1".into());
        evicted.selector = Some("pool=old".into());
        assert_eq!(matches(&evicted, again), ["matches Node pool=old"]);
        // What somebody named himself matches nothing.
        evicted.selector = None;
        assert!(matches(&evicted, again).is_empty());
    }
}

#[test]
fn selectors_are_written_as_the_api_server_reads_them() {
    let with = |operator: &str, values: &[&str]| LabelSelector {
        match_labels: Some(labels(&[("app", "web")])),
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: "tier".into(),
            operator: operator.into(),
            values: Some(values.iter().map(|v| (*v).to_owned()).collect()),
        }]),
    };
    for (selector, expected) in [
        (LabelSelector::default(), None),
        (with("In", &["a", "b"]), Some("app=web,tier in (a,b)")),
        (with("NotIn", &["a"]), Some("app=web,tier notin (a)")),
        (with("Exists", &[]), Some("app=web,tier")),
        (with("DoesNotExist", &[]), Some("app=web,!tier")),
        (with("Near", &[]), Some("app=web")),
    ] {
        assert_eq!(text(&selector).as_deref(), expected);
    }
}

#[test]
fn a_wider_read_stands_for_a_narrower_one_only_where_it_surely_does() {
    let pods = |labels: Option<&str>| labelled("", "Pod", Some("demo"), labels.map(str::to_owned));
    let owned_pods = |namespace: &str| Need::Owned {
        group: String::new(),
        kind: "Pod".into(),
        namespace: namespace.into(),
    };
    for (wide, narrow, covered) in [
        (pods(None), pods(Some("a=b")), true),
        (pods(Some("a=b")), pods(Some("a=b,c=d")), true),
        (pods(Some("a=b")), pods(Some("a=bc")), false),
        (pods(Some("a=b,c=d")), pods(Some("a=b")), false),
        (
            pods(Some("k in (x,y)")),
            pods(Some("k in (x,z),j in (w,y)")),
            false,
        ),
        (list("", "Pod", None), pods(Some("a=b")), true),
        (list("", "Pod", Some("other")), pods(Some("a=b")), false),
        (list("", "Service", Some("demo")), pods(None), false),
        (Need::Everything("demo".into()), pods(None), true),
        (Need::Everything("other".into()), pods(None), false),
        (Need::CountNodes, pods(None), false),
        (pods(None), owned_pods("demo"), true),
        (pods(Some("a=b")), owned_pods("demo"), false),
        (pods(None), owned_pods("other"), false),
        (list("", "Pod", None), owned_pods("demo"), true),
        (Need::Everything("demo".into()), owned_pods("demo"), true),
        (Need::Everything("other".into()), owned_pods("demo"), false),
        // It brings metadata alone.
        (owned_pods("demo"), pods(Some("a=b")), false),
    ] {
        assert_eq!(covers(&wide, &narrow), covered, "{wide:?} {narrow:?}");
    }
}

#[test]
fn an_evicted_pod_asks_for_claims_only_where_it_mounts_one() {
    for (claims, asked) in [(vec![], false), (vec!["data".to_owned()], true)] {
        let mut one = pod("web");
        if let Facts::Pod { claims: mounted, .. } = &mut one.facts {
            mounted.extend(claims);
        }
        let evict = step(Action::Evict, std::slice::from_ref(&one.key));
        let found = reads(vec![one], &[evict], false);
        assert_eq!(
            found.contains(&"PersistentVolumeClaim".to_owned()),
            asked,
            "{found:?}"
        );
    }
}

#[test]
fn routes_of_another_namespace_are_asked_for_where_a_grant_lets_them_lead_here() {
    let service = object("", "Service", "web", Facts::Service(by(&[("app", "web")])));
    let grant = |namespace: &str| {
        let from = Facts::Grant(["gateway".to_owned()].into());
        let mut grant = object(GATEWAY, "ReferenceGrant", "g", from);
        grant.key.namespace = Some(namespace.to_owned());
        grant
    };
    let routes_in = |grants: Vec<Node>| {
        let nodes = [vec![service.clone()], grants].concat();
        let (steps, graph) = (
            [step(Action::Delete, std::slice::from_ref(&service.key))],
            graph(nodes),
        );
        let question = Question {
            steps: &steps,
            namespace: "demo",
            again: false,
        };
        let all = wanted(&question, &graph, &walk(&question, &graph));
        let routes = all.into_iter().filter_map(|need| match need {
            Need::List { kind, namespace, .. } if kind == "HTTPRoute" => namespace,
            _ => None,
        });
        routes.collect::<Vec<_>>()
    };
    assert_eq!(routes_in(vec![]), ["demo"]);
    assert_eq!(routes_in(vec![grant("demo")]), ["demo", "gateway"]);
    // A grant of somewhere else is for other Services.
    assert_eq!(routes_in(vec![grant("other")]), ["demo"]);
}
