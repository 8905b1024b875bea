//! patch: a merge patch or a JSON patch that the person gave. It may change anything of the object, so it is destructive;
//! what undoes it is computed from the object as it is.

use kubechat_crds::intent::{Action, IntentParams};
use serde_json::{Map, Value, json};

use super::change::{Asked, Change, Make, Mark, Pods, Reads, USUAL};
use super::{Draft, Refusal, inverse, irreversible, label_of, object, quoted, update};
use crate::plan::carry;
use crate::risk::{floors, weights};

pub(super) const CHANGE: Change = Change {
    kinds: USUAL,
    params: &["patch"],
    says: &[
        "patch deployment web with '{\"spec\":{\"minReadySeconds\":5}}'",
        "kubectl patch deployment web --type=merge -p '{\"spec\":{\"minReadySeconds\":5}}'",
    ],
    make: Make::Of(draft),
    reads: Reads::Nothing,
    floor: |_| floors::PATCH,
    floors: &[floors::PATCH],
    instead: None,
    weight: |_| weights::PATCH,
    pods: |_| Pods::Ended,
    harmless: false,
    line: |step, line| {
        let patch = step.params.patch.as_deref().unwrap_or_default();
        let kind = if patch.trim_start().starts_with('[') {
            "json"
        } else {
            "merge"
        };
        format!("patch {} --type={kind} -p {}", line.objects, quoted(patch))
    },
    undo: "the changed fields before, for a merge patch of fields that hold no values of the environment; not for a JSON patch",
    mark: Mark::StepId,
};

/// Fields that say which object it is, or that only the server and KubeChat write.
const FIXED: &[&str] = &[
    "/apiVersion",
    "/kind",
    "/metadata/name",
    "/metadata/namespace",
    "/metadata/uid",
    "/metadata/resourceVersion",
    "/metadata/generation",
    "/metadata/managedFields",
    "/metadata/ownerReferences",
    "/metadata/finalizers",
    "/metadata/creationTimestamp",
    "/metadata/deletionTimestamp",
    "/status",
];

fn draft(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    let (intent, found) = (asked.intent, asked.found);
    let name = label_of(found);
    if let Some(kept) = asked.beside.kept {
        return restored(asked, kept);
    }
    let Some(text) = intent.params.patch.as_deref() else {
        return Err(Refusal::NeedsInput {
            message: format!("With what should {name} be patched? Write the patch as JSON, in quotes"),
            candidates: vec![],
        });
    };
    if found.kind.is("", "Secret") {
        return Err(Refusal::Invalid(
            "Values of Secrets are never set by a prompt, so a Secret is not patched".to_owned(),
        ));
    }
    let patch: Value =
        serde_json::from_str(text).map_err(|e| Refusal::Invalid(format!("the patch is no JSON: {e}")))?;
    let rollback = match &patch {
        Value::Object(_) => {
            refuse_fixed(&merge_paths("", &patch))?;
            merge_undo(&patch, &found.object, &name)?
        }
        Value::Array(operations) => {
            if operations.is_empty() {
                return Err(Refusal::Invalid("the JSON patch has no operation".to_owned()));
            }
            let paths = operations.iter().map(operation).collect::<Result<Vec<_>, _>>()?;
            refuse_fixed(&paths)?;
            refuse_first(&paths, &found.object, &name)?;
            irreversible(
                "what a JSON patch undoes cannot be said in advance; the diff shows every field it changes",
            )
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(Refusal::Invalid(
                "a patch is a JSON object (merge patch) or an array (JSON patch)".to_owned(),
            ));
        }
    };
    let params = IntentParams {
        patch: Some(patch.to_string()),
        ..IntentParams::default()
    };
    Ok(update(intent, found, params, &patch, rollback))
}

/// Fields put back from what was kept beside the plan that is undone: their values never stand in a plan.
fn restored(asked: &Asked<'_>, kept: &Value) -> Result<Draft, Refusal> {
    let (intent, found) = (asked.intent, asked.found);
    let (name, now) = (label_of(found), &found.object);
    refuse_fixed(&merge_paths("", kept))?;
    back(kept, now, &name)?;
    let shown = masked(kept, now);
    let params = IntentParams {
        patch: Some(shown.to_string()).filter(|text| text.len() <= crate::plan::MAX_INLINE),
        ..IntentParams::default()
    };
    let rollback = merge_undo(kept, now, &name)?;
    let mut draft = update(intent, found, params, kept, rollback);
    let (text, digest, beside) = carry(kept, &shown);
    if digest.is_some() {
        draft.step.patch = None;
        draft.step.manifest = Some(text);
        draft.step.manifest_digest = digest;
        draft.sidecars.extend(beside);
    }
    Ok(draft)
}

/// The path of one operation of a JSON patch.
fn operation(op: &Value) -> Result<String, Refusal> {
    let text = |key: &str| op.get(key).and_then(Value::as_str);
    match text("op") {
        Some("add" | "remove" | "replace" | "test") if op.get("from").is_none() => {}
        // They put a value of the cluster where nothing masks it.
        Some("copy" | "move") => {
            return Err(Refusal::Invalid(
                "copy and move are not done by a patch: what they carry would stand in the plan. Add the value at its new path, and remove it at the old one".to_owned(),
            ));
        }
        Some(_) | None => {
            return Err(Refusal::Invalid(
                "each operation of a JSON patch is add, remove, replace or test, with a path and no 'from'"
                    .to_owned(),
            ));
        }
    }
    // The API server passes over what stands before the first slash, so it would hide which field is meant.
    match text("path") {
        Some(path) if path.starts_with('/') => Ok(path.to_owned()),
        Some("") => Err(Refusal::Invalid(
            "the whole object is no field that a patch changes".to_owned(),
        )),
        Some(path) => Err(Refusal::Invalid(format!(
            "the path {path:?} of a JSON patch does not begin with a slash; write for example /spec/paused"
        ))),
        None => Err(Refusal::Invalid(
            "each operation of a JSON patch needs a path".to_owned(),
        )),
    }
}

fn refuse_fixed(paths: &[String]) -> Result<(), Refusal> {
    for path in paths {
        let inside = |field: &str| path == field || path.starts_with(&format!("{field}/"));
        if path.is_empty() || path == "/metadata" || FIXED.iter().any(|f| inside(f)) {
            return Err(Refusal::Invalid(format!(
                "{} is no field that a patch changes",
                if path.is_empty() { "the whole object" } else { path }
            )));
        }
        for map in ["annotations", "labels"] {
            let all = format!("/metadata/{map}");
            let rest = path.strip_prefix(&all);
            if rest.is_some_and(|rest| rest.is_empty() || rest.contains("kubechat.io")) {
                return Err(Refusal::Invalid(format!(
                    "KubeChat's own {map}, and all {map} at once, are not changed by a patch; name each of them"
                )));
            }
        }
    }
    Ok(())
}

/// A JSON patch cannot add the first label or annotation: what it adds to must be there, and the whole map is never set.
fn refuse_first(paths: &[String], now: &Value, name: &str) -> Result<(), Refusal> {
    for (map, verb) in [("labels", "label"), ("annotations", "annotate")] {
        let all = format!("/metadata/{map}");
        let none = now
            .pointer(&all)
            .and_then(Value::as_object)
            .is_none_or(Map::is_empty);
        if none && paths.iter().any(|path| path.starts_with(&format!("{all}/"))) {
            let said = name.replace('/', " ");
            return Err(Refusal::Invalid(format!(
                "{name} has no {map} yet, and a JSON patch only adds to what is there; say '{verb} {said} KEY=VALUE', or give a merge patch"
            )));
        }
    }
    Ok(())
}

/// Pointers of the values of a merge patch.
fn merge_paths(at: &str, patch: &Value) -> Vec<String> {
    match patch {
        Value::Object(map) if !map.is_empty() || at.is_empty() => map
            .iter()
            .flat_map(|(key, value)| {
                let key = key.replace('~', "~0").replace('/', "~1");
                merge_paths(&format!("{at}/{key}"), value)
            })
            .collect(),
        _ => vec![at.to_owned()],
    }
}

fn merge_undo(
    patch: &Value,
    now: &Value,
    name: &str,
) -> Result<kubechat_crds::command_plan::Rollback, Refusal> {
    let undo = back(patch, now, name)?;
    if masked(&undo, now) != undo {
        return Ok(irreversible(
            "the fields before hold values of the environment, which a plan never holds",
        ));
    }
    let text = undo.to_string();
    if text.len() > crate::plan::MAX_INLINE {
        return Ok(irreversible("the fields before are longer than a plan holds"));
    }
    let params = IntentParams {
        patch: Some(text),
        ..IntentParams::default()
    };
    Ok(inverse(
        Action::Patch,
        params,
        "put the changed fields back".to_owned(),
    ))
}

/// The merge patch that takes a merge patch of an object back.
pub(super) fn back(patch: &Value, now: &Value, name: &str) -> Result<Value, Refusal> {
    // The step's own mark stays in the annotations, and what others add meanwhile among the labels, so neither is ever
    // taken away as a whole.
    let mut base = now.clone();
    for map in ["annotations", "labels"] {
        if base["metadata"].get(map).is_none() {
            base["metadata"][map] = json!({});
        }
    }
    reverse(patch, &base).ok_or_else(|| {
        Refusal::Nothing(format!(
            "{name} is as the patch wants it already; nothing was changed"
        ))
    })
}

/// A merge patch of an object without values that a plan never holds.
pub(super) fn masked(patch: &Value, of: &Value) -> Value {
    let mut shown = object::masked(&json!({"kind": of.get("kind"), "patch": patch}));
    shown["patch"].take()
}

/// The merge patch that turns the object back; `None` where the patch changes nothing.
fn reverse(patch: &Value, now: &Value) -> Option<Value> {
    let Value::Object(fields) = patch else {
        return (patch != now).then(|| now.clone());
    };
    let Value::Object(have) = now else {
        return Some(now.clone());
    };
    let mut undo = Map::new();
    for (key, wanted) in fields {
        match (wanted, have.get(key)) {
            (Value::Null, None) => {}
            (_, None) => {
                undo.insert(key.clone(), Value::Null);
            }
            (_, Some(old)) => {
                if let Some(back) = reverse(wanted, old) {
                    undo.insert(key.clone(), back);
                }
            }
        }
    }
    (!undo.is_empty()).then_some(Value::Object(undo))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_is_reversed_field_by_field() {
        let now = json!({"spec": {"a": 1, "list": [1, 2], "in": {"x": 1}}});
        for (patch, undo) in [
            (json!({"spec": {"a": 2}}), Some(json!({"spec": {"a": 1}}))),
            (json!({"spec": {"new": 2}}), Some(json!({"spec": {"new": null}}))),
            (json!({"spec": {"a": null}}), Some(json!({"spec": {"a": 1}}))),
            (
                json!({"spec": {"in": {"y": 1}}}),
                Some(json!({"spec": {"in": {"y": null}}})),
            ),
            (
                json!({"spec": {"list": [3]}}),
                Some(json!({"spec": {"list": [1, 2]}})),
            ),
            (json!({"spec": {"a": 1, "gone": null}}), None),
        ] {
            assert_eq!(reverse(&patch, &now), undo, "{patch}");
            let mut after = now.clone();
            json_patch_merge(&mut after, &patch);
            json_patch_merge(&mut after, &undo.unwrap_or_else(|| json!({})));
            assert_eq!(after, now, "{patch}");
        }
    }

    /// RFC 7386.
    fn json_patch_merge(target: &mut Value, patch: &Value) {
        let Value::Object(fields) = patch else {
            *target = patch.clone();
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        let map = target.as_object_mut().unwrap();
        for (key, value) in fields {
            if value.is_null() {
                map.remove(key);
            } else {
                json_patch_merge(map.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}
