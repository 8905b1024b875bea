//! The entries of reads. How they are answered stands in `operator/src/compile/reads`, one file each.

use super::Entry;
use crate::plan::actions::change::{USUAL, WORKLOADS};

/// list.
pub(crate) const LIST: Entry = Entry {
    kinds: USUAL,
    params: &["state", "sort", "output"],
    says: &[
        "list pods",
        "which pods restarted most",
        "show failing pods",
        "what is running",
        "kubectl get pods -n demo",
    ],
    change: None,
};

/// get.
pub(crate) const GET: Entry = Entry {
    params: &["output", "ignoreNotFound"],
    says: &["show deployment web", "kubectl get deployment web -o yaml"],
    ..LIST
};

/// describe.
pub(crate) const DESCRIBE: Entry = Entry {
    params: &[],
    says: &["describe deployment web", "kubectl describe deployment web"],
    ..LIST
};

/// logs.
pub(crate) const LOGS: Entry = Entry {
    kinds: &[
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("", "Pod"),
        ("batch", "Job"),
    ],
    params: &["container", "tail", "sinceSeconds", "previous"],
    says: &[
        "logs of deployment web",
        "last 20 lines of the log of web",
        "kubectl logs deployment/web --tail=20",
    ],
    change: None,
};

/// events.
pub(crate) const EVENTS: Entry = Entry {
    params: &["sinceSeconds", "output"],
    says: &["events of deployment web", "kubectl get events"],
    ..LIST
};

/// count.
pub(crate) const COUNT: Entry = Entry {
    params: &["state"],
    says: &["how many pods are there"],
    ..LIST
};

/// rollout-status.
pub(crate) const ROLLOUT_STATUS: Entry = Entry {
    kinds: WORKLOADS,
    params: &[],
    says: &[
        "is the rollout of web done",
        "kubectl rollout status deployment/web",
    ],
    change: None,
};

/// rollout-history.
pub(crate) const ROLLOUT_HISTORY: Entry = Entry {
    params: &["revision"],
    says: &[
        "rollout history of web",
        "what revisions does web have",
        "kubectl rollout history deployment/web --revision=2",
    ],
    ..ROLLOUT_STATUS
};

/// diff.
pub(crate) const DIFF: Entry = Entry {
    params: &["revision", "toRevision", "manifest"],
    says: &[
        "diff revision 1 and 2 of web",
        "what changed between revision 1 and 2 of deployment web",
        "diff revision 1 of web",
        "diff {\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"settings\"},\"data\":{\"mode\":\"fast\"}}",
    ],
    ..ROLLOUT_STATUS
};

/// compare.
pub(crate) const COMPARE: Entry = Entry {
    params: &["otherNamespace"],
    says: &[
        "compare deployment web with deployment api",
        "compare deployment web in demo and prod",
        "what is the difference between configmap blue and configmap green",
    ],
    ..LIST
};

/// can-i.
pub(crate) const CAN_I: Entry = Entry {
    kinds: &[],
    params: &["verb"],
    says: &[
        "can I delete pods in prod",
        "am I allowed to scale deployments",
        "kubectl auth can-i create deployments -n demo",
    ],
    change: None,
};

/// top.
pub(crate) const TOP: Entry = Entry {
    kinds: &[("", "Pod"), ("", "Node")],
    params: &["sort"],
    says: &[
        "top pods",
        "top nodes by cpu",
        "which pods use the most memory",
        "kubectl top pods -n demo --sort-by=memory",
    ],
    change: None,
};

/// explain.
pub(crate) const EXPLAIN: Entry = Entry {
    kinds: &[],
    params: &["path"],
    says: &[
        "explain deployments",
        "explain deployment.spec.strategy",
        "what does pod.spec.restartPolicy mean",
        "kubectl explain pod.spec.containers",
    ],
    change: None,
};

/// find.
pub(crate) const FIND: Entry = Entry {
    kinds: &[],
    params: &["image", "text", "from"],
    says: &[
        "find pods with image nginx:1.28",
        "find configmaps that contain redis",
        "find everything owned by deployment web",
        "find everything labelled app=web",
    ],
    change: None,
};
