//! One life of the operator: a context over the shared API server and audit log, and a fuse that ends or suspends it.

use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use http::{Method, Request};
use kube::client::Body;
use kube::runtime::controller::Action;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Config};
use kubechat_audit::{ChainKey, Entry, Filter, Spool, SqliteOptions, SqliteStore, verify_file};
use kubechat_core::seal::{SealKey, SealKeys};
use kubechat_crds::CommandPlan;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::BoxError;

use super::plans::{CLUSTER, plan_path};
use super::server::{Answer, Server};
use super::store::FaultyStore;
use super::watches::Watches;
use crate::audit::Audit;
use crate::cluster::impersonate::{Http, Impersonator};
use crate::context::Context;
use crate::controllers::command_plan::reconcile;
use crate::error::Error;
use crate::events::Events;
use crate::failpoint::{HOOK, Hook, Point};
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::models::{Desk, Log, Models, Options};
use crate::pace::Pace;
use crate::selfcheck::Admission;

/// Whether it is the request to stop at.
type Wanted = fn(&Method, &str) -> bool;

/// Counts the boundaries a process passes (requests, writes to the audit log, failpoints), and stops it at one of them.
pub(crate) struct Fuse {
    left: AtomicI64,
    at: Mutex<Option<Point>>,
    request: Mutex<Option<Wanted>>,
    stopped: Notify,
    woken: Notify,
}

impl Fuse {
    /// Never stops.
    pub(crate) fn long() -> Arc<Self> {
        Self::after(i64::MAX)
    }

    /// Stops at boundary number `left`, from 1.
    pub(crate) fn after(left: i64) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicI64::new(left),
            at: Mutex::default(),
            request: Mutex::default(),
            stopped: Notify::new(),
            woken: Notify::new(),
        })
    }

    /// Stops at a named point.
    pub(crate) fn at(point: Point) -> Arc<Self> {
        let fuse = Self::long();
        *fuse.at.lock().unwrap() = Some(point);
        fuse
    }

    /// Stops before the first such request reaches the server.
    pub(crate) fn before(wanted: Wanted) -> Arc<Self> {
        let fuse = Self::long();
        *fuse.request.lock().unwrap() = Some(wanted);
        fuse
    }

    async fn send(&self, method: &Method, path: &str) {
        let here = self
            .request
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_if(|wanted| wanted(method, path));
        if here.is_some() {
            self.stop().await;
        } else {
            self.burn().await;
        }
    }

    /// Passes one boundary. Whoever is stopped here goes on when the process is woken, if ever.
    pub(crate) async fn burn(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.stop().await;
        }
    }

    async fn pass(&self, point: Point) {
        let here = self
            .at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_if(|at| *at == point);
        if here.is_some() {
            self.stop().await;
        } else {
            self.burn().await;
        }
    }

    /// Waits until the process was stopped.
    pub(crate) async fn blown(&self) {
        self.stopped.notified().await;
    }

    async fn stop(&self) {
        self.stopped.notify_one();
        self.woken.notified().await;
    }
}

/// What outlives a process: the cluster, the files.
pub(crate) struct World {
    pub(crate) server: Server,
    folder: tempfile::TempDir,
    key: ChainKey,
    pub(crate) seal: SealKeys,
    /// Asks the processes started from now on to end.
    pub(crate) stop: CancellationToken,
    /// Whether models are another process's.
    pub(crate) elsewhere: bool,
    /// Namespace of the Secrets that providers name.
    pub(crate) credentials: &'static str,
    fence: u64,
}

/// A process under way.
pub(crate) struct Process {
    pub(crate) ctx: Arc<Context>,
    pub(crate) store: FaultyStore,
    pub(crate) watches: Watches,
    pub(crate) fuse: Arc<Fuse>,
    hook: Hook,
}

/// How a reconcile went.
pub(crate) enum Ran {
    /// To its end.
    Ended(Result<Action, Error>),
    /// The fuse stopped it: dropping it is a kill, polling it on is a process that was suspended.
    Stopped(Suspended),
}

/// A process that hangs at a boundary.
pub(crate) struct Suspended {
    running: Pin<Box<dyn Future<Output = Result<Action, Error>>>>,
    fuse: Arc<Fuse>,
    leadership: Leadership,
}

impl Suspended {
    /// Lets it go on, leading as before.
    pub(crate) async fn resume(self) -> Result<Action, Error> {
        self.fuse.woken.notify_one();
        self.running.await
    }

    /// Lets it go on after another one took over.
    pub(crate) async fn wake(self) -> Result<Action, Error> {
        self.leadership.lose();
        self.fuse.woken.notify_one();
        self.running.await
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let seal = SealKeys {
            current: SealKey {
                id: "k1".into(),
                bytes: [7; 32],
            },
            previous: None,
        };
        // Where there is memory to write to, a commit does not wait for a disk.
        let folder = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        Self {
            server: Server::new(seal.clone()),
            folder,
            key: ChainKey::generate(),
            seal,
            stop: CancellationToken::new(),
            elsewhere: false,
            credentials: "kubechat-credentials",
            fence: 0,
        }
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("audit.db")
    }

    pub(crate) fn spool(&self) -> Spool {
        Spool::beside(&self.log(), self.key.clone())
    }

    /// Starts a process that leads: the next one after all earlier ones.
    pub(crate) async fn start(&mut self, fuse: Arc<Fuse>) -> Process {
        self.fence += 1;
        let options = SqliteOptions::new(self.log(), self.key.clone(), self.fence);
        let store = FaultyStore::new(SqliteStore::open(options).await.unwrap(), Arc::clone(&fuse));
        let http = carrier(&self.server, &fuse);
        let metrics = Arc::new(Metrics::default());
        let client = Client::new(http.clone(), "default");
        let reporter = Reporter {
            controller: "test".into(),
            instance: None,
        };
        let watches = Watches::of(&self.server);
        let (events, _) = Events::new(Recorder::new(client.clone(), reporter));
        let audit = Audit::new(Arc::new(store.clone()), Arc::clone(&metrics)).with_spool(self.spool());
        let (leadership, stores, live) = (Leadership::held(self.fence), watches.stores(), Arc::default());
        let options = Options {
            credentials: self.credentials.into(),
            development: true,
            elsewhere: self.elsewhere,
        };
        let desk = Desk {
            client: client.clone(),
            metrics: Arc::clone(&metrics),
            leadership: leadership.clone(),
            events: events.clone(),
            namespace: "kubechat-system".into(),
            policies: stores.policies.clone(),
            live: Arc::clone(&live),
            log: Log::Own(audit.clone()),
        };
        let (models, _) = Models::new(options, desk);
        let config = Config::new("http://fake.invalid".parse().unwrap());
        let ctx = Context {
            people: Arc::new(Impersonator::over(config, http)),
            audit,
            seal: Arc::new(RwLock::new(self.seal.clone())),
            namespace: "kubechat-system".into(),
            cluster_uid: CLUSTER.into(),
            discovery: Arc::default(),
            leadership,
            admission: Arc::new(Admission::forgetful(Arc::clone(&metrics))),
            metrics,
            stores,
            past: Arc::default(),
            talks: Arc::default(),
            events,
            handled: Arc::default(),
            models: Arc::new(models),
            live,
            holders: Arc::default(),
            pace: Pace::new(self.stop.clone()),
            attempts: Arc::default(),
            client,
        };
        let at = Arc::clone(&fuse);
        let hook: Hook = Arc::new(move |point| {
            let at = Arc::clone(&at);
            Box::pin(async move { at.pass(point).await })
        });
        Process {
            ctx: Arc::new(ctx),
            store,
            watches,
            fuse,
            hook,
        }
    }

    /// The plan as the API server has it.
    pub(crate) fn plan(&self) -> CommandPlan {
        serde_json::from_value(self.server.get(&plan_path()).unwrap()).unwrap()
    }

    /// Entries of the audit log, whose chain must be whole.
    pub(crate) async fn entries(&mut self) -> Vec<Entry> {
        self.fence += 1;
        let options = SqliteOptions::new(self.log(), self.key.clone(), self.fence);
        let store = SqliteStore::open(options).await.unwrap();
        let report = verify_file(&self.log(), &self.key).unwrap();
        assert!(report.is_valid(), "{report:?}");
        kubechat_audit::AuditStore::list(&store, Filter::default())
            .await
            .unwrap()
    }

    /// An entry's plain fields, for messages.
    pub(crate) fn short(entries: &[Entry]) -> Vec<String> {
        entries
            .iter()
            .map(|e| format!("{:?} {} {}", e.outcome, e.reason, e.message))
            .collect()
    }
}

impl Process {
    /// One look of the controller at this plan, which may be older than what the API server has.
    pub(crate) async fn reconcile(&self, plan: CommandPlan) -> Ran {
        let ctx = Arc::clone(&self.ctx);
        let looked = HOOK.scope(Arc::clone(&self.hook), reconcile(Arc::new(plan), ctx));
        let mut running: Pin<Box<dyn Future<Output = _>>> = Box::pin(looked);
        tokio::select! {
            biased;
            () = self.fuse.blown() => Ran::Stopped(Suspended {
                running,
                fuse: Arc::clone(&self.fuse),
                leadership: self.ctx.leadership.clone(),
            }),
            ended = &mut running => Ran::Ended(ended),
        }
    }

    /// Looks again and again until the plan has ended; the fuse must be long.
    pub(crate) async fn finish(&self, world: &World) -> CommandPlan {
        for _ in 0..50 {
            let plan = world.plan();
            let ended = plan
                .status
                .as_ref()
                .is_some_and(|s| kubechat_crds::condition::is_finished(&s.conditions));
            if ended {
                return plan;
            }
            match self.reconcile(plan).await {
                Ran::Ended(_) => {}
                Ran::Stopped(_) => panic!("the fuse was not long"),
            }
        }
        panic!("the plan does not end: {:?}", world.plan().status);
    }

    /// One look that may not be stopped.
    pub(crate) async fn look(&self, world: &World) -> Result<Action, Error> {
        match self.reconcile(world.plan()).await {
            Ran::Ended(ended) => ended,
            Ran::Stopped(_) => panic!("the fuse was not long"),
        }
    }
}

/// Carries requests to the server, past the fuse on the way there and back.
fn carrier(server: &Server, fuse: &Arc<Fuse>) -> Http {
    let (server, fuse) = (server.clone(), Arc::clone(fuse));
    Http::new(tower::service_fn(move |request: Request<Body>| {
        let (server, fuse) = (server.clone(), Arc::clone(&fuse));
        async move {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            fuse.send(&method, &path).await;
            let answer: Result<Answer, BoxError> = server.handle(request).await;
            fuse.burn().await;
            answer
        }
    }))
}
