//! Calls whose turn or provider is gone before anybody said what became of them: the log is told that it is not known.
//!
//! What the watch sees leave is told at once. What nobody saw leave (while no operator ran, or where the log did not answer) is
//! found by comparing the log's open intents with what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::runtime::watcher::Event;
use kube::{Api, ResourceExt};
use kubechat_audit::{Draft, Entry, EventType, Outcome};
use kubechat_core::models::clerk::{Due, due, give_up};
use kubechat_core::reason;
use kubechat_crds::chat_request::Outbound;
use kubechat_crds::{AIProvider, ChatRequest, ChatRequestStatus};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::clerk::{catch_up, of_turn};
use super::record::{About, VERB};
use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;

/// Removed turns that wait; what finds no room is found in the log.
const MAX_REMOVED: usize = 256;
/// How often the log is compared with what there is.
const COMPARED: Duration = Duration::from_secs(60);
/// How far back.
const SEARCHED: SignedDuration = SignedDuration::from_hours(24);
/// Age of an intent whose end nobody will say any more: longer than any call, its job and its record.
const OVERDUE: SignedDuration = SignedDuration::from_mins(10);

/// Notes which turns are removed while what became of their calls is owed to the log.
pub(crate) struct Leaving(mpsc::Sender<ChatRequest>);

/// The two ends.
pub(crate) fn leaving() -> (Leaving, mpsc::Receiver<ChatRequest>) {
    let (queue, left) = mpsc::channel(MAX_REMOVED);
    (Leaving(queue), left)
}

impl Leaving {
    /// Takes what the watch says.
    pub(crate) fn see(&self, event: &Event<ChatRequest>) {
        if let Event::Delete(turn) = event
            && turn
                .status
                .as_ref()
                .is_some_and(|s| s.outbound.iter().any(is_unsaid))
            && self.0.try_send(turn.clone()).is_err()
        {
            tracing::warn!("many removed turns wait: what became of the calls of one is told later");
        }
    }
}

/// Whether the log may be owed something of a call.
fn is_unsaid(call: &Outbound) -> bool {
    call.end.is_none() || due(call) != Due::Nothing
}

/// Records what is not known any more of the calls of a turn that is gone.
pub(crate) async fn forget(
    ctx: &Context,
    turn: &ChatRequest,
    status: &ChatRequestStatus,
) -> Result<(), Error> {
    let about = About::turn(turn);
    let mut calls = status.outbound.clone();
    for call in &mut calls {
        // The status of a turn may be older than the log.
        catch_up(ctx, &about, call).await?;
    }
    give_up(&mut calls, "the turn was deleted before that was said");
    calls.retain(|call| due(call) == Due::End);
    let status = ChatRequestStatus {
        outbound: calls,
        ..status.clone()
    };
    of_turn(ctx, turn, &status).await.map(drop)
}

/// Tells of calls whose turn or provider is gone, until the process ends. What could not be told is tried again.
pub(crate) async fn of_removed(
    mut left: mpsc::Receiver<ChatRequest>,
    ctx: Arc<Context>,
    until: CancellationToken,
) -> anyhow::Result<()> {
    let mut open = Open::default();
    let mut again = tokio::time::interval(COMPARED);
    loop {
        tokio::select! {
            biased;
            () = until.cancelled() => return Ok(()),
            turn = left.recv() => {
                let Some(turn) = turn else { return Ok(()) };
                // Where this process makes the calls it records their ends itself.
                if ctx.models.is_elsewhere()
                    && let Err(problem) = forget(&ctx, &turn, &turn.status.clone().unwrap_or_default()).await
                {
                    tracing::warn!(%problem, "of a turn that was removed the log does not say yet what became of its calls");
                }
            }
            _ = again.tick() => {
                if ctx.stores.filled.iter().all(|filled| *filled.borrow())
                    && let Err(problem) = open.compare(&ctx, Timestamp::now()).await
                {
                    tracing::warn!(%problem, "the log's calls were not compared with what there is; tried again");
                }
            }
        }
    }
}

/// Intents of the log whose end it does not tell.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// From where to read on; `None` before the first look.
    next: Option<u64>,
    /// By turn and id.
    intents: BTreeMap<(Option<String>, String), Entry>,
}

impl Open {
    /// Records that the end is not known of each old intent whose turn or provider is gone.
    pub(super) async fn compare(&mut self, ctx: &Context, now: Timestamp) -> Result<(), Error> {
        self.read(ctx, now).await?;
        let old = |entry: &&Entry| now.duration_since(entry.time) > OVERDUE;
        let overdue: Vec<Entry> = self.intents.values().filter(old).cloned().collect();
        if overdue.is_empty() {
            return Ok(());
        }
        let turns: BTreeSet<String> = ctx
            .stores
            .requests
            .state()
            .iter()
            .filter_map(|t| t.uid())
            .collect();
        for entry in overdue {
            let is_there = match &entry.ids.request_uid {
                Some(uid) => turns.contains(uid),
                None => provider_is_there(ctx, &entry).await?,
            };
            if !is_there {
                let payload = ctx.audit.payload(entry.seq).await.unwrap_or_default();
                ctx.audit.once(unknown(&entry, payload)).await?;
            }
        }
        Ok(())
    }

    /// Takes what the log tells since the last look.
    async fn read(&mut self, ctx: &Context, now: Timestamp) -> Result<(), Error> {
        let since = now.saturating_sub(SEARCHED).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut next = match self.next {
            Some(next) => next,
            None => ctx.audit.first_since(since).await?,
        };
        loop {
            let page = ctx.audit.of_type(EventType::Outbound, next).await?;
            for entry in page.entries {
                let Some(id) = entry.ids.step_id.clone() else {
                    continue;
                };
                let of = (entry.ids.request_uid.clone(), id);
                if entry.outcome == Outcome::Intent {
                    self.intents.insert(of, entry);
                } else {
                    self.intents.remove(&of);
                }
            }
            next = page.next;
            self.next = Some(next);
            if !page.more {
                break;
            }
        }
        self.intents.retain(|_, entry| entry.time >= since);
        Ok(())
    }
}

async fn provider_is_there(ctx: &Context, entry: &Entry) -> Result<bool, Error> {
    let name = entry.target.as_ref().and_then(|target| target.name.clone());
    let id = entry.ids.step_id.clone().unwrap_or_default();
    let api: Api<AIProvider> = Api::all(ctx.client.clone());
    match call("read the provider", api.get(&name.unwrap_or_default())).await {
        Ok(found) => Ok(found.uid().is_some_and(|uid| id.starts_with(&format!("{uid}/")))),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Says of an intent that its end is not known.
fn unknown(intent: &Entry, mut about: serde_json::Value) -> Draft {
    let what = if intent.verb == VERB { "turn" } else { "provider" };
    let mut draft = Draft::new(
        EventType::Outbound,
        intent.actor.clone(),
        intent.verb.clone(),
        Outcome::Unknown,
        reason::OUTBOUND_UNKNOWN,
    );
    (draft.ids, draft.target) = (intent.ids.clone(), intent.target.clone());
    draft.message = format!(
        "what became of the call of entry {} is not known: its {what} was deleted before that was said",
        intent.seq
    );
    if !about.is_object() {
        about = json!({});
    }
    (about["of"], about["sent"]) = (json!(intent.seq), json!(true));
    draft.payload = about;
    draft
}

#[cfg(test)]
#[path = "parting_tests.rs"]
mod tests;
