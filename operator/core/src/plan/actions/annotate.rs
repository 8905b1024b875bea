//! annotate: set, change and remove annotations by a merge patch; labels are changed the same way.

use kubechat_crds::Step;
use kubechat_crds::intent::IntentParams;
use serde_json::{Map, Value, json};

use super::change::{Asked, Change, Line, Make, Mark, Pods, Reads, USUAL};
use super::{Draft, Found, Refusal, inverse, irreversible, label_of, object, quoted, update};
use crate::risk::{floors, weights};

pub(super) const CHANGE: Change = Change {
    kinds: USUAL,
    params: &["set", "remove", "overwrite"],
    says: &[
        "annotate deployment web owner=alice",
        "remove the annotation owner from deployment web",
        "kubectl annotate deployment web owner=alice --overwrite",
    ],
    make: Make::Of(|asked| metadata_map(asked, "annotations")),
    reads: Reads::Nothing,
    floor: |_| floors::ANNOTATE,
    floors: &[floors::ANNOTATE],
    instead: None,
    weight: |_| weights::LABEL,
    pods: |_| Pods::Kept,
    harmless: false,
    line,
    undo: "the annotations before; not for those of a Secret that are replaced",
    mark: Mark::StepId,
};

/// `label deployment/web tier=front owner- --overwrite`.
pub(super) fn line(step: &Step, line: &Line) -> String {
    let set = step.params.set.iter().map(|(k, v)| quoted(&format!("{k}={v}")));
    let pairs: Vec<_> = set
        .chain(step.params.remove.iter().map(|k| format!("{k}-")))
        .collect();
    format!("{} {} {} --overwrite", step.action, line.objects, pairs.join(" "))
}

/// The draft for `metadata.labels` or `metadata.annotations`.
pub(super) fn metadata_map(asked: &Asked<'_>, field: &str) -> Result<Draft, Refusal> {
    let (intent, found): (_, &Found) = (asked.intent, asked.found);
    let name = label_of(found);
    let p = &intent.params;
    if p.set.is_empty() && p.remove.is_empty() {
        return Err(Refusal::NeedsInput {
            message: format!("Which {field} should {name} get? Write key=value, or key- to remove one"),
            candidates: vec![],
        });
    }
    if let Some(own) = p
        .set
        .keys()
        .chain(&p.remove)
        .find(|k| k.starts_with("kubechat.io/"))
    {
        return Err(Refusal::Invalid(format!(
            "{own} is KubeChat's own mark and is not changed by a plan"
        )));
    }
    if let Some(key) = p.set.keys().chain(&p.remove).find(|k| is_copy_of_the_object(k)) {
        return Err(Refusal::Invalid(format!(
            "{key} holds a copy of the whole object with its values, so a plan neither shows nor changes it"
        )));
    }
    if let Some(key) = p.remove.iter().find(|key| p.set.contains_key(*key)) {
        return Err(Refusal::Invalid(format!(
            "{key} is set and removed at once; say one of them"
        )));
    }
    let current = |key: &str| {
        found
            .object
            .pointer("/metadata")
            .and_then(|m| m.get(field)?.get(key)?.as_str())
    };
    let mut patch = Map::new();
    let mut undo = IntentParams::default();
    for (key, value) in &p.set {
        match current(key) {
            Some(old) if old == value => continue,
            Some(_) if p.overwrite == Some(false) => {
                return Err(Refusal::Invalid(format!(
                    "{name} has another value of {key} already; add --overwrite to replace it"
                )));
            }
            Some(old) => {
                undo.set.insert(key.clone(), old.to_owned());
            }
            None => undo.remove.push(key.clone()),
        }
        patch.insert(key.clone(), json!(value));
    }
    for key in &p.remove {
        if let Some(old) = current(key) {
            undo.set.insert(key.clone(), old.to_owned());
            patch.insert(key.clone(), Value::Null);
        }
    }
    if patch.is_empty() {
        return Err(Refusal::Nothing(format!(
            "the {field} of {name} are as wanted already; nothing was changed"
        )));
    }
    let params = IntentParams {
        set: p.set.clone(),
        remove: p.remove.clone(),
        ..IntentParams::default()
    };
    let patch = json!({"metadata": {field: patch}});
    let replaces = !undo.set.is_empty();
    let rollback = if found.kind.is("", "Secret") && field == "annotations" && replaces {
        irreversible("what annotations of a Secret held is never kept")
    } else {
        inverse(intent.action, undo, format!("put the {field} back"))
    };
    Ok(update(intent, found, params, &patch, rollback))
}

/// Annotations in which kubectl keeps the object as it was applied.
fn is_copy_of_the_object(key: &str) -> bool {
    key == object::LAST_APPLIED
}
