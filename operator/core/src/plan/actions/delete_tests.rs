use kubechat_crds::command_plan::RollbackKind;
use kubechat_crds::intent::{Action, IntentParams};
use serde_json::{Value, json};

use super::changes_tests::{found, kind, plain};
use crate::plan::{Draft, Found};

fn deleted(found: &Found) -> Draft {
    plain(Action::Delete, IntentParams::default(), found).unwrap()
}

/// What the deletion of an object says of its undoing, and the manifest that is kept for it.
fn undo(found: &Found) -> (RollbackKind, String, Value) {
    let draft = deleted(found);
    let manifest = draft.step.rollback.undo_of(0).and_then(|undo| undo.manifest);
    let manifest = manifest.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
    (draft.step.rollback.kind, draft.step.rollback.why, manifest)
}

fn job(spec: Value) -> Found {
    found(kind("batch", "v1", "Job", "jobs"), "once", spec)
}

fn pod(spec: Value) -> Found {
    found(kind("", "v1", "Pod", "pods"), "p", spec)
}

#[test]
fn no_snapshot_is_promised_to_be_brought_back() {
    for (group, name, undone) in [
        ("snapshot.storage.k8s.io", "VolumeSnapshot", false),
        ("snapshot.storage.k8s.io", "VolumeSnapshotContent", false),
        ("groupsnapshot.storage.k8s.io", "VolumeGroupSnapshot", false),
        (
            "groupsnapshot.storage.k8s.io",
            "VolumeGroupSnapshotContent",
            false,
        ),
        // It holds no data.
        ("snapshot.storage.k8s.io", "VolumeSnapshotClass", true),
    ] {
        let (rollback, why, _) = undo(&found(kind(group, "v1", name, "snaps"), "backup", json!({})));
        assert_eq!(rollback == RollbackKind::Recreate, undone, "{name}: {why}");
        assert_eq!(why.contains("snapshot may be deleted"), !undone, "{name}: {why}");
    }
}

#[test]
fn a_stateful_set_that_takes_its_claims_along_is_not_promised_to_be_brought_back() {
    let of = |policy: Value, claims: Value| {
        let spec = json!({"persistentVolumeClaimRetentionPolicy": policy, "volumeClaimTemplates": claims});
        undo(&found(
            kind("apps", "v1", "StatefulSet", "statefulsets"),
            "db",
            spec,
        ))
    };
    let claims = json!([{"metadata": {"name": "data"}}]);
    let (rollback, why, _) = of(
        json!({"whenDeleted": "Delete", "whenScaled": "Retain"}),
        claims.clone(),
    );
    assert_eq!(rollback, RollbackKind::None);
    assert!(
        why.contains("whenDeleted: Delete") && why.contains("data"),
        "{why}"
    );
    // A value that is not known does not keep them.
    assert_eq!(
        of(json!({"whenDeleted": "Later"}), claims.clone()).0,
        RollbackKind::None
    );
    for (policy, claims) in [
        (
            json!({"whenDeleted": "Retain", "whenScaled": "Delete"}),
            claims.clone(),
        ),
        (Value::Null, claims),
        (json!({"whenDeleted": "Delete"}), Value::Null),
    ] {
        assert_eq!(of(policy, claims).0, RollbackKind::Recreate);
    }
}

#[test]
fn what_the_controller_of_an_unknown_kind_removes_is_said_not_to_come_back() {
    let database = found(
        kind("db.example.com", "v1", "Database", "databases"),
        "orders",
        json!({}),
    );
    let (rollback, why, _) = undo(&database);
    assert_eq!(rollback, RollbackKind::Recreate);
    assert!(
        why.contains("database/orders is of a kind KubeChat does not know")
            && why.contains("does not come back"),
        "{why}"
    );
    let (_, why, _) = undo(&found(
        kind("", "v1", "ConfigMap", "configmaps"),
        "c",
        Value::Null,
    ));
    assert!(!why.contains("does not know"), "{why}");
    // What it owned is removed with it, of whatever kind it is.
    assert!(why.contains("only where a controller makes it again"), "{why}");
}

#[test]
fn a_job_whose_selector_a_person_chose_keeps_it_and_any_other_is_made_without() {
    let labels = json!({"app": "once", "team/job-name": "ours", "controller-uid": "u", "job-name": "once",
        "batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "once"});
    let selector = json!({"matchLabels": {"app": "once"}});
    let template = json!({"metadata": {"labels": labels}, "spec": {}});
    let (_, why, manifest) = undo(&job(
        json!({"manualSelector": true, "selector": selector, "template": template}),
    ));
    assert!(why.contains("job/once runs again from its start"), "{why}");
    assert_eq!(manifest["spec"]["selector"], selector);
    assert_eq!(manifest["spec"]["template"], template);
    for other in [json!(false), Value::Null] {
        let (_, _, manifest) = undo(&job(
            json!({"manualSelector": other, "selector": selector, "template": template}),
        ));
        assert!(manifest["spec"].get("selector").is_none(), "{manifest}");
        let kept = &manifest["spec"]["template"]["metadata"]["labels"];
        assert_eq!(*kept, json!({"app": "once", "team/job-name": "ours"}));
    }
}

#[test]
fn a_pod_is_made_again_without_what_no_pod_can_be_created_with_and_that_is_said() {
    let (rollback, why, manifest) = undo(&pod(json!({
        "nodeName": "n1", "containers": [{"name": "c", "image": "i:1"}],
        "ephemeralContainers": [{"name": "debug", "image": "busybox"}],
        "volumes": [{"name": "scratch", "emptyDir": {}}, {"name": "big", "ephemeral": {}}, {"name": "conf", "configMap": {}}]
    })));
    assert_eq!(rollback, RollbackKind::Recreate);
    assert!(
        manifest["spec"].get("ephemeralContainers").is_none(),
        "{manifest}"
    );
    assert!(manifest["spec"].get("nodeName").is_none(), "{manifest}");
    assert!(why.contains("without its ephemeral (debug) containers"), "{why}");
    assert!(
        why.contains("temporary volume scratch, big of pod/p is lost"),
        "{why}"
    );
    let (_, why, _) = undo(&pod(json!({"containers": [], "ephemeralContainers": []})));
    assert!(!why.contains("ephemeral") && !why.contains("temporary"), "{why}");
}

#[test]
fn owners_and_finalizers_that_are_not_set_again_are_named() {
    let mut map = found(kind("", "v1", "ConfigMap", "configmaps"), "c", Value::Null);
    map.object["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "w"}]);
    map.object["metadata"]["finalizers"] = json!(["example.com/keep"]);
    let (rollback, why, manifest) = undo(&map);
    assert_eq!(rollback, RollbackKind::Recreate);
    assert!(
        why.contains("configmap/c no longer belongs to deployment web"),
        "{why}"
    );
    assert!(
        why.contains("finalizers of configmap/c are not set again: example.com/keep"),
        "{why}"
    );
    assert!(
        manifest["metadata"].get("ownerReferences").is_none(),
        "{manifest}"
    );
    assert!(manifest["metadata"].get("finalizers").is_none(), "{manifest}");
}
