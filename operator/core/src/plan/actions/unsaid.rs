//! What an apply would change now beyond what its plan says: what it takes away rests on what was applied before, and what is
//! filled in rests on the API server and its webhooks, which may change while the object stays as it is.

use kubechat_crds::command_plan::{DiffLine, Target};
use kubechat_crds::{STEP_ID_ANNOTATION, Step};
use serde_json::{Map, Value};

use super::apply::difference;
use super::object::{LAST_APPLIED, MASK};
use crate::plan::diff;

/// Fields of the metadata that only the server writes.
const OF_SERVER: &[&str] = &[
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "selfLink",
];

/// `sha256:..` over all that an apply changes between these two, the values too: what the plan shows of it may be cut, masked
/// or bounded. What the server chooses anew at each try (addresses and ports of a Service) is no part of it.
#[must_use]
pub fn change_digest(before: &Value, after: &Value) -> Option<String> {
    let change = difference(&compared(before), &compared(after)).unwrap_or_default();
    let digest = kubechat_crds::digest::digest_of(&change).ok()?;
    Some(digest.to_string())
}

/// What an apply would change now though the plan does not say so, or may not: `None` where it is all as planned, or less.
#[must_use]
pub fn unsaid(step: &Step, before: &Value, after: &Value) -> Option<String> {
    let planned = planned(step, before);
    let digest = planned.and_then(|(_, target)| target.change_digest.clone());
    if digest.is_some() && digest == change_digest(before, after) {
        return None;
    }
    let target = planned.map_or(0, |(index, _)| index);
    let lines = diff::diff(target, Some(&compared(before)), Some(&compared(after)));
    let whole = !step.diff.iter().any(|line| line.path.starts_with('('));
    let differs = lines.iter().find_map(|line| beyond(step, line));
    // A line that is said takes nothing from those that could not be shown.
    match differs {
        Some(path) if whole => Some(path),
        Some(path) => Some(format!(
            "{path} or another of the fields that the plan has no room to show,"
        )),
        None => None,
    }
}

/// The target that an object is, and where it stands.
fn planned<'a>(step: &'a Step, object: &Value) -> Option<(usize, &'a Target)> {
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
    let mut all = step.targets.iter().enumerate();
    match step.targets.len() {
        1 => all.next(),
        _ => all.find(|(_, target)| uid.is_some() && target.uid.as_deref() == uid),
    }
}

/// What of a change is not in the plan.
fn beyond(step: &Step, line: &DiffLine) -> Option<String> {
    let said = |said: &&DiffLine| said.target == line.target && said.path == line.path;
    let Some(said) = step.diff.iter().find(said) else {
        return Some(line.path.clone());
    };
    if said.after != line.after {
        return Some(format!("{} to another value", line.path));
    }
    let after = line.after.as_deref().unwrap_or_default();
    if after.contains(MASK) || diff::is_cut(after) {
        return Some(format!("{}, of which the plan does not show all,", line.path));
    }
    None
}

/// An object as it is compared.
fn compared(object: &Value) -> Value {
    let mut copy = object.clone();
    let service = copy.get("kind").and_then(Value::as_str) == Some("Service");
    if let Some(map) = copy.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = copy.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !OF_SERVER.contains(&key.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| key != STEP_ID_ANNOTATION && key != LAST_APPLIED);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    if let Some(spec) = copy
        .get_mut("spec")
        .and_then(Value::as_object_mut)
        .filter(|_| service)
    {
        allocated(spec);
    }
    copy
}

/// Takes out what the server chooses for a Service.
fn allocated(spec: &mut Map<String, Value>) {
    spec.retain(|key, _| !matches!(key.as_str(), "clusterIP" | "clusterIPs" | "healthCheckNodePort"));
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        port.remove("nodePort");
    }
}
