use proptest::prelude::*;
use serde_json::json;

use super::*;

const WORDS: &str = r#"{"intents":[]}"#;

/// Streamed answers as the servers' own documentation shows them, in two pieces of words.
fn fixtures() -> Vec<(Dialect, Form, String)> {
    let (a, b) = WORDS.split_at(7);
    let event = |name: &str, data: Value| format!("event: {name}\ndata: {data}\n\n");
    let data = |value: Value| format!("data: {value}\r\n\r\n");
    let chunk = |delta: Value, reason: Value| json!({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], "usage": null});
    let ollama = [
        json!({"model": "small", "message": {"role": "assistant", "content": a}, "done": false}),
        json!({"model": "small", "message": {"role": "assistant", "content": b}, "done": false}),
        json!({"model": "small", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop", "prompt_eval_count": 26, "eval_count": 298}),
    ];
    let openai = [
        data(chunk(
            json!({"role": "assistant", "content": "", "refusal": null}),
            Value::Null,
        )),
        data(chunk(json!({"content": a}), Value::Null)),
        ": keep-alive\n\n".to_owned(),
        data(chunk(json!({"content": b}), Value::Null)),
        data(chunk(json!({}), json!("stop"))),
        data(
            json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 26, "completion_tokens": 298, "total_tokens": 324}}),
        ),
        "data: [DONE]\n\n".to_owned(),
    ];
    let part = |text: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": text}});
    let anthropic = [
        event(
            "message_start",
            json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": 26, "output_tokens": 1}}}),
        ),
        event(
            "content_block_start",
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "intents", "input": {}}}),
        ),
        event("ping", json!({"type": "ping"})),
        event("content_block_delta", part("")),
        event("content_block_delta", part(a)),
        event("content_block_delta", part(b)),
        event(
            "content_block_stop",
            json!({"type": "content_block_stop", "index": 0}),
        ),
        event(
            "message_delta",
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 298}}),
        ),
        event("message_stop", json!({"type": "message_stop"})),
    ];
    let piece = |parts: Value, written: u64, end: Option<&str>| {
        data(
            json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": end, "index": 0}], "usageMetadata": {"promptTokenCount": 26, "candidatesTokenCount": written}}),
        )
    };
    let gemini = [
        piece(json!([{"text": "hm", "thought": true}]), 3, None),
        piece(json!([{"text": a}]), 200, None),
        piece(json!([{"text": b}]), 298, Some("STOP")),
    ];
    let lines: Vec<String> = ollama.iter().map(|line| format!("{line}\n")).collect();
    vec![
        (Dialect::Ollama, Form::Lines, lines.concat()),
        (Dialect::OpenAi, Form::Events, openai.concat()),
        (Dialect::Anthropic, Form::Events, anthropic.concat()),
        (Dialect::Gemini, Form::Events, gemini.concat()),
    ]
}

fn read<'a>(
    dialect: Dialect,
    form: Form,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Reply, Failure> {
    let mut feed = Feed::new(dialect);
    feed.begin(form);
    pieces.into_iter().for_each(|piece| feed.push(piece));
    feed.finish()
}

fn expected() -> Reply {
    Reply {
        words: WORDS.to_owned(),
        tokens: (26, 298),
    }
}

proptest! {
    #[test]
    fn however_the_network_cuts_an_answer_it_is_the_same(cuts in prop::collection::vec(0_usize..2000, 0..12)) {
        for (dialect, form, body) in fixtures() {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).chain([0, body.len()]).collect();
            at.sort_unstable();
            let pieces = at.windows(2).map(|cut| &body.as_bytes()[cut[0]..cut[1]]);
            prop_assert_eq!(read(dialect, form, pieces), Ok(expected()), "{:?}", dialect);
        }
    }

    #[test]
    fn an_answer_that_is_cut_before_its_end_is_none(cut in 0_usize..4000) {
        for (dialect, form, body) in fixtures() {
            // What comes after the words ended well is no part of them.
            let end = match dialect {
                Dialect::OpenAi => body.find("\"stop\"").unwrap(),
                Dialect::Ollama | Dialect::Anthropic | Dialect::Gemini => body.trim_end().len() - 1,
            };
            let cut = cut % end;
            let found = read(dialect, form, [&body.as_bytes()[..cut]]);
            prop_assert!(matches!(found, Err(Failure::Form(_))), "{dialect:?} at {cut}: {found:?}");
        }
    }

    #[test]
    fn no_bytes_are_an_answer_by_accident(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for (dialect, form, _) in fixtures() {
            prop_assert!(read(dialect, form, [bytes.as_slice()]).is_err());
        }
    }
}

#[test]
fn the_last_line_needs_no_end_and_a_server_that_does_not_stream_is_read_too() {
    for (dialect, form, body) in fixtures() {
        assert_eq!(
            read(dialect, form, [body.trim_end().as_bytes()]),
            Ok(expected()),
            "{dialect:?}"
        );
    }
    let whole =
        json!({"message": {"content": WORDS}, "done": true, "prompt_eval_count": 26, "eval_count": 298});
    let found = read(Dialect::Ollama, Form::Whole, [whole.to_string().as_bytes()]);
    assert_eq!(found, Ok(expected()));
}

#[test]
fn content_types_name_the_form() {
    for (name, form) in [
        ("application/x-ndjson", Form::Lines),
        ("Text/Event-Stream; charset=utf-8", Form::Events),
        ("application/json", Form::Whole),
        ("", Form::Whole),
    ] {
        assert_eq!(Form::of(name), form, "{name}");
    }
}

#[test]
fn errors_in_the_middle_cut_answers_and_other_tools_are_no_answer() {
    let with = |at: usize, from: &str, to: &str| {
        let (dialect, form, body) = fixtures().remove(at);
        assert!(body.contains(from), "{body}");
        (dialect, form, body.replace(from, to))
    };
    let form = |words| Err(Failure::Form(words));
    // What the server says of the prompt says nothing of the server.
    let declined = |words| Err(Failure::Declined(words));
    let cases = [
        (
            with(0, "\"stop\"", "\"length\""),
            declined("the answer was cut at maxTokens"),
        ),
        (
            with(1, "\"stop\"", "\"length\""),
            declined("the answer was cut at maxTokens"),
        ),
        (
            with(1, "\"stop\"", "\"content_filter\""),
            declined("the server filtered the answer"),
        ),
        (
            with(1, "\"refusal\":null", "\"refusal\":\"no\""),
            declined("the model refused"),
        ),
        (
            with(1, "data: [DONE]", "data: {\"error\":{\"message\":\"x\"}}"),
            form("the server broke its answer off"),
        ),
        (
            with(
                2,
                "\"stop_reason\":\"tool_use\"",
                "\"stop_reason\":\"max_tokens\"",
            ),
            declined("the answer was cut at maxTokens"),
        ),
        (
            with(2, "\"stop_reason\":\"tool_use\"", "\"stop_reason\":\"refusal\""),
            declined("the model refused"),
        ),
        (
            with(2, "\"name\":\"intents\"", "\"name\":\"bash\""),
            form("a tool was used that there is not"),
        ),
        (
            with(2, "input_json_delta", "text_delta").without_words(),
            form("the tool was not used exactly once"),
        ),
        (
            with(
                2,
                "{\"type\":\"ping\"}",
                "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}",
            ),
            Err(Failure::Busy { after: None }),
        ),
        (
            with(3, "\"STOP\"", "\"SAFETY\""),
            declined("the server ended the answer early"),
        ),
        (
            with(3, "\"STOP\"", "\"MAX_TOKENS\""),
            declined("the answer was cut at maxTokens"),
        ),
    ];
    for ((dialect, form, body), expected) in cases {
        assert_eq!(read(dialect, form, [body.as_bytes()]), expected, "{body}");
    }
}

trait WithoutWords {
    /// The tool's input leaves no word.
    fn without_words(self) -> Self;
}

impl WithoutWords for (Dialect, Form, String) {
    fn without_words(self) -> Self {
        (self.0, self.1, self.2.replace("\"partial_json\"", "\"text\""))
    }
}
