//! The built-in kinds: what discovery of any cluster would say of them, and the everyday words people use.

use super::lexicon::KindInfo;

/// Group, version, kind, plural, short names (comma separated), namespaced.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, bool);

const ROWS: &[Row] = &[
    ("", "v1", "Pod", "pods", "po", true),
    ("apps", "v1", "Deployment", "deployments", "deploy", true),
    ("apps", "v1", "StatefulSet", "statefulsets", "sts", true),
    ("apps", "v1", "DaemonSet", "daemonsets", "ds", true),
    ("apps", "v1", "ReplicaSet", "replicasets", "rs", true),
    ("apps", "v1", "ControllerRevision", "controllerrevisions", "", true),
    ("batch", "v1", "Job", "jobs", "", true),
    ("batch", "v1", "CronJob", "cronjobs", "cj", true),
    ("", "v1", "Service", "services", "svc", true),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", "ing", true),
    ("networking.k8s.io", "v1", "IngressClass", "ingressclasses", "", false),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", "netpol", true),
    ("", "v1", "ConfigMap", "configmaps", "cm", true),
    ("", "v1", "Secret", "secrets", "", true),
    ("", "v1", "Node", "nodes", "no", false),
    ("", "v1", "Namespace", "namespaces", "ns", false),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", "pvc", true),
    ("", "v1", "PersistentVolume", "persistentvolumes", "pv", false),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", "sc", false),
    ("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", "", false),
    ("storage.k8s.io", "v1", "CSIDriver", "csidrivers", "", false),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", true),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", true),
    ("", "v1", "ServiceAccount", "serviceaccounts", "sa", true),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", "", true),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", "", true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", "", false),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", "", false),
    ("", "v1", "Event", "events", "ev", true),
    ("", "v1", "Endpoints", "endpoints", "ep", true),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "", true),
    ("", "v1", "ResourceQuota", "resourcequotas", "quota", true),
    ("", "v1", "LimitRange", "limitranges", "limits", true),
    ("", "v1", "ReplicationController", "replicationcontrollers", "rc", true),
    ("", "v1", "PodTemplate", "podtemplates", "", true),
    ("coordination.k8s.io", "v1", "Lease", "leases", "", true),
    ("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", "pc", false),
    ("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", "", false),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "crd,crds", false),
    ("apiregistration.k8s.io", "v1", "APIService", "apiservices", "", false),
    ("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "", false),
    ("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "", false),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", "", false),
    ("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", "csr", false),
];

/// Words people use beside kind, plural, singular and short names: `(words, kind, plural)`.
pub(super) const EVERYDAY: &[(&str, &str, bool)] = &[
    ("deploys", "Deployment", true),
    ("volume claim", "PersistentVolumeClaim", false),
    ("volume claims", "PersistentVolumeClaim", true),
    ("autoscaler", "HorizontalPodAutoscaler", false),
    ("autoscalers", "HorizontalPodAutoscaler", true),
    ("disruption budget", "PodDisruptionBudget", false),
    ("disruption budgets", "PodDisruptionBudget", true),
    ("network rule", "NetworkPolicy", false),
    ("network rules", "NetworkPolicy", true),
    ("cron", "CronJob", false),
    ("crons", "CronJob", true),
    ("quotas", "ResourceQuota", true),
];

/// The built-in kinds as discovery would list them.
pub(super) fn builtin() -> Vec<KindInfo> {
    ROWS.iter()
        .map(|&(group, version, kind, plural, short, namespaced)| KindInfo {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            singular: kind.to_lowercase(),
            short_names: short.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect(),
            namespaced,
        })
        .collect()
}
