//! Words that hold a sentence back: it asks, forbids, excepts, makes conditions or puts off. Of a sentence that the rules do not
//! understand they say that no change may be found in it.

use super::guard::{self, any, has_phrase};
use super::tables::{CONDITIONS, EXEC, NEGATIONS, SCHEDULES, TAKEN_BACK};
use super::token::Token;
use super::told;
use super::vocab::{self, Form};

/// Words before a sentence that say nothing of it.
#[rustfmt::skip]
const OPENERS: &[&str] = &[
    "hi", "hey", "hello", "kubechat", "please", "pls", "ok", "okay", "so", "well", "and", "also", ",", "um", "uh",
    "sorry", "quick", "question", ":", "oh", "hmm", "then",
];

/// How a sentence opens that asks, and does not request.
#[rustfmt::skip]
const QUESTIONS: &[&str] = &[
    "how", "what", "why", "which", "who", "whose", "when", "where", "should", "shall", "is", "are", "am", "was",
    "were", "does", "did", "do you", "do we", "do i", "do they", "has", "had", "can i", "could i", "may i", "might",
    "would it", "would that", "will it", "will that", "can it", "can that", "could it", "may we",
];

/// Questions that propose something.
const PROPOSALS: &[&str] = &["how about", "what about"];

/// Requests that are put as a question.
#[rustfmt::skip]
const REQUESTS: &[&str] = &[
    "can you", "could you", "would you", "will you", "can we", "could we", "can u", "could u", "can somebody",
    "could somebody", "can someone", "could someone", "any chance", "would somebody", "would someone",
];

/// What else says that a change is doubted, wished away, or not meant for all of what is named.
#[rustfmt::skip]
const DOUBTS: &[&str] = &[
    "whether", "wonder", "wondering", "doubt", "rather than", "rather not", "instead of", "as long as",
    "so long as", "provided", "providing", "assuming", "supposing", "suppose", "in case", "depending", "apart from",
    "aside from", "other than", "save for", "barring", "minus", "skip", "spare", "hold off", "hold on", "wait",
    "unwise", "forbid", "forbidden", "refuse", "isn't", "aren't", "doesn't", "didn't", "wouldn't", "couldn't",
    "hypothetically", "theoretically", "imagine", "pretend", "soon", "eventually", "first", "only", "some day",
    "next week", "next month", "excepting", "exclude", "prevent", "stay away",
    "hands off", "keep away", "nobody", "nothing", "against", "oppose", "veto", "afraid", "worried", "risk", "risky",
    "safe", "dangerous", "advisable", "wise", "sensible", "doesnt", "didnt", "isnt", "arent", "wouldnt", "couldnt",
    "wasn't", "wasnt", "weren't", "werent", "hasn't", "hasnt", "haven't", "havent", "hadn't", "hadnt", "needn't",
    "neednt", "ain't", "aint", "mustnt", "shouldnt", "cant", "wont", "hate", "protect", "yesterday", "already",
];

/// A time of day, `5pm`.
pub(super) fn is_clock(token: &Token) -> bool {
    let hour = token
        .key
        .strip_suffix("pm")
        .or_else(|| token.key.strip_suffix("am"));
    hour.is_some_and(|hour| hour.parse::<u8>().is_ok())
}

/// Whether a sentence asks, forbids, excepts, waits for something or puts off, whatever it says this of.
pub(super) fn holds_back(tokens: &[Token]) -> bool {
    let led = tokens
        .iter()
        .take_while(|t| OPENERS.contains(&t.key.as_str()))
        .count();
    let at = |from: usize, phrases: &[&str]| {
        vocab::phrase_len(phrases, |i| tokens.get(from + i).map_or("", |t| t.key.as_str())).is_some()
    };
    let asks = at(led, QUESTIONS) && !at(led, PROPOSALS);
    let key = |i: usize| tokens.get(led + i).map_or("", |t| t.key.as_str());
    let shows = vocab::verb_at(Form::Base, key).is_some_and(|(verb, _)| guard::is_read_verb(verb));
    // "get web zapped" shows nothing.
    let shows = shows && !told::is_done_by(tokens, led);
    // Text of machines, not of people.
    let written = matches!(key(0), "{" | "[" | "<") || key(0).starts_with(['{', '[', '<']);
    let marked = any(tokens, &["?"]) && !has_phrase(tokens, REQUESTS);
    let lists = [CONDITIONS, NEGATIONS, SCHEDULES, TAKEN_BACK, EXEC, DOUBTS];
    asks || shows
        || written
        || marked
        || lists.iter().any(|words| has_phrase(tokens, words))
        || tokens.iter().any(is_clock)
        || told::tells(tokens)
}

#[cfg(test)]
mod tests {
    use super::super::token;
    use super::*;

    #[test]
    fn a_change_that_is_told_of_denied_or_wished_away_is_no_request() {
        for said in [
            "somebody deleted web yesterday",
            "someone restarted the nodes",
            "I'd hate to see web deleted",
            "web doesnt like to be zapped",
            "it didnt zap web",
            "we havent zapped web",
            "web wasn't meant to be zapped",
            "it needn't go",
            "web ain't going",
            "protect web",
            "web was zapped already",
        ] {
            assert!(holds_back(&token::tokens(said, 0)), "{said}");
        }
        for said in ["web should be deleted", "zap web"] {
            assert!(!holds_back(&token::tokens(said, 0)), "{said}");
        }
    }
}
