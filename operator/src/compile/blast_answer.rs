//! What a blast radius reads, and what becomes of the answers.

use kubechat_core::blast::{Graph, Node};
use kubechat_core::plan::KindRef;

use crate::error::Error;

/// One call, or several pages of one list.
pub(super) struct Read {
    pub(super) kind: KindRef,
    pub(super) namespace: Option<String>,
    pub(super) what: What,
}

pub(super) enum What {
    Get(String),
    List {
        labels: Option<String>,
        fields: Option<String>,
        bring: Bring,
    },
    CountNodes,
    CountPods,
}

/// What a list is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bring {
    Objects,
    /// What the selector of a step matches.
    Matches,
    /// The metadata of what has owners.
    Owned,
}

/// What came of a read.
pub(super) struct Answer {
    pub(super) nodes: Vec<Node>,
    pub(super) bring: Bring,
    pub(super) nodes_counted: Option<i64>,
    pub(super) pods_counted: Option<i64>,
    pub(super) gap: Option<Missed>,
}

/// A read that did not bring all.
pub(super) struct Missed {
    /// `pods in demo`.
    pub(super) what: String,
    /// Why, in words.
    pub(super) why: String,
    /// What stood in the way, where it may pass.
    pub(super) error: Option<Error>,
}

pub(super) fn take(answer: Answer, graph: &mut Graph, failed: &mut Vec<(String, Error)>) {
    for node in answer.nodes {
        match answer.bring {
            Bring::Objects => graph.add(node),
            Bring::Matches => {
                graph.matched.insert(node.key.clone());
                // Of some kinds the list brings the metadata only: what is known of an object stays.
                if graph.get(&node.key).is_none() {
                    graph.add(node);
                }
            }
            Bring::Owned => graph.aside.push(node),
        }
    }
    if let Some(n) = answer.nodes_counted {
        graph.nodes_total = Some(n);
    }
    if let Some(n) = answer.pods_counted {
        graph.pods_total = Some(n);
    }
    if let Some(Missed { what, why, error }) = answer.gap {
        graph.missing.insert(format!("{what}: {why}"));
        failed.extend(error.map(|error| (what, error)));
    }
}
