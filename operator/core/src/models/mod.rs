//! What is decided about models, without asking one: where a provider's traffic may go ([`egress`]), whose turn it is
//! ([`queue`]), who has had enough ([`budget`]), whether a provider is asked at all ([`breaker`]), what a provider must
//! understand before it is used ([`probe`]), and whether an answer speaks of what the person spoke of ([`grounded`]).
//!
//! **Invariant:** nothing here makes a model's answer count for more than the person's own words: it is typed intents that
//! are compiled, judged and approved like those of the built-in rules.

pub mod breaker;
pub mod budget;
pub mod clerk;
pub mod egress;
pub mod grounded;
mod numbers;
pub mod probe;
pub mod queue;

use kubechat_crds::intent::{Action, Intent};
use sha2::{Digest, Sha256};

use crate::interpret::{self, Interpretation, Why};

/// Whether the built-in rules keep a sentence for themselves, whichever provider it names: a change that they understand, what
/// they ask or refuse on purpose ([`Why::OnPurpose`]), what only asks what a change would do, what takes back, what is no
/// request, what was pasted ([`interpret::is_pasted`]), and text that its reader cannot see. A model might make another request
/// of all of them.
#[must_use]
pub fn is_for_the_rules(prompt: &str, read: &Interpretation) -> bool {
    interpret::hides_text(prompt)
        || interpret::is_pasted(prompt)
        || match read {
            Interpretation::WhatIf(_) | Interpretation::UndoPrevious | Interpretation::Chat { .. } => true,
            // Whether a change is allowed is asked of a change.
            Interpretation::Intents(intents) => intents
                .iter()
                .any(|intent| !intent.action.is_read() || intent.action == Action::CanI),
            Interpretation::NeedsInput { why, .. } => match why {
                Why::OnPurpose => true,
                Why::NoWords | Why::OnlyReads => false,
            },
        }
}

/// Whether a model made a change of what the built-in rules understand as a question, or of what asks, forbids or makes
/// conditions in words that they do not know.
#[must_use]
pub fn changes_a_question(read: &Interpretation, answer: &[Intent]) -> bool {
    let only_reads = match read {
        Interpretation::Intents(_) => true,
        Interpretation::NeedsInput { why, .. } => *why != Why::NoWords,
        // Nobody else is asked of these.
        Interpretation::WhatIf(_) | Interpretation::UndoPrevious | Interpretation::Chat { .. } => true,
    };
    only_reads && answer.iter().any(|intent| !intent.action.is_read())
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
    fn what_the_rules_understand_as_a_change_or_refuse_by_what_it_says_is_never_given_to_a_model() {
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
            ("scale deployment web to 5", true),
            ("show pods and restart web", true),
            ("restart all deployments except web", true),
            ("scale web to 3 if it is down", true),
            ("delete deployment web tomorrow", true),
            (
                "kubectl delete pods --all --field-selector=status.phase=Failed",
                true,
            ),
            ("kubectl frobnicate web", true),
            ("would love to see 4 of web\u{e0064}\u{e0065}", true),
            ("would love to see 4 of web\u{7}", true),
            ("show the password in secret db", true),
            (
                "apply\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}",
                true,
            ),
            (
                "apply\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {}",
                true,
            ),
            (
                "make sure that this is gone\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}",
                true,
            ),
            ("find pods with image nginx and restart them", true),
            ("show deployment web", false),
            ("I would love to see web doubled", false),
        ] {
            let read = interpret(prompt, &context).interpretation;
            assert_eq!(is_for_the_rules(prompt, &read), expected, "{prompt}: {read:?}");
        }
    }

    #[test]
    fn a_question_that_the_rules_understand_becomes_no_change() {
        let lexicon = Lexicon::builtin();
        let context = Context {
            lexicon: &lexicon,
            previous: &[],
        };
        let read = |prompt: &str| interpret(prompt, &context).interpretation;
        let Interpretation::Intents(change) = read("scale deployment web to 500") else {
            panic!("it is a change");
        };
        let Interpretation::Intents(question) = read("describe deployment web") else {
            panic!("it is a question");
        };
        assert!(changes_a_question(&read("show deployment web"), &change));
        assert!(!changes_a_question(&read("show deployment web"), &question));
        assert!(!changes_a_question(
            &read("I would love to see web at 500"),
            &change
        ));
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
