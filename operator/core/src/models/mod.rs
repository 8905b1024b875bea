//! What is decided about models, without asking one: where a provider's traffic may go ([`egress`]), whose turn it is
//! ([`queue`]), who has had enough ([`budget`]), whether a provider is asked at all ([`breaker`]), what a provider must
//! understand before it is used ([`probe`]), and whether an answer speaks of what the person spoke of ([`grounded`]).
//!
//! **Invariant:** nothing here makes a model's answer count for more than the person's own words: it is typed intents that
//! are compiled, judged and approved like those of the built-in rules.

pub mod breaker;
pub mod budget;
pub mod egress;
pub mod grounded;
pub mod probe;
pub mod queue;

use sha2::{Digest, Sha256};

use crate::interpret::Interpretation;

/// Whether the built-in rules keep a sentence for themselves, whichever provider it names: what only asks what a change would
/// do, what takes back, and what is no request. A model has no words for the first two, and might make a request of all three.
#[must_use]
pub const fn is_for_the_rules(read: &Interpretation) -> bool {
    match read {
        Interpretation::WhatIf(_) | Interpretation::UndoPrevious | Interpretation::Chat { .. } => true,
        Interpretation::Intents(_) | Interpretation::NeedsInput { .. } => false,
    }
}

/// The key of a cached answer: the same provider in the same state, model and words as they leave (redacted, with tokens).
#[must_use]
pub fn cache_key(provider_uid: &str, generation: i64, model: &str, leaves: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [provider_uid, &generation.to_string(), model, leaves] {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpret::{Context, Lexicon, interpret};

    #[test]
    fn questions_about_consequences_undoing_and_talk_are_never_given_to_a_model() {
        let lexicon = Lexicon::builtin();
        let context = Context {
            lexicon: &lexicon,
            previous: &[],
        };
        for (prompt, expected) in [
            ("what happens if I delete deployment web", true),
            ("undo that", true),
            ("thank you", true),
            ("please do not delete deployment web", true),
            ("scale deployment web to 5", false),
            ("I would love to see web doubled by tonight", false),
        ] {
            let read = interpret(prompt, &context).interpretation;
            assert_eq!(is_for_the_rules(&read), expected, "{prompt}: {read:?}");
        }
    }

    #[test]
    fn answers_are_shared_only_by_the_same_provider_state_model_and_words() {
        let key = cache_key("u1", 1, "small", "list pods");
        assert_eq!(key, cache_key("u1", 1, "small", "list pods"));
        for other in [
            cache_key("u2", 1, "small", "list pods"),
            cache_key("u1", 2, "small", "list pods"),
            cache_key("u1", 1, "smal", "llist pods"),
            cache_key("u1", 1, "small", "list pod"),
        ] {
            assert_ne!(key, other);
        }
    }
}
