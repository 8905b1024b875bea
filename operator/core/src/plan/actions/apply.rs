//! apply: a manifest given in the prompt. An object that is not there is made; of one that is, the fields that the manifest
//! names are changed by a server-side apply without force, as the requester. What it comes to, and whether a field belongs
//! to somebody else, the API server says by a dry-run of that same apply.
//!
//! **Invariant:** an apply is never a cheaper way to a change than the change's own action: it weighs at least as much, and
//! whatever it does to an object that is there is destructive.

use kubechat_crds::command_plan::{Effect, Rollback, RollbackKind, Target, Undo};
use kubechat_crds::intent::{Action, Intent, IntentParams};
use kubechat_crds::{GROUP, STEP_ID_ANNOTATION, Step};
use serde_json::{Map, Value, json};

use super::change::{Change, Make, Mark, Pods, Reads};
use super::{Draft, Found, Refusal, autoscale, bind_role, inverse, label_of, object, opens, patch, update};
use crate::plan::{KindRef, MAX_INLINE, Sidecar, blank, carry};
use crate::risk::floors::Floor;
use crate::risk::weights::Weight;
use crate::risk::{floors, weights};

pub use super::unsaid::{change_digest, unsaid};

pub(super) const CHANGE: Change = Change {
    kinds: &[],
    params: &["manifest", "grants", "subjects"],
    says: &[
        "apply {\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"settings\"},\"data\":{\"mode\":\"fast\"}}",
        "please apply this manifest: {\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"settings\"},\"data\":{\"mode\":\"fast\"}}",
    ],
    make: Make::Given,
    reads: Reads::Nothing,
    floor,
    floors: &[
        floors::CREATE,
        floors::SCALE_UNKNOWN,
        floors::TAKES_ADDRESSES,
        floors::OPENS_NETWORK,
        floors::ACCOUNT_RIGHTS,
        floors::ADOPTS_PODS,
        floors::APPLY,
    ],
    instead: None,
    weight,
    pods: |step| if makes(step) { Pods::Made } else { Pods::Ended },
    harmless: false,
    line: |_, line| format!("apply --server-side -f {}-{}.yaml", line.kind, line.names),
    undo: "deleting what was made (destructive); the changed fields before; values of the environment among them are kept beside the plan, never in it",
    mark: Mark::StepId,
};

fn makes(step: &Step) -> bool {
    step.effect == Effect::Create
}

/// Whether a step is about objects of this kind.
fn about_kind(step: &Step, group: &str, kinds: &[&str]) -> bool {
    let is = |target: &Target| target.group == group && kinds.contains(&target.kind.as_str());
    step.targets.iter().any(is)
}

const AUTOSCALER: (&str, &[&str]) = ("autoscaling", &["HorizontalPodAutoscaler"]);
const RIGHTS: &str = "rbac.authorization.k8s.io";

fn floor(step: &Step) -> Floor {
    if !makes(step) {
        floors::APPLY
    } else if about_kind(step, AUTOSCALER.0, AUTOSCALER.1) {
        // It may take away what runs, as a scale does.
        floors::autoscale(step)
    } else if about_kind(step, "", &["Service"]) && ADDRESSES.iter().any(|field| names(step, field)) {
        floors::TAKES_ADDRESSES
    } else if about_kind(step, "networking.k8s.io", &["NetworkPolicy"]) && opens(step) {
        floors::OPENS_NETWORK
    } else if gives_by_notes(step) && names(step, "/metadata/annotations") {
        floors::ACCOUNT_RIGHTS
    } else if adopts(step) {
        floors::ADOPTS_PODS
    } else {
        floors::CREATE
    }
}

/// Whether annotations of its objects give somebody something: rights in a cloud, a name, an address.
fn gives_by_notes(step: &Step) -> bool {
    about_kind(step, "", &["ServiceAccount", "Service"])
        || about_kind(step, "networking.k8s.io", &["Ingress"])
}

/// Whether a new controller takes over pods that nobody owns by its selector alone, and deletes those it has too many of.
fn adopts(step: &Step) -> bool {
    let manual = |kind: &str, pointer: &str| about_kind(step, "batch", &[kind]) && names(step, pointer);
    about_kind(step, "apps", &["ReplicaSet", "DaemonSet"])
        || about_kind(step, "", &["ReplicationController"])
        || manual("Job", "/spec/manualSelector")
        || manual("CronJob", "/spec/jobTemplate/spec/manualSelector")
}

/// Fields of a Service by which it takes or gives an address that is not its own.
const ADDRESSES: &[&str] = &["/spec/externalIPs", "/spec/externalName", "/spec/loadBalancerIP"];

/// The manifest of a new object, where it stands in the plan whole.
fn shown(step: &Step) -> Option<Value> {
    let text = step
        .manifest
        .as_deref()
        .filter(|_| step.manifest_digest.is_none())?;
    serde_json::from_str(text).ok()
}

/// Whether a new NetworkPolicy allows everything, or may: one that does not stand in the plan whole.
fn opens(step: &Step) -> bool {
    shown(step).is_none_or(|policy| opens::opens(&policy))
}

/// Whether a new object's manifest says something there, or may: one that does not stand in the plan whole.
fn names(step: &Step, pointer: &str) -> bool {
    let Some(manifest) = shown(step) else { return true };
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    manifest.pointer(pointer).is_some_and(|value| !empty(value))
}

/// As much as the action that a person would have said instead, and for what is there no less than a patch.
fn weight(step: &Step) -> Weight {
    let plain = if makes(step) {
        weights::CREATE
    } else {
        weights::PATCH
    };
    let mut all = vec![plain];
    if step.targets.iter().any(|t| t.group == RIGHTS) {
        all.push((bind_role::CHANGE.weight)(step));
    }
    if about_kind(step, AUTOSCALER.0, AUTOSCALER.1) {
        all.push((autoscale::CHANGE.weight)(step));
    }
    if about_kind(step, "networking.k8s.io", &["NetworkPolicy"]) {
        all.push(weights::NETWORK_POLICY);
    }
    let stops = |line: &kubechat_crds::command_plan::DiffLine| {
        line.path == "/spec/replicas" && line.after.as_deref().is_none_or(|n| n == "0")
    };
    if !makes(step) && step.diff.iter().any(stops) {
        all.push(weights::SCALE_TO_ZERO);
    }
    let mut told = step
        .manifest
        .iter()
        .chain(step.diff.iter().filter_map(|l| l.after.as_ref()));
    if about_kind(step, "", &["Node"]) && told.any(|text| text.contains("NoExecute")) {
        all.push(weights::TAINT_NO_EXECUTE);
    }
    all.into_iter().max_by_key(|w| w.percent).unwrap_or(plain)
}

/// What a manifest is about: group, version, kind, name and namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About<'a> {
    /// API group; empty for core.
    pub group: &'a str,
    /// Version.
    pub version: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Name.
    pub name: &'a str,
    /// Namespace, where it names one.
    pub namespace: Option<&'a str>,
}

/// Takes out what tools write into a manifest and that says nothing: an empty status, a creation time that is null.
pub fn tidy(manifest: &mut Value) {
    let Some(map) = manifest.as_object_mut() else {
        return;
    };
    let empty = |v: &Value| v.is_null() || v.as_object().is_some_and(Map::is_empty);
    if map.get("status").is_some_and(empty) {
        map.remove("status");
    }
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, value| !value.is_null());
    }
}

/// Reads who a manifest is about.
///
/// # Errors
/// What is missing, or what a manifest from a prompt must not hold.
pub fn about(manifest: &Value) -> Result<About<'_>, String> {
    let text = |p: &str| {
        manifest
            .pointer(p)
            .and_then(Value::as_str)
            .filter(|t| !t.is_empty())
    };
    let (Some(api), Some(kind)) = (text("/apiVersion"), text("/kind")) else {
        return Err("a manifest needs apiVersion, kind and metadata.name".to_owned());
    };
    if kind == "List" || manifest.get("items").is_some() {
        return Err("a manifest is of one object; put '---' between several".to_owned());
    }
    let Some(name) = text("/metadata/name") else {
        return Err("a manifest needs apiVersion, kind and metadata.name".to_owned());
    };
    let (group, version) = api.split_once('/').unwrap_or(("", api));
    if group.is_empty() && kind == "Secret" {
        return Err("Values of Secrets are never set by a prompt, so a Secret is not applied".to_owned());
    }
    if manifest.get("status").is_some() {
        return Err("status is written by the cluster; leave it out of the manifest".to_owned());
    }
    let metadata = manifest.get("metadata").and_then(Value::as_object);
    let known = ["name", "namespace", "labels", "annotations"];
    let foreign = metadata.and_then(|m| m.keys().find(|key| !known.contains(&key.as_str())));
    if let Some(field) = foreign {
        return Err(format!(
            "metadata.{field} is not taken from a manifest; leave it out"
        ));
    }
    for map in ["labels", "annotations"] {
        let Some(value) = metadata.and_then(|m| m.get(map)) else {
            continue;
        };
        let Some(keys) = value.as_object() else {
            return Err(format!("metadata.{map} is a list of key: value"));
        };
        let own = |key: &&String| {
            key.split('/')
                .next()
                .is_some_and(|prefix| prefix.ends_with(GROUP))
                && key.contains('/')
        };
        if let Some(own) = keys.keys().find(own) {
            return Err(format!(
                "{own} is KubeChat's own mark; leave it out of the manifest"
            ));
        }
        if keys.contains_key(object::LAST_APPLIED) {
            return Err(format!(
                "{} holds a copy of the whole object with its values; leave it out of the manifest",
                object::LAST_APPLIED
            ));
        }
    }
    Ok(About {
        group,
        version,
        kind,
        name,
        namespace: text("/metadata/namespace"),
    })
}

/// What a plan records of rights that a manifest gives, so that it weighs like giving them: what the role grants (`role` is
/// the one a binding names, where the requester may read it), and who of nearly everybody is bound. Empty for other kinds.
#[must_use]
pub fn given(after: &Value, role: Option<&Value>) -> IntentParams {
    let text = |p: &str| after.pointer(p).and_then(Value::as_str).unwrap_or_default();
    let mut params = IntentParams::default();
    if !text("/apiVersion").starts_with(RIGHTS) {
        return params;
    }
    if text("/kind").ends_with("Binding") {
        params.grants = Some(role.map_or("unknown", bind_role::grants).to_owned());
        params.subjects = bind_role::everybody_of(after);
    } else {
        let labels = after.pointer("/metadata/labels").and_then(Value::as_object);
        // It becomes a part of the roles of all who may read, edit or administer.
        let spreads = labels.is_some_and(|map| map.keys().any(|key| key.starts_with(AGGREGATES)));
        let grants = if spreads {
            "everything"
        } else {
            bind_role::grants(after)
        };
        params.grants = Some(grants.to_owned());
    }
    params
}

/// Labels by which the rules of a ClusterRole are added to those of other roles.
const AGGREGATES: &str = "rbac.authorization.k8s.io/aggregate-to-";

/// The manifest in full as a plan carries it: the person's own words.
fn carried(step: &mut Step, manifest: &Value) -> Vec<Sidecar> {
    let (text, digest, sidecar) = carry(manifest, manifest);
    step.manifest = Some(text);
    step.manifest_digest = digest;
    sidecar.into_iter().collect()
}

/// The manifest with the namespace it is for.
fn placed(manifest: &Value, namespace: Option<&str>) -> Value {
    let mut full = manifest.clone();
    if let Some(namespace) = namespace {
        full["metadata"]["namespace"] = namespace.into();
    }
    full
}

/// The step that makes the object.
#[must_use]
pub fn create(kind: &KindRef, namespace: Option<&str>, manifest: &Value, given: IntentParams) -> Draft {
    let target = Target {
        group: kind.group.clone(),
        version: kind.version.clone(),
        kind: kind.kind.clone(),
        resource: kind.resource.clone(),
        namespace: namespace.map(str::to_owned),
        name: object::name(manifest).to_owned(),
        ..Target::default()
    };
    let mut step = blank(Action::Apply, Effect::Create, vec![target], given);
    let sidecars = carried(&mut step, &placed(manifest, namespace));
    step.rollback = inverse(
        Action::Delete,
        IntentParams::default(),
        "delete it again (a destructive plan)".to_owned(),
    );
    Draft {
        step,
        sidecars,
        before: vec![],
    }
}

/// The step that applies the manifest to the object that is there. `after` is what the API server says it would be then.
///
/// # Errors
/// When it is so already.
pub fn change(
    intent: &Intent,
    found: &Found,
    manifest: &Value,
    after: &Value,
    given: IntentParams,
) -> Result<Draft, Refusal> {
    let name = label_of(found);
    let Some(full) = difference(&bare(&found.object), &bare(after)) else {
        return Err(Refusal::Nothing(format!(
            "{name} is as the manifest wants it already; nothing was changed"
        )));
    };
    let (rollback, kept) = undo(&full, found)?;
    let mut draft = update(intent, found, given, &full, rollback);
    draft.step.patch = None;
    let namespace = found
        .object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str);
    draft.sidecars = carried(&mut draft.step, &placed(manifest, namespace));
    draft.sidecars.extend(kept);
    Ok(draft)
}

/// What puts the changed fields back. Values that were in the cluster's environment variables are kept beside the plan.
fn undo(full: &Value, found: &Found) -> Result<(Rollback, Option<Sidecar>), Refusal> {
    let name = label_of(found);
    let back = patch::back(full, &found.object, &name)?;
    let (masked, text) = (patch::masked(&back, &found.object), back.to_string());
    let mut undo = Undo::default();
    let mut kept = None;
    if masked == back && text.len() <= MAX_INLINE {
        undo.params.patch = Some(text);
    } else {
        let (shown, digest, sidecar) = carry(&back, &masked);
        undo.manifest = Some(shown);
        undo.manifest_digest = digest;
        kept = sidecar;
    }
    let rollback = Rollback {
        kind: RollbackKind::Inverse,
        action: Some(Action::Patch),
        params: None,
        undo: vec![undo],
        why: "put the changed fields back".to_owned(),
    };
    Ok((rollback, kept))
}

/// What is sent for the object that is there: the manifest, bound to the object as it was read (UID and version, which the
/// API server answers with 409 when they differ), with the step's mark.
///
/// # Errors
/// When the recorded manifest is none (then nothing is sent).
pub fn body(manifest: &str, fresh: &Value, step_id: &str) -> Result<Value, String> {
    let manifest: Value =
        serde_json::from_str(manifest).map_err(|e| format!("the recorded manifest is no JSON: {e}"))?;
    bound(&manifest, fresh, step_id)
}

/// As [`body`], of a manifest that is read already.
///
/// # Errors
/// When its metadata is no object.
pub fn bound(manifest: &Value, fresh: &Value, step_id: &str) -> Result<Value, String> {
    let mut full = manifest.clone();
    let at = |pointer: &str| fresh.pointer(pointer).cloned().unwrap_or(Value::Null);
    let Some(metadata) = full.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Err("the recorded manifest has no metadata".to_owned());
    };
    for (field, pointer) in [
        ("uid", "/metadata/uid"),
        ("resourceVersion", "/metadata/resourceVersion"),
    ] {
        metadata.insert(field.to_owned(), at(pointer));
    }
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    let Some(annotations) = annotations.as_object_mut() else {
        return Err("the recorded manifest has no map of annotations".to_owned());
    };
    annotations.insert(STEP_ID_ANNOTATION.to_owned(), step_id.into());
    Ok(full)
}

/// Without what only the server and KubeChat write.
fn bare(object: &Value) -> Value {
    let mut copy = object.clone();
    if let Some(map) = copy.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = copy.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| matches!(key.as_str(), "labels" | "annotations"));
        let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
        if let Some(map) = annotations {
            map.remove(STEP_ID_ANNOTATION);
            if map.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    copy
}

/// The merge patch from one object to the other; `None` where they are the same.
pub(super) fn difference(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return (before != after).then(|| after.clone());
    };
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            None => {
                patch.insert(key.clone(), value.clone());
            }
            Some(was) => {
                if let Some(change) = difference(was, value) {
                    patch.insert(key.clone(), change);
                }
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    (!patch.is_empty()).then(|| json!(patch))
}
