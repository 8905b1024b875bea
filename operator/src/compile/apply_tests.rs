use std::sync::Arc;

use kubechat_core::authz;
use kubechat_core::interpret::Lexicon;
use kubechat_crds::intent::{Action, IntentTarget, Span};
use kubechat_crds::{ChatRequest, ChatRequestSpec};
use serde_json::json;

use super::*;
use crate::cluster::discovery::Kinds;
use crate::cluster::objects::ClientDebug;
use crate::compile::Bounds;
use crate::testing::people::person;
use crate::testing::process::{Fuse, World};

fn kind(group: &str, kind: &str, resource: &str, namespaced: bool) -> KindRef {
    KindRef {
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        resource: resource.into(),
        namespaced,
        scalable: false,
    }
}

/// What a manifest is about, read by a person who asks in namespace demo and says no or another namespace.
async fn read(manifests: &[(Value, Option<&str>)]) -> Vec<Result<Option<String>, String>> {
    let own = |(manifest, namespace): &(Value, Option<&str>)| {
        let text = |p: &str| {
            manifest
                .pointer(p)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let group = text("/apiVersion")
            .split_once('/')
            .map(|(group, _)| group.to_owned());
        let target = IntentTarget {
            kind: Some(text("/kind")),
            group,
            names: vec![text("/metadata/name")],
            namespace: namespace.map(str::to_owned),
            ..IntentTarget::default()
        };
        (manifest.clone(), target)
    };
    of(&manifests.iter().map(own).collect::<Vec<_>>()).await
}

/// The same of targets that need not be those of the manifests.
async fn of(manifests: &[(Value, IntentTarget)]) -> Vec<Result<Option<String>, String>> {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    let acting = authz::acting(&person("alice", &["developers"])).unwrap();
    let client = ClientDebug(process.ctx.people.reader(&acting).await.unwrap());
    let request = ChatRequest::new("turn", ChatRequestSpec::default());
    let turn = Turn {
        ctx: &process.ctx,
        request: &request,
        namespace: "demo".into(),
        acting,
        person: client,
        kinds: Arc::new(Kinds {
            all: vec![
                kind("", "ConfigMap", "configmaps", true),
                kind(RIGHTS, "ClusterRole", "clusterroles", false),
            ],
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
    let each = manifests.iter().map(|(manifest, target)| {
        let intent = Intent {
            action: Action::Apply,
            target: target.clone(),
            params: IntentParams {
                manifest: Some(manifest.to_string()),
                ..IntentParams::default()
            },
            confidence: 100,
            span: Span::default(),
        };
        match meant(&turn, &intent) {
            Ok(meant) => Ok(meant.namespace),
            Err(Stop::Halt(halted)) => Err(halted.message),
            Err(Stop::Retry(error)) => panic!("{error}"),
        }
    });
    each.collect()
}

#[tokio::test]
async fn a_manifest_is_written_where_it_was_judged_or_nowhere() {
    let map = |namespace: Option<&str>| {
        let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        if let Some(namespace) = namespace {
            map["metadata"]["namespace"] = namespace.into();
        }
        map
    };
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "a"}});
    let mut placed_role = role.clone();
    placed_role["metadata"]["namespace"] = "demo".into();
    let mut old = map(None);
    old["apiVersion"] = "v1beta1".into();
    let mut odd = map(None);
    odd["kind"] = "Odd".into();
    let mut secret = map(None);
    secret["kind"] = "Secret".into();
    let cases = [
        (map(None), None, Ok(Some("demo"))),
        (map(Some("demo")), Some("demo"), Ok(Some("demo"))),
        // Another namespace than the one that is judged.
        (map(Some("prod")), None, Err("does not fit")),
        (map(Some("prod")), Some("demo"), Err("does not fit")),
        (map(None), Some("prod"), Err("outside the scope")),
        (map(Some("prod")), Some("prod"), Err("outside the scope")),
        // What belongs to the whole cluster.
        (role.clone(), None, Err("outside the scope")),
        (role, Some("demo"), Err("does not fit")),
        (placed_role, None, Err("does not fit")),
        (old, None, Err("write that as apiVersion")),
        (odd, None, Err("no kind Odd")),
        (secret, None, Err("never set by a prompt")),
    ];
    let asked: Vec<_> = cases.iter().map(|(m, n, _)| (m.clone(), *n)).collect();
    for (said, (manifest, place, expected)) in read(&asked).await.into_iter().zip(&cases) {
        match (&said, expected) {
            (Ok(namespace), Ok(expected)) => {
                assert_eq!(namespace.as_deref(), *expected, "{manifest} {place:?}");
            }
            (Err(said), Err(expected)) => assert!(said.contains(expected), "{manifest} {place:?}: {said}"),
            _ => panic!("{manifest} {place:?}: {said:?}"),
        }
    }
}

#[tokio::test]
async fn a_manifest_of_another_object_than_the_one_that_is_named_is_refused() {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let own = IntentTarget {
        kind: Some("ConfigMap".into()),
        names: vec!["a".into()],
        ..IntentTarget::default()
    };
    let changes: [fn(&mut IntentTarget); 9] = [
        |t| t.names = vec!["b".into()],
        |t| t.names.push("b".into()),
        |t| t.names.clear(),
        |t| t.kind = Some("Service".into()),
        |t| t.kind = None,
        |t| t.group = Some("apps".into()),
        |t| t.all = true,
        |t| t.all_namespaces = true,
        |t| t.selector = Some("app=a".into()),
    ];
    let mut cases = vec![(map.clone(), own.clone())];
    cases.extend(changes.map(|change| {
        let mut target = own.clone();
        change(&mut target);
        (map.clone(), target)
    }));
    let mut read = of(&cases).await.into_iter();
    assert_eq!(read.next(), Some(Ok(Some("demo".to_owned()))));
    for (said, (_, target)) in read.zip(cases.iter().skip(1)) {
        let said = said.unwrap_err();
        assert!(said.contains("not what the request names"), "{target:?}: {said}");
    }
}
