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
