//! The operator's part where another process asks the models: it commits what that one intends to the audit log, if the person
//! may still ask, and records what became of it.

use std::sync::{Arc, PoisonError};

use kube::Api;
use kube::runtime::watcher::Event;
use kubechat_audit::{Draft, Outcome};
use kubechat_core::lifecycle::ai_provider;
use kubechat_core::models::budget::Limits;
use kubechat_core::models::clerk::{Due, due, give_up, is_asked, misstated};
use kubechat_crds::chat_request::{Outbound, OutboundEnd, OutboundState};
use kubechat_crds::condition::is_finished;
use kubechat_crds::{AIProvider, AIProviderStatus, ChatRequest, ChatRequestStatus};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::record::About;
use crate::cluster::client::call;
use crate::context::Context;
use crate::controllers::lane::Lane;
use crate::error::Error;

/// Removed turns that wait; more are told of in this process's own log.
const MAX_REMOVED: usize = 256;

/// Does what is due for a turn's calls; the turn was judged before.
pub(crate) async fn of_turn(
    ctx: &Context,
    request: &ChatRequest,
    current: &ChatRequestStatus,
) -> Result<ChatRequestStatus, Error> {
    let (about, mut new) = (About::turn(request), current.clone());
    let who = request.spec.requester.as_ref().map(|r| r.username.as_str());
    let uid = request.metadata.uid.as_deref().unwrap_or_default();
    let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
    for call in &mut new.outbound {
        let refused = match due(call) {
            Due::Commit if is_finished(&current.conditions) => Some("the turn has ended".to_owned()),
            Due::Commit if !is_asked(current.reading.as_ref()) => {
                Some("the turn was read already".to_owned())
            }
            Due::Commit => refusal(ctx, call, who.unwrap_or_default(), namespace).await?,
            Due::End | Due::Nothing => None,
        };
        let ended = serve(ctx, (&about, uid), call, refused).await?;
        if let (Some(who), Some(end)) = (who, ended) {
            spend(ctx, &call.provider, who, &end);
        }
    }
    Ok(new)
}

/// Does what is due for the calls of a provider's probe.
pub(crate) async fn of_provider(
    ctx: &Context,
    provider: &AIProvider,
    current: &AIProviderStatus,
) -> Result<AIProviderStatus, Error> {
    let (about, mut new) = (About::probe(&ctx.namespace), current.clone());
    let name = provider.metadata.name.as_deref().unwrap_or_default();
    let uid = provider.metadata.uid.as_deref().unwrap_or_default();
    for call in &mut new.outbound {
        let other = (call.provider != name).then_some("it is another provider's");
        let wrong = other
            .or_else(|| misstated(call, &provider.spec))
            .map(str::to_owned);
        serve(ctx, (&about, uid), call, wrong).await?;
    }
    Ok(new)
}

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
            && !unsaid(turn).is_empty()
            && self.0.try_send(turn.clone()).is_err()
        {
            tracing::error!(
                "too many removed turns wait: of one the log does not say what became of its calls"
            );
        }
    }
}

/// The calls of a turn that was removed whose end the log does not tell.
fn unsaid(turn: &ChatRequest) -> Vec<Outbound> {
    let mut calls = turn
        .status
        .as_ref()
        .map(|s| s.outbound.clone())
        .unwrap_or_default();
    give_up(&mut calls, "the turn was deleted before that was said");
    calls.retain(|call| due(call) == Due::End);
    calls
}

/// Records what is not known any more of the calls of turns that were removed, where another process made them.
pub(crate) async fn of_removed(
    mut left: mpsc::Receiver<ChatRequest>,
    ctx: Arc<Context>,
    until: CancellationToken,
) -> anyhow::Result<()> {
    while let Some(Some(turn)) = until.run_until_cancelled(left.recv()).await {
        // Where this process makes the calls it records their ends itself.
        if ctx.models.is_elsewhere()
            && let Err(problem) = forget(&ctx, &turn).await
        {
            tracing::error!(%problem, "of a turn that was removed the log does not say what became of its calls");
        }
    }
    Ok(())
}

async fn forget(ctx: &Context, turn: &ChatRequest) -> Result<(), Error> {
    let status = ChatRequestStatus {
        outbound: unsaid(turn),
        ..turn.status.clone().unwrap_or_default()
    };
    of_turn(ctx, turn, &status).await.map(drop)
}

/// Has turns looked at whose interpretation has ended.
pub(crate) async fn told(
    mut turns: mpsc::Receiver<ChatRequest>,
    lane: Lane<ChatRequest>,
    until: CancellationToken,
) -> anyhow::Result<()> {
    while let Some(Some(turn)) = until.run_until_cancelled(turns.recv()).await {
        lane.same(&turn).await;
    }
    Ok(())
}

/// Makes an entry, or finds the one that was made: the cache that is looked at may lag behind. Returns whether it is new.
async fn once(ctx: &Context, uid: &str, call: &Outbound, draft: Draft) -> Result<(i64, bool), Error> {
    let of = format!(
        "{uid}/{}/{}/{:?}",
        call.id,
        call.digest,
        draft.outcome == Outcome::Intent
    );
    let (number, new) = match ctx.models.entry(&of) {
        Some(number) => (number, false),
        None => {
            let number = ctx.audit.record(draft).await?.unwrap_or_default();
            ctx.models.made(of, number);
            (number, true)
        }
    };
    Ok((i64::try_from(number).unwrap_or(i64::MAX), new))
}

/// Does what is due; returns the end of the call if it was recorded just now.
async fn serve(
    ctx: &Context,
    (about, uid): (&About, &str),
    call: &mut Outbound,
    refused: Option<String>,
) -> Result<Option<OutboundEnd>, Error> {
    match due(call) {
        Due::Nothing => {}
        Due::Commit => match refused {
            Some(why) => {
                call.state = OutboundState::Failed;
                call.end = Some(OutboundEnd {
                    failure: Some(why),
                    ..OutboundEnd::default()
                });
            }
            None => {
                let (number, _) = once(ctx, uid, call, about.intent(call)).await?;
                call.audit_seq = Some(number);
                call.state = OutboundState::Committed;
            }
        },
        Due::End => {
            if let Some(mut end) = call.end.clone() {
                let (number, new) = once(ctx, uid, call, about.end(call, &end)).await?;
                end.audit_seq = Some(number);
                call.end = Some(end.clone());
                return Ok(new.then_some(end));
            }
        }
    }
    Ok(None)
}

/// Why a call is not committed.
async fn refusal(
    ctx: &Context,
    outbound: &Outbound,
    who: &str,
    namespace: &str,
) -> Result<Option<String>, Error> {
    let provider = outbound.provider.as_str();
    let api: Api<AIProvider> = Api::all(ctx.client.clone());
    let found = match call("read the provider", api.get(provider)).await {
        Ok(found) => found,
        Err(error) if error.is_not_found() => return Ok(Some("it was deleted".to_owned())),
        Err(error) => return Err(error),
    };
    if let Some(why) = ai_provider::meanwhile(&found, Some(&found), namespace) {
        return Ok(Some(why));
    }
    if let Some(why) = misstated(outbound, &found.spec) {
        return Ok(Some(why.to_owned()));
    }
    let limits = Limits {
        calls_a_minute: None,
        tokens_a_day: found
            .spec
            .budget
            .as_ref()
            .and_then(|b| b.tokens_per_user_per_day)
            .and_then(|n| u64::try_from(n).ok()),
    };
    let used = ctx.models.used_of(provider);
    let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
    let over = used.call(who, limits, ctx.models.now() / 1000);
    Ok(over.err().map(|over| over.to_string()))
}

fn spend(ctx: &Context, provider: &str, who: &str, end: &OutboundEnd) {
    let tokens = |n: i64| u64::try_from(n).unwrap_or_default();
    let all = tokens(end.tokens_in).saturating_add(tokens(end.tokens_out));
    let used = ctx.models.used_of(provider);
    let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
    used.spend(who, all, ctx.models.now() / 1000);
}

#[cfg(test)]
#[path = "clerk_tests.rs"]
mod tests;
