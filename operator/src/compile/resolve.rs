//! From words to objects: kinds by discovery, names exactly, selectors to what they select, all as the requester.

use std::collections::HashSet;

use kubechat_core::catalogue;
use kubechat_core::plan::actions::make::NewKind;
use kubechat_core::plan::{Found, KindRef};
use kubechat_core::policy::Effective;
use kubechat_core::reason;
use kubechat_crds::intent::Intent;
use serde_json::Value;

use super::{Stop, Turn};
use crate::cluster::objects::{Objects, Query};
use crate::error::Error;

/// Candidates named at most.
const MAX_CANDIDATES: usize = 20;

/// The kind that an intent names.
pub(super) fn named_kind<'a>(turn: &'a Turn<'_>, intent: &Intent) -> Result<Option<&'a KindRef>, Stop> {
    let Some(word) = &intent.target.kind else {
        return Ok(None);
    };
    let group = intent.target.group.as_deref();
    let mut found = turn.kinds.find(group, word);
    if found.is_empty() && group.is_none() {
        let lower = word.to_lowercase();
        found = turn
            .kinds
            .all
            .iter()
            .filter(|k| k.kind.to_lowercase() == lower || k.resource == lower)
            .collect();
    }
    // A word without a group means the core group's kind first: `events`, `pods`.
    if found.len() > 1 && group.is_none() {
        let core: Vec<_> = found.iter().copied().filter(|k| k.group.is_empty()).collect();
        if core.len() == 1 {
            found = core;
        }
    }
    match found.as_slice() {
        [one] => Ok(Some(one)),
        [] => {
            let near: Vec<String> = turn
                .kinds
                .all
                .iter()
                .filter(|k| close(&k.kind.to_lowercase(), &word.to_lowercase()))
                .map(|k| k.resource.clone())
                .take(5)
                .collect();
            Err(Stop::needs_input(
                format!("This cluster has no kind called {word}. Which kind do you mean?"),
                near,
            ))
        }
        several => Err(Stop::needs_input(
            format!("{word} is the name of several kinds. Which one?"),
            several
                .iter()
                .map(|k| format!("{}.{}", k.resource, k.group))
                .collect(),
        )),
    }
}

/// The namespace an intent means, checked against the bounds; `None` for cluster-scoped kinds and for all namespaces.
pub(super) fn namespace_of(turn: &Turn<'_>, intent: &Intent, kind: &KindRef) -> Result<Option<String>, Stop> {
    if !kind.namespaced {
        turn.bounds
            .check(turn.request, None, &format!("a {}", kind.kind.to_lowercase()))?;
        return Ok(None);
    }
    if intent.target.all_namespaces {
        turn.bounds.check_everywhere(turn.request)?;
        return Ok(None);
    }
    let namespace = intent
        .target
        .namespace
        .clone()
        .unwrap_or_else(|| turn.default_namespace.clone());
    turn.bounds
        .check(turn.request, Some(&namespace), &format!("namespace {namespace}"))?;
    Ok(Some(namespace))
}

/// The one object that `kind/name`, or a name alone, means among the kinds that something new is made from.
pub(super) async fn one_of(
    turn: &Turn<'_>,
    intent: &Intent,
    named: &str,
    of: &NewKind,
    namespace: &str,
) -> Result<Found, Stop> {
    let (kind, name) = named.split_once('/').unwrap_or(("", named));
    let mut found = vec![];
    for (group, known) in of.from {
        if !kind.is_empty() && !known.eq_ignore_ascii_case(kind) {
            continue;
        }
        let Some(known) = turn.kinds.known(group, known) else {
            continue;
        };
        let place = known.namespaced.then_some(namespace);
        let object = match Objects::new(&turn.person, known, place).find(name).await {
            Err(error) if of.blind && found.is_empty() && error.status().is_some_and(|s| s.code == 403) => {
                // Nobody but the API server knows it, and it judges by itself whether this person may use it.
                Some(serde_json::json!({"metadata": {"name": name}}))
            }
            looked => looked?,
        };
        found.extend(object.map(|object| Found {
            kind: known.clone(),
            object,
        }));
    }
    let candidates = found
        .iter()
        .map(|f| format!("{}/{name}", f.kind.kind.to_lowercase()))
        .collect();
    match found.pop() {
        Some(one) if found.is_empty() => Ok(one),
        Some(_) => Err(Stop::needs_input(
            format!(
                "{name} is the name of several objects. Which one is meant in {}?",
                intent.action
            ),
            candidates,
        )),
        None => Err(Stop::needs_input(
            format!("Nothing called {name} was found in namespace {namespace}. Nothing was done"),
            candidates,
        )),
    }
}

/// The objects an intent means, each once however often it is named; never empty.
pub(super) async fn objects(turn: &Turn<'_>, intent: &Intent) -> Result<Vec<Found>, Stop> {
    named_or_selected(turn, intent).await.map(distinct)
}

/// Each object once, in the order in which they were named.
fn distinct(mut found: Vec<Found>) -> Vec<Found> {
    let mut seen = HashSet::new();
    found.retain(|one| {
        let text = |pointer| one.object.pointer(pointer).and_then(Value::as_str);
        seen.insert(format!(
            "{}/{}/{}/{}",
            one.kind.group,
            one.kind.kind,
            text("/metadata/namespace").unwrap_or_default(),
            text("/metadata/name").unwrap_or_default()
        ))
    });
    found
}

async fn named_or_selected(turn: &Turn<'_>, intent: &Intent) -> Result<Vec<Found>, Stop> {
    let target = &intent.target;
    match named_kind(turn, intent)? {
        Some(kind) => {
            let namespace = namespace_of(turn, intent, kind)?;
            if target.names.is_empty() {
                selected(turn, intent, kind, namespace.as_deref()).await
            } else {
                by_name(turn, intent, kind, namespace.as_deref()).await
            }
        }
        None if target.names.is_empty() => Err(Stop::needs_input(
            format!("What should {} be done to? Name it", intent.action),
            vec![],
        )),
        None => {
            let mut all = vec![];
            for name in &target.names {
                all.push(by_any_kind(turn, intent, name).await?);
            }
            Ok(all)
        }
    }
}

async fn by_name(
    turn: &Turn<'_>,
    intent: &Intent,
    kind: &KindRef,
    namespace: Option<&str>,
) -> Result<Vec<Found>, Stop> {
    if kind.namespaced && namespace.is_none() {
        return Err(Stop::needs_input(
            "A name in all namespaces is not one object. In which namespace?",
            vec![],
        ));
    }
    let api = Objects::new(&turn.person, kind, namespace);
    let mut all = vec![];
    for name in &intent.target.names {
        match api.find(name).await? {
            Some(object) => all.push(Found {
                kind: kind.clone(),
                object,
            }),
            None if intent.params.ignore_not_found == Some(true) => {}
            None => all.push(near(turn, intent, kind, namespace, name).await?),
        }
    }
    if all.is_empty() {
        return Err(kubechat_core::plan::Refusal::Nothing(
            "there is no such object; nothing was changed".to_owned(),
        )
        .into());
    }
    Ok(all)
}

/// What to do about a name that is not there: a read takes a unique close match, a change only offers it.
async fn near(
    turn: &Turn<'_>,
    intent: &Intent,
    kind: &KindRef,
    namespace: Option<&str>,
    name: &str,
) -> Result<Found, Stop> {
    let api = Objects::new(&turn.person, kind, namespace);
    let list = api.list(&Query::default()).await?;
    let names: Vec<&str> = list.items.iter().map(kubechat_core::plan::object::name).collect();
    let mut matches: Vec<&str> = names.iter().copied().filter(|n| close(n, name)).collect();
    if let ([only], true) = (matches.as_slice(), intent.action.is_read()) {
        let object = api.get(only).await?;
        return Ok(Found {
            kind: kind.clone(),
            object,
        });
    }
    if matches.is_empty() {
        matches = names;
    }
    let place = namespace
        .map(|n| format!(" in namespace {n}"))
        .unwrap_or_default();
    let word = kind.kind.to_lowercase();
    let candidates = matches
        .into_iter()
        .take(MAX_CANDIDATES)
        .map(|n| format!("{word}/{n}"))
        .collect();
    Err(Stop::needs_input(
        format!("There is no {word} {name}{place}. Nothing was done. Which one do you mean?"),
        candidates,
    ))
}

/// One object of that name of whatever kind the action is usually about.
async fn by_any_kind(turn: &Turn<'_>, intent: &Intent, name: &str) -> Result<Found, Stop> {
    let kinds: Vec<&KindRef> = catalogue::entry(intent.action)
        .kinds
        .iter()
        .filter_map(|(g, k)| turn.kinds.known(g, k))
        .collect();
    let mut found = vec![];
    let mut namespace = None;
    let mut refused = None;
    for kind in &kinds {
        namespace = namespace_of(turn, intent, kind)?;
        if kind.namespaced && namespace.is_none() {
            return Err(Stop::needs_input(
                "A name in all namespaces is not one object. In which namespace?",
                vec![],
            ));
        }
        match Objects::new(&turn.person, kind, namespace.as_deref())
            .find(name)
            .await
        {
            Ok(Some(object)) => found.push(Found {
                kind: (*kind).clone(),
                object,
            }),
            Ok(None) => {}
            // What may not be read is no candidate, unless nothing else is found.
            Err(error) if error.status().is_some_and(|s| s.code == 403) => refused = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    if found.len() > 1 {
        let candidates = found
            .iter()
            .map(|f| format!("{}/{name}", f.kind.kind.to_lowercase()))
            .collect();
        return Err(Stop::needs_input(
            format!("{name} is the name of several objects. Which one do you mean?"),
            candidates,
        ));
    }
    match (found.pop(), refused) {
        (Some(one), _) => Ok(one),
        (None, Some(error)) => Err(error.into()),
        (None, None) => missing(turn, intent, &kinds, namespace.as_deref(), name).await,
    }
}

async fn missing(
    turn: &Turn<'_>,
    intent: &Intent,
    kinds: &[&KindRef],
    namespace: Option<&str>,
    name: &str,
) -> Result<Found, Stop> {
    let mut close_ones = vec![];
    let mut all = vec![];
    for kind in kinds.iter().take(4) {
        let list = match Objects::new(&turn.person, kind, namespace)
            .list(&Query {
                limit: 100,
                ..Query::default()
            })
            .await
        {
            Ok(list) => list,
            Err(error) if error.status().is_some_and(|s| s.code == 403) => continue,
            Err(error) => return Err(error.into()),
        };
        for item in list.items {
            let its = kubechat_core::plan::object::name(&item).to_owned();
            let label = format!("{}/{its}", kind.kind.to_lowercase());
            if close(&its, name) {
                close_ones.push((
                    label.clone(),
                    Found {
                        kind: (*kind).clone(),
                        object: item,
                    },
                ));
            }
            all.push(label);
        }
    }
    if close_ones.len() == 1
        && intent.action.is_read()
        && let Some((_, one)) = close_ones.pop()
    {
        return Ok(one);
    }
    let place = namespace
        .map(|n| format!(" in namespace {n}"))
        .unwrap_or_default();
    let candidates = if close_ones.is_empty() {
        all
    } else {
        close_ones.into_iter().map(|(label, _)| label).collect()
    };
    let candidates = candidates.into_iter().take(MAX_CANDIDATES).collect();
    Err(Stop::needs_input(
        format!("Nothing called {name} was found{place}. Nothing was done. Which one do you mean?"),
        candidates,
    ))
}

/// Everything a selector (or `all`) selects, within the limit of targets.
async fn selected(
    turn: &Turn<'_>,
    intent: &Intent,
    kind: &KindRef,
    namespace: Option<&str>,
) -> Result<Vec<Found>, Stop> {
    let target = &intent.target;
    if target.selector.is_none() && !target.all {
        return Err(Stop::needs_input(
            format!(
                "Which {} do you mean? Give a name, a selector, or say all",
                kind.kind.to_lowercase()
            ),
            vec![],
        ));
    }
    let limit = turn
        .policies
        .as_ref()
        .map_or(kubechat_core::policy::MAX_TARGETS, Effective::max_targets);
    let limit = u32::try_from(limit).unwrap_or(1);
    let query = Query {
        labels: target.selector.as_deref(),
        limit: limit + 1,
        ..Query::default()
    };
    let list = Objects::new(&turn.person, kind, namespace)
        .list(&query)
        .await
        .map_err(bad_selector)?;
    if list.items.len() > limit as usize || !list.metadata.continue_.is_empty() {
        let message = format!(
            "more than {limit} objects are meant, which is the limit of a step. Nothing was done. Narrow it by a selector or names"
        );
        return Err(Stop::blocked(
            reason::LIMIT_EXCEEDED,
            "kubechat",
            "targetsPerStep",
            message,
        ));
    }
    if list.items.is_empty() {
        let by = target
            .selector
            .as_ref()
            .map(|s| format!(" with {s}"))
            .unwrap_or_default();
        return Err(Stop::needs_input(
            format!("No {} was found{by}. Nothing was done", kind.kind.to_lowercase()),
            vec![],
        ));
    }
    Ok(list
        .items
        .into_iter()
        .map(|object| Found {
            kind: kind.clone(),
            object,
        })
        .collect())
}

/// A selector the API server cannot read is the requester's to mend.
pub(super) fn bad_selector(error: Error) -> Stop {
    match error.status() {
        Some(status) if status.code == 400 => Stop::needs_input(
            format!(
                "{}. Write selectors like app=web,tier!=cache",
                kubechat_core::redact::shown(&status.message)
            ),
            vec![],
        ),
        _ => error.into(),
    }
}

/// Whether two names are close: one edit apart, or one begins with or contains the other.
fn close(a: &str, b: &str) -> bool {
    if a == b || b.len() >= 3 && (a.contains(b) || a.len() >= 3 && b.contains(a)) {
        return true;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 1 {
        return false;
    }
    let same_start = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let same_end = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(x, y)| x == y)
        .count();
    let longer = a.len().max(b.len());
    let transposed = a.len() == b.len()
        && same_start + same_end + 2 == longer
        && a.get(same_start) == b.get(same_start + 1)
        && a.get(same_start + 1) == b.get(same_start);
    same_start + same_end + 1 >= longer || transposed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_that_is_named_twice_is_meant_once() {
        let one = |kind: &str, namespace: Option<&str>, name: &str| Found {
            kind: KindRef {
                kind: kind.into(),
                ..KindRef::default()
            },
            object: json!({"metadata": {"name": name, "namespace": namespace}}),
        };
        let named = [
            one("Pod", Some("demo"), "b"),
            one("Pod", Some("demo"), "a"),
            one("Pod", Some("demo"), "b"),
            one("Pod", Some("prod"), "b"),
            one("Pod", None, "b"),
            one("Node", None, "b"),
            one("Pod", Some("demo"), "a"),
        ];
        let left: Vec<_> = distinct(named.to_vec())
            .into_iter()
            .map(|f| (f.kind.kind, f.object["metadata"].clone()))
            .collect();
        let want: Vec<_> = [0, 1, 3, 4, 5]
            .map(|i| (named[i].kind.kind.clone(), named[i].object["metadata"].clone()))
            .into();
        assert_eq!(left, want);
        assert!(distinct(vec![]).is_empty());
    }

    #[test]
    fn close_names_are_one_edit_or_a_part_apart() {
        for (a, b) in [
            ("nginx", "ngnix"),
            ("nginx", "nginz"),
            ("nginx", "nginx1"),
            ("nginx-web", "nginx"),
            ("web", "wb"),
        ] {
            assert!(close(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("nginx", "redis"),
            ("nginx", "xnign"),
            ("a", "b1c"),
            ("web", "bew"),
        ] {
            assert!(!close(a, b), "{a} {b}");
        }
    }
}
