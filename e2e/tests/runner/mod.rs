//! Runs the tests: starts what they need when the first of them needs it, and takes it down at the end.
//!
//! ```ignore
//! pub(crate) fn tests() -> Vec<Test> {
//!     [shared![some_behaviour], own![behaviour_that_breaks_things]].concat()
//! }
//! async fn some_behaviour(ctx: Arc<Ctx>) -> Result<()> { let ns = ctx.namespace("some").await?; .. }
//! async fn behaviour_that_breaks_things() -> Result<()> {
//!     with_product(cluster_options, product_options, async |cluster, product| { .. }).await
//! }
//! ```

mod alone;
mod ctx;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::BoxFuture;
use kubechat_e2e::build::Binaries;
use kubechat_e2e::progress::Progress;
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, Semaphore};

pub(crate) use alone::{with_cluster, with_product};
pub(crate) use ctx::Ctx;

/// Longest test, the start of its own cluster included, unless it says otherwise.
const TEST_DEADLINE: Duration = Duration::from_secs(300);

/// Tests at once in the shared cluster: they wait for controllers most of their time.
const SHARED_AT_ONCE: usize = 4;

/// Clusters of single tests at once, beside the shared one: on two cores no more gain anything.
const OWN_AT_ONCE: usize = 3;

/// How many of the slowest tests are named at the end.
const SLOWEST: usize = 8;

/// One test.
#[derive(Clone)]
pub(crate) struct Test {
    name: String,
    body: Body,
    deadline: Duration,
    /// What must be built for it, before any test runs: no test's time is taken up by minutes of compiling.
    build: Option<Build>,
}

/// Builds something once, beyond what every cluster needs.
pub(crate) type Build = fn() -> BoxFuture<'static, Result<()>>;

#[derive(Clone, Copy)]
enum Body {
    Shared(fn(Arc<Ctx>) -> BoxFuture<'static, Result<()>>),
    Own(fn() -> BoxFuture<'static, Result<()>>),
}

impl Test {
    /// A test in the shared cluster; see the macro `shared!`.
    pub(crate) fn shared(
        module: &str,
        name: &str,
        body: fn(Arc<Ctx>) -> BoxFuture<'static, Result<()>>,
    ) -> Self {
        Self {
            name: full_name(module, name),
            body: Body::Shared(body),
            deadline: TEST_DEADLINE,
            build: None,
        }
    }

    /// A test with a cluster of its own; see the macro `own!`.
    pub(crate) fn own(module: &str, name: &str, body: fn() -> BoxFuture<'static, Result<()>>) -> Self {
        Self {
            name: full_name(module, name),
            body: Body::Own(body),
            deadline: TEST_DEADLINE,
            build: None,
        }
    }

    /// The same test, which may take so long.
    pub(crate) fn within(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The same test, for which this is built first.
    pub(crate) fn after(self, build: Build) -> Self {
        Self {
            build: Some(build),
            ..self
        }
    }

    /// Whether the arguments select it, as the runner of the tests reads them.
    fn is_selected(&self, args: &Arguments) -> bool {
        let matches = |word: &String| {
            if args.exact {
                self.name == *word
            } else {
                self.name.contains(word.as_str())
            }
        };
        !args.list && args.filter.as_ref().is_none_or(matches) && !args.skip.iter().any(matches)
    }
}

fn full_name(module: &str, name: &str) -> String {
    let subject = module.rsplit("suite::").next().unwrap_or(module);
    format!("{subject}::{name}")
}

/// Tests that share the cluster: `async fn(Arc<Ctx>) -> Result<()>`.
macro_rules! shared {
    ($($name:ident),* $(,)?) => {
        vec![$($crate::runner::Test::shared(module_path!(), stringify!($name), |ctx| Box::pin($name(ctx)))),*]
    };
}

/// Tests that start their own cluster: `async fn() -> Result<()>`.
macro_rules! own {
    ($($name:ident),* $(,)?) => {
        vec![$($crate::runner::Test::own(module_path!(), stringify!($name), || Box::pin($name()))),*]
    };
}

pub(crate) use {own, shared};

/// What the tests of one run have in common.
struct Stage {
    runtime: Runtime,
    /// Made by the first test that needs it; its error is every later test's error too.
    shared: OnceCell<Result<Arc<Ctx>, String>>,
    /// Turns in the shared cluster.
    together: Semaphore,
    /// Turns to have a cluster of one's own.
    alone: Semaphore,
    /// How long each test took, its wait for a turn not counted.
    times: Mutex<Vec<(Duration, String)>>,
}

impl Stage {
    fn play(&self, name: &str, body: Body, deadline: Duration) -> Result<()> {
        self.runtime.block_on(async {
            let turns = match body {
                Body::Shared(_) => &self.together,
                Body::Own(_) => &self.alone,
            };
            let _turn = turns.acquire().await?;
            let began = Instant::now();
            let result = self.perform(body, deadline).await;
            let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
            times.push((began.elapsed(), name.to_owned()));
            result
        })
    }

    async fn perform(&self, body: Body, deadline: Duration) -> Result<()> {
        match body {
            Body::Shared(test) => {
                let ctx = self.shared.get_or_init(|| async { start_shared().await }).await;
                let ctx = ctx
                    .clone()
                    .map_err(|reason| anyhow::anyhow!("the shared cluster: {reason}"))?;
                in_time(deadline, test(ctx)).await
            }
            Body::Own(test) => in_time(deadline, test()).await,
        }
    }

    /// Says which tests took longest: where to look when the suite has become slow.
    fn name_the_slowest(&self) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.sort_unstable_by(|a, b| b.cmp(a));
        if times.len() > SLOWEST {
            println!("the slowest tests:");
            for (time, name) in times.iter().take(SLOWEST) {
                println!("{:>6.1} s  {name}", time.as_secs_f64());
            }
        }
    }
}

async fn start_shared() -> Result<Arc<Ctx>, String> {
    Ctx::start()
        .await
        .map(Arc::new)
        .map_err(|reason| format!("{reason:#}"))
}

async fn in_time(deadline: Duration, test: BoxFuture<'static, Result<()>>) -> Result<()> {
    let ended = tokio::time::timeout(deadline, test).await;
    ended.with_context(|| format!("the test did not end in {} s", deadline.as_secs()))?
}

/// Runs the tests that `args` select.
///
/// Each test has a thread that waits for its turn, unless the arguments say otherwise: so a test that waits for a cluster
/// of its own never keeps one of the shared cluster from its turn.
pub(crate) fn run(mut args: Arguments, tests: Vec<Test>) -> ExitCode {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(reason) => {
            eprintln!("no test was run, because no runtime could be started: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let stage = Arc::new(Stage {
        runtime,
        shared: OnceCell::new(),
        together: Semaphore::new(SHARED_AT_ONCE),
        alone: Semaphore::new(OWN_AT_ONCE),
        times: Mutex::default(),
    });
    args.test_threads.get_or_insert(tests.len().max(1));
    if tests.iter().any(|test| test.is_selected(&args)) {
        // Minutes on a fresh machine, and no test's time; if it fails, each test that starts a cluster says why.
        let _ = stage.runtime.block_on(Binaries::ensure(&Progress::for_people()));
    }
    let needed = tests.iter().filter(|test| test.is_selected(&args));
    // What is built already is only looked for.
    let unbuilt = needed
        .filter_map(|test| test.build)
        .find_map(|build| stage.runtime.block_on(build()).err())
        .map(|reason| format!("{reason:#}"));
    let trial = |test: Test| {
        let stage = Arc::clone(&stage);
        let unbuilt = unbuilt.clone().filter(|_| test.build.is_some());
        let name = test.name.clone();
        Trial::test(test.name, move || match unbuilt {
            Some(reason) => Err(Failed::from(reason)),
            None => stage
                .play(&name, test.body, test.deadline)
                .map_err(|reason| Failed::from(format!("{reason:#}"))),
        })
    };
    let trials = tests.into_iter().map(trial).collect();
    let conclusion: Conclusion = libtest_mimic::run(&args, trials);
    stage.name_the_slowest();
    if conclusion.has_failed()
        && let Some(Ok(ctx)) = stage.shared.get()
    {
        ctx.cluster.keep_folder();
    }
    drop(stage);
    conclusion.exit_code()
}
