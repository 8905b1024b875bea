//! Scores the rules interpreter on an open corpus of prompts, and checks that noise never becomes a change.
//!
//! `KUBECHAT_CORPUS=path` scores another corpus of the same form.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use kubechat_core::interpret::{
    Context, Earlier, Interpretation, Lexicon, MAX_PROMPT_BYTES, Understood, interpret,
};
use kubechat_crds::intent::{Action, Intent, IntentParams};
use proptest::prelude::*;
use serde::Deserialize;

const CORPUS: &str = include_str!("corpus/rules.yaml");
/// Share of prompts, in percent, that must be understood as expected.
const ENOUGH: usize = 98;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    prompt: String,
    #[serde(default)]
    intents: Option<Vec<Expected>>,
    #[serde(default)]
    what_if: Option<Vec<Expected>>,
    #[serde(default)]
    outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    NeedsInput,
    Chat,
    Undo,
}

#[derive(Debug, Deserialize)]
struct Expected {
    #[serde(rename = "do")]
    action: Action,
    #[serde(flatten)]
    fields: serde_json::Map<String, serde_json::Value>,
}

impl Expected {
    /// Whether every field is as expected; the group is the lexicon's and not repeated in the corpus.
    fn is(&self, intent: &Intent) -> bool {
        let mut got = serde_json::Map::new();
        for part in [
            serde_json::to_value(&intent.target),
            serde_json::to_value(&intent.params),
        ] {
            if let Ok(serde_json::Value::Object(fields)) = part {
                got.extend(fields);
            }
        }
        got.remove("group");
        self.action == intent.action && self.fields == got
    }
}

fn understand(prompt: &str) -> Understood {
    static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::builtin);
    interpret(
        prompt,
        &Context {
            lexicon: &LEXICON,
            previous: &[],
        },
    )
}

fn right(case: &Case, got: &Interpretation) -> bool {
    let same = |expected: &[Expected], intents: &[Intent]| {
        expected.len() == intents.len() && expected.iter().zip(intents).all(|(e, i)| e.is(i))
    };
    match got {
        Interpretation::Intents(intents) => case.intents.as_ref().is_some_and(|e| same(e, intents)),
        Interpretation::WhatIf(intents) => case.what_if.as_ref().is_some_and(|e| same(e, intents)),
        Interpretation::NeedsInput { .. } => case.outcome == Some(Outcome::NeedsInput),
        Interpretation::Chat { .. } => case.outcome == Some(Outcome::Chat),
        Interpretation::UndoPrevious => case.outcome == Some(Outcome::Undo),
    }
}

fn changes(got: &Interpretation) -> bool {
    match got {
        Interpretation::Intents(intents) => intents.iter().any(|i| !i.action.is_read()),
        Interpretation::UndoPrevious => true,
        Interpretation::WhatIf(_) | Interpretation::NeedsInput { .. } | Interpretation::Chat { .. } => false,
    }
}

fn group(case: &Case) -> String {
    let first = |list: &Vec<Expected>| list.first().map(|e| e.action.to_string());
    match (&case.intents, &case.what_if, case.outcome) {
        (Some(list), _, _) => first(list).unwrap_or_default(),
        (_, Some(_), _) => "what if".to_owned(),
        (_, _, Some(outcome)) => format!("{outcome:?}"),
        (None, None, None) => "no expectation".to_owned(),
    }
}

#[test]
fn corpus_is_understood_and_no_prompt_becomes_a_wrong_change() {
    let another =
        std::env::var("KUBECHAT_CORPUS").map(|path| std::fs::read_to_string(path).expect("it is there"));
    let corpus = another.as_deref().unwrap_or(CORPUS);
    let cases: Vec<Case> = serde_saphyr::from_str(corpus).expect("the corpus is YAML");
    assert!(another.is_ok() || cases.len() >= 150, "{} prompts", cases.len());
    let mut score: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (mut missed, mut wrong_changes) = (Vec::new(), Vec::new());
    for case in &cases {
        let got = understand(&case.prompt).interpretation;
        let entry = score.entry(group(case)).or_default();
        entry.1 += 1;
        if right(case, &got) {
            entry.0 += 1;
            continue;
        }
        let list = if changes(&got) {
            &mut wrong_changes
        } else {
            &mut missed
        };
        list.push(format!("{:?} -> {got:?}", case.prompt));
    }
    for (action, (good, all)) in &score {
        println!("{action:<16} {good:>4} of {all}");
    }
    let good: usize = score.values().map(|(good, _)| good).sum();
    println!("all              {good:>4} of {}", cases.len());
    println!("{}", missed.join("\n"));
    assert!(
        wrong_changes.is_empty(),
        "wrong changes:\n{}",
        wrong_changes.join("\n")
    );
    assert!(
        good * 100 >= cases.len() * ENOUGH,
        "{good} of {} right:\n{}",
        cases.len(),
        missed.join("\n")
    );
}

#[test]
fn understood_requests_read_back_as_themselves() {
    let cases: Vec<Case> = serde_saphyr::from_str(CORPUS).expect("the corpus is YAML");
    let mut bad = Vec::new();
    for case in cases
        .iter()
        .filter(|c| c.intents.as_ref().is_some_and(|list| list.len() == 1))
    {
        let first = understand(&case.prompt);
        let Interpretation::Intents(intents) = &first.interpretation else {
            continue;
        };
        let Some(intent) = intents
            .first()
            // A manifest is named, not said again.
            .filter(|i| !i.action.is_read() && i.params.overwrite.is_none() && i.action != Action::Apply)
        else {
            continue;
        };
        let sentence = first.understood.trim_start_matches("Understood: ");
        let sentence = sentence
            .split(" (")
            .next()
            .unwrap_or_default()
            .trim_end_matches('.')
            .to_owned();
        let params = IntentParams {
            dry_run: None,
            ignore_not_found: None,
            ..intent.params.clone()
        };
        let again = understand(&sentence).interpretation;
        let same = |i: &Intent| i.action == intent.action && i.target == intent.target && i.params == params;
        if !matches!(&again, Interpretation::Intents(list) if list.iter().all(same)) {
            bad.push(format!(
                "{:?} is said as {sentence:?}, which is {again:?}",
                case.prompt
            ));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn what_is_understood_alone_means_the_same_in_a_session() {
    let cases: Vec<Case> = serde_saphyr::from_str(CORPUS).expect("the corpus is YAML");
    let turn = |prompt: &str| match understand(prompt).interpretation {
        Interpretation::Intents(intents) => Earlier::of(intents),
        other => panic!("{prompt}: {other:?}"),
    };
    let session = [
        turn("scale deployment zeta to 3 in omega"),
        turn("list pods in omega"),
    ];
    let lexicon = Lexicon::builtin();
    for case in &cases {
        let alone = understand(&case.prompt).interpretation;
        if matches!(
            alone,
            Interpretation::NeedsInput { .. } | Interpretation::UndoPrevious
        ) {
            continue;
        }
        for previous in [&session[..1], &session[..]] {
            let context = Context {
                lexicon: &lexicon,
                previous,
            };
            let within = interpret(&case.prompt, &context).interpretation;
            assert_eq!(within, alone, "{:?}", case.prompt);
        }
    }
}

#[test]
fn longest_prompts_of_noise_are_read_in_bounded_time() {
    let pieces = [
        "scale web to 3, ",
        "and ",
        "no, ",
        "in ",
        "a=b ",
        "pods of ",
        "deploy/",
        "((((",
        "\"",
        "web's ",
        "last 5 ",
    ];
    for piece in pieces {
        let prompt: String = piece.repeat(MAX_PROMPT_BYTES / piece.len());
        let start = std::time::Instant::now();
        let got = understand(&prompt);
        assert!(
            start.elapsed().as_secs() < 5,
            "{piece:?} took {:?}",
            start.elapsed()
        );
        assert!(!got.understood.is_empty());
    }
    let over = "x".repeat(MAX_PROMPT_BYTES + 1);
    assert!(matches!(
        understand(&over).interpretation,
        Interpretation::NeedsInput { .. }
    ));
}

/// Words of the grammar that mean no change by themselves.
fn harmless_word() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "web",
        "api",
        "pods",
        "pod",
        "deployment",
        "to",
        "in",
        "prod",
        "5",
        "all",
        "the",
        "of",
        "and",
        ",",
        "no",
        "it",
        "nginx:1.28",
        "a=b",
        "-n",
        "--force",
        "not",
        "if",
        "please",
        "logs",
        "list",
        "show",
        "node",
        "n1",
        "replicas",
        "memory",
        "512Mi",
        "?",
        ".",
        "last",
        "'x'",
        "label",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_text_is_answered_and_spans_lie_within_it(prompt in "\\PC{0,200}") {
        let got = understand(&prompt);
        prop_assert!(!got.understood.contains('\u{200b}'), "shown raw");
        if let Interpretation::Intents(intents) = got.interpretation {
            for intent in intents {
                let (start, end) = (intent.span.start as usize, intent.span.end as usize);
                prop_assert!(start <= end && prompt.is_char_boundary(start) && prompt.is_char_boundary(end));
            }
        }
    }

    #[test]
    fn noise_without_a_verb_of_change_never_becomes_a_change(prompt in "[ -~]{0,80}") {
        let verbs = ["scale", "restart", "delete", "label", "set", "cordon", "undo", "roll", "kill", "drop", "rm", "del", "cut", "add", "put", "cap", "tag", "run", "use", "new"];
        prop_assume!(!verbs.iter().any(|v| prompt.to_lowercase().contains(v)));
        prop_assert!(!changes(&understand(&prompt).interpretation));
    }

    #[test]
    fn words_without_a_verb_of_change_never_become_a_change(words in prop::collection::vec(harmless_word(), 1..12)) {
        let prompt = words.join(" ");
        let got = understand(&prompt).interpretation;
        prop_assert!(!changes(&got) || words.iter().any(|w| w == "label"), "{prompt}: {got:?}");
    }

    #[test]
    fn an_unknown_word_in_a_change_is_never_swallowed(at in 0usize..6, word in "z[a-z]{5,9}q") {
        let mut words: Vec<&str> = vec!["scale", "deployment", "web", "to", "5", "replicas"];
        words.insert(at, &word);
        let got = understand(&words.join(" ")).interpretation;
        // Right after the kind it is a name of its own, and then there are two.
        prop_assert!(!changes(&got), "{words:?}: {got:?}");
    }

    #[test]
    fn invisible_characters_change_nothing_and_are_reported(at in 0usize..17) {
        let plain = "scale web to 3 ok";
        let mut prompt = plain.to_owned();
        prompt.insert(at, '\u{200b}');
        let (with, without) = (understand(&prompt), understand(plain));
        let strip = |u: &Understood| match &u.interpretation {
            Interpretation::Intents(list) => list.iter().map(|i| (i.action, i.target.clone(), i.params.clone())).collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        prop_assert_eq!(strip(&with), strip(&without));
        prop_assert!(with.understood.contains("\\u{200b}"), "not reported");
    }
}
