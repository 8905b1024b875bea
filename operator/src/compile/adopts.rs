//! What a new workload takes over of what is there, read as the requester: a Deployment and a StatefulSet take over by what
//! there is, not by their kind alone.

use kubechat_core::plan::adoption::{self, Look};
use kubechat_core::plan::{Draft, object};
use serde_json::Value;

use super::selected::all;
use super::{Stop, Turn};

/// Objects that are named.
const MAX_FOUND: usize = 50;

/// What the object that a step makes takes over; what cannot be listed counts as taken over.
pub(super) async fn by(turn: &Turn<'_>, draft: &Draft) -> Result<Vec<String>, Stop> {
    let mut found = vec![];
    let (Some(target), Some(manifest)) = (draft.step.targets.first(), adoption::made(draft)) else {
        return Ok(found);
    };
    for Look { group, kind, labels } in adoption::looks(target, &manifest) {
        let Some(of) = turn.kinds.known(group, kind) else {
            continue;
        };
        match all(turn, of, target.namespace.as_deref(), labels.as_deref()).await? {
            Ok(items) => {
                let taken = |item: &&Value| adoption::takes(target, &manifest, kind, item);
                let names = items.iter().filter(taken).map(object::name);
                found.extend(names.map(|name| format!("{}/{name}", kind.to_lowercase())));
            }
            Err(unreadable) => found.push(unreadable),
        }
    }
    found.truncate(MAX_FOUND);
    Ok(found)
}
