use super::*;
use serde_json::json;

fn facts_of(group: &str, kind: &str, object: &Value) -> Facts {
    node(group, kind, object).facts
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn a_pod_names_everything_it_uses() {
    let found = facts_of(
        "",
        "Pod",
        &json!({
            "metadata": {"name": "p"},
            "spec": {
                "nodeName": "n1", "serviceAccountName": "sa", "imagePullSecrets": [{"name": "pull"}],
                "volumes": [
                    {"name": "a", "persistentVolumeClaim": {"claimName": "c"}},
                    {"name": "b", "ephemeral": {}},
                    {"name": "c", "configMap": {"name": "m1"}},
                    {"name": "d", "secret": {"secretName": "s1"}},
                    {"name": "e", "projected": {"sources": [{"configMap": {"name": "m2"}}, {"secret": {"name": "s2"}}]}},
                ],
                "containers": [{"envFrom": [{"configMapRef": {"name": "m3"}}, {"secretRef": {"name": "s3"}}]}],
                "initContainers": [{"env": [
                    {"valueFrom": {"configMapKeyRef": {"name": "m4"}}}, {"valueFrom": {"secretKeyRef": {"name": "s4"}}}]}],
            },
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }),
    );
    let expected = Facts::Pod {
        ready: true,
        node: Some("n1".into()),
        claims: names(&["c", "p-b"]),
        config_maps: names(&["m1", "m2", "m3", "m4"]),
        secrets: names(&["pull", "s1", "s2", "s3", "s4"]),
        account: "sa".into(),
    };
    assert_eq!(found, expected);
}

#[test]
fn only_a_pod_that_is_ready_and_stays_is_ready() {
    let of = |metadata: Value, status: &str| {
        let status = json!({"conditions": [{"type": "Ready", "status": status}]});
        node("", "Pod", &json!({"metadata": metadata, "status": status})).is_ready_pod()
    };
    assert!(of(json!({}), "True"));
    assert!(!of(json!({}), "False"));
    assert!(!of(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), "True"));
    assert!(!node("", "Pod", &json!({})).is_ready_pod());
}

#[test]
fn a_rollout_takes_as_many_pods_at_once_as_its_controller_would() {
    let rolling = |away: Value, more: Value| json!({"strategy": {"rollingUpdate": {"maxUnavailable": away, "maxSurge": more}}, "replicas": 10});
    let stateful = |kind: &str, n: Value| json!({"replicas": 10, "updateStrategy": {"type": kind, "rollingUpdate": {"maxUnavailable": n}}});
    let daemon = |away: Value, more: Value| json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": away, "maxSurge": more}}});
    for (kind, spec, expected) in [
        ("Deployment", json!({"replicas": 2}), Some(0)),
        ("Deployment", json!({"replicas": 10}), Some(2)),
        ("Deployment", json!({}), Some(0)),
        ("Deployment", rolling(json!(3), json!(0)), Some(3)),
        ("Deployment", rolling(json!(0), json!(0)), Some(1)),
        ("Deployment", rolling(json!("0%"), json!("0%")), Some(1)),
        ("Deployment", rolling(json!("39%"), json!(1)), Some(3)),
        ("Deployment", rolling(json!("nonsense"), json!(1)), Some(10)),
        ("Deployment", json!({"strategy": {"type": "Recreate"}}), None),
        ("StatefulSet", json!({"replicas": 10}), Some(1)),
        ("StatefulSet", stateful("RollingUpdate", json!("25%")), Some(3)),
        ("StatefulSet", stateful("OnDelete", json!(1)), Some(0)),
        ("DaemonSet", json!({}), Some(1)),
        ("DaemonSet", daemon(json!("11%"), json!(0)), Some(2)),
        ("DaemonSet", daemon(json!(0), json!(1)), Some(0)),
        ("ReplicaSet", json!({"replicas": 3}), Some(0)),
    ] {
        let object = json!({"spec": spec, "status": {"desiredNumberScheduled": 10}});
        let Facts::Workload { at_once, .. } = facts_of("apps", kind, &object) else {
            panic!("{kind}");
        };
        assert_eq!(at_once, expected, "{kind} {spec}");
    }
}

#[test]
fn selectors_that_are_missing_select_nothing_and_unreadable_ones_everything() {
    let everything = Some(LabelSelector::default());
    let service = |spec: Value| facts_of("", "Service", &json!({ "spec": spec }));
    assert_eq!(service(json!({})), Facts::Service(None));
    assert_eq!(service(json!({"selector": {}})), Facts::Service(None));
    let policy = |spec: Value| facts_of("networking.k8s.io", "NetworkPolicy", &json!({ "spec": spec }));
    assert_eq!(
        policy(json!({"podSelector": {}})),
        Facts::Policy(everything.clone())
    );
    assert_eq!(policy(json!({})), Facts::Policy(everything.clone()));
    let budget = |spec: Value| match facts_of("policy", "PodDisruptionBudget", &json!({ "spec": spec })) {
        Facts::Budget { selector, allowed } => (selector, allowed),
        other => panic!("{other:?}"),
    };
    assert_eq!(budget(json!({})), (None, 0));
    assert_eq!(budget(json!({"selector": {"matchLabels": 7}})), (everything, 0));
}

#[test]
fn routes_claims_volumes_and_definitions_say_what_they_lead_to() {
    let to = |all: &[(&str, &str)]| {
        let all = all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        Facts::Route(all.collect())
    };
    let ingress = json!({"metadata": {"namespace": "demo"}, "spec": {
        "defaultBackend": {"service": {"name": "a"}},
        "rules": [{"http": {"paths": [{"backend": {"service": {"name": "b"}}}, {"backend": {"resource": {"name": "x"}}}]}}, {}]}});
    let found = facts_of("networking.k8s.io", "Ingress", &ingress);
    assert_eq!(found, to(&[("demo", "a"), ("demo", "b")]));
    let route = json!({"metadata": {"namespace": "demo"}, "spec": {"rules": [{"backendRefs": [
        {"name": "a"}, {"name": "b", "namespace": "other"}, {"name": "c", "kind": "Bucket"}]}]}});
    let found = facts_of("gateway.networking.k8s.io", "HTTPRoute", &route);
    assert_eq!(found, to(&[("demo", "a"), ("other", "b")]));

    let claim = |spec: Value| facts_of("", "PersistentVolumeClaim", &json!({ "spec": spec }));
    assert_eq!(claim(json!({"volumeName": "v"})), Facts::Claim(Some("v".into())));
    assert_eq!(claim(json!({"volumeName": ""})), Facts::Claim(None));
    for (policy, goes) in [("Retain", false), ("Delete", true), ("Recycle", true)] {
        let spec =
            json!({"persistentVolumeReclaimPolicy": policy, "claimRef": {"namespace": "demo", "name": "c"}});
        let expected = Facts::Volume {
            claim: Some(("demo".into(), "c".into())),
            goes,
        };
        assert_eq!(
            facts_of("", "PersistentVolume", &json!({ "spec": spec })),
            expected
        );
    }
    let definition = json!({"spec": {"group": "example.org", "names": {"kind": "Widget"}}});
    let expected = Facts::Definition {
        group: "example.org".into(),
        kind: "Widget".into(),
    };
    assert_eq!(
        facts_of("apiextensions.k8s.io", "CustomResourceDefinition", &definition),
        expected
    );
}

#[test]
fn what_is_no_object_at_all_is_read_as_nothing() {
    for odd in [
        json!(null),
        json!([]),
        json!("x"),
        json!({"metadata": 7, "spec": [1], "status": "?"}),
    ] {
        for (group, kind) in [
            ("", "Pod"),
            ("apps", "Deployment"),
            ("", "Service"),
            ("x.org", "Thing"),
        ] {
            let found = node(group, kind, &odd);
            assert!(found.uid.is_empty() && found.owners.is_empty() && !found.is_ready_pod());
        }
    }
    let owned = node(
        "",
        "Pod",
        &json!({"metadata": {"ownerReferences": [{"uid": "u", "kind": "ReplicaSet", "name": "r", "controller": true}, {}]}}),
    );
    assert_eq!(owned.owners.len(), 2);
    assert!(owned.owners[0].controller && !owned.owners[1].controller);
}

#[test]
fn a_grant_says_whose_routes_may_lead_here() {
    let from = |group: &str, kind: &str, namespace: &str| json!({"group": group, "kind": kind, "namespace": namespace});
    let gateway = "gateway.networking.k8s.io";
    let of = |spec: Value| facts_of(gateway, "ReferenceGrant", &json!({"spec": spec}));
    let some = json!({"to": [{"group": "", "kind": "Service", "name": "other"}], "from": [
        from(gateway, "HTTPRoute", "a"), from(gateway, "Gateway", "b"), from("", "HTTPRoute", "c"), from(gateway, "HTTPRoute", "d")]});
    assert_eq!(of(some), Facts::Grant(names(&["a", "d"])));
    assert_eq!(of(json!({"from": "everybody"})), Facts::Grant(names(&[])));
}
