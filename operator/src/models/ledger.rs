//! The outbound ledger: before a body leaves, the turn's status says so, and the audit log has committed it; afterwards both
//! say what came of it.
//!
//! **Invariant:** status Intended -> audit entry -> status Committed -> call -> audit entry -> status Done or Failed. Where the
//! audit log is another process's, that one makes the entries from the status, and is waited for. A call whose end nobody
//! recorded is told as Unknown by whoever finds it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use kubechat_ai::{Call, End, Failure, Ledger, Progress};
use kubechat_core::models::clerk::{Due, due};
use kubechat_core::reason;
use kubechat_crds::chat_request::{Outbound, OutboundEnd, OutboundState, Partial, Usage};
use kubechat_crds::{AIProvider, ChatRequest, ChatRequestStatus};
use tokio::sync::watch;
use tokio::time::Instant;

use super::record::{About, ended, intended};
use super::{Gate, Models};
use crate::audit::Audit;
use crate::controllers::status;
use crate::error::Error;
use crate::metrics::{CallLabels, Metrics};

/// Calls that a status holds; a turn makes at most two for each of four providers.
const MAX_OUTBOUND: usize = 16;
/// How long another process is waited for to record a call.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(25);

/// Where calls are recorded.
pub enum Log {
    /// In the audit log, which is this process's own.
    Own(Audit),
    /// By the operator, who reads what these objects' status intends.
    Operators {
        /// Turns, as the API server has them.
        requests: Store<ChatRequest>,
        /// Providers, as the API server has them.
        providers: Store<AIProvider>,
    },
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

/// Says that the operator did not do its part.
fn unrecorded() -> Error {
    Error::Dependency {
        reason: reason::AUDIT_UNAVAILABLE,
        message: format!(
            "the operator did not record a call within {} s, so it was not made, or its answer is not used",
            PATIENCE.as_secs()
        ),
    }
}

/// Looks at a status until there is what is waited for.
pub(super) async fn until<S, T>(
    current: impl Fn() -> Option<S>,
    found: impl Fn(&S) -> Option<T>,
) -> Result<(S, T), Error> {
    let began = Instant::now();
    loop {
        if let Some(status) = current()
            && let Some(what) = found(&status)
        {
            return Ok((status, what));
        }
        if began.elapsed() > PATIENCE {
            return Err(unrecorded());
        }
        tokio::time::sleep(LOOK).await;
    }
}

pub(super) fn find<'a>(calls: &'a [Outbound], id: &str) -> Option<&'a Outbound> {
    calls.iter().find(|call| call.id == id)
}

/// The number under which an intended call was committed, or why it may not be made.
pub(super) fn answered(calls: &[Outbound], id: &str) -> Option<Result<u64, String>> {
    let call = find(calls, id)?;
    match call.state {
        OutboundState::Intended => None,
        OutboundState::Committed => Some(Ok(call.audit_seq.and_then(|n| u64::try_from(n).ok())?)),
        OutboundState::Done | OutboundState::Failed => {
            let why = call.end.as_ref().and_then(|end| end.failure.clone());
            Some(Err(why.unwrap_or_else(|| {
                "the operator did not let it be made".to_owned()
            })))
        }
    }
}

/// Whether the end of a call was recorded.
pub(super) fn settled(calls: &[Outbound], id: &str) -> Option<()> {
    let call = find(calls, id)?;
    (due(call) == Due::Nothing && call.end.is_some()).then_some(())
}

/// Adds a call; the oldest leaves of which all is recorded.
pub(super) fn add(calls: &mut Vec<Outbound>, call: Outbound) {
    let rests = |call: &Outbound| call.end.is_some() && due(call) == Due::Nothing;
    if calls.len() >= MAX_OUTBOUND
        && let Some(oldest) = calls.iter().position(rests)
    {
        calls.remove(oldest);
    }
    calls.push(call);
}

pub(super) fn commit(calls: &mut [Outbound], id: &str, number: u64) {
    if let Some(call) = calls.iter_mut().find(|call| call.id == id) {
        call.state = OutboundState::Committed;
        call.audit_seq = Some(i64::try_from(number).unwrap_or(i64::MAX));
    }
}

pub(super) fn close(calls: &mut [Outbound], id: &str, end: OutboundEnd) {
    if let Some(call) = calls.iter_mut().find(|call| call.id == id) {
        call.state = if end.failure.is_none() {
            OutboundState::Done
        } else {
            OutboundState::Failed
        };
        call.end = Some(end);
    }
}

/// Calls of which nobody said yet what became of them.
pub(super) fn open(calls: &[Outbound]) -> Vec<Outbound> {
    let open = |o: &&Outbound| matches!(o.state, OutboundState::Intended | OutboundState::Committed);
    calls.iter().filter(open).cloned().collect()
}

/// The end of a call of which nobody will say it.
pub(super) fn lost(call: &Outbound, why: &str) -> OutboundEnd {
    OutboundEnd {
        sent: call.state == OutboundState::Committed,
        failure: Some(why.to_owned()),
        unknown: true,
        ..OutboundEnd::default()
    }
}

/// The call with this number.
pub(super) fn named(calls: &[Outbound], number: u64) -> Option<Outbound> {
    let of = i64::try_from(number).unwrap_or(i64::MAX);
    calls.iter().find(|call| call.audit_seq == Some(of)).cloned()
}

/// The id of the next call: the provider, as far as there is room, and a number that none before it had.
pub(super) fn id(provider: &str, before: &[Outbound]) -> String {
    let number = |o: &Outbound| o.id.rsplit_once('-')?.1.parse::<u32>().ok();
    let next = before
        .iter()
        .filter_map(number)
        .max()
        .unwrap_or(0)
        .saturating_add(1);
    let name: String = provider.chars().take(50).collect();
    format!("{name}-{next}")
}

/// A turn's page of the ledger, shared by all providers that it asks.
#[derive(Debug)]
pub(crate) struct Page {
    pub(super) models: Arc<Models>,
    pub(super) request: ChatRequest,
    about: About,
    /// As the API server has it.
    status: Mutex<ChatRequestStatus>,
    /// Held while it is changed: how far an answer is is told beside what becomes of its call.
    writing: tokio::sync::Mutex<()>,
}

impl Page {
    pub(super) fn new(models: Arc<Models>, request: ChatRequest, status: ChatRequestStatus) -> Self {
        Self {
            models,
            about: About::turn(&request),
            request,
            status: Mutex::new(status),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// The status as it was written last.
    pub(super) fn status(&self) -> ChatRequestStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, status: ChatRequestStatus) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    /// Changes the turn's status, and writes it.
    pub(super) async fn change(&self, change: impl FnOnce(&mut ChatRequestStatus)) -> Result<(), Error> {
        let _alone = self.writing.lock().await;
        let old = self.status();
        let mut new = old.clone();
        change(&mut new);
        if new == old {
            return Ok(());
        }
        // For a turn that is gone nothing is asked any more.
        if !status::write_if_there(&*self.models, &self.request, Some(&old), &new).await? {
            return Err(Error::Invalid("the turn was deleted".to_owned()));
        }
        self.keep(new);
        Ok(())
    }

    /// Tells how far the answer of the call under way is, each time that more of it is known, until nobody says so any more.
    /// That it cannot be told holds up nothing.
    pub(super) async fn follow(&self, mut seen: watch::Receiver<Progress>) {
        while seen.changed().await.is_ok() {
            let Progress { letters, actions } = seen.borrow_and_update().clone();
            let told = self.change(|status| {
                // Of a call that has ended nothing comes in any more.
                let under_way = status
                    .outbound
                    .iter()
                    .find(|c| c.state == OutboundState::Committed);
                if let Some(provider) = under_way.map(|call| call.provider.clone()) {
                    status.partial = Some(Partial {
                        provider,
                        letters: i64::try_from(letters).unwrap_or(i64::MAX),
                        actions,
                    });
                }
            });
            if let Err(problem) = told.await {
                tracing::debug!(%problem, "how far an answer is was not told");
            }
        }
    }

    /// Waits until the operator has done its part.
    async fn until<T>(
        &self,
        requests: &Store<ChatRequest>,
        found: impl Fn(&[Outbound]) -> Option<T>,
    ) -> Result<T, Error> {
        let (reference, uid) = (ObjectRef::from_obj(&self.request), self.request.uid());
        let current = || {
            let turn = requests.get(&reference).filter(|turn| turn.uid() == uid)?;
            turn.status.clone()
        };
        let (status, what) = until(current, |status: &ChatRequestStatus| found(&status.outbound)).await?;
        self.keep(status);
        Ok(what)
    }

    async fn write_intent(&self, provider: &str, call: &Call) -> Result<Result<u64, String>, Error> {
        let id = id(provider, &self.status().outbound);
        let call = intended(id.clone(), provider, call);
        self.change(|status| add(&mut status.outbound, call.clone()))
            .await?;
        match &self.models.log {
            Log::Own(audit) => {
                let (number, _) = audit.once(self.about.intent(&call)).await?;
                self.change(|status| commit(&mut status.outbound, &id, number))
                    .await?;
                Ok(Ok(number))
            }
            Log::Operators { requests, .. } => self.until(requests, |calls| answered(calls, &id)).await,
        }
    }

    async fn write_end(&self, call: Outbound, mut end: OutboundEnd) -> Result<(), Error> {
        if let Log::Own(audit) = &self.models.log {
            let (number, _) = audit.once(self.about.end(&call, &end)).await?;
            end.audit_seq = Some(i64::try_from(number).unwrap_or_default());
        }
        self.change(|status| {
            let used = status.usage.get_or_insert_with(Usage::default);
            used.tokens_in = used.tokens_in.saturating_add(end.tokens_in);
            used.tokens_out = used.tokens_out.saturating_add(end.tokens_out);
            close(&mut status.outbound, &call.id, end.clone());
            status.partial = None;
        })
        .await?;
        match &self.models.log {
            Log::Own(_) => Ok(()),
            Log::Operators { requests, .. } => self.until(requests, |calls| settled(calls, &call.id)).await,
        }
    }

    /// Tells of calls whose end nobody recorded: the process that made them ended, or the turn was stopped.
    pub(super) async fn settle(&self, why: &str) -> Result<(), Error> {
        for call in open(&self.status().outbound) {
            if let (Log::Operators { requests, .. }, OutboundState::Intended) = (&self.models.log, call.state)
            {
                // It may be committed any moment; then its end is owed too.
                self.until(requests, |calls| answered(calls, &call.id).map(drop))
                    .await?;
            }
            let Some(mut call) = find(&self.status().outbound, &call.id).cloned() else {
                continue;
            };
            if let (Log::Own(audit), OutboundState::Intended) = (&self.models.log, call.state)
                && let Some(entry) = audit.of_call(&self.about.intent(&call)).await?
            {
                // Its process ended between the entry and the status.
                call.state = OutboundState::Committed;
                call.audit_seq = i64::try_from(entry.seq).ok();
                self.change(|status| commit(&mut status.outbound, &call.id, entry.seq))
                    .await?;
            }
            let end = lost(&call, why);
            match call.state {
                OutboundState::Committed => self.write_end(call, end).await?,
                // One that was never committed was never made.
                OutboundState::Intended => {
                    self.change(|status| close(&mut status.outbound, &call.id, end))
                        .await?;
                }
                OutboundState::Done | OutboundState::Failed => {}
            }
        }
        Ok(())
    }
}

/// One provider's calls for a turn.
#[derive(Debug)]
pub(crate) struct Book {
    page: Arc<Page>,
    provider: String,
    gate: Arc<Gate>,
}

impl Book {
    pub(super) fn new(page: Arc<Page>, provider: &AIProvider, gate: Arc<Gate>) -> Self {
        Self {
            page,
            provider: provider.name_any(),
            gate,
        }
    }
}

impl Ledger for Book {
    fn intend<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(async move {
            match self.page.write_intent(&self.provider, call).await {
                Ok(Ok(number)) => Ok(number),
                Ok(Err(why)) => Err(Failure::NotAsked(why)),
                Err(problem) => {
                    tracing::warn!(%problem, "a call of a model was not made: it could not be recorded");
                    Err(Failure::Unrecorded)
                }
            }
        })
    }

    fn done<'a>(&'a self, number: u64, _: &'a Call, end: &'a End) -> BoxFuture<'a, Result<(), Failure>> {
        let page = &self.page;
        let who = page.request.spec.requester.as_ref();
        let who = who.map(|r| r.username.clone()).unwrap_or_default();
        // Counted whatever becomes of the record: they were used.
        self.gate.spend(&who, end.tokens, page.models.now());
        count(&page.models.metrics, end);
        Box::pin(async move {
            let Some(call) = named(&page.status().outbound, number) else {
                return Err(Failure::Unrecorded);
            };
            page.write_end(call, ended(end)).await.map_err(|problem| {
                tracing::warn!(%problem, "a model's answer is not used: the call's end could not be recorded");
                Failure::Unrecorded
            })
        })
    }
}

pub(super) fn count(metrics: &Metrics, end: &End) {
    let outcome = if end.failure.is_none() {
        "answered"
    } else {
        "failed"
    };
    metrics.model_calls.get_or_create(&CallLabels { outcome }).inc();
    metrics.model_seconds.observe(end.took.as_secs_f64());
    metrics
        .model_tokens
        .inc_by(end.tokens.0.saturating_add(end.tokens.1));
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
