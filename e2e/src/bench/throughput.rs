//! B1 and B2: approved turns a second against raw writes a second, and the writes of a turn.
//!
//! A block is four legs, A B B A: turns, raw writes, raw writes, turns, so that a drift of the machine hits both sides
//! alike. Each leg is a closed loop of the same number of workers; a leg begins when the one before has left nothing to
//! be written.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use serde::Serialize;
use serde_json::json;

use super::counters::{Counters, Line};
use super::load::Loop;
use super::machine::{CpuTimes, CpuUse, cpu_each};
use super::noise::{self, Noise};
use super::raw::{self, RawWriter, Schema};
use super::stats::{Estimate, estimate, median, percentile};
use super::turns::{Asker, Turn};
use super::{NAMESPACE, Protocol, World};
use crate::demo;

/// Turns one after the other, before anything is loaded: what a turn alone costs.
const LONE_TURNS: usize = 10;

/// How B1 and B2 are measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Turns (or raw writers) at once.
    pub(super) workers: usize,
    /// Blocks wanted.
    pub(super) blocks: usize,
    /// Time for a loop to get going.
    pub(super) warm: Duration,
    /// Measured part of a leg of turns; legs of raw writes take half of it.
    pub(super) window: Duration,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Throughput {
    /// B1.
    pub(super) efficiency: Estimate,
    /// B2.
    pub(super) writes: Estimate,
    /// Writes of a turn when nothing else happens.
    pub(super) lone_writes: f64,
    /// Seconds of a turn when nothing else happens (median).
    pub(super) lone_seconds: f64,
    /// Turns a second (median of legs).
    pub(super) turns_per_second: f64,
    /// Raw writes a second (median of legs).
    pub(super) raw_per_second: f64,
    /// Raw writes a second on kinds without a schema (one leg, for comparison).
    pub(super) bare_per_second: f64,
    /// Mean wait of a request of a turn in the API server's fairness queues, in milliseconds.
    pub(super) queue_ms: f64,
    /// Writes and bytes of the recorded turn that the raw writers repeat.
    pub(super) raw_writes_per_turn: usize,
    pub(super) raw_bytes_per_turn: usize,
    /// CPU seconds of each process per turn.
    pub(super) cpu_per_turn: BTreeMap<String, f64>,
    /// CPU seconds of each process per raw write.
    pub(super) cpu_per_raw_write: BTreeMap<String, f64>,
    /// What a turn asked of the API server.
    pub(super) requests_per_turn: Vec<Line>,
    /// The blocks the results are made of.
    pub(super) blocks: Vec<Block>,
    /// Blocks left out because others used the machine meanwhile.
    pub(super) left_out: usize,
}

/// Four legs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Block {
    turns: [TurnLeg; 2],
    raw: [RawLeg; 2],
    /// Turns/s x writes a turn / raw writes/s.
    efficiency: f64,
    pub(super) noise: Noise,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TurnLeg {
    turns: usize,
    per_second: f64,
    writes_per_turn: f64,
    done_p50: f64,
    done_p95: f64,
    planned_p50: f64,
    queue_ms: f64,
    cpu: CpuUse,
    #[serde(skip)]
    measured: usize,
    #[serde(skip)]
    counted: Counters,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RawLeg {
    per_second: f64,
    writes: usize,
    cpu: CpuUse,
}

/// Everything the legs share.
struct Bench<'a> {
    world: &'a World,
    settings: Settings,
    asker: Asker,
    raw: RawWriter,
    /// The same on kinds without a schema.
    bare: RawWriter,
    next: AtomicU64,
}

/// Measures B1 and B2.
pub(super) async fn measure(world: &World, settings: Settings, protocol: &Protocol) -> Result<Throughput> {
    let bench = Bench::new(world, settings).await?;
    let (lone_writes, lone_seconds) = bench.lone().await?;
    // The first legs pay for connections, caches and code that was never run.
    bench.turn_leg().await?;
    bench.raw_leg(&bench.raw).await?;
    bench.raw_leg(&bench.bare).await?;
    let all = noise::gather(
        settings.blocks,
        protocol,
        |_| bench.block(),
        |block: &Block| &block.noise,
    )
    .await?;
    let bare = bench.raw_leg(&bench.bare).await?;
    let (blocks, left_out) = (all.kept, all.left_out);
    let of = |pick: &dyn Fn(&Block) -> f64| blocks.iter().map(pick).collect::<Vec<f64>>();
    let turn_legs: Vec<&TurnLeg> = blocks.iter().flat_map(|block| &block.turns).collect();
    let raw_legs: Vec<&RawLeg> = blocks.iter().flat_map(|block| &block.raw).collect();
    let writes: Vec<f64> = turn_legs.iter().map(|leg| leg.writes_per_turn).collect();
    let last = turn_legs.last().context("no leg of turns was measured")?;
    Ok(Throughput {
        efficiency: estimate(&of(&|block| block.efficiency), protocol.seed)
            .context("no block was measured")?,
        writes: estimate(&writes, protocol.seed).context("no leg was measured")?,
        lone_writes,
        lone_seconds,
        turns_per_second: middle(turn_legs.iter().map(|leg| leg.per_second)),
        raw_per_second: middle(raw_legs.iter().map(|leg| leg.per_second)),
        bare_per_second: bare.per_second,
        queue_ms: middle(turn_legs.iter().map(|leg| leg.queue_ms)),
        raw_writes_per_turn: bench.raw.writes_per_turn(),
        raw_bytes_per_turn: bench.raw.bytes_per_turn(),
        cpu_per_turn: cpu_each(turn_legs.iter().map(|leg| (&leg.cpu, leg.measured))),
        cpu_per_raw_write: cpu_each(raw_legs.iter().map(|leg| (&leg.cpu, leg.writes))),
        requests_per_turn: last.counted.breakdown(last.turns),
        left_out,
        blocks,
    })
}

impl<'a> Bench<'a> {
    async fn new(world: &'a World, settings: Settings) -> Result<Self> {
        let admin = world.cluster.client("admin").await?;
        demo::make_namespace(&admin, NAMESPACE).await?;
        let notes: Api<ConfigMap> = Api::namespaced(admin.clone(), NAMESPACE);
        for worker in 0..settings.workers {
            let note = json!({"metadata": {"name": target(worker)}, "data": {"text": "a note to label"}});
            notes
                .create(&PostParams::default(), &serde_json::from_value(note)?)
                .await?;
        }
        let asker = Asker::new(world.cluster.client("alice").await?, NAMESPACE).await?;
        let writes = raw::record(&admin, &asker, NAMESPACE, "recorded", &prompt(0, 0)).await?;
        Ok(Self {
            world,
            settings,
            asker,
            raw: RawWriter::new(&admin, NAMESPACE, writes.clone(), Schema::Types).await?,
            bare: RawWriter::new(&admin, NAMESPACE, writes, Schema::Anything).await?,
            next: AtomicU64::new(1),
        })
    }

    /// One turn after the other: (writes of a turn, median seconds of a turn).
    async fn lone(&self) -> Result<(f64, f64)> {
        let before = Counters::at_rest(&self.world.cluster).await?;
        let mut seconds = Vec::new();
        for _ in 0..LONE_TURNS {
            seconds.push(self.turn(0).await?.done);
        }
        let added = Counters::at_rest(&self.world.cluster).await?.since(&before);
        Ok((
            added.turn_writes() / LONE_TURNS as f64,
            median(&seconds).context("no turn was done")?,
        ))
    }

    async fn turn(&self, worker: usize) -> Result<Turn> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.asker
            .turn(&format!("turn-{number:06}"), &prompt(worker, number))
            .await
    }

    async fn block(&self) -> Result<Block> {
        let began = self.cpu()?;
        let first = self.turn_leg().await?;
        let raw = [self.raw_leg(&self.raw).await?, self.raw_leg(&self.raw).await?];
        let turns = [first, self.turn_leg().await?];
        let ours: f64 = turns.iter().map(|leg| leg.per_second * leg.writes_per_turn).sum();
        let limit: f64 = raw.iter().map(|leg| leg.per_second).sum();
        ensure!(
            limit > 0.0,
            "no raw write ended within {:?}",
            self.settings.window
        );
        Ok(Block {
            efficiency: ours / limit,
            noise: Noise::of(&self.cpu()?.since(&began)?),
            turns,
            raw,
        })
    }

    async fn turn_leg(&self) -> Result<TurnLeg> {
        let before = Counters::at_rest(&self.world.cluster).await?;
        let done = self
            .load(self.settings.window)
            .run(|worker| self.turn(worker), || self.cpu())
            .await?;
        let counted = Counters::at_rest(&self.world.cluster).await?.since(&before);
        let times = |pick: fn(&Turn) -> f64| done.measured.iter().map(pick).collect::<Vec<f64>>();
        let part = |values: &[f64], part| {
            percentile(values, part).with_context(|| format!("no turn ended within {:.1} s: the machine has too much else to do; try again when it is quiet", done.seconds))
        };
        let ended = times(|turn| turn.done);
        Ok(TurnLeg {
            turns: done.all,
            per_second: done.measured.len() as f64 / done.seconds,
            writes_per_turn: counted.turn_writes() / done.all as f64,
            done_p50: part(&ended, 0.5)?,
            done_p95: part(&ended, 0.95)?,
            planned_p50: part(&times(|turn| turn.planned), 0.5)?,
            queue_ms: counted.queue_ms(),
            cpu: done.edges.1.since(&done.edges.0)?,
            measured: done.measured.len(),
            counted,
        })
    }

    async fn raw_leg(&self, writer: &RawWriter) -> Result<RawLeg> {
        let load = self.load(self.settings.window / 2);
        let work = |_| async {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            writer.turn(&format!("raw-{number:06}")).await
        };
        let done = load.run(work, || self.cpu()).await?;
        let writes = done.measured.len() * writer.writes_per_turn();
        Ok(RawLeg {
            per_second: writes as f64 / done.seconds,
            writes,
            cpu: done.edges.1.since(&done.edges.0)?,
        })
    }

    fn load(&self, window: Duration) -> Loop {
        Loop {
            workers: self.settings.workers,
            warm: self.settings.warm,
            window,
        }
    }

    fn cpu(&self) -> Result<CpuTimes> {
        CpuTimes::now(&self.world.pids())
    }
}

/// Each worker has its own target: two turns on one object would make each other stale.
fn target(worker: usize) -> String {
    format!("note-{worker}")
}

fn prompt(worker: usize, number: u64) -> String {
    format!("label configmap {} bench={number}", target(worker))
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    median(&values.collect::<Vec<f64>>()).unwrap_or(0.0)
}
