//! Manifests by which somebody tries to gain power in a cluster, each with the least that must become of it.

use kubechat_crds::intent::IntentParams;
use serde_json::{Value, json};

use super::attacks_inside_tests::of_namespace;
use super::testing::guarded;
use super::*;
use crate::plan::KindRef;
use crate::plan::actions::apply;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Least {
    Caution,
    Destructive,
    Forbidden,
    /// Not even read as a manifest.
    Refused,
}
use Least::{Caution, Destructive, Forbidden, Refused};

/// What becomes of the manifest of a new object in this namespace; none for one of the whole cluster.
fn becomes(manifest: &Value, namespace: Option<&str>) -> Least {
    let Ok(about) = apply::about(manifest) else {
        return Refused;
    };
    let kind = KindRef {
        group: about.group.into(),
        version: about.version.into(),
        kind: about.kind.into(),
        resource: format!("{}s", about.kind.to_lowercase()),
        namespaced: namespace.is_some(),
        scalable: false,
    };
    let draft = apply::create(&kind, namespace, manifest, IntentParams::default());
    if check_forbidden(&draft.step, guarded("kubechat-system")).is_err() {
        return Forbidden;
    }
    match judge(&testing::plan(vec![draft.step])).level {
        Level::Destructive => Destructive,
        Level::Safe | Level::Caution => Caution,
    }
}

/// An object of a kind with these fields beside its name.
pub(super) fn of(api: &str, kind: &str, rest: Value) -> Value {
    let mut object = rest;
    object["apiVersion"] = api.into();
    object["kind"] = kind.into();
    object["metadata"]["name"] = "innocent".into();
    object
}

pub(super) fn named(name: &str, object: Value) -> Value {
    let mut object = object;
    object["metadata"]["name"] = name.into();
    object
}

// Tables read better with values.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn pod(spec: Value) -> Value {
    of("v1", "Pod", json!({"spec": spec}))
}

// Tables read better with values.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn deployment(spec: Value) -> Value {
    let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": spec});
    of(
        "apps/v1",
        "Deployment",
        json!({"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template}}),
    )
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";
const ADMISSION: &str = "admissionregistration.k8s.io/v1";

pub(super) fn role(kind: &str, group: &str, resource: &str, verb: &str) -> Value {
    of(
        RBAC,
        kind,
        json!({"rules": [{"apiGroups": [group], "resources": [resource], "verbs": [verb]}]}),
    )
}

fn binding(kind: &str, role: &str, subject: &Value) -> Value {
    of(
        RBAC,
        kind,
        json!({"roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [subject]}),
    )
}

fn webhook(kind: &str, group: &str, resource: &str) -> Value {
    let rules =
        json!([{"apiGroups": [group], "apiVersions": ["*"], "operations": ["*"], "resources": [resource]}]);
    of(
        ADMISSION,
        kind,
        json!({"webhooks": [{"name": "a.b.c", "failurePolicy": "Fail", "rules": rules}]}),
    )
}

fn of_cluster() -> Vec<(&'static str, Value, Least)> {
    let alice = json!({"kind": "User", "name": "alice"});
    let masters = json!({"kind": "Group", "name": "system:masters"});
    let anonymous = json!({"kind": "User", "name": "system:anonymous"});
    vec![
        (
            "escalate",
            role(
                "ClusterRole",
                "rbac.authorization.k8s.io",
                "clusterroles",
                "escalate",
            ),
            Destructive,
        ),
        (
            "bind",
            role("ClusterRole", "rbac.authorization.k8s.io", "clusterroles", "bind"),
            Destructive,
        ),
        (
            "impersonate",
            role("ClusterRole", "", "users", "impersonate"),
            Destructive,
        ),
        (
            "tokens of others",
            role("ClusterRole", "", "serviceaccounts/token", "create"),
            Destructive,
        ),
        (
            "approves for all",
            role(
                "ClusterRole",
                "kubechat.io",
                "commandplans",
                "approve-destructive",
            ),
            Destructive,
        ),
        (
            "loosens what judges",
            role("ClusterRole", "kubechat.io", "riskpolicies", "patch"),
            Destructive,
        ),
        ("everything", role("ClusterRole", "*", "*", "*"), Forbidden),
        (
            "the kubelets",
            role("ClusterRole", "", "nodes/proxy", "get"),
            Forbidden,
        ),
        (
            "cluster-admin",
            binding("ClusterRoleBinding", "cluster-admin", &alice),
            Destructive,
        ),
        (
            "masters",
            binding("ClusterRoleBinding", "view", &masters),
            Forbidden,
        ),
        (
            "anybody",
            binding("ClusterRoleBinding", "view", &anonymous),
            Destructive,
        ),
        (
            "webhook on KubeChat",
            webhook("MutatingWebhookConfiguration", "kubechat.io", "approvals"),
            Forbidden,
        ),
        (
            "webhook on all",
            webhook("ValidatingWebhookConfiguration", "*", "*"),
            Forbidden,
        ),
        (
            "webhook on Secrets",
            webhook("MutatingWebhookConfiguration", "", "secrets"),
            Destructive,
        ),
        (
            "policy on KubeChat",
            of(
                ADMISSION,
                "ValidatingAdmissionPolicy",
                json!({"spec": {"matchConstraints": {"resourceRules":
                [{"apiGroups": ["kubechat.io"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["approvals"]}]}}}),
            ),
            Forbidden,
        ),
        (
            "mutation of all",
            of(
                "admissionregistration.k8s.io/v1beta1",
                "MutatingAdmissionPolicy",
                json!({"spec": {"matchConstraints": {"resourceRules":
                [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]}}}),
            ),
            Forbidden,
        ),
        (
            "another server for KubeChat's group",
            named(
                "v1beta1.kubechat.io",
                of("apiregistration.k8s.io/v1", "APIService", json!({})),
            ),
            Forbidden,
        ),
        (
            "another server for metrics",
            named(
                "v1.metrics.k8s.io",
                of("apiregistration.k8s.io/v1", "APIService", json!({})),
            ),
            Destructive,
        ),
        (
            "a kind of KubeChat's",
            named(
                "keys.kubechat.io",
                of("apiextensions.k8s.io/v1", "CustomResourceDefinition", json!({})),
            ),
            Forbidden,
        ),
        (
            "a looser policy",
            of("kubechat.io/v1beta1", "RiskPolicy", json!({"spec": {}})),
            Forbidden,
        ),
        (
            "files of a node as a volume",
            of(
                "v1",
                "PersistentVolume",
                json!({"spec": {"hostPath": {"path": "/"}}}),
            ),
            Destructive,
        ),
        (
            "a storage driver",
            of("storage.k8s.io/v1", "CSIDriver", json!({"spec": {}})),
            Destructive,
        ),
        (
            "a default storage class",
            of(
                "storage.k8s.io/v1",
                "StorageClass",
                json!({"metadata": {"annotations":
            {"storageclass.kubernetes.io/is-default-class": "true"}}}),
            ),
            Destructive,
        ),
        (
            "an ingress class for all",
            of(
                "networking.k8s.io/v1",
                "IngressClass",
                json!({"spec": {"controller": "x/y"}}),
            ),
            Destructive,
        ),
        (
            "first of all pods",
            of(
                "scheduling.k8s.io/v1",
                "PriorityClass",
                json!({"value": 1_000_000_000, "globalDefault": true}),
            ),
            Destructive,
        ),
        (
            "another runtime",
            of("node.k8s.io/v1", "RuntimeClass", json!({"handler": "runc-host"})),
            Destructive,
        ),
        (
            "a certificate of a node",
            of(
                "certificates.k8s.io/v1",
                "CertificateSigningRequest",
                json!({"spec":
            {"signerName": "kubernetes.io/kube-apiserver-client-kubelet"}}),
            ),
            Destructive,
        ),
        (
            "no requests for others",
            of(
                "flowcontrol.apiserver.k8s.io/v1",
                "FlowSchema",
                json!({"spec": {}}),
            ),
            Destructive,
        ),
        ("a node of my own", of("v1", "Node", json!({})), Destructive),
        (
            "a namespace without Pod Security",
            of(
                "v1",
                "Namespace",
                json!({"metadata": {"labels":
            {"pod-security.kubernetes.io/enforce": "privileged"}}}),
            ),
            Destructive,
        ),
    ]
}

#[test]
fn manifests_that_try_to_gain_power_are_judged_no_lower_than_they_are() {
    let (cluster, namespaced) = (of_cluster(), of_namespace());
    assert!(cluster.len() + namespaced.len() >= 60);
    let mut low = vec![];
    for (all, namespace) in [(cluster, None), (namespaced, Some("demo"))] {
        for (what, manifest, least) in all {
            let is = becomes(&manifest, namespace);
            // An ordinary one stays what it is: what is all destructive says nothing.
            if is != least {
                low.push(format!("{what}: {is:?} and not {least:?}"));
            }
        }
    }
    assert!(low.is_empty(), "{low:#?}");
}

#[test]
fn whatever_is_made_in_a_namespace_of_the_control_plane_is_destructive() {
    for (namespace, name, least) in [
        ("kube-system", "aws-auth", Destructive),
        ("kube-system", "coredns-custom", Destructive),
        ("kube-system", "kubeadm-config", Destructive),
        ("kube-public", "cluster-info", Destructive),
        ("kube-node-lease", "a", Destructive),
        ("kubechat-system", "a", Forbidden),
        ("kubechat-credentials", "a", Forbidden),
        ("kube-systems", "a", Caution),
    ] {
        let map = named(name, of("v1", "ConfigMap", json!({"data": {}})));
        let mut plan = becomes(&map, Some(namespace));
        // A namespace nothing is recorded of weighs, and sets no level.
        if least == Caution {
            plan = plan.min(Caution);
        }
        assert_eq!(plan, least, "{namespace}/{name}");
    }
}
