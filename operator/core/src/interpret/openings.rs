//! How a clause can open: a verb, a noun for it, a wish, a passive, a need, or no verb at all (then only a read).

use super::clause::Mood;
use super::frame::{Frame, Revision, Slot};
use super::parser::{KindRef, Parser};
use super::phrase::Np;
use super::tables::{CAN_I_GET, LINES, NOMINAL, SCHEDULED, TOLD, UNDO_HEADS, UNDONE, WANT};
use super::vocab::{self, Form, Noun, Verb};
use super::{Ask, guard, typo};

/// What makes an order of a passive.
const ORDERS: &[&str] = &["needs", "need", "must", "should", "has", "have", "ought", "to"];

impl<'a> Parser<'a> {
    /// The verb, however it stands, and what came before it.
    pub(super) fn opening(&mut self, mood: Mood) -> Result<Frame<'a>, Ask> {
        let start = self.pos;
        let force = self.key(0) == "force" && self.verb_here(1, Form::Base).is_some();
        self.pos += usize::from(force);
        let word = self.key(0);
        let label_near =
            (1..3).any(|i| matches!(vocab::noun(self.key(i)), Some(Noun::Label | Noun::Annotation)));
        if matches!(word, "apply" | "attach") && label_near {
            self.pos += 1;
            return Ok(Frame::new(Verb::Add, word, start));
        }
        // "take the label tier off web"
        let off = || (3..8).any(|i| self.key(i) == "off");
        if word == "take" && label_near && off() {
            self.pos += 1;
            return Ok(Frame::new(Verb::Delete, word, start));
        }
        if let Some(name) = guard::unsupported(self) {
            return Err(name);
        }
        if let Some(frame) = self.question() {
            return Ok(frame);
        }
        if let Some(frame) = self
            .stated()
            .or_else(|| self.caused())
            .or_else(|| self.nominal())
            .or_else(|| self.whole_want())
        {
            return Ok(frame);
        }
        let gerund = if start > 0 {
            self.verb_here(0, Form::Gerund)
        } else {
            None
        };
        // "what would happen if I scaled web to 0"
        let past = if mood == Mood::WhatIf {
            self.verb_here(0, Form::Participle)
        } else {
            None
        };
        let gerund = gerund.or(past);
        if let Some((verb, len)) = self
            .verb_here(0, Form::Base)
            .or(gerund)
            .filter(|(_, len)| !self.reads_as_noun(*len))
        {
            self.pos += len;
            let mut frame = Frame::new(verb, word, start);
            frame.force = force;
            frame.phrase_len = len;
            self.after_verb(&mut frame);
            return Ok(frame);
        }
        // "web was restarted" tells, "web should be restarted" asks.
        let ordered = |p: &mut Self| {
            let frame = p.passive()?;
            let said = p.toks.get(start..p.pos).unwrap_or_default();
            let modal = said.iter().any(|t| ORDERS.contains(&t.key.as_str()));
            (modal || mood == Mood::WhatIf).then_some(frame)
        };
        if let Some(frame) = self.attempt(ordered).or_else(|| self.attempt(Self::needs)) {
            return Ok(frame);
        }
        if let Some((verb, read)) = typo::closest_verb(word).filter(|_| mood == Mood::Request || start > 0) {
            self.typos.push((self.text(0).to_owned(), read.to_owned()));
            self.pos += 1;
            let mut frame = Frame::new(verb, read, start);
            frame.unsure = true;
            self.after_verb(&mut frame);
            return Ok(frame);
        }
        self.verbless(start)
    }

    /// "logs of web", "log of web": a noun although a verb is written the same.
    fn reads_as_noun(&self, len: usize) -> bool {
        matches!(self.key(0), "log" | "restart" | "request" | "limit") && len == 1 && self.key(1) == "of"
    }

    /// Words that belong to some verbs only.
    fn after_verb(&mut self, frame: &mut Frame<'a>) {
        if !frame.is_read() {
            self.eat(&["me", "us"]);
        }
        match frame.verb {
            Verb::Undo => {
                let from = self.pos;
                let _ = self.eat_phrase(UNDO_HEADS);
                if !(self.eat_phrase(UNDONE) && self.eat(&["of", "to", "on", "for"])) {
                    self.pos = from;
                } else {
                    frame.revision = Some(Revision::Previous);
                }
            }
            Verb::Cordon | Verb::Uncordon => {
                self.eat_phrase(SCHEDULED);
            }
            Verb::Ask | Verb::Show => {
                // "show me what web logged"
                let said = self.attempt(|p| {
                    p.eat(&["me", "us"]);
                    p.said()
                });
                match said {
                    Some(said) => {
                        frame.verb = said.verb;
                        frame.nouns = said.nouns;
                        frame.targets = said.targets;
                    }
                    None => {
                        self.eat_phrase(TOLD);
                    }
                }
            }
            _ => {}
        }
    }

    /// "the memory limit of web should be 1Gi".
    fn stated(&self) -> Option<Frame<'a>> {
        let should: &[&str] = &["should be", "must be", "needs to be", "has to be"];
        let clause = |i: &usize| !matches!(self.key(*i), "" | ";" | "." | "?" | "!" | "\n" | ",");
        let said = (0..).take_while(clause).find(|i| {
            let mut ahead = Parser::new(self.toks, self.lex);
            ahead.pos = self.pos + i;
            ahead.phrase(should).is_some()
        })?;
        let about = |i| {
            matches!(
                vocab::noun(self.key(i)),
                Some(
                    Noun::Cpu
                        | Noun::Memory
                        | Noun::Limit
                        | Noun::Request
                        | Noun::Replicas
                        | Noun::Image
                        | Noun::Version
                )
            )
        };
        let verb = self
            .verb_here(0, Form::Base)
            .is_some_and(|(verb, _)| !matches!(verb, Verb::Limit | Verb::Reserve));
        (!verb && (0..said).any(about)).then(|| Frame::new(Verb::Set, "should", self.pos))
    }

    /// "have web restarted", "get web restarted".
    fn caused(&mut self) -> Option<Frame<'a>> {
        self.attempt(|p| {
            if p.eat(&["have", "get"]) {
                p.passive()
            } else {
                None
            }
        })
    }

    /// "do a rolling restart of web".
    fn nominal(&mut self) -> Option<Frame<'a>> {
        let start = self.pos;
        self.attempt(|p| {
            let led = p.eat_phrase(NOMINAL);
            let adjective = p.eat_phrase(&[
                "rolling", "rollout", "full", "quick", "graceful", "the", "complete", "clean",
            ]);
            let verb = match p.key(0) {
                "restart" | "reboot" | "bounce" if led || adjective => Verb::Restart,
                "rollback" | "undo" if led => Verb::Undo,
                "restart" if p.key(1) == "of" => Verb::Restart,
                _ => return None,
            };
            p.pos += 1;
            Some(Frame::new(verb, "", start))
        })
    }

    /// "i want 5 replicas of web": a wish without a verb of its own.
    fn whole_want(&mut self) -> Option<Frame<'a>> {
        let start = self.pos;
        let wanted = self
            .toks
            .get(..start)
            .unwrap_or_default()
            .iter()
            .rev()
            .take(3)
            .any(|t| t.key == "like");
        self.attempt(|p| {
            let get = p.eat_phrase(CAN_I_GET);
            let led = get || p.eat_phrase(WANT);
            if led && p.eat_phrase(&["a list of", "the list of", "list of", "an overview of"]) {
                return Some(Frame::new(Verb::List, "list", start));
            }
            let verb_next = p.verb_here(0, Form::Base).is_some() || p.key(0) == "to";
            let base = p.pos;
            if (led || wanted) && p.passive().is_some() {
                p.pos = base;
                return p.passive();
            }
            p.pos = base;
            (!verb_next && (led || wanted))
                .then(|| Frame::new(Verb::Want, if get { "get" } else { "want" }, start))
        })
    }

    /// "web needs to be restarted", "web restarted" after "I want".
    pub(super) fn passive(&mut self) -> Option<Frame<'a>> {
        let start = self.pos;
        let nps = self.noun_phrases().ok().filter(|nps| !nps.is_empty())?;
        let mut frame = Frame::new(Verb::Want, "", start);
        self.namespace(&mut frame).ok()?;
        self.eat_phrase(&[
            "needs to", "need to", "must", "should", "has to", "have to", "ought to", "to", "is to",
            "are to", "would", "will",
        ]);
        self.eat(&["be", "get", "is", "are", "gets", "was", "were"]);
        let (verb, len) = self.verb_here(0, Form::Participle)?;
        frame.verb = verb;
        frame.word = self.key(0).to_owned();
        self.pos += len;
        frame.targets = nps;
        frame.last = Slot::Target;
        Some(frame)
    }

    /// "web needs 5 replicas", "web should run nginx:1.28".
    fn needs(&mut self) -> Option<Frame<'a>> {
        let start = self.pos;
        let nps = self.noun_phrases().ok().filter(|nps| !nps.is_empty())?;
        let mut frame = Frame::new(Verb::Want, "needs", start);
        self.namespace(&mut frame).ok()?;
        let modal = self.eat_phrase(&["should", "must", "needs to", "need to", "has to", "have to", "to"]);
        let verb = self.eat(&["have", "run", "use", "be", "get", "go", "sit"]);
        if !(modal && verb || self.eat(&["needs", "need"])) {
            return None;
        }
        self.eat(&["at", "on", "with"]);
        frame.targets = nps;
        frame.last = Slot::Target;
        Some(frame)
    }

    /// No verb: "pods in prod", "nginx logs". Only ever a read.
    fn verbless(&mut self, start: usize) -> Result<Frame<'a>, Ask> {
        let noun = self.attempt(|p| {
            let adjectives: &[&str] = &[
                "the", "all", "recent", "latest", "last", "current", "full", "previous", "number", "of",
            ];
            while adjectives.contains(&p.key(0)) {
                p.pos += 1;
            }
            vocab::noun(p.key(0))
        });
        self.pos = start;
        let lines = self.eat_phrase(&["last", "the last", "the latest", "latest"])
            && self.number().is_some()
            && self.phrase(LINES).is_some();
        self.pos = start;
        if lines {
            return Ok(Frame::new(Verb::Show, "show", start));
        }
        let counted = self.eat_phrase(&[
            "number of",
            "the number of",
            "total number of",
            "the total number of",
        ]);
        if counted && self.kind_at(0).is_some() {
            return Ok(Frame::new(Verb::Count, "count", start));
        }
        self.pos = start;
        if noun.is_some() {
            return Ok(Frame::new(Verb::Show, "show", start));
        }
        if typo::is_near(self.key(0), &["events"]) && matches!(self.key(1), "of" | "for" | "in") {
            let mut frame = Frame::new(Verb::Show, "show", start);
            self.corrected(&mut frame, "events", Noun::Events);
            frame.unsure = true;
            return Ok(frame);
        }
        let probe = self.noun_phrases().unwrap_or_default();
        let plain =
            |np: &Np<'_>| np.kind.is_some() || vocab::noun(self.key(0)).is_some() || self.key(0) == "rollout";
        let fits = !probe.is_empty() && probe.iter().all(plain);
        let unknown = self.toks.get(start).map_or("", |t| t.text.as_str()).to_owned();
        self.pos = start;
        if fits {
            return Ok(Frame::new(Verb::Show, "show", start));
        }
        if let Some(kind) = self.mistyped_kind(0) {
            // A mistyped kind alone is read as a list of it.
            let mut frame = Frame::new(Verb::List, "list", start);
            self.pos += 1;
            frame.targets.push(Np {
                kind: Some(KindRef::Known(kind.info)),
                plural: true,
                ..Default::default()
            });
            frame.unsure = true;
            return Ok(frame);
        }
        Err(guard::unknown_verb(&unknown))
    }
}
