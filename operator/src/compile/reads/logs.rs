//! logs: the end of a container's log, of one pod or of the pods of a workload.

use kubechat_core::plan::{Found, object};
use kubechat_crds::chat_request::Answer;
use kubechat_crds::intent::Intent;
use serde_json::Value;

use super::super::answer::{scrubbed, text};
use super::super::{Stop, Turn, resolve};
use super::citation;
use crate::cluster::objects::{Objects, Query};

/// Lines shown where the turn does not say.
const DEFAULT_TAIL: i64 = 20;
/// Bytes read of each log.
const MAX_BYTES: usize = 16 * 1024;
/// Pods of a workload whose logs are shown.
const MAX_PODS: usize = 3;

pub(super) async fn logs(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let found = resolve::objects(turn, intent).await?;
    let mut answers = vec![];
    for one in &found {
        let pods = pods_of(turn, one).await?;
        let name = format!("{}/{}", one.kind.kind.to_lowercase(), object::name(&one.object));
        if pods.is_empty() {
            answers.push(text(&format!("{name} has no pod, so there is no log.")));
            continue;
        }
        let mut words = String::new();
        for pod in pods.iter().take(MAX_PODS) {
            words.push_str(&of_pod(turn, intent, pod).await?);
        }
        if pods.len() > MAX_PODS {
            words.push_str(&format!(
                "\n({} more pods of {name} are not shown; name one)",
                pods.len() - MAX_PODS
            ));
        }
        let mut answer = text(&scrubbed(words.trim()));
        answer.citations.push(citation(one));
        answers.push(answer);
    }
    Ok(super::answer::join(answers))
}

/// The pods of a workload by its selector; a pod is its own.
async fn pods_of(turn: &Turn<'_>, found: &Found) -> Result<Vec<Value>, Stop> {
    if found.kind.is("", "Pod") {
        return Ok(vec![found.object.clone()]);
    }
    let labels = found
        .object
        .pointer("/spec/selector/matchLabels")
        .and_then(Value::as_object);
    let Some(labels) = labels.filter(|l| !l.is_empty()) else {
        return Err(Stop::failed(
            kubechat_core::reason::INVALID,
            format!("{} has no pods of its own", object::name(&found.object)),
        ));
    };
    let selector: Vec<String> = labels
        .iter()
        .filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?)))
        .collect();
    let selector = selector.join(",");
    let Some(kind) = turn.kinds.known("", "Pod") else {
        return Ok(vec![]);
    };
    let namespace = found
        .object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str);
    let query = Query {
        labels: Some(&selector),
        limit: 50,
        ..Query::default()
    };
    Ok(Objects::new(&turn.person, kind, namespace)
        .list(&query)
        .await?
        .items)
}

async fn of_pod(turn: &Turn<'_>, intent: &Intent, pod: &Value) -> Result<String, Stop> {
    let Some(kind) = turn.kinds.known("", "Pod") else {
        return Ok(String::new());
    };
    let name = object::name(pod);
    let namespace = pod.pointer("/metadata/namespace").and_then(Value::as_str);
    let p = &intent.params;
    let tail = p.tail.unwrap_or(DEFAULT_TAIL);
    let mut query = format!("tailLines={tail}&limitBytes={MAX_BYTES}");
    for (key, value) in [
        ("container", p.container.clone()),
        ("sinceSeconds", p.since_seconds.map(|s| s.to_string())),
        ("previous", p.previous.map(|b| b.to_string())),
    ] {
        if let Some(value) = value {
            query.push_str(&format!("&{key}={}", crate::cluster::objects::encode(&value)));
        }
    }
    let api = Objects::new(&turn.person, kind, namespace);
    match api.logs(name, &query).await {
        Ok(log) if log.is_empty() => Ok(format!("pod/{name}: the log is empty\n")),
        Ok(log) => Ok(format!("pod/{name}, last {tail} lines:\n{log}\n")),
        // A node that does not answer, or a container that has not started, is an answer, not a failure of the turn.
        Err(error) if error.status().is_some_and(|s| s.code != 403) => {
            Ok(format!("pod/{name}: no log ({error})\n"))
        }
        Err(error) => Err(error.into()),
    }
}
