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

/// Whose reconciles execute.
const EXECUTES: &str = "CommandPlan";

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
        let (stopping, pace) = (shutdown.clone(), ctx.pace.clone());
        if kind == EXECUTES {
            let clock = pace.clone();
            tasks.spawn(async move {
                clock.clocked().await;
                Ok(())
            });
        }
        let working = ctx.pace.works(running);
        tasks.spawn(async move {
            working.await;
            if kind == EXECUTES {
                pace.wound_up();
            }
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
    watch_on(tasks, stream, [shutdown, shutdown], route);
}

/// As [`watch`], of what may stop an execution: from the first token on nothing is routed any more, so that the queues end; but
/// the cache is kept until the second, when nothing is under way that asks it.
pub(crate) fn watch_on<K, S, F, Fut>(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    stream: S,
    [shutdown, settled]: [&CancellationToken; 2],
    route: F,
) where
    K: Watched,
    S: futures::Stream<Item = Result<K, kube::runtime::watcher::Error>> + Send + 'static,
    F: Fn(K) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let (shutdown, settled) = (shutdown.clone(), settled.clone());
    tasks.spawn(async move {
        let mut stream = std::pin::pin!(stream.take_until(settled.clone().cancelled_owned()));
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = drive(&mut stream, route) => {}
        }
        if shutdown.is_cancelled() {
            drive(&mut stream, |_| std::future::ready(())).await;
        }
        if settled.is_cancelled() {
            Ok(())
        } else {
            Err(anyhow::anyhow!("the watch of {} ended", K::kind(&())))
        }
    });
}

/// Polls a watch to its end.
async fn drive<K, S, F, Fut>(stream: &mut std::pin::Pin<&mut S>, route: F)
where
    K: Watched,
    S: futures::Stream<Item = Result<K, kube::runtime::watcher::Error>>,
    F: Fn(K) -> Fut,
    Fut: Future<Output = ()>,
{
    while let Some(event) = stream.next().await {
        match event {
            Ok(object) => route(object).await,
            Err(problem) => {
                tracing::warn!(kind = %K::kind(&()), %problem, "watch interrupted; it is begun again");
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use futures::stream;
    use kubechat_crds::{RiskPolicy, RiskPolicySpec};

    use super::*;

    fn policy(name: &str) -> Result<RiskPolicy, kube::runtime::watcher::Error> {
        Ok(RiskPolicy::new(name, RiskPolicySpec::default()))
    }

    #[tokio::test]
    async fn a_watch_that_may_stop_what_is_under_way_outlives_the_request_to_end_and_its_queues_do_not() {
        let (mut tasks, shutdown, settled) =
            (JoinSet::new(), CancellationToken::new(), CancellationToken::new());
        let (tell, mut told) = mpsc::channel(1);
        let (show, mut shown) = mpsc::channel(1);
        let (feed, fed) = mpsc::channel(1);
        let told_by = stream::unfold(
            (fed, show),
            |(mut fed, show): (mpsc::Receiver<_>, mpsc::Sender<()>)| async {
                let event = fed.recv().await?;
                // Here the cache has it.
                show.send(()).await.ok()?;
                Some((event, (fed, show)))
            },
        );
        watch_on(
            &mut tasks,
            told_by,
            [&shutdown, &settled],
            move |policy: RiskPolicy| {
                let tell = tell.clone();
                async move { drop(tell.send(policy).await) }
            },
        );
        feed.send(policy("before")).await.unwrap();
        assert_eq!(shown.recv().await, Some(()));
        assert!(told.recv().await.is_some());
        shutdown.cancel();
        // The queue ends, though the watch goes on.
        assert!(told.recv().await.is_none());
        for name in ["kill switch", "another"] {
            feed.send(policy(name)).await.unwrap();
            assert_eq!(shown.recv().await, Some(()), "{name} is not seen");
        }
        settled.cancel();
        assert!(tasks.join_next().await.unwrap().unwrap().is_ok());
        assert!(feed.is_closed());
    }

    #[tokio::test]
    async fn a_watch_that_ends_by_itself_is_an_error_and_one_that_is_asked_to_is_none() {
        for asked in [false, true] {
            let (mut tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
            let none = stream::empty::<Result<RiskPolicy, kube::runtime::watcher::Error>>();
            if asked {
                watch(&mut tasks, none.chain(stream::pending()), &shutdown, |_| async {});
                shutdown.cancel();
            } else {
                watch(&mut tasks, none, &shutdown, |_| async {});
            }
            assert_eq!(tasks.join_next().await.unwrap().unwrap().is_ok(), asked);
        }
    }
}
