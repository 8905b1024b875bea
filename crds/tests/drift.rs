//! What is committed is what the code says.

// Helpers of tests may stop where they stand; clippy only knows the test functions themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kubechat_crds::install::{Options, crds::crds, manifests};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")
}

#[test]
fn committed_manifests_equal_the_generated_ones() {
    let generated = manifests(&Options::default()).unwrap();
    for (name, text) in &generated {
        let committed = std::fs::read_to_string(folder().join(name)).unwrap_or_default();
        assert!(
            committed == *text,
            "{name} differs from the code: run `make crds` and commit the result"
        );
    }
    let names: BTreeSet<String> = generated.iter().map(|(n, _)| (*n).to_owned()).collect();
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, names, "files nobody generates, or that are missing");
}

/// Every property of every kind, with its path.
fn properties(path: &str, schema: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    for (name, property) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let path = format!("{path}.{name}");
        visit(&path, property);
        properties(&path, property, visit);
        if let Some(items) = property.get("items") {
            properties(&format!("{path}[]"), items, visit);
        }
    }
}

fn for_each_property(mut visit: impl FnMut(&str, &Value)) {
    for crd in crds().unwrap() {
        let value = serde_json::to_value(&crd).unwrap();
        let schema = value.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        let kind = &crd.spec.names.kind;
        for part in ["spec", "status"] {
            properties(&format!("{kind}.{part}"), &schema["properties"][part], &mut visit);
        }
    }
}

#[test]
fn every_field_is_explained() {
    let mut silent = vec![];
    for_each_property(|path, property| {
        let described = property
            .get("description")
            .and_then(Value::as_str)
            .is_some_and(|d| d.len() > 3);
        if !described {
            silent.push(path.to_owned());
        }
    });
    assert!(silent.is_empty(), "kubectl explain says nothing of {silent:#?}");
}

#[test]
fn every_text_list_and_map_is_bounded() {
    let mut unbounded = vec![];
    for_each_property(|path, property| {
        let has = |key: &str| property.get(key).is_some();
        let free = match property.get("type").and_then(Value::as_str) {
            Some("string") => !has("maxLength") && !has("enum") && property.get("format").is_none(),
            Some("array") => !has("maxItems"),
            Some("object") => has("additionalProperties") && !has("maxProperties"),
            _ => false,
        };
        // Kubernetes' own LabelSelector is bounded by the API server's request limit.
        if free && !path.contains("matchLabels") && !path.contains("matchExpressions") {
            unbounded.push(path.to_owned());
        }
    });
    assert!(unbounded.is_empty(), "without a bound: {unbounded:#?}");
}

#[test]
fn kinds_have_the_names_scopes_and_categories_of_the_design() {
    let got: Vec<_> = crds()
        .unwrap()
        .iter()
        .map(|c| {
            let names = &c.spec.names;
            let short = names.short_names.clone().unwrap_or_default().join(",");
            let categories = names.categories.clone().unwrap_or_default().join(",");
            (names.kind.clone(), c.spec.scope.clone(), short, categories)
        })
        .collect();
    let want = [
        ("AIProvider", "Cluster", "kcai", "kubechat,kubechat-policy"),
        ("Approval", "Namespaced", "kca", "kubechat,kubechat-work"),
        ("ApproverKey", "Cluster", "kcak", "kubechat,kubechat-policy"),
        ("AuditPolicy", "Cluster", "kcaup", "kubechat,kubechat-policy"),
        ("ChatRequest", "Namespaced", "kcr", "kubechat,kubechat-work"),
        ("ChatSession", "Namespaced", "kcs", "kubechat,kubechat-work"),
        ("CommandPlan", "Namespaced", "kcp", "kubechat,kubechat-work"),
        ("RiskPolicy", "Cluster", "kcrp", "kubechat,kubechat-policy"),
    ]
    .map(|(a, b, c, d)| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned()));
    assert_eq!(got, want);
}

#[test]
fn conditions_are_merged_by_type_and_an_object_nobody_has_seen_says_so() {
    for crd in crds().unwrap() {
        let kind = crd.spec.names.kind.clone();
        let value = serde_json::to_value(&crd).unwrap();
        let schema = value.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        let status = &schema["properties"]["status"];
        assert_eq!(status["default"], json!({"observedGeneration": -1}), "{kind}");
        let conditions = &status["properties"]["conditions"];
        assert_eq!(conditions["x-kubernetes-list-type"], "map", "{kind}");
        assert_eq!(
            conditions["x-kubernetes-list-map-keys"],
            json!(["type"]),
            "{kind}"
        );
    }
}
