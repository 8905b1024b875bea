//! The CustomResourceDefinitions, with what the derive cannot say added.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

/// All CRDs of this release, sorted by name.
///
/// # Errors
/// When a generated definition is no valid CRD (a programming error that the tests find).
pub fn crds() -> Result<Vec<CustomResourceDefinition>, serde_json::Error> {
    let mut all = vec![
        crate::ChatSession::crd(),
        crate::ChatRequest::crd(),
        crate::CommandPlan::crd(),
        crate::Approval::crd(),
        crate::AIProvider::crd(),
        crate::RiskPolicy::crd(),
        crate::ApproverKey::crd(),
        crate::AuditPolicy::crd(),
    ];
    all.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    all.into_iter().map(finish).collect()
}

/// Adds the status default (so that kstatus says InProgress before the first visit), and drops integer formats the API
/// server does not know and `nullable` (an optional field is absent, not null).
fn finish(crd: CustomResourceDefinition) -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut value = serde_json::to_value(crd)?;
    if let Some(versions) = value.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        for version in versions {
            if let Some(status) = version.pointer_mut("/schema/openAPIV3Schema/properties/status") {
                status["default"] = json!({ "observedGeneration": -1 });
            }
        }
    }
    tidy(&mut value);
    serde_json::from_value(value)
}

fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let unknown = map
                .get("format")
                .and_then(Value::as_str)
                .is_some_and(|f| f.starts_with("uint"));
            if unknown {
                map.remove("format");
            }
            if map.get("nullable") == Some(&Value::Bool(true)) {
                map.remove("nullable");
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(list) => list.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
