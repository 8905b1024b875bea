//! Anthropic's Messages API, `POST /v1/messages`: one tool whose input is the answer, and `tool_choice` that makes the
//! model use it.

use serde_json::{Value, json};

use super::{Reply, Request, Turn, count, messages, text};
use crate::failure::Failure;

const TOOL: &str = "intents";

pub(super) fn request(ask: &Turn<'_>) -> Request {
    let all: Vec<Value> = messages(ask)
        .into_iter()
        .map(|(role, content)| json!({"role": role, "content": content}))
        .collect();
    Request {
        path: "/v1/messages".to_owned(),
        headers: &[("anthropic-version", "2023-06-01")],
        body: json!({
            "model": ask.model,
            "system": ask.system,
            "messages": all,
            "temperature": 0,
            "max_tokens": ask.max_tokens,
            "tools": [{"name": TOOL, "description": "What the person asked for.", "input_schema": ask.schema}],
            "tool_choice": {"type": "tool", "name": TOOL, "disable_parallel_tool_use": true}
        }),
    }
}

pub(super) fn reply(body: &Value) -> Result<Reply, Failure> {
    match text(body, "/stop_reason") {
        Some("max_tokens") => return Err(Failure::Form("the answer was cut at maxTokens")),
        Some("refusal") => return Err(Failure::Form("the model refused")),
        _ => {}
    }
    let blocks = body
        .get("content")
        .and_then(Value::as_array)
        .ok_or(Failure::Form("there is no content"))?;
    let mut uses = blocks
        .iter()
        .filter(|block| text(block, "/type") == Some("tool_use"));
    let (Some(only), None) = (uses.next(), uses.next()) else {
        return Err(Failure::Form("the tool was not used exactly once"));
    };
    if text(only, "/name") != Some(TOOL) {
        return Err(Failure::Form("a tool was used that there is not"));
    }
    let input = only.get("input").ok_or(Failure::Form("the tool has no input"))?;
    Ok(Reply {
        words: input.to_string(),
        tokens: (
            count(body, "/usage/input_tokens"),
            count(body, "/usage/output_tokens"),
        ),
    })
}
