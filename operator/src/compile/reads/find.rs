//! find: which objects run an image, hold a text, belong to an object or bear a label. Looked for kind by kind, as the
//! requester; a kind that he may not list is said.

use std::time::{Duration, Instant};

use kubechat_core::plan::{Found, KindRef, object};
use kubechat_core::search;
use kubechat_crds::chat_request::Answer;
use kubechat_crds::intent::{Intent, IntentParams, IntentTarget};
use serde_json::{Value, json};

use super::super::answer::{MAX_ROWS, scrubbed, text, with_table};
use super::super::{Stop, Turn, resolve};
use super::place;
use crate::cluster::objects::{Objects, Query};

/// Objects of a page: few, for they are read whole.
const PAGE: u32 = 100;
/// Pages of a kind at most: 2,000 objects.
const MAX_PAGES: usize = 20;
/// How long is looked at all kinds together; what is left then is said.
const MAX_TIME: Duration = Duration::from_secs(20);
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

/// What was seen of the kinds that were looked at. Of a page only what is told of it is kept.
struct Seen {
    hits: Vec<Hit>,
    /// Where owners are looked for: who the objects are and who owns them, nothing else of them.
    objects: Vec<Value>,
    gaps: Vec<String>,
    until: Instant,
}

pub(super) async fn find(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let asked = resolve::named_kind(turn, intent)?;
    let owner = match &intent.params.from {
        Some(from) => Some(owner(turn, intent, from).await?),
        None => None,
    };
    let mut seen = Seen {
        hits: vec![],
        objects: vec![],
        gaps: vec![],
        until: Instant::now() + MAX_TIME,
    };
    let mut namespace = None;
    for kind in kinds(turn, asked, &intent.params) {
        namespace = resolve::namespace_of(turn, intent, kind)?;
        look(turn, intent, kind, namespace.as_deref(), &mut seen).await?;
    }
    let mut hits = match &owner {
        Some(owner) => owned(&seen.objects, owner),
        None => seen.hits,
    };
    if let Some(asked) = asked {
        hits.retain(|hit| hit.kind == asked.kind);
    }
    let namespaced = asked.is_none_or(|kind| kind.namespaced);
    Ok(told(intent, hits, &seen.gaps, namespaced, namespace.as_deref()))
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

/// Looks at the objects of a kind, page by page, and notes what of them was not read.
async fn look(
    turn: &Turn<'_>,
    intent: &Intent,
    kind: &KindRef,
    namespace: Option<&str>,
    seen: &mut Seen,
) -> Result<(), Stop> {
    let api = Objects::new(&turn.person, kind, namespace);
    let params = &intent.params;
    // Of owners and labels the metadata tell all: values are not even read.
    let whole = params.image.is_some() || params.text.is_some();
    let (mut count, mut next) = (0, String::new());
    for _ in 0..MAX_PAGES {
        if Instant::now() >= seen.until {
            seen.gaps
                .push(format!("{} (it would take too long)", kind.resource));
            return Ok(());
        }
        let query = Query {
            labels: intent.target.selector.as_deref(),
            continue_: Some(next.as_str()).filter(|token| !token.is_empty()),
            limit: PAGE,
            ..Query::default()
        };
        let page = if whole {
            api.list(&query).await
        } else {
            api.list_metadata(&query).await
        };
        let list = match page {
            Ok(list) => list,
            Err(error) if error.status().is_some_and(|s| s.code == 403) => {
                seen.gaps
                    .push(format!("{} (you may not list them)", kind.resource));
                return Ok(());
            }
            Err(error) => return Err(resolve::bad_selector(error)),
        };
        count += list.items.len();
        if params.from.is_some() {
            let kept = list.items.iter().map(|object| kept(&kind.kind, object));
            seen.objects.extend(kept);
        } else {
            let found = list
                .items
                .iter()
                .filter_map(|object| hit(&kind.kind, object, params));
            seen.hits.extend(found);
        }
        next = list.metadata.continue_;
        if next.is_empty() {
            return Ok(());
        }
    }
    seen.gaps
        .push(format!("{} beyond the first {count}", kind.resource));
    Ok(())
}

fn text_at(object: &Value, at: &str) -> String {
    let text = object.pointer(at).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn hit_of(kind: &str, found: &Value, why: String) -> Hit {
    Hit {
        kind: kind.to_owned(),
        namespace: text_at(found, "/metadata/namespace"),
        name: object::name(found).to_owned(),
        why,
    }
}

/// What an object has of what is looked for.
fn hit(kind: &str, found: &Value, params: &IntentParams) -> Option<Hit> {
    let places = match (&params.image, &params.text) {
        (Some(image), _) => search::images(found, image),
        (None, Some(wanted)) => search::texts(found, wanted),
        (None, None) => vec![String::new()],
    };
    (!places.is_empty()).then(|| hit_of(kind, found, places.join(", ")))
}

/// Of an object who it is and who owns it: thousands of them are kept at a time.
fn kept(kind: &str, object: &Value) -> Value {
    let owners = object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    let owner = |owner: &Value| json!({"uid": text_at(owner, "/uid"), "kind": text_at(owner, "/kind"), "name": text_at(owner, "/name")});
    let owners: Vec<Value> = owners.into_iter().flatten().map(owner).collect();
    json!({"kind": kind, "metadata": {
        "uid": text_at(object, "/metadata/uid"),
        "namespace": text_at(object, "/metadata/namespace"),
        "name": object::name(object),
        "ownerReferences": owners,
    }})
}

/// The objects that belong to an owner.
fn owned(all: &[Value], owner: &Found) -> Vec<Hit> {
    let owned = search::owned(all, &text_at(&owner.object, "/metadata/uid"));
    let each = owned.into_iter();
    each.filter_map(|(at, by)| {
        let object = all.get(at)?;
        Some(hit_of(&text_at(object, "/kind"), object, format!("of {by}")))
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

    use super::*;

    #[test]
    fn of_an_object_that_is_kept_for_its_owners_nothing_else_is_kept() {
        let pod = json!({"metadata": {"name": "web-1", "namespace": "demo", "uid": "p", "labels": {"a": "b"},
            "annotations": {"big": "x"}, "managedFields": [{}],
            "ownerReferences": [{"uid": "w", "kind": "Deployment", "name": "web", "controller": true, "apiVersion": "apps/v1"}]}});
        let slim = kept("Pod", &pod);
        let expected = json!({"kind": "Pod", "metadata": {"name": "web-1", "namespace": "demo", "uid": "p",
            "ownerReferences": [{"uid": "w", "kind": "Deployment", "name": "web"}]}});
        assert_eq!(slim, expected);
        let owner = Found {
            kind: KindRef::default(),
            object: json!({"metadata": {"uid": "w"}}),
        };
        let hits = owned(&[slim, kept("Pod", &json!({}))], &owner);
        let told: Vec<&str> = hits.iter().map(|hit| hit.kind.as_str()).collect();
        assert_eq!(told, ["Pod"]);
        assert_eq!(
            (hits[0].name.as_str(), hits[0].why.as_str()),
            ("web-1", "of deployment/web")
        );
    }

    #[test]
    fn what_was_found_says_where_and_what_was_not_looked_at() {
        let pod = json!({"kind": "Pod", "metadata": {"name": "web-1", "namespace": "demo"}, "spec": {"containers": [{"name": "web", "image": "nginx:1"}]}});
        let other = json!({"kind": "Pod", "metadata": {"name": "db-1"}, "spec": {"containers": [{"name": "db", "image": "redis"}]}});
        let params = IntentParams {
            image: Some("nginx".into()),
            ..IntentParams::default()
        };
        let found = [&pod, &other]
            .into_iter()
            .filter_map(|object| hit("Pod", object, &params));
        let found = found.collect();
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
