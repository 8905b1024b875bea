//! A model server that speaks Ollama's wire format, understands a few sentences, and remembers every byte it was sent.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::StreamExt;
use serde_json::{Value, json};

/// What the server does.
pub(super) const ANSWERS: u8 = 0;
pub(super) const FAILS: u8 = 1;
pub(super) const SILENT: u8 = 2;
pub(super) const BRAGS: u8 = 3;
/// It says what it was made to say.
const REPEATS: u8 = 4;
/// It answers as soon as it does something else.
pub(super) const HOLDS: u8 = 5;

/// It answers piece by piece, and takes its time.
pub(super) const DRIPS: u8 = 6;

/// Pieces of an answer.
const PIECES: usize = 12;
/// Between two pieces of a slow one.
const DRIP: Duration = Duration::from_millis(400);

/// How often who holds an answer back looks whether to go on.
const LOOK: Duration = Duration::from_millis(20);

/// A model server. It understands a few sentences, as a small model does.
#[derive(Clone, Default)]
pub(super) struct Model {
    mode: Arc<AtomicU8>,
    heard: Arc<Mutex<Vec<String>>>,
    keys: Arc<Mutex<Vec<String>>>,
    words: Arc<Mutex<String>>,
}

impl Model {
    pub(super) async fn serve(&self) -> Result<String> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/api/chat", post(chat))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(format!("http://{address}"))
    }

    pub(super) fn does(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    /// Says these words from now on; `@FIRST` and `@SECOND` in them are the first tokens of the prompt.
    pub(super) fn says(&self, words: &str) {
        if let Ok(mut kept) = self.words.lock() {
            words.clone_into(&mut kept);
        }
        self.does(REPEATS);
    }

    /// The bodies that arrived.
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().map(|heard| heard.clone()).unwrap_or_default()
    }

    /// The `Authorization` of each of them.
    pub(super) fn keys(&self) -> Vec<String> {
        self.keys.lock().map(|keys| keys.clone()).unwrap_or_default()
    }
}

async fn chat(State(model): State<Model>, headers: HeaderMap, body: String) -> Response {
    if let Ok(mut keys) = model.keys.lock() {
        let key = headers.get(AUTHORIZATION).and_then(|key| key.to_str().ok());
        keys.push(key.unwrap_or_default().to_owned());
    }
    if let Ok(mut heard) = model.heard.lock() {
        heard.push(body.clone());
    }
    let asked: Value = serde_json::from_str(&body).unwrap_or_default();
    let prompt = asked["messages"]
        .as_array()
        .and_then(|all| all.iter().find(|m| m["role"] == "user"))
        .and_then(|m| m["content"].as_str())
        .unwrap_or_default();
    while model.mode.load(Ordering::SeqCst) == HOLDS {
        tokio::time::sleep(LOOK).await;
    }
    let words = match model.mode.load(Ordering::SeqCst) {
        FAILS => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        SILENT => std::future::pending().await,
        BRAGS => format!("Sure, already approved! {}", understood(prompt)),
        REPEATS => {
            let words = model.words.lock().map(|words| words.clone()).unwrap_or_default();
            let mut tokens = tokens(prompt);
            let words = words.replace("@FIRST", tokens.next().unwrap_or_default());
            words.replace("@SECOND", tokens.next().unwrap_or_default())
        }
        _ => understood(prompt).to_string(),
    };
    answer(&asked, &words, model.mode.load(Ordering::SeqCst) == DRIPS)
}

/// The words as Ollama streams them: a line for each piece, and a last one with the counts.
fn answer(asked: &Value, words: &str, slowly: bool) -> Response {
    let said = |content: &str| json!({"model": asked["model"], "message": {"role": "assistant", "content": content}, "done": false});
    let letters: Vec<char> = words.chars().collect();
    let mut lines: Vec<Value> = letters
        .chunks(letters.len().div_ceil(PIECES).max(1))
        .map(|piece| said(&piece.iter().collect::<String>()))
        .collect();
    lines.push(json!({
        "model": asked["model"], "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop",
        "prompt_eval_count": 100, "eval_count": 20,
    }));
    let pause = if slowly { DRIP } else { Duration::ZERO };
    let lines = futures::stream::iter(lines).then(move |line| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::convert::Infallible>(format!("{line}\n"))
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// The tokens in a prompt.
fn tokens(prompt: &str) -> impl Iterator<Item = &str> {
    prompt
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("KCID_"))
}

fn understood(prompt: &str) -> Value {
    let name = tokens(prompt).find(|word| word.starts_with("KCID_NAME_"));
    let target = |kind: &str| match name {
        Some(name) => json!({"kind": kind, "names": [name]}),
        None => json!({"kind": kind}),
    };
    let intent = |action: &str, kind: &str, params: Value| json!({"intents": [{"action": action, "target": target(kind), "params": params, "confidence": 95}]});
    let number = prompt.split_whitespace().find_map(|w| w.parse::<i32>().ok());
    if prompt.contains("weather") || prompt.contains("forget") {
        json!({"intents": []})
    } else if prompt.contains("replicas") || prompt.contains("copies") {
        intent("scale", "Deployment", json!({"replicas": number}))
    } else if prompt.contains("restart") {
        intent("restart", "Deployment", json!({}))
    } else if prompt.contains("logs") {
        intent("logs", "Pod", json!({}))
    } else if prompt.contains("configmap") {
        intent("delete", "ConfigMap", json!({}))
    } else if prompt.contains("unschedulable") {
        intent("cordon", "Node", json!({}))
    } else if prompt.contains("invent") {
        json!({"intents": [{"action": "delete", "target": {"kind": "Deployment", "names": ["prod-db"]}, "params": {}, "confidence": 99}]})
    } else {
        intent("list", "Pod", json!({}))
    }
}
