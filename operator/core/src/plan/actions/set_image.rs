//! set-image: change one container's image. A JSON patch with a test of the container's name, because a merge patch would
//! replace the whole list.

use kubechat_crds::intent::{Action, IntentParams};
use serde_json::{Value, json};

use super::change::{Asked, Change, Make, Mark, Pods, Reads, WORKLOADS};
use super::container::{Container, containers, pick};
use super::{Draft, Found, Refusal, inverse, label_of, update};
use crate::risk::{floors, weights};

pub(super) const CHANGE: Change = Change {
    kinds: WORKLOADS,
    params: &["image", "container"],
    says: &[
        "set the image of web to nginx:1.28",
        "update web to 1.28",
        "kubectl set image deployment/web web=nginx:1.28",
    ],
    make: Make::Of(draft),
    reads: Reads::Nothing,
    floor: |_| floors::SET_IMAGE,
    floors: &[floors::SET_IMAGE],
    instead: None,
    weight: |_| weights::SET_IMAGE,
    pods: |_| Pods::Replaced,
    harmless: false,
    line: |step, line| {
        let container = step.params.container.as_deref().unwrap_or("*");
        let image = step.params.image.as_deref().unwrap_or_default();
        format!("set image {} {container}={image}", line.objects)
    },
    undo: "the image before",
    mark: Mark::StepId,
};

fn draft(asked: &Asked<'_>) -> Result<Draft, Refusal> {
    let (intent, found) = (asked.intent, asked.found);
    let Some(wanted) = intent.params.image.as_deref() else {
        return Err(Refusal::NeedsInput {
            message: format!("Which image should {} run?", label_of(found)),
            candidates: vec![],
        });
    };
    let container = choose(found, intent.params.container.as_deref(), wanted)?;
    let current = container
        .object
        .get("image")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let image = match wanted.strip_prefix(':') {
        Some(tag) => format!("{}:{tag}", repository(current)),
        None => wanted.to_owned(),
    };
    if image == current {
        return Err(Refusal::Nothing(format!(
            "{} runs {image} already; nothing was changed",
            label_of(found)
        )));
    }
    let patch = json!([
        {"op": "test", "path": format!("{}/name", container.pointer), "value": container.name},
        {"op": "replace", "path": format!("{}/image", container.pointer), "value": image},
    ]);
    let params = |image: &str| IntentParams {
        image: Some(image.to_owned()),
        container: Some(container.name.to_owned()),
        ..IntentParams::default()
    };
    let rollback = inverse(
        Action::SetImage,
        params(current),
        format!("set container {} back to {current}", container.name),
    );
    Ok(update(intent, found, params(&image), &patch, rollback))
}

/// The named container, the only one, or the one whose repository is that of the image.
fn choose<'a>(found: &'a Found, named: Option<&str>, image: &str) -> Result<Container<'a>, Refusal> {
    if named.is_some() || image.starts_with(':') {
        return pick(found, named);
    }
    let all = containers(found)?;
    let matching: Vec<_> = all
        .into_iter()
        .filter(|c| {
            c.object
                .get("image")
                .and_then(Value::as_str)
                .is_some_and(|i| repository(i) == repository(image))
        })
        .collect();
    match <[Container<'a>; 1]>::try_from(matching) {
        Ok([one]) => Ok(one),
        Err(_) => pick(found, None),
    }
}

/// An image reference without tag and digest (a colon before the last slash is a port).
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rfind(':') {
        Some(colon) if !image[colon..].contains('/') => &image[..colon],
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn repository_cuts_tag_and_digest_but_no_port() {
        for (image, want) in [
            ("nginx", "nginx"),
            ("nginx:1.27", "nginx"),
            ("reg:5000/team/app", "reg:5000/team/app"),
            ("reg:5000/team/app:v2", "reg:5000/team/app"),
            ("app:1@sha256:00", "app"),
        ] {
            assert_eq!(super::repository(image), want);
        }
    }
}
