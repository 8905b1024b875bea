//! What a drain needs: the pods of a node, wherever they are, as the requester.

use kubechat_core::plan::actions::drain::{self, Drained};
use kubechat_core::plan::{Found, Refusal, object};
use kubechat_core::reason;
use kubechat_crds::intent::Intent;
use serde_json::Value;

use super::{Stop, Turn};
use crate::cluster::objects::{Objects, Query};

/// The steps that drain a node, and what a reviewer should know beside them; or why there are none.
pub(super) async fn of_node(
    turn: &Turn<'_>,
    intent: &Intent,
    node: &Found,
) -> Result<Result<Drained, Refusal>, Stop> {
    let name = object::name(&node.object);
    let Some(kind) = turn.kinds.known("", "Pod") else {
        return Err(Stop::failed(reason::INVALID, "this cluster has no pods"));
    };
    let fields = format!("spec.nodeName={name}");
    let query = Query {
        fields: Some(&fields),
        ..Query::default()
    };
    let list = Objects::new(&turn.person, kind, None).list(&query).await?;
    if !list.metadata.continue_.is_empty() {
        let message = format!("more pods run on node {name} than can be looked through. Nothing was done");
        return Err(Stop::failed(reason::INVALID, message));
    }
    let ended = |pod: &Value| {
        matches!(
            pod.pointer("/status/phase").and_then(Value::as_str),
            Some("Succeeded" | "Failed")
        )
    };
    let pods: Vec<Found> = list
        .items
        .into_iter()
        .filter(|pod| !ended(pod))
        .map(|object| Found {
            kind: kind.clone(),
            object,
        })
        .collect();
    let drained = drain::parts(intent, node, &pods, turn.now);
    let drafts = drained.iter().flat_map(|drained| &drained.drafts);
    for target in drafts.flat_map(|d| &d.step.targets) {
        let what = format!("{}/{}", target.kind.to_lowercase(), target.name);
        turn.bounds
            .check(turn.request, target.namespace.as_deref(), &what)?;
    }
    Ok(drained)
}
