//! events: of an object, or of a namespace, newest first.

use kubechat_core::plan::{Found, KindRef, object};
use kubechat_crds::chat_request::Answer;
use kubechat_crds::intent::Intent;
use serde_json::Value;

use super::super::answer::{scrubbed, text, with_table};
use super::super::{Stop, Turn, resolve};
use super::{citation, place};
use crate::cluster::objects::{Objects, Query};

/// Events read for one answer.
const MAX_EVENTS: u32 = 500;

pub(super) async fn events(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let kind = event_kind(turn)?;
    let about_object = !intent.target.names.is_empty()
        || intent.target.kind.as_deref().is_some_and(|k| k != "Event") && intent.target.selector.is_some();
    if about_object {
        let found = resolve::objects(turn, intent).await?;
        let mut answers = vec![];
        for one in &found {
            let all = about(turn, one).await?;
            let name = format!("{}/{}", one.kind.kind.to_lowercase(), object::name(&one.object));
            let mut answer = table(&format!("Events of {name}"), all, intent, turn);
            answer.citations.push(citation(one));
            answers.push(answer);
        }
        return Ok(super::answer::join(answers));
    }
    let namespace = resolve::namespace_of(turn, intent, kind)?;
    let list = Objects::new(&turn.person, kind, namespace.as_deref())
        .list(&Query {
            limit: MAX_EVENTS,
            ..Query::default()
        })
        .await?;
    Ok(table(
        &format!("Events{}", place(true, namespace.as_deref())),
        list.items,
        intent,
        turn,
    ))
}

/// The newest Events about an object, as lines; none when they may not be read.
pub(super) async fn lines_about(turn: &Turn<'_>, found: &Found, most: usize) -> Result<Vec<String>, Stop> {
    let mut all = match about(turn, found).await {
        Ok(all) => all,
        Err(Stop::Halt(_)) => return Ok(vec![]),
        Err(stop) => return Err(stop),
    };
    all.sort_by_key(|e| std::cmp::Reverse(time(e)));
    Ok(all
        .iter()
        .take(most)
        .map(|e| scrubbed(&row(e).join("  ")))
        .collect())
}

async fn about(turn: &Turn<'_>, found: &Found) -> Result<Vec<Value>, Stop> {
    let kind = event_kind(turn)?;
    let namespace = found
        .object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str)
        .unwrap_or("default");
    let uid = found
        .object
        .pointer("/metadata/uid")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let fields = format!("involvedObject.uid={uid}");
    let query = Query {
        fields: Some(&fields),
        limit: MAX_EVENTS,
        ..Query::default()
    };
    Ok(Objects::new(&turn.person, kind, Some(namespace))
        .list(&query)
        .await?
        .items)
}

fn event_kind<'a>(turn: &'a Turn<'_>) -> Result<&'a KindRef, Stop> {
    turn.kinds
        .known("", "Event")
        .ok_or_else(|| Stop::failed(kubechat_core::reason::INVALID, "this cluster serves no Events"))
}

fn table(title: &str, mut events: Vec<Value>, intent: &Intent, turn: &Turn<'_>) -> Answer {
    if let Some(seconds) = intent.params.since_seconds {
        let from = turn.now.as_second() - seconds;
        events.retain(|e| {
            time(e)
                .parse::<jiff::Timestamp>()
                .is_ok_and(|t| t.as_second() >= from)
        });
    }
    events.sort_by_key(|e| std::cmp::Reverse(time(e)));
    if events.is_empty() {
        return text(&format!(
            "{title}: none (the API server keeps them for about an hour)."
        ));
    }
    let total = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let columns = ["Last seen", "Type", "Reason", "Object", "Message"]
        .map(str::to_owned)
        .to_vec();
    with_table(
        &format!("{title}, newest first:"),
        columns,
        events.iter().map(row).collect(),
        total,
        "more Events than an answer holds: name an object",
    )
}

fn row(event: &Value) -> Vec<String> {
    let text = |p: &str| {
        event
            .pointer(p)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let object = format!(
        "{}/{}",
        text("/involvedObject/kind").to_lowercase(),
        text("/involvedObject/name")
    );
    vec![
        time(event),
        text("/type"),
        text("/reason"),
        object,
        text("/message"),
    ]
}

/// When it was seen last, in whichever of the API's fields that stands.
fn time(event: &Value) -> String {
    let fields = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/metadata/creationTimestamp",
    ];
    fields
        .iter()
        .find_map(|p| event.pointer(p)?.as_str())
        .unwrap_or_default()
        .to_owned()
}
