//! `make bench`: how fast KubeChat is, always as a ratio to what the same API server does alone in the same run.
//!
//! - [`throughput`]: B1 (turn efficiency) and B2 (writes of a turn), against [`raw`] writes.
//! - [`latency`]: B24 (plan latency), against lists of all pods.
//! - [`blast`]: what a blast radius costs, against lists of the same pods, in the cluster of B24.
//! - [`admission`]: B4 (cost of admission), against a webhook that allows everything ([`noop`]).
//! - [`policy`]: B25 (a decision of the RiskPolicies), in the program itself; [`costliest`]: the same at its worst.
//! - [`redact`]: how long a large text takes to lose its secrets, and how many of them, beside detect-secrets.
//! - [`machine`], [`noise`]: what the numbers were taken on, and which blocks count.
//! - [`stats`], [`load`], [`counters`], [`turns`]: what both are made of.
//! - [`report`], [`words`]: the table, `results.json`, `details.json`, and the method in words.
//!
//! The binary `kubechat-bench` only reads its arguments and calls [`run`]. **Invariant**: nothing that measures is limited
//! by the client (no rate limit, no retries), and what the API server's own fairness queues cost is measured and reported.

mod admission;
mod blast;
mod costliest;
mod counters;
mod latency;
mod load;
mod machine;
mod noise;
mod noop;
mod policy;
mod raw;
mod redact;
mod report;
mod stats;
mod throughput;
mod turns;
mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::cluster::{self, Cluster, Nodes};
use crate::demo;
use crate::product::{self, Product};
use crate::progress::Progress;
use machine::{Environment, Surroundings};
use report::{
    B1, B2, B4, B4_DECISION, B4_P99, B24, B25, B25_COSTLIEST, BLAST, BLAST_RATIO, Finding, REDACT,
    REDACT_FOUND,
};

/// Where turns are asked.
const NAMESPACE: &str = "bench";
/// Few nodes, so that their heartbeats do not use the machine that is measured.
const PODS_PER_NODE: u32 = 1_000;
/// Where the results go.
const OUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench");

/// Command line of `kubechat-bench`.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "kubechat-bench",
    about = "Measures KubeChat against its own API server; writes target/bench/results.json and details.json"
)]
pub struct Args {
    /// A smoke run: small and short, for seeing that the benches work, not for numbers
    #[arg(long)]
    quick: bool,
    /// Measure only these, into results-PART.json
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
    /// Turns at once, and raw writers at once
    #[arg(long, default_value_t = 16, value_name = "N")]
    concurrency: u8,
    /// Blocks of each comparison
    #[arg(long, value_name = "N")]
    blocks: Option<u8>,
    /// Seconds of a leg of turns; longer ones for profiling
    #[arg(long, value_name = "SECONDS")]
    leg: Option<u8>,
    /// Pods in the cluster of B24
    #[arg(long, value_name = "N")]
    pods: Option<u16>,
    /// Seed of the intervals
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Let etcd not wait for the disk: shows the limit of the CPU alone
    #[arg(long)]
    no_fsync: bool,
    /// Print what a turn asks of the API server
    #[arg(long)]
    breakdown: bool,
    /// Fail when a floor is not reached
    #[arg(long)]
    check: bool,
    /// Folder of the results
    #[arg(long, default_value = OUT, value_name = "DIR")]
    out: PathBuf,
    /// Be the peer of B4 instead
    #[arg(long, hide = true, value_name = "DIR")]
    noop_webhook: Option<PathBuf>,
}

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// B1 and B2.
    Turns,
    /// B24.
    Plans,
    /// B4.
    Admission,
    /// B25.
    Policy,
    /// Redaction.
    Redact,
}

/// What every comparison goes by.
#[derive(Clone, Copy, Debug)]
struct Protocol {
    /// Seed of the intervals.
    seed: u64,
    /// After this time no block is measured again because of noise.
    patience: Duration,
}

impl Args {
    fn protocol(&self) -> Protocol {
        Protocol {
            seed: self.seed,
            patience: Duration::from_secs(if self.quick { 20 } else { 120 }),
        }
    }

    /// What the names of the results end with: a part measured alone leaves those of the whole run as they are.
    fn suffix(&self) -> String {
        let part = self.only.and_then(|part| part.to_possible_value());
        part.map_or_else(String::new, |part| format!("-{}", part.get_name()))
    }

    fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    fn throughput(&self) -> throughput::Settings {
        let (warm, window) = if self.quick { (200, 800) } else { (500, 3_000) };
        throughput::Settings {
            workers: usize::from(self.concurrency.max(1)),
            blocks: self
                .blocks
                .map_or(if self.quick { 3 } else { 6 }, usize::from)
                .max(1),
            warm: Duration::from_millis(warm),
            window: self.leg.map_or(Duration::from_millis(window), |seconds| {
                Duration::from_secs(seconds.max(1).into())
            }),
        }
    }

    fn admission(&self) -> admission::Settings {
        admission::Settings {
            blocks: self
                .blocks
                .map_or(if self.quick { 2 } else { 6 }, usize::from)
                .max(1),
            creates: if self.quick { 200 } else { 1_000 },
            pause: Duration::from_millis(5),
            decisions: if self.quick { 20 } else { 100 },
            decision_pause: Duration::from_millis(20),
        }
    }

    fn policy(&self) -> policy::Settings {
        policy::Settings {
            runs: if self.quick { 3 } else { 15 },
            rounds: if self.quick { 200 } else { 2_000 },
        }
    }

    fn costliest(&self) -> costliest::Settings {
        costliest::Settings {
            runs: if self.quick { 2 } else { 5 },
            rounds: if self.quick { 3 } else { 10 },
        }
    }

    fn blast(&self) -> blast::Settings {
        blast::Settings {
            pods: self.latency().pods / 10,
            blocks: self.latency().blocks,
            plans: if self.quick { 5 } else { 20 },
        }
    }

    fn latency(&self) -> latency::Settings {
        latency::Settings {
            pods: self
                .pods
                .map_or(if self.quick { 400 } else { 5_000 }, usize::from)
                .max(200),
            blocks: self
                .blocks
                .map_or(if self.quick { 3 } else { 6 }, usize::from)
                .max(1),
            plans: if self.quick { 10 } else { 25 },
            pause: Duration::from_millis(150),
            lists: if self.quick { 3 } else { 5 },
        }
    }
}

/// A cluster with KubeChat. Fields are dropped in this order.
struct World {
    product: Product,
    cluster: Cluster,
    progress: Progress,
}

impl World {
    async fn start(args: &Args, nodes: Nodes, progress: &Progress) -> Result<Self> {
        let options = cluster::Options {
            nodes,
            fsync: !args.no_fsync,
            progress: progress.clone(),
            ..cluster::Options::default()
        };
        let cluster = Cluster::start(options).await?;
        demo::set_up(&cluster.client("admin").await?).await?;
        let options = product::Options {
            progress: progress.clone(),
            ..product::Options::default()
        };
        let product = Product::start(&cluster, options).await?;
        Ok(Self {
            product,
            cluster,
            progress: progress.clone(),
        })
    }

    fn pids(&self) -> BTreeMap<String, u32> {
        let mut pids = self.cluster.pids();
        pids.extend(self.product.pids());
        pids
    }

    async fn environment(&self) -> Result<Environment> {
        let version = self.cluster.client("admin").await?.apiserver_version().await?;
        Environment::read(version.git_version, self.product.binary())
    }

    /// Measures in this world; the logs are kept when that fails.
    async fn measure<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let found = work.await;
        if found.is_err() {
            self.cluster.keep_folder();
        }
        found
    }
}

/// Measures, prints the table and writes the results.
///
/// # Errors
/// When something cannot be measured, or (with `--check`) a floor is not reached.
pub async fn run(args: Args) -> Result<()> {
    if let Some(folder) = &args.noop_webhook {
        match noop::serve(folder).await? {}
    }
    let progress = Progress::for_people();
    let step = progress.step("building kubechat (release)");
    product::build_binary(true).await?;
    step.done();
    let mut findings = Vec::new();
    let mut details = serde_json::Map::new();
    if args.wants(Part::Turns) {
        turns_part(&args, &progress, &mut findings, &mut details).await?;
    }
    if args.wants(Part::Admission) {
        admission_part(&args, &progress, &mut findings, &mut details).await?;
    }
    if args.wants(Part::Policy) {
        policy_part(&args, &progress, &mut findings, &mut details).await?;
    }
    if args.wants(Part::Redact) {
        redact_part(&args, &progress, &mut findings, &mut details).await?;
    }
    if args.wants(Part::Plans) {
        plans_part(&args, &progress, &mut findings, &mut details).await?;
    }
    let suffix = args.suffix();
    report::save(&args.out, &suffix, &findings, &Value::Object(details))?;
    println!("{}", report::table(&findings));
    for finding in &findings {
        println!("{}", finding.explained());
    }
    println!(
        "results: {0}/results{suffix}.json, everything else: {0}/details{suffix}.json",
        args.out.display()
    );
    let missed = findings.iter().filter(|one| !one.passes()).count();
    ensure!(
        !args.check || missed == 0,
        "{missed} of {} floors were not reached",
        findings.len()
    );
    Ok(())
}

type Details = serde_json::Map<String, Value>;

async fn turns_part(
    args: &Args,
    progress: &Progress,
    findings: &mut Vec<Finding>,
    details: &mut Details,
) -> Result<()> {
    let world = World::start(args, Nodes::default(), progress).await?;
    let surroundings = Surroundings::begin(world.environment().await?, world.cluster.folder())?;
    let settings = args.throughput();
    let step = progress.step("measuring B1 and B2: turns against raw writes");
    let found = world
        .measure(throughput::measure(&world, settings, &args.protocol()))
        .await?;
    step.done();
    let surroundings = surroundings.end(world.cluster.folder())?;
    let how = words::circumstances(
        args,
        &found.blocks.iter().map(|block| &block.noise).collect::<Vec<_>>(),
        found.left_out,
        &surroundings,
    );
    findings.push(Finding::new(
        B1,
        found.efficiency,
        format!("{} {how}", words::efficiency(&found, settings)),
    ));
    findings.push(Finding::new(
        B2,
        found.writes,
        format!("{} {how}", words::writes(&found, settings)),
    ));
    if args.breakdown {
        println!("{}", report::breakdown(&found.requests_per_turn));
    }
    details.insert(
        "turns".to_owned(),
        json!({"surroundings": surroundings, "found": found}),
    );
    stop(world).await
}

async fn policy_part(
    args: &Args,
    progress: &Progress,
    findings: &mut Vec<Finding>,
    details: &mut Details,
) -> Result<()> {
    let settings = args.policy();
    let binary = product::find_binary(None)?;
    let step = progress.step("measuring B25: decisions of 50 rules");
    let found = policy::measure(&binary, settings, args.seed).await?;
    step.done();
    findings.push(Finding::new(B25, found.one, words::policy(&found, settings)));
    details.insert("policy".to_owned(), json!({"found": found}));
    let settings = args.costliest();
    let step = progress.step("measuring B25: decisions of the costliest rules");
    let found = costliest::measure(&binary, settings, args.seed).await?;
    step.done();
    let said = words::costliest(&found, settings);
    findings.push(Finding::new(B25_COSTLIEST, found.slowest, said));
    details.insert("costliestPolicy".to_owned(), json!({"found": found}));
    Ok(())
}

async fn redact_part(
    args: &Args,
    progress: &Progress,
    findings: &mut Vec<Finding>,
    details: &mut Details,
) -> Result<()> {
    let runs = if args.quick { 3 } else { 10 };
    let step = progress.step("measuring redaction: 1 MiB of logs and manifests");
    let found = redact::measure(&product::find_binary(None)?, runs, args.seed).await?;
    step.done();
    let how = words::redact(&found);
    findings.push(Finding::new(REDACT, found.p95, how.clone()));
    findings.push(Finding::new(REDACT_FOUND, found.share, how));
    details.insert("redact".to_owned(), json!({"found": found}));
    Ok(())
}

async fn admission_part(
    args: &Args,
    progress: &Progress,
    findings: &mut Vec<Finding>,
    details: &mut Details,
) -> Result<()> {
    let world = World::start(args, Nodes::default(), progress).await?;
    let surroundings = Surroundings::begin(world.environment().await?, world.cluster.folder())?;
    let settings = args.admission();
    let step = progress.step("measuring B4: admission against a no-op webhook");
    let found = world
        .measure(admission::measure(&world, settings, &args.protocol()))
        .await?;
    step.done();
    let surroundings = surroundings.end(world.cluster.folder())?;
    let noises: Vec<_> = found.blocks.iter().map(|block| &block.noise).collect();
    let how = words::circumstances(args, &noises, found.left_out, &surroundings);
    let said = [
        (B4, found.ratio, words::admission(&found, settings)),
        (B4_P99, found.p99, words::admission(&found, settings)),
        (B4_DECISION, found.decision, words::decision(&found)),
    ];
    for (goal, estimate, method) in said {
        findings.push(Finding::new(goal, estimate, format!("{method} {how}")));
    }
    details.insert(
        "admission".to_owned(),
        json!({"surroundings": surroundings, "found": found}),
    );
    stop(world).await
}

async fn plans_part(
    args: &Args,
    progress: &Progress,
    findings: &mut Vec<Finding>,
    details: &mut Details,
) -> Result<()> {
    let settings = args.latency();
    let nodes = Nodes {
        pods: PODS_PER_NODE,
        ..Nodes::for_pods(settings.pods / 5)
    };
    let world = World::start(args, nodes, progress).await?;
    let surroundings = Surroundings::begin(world.environment().await?, world.cluster.folder())?;
    let found = world
        .measure(latency::measure(&world, settings, &args.protocol()))
        .await?;
    let blast = world
        .measure(blast::measure(&world, args.blast(), &args.protocol()))
        .await?;
    let surroundings = surroundings.end(world.cluster.folder())?;
    let how = words::circumstances(
        args,
        &found.blocks.iter().map(|block| &block.noise).collect::<Vec<_>>(),
        found.left_out,
        &surroundings,
    );
    findings.push(Finding::new(
        B24,
        found.ratio,
        format!("{} {how}", words::latency(&found, settings)),
    ));
    let noises: Vec<_> = blast.blocks.iter().map(|block| &block.noise).collect();
    let how = words::circumstances(args, &noises, blast.left_out, &surroundings);
    for (goal, estimate) in [(BLAST, blast.milliseconds), (BLAST_RATIO, blast.ratio)] {
        let said = words::blast(&blast, args.blast(), settings.pods);
        findings.push(Finding::new(goal, estimate, format!("{said} {how}")));
    }
    details.insert(
        "blast".to_owned(),
        json!({"surroundings": surroundings, "found": blast}),
    );
    details.insert(
        "plans".to_owned(),
        json!({"surroundings": surroundings, "found": found}),
    );
    stop(world).await
}

/// Stopping blocks for a moment.
async fn stop(world: World) -> Result<()> {
    tokio::task::spawn_blocking(move || drop(world))
        .await
        .context("the stop was cut short")
}
