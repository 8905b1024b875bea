//! What the changes share that make an object: kind, name, namespace and how the step is built.

use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::intent::{Action, Intent, IntentParams};
use serde_json::{Map, Value, json};

use super::super::{Draft, Found, Refusal, blank, carry};
use super::change::{Change, Make, Mark, Pods, Reads};
use super::inverse;
use crate::plan::object::masked;
use crate::risk::{floors, weights};

/// A kind that a change makes.
#[derive(Clone, Copy, Debug)]
pub struct NewKind {
    /// API group; empty for core.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Resource (plural).
    pub resource: &'static str,
    /// Kinds that `params.from` may name; none: it rests on no object.
    pub from: super::change::Kinds,
    /// Whether what `params.from` names may be one that the requester is not allowed to read: then nothing is known of it.
    pub blind: bool,
    /// The object but its name, and the parameters as the plan records them.
    pub body: fn(&Making<'_>, &mut IntentParams) -> Result<Value, Refusal>,
}

/// What all changes have in common that make an object. Each says for itself what it takes and makes.
pub(super) const CREATES: Change = Change {
    kinds: &[],
    params: &[],
    says: &[],
    make: Make::New,
    reads: Reads::Nothing,
    floor: |_| floors::CREATE,
    floors: &[floors::CREATE],
    instead: None,
    weight: |_| weights::CREATE,
    pods: |_| Pods::Made,
    harmless: false,
    line: |_, line| format!("create {} {}", line.kind, line.names),
    undo: "deleting it (destructive), but for what lies in a namespace of the control plane, where nobody deletes",
    mark: Mark::StepId,
};

/// What a new object is made from.
#[derive(Clone, Copy, Debug)]
pub struct Making<'a> {
    /// What the person asked for.
    pub intent: &'a Intent,
    /// Its name.
    pub name: &'a str,
    /// The object of `params.from`.
    pub source: Option<&'a Found>,
}

impl Making<'_> {
    /// What is missing.
    pub(super) fn ask<T>(message: String) -> Result<T, Refusal> {
        Err(Refusal::NeedsInput {
            message,
            candidates: vec![],
        })
    }
}

/// The step that makes one object. Values that were read from the cluster stand beside the plan, never in it.
pub(super) fn create(
    action: Action,
    kind: &NewKind,
    name: &str,
    namespace: Option<&str>,
    body: Value,
    params: IntentParams,
) -> Draft {
    let target = Target {
        group: kind.group.to_owned(),
        version: kind.version.to_owned(),
        kind: kind.kind.to_owned(),
        resource: kind.resource.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
        ..Target::default()
    };
    let mut manifest = body;
    let version = if kind.group.is_empty() {
        kind.version.to_owned()
    } else {
        format!("{}/{}", kind.group, kind.version)
    };
    manifest["apiVersion"] = version.into();
    manifest["kind"] = kind.kind.into();
    manifest["metadata"]["name"] = name.into();
    if let Some(namespace) = namespace {
        manifest["metadata"]["namespace"] = namespace.into();
    }
    let mut step = blank(action, Effect::Create, vec![target], params);
    let (text, digest, sidecar) = carry(&manifest, &masked(&manifest));
    step.manifest = Some(text);
    step.manifest_digest = digest;
    step.rollback = inverse(
        Action::Delete,
        IntentParams::default(),
        "delete it again (a destructive plan)".to_owned(),
    );
    Draft {
        step,
        sidecars: sidecar.into_iter().collect(),
        before: vec![],
    }
}

/// The steps of a change that makes objects of one kind.
///
/// # Errors
/// When something is missing or senseless.
pub fn drafts(
    intent: &Intent,
    kind: &NewKind,
    namespace: &str,
    source: Option<&Found>,
) -> Result<Vec<Draft>, Refusal> {
    let names = &intent.target.names;
    if names.is_empty() {
        return Making::ask(format!("What should the {} be called?", kind.kind));
    }
    let mut all = vec![];
    for name in names {
        let making = Making { intent, name, source };
        let mut params = IntentParams {
            dry_run: None,
            ..intent.params.clone()
        };
        let body = (kind.body)(&making, &mut params)?;
        all.push(create(intent.action, kind, name, Some(namespace), body, params));
    }
    Ok(all)
}

/// A pod template of one container with the labels of its owner. Its image is what the person said, literally.
pub(super) fn template(making: &Making<'_>, restart: Option<&str>) -> Result<Value, Refusal> {
    let p = &making.intent.params;
    let Some(image) = &p.image else {
        return Making::ask(format!("Which image should {} run?", making.name));
    };
    // A container's name is a label: shorter than an object's, and without dots.
    let container: String = making.name.replace('.', "-").chars().take(63).collect();
    let container = container.trim_end_matches('-');
    let mut container = json!({"name": container, "image": image});
    if let Some(port) = p.port {
        container["ports"] = json!([{"containerPort": port}]);
    }
    if !p.command.is_empty() {
        container["command"] = json!(p.command);
    }
    let mut spec = json!({"containers": [container]});
    if let Some(restart) = restart {
        spec["restartPolicy"] = restart.into();
    }
    Ok(json!({"metadata": {"labels": {"app": making.name}}, "spec": spec}))
}

/// ` -- echo hello`.
pub(super) fn after_dashes(command: &[String]) -> String {
    if command.is_empty() {
        return String::new();
    }
    let words: Vec<String> = command.iter().map(|w| super::quoted(w)).collect();
    format!(" -- {}", words.join(" "))
}

/// ` --name=value`, where there is one.
pub(super) fn flag<T: ToString>(name: &str, value: Option<&T>) -> String {
    value
        .map(|v| format!(" --{name}={}", super::quoted(&v.to_string())))
        .unwrap_or_default()
}

/// Labels said as `a=b,c=d`.
pub(super) fn labels(text: &str) -> Result<Value, Refusal> {
    let mut labels = Map::new();
    for part in text.split(',') {
        let pair = part
            .split_once('=')
            .filter(|(k, _)| !k.ends_with('!') && !k.is_empty());
        let Some((key, value)) = pair else {
            return Err(Refusal::Invalid(format!(
                "{part} is no plain label; write key=value"
            )));
        };
        if labels
            .insert(key.to_owned(), value.trim_start_matches('=').into())
            .is_some()
        {
            return Err(Refusal::Invalid(format!(
                "the label {key} is said twice; a pod has one value of it, so say it once"
            )));
        }
    }
    Ok(Value::Object(labels))
}

/// The pods that a new object selects: those said by labels, or those of its source.
pub(super) fn selector(making: &Making<'_>) -> Result<Value, Refusal> {
    let said = making.intent.target.selector.as_deref();
    match (said, making.source) {
        (Some(text), None) => Ok(json!({"matchLabels": labels(text)?})),
        (None, Some(source)) => source
            .object
            .pointer("/spec/selector")
            .cloned()
            .ok_or_else(|| Refusal::Invalid(format!("{} selects no pods", super::label_of(source)))),
        (None, None) => Making::ask(format!(
            "Which pods is {} for? Name a workload, or labels",
            making.name
        )),
        (Some(_), Some(_)) => Err(Refusal::Invalid(
            "the pods are named by labels and by a workload; say one of the two".to_owned(),
        )),
    }
}
