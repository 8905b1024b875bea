//! Whether a sentence tells of a change as of something done. A verb in the past tells, whoever is its subject, unless it
//! stands where it cannot: governed by what orders ("should be deleted", "have web deleted"), before what it describes ("the
//! evicted pods"), in a clause that describes ("the pods that were evicted"). What is in doubt counts as told: it is asked
//! about, and nothing is changed.

mod plain;

use super::guard;
use super::past::{self, Past};
use super::token::{Shape, Token};
use super::told_words::{
    ADVERBS, AFTER, ARTICLES, ATTENTION, CAUSES, CLAUSES, DOINGS, MODALS, OBJECTS, OPENERS, PARTICLES,
    POLITE, PREPOSITIONS, QUANTITIES, REACH, RELATIONS, REPORTS, SEEMING, SUBJECTS, WISHES,
};
use super::vocab::{self, Form, Verb};
use super::written;

/// Whether a sentence tells of a change.
pub(super) fn tells(tokens: &[Token]) -> bool {
    let sentence = Sentence { tokens };
    (0..tokens.len()).any(|at| sentence.is_told(at))
        || guard::has_phrase(tokens, REPORTS)
        || tokens.iter().any(|token| token.key == "fyi")
        || written::is_quoted(tokens)
        || written::is_logged(tokens)
}

/// Whether a verb tells that is written like an order: "ops just set web to 3". What is named may be called like a verb.
pub(super) fn tells_like_an_order(tokens: &[Token], names: &[&str]) -> bool {
    let sentence = Sentence { tokens };
    let is_name = |at: usize| {
        let key = sentence.key(at);
        names.contains(&key) && !tokens.iter().skip(at + 1).any(|later| later.key == key)
    };
    (0..tokens.len())
        .any(|at| past::of(sentence.key(at)) == Some(Past::Either) && !is_name(at) && sentence.is_told(at))
}

/// Whether the "get" or "see" that stands here orders something done: "get web zapped", "see to it that web is zapped".
pub(super) fn is_done_by(tokens: &[Token], at: usize) -> bool {
    let sentence = Sentence { tokens };
    let mut ensured = ["see", "to", "it"].iter().enumerate();
    ensured.all(|(i, word)| sentence.key(at + i) == *word)
        || sentence.key(at) == "get" && (at..tokens.len()).any(|i| sentence.caused_by(i) == Some(at))
}

struct Sentence<'a> {
    tokens: &'a [Token],
}

impl<'a> Sentence<'a> {
    fn key(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| token.key.as_str())
    }

    fn before(&self, at: usize) -> Option<(usize, &'a str)> {
        let at = at.checked_sub(1)?;
        Some((at, self.key(at)))
    }

    fn is_in(&self, at: usize, words: &[&str]) -> bool {
        words.contains(&self.key(at))
    }

    fn is_adverb(&self, at: usize) -> bool {
        let key = self.key(at);
        ADVERBS.contains(&key) || key.len() > 4 && key.ends_with("ly")
    }

    /// The last word before this one that is no adverb.
    fn skip_adverbs(&self, mut at: usize) -> Option<usize> {
        loop {
            at = at.checked_sub(1)?;
            if !self.is_adverb(at) {
                return Some(at);
            }
        }
    }

    /// Where the clause that holds this word begins, behind what says nothing.
    fn clause(&self, at: usize) -> usize {
        let from = (0..at)
            .rev()
            .take(REACH)
            .find(|i| self.is_in(*i, CLAUSES))
            .map_or(at.saturating_sub(REACH), |i| i + 1);
        let led = (from..at).take_while(|i| self.is_in(*i, OPENERS)).count();
        from + led
    }

    /// Something that is named: no word of the grammar, or in quotes.
    fn is_name(&self, at: usize) -> bool {
        let Some(token) = self.tokens.get(at) else {
            return false;
        };
        match token.shape {
            Shape::Quoted => true,
            Shape::Mark => false,
            Shape::Word => {
                !vocab::is_reserved(&token.key) && !self.is_in(at, AFTER) && !self.is_in(at, PREPOSITIONS)
                    || vocab::GENERIC.contains(&token.key.as_str())
            }
        }
    }

    /// Whether what is changed stands here: "deleted web", "shut it down", "took down the nodes".
    fn is_object(&self, at: usize) -> bool {
        let key = self.key(at);
        if PARTICLES.contains(&key) {
            return self.is_object(at + 1);
        }
        let marked = key.contains('=');
        let number = key.starts_with(|c: char| c.is_ascii_digit());
        let pronoun = OBJECTS.contains(&key)
            || ARTICLES.contains(&key)
            || QUANTITIES.contains(&key)
            || matches!(
                key,
                "this" | "everything" | "something" | "half" | "every" | "another"
            );
        !marked && (pronoun || self.is_name(at) && (!number || self.is_name(at + 1)))
    }

    fn is_told(&self, at: usize) -> bool {
        let Some(token) = self.tokens.get(at).filter(|token| token.shape == Shape::Word) else {
            return false;
        };
        match past::of(&token.key) {
            None => false,
            Some(Past::Either) if self.is_plain(at) => false,
            Some(Past::Either | Past::Sure) => {
                !(self.is_fixed(at)
                    || self.describes(at)
                    || self.is_ordered(at)
                    || self.is_caused(at)
                    || self.is_relative(at)
                    || self.is_condition(at))
            }
        }
    }

    /// What says no change wherever it stands: "much appreciated", "I've got to".
    fn is_fixed(&self, at: usize) -> bool {
        let (key, next) = (self.key(at), self.key(at + 1));
        let before = self.before(at).map_or("", |(_, key)| key);
        match key {
            "named" | "called" => true,
            "labelled" | "labeled" | "tagged" | "annotated" => {
                matches!(next, "with" | "as") || next.contains('=')
            }
            "got" => next == "to" && (before.ends_with("'ve") || matches!(before, "have" | "has")),
            "had" => next == "better",
            // "got" tells by itself.
            "rid" => next == "of",
            "needed" | "required" => matches!(before, "is" | "are") || at + 1 >= self.tokens.len(),
            "supposed" | "meant" | "expected" => matches!(before, "is" | "are") && next == "to",
            _ => RELATIONS.contains(&key) && matches!(next, "to" | "with"),
        }
    }

    fn is_past(&self, at: usize) -> bool {
        self.tokens
            .get(at)
            .is_some_and(|token| token.shape == Shape::Word && past::of(&token.key).is_some())
    }

    /// "the evicted pods", "all failed and crashed jobs", "get rid of evicted pods".
    fn describes(&self, at: usize) -> bool {
        let mut noun = at + 1;
        while self.is_past(noun) || matches!(self.key(noun), "and" | "or" | ",") && self.is_past(noun + 1) {
            noun += 1;
        }
        let one = matches!(self.key(noun), "one" | "ones");
        let what = one || self.is_name(noun) || self.is_kind(noun);
        self.is_attributive(at, at, what.then_some(noun))
    }

    /// Words for many of a kind, as far as one sees.
    fn is_kind(&self, at: usize) -> bool {
        let key = self.key(at);
        key == "ones" || key.len() > 3 && key.ends_with('s') && !key.ends_with("ss")
    }

    /// Whether what stands before this word makes it one that describes the noun behind it.
    fn is_attributive(&self, at: usize, first: usize, noun: Option<usize>) -> bool {
        let Some((before, key)) = self.before(at) else {
            return false;
        };
        let Some(noun) = noun else {
            // "nuke the crashed"
            return matches!(key, "the") && !self.is_object(first + 1);
        };
        if ARTICLES.contains(&key) {
            return true;
        }
        let opens = before == self.clause(before);
        match key {
            "'s" => {
                // "zap web's evicted pods" against "Bob's deleted web"
                let owner = before.checked_sub(1);
                owner.is_some_and(|owner| owner > self.clause(owner) && self.is_kind(noun))
            }
            "and" | "or" | "," => self.before(before).is_some_and(|(other, _)| {
                self.is_past(other) && self.is_attributive(other, first, Some(noun))
            }),
            "that" | "this" => false,
            // "clean up evicted pods"
            _ if PARTICLES.contains(&key) && self.is_kind(noun) && past::is_state(self.key(first)) => {
                before.checked_sub(1) == Some(self.clause(before))
            }
            _ if PREPOSITIONS.contains(&key) => !opens,
            _ if QUANTITIES.contains(&key) => self.is_quantified(before, first, noun),
            _ if vocab::VAGUE.contains(&key)
                || self.is_past(before)
                || key.parse::<u32>().is_ok()
                || is_number(key) =>
            {
                !opens && self.is_attributive(before, first, Some(noun))
            }
            _ => opens && (self.removes(before) || past::is_condition(self.key(first)) && self.is_kind(noun)),
        }
    }

    /// "all evicted pods", but not "they all evicted pods", "ops all evicted pods".
    fn is_quantified(&self, at: usize, first: usize, noun: usize) -> bool {
        let (state, any) = (past::is_state(self.key(first)), self.key(at) == "any");
        if !(self.is_kind(noun) || any) {
            return false;
        }
        let ordered = || {
            let rest = (noun + 1..noun + REACH).take_while(|i| !self.is_in(*i, CLAUSES));
            rest.into_iter()
                .any(|i| self.is_in(i, MODALS) || matches!(self.key(i), "needs" | "need" | "has" | "have"))
        };
        match self.before(at) {
            None => past::is_condition(self.key(first)) || ordered(),
            Some((_, "let" | "sure" | "ensure")) => true,
            Some((before, key)) => {
                let words = [PREPOSITIONS, PARTICLES, CAUSES, DOINGS, &["like", "love", "that"]];
                let pointed = matches!(self.key(at), "those" | "these");
                let verb = self.is_base(before) || self.is_name(before) && (state || any || pointed);
                let led = CLAUSES.contains(&key) || key == ",";
                let people =
                    self.is_subject(before) && key != "that" || key.ends_with('s') && self.is_name(before);
                !people && (verb || led && ordered() || words.iter().any(|words| words.contains(&key)))
            }
        }
    }

    fn is_base(&self, at: usize) -> bool {
        vocab::verb_at(Form::Base, |i| self.key(at + i)).is_some()
    }

    /// A verb that is no noun, too: "nuke evicted pods", but not "release restarted pods".
    fn removes(&self, at: usize) -> bool {
        let verb = vocab::verb_at(Form::Base, |i| self.key(at + i));
        matches!(verb, Some((Verb::Delete | Verb::Kill, 1)))
    }

    /// "should be deleted", "has to get deleted", "I want web to be deleted", "make sure that web is deleted".
    fn is_ordered(&self, at: usize) -> bool {
        if self.is_object(at + 1) && self.key(at + 1) != "rid" {
            return false;
        }
        let Some(aux) = self.skip_adverbs(at) else {
            return false;
        };
        match self.key(aux) {
            "be" | "get" => self.is_governed(aux),
            "is" | "are" | "gets" | "stays" => self.is_ensured(aux),
            _ => false,
        }
    }

    fn is_governed(&self, aux: usize) -> bool {
        let clause = self.clause(aux);
        let Some(by) = self.skip_adverbs(aux) else {
            return false;
        };
        let said = || (by.saturating_sub(REACH)..by).filter(|i| *i + 1 >= clause);
        match self.key(by) {
            key if MODALS.contains(&key) => true,
            "to" => {
                let wish = said().any(|i| self.is_in(i, WISHES));
                wish && !said().any(|i| self.is_in(i, SEEMING))
            }
            // "let web be", "can web be"
            _ => {
                let start = (aux.saturating_sub(REACH)..aux)
                    .rev()
                    .find(|i| self.is_in(*i, CLAUSES));
                let start = start.map_or(aux.saturating_sub(REACH), |i| i + 1);
                let opener = (start..aux)
                    .find(|i| !matches!(self.key(*i), "please" | "and" | "," | "ok" | "hey" | "hi"));
                opener.is_some_and(|i| {
                    matches!(self.key(i), "let" | "can" | "could")
                        && !(i + 1..aux).any(|i| self.is_in(i, SUBJECTS))
                })
            }
        }
    }

    fn is_ensured(&self, aux: usize) -> bool {
        let from = self.clause(aux);
        (from..aux).any(|i| {
            let ensures = match self.key(i) {
                "ensure" => i == from,
                "sure" => self
                    .before(i)
                    .is_some_and(|(at, key)| matches!(key, "make" | "be") && at == from),
                "it" => self.key(i.saturating_sub(2)) == "see" && i.saturating_sub(2) <= from,
                _ => false,
            };
            let own = self.before(from).map_or("", |(_, key)| key);
            let own = !matches!(own, "we" | "somebody" | "someone" | "you" | "u") || self.is_asked(from);
            ensures && own && !(i + 1..aux).any(|i| self.is_subject(i) && self.key(i) != "that")
        })
    }

    fn is_subject(&self, at: usize) -> bool {
        self.is_in(at, SUBJECTS)
    }

    /// "I want web deleted", "please have web deleted", "I'd love to see web deleted".
    fn is_caused(&self, at: usize) -> bool {
        self.caused_by(at).is_some()
    }

    fn caused_by(&self, at: usize) -> Option<usize> {
        if self.is_object(at + 1) || !self.is_past(at) {
            return None;
        }
        let causes = |i: &usize| {
            let key = self.key(*i);
            CAUSES.contains(&key) || DOINGS.contains(&key) || matches!(key, "like" | "love")
        };
        let ends = |i: &usize| {
            let key = self.key(*i);
            !CLAUSES.contains(&key)
                && !matches!(
                    key,
                    "," | "to" | "that" | "who" | "which" | "what" | "how" | "why" | "whom"
                )
        };
        let within = (0..at).rev().take(REACH).take_while(ends).find(causes);
        let by = within.filter(|by| by + 1 < at)?;
        let between = |i: usize| {
            let one = self.key(i) == "it" && i == by + 1;
            let told = self.is_past(i) && !self.describes(i) || matches!(self.key(i), "been" | "being");
            self.is_subject(i) && !one || told
        };
        (!(by + 1..at).any(between) && self.orders(by)).then_some(by)
    }

    /// "can you have", "let us see"
    fn is_asked(&self, verb: usize) -> bool {
        let Some(before) = self.skip_adverbs(verb) else {
            return false;
        };
        let person = matches!(
            self.key(before),
            "you" | "we" | "u" | "somebody" | "someone" | "us"
        );
        let modal = self.skip_adverbs(before).map_or("", |at| self.key(at));
        person && (POLITE.contains(&modal) || matches!(modal, "let" | "must" | "should"))
    }

    /// Whether "have", "get" or a wish is the speaker's own, and not told of.
    fn orders(&self, by: usize) -> bool {
        let before = self.skip_adverbs(by);
        let key = before.map_or("", |at| self.key(at));
        let opens = before.is_none()
            || CLAUSES.contains(&key)
            || matches!(key, "," | "and" | "please" | "ok" | "hey");
        let asked = || self.is_asked(by);
        let seems = || (by.saturating_sub(REACH)..by).any(|i| self.is_in(i, SEEMING));
        match self.key(by) {
            "like" | "love" => matches!(key, "would" | "so") || key.ends_with("'d"),
            "see" => {
                // What one wants to see is not there yet; what one sees is.
                let wish = before
                    .filter(|_| key == "to")
                    .and_then(|at| self.skip_adverbs(at));
                wish.is_some_and(|at| {
                    matches!(
                        self.key(at),
                        "like" | "love" | "want" | "prefer" | "hope" | "nice" | "good" | "great" | "lovely"
                    )
                }) || asked() && self.before(by).is_some_and(|(_, key)| key == "please")
            }
            "have" | "get" | "make" | "keep" => {
                opens && !matches!(self.key(by + 1), "you" | "they" | "we" | "i" | "he" | "she")
                    || matches!(key, "let's" | "lets")
                    || key == "to" && !seems()
                    || matches!(key, "should" | "must") && self.key(by) != "make"
                    || asked()
            }
            _ => !matches!(key, "did" | "didn't"),
        }
    }

    /// "zap the pods that were evicted", "zap the pods created by bob": an order, and what it is to hit.
    fn is_relative(&self, at: usize) -> bool {
        let from = self.clause(at);
        let aux = [
            "was", "were", "is", "are", "got", "been", "have", "has", "had", "just",
        ];
        let linked = (0..at).rev().take(4).find(|i| !self.is_in(*i, &aux));
        let behind = linked.filter(|i| matches!(self.key(*i), "that" | "which"));
        // "zap everything that", "zap the pods created by"
        let passive = matches!(self.key(at + 1), "by" | "from" | "in" | "on" | "with" | "for");
        let noun = match behind {
            Some(that) => that.checked_sub(1),
            None if passive => at.checked_sub(1),
            None => None,
        };
        let Some(noun) = noun.filter(|noun| self.is_name(*noun)) else {
            return false;
        };
        let verb = self.is_name(from) && !self.is_past(from) && !self.is_in(from, ATTENTION);
        // "clean up the"
        let mut next = from + 1;
        while self.is_in(next, PARTICLES) || matches!(self.key(next), "rid" | "of") {
            next += 1;
        }
        let article = ARTICLES.contains(&self.key(next)) || QUANTITIES.contains(&self.key(next));
        let plural = self.key(from).ends_with('s');
        verb && article
            && next < noun
            && !plural
            && !(next..noun).any(|i| self.is_subject(i) || self.is_past(i) && !self.describes(i))
    }

    /// "web is stuck": how it is, not what was done to it.
    fn is_condition(&self, at: usize) -> bool {
        let by = self.skip_adverbs(at).map_or("", |at| self.key(at));
        let polite = matches!(
            self.key(at),
            "appreciated" | "pleased" | "delighted" | "thrilled" | "obliged"
        );
        polite && matches!(by, "be" | "much" | "greatly" | "very" | "am" | "is" | "are")
            || past::is_condition(self.key(at)) && self.is_behind_all(at)
            || past::is_condition(self.key(at))
                && matches!(
                    by,
                    "is" | "are" | "looks" | "seems" | "feels" | "too" | "so" | "very" | "badly" | "gets"
                )
    }

    /// "zap anything unused"
    fn is_behind_all(&self, at: usize) -> bool {
        let all = self
            .before(at)
            .filter(|(_, key)| matches!(*key, "anything" | "everything" | "whatever"));
        all.is_some_and(|(all, _)| {
            all.checked_sub(1)
                .is_some_and(|verb| verb == self.clause(all) && self.is_name(verb))
                && !self.is_object(at + 1)
        })
    }
}

fn is_number(key: &str) -> bool {
    crate::interpret::number_at(&[key]).is_some()
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
