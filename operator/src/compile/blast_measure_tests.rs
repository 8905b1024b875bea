use http::{Request, Response};
use kube::client::Body;
use kubechat_core::interpret::Lexicon;
use serde_json::json;

use super::*;

/// A client of an API server that answers a request by its path and query; `None` is never.
fn server(answer: impl Fn(&str) -> Option<(u16, Value)> + Clone + Send + Sync + 'static) -> ClientDebug {
    serve(move |uri, _| answer(uri))
}

/// The same, where it matters whether the metadata alone is asked for.
fn serve(answer: impl Fn(&str, bool) -> Option<(u16, Value)> + Clone + Send + Sync + 'static) -> ClientDebug {
    let service = tower::service_fn(move |request: Request<Body>| {
        let accept = request.headers().get(http::header::ACCEPT);
        let metadata = accept.is_some_and(|a| a.to_str().unwrap().contains("PartialObjectMetadata"));
        let answer = answer(&request.uri().to_string(), metadata);
        async move {
            let Some((code, body)) = answer else {
                return std::future::pending::<Result<Response<Body>, std::io::Error>>().await;
            };
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            Ok(Response::builder().status(code).body(body).unwrap())
        }
    });
    ClientDebug(Client::new(service, "demo"))
}

fn refused() -> Option<(u16, Value)> {
    let status =
        json!({"kind": "Status", "status": "Failure", "message": "no", "reason": "Forbidden", "code": 403});
    Some((403, status))
}

fn kinds() -> Kinds {
    let kind = |group: &str, kind: &str, resource: &str| KindRef {
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        resource: resource.into(),
        namespaced: true,
        ..KindRef::default()
    };
    Kinds {
        all: vec![kind("", "Pod", "pods"), kind("", "ConfigMap", "configmaps")],
        lexicon: Lexicon::builtin(),
    }
}

/// The radius of `delete pod web-1`.
async fn of(person: &ClientDebug, own: &ClientDebug) -> Measured {
    let step = json!({
        "id": "s1", "action": "delete", "effect": "delete", "command": "", "level": "destructive",
        "targets": [{"version": "v1", "kind": "Pod", "resource": "pods", "namespace": "demo", "name": "web-1"}],
        "rollback": {"kind": "None", "why": ""}
    });
    let steps: [Step; 1] = [serde_json::from_value(step).unwrap()];
    let question = Question {
        steps: &steps,
        namespace: "demo",
        again: false,
    };
    measure(person, own, &kinds(), &question, Graph::default()).await
}

fn pod() -> Value {
    json!({"metadata": {"name": "web-1", "namespace": "demo", "uid": "u"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
}

fn list(rest: Option<i64>, items: &[Value]) -> Option<(u16, Value)> {
    let next = if rest.is_some() { "next" } else { "" };
    Some((
        200,
        json!({"metadata": {"continue": next, "remainingItemCount": rest}, "items": items}),
    ))
}

/// Answers for a person who sees the pod; `all` is the answer to the list of all pods.
fn sees(all: fn() -> Option<(u16, Value)>) -> ClientDebug {
    server(move |uri| {
        if uri.contains("/namespaces/demo/pods/web-1") {
            Some((200, pod()))
        } else if uri.starts_with("/api/v1/pods?limit=1") {
            all()
        } else {
            list(None, &[])
        }
    })
}

#[tokio::test]
async fn the_share_is_one_of_all_pods_of_the_cluster_counted_by_who_asks() {
    let person = sees(|| list(Some(7), &[pod()]));
    let found = of(&person, &server(|uri| panic!("asked for {uri}"))).await;
    assert!(found.radius.complete, "{:?}", found.radius.missing);
    assert_eq!((found.radius.pods_lost, found.radius.pods_percent), (1, 13));
}

#[tokio::test]
async fn who_may_not_count_the_pods_has_them_counted_and_nothing_else_read() {
    let own = server(|uri| {
        assert!(uri.starts_with("/api/v1/pods?limit=1"), "{uri}");
        list(Some(99), &[pod()])
    });
    let found = of(&sees(refused), &own).await;
    assert!(found.radius.complete, "{:?}", found.radius.missing);
    assert_eq!(found.radius.pods_percent, 1);
}

#[tokio::test]
async fn where_nobody_may_count_them_the_share_is_all_and_the_radius_incomplete() {
    let found = of(&sees(refused), &server(|_| refused())).await;
    assert_eq!(found.radius.pods_percent, 100);
    assert_eq!(found.radius.missing, ["pods: the requester may not read them"]);
    let uncounted = sees(|| Some((200, json!({"metadata": {"continue": "next"}, "items": [pod()]}))));
    assert_eq!(
        of(&uncounted, &server(|_| refused())).await.radius.pods_percent,
        100
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_within_two_seconds_is_a_gap() {
    let started = Instant::now();
    let found = of(&server(|_| None), &server(|_| None)).await;
    // All passes together, and not each read.
    assert_eq!(started.elapsed(), BUDGET);
    assert!(!found.radius.complete);
    let gap = |what: &str| format!("{what} in demo: no answer within 2 s");
    assert_eq!(found.radius.missing, ["configmaps", "pods"].map(gap));
    assert!(!found.failed.is_empty(), "it is asked again before execution");
}

#[tokio::test]
async fn reading_stops_after_five_thousand_objects_and_says_so() {
    let all = server(|uri| {
        let page = if uri.contains("continue=2") { 2 } else { 1 };
        let item = |n: usize| json!({"metadata": {"name": format!("m{page}-{n}"), "namespace": "demo"}});
        let items: Vec<Value> = (0..3000).map(item).collect();
        Some((
            200,
            json!({"metadata": {"continue": if page == 1 { "2" } else { "" }}, "items": items}),
        ))
    });
    let kinds = kinds();
    let reader = Reader {
        person: &all,
        own: &all,
        kinds: &kinds,
        deadline: Instant::now() + BUDGET,
        left: AtomicUsize::new(MAX_OBJECTS),
    };
    let reads = reader.everything("demo");
    assert_eq!(reads.len(), 2, "pods and config maps");
    let mut found = vec![];
    for read in reads {
        found.push(reader.read(read).await);
    }
    assert_eq!(found.iter().map(|a| a.nodes.len()).sum::<usize>(), 5000);
    assert!(found.iter().all(|a| {
        a.gap
            .as_ref()
            .is_some_and(|missed| missed.why.ends_with("stopped after 5000 objects"))
    }));
}

/// The radius of `label configmaps -l app=web tier=front` of the first two, where so many match.
async fn of_label(matching: usize, again: bool) -> BlastRadius {
    let target = |n: usize| json!({"version": "v1", "kind": "ConfigMap", "resource": "configmaps", "namespace": "demo", "name": format!("m{n}")});
    let step = json!({
        "id": "s1", "action": "label", "effect": "update", "command": "", "level": "caution", "selector": "app=web",
        "targets": [target(0), target(1)], "params": {"set": {"tier": "front"}},
        "rollback": {"kind": "Inverse", "why": ""}
    });
    let steps: [Step; 1] = [serde_json::from_value(step).unwrap()];
    let question = Question {
        steps: &steps,
        namespace: "demo",
        again,
    };
    let map = |n: usize| json!({"metadata": {"name": format!("m{n}"), "namespace": "demo", "uid": format!("u{n}"), "labels": {"app": "web"}}});
    let mut graph = Graph::default();
    // The planner has read the targets.
    for n in (0..2).filter(|_| !again) {
        graph.add(read::node("", "ConfigMap", &map(n)));
    }
    let maps: Vec<Value> = (0..matching).map(map).collect();
    let person = server(move |uri| {
        let selected = uri.starts_with("/api/v1/namespaces/demo/configmaps?") && uri.contains("app%3Dweb");
        assert!(selected, "asked for {uri}");
        list(None, &maps)
    });
    let found = measure(&person, &person, &kinds(), &question, graph).await;
    assert!(found.radius.complete, "{:?}", found.radius.missing);
    found.radius
}

#[tokio::test]
async fn what_is_as_wanted_already_is_no_growth_and_what_matches_since_is() {
    for (planned, now, grew) in [
        (2, 2, false),
        // Ten of them are as wanted, and no targets.
        (12, 12, false),
        (12, 15, false),
        (12, 16, true),
        (12, 52, true),
        (2, 6, true),
        (12, 2, false),
    ] {
        let planned_radius = of_label(planned, false).await;
        assert_eq!(
            planned_radius.objects["ConfigMap"],
            i64::try_from(planned).unwrap()
        );
        let found = Measured {
            radius: of_label(now, true).await,
            refusal: None,
            failed: vec![],
        };
        let grown = judge(&planned_radius, found, |now| blast::grown(&planned_radius, now)).unwrap();
        assert_eq!(grown.is_some(), grew, "{planned} -> {now}: {grown:?}");
    }
}

#[test]
fn a_list_that_brings_the_metadata_only_takes_nothing_away_from_what_is_known() {
    let full = json!({"metadata": {"name": "w", "namespace": "demo", "uid": "u"}, "spec": {"replicas": 3}});
    let known = read::node("example.org", "Widget", &full);
    let mut graph = Graph::default();
    graph.add(known.clone());
    let metadata = |name: &str| json!({"metadata": {"name": name, "namespace": "demo", "uid": "u"}});
    let answer = Answer {
        nodes: ["w", "other"]
            .map(|name| read::node("example.org", "Widget", &metadata(name)))
            .to_vec(),
        bring: Bring::Matches,
        nodes_counted: None,
        pods_counted: None,
        gap: None,
    };
    take(answer, &mut graph, &mut vec![]);
    assert_eq!(graph.get(&known.key), Some(&known));
    assert_eq!((graph.nodes().len(), graph.matched.len()), (2, 2));
}

/// A kind with a place in a namespace.
fn known(group: &str, kind: &str, resource: &str) -> KindRef {
    KindRef {
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        resource: resource.into(),
        namespaced: true,
        ..KindRef::default()
    }
}

/// The radius of the deletion of one object of namespace demo, in a cluster with these kinds.
async fn of_deletion(target: &Value, kinds: Vec<KindRef>, person: &ClientDebug) -> BlastRadius {
    of_known_deletion(target, kinds, person, Graph::default()).await
}

/// The same, where some of it is known already.
async fn of_known_deletion(
    target: &Value,
    kinds: Vec<KindRef>,
    person: &ClientDebug,
    graph: Graph,
) -> BlastRadius {
    let step = json!({
        "id": "s1", "action": "delete", "effect": "delete", "command": "", "level": "destructive", "targets": [target],
        "rollback": {"kind": "None", "why": ""}
    });
    let steps: [Step; 1] = [serde_json::from_value(step).unwrap()];
    let question = Question {
        steps: &steps,
        namespace: "demo",
        again: false,
    };
    let kinds = Kinds {
        all: kinds,
        lexicon: Lexicon::builtin(),
    };
    measure(person, person, &kinds, &question, graph).await.radius
}

#[tokio::test]
async fn what_a_deployment_owns_beside_its_pods_goes_with_it_and_its_data_is_told() {
    let owned = |name: &str, spec: Value| {
        json!({"metadata": {"name": name, "namespace": "demo", "uid": name,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u-web"}]}, "spec": spec})
    };
    let person = server(move |uri| match uri.split('?').next().unwrap() {
        "/apis/apps/v1/namespaces/demo/deployments/web" => Some((
            200,
            json!({"metadata": {"name": "web", "namespace": "demo", "uid": "u-web"},
                "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}}}),
        )),
        "/api/v1/namespaces/demo/configmaps" => list(
            None,
            &[
                owned("settings", Value::Null),
                json!({"metadata": {"name": "other", "namespace": "demo", "uid": "o"}}),
            ],
        ),
        "/api/v1/namespaces/demo/persistentvolumeclaims" => {
            list(None, &[owned("data", json!({"volumeName": "v"}))])
        }
        "/api/v1/namespaces/demo/configmaps/settings" => Some((200, owned("settings", Value::Null))),
        "/api/v1/namespaces/demo/persistentvolumeclaims/data" => {
            Some((200, owned("data", json!({"volumeName": "v"}))))
        }
        "/api/v1/namespaces/demo/secrets" => refused(),
        _ => list(None, &[]),
    });
    let kinds = vec![
        known("apps", "Deployment", "deployments"),
        known("", "ConfigMap", "configmaps"),
        known("", "PersistentVolumeClaim", "persistentvolumeclaims"),
        known("", "Secret", "secrets"),
    ];
    let target = json!({"group": "apps", "version": "v1", "kind": "Deployment", "resource": "deployments", "namespace": "demo", "name": "web"});
    let found = of_deletion(&target, kinds, &person).await;
    let expected = [("ConfigMap", 1), ("Deployment", 1), ("PersistentVolumeClaim", 1)];
    assert_eq!(
        found.objects,
        expected.map(|(kind, n)| (kind.to_owned(), n)).into()
    );
    assert_eq!(found.pvcs, ["demo/data"]);
    assert_eq!(found.unrecoverable_volumes, ["demo/data"]);
    // What could not be looked at is said.
    assert_eq!(
        found.missing,
        ["secrets in demo: the requester may not read them"]
    );
}

/// The radius of `delete service web`, where a ReferenceGrant lets HTTPRoutes of namespace gateway lead to it or not.
async fn of_service(granted: bool, gateway: fn() -> Option<(u16, Value)>) -> BlastRadius {
    const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/namespaces";
    let person = server(move |uri| match uri.split('?').next().unwrap() {
        "/api/v1/namespaces/demo/services/web" => Some((
            200,
            json!({"metadata": {"name": "web", "namespace": "demo", "uid": "s"}, "spec": {"selector": {"app": "web"}}}),
        )),
        path if path == format!("{ROUTES}/demo/referencegrants") => {
            let from =
                json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "gateway"}]);
            let grant =
                json!({"metadata": {"name": "g", "namespace": "demo", "uid": "g"}, "spec": {"from": from}});
            list(
                None,
                if granted {
                    std::slice::from_ref(&grant)
                } else {
                    &[]
                },
            )
        }
        path if path == format!("{ROUTES}/gateway/httproutes") => gateway(),
        path if path.starts_with("/apis/gateway.networking.k8s.io/v1/httproutes") => {
            panic!("all namespaces are read")
        }
        _ => list(None, &[]),
    });
    let gateway = "gateway.networking.k8s.io";
    let kinds = vec![
        known("", "Service", "services"),
        known(gateway, "HTTPRoute", "httproutes"),
        known(gateway, "ReferenceGrant", "referencegrants"),
    ];
    let target = json!({"version": "v1", "kind": "Service", "resource": "services", "namespace": "demo", "name": "web"});
    of_deletion(&target, kinds, &person).await
}

#[tokio::test]
async fn a_route_of_another_namespace_that_leads_to_a_deleted_service_is_found() {
    let route = || {
        let to = json!([{"backendRefs": [{"name": "web", "namespace": "demo"}]}]);
        list(
            None,
            &[
                json!({"metadata": {"name": "front", "namespace": "gateway", "uid": "r"}, "spec": {"rules": to}}),
            ],
        )
    };
    let found = of_service(true, route).await;
    assert_eq!(found.objects.get("HTTPRoute"), Some(&1), "{found:?}");
    assert_eq!((found.outside_namespace, found.complete), (1, true), "{found:?}");
    // Without a grant no route of another namespace leads here, so none is looked for.
    let found = of_service(false, route).await;
    assert_eq!(
        (found.objects.get("HTTPRoute"), found.complete),
        (None, true),
        "{found:?}"
    );
    let found = of_service(true, refused).await;
    assert_eq!(
        found.missing,
        ["httproutes in gateway: the requester may not read them"]
    );
}

/// A namespace with a deleted ConfigMap, a pod that uses it, and more objects than are read, of which few are its own.
fn crowd(uri: &str, metadata: bool) -> Option<(u16, Value)> {
    let of = |name: &str, owner: &str| {
        json!({"metadata": {"name": name, "namespace": "demo", "uid": name,
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": owner}]}})
    };
    let others = |owner: Option<&str>| -> Vec<Value> {
        let alone = |n: usize| json!({"metadata": {"name": format!("j{n}"), "namespace": "demo", "uid": format!("j{n}")}});
        (0..4_000)
            .map(|n| owner.map_or_else(|| alone(n), |owner| of(&format!("j{n}"), owner)))
            .collect()
    };
    let (path, _) = uri.split_once('?').unwrap_or((uri, ""));
    match path
        .strip_prefix("/api/v1/namespaces/demo/")
        .or(path.strip_prefix("/apis/batch/v1/namespaces/demo/"))?
    {
        "pods" => list(
            None,
            &[json!({"metadata": {"name": "p", "namespace": "demo", "uid": "p"},
            "spec": {"volumes": [{"configMap": {"name": "web"}}]}})],
        ),
        "secrets" if metadata => list(None, &[others(None), vec![of("keys", "web")]].concat()),
        "jobs" if metadata => list(None, &[others(Some("else")), vec![of("run", "keys")]].concat()),
        "secrets/keys" => Some((200, of("keys", "web"))),
        "jobs/run" => {
            let mut run = of("run", "keys");
            run["spec"] = json!({"selector": {"matchLabels": {"job": "run"}}});
            Some((200, run))
        }
        _ => panic!("asked for {uri}, metadata alone: {metadata}"),
    }
}

#[tokio::test]
async fn a_crowded_namespace_hides_nothing_of_what_goes_with_one_object_of_it() {
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let noted = asked.clone();
    let person = serve(move |uri, metadata| {
        noted.lock().unwrap().push(uri.to_owned());
        crowd(uri, metadata)
    });
    let kinds = vec![
        known("batch", "Job", "jobs"),
        known("", "Secret", "secrets"),
        known("", "Pod", "pods"),
    ];
    let mut graph = Graph::default();
    let web = json!({"metadata": {"name": "web", "namespace": "demo", "uid": "web"}});
    graph.add(read::node("", "ConfigMap", &web));
    let target = json!({"version": "v1", "kind": "ConfigMap", "resource": "configmaps", "namespace": "demo", "name": "web"});
    let found = of_known_deletion(&target, kinds, &person, graph).await;
    // The Job goes with the Secret, which goes with the ConfigMap.
    let expected = [("ConfigMap", 1), ("Job", 1), ("Pod", 1), ("Secret", 1)];
    assert_eq!(
        found.objects,
        expected.map(|(kind, n)| (kind.to_owned(), n)).into()
    );
    assert!(found.complete, "{:?}", found.missing);
    // What matters more comes first.
    let asked = asked.lock().unwrap();
    let place = |what: &str| asked.iter().position(|uri| uri.contains(what)).unwrap();
    assert!(
        place("/pods?") < place("/secrets?") && place("/pods?") < place("/jobs?"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn what_goes_and_may_not_be_read_itself_is_counted_by_its_metadata() {
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let noted = asked.clone();
    let owned = |name: &str| {
        json!({"metadata": {"name": name, "namespace": "demo", "uid": name, "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "web", "uid": "web"}]}})
    };
    let person = server(move |uri| {
        noted.lock().unwrap().push(uri.to_owned());
        match uri {
            uri if uri.contains("/jobs?") => list(None, &[owned("nightly")]),
            uri if uri.contains("/secrets?") => list(None, &[owned("token")]),
            uri if uri.contains("/jobs/") || uri.contains("/secrets/") => refused(),
            _ => list(None, &[]),
        }
    });
    let kinds = vec![known("batch", "Job", "jobs"), known("", "Secret", "secrets")];
    let mut graph = Graph::default();
    let web = json!({"metadata": {"name": "web", "namespace": "demo", "uid": "web"}});
    graph.add(read::node("", "ConfigMap", &web));
    let target = json!({"version": "v1", "kind": "ConfigMap", "resource": "configmaps", "namespace": "demo", "name": "web"});
    let found = of_known_deletion(&target, kinds, &person, graph).await;
    let expected = [("ConfigMap", 1), ("Job", 1), ("Secret", 1)];
    assert_eq!(
        found.objects,
        expected.map(|(kind, n)| (kind.to_owned(), n)).into()
    );
    assert_eq!(found.missing, ["jobs in demo: the requester may not read them"]);
    // Of a Secret its metadata says all that is asked.
    assert!(asked.lock().unwrap().iter().all(|uri| !uri.contains("/secrets/")));
}
