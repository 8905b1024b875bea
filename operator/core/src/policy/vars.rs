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
        "plan.window" => &["plans", "objects", "deleted"],
        "requester" => &["username", "uid", "groups", "extra", "serviceAccount"],
        "target" => &["group", "version", "kind", "resource", "namespace", "name"],
        "namespaceObject" => &["name", "labels", "protected", "known", "metadata"],
        "namespaceObject.metadata" => &["name", "labels"],
        _ => return None,
    })
}

/// How many entries a field of a variable has at most.
pub(super) fn longest(root: &str, field: &str) -> u64 {
    match (root, field) {
        ("plan", "steps" | "namespaces" | "kinds") => 64,
        ("plan", "factors") => 128,
        ("namespaceObject", "labels") => 64,
        _ => MAX_LIST,
    }
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

fn count(n: usize) -> Value {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

fn list(what: &'static str, limit: u64, values: Vec<Value>) -> Result<Value, TooLong> {
    if u64::try_from(values.len()).is_ok_and(|n| n <= limit) {
        Ok(Value::List(Arc::new(values)))
    } else {
        Err(TooLong(what))
    }
}

fn texts(what: &'static str, limit: u64, all: &[String]) -> Result<Value, TooLong> {
    list(what, limit, all.iter().map(|t| text(t.as_str())).collect())
}

fn map<'a>(
    what: &'static str,
    limit: u64,
    entries: impl Iterator<Item = (&'a String, Value)>,
) -> Result<Value, TooLong> {
    let map: HashMap<Key, Value> = entries.map(|(k, v)| (Key::from(k.as_str()), v)).collect();
    if u64::try_from(map.len()).is_ok_and(|n| n <= limit) {
        Ok(Value::Map(Map { map: Arc::new(map) }))
    } else {
        Err(TooLong(what))
    }
}

fn word(value: &impl serde::Serialize) -> Value {
    json(serde_json::to_value(value).unwrap_or_default())
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
        .map(|(k, v)| texts("requester.extra", MAX_LIST, v).map(|v| (k, v)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(object([
        ("username", text(who.username.as_str())),
        ("uid", text(who.uid.as_str())),
        ("groups", texts("requester.groups", MAX_LIST, &who.groups)?),
        ("extra", map("requester.extra", MAX_LIST, extra.into_iter())?),
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
    let labels = map(
        "namespaceObject.labels",
        longest("namespaceObject", "labels"),
        labels.iter().map(|(k, v)| (k, text(v.as_str()))),
    )?;
    Ok(object([
        ("name", text(view.name)),
        ("labels", labels.clone()),
        ("protected", Value::Bool(view.protected)),
        ("known", Value::Bool(view.fact.is_some() || view.name.is_empty())),
        (
            "metadata",
            object([("name", text(view.name)), ("labels", labels)]),
        ),
    ]))
}

pub(super) fn target(target: &Target) -> Value {
    object([
        ("group", text(target.group.as_str())),
        ("version", text(target.version.as_str())),
        ("kind", text(target.kind.as_str())),
        ("resource", text(target.resource.as_str())),
        ("namespace", text(target.namespace.as_deref().unwrap_or_default())),
        ("name", text(target.name.as_str())),
    ])
}

pub(super) fn step(step: &Step) -> Result<Value, TooLong> {
    let mut fields: Vec<String> = step.diff.iter().map(|line| line.path.clone()).collect();
    fields.sort();
    fields.dedup();
    Ok(object([
        ("id", text(step.id.as_str())),
        ("action", word(&step.action)),
        ("effect", word(&step.effect)),
        ("level", text(step.level.as_str())),
        ("command", text(step.command.as_str())),
        (
            "subresource",
            text(step.subresource.as_deref().unwrap_or_default()),
        ),
        ("selector", text(step.selector.as_deref().unwrap_or_default())),
        ("params", word(&step.params)),
        ("targets", count(step.targets.len())),
        ("fields", texts("step.fields", MAX_LIST, &fields)?),
        ("rollback", word(&step.rollback.kind)),
        (
            "selectedBy",
            texts("step.selectedBy", MAX_LIST, &step.selected_by)?,
        ),
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
        ("steps", list("plan.steps", 64, steps)?),
        ("targets", count(targets().count())),
        ("kinds", texts("plan.kinds", 64, &kinds)?),
        ("namespaces", texts("plan.namespaces", 64, &namespaces)?),
        ("protected", Value::Bool(protected)),
        (
            "clusterScoped",
            Value::Bool(targets().any(|t| t.namespace.is_none())),
        ),
        ("factors", texts("plan.factors", 128, &factors)?),
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
        ("id", text(step.id.as_str())),
        ("action", word(&step.action)),
        ("effect", word(&step.effect)),
        ("level", text(step.level.as_str())),
        ("targets", count(step.targets.len())),
        ("kinds", texts("plan.steps[].kinds", 64, &kinds)?),
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
    let names = |what, all: &[String]| texts(what, MAX_LIST, all);
    Ok(object([
        ("known", Value::Bool(known)),
        ("complete", Value::Bool(known && blast.complete)),
        (
            "objects",
            map(
                "plan.blastRadius.objects",
                MAX_LIST,
                blast.objects.iter().map(|(k, n)| (k, Value::Int(*n))),
            )?,
        ),
        ("podsLost", Value::Int(blast.pods_lost)),
        ("podsTotal", Value::Int(blast.pods_total)),
        ("podsPercent", Value::Int(i64::from(blast.pods_percent))),
        ("nodesPercent", Value::Int(i64::from(blast.nodes_percent))),
        (
            "servicesAtZero",
            names("plan.blastRadius.servicesAtZero", &blast.services_at_zero)?,
        ),
        (
            "pdbsViolated",
            names("plan.blastRadius.pdbsViolated", &blast.pdbs_violated)?,
        ),
        ("pvcs", names("plan.blastRadius.pvcs", &blast.pvcs)?),
        (
            "unrecoverableVolumes",
            names(
                "plan.blastRadius.unrecoverableVolumes",
                &blast.unrecoverable_volumes,
            )?,
        ),
        (
            "singleReplicas",
            names("plan.blastRadius.singleReplicas", &blast.single_replicas)?,
        ),
        ("outsideNamespace", Value::Int(blast.outside_namespace)),
        ("undoneBy", names("plan.blastRadius.undoneBy", &blast.undone_by)?),
    ]))
}
