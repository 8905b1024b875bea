//! The bytes that undo plans (in the audit database) go with their turns, whoever deleted those, and whether or not an
//! operator ran then.
//!
//! **Invariant:** only what the API server does not know any more is forgotten. Bytes are kept for a turn that is there, so
//! whoever reads first for which turns there are bytes, and then all turns, takes none for gone that is not. A cache proves
//! nothing here: while it is being filled, every turn is missing in it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::api::ListParams;
use kube::{Api, ResourceExt};
use kubechat_crds::ChatRequest;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::cluster::client::call;
use crate::cluster::objects::PAGE;
use crate::context::Context;
use crate::error::Error;

/// Between a turn's end and the look at what is left of it: many that go together are one look.
const SETTLE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 20 });

/// Sweeps at the start, whenever a turn went, and once in a period for those whose end nobody saw. Best effort: what could
/// not be forgotten now is next time.
///
/// # Errors
/// None; ends at shutdown.
pub async fn sweeps(
    ctx: Arc<Context>,
    went: Arc<Notify>,
    period: Duration,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        if let Err(problem) = sweep(&ctx).await {
            tracing::warn!(%problem, "the kept bytes of deleted turns were not forgotten yet");
        }
        tokio::select! {
            () = went.notified() => {}
            () = tokio::time::sleep(period) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        tokio::select! {
            () = tokio::time::sleep(SETTLE) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
    }
}

/// Forgets the bytes of turns that are gone. Returns of how many.
///
/// # Errors
/// When the API server or the store does not answer: then nothing more is forgotten.
pub async fn sweep(ctx: &Context) -> Result<usize, Error> {
    ctx.leadership.check()?;
    let cached: BTreeSet<String> = ctx
        .stores
        .requests
        .state()
        .iter()
        .filter_map(|r| r.uid())
        .collect();
    let kept = ctx.audit.kept_for().await?;
    let mut missing: BTreeSet<String> = kept.into_iter().filter(|uid| !cached.contains(uid)).collect();
    if missing.is_empty() {
        return Ok(0);
    }
    let api: Api<ChatRequest> = Api::all(ctx.client.clone());
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let turns = call("list ChatRequests", api.list_metadata(&page)).await?;
        for turn in &turns.items {
            missing.remove(turn.metadata.uid.as_deref().unwrap_or_default());
        }
        match turns.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break,
        }
    }
    for uid in &missing {
        ctx.leadership.check()?;
        ctx.audit.forget(uid).await?;
    }
    Ok(missing.len())
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
