//! From a Kubernetes object (JSON, as a list or a get returns it) to a [`Node`].

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use super::graph::{Facts, Key, Node, Owner};
use super::managed;

const GATEWAY: &str = "gateway.networking.k8s.io";

const WORKLOADS: &[(&str, &str)] = &[
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("", "ReplicationController"),
    ("batch", "Job"),
    ("batch", "CronJob"),
];

/// Reads an object of this kind.
#[must_use]
pub fn node(group: &str, kind: &str, object: &Value) -> Node {
    let namespace = text(object, "/metadata/namespace");
    let name = text(object, "/metadata/name").unwrap_or_default();
    Node {
        key: Key::new(group, kind, namespace, name),
        uid: text(object, "/metadata/uid").unwrap_or_default().to_owned(),
        labels: strings(object, "/metadata/labels"),
        owners: list(object, "/metadata/ownerReferences").map(owner).collect(),
        facts: facts(group, kind, object),
        managers: managed::managers(object),
        protection: managed::protection(object),
    }
}

fn owner(reference: &Value) -> Owner {
    let part = |name| text(reference, name).unwrap_or_default().to_owned();
    Owner {
        uid: part("/uid"),
        kind: part("/kind"),
        name: part("/name"),
        controller: reference.get("controller").and_then(Value::as_bool) == Some(true),
    }
}

fn facts(group: &str, kind: &str, object: &Value) -> Facts {
    match (group, kind) {
        _ if WORKLOADS.contains(&(group, kind)) => workload(kind, object),
        ("", "Pod") => pod(object),
        ("", "Service") => Facts::Service(plain_selector(object)),
        ("policy", "PodDisruptionBudget") => Facts::Budget {
            selector: selector(object, "/spec/selector"),
            allowed: number(object, "/status/disruptionsAllowed").unwrap_or(0),
        },
        ("networking.k8s.io", "NetworkPolicy") => {
            Facts::Policy(Some(selector(object, "/spec/podSelector").unwrap_or_default()))
        }
        ("networking.k8s.io", "Ingress") => Facts::Route(ingress(object)),
        (GATEWAY, "HTTPRoute") => Facts::Route(http_route(object)),
        (GATEWAY, "ReferenceGrant") => Facts::Grant(grant(object)),
        ("", "PersistentVolumeClaim") => Facts::Claim(
            text(object, "/spec/volumeName")
                .filter(|n| !n.is_empty())
                .map(str::to_owned),
        ),
        ("", "PersistentVolume") => Facts::Volume {
            claim: text(object, "/spec/claimRef/namespace")
                .zip(text(object, "/spec/claimRef/name"))
                .map(|(namespace, name)| (namespace.to_owned(), name.to_owned())),
            // Recycle empties it, which is no better.
            goes: text(object, "/spec/persistentVolumeReclaimPolicy") != Some("Retain"),
        },
        ("autoscaling", "HorizontalPodAutoscaler") => Facts::Autoscaler {
            kind: text(object, "/spec/scaleTargetRef/kind")
                .unwrap_or_default()
                .to_owned(),
            name: text(object, "/spec/scaleTargetRef/name")
                .unwrap_or_default()
                .to_owned(),
        },
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Facts::Definition {
            group: text(object, "/spec/group").unwrap_or_default().to_owned(),
            kind: text(object, "/spec/names/kind").unwrap_or_default().to_owned(),
        },
        // A kind of somebody else's that has replicas runs something.
        _ => match number(object, "/spec/replicas") {
            Some(replicas) => Facts::Workload {
                replicas,
                selector: None,
                at_once: None,
                claims_go: false,
            },
            None => Facts::Plain,
        },
    }
}

fn workload(kind: &str, object: &Value) -> Facts {
    let replicas = if kind == "DaemonSet" {
        number(object, "/status/desiredNumberScheduled").unwrap_or(0)
    } else {
        number(object, "/spec/replicas").unwrap_or(1)
    };
    let selector = if kind == "ReplicationController" {
        plain_selector(object)
    } else {
        selector(object, "/spec/selector")
    };
    let retained = |when: &str| {
        let pointer = format!("/spec/persistentVolumeClaimRetentionPolicy/{when}");
        text(object, &pointer) != Some("Delete")
    };
    Facts::Workload {
        replicas,
        selector,
        at_once: at_once(kind, object, replicas),
        claims_go: kind == "StatefulSet" && !(retained("whenDeleted") && retained("whenScaled")),
    }
}

/// How many pods a rollout takes away at once, by the rules of each controller.
fn at_once(kind: &str, object: &Value, replicas: i64) -> Option<i64> {
    let share = |pointer: &str, default: &str, up: bool| {
        let value = object.pointer(pointer);
        let written = value.map_or_else(
            || default.to_owned(),
            |v| v.as_str().map_or_else(|| v.to_string(), str::to_owned),
        );
        match written.strip_suffix('%') {
            // What cannot be read could be everything.
            Some(percent) => percent.parse().map_or(replicas, |p: i64| {
                (p.saturating_mul(replicas) + if up { 99 } else { 0 }) / 100
            }),
            None => written.parse().unwrap_or(replicas),
        }
    };
    match kind {
        "Deployment" => {
            if text(object, "/spec/strategy/type") == Some("Recreate") {
                return None;
            }
            let away = share("/spec/strategy/rollingUpdate/maxUnavailable", "25%", false);
            let more = share("/spec/strategy/rollingUpdate/maxSurge", "25%", true);
            Some(if away == 0 && more == 0 { 1 } else { away })
        }
        "StatefulSet" => {
            if text(object, "/spec/updateStrategy/type") == Some("OnDelete") {
                return Some(0);
            }
            Some(share("/spec/updateStrategy/rollingUpdate/maxUnavailable", "1", true).max(1))
        }
        "DaemonSet" => {
            if text(object, "/spec/updateStrategy/type") == Some("OnDelete") {
                return Some(0);
            }
            let more = share("/spec/updateStrategy/rollingUpdate/maxSurge", "0", true);
            let away = share("/spec/updateStrategy/rollingUpdate/maxUnavailable", "1", true);
            Some(if away == 0 && more == 0 { 1 } else { away })
        }
        // Their running pods stay as they are.
        _ => Some(0),
    }
}

fn pod(object: &Value) -> Facts {
    let spec = object.pointer("/spec").unwrap_or(&Value::Null);
    let ready = list(object, "/status/conditions")
        .any(|c| text(c, "/type") == Some("Ready") && text(c, "/status") == Some("True"))
        && object.pointer("/metadata/deletionTimestamp").is_none();
    let (mut claims, mut config_maps, mut secrets) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let name = text(object, "/metadata/name").unwrap_or_default();
    for volume in list(spec, "/volumes") {
        take(volume, "/persistentVolumeClaim/claimName", &mut claims);
        if volume.get("ephemeral").is_some() {
            claims.insert(format!("{name}-{}", text(volume, "/name").unwrap_or_default()));
        }
        take(volume, "/configMap/name", &mut config_maps);
        take(volume, "/secret/secretName", &mut secrets);
        for source in list(volume, "/projected/sources") {
            take(source, "/configMap/name", &mut config_maps);
            take(source, "/secret/name", &mut secrets);
        }
    }
    for containers in ["/containers", "/initContainers", "/ephemeralContainers"] {
        for container in list(spec, containers) {
            for from in list(container, "/envFrom") {
                take(from, "/configMapRef/name", &mut config_maps);
                take(from, "/secretRef/name", &mut secrets);
            }
            for env in list(container, "/env") {
                take(env, "/valueFrom/configMapKeyRef/name", &mut config_maps);
                take(env, "/valueFrom/secretKeyRef/name", &mut secrets);
            }
        }
    }
    for pull in list(spec, "/imagePullSecrets") {
        take(pull, "/name", &mut secrets);
    }
    Facts::Pod {
        ready,
        node: text(spec, "/nodeName")
            .filter(|n| !n.is_empty())
            .map(str::to_owned),
        claims,
        config_maps,
        secrets,
        account: text(spec, "/serviceAccountName").unwrap_or("default").to_owned(),
    }
}

fn ingress(object: &Value) -> BTreeSet<(String, String)> {
    let own = text(object, "/metadata/namespace").unwrap_or_default();
    let mut names = BTreeSet::new();
    take(object, "/spec/defaultBackend/service/name", &mut names);
    for rule in list(object, "/spec/rules") {
        for path in list(rule, "/http/paths") {
            take(path, "/backend/service/name", &mut names);
        }
    }
    names.into_iter().map(|name| (own.to_owned(), name)).collect()
}

fn http_route(object: &Value) -> BTreeSet<(String, String)> {
    let own = text(object, "/metadata/namespace").unwrap_or_default();
    let mut found = BTreeSet::new();
    for rule in list(object, "/spec/rules") {
        for backend in list(rule, "/backendRefs") {
            if text(backend, "/kind").unwrap_or("Service") != "Service" {
                continue;
            }
            let namespace = text(backend, "/namespace").unwrap_or(own);
            if let Some(name) = text(backend, "/name") {
                found.insert((namespace.to_owned(), name.to_owned()));
            }
        }
    }
    found
}

/// Whence HTTPRoutes may come; to which Services does not matter, for a route says that itself.
fn grant(object: &Value) -> BTreeSet<String> {
    let routes = list(object, "/spec/from")
        .filter(|from| text(from, "/group") == Some(GATEWAY) && text(from, "/kind") == Some("HTTPRoute"));
    routes
        .filter_map(|from| text(from, "/namespace").map(str::to_owned))
        .collect()
}

/// A selector; one that cannot be read selects everything (the stricter reading).
fn selector(object: &Value, pointer: &str) -> Option<LabelSelector> {
    let value = object.pointer(pointer).filter(|v| !v.is_null())?;
    Some(serde_json::from_value(value.clone()).unwrap_or_default())
}

/// The selector of a Service or ReplicationController: a plain map, where an empty one selects nothing.
fn plain_selector(object: &Value) -> Option<LabelSelector> {
    let labels = strings(object, "/spec/selector");
    (!labels.is_empty()).then_some(LabelSelector {
        match_labels: Some(labels),
        match_expressions: None,
    })
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str()
}

fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer)?.as_i64()
}

fn list<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn strings(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let map = object
        .pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    map.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect()
}

fn take(object: &Value, pointer: &str, into: &mut BTreeSet<String>) {
    if let Some(name) = text(object, pointer).filter(|n| !n.is_empty()) {
        into.insert(name.to_owned());
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
