//! Verbs whose past is written like their plain form: where they order.

use super::Sentence;
use crate::interpret::told_words::{CLAUSES, LEADS, MODALS, OPENERS, POLITE};

impl Sentence<'_> {
    /// "set", "cut" and the like where they are no past: at the beginning, behind what asks for a plain form, as nouns.
    pub(super) fn is_plain(&self, at: usize) -> bool {
        let Some(before) = self.skip_adverbs(at) else {
            return true;
        };
        let key = self.key(before);
        let noun = matches!(
            key,
            "replica" | "stateful" | "daemon" | "new" | "whole" | "one" | "this"
        ) || matches!(key, "the" | "a" | "an" | "my" | "our" | "your" | "their");
        let asks = matches!(
            key,
            "to" | "and" | "or" | "," | "go" | "let's" | "lets" | "don't" | "i'll" | "we'll" | "you'll"
        ) || POLITE.contains(&key)
            || MODALS.contains(&key);
        let person = matches!(
            key,
            "you" | "we" | "u" | "somebody" | "someone" | "it" | "me" | "us" | "them" | "him" | "her"
        );
        let led = self.before(before).is_some_and(|(_, led)| {
            POLITE.contains(&led) || matches!(led, "let" | "make" | "help" | "have" | "should")
        });
        if person {
            return led;
        }
        CLAUSES.contains(&key) || noun || asks || self.opens(at)
    }

    /// Whether nobody stands before this word in its clause, only when and where it is to be: "first", "in prod".
    fn opens(&self, at: usize) -> bool {
        let mut from = self.clause(at);
        while from < at {
            from += match self.place(from) {
                Some(words) => words,
                None if self.is_in(from, LEADS) || self.is_in(from, OPENERS) => 1,
                None => return false,
            };
        }
        from == at
    }

    /// How many words say where: "in prod", "in the namespace prod".
    fn place(&self, from: usize) -> Option<usize> {
        if !matches!(
            self.key(from),
            "in" | "within" | "inside" | "on" | "for" | "under"
        ) {
            return None;
        }
        let space = |at: usize| matches!(self.key(at), "namespace" | "ns");
        let mut at = from + 1;
        at += usize::from(self.key(at) == "the");
        at += usize::from(space(at));
        if !self.is_name(at) {
            return None;
        }
        at += 1;
        at += usize::from(space(at));
        Some(at - from)
    }
}
