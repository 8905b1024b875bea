//! An answer as it comes in: whole, as lines of JSON, or as server-sent events (WHATWG HTML, 9.2). What was said so far can be
//! looked at meanwhile; what it is, is decided at its end.

use serde_json::Value;

use super::{Dialect, Reply, anthropic, gemini, ollama, openai};
use crate::failure::Failure;

/// The form of an answer's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// One JSON object: also what a server sends that does not stream.
    #[default]
    Whole,
    /// One JSON object a line.
    Lines,
    /// Server-sent events.
    Events,
}

impl Form {
    /// The form that a content type names.
    #[must_use]
    pub fn of(content_type: &str) -> Self {
        let name = content_type.split(';').next().unwrap_or_default().trim();
        match name.to_ascii_lowercase().as_str() {
            "application/x-ndjson" | "application/jsonl" => Self::Lines,
            "text/event-stream" => Self::Events,
            _ => Self::Whole,
        }
    }
}

/// What was said so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Partial {
    /// The words.
    pub(super) words: String,
    /// Tokens read and written, as the server counts them.
    pub(super) tokens: (u64, u64),
    /// The server said that this is all.
    pub(super) ended: bool,
}

/// Takes an answer piece by piece.
#[derive(Debug)]
pub struct Feed {
    dialect: Dialect,
    form: Form,
    /// What is no whole line yet; of a whole answer all of it.
    rest: Vec<u8>,
    /// Data of the event under way.
    data: Option<String>,
    partial: Partial,
    wrong: Option<Failure>,
}

impl Feed {
    /// Of an answer of this dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            form: Form::Whole,
            rest: vec![],
            data: None,
            partial: Partial::default(),
            wrong: None,
        }
    }

    /// The answer begins, and has this form.
    pub fn begin(&mut self, form: Form) {
        self.form = form;
    }

    /// A piece of it, however it was cut.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.form == Form::Whole {
            self.rest.extend_from_slice(bytes);
            return;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.line();
            }
        }
    }

    /// The words so far. They are not judged yet, so nobody is shown them.
    #[must_use]
    pub fn so_far(&self) -> &str {
        &self.partial.words
    }

    /// How many letters came in so far; of a whole answer, bytes.
    #[must_use]
    pub fn heard(&self) -> usize {
        self.partial.words.chars().count().max(self.rest.len())
    }

    /// What it was, now that it is over.
    ///
    /// # Errors
    /// When it is not of the form its API has, or was cut.
    pub fn finish(mut self) -> Result<Reply, Failure> {
        if self.form == Form::Whole {
            return self.dialect.reply(&self.rest);
        }
        // The last line needs no end, nor the last event an empty line.
        self.line();
        self.dispatch();
        match self.wrong {
            Some(wrong) => Err(wrong),
            None if !self.partial.ended => Err(Failure::Form("the answer is not done")),
            None => Ok(Reply {
                words: self.partial.words,
                tokens: self.partial.tokens,
            }),
        }
    }

    fn line(&mut self) {
        let line = std::mem::take(&mut self.rest);
        let Ok(line) = String::from_utf8(line) else {
            self.fail(Failure::Form("it is no text"));
            return;
        };
        let line = line.trim_end_matches(['\r', '\n']);
        if self.form == Form::Lines {
            if !line.trim().is_empty() {
                self.event(line);
            }
            return;
        }
        if line.is_empty() {
            self.dispatch();
        } else if let Some(data) = line.strip_prefix("data:") {
            let data = data.strip_prefix(' ').unwrap_or(data);
            match &mut self.data {
                None => self.data = Some(data.to_owned()),
                Some(all) => {
                    all.push('\n');
                    all.push_str(data);
                }
            }
        }
    }

    fn dispatch(&mut self) {
        if let Some(data) = self.data.take() {
            self.event(&data);
        }
    }

    fn event(&mut self, data: &str) {
        if self.wrong.is_some() || data == "[DONE]" {
            return;
        }
        let Ok(event) = serde_json::from_str::<Value>(data) else {
            return self.fail(Failure::Form("an event of it is no JSON"));
        };
        let taken = match self.dialect {
            Dialect::Ollama => ollama::event(&mut self.partial, &event),
            Dialect::OpenAi => openai::event(&mut self.partial, &event),
            Dialect::Anthropic => anthropic::event(&mut self.partial, &event),
            Dialect::Gemini => gemini::event(&mut self.partial, &event),
        };
        if let Err(wrong) = taken {
            self.fail(wrong);
        }
    }

    /// The first thing that is wrong is what is said.
    fn fail(&mut self, wrong: Failure) {
        self.wrong.get_or_insert(wrong);
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
