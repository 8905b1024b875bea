//! describe: people's words first, then the fields, then the newest Events.

use kubechat_core::plan::{Found, object};
use kubechat_crds::chat_request::Answer;
use kubechat_crds::intent::Intent;
use serde_json::Value;

use super::super::answer::{scrubbed, text};
use super::super::{Stop, Turn, resolve};
use super::{citation, events, place};

/// Objects described in one turn at most.
const MAX_OBJECTS: usize = 5;

pub(super) async fn describe(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let found = resolve::objects(turn, intent).await?;
    let mut answers = vec![];
    for one in found.iter().take(MAX_OBJECTS) {
        let mut words = summary(one);
        let lines = events::lines_about(turn, one, 5).await?;
        if !lines.is_empty() {
            words.push_str("\nEvents:");
            for line in lines {
                words.push_str(&format!("\n  {line}"));
            }
        }
        let mut answer = text(&words);
        answer.citations.push(citation(one));
        answers.push(answer);
    }
    Ok(super::answer::join(answers))
}

fn summary(found: &Found) -> String {
    let o = &found.object;
    let namespace = o.pointer("/metadata/namespace").and_then(Value::as_str);
    let name = format!("{}/{}", found.kind.kind.to_lowercase(), object::name(o));
    let mut lines = vec![format!(
        "{name}{}: {}",
        place(found.kind.namespaced, namespace),
        health(o)
    )];
    let mut field = |label: &str, value: Option<String>| {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            lines.push(format!("  {label}: {value}"));
        }
    };
    field(
        "created",
        o.pointer("/metadata/creationTimestamp")
            .and_then(Value::as_str)
            .map(str::to_owned),
    );
    field("labels", map(o.pointer("/metadata/labels")));
    field(
        "controlled by",
        object::controller(o).map(|(k, n)| format!("{}/{n}", k.to_lowercase())),
    );
    field("replicas", replicas(o));
    field(
        "selector",
        map(o
            .pointer("/spec/selector/matchLabels")
            .or_else(|| o.pointer("/spec/selector"))),
    );
    field("containers", containers(found));
    field(
        "node",
        o.pointer("/spec/nodeName")
            .and_then(Value::as_str)
            .map(str::to_owned),
    );
    field(
        "type",
        o.pointer("/spec/type").and_then(Value::as_str).map(str::to_owned),
    );
    field("ports", ports(o));
    field("keys", keys(o));
    for condition in o
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = |k: &str| condition.get(k).and_then(Value::as_str).unwrap_or_default();
        let message = if text("message").is_empty() {
            String::new()
        } else {
            format!(": {}", text("message"))
        };
        lines.push(format!(
            "  {}={} {}{message}",
            text("type"),
            text("status"),
            text("reason")
        ));
    }
    // Labels, images and reasons are free text too; line by line, so that no line is read as a field of another.
    let lines: Vec<String> = lines.iter().map(|line| scrubbed(line)).collect();
    lines.join("\n")
}

/// One word or sentence on how it is.
fn health(o: &Value) -> String {
    if let Some(text) = replicas(o) {
        return text;
    }
    if let Some(phase) = o.pointer("/status/phase").and_then(Value::as_str) {
        let waiting: Vec<&str> = o
            .pointer("/status/containerStatuses")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|c| c.pointer("/state/waiting/reason")?.as_str())
            .collect();
        return if waiting.is_empty() {
            phase.to_owned()
        } else {
            format!("{phase}, {}", waiting.join(", "))
        };
    }
    let ready = o
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|c| c.get("type").and_then(Value::as_str) == Some("Ready"));
    match ready.and_then(|c| c.get("status")?.as_str()) {
        Some("True") => "ready".to_owned(),
        Some(_) => "not ready".to_owned(),
        None => "present".to_owned(),
    }
}

fn replicas(o: &Value) -> Option<String> {
    let number = |p: &str| o.pointer(p).and_then(Value::as_i64);
    let wanted = number("/spec/replicas").or_else(|| number("/status/desiredNumberScheduled"))?;
    let ready = number("/status/readyReplicas")
        .or_else(|| number("/status/numberReady"))
        .unwrap_or(0);
    Some(format!("{ready} of {wanted} ready"))
}

fn containers(found: &Found) -> Option<String> {
    let root = object::pod_spec_pointer(&found.kind.kind)?;
    let list = found.object.pointer(&format!("{root}/containers"))?.as_array()?;
    let text = |c: &Value, k: &str| c.get(k).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(
        list.iter()
            .map(|c| format!("{} ({})", text(c, "name"), text(c, "image")))
            .collect::<Vec<_>>()
            .join(", "),
    )
}

fn ports(o: &Value) -> Option<String> {
    let list = o.pointer("/spec/ports")?.as_array()?;
    Some(
        list.iter()
            .filter_map(|p| {
                Some(format!(
                    "{}/{}",
                    p.get("port")?,
                    p.get("protocol").and_then(Value::as_str).unwrap_or("TCP")
                ))
            })
            .collect::<Vec<_>>()
            .join(", "),
    )
}

/// Keys of a ConfigMap or Secret; values are never shown.
fn keys(o: &Value) -> Option<String> {
    Some(
        o.get("data")?
            .as_object()?
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(", "),
    )
}

fn map(value: Option<&Value>) -> Option<String> {
    let map = value?.as_object()?;
    Some(
        map.iter()
            .filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?)))
            .collect::<Vec<_>>()
            .join(", "),
    )
}

#[cfg(test)]
mod tests {
    use kubechat_core::plan::KindRef;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_object_says_of_itself_is_described_without_what_looks_like_a_secret() {
        let token = format!("ghp_{}", "aB3dE6".repeat(6));
        let kind = KindRef {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            resource: "deployments".into(),
            namespaced: true,
            scalable: true,
        };
        let object = json!({
            "metadata": {"name": "web", "namespace": "demo", "labels": {"app": "web", "token": token, "password": "Hunter2Hunter2"}},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "web", "api-key": token}},
                "template": {"spec": {"containers": [
                    {"name": "web", "image": "https://bob:Hunter2Hunter2@registry.example.org/web:1"},
                    {"name": "side", "image": "registry.example.org/side:2"},
                ]}},
            },
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": token, "message": format!("pulled with {token}")}]},
        });
        let said = summary(&Found { kind, object });
        assert!(!said.contains("ghp_") && !said.contains("Hunter2"), "{said}");
        for shown in [
            "app=web",
            "side (registry.example.org/side:2)",
            "Available=False",
            "0 of 2 ready",
        ] {
            assert!(said.contains(shown), "{shown}: {said}");
        }
    }
}
