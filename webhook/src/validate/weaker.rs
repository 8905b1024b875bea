//! Collects what a change takes back, for the warnings that `kubectl` shows. A weaker policy is allowed to whoever may
//! change policies; it is never changed silently.

use std::fmt::Display;

use serde::de::DeserializeOwned;

use crate::review::Review;

/// What is weaker than before.
#[derive(Debug, Default)]
pub(super) struct Weaker(Vec<String>);

impl Weaker {
    /// Notes `what` where it is so.
    pub(super) fn when(&mut self, weaker: bool, what: impl Display) {
        if weaker {
            self.0.push(format!("weaker than before: {what}"));
        }
    }

    /// The warnings.
    pub(super) fn warnings(self) -> Vec<String> {
        self.0
    }
}

/// The stored spec of an UPDATE; none on CREATE.
pub(super) fn stored<T: DeserializeOwned>(review: &Review) -> Option<T> {
    review.old_spec().ok().and_then(|old| Review::typed(old).ok())
}

/// Whether a list has something that it had not.
pub(super) fn has_more<T: PartialEq>(old: &[T], new: &[T]) -> bool {
    new.iter().any(|item| !old.contains(item))
}
