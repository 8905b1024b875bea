use std::collections::BTreeMap;

use jiff::Timestamp;
use kubechat_crds::Level;
use kubechat_crds::command_plan::RollbackKind;
use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};
use serde_json::{Value, json};

use super::Beside;
use crate::plan::{Draft, Found, KindRef, Refusal, draft_with};
use crate::risk::floor_level;

pub(crate) fn kind(group: &str, version: &str, kind: &str, resource: &str) -> KindRef {
    KindRef {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        resource: resource.to_owned(),
        namespaced: kind != "Node",
        scalable: resource == "deployments",
    }
}

// Tables read better with values.
#[allow(clippy::needless_pass_by_value)]
pub(crate) fn found(kind: KindRef, name: &str, spec: Value) -> Found {
    let mut object = json!({"apiVersion": kind.api_version(), "kind": kind.kind,
        "metadata": {"name": name, "uid": "u", "resourceVersion": "7", "generation": 3}, "spec": spec});
    if kind.namespaced {
        object["metadata"]["namespace"] = "demo".into();
    }
    Found { kind, object }
}

pub(crate) fn deployment(env: Option<Value>) -> Found {
    let mut container = json!({"name": "web", "image": "nginx:1"});
    if let Some(env) = env {
        container["env"] = env;
    }
    let spec = json!({"replicas": 2, "template": {"spec": {"containers": [container]}}});
    found(kind("apps", "v1", "Deployment", "deployments"), "web", spec)
}

pub(crate) fn asked(
    action: Action,
    params: IntentParams,
    found: &Found,
    beside: Beside<'_>,
) -> Result<Draft, Refusal> {
    let intent = Intent {
        action,
        target: IntentTarget::default(),
        params,
        confidence: 100,
        span: Span::default(),
    };
    draft_with(
        &intent,
        std::slice::from_ref(found),
        beside,
        Timestamp::UNIX_EPOCH,
    )
    .map(|mut d| d.remove(0))
}

pub(crate) fn plain(action: Action, params: IntentParams, found: &Found) -> Result<Draft, Refusal> {
    asked(action, params, found, Beside::default())
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// The object after a JSON patch or merge patch, as far as these tests need it.
fn after(found: &Found, patch: &str) -> Value {
    let mut object = found.object.clone();
    for op in serde_json::from_str::<Vec<Value>>(patch).unwrap() {
        let path = op["path"].as_str().unwrap();
        let (parent, last) = path.rsplit_once('/').unwrap();
        match op["op"].as_str().unwrap() {
            "test" => assert_eq!(object.pointer(path), op.get("value"), "{op}"),
            "replace" => *object.pointer_mut(path).unwrap() = op["value"].clone(),
            "remove" => {
                let list = object.pointer_mut(parent).unwrap().as_array_mut().unwrap();
                list.remove(last.parse().unwrap());
            }
            "add" if last == "-" => {
                let list = object.pointer_mut(parent).unwrap().as_array_mut().unwrap();
                list.push(op["value"].clone());
            }
            "add" => object.pointer_mut(parent).unwrap()[last] = op["value"].clone(),
            other => panic!("{other}"),
        }
    }
    object
}

fn env_of(object: &Value) -> Value {
    object
        .pointer("/spec/template/spec/containers/0/env")
        .cloned()
        .unwrap_or(Value::Null)
}

#[test]
fn variables_are_set_and_removed_one_by_one_and_the_others_never_stand_in_the_plan() {
    let web = deployment(Some(json!([
        {"name": "KEEP", "value": "of-the-cluster"},
        {"name": "LOG_LEVEL", "value": "old-value"},
        {"name": "OLD", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
    ])));
    let params = IntentParams {
        set: map(&[("LOG_LEVEL", "debug"), ("NEW", "typed")]),
        remove: vec!["OLD".into(), "NOT_THERE".into()],
        ..IntentParams::default()
    };
    let draft = plain(Action::SetEnv, params, &web).unwrap();
    let patch = draft.step.patch.clone().unwrap();
    assert_eq!(
        env_of(&after(&web, &patch)),
        json!([{"name": "KEEP", "value": "of-the-cluster"}, {"name": "LOG_LEVEL", "value": "debug"}, {"name": "NEW", "value": "typed"}])
    );
    let text = serde_json::to_string(&draft.step).unwrap();
    assert!(
        !text.contains("of-the-cluster") && !text.contains("old-value"),
        "{text}"
    );
    assert!(
        draft
            .sidecars
            .iter()
            .any(|s| String::from_utf8_lossy(&s.bytes).contains("old-value"))
    );

    // And back, from what is kept beside the plan: its plan holds the value no more than the first.
    let undo = draft.step.rollback.undo_of(0).unwrap();
    assert_eq!(undo.params.remove, ["NEW"]);
    assert_eq!(undo.params.env_refs, map(&[("OLD", "configmap/c/k")]));
    let kept = draft
        .sidecars
        .iter()
        .find(|s| Some(&s.digest) == undo.manifest_digest.as_ref())
        .unwrap();
    let kept: Value = serde_json::from_slice(&kept.bytes).unwrap();
    let changed = deployment(Some(env_of(&after(&web, &patch))));
    let beside = Beside {
        kept: Some(&kept),
        ..Beside::default()
    };
    let back = asked(Action::SetEnv, undo.params, &changed, beside).unwrap();
    let text = serde_json::to_string(&back.step).unwrap();
    assert!(!text.contains("old-value"), "{text}");
    let full = back
        .sidecars
        .iter()
        .find(|s| Some(&s.digest) == back.step.manifest_digest.as_ref())
        .unwrap();
    let env = env_of(&after(&changed, &String::from_utf8_lossy(&full.bytes)));
    let names = |env: &Value| {
        let mut all: Vec<String> = env.as_array().unwrap().iter().map(ToString::to_string).collect();
        all.sort();
        all
    };
    assert_eq!(names(&env), names(&env_of(&web.object)));
}

#[test]
fn a_first_variable_makes_the_list_and_one_that_is_as_wanted_changes_nothing() {
    let bare = deployment(None);
    let params = || IntentParams {
        set: map(&[("A", "1")]),
        ..IntentParams::default()
    };
    let draft = plain(Action::SetEnv, params(), &bare).unwrap();
    let now = after(&bare, draft.step.patch.as_deref().unwrap());
    assert_eq!(env_of(&now), json!([{"name": "A", "value": "1"}]));
    let same = deployment(Some(env_of(&now)));
    assert!(matches!(
        plain(Action::SetEnv, params(), &same),
        Err(Refusal::Nothing(_))
    ));
    let gone = IntentParams {
        remove: vec!["B".into()],
        ..IntentParams::default()
    };
    assert!(matches!(
        plain(Action::SetEnv, gone, &same),
        Err(Refusal::Nothing(_))
    ));
    for bad in ["a=b", "", "a b"] {
        let params = IntentParams {
            set: map(&[(bad, "1")]),
            ..IntentParams::default()
        };
        assert!(
            matches!(plain(Action::SetEnv, params, &bare), Err(Refusal::Invalid(_))),
            "{bad:?}"
        );
    }
    for bad in ["secret/db", "pod/a/b", "secret/a/b/c", ""] {
        let params = IntentParams {
            env_refs: map(&[("A", bad)]),
            ..IntentParams::default()
        };
        assert!(
            matches!(plain(Action::SetEnv, params, &bare), Err(Refusal::Invalid(_))),
            "{bad:?}"
        );
    }
}

#[test]
fn what_is_set_and_taken_away_at_once_is_refused() {
    let web = deployment(Some(json!([{"name": "A", "value": "old"}])));
    let both = || IntentParams {
        set: map(&[("A", "1")]),
        remove: vec!["A".into()],
        ..IntentParams::default()
    };
    for action in [Action::SetEnv, Action::Label, Action::Annotate] {
        let refused = plain(action, both(), &web);
        assert!(
            matches!(refused, Err(Refusal::Invalid(_))),
            "{action} {refused:?}"
        );
    }
    let refs = map(&[("A", "configmap/c/k")]);
    for twice in [
        IntentParams {
            set: BTreeMap::new(),
            env_refs: refs.clone(),
            ..both()
        },
        IntentParams {
            remove: vec![],
            env_refs: refs.clone(),
            ..both()
        },
    ] {
        let refused = plain(Action::SetEnv, twice, &web);
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
    }
}

#[test]
fn what_is_as_wanted_already_holds_up_none_of_the_others() {
    let none = IntentParams::default;
    let mut paused = deployment(None);
    paused.object["spec"]["paused"] = true.into();
    let each = || {
        [&paused, &deployment(None)]
            .map(|one| plain(Action::RolloutPause, none(), one).map(|draft| vec![draft]))
    };
    let drafts = crate::plan::together(each().into()).unwrap();
    assert_eq!(drafts.len(), 1);
    let [first, _] = each();
    assert!(matches!(
        crate::plan::together(vec![first]),
        Err(Refusal::Nothing(_))
    ));
    let set = found(kind("apps", "v1", "StatefulSet", "statefulsets"), "db", json!({}));
    let wrong = plain(Action::RolloutPause, none(), &set).map(|draft| vec![draft]);
    let [first, second] = each();
    assert!(matches!(
        crate::plan::together(vec![first, second, wrong]),
        Err(Refusal::Invalid(_))
    ));
}

#[test]
fn a_rollout_is_held_once_and_only_of_a_deployment() {
    let none = IntentParams::default;
    let web = deployment(None);
    let draft = plain(Action::RolloutPause, none(), &web).unwrap();
    assert_eq!(draft.step.patch.as_deref(), Some(r#"{"spec":{"paused":true}}"#));
    assert_eq!(draft.step.rollback.action, Some(Action::RolloutResume));
    assert!(matches!(
        plain(Action::RolloutResume, none(), &web),
        Err(Refusal::Nothing(_))
    ));
    let set = found(kind("apps", "v1", "StatefulSet", "statefulsets"), "db", json!({}));
    assert!(matches!(
        plain(Action::RolloutPause, none(), &set),
        Err(Refusal::Invalid(_))
    ));
}

#[test]
fn what_is_finished_or_no_job_is_not_suspended() {
    let none = IntentParams::default;
    let cron = found(
        kind("batch", "v1", "CronJob", "cronjobs"),
        "backup",
        json!({"suspend": false}),
    );
    let draft = plain(Action::Suspend, none(), &cron).unwrap();
    assert_eq!(draft.step.patch.as_deref(), Some(r#"{"spec":{"suspend":true}}"#));
    assert_eq!(draft.step.level, Level::Caution);
    assert!(matches!(
        plain(Action::Resume, none(), &cron),
        Err(Refusal::Nothing(_))
    ));
    let mut job = found(kind("batch", "v1", "Job", "jobs"), "import", json!({}));
    assert!(plain(Action::Suspend, none(), &job).is_ok());
    job.object["status"]["completionTime"] = "2026-01-01T00:00:00Z".into();
    assert!(matches!(
        plain(Action::Suspend, none(), &job),
        Err(Refusal::Invalid(_))
    ));
    assert!(matches!(
        plain(Action::Suspend, none(), &deployment(None)),
        Err(Refusal::Invalid(_))
    ));
}

#[test]
fn a_claim_grows_and_never_shrinks() {
    let claim = |size: &str| {
        let pvc = kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
        found(pvc, "data", json!({"resources": {"requests": {"storage": size}}}))
    };
    let to = |size: &str| IntentParams {
        size: Some(size.to_owned()),
        ..IntentParams::default()
    };
    let draft = plain(Action::ExpandPvc, to("20Gi"), &claim("10Gi")).unwrap();
    assert_eq!(
        draft.step.patch.as_deref(),
        Some(r#"{"spec":{"resources":{"requests":{"storage":"20Gi"}}}}"#)
    );
    assert_eq!(draft.step.rollback.kind, RollbackKind::None);
    assert_eq!(floor_level(&draft.step), Level::Caution);
    for smaller in ["9Gi", "10G", "1"] {
        let refused = plain(Action::ExpandPvc, to(smaller), &claim("10Gi"));
        assert!(
            matches!(&refused, Err(Refusal::Invalid(why)) if why.contains("smaller")),
            "{smaller} {refused:?}"
        );
    }
    assert!(matches!(
        plain(Action::ExpandPvc, to("10240Mi"), &claim("10Gi")),
        Err(Refusal::Nothing(_))
    ));
    assert!(matches!(
        plain(Action::ExpandPvc, to("big"), &claim("10Gi")),
        Err(Refusal::Invalid(_))
    ));
    assert!(matches!(
        plain(Action::ExpandPvc, to("1Gi"), &deployment(None)),
        Err(Refusal::Invalid(_))
    ));
}

#[test]
fn a_patch_is_destructive_and_its_inverse_holds_no_value_of_the_cluster() {
    let patch = |text: &str| IntentParams {
        patch: Some(text.to_owned()),
        ..IntentParams::default()
    };
    let web = deployment(Some(json!([{"name": "A", "value": "of-the-cluster"}])));
    let draft = plain(
        Action::Patch,
        patch(r#"{"spec":{"replicas":0,"minReadySeconds":5}}"#),
        &web,
    )
    .unwrap();
    assert_eq!(floor_level(&draft.step), Level::Destructive);
    let undo = draft.step.rollback.undo_of(0).unwrap().params;
    assert_eq!(undo, patch(r#"{"spec":{"minReadySeconds":null,"replicas":2}}"#));
    // The mark of the step stays in the annotations, so they are not taken away as a whole.
    let noted = plain(
        Action::Patch,
        patch(r#"{"metadata":{"annotations":{"a":"b"}}}"#),
        &web,
    )
    .unwrap();
    let undo = noted.step.rollback.undo_of(0).unwrap().params;
    assert_eq!(undo, patch(r#"{"metadata":{"annotations":{"a":null}}}"#));
    // Nor are the labels: what the undoing asks for is itself a patch that is done.
    let named = plain(Action::Patch, patch(r#"{"metadata":{"labels":{"a":"b"}}}"#), &web).unwrap();
    let undo = named.step.rollback.undo_of(0).unwrap().params;
    assert_eq!(undo, patch(r#"{"metadata":{"labels":{"a":null}}}"#));
    let mut labelled = deployment(None);
    labelled.object["metadata"]["labels"] = json!({"a": "b"});
    assert!(plain(Action::Patch, undo, &labelled).is_ok());
    let containers = patch(r#"{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"x"}]}}}}"#);
    let draft = plain(Action::Patch, containers, &web).unwrap();
    assert_eq!(draft.step.rollback.kind, RollbackKind::None);
    assert!(
        !serde_json::to_string(&draft.step)
            .unwrap()
            .contains("of-the-cluster")
    );
    let draft = plain(
        Action::Patch,
        patch(r#"[{"op":"add","path":"/spec/paused","value":true}]"#),
        &web,
    )
    .unwrap();
    assert_eq!(draft.step.rollback.kind, RollbackKind::None);
    assert!(matches!(
        plain(Action::Patch, patch(r#"{"spec":{"replicas":2}}"#), &web),
        Err(Refusal::Nothing(_))
    ));
}

#[test]
fn a_json_patch_of_the_first_label_is_told_what_does_it() {
    let first = IntentParams {
        patch: Some(r#"[{"op":"add","path":"/metadata/labels/tier","value":"web"}]"#.to_owned()),
        ..IntentParams::default()
    };
    let mut web = deployment(None);
    for none in [Value::Null, json!({})] {
        web.object["metadata"]["labels"] = none;
        let Err(Refusal::Invalid(why)) = plain(Action::Patch, first.clone(), &web) else {
            panic!("it cannot be done");
        };
        assert!(why.contains("'label deployment web KEY=VALUE'"), "{why}");
    }
    web.object["metadata"]["labels"] = json!({"app": "web"});
    assert!(plain(Action::Patch, first, &web).is_ok());
}

#[test]
fn a_patch_of_what_only_the_server_writes_or_of_a_secret_is_refused() {
    let patch = |text: &str| IntentParams {
        patch: Some(text.to_owned()),
        ..IntentParams::default()
    };
    for bad in [
        "7",
        "not json",
        "[]",
        "[{\"op\":\"remove\"}]",
        r#"{"metadata":{"name":"x"}}"#,
        r#"{"metadata":{"uid":"x"}}"#,
        r#"{"metadata":{"finalizers":[]}}"#,
        r#"{"metadata":{"ownerReferences":null}}"#,
        r#"{"metadata":null}"#,
        r#"{"kind":"X"}"#,
        r#"{"status":{"a":1}}"#,
        r#"{"metadata":{"annotations":{"kubechat.io/step-id":"x"}}}"#,
        r#"{"metadata":{"annotations":null}}"#,
        r#"[{"op":"replace","path":"/metadata/resourceVersion","value":"1"}]"#,
        r#"[{"op":"move","from":"/metadata/annotations/kubechat.io~1step-id","path":"/spec/x"}]"#,
        r#"[{"op":"replace","path":"","value":{}}]"#,
        // The API server passes over what stands before the first slash.
        r#"[{"op":"remove","path":"x/metadata/finalizers"}]"#,
        r#"[{"op":"add","path":"x/metadata/annotations/kubechat.io~1step-id","value":"x"}]"#,
        r#"[{"op":"replace","path":"x/metadata/resourceVersion","value":"1"}]"#,
        r#"[{"op":"add","path":"spec/paused","value":true}]"#,
        r#"[{"op":"test","path":"x/spec/paused","value":true}]"#,
        r#"[{"op":"add","path":"/spec/paused","from":"x/spec/a","value":true}]"#,
        r#"[{"op":"add","path":7,"from":"/spec/a","value":true}]"#,
        r#"[{"op":"add","path":"/spec/a","from":"/spec/b"},{"op":"remove"}]"#,
        r#"["/spec/paused"]"#,
        r#"[{"path":"/spec/paused","value":true}]"#,
        r#"[{"op":"Add","path":"/spec/paused","value":true}]"#,
        // What they carry would stand in the plan without its mask.
        r#"[{"op":"copy","from":"/spec/template/spec/containers/0/env/0/value","path":"/metadata/annotations/a"}]"#,
        r#"[{"op":"move","from":"/spec/template/spec/containers/0/env","path":"/spec/template/spec/containers/0/args"}]"#,
        r#"[{"op":"copy","from":"/spec/replicas","path":"/spec/minReadySeconds"}]"#,
        r#"{"metadata":{"labels":{"kubechat.io/protected":"false"}}}"#,
        r#"{"metadata":{"labels":null}}"#,
        r#"[{"op":"remove","path":"/metadata/labels/kubechat.io~1protected"}]"#,
        r#"[{"op":"add","path":"/metadata/labels","value":{"kubechat.io/protected":"false"}}]"#,
    ] {
        let refused = plain(Action::Patch, patch(bad), &deployment(None));
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{bad} {refused:?}");
    }
    let secret = found(kind("", "v1", "Secret", "secrets"), "s", json!({}));
    assert!(matches!(
        plain(Action::Patch, patch(r#"{"data":{"a":"Yg=="}}"#), &secret),
        Err(Refusal::Invalid(_))
    ));
}
