//! What is refused or only talked about: forbidden topics, actions this version does not have, negation,
//! conditions, schedules, small talk.
//!
//! The grammar already takes no sentence with a word it does not know; this module says why, in the person's terms.

use super::lexicon::Lexicon;
use super::parser::Parser;
use super::tables::{ABOUT_ME, CONDITIONS, EXEC, NEGATIONS, PLEASANTRIES, SCHEDULES, TOPICS};
use super::token::Token;
use super::vocab::{self, Form};
use super::within::MOST_WORDS;
use super::{Ask, Interpretation, hedges, names};

/// Words that open a request for an action this version does not have: phrases, its name, the closest actions.
#[rustfmt::skip]
const UNSUPPORTED: &[(&[&str], &str, &[&str])] = &[
    (&["apply"], "apply of a file, or without a manifest,", &["apply, and below it the manifest"]),
    (&["empty"], "empty", &["drain NODE"]),
    (&["edit"], "edit", &["set the image of NAME to IMAGE", "label NAME key=value"]),
    (&["explain"], "explaining anything but the fields of a kind", &["explain deployment.spec.strategy"]),
    (&[
        "why", "diagnose", "troubleshoot", "debug", "investigate", "analyze", "analyse", "fix", "repair",
        "heal", "what is wrong with", "what is wrong", "what is the problem with", "what is the root cause",
        "find out why", "tell me why", "figure out why", "figure out", "show me why", "check why",
    ], "diagnose", &["describe NAME", "events of NAME", "logs of NAME"]),
    (&[
        "start", "stop", "shut down", "shutdown", "turn off", "turn on", "power off", "power down",
        "switch off", "switch on", "disable", "enable",
    ], "start and stop", &["scale NAME to 0", "scale NAME to 1", "restart NAME"]),
    (&["install", "uninstall", "helm"], "install", &["list deployments"]),
    (&[
        "rename", "clone", "copy", "duplicate", "migrate", "backup", "back up",
    ], "copying and renaming", &["describe NAME"]),
    (&["watch", "follow", "stream", "monitor"], "watch", &["list pods", "logs of NAME"]),
    (&["grep", "search", "search for"], "such a search", &["find pods with image NAME", "find configmaps that contain TEXT"]),
    (&["who", "when", "where"], "such a question", &["describe NAME", "events of NAME"]),
    (&["who can"], "asking for the rights of others", &["am I allowed to delete pods"]),
];

const APPROVALS: &[&str] = &["approve", "confirm", "deny", "reject", "self-approve", "bypass"];

/// All openings that are refused, so that they also end the clause before them.
pub(super) fn verbs() -> &'static [&'static str] {
    &[
        "pause",
        "resume",
        "apply",
        "explain",
        "diagnose",
        "debug",
        "fix",
        "start",
        "stop",
        "shut down",
        "install",
        "uninstall",
        "exec",
        "ssh",
        "approve",
        "deny",
        "watch",
        "why",
        "edit",
    ]
}

/// Refuses, by name, what this version does not have.
pub(super) fn unsupported(parser: &Parser<'_>) -> Option<Ask> {
    if parser.phrase(EXEC).is_some() {
        return Some(no_commands());
    }
    if parser.phrase(APPROVALS).is_some() {
        return Some(
            Ask::new(
                "A plan is approved or denied with an Approval (kubechat approve PLAN), never by a prompt",
            )
            .firm(),
        );
    }
    let change_next = |len: usize| {
        parser
            .verb_here(len, Form::Base)
            .is_some_and(|(verb, _)| !is_read_verb(verb))
    };
    if parser
        .phrase(&["can i", "could i", "may i"])
        .is_some_and(change_next)
    {
        let asks = "Rights are asked about with a verb, as in 'can I create services in prod'";
        return Some(Ask::with(asks, vec!["can I create services".to_owned()]).firm());
    }
    let found = UNSUPPORTED
        .iter()
        .filter_map(|row| Some((parser.phrase(row.0)?, row)));
    let (len, row) = found.max_by_key(|(len, _)| *len)?;
    // "top" and the like may also be part of a longer verb that is known ("switch on" against "switch").
    let longer = parser
        .verb_here(0, Form::Base)
        .is_some_and(|(_, known)| known > len);
    (!longer).then(|| not_in_this_version(row.1, row.2))
}

/// The refusal of anything that runs inside a container.
pub(super) fn no_commands() -> Ask {
    Ask::with(
        "Commands and shells inside containers are never run; closest: logs, describe, events",
        ["logs of NAME", "describe NAME", "events of NAME"]
            .map(str::to_owned)
            .to_vec(),
    )
    .firm()
}

/// The refusal of a kubectl subcommand, in the terms of this version's actions.
pub(super) fn unsupported_word(word: &str) -> Option<Ask> {
    if EXEC.contains(&word) || matches!(word, "debug" | "proxy") {
        return Some(no_commands());
    }
    // As a line it is read; its own refusal says what is no field.
    let row = UNSUPPORTED
        .iter()
        .find(|row| row.0.contains(&word) && word != "explain")?;
    Some(not_in_this_version(row.1, row.2))
}

pub(super) fn is_read_verb(verb: vocab::Verb) -> bool {
    super::frame::Frame::new(verb, "", 0).is_read()
}

/// The refusal of an action that is in the design but not in this version.
pub(super) fn not_in_this_version(name: &str, closest: &[&str]) -> Ask {
    Ask::with(
        format!(
            "{name} is not supported in this version; closest: {}",
            closest.join(", ")
        ),
        closest.iter().map(|c| (*c).to_owned()).collect(),
    )
    .firm()
}

/// The refusal of a word that is no verb here.
pub(super) fn unknown_verb(word: &str) -> Ask {
    let shown = names::shown(word);
    Ask::with(
        format!(
            "I do not know the action {shown}, so nothing was done; closest: list, describe, logs, scale, restart, set-image, delete"
        ),
        [
            "list pods",
            "describe NAME",
            "logs of NAME",
            "scale NAME to 3",
            "restart NAME",
        ]
        .map(str::to_owned)
        .to_vec(),
    )
    .without_words()
}

pub(super) fn any(tokens: &[Token], words: &[&str]) -> bool {
    tokens.iter().any(|t| words.contains(&t.key.as_str()))
}

pub(super) fn has_phrase(tokens: &[Token], phrases: &[&str]) -> bool {
    (0..tokens.len())
        .any(|at| vocab::phrase_len(phrases, |i| tokens.get(at + i).map_or("", |t| t.key.as_str())).is_some())
}

/// Refusals that come before any grammar: values of Secrets.
pub(super) fn screen(tokens: &[Token]) -> Result<(), Ask> {
    let about_secret =
        any(tokens, &["secret", "secrets"]) || tokens.iter().any(|t| t.key.starts_with("secret/"));
    let inside = any(
        tokens,
        &[
            "value",
            "values",
            "content",
            "contents",
            "data",
            "plaintext",
            "decode",
            "decoded",
            "decrypt",
            "base64",
            "reveal",
            "inside",
            "unmask",
        ],
    );
    let credential = any(
        tokens,
        &[
            "password",
            "passwords",
            "passwd",
            "passphrase",
            "credential",
            "credentials",
        ],
    ) || has_phrase(
        tokens,
        &[
            "api key",
            "api keys",
            "private key",
            "access token",
            "secret key",
            "secret value",
        ],
    );
    if (about_secret && inside) || credential {
        return Err(Ask::with(
            "Values of Secrets are never shown or set; the names of Secrets and their keys may be listed",
            vec!["list secrets".to_owned(), "describe secret NAME".to_owned()],
        ));
    }
    Ok(())
}

/// A prompt that asks for nothing: the text to answer with.
pub(super) fn small_talk(tokens: &[Token]) -> Option<Interpretation> {
    let words: Vec<&Token> = tokens
        .iter()
        .filter(|t| t.key.chars().any(char::is_alphanumeric))
        .collect();
    let about_me = has_phrase(tokens, ABOUT_ME);
    let thanks = words
        .first()
        .is_some_and(|t| matches!(t.key.as_str(), "thanks" | "thank" | "thx" | "cheers"));
    let talk = any(tokens, TOPICS) || words.iter().all(|t| PLEASANTRIES.contains(&t.key.as_str()));
    let change = (0..tokens.len()).any(|at| {
        let verb = vocab::verb_at(Form::Base, |i| tokens.get(at + i).map_or("", |t| t.key.as_str()));
        verb.is_some_and(|(verb, _)| {
            !matches!(
                verb,
                vocab::Verb::Want | vocab::Verb::Show | vocab::Verb::Use | vocab::Verb::Run
            )
        })
    });
    let quoted = tokens.iter().any(|t| t.key.is_empty());
    if words.is_empty() || quoted || change || !(about_me || thanks || talk) {
        return None;
    }
    Some(chat())
}

/// What KubeChat can do, in short.
pub(super) fn chat() -> Interpretation {
    Interpretation::Chat {
        text: "I read and change this cluster when asked: list, get, describe, logs, events, count and rollout status; scale, restart, \
               set image, set resources, label, annotate, delete, cordon, uncordon, create a namespace and roll back. \
               Changes become a plan first. Try: list pods in demo, or: scale web to 3."
            .to_owned(),
    }
}

/// "kubectl delete pod web unless it is busy": that is no list of names.
pub(super) fn only_arguments(words: &[String]) -> Result<(), Ask> {
    let restricts =
        |word: &&String| CONDITIONS.contains(&word.as_str()) || NEGATIONS.contains(&word.as_str());
    match words.iter().skip(2).find(restricts).filter(|_| words.len() > 3) {
        None => Ok(()),
        Some(word) => Err(Ask::new(format!(
            "{} is no argument of kubectl; nothing was done. Paste the line alone",
            names::shown(word)
        ))),
    }
}

/// Says why a prompt that did not parse is not acted on, in terms of what the person said.
pub(super) fn refine(tokens: &[Token], lexicon: &Lexicon, ask: Ask) -> Ask {
    if ask.final_word {
        return ask;
    }
    refused(tokens, lexicon).map_or(ask, Ask::new)
}

/// Why a change that is put like this is not even tried to be understood: a condition, an exception, a later time.
fn refused(tokens: &[Token], lexicon: &Lexicon) -> Option<&'static str> {
    let changes = (0..tokens.len()).any(|at| {
        let mut here = Parser::new(tokens, lexicon);
        here.pos = at;
        let verb = here.verb_here(0, Form::Base);
        verb.is_some_and(|(verb, _)| !is_read_verb(verb))
            || at < MOST_WORDS && here.form_here().is_some_and(|(action, _)| !action.is_read())
    });
    if changes && any(tokens, CONDITIONS) {
        return Some(
            "Conditions are not evaluated and nothing was done: look at the state first, then ask for the change alone",
        );
    }
    if changes && any(tokens, NEGATIONS) {
        return Some(
            "Nothing is done: the request says what not to do, or makes an exception. Say only what to do",
        );
    }
    if changes && (any(tokens, SCHEDULES) || tokens.iter().any(hedges::is_clock)) {
        return Some("Changes are planned now, not at a later time; nothing was done. Leave the time out");
    }
    None
}

/// "don't delete web": a person takes back or forbids; nothing is to be done.
pub(super) fn forbids(tokens: &[Token]) -> bool {
    let keys: Vec<&str> = tokens
        .iter()
        .map(|t| t.key.as_str())
        .filter(|k| k.chars().any(char::is_alphanumeric))
        .collect();
    let lead: &[&str] = &[
        "please", "no", "oh", "hey", "kubechat", "ok", "wait", "hi", "and", "just", "you", "should", "must",
        "could", "would", "i", "want", "we",
    ];
    let skip = keys.iter().take_while(|k| lead.contains(k)).count();
    let rest = keys.get(skip..).unwrap_or_default();
    let negated = matches!(rest, ["don't" | "dont" | "never" | "not", ..] | ["do", "not", ..])
        || matches!(
            rest,
            ["forget", "it" | "that"]
                | ["never", "mind"]
                | ["nevermind"]
                | ["cancel", "that" | "it"]
                | ["cancel"]
                | ["stop"]
        );
    let whole = !tokens
        .iter()
        .any(|t| matches!(t.key.as_str(), ";" | "\n" | "." | "," | "but" | "and" | "instead"));
    negated && whole
}
