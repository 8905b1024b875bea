//! What a new pod template asks for beyond an ordinary pod: what the Pod Security level "baseline" forbids, another account
//! than the namespace's own, a node of its own choice. What is root on a node is found in [`super::security`].

use kubechat_crds::Step;
use kubechat_crds::command_plan::Effect;
use serde_json::{Map, Value};

use super::security::nested;
use crate::plan::object;

/// Capabilities that the level "baseline" lets a container add.
const ORDINARY: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// Types of SELinux that the level "baseline" lets a container have.
const CONTAINER_TYPES: &[&str] = &[
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];
/// Annotations that took a profile before there was a field for it.
const PROFILES: &[&str] = &[
    "seccomp.security.alpha.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "container.apparmor.security.beta.kubernetes.io/",
];

/// What the pods of a new object may do that an ordinary pod may not, by the manifest and by what the API server made of it.
pub(super) fn powers(step: &Step) -> Vec<String> {
    if step.effect != Effect::Create {
        return vec![];
    }
    let sent = step.manifest.as_deref().map(serde_json::from_str::<Value>);
    let shown = step.diff.iter().filter_map(|line| {
        let text = line.after.as_deref()?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
        Some(nested(&line.path, value))
    });
    let mut found = vec![];
    for object in sent.into_iter().flatten().chain(shown) {
        for target in &step.targets {
            of_object(&target.kind, &object, &mut found);
        }
    }
    found.sort();
    found.dedup();
    found
}

fn of_object(kind: &str, object: &Value, found: &mut Vec<String>) {
    let Some(at) = object::pod_spec_pointer(kind) else {
        return;
    };
    if let Some(spec) = object.pointer(at) {
        walk("", spec, found);
    }
    let template = at.strip_suffix("/spec").unwrap_or(at);
    let annotations = object.pointer(&format!("{template}/metadata/annotations"));
    for (key, value) in annotations.and_then(Value::as_object).into_iter().flatten() {
        if PROFILES.iter().any(|profile| key.starts_with(profile)) && unconfined(value) {
            found.push(format!("{key}: unconfined"));
        }
    }
}

fn unconfined(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.eq_ignore_ascii_case("unconfined"))
}

/// Whether a value says nothing.
fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(_) => false,
    }
}

fn walk(key: &str, value: &Value, found: &mut Vec<String>) {
    match key {
        "serviceAccountName" | "serviceAccount" if !empty(value) && value != "default" => {
            found.push(format!("{key}: {}", text(value)));
        }
        "nodeName" | "hostPort" | "hostProcess" | "sysctls" if !empty(value) => {
            found.push(format!("{key}: {}", text(value)));
        }
        "flexVolume" if !value.is_null() => found.push("flexVolume".to_owned()),
        "procMount" if !empty(value) && value != "Default" => {
            found.push(format!("procMount: {}", text(value)));
        }
        "seccompProfile" | "appArmorProfile" if value.get("type").is_some_and(unconfined) => {
            found.push(format!("{key}: Unconfined"));
        }
        "seLinuxOptions" => found.extend(labelled(value)),
        // A probe that the kubelet sends elsewhere than to its pod.
        "httpGet" | "tcpSocket" if value.get("host").is_some_and(|host| !empty(host)) => {
            found.push(format!("{key} with a host"));
        }
        "capabilities" => found.extend(capabilities(value)),
        _ => {}
    }
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| walk(key, value, found)),
        Value::Array(list) => list.iter().for_each(|value| walk("", value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn labelled(options: &Value) -> Option<String> {
    let options: &Map<String, Value> = options.as_object()?;
    let own = |key: &str| options.get(key).is_some_and(|value| !empty(value));
    let foreign = options
        .get("type")
        .is_some_and(|of| !empty(of) && of.as_str().is_none_or(|of| !CONTAINER_TYPES.contains(&of)));
    (own("user") || own("role") || foreign).then(|| "seLinuxOptions".to_owned())
}

fn capabilities(value: &Value) -> impl Iterator<Item = String> {
    let added = value.get("add").and_then(Value::as_array);
    let names = added.into_iter().flatten().map(text);
    names
        .filter(|name| !ORDINARY.contains(&name.as_str()))
        .map(|name| format!("capabilities.add: {name}"))
}
