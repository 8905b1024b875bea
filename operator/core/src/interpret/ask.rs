//! A question put back to the person, and why it is put.

use super::Interpretation;

/// Why the rules ask instead of acting. It decides whether anybody else may read the sentence in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// They understood enough of it to ask back, to refuse it, or to say how it is done: nobody else is to find a change in it.
    OnPurpose,
    /// They have no words for it. Who has may read it.
    NoWords,
    /// They have no words for it, but it asks, forbids, or makes conditions: who has words for it may read, and change nothing.
    OnlyReads,
}

/// Why a prompt is not acted on.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) message: String,
    pub(super) candidates: Vec<String>,
    /// The message needs no better explanation than itself.
    pub(super) final_word: bool,
    pub(super) why: Why,
}

impl Ask {
    /// A question that is put on purpose, as all are unless they say otherwise.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self::with(message, Vec::new())
    }

    pub(super) fn with(message: impl Into<String>, candidates: Vec<String>) -> Self {
        Self {
            message: message.into(),
            candidates,
            final_word: false,
            why: Why::OnPurpose,
        }
    }

    pub(super) const fn firm(mut self) -> Self {
        self.final_word = true;
        self
    }

    /// It is put because words are lacking.
    pub(super) const fn without_words(mut self) -> Self {
        self.why = Why::NoWords;
        self
    }

    /// It is about a read, which opened with this word: who understands more of it may read. "I would love to see web doubled"
    /// shows nothing.
    pub(super) fn about_a_read(mut self, word: &str) -> Self {
        if self.why == Why::OnPurpose && !self.final_word {
            self.why = if word == "see" {
                Why::NoWords
            } else {
                Why::OnlyReads
            };
        }
        self
    }

    pub(super) fn into_interpretation(self) -> Interpretation {
        Interpretation::NeedsInput {
            message: self.message,
            candidates: self.candidates,
            why: self.why,
        }
    }
}

impl Interpretation {
    /// The same, and nobody else reads it in another way.
    pub(super) fn on_purpose(self) -> Self {
        match self {
            Self::NeedsInput {
                message, candidates, ..
            } => Self::NeedsInput {
                message,
                candidates,
                why: Why::OnPurpose,
            },
            other @ (Self::Intents(_) | Self::Chat { .. } | Self::UndoPrevious | Self::WhatIf(_)) => other,
        }
    }
}
