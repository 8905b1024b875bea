//! The operator's part where another process asks the models: it commits what that one intends to the audit log, if the person
//! may still ask, and records what became of it.

use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};
use kube::{Api, ResourceExt};
use kubechat_audit::Outcome;
use kubechat_core::lifecycle::ai_provider;
use kubechat_core::models::budget::Limits;
use kubechat_core::models::clerk::{Due, due, is_asked, misstated};
use kubechat_core::models::egress;
use kubechat_core::models::probe::CANNED;
use kubechat_crds::chat_request::{Outbound, OutboundEnd, OutboundState, Reading};
use kubechat_crds::condition::is_finished;
use kubechat_crds::{AIProvider, AIProviderStatus, ChatRequest, ChatRequestStatus};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::job::chain;
use super::record::About;
use crate::cluster::client::call;
use crate::context::Context;
use crate::controllers::lane::Lane;
use crate::error::Error;

/// Calls of a turn at most: a chain of four, each repaired once, begun anew once.
const MAX_CALLS: usize = 16;
/// How far the clock of the process that probes may be from this one's.
const CLOCKS: SignedDuration = SignedDuration::from_secs(30);

/// Does what is due for a turn's calls; the turn was judged before.
pub(crate) async fn of_turn(
    ctx: &Context,
    request: &ChatRequest,
    current: &ChatRequestStatus,
) -> Result<ChatRequestStatus, Error> {
    let (about, mut new) = (About::turn(request), current.clone());
    let who = request.spec.requester.as_ref().map(|r| r.username.as_str());
    for call in &mut new.outbound {
        catch_up(ctx, &about, call).await?;
        let refused = match due(call) {
            Due::Commit if is_finished(&current.conditions) => Some("the turn has ended".to_owned()),
            Due::Commit if !is_asked(current.reading.as_ref()) => {
                Some("the turn was read already".to_owned())
            }
            Due::Commit => {
                let reading = current.reading.clone().unwrap_or_default();
                refusal(ctx, request, &reading, call).await?
            }
            Due::End | Due::Nothing => None,
        };
        let ended = serve(ctx, &about, call, refused).await?;
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
    let name = provider.metadata.name.as_deref().unwrap_or_default();
    let uid = provider.metadata.uid.as_deref().unwrap_or_default();
    let (about, mut new) = (About::probe(&ctx.namespace, uid), current.clone());
    for call in &mut new.outbound {
        catch_up(ctx, &about, call).await?;
        let other = (call.provider != name).then_some("it is another provider's");
        let wrong = other
            .or_else(|| misstated(call, &provider.spec))
            .map(str::to_owned);
        let wrong = match due(call) {
            Due::Commit => wrong.or_else(|| no_probe(ctx, provider, current)),
            Due::End | Due::Nothing => None,
        };
        serve(ctx, &about, call, wrong).await?;
    }
    Ok(new)
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

/// Does what is due; returns the end of the call if it was recorded just now.
async fn serve(
    ctx: &Context,
    about: &About,
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
                let (number, _) = ctx.audit.once(about.intent(call)).await?;
                commit(call, number);
            }
        },
        Due::End => {
            if let Some(mut end) = call.end.clone() {
                // Another process's words and numbers.
                end.failure = end.failure.map(|why| kubechat_core::redact::shown(&why));
                for number in [&mut end.tokens_in, &mut end.tokens_out, &mut end.milliseconds] {
                    *number = (*number).max(0);
                }
                let (number, new) = ctx.audit.once(about.end(call, &end)).await?;
                end.audit_seq = Some(i64::try_from(number).unwrap_or(i64::MAX));
                call.end = Some(end.clone());
                return Ok(new.then_some(end));
            }
        }
    }
    Ok(None)
}

fn commit(call: &mut Outbound, number: u64) {
    call.audit_seq = Some(i64::try_from(number).unwrap_or(i64::MAX));
    call.state = OutboundState::Committed;
}

/// A call whose intent the log has is committed, whatever became of the status: it was let be made, and its end is owed.
pub(super) async fn catch_up(ctx: &Context, about: &About, call: &mut Outbound) -> Result<(), Error> {
    if due(call) == Due::Commit
        && let Some(entry) = ctx.audit.of_call(&about.intent(call)).await?
    {
        commit(call, entry.seq);
    }
    Ok(())
}

/// Why a call of a turn is not committed.
async fn refusal(
    ctx: &Context,
    request: &ChatRequest,
    reading: &Reading,
    outbound: &Outbound,
) -> Result<Option<String>, Error> {
    let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<AIProvider> = Api::all(ctx.client.clone());
    let first = match call("read the provider", api.get(&reading.provider)).await {
        Ok(first) => first,
        Err(error) if error.is_not_found() => return Ok(Some("it was deleted".to_owned())),
        Err(error) => return Err(error),
    };
    let (links, _) = chain(&ctx.models, &first, namespace).await?;
    let Some(found) = links.iter().find(|link| link.name_any() == outbound.provider) else {
        let why = format!("AIProvider {} does not fall back to it", reading.provider);
        return Ok(Some(why));
    };
    if let Some(why) = ai_provider::meanwhile(found, Some(found), namespace) {
        return Ok(Some(why));
    }
    if let Some(why) = misstated(outbound, &found.spec) {
        return Ok(Some(why.to_owned()));
    }
    if let Err((_, why)) = egress::destination(&found.spec, ctx.models.development(), &egress_hosts(ctx)) {
        return Ok(Some(why));
    }
    let entries = ctx.audit.calls_of(request.metadata.uid.clone()).await?;
    let made = entries.iter().filter(|e| e.outcome == Outcome::Intent).count();
    if made >= MAX_CALLS {
        return Ok(Some(format!(
            "the turn has made {made} calls, and more than it may need"
        )));
    }
    let number = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
    let limits = Limits {
        // Each asking is at most two calls: an answer may be repaired once.
        calls_a_minute: number(found.spec.rate_limit.map(i64::from)).map(|n| n.saturating_mul(2)),
        tokens_a_day: number(found.spec.budget.as_ref().and_then(|b| b.tokens_per_user_per_day)),
    };
    let who = request.spec.requester.as_ref().map(|r| r.username.as_str());
    let used = ctx.models.used_of(&outbound.provider);
    let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
    let over = used.call(who.unwrap_or_default(), limits, ctx.models.now() / 1000);
    Ok(over.err().map(|over| over.to_string()))
}

/// Hosts that all policies together let be reached; none while one of them cannot be honoured.
fn egress_hosts(ctx: &Context) -> Vec<String> {
    let packs = ctx.models.policies.state();
    if ctx.models.live.together(ctx.models.policies.state()).is_err() {
        return vec![];
    }
    packs
        .iter()
        .flat_map(|pack| pack.spec.egress_hosts.clone())
        .collect()
}

/// Why a call of a probe is not committed.
fn no_probe(ctx: &Context, provider: &AIProvider, current: &AIProviderStatus) -> Option<String> {
    let soon = Timestamp::now().saturating_add(CLOCKS).unwrap_or(Timestamp::MAX);
    if ai_provider::probe_at(current, provider.metadata.generation, soon) > soon {
        return Some("no probe of it is due".to_owned());
    }
    let of_a_probe = u64::try_from(CANNED.len()).unwrap_or(u64::MAX);
    let limits = Limits {
        // Two probes within a minute, each sentence asked twice.
        calls_a_minute: Some(of_a_probe.saturating_mul(4)),
        tokens_a_day: None,
    };
    let name = provider.metadata.name.as_deref().unwrap_or_default();
    // No provider has this name.
    let used = ctx.models.used_of(&format!("probes/{name}"));
    let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
    let over = used.call("", limits, ctx.models.now() / 1000);
    over.err()
        .map(|_| "it was probed too often within a minute".to_owned())
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
pub(super) mod tests;
