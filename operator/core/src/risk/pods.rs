//! What a new pod template asks for beyond an ordinary pod: what the Pod Security level "baseline" forbids, another account
//! than the namespace's own, a node of its own choice or one of the control plane, a place before others, data that is there
//! already. What is root on a node is found in [`super::security`].

use kubechat_crds::Step;
use kubechat_crds::command_plan::{Effect, Target};
use serde_json::{Map, Value};

use super::kinds::{self, Class};
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
/// Keys of annotations and labels by which container runtimes, networks and clouds give a pod more than its spec says.
const GIVING_KEYS: &[&str] = &[
    "iam.amazonaws.com/",
    "io.kubernetes.cri-o.",
    "k8s.v1.cni.cncf.io/",
    "v1.multus-cni.io/",
    "cni.projectcalico.org/",
    "aadpodidbinding",
];
/// Labels of the nodes that the control plane runs on, and keys of the taints that keep others off them.
const CONTROL_PLANE: &[&str] = &[
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/controlplane",
    "node-role.kubernetes.io/master",
    "node-role.kubernetes.io/api-server",
    "node-role.kubernetes.io/etcd",
    "CriticalAddonsOnly",
];
/// Keys by which an affinity or a selector names single nodes.
const ONE_NODE: &[&str] = &["kubernetes.io/hostname", "metadata.name"];
/// Volumes that a pod has for itself, or that its namespace gives it. Any other reaches storage by the storage's own address.
const OWN_VOLUMES: &[&str] = &[
    "name",
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "projected",
    "secret",
];
/// A driver of volumes in the pod, and the one attribute with which it reads what the pod's own namespace holds, as a Secret
/// is read. With attributes other drivers reach any storage there is.
const OWN_DRIVER: (&str, &str) = ("secrets-store.csi.k8s.io", "secretProviderClass");
/// Fields by which a new claim takes data that is there: a volume, or a copy of one.
const CLAIMS: &[&str] = &["volumeName", "dataSource", "dataSourceRef", "selector"];
/// Volumes that other rules tell of.
const OTHER_RULES: &[&str] = &["hostPath", "flexVolume"];

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
            of_object(target, &object, &mut found);
        }
    }
    found.sort();
    found.dedup();
    found
}

fn of_object(target: &Target, object: &Value, found: &mut Vec<String>) {
    if target.kind == "StatefulSet" {
        let templates = object
            .pointer("/spec/volumeClaimTemplates")
            .and_then(Value::as_array);
        templates
            .into_iter()
            .flatten()
            .for_each(|claim| claimed(claim, found));
    }
    for (spec, metadata) in pods_of(target, object) {
        if let Some(spec) = spec {
            walk("", spec, found);
            placement(spec, found);
            volumes(spec, found);
        }
        let keys = |map: &str| metadata.and_then(|m| m.get(map)).and_then(Value::as_object);
        for (key, value) in keys("annotations").into_iter().flatten() {
            if PROFILES.iter().any(|profile| key.starts_with(profile)) && unconfined(value) {
                found.push(format!("{key}: unconfined"));
            }
        }
        for key in ["annotations", "labels"].into_iter().filter_map(keys).flatten() {
            if GIVING_KEYS.iter().any(|giving| key.0.starts_with(giving)) {
                found.push(format!("{}: {}", key.0, text(key.1)));
            }
        }
    }
}

/// A pod spec and the metadata beside it.
type Pods<'a> = (Option<&'a Value>, Option<&'a Value>);

/// The pods that an object makes: where its kind has them, and of a kind that is not known wherever something has containers.
fn pods_of<'a>(target: &Target, object: &'a Value) -> Vec<Pods<'a>> {
    let mut all = vec![];
    if kinds::of(target) == Class::Unknown {
        search(object, None, &mut all);
    } else if let Some(at) = object::pod_spec_pointer(&target.kind) {
        let template = at.strip_suffix("/spec").unwrap_or(at);
        all.push((
            object.pointer(at),
            object.pointer(&format!("{template}/metadata")),
        ));
    }
    all
}

fn search<'a>(value: &'a Value, metadata: Option<&'a Value>, all: &mut Vec<Pods<'a>>) {
    match value {
        Value::Object(map) => {
            let containers = ["containers", "initContainers", "ephemeralContainers"];
            if containers
                .iter()
                .any(|list| map.get(*list).is_some_and(Value::is_array))
            {
                all.push((Some(value), metadata));
                return;
            }
            for (key, inner) in map {
                search(inner, map.get("metadata").filter(|_| key == "spec"), all);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| search(value, None, all)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Where the pods ask to run: on a node that is named, or where the control plane runs.
fn placement(spec: &Value, found: &mut Vec<String>) {
    let names = |key: &str| CONTROL_PLANE.contains(&key) || ONE_NODE.contains(&key);
    let selector = spec.get("nodeSelector").and_then(Value::as_object);
    for (key, _) in selector.into_iter().flatten().filter(|(key, _)| names(key)) {
        found.push(format!("nodeSelector: {key}"));
    }
    if let Some(affinity) = spec.pointer("/affinity/nodeAffinity") {
        chosen(affinity, &names, found);
    }
    for toleration in spec
        .get("tolerations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let key = toleration.get("key").and_then(Value::as_str).unwrap_or_default();
        if key.is_empty() {
            found.push("tolerations: every taint".to_owned());
        } else if CONTROL_PLANE.contains(&key) {
            found.push(format!("tolerations: {key}"));
        }
    }
}

/// The requirements of a node affinity that ask for such nodes, and not for others than those.
fn chosen(value: &Value, names: &dyn Fn(&str) -> bool, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let of = |field: &str| map.get(field).and_then(Value::as_str);
            let away = matches!(of("operator"), Some("NotIn" | "DoesNotExist"));
            if let Some(key) = of("key").filter(|key| names(key) && !away) {
                found.push(format!("nodeAffinity: {key}"));
            }
            map.values().for_each(|value| chosen(value, names, found));
        }
        Value::Array(list) => list.iter().for_each(|value| chosen(value, names, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Data that was there before the pods: a claim, or storage by its own address. Also a certificate or a token of the pod's
/// account that others than the API server believe.
fn volumes(spec: &Value, found: &mut Vec<String>) {
    let list = spec.get("volumes").and_then(Value::as_array);
    for volume in list.into_iter().flatten().filter_map(Value::as_object) {
        for (kind, source) in volume.iter().filter(|(_, source)| !source.is_null()) {
            let kind = kind.as_str();
            if kind == "persistentVolumeClaim" {
                let claim = source.get("claimName").map(text).unwrap_or_default();
                found.push(format!("persistentVolumeClaim: {claim}"));
            } else if !OWN_VOLUMES.contains(&kind) && !OTHER_RULES.contains(&kind) {
                found.push(format!("volume: {kind}"));
            }
        }
        if let Some(claim) = volume.get("ephemeral").and_then(|e| e.get("volumeClaimTemplate")) {
            claimed(claim, found);
        }
        if let Some(csi) = volume.get("csi").filter(|csi| reaches_storage(csi)) {
            found.push(format!(
                "csi: {}",
                csi.get("driver").map(text).unwrap_or_default()
            ));
        }
        let sources = volume
            .get("projected")
            .and_then(|p| p.get("sources"))
            .and_then(Value::as_array);
        for source in sources.into_iter().flatten() {
            let audience = source.pointer("/serviceAccountToken/audience");
            if let Some(audience) = audience.filter(|audience| !empty(audience)) {
                found.push(format!("serviceAccountToken for {}", text(audience)));
            }
            if source.get("podCertificate").is_some_and(|of| !of.is_null()) {
                found.push("podCertificate".to_owned());
            }
        }
    }
}

/// What a template of claims takes that is there.
fn claimed(template: &Value, found: &mut Vec<String>) {
    let says = |value: &Value| !empty(value) && value.as_object().is_none_or(|map| !map.is_empty());
    for field in CLAIMS {
        let value = template.get("spec").and_then(|spec| spec.get(field));
        if let Some(value) = value.filter(|value| says(value)) {
            found.push(format!("volumeClaimTemplate with {field}: {}", text(value)));
        }
    }
}

/// Whether a volume that its driver makes for the pod says where its data is.
fn reaches_storage(csi: &Value) -> bool {
    let attributes = csi.get("volumeAttributes").and_then(Value::as_object);
    let (driver, own) = OWN_DRIVER;
    let is_own = csi.get("driver").and_then(Value::as_str) == Some(driver);
    attributes.is_some_and(|all| all.keys().any(|key| !is_own || key != own))
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
        "nodeName"
        | "hostPort"
        | "hostProcess"
        | "sysctls"
        | "priorityClassName"
        | "runtimeClassName"
        | "gmsaCredentialSpec"
        | "gmsaCredentialSpecName"
            if !empty(value) =>
        {
            found.push(format!("{key}: {}", text(value)));
        }
        // What admission writes into a pod without a class is 0.
        "priority" if value.is_number() && !empty(value) => found.push(format!("priority: {value}")),
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
