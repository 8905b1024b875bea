//! set-resources: change one container's requests and limits. Keys that are not named stay.

use std::collections::BTreeMap;

use kubechat_crds::intent::{Action, IntentParams};
use serde_json::{Value, json};

use super::change::{Asked, Change, Make, Mark, Pods, Reads, WORKLOADS, pairs};
use super::container::pick;
use super::{Draft, Refusal, inverse, label_of, update};
use crate::risk::{floors, weights};

pub(super) const CHANGE: Change = Change {
    kinds: WORKLOADS,
    params: &["requests", "limits", "container", "remove"],
    says: &[
        "set the memory limit of web to 256Mi",
        "set cpu request of web to 200m",
        "kubectl set resources deployment/web --limits=cpu=500m,memory=256Mi",
    ],
    make: Make::Of(draft),
    reads: Reads::Nothing,
    floor: |_| floors::SET_RESOURCES,
    floors: &[floors::SET_RESOURCES],
    instead: None,
    weight: |_| weights::SET_RESOURCES,
    pods: |_| Pods::Replaced,
    harmless: false,
    line: |step, line| {
        let p = &step.params;
        let flag = |name: &str, map: &BTreeMap<String, String>| {
            if map.is_empty() {
                String::new()
            } else {
                format!(" --{name}={}", pairs(map))
            }
        };
        let container = p
            .container
            .as_ref()
            .map(|c| format!(" -c {c}"))
            .unwrap_or_default();
        let (requests, limits) = (flag("requests", &p.requests), flag("limits", &p.limits));
        format!("set resources {}{container}{requests}{limits}", line.objects)
    },
    undo: "the requests and limits before",
    mark: Mark::StepId,
};

fn draft(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    let (intent, found) = (asked.intent, asked.found);
    let p = &intent.params;
    if p.requests.is_empty() && p.limits.is_empty() && p.remove.is_empty() {
        return Err(Refusal::NeedsInput {
            message: format!("Which requests or limits should {} have?", label_of(found)),
            candidates: vec![],
        });
    }
    let container = pick(found, p.container.as_deref())?;
    let before = container
        .object
        .get("resources")
        .cloned()
        .unwrap_or_else(|| json!({}));
    let mut after = before.clone();
    for (field, values) in [("requests", &p.requests), ("limits", &p.limits)] {
        for (key, quantity) in values {
            after[field][key] = json!(quantity);
        }
    }
    for path in &p.remove {
        let Some((field, key)) = path.split_once('.') else {
            continue;
        };
        if let Some(map) = after.get_mut(field).and_then(Value::as_object_mut) {
            map.remove(key);
        }
    }
    if after == before {
        return Err(Refusal::Nothing(format!(
            "{} has these resources already; nothing was changed",
            label_of(found)
        )));
    }
    let patch = json!([
        {"op": "test", "path": format!("{}/name", container.pointer), "value": container.name},
        {"op": "add", "path": format!("{}/resources", container.pointer), "value": after},
    ]);
    let params = IntentParams {
        container: Some(container.name.to_owned()),
        ..p.clone()
    };
    let undo = undo(container.name, &before, &after);
    let rollback = inverse(
        Action::SetResources,
        undo,
        format!(
            "put the resources of container {} back to {before}",
            container.name
        ),
    );
    Ok(update(intent, found, params, &patch, rollback))
}

/// Parameters that turn `after` back into `before`.
fn undo(container: &str, before: &Value, after: &Value) -> IntentParams {
    let map = |value: &Value, field: &str| -> BTreeMap<String, String> {
        let entries = value.get(field).and_then(Value::as_object).into_iter().flatten();
        entries
            .map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned)))
            .collect()
    };
    let mut remove = vec![];
    for field in ["requests", "limits"] {
        let old = map(before, field);
        remove.extend(
            map(after, field)
                .into_keys()
                .filter(|k| !old.contains_key(k))
                .map(|k| format!("{field}.{k}")),
        );
    }
    IntentParams {
        container: Some(container.to_owned()),
        requests: map(before, "requests"),
        limits: map(before, "limits"),
        remove,
        ..IntentParams::default()
    }
}
