//! What rules see of a plan. docs/policies.md lists it for people; a test holds the two together.
//!
//! Only what the plan records is here, so that planner, webhook and executor see the same.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map};
use jiff::Timestamp;
use kubechat_crds::command_plan::{BlastRadius, NamespaceFact, Target};
use kubechat_crds::{CommandPlanSpec, Identity, Level, Mode, Step};

use super::bounds::Shape;

/// Names of the variables.
pub(super) const NAMES: [&str; 6] = ["step", "plan", "requester", "target", "namespaceObject", "now"];

/// Entries of a list or map at most; a plan with more cannot be judged, and is denied.
pub(super) const MAX_LIST: u64 = 256;

/// Fields of a variable, or of an object in it; none where anything may stand.
pub(super) fn fields(path: &str) -> Option<&'static [&'static str]> {
    Some(match path {
        "step" => &[
            "id",
            "action",
            "effect",
            "level",
            "command",
            "subresource",
            "selector",
            "params",
            "targets",
            "fields",
            "rollback",
            "selectedBy",
            "undone",
        ],
        "plan" => &[
            "level",
            "score",
            "mode",
            "steps",
            "targets",
            "kinds",
            "namespaces",
            "protected",
            "clusterScoped",
            "factors",
            "blastRadius",
            "window",
            "untrustedText",
            "incident",
            "rollback",
        ],
        "plan.blastRadius" => &[
            "known",
            "complete",
            "objects",
            "podsLost",
            "podsTotal",
            "podsPercent",
            "nodesPercent",
            "servicesAtZero",
            "pdbsViolated",
            "pvcs",
            "unrecoverableVolumes",
            "singleReplicas",
            "outsideNamespace",
            "undoneBy",
        ],
        "plan.steps[]" => &["id", "action", "effect", "level", "targets", "kinds", "rollback"],
        "plan.window" => &["plans", "objects", "deleted"],
        "requester" => &["username", "uid", "groups", "extra", "serviceAccount"],
        "target" => &["group", "version", "kind", "resource", "namespace", "name"],
        "namespaceObject" => &["name", "labels", "protected", "known", "metadata"],
        "namespaceObject.metadata" => &["name", "labels"],
        _ => return None,
    })
}

/// Bytes of one text at most.
const TEXT: u64 = 4096;
/// Bytes of a name at most, as of a target.
const NAME: u64 = 320;
/// Bytes of all texts of a list or map at most.
const LIST_TEXT: u64 = 64 * 1024;

/// The most that stands at a path of the variables, where `[]` is any entry of a list or map; none where nothing is said
/// of it, which is then no more than what it stands in. [`within`] holds plans to it.
pub(super) fn most(path: &str) -> Option<Shape> {
    let shape = |len, inner, values, text| Shape {
        len,
        inner,
        values,
        text,
        ..Shape::default()
    };
    let texts = |len: u64| shape(len, 0, len + 1, LIST_TEXT);
    let one = shape(0, 0, 1, TEXT);
    Some(match path {
        "now" => shape(0, 0, 1, 0),
        "plan" => shape(32, MAX_LIST, 8_192, 1024 * 1024),
        "plan.steps" => shape(64, 64, 2_048, LIST_TEXT),
        "plan.steps[]" => shape(8, 64, 128, LIST_TEXT),
        "plan.steps[].kinds" | "plan.kinds" => shape(64, 0, 65, 8 * 1024),
        "plan.namespaces" => texts(64),
        "plan.factors" => texts(128),
        "plan.blastRadius" => shape(16, MAX_LIST, 4_096, 512 * 1024),
        "plan.blastRadius.objects" => shape(MAX_LIST, 0, 2 * MAX_LIST + 1, LIST_TEXT),
        "plan.blastRadius.servicesAtZero"
        | "plan.blastRadius.pdbsViolated"
        | "plan.blastRadius.pvcs"
        | "plan.blastRadius.unrecoverableVolumes"
        | "plan.blastRadius.singleReplicas"
        | "plan.blastRadius.undoneBy"
        | "step.fields"
        | "step.selectedBy"
        | "requester.groups"
        | "requester.extra[]" => texts(MAX_LIST),
        "plan.window" => shape(3, 0, 8, TEXT),
        "step" => shape(16, MAX_LIST, 4_096, 512 * 1024),
        "step.params" => shape(32, MAX_LIST, 2_048, 256 * 1024),
        "requester" => shape(8, MAX_LIST, 2_048, 256 * 1024),
        "requester.extra" => shape(MAX_LIST, MAX_LIST, 1_024, LIST_TEXT),
        "target" => shape(6, 0, 13, 6 * TEXT),
        "step.params.image" => one,
        "step.params.container"
        | "target.group"
        | "target.version"
        | "target.kind"
        | "target.resource"
        | "target.namespace"
        | "target.name"
        | "namespaceObject.name" => shape(0, 0, 1, NAME),
        "namespaceObject" => shape(8, 64, 512, 256 * 1024),
        "namespaceObject.metadata" => shape(2, 64, 256, 128 * 1024),
        "namespaceObject.labels" | "namespaceObject.metadata.labels" => shape(64, 0, 129, LIST_TEXT),
        _ => {
            if let Some(list) = path.strip_suffix("[]") {
                // Every list and map that is known and not named above holds texts or numbers.
                return (most(list)?.inner == 0).then_some(one);
            }
            let (of, field) = path.rsplit_once('.')?;
            return fields(of)?.contains(&field).then_some(one);
        }
    })
}

/// A value that is no more than is said of its path.
fn within(path: &'static str, value: Value) -> Result<Value, TooLong> {
    let (is, may) = (measured(&value), most(path).unwrap_or_default());
    if is.len <= may.len && is.inner <= may.inner && is.values <= may.values && is.text <= may.text {
        Ok(value)
    } else {
        Err(TooLong(path))
    }
}

/// What a value is.
fn measured(value: &Value) -> Shape {
    let mut all = Shape {
        values: 1,
        ..Shape::default()
    };
    let mut hold = |part: &Shape| {
        all.inner = all.inner.max(part.len).max(part.inner);
        all.values += part.values;
        all.text += part.text;
    };
    match value {
        Value::String(text) => all.text = length(text.len()),
        Value::List(list) => {
            list.iter().for_each(|v| hold(&measured(v)));
            all.len = length(list.len());
        }
        Value::Map(map) => {
            for (key, value) in map.map.iter() {
                let key = if let Key::String(key) = key {
                    length(key.len())
                } else {
                    0
                };
                hold(&Shape {
                    values: 1,
                    text: key,
                    ..Shape::default()
                });
                hold(&measured(value));
            }
            all.len = length(map.map.len());
        }
        _ => {}
    }
    all
}

fn length(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// The plan holds more than rules may look through.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong(pub(super) &'static str);

fn object<const N: usize>(fields: [(&'static str, Value); N]) -> Value {
    let map: HashMap<Key, Value> = fields
        .into_iter()
        .map(|(name, value)| (Key::from(name), value))
        .collect();
    Value::Map(Map { map: Arc::new(map) })
}

fn text(text: impl Into<String>) -> Value {
    Value::String(Arc::new(text.into()))
}

/// A text that people or machines wrote.
fn written(what: &'static str, written: &str) -> Result<Value, TooLong> {
    up_to(TEXT, what, written)
}

/// A name.
fn named(what: &'static str, name: &str) -> Result<Value, TooLong> {
    up_to(NAME, what, name)
}

fn up_to(most: u64, what: &'static str, written: &str) -> Result<Value, TooLong> {
    if length(written.len()) <= most {
        Ok(text(written))
    } else {
        Err(TooLong(what))
    }
}

fn count(n: usize) -> Value {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

fn texts(path: &'static str, all: &[String]) -> Result<Value, TooLong> {
    let all = all
        .iter()
        .map(|t| written(path, t))
        .collect::<Result<Vec<_>, _>>()?;
    within(path, Value::List(Arc::new(all)))
}

fn map<'a>(path: &'static str, entries: impl Iterator<Item = (&'a String, Value)>) -> Result<Value, TooLong> {
    let map: HashMap<Key, Value> = entries.map(|(k, v)| (Key::from(k.as_str()), v)).collect();
    within(path, Value::Map(Map { map: Arc::new(map) }))
}

fn word(value: &impl serde::Serialize) -> Value {
    json(serde_json::to_value(value).unwrap_or_default())
}

/// The parameters of a step.
fn params(step: &Step) -> Result<Value, TooLong> {
    let image = step.params.image.as_deref().unwrap_or_default();
    let container = step.params.container.as_deref().unwrap_or_default();
    written("step.params.image", image)?;
    named("step.params.container", container)?;
    within("step.params", word(&step.params))
}

/// JSON as CEL sees it; every whole number is an int, so that it adds up with the literals of an expression.
fn json(value: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(b),
        Json::Number(n) => n
            .as_i64()
            .map_or_else(|| Value::Float(n.as_f64().unwrap_or(f64::MAX)), Value::Int),
        Json::String(s) => text(s),
        Json::Array(all) => Value::List(Arc::new(all.into_iter().map(json).collect())),
        Json::Object(all) => Value::Map(Map {
            map: Arc::new(all.into_iter().map(|(k, v)| (Key::from(k), json(v))).collect()),
        }),
    }
}

pub(super) fn now(now: Timestamp) -> Value {
    Value::Int(now.as_second())
}

pub(super) fn requester(who: &Identity) -> Result<Value, TooLong> {
    let extra = who
        .extra
        .iter()
        .map(|(k, v)| texts("requester.extra[]", v).map(|v| (k, v)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(object([
        ("username", written("requester.username", &who.username)?),
        ("uid", written("requester.uid", &who.uid)?),
        ("groups", texts("requester.groups", &who.groups)?),
        ("extra", map("requester.extra", extra.into_iter())?),
        ("serviceAccount", Value::Bool(who.is_service_account())),
    ]))
}

/// A namespace as rules see it.
pub(super) struct NamespaceView<'a> {
    /// Its name; empty for what stands in none.
    pub(super) name: &'a str,
    /// What the plan records of it.
    pub(super) fact: Option<&'a NamespaceFact>,
    /// It is protected, or nobody knows.
    pub(super) protected: bool,
}

pub(super) fn namespace(view: &NamespaceView<'_>) -> Result<Value, TooLong> {
    let none = BTreeMap::new();
    let labels = view.fact.map_or(&none, |f| &f.labels);
    let labels = labels
        .iter()
        .map(|(k, v)| written("namespaceObject.labels", v).map(|v| (k, v)))
        .collect::<Result<Vec<_>, _>>()?;
    let labels = map("namespaceObject.labels", labels.into_iter())?;
    Ok(object([
        ("name", named("namespaceObject.name", view.name)?),
        ("labels", labels.clone()),
        ("protected", Value::Bool(view.protected)),
        ("known", Value::Bool(view.fact.is_some() || view.name.is_empty())),
        (
            "metadata",
            object([("name", text(view.name)), ("labels", labels)]),
        ),
    ]))
}

pub(super) fn target(target: &Target) -> Result<Value, TooLong> {
    let namespace = target.namespace.as_deref().unwrap_or_default();
    Ok(object([
        ("group", named("target.group", &target.group)?),
        ("version", named("target.version", &target.version)?),
        ("kind", named("target.kind", &target.kind)?),
        ("resource", named("target.resource", &target.resource)?),
        ("namespace", named("target.namespace", namespace)?),
        ("name", named("target.name", &target.name)?),
    ]))
}

pub(super) fn step(step: &Step) -> Result<Value, TooLong> {
    let mut fields: Vec<String> = step.diff.iter().map(|line| line.path.clone()).collect();
    fields.sort();
    fields.dedup();
    let subresource = step.subresource.as_deref().unwrap_or_default();
    let selector = step.selector.as_deref().unwrap_or_default();
    Ok(object([
        ("id", written("step.id", &step.id)?),
        ("action", word(&step.action)),
        ("effect", word(&step.effect)),
        ("level", text(step.level.as_str())),
        ("command", written("step.command", &step.command)?),
        ("subresource", written("step.subresource", subresource)?),
        ("selector", written("step.selector", selector)?),
        ("params", params(step)?),
        ("targets", count(step.targets.len())),
        ("fields", texts("step.fields", &fields)?),
        ("rollback", word(&step.rollback.kind)),
        ("selectedBy", texts("step.selectedBy", &step.selected_by)?),
        (
            "undone",
            Value::Bool(step.owners.iter().any(|o| o.will_be_undone)),
        ),
    ]))
}

/// What is the same for all steps. Level and score are given: rules may have raised them.
pub(super) fn plan(
    plan: &CommandPlanSpec,
    level: Level,
    score: i32,
    protected: bool,
) -> Result<Value, TooLong> {
    let steps = plan.steps.iter().map(summary).collect::<Result<Vec<_>, _>>()?;
    let targets = || plan.steps.iter().flat_map(|s| &s.targets);
    let unique = |all: Vec<&str>| {
        let mut all: Vec<String> = all.into_iter().map(str::to_owned).collect();
        all.sort();
        all.dedup();
        all
    };
    let kinds = unique(targets().map(|t| t.kind.as_str()).collect());
    let namespaces = unique(targets().filter_map(namespace_of).collect());
    let factors: Vec<String> = plan.risk.factors.iter().map(|f| f.id.clone()).collect();
    let window = &plan.facts.window;
    let mode = match plan.mode {
        Mode::Auto => "Auto",
        Mode::PlanOnly => "PlanOnly",
    };
    Ok(object([
        ("level", text(level.as_str())),
        ("score", Value::Int(i64::from(score))),
        ("mode", text(mode)),
        ("steps", within("plan.steps", Value::List(Arc::new(steps)))?),
        ("targets", count(targets().count())),
        ("kinds", texts("plan.kinds", &kinds)?),
        ("namespaces", texts("plan.namespaces", &namespaces)?),
        ("protected", Value::Bool(protected)),
        (
            "clusterScoped",
            Value::Bool(targets().any(|t| t.namespace.is_none())),
        ),
        ("factors", texts("plan.factors", &factors)?),
        ("blastRadius", blast_radius(plan.blast_radius.as_ref())?),
        (
            "window",
            object([
                ("plans", Value::Int(i64::from(window.plans))),
                ("objects", Value::Int(window.objects)),
                ("deleted", Value::Int(window.deleted)),
            ]),
        ),
        ("untrustedText", Value::Bool(plan.facts.untrusted_text)),
        ("incident", Value::Bool(plan.facts.incident)),
        ("rollback", Value::Bool(plan.rollback_of.is_some())),
    ]))
}

fn summary(step: &Step) -> Result<Value, TooLong> {
    let mut kinds: Vec<String> = step.targets.iter().map(|t| t.kind.clone()).collect();
    kinds.sort();
    kinds.dedup();
    Ok(object([
        ("id", written("plan.steps[].id", &step.id)?),
        ("action", word(&step.action)),
        ("effect", word(&step.effect)),
        ("level", text(step.level.as_str())),
        ("targets", count(step.targets.len())),
        ("kinds", texts("plan.steps[].kinds", &kinds)?),
        ("rollback", word(&step.rollback.kind)),
    ]))
}

/// The namespace a target touches: the one it stands in, or the one it is.
pub(super) fn namespace_of(target: &Target) -> Option<&str> {
    target
        .namespace
        .as_deref()
        .or_else(|| (target.group.is_empty() && target.kind == "Namespace").then_some(target.name.as_str()))
}

fn blast_radius(blast: Option<&BlastRadius>) -> Result<Value, TooLong> {
    let nothing = BlastRadius {
        nodes_percent: 100,
        pods_percent: 100,
        ..BlastRadius::default()
    };
    let known = blast.is_some();
    let blast = blast.unwrap_or(&nothing);
    let count = |n: i64| Value::Int(n);
    Ok(object([
        ("known", Value::Bool(known)),
        ("complete", Value::Bool(known && blast.complete)),
        (
            "objects",
            map(
                "plan.blastRadius.objects",
                blast.objects.iter().map(|(k, n)| (k, count(*n))),
            )?,
        ),
        ("podsLost", count(blast.pods_lost)),
        ("podsTotal", count(blast.pods_total)),
        ("podsPercent", count(i64::from(blast.pods_percent))),
        ("nodesPercent", count(i64::from(blast.nodes_percent))),
        (
            "servicesAtZero",
            texts("plan.blastRadius.servicesAtZero", &blast.services_at_zero)?,
        ),
        (
            "pdbsViolated",
            texts("plan.blastRadius.pdbsViolated", &blast.pdbs_violated)?,
        ),
        ("pvcs", texts("plan.blastRadius.pvcs", &blast.pvcs)?),
        (
            "unrecoverableVolumes",
            texts(
                "plan.blastRadius.unrecoverableVolumes",
                &blast.unrecoverable_volumes,
            )?,
        ),
        (
            "singleReplicas",
            texts("plan.blastRadius.singleReplicas", &blast.single_replicas)?,
        ),
        ("outsideNamespace", count(blast.outside_namespace)),
        ("undoneBy", texts("plan.blastRadius.undoneBy", &blast.undone_by)?),
    ]))
}

#[cfg(test)]
#[path = "vars_tests.rs"]
mod tests;
