//! find: which objects run an image, hold a text, belong to an object or bear a label. Looked for kind by kind, as the
//! requester; a kind that he may not list is said.

use kubechat_core::plan::{Found, KindRef, object};
use kubechat_core::search;
use kubechat_crds::chat_request::Answer;
use kubechat_crds::intent::{Intent, IntentParams, IntentTarget};
use serde_json::Value;

use super::super::answer::{MAX_ROWS, scrubbed, text, with_table};
use super::super::{Stop, Turn, resolve};
use super::place;
use crate::cluster::objects::{Objects, Query};

/// Pages of a kind at most: 2,000 objects.
const MAX_PAGES: usize = 4;
/// Kinds that run images.
const RUN: &[(&str, &str)] = &[
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("batch", "CronJob"),
    ("batch", "Job"),
    ("", "Pod"),
];
/// Kinds looked at where none is named.
const USUAL: &[(&str, &str)] = &[
    ("apps", "ReplicaSet"),
    ("", "Service"),
    ("", "ConfigMap"),
    ("", "Secret"),
    ("", "ServiceAccount"),
    ("", "PersistentVolumeClaim"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("policy", "PodDisruptionBudget"),
    ("autoscaling", "HorizontalPodAutoscaler"),
];
/// Kinds by which an owner owns what it owns.
const BETWEEN: &[(&str, &str)] = &[("apps", "ReplicaSet"), ("batch", "Job")];

/// One object that was found, and why.
struct Hit {
    kind: String,
    namespace: String,
    name: String,
    why: String,
}

pub(super) async fn find(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let asked = resolve::named_kind(turn, intent)?;
    let owner = match &intent.params.from {
        Some(from) => Some(owner(turn, intent, from).await?),
        None => None,
    };
    let kinds = kinds(turn, asked, &intent.params);
    let mut all: Vec<(KindRef, Value)> = vec![];
    let mut gaps = vec![];
    let mut namespace = None;
    for kind in kinds {
        namespace = resolve::namespace_of(turn, intent, kind)?;
        let (objects, gap) = read(turn, intent, kind, namespace.as_deref()).await?;
        gaps.extend(gap);
        all.extend(objects.into_iter().map(|object| (kind.clone(), object)));
    }
    let mut hits = hits(&all, &intent.params, owner.as_ref());
    if let Some(asked) = asked {
        hits.retain(|hit| hit.kind == asked.kind);
    }
    let namespaced = asked.is_none_or(|kind| kind.namespaced);
    Ok(told(intent, hits, &gaps, namespaced, namespace.as_deref()))
}

/// The object that things are to belong to.
async fn owner(turn: &Turn<'_>, intent: &Intent, from: &str) -> Result<Found, Stop> {
    let (kind, name) = from.split_once('/').unwrap_or(("", from));
    let about = Intent {
        target: IntentTarget {
            kind: Some(kind.to_owned()).filter(|k| !k.is_empty()),
            names: vec![name.to_owned()],
            namespace: intent.target.namespace.clone(),
            ..IntentTarget::default()
        },
        params: IntentParams::default(),
        action: kubechat_crds::intent::Action::Describe,
        ..intent.clone()
    };
    let mut found = resolve::objects(turn, &about).await?;
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Stop::needs_input("What belongs to which one object?", vec![])),
    }
}

/// The kinds that are read.
fn kinds<'t>(turn: &'t Turn<'_>, asked: Option<&'t KindRef>, params: &IntentParams) -> Vec<&'t KindRef> {
    let known = |list: &[(&str, &str)]| -> Vec<&'t KindRef> {
        list.iter()
            .filter_map(|(group, kind)| turn.kinds.known(group, kind))
            .collect()
    };
    let mut all: Vec<&KindRef> = match asked {
        Some(kind) if params.from.is_some() => [vec![kind], known(BETWEEN)].concat(),
        Some(kind) => vec![kind],
        None if params.image.is_some() => known(RUN),
        None => [known(RUN), known(USUAL)].concat(),
    };
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|kind| seen.insert((kind.group.clone(), kind.kind.clone())));
    all
}

/// The objects of a kind, and what of them was not read.
async fn read(
    turn: &Turn<'_>,
    intent: &Intent,
    kind: &KindRef,
    namespace: Option<&str>,
) -> Result<(Vec<Value>, Option<String>), Stop> {
    let api = Objects::new(&turn.person, kind, namespace);
    let (mut all, mut next) = (vec![], String::new());
    for _ in 0..MAX_PAGES {
        let query = Query {
            labels: intent.target.selector.as_deref(),
            continue_: Some(next.as_str()).filter(|token| !token.is_empty()),
            ..Query::default()
        };
        match api.list(&query).await {
            Ok(list) => {
                all.extend(list.items);
                next = list.metadata.continue_;
            }
            Err(error) if error.status().is_some_and(|s| s.code == 403) => {
                return Ok((vec![], Some(format!("{} (you may not list them)", kind.resource))));
            }
            Err(error) => return Err(resolve::bad_selector(error)),
        }
        if next.is_empty() {
            return Ok((all, None));
        }
    }
    let gap = format!("{} beyond the first {}", kind.resource, all.len());
    Ok((all, Some(gap)))
}

fn hits(all: &[(KindRef, Value)], params: &IntentParams, owner: Option<&Found>) -> Vec<Hit> {
    let text = |o: &Value, at: &str| {
        o.pointer(at)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let hit = |(kind, found): &(KindRef, Value), why: String| Hit {
        kind: kind.kind.clone(),
        namespace: text(found, "/metadata/namespace"),
        name: object::name(found).to_owned(),
        why,
    };
    if let Some(owner) = owner {
        let objects: Vec<Value> = all.iter().map(|(_, object)| object.clone()).collect();
        let owned = search::owned(&objects, &text(&owner.object, "/metadata/uid"));
        let each = owned.into_iter();
        return each
            .filter_map(|(at, by)| Some(hit(all.get(at)?, format!("of {by}"))))
            .collect();
    }
    let each = all.iter();
    each.filter_map(|one| {
        let places = match (&params.image, &params.text) {
            (Some(image), _) => search::images(&one.1, image),
            (None, Some(wanted)) => search::texts(&one.1, wanted),
            (None, None) => vec![String::new()],
        };
        (!places.is_empty()).then(|| hit(one, places.join(", ")))
    })
    .collect()
}

fn told(
    intent: &Intent,
    hits: Vec<Hit>,
    gaps: &[String],
    namespaced: bool,
    namespace: Option<&str>,
) -> Answer {
    let p = &intent.params;
    let by = match (&p.image, &p.text, &p.from, &intent.target.selector) {
        (Some(image), ..) => format!("with image {image}"),
        (None, Some(text), ..) => format!("that contain '{text}'"),
        (None, None, Some(owner), _) => format!("that belong to {owner}"),
        (None, None, None, selector) => format!("with {}", selector.as_deref().unwrap_or("any label")),
    };
    let count = hits.len();
    let noun = if count == 1 { "object" } else { "objects" };
    let mut words = format!("{count} {noun} {by}{}", place(namespaced, namespace));
    if !gaps.is_empty() {
        words.push_str(&format!("; not looked at: {}", gaps.join(", ")));
    }
    if hits.is_empty() {
        return text(&format!("{words}."));
    }
    let everywhere = namespaced && namespace.is_none();
    let mut titles = vec!["Kind", "Name", "Where"];
    if everywhere {
        titles.insert(1, "Namespace");
    }
    let rows = hits.into_iter().take(MAX_ROWS).map(|hit| {
        let mut row = vec![hit.kind, hit.name, scrubbed(&hit.why)];
        if everywhere {
            row.insert(1, hit.namespace);
        }
        row
    });
    with_table(
        &format!("{words}:"),
        titles.into_iter().map(str::to_owned).collect(),
        rows.collect(),
        i64::try_from(count).unwrap_or(i64::MAX),
        "more objects than an answer holds: narrow it by a kind or a namespace",
    )
}

#[cfg(test)]
mod tests {
    use kubechat_crds::intent::{Action, Span};
    use serde_json::json;

    use super::*;

    fn kind(name: &str) -> KindRef {
        KindRef {
            kind: name.into(),
            ..KindRef::default()
        }
    }

    #[test]
    fn what_was_found_says_where_and_what_was_not_looked_at() {
        let pod = json!({"kind": "Pod", "metadata": {"name": "web-1", "namespace": "demo"}, "spec": {"containers": [{"name": "web", "image": "nginx:1"}]}});
        let other = json!({"kind": "Pod", "metadata": {"name": "db-1"}, "spec": {"containers": [{"name": "db", "image": "redis"}]}});
        let params = IntentParams {
            image: Some("nginx".into()),
            ..IntentParams::default()
        };
        let all = [(kind("Pod"), pod), (kind("Pod"), other)];
        let found = hits(&all, &params, None);
        let intent = Intent {
            action: Action::Find,
            target: IntentTarget::default(),
            params,
            confidence: 100,
            span: Span::default(),
        };
        let answer = told(
            &intent,
            found,
            &["jobs (you may not list them)".to_owned()],
            true,
            Some("demo"),
        );
        assert_eq!(
            answer.text,
            "1 object with image nginx in namespace demo; not looked at: jobs (you may not list them):"
        );
        assert_eq!(answer.table.unwrap().rows, [["Pod", "web-1", "web: nginx:1"]]);
        let none = told(&intent, vec![], &[], true, None);
        assert_eq!(none.text, "0 objects with image nginx in all namespaces.");
    }
}
