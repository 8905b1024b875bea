use kubechat_crds::command_plan::RollbackKind;
use kubechat_crds::intent::{IntentTarget, Span};
use serde_json::json;

use super::*;

fn kind(group: &str, kind: &str, resource: &str) -> KindRef {
    KindRef {
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        resource: resource.into(),
        namespaced: kind != "Node",
        scalable: kind == "Deployment",
    }
}

fn deployment(name: &str, replicas: i32) -> Found {
    Found {
        kind: kind("apps", "Deployment", "deployments"),
        object: json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": "demo", "uid": format!("uid-{name}"), "resourceVersion": "7", "generation": 3, "labels": {"app": name}},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [
                {"name": "web", "image": "nginx:1.27", "resources": {"requests": {"cpu": "100m"}}},
                {"name": "side", "image": "reg:5000/side:1"}]}}},
            "status": {"readyReplicas": replicas}
        }),
    }
}

fn intent(action: Action, params: IntentParams) -> Intent {
    Intent {
        action,
        target: IntentTarget::default(),
        params,
        confidence: 100,
        span: Span::default(),
    }
}

fn one(action: Action, params: IntentParams) -> Result<Draft, Refusal> {
    let found = [deployment("web", 2)];
    draft(&intent(action, params), &found, &[], Timestamp::UNIX_EPOCH).map(|mut d| d.remove(0))
}

#[test]
fn scale_computes_the_number_and_its_inverse() {
    let set = |f: fn(&mut IntentParams)| {
        let mut p = IntentParams::default();
        f(&mut p);
        p
    };
    let cases = [
        (set(|p| p.replicas = Some(5)), Some(5)),
        (set(|p| p.replicas_delta = Some(2)), Some(4)),
        (set(|p| p.replicas_delta = Some(-2)), Some(0)),
        (set(|p| p.replicas_percent = Some(200)), Some(4)),
        (set(|p| p.replicas_percent = Some(50)), Some(1)),
        (set(|p| p.replicas_delta = Some(-3)), None),
        (set(|p| p.replicas = Some(2)), None),
        (set(|_| {}), None),
        (set(|p| (p.replicas, p.replicas_delta) = (Some(1), Some(1))), None),
        (
            set(|p| (p.replicas, p.current_replicas) = (Some(5), Some(3))),
            None,
        ),
    ];
    for (params, want) in cases {
        let got = one(Action::Scale, params.clone());
        assert_eq!(
            got.as_ref().ok().and_then(|d| d.step.params.replicas),
            want,
            "{params:?} {got:?}"
        );
        if let Ok(draft) = got {
            assert_eq!(draft.step.subresource.as_deref(), Some("scale"));
            assert_eq!(draft.step.rollback.undo_of(0).unwrap().params.replicas, Some(2));
        }
    }
}

/// A Postgres cluster whose number stands in `spec.instances`, and its Scale.
fn postgres(instances: i64) -> (Found, Value) {
    let object = json!({
        "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
        "metadata": {"name": "pg", "namespace": "demo", "uid": "uid-pg", "resourceVersion": "7", "generation": 3},
        "spec": {"instances": instances}, "status": {"instances": instances}
    });
    let mut kind = kind("postgresql.cnpg.io", "Cluster", "clusters");
    kind.scalable = true;
    let scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "spec": {"replicas": instances}});
    (Found { kind, object }, scale)
}

#[test]
fn a_kind_of_somebody_else_is_scaled_by_what_its_scale_says() {
    let (found, scale) = postgres(3);
    let more = |delta: i32| {
        let params = IntentParams {
            replicas_delta: Some(delta),
            ..Default::default()
        };
        intent(Action::Scale, params)
    };
    let drafts = draft_scale(&more(2), &[(found.clone(), Some(scale))]).unwrap();
    assert_eq!(drafts[0].step.params.replicas, Some(5));
    assert_eq!(
        drafts[0].step.rollback.undo_of(0).unwrap().params.replicas,
        Some(3)
    );
    // Without its Scale the number is not guessed.
    for unknown in [None, Some(json!({"kind": "Status"}))] {
        let refused = draft_scale(&more(2), &[(found.clone(), unknown)]);
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
    }
    let refused = draft(&more(2), &[found], &[], Timestamp::UNIX_EPOCH);
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
}

#[test]
fn after_a_crash_the_scale_of_a_kind_of_somebody_else_proves_the_write() {
    let (found, scale) = postgres(3);
    let to = IntentParams {
        replicas: Some(5),
        ..Default::default()
    };
    let step = draft_scale(&intent(Action::Scale, to), &[(found, Some(scale))])
        .unwrap()
        .remove(0)
        .step;
    let at = |generation: i64, number: Option<i64>, by: &str, sub: &str| {
        let (mut now, mut scale) = postgres(5);
        now.object["metadata"]["generation"] = json!(generation);
        now.object["metadata"]["managedFields"] = json!([{"manager": by, "operation": "Update", "subresource": sub,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:instances": {}}}}]);
        scale["spec"]["replicas"] = json!(number);
        let scale = number.map(|_| scale);
        trace(&step, &step.targets[0], Some(&now.object), scale.as_ref(), "id")
    };
    assert_eq!(at(4, Some(5), "kubechat", "scale"), Trace::Done);
    assert_eq!(at(3, Some(5), "kubechat", "scale"), Trace::Unknown);
    assert_eq!(at(4, Some(6), "kubechat", "scale"), Trace::Unknown);
    assert_eq!(at(4, None, "kubechat", "scale"), Trace::Unknown);
    assert_eq!(at(4, Some(5), "kubectl", "scale"), Trace::Unknown);
    assert_eq!(at(4, Some(5), "kubechat", ""), Trace::Unknown);
}

#[test]
fn objects_that_need_the_same_write_share_a_step_and_others_do_not() {
    let found = [deployment("a", 2), deployment("b", 3)];
    let to = IntentParams {
        replicas: Some(5),
        ..Default::default()
    };
    assert_eq!(
        draft(&intent(Action::Scale, to), &found, &[], Timestamp::UNIX_EPOCH)
            .unwrap()
            .len(),
        1
    );
    let more = IntentParams {
        replicas_delta: Some(1),
        ..Default::default()
    };
    let steps = draft(&intent(Action::Scale, more), &found, &[], Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(
        steps.iter().map(|d| d.step.id.as_str()).collect::<Vec<_>>(),
        ["s1", "s2"]
    );
}

#[test]
fn set_image_picks_the_container_of_the_same_repository_or_asks() {
    let image = |i: &str| IntentParams {
        image: Some(i.into()),
        ..Default::default()
    };
    let draft = one(Action::SetImage, image("nginx:1.28")).unwrap();
    assert_eq!(draft.step.params.container.as_deref(), Some("web"));
    assert_eq!(
        draft.step.rollback.undo_of(0).unwrap().params.image.as_deref(),
        Some("nginx:1.27")
    );
    assert!(draft.step.patch.unwrap().contains(r#""op":"test""#));
    for unclear in ["redis:7", ":1.28"] {
        let Err(Refusal::NeedsInput { candidates, .. }) = one(Action::SetImage, image(unclear)) else {
            panic!("{unclear}")
        };
        assert_eq!(candidates, ["web", "side"]);
    }
    let tagged = IntentParams {
        container: Some("side".into()),
        ..image(":2")
    };
    assert_eq!(
        one(Action::SetImage, tagged)
            .unwrap()
            .step
            .params
            .image
            .as_deref(),
        Some("reg:5000/side:2")
    );
}

#[test]
fn resources_are_merged_and_undone_to_the_letter() {
    let params = IntentParams {
        container: Some("web".into()),
        limits: [("memory".to_owned(), "1Gi".to_owned())].into(),
        ..Default::default()
    };
    let draft = one(Action::SetResources, params).unwrap();
    assert!(draft.step.patch.unwrap().contains(r#""requests":{"cpu":"100m"}"#));
    let undo = draft.step.rollback.undo_of(0).unwrap().params;
    assert_eq!(undo.remove, ["limits.memory"]);
    assert_eq!(undo.requests["cpu"], "100m");
}

#[test]
fn labels_know_what_they_replace_and_kubechats_own_are_refused() {
    let set = |k: &str, v: &str| IntentParams {
        set: [(k.to_owned(), v.to_owned())].into(),
        ..Default::default()
    };
    let draft = one(Action::Label, set("app", "new")).unwrap();
    assert_eq!(draft.step.rollback.undo_of(0).unwrap().params.set["app"], "web");
    assert_eq!(
        one(Action::Label, set("tier", "x"))
            .unwrap()
            .step
            .rollback
            .undo_of(0)
            .unwrap()
            .params
            .remove,
        ["tier"]
    );
    assert!(matches!(
        one(Action::Label, set("app", "web")),
        Err(Refusal::Nothing(_))
    ));
    assert!(matches!(
        one(Action::Annotate, set("kubechat.io/step-id", "x")),
        Err(Refusal::Invalid(_))
    ));
    let keep = IntentParams {
        overwrite: Some(false),
        ..set("app", "new")
    };
    assert!(matches!(one(Action::Label, keep), Err(Refusal::Invalid(_))));
}

#[test]
fn delete_keeps_a_manifest_but_never_a_secret() {
    assert_eq!(
        one(Action::Delete, IntentParams::default())
            .unwrap()
            .step
            .rollback
            .kind,
        RollbackKind::Recreate
    );
    let secret = Found {
        kind: kind("", "Secret", "secrets"),
        object: json!({"kind": "Secret", "metadata": {"name": "s", "namespace": "demo", "uid": "u", "resourceVersion": "1"}, "data": {"k": "aHVudGVyMg=="}}),
    };
    let drafts = draft(
        &intent(Action::Delete, IntentParams::default()),
        &[secret],
        &[],
        Timestamp::UNIX_EPOCH,
    )
    .unwrap();
    assert_eq!(drafts[0].step.rollback.kind, RollbackKind::None);
    assert!(!format!("{:?}", drafts[0].step).contains("aHVudGVyMg"));
}

#[test]
fn env_values_of_the_cluster_go_beside_the_plan_not_into_it() {
    let mut found = deployment("web", 2);
    found.object["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "P", "value": "hunter2"}]);
    let drafts = draft(
        &intent(Action::Delete, IntentParams::default()),
        &[found],
        &[],
        Timestamp::UNIX_EPOCH,
    )
    .unwrap();
    let undo = drafts[0].step.rollback.undo_of(0).unwrap();
    assert!(!undo.manifest.as_deref().unwrap().contains("hunter2"));
    assert_eq!(
        undo.manifest_digest.as_deref(),
        Some(drafts[0].sidecars[0].digest.as_str())
    );
    assert!(String::from_utf8_lossy(&drafts[0].sidecars[0].bytes).contains("hunter2"));
}

#[test]
fn rollout_undo_goes_one_back_or_to_the_named_revision() {
    let revisions: Vec<_> = (1..=3)
        .map(|n| Revision {
            number: n,
            template: json!({"metadata": {"labels": {"pod-template-hash": "x"}}, "n": n}),
        })
        .collect();
    let go = |revision| {
        let params = IntentParams {
            revision,
            ..Default::default()
        };
        draft(
            &intent(Action::RolloutUndo, params),
            &[deployment("web", 2)],
            &revisions,
            Timestamp::UNIX_EPOCH,
        )
    };
    for (wanted, got) in [(None, 2), (Some(1), 1), (Some(0), 2)] {
        let step = go(wanted).unwrap().remove(0).step;
        assert_eq!(step.params.revision, Some(got));
        assert_eq!(step.rollback.undo_of(0).unwrap().params.revision, Some(3));
        assert!(!step.patch.unwrap().contains("pod-template-hash"));
    }
    assert!(matches!(go(Some(9)), Err(Refusal::NeedsInput { .. })));
    assert!(matches!(go(Some(3)), Err(Refusal::Nothing(_))));
}

#[test]
fn a_write_carries_uid_version_and_step_id() {
    let fresh = json!({"metadata": {"uid": "u", "resourceVersion": "9"}});
    let merge = final_patch(r#"{"spec":{"a":1}}"#, None, &fresh, "id").unwrap();
    assert_eq!(
        merge["metadata"],
        json!({"uid": "u", "resourceVersion": "9", "annotations": {"kubechat.io/step-id": "id"}})
    );
    let scale = final_patch(r#"{"spec":{"replicas":1}}"#, Some("scale"), &fresh, "id").unwrap();
    assert_eq!(scale["metadata"], json!({"uid": "u", "resourceVersion": "9"}));
    let json_patch = final_patch(r#"[{"op":"remove","path":"/x"}]"#, None, &fresh, "id").unwrap();
    let paths: Vec<_> = json_patch
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        paths,
        [
            "/metadata/uid",
            "/metadata/resourceVersion",
            "/metadata/annotations",
            "/metadata/annotations/kubechat.io~1step-id",
            "/x"
        ]
    );
    for bad in ["7", "nonsense", r#"{"metadata":null}"#] {
        assert!(final_patch(bad, None, &fresh, "id").is_err(), "{bad}");
    }
}

#[test]
fn a_changed_or_recreated_target_is_seen() {
    let found = deployment("web", 2);
    let planned = target(&found.kind, &found.object);
    assert_eq!(still_as_planned(&planned, &found.object), Ok(()));
    let change = |pointer: &str, value: Value| {
        let mut object = found.object.clone();
        *object.pointer_mut(pointer).unwrap() = value;
        still_as_planned(&planned, &object)
    };
    assert_eq!(change("/status/readyReplicas", json!(0)), Ok(()));
    assert!(change("/spec/replicas", json!(4)).is_err());
    assert!(
        change("/metadata/uid", json!("other"))
            .unwrap_err()
            .contains("created again")
    );
}

#[test]
fn after_a_crash_only_a_mark_proves_the_write() {
    let found = deployment("web", 2);
    let step = one(
        Action::Scale,
        IntentParams {
            replicas: Some(5),
            ..Default::default()
        },
    )
    .unwrap()
    .step;
    let at = |generation: i64, replicas: i64, by: &str| {
        let mut o = found.object.clone();
        o["metadata"]["generation"] = json!(generation);
        o["spec"]["replicas"] = json!(replicas);
        o["metadata"]["managedFields"] = json!([{"manager": by, "operation": "Update", "subresource": "scale",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        trace(&step, &step.targets[0], Some(&o), None, "id")
    };
    assert_eq!(at(4, 5, "kubechat"), Trace::Done);
    assert_eq!(at(3, 2, "kubechat"), Trace::Unknown);
    assert_eq!(at(3, 5, "kubechat"), Trace::Unknown);
    assert_eq!(at(4, 7, "kubechat"), Trace::Unknown);
    // Somebody else reached the same number: that is no proof that this step did.
    assert_eq!(at(4, 5, "kube-controller-manager"), Trace::Unknown);
    assert_eq!(at(4, 5, "kubectl"), Trace::Unknown);
    assert_eq!(trace(&step, &step.targets[0], None, None, "id"), Trace::Unknown);
    let mut delete = one(Action::Delete, IntentParams::default()).unwrap().step;
    assert_eq!(trace(&delete, &delete.targets[0], None, None, "id"), Trace::Done);
    assert_eq!(
        trace(&delete, &delete.targets[0], Some(&found.object), None, "id"),
        Trace::Unknown
    );
    delete.effect = Effect::Update;
    delete.action = Action::Label;
    let mut marked = found.object.clone();
    marked["metadata"]["annotations"] = json!({"kubechat.io/step-id": "id"});
    assert_eq!(
        trace(&delete, &delete.targets[0], Some(&marked), None, "id"),
        Trace::Done
    );
    assert_eq!(
        trace(&delete, &delete.targets[0], Some(&marked), None, "other"),
        Trace::Unknown
    );
}

#[test]
fn a_step_says_by_which_selector_its_objects_were_found() {
    let by = |names: &[&str], selector: Option<&str>, all: bool| {
        let mut intent = intent(Action::Delete, IntentParams::default());
        intent.target.names = names.iter().map(|n| (*n).to_owned()).collect();
        intent.target.selector = selector.map(str::to_owned);
        intent.target.all = all;
        let found = [deployment("web", 2)];
        let drafts = draft(&intent, &found, &[], Timestamp::UNIX_EPOCH).unwrap();
        drafts[0].step.selector.clone()
    };
    assert_eq!(by(&["web"], None, false), None);
    assert_eq!(by(&["web"], Some("app=web"), false), None);
    assert_eq!(by(&[], Some("app=web"), false).as_deref(), Some("app=web"));
    assert_eq!(by(&[], None, true).as_deref(), Some("*"));
}

#[test]
fn what_differs_in_the_undoing_of_one_write_is_told_of_each_and_bounded() {
    let to = |from: &[i32]| {
        let params = IntentParams {
            replicas: Some(9),
            ..Default::default()
        };
        let each = from.iter().enumerate();
        let found: Vec<_> = each.map(|(n, r)| deployment(&format!("w{n}"), *r)).collect();
        let drafts = draft(&intent(Action::Scale, params), &found, &[], Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(drafts.len(), 1);
        drafts[0].step.rollback.why.clone()
    };
    assert_eq!(
        to(&[12, 1, 12, 1]),
        "scale back to 12; scale back to 1",
        "each once, and none for another that begins alike"
    );
    let many: Vec<i32> = (10..200).collect();
    let why = to(&many);
    assert!(why.len() <= MAX_WHY && why.ends_with('…'), "{why}");
}
