//! Amounts of replicas and the words of labels and annotations.

use super::frame::{Amount, Frame, Slot, once};
use super::parser::Parser;
use super::phrase::Np;
use super::tables::{AMOUNT_TO, REPLICA_NOUNS, VALUE_IS};
use super::vocab::{self, Noun, Verb};
use super::{Ask, names, typo, words};

impl<'a> Parser<'a> {
    /// `to 5 replicas`, `by two`, `two more`, `from 2`, `to half`.
    pub(super) fn amount(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        if !frame.can_scale() {
            return Ok(false);
        }
        let from = self.pos;
        if self.eat(&["from"]) || self.eat_phrase(&["instead of"]) {
            if let Some(n) = self.number() {
                self.eat(REPLICA_NOUNS);
                once(&mut frame.from, n, "the present replicas")?;
                return Ok(true);
            }
            self.pos = from;
            return Ok(false);
        }
        match self.attempt(Self::amount_value) {
            Some(amount) => {
                let unit = self.after_amount(frame, amount)?;
                once(&mut frame.amount, unit, "the number of replicas")?;
                frame.last = Slot::Amount;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn amount_value(&mut self) -> Option<Amount> {
        if self.eat_phrase(&["to half", "in half", "to 50%"]) {
            return Some(Amount::Percent(50));
        }
        if self.eat_phrase(&["twice as many", "to double", "to twice as many"]) {
            return Some(Amount::Percent(200));
        }
        if self.eat_phrase(&["by half"]) {
            return Some(Amount::ByPercent(50));
        }
        let by = self.eat(&["by"]);
        let to = !by && self.eat_phrase(AMOUNT_TO);
        if by && self.eat_phrase(&["a factor of"]) {
            return self.number().map(|n| Amount::Percent(n * 100));
        }
        if self.eat(&["another", "additional", "extra"]) {
            return Some(Amount::More(self.number().unwrap_or(1)));
        }
        if let Some(percent) = self.percent() {
            return Some(if by {
                Amount::ByPercent(percent)
            } else {
                Amount::Percent(percent)
            });
        }
        // "down to a single replica"
        let lone = self
            .phrase(&[
                "a single",
                "one single",
                "single",
                "just one",
                "only one",
                "a lone",
            ])
            .filter(|len| REPLICA_NOUNS.contains(&self.key(*len)));
        let one = matches!(self.key(0), "a" | "an" | "single" | "one");
        let singular = one
            && !to
            && (matches!(self.key(1), "replica" | "instance" | "copy")
                || matches!(self.key(1), "more" | "additional" | "extra"));
        let n = if let Some(len) = lone {
            self.pos += len;
            1
        } else if singular && self.key(0) != "one" {
            self.pos += 1;
            1
        } else {
            self.number()?
        };
        if self.eat(&["more", "additional", "extra"]) {
            return Some(Amount::More(n));
        }
        if self.eat(&["fewer", "less"]) {
            return Some(Amount::More(-n));
        }
        Some(match (to, by) {
            (true, _) => Amount::To(n),
            (_, true) => Amount::By(n),
            (false, false) => Amount::Bare(n),
        })
    }

    /// `50%`, `50 percent`, `3x`.
    fn percent(&mut self) -> Option<i64> {
        let text = self.text(0);
        if let Some(n) = text
            .strip_suffix('%')
            .and_then(|n| n.parse::<i64>().ok())
            .filter(|n| (0..=10_000).contains(n))
        {
            self.pos += 1;
            return Some(n);
        }
        if let Some(n) = text
            .strip_suffix(['x', 'X'])
            .and_then(|n| n.parse::<i64>().ok())
            .filter(|n| (1..=100).contains(n))
        {
            self.pos += 1;
            return Some(n * 100);
        }
        let (n, len) = words::number(|i| self.key(i))?;
        if self.key(len) != "percent" || n > 10_000 {
            return None;
        }
        self.pos += len + 1;
        Some(n)
    }

    /// The word after the number: `replicas`, `web replicas`; a unit of something else is no amount.
    fn after_amount(&mut self, frame: &mut Frame<'a>, amount: Amount) -> Result<Amount, Ask> {
        // "scale web and api to 3 each"
        if self.eat(&["each"]) {
            let over = self.at_end()
                || self.hard_stop()
                || self.soft_join()
                || matches!(self.key(0), "in" | "of" | "for" | "from" | "on");
            return if over { Ok(amount) } else { Err(self.unclear()) };
        }
        self.eat(&["of"]).then(|| self.eat(&["the"]));
        if typo::is_near(self.key(0), &["replicas", "replica", "instances"]) {
            self.corrected(frame, "replicas", Noun::Replicas);
            return Ok(amount);
        }
        if self.eat(REPLICA_NOUNS) {
            self.eat(&["total", "each"]);
            frame.nouns.push(Noun::Replicas);
            return Ok(amount);
        }
        let named = self.is_name(0) && self.kind_at(0).is_none() && REPLICA_NOUNS.contains(&self.key(1));
        if named && frame.targets.is_empty() {
            let name = self.text(0).to_owned();
            self.pos += 2;
            frame.targets.push(Np {
                names: vec![name],
                ..Np::default()
            });
            frame.nouns.push(Noun::Replicas);
            return Ok(amount);
        }
        // "scale to 5 chickens": the number counts something unknown.
        let before = self
            .pos
            .checked_sub(1)
            .and_then(|at| self.toks.get(at))
            .is_some_and(|t| t.key == "of");
        if !before && (self.is_name(0) || self.kind_at(0).is_some()) {
            return Err(self.unclear());
        }
        self.pos -= usize::from(before);
        Ok(amount)
    }

    /// Keys and values of labels and annotations.
    pub(super) fn label_words(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let removal = matches!(frame.verb, Verb::Delete | Verb::Drop | Verb::Unlabel);
        let noun = self.label_noun(frame, removal);
        if !frame.labelish() || frame.is_read() {
            return Ok(false);
        }
        if frame.key.is_some() && self.pending_value(frame)? {
            return Ok(true);
        }
        let from = self.pos;
        self.eat(&["with", "as", "to", "the"]);
        self.eat_phrase(&[
            "label",
            "labels",
            "the label",
            "the labels",
            "annotation",
            "the annotation",
        ]);
        if self.assignment(frame, removal)? {
            frame.last = Slot::Other;
            return Ok(true);
        }
        self.pos = from;
        if noun {
            self.pending_key(frame, removal);
            frame.last = Slot::Other;
        }
        Ok(noun)
    }

    /// `the label`, `annotations`: where a label is what the clause is about and not a selector.
    fn label_noun(&mut self, frame: &mut Frame<'a>, removal: bool) -> bool {
        let from = self.pos;
        let with = self.eat(&["with"]);
        self.eat(&["the", "a", "an"]);
        let found = vocab::noun(self.key(0)).filter(|n| matches!(n, Noun::Label | Noun::Annotation));
        let verb = matches!(
            frame.verb,
            Verb::Set | Verb::Add | Verb::Give | Verb::Update | Verb::Want | Verb::Label | Verb::Annotate
        );
        let selector = with
            && !(frame.targets.is_empty()
                || matches!(frame.verb, Verb::Label | Verb::Annotate | Verb::Give)
                || frame.word == "mark");
        let first = frame.assigns.is_empty() && frame.removes.is_empty() && frame.key.is_none();
        let fits = first && (verb || (removal && !with && frame.targets.is_empty())) && !selector;
        let Some(noun) = found.filter(|_| fits) else {
            self.pos = from;
            return false;
        };
        self.pos += 1;
        self.eat(&["called", "named", "key", "keys", ":"]);
        frame.nouns.push(noun);
        true
    }

    /// `tier=cache`, `tier-`, `tier: cache`, several of them.
    fn assignment(&mut self, frame: &mut Frame<'a>, removal: bool) -> Result<bool, Ask> {
        let Some(tok) = self.tok(0) else { return Ok(false) };
        if tok.text.contains('=') && !super::flags::is_flag(&tok.text) {
            let annotation = frame.verb == Verb::Annotate || frame.has(Noun::Annotation);
            let parts: Vec<&str> = if annotation {
                vec![tok.text.as_str()]
            } else {
                tok.text.split(',').collect()
            };
            for part in parts {
                let (key, value) = part.split_once('=').ok_or_else(|| self.unclear())?;
                if removal {
                    return Err(Ask::new("A label is removed by its key alone, without a value"));
                }
                frame.assigns.push((key.to_owned(), value.to_owned()));
            }
            self.pos += 1;
            return Ok(true);
        }
        let direct = matches!(frame.verb, Verb::Label | Verb::Annotate);
        if let Some(key) = self
            .text(0)
            .strip_suffix('-')
            .filter(|k| direct && names::is_key(k))
        {
            frame.removes.push(key.to_owned());
            self.pos += 1;
            return Ok(true);
        }
        let value = self
            .tok(2)
            .filter(|_| matches!(self.key(1), ":" | "=") && names::is_key(self.text(0)));
        if let Some(value) = value.filter(|_| !removal) {
            frame.assigns.push((self.text(0).to_owned(), value.text.clone()));
            self.pos += 3;
            return Ok(true);
        }
        Ok(false)
    }

    /// A key right after the word "label".
    fn pending_key(&mut self, frame: &mut Frame<'a>, removal: bool) {
        let key_here = |p: &Self| {
            let quoted = p.is_quoted(0).then(|| p.tok(0).map_or("", |t| t.text.as_str()));
            let word = quoted.unwrap_or_else(|| p.text(0));
            let letter = word == "a" && matches!(p.key(1), "and" | "," | "from" | "on" | "off");
            (names::is_key(word) && (letter || !vocab::is_reserved(&word.to_lowercase())))
                .then(|| word.to_owned())
        };
        if !removal {
            frame.key = key_here(self);
            self.pos += usize::from(frame.key.is_some());
            return;
        }
        while let Some(key) = key_here(self) {
            frame.removes.push(key);
            self.pos += 1;
            let from = self.pos;
            let joined = self.eat(&[",", "and", "&"]) && !self.clause_starts();
            if !(joined && key_here(self).is_some()) {
                self.pos = from;
                return;
            }
        }
    }

    fn pending_value(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let from = self.pos;
        let led = self.eat_phrase(VALUE_IS);
        let noun_phrase = led
            && matches!(self.key(0), "the" | "deployment" | "all" | "pod" | "service")
            && !self.is_quoted(0);
        let kind_follows = self.kind_at(0).is_some()
            || self
                .text(0)
                .split_once('/')
                .is_some_and(|(k, _)| self.lex.exact(k).is_some());
        if !led || noun_phrase || kind_follows {
            self.pos = from;
            return Ok(false);
        }
        let Some(value) = self.tok(0).filter(|t| t.shape != super::token::Shape::Mark) else {
            self.pos = from;
            return Ok(false);
        };
        self.pos += 1;
        let key = frame.key.take().ok_or_else(|| self.unclear())?;
        frame.assigns.push((key, value.text.clone()));
        frame.last = Slot::Other;
        Ok(true)
    }
}
