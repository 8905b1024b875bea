use std::sync::Arc;

use kubechat_core::authz;
use kubechat_core::interpret::Lexicon;
use kubechat_core::plan::actions::apply;
use kubechat_core::plan::{self, Found};
use kubechat_crds::command_plan::DiffLine;
use kubechat_crds::intent::{Intent, IntentParams, IntentTarget, Span};
use kubechat_crds::{ChatRequest, ChatRequestSpec, Level};
use serde_json::json;

use super::*;
use crate::cluster::discovery::Kinds;
use crate::cluster::objects::ClientDebug;
use crate::compile::{Bounds, adopts};
use crate::testing::people::person;
use crate::testing::process::{Fuse, World};
use crate::testing::server::{Asked, Fate};

fn kind(group: &str, kind: &str, resource: &str) -> KindRef {
    KindRef {
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        resource: resource.into(),
        namespaced: true,
        scalable: false,
    }
}

fn kinds() -> Vec<KindRef> {
    vec![
        kind("", "Service", "services"),
        kind("policy", "PodDisruptionBudget", "poddisruptionbudgets"),
        kind("", "Pod", "pods"),
        kind("", "PersistentVolumeClaim", "persistentvolumeclaims"),
        kind("apps", "ReplicaSet", "replicasets"),
        kind("apps", "StatefulSet", "statefulsets"),
        kind("apps", "DaemonSet", "daemonsets"),
        kind("", "ReplicationController", "replicationcontrollers"),
        kind("batch", "Job", "jobs"),
        kind("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
    ]
}

/// A cluster in which everything selects `app=web`, and one policy elsewhere lets such pods in.
fn cluster(world: &World) {
    let selects = json!({"matchLabels": {"app": "web"}});
    let from = json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": selects}]}]});
    for (path, spec) in [
        (
            "/api/v1/namespaces/demo/services/web",
            json!({"selector": {"app": "web"}}),
        ),
        (
            "/api/v1/namespaces/demo/services/db",
            json!({"selector": {"app": "db"}}),
        ),
        (
            "/apis/policy/v1/namespaces/demo/poddisruptionbudgets/web",
            json!({"selector": selects}),
        ),
        (
            "/apis/apps/v1/namespaces/demo/replicasets/web-1",
            json!({"selector": selects}),
        ),
        (
            "/apis/apps/v1/namespaces/demo/statefulsets/web",
            json!({"selector": selects}),
        ),
        (
            "/apis/apps/v1/namespaces/demo/daemonsets/web",
            json!({"selector": selects}),
        ),
        (
            "/api/v1/namespaces/demo/replicationcontrollers/web",
            json!({"selector": {"app": "web"}}),
        ),
        (
            "/apis/batch/v1/namespaces/demo/jobs/web",
            json!({"selector": selects}),
        ),
        (
            "/apis/networking.k8s.io/v1/namespaces/demo/networkpolicies/own",
            json!({"podSelector": selects}),
        ),
        (
            "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/let-in",
            from,
        ),
    ] {
        let parts: Vec<&str> = path.rsplit('/').collect();
        let metadata = json!({"name": parts[0], "namespace": parts[2]});
        world
            .server
            .put(path, json!({"metadata": metadata, "spec": spec}));
    }
}

/// A change of labels of a pod, or of something else.
fn relabels(what: KindRef, set: &[(&str, &str)], remove: &[&str]) -> Draft {
    let object = json!({"apiVersion": "v1", "kind": what.kind, "metadata": {"name": "web-1", "namespace": "demo", "uid": "u",
        "resourceVersion": "1", "labels": {"app": "web", "tier": "front"}}});
    let intent = Intent {
        action: Action::Label,
        target: IntentTarget::default(),
        params: IntentParams {
            set: set
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            remove: remove.iter().map(|k| (*k).to_owned()).collect(),
            ..IntentParams::default()
        },
        confidence: 100,
        span: Span::default(),
    };
    let found = [Found { kind: what, object }];
    plan::draft(&intent, &found, &[], jiff::Timestamp::UNIX_EPOCH)
        .unwrap()
        .remove(0)
}

async fn readers(world: &mut World, draft: &Draft) -> Result<Vec<String>, Stop> {
    asked(world, draft).await.map(|(read, _)| read)
}

async fn adopted(world: &mut World, draft: &Draft) -> Result<Vec<String>, Stop> {
    asked(world, draft).await.map(|(_, taken)| taken)
}

/// Who reads the labels, and what is taken over.
async fn asked(world: &mut World, draft: &Draft) -> Result<(Vec<String>, Vec<String>), Stop> {
    let process = world.start(Fuse::long()).await;
    let acting = authz::acting(&person("alice", &["developers"])).unwrap();
    let person = ClientDebug(process.ctx.people.reader(&acting).await.unwrap());
    let request = ChatRequest::new("turn", ChatRequestSpec::default());
    let turn = Turn {
        ctx: &process.ctx,
        request: &request,
        namespace: "demo".into(),
        acting,
        person,
        kinds: Arc::new(Kinds {
            all: kinds(),
            lexicon: Lexicon::builtin(),
        }),
        policies: process.ctx.policies(),
        bounds: Bounds::own("demo"),
        default_namespace: "demo".into(),
        given: None,
        session: None,
        now: jiff::Timestamp::UNIX_EPOCH,
        hour: std::sync::OnceLock::new(),
    };
    Ok((by(&turn, draft).await?, adopts::by(&turn, draft).await?))
}

fn pod() -> KindRef {
    kind("", "Pod", "pods")
}

#[tokio::test]
async fn a_label_of_a_pod_that_selectors_read_names_each_of_them_and_another_label_none() {
    let everything = [
        "networkpolicy/own",
        "networkpolicy/let-in in shop",
        "service/web",
        "poddisruptionbudget/web",
        "replicaset/web-1",
        "statefulset/web",
        "daemonset/web",
        "replicationcontroller/web",
        "job/web",
    ];
    for (draft, expected) in [
        (relabels(pod(), &[], &["app"]), &everything[..]),
        (relabels(pod(), &[("app", "other")], &[]), &everything),
        // It joins what it was no part of.
        (
            relabels(pod(), &[("app", "db")], &[]),
            &[&everything[..], &["service/db"]].concat(),
        ),
        (relabels(pod(), &[("note", "x")], &["tier"]), &[]),
        (relabels(kind("", "ConfigMap", "configmaps"), &[], &["app"]), &[]),
    ] {
        let mut world = World::new();
        cluster(&world);
        let mut found = readers(&mut world, &draft).await.unwrap();
        let mut expected: Vec<String> = expected.iter().map(|s| (*s).to_owned()).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{:?}", draft.step.params);
    }
}

#[tokio::test]
async fn selectors_that_cannot_be_read_count_as_reading_the_label() {
    let draft = relabels(pod(), &[("note", "x")], &[]);
    for (resource, expected) in [
        ("services", &["unreadable: services"][..]),
        ("poddisruptionbudgets", &["unreadable: poddisruptionbudgets"]),
        (
            "networkpolicies",
            &[
                "unreadable: networkpolicies of other namespaces",
                "unreadable: networkpolicies",
            ],
        ),
    ] {
        for code in [403, 500] {
            let mut world = World::new();
            cluster(&world);
            world.server.fates(move |asked: &Asked| {
                if asked.path.ends_with(resource) {
                    Fate::Refused(code)
                } else {
                    Fate::Answered
                }
            });
            let found = readers(&mut world, &draft).await;
            if code == 500 {
                assert!(matches!(found, Err(Stop::Retry(_))), "{resource}: {found:?}");
                continue;
            }
            let found = found.unwrap();
            assert_eq!(found, expected);
            let mut step = draft.step.clone();
            step.selected_by = found;
            assert_eq!(kubechat_core::risk::floor_level(&step), Level::Destructive);
        }
    }
}

/// A new workload whose pods have these labels.
fn made(kind: &KindRef, labels: &Value) -> Draft {
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": []}});
    let spec = json!({"selector": {"matchLabels": labels}, "template": template, "jobTemplate": {"spec": {"template": template}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}}]});
    let manifest = json!({"metadata": {"name": "web"}, "spec": spec});
    apply::create(kind, Some("demo"), &manifest, IntentParams::default())
}

#[tokio::test]
async fn the_labels_of_the_pods_of_a_new_workload_name_each_guard_and_service_that_selects_them() {
    let everything = [
        "networkpolicy/let-in in shop",
        "networkpolicy/own",
        "poddisruptionbudget/web",
        "service/web",
    ];
    for (group, name) in [
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("apps", "ReplicaSet"),
        ("", "ReplicationController"),
        ("batch", "Job"),
        ("batch", "CronJob"),
    ] {
        for (labels, expected) in [
            (json!({"app": "web"}), &everything[..]),
            (json!({"app": "nobody", "tier": "web"}), &[]),
        ] {
            for action in [Action::Apply, Action::CreateDeployment, Action::Recreate] {
                let mut world = World::new();
                cluster(&world);
                let mut draft = made(&kind(group, name, "things"), &labels);
                draft.step.action = action;
                let mut found = readers(&mut world, &draft).await.unwrap();
                found.sort();
                let again = action == Action::Recreate;
                assert_eq!(
                    found,
                    if again { &[] } else { expected },
                    "{action} {name} {labels}"
                );
                draft.step.selected_by = found;
                let level = kubechat_core::risk::floor_level(&draft.step);
                let own = ["DaemonSet", "ReplicaSet", "ReplicationController"].contains(&name);
                let strict = (own && action == Action::Apply) || !draft.step.selected_by.is_empty();
                assert_eq!(level == Level::Destructive, strict, "{action} {name} {labels}");
            }
        }
    }
}

#[tokio::test]
async fn policies_of_other_namespaces_that_cannot_be_read_weigh_for_a_workload_and_make_a_pod_destructive() {
    let manifest =
        json!({"metadata": {"name": "web", "labels": {"app": "nobody"}}, "spec": {"containers": []}});
    let mut alone = apply::create(&pod(), Some("demo"), &manifest, IntentParams::default());
    alone.step.diff = plan::diff::diff(0, None, Some(&manifest));
    let workload = made(
        &kind("apps", "Deployment", "deployments"),
        &json!({"app": "nobody"}),
    );
    for (draft, level) in [(alone, Level::Destructive), (workload, Level::Caution)] {
        for (resource, entries, level) in [
            ("/apis/networking.k8s.io/v1/networkpolicies", 1, level),
            // Those of the pods' own namespace are no others'.
            ("/networkpolicies", 2, Level::Destructive),
            ("services", 1, Level::Destructive),
        ] {
            let mut world = World::new();
            cluster(&world);
            world.server.fates(move |asked: &Asked| {
                if asked.path.ends_with(resource) {
                    Fate::Refused(403)
                } else {
                    Fate::Answered
                }
            });
            let mut step = draft.step.clone();
            step.selected_by = readers(&mut world, &draft).await.unwrap();
            assert_eq!(step.selected_by.len(), entries, "{:?}", step.selected_by);
            assert_eq!(
                kubechat_core::risk::floor_level(&step),
                level,
                "{:?}",
                step.selected_by
            );
        }
    }
}

#[tokio::test]
async fn other_labels_and_annotations_however_many_hide_no_label_of_a_new_pod() {
    for (field, fillers) in [
        ("labels", 0),
        ("labels", 190),
        ("labels", 200),
        ("labels", 300),
        ("annotations", 300),
    ] {
        let mut manifest =
            json!({"metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {"containers": []}});
        for n in 0..fillers {
            manifest["metadata"][field][format!("a{n:03}")] = "x".into();
        }
        let mut draft = apply::create(&pod(), Some("demo"), &manifest, IntentParams::default());
        draft.step.diff = plan::diff::diff(0, None, Some(&manifest));
        plan::diff::bound(&mut draft.step.diff);
        let mut world = World::new();
        cluster(&world);
        let found = readers(&mut world, &draft).await.unwrap();
        for reader in ["service/web", "replicaset/web-1", "networkpolicy/own"] {
            assert!(
                found.iter().any(|by| by == reader),
                "{field} {fillers}: {found:?}"
            );
        }
        draft.step.selected_by = found;
        assert_eq!(
            kubechat_core::risk::floor_level(&draft.step),
            Level::Destructive,
            "{field} {fillers}"
        );
    }
}

#[tokio::test]
async fn labels_that_the_api_server_gives_a_pod_and_no_diff_shows_count_as_read() {
    for action in [Action::Apply, Action::Label] {
        let mut draft = relabels(pod(), &[("note", "x")], &[]);
        draft.step.action = action;
        draft.step.diff = (0..300)
            .map(|n| DiffLine {
                path: format!("/metadata/annotations/a{n}"),
                ..DiffLine::default()
            })
            .collect();
        let mut world = World::new();
        cluster(&world);
        assert_eq!(readers(&mut world, &draft).await.unwrap(), [""; 0]);
        plan::diff::bound(&mut draft.step.diff);
        let mut world = World::new();
        cluster(&world);
        // Those that a person changes by name are known.
        let expected = if action == Action::Apply {
            &["unreadable: labels, of which the change shows not all"][..]
        } else {
            &[]
        };
        assert_eq!(readers(&mut world, &draft).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn what_a_new_workload_takes_over_is_named_and_what_cannot_be_listed_counts() {
    let labels = json!({"app": "web"});
    let there = |world: &World, owner: bool| {
        let owners = json!([{"kind": "ReplicaSet", "name": "r", "controller": owner}]);
        for (path, name, labels) in [
            ("/apis/apps/v1/namespaces/demo/replicasets", "old", &labels),
            (
                "/apis/apps/v1/namespaces/demo/replicasets",
                "db",
                &json!({"app": "db"}),
            ),
            ("/api/v1/namespaces/demo/pods", "web-0", &labels),
            (
                "/api/v1/namespaces/demo/persistentvolumeclaims",
                "data-web-0",
                &json!({}),
            ),
        ] {
            let metadata =
                json!({"name": name, "namespace": "demo", "labels": labels, "ownerReferences": owners});
            world
                .server
                .put(&format!("{path}/{name}"), json!({"metadata": metadata}));
        }
    };
    let both = [
        ("Deployment", &["replicaset/old"][..]),
        ("StatefulSet", &["persistentvolumeclaim/data-web-0", "pod/web-0"]),
    ];
    for (name, expected) in both {
        let draft = made(&kind("apps", name, "things"), &labels);
        let mut world = World::new();
        there(&world, false);
        let mut found = adopted(&mut world, &draft).await.unwrap();
        found.sort();
        assert_eq!(found, expected, "{name}");
        let mut step = draft.step.clone();
        assert_eq!(kubechat_core::risk::floor_level(&step), Level::Caution);
        step.adopts = found;
        assert_eq!(
            kubechat_core::risk::floor_level(&step),
            Level::Destructive,
            "{name}"
        );

        let mut owned = World::new();
        there(&owned, true);
        let found = adopted(&mut owned, &draft).await.unwrap();
        let claims = if name == "StatefulSet" {
            &["persistentvolumeclaim/data-web-0"][..]
        } else {
            &[]
        };
        assert_eq!(found, claims, "{name}: what has a controller stays its");

        for (code, said) in [(403, true), (500, false)] {
            let mut blind = World::new();
            blind.server.fates(move |asked: &Asked| {
                if asked.path.ends_with("/pods") {
                    Fate::Refused(code)
                } else {
                    Fate::Answered
                }
            });
            match adopted(&mut blind, &draft).await {
                Ok(found) => assert!(said && found == ["unreadable: pods"], "{name}: {found:?}"),
                Err(stop) => assert!(!said && matches!(stop, Stop::Retry(_)), "{name}: {stop:?}"),
            }
        }
    }
}

#[test]
fn the_labels_that_a_manifest_changes_are_read_from_its_diff() {
    let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
    let mut draft = apply::create(&pod(), None, &manifest, IntentParams::default());
    let line = |path: &str, after: Option<&str>| DiffLine {
        path: path.to_owned(),
        after: after.map(str::to_owned),
        ..DiffLine::default()
    };
    draft.step.diff = vec![
        line("/metadata/labels/app", Some("web")),
        line("/metadata/labels/x.io~1tier", None),
        line("/metadata/annotations/app", Some("no label")),
        line("/spec/labels/app", Some("no label")),
    ];
    assert_eq!(keys(&draft), ["app", "x.io/tier"]);
    assert_eq!(befores(&draft), [Labels::new()]);
    let before: Labels = [("x.io/tier".to_owned(), "db".to_owned())].into();
    let after: Labels = [("app".to_owned(), "web".to_owned())].into();
    assert_eq!(changed(&before, &draft), after);
    draft.step.action = Action::Label;
    assert!(keys(&draft).is_empty());
}
