//! The manifests of `attacks_tests` that lie in a namespace.

use serde_json::{Value, json};

use super::attacks_tests::Least::{Caution, Destructive, Refused};
use super::attacks_tests::{Least, deployment, of, pod, role};

pub(super) fn of_namespace() -> Vec<(&'static str, Value, Least)> {
    let snippet = json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/configuration-snippet": "x"}}, "spec": {}});
    let policy = |rule: Value| {
        of(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            json!({"spec": {"podSelector": {}, "ingress": [rule]}}),
        )
    };
    vec![
        (
            "a token for ever",
            of(
                "v1",
                "Secret",
                json!({"type": "kubernetes.io/service-account-token"}),
            ),
            Refused,
        ),
        (
            "a token",
            of("authentication.k8s.io/v1", "TokenRequest", json!({"spec": {}})),
            Destructive,
        ),
        (
            "addresses of others",
            of("v1", "Service", json!({"spec": {"externalIPs": ["192.0.2.1"]}})),
            Destructive,
        ),
        (
            "a name for elsewhere",
            of(
                "v1",
                "Service",
                json!({"spec": {"type": "ExternalName", "externalName": "evil.example.com"}}),
            ),
            Destructive,
        ),
        (
            "an address of a load balancer",
            of("v1", "Service", json!({"spec": {"loadBalancerIP": "192.0.2.1"}})),
            Destructive,
        ),
        (
            "endpoints by hand",
            of("v1", "Endpoints", json!({"subsets": []})),
            Destructive,
        ),
        (
            "slices by hand",
            of("discovery.k8s.io/v1", "EndpointSlice", json!({"endpoints": []})),
            Destructive,
        ),
        (
            "a controller's lease",
            of(
                "coordination.k8s.io/v1",
                "Lease",
                json!({"spec": {"holderIdentity": "me"}}),
            ),
            Destructive,
        ),
        (
            "code in an ingress",
            of("networking.k8s.io/v1", "Ingress", snippet),
            Destructive,
        ),
        (
            "a role in a cloud",
            of(
                "v1",
                "ServiceAccount",
                json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "a"}}}),
            ),
            Destructive,
        ),
        (
            "a role in a cloud by a pod",
            of(
                "v1",
                "Pod",
                json!({"metadata": {"annotations": {"iam.amazonaws.com/role": "a"}}, "spec": {}}),
            ),
            Destructive,
        ),
        ("the network for all", policy(json!({})), Destructive),
        (
            "the network for the world",
            policy(json!({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})),
            Destructive,
        ),
        (
            "the network for all namespaces",
            policy(json!({"from": [{"namespaceSelector": {}}]})),
            Destructive,
        ),
        (
            "owned by another",
            of(
                "v1",
                "ConfigMap",
                json!({"metadata": {"ownerReferences": [{"name": "x"}]}}),
            ),
            Refused,
        ),
        (
            "never removed",
            of("v1", "ConfigMap", json!({"metadata": {"finalizers": ["a/b"]}})),
            Refused,
        ),
        (
            "root on a node",
            pod(json!({"containers": [{"securityContext": {"privileged": true}}]})),
            Destructive,
        ),
        (
            "the runtime's socket",
            deployment(
                json!({"volumes": [{"name": "s", "hostPath": {"path": "/run/containerd/containerd.sock"}}]}),
            ),
            Destructive,
        ),
        (
            "the node's network",
            deployment(json!({"hostNetwork": true})),
            Destructive,
        ),
        (
            "the control plane's nodes",
            deployment(json!({"nodeSelector": {"node-role.kubernetes.io/control-plane": ""}})),
            Destructive,
        ),
        (
            "past the scheduler",
            pod(json!({"nodeName": "control-1"})),
            Destructive,
        ),
        (
            "another account",
            deployment(json!({"serviceAccountName": "admin"})),
            Destructive,
        ),
        (
            "before all others",
            deployment(json!({"priorityClassName": "system-node-critical"})),
            Destructive,
        ),
        (
            "data of others",
            deployment(json!({"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "db"}}]})),
            Destructive,
        ),
        (
            "a disk by its number",
            pod(json!({"volumes": [{"name": "d", "gcePersistentDisk": {"pdName": "db"}}]})),
            Destructive,
        ),
        (
            "on every node",
            of("apps/v1", "DaemonSet", json!({"spec": {}})),
            Destructive,
        ),
        (
            "pods of others",
            of("apps/v1", "ReplicaSet", json!({"spec": {"replicas": 0}})),
            Destructive,
        ),
        (
            "a kind with pods",
            of(
                "x.io/v1",
                "Farm",
                json!({"spec": {"template": {"spec": {"containers": [], "hostPID": true}}}}),
            ),
            Destructive,
        ),
        (
            "rights here",
            role("Role", "", "pods/exec", "create"),
            Destructive,
        ),
        // What everybody does.
        (
            "settings",
            of("v1", "ConfigMap", json!({"data": {"a": "b"}})),
            Caution,
        ),
        (
            "a service",
            of(
                "v1",
                "Service",
                json!({"spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]}}),
            ),
            Caution,
        ),
        (
            "a web server",
            deployment(json!({"containers": [{"name": "c", "image": "web:1"}]})),
            Caution,
        ),
        (
            "a port for all",
            policy(json!({"ports": [{"port": 80}]})),
            Caution,
        ),
        ("friends", policy(json!({"from": [{"podSelector": {}}]})), Caution),
    ]
}
