//! The one thread that talks to SQLite: takes what waits in the queue, commits it together, then answers.
//!
//! Invariants: answers go out after the commit; a failed commit answers everyone in it with the failure; work
//! whose caller has gone is not begun. One thread and one connection, so that a read sees every write that was
//! handed in before it. After a failure the file is opened and checked again before anything is written.

use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::open::{self, Opened, Request};
use super::session::Session;
use super::sqlite::SqliteOptions;
use super::{Head, rows};
use crate::error::Error;

/// Entries after which a batch is committed.
const BATCH_ENTRIES: usize = 256;
/// Time after which a batch is committed, however much still comes in.
const BATCH_TIME: Duration = Duration::from_millis(5);

/// How much a piece of work writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// Nothing.
    Read,
    /// So many entries (or another row).
    Write(usize),
}

/// Work whose result type is hidden.
pub(super) trait Work: Send {
    fn weight(&self) -> Weight;
    /// Whether the caller stopped waiting.
    fn is_abandoned(&self) -> bool;
    /// Does the work. An error means that the transaction must be given up; a refusal is kept as the answer.
    fn run(&mut self, session: &mut Session<'_>) -> Result<(), Error>;
    /// Tells the caller, now that the transaction's fate is known.
    fn answer(self: Box<Self>, fate: Result<(), Error>);
}

/// A call and who waits for it.
pub(super) struct Task<T, F> {
    weight: Weight,
    call: Option<F>,
    result: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Task<T, F>
where
    T: Send + 'static,
    F: FnOnce(&mut Session<'_>) -> Result<T, Error> + Send + 'static,
{
    pub(super) fn boxed(weight: Weight, call: F) -> (Box<dyn Work>, oneshot::Receiver<Result<T, Error>>) {
        let (reply, answer) = oneshot::channel();
        (
            Box::new(Self {
                weight,
                call: Some(call),
                result: None,
                reply,
            }),
            answer,
        )
    }
}

impl<T, F> Work for Task<T, F>
where
    T: Send,
    F: FnOnce(&mut Session<'_>) -> Result<T, Error> + Send,
{
    fn weight(&self) -> Weight {
        self.weight
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, session: &mut Session<'_>) -> Result<(), Error> {
        let Some(call) = self.call.take() else {
            return Ok(());
        };
        match call(session) {
            Err(error) if error.spoils_batch() => Err(error),
            result => {
                self.result = Some(result);
                Ok(())
            }
        }
    }

    fn answer(self: Box<Self>, fate: Result<(), Error>) {
        let answer = match (fate, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Error::unavailable("the call was given up")),
            (Err(_), Some(Err(refusal))) => Err(refusal),
            (Err(error), Some(Ok(_)) | None) => Err(error),
        };
        // Nobody waits any more: then nobody acts on it either.
        let _ = self.reply.send(answer);
    }
}

/// The writer's state.
pub(super) struct Writer {
    options: SqliteOptions,
    opened: Option<Opened>,
    head: Head,
    fence: u64,
    healthy: bool,
}

impl Writer {
    /// Opens the log.
    pub(super) fn open(options: SqliteOptions) -> Result<Self, Error> {
        let fence = options.fence;
        let opened = open::open(&request(&options, fence, None))?;
        let head = opened.head.clone();
        Ok(Self {
            options,
            opened: Some(opened),
            head,
            fence,
            healthy: true,
        })
    }

    /// Works until every handle is gone and the queue is empty.
    pub(super) fn serve(mut self, mut queue: mpsc::Receiver<Box<dyn Work>>) {
        while let Some(first) = queue.blocking_recv() {
            let mut batch = collect(first, &mut queue);
            let fate = self.commit(&mut batch);
            self.log_change(&fate);
            for work in batch {
                work.answer(fate.clone());
            }
        }
    }

    fn commit(&mut self, batch: &mut [Box<dyn Work>]) -> Result<(), Error> {
        let writes = batch.iter().any(|work| work.weight() != Weight::Read);
        let mut opened = match self.opened.take() {
            Some(opened) => opened,
            None => open::open(&request(&self.options, self.fence, Some(&self.head)))?,
        };
        if writes && let Err(error) = opened.guard.check() {
            self.opened = Some(opened);
            return Err(error);
        }
        let result = self.transact(&mut opened.db, batch, writes);
        // After a failure of the database the connection is not trusted: the next batch opens and checks it again.
        if !result.as_ref().is_err_and(Error::is_unavailable) {
            self.opened = Some(opened);
        }
        result
    }

    fn transact(
        &mut self,
        db: &mut Connection,
        batch: &mut [Box<dyn Work>],
        writes: bool,
    ) -> Result<(), Error> {
        let behavior = if writes {
            TransactionBehavior::Immediate
        } else {
            TransactionBehavior::Deferred
        };
        let tx = db.transaction_with_behavior(behavior)?;
        let head = rows::head(&tx)?;
        open::check_continues(&self.head, &head)?;
        let mut session = Session::begin(&tx, &self.options.key, &self.options.clock, head, self.fence)?;
        for work in batch.iter_mut().filter(|work| !work.is_abandoned()) {
            work.run(&mut session)?;
        }
        let (head, fence) = session.end()?;
        tx.commit().map_err(|error| match writes {
            true => Error::Unconfirmed {
                why: error.to_string(),
            },
            false => Error::from(error),
        })?;
        self.head = head;
        self.fence = fence;
        Ok(())
    }

    /// One line when the store goes away, one when it is back.
    fn log_change(&mut self, fate: &Result<(), Error>) {
        match fate {
            Ok(()) if !self.healthy => tracing::info!("audit store is back"),
            Err(error) if self.healthy => tracing::error!(%error, "audit store failed; nothing is executed"),
            Ok(()) | Err(_) => {}
        }
        self.healthy = fate.is_ok();
    }
}

fn request<'a>(options: &'a SqliteOptions, fence: u64, known: Option<&'a Head>) -> Request<'a> {
    Request {
        path: &options.path,
        key: &options.key,
        origin: options.origin.as_deref(),
        fence,
        busy: options.busy_timeout,
        known,
    }
}

/// What waits in the queue now, up to the limits. Does not wait for more: while one batch is being committed the
/// next one gathers by itself, and a lone caller is not kept waiting.
fn collect(first: Box<dyn Work>, queue: &mut mpsc::Receiver<Box<dyn Work>>) -> Vec<Box<dyn Work>> {
    let size = |work: &dyn Work| match work.weight() {
        Weight::Read => 0,
        Weight::Write(entries) => entries,
    };
    let begun = Instant::now();
    let mut entries = size(first.as_ref());
    let mut batch = vec![first];
    while entries < BATCH_ENTRIES && begun.elapsed() < BATCH_TIME {
        let Ok(work) = queue.try_recv() else { break };
        entries = entries.saturating_add(size(work.as_ref()));
        batch.push(work);
    }
    batch
}
