//! How many replicas an object has. Of Kubernetes' own kinds `/spec/replicas` says it; of every other kind only its `scale`
//! subresource does, because the kind's author chose where the number stands (`specReplicasPath`).

use kubechat_crds::command_plan::Target;
use serde_json::Value;

/// Whether the number of replicas of this kind stands in `/spec/replicas` by definition.
#[must_use]
pub fn in_spec(group: &str, kind: &str) -> bool {
    [
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "ReplicaSet"),
        ("", "ReplicationController"),
    ]
    .contains(&(group, kind))
}

/// The number in a Scale, which leaves a zero out; `None` where it is no Scale.
#[must_use]
pub fn of_scale(scale: &Value) -> Option<i64> {
    let spec = (scale.get("kind")?.as_str()? == "Scale").then(|| scale.get("spec"))?;
    match spec.and_then(|s| s.get("replicas")) {
        None => Some(0),
        Some(number) => number.as_i64(),
    }
}

/// The number of replicas of an object, `None` where nothing tells it. `scale` is its Scale, which kinds with
/// [`in_spec`] do without.
#[must_use]
pub fn current(group: &str, kind: &str, object: &Value, scale: Option<&Value>) -> Option<i64> {
    if !in_spec(group, kind) {
        return of_scale(scale?);
    }
    match object.pointer("/spec/replicas") {
        // What the API server fills in.
        None => Some(1),
        Some(number) => number.as_i64(),
    }
}

/// Whether KubeChat was the last to set the number of replicas through the `scale` subresource. The API server writes the
/// field's owner down (managedFields), and a number that somebody else sets changes owner. Through that subresource
/// nothing but the number can be owned, wherever it stands.
#[must_use]
pub fn set_by_us(target: &Target, object: &Value) -> bool {
    let entries = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    entries.into_iter().flatten().any(|entry| {
        let is = |field: &str, value: &str| entry.get(field).and_then(Value::as_str) == Some(value);
        let owns = if in_spec(&target.group, &target.kind) {
            entry.pointer("/fieldsV1/f:spec/f:replicas").is_some()
        } else {
            let fields = entry.get("fieldsV1").and_then(Value::as_object);
            fields.is_some_and(|f| !f.is_empty())
        };
        owns && is("manager", kubechat_crds::FIELD_MANAGER) && is("subresource", "scale")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_its_scale_tells_the_number_of_a_kind_that_is_not_kubernetes_own() {
        // Its author put the number elsewhere, and gave `replicas` another meaning.
        let object = json!({"spec": {"instances": 3, "replicas": 99}});
        let scale = |spec: Value| json!({"kind": "Scale", "spec": spec});
        for (scale, number) in [
            (Some(scale(json!({"replicas": 3}))), Some(3)),
            (Some(scale(json!({}))), Some(0)),
            (Some(scale(json!({"replicas": "3"}))), None),
            (Some(json!({"kind": "Cluster", "spec": {"replicas": 3}})), None),
            (Some(json!({})), None),
            (None, None),
        ] {
            let found = current("postgresql.cnpg.io", "Cluster", &object, scale.as_ref());
            assert_eq!(found, number, "{scale:?}");
        }
        assert_eq!(current("apps", "Deployment", &object, None), Some(99));
        assert_eq!(current("apps", "Deployment", &json!({"spec": {}}), None), Some(1));
        // A kind of the same name in another group is another kind.
        assert_eq!(current("example.org", "Deployment", &object, None), None);
    }
}
