//! Anthropic's Messages API, `POST /v1/messages`: one tool whose input is the answer, and `tool_choice` that makes the
//! model use it.

use serde_json::{Value, json};

use super::stream::Partial;
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
            "stream": true,
            "tools": [{"name": TOOL, "description": "What the person asked for.", "input_schema": ask.schema}],
            "tool_choice": {"type": "tool", "name": TOOL, "disable_parallel_tool_use": true}
        }),
    }
}

pub(super) fn reply(body: &Value) -> Result<Reply, Failure> {
    whole(text(body, "/stop_reason"))?;
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
    is_ours(only)?;
    let input = only.get("input").ok_or(Failure::Form("the tool has no input"))?;
    Ok(Reply {
        words: input.to_string(),
        tokens: (
            count(body, "/usage/input_tokens"),
            count(body, "/usage/output_tokens"),
        ),
    })
}

/// An event of a streamed answer. Of kinds that are not known nothing is made, as the API asks for.
pub(super) fn event(so_far: &mut Partial, event: &Value) -> Result<(), Failure> {
    match text(event, "/type") {
        Some("message_start") => so_far.tokens.0 = count(event, "/message/usage/input_tokens"),
        Some("content_block_start") if text(event, "/content_block/type") == Some("tool_use") => {
            is_ours(event.pointer("/content_block").unwrap_or(&Value::Null))?;
            if !so_far.words.is_empty() {
                return Err(Failure::Form("the tool was not used exactly once"));
            }
        }
        Some("content_block_delta") => so_far
            .words
            .push_str(text(event, "/delta/partial_json").unwrap_or_default()),
        Some("message_delta") => {
            whole(text(event, "/delta/stop_reason"))?;
            so_far.tokens.1 = count(event, "/usage/output_tokens");
        }
        Some("message_stop") if so_far.words.is_empty() => {
            return Err(Failure::Form("the tool was not used exactly once"));
        }
        Some("message_stop") => so_far.ended = true,
        Some("error") if text(event, "/error/type") == Some("overloaded_error") => {
            return Err(Failure::Busy { after: None });
        }
        Some("error") => return Err(Failure::Form("the server broke its answer off")),
        Some(_) | None => {}
    }
    Ok(())
}

fn whole(reason: Option<&str>) -> Result<(), Failure> {
    match reason {
        Some("max_tokens") => Err(Failure::Declined("the answer was cut at maxTokens")),
        Some("refusal") => Err(Failure::Declined("the model refused")),
        Some(_) | None => Ok(()),
    }
}

fn is_ours(tool: &Value) -> Result<(), Failure> {
    match text(tool, "/name") {
        Some(TOOL) => Ok(()),
        Some(_) | None => Err(Failure::Form("a tool was used that there is not")),
    }
}
