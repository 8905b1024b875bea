//! The fake nodes that kwok plays.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::wait::eventually;

const READY_DEADLINE: Duration = Duration::from_secs(60);

/// How many nodes there are, and how big each is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nodes {
    /// They are named node-1, node-2, ...
    pub count: usize,
    /// CPUs of each.
    pub cpu: u32,
    /// Memory of each, as a Kubernetes quantity.
    pub memory: String,
    /// Pods each may run.
    pub pods: u32,
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            count: 3,
            cpu: 32,
            memory: "256Gi".to_owned(),
            pods: 110,
        }
    }
}

impl Nodes {
    /// Enough nodes of the usual size for this many pods.
    #[must_use]
    pub fn for_pods(pods: usize) -> Self {
        let usual = Self::default();
        let each = usize::try_from(usual.pods).unwrap_or(1);
        Self {
            count: usual.count.max(pods.div_ceil(each) + 1),
            ..usual
        }
    }

    fn objects(&self) -> Result<Vec<Node>> {
        let size = json!({"cpu": self.cpu.to_string(), "memory": self.memory, "pods": self.pods.to_string()});
        let node = |number: usize| {
            let name = format!("node-{number}");
            let labels = json!({
                "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                "node-role.kubernetes.io/worker": "", "type": "kwok",
            });
            serde_json::from_value(json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
                "status": {"capacity": size, "allocatable": size},
            }))
            .context("a node of the harness is malformed")
        };
        (1..=self.count).map(node).collect()
    }
}

/// Makes the nodes that are not there yet.
pub(super) async fn create(admin: &Client, nodes: &Nodes) -> Result<()> {
    let api: Api<Node> = Api::all(admin.clone());
    for node in nodes.objects()? {
        match api.create(&PostParams::default(), &node).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            other => drop(other.context("a node was not made")?),
        }
    }
    Ok(())
}

/// Waits until kwok has made all nodes ready and the controllers have taken their taints away.
pub(super) async fn wait_ready(admin: &Client, nodes: &Nodes) -> Result<()> {
    let api: Api<Node> = Api::all(admin.clone());
    eventually(
        READY_DEADLINE,
        &format!("{} nodes are ready", nodes.count),
        || async {
            let ready = api
                .list(&ListParams::default())
                .await?
                .iter()
                .filter(|node| is_ready(node))
                .count();
            ensure!(ready >= nodes.count, "{ready} are");
            Ok(())
        },
    )
    .await
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|one| one.type_ == "Ready" && one.status == "True");
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    ready && taints.is_none_or(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_all_pods_asked_for() {
        for pods in [0, 1, 330, 331, 5_000] {
            let nodes = Nodes::for_pods(pods);
            assert!(nodes.count * 110 >= pods && nodes.count >= 3, "{pods}: {nodes:?}");
        }
    }

    #[test]
    fn a_node_is_ready_with_the_condition_and_without_taints() {
        let node = |ready: &str, taints: serde_json::Value| -> Node {
            serde_json::from_value(json!({
                "metadata": {}, "spec": {"taints": taints},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            }))
            .unwrap()
        };
        let taint = json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]);
        assert!(is_ready(&node("True", json!([]))));
        assert!(!is_ready(&node("True", taint)));
        assert!(!is_ready(&node("Unknown", json!([]))));
        assert!(!is_ready(&Node::default()));
    }
}
