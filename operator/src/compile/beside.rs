//! What a change reads besides the object it is about: earlier revisions, objects of another kind, kept bytes.

use kubechat_core::catalogue::{self, Beside, Reads};
use kubechat_core::plan::actions::create_network_policy::ALL_PODS;
use kubechat_core::plan::actions::make::{self, NewKind};
use kubechat_core::plan::{self, Draft, Found, Revision};
use kubechat_core::reason;
use kubechat_crds::intent::Intent;
use serde_json::Value;

use super::{Stop, Turn, resolve};
use crate::cluster::objects::{ClientDebug, Objects, Query};

/// Revisions looked at for a rollout-undo.
const MAX_REVISIONS: u32 = 100;

/// The steps that make objects of a kind, from another object where the intent names one.
pub(super) async fn new_objects(
    turn: &Turn<'_>,
    intent: &Intent,
    kind: &NewKind,
) -> Result<Vec<Draft>, Stop> {
    let Some(known) = turn.kinds.known(kind.group, kind.kind) else {
        return Err(Stop::failed(
            reason::INVALID,
            format!("this cluster has no {}. Nothing was done", kind.kind),
        ));
    };
    let Some(namespace) = resolve::namespace_of(turn, intent, known)? else {
        return Err(Stop::needs_input(
            format!("In which namespace should the {} be made?", kind.kind),
            vec![],
        ));
    };
    let source = match intent.params.from.as_deref() {
        Some(ALL_PODS) | None => None,
        Some(from) => Some(resolve::one_of(turn, intent, from, kind, &namespace).await?),
    };
    Ok(make::drafts(intent, kind, &namespace, source.as_ref())?)
}

/// The drafts of a change of one object, with what the change reads besides it.
pub(super) async fn with_what_is_beside(
    turn: &Turn<'_>,
    intent: &Intent,
    found: Found,
    kept: Option<&Value>,
) -> Result<Result<Vec<Draft>, plan::Refusal>, Stop> {
    let (mut earlier, mut related, mut scale) = (vec![], vec![], None);
    match catalogue::change(intent.action).map(|change| change.reads) {
        Some(Reads::Nothing) | None => {}
        Some(Reads::Scale) => scale = scale_of(turn, &found).await?,
        Some(Reads::Revisions) => earlier = revisions(&turn.person, turn, &found).await?,
        Some(Reads::List(group, kind)) => related = siblings(turn, &found, group, kind).await?,
    }
    let beside = Beside {
        scale: scale.as_ref(),
        revisions: &earlier,
        related: &related,
        kept,
    };
    Ok(plan::draft_with(intent, &[found], beside, turn.now))
}

/// The Scale of an object, where only that says how many replicas it has.
pub(super) async fn scale_of(turn: &Turn<'_>, found: &Found) -> Result<Option<Value>, Stop> {
    let Found { kind, object } = found;
    if !kind.scalable || plan::scaling::in_spec(&kind.group, &kind.kind) {
        return Ok(None);
    }
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
    let api = Objects::new(&turn.person, kind, namespace);
    Ok(api.find_scale(plan::object::name(object)).await?)
}

/// All objects of a kind in the namespace of an object. Too many to be read in one page are too many to judge by.
async fn siblings(turn: &Turn<'_>, found: &Found, group: &str, kind: &str) -> Result<Vec<Found>, Stop> {
    let Some(kind) = turn.kinds.known(group, kind) else {
        return Err(Stop::failed(
            reason::INVALID,
            format!("this cluster has no {kind}. Nothing was done"),
        ));
    };
    let namespace = found
        .object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str);
    let list = Objects::new(&turn.person, kind, namespace)
        .list(&Query::default())
        .await?;
    if !list.metadata.continue_.is_empty() {
        return Err(Stop::failed(
            reason::INVALID,
            format!(
                "there are too many {} to look through. Nothing was done",
                kind.resource
            ),
        ));
    }
    let found = |object| Found {
        kind: kind.clone(),
        object,
    };
    Ok(list.items.into_iter().map(found).collect())
}

/// Earlier revisions of a workload: ReplicaSets of a Deployment, ControllerRevisions of the others.
pub(super) async fn revisions(
    person: &ClientDebug,
    turn: &Turn<'_>,
    found: &Found,
) -> Result<Vec<Revision>, Stop> {
    let by_replica_set = found.kind.is("apps", "Deployment");
    let (kind, number) = if by_replica_set {
        (
            "ReplicaSet",
            "/metadata/annotations/deployment.kubernetes.io~1revision",
        )
    } else {
        ("ControllerRevision", "/revision")
    };
    let Some(kind) = turn.kinds.known("apps", kind) else {
        return Ok(vec![]);
    };
    let namespace = found
        .object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str);
    let uid = found
        .object
        .pointer("/metadata/uid")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let selector = found
        .object
        .pointer("/spec/selector/matchLabels")
        .and_then(Value::as_object)
        .map(|labels| {
            let pairs: Vec<_> = labels
                .iter()
                .filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?)))
                .collect();
            pairs.join(",")
        });
    let query = Query {
        labels: selector.as_deref(),
        limit: MAX_REVISIONS,
        ..Query::default()
    };
    let list = Objects::new(person, kind, namespace).list(&query).await?;
    let owned = |object: &Value| {
        let owners = object
            .pointer("/metadata/ownerReferences")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        owners
            .into_iter()
            .any(|o| o.get("uid").and_then(Value::as_str) == Some(uid))
    };
    Ok(list
        .items
        .iter()
        .filter(|o| owned(o))
        .filter_map(|o| {
            let value = o.pointer(number)?;
            let number = value.as_i64().or_else(|| value.as_str()?.parse().ok())?;
            let template = o.pointer(if by_replica_set {
                "/spec/template"
            } else {
                "/data/spec/template"
            })?;
            let mut template = template.clone();
            if let Some(map) = template.as_object_mut() {
                map.remove("$patch");
            }
            Some(Revision { number, template })
        })
        .collect())
}
