//! The changes of the catalogue, one file each: what is written for one object, what undoes it, and the kubectl line shown
//! for it.

mod annotate;
mod cordon;
pub mod create_namespace;
mod delete;
mod label;
pub mod recreate;
mod restart;
mod rollout_undo;
mod scale;
mod set_image;
mod set_resources;

use jiff::Timestamp;
use kubechat_crds::Step;
use kubechat_crds::command_plan::{Effect, Rollback, RollbackKind, Undo};
use kubechat_crds::intent::{Action, Intent, IntentParams};
use serde_json::Value;

use super::{Draft, Found, Refusal, Revision, blank, object, target};

/// The step for one object.
pub(super) fn draft_one(
    intent: &Intent,
    found: &Found,
    revisions: &[Revision],
    now: Timestamp,
) -> Result<Draft, Refusal> {
    match intent.action {
        Action::Scale => scale::draft(intent, found, None),
        Action::Restart => restart::draft(intent, found, now),
        Action::SetImage => set_image::draft(intent, found),
        Action::SetResources => set_resources::draft(intent, found),
        Action::Delete => delete::draft(intent, found),
        Action::Label => label::draft(intent, found),
        Action::Annotate => annotate::draft(intent, found),
        Action::Cordon => cordon::draft(intent, found, true),
        Action::Uncordon => cordon::draft(intent, found, false),
        Action::RolloutUndo => rollout_undo::draft(intent, found, revisions),
        Action::CreateNamespace
        | Action::Recreate
        | Action::List
        | Action::Get
        | Action::Describe
        | Action::Logs
        | Action::Events
        | Action::Count
        | Action::RolloutStatus => Err(Refusal::Invalid(format!(
            "{} does not change an existing object",
            intent.action
        ))),
    }
}

/// The step of a scale for one object, beside its Scale.
pub(super) fn draft_scale(intent: &Intent, found: &Found, scale: Option<&Value>) -> Result<Draft, Refusal> {
    scale::draft(intent, found, scale)
}

/// The step as a kubectl line, for people. Nothing ever runs it.
#[must_use]
pub fn command(step: &Step) -> String {
    let Some(first) = step.targets.first() else {
        return String::new();
    };
    let kind = first.kind.to_lowercase();
    let names: Vec<&str> = step.targets.iter().map(|t| t.name.as_str()).collect();
    let objects = names
        .iter()
        .map(|n| format!("{kind}/{n}"))
        .collect::<Vec<_>>()
        .join(" ");
    let place = first
        .namespace
        .as_ref()
        .map(|n| format!(" -n {n}"))
        .unwrap_or_default();
    let p = &step.params;
    let body = match step.action {
        Action::Scale => format!("scale {objects} --replicas={}", p.replicas.unwrap_or_default()),
        Action::Restart => format!("rollout restart {objects}"),
        Action::SetImage => {
            let container = p.container.as_deref().unwrap_or("*");
            format!(
                "set image {objects} {container}={}",
                p.image.as_deref().unwrap_or_default()
            )
        }
        Action::SetResources => {
            let list = |name: &str, map: &std::collections::BTreeMap<String, String>| {
                let pairs: Vec<_> = map.iter().map(|(k, v)| format!("{k}={v}")).collect();
                if pairs.is_empty() {
                    String::new()
                } else {
                    format!(" --{name}={}", pairs.join(","))
                }
            };
            let container = p
                .container
                .as_ref()
                .map(|c| format!(" -c {c}"))
                .unwrap_or_default();
            format!(
                "set resources {objects}{container}{}{}",
                list("requests", &p.requests),
                list("limits", &p.limits)
            )
        }
        Action::Delete => format!("delete {objects}"),
        Action::Label | Action::Annotate => {
            let set = p.set.iter().map(|(k, v)| format!("{k}={v}"));
            let pairs: Vec<_> = set.chain(p.remove.iter().map(|k| format!("{k}-"))).collect();
            format!("{} {objects} {} --overwrite", step.action, pairs.join(" "))
        }
        Action::Cordon | Action::Uncordon => format!("{} {}", step.action, names.join(" ")),
        Action::CreateNamespace => format!("create namespace {}", first.name),
        Action::RolloutUndo => {
            let to = p
                .revision
                .map(|r| format!(" --to-revision={r}"))
                .unwrap_or_default();
            format!("rollout undo {objects}{to}")
        }
        Action::Recreate => format!("create -f {kind}-{}.yaml", first.name),
        Action::List
        | Action::Get
        | Action::Describe
        | Action::Logs
        | Action::Events
        | Action::Count
        | Action::RolloutStatus => format!("{} {objects}", step.action),
    };
    format!("kubectl {body}{place}")
}

/// A draft of an update step for one object.
fn update(intent: &Intent, found: &Found, params: IntentParams, patch: &Value, rollback: Rollback) -> Draft {
    let mut step = blank(
        intent.action,
        Effect::Update,
        vec![target(&found.kind, &found.object)],
        params,
    );
    step.patch = Some(patch.to_string());
    step.rollback = rollback;
    Draft {
        step,
        sidecars: vec![],
        before: vec![found.object.clone()],
    }
}

/// A rollback by the inverse action with these parameters.
fn inverse(action: Action, params: IntentParams, why: String) -> Rollback {
    Rollback {
        kind: RollbackKind::Inverse,
        action: Some(action),
        params: None,
        undo: vec![Undo {
            params,
            manifest: None,
            manifest_digest: None,
        }],
        why,
    }
}

/// No rollback, for a reason.
fn irreversible(why: impl Into<String>) -> Rollback {
    Rollback {
        kind: RollbackKind::None,
        action: None,
        params: None,
        undo: vec![],
        why: why.into(),
    }
}

/// `deployment/web`.
fn label_of(found: &Found) -> String {
    format!(
        "{}/{}",
        found.kind.kind.to_lowercase(),
        object::name(&found.object)
    )
}

/// One container of a workload: where it stands and what it is.
struct Container<'a> {
    /// JSON pointer of the container.
    pointer: String,
    name: &'a str,
    object: &'a Value,
}

/// The containers of a workload, init containers last.
fn containers(found: &Found) -> Result<Vec<Container<'_>>, Refusal> {
    let kind = found.kind.kind.as_str();
    let root = object::pod_spec_pointer(kind)
        .ok_or_else(|| Refusal::Invalid(format!("{} has no containers", label_of(found))))?;
    let mut all = vec![];
    for list in ["containers", "initContainers"] {
        let pointer = format!("{root}/{list}");
        let entries = found
            .object
            .pointer(&pointer)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for (index, entry) in entries.enumerate() {
            let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
            all.push(Container {
                pointer: format!("{pointer}/{index}"),
                name,
                object: entry,
            });
        }
    }
    Ok(all)
}

/// The container a change means: the named one, or the only one.
fn pick<'a>(found: &'a Found, wanted: Option<&str>) -> Result<Container<'a>, Refusal> {
    let all = containers(found)?;
    let names: Vec<String> = all.iter().map(|c| c.name.to_owned()).collect();
    let ask = |message: String| Refusal::NeedsInput {
        message,
        candidates: names.clone(),
    };
    match wanted {
        Some(name) => all
            .into_iter()
            .find(|c| c.name == name)
            .ok_or_else(|| ask(format!("{} has no container {name}. Which one?", label_of(found)))),
        None => {
            let mut main: Vec<_> = all
                .into_iter()
                .filter(|c| c.pointer.contains("/containers/"))
                .collect();
            if main.len() == 1 {
                main.pop().ok_or_else(|| ask(String::new()))
            } else {
                Err(ask(format!(
                    "{} has {} containers. Which one?",
                    label_of(found),
                    main.len()
                )))
            }
        }
    }
}
