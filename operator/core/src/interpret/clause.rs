//! Sentences: politeness, what kind of speech it is, where clauses begin and end, verbs left out, corrections.
//!
//! The result is a list of [`Frame`]s in the order they take effect. Called by the root of the module for every run of
//! lines that is not a pasted kubectl line.

use super::frame::Frame;
use super::guard;
use super::parser::Parser;
use super::openings::NOMINAL;
use super::vocab::{Form, Verb};
use super::{Ask, typo};

/// What the sentence does with its clauses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    /// Do it.
    #[default]
    Request,
    /// "what happens if": answer only.
    WhatIf,
    /// "how do I": reads are answered, changes are not done.
    HowTo,
}

/// A parsed prompt.
#[derive(Debug, Default)]
pub(super) struct Sentences<'a> {
    pub(super) frames: Vec<Frame<'a>>,
    pub(super) mood: Mood,
}

/// Most clauses in one prompt: the limit of steps of a plan.
const MAX_CLAUSES: usize = 64;

const POLITE: &[&str] = &[
    "can you", "could you", "would you", "will you", "can u", "could u",  "may i ask you to", "would you kindly",
    "would you be so kind as to", "would you be so kind to", "be so kind and", "be so kind as to", "i want to", "i want you to", "i need to", "i need you to",
    "i would like to", "i'd like to", "i would like you to", "i'd like you to", "we need to", "we want to", "we should", "we have to",
    "we must", "i have to", "let's", "lets", "let us", "go ahead and", "first", "next", "finally", "afterwards", "after that",
    "help me", "help me to", "please help me", "try to", "make sure to", "be sure to", "it would be great if you could", "it would be nice if you could",
    "if you could", "you should", "you need to", "you must", "would it be possible to", "is it possible to", "do me a favor and", "do me a favour and",
    "hey", "hi", "hello", "so", "well", "wait", "i think we should", "i think you should", "i think we need to", "i guess we should", "i suppose we should", "and", "also", "dear", "yo", "alright", "all right", "good morning", "good evening", "sure", "yes", "kube chat",
    "i'd love to", "i would love to", "we'd like to", "we would like to", "quick question", "question", "excuse me", "you can", "you could", "time to", "it is time to",
    "want to", "need to", "gonna", "i wanna", "wanna", "let me", "i would like", "hey there", "hi there", "hello there", "second", "lastly", "could i", "can i please", "may i please", "i'm going to", "i will", "i'll",
    "and then", "once again", "just", "for a start", "@kubechat", "would you please", "i'd appreciate it if you could", "any chance you could", "any chance you can",
];
const MIND: &[&str] = &["would you mind", "do you mind", "how about", "what about", "mind", "try"];
const WHAT_IF: &[&str] = &[
    "what happens if i", "what happens if we", "what happens if you", "what happens when i", "what happens when we", "what would happen if i",
    "what would happen if we", "what would happen if you", "what would happen if i were to", "what if i were to", "what happens if i were to", "what if i", "what if we", "what if you", "should i", "should we", "is it safe to", "is it ok to", "is it okay to",
    "is it fine to", "is it a good idea to", "would it be safe to", "would it be ok to", "would it be okay to", "would it be a good idea to", "can i safely", "can we safely", "could i safely",
    "how risky is it to", "how dangerous is it to", "how bad is it to", "how bad would it be to", "what breaks if i", "what breaks if we", "what will break if i", "what would break if i",
    "what would break if we", "what will happen if i", "what will happen if we", "do you think i should", "do you think we should", "shall i", "shall we", "what happens to the cluster if i",
    "what is affected if i", "what would be affected if i", "what is going to happen if i", "is it risky to", "is it dangerous to", "would it hurt to", "will anything break if i", "does anything break if i",
    "would anything break if i", "what could go wrong if i", "what can go wrong if i", "is it a bad idea to", "what is affected if we", "what do i lose if i",
];
const WHAT_IF_GERUND: &[&str] = &[
    "what is the impact of", "what is the effect of", "what is the risk of", "what are the risks of", "what are the consequences of", "what would be the impact of",
    "what would be the effect of", "impact of", "how risky is", "how dangerous is", "how safe is", "is", "what about", "blast radius of", "what is the blast radius of", "what would the impact be of",
    "what does it mean to", "what is the danger of", "risk of", "would", "will", "does",
];
const WHAT_IF_PASSIVE: &[&str] = &[
    "what happens if", "what happens when", "what would happen if", "what will happen if", "what if", "what breaks if", "what would break if", "what is affected if", "what will break if",
];
const HOW_TO: &[&str] = &[
    "how do i", "how do we", "how do you", "how can i", "how can we", "how to", "how would i", "how would one", "how should i", "how does one", "what is the command to",
    "what is the command for", "show me how to", "tell me how to", "explain how to", "how could i", "what is the way to", "what is the best way to", "teach me how to", "teach me to",
];

impl<'a> Parser<'a> {
    /// Parses everything.
    pub(super) fn sentences(&mut self) -> Result<Sentences<'a>, Ask> {
        let mut out = Sentences::default();
        let mut shared: Vec<String> = Vec::new();
        let mut hard = true;
        loop {
            let from = self.pos;
            while self.hard_stop() {
                hard = true;
                self.pos += 1;
            }
            if hard && self.pos > from {
                shared.clear();
            }
            self.eat_joins();
            if self.at_end() {
                break;
            }
            if out.frames.len() >= MAX_CLAUSES {
                return Err(Ask::new(format!("That is more than {MAX_CLAUSES} requests in one prompt; send them in parts")));
            }
            if !self.hard_stop() && self.correction(&mut out)? {
                hard = false;
                continue;
            }
            if self.hard_stop() {
                continue;
            }
            let first = out.frames.len();
            self.clause(&mut out, hard, &mut shared)?;
            for frame in out.frames.iter_mut().skip(first).filter(|f| f.namespaces.is_empty() && !f.all_namespaces) {
                frame.namespaces.clone_from(&shared);
            }
            hard = false;
            if self.pos <= from {
                return Err(self.unclear());
            }
        }
        share_gapped_namespace(&mut out.frames);
        Ok(out)
    }

    /// One clause, or a verb's next object after a verb was left out.
    fn clause(&mut self, out: &mut Sentences<'a>, hard: bool, shared: &mut Vec<String>) -> Result<(), Ask> {
        let start = self.pos;
        if !hard && !self.clause_starts() && let Some(previous) = out.frames.last() {
            let mut frame = previous.gapped(start);
            if !self.target(&mut frame)? {
                return Err(self.unclear());
            }
            self.fill(&mut frame)?;
            out.frames.push(frame);
            return Ok(());
        }
        let mood = self.mood(shared)?;
        if let Some(mood) = mood {
            if !out.frames.is_empty() && out.mood != mood {
                return Err(Ask::new("Ask about consequences and request changes in separate prompts"));
            }
            out.mood = mood;
        }
        if self.at_end() || self.hard_stop() {
            return Ok(());
        }
        let mut frame = self.opening(out.mood)?;
        frame.start = start;
        let before = start.checked_sub(1).and_then(|at| self.toks.get(at));
        let opens = before.is_none_or(|t| matches!(t.key.as_str(), ";" | "." | "?" | "!" | "\n"));
        let bare = opens && self.toks.get(start).is_some_and(|t| t.key == frame.word) && out.mood == Mood::Request;
        let filled = self.fill(&mut frame);
        filled.map_err(|ask| if frame.verb == Verb::Run { guard::no_commands() } else { ask })?;
        if bare && !frame.is_read() && self.key(0) == "?" {
            let order: Vec<&str> = self.toks.iter().take(frame.end).skip(start).map(|t| t.text.as_str()).collect();
            return Err(Ask::with("Is that a question or a request? To request it, leave out the question mark", vec![order.join(" ")]).firm());
        }
        out.frames.push(frame);
        Ok(())
    }

    /// Politeness, a leading namespace, and the kind of speech.
    fn mood(&mut self, shared: &mut Vec<String>) -> Result<Option<Mood>, Ask> {
        let mut mood = None;
        loop {
            if self.eat_phrase(WHAT_IF) {
                mood = Some(Mood::WhatIf);
            } else if self.eat_phrase(HOW_TO) {
                mood = Some(Mood::HowTo);
            } else if self.gerund_after(WHAT_IF_GERUND) || self.passive_after(WHAT_IF_PASSIVE) {
                return Ok(Some(Mood::WhatIf));
            } else if self.gerund_after(MIND) {
                return Ok(mood);
            } else if !(self.polite() || self.fillers() || self.eat(&[",", "—", ":"]) || self.leading_namespace(shared)?) {
                return Ok(mood);
            }
        }
    }

    /// Politeness that leads to a verb; "i want the pods" is told apart in [`Self::opening`].
    fn polite(&mut self) -> bool {
        // "can i see the logs" asks for a read; "can i get ..." is a wish; "can i delete ..." a question about rights.
        let asked = self.phrase(&["can i", "could i", "can we", "could we", "may i", "may we"]).filter(|_| !matches!(self.key(2), "get" | "have"));
        let verb = asked.and_then(|len| self.verb_here(len, Form::Base));
        let we = self.key(1) == "we";
        if let (Some(len), Some((verb, _))) = (asked, verb)
            && (we || Frame::new(verb, "", 0).is_read())
        {
            self.pos += len;
            return true;
        }
        self.eat_phrase(POLITE)
    }

    fn gerund_after(&mut self, phrases: &[&str]) -> bool {
        let Some(len) = self.phrase(phrases) else { return false };
        let gerund = self.verb_here(len, Form::Gerund).is_some();
        self.pos += if gerund { len } else { 0 };
        gerund
    }

    /// "what happens if web is deleted": an object, then a verb in the passive.
    fn passive_after(&mut self, phrases: &[&str]) -> bool {
        self.attempt(|p| {
            let len = p.phrase(phrases)?;
            p.pos += len;
            let before = p.pos;
            p.passive()?;
            p.pos = before;
            Some(())
        })
        .is_some()
    }

    /// "in prod, scale web to 3": a namespace for every clause of the sentence.
    fn leading_namespace(&mut self, shared: &mut Vec<String>) -> Result<bool, Ask> {
        if !matches!(self.key(0), "in" | "within" | "inside" | "on" | "for" | "under") {
            return Ok(false);
        }
        let from = self.pos;
        let mut probe = Frame::new(Verb::List, "", from);
        if self.namespace(&mut probe)? && !probe.all_namespaces && !probe.namespaces.is_empty() {
            *shared = probe.namespaces;
            return Ok(true);
        }
        self.pos = from;
        Ok(false)
    }

    /// Whether a new clause begins here: a verb in its base form, or a question.
    pub(super) fn clause_starts(&self) -> bool {
        let mut at = 0;
        let lead: &[&str] = &["please", "then", "also", "now", "just", "finally", "afterwards", "next", "kindly"];
        while lead.contains(&self.key(at)) {
            at += 1;
        }
        let mut ahead = Parser::new(self.toks, self.lex);
        ahead.pos = self.pos + at;
        if ahead.eat_phrase(&["can you", "could you", "would you", "please", "let's", "i want to", "i need to", "you can", "i want you to"]) && !ahead.at_end() {
            ahead.fillers();
        }
        let verb = ahead.verb_here(0, Form::Base).is_some() || ahead.phrase(guard::verbs()).is_some();
        let question = ahead.phrase(&["how many", "what is", "what are", "which", "what happens", "is there", "are there", "tell me"]).is_some();
        let nominal = ahead.phrase(NOMINAL).is_some_and(|len| len > 1);
        let mistyped = typo::closest_verb(ahead.key(0)).is_some() && (ahead.is_name(1) || ahead.kind_at(1).is_some() || ahead.key(1) == "the" || ahead.is_quoted(1) || ahead.text(1).contains('/'));
        verb || question || nominal || mistyped
    }
}

/// "scale web to 3 and api to 2 in prod": one verb, one place.
fn share_gapped_namespace(frames: &mut [Frame<'_>]) {
    for at in (1..frames.len()).rev() {
        let (before, rest) = frames.split_at_mut(at);
        if let (Some(previous), Some(next)) = (before.last_mut(), rest.first())
            && next.gap
            && previous.namespaces.is_empty()
            && !previous.all_namespaces
        {
            previous.namespaces.clone_from(&next.namespaces);
            previous.all_namespaces = next.all_namespaces;
        }
    }
}
