use kubechat_crds::command_plan::DiffLine;
use kubechat_crds::intent::IntentParams;
use serde_json::json;

use super::*;
use crate::plan::actions::apply;
use crate::plan::{KindRef, Sidecar};

fn draft(kind: &str, manifest: &Value) -> Draft {
    let mut manifest = manifest.clone();
    manifest["metadata"]["name"] = "web".into();
    let of = KindRef {
        group: "apps".into(),
        kind: kind.into(),
        ..KindRef::default()
    };
    apply::create(&of, Some("demo"), &manifest, IntentParams::default())
}

fn object(name: &str, labels: &Value, owner: bool) -> Value {
    let owners = json!([{"kind": "ReplicaSet", "name": "r", "controller": owner}]);
    json!({"metadata": {"name": name, "labels": labels, "ownerReferences": owners}})
}

#[test]
fn a_new_workload_takes_over_what_it_selects_and_nobody_controls() {
    let web = json!({"app": "web"});
    let hashed = json!({"app": "web", "pod-template-hash": "7"});
    let spec = json!({"spec": {"selector": {"matchLabels": web}, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}});
    for (kind, found, name, labels, owned, expected) in [
        ("Deployment", "ReplicaSet", "old-7", &hashed, false, true),
        ("Deployment", "ReplicaSet", "old-7", &hashed, true, false),
        (
            "Deployment",
            "ReplicaSet",
            "old-7",
            &json!({"app": "db"}),
            false,
            false,
        ),
        ("Deployment", "ReplicaSet", "old-7", &json!({}), false, false),
        ("Deployment", "Pod", "old-7-x", &hashed, false, true),
        // A pod that no ReplicaSet of a Deployment made is not one of its ReplicaSet's.
        ("Deployment", "Pod", "alone", &web, false, false),
        ("StatefulSet", "Pod", "web-0", &web, false, true),
        ("StatefulSet", "Pod", "web-12", &web, false, true),
        ("StatefulSet", "Pod", "web-0", &web, true, false),
        ("StatefulSet", "Pod", "web-x", &web, false, false),
        ("StatefulSet", "Pod", "web-", &web, false, false),
        ("StatefulSet", "Pod", "other-0", &web, false, false),
        (
            "StatefulSet",
            "PersistentVolumeClaim",
            "data-web-0",
            &json!({}),
            false,
            true,
        ),
        (
            "StatefulSet",
            "PersistentVolumeClaim",
            "data-web2-0",
            &json!({}),
            false,
            false,
        ),
        (
            "StatefulSet",
            "PersistentVolumeClaim",
            "logs-web-0",
            &json!({}),
            false,
            false,
        ),
    ] {
        let draft = draft(kind, &spec);
        let manifest = made(&draft).unwrap();
        let taken = takes(
            &draft.step.targets[0],
            &manifest,
            found,
            &object(name, labels, owned),
        );
        assert_eq!(taken, expected, "{kind} {found} {name} {labels} {owned}");
    }
    // One that does not say what it selects may select anything.
    let silent = draft("Deployment", &json!({"spec": {}}));
    let manifest = made(&silent).unwrap();
    assert!(takes(
        &silent.step.targets[0],
        &manifest,
        "ReplicaSet",
        &object("r", &web, false)
    ));
}

#[test]
fn what_is_looked_at_is_asked_for_by_the_selector_of_the_new_workload() {
    let selector = json!({"matchLabels": {"app": "web"}, "matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "old", "operator": "DoesNotExist"},
        {"key": "x", "operator": "Exists"}, {"key": "y", "operator": "NotIn", "values": ["c"]}]});
    let look = |kind: &str, spec: Value| {
        let draft = draft(kind, &json!({"spec": spec}));
        looks(&draft.step.targets[0], &made(&draft).unwrap())
    };
    let found = look("Deployment", json!({"selector": selector}));
    let text = "app=web,tier in (a,b),!old,x,y notin (c)";
    let kinds: Vec<_> = found.iter().map(|l| (l.kind, l.labels.as_deref())).collect();
    assert_eq!(kinds, [("ReplicaSet", Some(text)), ("Pod", Some(text))]);
    for odd in [
        json!({}),
        json!({"matchLabels": {"a": 7}}),
        json!({"matchExpressions": [{"key": "a", "operator": "Like"}]}),
    ] {
        let found = look("Deployment", json!({"selector": odd}));
        assert!(found.iter().all(|l| l.labels.is_none()), "{odd}");
    }
    let claims = json!([{"metadata": {"name": "data"}}]);
    let found = look(
        "StatefulSet",
        json!({"selector": selector, "volumeClaimTemplates": claims}),
    );
    let kinds: Vec<_> = found.iter().map(|l| (l.kind, l.labels.is_some())).collect();
    assert_eq!(kinds, [("Pod", true), ("PersistentVolumeClaim", false)]);
    assert_eq!(look("StatefulSet", json!({"selector": selector})).len(), 1);
    assert_eq!(look("DaemonSet", json!({"selector": selector})), []);
}

#[test]
fn the_labels_of_new_pods_are_those_of_the_manifest_and_those_the_server_adds() {
    let template = |labels: Value| json!({"template": {"metadata": {"labels": labels}}});
    for kind in [
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "Job",
        "ReplicationController",
    ] {
        let draft = draft(kind, &json!({"spec": template(json!({"app": "web"}))}));
        let labels = template_labels(&draft, &draft.step.targets[0]);
        assert_eq!(labels, [("app".to_owned(), "web".to_owned())].into(), "{kind}");
    }
    let cron = json!({"spec": {"jobTemplate": {"spec": template(json!({"app": "web"}))}}});
    let mut cron = draft("CronJob", &cron);
    cron.step.diff = vec![DiffLine {
        path: "/spec/jobTemplate/spec".into(),
        after: Some(template(json!({"tier": "front"})).to_string()),
        ..DiffLine::default()
    }];
    let labels = template_labels(&cron, &cron.step.targets[0]);
    assert_eq!(labels.into_keys().collect::<Vec<_>>(), ["app", "tier"]);
    // A long manifest stands beside the plan.
    let long = json!({"spec": template(json!({"app": "web", "pad": "x".repeat(30_000)}))});
    let mut long = draft("Deployment", &long);
    assert!(long.step.manifest_digest.is_some());
    assert_eq!(template_labels(&long, &long.step.targets[0]).len(), 2);
    long.sidecars = vec![Sidecar {
        digest: "another".into(),
        bytes: vec![],
    }];
    assert_eq!(made(&long), None);
    // What a plan deleted and makes again was there before.
    let mut again = draft("Deployment", &json!({"spec": {}}));
    assert!(made(&again).is_some());
    again.step.action = Action::Recreate;
    assert_eq!(made(&again), None);
    cron.step.action = Action::Recreate;
    assert!(template_labels(&cron, &cron.step.targets[0]).is_empty());
    cron.step.action = Action::Patch;
    cron.step.effect = Effect::Update;
    assert!(template_labels(&cron, &cron.step.targets[0]).is_empty());
}
