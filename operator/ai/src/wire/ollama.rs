//! Ollama, `POST /api/chat` (docs/api.md of the project): the schema stands in `format`.

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
        path: "/api/chat".to_owned(),
        headers: &[],
        body: json!({
            "model": ask.model,
            "messages": all,
            "format": ask.schema,
            "stream": true,
            "options": {"temperature": 0, "num_predict": ask.max_tokens}
        }),
    }
}

pub(super) fn reply(body: &Value) -> Result<Reply, Failure> {
    if body.get("done") != Some(&Value::Bool(true)) {
        return Err(Failure::Form("the answer is not done"));
    }
    whole(body)?;
    let words = text(body, "/message/content").ok_or(Failure::Form("there is no message"))?;
    Ok(Reply {
        words: words.to_owned(),
        tokens: (count(body, "/prompt_eval_count"), count(body, "/eval_count")),
    })
}

/// A line of a streamed answer; the last one counts the tokens.
pub(super) fn event(so_far: &mut Partial, line: &Value) -> Result<(), Failure> {
    if line.get("error").is_some() {
        return Err(Failure::Form("the server broke its answer off"));
    }
    so_far
        .words
        .push_str(text(line, "/message/content").unwrap_or_default());
    if line.get("done") == Some(&Value::Bool(true)) {
        whole(line)?;
        so_far.tokens = (count(line, "/prompt_eval_count"), count(line, "/eval_count"));
        so_far.ended = true;
    }
    Ok(())
}

fn whole(last: &Value) -> Result<(), Failure> {
    match text(last, "/done_reason") {
        Some("length") => Err(Failure::Declined("the answer was cut at maxTokens")),
        Some(_) | None => Ok(()),
    }
}
