//! From a typed intent and the objects it means to typed steps. Pure: the shell resolves names, asks for rights and runs
//! the server's dry-run; what a step is, is decided here.

pub mod actions;
pub mod adoption;
pub mod contradiction;
pub mod diff;
pub mod effect;
mod join;
pub mod object;
pub mod quantity;
pub mod reach;
pub mod scaling;
pub mod selector;
mod trace;

use jiff::Timestamp;
use kubechat_crds::command_plan::{Effect, Rollback, Step, Target};
use kubechat_crds::intent::{Action, Intent, IntentParams};
use kubechat_crds::{Level, STEP_ID_ANNOTATION};
use serde_json::Value;

use crate::authz::Question;
use crate::risk;
pub use join::{MAX_EVICTIONS, join};
pub use trace::{Same, Trace, is_the_one, trace};

/// A kind as discovery describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KindRef {
    /// API group; empty for core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Resource (plural).
    pub resource: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether it has a `scale` subresource.
    pub scalable: bool,
}

impl KindRef {
    /// `apps/v1` or `v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether this is the kind of that group.
    #[must_use]
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }
}

/// One live object of a kind, as the requester read it.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its kind.
    pub kind: KindRef,
    /// The object.
    pub object: Value,
}

/// An earlier revision of a workload.
#[derive(Clone, Debug)]
pub struct Revision {
    /// Its number.
    pub number: i64,
    /// Its pod template.
    pub template: Value,
}

/// Why there are no steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Unclear: these could be meant.
    NeedsInput {
        /// What is needed.
        message: String,
        /// What could be meant.
        candidates: Vec<String>,
    },
    /// The change makes no sense for the object.
    Invalid(String),
    /// Everything is as wanted already.
    Nothing(String),
}

/// Bytes too long or too telling for an object; they stand in the audit database under their digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// `sha256:..` of the bytes.
    pub digest: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A step and what it needs stored beside it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The step, without diff, access answers and owners.
    pub step: Step,
    /// Bytes to store before the plan is made.
    pub sidecars: Vec<Sidecar>,
    /// The target objects as read, in the order of `step.targets`; empty for a create.
    pub before: Vec<Value>,
}

/// Longest text of what undoes a step, or why nothing does, in bytes.
const MAX_WHY: usize = 1000;

/// Longest text of a patch or manifest in a plan, in bytes.
pub const MAX_INLINE: usize = 16 * 1024;

/// Steps for a change intent over the objects it means (all of one kind). Objects that need the same write share a step.
///
/// # Errors
/// When the change is unclear, senseless or needless.
pub fn draft(
    intent: &Intent,
    found: &[Found],
    revisions: &[Revision],
    now: Timestamp,
) -> Result<Vec<Draft>, Refusal> {
    let beside = actions::Beside {
        revisions,
        ..actions::Beside::default()
    };
    draft_with(intent, found, beside, now)
}

/// Steps for a change of scale. Beside each object its Scale, where only that says how many replicas it has
/// ([`scaling::in_spec`]).
///
/// # Errors
/// When the change is unclear, senseless or needless.
pub fn draft_scale(intent: &Intent, found: &[(Found, Option<Value>)]) -> Result<Vec<Draft>, Refusal> {
    drafts(
        intent,
        found.iter().map(|(one, scale)| {
            let beside = actions::Beside {
                scale: scale.as_ref(),
                ..actions::Beside::default()
            };
            actions::draft_one(&asked(intent, one, beside, Timestamp::UNIX_EPOCH))
        }),
    )
}

/// As [`draft`], with all that was read besides the objects.
///
/// # Errors
/// When the change is unclear, senseless or needless.
pub fn draft_with(
    intent: &Intent,
    found: &[Found],
    beside: actions::Beside<'_>,
    now: Timestamp,
) -> Result<Vec<Draft>, Refusal> {
    let each = found.iter();
    drafts(
        intent,
        each.map(|one| actions::draft_one(&asked(intent, one, beside, now))),
    )
}

const fn asked<'a>(
    intent: &'a Intent,
    found: &'a Found,
    beside: actions::Beside<'a>,
    now: Timestamp,
) -> actions::Asked<'a> {
    actions::Asked {
        intent,
        found,
        beside,
        now,
    }
}

fn drafts(
    intent: &Intent,
    each: impl Iterator<Item = Result<Draft, Refusal>>,
) -> Result<Vec<Draft>, Refusal> {
    let mut drafts: Vec<Draft> = vec![];
    let mut nothing = vec![];
    for one in each {
        match one {
            Ok(mut next) => {
                next.step.selector = chosen_by(intent);
                join(&mut drafts, next);
            }
            Err(Refusal::Nothing(why)) => nothing.push(why),
            Err(refusal) => return Err(refusal),
        }
    }
    if drafts.is_empty() {
        return Err(Refusal::Nothing(nothing.join("\n")));
    }
    for (index, draft) in drafts.iter_mut().enumerate() {
        finish(&mut draft.step, index);
    }
    Ok(drafts)
}

/// The steps of several objects that were drafted one by one. What is as wanted already holds up none of the others.
///
/// # Errors
/// The first that is unclear or senseless; or that all are as wanted.
pub fn together(each: Vec<Result<Vec<Draft>, Refusal>>) -> Result<Vec<Draft>, Refusal> {
    let (mut all, mut nothing) = (vec![], vec![]);
    for one in each {
        match one {
            Ok(drafts) => drafts.into_iter().for_each(|draft| join(&mut all, draft)),
            Err(Refusal::Nothing(why)) => nothing.push(why),
            Err(refusal) => return Err(refusal),
        }
    }
    if all.is_empty() {
        return Err(Refusal::Nothing(nothing.join("\n")));
    }
    Ok(all)
}

/// The selector that chose the objects, where nobody named them.
fn chosen_by(intent: &Intent) -> Option<String> {
    let target = &intent.target;
    let all = || "*".to_owned();
    let by = || target.selector.clone().unwrap_or_else(all);
    (target.names.is_empty() && (target.all || target.selector.is_some())).then(by)
}

/// Numbers a step and sets what follows from the rest of it.
pub fn finish(step: &mut Step, index: usize) {
    step.id = format!("s{}", index + 1);
    step.command = kubechat_crds::condition::clip(actions::command(step), 1000);
    step.level = risk::floor_level(step);
    step.rollback.share();
    step.rollback.why = kubechat_crds::condition::clip(std::mem::take(&mut step.rollback.why), MAX_WHY);
}

/// The target entry of an object, with the precondition that fits its kind.
#[must_use]
pub fn target(kind: &KindRef, object: &Value) -> Target {
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let churns = generation.is_some() || object.get("status").is_some();
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    Target {
        group: kind.group.clone(),
        version: kind.version.clone(),
        kind: kind.kind.clone(),
        resource: kind.resource.clone(),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name").unwrap_or_default(),
        uid: text("/metadata/uid"),
        resource_version: if churns {
            None
        } else {
            text("/metadata/resourceVersion")
        },
        generation,
        spec_digest: churns.then(|| object::spec_digest(object)),
        change_digest: None,
    }
}

/// As [`target`], of an object that is to be deleted: its finalizers count too.
#[must_use]
pub fn removed_target(kind: &KindRef, object: &Value) -> Target {
    let mut target = target(kind, object);
    target.spec_digest = target.spec_digest.map(|_| object::removal_digest(object));
    target
}

/// Whether an object read now still meets the precondition recorded in the plan; otherwise what changed.
///
/// # Errors
/// A sentence for people.
pub fn still_as_planned(target: &Target, now: &Value) -> Result<(), String> {
    let name = format!("{}/{}", target.kind.to_lowercase(), target.name);
    let uid = now.pointer("/metadata/uid").and_then(Value::as_str);
    if uid != target.uid.as_deref() {
        return Err(format!(
            "{name} was deleted and created again since the plan was made"
        ));
    }
    if now.pointer("/metadata/deletionTimestamp").is_some() {
        return Err(format!("{name} is being deleted"));
    }
    if let Some(digest) = &target.spec_digest {
        // Which of them was recorded shows in itself: they are never the same.
        return if [object::spec_digest(now), object::removal_digest(now)].contains(digest) {
            Ok(())
        } else {
            Err(format!("{name} was changed since the plan was made"))
        };
    }
    let version = now.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    if version == target.resource_version.as_deref() {
        Ok(())
    } else {
        Err(format!("{name} was changed since the plan was made"))
    }
}

/// The rights a step needs.
#[must_use]
pub fn access_needed(step: &Step) -> Vec<Question> {
    let verb = match step.effect {
        // An eviction is posted to the pod.
        Effect::Delete if step.subresource.is_some() => "create",
        Effect::Create => "create",
        Effect::Read => "get",
        Effect::Update => "patch",
        Effect::Delete => "delete",
    };
    let mut questions: Vec<Question> = step
        .targets
        .iter()
        .map(|t| Question {
            verb: verb.to_owned(),
            group: t.group.clone(),
            resource: t.resource.clone(),
            subresource: step.subresource.clone().unwrap_or_default(),
            namespace: t.namespace.clone(),
            name: (step.effect != Effect::Create && step.targets.len() == 1).then(|| t.name.clone()),
        })
        .collect();
    questions.sort();
    questions.dedup();
    questions
}

/// The id of a step: SHA-256 over plan UID, index and the step's content. Unique in the audit store: the execution lock.
#[must_use]
pub fn step_id(plan_uid: &str, index: usize, step: &Step) -> String {
    let content = kubechat_crds::canonical(step).unwrap_or_default();
    let hash = kubechat_crds::sha256_hex(&content);
    kubechat_crds::sha256_hex(format!("{plan_uid}\n{index}\n{hash}").as_bytes())
}

/// What is sent for one target of an Update step: the recorded patch with uid, the resourceVersion read just before, and
/// (except on subresources) the step id. JSON patches replace uid and resourceVersion by themselves, which the API server
/// answers with 409 when they differ.
///
/// # Errors
/// When the recorded patch is no patch (then nothing is sent).
pub fn final_patch(
    patch: &str,
    subresource: Option<&str>,
    fresh: &Value,
    step_id: &str,
) -> Result<Value, String> {
    let text = |pointer: &str| fresh.pointer(pointer).cloned().unwrap_or(Value::Null);
    let (uid, version) = (text("/metadata/uid"), text("/metadata/resourceVersion"));
    match serde_json::from_str::<Value>(patch).map_err(|e| format!("the recorded patch is no JSON: {e}"))? {
        Value::Object(mut merge) => {
            let metadata = merge
                .entry("metadata")
                .or_insert_with(|| Value::Object(serde_json::Map::new()));
            let Some(metadata) = metadata.as_object_mut() else {
                return Err("the recorded patch has no metadata object".into());
            };
            metadata.insert("uid".into(), uid);
            metadata.insert("resourceVersion".into(), version);
            if subresource.is_none() {
                let annotations = metadata
                    .entry("annotations")
                    .or_insert_with(|| Value::Object(serde_json::Map::new()));
                let Some(annotations) = annotations.as_object_mut() else {
                    return Err("the recorded patch removes all annotations".into());
                };
                annotations.insert(STEP_ID_ANNOTATION.into(), step_id.into());
            }
            Ok(Value::Object(merge))
        }
        Value::Array(ops) => {
            let mut all = vec![
                serde_json::json!({"op": "replace", "path": "/metadata/uid", "value": uid}),
                serde_json::json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version}),
            ];
            if fresh.pointer("/metadata/annotations").is_none() {
                all.push(serde_json::json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
            }
            let key = STEP_ID_ANNOTATION.replace('~', "~0").replace('/', "~1");
            all.push(serde_json::json!({"op": "add", "path": format!("/metadata/annotations/{key}"), "value": step_id}));
            all.extend(ops);
            Ok(Value::Array(all))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err("the recorded patch is neither an object nor an array".into())
        }
    }
}

/// An empty step of an action; the action's draft fills it.
pub(crate) fn blank(action: Action, effect: Effect, targets: Vec<Target>, params: IntentParams) -> Step {
    Step {
        id: String::new(),
        action,
        effect,
        targets,
        selector: None,
        params,
        command: String::new(),
        patch: None,
        subresource: None,
        manifest: None,
        manifest_digest: None,
        diff: vec![],
        access: vec![],
        selected_by: vec![],
        adopts: vec![],
        owners: vec![],
        level: Level::Destructive,
        rollback: Rollback::default(),
    }
}

/// A text as it may stand in a plan: in full where it is short and tells nothing, else masked with a digest and a sidecar.
pub(crate) fn carry(full: &Value, masked: &Value) -> (String, Option<String>, Option<Sidecar>) {
    let text = full.to_string();
    if full == masked && text.len() <= MAX_INLINE {
        return (text, None, None);
    }
    let digest = format!("sha256:{}", kubechat_crds::sha256_hex(text.as_bytes()));
    let shown = masked.to_string();
    let shown = if shown.len() <= MAX_INLINE {
        shown
    } else {
        "{}".to_owned()
    };
    (
        shown,
        Some(digest.clone()),
        Some(Sidecar {
            digest,
            bytes: text.into_bytes(),
        }),
    )
}

#[cfg(test)]
mod precondition_tests;
#[cfg(test)]
#[path = "../plan_tests.rs"]
mod tests;
