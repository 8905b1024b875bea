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
    let private = [
        "10.0.0.0/8",
        "100.64.0.0/10",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
        "fe80::/10",
    ]
    .map(|cidr| json!({"ipBlock": {"cidr": cidr}}));
    let claims = |spec: Value| {
        of(
            "apps/v1",
            "StatefulSet",
            json!({"spec": {"template": {"spec": {"containers": []}}, "volumeClaimTemplates":
                [{"metadata": {"name": "data"}, "spec": spec}]}}),
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
            "the network by one port that is none",
            policy(json!({"ports": [{}]})),
            Destructive,
        ),
        (
            "the network by one protocol",
            policy(json!({"ports": [{"port": 80}, {"protocol": "TCP"}]})),
            Destructive,
        ),
        (
            "the network by all ports",
            policy(json!({"ports": [{"port": 1, "endPort": 65535}]})),
            Destructive,
        ),
        (
            "the network in two halves of the ports",
            policy(json!({"ports": [{"port": 1, "endPort": 30000}, {"port": 30001, "endPort": 65535}]})),
            Destructive,
        ),
        (
            "the network for namespaces without a label to have",
            policy(
                json!({"from": [{"namespaceSelector": {"matchLabels": {}}, "podSelector": {"matchLabels": {}}}]}),
            ),
            Destructive,
        ),
        (
            "the network for namespaces with a name",
            policy(json!({"from": [{"namespaceSelector": {"matchExpressions":
                [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}}]})),
            Destructive,
        ),
        (
            "the network for all namespaces but one",
            policy(json!({"from": [{"namespaceSelector": {"matchExpressions":
                [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["x"]}]}}]})),
            Destructive,
        ),
        (
            "the world in two halves",
            policy(
                json!({"from": [{"ipBlock": {"cidr": "0.0.0.0/1"}}, {"ipBlock": {"cidr": "128.0.0.0/1"}}]}),
            ),
            Destructive,
        ),
        (
            "half of the world",
            policy(json!({"from": [{"ipBlock": {"cidr": "128.0.0.0/1"}}]})),
            Destructive,
        ),
        (
            "the new world",
            policy(json!({"from": [{"ipBlock": {"cidr": "2000::/3"}}]})),
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
            "a share of a file server by its driver",
            pod(
                json!({"volumes": [{"name": "d", "csi": {"driver": "nfs.csi.k8s.io",
                "volumeAttributes": {"server": "db", "share": "/"}}}]}),
            ),
            Destructive,
        ),
        (
            "a volume of others by a claim of my own",
            claims(json!({"volumeName": "db"})),
            Destructive,
        ),
        (
            "a copy of the data of others",
            claims(json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "db"}})),
            Destructive,
        ),
        (
            "a copy of the data of others for a while",
            deployment(
                json!({"volumes": [{"name": "d", "ephemeral": {"volumeClaimTemplate": {"spec":
                {"dataSourceRef": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "db"}}}}}]}),
            ),
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
        (
            "high ports for all",
            policy(json!({"ports": [{"port": "web"}, {"port": 32768, "endPort": 60999}]})),
            Caution,
        ),
        ("the private networks", policy(json!({"from": private})), Caution),
        (
            "two namespaces by their names",
            policy(json!({"from": [{"namespaceSelector": {"matchExpressions":
                [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop", "ops"]}]}}]})),
            Caution,
        ),
        (
            "what measures, from everywhere",
            policy(
                json!({"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "prometheus"}}}]}),
            ),
            Caution,
        ),
        (
            "a database with new disks",
            claims(
                json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "volumeName": "",
                "resources": {"requests": {"storage": "1Gi"}}}),
            ),
            Caution,
        ),
        (
            "room for a while and secrets from a vault",
            deployment(json!({"volumes": [
                {"name": "r", "ephemeral": {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "1Gi"}}}}}},
                {"name": "s", "csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": true,
                    "volumeAttributes": {"secretProviderClass": "web"}}}]})),
            Caution,
        ),
        ("friends", policy(json!({"from": [{"podSelector": {}}]})), Caution),
    ]
}
