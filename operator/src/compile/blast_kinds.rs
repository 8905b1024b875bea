//! What of which kinds a blast radius reads.

use kubechat_core::plan::KindRef;

/// Kinds read in full; of others the metadata suffices, and values of Secrets and ConfigMaps are not read at all.
const FULL: &[(&str, &str)] = &[
    ("", "Pod"),
    ("", "Service"),
    ("", "ReplicationController"),
    ("", "PersistentVolumeClaim"),
    ("", "PersistentVolume"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("policy", "PodDisruptionBudget"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("networking.k8s.io", "Ingress"),
    ("gateway.networking.k8s.io", "HTTPRoute"),
    ("gateway.networking.k8s.io", "ReferenceGrant"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
];

/// Kinds that come and go by themselves, which say nothing of what a namespace holds.
pub(super) const CHURN: &[&str] = &["Event", "Endpoints", "EndpointSlice", "Lease", "PodMetrics"];

/// Groups whose objects without facts are read as metadata only.
const BUILT_IN: &[&str] = &["", "apps", "batch", "rbac.authorization.k8s.io", "storage.k8s.io"];

/// Whether objects of this kind are read in full.
pub(super) fn is_full(kind: &KindRef) -> bool {
    FULL.contains(&(kind.group.as_str(), kind.kind.as_str()))
}

/// Whether the metadata of one object of this kind says all there is to know: not where it may run something.
pub(super) fn metadata_tells(kind: &KindRef) -> bool {
    BUILT_IN.contains(&kind.group.as_str())
}
