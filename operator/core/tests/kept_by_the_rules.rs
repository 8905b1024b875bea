//! What the built-in rules keep for themselves, whichever model a turn names: a sentence in which they see a change, and what
//! they ask, refuse or answer on purpose. Only what they have no words for may be given to a model.

use std::sync::LazyLock;

use kubechat_core::interpret::{Context, Interpretation, Lexicon, interpret};
use kubechat_core::models::{changes_a_question, is_for_the_rules};
use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};
use proptest::prelude::*;
use serde::Deserialize;

const CORPUS: &str = include_str!("corpus/rules.yaml");

/// What may become of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// No model is asked.
    Kept,
    /// A model may be asked, and may only read.
    Reads,
    /// A model may be asked for anything.
    Free,
}
use Fate::{Free, Kept, Reads};

#[derive(Debug, Deserialize)]
struct Case {
    prompt: String,
    #[serde(default)]
    intents: Option<Vec<Expected>>,
    #[serde(default)]
    what_if: Option<serde_json::Value>,
    #[serde(default)]
    outcome: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Expected {
    #[serde(rename = "do")]
    action: Action,
}

fn corpus() -> Vec<Case> {
    serde_saphyr::from_str(CORPUS).unwrap_or_default()
}

fn read(prompt: &str) -> Interpretation {
    static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::builtin);
    let context = Context {
        lexicon: &LEXICON,
        previous: &[],
    };
    interpret(prompt, &context).interpretation
}

fn fate(prompt: &str) -> Fate {
    let read = read(prompt);
    let change = Intent {
        action: Action::Delete,
        target: IntentTarget::default(),
        params: IntentParams::default(),
        confidence: 99,
        span: Span::default(),
    };
    match (
        is_for_the_rules(prompt, &read),
        changes_a_question(&read, &[change]),
    ) {
        (true, _) => Kept,
        (false, true) => Reads,
        (false, false) => Free,
    }
}

#[test]
fn only_what_the_rules_have_no_words_for_may_go_to_a_model() {
    let cases: &[(Fate, &[&str])] = &[
        (
            Kept,
            &[
                // How it is done, whether it may be done, whether it should be.
                "how do I delete web?",
                "how would I go about scaling web down to zero",
                "can I delete deployment web?",
                "should I restart web or leave it",
                "is it ok if I drain n1",
                "I was thinking about restarting web, good idea?",
                "I wonder whether to delete deployment web",
                "would it be wise to uncordon n1",
                "my colleague wants to delete deployment web, is that clever",
                "what happens if I delete deployment web",
                // Taken back, forbidden, excepted.
                "delete web, no wait, don't",
                "scale web to 0, oh, never mind",
                "delete web? no, leave it alone",
                "delete deployment web, wait, cancel that",
                "drain every node except n1",
                "restart all deployments apart from web",
                "all deployments except web should be restarted",
                "avoid deleting web",
                "deleting web is what I want to avoid",
                "whatever you do, do not delete namespace prod",
                "under no circumstances scale web to 0",
                "it would be a mistake to delete pvc data",
                "nobody should delete deployment web",
                "don't touch web",
                // Conditions and times.
                "delete deployment web unless somebody uses it",
                "scale web to 0 once the backup is through",
                "if memory runs out, scale web to 10",
                "drain n1 but not if web is on it",
                "expose deployment web on port 80 unless it is exposed already",
                "suspend cronjob backup while we migrate",
                "restart web in the evening",
                "taint n1 with dedicated=gpu:NoSchedule tomorrow",
                "web must be restarted, but not now",
                "scale web to 5 as long as there is room",
                // Told, not asked for.
                "remember when we had to restart web",
                "last week I had to delete pod web-1 by hand",
                "the runbook says \"delete pod web-1\"",
                "user: delete web",
                "I promised Anna to label node n1 with zone=a",
                "scale web to 5 because we expect guests",
                // Refused by name.
                "run a shell in web",
                "exec into web and remove /tmp",
                "ssh into node n1",
                "show me the password of the database",
                "approve my plan",
                "kubectl frobnicate web",
                "kubectl delete pods --all --field-selector=status.phase=Failed",
                "restart web please\nkubectl get pods --wat",
                "would love to see 4 of web\u{e0064}\u{e0065}",
                "would love to see 4 of web\u{7}",
                "show the pods\u{e0064}\u{e0065}",
                // Asked about.
                "stop web",
                "pause web",
                "kill web",
                "delete everything",
                "delete the old pods",
                "scale web up",
                "scale web to 5 or 6",
                "delete deployment web?",
                "undo that and scale web to 3",
                // Understood, or no request at all.
                "scale deployment web to 5",
                "show pods and restart web",
                "undo that",
                "thank you",
            ],
        ),
        (
            Reads,
            &[
                "list pods",
                "show deployment web",
                "would you show me the pods once more",
                "which teams run the most jobs?",
                "what is eating all the memory in prod?",
                "how could one make web quieter",
                "make sure nobody tampers with web",
                "web? hands off",
                "what on earth did web do to us yesterday",
                "kindly list what there is",
                "have a look at pods number 7",
            ],
        ),
        (
            Free,
            &[
                "please invent something",
                "let me have another look at the pods",
                "it would be so nice to have 4 copies of \"web\"",
                "it would be lovely to see 4 of ghost-svc-9",
                "I would so love to see 4 copies of \"web\" in demo, ticket 77",
                "I would love to see web doubled",
                "I would love to see web at 500",
                "skaliere web auf fünf",
                "mets web à cinq répliques",
                "the shop frontend could do with six of them",
            ],
        ),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .flat_map(|(expected, prompts)| prompts.iter().map(move |prompt| (*expected, *prompt)))
        .filter(|(expected, prompt)| fate(prompt) != *expected)
        .map(|(expected, prompt)| {
            format!(
                "{prompt:?}: {:?}, not {expected:?}: {:?}",
                fate(prompt),
                read(prompt)
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What people put around a change that they do not ask for, or not as it stands.
const AROUND: &[(&str, &str)] = &[
    ("how do I ", ""),
    ("should I ", ""),
    ("", " unless it is busy"),
    ("don't ", ""),
    ("please never ", ""),
    ("", " except for the first one"),
    ("what happens if I ", ""),
    ("I wonder whether to ", ""),
    ("", "? no, leave it"),
    ("", ", no wait, don't"),
    ("it might be unwise to ", ""),
    ("Anna says that I must not ", ""),
    ("", " provided that Bob agrees"),
    ("somebody told me to ", ", what do you think"),
    ("", " - or is that a bad plan?"),
];

/// Changes of the corpus that the rules understand.
fn changes() -> Vec<String> {
    let change = |case: &Case| {
        let intents = case.intents.as_ref()?;
        let changes = intents.iter().any(|intent| !intent.action.is_read());
        let understood = matches!(read(&case.prompt), Interpretation::Intents(_));
        // What follows "--" is a command, and what follows a line of a manifest is its value, whatever it says.
        let manifest = case.prompt.contains("apiVersion") && !case.prompt.ends_with("```");
        let open = case.prompt.contains(" -- ") || manifest;
        (changes && understood && !open).then(|| case.prompt.clone())
    };
    corpus().iter().filter_map(change).collect()
}

/// What becomes of a change that is held back; nothing where it goes well.
fn wrong(change: &str, (before, after): (&str, &str)) -> Option<String> {
    let prompt = format!("{before}{}{after}", change.trim_end_matches(['.', '!', '?']));
    let read = read(&prompt);
    let changes =
        matches!(&read, Interpretation::Intents(intents) if intents.iter().any(|i| !i.action.is_read()));
    let kept = is_for_the_rules(&prompt, &read);
    (changes || !kept).then(|| format!("{prompt:?}: {}", if changes { "a change" } else { "given away" }))
}

#[test]
fn a_change_that_is_held_back_is_neither_made_nor_given_to_a_model() {
    let changes = changes();
    assert!(changes.len() > 500, "{}", changes.len());
    let all = changes
        .iter()
        .flat_map(|change| AROUND.iter().map(move |around| (change, *around)));
    let wrong: Vec<String> = all.filter_map(|(change, around)| wrong(change, around)).collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        changes.len() * AROUND.len(),
        wrong.join("\n")
    );
}

/// Verbs of changes, in the forms people use, written without a look at the grammar.
const CHANGES: &[&str] = &[
    "delete",
    "deleting",
    "remove",
    "removing",
    "restart",
    "restarting",
    "scale",
    "scaling",
    "drain",
    "draining",
    "cordon",
    "uncordon",
    "evict",
    "suspend",
    "resume",
    "roll back",
    "taint",
    "untaint",
    "annotate",
    "expose",
    "patch",
    "exec",
];

/// Requests for what the rules cannot make out.
const NO_WORDS: &[&str] = &["restart a"];

#[test]
fn what_the_corpus_expects_to_be_asked_or_refused_of_a_change_is_never_given_to_a_model() {
    let refused = |case: &Case| case.what_if.is_some() || case.outcome.is_some();
    let about_a_change = |case: &Case| {
        let words: Vec<String> = case
            .prompt
            .to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .map(str::to_owned)
            .collect();
        let text = format!(" {} ", words.join(" "));
        CHANGES.iter().any(|verb| text.contains(&format!(" {verb} ")))
    };
    let cases = corpus();
    assert!(cases.len() > 1500, "the corpus is YAML");
    let wrong: Vec<&str> = cases
        .iter()
        .filter(|case| refused(case) && about_a_change(case) && fate(&case.prompt) == Free)
        .filter(|case| !NO_WORDS.contains(&case.prompt.as_str()))
        .map(|case| case.prompt.as_str())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn words_that_nobody_knows_around_a_change_do_not_give_it_to_a_model(
        at in any::<prop::sample::Index>(),
        before in prop::collection::vec("z[a-z]{3,8}q", 0..4),
        after in prop::collection::vec("z[a-z]{3,8}q", 0..4),
    ) {
        static ALL: LazyLock<Vec<String>> = LazyLock::new(changes);
        let change = &ALL[at.index(ALL.len())];
        let lead = before.iter().map(|word| format!("{word} ")).collect::<String>();
        let tail = after.iter().map(|word| format!(" {word}")).collect::<String>();
        let prompt = format!("{lead}{change}{tail}");
        prop_assert!(fate(&prompt) == Kept, "{prompt}: {:?}", read(&prompt));
    }
}
