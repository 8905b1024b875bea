use kubechat_crds::intent::{Action, IntentParams};
use serde_json::{Value, json};

use super::actions::changes_tests::{deployment, plain};
use super::{removed_target, still_as_planned, target};

#[test]
fn a_target_that_belongs_to_somebody_else_by_now_is_not_as_planned() {
    let found = deployment(None);
    let with = |field: &str, value: Value| {
        let mut object = found.object.clone();
        object["metadata"][field] = value;
        object
    };
    let owner = |uid: &str, blocks: bool| json!([{"apiVersion": "shop.example.com/v1", "kind": "Shop", "name": "s", "uid": uid, "controller": true, "blockOwnerDeletion": blocks}]);
    for planned in [
        target(&found.kind, &found.object),
        removed_target(&found.kind, &found.object),
    ] {
        let changed = still_as_planned(&planned, &with("ownerReferences", owner("u", true)));
        assert!(changed.unwrap_err().contains("was changed since"));
        assert_eq!(
            still_as_planned(&planned, &with("ownerReferences", json!([]))),
            Ok(())
        );
    }
    let owned = target(&found.kind, &with("ownerReferences", owner("u", true)));
    for (now, same) in [
        (owner("u", false), true),
        (owner("other", true), false),
        (Value::Null, false),
    ] {
        assert_eq!(
            still_as_planned(&owned, &with("ownerReferences", now)).is_ok(),
            same
        );
    }
}

#[test]
fn of_an_object_to_be_deleted_a_new_finalizer_counts_and_that_of_kubernetes_does_not() {
    let found = deployment(None);
    let now = |finalizers: Value| {
        let mut object = found.object.clone();
        object["metadata"]["finalizers"] = finalizers;
        object
    };
    let delete = plain(Action::Delete, IntentParams::default(), &found)
        .unwrap()
        .step
        .targets
        .remove(0);
    let label = target(&found.kind, &found.object);
    for (finalizers, kept) in [
        (json!(["shop.example.com/keep"]), false),
        (
            json!([
                "kubernetes.io/pvc-protection",
                "batch.kubernetes.io/job-tracking",
                "orphan"
            ]),
            true,
        ),
        (json!([]), true),
    ] {
        assert_eq!(
            still_as_planned(&delete, &now(finalizers.clone())).is_ok(),
            kept,
            "{finalizers}"
        );
        assert_eq!(still_as_planned(&label, &now(finalizers)), Ok(()));
    }
}
