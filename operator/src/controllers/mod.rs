//! One controller a kind: observe -> decide (in `kubechat_core`) -> apply -> report.

pub mod admission_event;
pub mod ai_provider;
pub mod approval;
pub mod approver_key;
pub mod audit_policy;
pub mod chat_request;
pub mod chat_session;
pub mod command_plan;
pub mod holders;
pub mod kept;
pub mod lane;
pub mod removed;
pub mod risk_policy;
pub mod status;
mod turn;

pub use turn::Handled;

use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryFutureExt};
use kube::runtime::controller::{self, Action, Config};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use kubechat_core::backoff;
use tokio::sync::mpsc;

use crate::cluster::watch::Watched;
use crate::context::Context;
use crate::error::Error;
use crate::metrics::ReconcileLabels;

/// Objects of one kind that may wait to be looked at.
pub const QUEUE: usize = 8192;
/// Longest reconcile; the audit log's and the API server's own deadlines are shorter.
const RECONCILE_DEADLINE: Duration = if cfg!(test) {
    Duration::from_millis(50)
} else {
    Duration::from_secs(180)
};
/// Objects whose failed tries are remembered.
/// When a turn comes back that is in line behind others of the same person.
const IN_LINE: Duration = Duration::from_millis(250);
const MAX_ATTEMPTS: usize = 100_000;

/// Runs one controller until its queue ends; in-flight reconciles are finished.
pub async fn run<K, F, Fut>(
    kind: &'static str,
    ctx: Arc<Context>,
    store: Store<K>,
    queue: mpsc::Receiver<ObjectRef<K>>,
    concurrency: u16,
    reconcile: F,
) where
    K: Watched,
    F: Fn(Arc<K>, Arc<Context>) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let queue = futures::stream::unfold(queue, |mut queue| async move {
        queue
            .recv()
            .await
            .map(|r| (Ok::<_, std::convert::Infallible>(r), queue))
    });
    let reconciler =
        move |object: Arc<K>, ctx: Arc<Context>| Box::pin(observed(kind, reconcile.clone(), object, ctx));
    let on_error = move |object: Arc<K>, error: &Error, ctx: Arc<Context>| retry(kind, &*object, error, &ctx);
    let config = Config::default().concurrency(concurrency);
    let mut results = std::pin::pin!(controller::applier(
        reconciler, on_error, ctx, store, queue, config
    ));
    while let Some(result) = results.next().await {
        match result {
            Ok(_) | Err(controller::Error::ObjectNotFound(_)) => {}
            Err(problem) => tracing::debug!(kind, %problem, "reconcile did not succeed"),
        }
    }
}

/// How long one look at an object of a kind may take. An execution has no end set from outside, which would cut it off
/// between an intent and its result: each of its awaits has a deadline, and [`crate::pace`] tells it when to stop.
fn deadline(kind: &str) -> Option<Duration> {
    (kind != "CommandPlan").then_some(RECONCILE_DEADLINE)
}

/// A reconcile with its deadline and metrics.
async fn observed<K, F, Fut>(
    kind: &'static str,
    reconcile: F,
    object: Arc<K>,
    ctx: Arc<Context>,
) -> Result<Action, Error>
where
    K: Watched,
    F: Fn(Arc<K>, Arc<Context>) -> Fut,
    Fut: Future<Output = Result<Action, Error>>,
{
    // Every decision reads several caches; none is made while one of them is still being filled.
    ctx.stores.ready().await?;
    let began = Instant::now();
    let metrics = Arc::clone(&ctx.metrics);
    let key = key(kind, &*object);
    let attempts = Arc::clone(&ctx.attempts);
    let looked = reconcile(object, ctx);
    let result = match deadline(kind) {
        None => looked.await,
        Some(limit) => {
            let timeout = |_| Error::Timeout {
                what: format!("reconcile {key}"),
                seconds: limit.as_secs(),
            };
            let looked = tokio::time::timeout(limit, looked);
            looked.map_err(timeout).await.and_then(|r| r)
        }
    };
    let outcome = result.as_ref().map_or_else(Error::reason, |_| "ok");
    metrics
        .reconciles
        .get_or_create(&ReconcileLabels { kind, outcome })
        .inc();
    metrics
        .reconcile_seconds
        .get_or_create(&ReconcileLabels { kind, outcome })
        .observe(began.elapsed().as_secs_f64());
    if matches!(result, Err(Error::InLine)) {
        // It comes after others, and what it tried before stands: neither a failure nor an end of failures.
        return Ok(Action::requeue(IN_LINE));
    }
    if result.is_ok() {
        attempts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&key);
    }
    result
}

/// When a failed reconcile is tried again.
fn retry<K: Watched>(kind: &'static str, object: &K, error: &Error, ctx: &Context) -> Action {
    let key = key(kind, object);
    let attempt = {
        let mut attempts = ctx.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() > MAX_ATTEMPTS {
            attempts.clear();
        }
        let count = attempts.entry(key.clone()).or_default();
        *count += 1;
        *count
    };
    tracing::warn!(kind, object = %key, attempt, reason = error.reason(), problem = %error, "reconcile failed");
    match backoff::requeue(error.class(), attempt, rand::random()) {
        Some(wait) => Action::requeue(wait),
        None => Action::await_change(),
    }
}

/// How often in a row the reconcile of an object has failed.
fn tries<K: Watched>(ctx: &Context, kind: &str, object: &K) -> u32 {
    ctx.attempts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&key(kind, object))
        .copied()
        .unwrap_or_default()
}

fn key<K: Watched>(kind: &str, object: &K) -> String {
    format!(
        "{kind}/{}/{}",
        object.namespace().unwrap_or_default(),
        object.name_any()
    )
}

/// The action after success: looked at again later, in case an event was missed.
#[must_use]
pub fn resync() -> Action {
    Action::requeue(backoff::spread(backoff::RESYNC, rand::random()))
}

/// Comes back at a time, at the latest with the usual resync.
#[must_use]
pub fn at(when: jiff::Timestamp) -> Action {
    let wait = when.duration_since(jiff::Timestamp::now());
    let wait = Duration::try_from(wait).unwrap_or(Duration::ZERO) + Duration::from_millis(50);
    Action::requeue(wait.min(backoff::spread(backoff::RESYNC, rand::random())))
}

/// How an Event names an object.
#[must_use]
pub fn reference<K: Resource<DynamicType = ()>>(object: &K) -> k8s_openapi::api::core::v1::ObjectReference {
    object.object_ref(&())
}

/// Records that a configuration object was created or changed, by whom admission says, unless the generation was seen
/// before.
async fn configuration<K: Resource<DynamicType = ()>>(
    ctx: &Context,
    object: &K,
    seen: Option<i64>,
    by: Option<&kubechat_crds::Identity>,
) -> Result<(), Error> {
    use kubechat_audit::{Actor, Draft, EventType, Outcome, Target};
    let generation = object.meta().generation;
    if seen == generation {
        return Ok(());
    }
    let actor = by.map_or_else(|| Actor::named("(unstamped)"), crate::audit::actor);
    let verb = if generation == Some(1) { "create" } else { "update" };
    let mut draft = Draft::new(
        EventType::ConfigurationChange,
        actor,
        verb,
        Outcome::Success,
        "ConfigurationChanged",
    );
    draft.target = Some(Target {
        group: Some(kubechat_crds::GROUP.to_owned()),
        version: Some(kubechat_crds::VERSION.to_owned()),
        kind: Some(K::kind(&()).into_owned()),
        name: Some(object.name_any()),
        ..Target::default()
    });
    draft.message = format!("generation {}", generation.unwrap_or_default());
    ctx.audit.record(draft).await?;
    Ok(())
}

#[cfg(test)]
mod clock_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::plans::Verb;
    use crate::testing::process::{Fuse, World};

    #[tokio::test]
    async fn an_execution_is_not_cut_off_from_outside_and_any_other_look_is() {
        let mut world = World::new();
        world.propose(&[Verb::Label]).await;
        let process = world.start(Fuse::long()).await;
        let plan = Arc::new(world.plan());
        for (kind, cut) in [("CommandPlan", false), ("ChatRequest", true), ("Approval", true)] {
            let long = |_, _| async {
                tokio::time::sleep(RECONCILE_DEADLINE * 3).await;
                Ok(Action::await_change())
            };
            let looked = observed(kind, long, Arc::clone(&plan), Arc::clone(&process.ctx)).await;
            assert_eq!(looked.is_err(), cut, "{kind}: {looked:?}");
        }
    }
}
