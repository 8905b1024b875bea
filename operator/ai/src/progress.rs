//! How far an answer is, for those who wait. A model's words are not judged before they are whole, so none of them is shown:
//! only how many there are, and which actions of the catalogue stand in them.

use std::time::{Duration, Instant};

use kubechat_crds::intent::Action;
use tokio::sync::watch;

use crate::net::Ear;
use crate::schema;
use crate::wire::{Dialect, Feed, Form};

/// How often it is told at most.
const EVERY: Duration = Duration::from_secs(1);
/// Actions that are named at most.
const MAX_ACTIONS: usize = 16;

/// What is known of an answer that still comes in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Letters so far.
    pub letters: usize,
    /// Actions so far, in order; of names and numbers nothing.
    pub actions: Vec<Action>,
}

impl Progress {
    /// Of these words.
    #[must_use]
    pub fn of(words: &str) -> Self {
        let actions = words.split("\"action\"").skip(1).filter_map(|after| {
            let value = after.trim_start().strip_prefix(':')?.trim_start();
            let (name, _) = value.strip_prefix('"')?.split_once('"')?;
            let action = serde_json::from_value(name.into()).ok()?;
            Some(action).filter(|action| schema::asked(*action))
        });
        Self {
            letters: words.chars().count(),
            actions: actions.take(MAX_ACTIONS).collect(),
        }
    }
}

/// Hears an answer, and tells how far it is.
pub(crate) struct Listener<'a> {
    /// What was heard.
    pub(crate) feed: Feed,
    progress: Option<&'a watch::Sender<Progress>>,
    told: Option<Instant>,
}

impl<'a> Listener<'a> {
    pub(crate) fn new(dialect: Dialect, progress: Option<&'a watch::Sender<Progress>>) -> Self {
        Self {
            feed: Feed::new(dialect),
            progress,
            told: None,
        }
    }
}

impl Ear for Listener<'_> {
    fn begin(&mut self, content_type: &str) {
        self.feed.begin(Form::of(content_type));
    }

    fn data(&mut self, bytes: &[u8]) {
        self.feed.push(bytes);
        let Some(progress) = self.progress else { return };
        if self.feed.so_far().is_empty() || self.told.is_some_and(|told| told.elapsed() < EVERY) {
            return;
        }
        self.told = Some(Instant::now());
        progress.send_replace(Progress::of(self.feed.so_far()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_actions_of_the_catalogue_are_named_and_none_of_what_they_are_about() {
        let words = r#"{"intents":[{"action" : "scale","target":{"names":["KCID_NAME_1"]}},{"action":"steal-secrets"},{"action":"restart"},{"action":"sca"#;
        let found = Progress::of(words);
        assert_eq!(found.actions, [Action::Scale, Action::Restart]);
        assert_eq!(found.letters, words.chars().count());
        assert_eq!(Progress::of(""), Progress::default());
        assert_eq!(
            Progress::of(&"\"action\":\"scale\",".repeat(100)).actions.len(),
            16
        );
    }
}
