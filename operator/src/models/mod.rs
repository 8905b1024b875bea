//! Turns that a model interprets: one task a turn beside the controllers, so that a model that is slow or silent holds up
//! nobody who does not ask it.
//!
//! ```text
//! turn -> job -> chain of providers -> gate (limits, queue, breaker) -> connect (Service, policy, Secret) -> kubechat-ai
//!                                                                        each body: status Intended -> audit -> Committed -> sent
//! ```
//!
//! **Invariants:** what a job comes to is typed intents, which the turn's controller compiles as those of the built-in rules; a
//! job never ends a turn and never writes anything but the turn's status. A job that is lost with its process is begun again,
//! and the calls it may have made are told as such.

mod clerk;
mod connect;
mod gate;
mod given;
mod job;
mod ledger;
mod names;
mod parting;
mod probe;
mod probing;
mod record;
mod spent;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use kube::runtime::reflector::Store;
use kubechat_ai::Cache;
use kubechat_core::models::budget::Used;
use kubechat_core::policy::Live;
use kubechat_crds::intent::Intent;
use kubechat_crds::{AIProvider, ChatRequest, ChatRequestStatus, RiskPolicy};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::compile::Halted;
use crate::controllers::status::Reports;
use crate::error::Error;
use crate::events::Events;
use crate::leader::Leadership;
use crate::metrics::Metrics;

pub(crate) use clerk::{of_provider, of_turn, told};
pub(crate) use gate::Gate;
pub(crate) use given::{Sentence, refused, retold};
pub(crate) use job::{Task, nothing, start};
pub use ledger::Log;
pub(crate) use parting::{forget, leaving, of_removed};
pub(crate) use probe::examine;

/// How long an answer that was understood is kept for the same words.
const CACHED_FOR: Duration = Duration::from_secs(600);
/// How long what a job came to waits to be taken up.
const KEPT_FOR: Duration = Duration::from_secs(900);
/// Jobs at once; more turns wait for theirs to begin.
const MAX_JOBS: usize = 2048;

/// How models may be reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// Namespace of the Secrets that providers name.
    pub credentials: String,
    /// Whether providers on this machine may be asked.
    pub development: bool,
    /// Whether another process asks the models, and this one records what it intends.
    pub elsewhere: bool,
}

/// What a model made of a prompt.
#[derive(Clone, Debug)]
pub(crate) enum Read {
    /// Intents.
    Intents(Vec<Intent>),
    /// The chain ends in the built-in rules, and it came to its end.
    Rules,
    /// Nothing; the turn ends so.
    Nothing(Box<Halted>),
}

/// What a job came to, with the turn's status as it left it.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) status: ChatRequestStatus,
    pub(crate) read: Read,
}

#[derive(Debug)]
enum Job {
    Running(CancellationToken),
    Done(Instant, Box<Done>),
    Failed(Instant, Error),
}

impl Job {
    /// Whether nobody came for what it came to.
    fn is_forgotten(&self) -> bool {
        match self {
            Self::Running(_) => false,
            Self::Done(since, _) | Self::Failed(since, _) => since.elapsed() > KEPT_FOR,
        }
    }
}

/// Where a turn's job is.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Not begun, or forgotten.
    None,
    /// At work.
    Running,
    /// At its end.
    Done(Box<Done>),
    /// Something stood in its way; it is to be begun again later.
    Failed(Error),
}

/// What asking models needs beside them.
pub struct Desk {
    /// This process's own rights.
    pub client: Client,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Whether this process leads.
    pub leadership: Leadership,
    /// Where refusals are told.
    pub events: Events,
    /// KubeChat's namespace.
    pub namespace: String,
    /// Policies, which name the hosts that may be reached.
    pub policies: Store<RiskPolicy>,
    /// The same together.
    pub live: Arc<Live>,
    /// Where calls are recorded.
    pub log: Log,
}

/// The providers' gates and the turns' jobs.
pub struct Models {
    options: Options,
    client: Client,
    metrics: Arc<Metrics>,
    leadership: Leadership,
    events: Events,
    namespace: String,
    policies: Store<RiskPolicy>,
    live: Arc<Live>,
    log: Log,
    /// Of the tokens that names leave as; made anew by each process, because no token outlives its turn.
    key: [u8; 32],
    /// When this process began, by the monotonic clock and in milliseconds since 1970.
    clock: (Instant, u64),
    cache: Arc<Cache>,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    /// What people used, by the provider's name: one that is made again under it gives nobody a new budget.
    used: Mutex<HashMap<String, Arc<Mutex<Used>>>>,
    jobs: Mutex<HashMap<String, Job>>,
    /// Turns whose job has ended.
    ended: mpsc::Sender<ChatRequest>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Models")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Reports for Models {
    fn client(&self) -> &Client {
        &self.client
    }

    fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    fn told(&self) -> (&Events, &Metrics) {
        (&self.events, &self.metrics)
    }
}

impl Models {
    /// Nobody asked yet; and the turns whose jobs end, one after the other.
    #[must_use]
    pub fn new(options: Options, desk: Desk) -> (Self, mpsc::Receiver<ChatRequest>) {
        let (ended, turns) = mpsc::channel(MAX_JOBS);
        let Desk {
            client,
            metrics,
            leadership,
            events,
            namespace,
            policies,
            live,
            log,
        } = desk;
        let began = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
        let models = Self {
            options,
            client,
            metrics,
            leadership,
            events,
            namespace,
            policies,
            live,
            log,
            key: rand::random(),
            clock: (Instant::now(), began),
            cache: Arc::new(Cache::new(CACHED_FOR)),
            used: Mutex::default(),
            gates: Mutex::default(),
            jobs: Mutex::default(),
            ended,
        };
        (models, turns)
    }

    /// With what people used of their budgets within the last day, as the log tells: so another leader goes on counting.
    ///
    /// # Errors
    /// When the log does not answer.
    pub(crate) async fn learn(&mut self, audit: &Audit) -> Result<(), Error> {
        let used = spent::within_a_day(audit, Timestamp::now()).await?;
        let used = used
            .into_iter()
            .map(|(name, used)| (name, Arc::new(Mutex::new(used))));
        self.used = Mutex::new(used.collect());
        Ok(())
    }

    /// Whether another process asks the models.
    pub(crate) const fn is_elsewhere(&self) -> bool {
        self.options.elsewhere
    }

    /// What people used of a provider of this name.
    fn used_of(&self, name: &str) -> Arc<Mutex<Used>> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(used.entry(name.to_owned()).or_default())
    }

    /// Milliseconds since 1970, by a clock that nobody sets while this process runs.
    pub(crate) fn now(&self) -> u64 {
        let (since, began) = self.clock;
        let passed = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        began.saturating_add(passed)
    }

    /// The gate before a provider.
    pub(crate) fn gate(&self, provider: &AIProvider) -> Arc<Gate> {
        let uid = provider.metadata.uid.clone().unwrap_or_default();
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let name = provider.metadata.name.as_deref().unwrap_or_default();
        let gate = gates
            .entry(uid)
            .or_insert_with(|| Arc::new(Gate::new(self.used_of(name))));
        Arc::clone(gate)
    }

    /// Where a turn's job is; what it came to is taken away.
    pub(crate) fn standing(&self, uid: &str) -> Standing {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        match jobs.remove(uid) {
            None => Standing::None,
            Some(Job::Done(_, done)) => Standing::Done(done),
            Some(Job::Failed(_, problem)) => Standing::Failed(problem),
            Some(running @ Job::Running(_)) => {
                jobs.insert(uid.to_owned(), running);
                Standing::Running
            }
        }
    }

    /// Whether a turn has no job.
    pub(crate) fn is_free(&self, uid: &str) -> bool {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        !jobs.contains_key(uid)
    }

    /// Asks a job to stop.
    pub(crate) fn cancel(&self, uid: &str) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Job::Running(stop)) = jobs.get(uid) {
            stop.cancel();
        }
    }

    /// Notes that a job begins; `None` when there are too many, or it is there already.
    fn begin(&self, uid: &str) -> Option<CancellationToken> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|_, job| !job.is_forgotten());
        if jobs.len() >= MAX_JOBS || jobs.contains_key(uid) {
            return None;
        }
        let stop = CancellationToken::new();
        jobs.insert(uid.to_owned(), Job::Running(stop.clone()));
        Some(stop)
    }

    /// Notes what a job came to; nothing where its process ends.
    fn end(&self, turn: &ChatRequest, came_to: Option<Result<Done, Error>>) {
        let uid = turn.metadata.uid.clone().unwrap_or_default();
        {
            let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            match came_to {
                Some(Ok(done)) => jobs.insert(uid, Job::Done(Instant::now(), Box::new(done))),
                Some(Err(problem)) => jobs.insert(uid, Job::Failed(Instant::now(), problem)),
                None => jobs.remove(&uid),
            };
        }
        // Where there is no room its controller comes by itself, a little later.
        if self.ended.try_send(turn.clone()).is_err() {
            tracing::debug!("a turn whose interpretation has ended was not told of");
        }
    }

    /// Keeps what a job came to for the next look at its turn.
    pub(crate) fn keep(&self, uid: &str, done: Option<Done>) {
        if let Some(done) = done {
            let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            jobs.insert(uid.to_owned(), Job::Done(Instant::now(), Box::new(done)));
        }
    }

    /// Namespace of the Secrets that providers name.
    pub(crate) fn credentials(&self) -> &str {
        &self.options.credentials
    }

    /// Whether providers on this machine may be asked.
    pub(crate) const fn development(&self) -> bool {
        self.options.development
    }

    pub(crate) fn cache(&self) -> Arc<Cache> {
        Arc::clone(&self.cache)
    }

    /// The key of a conversation's tokens.
    fn key_of(&self, conversation: &str) -> [u8; 32] {
        use sha2::Digest as _;
        let of = sha2::Sha256::new().chain_update(self.key);
        of.chain_update(conversation.as_bytes()).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::process::{Fuse, World};

    fn turn(uid: &str) -> ChatRequest {
        let mut turn = ChatRequest::new("ask", kubechat_crds::ChatRequestSpec::default());
        turn.metadata.uid = Some(uid.to_owned());
        turn
    }

    #[tokio::test]
    async fn what_stood_in_a_jobs_way_is_told_once_and_it_may_begin_again() {
        let mut world = World::new();
        let process = world.start(Fuse::long()).await;
        let models = &process.ctx.models;
        assert!(models.begin("a").is_some());
        assert!(models.begin("a").is_none(), "there is one already");
        assert!(matches!(models.standing("a"), Standing::Running));
        models.end(&turn("a"), Some(Err(Error::NotLeader)));
        assert!(matches!(models.standing("a"), Standing::Failed(Error::NotLeader)));
        assert!(matches!(models.standing("a"), Standing::None));
        assert!(models.begin("a").is_some());
        models.end(&turn("a"), None);
        assert!(
            matches!(models.standing("a"), Standing::None),
            "nobody waits for a job that is gone"
        );
    }
}
