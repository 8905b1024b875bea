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
use crate::compile::Bounds;
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
        kind("apps", "ReplicaSet", "replicasets"),
        kind("apps", "StatefulSet", "statefulsets"),
        kind("apps", "DaemonSet", "daemonsets"),
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
    by(&turn, draft).await
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
        ("services", "unreadable: services"),
        ("poddisruptionbudgets", "unreadable: poddisruptionbudgets"),
        (
            "networkpolicies",
            "unreadable: networkpolicies of other namespaces",
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
            assert_eq!(found, [expected]);
            let mut step = draft.step.clone();
            step.selected_by = found;
            assert_eq!(kubechat_core::risk::floor_level(&step), Level::Destructive);
        }
    }
}

#[test]
fn the_labels_that_a_manifest_changes_are_read_from_its_diff() {
    let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
    let mut draft = apply::create(&KindRef::default(), None, &manifest, IntentParams::default());
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
    assert_eq!(keys(&draft.step), ["app", "x.io/tier"]);
    assert_eq!(befores(&draft), [Labels::new()]);
    let before: Labels = [("x.io/tier".to_owned(), "db".to_owned())].into();
    let after: Labels = [("app".to_owned(), "web".to_owned())].into();
    assert_eq!(changed(&before, &draft), after);
    draft.step.action = Action::Label;
    assert!(keys(&draft.step).is_empty());
}
