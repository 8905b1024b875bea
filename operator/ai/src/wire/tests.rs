use serde_json::json;

use super::*;

const ALL: [Dialect; 4] = [
    Dialect::Ollama,
    Dialect::OpenAi,
    Dialect::Anthropic,
    Dialect::Gemini,
];

fn turn<'a>(schema: &'a Value, repair: Option<(&'a str, &'a str)>) -> Turn<'a> {
    Turn {
        model: "small",
        system: "say intents",
        prompt: "scale KCID_NAME_0000000 to 5",
        repair,
        schema,
        max_tokens: 300,
    }
}

#[test]
fn each_server_gets_the_schema_by_its_own_mechanism() {
    let schema = crate::schema::answer();
    let of = |dialect: Dialect| dialect.request(&turn(&schema, None));
    let ollama = of(Dialect::Ollama);
    assert_eq!(
        (ollama.path.as_str(), &ollama.body["format"]),
        ("/api/chat", &schema)
    );
    assert_eq!(
        (&ollama.body["stream"], &ollama.body["options"]["num_predict"]),
        (&json!(true), &json!(300))
    );
    let openai = of(Dialect::OpenAi);
    assert_eq!(openai.path, "/v1/chat/completions");
    assert_eq!(openai.body["response_format"]["type"], "json_schema");
    assert_eq!(openai.body["response_format"]["json_schema"]["schema"], schema);
    let anthropic = of(Dialect::Anthropic);
    assert_eq!(anthropic.headers, [("anthropic-version", "2023-06-01")]);
    assert_eq!(anthropic.body["tools"][0]["input_schema"], schema);
    assert_eq!(
        anthropic.body["tool_choice"]["name"],
        anthropic.body["tools"][0]["name"]
    );
    assert_eq!(
        anthropic.body["messages"].as_array().map(Vec::len),
        Some(1),
        "the system text is no message"
    );
    let gemini = of(Dialect::Gemini);
    assert_eq!(gemini.path, "/v1beta/models/small:streamGenerateContent?alt=sse");
    assert_eq!(
        gemini.body["generationConfig"]["responseSchema"]["type"],
        "OBJECT"
    );
    for dialect in ALL {
        assert!(
            of(dialect).body.to_string().contains("KCID_NAME_0000000"),
            "{dialect:?}"
        );
    }
}

#[test]
fn a_repair_repeats_what_was_said_and_what_was_wrong() {
    let schema = crate::schema::answer();
    for dialect in ALL {
        let body = dialect
            .request(&turn(&schema, Some(("{\"x\":1}", "x is no field of the schema"))))
            .body
            .to_string();
        assert!(
            body.contains("x is no field of the schema") && body.contains("\\\"x\\\":1"),
            "{dialect:?}: {body}"
        );
    }
}

#[test]
fn keys_stand_in_headers_never_in_the_path_or_body() {
    let schema = crate::schema::answer();
    for dialect in ALL {
        let (name, value) = dialect.credential("k1");
        assert!(value.contains("k1") && !name.is_empty());
        let request = dialect.request(&turn(&schema, None));
        assert!(!request.path.contains("key") && !request.path.contains("k1"));
    }
}

#[test]
fn a_models_name_cannot_leave_its_segment_of_the_path() {
    let schema = crate::schema::answer();
    let ask = Turn {
        model: "../../x?y#z",
        ..turn(&schema, None)
    };
    assert_eq!(
        Dialect::Gemini.request(&ask).path,
        "/v1beta/models/..%2F..%2Fx%3Fy%23z:streamGenerateContent?alt=sse"
    );
}

/// Answers as the servers' own documentation shows them.
fn fixtures() -> Vec<(Dialect, Value)> {
    let words = r#"{"intents":[]}"#;
    vec![
        (
            Dialect::Ollama,
            json!({"model": "small", "created_at": "2026-03-01T12:00:00.0Z", "message": {"role": "assistant", "content": words}, "done": true, "done_reason": "stop", "total_duration": 4_883_583_458_u64, "prompt_eval_count": 26, "eval_count": 298}),
        ),
        (
            Dialect::OpenAi,
            json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_741_569_952, "model": "small", "choices": [{"index": 0, "message": {"role": "assistant", "content": words, "refusal": null}, "logprobs": null, "finish_reason": "stop"}], "usage": {"prompt_tokens": 26, "completion_tokens": 298, "total_tokens": 324}}),
        ),
        (
            Dialect::Anthropic,
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "small", "content": [{"type": "tool_use", "id": "toolu_1", "name": "intents", "input": {"intents": []}}], "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 26, "output_tokens": 298}}),
        ),
        (
            Dialect::Gemini,
            json!({"candidates": [{"content": {"parts": [{"text": "hm", "thought": true}, {"text": words}], "role": "model"}, "finishReason": "STOP", "index": 0}], "usageMetadata": {"promptTokenCount": 26, "candidatesTokenCount": 298, "totalTokenCount": 324}, "modelVersion": "small"}),
        ),
    ]
}

#[test]
fn answers_of_each_server_are_read() {
    for (dialect, body) in fixtures() {
        let reply = dialect.reply(body.to_string().as_bytes()).unwrap();
        assert_eq!(
            (reply.words.as_str(), reply.tokens),
            (r#"{"intents":[]}"#, (26, 298)),
            "{dialect:?}"
        );
    }
}

#[test]
fn answers_that_are_cut_refused_or_of_another_form_are_none() {
    let with = |at: usize, change: fn(&mut Value)| {
        let (dialect, mut body) = fixtures().remove(at);
        change(&mut body);
        (dialect, body)
    };
    let bad = [
        with(0, |b| b["done"] = json!(false)),
        with(0, |b| b["done_reason"] = json!("length")),
        with(0, |b| b["message"] = json!(null)),
        with(1, |b| b["choices"] = json!([])),
        with(1, |b| b["choices"][0]["finish_reason"] = json!("length")),
        with(1, |b| b["choices"][0]["message"]["refusal"] = json!("no")),
        with(2, |b| b["stop_reason"] = json!("max_tokens")),
        with(2, |b| b["content"] = json!([{"type": "text", "text": "hi"}])),
        with(2, |b| b["content"][0]["name"] = json!("bash")),
        with(2, |b| {
            let one = b["content"][0].clone();
            b["content"] = json!([one, one]);
        }),
        with(3, |b| b["promptFeedback"] = json!({"blockReason": "SAFETY"})),
        with(3, |b| b["candidates"][0]["finishReason"] = json!("SAFETY")),
        with(3, |b| {
            b["candidates"][0]["content"]["parts"] = json!([{"functionCall": {}}]);
        }),
    ];
    for (dialect, body) in bad {
        assert!(
            matches!(
                dialect.reply(body.to_string().as_bytes()),
                Err(Failure::Form(_) | Failure::Declined(_))
            ),
            "{dialect:?}: {body}"
        );
    }
    for dialect in ALL {
        assert_eq!(dialect.reply(b"<html>"), Err(Failure::Form("no JSON")));
        assert!(matches!(dialect.reply(b"{}"), Err(Failure::Form(_))));
    }
}

#[test]
fn what_gemini_thinks_counts_as_written() {
    let body = json!({"candidates": [{"content": {"parts": [{"text": "{}"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7, "thoughtsTokenCount": 100}});
    let reply = Dialect::Gemini.reply(body.to_string().as_bytes()).unwrap();
    assert_eq!(reply.tokens, (5, 107));
}
