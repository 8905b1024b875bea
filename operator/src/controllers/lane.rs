//! From watches to controllers: bounded queues, and the routes between kinds.

use std::sync::Arc;

use futures::StreamExt;
use kube::runtime::reflector::{ObjectRef, Store};
use kubechat_crds::CommandPlan;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::watch::Watched;
use crate::context::Context;
use crate::controllers::{self, QUEUE};

/// The way into one controller's queue.
#[derive(Clone, Debug)]
pub(crate) struct Lane<K: Watched> {
    queue: mpsc::Sender<ObjectRef<K>>,
}

impl<K: Watched> Lane<K> {
    pub(crate) fn new<F, Fut>(
        tasks: &mut JoinSet<anyhow::Result<()>>,
        kind: &'static str,
        ctx: &Arc<Context>,
        store: &Store<K>,
        concurrency: u16,
        shutdown: &CancellationToken,
        reconcile: F,
    ) -> Self
    where
        F: Fn(Arc<K>, Arc<Context>) -> Fut + Send + Sync + Clone + 'static,
        Fut: Future<Output = Result<kube::runtime::controller::Action, crate::error::Error>> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let running = controllers::run(
            kind,
            Arc::clone(ctx),
            store.clone(),
            waiting,
            concurrency,
            reconcile,
        );
        let stopping = shutdown.clone();
        tasks.spawn(async move {
            running.await;
            if stopping.is_cancelled() {
                Ok(())
            } else {
                Err(anyhow::anyhow!("the controller of {kind} ended unexpectedly"))
            }
        });
        Self { queue }
    }

    /// The object itself.
    pub(crate) async fn same(&self, object: &K) {
        self.send(ObjectRef::from_obj(object)).await;
    }

    /// An object of this name beside another one.
    pub(crate) async fn touch<O: kube::ResourceExt>(&self, name: &str, beside: &O) {
        self.send(ObjectRef::new(name).within(&beside.namespace().unwrap_or_default()))
            .await;
    }

    async fn send(&self, reference: ObjectRef<K>) {
        if self.queue.send(reference).await.is_err() {
            tracing::debug!(kind = %K::kind(&()), "the controller has ended");
        }
    }
}

/// Drives a watch: every touched object goes through `route` into the queues.
pub(crate) fn watch<K, S, F, Fut>(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    stream: S,
    shutdown: &CancellationToken,
    route: F,
) where
    K: Watched,
    S: futures::Stream<Item = Result<K, kube::runtime::watcher::Error>> + Send + 'static,
    F: Fn(K) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let until = shutdown.clone();
    tasks.spawn(async move {
        let mut stream = std::pin::pin!(stream.take_until(until.cancelled()));
        while let Some(event) = stream.next().await {
            match event {
                Ok(object) => route(object).await,
                Err(problem) => {
                    tracing::warn!(kind = %K::kind(&()), %problem, "watch interrupted; it is begun again");
                }
            }
        }
        if until.is_cancelled() {
            Ok(())
        } else {
            Err(anyhow::anyhow!("the watch of {} ended", K::kind(&())))
        }
    });
}

/// Has every plan looked at that is not finished.
pub(crate) async fn look_again(plans: &Lane<CommandPlan>, waiting: &Store<CommandPlan>) {
    for plan in waiting.state() {
        if plan
            .status
            .as_ref()
            .is_none_or(|s| !kubechat_crds::condition::is_finished(&s.conditions))
        {
            plans.same(&*plan).await;
        }
    }
}

/// A watch whose objects go to their own controller only.
pub(crate) fn forward<K, S>(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    stream: S,
    shutdown: &CancellationToken,
    lane: Lane<K>,
) where
    K: Watched,
    S: futures::Stream<Item = Result<K, kube::runtime::watcher::Error>> + Send + 'static,
{
    watch(tasks, stream, shutdown, move |object| {
        let lane = lane.clone();
        async move { lane.same(&object).await }
    });
}
