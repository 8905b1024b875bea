//! The SQLite store: the local default. WAL, `synchronous=FULL`, one writer thread behind a bounded queue.
//!
//! The handle is cheap to clone and never blocks: calls wait for the thread at most for the deadline. When every
//! handle is gone the thread finishes what was handed in and closes the file.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::batch::{Task, Weight, Work, Writer};
use super::session::Session;
use super::{
    Appended, AuditStore, Filter, Head, IntentOutcome, MAX_APPEND, ResultOutcome, StepRecord, StoreFuture,
};
use crate::chain::ChainKey;
use crate::draft::{Draft, InvalidDraft, StepRole, check_id};
use crate::entry::Entry;
use crate::error::Error;

/// Calls that may wait in the queue.
const QUEUE: usize = 1024;
/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long SQLite waits for a lock of another process. Below the deadline, so that the caller learns the reason.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How to open a SQLite log.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The database file. Made, with mode 0600, when there is none.
    pub path: PathBuf,
    /// The chain's key.
    pub key: ChainKey,
    /// The log's name. A new log gets it (or a random one); an existing log must have it.
    pub origin: Option<String>,
    /// This writer's fence. Opening raises the stored fence to it; with a lower one every write is refused.
    pub fence: u64,
    /// How long a call may take.
    pub deadline: Duration,
    /// How long SQLite waits for a lock of another process.
    pub busy_timeout: Duration,
    /// Where the time comes from.
    pub clock: Clock,
}

impl SqliteOptions {
    /// The usual options.
    pub fn new(path: impl Into<PathBuf>, key: ChainKey, fence: u64) -> Self {
        Self {
            path: path.into(),
            key,
            origin: None,
            fence,
            deadline: DEADLINE,
            busy_timeout: BUSY_TIMEOUT,
            clock: Arc::new(Timestamp::now),
        }
    }
}

impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            key,
            origin,
            fence,
            deadline,
            busy_timeout,
            clock: _,
        } = self;
        f.debug_struct("SqliteOptions")
            .field("path", path)
            .field("key", key)
            .field("origin", origin)
            .field("fence", fence)
            .field("deadline", deadline)
            .field("busy_timeout", busy_timeout)
            .finish_non_exhaustive()
    }
}

/// A handle to an open SQLite log.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    queue: mpsc::Sender<Box<dyn Work>>,
    deadline: Duration,
}

impl SqliteStore {
    /// Opens a log, verifies its last 1000 entries and its head row, and takes the fence. Fails with `Integrity`
    /// (and changes nothing) when they do not verify with this key.
    pub async fn open(options: SqliteOptions) -> Result<Self, Error> {
        let deadline = options.deadline;
        let (queue, work) = mpsc::channel(QUEUE);
        let (ready, opened) = oneshot::channel();
        let thread = std::thread::Builder::new().name("kubechat-audit".to_owned());
        let body = move || match Writer::open(options) {
            Ok(writer) => {
                let _ = ready.send(Ok(()));
                writer.serve(work);
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        };
        thread
            .spawn(body)
            .map_err(|error| Error::unavailable(error.to_string()))?;
        wait(opened, Instant::now() + deadline, deadline).await?;
        Ok(Self { queue, deadline })
    }

    async fn call<T, F>(&self, weight: Weight, call: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Session<'_>) -> Result<T, Error> + Send + 'static,
    {
        let end = Instant::now() + self.deadline;
        let place = timeout_at(end, self.queue.reserve())
            .await
            .map_err(|_| Error::Overloaded(self.deadline))?;
        let (work, answer) = Task::boxed(weight, call);
        place
            .map_err(|_| Error::unavailable("its thread ended; restart"))?
            .send(work);
        wait(answer, end, self.deadline).await
    }
}

async fn wait<T>(
    answer: oneshot::Receiver<Result<T, Error>>,
    end: Instant,
    deadline: Duration,
) -> Result<T, Error> {
    match timeout_at(end, answer).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Error::Unconfirmed {
            why: "its thread ended; restart".to_owned(),
        }),
        Err(_) => Err(Error::Timeout(deadline)),
    }
}

/// The draft must play exactly this part, so that no entry gets around the one-execution lock.
fn check_role(draft: &Draft, role: StepRole, otherwise: &'static str) -> Result<(), InvalidDraft> {
    draft.check()?;
    if draft.step_role() == role {
        Ok(())
    } else {
        Err(InvalidDraft::new("outcome", otherwise))
    }
}

impl AuditStore for SqliteStore {
    fn append(&self, drafts: Vec<Draft>) -> StoreFuture<'_, Vec<Appended>> {
        Box::pin(async move {
            if drafts.len() > MAX_APPEND {
                return Err(InvalidDraft::new("drafts", "are more than 256 in one call").into());
            }
            let otherwise = "begins or ends a step: use append_intent or append_result";
            drafts
                .iter()
                .try_for_each(|draft| check_role(draft, StepRole::None, otherwise))?;
            self.call(Weight::Write(drafts.len()), move |session| session.append(drafts))
                .await
        })
    }

    fn append_intent<'a>(&'a self, mut draft: Draft, step_id: &'a str) -> StoreFuture<'a, IntentOutcome> {
        Box::pin(async move {
            let step_id = step_id.to_owned();
            draft.ids.step_id = Some(step_id.clone());
            check_role(&draft, StepRole::Intent, "or event type is not that of an intent")?;
            self.call(Weight::Write(1), move |session| {
                session.append_intent(draft, &step_id)
            })
            .await
        })
    }

    fn append_result(&self, draft: Draft) -> StoreFuture<'_, ResultOutcome> {
        Box::pin(async move {
            check_role(
                &draft,
                StepRole::Result,
                "or event type is not that of a result, or it has no step id",
            )?;
            let step_id = draft.ids.step_id.clone().unwrap_or_default();
            self.call(Weight::Write(1), move |session| {
                session.append_result(draft, &step_id)
            })
            .await
        })
    }

    fn intent<'a>(&'a self, step_id: &'a str) -> StoreFuture<'a, Option<StepRecord>> {
        let step_id = step_id.to_owned();
        Box::pin(self.call(Weight::Read, move |session| session.intent(&step_id)))
    }

    fn head(&self) -> StoreFuture<'_, Head> {
        Box::pin(self.call(Weight::Read, |session| Ok(session.head())))
    }

    fn raise_fence(&self, fence: u64) -> StoreFuture<'_, u64> {
        Box::pin(self.call(Weight::Write(1), move |session| session.raise_fence(fence)))
    }

    fn list(&self, filter: Filter) -> StoreFuture<'_, Vec<Entry>> {
        Box::pin(self.call(Weight::Read, move |session| session.list(&filter)))
    }

    fn payload(&self, seq: u64) -> StoreFuture<'_, Option<Value>> {
        Box::pin(self.call(Weight::Read, move |session| session.payload(seq)))
    }

    fn put_rollback<'a>(
        &'a self,
        plan_uid: &'a str,
        step_id: &'a str,
        bytes: Vec<u8>,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            check_id("plan uid", plan_uid)?;
            check_id("step id", step_id)?;
            let (plan, step) = (plan_uid.to_owned(), step_id.to_owned());
            self.call(Weight::Write(1), move |session| {
                session.put_rollback(&plan, &step, &bytes)
            })
            .await
        })
    }

    fn rollback<'a>(&'a self, plan_uid: &'a str, step_id: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> {
        let (plan, step) = (plan_uid.to_owned(), step_id.to_owned());
        Box::pin(self.call(Weight::Read, move |session| session.rollback(&plan, &step)))
    }

    fn rollback_plans<'a>(&'a self, after: &'a str) -> StoreFuture<'a, Vec<String>> {
        let after = after.to_owned();
        Box::pin(self.call(Weight::Read, move |session| session.rollback_plans(&after)))
    }

    fn delete_rollback<'a>(&'a self, plan_uid: &'a str, step_id: Option<&'a str>) -> StoreFuture<'a, u64> {
        let (plan, step) = (plan_uid.to_owned(), step_id.map(str::to_owned));
        Box::pin(self.call(Weight::Write(1), move |session| {
            session.delete_rollback(&plan, step.as_deref())
        }))
    }
}
