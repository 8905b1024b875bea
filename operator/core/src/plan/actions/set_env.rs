//! set-env: set and remove environment variables of one container, one by one: the values of the others never stand in a
//! plan. What a person typed stands in the patch; a value that was in the cluster is kept beside the plan for its undoing.

use kubechat_crds::command_plan::{Rollback, RollbackKind, Undo};
use kubechat_crds::intent::{Action, IntentParams};
use serde_json::{Map, Value, json};

use super::change::{Asked, Change, Make, Mark, Pods, Reads, WORKLOADS};
use super::container::{Container, pick};
use super::{Draft, Refusal, label_of, quoted, update};
use crate::plan::object::MASK;
use crate::plan::{Sidecar, carry};
use crate::risk::{floors, weights};

pub(super) const CHANGE: Change = Change {
    kinds: WORKLOADS,
    params: &["set", "envRefs", "remove", "container"],
    says: &[
        "set env LOG_LEVEL=debug on web",
        "set the environment variable LOG_LEVEL of web to debug",
        "remove the env var LOG_LEVEL from web",
        "kubectl set env deployment/web LOG_LEVEL=debug OLD-",
    ],
    make: Make::Of(draft),
    reads: Reads::Nothing,
    floor: |_| floors::SET_ENV,
    floors: &[floors::SET_ENV],
    instead: None,
    weight: |_| weights::SET_ENV,
    pods: |_| Pods::Replaced,
    harmless: false,
    line: |step, line| {
        let p = &step.params;
        let container = p
            .container
            .as_ref()
            .map(|c| format!(" -c {c}"))
            .unwrap_or_default();
        let set = p.set.iter().map(|(k, v)| quoted(&format!("{k}={v}")));
        let refs = p.env_refs.iter().map(|(k, v)| quoted(&format!("{k}=({v})")));
        let removed = p.remove.iter().map(|k| format!("{k}-"));
        let all: Vec<String> = set.chain(refs).chain(removed).collect();
        format!("set env {}{container} {}", line.objects, all.join(" "))
    },
    undo: "the variables before; values that were in the cluster are kept beside the plan, never in it",
    mark: Mark::StepId,
};

/// An environment variable as it is in the cluster, and its place in the list.
struct Present<'a> {
    index: usize,
    entry: &'a Value,
}

fn draft(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    let (intent, found) = (asked.intent, asked.found);
    let p = &intent.params;
    let kept = asked.beside.kept.and_then(Value::as_object);
    if p.set.is_empty() && p.env_refs.is_empty() && p.remove.is_empty() && kept.is_none() {
        return Err(Refusal::NeedsInput {
            message: format!(
                "Which variable should {} have? Write NAME=value, or NAME- to remove one",
                label_of(found)
            ),
            candidates: vec![],
        });
    }
    let both = |name: &&String| p.set.contains_key(*name) || p.env_refs.contains_key(*name);
    let twice = p.remove.iter().find(both);
    if let Some(name) = twice.or_else(|| p.env_refs.keys().find(|name| p.set.contains_key(*name))) {
        return Err(Refusal::Invalid(format!(
            "{name} is given a value and taken away, or given two; say one of them"
        )));
    }
    let container = pick(found, p.container.as_deref())?;
    let mut wanted: Vec<Value> = vec![];
    for (name, value) in &p.set {
        check(name)?;
        wanted.push(json!({"name": name, "value": value}));
    }
    for (name, from) in &p.env_refs {
        check(name)?;
        wanted.push(reference(name, from)?);
    }
    let kept: Vec<Value> = kept.into_iter().flat_map(Map::values).cloned().collect();
    let edit = Edit::of(&container, wanted, &p.remove, kept);
    if edit.ops.is_empty() {
        return Err(Refusal::Nothing(format!(
            "the environment of container {} of {} is as wanted already; nothing was changed",
            container.name,
            label_of(found)
        )));
    }
    let mut params = IntentParams {
        container: Some(container.name.to_owned()),
        set: p.set.clone(),
        env_refs: p.env_refs.clone(),
        remove: p.remove.clone(),
        ..IntentParams::default()
    };
    for name in &edit.restored {
        params.set.insert(name.clone(), MASK.to_owned());
    }
    let (rollback, sidecar) = undo(container.name, &edit);
    let full = Value::Array(edit.ops);
    let mut draft = update(intent, found, params, &full, rollback);
    draft.sidecars.extend(sidecar);
    if !edit.restored.is_empty() {
        let (text, digest, beside) = carry(&full, &Value::Array(edit.shown));
        draft.step.patch = None;
        draft.step.manifest = Some(text);
        draft.step.manifest_digest = digest;
        draft.sidecars.extend(beside);
    }
    Ok(draft)
}

fn check(name: &str) -> Result<(), Refusal> {
    let fine =
        !name.is_empty() && name.len() <= 253 && name.bytes().all(|b| b.is_ascii_graphic() && b != b'=');
    if fine {
        return Ok(());
    }
    Err(Refusal::Invalid(format!("{name:?} is no name of a variable")))
}

/// `configmap/NAME/KEY` or `secret/NAME/KEY`.
fn reference(name: &str, from: &str) -> Result<Value, Refusal> {
    let mut parts = from.split('/');
    let field = match parts.next() {
        Some("configmap") => "configMapKeyRef",
        Some("secret") => "secretKeyRef",
        Some(_) | None => "",
    };
    match (field, parts.next(), parts.next(), parts.next()) {
        ("", ..) | (_, None, ..) | (_, _, None, _) | (.., Some(_)) => Err(Refusal::Invalid(format!(
            "{name} cannot be taken from {from:?}; write configmap/NAME/KEY or secret/NAME/KEY"
        ))),
        (field, Some(object), Some(key), None) => {
            Ok(json!({"name": name, "valueFrom": {field: {"name": object, "key": key}}}))
        }
    }
}

/// A change of one container's environment.
#[derive(Default)]
struct Edit {
    /// The JSON patch.
    ops: Vec<Value>,
    /// The same with what is put back masked.
    shown: Vec<Value>,
    /// Variables whose kept value is put back.
    restored: Vec<String>,
    /// Variables that were not there.
    added: Vec<String>,
    /// What the changed variables were.
    before: Vec<Value>,
}

impl Edit {
    fn of(container: &Container<'_>, wanted: Vec<Value>, removed: &[String], kept: Vec<Value>) -> Self {
        let list = container.object.get("env").and_then(Value::as_array);
        let present = |name: &str| {
            let entries = list.into_iter().flatten().enumerate();
            let mut same =
                entries.filter(|(_, entry)| entry.get("name").and_then(Value::as_str) == Some(name));
            same.next().map(|(index, entry)| Present { index, entry })
        };
        let root = format!("{}/env", container.pointer);
        let mut edit = Self::default();
        let mut new = vec![];
        let fresh = wanted.into_iter().map(|entry| (entry, false));
        for (entry, secret) in fresh.chain(kept.into_iter().map(|entry| (entry, true))) {
            let name = entry
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            let shown = if secret { masked(&entry) } else { entry.clone() };
            match present(&name) {
                Some(old) if *old.entry == entry => continue,
                Some(old) => {
                    edit.test(&root, old.index, &name);
                    let path = format!("{root}/{}", old.index);
                    let put = |value: &Value| json!({"op": "replace", "path": path, "value": value});
                    edit.push(put(&entry), put(&shown));
                    edit.before.push(old.entry.clone());
                }
                None => {
                    edit.added.push(name.clone());
                    new.push((entry, shown));
                }
            }
            if secret {
                edit.restored.push(name);
            }
        }
        let mut gone: Vec<(usize, &String, &Value)> = removed
            .iter()
            .filter_map(|name| present(name).map(|old| (old.index, name, old.entry)))
            .collect();
        gone.sort_by_key(|(index, ..)| std::cmp::Reverse(*index));
        gone.dedup_by_key(|(index, ..)| *index);
        for (index, name, entry) in gone {
            edit.test(&root, index, name);
            let op = json!({"op": "remove", "path": format!("{root}/{index}")});
            edit.push(op.clone(), op);
            edit.before.push(entry.clone());
        }
        if !new.is_empty() && list.is_none() {
            let op = json!({"op": "add", "path": root, "value": []});
            edit.push(op.clone(), op);
        }
        for (entry, shown) in new {
            let put = |value: &Value| json!({"op": "add", "path": format!("{root}/-"), "value": value});
            edit.push(put(&entry), put(&shown));
        }
        if !edit.ops.is_empty() {
            let op =
                json!({"op": "test", "path": format!("{}/name", container.pointer), "value": container.name});
            edit.ops.insert(0, op.clone());
            edit.shown.insert(0, op);
        }
        edit
    }

    fn push(&mut self, op: Value, shown: Value) {
        self.ops.push(op);
        self.shown.push(shown);
    }

    fn test(&mut self, root: &str, index: usize, name: &str) {
        let op = json!({"op": "test", "path": format!("{root}/{index}/name"), "value": name});
        self.push(op.clone(), op);
    }
}

fn masked(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(value) = entry.get_mut("value") {
        *value = MASK.into();
    }
    entry
}

/// What puts the environment back. References stand in the plan; values go beside it.
fn undo(container: &str, edit: &Edit) -> (Rollback, Option<Sidecar>) {
    let mut params = IntentParams {
        container: Some(container.to_owned()),
        remove: edit.added.clone(),
        ..IntentParams::default()
    };
    let (mut kept, mut shown) = (Map::new(), Map::new());
    for entry in &edit.before {
        let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
        match plain_reference(entry) {
            Some(from) => {
                params.env_refs.insert(name.to_owned(), from);
            }
            None => {
                kept.insert(name.to_owned(), entry.clone());
                shown.insert(name.to_owned(), masked(entry));
            }
        }
    }
    let mut undo = Undo {
        params,
        ..Undo::default()
    };
    let mut sidecar = None;
    if !kept.is_empty() {
        let full = Value::Object(kept).to_string();
        let digest = format!("sha256:{}", kubechat_crds::sha256_hex(full.as_bytes()));
        undo.manifest = Some(Value::Object(shown).to_string()).filter(|t| t.len() <= crate::plan::MAX_INLINE);
        undo.manifest_digest = Some(digest.clone());
        sidecar = Some(Sidecar {
            digest,
            bytes: full.into_bytes(),
        });
    }
    let rollback = Rollback {
        kind: RollbackKind::Inverse,
        action: Some(Action::SetEnv),
        params: None,
        undo: vec![undo],
        why: format!("put the variables of container {container} back"),
    };
    (rollback, sidecar)
}

/// A reference that the parameters can say in full.
fn plain_reference(entry: &Value) -> Option<String> {
    let from = entry.get("valueFrom")?.as_object()?;
    let (field, kind) = [("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")]
        .into_iter()
        .find(|(field, _)| from.len() == 1 && from.contains_key(*field))?;
    let at = from.get(field)?.as_object()?;
    let text = |key: &str| at.get(key).and_then(Value::as_str).filter(|t| !t.contains('/'));
    let whole = at.len() == 2 && entry.as_object()?.len() == 2;
    Some(format!("{kind}/{}/{}", text("name")?, text("key")?)).filter(|_| whole)
}
