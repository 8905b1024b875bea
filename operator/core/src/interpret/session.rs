//! Earlier turns of a session, as data: what of them a later word can mean. The operator gives the last [`MEMORY`] of
//! them, whatever the length of the session.

use kubechat_crds::intent::{Intent, IntentTarget};

/// Earlier turns of a session that words may refer to.
pub const MEMORY: usize = 5;

/// One earlier turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// What it asked for.
    pub intents: Vec<Intent>,
    /// It only asked what a change would do: nothing was planned, and nothing that follows from it plans a change either.
    pub only_asked: bool,
    /// What it gave to choose from, where it ended with a question.
    pub candidates: Vec<String>,
}

impl Earlier {
    /// A turn that asked for this.
    #[must_use]
    pub fn of(intents: Vec<Intent>) -> Self {
        Self {
            intents,
            ..Self::default()
        }
    }

    /// The one thing it asked for; nothing where it asked for several.
    pub(super) fn single(&self) -> Option<&Intent> {
        match self.intents.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    fn names_something(&self) -> bool {
        self.intents.iter().any(|i| names_objects(&i.target))
    }
}

/// Whether it picks objects by name or selector.
pub(super) fn names_objects(target: &IntentTarget) -> bool {
    !target.names.is_empty() || target.selector.is_some()
}

/// The newest turn that named objects. What was only listed in between does not take its place.
pub(super) fn last_named(session: &[Earlier]) -> Option<&Earlier> {
    session.iter().rev().find(|turn| turn.names_something())
}

/// As [`last_named`]; nothing where a change of a whole kind came after it, which "it" may mean as well.
pub(super) fn last_meant(session: &[Earlier]) -> Option<&Earlier> {
    let changes = |turn: &&Earlier| turn.intents.iter().any(|i| !i.action.is_read());
    let newest = session
        .iter()
        .rev()
        .find(|turn| turn.names_something() || changes(turn))?;
    Some(newest).filter(|turn| turn.names_something())
}

/// The newest turn that asked for anything.
pub(super) fn last(session: &[Earlier]) -> Option<&Earlier> {
    session.iter().rev().find(|turn| !turn.intents.is_empty())
}

/// Everything that was named, each once, in the order of the first mention.
pub(super) fn named(session: &[Earlier]) -> Vec<&IntentTarget> {
    let mut found: Vec<&IntentTarget> = Vec::new();
    for intent in session.iter().flat_map(|turn| &turn.intents) {
        if names_objects(&intent.target) && !found.contains(&&intent.target) {
            found.push(&intent.target);
        }
    }
    found
}
