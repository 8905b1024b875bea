//! Google's Gemini API, `POST /v1beta/models/MODEL:streamGenerateContent`: `responseSchema` in `generationConfig`. The key goes
//! into a header, never into the URL.

use serde_json::{Value, json};

use super::stream::Partial;
use super::{Reply, Request, Turn, count, messages, text};
use crate::failure::Failure;
use crate::schema::for_gemini;

pub(super) fn request(ask: &Turn<'_>) -> Request {
    let all: Vec<Value> = messages(ask)
        .into_iter()
        .map(|(role, content)| {
            let role = if role == "assistant" { "model" } else { role };
            json!({"role": role, "parts": [{"text": content}]})
        })
        .collect();
    // A model's name is one segment of the path.
    let model: String =
        url::form_urlencoded::byte_serialize(ask.model.trim_start_matches("models/").as_bytes()).collect();
    Request {
        path: format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
        headers: &[],
        body: json!({
            "systemInstruction": {"parts": [{"text": ask.system}]},
            "contents": all,
            "generationConfig": {
                "temperature": 0,
                "maxOutputTokens": ask.max_tokens,
                "responseMimeType": "application/json",
                "responseSchema": for_gemini(ask.schema)
            }
        }),
    }
}

pub(super) fn reply(body: &Value) -> Result<Reply, Failure> {
    finished(body)?;
    let words = said(body)?.ok_or(Failure::Form("there is no content"))?;
    Ok(Reply {
        words,
        tokens: tokens(body),
    })
}

/// A piece of a streamed answer: each is of the form of a whole one, and counts the tokens up to it.
pub(super) fn event(so_far: &mut Partial, piece: &Value) -> Result<(), Failure> {
    if piece.get("error").is_some() {
        return Err(Failure::Form("the server broke its answer off"));
    }
    so_far.ended |= finished(piece)?;
    so_far.words.push_str(&said(piece)?.unwrap_or_default());
    if piece.get("usageMetadata").is_some() {
        so_far.tokens = tokens(piece);
    }
    Ok(())
}

/// Whether the server says that the answer has ended, and ended well.
fn finished(body: &Value) -> Result<bool, Failure> {
    if body.pointer("/promptFeedback/blockReason").is_some() {
        return Err(Failure::Declined("the server filtered the prompt"));
    }
    match text(body, "/candidates/0/finishReason") {
        None => Ok(false),
        Some("STOP") => Ok(true),
        Some("MAX_TOKENS") => Err(Failure::Declined("the answer was cut at maxTokens")),
        Some(_) => Err(Failure::Declined("the server ended the answer early")),
    }
}

/// The words of a body; what a model thinks is not what it says.
fn said(body: &Value) -> Result<Option<String>, Failure> {
    let parts = body
        .pointer("/candidates/0/content/parts")
        .and_then(Value::as_array);
    let Some(parts) = parts else { return Ok(None) };
    let said = parts
        .iter()
        .filter(|part| part.get("thought") != Some(&Value::Bool(true)));
    let words: Option<String> = said.map(|part| text(part, "/text")).collect();
    words.map(Some).ok_or(Failure::Form("a part is no text"))
}

fn tokens(body: &Value) -> (u64, u64) {
    (
        count(body, "/usageMetadata/promptTokenCount"),
        // What it thinks is written and paid for too.
        count(body, "/usageMetadata/candidatesTokenCount")
            .saturating_add(count(body, "/usageMetadata/thoughtsTokenCount")),
    )
}
