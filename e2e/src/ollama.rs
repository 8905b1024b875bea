//! A real Ollama on this machine, with a real small model, and a meter before it that reads how long the model itself took.
//!
//! **Invariant**: like everything of the harness, its process ends with it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use kube::Client;
use serde_json::Value;

use crate::build::OllamaBinaries;
use crate::cluster::{free_port, get_ok, plain_client};
use crate::process::{Process, Program};
use crate::progress::Progress;
use crate::wait::eventually;

/// The model's name.
pub const MODEL: &str = "gemma3:270m";
/// How long the server may take until it answers, on a loaded machine.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long it may take to take the model in.
const CREATE_DEADLINE: Duration = Duration::from_secs(120);

/// How the model is spoken to. It is a base model, which goes on with a text and was never taught to follow orders: so it is shown
/// what answers look like. None of these sentences is asked by the probe or by a test. One thread: on a machine that does other
/// things too, two wait for each other most of the time.
const TEMPLATE: &str = include_str!("../cluster/ollama/modelfile");

/// A running Ollama. Dropping it stops it.
#[derive(Debug)]
pub struct Ollama {
    _server: Process,
    port: u16,
}

impl Ollama {
    /// Starts it with the model; what is missing is built first.
    ///
    /// # Errors
    /// When something does not build or does not become ready; the message holds the end of its log.
    pub async fn start(folder: &Path, progress: &Progress) -> Result<Self> {
        let OllamaBinaries { program, weights } = OllamaBinaries::ensure(progress).await?;
        let port = free_port(None)?;
        let (models, log) = (folder.join("models"), folder.join("ollama.log"));
        std::fs::create_dir_all(&models).with_context(|| format!("{} was not made", models.display()))?;
        let of = |name: &str| {
            Program::new(name, &program, &log)
                .env("OLLAMA_HOST", format!("127.0.0.1:{port}"))
                .env("OLLAMA_MODELS", models.to_string_lossy())
                .env("OLLAMA_KEEP_ALIVE", "-1")
                .env("OLLAMA_NUM_PARALLEL", "1")
                .env("HOME", folder.to_string_lossy())
        };
        let server = of("ollama").args(["serve"]).start()?;
        let client = plain_client(port)?;
        eventually(READY_DEADLINE, "Ollama answers", || {
            get_ok(&client, "/api/version")
        })
        .await?;
        let file = folder.join("Modelfile");
        std::fs::write(&file, format!("FROM {}\n{TEMPLATE}", weights.display()))
            .with_context(|| format!("{} was not written", file.display()))?;
        let create = of("ollama create")
            .args(["create", MODEL, "-f"])
            .args([file.as_os_str()])
            .start()?;
        match create.exit().within(CREATE_DEADLINE).await {
            Some(status) if status.success() => Ok(Self {
                _server: server,
                port,
            }),
            Some(status) => Err(create.obituary(status)),
            None => anyhow::bail!("ollama create did not end; see {}", log.display()),
        }
    }

    /// A meter before it, at an address of its own.
    ///
    /// # Errors
    /// When there is no port for it.
    pub async fn meter(&self) -> Result<(Meter, String)> {
        let meter = Meter {
            ollama: plain_client(self.port)?,
            calls: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/api/chat", post(pass))
            .with_state(meter.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((meter, format!("http://{address}")))
    }
}

/// A call that went through the meter.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The body as it was sent.
    pub body: String,
    /// What the model said.
    pub words: String,
    /// Tokens that the model read and wrote.
    pub tokens: (u64, u64),
    /// How long it took the model to read and to write them, as Ollama says.
    pub model: Duration,
    /// How long Ollama took for all of it, as it says.
    pub ollama: Duration,
}

/// Hands everything on and notes how long the model took.
#[derive(Clone)]
pub struct Meter {
    ollama: Client,
    calls: Arc<Mutex<Vec<Measured>>>,
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meter")
    }
}

impl Meter {
    /// The calls since the last question for them.
    #[must_use]
    pub fn take(&self) -> Vec<Measured> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn pass(&self, body: String) -> Result<String> {
        let request = http::Request::post("/api/chat")
            .header(CONTENT_TYPE, "application/json")
            .body(body.clone().into_bytes())?;
        let said = self.ollama.request_text(request).await?;
        let answer: Value = serde_json::from_str(&said)?;
        let number = |field: &str| answer[field].as_u64().unwrap_or_default();
        let time = |field: &str| Duration::from_nanos(number(field));
        let measured = Measured {
            body,
            words: answer["message"]["content"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            tokens: (number("prompt_eval_count"), number("eval_count")),
            model: time("prompt_eval_duration") + time("eval_duration"),
            ollama: time("total_duration"),
        };
        ensure!(
            !measured.model.is_zero(),
            "Ollama does not say how long it took: {said}"
        );
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(measured);
        Ok(said)
    }
}

async fn pass(State(meter): State<Meter>, body: String) -> Response {
    match meter.pass(body).await {
        Ok(said) => ([(CONTENT_TYPE, "application/json")], said).into_response(),
        Err(problem) => (StatusCode::BAD_GATEWAY, format!("{problem:#}")).into_response(),
    }
}
