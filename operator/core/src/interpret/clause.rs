//! Sentences: politeness, what kind of speech it is, where clauses begin and end, verbs left out, corrections.
//!
//! The result is a list of [`Frame`]s in the order they take effect. Called by the root of the module for every run of
//! lines that is not a pasted kubectl line.

use super::frame::Frame;
use super::guard;
use super::parser::Parser;
use super::tables::{
    CLAUSE_LEAD, CLAUSE_POLITE, CLAUSE_QUESTIONS, HOW_TO, MIND, NOMINAL, POLITE, WHAT_IF, WHAT_IF_GERUND,
    WHAT_IF_PASSIVE,
};
use super::vocab::{Form, Verb};
use super::{Ask, names, typo};

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
                return Err(Ask::new(format!(
                    "That is more than {MAX_CLAUSES} requests in one prompt; send them in parts"
                )));
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
            for frame in out
                .frames
                .iter_mut()
                .skip(first)
                .filter(|f| f.namespaces.is_empty() && !f.all_namespaces)
            {
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
        if !hard
            && !self.clause_starts()
            && let Some(previous) = out.frames.last()
        {
            if previous.form.is_some() {
                return Err(self.unclear());
            }
            let mut frame = previous.gapped(start);
            if !self.target(&mut frame)? {
                return Err(self.unclear());
            }
            self.fill(&mut frame)?;
            one_place(previous, &frame)?;
            out.frames.push(frame);
            return Ok(());
        }
        let mood = self.mood(shared)?;
        if let Some(mood) = mood {
            if !out.frames.is_empty() && out.mood != mood {
                return Err(Ask::new(
                    "Ask about consequences and request changes in separate prompts",
                ));
            }
            out.mood = mood;
        }
        if self.at_end() || self.hard_stop() {
            return Ok(());
        }
        let form = self.form(out.mood)?;
        let whole = form.is_some();
        let mut frame = match form {
            Some(frame) => frame,
            None => self.opening(out.mood)?,
        };
        frame.start = start;
        let before = start.checked_sub(1).and_then(|at| self.toks.get(at));
        let opens = before.is_none_or(|t| matches!(t.key.as_str(), ";" | "." | "?" | "!" | "\n"));
        let bare =
            opens && self.toks.get(start).is_some_and(|t| t.key == frame.word) && out.mood == Mood::Request;
        let filled = if whole { Ok(()) } else { self.fill(&mut frame) };
        filled.map_err(|ask| {
            if frame.verb == Verb::Run {
                guard::no_commands()
            } else if frame.is_read() {
                ask.about_a_read(&frame.word)
            } else {
                ask
            }
        })?;
        if bare && !frame.is_read() && self.key(0) == "?" {
            let order: Vec<&str> = self
                .toks
                .iter()
                .take(frame.end)
                .skip(start)
                .map(|t| t.text.as_str())
                .collect();
            return Err(Ask::with(
                "Is that a question or a request? To request it, leave out the question mark",
                vec![order.join(" ")],
            )
            .firm());
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
            } else if self.gerund_after(MIND)
                || !(self.polite()
                    || self.fillers()
                    || self.eat(&[",", "—", ":"])
                    || self.leading_namespace(shared)?)
            {
                return Ok(mood);
            }
        }
    }

    /// Politeness that leads to a verb; "i want the pods" is told apart in [`Self::opening`].
    fn polite(&mut self) -> bool {
        // "can i see the logs" asks for a read; "can i get ..." is a wish; "can i delete ..." a question about rights.
        let asked = self
            .phrase(&["can i", "could i", "can we", "could we", "may i", "may we"])
            .filter(|_| !matches!(self.key(2), "get" | "have"));
        let verb = asked.and_then(|len| self.verb_here(len, Form::Base));
        let we = self.key(1) == "we";
        if let (Some(len), Some((verb, _))) = (asked, verb)
            && (we || Frame::new(verb, "", 0).is_read())
        {
            self.pos += len;
            return true;
        }
        // "please to show the pods": the word before was taken as politeness already.
        let before = self.pos.checked_sub(1).and_then(|at| self.toks.get(at));
        let pleads = before.is_some_and(|t| matches!(t.key.as_str(), "please" | "pls" | "plz"));
        pleads && self.eat(&["to"]) || self.eat_phrase(POLITE)
    }

    fn gerund_after(&mut self, phrases: &[&str]) -> bool {
        let Some(len) = self.phrase(phrases) else {
            return false;
        };
        let gerund =
            self.verb_here(len, Form::Gerund).is_some() || self.form_inflected(len, Form::Gerund).is_some();
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
        while let Some(len) = super::vocab::phrase_len(CLAUSE_LEAD, |i| self.key(at + i)) {
            at += len;
        }
        let mut ahead = Parser::new(self.toks, self.lex);
        ahead.pos = self.pos + at;
        if ahead.eat_phrase(CLAUSE_POLITE) && !ahead.at_end() {
            ahead.fillers();
        }
        let verb = ahead.verb_here(0, Form::Base).is_some()
            || ahead.phrase(guard::verbs()).is_some()
            || ahead.form_here().is_some();
        let question = ahead.phrase(CLAUSE_QUESTIONS).is_some();
        let nominal = ahead.phrase(NOMINAL).is_some_and(|len| len > 1);
        let mistyped = typo::closest_verb(ahead.key(0)).is_some()
            && (ahead.is_name(1)
                || ahead.kind_at(1).is_some()
                || ahead.key(1) == "the"
                || ahead.is_quoted(1)
                || ahead.text(1).contains('/'));
        verb || question || nominal || mistyped
    }
}

/// "restart web in prod and api": whether api is in prod, elsewhere, or a namespace, is asked about.
fn one_place(previous: &Frame<'_>, next: &Frame<'_>) -> Result<(), Ask> {
    let placed = |frame: &Frame<'_>| !frame.namespaces.is_empty() || frame.all_namespaces;
    if previous.is_read() || !placed(previous) || placed(next) {
        return Ok(());
    }
    let name = next
        .targets
        .iter()
        .flat_map(|np| &np.names)
        .next()
        .map_or("the second", String::as_str);
    Err(Ask::new(format!(
        "In which namespace is {}? Say the namespace with each object, or once at the end",
        names::shown(name)
    ))
    .firm())
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
