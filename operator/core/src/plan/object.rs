//! What KubeChat reads from and hides in Kubernetes objects, which are handled as JSON.

use serde_json::{Map, Value};

/// Stands where a value of the cluster is hidden.
pub const MASK: &str = "(masked)";
/// The annotation in which kubectl keeps the object as it was applied, with all its values.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// `sha256:..` over the object without status and metadata, plus labels, annotations and owners: the precondition for kinds
/// whose status churns. Annotations that controllers move by themselves do not count.
#[must_use]
pub fn spec_digest(object: &Value) -> String {
    digest_with(object, None)
}

/// As [`spec_digest`], with the finalizers: who else acts when the object is deleted. Those of Kubernetes itself come and go.
#[must_use]
pub fn removal_digest(object: &Value) -> String {
    let own = |key: &str| {
        let domain = key.split_once('/').map_or("", |(domain, _)| domain);
        domain.is_empty() || domain == "kubernetes.io" || domain.ends_with(".kubernetes.io")
    };
    let finalizers = list(object, "/metadata/finalizers").iter();
    let foreign: Vec<Value> = finalizers
        .filter(|key| !key.as_str().is_some_and(own))
        .cloned()
        .collect();
    digest_with(object, Some(foreign))
}

fn digest_with(object: &Value, finalizers: Option<Vec<Value>>) -> String {
    let mut body = object.as_object().cloned().unwrap_or_default();
    body.remove("status");
    let metadata = body.remove("metadata").unwrap_or(Value::Null);
    let mut annotations = metadata.get("annotations").cloned().unwrap_or(Value::Null);
    if let Some(map) = annotations.as_object_mut() {
        map.retain(|key, _| !is_churning_annotation(key));
        if map.is_empty() {
            annotations = Value::Null;
        }
    }
    body.insert(
        "labels".into(),
        metadata.get("labels").cloned().unwrap_or(Value::Null),
    );
    body.insert("annotations".into(), annotations);
    // Whether an owner may be removed before it says nothing of whose it is.
    let mut owners = metadata.get("ownerReferences").cloned().unwrap_or(Value::Null);
    for owner in owners.as_array_mut().into_iter().flatten() {
        if let Some(owner) = owner.as_object_mut() {
            owner.remove("blockOwnerDeletion");
        }
    }
    if owners.as_array().is_some_and(|owners| !owners.is_empty()) {
        body.insert("ownerReferences".into(), owners);
    }
    if let Some(finalizers) = finalizers {
        body.insert("finalizers".into(), finalizers.into());
    }
    kubechat_crds::digest::digest_of(&Value::Object(body))
        .map(|d| d.to_string())
        .unwrap_or_default()
}

/// Annotations that built-in controllers write on their own.
fn is_churning_annotation(key: &str) -> bool {
    matches!(
        key,
        "deployment.kubernetes.io/revision"
            | "deployment.kubernetes.io/desired-replicas"
            | "deployment.kubernetes.io/max-replicas"
            | "node.alpha.kubernetes.io/ttl"
            | "volumes.kubernetes.io/controller-managed-attach-detach"
            | LAST_APPLIED
    )
}

/// An annotation's value.
#[must_use]
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// JSON pointer of the pod spec inside a workload of this kind.
#[must_use]
pub fn pod_spec_pointer(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some("/spec"),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            Some("/spec/template/spec")
        }
        "CronJob" => Some("/spec/jobTemplate/spec/template/spec"),
        _ => None,
    }
}

/// `metadata.name`, empty if missing.
#[must_use]
pub fn name(object: &Value) -> &str {
    object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A list inside an object; empty where there is none.
#[must_use]
pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    let list = object.pointer(pointer).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// The owner that controls an object: `(kind, name)`.
#[must_use]
pub fn controller(object: &Value) -> Option<(&str, &str)> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners
        .iter()
        .find(|o| o.get("controller").and_then(Value::as_bool) == Some(true))?;
    Some((owner.get("kind")?.as_str()?, owner.get("name")?.as_str()?))
}

/// A copy without what must never leave the API server: values of Secrets, env values, managedFields, last-applied.
#[must_use]
pub fn masked(object: &Value) -> Value {
    let mut copy = object.clone();
    if let Some(metadata) = copy.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    if copy.get("kind").and_then(Value::as_str) == Some("Secret") {
        let annotations = copy
            .pointer_mut("/metadata/annotations")
            .and_then(Value::as_object_mut);
        annotations
            .into_iter()
            .flat_map(Map::values_mut)
            .for_each(|v| *v = MASK.into());
        for field in ["data", "stringData"] {
            if let Some(map) = copy.get_mut(field).and_then(Value::as_object_mut) {
                map.values_mut().for_each(|v| *v = MASK.into());
            }
        }
    }
    mask_env(&mut copy);
    copy
}

/// Hides `value` of every entry of every list called `env`, wherever it stands.
fn mask_env(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(entries) = map.get_mut("env").and_then(Value::as_array_mut) {
                for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
                    if entry.contains_key("value") {
                        entry.insert("value".into(), MASK.into());
                    }
                }
            }
            map.values_mut().for_each(mask_env);
        }
        Value::Array(list) => list.iter_mut().for_each(mask_env),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The manifest that creates an object like this again: without server fields and what a controller fills in.
#[must_use]
pub fn manifest_of(object: &Value) -> Value {
    let mut copy = object.clone();
    let Some(map) = copy.as_object_mut() else {
        return copy;
    };
    map.remove("status");
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in [
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "managedFields",
            "selfLink",
            "deletionGracePeriodSeconds",
            "generateName",
            "finalizers",
            "ownerReferences",
        ] {
            metadata.remove(field);
        }
        prune_annotations(metadata);
    }
    let kind = map.get("kind").and_then(Value::as_str).map(str::to_owned);
    let Some(spec) = map.get_mut("spec").and_then(Value::as_object_mut) else {
        return copy;
    };
    match kind.as_deref() {
        Some("Pod") => {
            spec.remove("nodeName");
            // The API server creates no pod that has one.
            spec.remove("ephemeralContainers");
        }
        // A selector that a person chose is asked for again; any other the API server makes, and refuses to be given.
        Some("Job") if spec.get("manualSelector") != Some(&Value::Bool(true)) => {
            spec.remove("selector");
            if let Some(labels) = spec
                .get_mut("template")
                .and_then(|t| t.pointer_mut("/metadata/labels"))
                .and_then(Value::as_object_mut)
            {
                labels.retain(|key, _| !GENERATED.contains(&key.as_str()));
            }
        }
        _ => {}
    }
    copy
}

/// Labels that the API server writes into the pods of a Job whose selector it makes.
const GENERATED: &[&str] = &[
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
];

fn prune_annotations(metadata: &mut Map<String, Value>) {
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| {
            !is_churning_annotation(key)
                && key != kubechat_crds::STEP_ID_ANNOTATION
                && !key.starts_with("pv.kubernetes.io/")
        });
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "uid": "u", "resourceVersion": "5", "generation": 2,
                "annotations": {"deployment.kubernetes.io/revision": "1", LAST_APPLIED: "{\"secret\":1}"},
                "managedFields": [{}]},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [
                {"name": "c", "image": "i:1", "env": [{"name": "PASSWORD", "value": "hunter2"}, {"name": "R", "valueFrom": {}}]}]}}},
            "status": {"readyReplicas": 2}
        })
    }

    #[test]
    fn masking_hides_env_values_secrets_and_last_applied() {
        let text = masked(&deployment()).to_string();
        assert!(
            !text.contains("hunter2") && !text.contains("last-applied") && !text.contains("managedFields"),
            "{text}"
        );
        let secret = json!({"kind": "Secret", "data": {"k": "aHVudGVyMg=="}, "stringData": {"x": "hunter2"}});
        let text = masked(&secret).to_string();
        assert!(
            !text.contains("aHVudGVyMg") && !text.contains("hunter2") && text.contains("\"k\""),
            "{text}"
        );
    }

    #[test]
    fn spec_digest_ignores_status_and_churn_but_not_spec_labels_or_annotations() {
        let base = spec_digest(&deployment());
        let change = |pointer: &str, value: Value| {
            let mut d = deployment();
            *d.pointer_mut(pointer).unwrap() = value;
            spec_digest(&d)
        };
        assert_eq!(base, change("/status/readyReplicas", json!(0)));
        assert_eq!(base, change("/metadata/resourceVersion", json!("9")));
        assert_eq!(
            base,
            change(
                "/metadata/annotations/deployment.kubernetes.io~1revision",
                json!("2")
            )
        );
        assert_ne!(base, change("/spec/replicas", json!(3)));
        assert_ne!(base, change("/metadata/annotations", json!({"team": "x"})));
    }

    #[test]
    fn a_manifest_holds_no_server_fields() {
        let manifest = manifest_of(&deployment());
        assert!(manifest.get("status").is_none());
        assert_eq!(manifest["metadata"], json!({"name": "web"}));
        assert_eq!(manifest["spec"]["replicas"], 2);
    }
}
