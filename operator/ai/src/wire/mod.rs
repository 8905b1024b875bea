//! What each kind of model server is sent and what it answers, as pure functions: one file a kind.

mod anthropic;
mod gemini;
mod ollama;
mod openai;
mod stream;

use kubechat_crds::ai_provider::ProviderType;
use serde_json::Value;

pub use stream::{Feed, Form};

use crate::failure::Failure;

/// How a model server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Ollama's `/api/chat`, with `format`.
    Ollama,
    /// `/v1/chat/completions`, with `response_format`.
    OpenAi,
    /// Anthropic's `/v1/messages`, with a tool that must be used.
    Anthropic,
    /// Gemini's `:generateContent`, with `responseSchema`.
    Gemini,
}

impl Dialect {
    /// The dialect of a provider's type; rules are no model.
    #[must_use]
    pub const fn of(provider: ProviderType) -> Option<Self> {
        match provider {
            ProviderType::Rules => None,
            ProviderType::Ollama => Some(Self::Ollama),
            ProviderType::OpenAICompatible => Some(Self::OpenAi),
            ProviderType::Anthropic => Some(Self::Anthropic),
            ProviderType::Gemini => Some(Self::Gemini),
        }
    }

    /// What is sent.
    #[must_use]
    pub fn request(self, ask: &Turn<'_>) -> Request {
        match self {
            Self::Ollama => ollama::request(ask),
            Self::OpenAi => openai::request(ask),
            Self::Anthropic => anthropic::request(ask),
            Self::Gemini => gemini::request(ask),
        }
    }

    /// The header that holds the key, and its value.
    #[must_use]
    pub fn credential(self, key: &str) -> (&'static str, String) {
        match self {
            Self::Ollama | Self::OpenAi => ("authorization", format!("Bearer {key}")),
            Self::Anthropic => ("x-api-key", key.to_owned()),
            Self::Gemini => ("x-goog-api-key", key.to_owned()),
        }
    }

    /// What the server's answer says.
    ///
    /// # Errors
    /// When it is not of the form its API has.
    pub fn reply(self, body: &[u8]) -> Result<Reply, Failure> {
        let body: Value = serde_json::from_slice(body).map_err(|_| Failure::Form("no JSON"))?;
        match self {
            Self::Ollama => ollama::reply(&body),
            Self::OpenAi => openai::reply(&body),
            Self::Anthropic => anthropic::reply(&body),
            Self::Gemini => gemini::reply(&body),
        }
    }
}

/// What is to be said, with nothing in it that must not leave.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// What it is to do.
    pub system: &'a str,
    /// The person's words, redacted.
    pub prompt: &'a str,
    /// What it said before and why that was rejected.
    pub repair: Option<(&'a str, &'a str)>,
    /// The JSON Schema of the answer.
    pub schema: &'a Value,
    /// Tokens of the answer at most.
    pub max_tokens: u32,
}

/// A request, but for address and key.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Below the endpoint, beginning with `/`.
    pub path: String,
    /// Headers beside the content type.
    pub headers: &'static [(&'static str, &'static str)],
    /// The body.
    pub body: Value,
}

/// What a model said.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Its words; from a tool its input, written as JSON.
    pub words: String,
    /// Tokens read and written, as the server counts them.
    pub tokens: (u64, u64),
}

/// Turns of a conversation as most servers write them: the repair is what the model said, and what was wrong with it.
fn messages(ask: &Turn<'_>) -> Vec<(&'static str, String)> {
    let mut all = vec![("user", ask.prompt.to_owned())];
    if let Some((said, wrong)) = ask.repair {
        all.push(("assistant", said.to_owned()));
        all.push(("user", repair(wrong)));
    }
    all
}

fn repair(wrong: &str) -> String {
    format!("That was rejected: {wrong}. Answer again, with one JSON object of the schema and nothing else.")
}

fn count(body: &Value, pointer: &str) -> u64 {
    body.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

fn text<'v>(body: &'v Value, pointer: &str) -> Option<&'v str> {
    body.pointer(pointer).and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
