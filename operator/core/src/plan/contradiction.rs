//! Steps that cannot follow each other: what a step deletes, no later step can change, nothing is made twice, and no field
//! is written twice.

use std::collections::{HashMap, HashSet};

use kubechat_crds::Step;
use kubechat_crds::command_plan::{Effect, Target};
use serde_json::{Map, Value};

/// Why steps cannot follow each other, in words: one changes what an earlier one deletes, two make the same object, or two
/// write the same field. All are made from the objects as they were read first, so the later of two such writes would take the earlier one back.
/// `None` when the steps can be done in order.
#[must_use]
pub fn contradiction(steps: &[&Step]) -> Option<String> {
    let fields: Vec<Vec<String>> = steps.iter().map(|step| written(step)).collect();
    let mut seen: HashMap<Object<'_>, Vec<usize>> = HashMap::new();
    // What two steps write does not depend on the object: two that agree on one agree on all.
    let mut agree: HashSet<(usize, usize)> = HashSet::new();
    for (later, step) in steps.iter().enumerate() {
        for target in &step.targets {
            let earlier = seen.entry(object(target)).or_default();
            for &first in earlier.iter() {
                // An object that one step names twice is no step that follows itself.
                if first == later || !agree.insert((first, later)) {
                    continue;
                }
                let both = (*steps.get(first)?, fields.get(first)?.as_slice());
                let found = clash(both, (*step, fields.get(later)?.as_slice()), target);
                if found.is_some() {
                    return found;
                }
            }
            if earlier.last() != Some(&later) {
                earlier.push(later);
            }
        }
    }
    None
}

/// Group, kind, namespace and name.
type Object<'a> = (&'a str, &'a str, Option<&'a str>, &'a str);

fn object(target: &Target) -> Object<'_> {
    (
        target.group.as_str(),
        target.kind.as_str(),
        target.namespace.as_deref(),
        target.name.as_str(),
    )
}

/// What is wrong with two steps of one object.
fn clash(earlier: (&Step, &[String]), later: (&Step, &[String]), target: &Target) -> Option<String> {
    let ((earlier, first), (later, second)) = (earlier, later);
    let name = format!("{}/{}", target.kind.to_lowercase(), target.name);
    match (earlier.effect, later.effect) {
        (Effect::Delete, Effect::Update | Effect::Delete | Effect::Read) => Some(format!(
            "{} of {name} comes after its deletion, so it could not be done",
            later.action
        )),
        (Effect::Update, Effect::Update) => {
            let both = first.iter().find_map(|a| second.iter().find(|b| overlap(a, b)));
            both.map(|field| {
                format!(
                    "{} and {} of {name} both write {}, so the second would take the first one back",
                    earlier.action,
                    later.action,
                    if field.is_empty() {
                        "what is not shown in full"
                    } else {
                        field
                    }
                )
            })
        }
        (Effect::Create, Effect::Create) => Some(format!(
            "{} and {} both make {name}, so the second could not be done",
            earlier.action, later.action
        )),
        (Effect::Create, Effect::Update | Effect::Delete | Effect::Read)
        | (Effect::Read, _)
        | (Effect::Update, Effect::Create | Effect::Delete | Effect::Read)
        | (Effect::Delete, Effect::Create) => None,
    }
}

/// The fields that an update writes, as JSON pointers. What is not known could be all of it: the empty pointer.
fn written(step: &Step) -> Vec<String> {
    let patch = step
        .patch
        .as_deref()
        .and_then(|p| serde_json::from_str::<Value>(p).ok());
    let part = step
        .subresource
        .as_ref()
        .map(|s| format!("({s})"))
        .unwrap_or_default();
    let mut fields = vec![];
    match &patch {
        Some(Value::Object(merge)) => leaves(&mut part.clone(), merge, &mut fields),
        Some(Value::Array(ops)) => {
            let text = |op: &Value, key: &str| op.get(key).and_then(Value::as_str).map(str::to_owned);
            let changing = ops.iter().filter(|op| text(op, "op").as_deref() != Some("test"));
            for op in changing {
                fields.push(
                    text(op, "path")
                        .filter(|path| path.starts_with('/'))
                        .map(|path| format!("{part}{path}"))
                        .unwrap_or_default(),
                );
                fields.extend(text(op, "from").map(|from| format!("{part}{from}")));
            }
        }
        Some(_) | None => {}
    }
    if fields.is_empty() {
        fields.push(String::new());
    }
    fields
}

/// The ends of a merge patch.
fn leaves(path: &mut String, merge: &Map<String, Value>, fields: &mut Vec<String>) {
    for (key, value) in merge {
        let length = path.len();
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        match value {
            Value::Object(inner) if !inner.is_empty() => leaves(path, inner, fields),
            _ => fields.push(path.clone()),
        }
        path.truncate(length);
    }
}

/// Whether one of two fields is the other, or holds it.
fn overlap(a: &str, b: &str) -> bool {
    let holds = |a: &str, b: &str| {
        b.strip_prefix(a)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    a.is_empty() || b.is_empty() || holds(a, b) || holds(b, a)
}

#[cfg(test)]
mod tests {
    use super::super::blank;
    use super::*;
    use kubechat_crds::intent::{Action, IntentParams};

    fn step(action: Action, effect: Effect, name: &str) -> Step {
        let target = Target {
            kind: "Deployment".to_owned(),
            name: name.to_owned(),
            ..Target::default()
        };
        blank(action, effect, vec![target], IntentParams::default())
    }

    #[test]
    fn what_is_deleted_is_not_changed_afterwards() {
        let delete = step(Action::Delete, Effect::Delete, "web");
        let scale = step(Action::Scale, Effect::Update, "web");
        let other = step(Action::Scale, Effect::Update, "api");
        let again = step(Action::Recreate, Effect::Create, "web");
        let twice = |step: &Step| Step {
            targets: vec![step.targets[0].clone(), step.targets[0].clone()],
            ..step.clone()
        };
        let said = contradiction(&[&again, &other, &again]).unwrap();
        assert_eq!(
            said,
            "recreate and recreate both make deployment/web, so the second could not be done"
        );
        assert!(contradiction(&[&again, &delete, &again]).is_some());
        let said = contradiction(&[&delete, &other, &scale]).unwrap();
        assert_eq!(
            said,
            "scale of deployment/web comes after its deletion, so it could not be done"
        );
        assert!(contradiction(&[&delete, &delete]).is_some());
        assert!(contradiction(&[&twice(&delete), &twice(&delete)]).is_some());
        let (deleted, scaled) = (twice(&delete), twice(&scale));
        for fine in [
            vec![&deleted],
            vec![&scaled],
            vec![&scaled, &deleted],
            vec![&scale, &delete],
            vec![&delete, &other],
            vec![&delete, &again],
            vec![&twice(&again)],
            vec![],
        ] {
            assert_eq!(contradiction(&fine), None);
        }
    }

    fn update(action: Action, patch: &str) -> Step {
        let mut step = step(action, Effect::Update, "web");
        step.patch = Some(patch.to_owned());
        step
    }

    fn scale() -> Step {
        let mut step = update(Action::Scale, r#"{"spec":{"replicas":5}}"#);
        step.subresource = Some("scale".to_owned());
        step
    }

    fn image(container: usize) -> Step {
        let at = format!("/spec/template/spec/containers/{container}");
        let ops = format!(
            r#"[{{"op":"test","path":"{at}/name","value":"c"}},{{"op":"replace","path":"{at}/image","value":"i"}}]"#
        );
        update(Action::SetImage, &ops)
    }

    fn resources(container: usize) -> Step {
        let at = format!("/spec/template/spec/containers/{container}");
        let ops = format!(
            r#"[{{"op":"test","path":"{at}/name","value":"c"}},{{"op":"add","path":"{at}/resources","value":{{}}}}]"#
        );
        update(Action::SetResources, &ops)
    }

    #[test]
    fn no_two_steps_write_the_same_field_of_one_object() {
        let label = |key: &str| {
            let patch = format!(r#"{{"metadata":{{"labels":{{"{key}":"x"}}}}}}"#);
            update(Action::Label, &patch)
        };
        let template = r#"[{"op":"replace","path":"/spec/template","value":{}}]"#;
        let undo = update(Action::RolloutUndo, template);
        let hidden = update(Action::RolloutUndo, "{}");
        let unread = update(Action::Label, "no JSON");
        for (first, second, clash) in [
            (resources(0), resources(0), true),
            (resources(0), resources(1), false),
            (resources(0), image(0), false),
            (resources(1), resources(10), false),
            (image(0), image(0), true),
            (scale(), scale(), true),
            (scale(), image(0), false),
            (label("a"), label("b"), false),
            (label("a"), label("a"), true),
            (label("a"), label("a/b"), false),
            (undo.clone(), image(0), true),
            (image(0), undo, true),
            // What is not shown in full, or cannot be read, could be anything.
            (hidden, label("a"), true),
            (label("a"), unread, true),
            (
                image(0),
                update(
                    Action::Patch,
                    r#"[{"op":"add","path":"x/spec/paused","value":true}]"#,
                ),
                true,
            ),
        ] {
            let said = contradiction(&[&first, &second]);
            assert_eq!(
                said.is_some(),
                clash,
                "{} {} {said:?}",
                first.action,
                second.action
            );
            // Of another object it is nothing.
            let mut other = second.clone();
            other.targets[0].name = "api".to_owned();
            assert_eq!(contradiction(&[&first, &other]), None);
        }
        let said = contradiction(&[&resources(0), &image(1), &resources(0)]).unwrap();
        for words in [
            "set-resources of deployment/web",
            "/containers/0/resources",
            "take the first one back",
        ] {
            assert!(said.contains(words), "{said}");
        }
    }
}
