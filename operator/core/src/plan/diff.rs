//! Structural diff of two objects, for people: one line a changed field, values masked.

use kubechat_crds::command_plan::DiffLine;
use kubechat_crds::condition::clip;
use serde_json::Value;

use super::object::{MASK, masked};

/// Most lines of one step's diff; the last one says how many were left out.
pub const MAX_LINES: usize = 200;

/// Bytes of one side of a line; longer ones are cut.
const MAX_TEXT: usize = 1000;

/// Fields the server or KubeChat itself writes; they are no part of the change.
const IGNORED: &[&str] = &[
    "/status",
    "/metadata/managedFields",
    "/metadata/resourceVersion",
    "/metadata/generation",
    "/metadata/uid",
    "/metadata/creationTimestamp",
    "/metadata/selfLink",
    "/metadata/annotations/kubechat.io~1step-id",
];

/// The changed fields between two versions of target number `target`. `None` is an object that is not there.
#[must_use]
pub fn diff(target: usize, before: Option<&Value>, after: Option<&Value>) -> Vec<DiffLine> {
    let mut lines = vec![];
    let (shown, shown_after) = (before.map(masked), after.map(masked));
    walk(target, "", shown.as_ref(), shown_after.as_ref(), &mut lines);
    if let (Some(old), Some(new), Some(before), Some(after)) = (&shown, &shown_after, before, after) {
        behind_masks(target, "", (before, old), (after, new), &mut lines);
    }
    lines
}

/// Values that differ only behind their mask: an approver sees that they change, not what they are.
fn behind_masks(
    target: usize,
    path: &str,
    (before, old): (&Value, &Value),
    (after, new): (&Value, &Value),
    lines: &mut Vec<DiffLine>,
) {
    if before == after {
        return;
    }
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, old) in old {
                let both = (before.get(key), after.get(key), new.get(key));
                if let (Some(before), Some(after), Some(new)) = both {
                    behind_masks(target, &child(path, key), (before, old), (after, new), lines);
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                if let (Some(before), Some(after)) = (before.get(index), after.get(index)) {
                    let path = format!("{path}/{index}");
                    behind_masks(target, &path, (before, old), (after, new), lines);
                }
            }
        }
        (Value::String(old), Value::String(new)) if old == MASK && new == MASK => lines.push(DiffLine {
            target: i32::try_from(target).unwrap_or(i32::MAX),
            path: clip(path.to_owned(), 500),
            before: Some(MASK.to_owned()),
            after: Some(MASK.to_owned()),
        }),
        _ => {}
    }
}

/// Cuts a diff to [`MAX_LINES`], saying so.
pub fn bound(lines: &mut Vec<DiffLine>) {
    if lines.len() > MAX_LINES {
        let more = lines.len() - MAX_LINES + 1;
        lines.truncate(MAX_LINES - 1);
        lines.push(DiffLine {
            target: 0,
            path: format!("({more} more changed fields are not shown)"),
            before: None,
            after: None,
        });
    }
}

fn walk(target: usize, path: &str, before: Option<&Value>, after: Option<&Value>, lines: &mut Vec<DiffLine>) {
    if before == after || IGNORED.contains(&path) {
        return;
    }
    match (before, after) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                walk(target, &child(path, key), a.get(key), b.get(key), lines);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() => {
            for (index, (x, y)) in a.iter().zip(b).enumerate() {
                walk(target, &format!("{path}/{index}"), Some(x), Some(y), lines);
            }
        }
        (None, Some(Value::Object(b))) if shallow(path) => {
            for (key, value) in b {
                walk(target, &child(path, key), None, Some(value), lines);
            }
        }
        (Some(Value::Object(a)), None) if shallow(path) => {
            for (key, value) in a {
                walk(target, &child(path, key), Some(value), None, lines);
            }
        }
        _ => lines.push(DiffLine {
            target: i32::try_from(target).unwrap_or(i32::MAX),
            path: clip(path.to_owned(), 500),
            before: before.map(text),
            after: after.map(text),
        }),
    }
}

/// Added or removed objects are opened only near the root, so that a new object reads as a few lines.
fn shallow(path: &str) -> bool {
    path.matches('/').count() < 3
}

fn child(path: &str, key: &str) -> String {
    format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn text(value: &Value) -> String {
    let text = match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    clip(text, MAX_TEXT)
}

/// Whether one side of a line is cut, or may be: it ends as [`clip`] ends what it cuts, as near to the limit as whole characters
/// come.
#[must_use]
pub fn is_cut(text: &str) -> bool {
    text.len() >= MAX_TEXT || (text.len() + 8 > MAX_TEXT && text.ends_with(" …"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shows_changed_added_and_removed_fields_by_pointer() {
        let a = json!({"metadata": {"labels": {"a/b": "1", "old": "x"}, "resourceVersion": "1"}, "spec": {"replicas": 2, "list": [1, 2]}});
        let b = json!({"metadata": {"labels": {"a/b": "2", "new": "y"}, "resourceVersion": "2"}, "spec": {"replicas": 5, "list": [1, 3]}});
        let lines: Vec<_> = diff(0, Some(&a), Some(&b))
            .into_iter()
            .map(|l| (l.path, l.before, l.after))
            .collect();
        let s = |t: &str| Some(t.to_owned());
        assert_eq!(
            lines,
            [
                ("/metadata/labels/a~1b".into(), s("1"), s("2")),
                ("/metadata/labels/new".into(), None, s("y")),
                ("/metadata/labels/old".into(), s("x"), None),
                ("/spec/list/1".into(), s("2"), s("3")),
                ("/spec/replicas".into(), s("2"), s("5")),
            ]
        );
    }

    #[test]
    fn never_shows_env_values_but_that_they_change() {
        let with = |v: &str| json!({"spec": {"containers": [{"env": [{"name": "P", "value": v}, {"name": "Q", "value": "same"}]}]}});
        let lines = diff(0, Some(&with("hunter2")), Some(&with("hunter3")));
        assert!(!format!("{lines:?}").contains("hunter"));
        let paths: Vec<&str> = lines.iter().map(|l| l.path.as_str()).collect();
        assert_eq!(paths, ["/spec/containers/0/env/0/value"]);
        assert!(diff(0, Some(&with("hunter2")), Some(&with("hunter2"))).is_empty());
        let secret = |v: &str| json!({"kind": "Secret", "data": {"k": v}});
        let lines = diff(0, Some(&secret("aHVudGVyMg==")), Some(&secret("aHVudGVyMw==")));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(!format!("{lines:?}").contains("aHV"), "{lines:?}");
    }

    #[test]
    fn a_text_that_is_cut_is_known_whatever_its_characters() {
        for unit in ["a", "ä", "€", "😀"] {
            for lead in ["", "x", "xy", "xyz"] {
                let long = format!("{lead}{}", unit.repeat(1200));
                assert!(is_cut(&text(&long.clone().into())), "{lead} {unit}");
                let short: String = long.chars().take(200).collect();
                assert!(!is_cut(&text(&short.into())), "{lead} {unit}");
            }
        }
        assert!(!is_cut(&text(&"a".repeat(999).into())));
    }

    #[test]
    fn a_long_diff_is_cut_and_says_so() {
        let mut lines = vec![DiffLine::default(); 500];
        bound(&mut lines);
        assert_eq!(lines.len(), MAX_LINES);
        assert!(lines[MAX_LINES - 1].path.contains("301 more"));
    }
}
