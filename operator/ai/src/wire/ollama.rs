//! Ollama, `POST /api/chat` (docs/api.md of the project): the schema stands in `format`.

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
        path: "/api/chat".to_owned(),
        headers: &[],
        body: json!({
            "model": ask.model,
            "messages": all,
            "format": ask.schema,
            "stream": false,
            "options": {"temperature": 0, "num_predict": ask.max_tokens}
        }),
    }
}

pub(super) fn reply(body: &Value) -> Result<Reply, Failure> {
    if body.get("done") != Some(&Value::Bool(true)) {
        return Err(Failure::Form("the answer is not done"));
    }
    if text(body, "/done_reason") == Some("length") {
        return Err(Failure::Form("the answer was cut at maxTokens"));
    }
    let words = text(body, "/message/content").ok_or(Failure::Form("there is no message"))?;
    Ok(Reply {
        words: words.to_owned(),
        tokens: (count(body, "/prompt_eval_count"), count(body, "/eval_count")),
    })
}
