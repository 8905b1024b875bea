//! OpenAI's chat completions, `POST /v1/chat/completions`, and the many servers that speak it: `response_format` of type
//! `json_schema`. Not `strict`: that needs every field to be there, and servers differ in it; the parser is strict instead.

use serde_json::{Value, json};

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
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "intents", "strict": false, "schema": ask.schema}
            }
        }),
    }
}

pub(super) fn reply(body: &Value) -> Result<Reply, Failure> {
    match text(body, "/choices/0/finish_reason") {
        Some("length") => return Err(Failure::Form("the answer was cut at maxTokens")),
        Some("content_filter") => return Err(Failure::Form("the server filtered the answer")),
        _ => {}
    }
    if body
        .pointer("/choices/0/message/refusal")
        .is_some_and(Value::is_string)
    {
        return Err(Failure::Form("the model refused"));
    }
    let words = text(body, "/choices/0/message/content").ok_or(Failure::Form("there is no message"))?;
    Ok(Reply {
        words: words.to_owned(),
        tokens: (
            count(body, "/usage/prompt_tokens"),
            count(body, "/usage/completion_tokens"),
        ),
    })
}
