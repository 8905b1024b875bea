//! explain: what the fields of a kind are for, from the OpenAPI document that the cluster itself publishes.

use http::Request;
use kubechat_core::fields::{self, Explained, Unknown};
use kubechat_core::plan::KindRef;
use kubechat_core::reason;
use kubechat_crds::chat_request::Answer;
use kubechat_crds::intent::Intent;
use serde_json::Value;

use super::super::answer::{scrubbed, text, with_table};
use super::super::{Stop, Turn, resolve};
use crate::cluster::client::call;
use crate::error::Error;

/// Longest document that is read, in bytes; those of Kubernetes itself have up to two million.
const MAX_DOCUMENT: usize = 32 * 1024 * 1024;
/// Fields named where one is not there.
const MAX_KNOWN: usize = 20;

pub(super) async fn explain(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let Some(kind) = resolve::named_kind(turn, intent)? else {
        return Err(Stop::needs_input(
            "The fields of which kind? For example 'explain deployment.spec.strategy'",
            vec![],
        ));
    };
    let path = intent.params.path.as_deref().unwrap_or_default();
    let document = document(turn, kind).await?;
    let named = (kind.group.as_str(), kind.version.as_str(), kind.kind.as_str());
    let found = fields::explain(&document, named, path).map_err(|why| unknown(kind, why))?;
    Ok(told(kind, path, &found))
}

async fn document(turn: &Turn<'_>, kind: &KindRef) -> Result<Value, Stop> {
    let at = if kind.group.is_empty() {
        format!("/openapi/v3/api/{}", kind.version)
    } else {
        format!("/openapi/v3/apis/{}/{}", kind.group, kind.version)
    };
    let request = Request::get(at)
        .body(vec![])
        .map_err(|e| Stop::Retry(Error::Internal(e.to_string())))?;
    let what = format!("read the documentation of {}", kind.resource);
    let none = || {
        let why = format!("this cluster publishes no documentation of {}", kind.kind);
        Stop::failed(reason::INVALID, format!("{why}. Nothing was done"))
    };
    let document = match call(what, turn.person.0.request_text(request)).await {
        Ok(document) => document,
        Err(error) if error.is_not_found() => return Err(none()),
        Err(error) => return Err(error.into()),
    };
    if document.len() > MAX_DOCUMENT {
        return Err(none());
    }
    serde_json::from_str(&document).map_err(|_| none())
}

fn unknown(kind: &KindRef, why: Unknown) -> Stop {
    match why {
        Unknown::Kind => Stop::failed(
            reason::INVALID,
            format!(
                "this cluster's documentation says nothing of {}. Nothing was done",
                kind.kind
            ),
        ),
        Unknown::Field { at, name, known } => {
            let place = [kind.kind.as_str(), at.as_str()]
                .into_iter()
                .filter(|p| !p.is_empty());
            let place = place.collect::<Vec<_>>().join(".");
            let start = known
                .iter()
                .filter(|k| k.to_lowercase().contains(&name.to_lowercase()));
            let mut named: Vec<String> = start.cloned().collect();
            if named.is_empty() {
                named = known;
            }
            named.truncate(MAX_KNOWN);
            let said = if named.is_empty() {
                "; it has no fields"
            } else {
                ". Which one do you mean?"
            };
            Stop::needs_input(format!("{place} has no field {name}{said}"), named)
        }
    }
}

fn told(kind: &KindRef, path: &str, found: &Explained) -> Answer {
    let name = if path.is_empty() {
        format!("{} ({})", kind.kind, kind.api_version())
    } else {
        format!("{}.{path} ({})", kind.kind, found.kind)
    };
    let words = scrubbed(&format!("{name}: {}", found.text));
    if found.fields.is_empty() {
        return text(&words);
    }
    let rows = found.fields.iter().map(|field| {
        let said = scrubbed(&field.text);
        vec![field.name.clone(), field.kind.clone(), said]
    });
    with_table(
        &words,
        ["Field", "Type", "What it is for"].map(str::to_owned).to_vec(),
        rows.collect(),
        i64::try_from(found.fields.len()).unwrap_or(i64::MAX),
        "more fields than an answer holds",
    )
}

#[cfg(test)]
mod tests {
    use kubechat_core::fields::Field;

    use super::*;

    fn kind() -> KindRef {
        KindRef {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            ..KindRef::default()
        }
    }

    #[test]
    fn a_field_is_told_with_its_type_and_what_is_in_it() {
        let found = Explained {
            kind: "DeploymentStrategy".into(),
            text: "How pods are replaced.".into(),
            fields: vec![Field {
                name: "type".into(),
                kind: "string".into(),
                text: "Recreate or RollingUpdate.".into(),
            }],
        };
        let answer = told(&kind(), "spec.strategy", &found);
        assert_eq!(
            answer.text,
            "Deployment.spec.strategy (DeploymentStrategy): How pods are replaced."
        );
        assert_eq!(
            answer.table.unwrap().rows,
            [["type", "string", "Recreate or RollingUpdate."]]
        );
        let leaf = Explained {
            fields: vec![],
            ..found
        };
        assert_eq!(told(&kind(), "", &leaf).table, None);
    }

    #[test]
    fn a_field_that_is_not_there_names_those_like_it() {
        let why = |name: &str| {
            let why = Unknown::Field {
                at: "spec".into(),
                name: name.into(),
                known: vec!["replicas".into(), "paused".into()],
            };
            match unknown(&kind(), why) {
                Stop::Halt(halted) => (halted.message, halted.answer.unwrap().candidates),
                Stop::Retry(error) => panic!("{error}"),
            }
        };
        let (message, near) = why("Replica");
        assert!(
            message.starts_with("Deployment.spec has no field Replica"),
            "{message}"
        );
        assert_eq!(near, ["replicas"]);
        assert_eq!(why("x").1.len(), 2);
    }
}
