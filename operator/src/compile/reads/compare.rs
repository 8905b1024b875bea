//! compare: what two objects of a kind differ in, field by field; values of the environment and of Secrets are masked.

use kubechat_core::plan::actions::apply::bound;
use kubechat_core::plan::{Found, diff, object};
use kubechat_core::reason;
use kubechat_crds::chat_request::Answer;
use kubechat_crds::command_plan::DiffLine;
use kubechat_crds::intent::{Intent, IntentTarget};
use serde_json::Value;

use super::super::answer::{MAX_ROWS, scrubbed, text, with_table};
use super::super::{Stop, Turn, apply, dry_run, resolve};
use super::citation;
use crate::cluster::objects::{Earnest, Objects};

/// Fields in which two objects differ without a difference in what they are.
const OWN: &[&str] = &["/metadata/name", "/metadata/namespace"];

pub(super) async fn compare(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let mut found = vec![];
    for target in both(intent) {
        let one = Intent {
            target,
            ..intent.clone()
        };
        found.extend(resolve::objects(turn, &one).await?);
    }
    let [a, b] = found.as_slice() else {
        return Err(Stop::needs_input(
            "Two objects are compared, no more and no fewer. Which two?",
            vec![],
        ));
    };
    if (&a.kind.group, &a.kind.kind) != (&b.kind.group, &b.kind.kind) {
        return Err(Stop::needs_input(
            format!(
                "{} and {} are of different kinds and cannot be compared. Say the kind of both",
                label(a),
                label(b)
            ),
            vec![],
        ));
    }
    if is_one(&a.object, &b.object) {
        return Err(Stop::needs_input(
            format!(
                "{} is one object. With which other one should it be compared?",
                label(a)
            ),
            vec![],
        ));
    }
    let mut answer = differences(&label(a), &label(b), &compared(&a.object, &b.object));
    if a.kind.is("", "Secret") {
        answer.text = text(&format!("{} Values of Secrets are not compared.", answer.text)).text;
    }
    answer.citations.extend([citation(a), citation(b)]);
    Ok(answer)
}

fn is_one(a: &Value, b: &Value) -> bool {
    let uid = |of: &Value| of.pointer("/metadata/uid").cloned();
    uid(a) == uid(b)
}

/// What two objects differ in. Of Secrets not even whether two values are the same.
fn compared(a: &Value, b: &Value) -> Vec<DiffLine> {
    let mut lines = diff::diff(0, Some(a), Some(b));
    let secret = a.get("kind").and_then(Value::as_str) == Some("Secret");
    let masked = |text: &Option<String>| text.as_deref() == Some(object::MASK);
    lines.retain(|line| {
        let hidden = secret && masked(&line.before) && masked(&line.after);
        !hidden && !OWN.contains(&line.path.as_str())
    });
    for line in &mut lines {
        mask_data(a, line);
    }
    lines
}

/// Hides the values of a ConfigMap: an answer stands where others read it who may not read the object.
fn mask_data(of: &Value, line: &mut DiffLine) {
    let data = ["/data", "/binaryData"]
        .iter()
        .any(|at| line.path == *at || line.path.starts_with(&format!("{at}/")));
    if data && of.get("kind").and_then(Value::as_str) == Some("ConfigMap") {
        for side in [&mut line.before, &mut line.after] {
            *side = side.take().map(|_| object::MASK.to_owned());
        }
    }
}

/// What a manifest from the prompt would change, as the API server says by a dry-run of its apply. Nothing is written.
pub(super) async fn with_manifest(turn: &Turn<'_>, intent: &Intent) -> Result<Answer, Stop> {
    let meant = apply::meant(turn, intent)?;
    let api = Objects::new(&turn.person, meant.kind, meant.namespace.as_deref());
    let name = format!("{}/{}", meant.kind.kind.to_lowercase(), meant.name);
    let Some(object) = api.find(&meant.name).await? else {
        return Ok(text(&format!(
            "{name} is not there; an apply of the manifest would make it."
        )));
    };
    let invalid = |why: String| Stop::failed(reason::INVALID, format!("{why}. Nothing was done"));
    let body = bound(&meant.manifest, &object, "").map_err(invalid)?;
    let command = format!("kubectl diff of {name}");
    let (after, taken) = match api.would_apply(&meant.name, &body).await {
        Ok((after, _)) => (after, None),
        Err(error) => {
            let Some(said) = error
                .status()
                .filter(|s| s.code == 409)
                .map(|s| scrubbed(&s.message))
            else {
                return Err(dry_run::apply_refused(error, &command));
            };
            // What it would be all the same: a dry-run.
            let forced = api.apply(&meant.name, &body, true, Earnest::No).await;
            (
                forced.map_err(|error| dry_run::apply_refused(error, &command))?,
                Some(said),
            )
        }
    };
    let mut lines = diff::diff(0, Some(&object), Some(&after));
    for line in &mut lines {
        mask_data(&object, line);
    }
    let mut answer = differences(&format!("{name} as it is"), "the manifest", &lines);
    if let Some(said) = taken {
        let all = format!("{} An apply would be refused: {said}", answer.text);
        answer.text = text(&all).text;
    }
    let found = Found {
        kind: meant.kind.clone(),
        object,
    };
    answer.citations.push(citation(&found));
    Ok(answer)
}

/// One target for each of the two.
fn both(intent: &Intent) -> Vec<IntentTarget> {
    let named = |name: &String| IntentTarget {
        names: vec![name.clone()],
        ..intent.target.clone()
    };
    let mut targets: Vec<IntentTarget> = intent.target.names.iter().map(named).collect();
    if let Some(namespace) = &intent.params.other_namespace {
        targets.push(IntentTarget {
            namespace: Some(namespace.clone()),
            ..intent.target.clone()
        });
    }
    targets
}

fn label(found: &Found) -> String {
    let place = found
        .object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str)
        .map(|n| format!(" in {n}"))
        .unwrap_or_default();
    format!(
        "{}/{}{place}",
        found.kind.kind.to_lowercase(),
        object::name(&found.object)
    )
}

/// A table of the differences.
pub(super) fn differences(first: &str, second: &str, lines: &[DiffLine]) -> Answer {
    if lines.is_empty() {
        return text(&format!("{first} and {second} do not differ."));
    }
    let cell = |value: &Option<String>| value.as_deref().map_or_else(|| "<none>".to_owned(), scrubbed);
    let rows = lines
        .iter()
        .take(MAX_ROWS)
        .map(|line| vec![line.path.clone(), cell(&line.before), cell(&line.after)])
        .collect();
    let fields = if lines.len() == 1 { "field" } else { "fields" };
    with_table(
        &format!("{first} and {second} differ in {} {fields}:", lines.len()),
        vec!["Field".to_owned(), first.to_owned(), second.to_owned()],
        rows,
        i64::try_from(lines.len()).unwrap_or(i64::MAX),
        "more differences than an answer holds",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_value_of_a_secret_or_of_a_config_map_is_told_by_comparing_it() {
        let object = |kind: &str, more: &Value| {
            let mut object = json!({"kind": kind, "metadata": {"name": "a", "labels": {"x": "y"}}, "data": {"same": "c2FtZQ=="}});
            for (key, value) in more.as_object().unwrap() {
                object["data"][key] = value.clone();
            }
            object
        };
        let (a, b) = (
            json!({"key": "swordfish", "a": "1"}),
            json!({"key": "hunter2", "b": "2"}),
        );
        let said = |kind: &str| {
            let lines = compared(&object(kind, &a), &object(kind, &b));
            let told = format!("{lines:?}");
            assert!(!told.contains("swordfish") && !told.contains("hunter2"), "{told}");
            lines.into_iter().map(|l| l.path).collect::<Vec<_>>()
        };
        // Whether two values of Secrets are the same is told neither.
        assert_eq!(said("Secret"), ["/data/a", "/data/b"]);
        assert_eq!(said("ConfigMap"), ["/data/a", "/data/b", "/data/key"]);
    }

    #[test]
    fn an_object_is_known_by_its_uid_not_by_its_name() {
        let object = |name: &str, uid: &str| json!({"metadata": {"name": name, "uid": uid}});
        assert!(is_one(&object("a", "1"), &object("a", "1")));
        assert!(!is_one(&object("a", "1"), &object("a", "2")));
    }

    #[test]
    fn equal_objects_do_not_differ_and_others_differ_field_by_field() {
        assert_eq!(differences("a", "b", &[]).text, "a and b do not differ.");
        let line = DiffLine {
            path: "/spec/replicas".into(),
            before: Some("2".into()),
            ..DiffLine::default()
        };
        let table = differences("a", "b", &[line]).table.unwrap();
        assert_eq!(table.rows, [["/spec/replicas", "2", "<none>"]]);
    }
}
