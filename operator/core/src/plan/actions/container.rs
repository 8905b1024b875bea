//! Containers of a workload: where they stand, and which one a change means.

use serde_json::Value;

use super::{Found, Refusal, label_of};
use crate::plan::object;

/// One container of a workload: where it stands and what it is.
pub(super) struct Container<'a> {
    /// JSON pointer of the container.
    pub(super) pointer: String,
    /// Its name.
    pub(super) name: &'a str,
    /// It.
    pub(super) object: &'a Value,
}

/// The containers of a workload, init containers last.
pub(super) fn containers(found: &Found) -> Result<Vec<Container<'_>>, Refusal> {
    let kind = found.kind.kind.as_str();
    let root = object::pod_spec_pointer(kind)
        .ok_or_else(|| Refusal::Invalid(format!("{} has no containers", label_of(found))))?;
    let mut all = vec![];
    for list in ["containers", "initContainers"] {
        let pointer = format!("{root}/{list}");
        let entries = found
            .object
            .pointer(&pointer)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for (index, entry) in entries.enumerate() {
            let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
            all.push(Container {
                pointer: format!("{pointer}/{index}"),
                name,
                object: entry,
            });
        }
    }
    Ok(all)
}

/// The container a change means: the named one, or the only one.
pub(super) fn pick<'a>(found: &'a Found, wanted: Option<&str>) -> Result<Container<'a>, Refusal> {
    let all = containers(found)?;
    let names: Vec<String> = all.iter().map(|c| c.name.to_owned()).collect();
    let ask = |message: String| Refusal::NeedsInput {
        message,
        candidates: names.clone(),
    };
    match wanted {
        Some(name) => all
            .into_iter()
            .find(|c| c.name == name)
            .ok_or_else(|| ask(format!("{} has no container {name}. Which one?", label_of(found)))),
        None => {
            let mut main: Vec<_> = all
                .into_iter()
                .filter(|c| c.pointer.contains("/containers/"))
                .collect();
            if main.len() == 1 {
                main.pop().ok_or_else(|| ask(String::new()))
            } else {
                Err(ask(format!(
                    "{} has {} containers. Which one?",
                    label_of(found),
                    main.len()
                )))
            }
        }
    }
}
