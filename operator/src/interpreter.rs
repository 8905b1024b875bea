//! The interpreter process: asks models for the turns that the operator has it read, and probes providers. It acts as nobody,
//! holds neither the seal key nor the audit log's, and everything it intends to send waits for the operator to record it.
//!
//! ```text
//! operator: judges the turn -> reading Asked -> | interpreter: outbound Intended
//! operator: audit log       -> Committed     -> | interpreter: the call -> Done or Failed
//! operator: audit log       -> recorded      -> | interpreter: interpretation, reading Understood
//! operator: compiles, judges, plans as for every sentence
//! ```
//!
//! **Invariant:** any task that ends unexpectedly ends the process; so does the loss of the lease.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store};
use kubechat_core::interpret::{self, Earlier, MEMORY};
use kubechat_core::lifecycle::{ai_provider, ready};
use kubechat_core::models::clerk::is_asked;
use kubechat_crds::chat_request::ReadingState;
use kubechat_crds::condition::is_finished;
use kubechat_crds::{AIProvider, AIProviderStatus, ChatRequest, ChatRequestStatus, RiskPolicy};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::args::InterpreterArgs;
use crate::cluster::client;
use crate::cluster::discovery::Discovery;
use crate::cluster::watch::{Filled, reflect};
use crate::controllers::lane::watch;
use crate::controllers::status::{self, Reports as _};
use crate::duty::every;
use crate::error::Error;
use crate::events::Events;
use crate::http::{Health, serve};
use crate::leader::{Candidate, INTERPRETER_LEASE, Leadership};
use crate::metrics::Metrics;
use crate::models::{self, Desk, Done, Log, Models, Options, Read, Standing, Task, examine};

/// How often it is looked for turns and providers that are due; what changes is looked at at once.
const LOOK: Duration = Duration::from_secs(2);
/// How long a turn is left alone whose job has just ended.
const REST: Duration = Duration::from_secs(20);

/// Runs the interpreter until shutdown.
///
/// # Errors
/// When it cannot start, when a part of it ends, and when the lease is lost.
pub async fn run(args: InterpreterArgs, shutdown: CancellationToken) -> anyhow::Result<()> {
    let InterpreterArgs {
        kubeconfig,
        context,
        namespace,
        listen,
        lease_seconds,
        log_format: _,
        identity,
        credentials_namespace,
        development,
    } = args;
    let config = client::config(kubeconfig.as_deref(), context.as_deref())
        .await
        .context("no cluster to talk to")?;
    let client = client::client(config)?;
    let metrics = Arc::new(Metrics::default());
    let ready = Arc::new(AtomicBool::new(false));
    let health = Health {
        ready: Arc::clone(&ready),
        metrics: Arc::clone(&metrics),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listen, health, shutdown.clone()));
    let lease = Duration::from_secs(lease_seconds);
    let mut candidate = Candidate::new(client.clone(), &namespace, &identity, lease).of(INTERPRETER_LEASE);
    // Biased: at shutdown every part ends, and that is not unexpected.
    let leadership = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(()),
        leadership = candidate.acquire(&ready) => leadership,
        _ = tasks.join_next() => anyhow::bail!("a part of the interpreter ended unexpectedly"),
    };
    ready.store(false, Ordering::SeqCst);
    metrics.leader.set(1);
    tracing::info!(identity, "leading");
    let options = Options {
        credentials: credentials_namespace,
        development,
        elsewhere: false,
    };
    begin(
        &client,
        (metrics, leadership.clone(), namespace),
        (options, ready),
        &mut tasks,
        &shutdown,
    );
    let ended = tokio::select! {
        biased;
        () = shutdown.cancelled() => Ok(()),
        why = candidate.hold(&leadership) => Err(anyhow::anyhow!(why)),
        ended = tasks.join_next() => match ended {
            Some(Ok(Err(problem))) => Err(problem),
            Some(Ok(Ok(())) | Err(_)) | None => Err(anyhow::anyhow!("a part of the interpreter ended unexpectedly")),
        },
    };
    // What is under way is told of by the next one.
    shutdown.cancel();
    candidate.release(&leadership).await;
    ended
}

/// Starts everything a leader does.
fn begin(
    client: &kube::Client,
    (metrics, leadership, namespace): (Arc<Metrics>, Leadership, String),
    (options, ready): (Options, Arc<AtomicBool>),
    tasks: &mut JoinSet<anyhow::Result<()>>,
    shutdown: &CancellationToken,
) {
    let (requests, has_requests, request_stream) = reflect::<ChatRequest>(client.clone());
    let (providers, has_providers, provider_stream) = reflect::<AIProvider>(client.clone());
    let (policies, has_policies, policy_stream) = reflect::<RiskPolicy>(client.clone());
    let reporter = Reporter {
        controller: "kubechat-interpreter".into(),
        instance: None,
    };
    let (events, sent_events) = Events::new(Recorder::new(client.clone(), reporter));
    let desk = Desk {
        client: client.clone(),
        metrics,
        leadership,
        events,
        namespace,
        policies,
        live: Arc::default(),
        log: Log::Operators {
            requests: requests.clone(),
            providers: providers.clone(),
        },
    };
    let (models, mut ended) = Models::new(options, desk);
    let reader = Arc::new(Reader {
        models: Arc::new(models),
        discovery: Discovery::default(),
        requests,
        providers,
        filled: vec![has_requests, has_providers, has_policies],
        ready,
        probed: Mutex::default(),
        rests: Mutex::default(),
    });
    let at = Arc::clone(&reader);
    watch(tasks, request_stream, shutdown, move |turn| {
        let at = Arc::clone(&at);
        async move { at.look_at(&turn).await }
    });
    watch(tasks, provider_stream, shutdown, |_| async {});
    watch(tasks, policy_stream, shutdown, |_| async {});
    let (at, until) = (Arc::clone(&reader), shutdown.clone());
    tasks.spawn(async move {
        while let Some(Some(turn)) = until.run_until_cancelled(ended.recv()).await {
            at.tell(&turn).await;
        }
        Ok(())
    });
    let until = shutdown.clone();
    tasks.spawn(async move {
        sent_events.until(until.cancelled()).await;
        Ok(())
    });
    let until = shutdown.clone();
    tasks.spawn(every(
        LOOK,
        until,
        move || Arc::clone(&reader).look(),
        "turns and providers",
    ));
}

/// What reads turns.
struct Reader {
    models: Arc<Models>,
    discovery: Discovery,
    requests: Store<ChatRequest>,
    providers: Store<AIProvider>,
    filled: Vec<Filled>,
    /// Set once the caches are filled.
    ready: Arc<AtomicBool>,
    /// UIDs of the providers that are being probed.
    probed: Mutex<HashSet<String>>,
    /// By UID, turns whose job ended a moment ago: what came of it is being written, or it is begun again a little later.
    rests: Mutex<HashMap<String, Instant>>,
}

impl Reader {
    /// Looks at everything that may be due.
    async fn look(self: Arc<Self>) -> anyhow::Result<()> {
        for filled in &self.filled {
            filled.clone().wait_for(|filled| *filled).await?;
        }
        self.ready.store(true, Ordering::SeqCst);
        for turn in self.requests.state() {
            self.look_at(&turn).await;
        }
        for provider in self.providers.state() {
            Arc::clone(&self).probe(&provider);
        }
        Ok(())
    }

    /// Begins a turn that is to be read, and stops one that is not to be any more.
    async fn look_at(&self, turn: &ChatRequest) {
        // Policies and earlier turns say what may leave: nothing is asked before they are known.
        if !self.ready.load(Ordering::SeqCst) {
            return;
        }
        let status = turn.status.clone().unwrap_or_default();
        let uid = turn.uid().unwrap_or_default();
        if turn.spec.cancel || is_finished(&status.conditions) {
            self.models.cancel(&uid);
            return;
        }
        if !self.models.is_free(&uid) || !is_asked(status.reading.as_ref()) || self.rests(&uid) {
            return;
        }
        match self.task(turn, status).await {
            Ok(Some(task)) => {
                models::start(&self.models, task);
            }
            // It may be seen a moment later; the operator ends turns whose provider is gone.
            Ok(None) => {}
            Err(problem) => tracing::warn!(%problem, turn = %turn.name_any(), "a turn is not read yet"),
        }
    }

    async fn task(&self, turn: &ChatRequest, status: ChatRequestStatus) -> Result<Option<Task>, Error> {
        let Some(reading) = status.reading.clone() else {
            return Ok(None);
        };
        let Some(provider) = self.providers.get(&ObjectRef::new(&reading.provider)) else {
            return Ok(None);
        };
        let kinds = self.discovery.kinds(self.models.client()).await?;
        let earlier = self.earlier(turn);
        let context = interpret::Context {
            lexicon: &kinds.lexicon,
            previous: &earlier,
        };
        Ok(Some(Task {
            rules: interpret::interpret(&turn.spec.prompt, &context),
            request: turn.clone(),
            status,
            provider: provider.as_ref().clone(),
            default_namespace: reading.namespace,
            earlier,
        }))
    }

    /// What the person's last turns of the session spoke of: names that a prompt may repeat.
    fn earlier(&self, turn: &ChatRequest) -> Vec<Earlier> {
        let Some(session) = &turn.spec.session_ref else {
            return vec![];
        };
        let who = |turn: &ChatRequest| turn.spec.requester.as_ref().map(|r| r.username.clone());
        let mut found: Vec<Arc<ChatRequest>> = self.requests.state();
        found.retain(|other| {
            other.spec.session_ref.as_ref() == Some(session)
                && other.namespace() == turn.namespace()
                && who(other) == who(turn)
                && other.uid() != turn.uid()
        });
        found.sort_by_key(|other| other.creation_timestamp());
        let newest = found.len().saturating_sub(MEMORY);
        let read = |turn: &Arc<ChatRequest>| turn.status.clone()?.interpretation;
        let said = found.iter().skip(newest).filter_map(read);
        said.map(|said| Earlier::of(said.intents)).collect()
    }

    /// Says what a turn's job came to.
    async fn tell(&self, turn: &ChatRequest) {
        let uid = turn.uid().unwrap_or_default();
        // Until what is written now shows in the cache, it looks as if nobody had read it.
        self.rest(&uid);
        match self.models.standing(&uid) {
            Standing::Done(done) => {
                let Done { status, read } = *done;
                let mut new = status.clone();
                if let Some(reading) = &mut new.reading {
                    (reading.state, reading.message) = came_to(read);
                }
                if let Err(problem) = status::write(&*self.models, turn, Some(&status), &new).await {
                    tracing::warn!(%problem, turn = %turn.name_any(), "what a turn came to was not told; it is read again");
                }
            }
            // It is begun again by a later look.
            Standing::Failed(problem) => {
                tracing::warn!(%problem, turn = %turn.name_any(), "a turn is not read yet");
            }
            Standing::Running | Standing::None => {}
        }
    }

    /// Probes a provider that is due.
    fn probe(self: Arc<Self>, provider: &Arc<AIProvider>) {
        let status = provider.status.clone().unwrap_or_default();
        let generation = provider.metadata.generation;
        let (now, uid) = (Timestamp::now(), provider.uid().unwrap_or_default());
        // The operator knows of a provider before anything is sent to it.
        let due = ai_provider::built_in(&provider.spec).is_none()
            && status.recorded_generation == generation
            && ai_provider::probe_at(&status, generation, now) <= now;
        if !due || !self.probed().insert(uid.clone()) {
            return;
        }
        let provider = Arc::clone(provider);
        tokio::spawn(async move {
            let _probed = Probed(Arc::clone(&self), uid);
            let examined = examine(&self.models, &provider).await;
            let old = examined.status;
            let mut new = AIProviderStatus {
                observed_generation: generation,
                probe: Some(examined.probe),
                ..old.clone()
            };
            let said = examined
                .verdict
                .as_ref()
                .map(String::as_str)
                .map_err(Clone::clone);
            ready(&mut new.conditions, said, generation, Timestamp::now());
            if let Err(problem) = status::write_cluster(&*self.models, &*provider, Some(&old), &new).await {
                tracing::warn!(%problem, provider = %provider.name_any(), "what a probe found was not told");
            }
        });
    }

    fn probed(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.probed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest(&self, uid: &str) {
        let mut rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        rests.retain(|_, since| since.elapsed() < REST);
        rests.insert(uid.to_owned(), Instant::now());
    }

    fn rests(&self, uid: &str) -> bool {
        let rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        rests.get(uid).is_some_and(|since| since.elapsed() < REST)
    }
}

/// A provider that is being probed, until that has ended, however it does.
struct Probed(Arc<Reader>, String);

impl Drop for Probed {
    fn drop(&mut self) {
        self.0.probed().remove(&self.1);
    }
}

/// What a reading says of itself.
fn came_to(read: Read) -> (ReadingState, Option<String>) {
    match read {
        Read::Intents(_) => (ReadingState::Understood, None),
        Read::Rules => (ReadingState::Rules, None),
        Read::Nothing(halted) => (ReadingState::Nothing, Some(halted.message)),
    }
}
