//! The catalogue: what there is to know of each action, and docs/actions.md made from it.
//!
//! A new action is a line in `kubechat_crds::action`, a file under [`crate::plan::actions`] with its line there (a read: an
//! entry in `catalogue/reads.rs` and its answer), and its words in [`crate::interpret`]. **Invariant:** nothing else lists actions; `tests` fails where an action
//! lacks an example that is read as it, a floor that risk knows, a parameter that the API has, or what undoes it.

pub(crate) mod reads;

use kubechat_crds::intent::Action;

pub use crate::plan::actions::{Beside, Change, Kinds, Line, Make, Mark, Pods, Reads};

/// One action.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Kinds that a name without a kind may mean.
    pub kinds: Kinds,
    /// Parameters it reads, as the API names them.
    pub params: &'static [&'static str],
    /// Sentences and kubectl lines that mean it.
    pub says: &'static [&'static str],
    /// What a change is; `None` for a read.
    pub change: Option<&'static Change>,
}

impl Entry {
    /// The entry of a change.
    pub(crate) const fn of(change: &'static Change) -> Self {
        Self {
            kinds: change.kinds,
            params: change.params,
            says: change.says,
            change: Some(change),
        }
    }
}

/// What the catalogue says of an action.
#[must_use]
pub const fn entry(action: Action) -> Entry {
    crate::plan::actions::entry(action)
}

/// What the catalogue says of a change; `None` for a read.
#[must_use]
pub const fn change(action: Action) -> Option<&'static Change> {
    entry(action).change
}

/// docs/actions.md.
#[must_use]
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for (title, reads) in [("Reads", true), ("Changes", false)] {
        text.push_str(&format!("\n## {title}\n"));
        for action in Action::ALL.iter().filter(|a| a.is_read() == reads) {
            text.push_str(&section(*action));
        }
    }
    text
}

const HEAD: &str = "# Actions

Everything KubeChat can do, made from the code (`operator/core/src/catalogue.rs`) and tested against it. A read answers at
once. A change becomes a plan: its names are resolved and its rights asked as the requester, the API server tries it
(dry-run), and the plan shows the difference. Every example below is understood as the action it stands under.
";

fn section(action: Action) -> String {
    let entry = entry(action);
    let mut text = format!("\n### {action}\n\n{}\n", action.summary());
    let list = |words: &[&str]| -> String {
        let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
        quoted.join(" · ")
    };
    let mut rows: Vec<(&str, String)> = vec![];
    if entry.says.is_empty() {
        rows.push(("say", "nothing: only a rollback makes it".to_owned()));
    } else {
        rows.push(("say", list(entry.says)));
    }
    if !entry.kinds.is_empty() {
        let kinds: Vec<&str> = entry.kinds.iter().map(|(_, kind)| *kind).collect();
        rows.push(("a name without a kind means", kinds.join(", ")));
    }
    if !entry.params.is_empty() {
        rows.push(("parameters", list(entry.params)));
    }
    if let Some(change) = entry.change {
        let floors: Vec<String> = change
            .floors
            .iter()
            .map(|floor| format!("{} ({}: {})", floor.level, floor.id, floor.text))
            .collect();
        rows.push(("at least", floors.join("; ")));
        rows.push(("undone by", change.undo.to_owned()));
        rows.push(("after a crash, known by", change.mark.told().to_owned()));
    }
    text.push_str("\n| | |\n|---|---|\n");
    for (name, value) in rows {
        text.push_str(&format!("| {name} | {} |\n", value.replace('|', "\\|")));
    }
    text
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
