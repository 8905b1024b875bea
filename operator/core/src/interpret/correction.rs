//! Corrections inside a prompt: "scale web to 3, no, 4", "delete web, no wait, restart it".
//!
//! A bare word replaces what was said last and only if it is of the same sort; anything else is asked about.

use super::clause::Sentences;
use super::frame::{Amount, Frame, Res, Slot};
use super::parser::Parser;
use super::tables::{CORRECTIONS, TAKEN_BACK};
use super::{Ask, names};

impl<'a> Parser<'a> {
    /// Whether a correction of what was just said begins here, a comma before it included.
    pub(super) fn correction_ahead(&self) -> bool {
        let skip = usize::from(matches!(self.key(0), "," | "—"));
        self.correction_len(skip).is_some()
    }

    fn correction_len(&self, skip: usize) -> Option<usize> {
        let mut ahead = Parser::new(self.toks, self.lex);
        ahead.pos = self.pos + skip;
        let from = ahead.pos;
        let mut found = false;
        while ahead.eat_phrase(CORRECTIONS) || (found && ahead.eat(&[",", "—", "."])) {
            found = true;
        }
        // "make it" alone is a verb and its object unless something was said before.
        let bare = matches!(self.key(skip), "make" | "change") && ahead.pos == from + 2;
        let told = self.pos > 0 || skip > 0;
        (found && (told || !bare)).then_some(ahead.pos - self.pos)
    }

    /// "no, 4": replaces what it is a new value of.
    pub(super) fn correction(&mut self, out: &mut Sentences<'a>) -> Result<bool, Ask> {
        let Some(len) = self.correction_len(0) else {
            return Ok(false);
        };
        let Some(last) = out.frames.last() else {
            return Ok(false);
        };
        let marker = self.key(0);
        let mut frame = last.clone();
        self.pos += len;
        // "no rush" is no correction: a bare "no" needs a pause before a name.
        let paused = marker != "no" || len > 1 || matches!(self.key(0), "," | "—");
        self.eat_joins();
        if self.at_end() || self.eat_phrase(TAKEN_BACK) {
            return Err(Ask::new("That takes the request back, so nothing was done").firm());
        }
        if self.clause_starts() && marker != "make" {
            let replaced = out.frames.pop();
            let mut next = self.opening(out.mood)?;
            self.fill(&mut next)?;
            if let Some(old) =
                replaced.filter(|_| next.targets.is_empty() || next.targets.iter().all(|t| t.pronoun))
            {
                next.targets = old.targets;
                next.namespaces = if next.namespaces.is_empty() {
                    old.namespaces
                } else {
                    next.namespaces
                };
            }
            out.frames.push(next);
            return Ok(true);
        }
        // What a value of a form corrects cannot be told from its place.
        if frame.form.as_ref().is_some_and(|taken| !taken.is_bare()) {
            return Err(Ask::new("I cannot tell what that corrects; say the whole request again").firm());
        }
        self.replace(&mut frame, paused)?;
        // "no, ditch it": that was no name.
        if frame.last != Slot::None
            && matches!(self.key(0), "it" | "that" | "them" | "this" | "those" | "alone")
        {
            return Err(Ask::new("I cannot tell what that corrects; say the whole request again").firm());
        }
        self.eat_phrase(&["instead", "then"]);
        // "scale web, I mean api, to 4": the request goes on.
        let (from, places) = (self.pos, frame.namespaces.len());
        let placed = places > 0 || frame.all_namespaces;
        let more = self.eat(&[","]) && !self.at_end() && !self.clause_starts() && !self.correction_ahead();
        if more && self.attribute(&mut frame)? {
            self.fill(&mut frame)?;
            if placed && frame.namespaces.len() > places {
                return Err(Ask::new("In which namespace? Say the whole request again").firm());
            }
        } else {
            self.pos = from;
        }
        frame.end = self.pos;
        out.frames.pop();
        out.frames.push(frame);
        Ok(true)
    }

    fn replace(&mut self, frame: &mut Frame<'a>, paused: bool) -> Result<(), Ask> {
        let last = frame.last;
        let mut fresh = Frame {
            last: Slot::None,
            ..frame.gapped(frame.start)
        };
        // Values are tried with the preposition that the first saying had.
        if !(self.attribute(&mut fresh)? || self.target(&mut fresh)?) {
            return Err(self.unclear());
        }
        let named_kind = fresh.targets.iter().any(|t| t.kind.is_some());
        match fresh.last {
            Slot::Amount => frame.amount = Some(same_form(frame.amount, fresh.amount)),
            Slot::Namespace => frame.namespaces = fresh.namespaces,
            Slot::Image => (frame.image, frame.version) = (fresh.image, fresh.version),
            Slot::Target if (last == Slot::Target && paused) || named_kind => frame.targets = fresh.targets,
            Slot::Resource if replace_value(frame, &fresh) => {}
            Slot::Other if replace_pairs(frame, &fresh) => {}
            Slot::Target | Slot::None | Slot::Resource | Slot::Other => {
                let words = names::shown(
                    self.toks
                        .get(self.pos.saturating_sub(1))
                        .map_or("", |t| t.text.as_str()),
                );
                return Err(Ask::new(format!(
                    "I cannot tell what {words} corrects; say the whole request again"
                ))
                .firm());
            }
        }
        Ok(())
    }
}

/// "by 2, no, 3" stays a step; "to 3, no, 4" stays a total.
const fn same_form(old: Option<Amount>, new: Option<Amount>) -> Amount {
    match (old, new) {
        (Some(Amount::By(_)), Some(Amount::Bare(n))) => Amount::By(n),
        (Some(Amount::More(old)), Some(Amount::Bare(n))) => Amount::More(if old < 0 { -n } else { n }),
        (_, Some(Amount::Bare(n))) => Amount::To(n),
        (_, Some(new)) => new,
        (Some(old), None) => old,
        (None, None) => Amount::To(0),
    }
}

/// "to 512Mi, no, 1Gi": the last value said.
fn replace_value(frame: &mut Frame<'_>, fresh: &Frame<'_>) -> bool {
    match (frame.resources.last_mut(), fresh.resources.as_slice()) {
        (Some(old @ Res::Value(_)), [new @ Res::Value(_)]) => {
            old.clone_from(new);
            true
        }
        _ => false,
    }
}

/// "tier=front, no, tier=back": a new value for a key that was said.
fn replace_pairs(frame: &mut Frame<'_>, fresh: &Frame<'_>) -> bool {
    let known = |key: &String| frame.assigns.iter().any(|(k, _)| k == key);
    if fresh.assigns.is_empty() || !fresh.assigns.iter().all(|(key, _)| known(key)) {
        return false;
    }
    for (key, value) in &fresh.assigns {
        frame
            .assigns
            .iter_mut()
            .filter(|(k, _)| k == key)
            .for_each(|(_, v)| v.clone_from(value));
    }
    true
}
