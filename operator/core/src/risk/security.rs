//! What a new pod spec may do that the old one might not: read from the diff, where it is whole, else from what is sent.

use kubechat_crds::Step;
use kubechat_crds::command_plan::{Effect, Target};
use serde_json::{Map, Value};

use super::kinds::{self, Class};
use super::weights::{self, Weight};
use crate::plan::diff;

/// Capabilities with which a container is as good as root on its node.
const AS_ROOT: &[&str] = &[
    "ALL",
    "SYS_ADMIN",
    "SYS_MODULE",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_BOOT",
    "NET_ADMIN",
    "BPF",
    "DAC_READ_SEARCH",
    "DAC_OVERRIDE",
    "MAC_ADMIN",
    "PERFMON",
];

/// What a step adds, each with the value it rests on.
pub(super) fn added(step: &Step) -> Vec<(Weight, String)> {
    let mut found = vec![];
    for line in &step.diff {
        let before = sides(&line.path, line.before.as_deref());
        for one in sides(&line.path, line.after.as_deref()) {
            if !before.contains(&one) {
                found.push(one);
            }
        }
        if line.after.is_none() {
            found.extend(withdrawn(&line.path, line.before.as_deref()));
        }
    }
    let whole = !step.diff.is_empty() && unread(step).is_none();
    if step.effect == Effect::Create || !whole {
        let sent = [&step.manifest, &step.patch].into_iter().flatten();
        for value in sent.filter_map(|text| serde_json::from_str::<Value>(text).ok()) {
            found.extend(of_sent(&value));
        }
    }
    if step.effect == Effect::Create && hidden(step) {
        let told = format!("the manifest of step {} stands beside the plan, unread", step.id);
        found.push((weights::PRIVILEGED, told));
    }
    found.extend(step.params.image.as_deref().filter(|i| floats(i)).map(latest));
    found
}

/// Whether a step makes pods of a spec that the plan does not show: it may do anything.
fn hidden(step: &Step) -> bool {
    let shown = |text: &String| {
        let value = serde_json::from_str::<Value>(text).ok();
        value.is_some_and(|v| v.as_object().is_some_and(|map| !map.is_empty()))
    };
    let unread = match &step.manifest {
        Some(text) => !shown(text),
        None => step.manifest_digest.is_some(),
    };
    unread && step.targets.iter().any(bears_pods)
}

/// Whether objects of its kind hold a pod spec, or may.
fn bears_pods(target: &Target) -> bool {
    match kinds::of(target) {
        Class::Stateful | Class::Unknown => true,
        Class::Stateless => !matches!(
            target.kind.as_str(),
            "Service" | "ConfigMap" | "Ingress" | "HorizontalPodAutoscaler"
        ),
        Class::Guard
        | Class::Namespace
        | Class::Node
        | Class::Storage
        | Class::Secret
        | Class::Rbac
        | Class::Admission
        | Class::Definition => false,
    }
}

/// What of a step's content cannot be read in the plan, if anything.
pub(super) fn unread(step: &Step) -> Option<String> {
    let cut = |text: &Option<String>| text.as_deref().is_some_and(diff::is_cut);
    if step
        .diff
        .iter()
        .any(|l| l.path.starts_with('(') || cut(&l.before) || cut(&l.after))
    {
        return Some(format!("the diff of step {} is cut", step.id));
    }
    None
}

/// A merge patch or manifest as it is; a JSON patch operation by operation.
fn of_sent(value: &Value) -> Vec<(Weight, String)> {
    let mut found = vec![];
    match value {
        Value::Array(operations) => {
            for operation in operations {
                let path = operation.get("path").and_then(Value::as_str).unwrap_or_default();
                if let Some(value) = operation.get("value") {
                    walk("", "", &nested(path, value.clone()), &mut found);
                }
            }
        }
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            walk("", "", value, &mut found);
        }
    }
    found
}

/// What one side of a diff line holds.
fn sides(path: &str, text: Option<&str>) -> Vec<(Weight, String)> {
    let mut found = vec![];
    if let Some(text) = text {
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        walk("", "", &nested(path, value), &mut found);
    }
    found
}

/// A value inside the object its JSON pointer describes, so that one walk reads both.
pub(crate) fn nested(path: &str, value: Value) -> Value {
    path.rsplit('/')
        .filter(|s| !s.is_empty())
        .fold(value, |inner, segment| {
            if segment == "-" || segment.bytes().all(|b| b.is_ascii_digit()) {
                return Value::Array(vec![inner]);
            }
            let mut map = Map::new();
            map.insert(segment.replace("~1", "/").replace("~0", "~"), inner);
            Value::Object(map)
        })
}

/// A restriction that is taken away.
fn withdrawn(path: &str, before: Option<&str>) -> Option<(Weight, String)> {
    let told = format!("{path} is removed");
    match (path.rsplit('/').next(), before) {
        (Some("runAsNonRoot"), Some("true")) => Some((weights::RUN_AS_ROOT, told)),
        (Some("allowPrivilegeEscalation"), Some("false")) => Some((weights::ESCALATION, told)),
        _ => None,
    }
}

fn walk(parent: &str, key: &str, value: &Value, found: &mut Vec<(Weight, String)>) {
    let yes = value.as_bool() == Some(true);
    let no = value.as_bool() == Some(false);
    match key {
        "privileged" if yes => found.push((weights::PRIVILEGED, "privileged: true".to_owned())),
        "allowPrivilegeEscalation" if yes => {
            found.push((weights::ESCALATION, "allowPrivilegeEscalation: true".to_owned()));
        }
        "hostNetwork" | "hostPID" | "hostIPC" if yes => {
            found.push((weights::HOST_NAMESPACE, format!("{key}: true")));
        }
        "hostPath" if !value.is_null() => {
            let path = value.get("path").and_then(Value::as_str).unwrap_or("any");
            found.push((weights::HOST_PATH, format!("hostPath: {path}")));
        }
        "runAsNonRoot" if no => found.push((weights::RUN_AS_ROOT, "runAsNonRoot: false".to_owned())),
        "runAsUser" | "runAsGroup" if value.as_i64() == Some(0) => {
            found.push((weights::RUN_AS_ROOT, format!("{key}: 0")));
        }
        "add" if parent == "capabilities" => {
            if let Some(name) = value.as_str() {
                let bare = name.to_ascii_uppercase();
                let bare = bare.strip_prefix("CAP_").unwrap_or(&bare);
                let weight = if AS_ROOT.contains(&bare) {
                    weights::CAPABILITY_NODE
                } else {
                    weights::CAPABILITY
                };
                found.push((weight, format!("capabilities.add: {name}")));
            }
        }
        "image" => found.extend(value.as_str().filter(|i| floats(i)).map(latest)),
        _ => {}
    }
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| walk(key, k, v, found)),
        Value::Array(list) => list.iter().for_each(|v| walk(parent, key, v, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn latest(image: &str) -> (Weight, String) {
    (weights::LATEST, format!("image: {image}"))
}

/// Whether what an image name means may change: no digest, and no tag or the tag `latest`.
fn floats(image: &str) -> bool {
    if image.is_empty() || image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest" || tag.is_empty(),
        None => true,
    }
}
