//! Google's Gemini API, `POST /v1beta/models/MODEL:generateContent`: `responseSchema` in `generationConfig`. The key goes
//! into a header, never into the URL.

use serde_json::{Value, json};

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
        path: format!("/v1beta/models/{model}:generateContent"),
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
    if body.pointer("/promptFeedback/blockReason").is_some() {
        return Err(Failure::Form("the server filtered the prompt"));
    }
    match text(body, "/candidates/0/finishReason") {
        Some("STOP") | None => {}
        Some("MAX_TOKENS") => return Err(Failure::Form("the answer was cut at maxTokens")),
        Some(_) => return Err(Failure::Form("the server ended the answer early")),
    }
    let parts = body
        .pointer("/candidates/0/content/parts")
        .and_then(Value::as_array)
        .ok_or(Failure::Form("there is no content"))?;
    // What a model thinks is not what it says.
    let said = parts
        .iter()
        .filter(|part| part.get("thought") != Some(&Value::Bool(true)));
    let words: Option<String> = said.map(|part| text(part, "/text")).collect();
    Ok(Reply {
        words: words.ok_or(Failure::Form("a part is no text"))?,
        tokens: (
            count(body, "/usageMetadata/promptTokenCount"),
            count(body, "/usageMetadata/candidatesTokenCount"),
        ),
    })
}
