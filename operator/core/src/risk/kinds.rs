//! Classes of kinds: what an object is to the rest of the cluster.

use kubechat_crds::Step;
use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::intent::Action;
use serde_json::Value;

use super::weights::{self, Weight};
use crate::plan::actions::evict::SUBRESOURCE;

/// What a kind is to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Quickly made again.
    Stateless,
    /// Pods with names and data.
    Stateful,
    /// Protects others.
    Guard,
    /// A Namespace.
    Namespace,
    /// A Node.
    Node,
    /// Holds data.
    Storage,
    /// Holds secrets.
    Secret,
    /// Decides who may do what.
    Rbac,
    /// Decides what is stored.
    Admission,
    /// What objects are made of.
    Definition,
    /// Not known: every change of it is destructive.
    Unknown,
}

impl Class {
    /// What a change of such an object weighs.
    pub(super) const fn weight(self) -> Weight {
        match self {
            Self::Stateless => weights::STATELESS,
            Self::Stateful => weights::STATEFUL,
            Self::Guard => weights::GUARD,
            Self::Namespace | Self::Node => weights::CLUSTER_UNIT,
            Self::Storage => weights::STORAGE,
            Self::Secret | Self::Rbac | Self::Admission | Self::Definition => weights::IDENTITY,
            Self::Unknown => weights::UNKNOWN_KIND,
        }
    }
}

/// The class of a kind.
pub(super) fn class(group: &str, kind: &str) -> Class {
    match (group, kind) {
        ("", "Pod" | "Service" | "ConfigMap" | "ReplicationController")
        | ("apps", "Deployment" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job" | "CronJob")
        | ("autoscaling", "HorizontalPodAutoscaler")
        | ("networking.k8s.io", "Ingress") => Class::Stateless,
        ("apps", "StatefulSet") => Class::Stateful,
        ("", "ResourceQuota" | "LimitRange" | "ServiceAccount")
        | ("networking.k8s.io", "NetworkPolicy")
        | ("policy", "PodDisruptionBudget") => Class::Guard,
        ("", "Namespace") => Class::Namespace,
        ("", "Node") => Class::Node,
        ("", "PersistentVolumeClaim" | "PersistentVolume")
        | ("storage.k8s.io", "StorageClass")
        | ("snapshot.storage.k8s.io", "VolumeSnapshot" | "VolumeSnapshotContent" | "VolumeSnapshotClass") => {
            Class::Storage
        }
        ("", "Secret") => Class::Secret,
        ("rbac.authorization.k8s.io", "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding") => {
            Class::Rbac
        }
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration"
            | "MutatingWebhookConfiguration"
            | "ValidatingAdmissionPolicy"
            | "ValidatingAdmissionPolicyBinding"
            | "MutatingAdmissionPolicy"
            | "MutatingAdmissionPolicyBinding",
        ) => Class::Admission,
        ("apiextensions.k8s.io", "CustomResourceDefinition") | ("apiregistration.k8s.io", "APIService") => {
            Class::Definition
        }
        _ => Class::Unknown,
    }
}

/// The class of a target.
pub(super) fn of(target: &Target) -> Class {
    class(&target.group, &target.kind)
}

/// Keys of labels and annotations that guard an object against deletion or eviction, or say who manages it.
const GUARD_KEYS: &[&str] = &[
    "policy.kruise.io/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "fluxcd.io/",
    "meta.helm.sh/",
    "helm.sh/",
    "kubechat.io/",
    "pod-security.kubernetes.io/",
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "karpenter.sh/do-not-disrupt",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/instance",
];

/// In the place of a key: all of them at once, or what a patch changes cannot be read.
const ANY_KEY: &str = "any label or annotation";

/// The guard keys among the labels or annotations a step sets or removes.
pub(super) fn guard_keys(step: &Step) -> Vec<String> {
    let said = step.params.set.keys().chain(&step.params.remove).cloned();
    let guards = |key: &String| key == ANY_KEY || GUARD_KEYS.iter().any(|guard| key.starts_with(guard));
    said.chain(patched_keys(step)).filter(guards).collect()
}

/// Keys of the labels and annotations that a patch or a manifest given by a person sets or removes.
fn patched_keys(step: &Step) -> Vec<String> {
    if step.action == Action::Apply {
        return applied_keys(step);
    }
    if step.action != Action::Patch {
        return vec![];
    }
    let text = step.patch.as_deref().or(step.params.patch.as_deref());
    match text.and_then(|text| serde_json::from_str(text).ok()) {
        Some(Value::Object(merge)) => merged_keys(merge.get("metadata")),
        Some(Value::Array(ops)) => ops.iter().flat_map(keys_of).collect(),
        Some(_) | None => vec![ANY_KEY.to_owned()],
    }
}

/// Keys of the labels and annotations that metadata names.
fn merged_keys(metadata: Option<&Value>) -> Vec<String> {
    match metadata {
        None => vec![],
        Some(Value::Object(metadata)) => MAPS
            .iter()
            .filter_map(|map| metadata.get(*map))
            .flat_map(|map| match map {
                Value::Object(map) => map.keys().cloned().collect(),
                _ => vec![ANY_KEY.to_owned()],
            })
            .collect(),
        Some(_) => vec![ANY_KEY.to_owned()],
    }
}

/// Of an object that is there, what the diff shows: a manifest names also what stays as it is. Of a new one, what the
/// manifest names.
fn applied_keys(step: &Step) -> Vec<String> {
    if step.effect != Effect::Create {
        let hidden = step.manifest.is_none() || step.diff.iter().any(|line| line.path.starts_with('('));
        let shown = step.diff.iter().filter_map(|line| key_at(&line.path));
        return shown.chain(hidden.then(|| ANY_KEY.to_owned())).collect();
    }
    let manifest = step
        .manifest
        .as_deref()
        .filter(|_| step.manifest_digest.is_none());
    match manifest.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
        Some(Value::Object(map)) => merged_keys(map.get("metadata")),
        Some(_) | None => vec![ANY_KEY.to_owned()],
    }
}

/// Where labels and annotations stand in the metadata.
const MAPS: &[&str] = &["labels", "annotations"];

/// The keys that one operation of a JSON patch may change.
fn keys_of(op: &Value) -> Vec<String> {
    let text = |key: &str| op.get(key).and_then(Value::as_str);
    if text("op") == Some("test") {
        return vec![];
    }
    let Some(path) = text("path") else {
        return vec![ANY_KEY.to_owned()];
    };
    [Some(path), text("from")]
        .into_iter()
        .flatten()
        .filter_map(key_at)
        .collect()
}

/// The key at a JSON pointer. The API server passes over what stands before the first slash.
fn key_at(path: &str) -> Option<String> {
    let mut parts = path.split('/').skip(1);
    match (parts.next(), parts.next(), parts.next()) {
        (None, ..) | (Some("metadata"), None, _) => Some(ANY_KEY.to_owned()),
        (Some("metadata"), Some(map), key) if MAPS.contains(&map) => {
            let key = key.map(|key| key.replace("~1", "/").replace("~0", "~"));
            Some(key.unwrap_or_else(|| ANY_KEY.to_owned()))
        }
        _ => None,
    }
}

/// Whether a step asks for pods to go that something replaces: the API server refuses what a budget forbids. A pod that
/// nothing replaces is deleted by it like by any deletion.
pub(super) fn is_eviction(step: &Step) -> bool {
    step.action == Action::Evict
        && step.subresource.as_deref() == Some(SUBRESOURCE)
        && step.params.force != Some(true)
}

/// Namespaces of the control plane, and KubeChat's own.
pub(super) fn is_system(namespace: &str, own: &str) -> bool {
    matches!(namespace, "kube-system" | "kube-public" | "kube-node-lease") || namespace == own
}
