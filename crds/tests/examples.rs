//! Every example is an object of its kind, with no field the kind does not know.

// Helpers of tests may stop where they stand; clippy only knows the test functions themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use kubechat_crds as api;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "yaml") {
            found.push(path);
        }
    }
}

/// Reads the object as its type and back: what the type does not know would be lost on the way.
fn known<K: DeserializeOwned + Serialize>(value: &Value) -> Result<(), String> {
    let typed: K = serde_json::from_value(value.clone()).map_err(|e| e.to_string())?;
    let back = serde_json::to_value(&typed).map_err(|e| e.to_string())?;
    lost("", value, &back).map_or(Ok(()), |path| Err(format!("{path} is no field of the kind")))
}

fn lost(path: &str, from: &Value, to: &Value) -> Option<String> {
    match (from, to) {
        (Value::Object(a), Value::Object(b)) => a.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match b.get(key) {
                Some(other) => lost(&path, value, other),
                None => Some(path),
            }
        }),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .find_map(|(x, y)| lost(&format!("{path}[]"), x, y)),
        (a, b) => (a != b).then(|| path.to_owned()),
    }
}

fn check(value: &Value) -> Result<(), String> {
    match value.get("kind").and_then(Value::as_str).unwrap_or_default() {
        "ChatRequest" => known::<api::ChatRequest>(value),
        "ChatSession" => known::<api::ChatSession>(value),
        "Approval" => known::<api::Approval>(value),
        "RiskPolicy" => known::<api::RiskPolicy>(value),
        "AuditPolicy" => known::<api::AuditPolicy>(value),
        "AIProvider" => known::<api::AIProvider>(value),
        "ApproverKey" => known::<api::ApproverKey>(value),
        other => Err(format!("kind {other} is none of ours that a person writes")),
    }
}

#[test]
fn every_example_parses_into_its_kind() {
    let mut files = vec![];
    yaml_files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples"),
        &mut files,
    );
    assert!(files.len() >= 8, "only {} examples found", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for document in text.split("\n---\n") {
            // What a template leaves open is filled in as its comment says.
            let document = document.replace("NOT_AFTER", "2026-01-31T12:00:00Z");
            let value: Value = serde_saphyr::from_str(&document).unwrap();
            if value["apiVersion"] != "kubechat.io/v1beta1" {
                let of_others = ["gitops", "argocd"].map(|folder| file.iter().any(|part| part == folder));
                assert!(of_others.contains(&true), "{}", file.display());
                continue;
            }
            check(&value).unwrap_or_else(|problem| panic!("{}: {problem}", file.display()));
        }
    }
}

#[test]
fn a_misspelt_field_is_found() {
    let value = serde_json::json!({"apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequest", "metadata": {"name": "x"},
        "spec": {"prompt": "p", "mode": "Auto", "cancel": false, "promt": "typo"}});
    assert!(check(&value).unwrap_err().contains(".spec.promt"));
}
