//! Which words of a prompt are names, as far as anybody can tell without looking at the cluster.

use kubechat_core::interpret::{Earlier, Interpretation, Understood};
use kubechat_core::redact::names::Kind;
use kubechat_crds::intent::Intent;

/// Compound words that people write and no object is called.
const COMPOUNDS: &[&str] = &[
    "cron-job",
    "re-start",
    "scale-up",
    "scale-down",
    "roll-back",
    "roll-out",
    "read-only",
    "dry-run",
    "set-image",
    "e-mail",
    "up-to-date",
    "follow-up",
    "config-map",
    "stateful-set",
    "daemon-set",
    "replica-set",
];

/// Names in a prompt: what the built-in rules take for one, what the turn speaks of already, what is quoted, and what is
/// written as only names are.
pub(super) fn of(
    prompt: &str,
    read: &Understood,
    earlier: &[Earlier],
    namespaces: &[&str],
) -> Vec<(Kind, String)> {
    let mut found: Vec<(Kind, String)> = namespaces
        .iter()
        .map(|name| (Kind::Namespace, (*name).to_owned()))
        .collect();
    let own: &[Intent] = match &read.interpretation {
        Interpretation::Intents(intents) | Interpretation::WhatIf(intents) => intents,
        Interpretation::NeedsInput { .. } | Interpretation::Chat { .. } | Interpretation::UndoPrevious => &[],
    };
    for intent in own.iter().chain(earlier.iter().flat_map(|turn| &turn.intents)) {
        let namespace = intent
            .target
            .namespace
            .iter()
            .map(|name| (Kind::Namespace, name.clone()));
        found.extend(namespace);
        found.extend(intent.target.names.iter().map(|name| (Kind::Name, name.clone())));
    }
    found.extend(quoted(prompt).map(|name| (Kind::Name, name.to_owned())));
    let part = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    let written = prompt.split(part).filter(|word| is_written_as_one(word));
    found.extend(written.map(|name| (Kind::Name, name.to_owned())));
    found.retain(|(_, name)| !name.is_empty() && name.len() <= 253);
    found.dedup();
    found
}

/// What stands in quotes, if it is one word.
fn quoted(prompt: &str) -> impl Iterator<Item = &str> {
    ['"', '\'', '`'].into_iter().flat_map(move |quote| {
        let parts = prompt.split(quote);
        parts.skip(1).step_by(2).filter(|part| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
        })
    })
}

/// `web-2`, `payments-api`: lower case with dashes.
fn is_written_as_one(word: &str) -> bool {
    word.contains('-')
        && !word.starts_with('-')
        && !word.ends_with('-')
        && word
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && word.bytes().any(|b| b.is_ascii_lowercase())
        && !COMPOUNDS.contains(&word)
}

#[cfg(test)]
mod tests {
    use kubechat_core::interpret::{Context, Lexicon, interpret};

    use super::*;

    fn names(prompt: &str) -> Vec<String> {
        let lexicon = Lexicon::builtin();
        let read = interpret(
            prompt,
            &Context {
                lexicon: &lexicon,
                previous: &[],
            },
        );
        of(prompt, &read, &[], &["demo"])
            .into_iter()
            .map(|(_, name)| name)
            .collect()
    }

    #[test]
    fn what_is_a_name_is_found_and_ordinary_words_stay() {
        for (prompt, expected) in [
            ("scale deployment web to 5 replicas", "web"),
            (
                "would you be so kind and look after payments-api for me",
                "payments-api",
            ),
            ("something is odd with \"ledger\"", "ledger"),
            ("list pods in namespace team-a", "team-a"),
        ] {
            assert!(
                names(prompt).iter().any(|n| n == expected),
                "{prompt}: {:?}",
                names(prompt)
            );
        }
        assert_eq!(names("what is going on here?"), ["demo"]);
        assert!(!is_written_as_one("dry-run") && !is_written_as_one("-n") && !is_written_as_one("1-2"));
    }
}
