//! How much the redaction finds and how much it takes for a secret that is none, over cases made from a seed.
//!
//! `KUBECHAT_REDACT_SEED=N` sets the seed (it is printed), `KUBECHAT_REDACT_CASES=N` how many.

#![allow(clippy::unwrap_used, clippy::panic)]

mod carriers;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use kubechat_core::redact::{self, Redacted};
use values::{Dice, Encoding, kinds};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

fn dice(part: u64) -> Dice {
    let seed = setting("KUBECHAT_REDACT_SEED", 20_261_122);
    println!("KUBECHAT_REDACT_SEED={seed}");
    Dice::new(seed ^ part << 48)
}

/// Cases of a part of all.
fn cases(share: usize) -> usize {
    usize::try_from(setting("KUBECHAT_REDACT_CASES", 54_000)).unwrap() * share / 54
}

fn redacted(text: &str) -> Redacted {
    redact::redact(text).unwrap_or_else(|blocked| panic!("{blocked}: {text}"))
}

/// Hits and misses by what they are of; the first few misses are kept to be read.
#[derive(Default)]
struct Score {
    cases: usize,
    missed: usize,
    by: BTreeMap<String, usize>,
    seen: Vec<String>,
}

impl Score {
    fn add(&mut self, what: &str, missed: bool, text: &str) {
        self.cases += 1;
        if missed {
            self.missed += 1;
            *self.by.entry(what.to_owned()).or_default() += 1;
            if self.seen.len() < 25 && self.by[what] <= 2 {
                self.seen.push(format!("{what}: {text}"));
            }
        }
    }

    fn recall(&self) -> f64 {
        let (cases, missed) = (
            u32::try_from(self.cases).unwrap(),
            u32::try_from(self.missed).unwrap(),
        );
        1.0 - f64::from(missed) / f64::from(cases)
    }

    fn must(&self, what: &str, least: f64) {
        println!("{what}: {:.4} of {} cases", self.recall(), self.cases);
        assert!(
            self.recall() >= least,
            "{what}: {:.4}, less than {least}; {:?}\n{}",
            self.recall(),
            self.by,
            self.seen.join("\n----\n")
        );
    }
}

#[test]
fn every_class_has_an_example_and_is_found_and_named() {
    let mut dice = dice(1);
    let kinds = kinds();
    let told: BTreeSet<&str> = kinds.iter().map(|(class, _, _)| *class).collect();
    let known = redact::classes();
    assert_eq!(
        known.symmetric_difference(&told).collect::<Vec<_>>(),
        Vec::<&&str>::new()
    );
    assert!(told.len() >= 150, "{} classes", told.len());
    let mut wrong = vec![];
    for (class, with, without) in kinds {
        let (text, secret) = dice.fill(with);
        let hits = redact::find(&text).unwrap();
        if !hits.iter().any(|hit| hit.class == class) || redacted(&text).text.contains(&secret) {
            wrong.push(format!("{class} is not found in {text}: {hits:?}"));
        }
        let (text, _) = dice.fill(without);
        let hits = redact::find(&text).unwrap();
        if !hits.is_empty() {
            wrong.push(format!("{class}: nothing is to be found in {text}: {hits:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_structure_tells_is_always_found() {
    let mut dice = dice(2);
    let mut score = Score::default();
    for _ in 0..cases(15) {
        let (what, text, gone) = carriers::structural(&mut dice);
        let left = redacted(&text).text;
        score.add(
            what,
            gone.iter().any(|secret| left.contains(secret)),
            &format!("{text}\n=> {left}"),
        );
    }
    score.must("structural recall", 1.0);
}

#[test]
fn known_kinds_are_found_in_every_carrier_and_encoding() {
    let mut dice = dice(3);
    let kinds = kinds();
    let mut score = Score::default();
    for round in 0..cases(20) {
        let (class, with, _) = kinds[round % kinds.len()];
        let (text, secret) = dice.fill(with);
        let encoding = dice.pick(&Encoding::ALL);
        // What stands on several lines is not one word, and what an assignment tells ends with its line.
        let one_line = !text.contains('\n') && matches!(encoding, Encoding::SplitLine);
        let encoding = if encoding == Encoding::SplitLine && !(one_line && class_stands_alone(class)) {
            Encoding::Plain
        } else {
            encoding
        };
        let (code, gone) = encoding.apply(&text, &secret, &mut dice);
        let carried = carriers::carry(&code, &mut dice);
        let left = redacted(&carried).text;
        let missed = gone.iter().any(|part| left.contains(part));
        score.add(
            &format!("{class} {encoding:?}"),
            missed,
            &format!("{carried}\n=> {left}"),
        );
    }
    score.must("pattern recall", 0.99);
}

/// Whether a token is known by its first letters: these may go on over a line's end.
fn class_stands_alone(class: &str) -> bool {
    matches!(
        class,
        "github-token"
            | "gitlab-token"
            | "npm-token"
            | "digitalocean-token"
            | "huggingface-token"
            | "google-api-key"
            | "vault-token"
    )
}

#[test]
fn values_given_to_the_name_of_a_secret_and_random_letters_in_logs_are_found() {
    let mut dice = dice(4);
    let mut score = Score::default();
    for _ in 0..cases(10) {
        let (text, secret) = carriers::generic(&mut dice);
        let left = redacted(&text).text;
        score.add("generic", left.contains(&secret), &text);
    }
    score.must("generic recall", 0.95);
}

#[test]
fn clean_manifests_logs_and_sentences_stay_as_they_are() {
    let mut dice = dice(5);
    let (mut shown, mut prompt) = (Score::default(), Score::default());
    for _ in 0..cases(10) {
        let text = carriers::clean(&mut dice);
        let out = redacted(&text);
        let names: Vec<_> = out.counts.keys().copied().collect();
        shown.add(
            &names.join(","),
            !names.is_empty(),
            &format!("{text}\n=> {}", out.text),
        );
        let hits = redact::find(&text).unwrap();
        prompt.add("prompt", !hits.is_empty(), &format!("{text}\n=> {hits:?}"));
    }
    // As many secrets as clean texts: precision is true finds over all finds.
    shown.must("clean texts left alone", 0.90);
    prompt.must("clean texts not refused", 0.98);
}

#[test]
fn what_was_redacted_is_redacted_no_further() {
    let mut dice = dice(6);
    for _ in 0..cases(1) {
        let (_, text, _) = carriers::structural(&mut dice);
        let once = redacted(&text);
        assert!(!once.counts.is_empty());
        let twice = redacted(&once.text);
        assert_eq!(once.text, twice.text);
    }
}

#[test]
fn nothing_hides_behind_a_mask_that_is_none() {
    let random = "Zx8Kq2LmW9vTr4Yp6BnD1sGf7HjC3uEa5Xo0";
    for text in [
        format!("[REDACTED:ghp_{random}:1]"),
        format!("[REDACTED:token:1ghp_{random}]"),
        format!("kind: Secret\nstringData:\n  a: '[REDACTED:token:1] {random}'\n"),
        format!("kind: Secret\nstringData:\n  a: REDACTED:{random}\n"),
    ] {
        assert!(!redacted(&text).text.contains(random), "{text}");
    }
}

#[test]
fn what_is_masked_already_stays_as_it_is() {
    for text in [
        "kind: Secret\ndata:\n  password: (masked)\n",
        "env:\n- name: A\n  value: (masked)\n",
        "kind: Secret\ndata:\n  password: '[REDACTED:kubernetes-secret:1]'\n",
    ] {
        assert_eq!(redacted(text).text, text);
    }
}

#[test]
fn an_object_stays_an_object() {
    let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "managedFields": [{"manager": "kubectl"}]}, "data": {"k": "aHVudGVyMg=="}});
    let (value, counts) = redact::value(&secret).unwrap();
    assert_eq!(value["metadata"]["name"], "x");
    assert_eq!(value["data"]["k"], "[REDACTED:kubernetes-secret:1]");
    assert_eq!(value["metadata"]["managedFields"], "[REDACTED:managed-fields:1]");
    assert_eq!(
        counts,
        BTreeMap::from([("kubernetes-secret", 1), ("managed-fields", 1)])
    );
}

#[test]
fn a_text_that_is_too_long_or_made_to_be_slow_is_blocked_not_let_through() {
    let long = "x".repeat(redact::MAX_TEXT + 1);
    assert_eq!(redact::redact(&long), Err(redact::Blocked::TooLong));
    assert!(redact::shown(&long).starts_with("[REDACTED: the text has more than"));
    for piece in [
        "password token secret key is ",
        "aws=",
        "-----BEGIN PRIVATE KEY-----",
        "\\\"",
        "[",
        "{\"a\":",
        "- - - ",
        "%41",
        "eyJ",
        "://:",
    ] {
        let text = piece.repeat(200_000 / piece.len());
        // Any answer will do, but it must come.
        let _ = redact::redact(&text);
    }
}
