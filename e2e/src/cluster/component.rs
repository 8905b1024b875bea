//! The processes of the control plane: names, arguments, and the order they stop in.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{Cluster, ETCD_GRACE};
use crate::process::Program;

/// API requests a second a controller may send: well above what tests and benches need, so that the harness
/// is never the limit.
const CONTROLLER_QPS: &str = "500";
const CONTROLLER_BURST: &str = "1000";

/// One process of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The database.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// The controllers: Deployments, garbage collection, namespaces.
    KubeControllerManager,
    /// Assigns pods to nodes.
    KubeScheduler,
    /// Plays the nodes and their pods.
    Kwok,
}

impl Component {
    /// All, in the order they start.
    pub const ALL: [Self; 5] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kwok,
    ];
    /// All, in the order they stop: whatever writes goes before what it writes to.
    pub(super) const STOP_ORDER: [Self; 5] = [
        Self::Kwok,
        Self::KubeScheduler,
        Self::KubeControllerManager,
        Self::KubeApiserver,
        Self::Etcd,
    ];

    /// The program's name.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kwok => "kwok",
        }
    }

    /// How long it may take to end by itself. Only etcd has something to finish; an API server would wait a
    /// minute.
    pub(super) const fn grace(self) -> Duration {
        match self {
            Self::Etcd => ETCD_GRACE,
            Self::KubeApiserver | Self::KubeControllerManager | Self::KubeScheduler | Self::Kwok => {
                Duration::ZERO
            }
        }
    }

    /// What to start for this component of `cluster`.
    pub(super) fn program_for(self, cluster: &Cluster) -> Result<Program> {
        let folder = cluster.folder.path();
        let name = self.program();
        let path = match self {
            Self::Kwok => cluster.binaries.kwok(),
            Self::Etcd | Self::KubeApiserver | Self::KubeControllerManager | Self::KubeScheduler => {
                cluster.binaries.control_plane(name)
            }
        };
        let args = match self {
            Self::Etcd => etcd(cluster),
            Self::KubeApiserver => apiserver(cluster)?,
            Self::KubeControllerManager => controller_manager(cluster),
            Self::KubeScheduler => scheduler(cluster),
            Self::Kwok => kwok(cluster),
        };
        Ok(Program::new(name, path, folder.join("logs").join(format!("{name}.log"))).args(args))
    }

    fn kubeconfig(self, cluster: &Cluster) -> String {
        cluster.path(&format!("{}.kubeconfig", self.program()))
    }
}

impl Cluster {
    /// A path in the folder, as an argument.
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }
}

fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

fn etcd(cluster: &Cluster) -> Vec<String> {
    let clients = format!("http://127.0.0.1:{}", cluster.ports.etcd);
    let peers = format!("http://127.0.0.1:{}", cluster.ports.etcd_peer);
    let mut args = vec![
        flag("data-dir", cluster.path("etcd")),
        flag("listen-client-urls", &clients),
        flag("advertise-client-urls", &clients),
        flag("listen-peer-urls", &peers),
    ];
    if !cluster.options.fsync {
        args.push("--unsafe-no-fsync".to_owned());
    }
    args
}

fn apiserver(cluster: &Cluster) -> Result<Vec<String>> {
    let mut args = vec![
        flag("etcd-servers", format!("http://127.0.0.1:{}", cluster.ports.etcd)),
        flag("bind-address", "127.0.0.1"),
        flag("advertise-address", "127.0.0.1"),
        flag("secure-port", cluster.ports.apiserver),
        flag("cert-dir", cluster.path("certs")),
        flag("service-account-key-file", cluster.path("sa.pub")),
        flag("service-account-signing-key-file", cluster.path("sa.key")),
        flag("service-account-issuer", "https://kubernetes.default.svc"),
        flag("token-auth-file", cluster.path("tokens.csv")),
        flag("authorization-mode", "RBAC"),
        flag("service-cluster-ip-range", "10.96.0.0/16"),
        // Pods of fake nodes need no tokens.
        flag("disable-admission-plugins", "ServiceAccount"),
        // No Service of ours may point to loopback, so nobody keeps the endpoints of `kubernetes`.
        flag("endpoint-reconciler-type", "none"),
    ];
    if cluster.options.audit_log {
        let policy = cluster.folder.path().join("api-audit-policy.yaml");
        std::fs::write(&policy, API_AUDIT_POLICY)
            .with_context(|| format!("{} was not written", policy.display()))?;
        args.push(flag("audit-policy-file", policy.display()));
        args.push(flag("audit-log-path", cluster.api_audit_log().display()));
        // One file: whoever reads it reads all of it.
        args.push(flag("audit-log-maxsize", 4096));
    }
    args.extend(cluster.options.apiserver_args.iter().cloned());
    Ok(args)
}

/// Who did what, with the impersonated user and its extra; bodies only where they say whether it was a dry-run.
const API_AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Request, verbs: [delete]}
- {level: Request, resources: [{group: '', resources: [pods/eviction]}]}
- {level: Metadata}
";

fn controller_manager(cluster: &Cluster) -> Vec<String> {
    vec![
        flag("kubeconfig", Component::KubeControllerManager.kubeconfig(cluster)),
        flag("service-account-private-key-file", cluster.path("sa.key")),
        // Each controller acts under its own name, as admission rules see it in a real cluster.
        flag("use-service-account-credentials", true),
        flag("leader-elect", false),
        flag("bind-address", "127.0.0.1"),
        flag("secure-port", cluster.ports.controller_manager),
        flag("kube-api-qps", CONTROLLER_QPS),
        flag("kube-api-burst", CONTROLLER_BURST),
        // It makes this folder; the default one is the machine's.
        flag("flex-volume-plugin-dir", cluster.path("flexvolume")),
        flag("controllers", controllers()),
    ]
}

/// All but those that need a cloud, kubeadm or real nodes.
fn controllers() -> String {
    let off = [
        "nodeipam",
        "route",
        "service-lb-controller",
        "cloud-node-lifecycle",
        "bootstrap-signer-controller",
        "token-cleaner-controller",
    ];
    format!("*,-{}", off.join(",-"))
}

fn scheduler(cluster: &Cluster) -> Vec<String> {
    vec![
        flag("kubeconfig", Component::KubeScheduler.kubeconfig(cluster)),
        flag("leader-elect", false),
        flag("bind-address", "127.0.0.1"),
        flag("secure-port", cluster.ports.scheduler),
        flag("kube-api-qps", CONTROLLER_QPS),
        flag("kube-api-burst", CONTROLLER_BURST),
    ]
}

fn kwok(cluster: &Cluster) -> Vec<String> {
    vec![
        flag("kubeconfig", Component::Kwok.kubeconfig(cluster)),
        flag("config", cluster.binaries.kwok_stages().display()),
        flag("manage-all-nodes", true),
        flag("node-ip", "127.0.0.1"),
        flag("node-lease-duration-seconds", 40),
        // A line for each pod would cost more than the pods.
        flag("v", "WARN"),
    ]
}
