//! The cursor over tokens that every phrase parser shares.

use super::lexicon::{KindInfo, KindMatch, Lexicon};
use super::token::{Shape, Token};
use super::vocab::{self, Form};
use super::{Ask, names, typo, words};

/// A place in the tokens, what is known about words, and the typing errors read so far.
pub(super) struct Parser<'a> {
    pub(super) toks: &'a [Token],
    pub(super) pos: usize,
    pub(super) lex: &'a Lexicon,
    /// `(written, read as)`.
    pub(super) typos: Vec<(String, String)>,
    /// Inside "pods of": an owner has no owner of its own, so that nesting stays flat.
    pub(super) in_owner: bool,
}

/// A kind as the prompt gave it.
#[derive(Clone, Debug)]
pub(super) enum KindRef<'a> {
    /// The lexicon knows it.
    Known(&'a KindInfo),
    /// As written.
    Written(String),
}

impl KindRef<'_> {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Known(info) => &info.kind,
            Self::Written(text) => text,
        }
    }
}

impl<'a> Parser<'a> {
    pub(super) const fn new(toks: &'a [Token], lex: &'a Lexicon) -> Self {
        Self {
            toks,
            pos: 0,
            lex,
            typos: Vec::new(),
            in_owner: false,
        }
    }

    pub(super) fn tok(&self, ahead: usize) -> Option<&'a Token> {
        self.toks.get(self.pos + ahead)
    }

    /// The comparable form of a token; empty at the end and for quoted text.
    pub(super) fn key(&self, ahead: usize) -> &'a str {
        self.tok(ahead).map_or("", |t| t.key.as_str())
    }

    /// A word as written; empty for marks, quoted text and the end.
    pub(super) fn text(&self, ahead: usize) -> &'a str {
        self.tok(ahead)
            .filter(|t| t.shape == Shape::Word)
            .map_or("", |t| t.text.as_str())
    }

    pub(super) fn is_quoted(&self, ahead: usize) -> bool {
        self.tok(ahead).is_some_and(|t| t.shape == Shape::Quoted)
    }

    pub(super) fn at_end(&self) -> bool {
        self.pos >= self.toks.len()
    }

    /// Takes one token if it is one of `keys`.
    pub(super) fn eat(&mut self, keys: &[&str]) -> bool {
        let found = !self.key(0).is_empty() && keys.contains(&self.key(0));
        self.pos += usize::from(found);
        found
    }

    /// Takes the longest of `phrases` that stands here.
    pub(super) fn eat_phrase(&mut self, phrases: &[&str]) -> bool {
        let len = self.phrase(phrases);
        self.pos += len.unwrap_or(0);
        len.is_some()
    }

    /// Length of the longest of `phrases` that stands here.
    pub(super) fn phrase(&self, phrases: &[&str]) -> Option<usize> {
        vocab::phrase_len(phrases, |i| self.key(i))
    }

    /// Takes words that carry nothing.
    pub(super) fn fillers(&mut self) -> bool {
        let from = self.pos;
        while self.eat_phrase(vocab::FILLERS) || self.emoticon() {}
        self.pos > from
    }

    /// `:)` and pictures.
    fn emoticon(&mut self) -> bool {
        let picture = |t: &&Token| {
            t.shape == Shape::Word && t.key.chars().all(|c| c > '\u{2190}' && !c.is_alphanumeric())
        };
        let len = match (self.key(0), self.key(1)) {
            (":" | ";", ")" | "(" | "-)" | "d" | "p") => 2,
            _ => usize::from(self.tok(0).as_ref().is_some_and(picture)),
        };
        self.pos += len;
        len > 0
    }

    /// Runs a parser and goes back if it found nothing.
    pub(super) fn attempt<T>(&mut self, parse: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let (pos, typos) = (self.pos, self.typos.len());
        let found = parse(self);
        if found.is_none() {
            self.pos = pos;
            self.typos.truncate(typos);
        }
        found
    }

    pub(super) fn kind_at(&self, ahead: usize) -> Option<KindMatch<'a>> {
        let lex: &'a Lexicon = self.lex;
        let found = lex.at(|i| self.key(ahead + i))?;
        // "events" are a question of their own, never rows of a kind.
        (found.info.kind != "Event").then_some(found)
    }

    pub(super) fn verb_here(&self, ahead: usize, form: Form) -> Option<(vocab::Verb, usize)> {
        vocab::verb_at(form, |i| self.key(ahead + i))
    }

    /// A whole number.
    pub(super) fn number(&mut self) -> Option<i64> {
        let (n, len) = words::number(|i| self.key(i))?;
        self.pos += len;
        Some(n)
    }

    pub(super) fn duration(&mut self) -> Option<i64> {
        let (n, len) = words::duration(|i| self.key(i))?;
        self.pos += len;
        Some(n)
    }

    /// Whether the token can be an object's name without quotes.
    pub(super) fn is_name(&self, ahead: usize) -> bool {
        let Some(tok) = self.tok(ahead).filter(|t| t.shape == Shape::Word) else {
            return false;
        };
        let key = tok.key.as_str();
        let plain = !key.contains([':', '@', '=', '/', '<', '>', '|', '$', '%', '*', '{', '}'])
            && !key.starts_with('-')
            && !key.ends_with('-')
            && key.chars().any(char::is_alphanumeric);
        plain
            && !vocab::is_reserved(key)
            && !vocab::FILLERS.contains(&key)
            && !vocab::VAGUE.contains(&key)
            && vocab::state_at(|i| self.key(ahead + i)).is_none()
            && words::number(|i| self.key(ahead + i)).is_none()
            && words::compact_duration(key).is_none()
            && words::quantity(|_| "", |i| if i == 0 { tok.text.as_str() } else { "" }).is_none()
            && !names::is_version(&tok.text)
            && !key.starts_with(['+', '.'])
    }

    /// A name that stands where only a name can: after `called`, a kind, or in quotes.
    pub(super) fn name_in_place(&mut self) -> Option<String> {
        let tok = self.tok(0)?;
        let fits = match tok.shape {
            Shape::Quoted => true,
            Shape::Word => {
                self.is_name(0)
                    || vocab::GENERIC.contains(&self.key(0))
                    || (vocab::VAGUE.contains(&self.key(0)) && !self.is_name(1))
            }
            Shape::Mark => false,
        };
        if !fits {
            return None;
        }
        self.pos += 1;
        Some(tok.text.clone())
    }

    /// A kind one typing error away; notes the correction.
    pub(super) fn mistyped_kind(&mut self, ahead: usize) -> Option<KindMatch<'a>> {
        let tok = self.tok(ahead).filter(|t| t.shape == Shape::Word)?;
        let lex: &'a Lexicon = self.lex;
        let word = typo::closest_kind(&tok.key, lex)?;
        let found = lex.at(|i| if i == 0 { word } else { "" })?;
        self.typos.push((tok.text.clone(), word.to_owned()));
        Some(KindMatch { len: 1, ..found })
    }

    /// The refusal that names the words it stopped at.
    pub(super) fn unclear(&self) -> Ask {
        let words: Vec<&str> = self
            .toks
            .iter()
            .skip(self.pos)
            .take(4)
            .map(|t| t.text.as_str())
            .collect();
        if words.is_empty() {
            return Ask::new("The sentence ends too early: something is missing");
        }
        Ask::new(format!(
            "I do not understand {} here",
            names::shown(&words.join(" "))
        ))
        .without_words()
    }
}
