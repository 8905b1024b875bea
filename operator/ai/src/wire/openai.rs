//! OpenAI's chat completions, `POST /v1/chat/completions`, and the many servers that speak it: `response_format` of type
//! `json_schema`. Not `strict`: that needs every field to be there, and servers differ in it; the parser is strict instead.

use serde_json::{Value, json};

use super::stream::Partial;
use super::{Reply, Request, Turn, count, messages, text};
use crate::failure::Failure;

pub(super) fn request(ask: &Turn<'_>) -> Request {
    let mut all = vec![json!({"role": "system", "content": ask.system})];
    all.extend(
        messages(ask)
            .into_iter()
            .map(|(role, content)| json!({"role": role, "content": content})),
    );
    Request {
        path: "/v1/chat/completions".to_owned(),
        headers: &[],
        body: json!({
            "model": ask.model,
            "messages": all,
            "temperature": 0,
            "max_tokens": ask.max_tokens,
            "stream": true,
            "stream_options": {"include_usage": true},
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "intents", "strict": false, "schema": ask.schema}
            }
        }),
    }
}

pub(super) fn reply(body: &Value) -> Result<Reply, Failure> {
    finished(body)?;
    refused(body, "/choices/0/message/refusal")?;
    let words = text(body, "/choices/0/message/content").ok_or(Failure::Form("there is no message"))?;
    Ok(Reply {
        words: words.to_owned(),
        tokens: tokens(body),
    })
}

/// A chunk of a streamed answer; the last one has no choice and counts the tokens.
pub(super) fn event(so_far: &mut Partial, chunk: &Value) -> Result<(), Failure> {
    if chunk.get("error").is_some_and(|error| !error.is_null()) {
        return Err(Failure::Form("the server broke its answer off"));
    }
    refused(chunk, "/choices/0/delta/refusal")?;
    so_far
        .words
        .push_str(text(chunk, "/choices/0/delta/content").unwrap_or_default());
    so_far.ended |= finished(chunk)?;
    if chunk.get("usage").is_some_and(Value::is_object) {
        so_far.tokens = tokens(chunk);
    }
    Ok(())
}

/// Whether the server says that the answer has ended, and ended well.
fn finished(body: &Value) -> Result<bool, Failure> {
    match text(body, "/choices/0/finish_reason") {
        Some("length") => Err(Failure::Declined("the answer was cut at maxTokens")),
        Some("content_filter") => Err(Failure::Declined("the server filtered the answer")),
        reason => Ok(reason.is_some()),
    }
}

fn refused(body: &Value, pointer: &str) -> Result<(), Failure> {
    match text(body, pointer) {
        Some(_) => Err(Failure::Declined("the model refused")),
        None => Ok(()),
    }
}

fn tokens(body: &Value) -> (u64, u64) {
    (
        count(body, "/usage/prompt_tokens"),
        count(body, "/usage/completion_tokens"),
    )
}
