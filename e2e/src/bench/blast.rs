//! What a blast radius costs: of a Deployment with a tenth of the pods of B24's cluster, against lists of the same pods.
//!
//! The operator's own clock counts (`kubechat_blast_seconds`), from the first read to the last number, so nothing else of a
//! plan is in it. A block is four legs, A B B A: plans, lists, lists, plans; plans are asked for one after the other.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::PostParams;
use kube::{Api, Client};
use serde::Serialize;
use serde_json::{Value, json};

use super::latency::deployment;
use super::machine::CpuTimes;
use super::noise::{self, Noise};
use super::stats::{Estimate, estimate, median, percentile};
use super::turns::Asker;
use super::{NAMESPACE, Protocol, World};
use crate::product::Part;
use crate::wait::eventually;

/// The Deployment asked about, also its Service.
const NAME: &str = "huge";

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Pods of the Deployment.
    pub(super) pods: usize,
    /// Blocks wanted.
    pub(super) blocks: usize,
    /// Plans of a leg, and lists of a leg.
    pub(super) plans: usize,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blast {
    /// Milliseconds, p95 of a block.
    pub(super) milliseconds: Estimate,
    /// The same over the median list of the same pods.
    pub(super) ratio: Estimate,
    /// Pods of the Deployment.
    pub(super) pods: usize,
    /// Median milliseconds of one list of them.
    pub(super) list_milliseconds: f64,
    pub(super) blocks: Vec<Block>,
    pub(super) left_out: usize,
}

/// Four legs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Block {
    blast_p95: f64,
    list_median: f64,
    pub(super) noise: Noise,
}

struct Bench<'a> {
    world: &'a World,
    settings: Settings,
    asker: Asker,
    alice: Client,
}

/// Makes the Deployment and measures. The cluster must be filled.
pub(super) async fn measure(world: &World, settings: Settings, protocol: &Protocol) -> Result<Blast> {
    let admin = world.cluster.client("admin").await?;
    let step = world
        .progress
        .step(format!("starting {} pods of one Deployment", settings.pods));
    make(&admin, settings.pods).await?;
    step.done();
    let alice = world.cluster.client("alice").await?;
    let bench = Bench {
        world,
        settings,
        asker: Asker::new(alice.clone(), NAMESPACE).await?,
        alice,
    };
    bench.plans("warm").await?;
    let step = world
        .progress
        .step("measuring the blast radius against lists of the same pods");
    let next = std::sync::atomic::AtomicUsize::new(0);
    let all = noise::gather(
        settings.blocks,
        protocol,
        |_| bench.block(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)),
        |block: &Block| &block.noise,
    )
    .await?;
    step.done();
    let blocks = all.kept;
    let times: Vec<f64> = blocks.iter().map(|b| b.blast_p95 * 1000.0).collect();
    let ratios: Vec<f64> = blocks.iter().map(|b| b.blast_p95 / b.list_median).collect();
    let lists: Vec<f64> = blocks.iter().map(|b| b.list_median * 1000.0).collect();
    Ok(Blast {
        milliseconds: estimate(&times, protocol.seed).context("no block was measured")?,
        ratio: estimate(&ratios, protocol.seed).context("no block was measured")?,
        pods: settings.pods,
        list_milliseconds: median(&lists).context("no list was read")?,
        blocks,
        left_out: all.left_out,
    })
}

/// The Deployment behind a Service, once all its pods are ready.
async fn make(admin: &Client, pods: usize) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(admin.clone(), NAMESPACE);
    let services: Api<Service> = Api::namespaced(admin.clone(), NAMESPACE);
    let service: Value = json!({
        "metadata": {"name": NAME},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": 80}]},
    });
    let params = PostParams::default();
    services
        .create(&params, &serde_json::from_value(service)?)
        .await?;
    deployments.create(&params, &deployment(NAME, pods)?).await?;
    eventually(
        super::latency::PODS_DEADLINE,
        &format!("{pods} pods of {NAME} run"),
        || async {
            let ready = deployments.get(NAME).await?.status.and_then(|s| s.ready_replicas);
            ensure!(
                usize::try_from(ready.unwrap_or(0)).unwrap_or(0) == pods,
                "{ready:?} do"
            );
            Ok(())
        },
    )
    .await
}

impl Bench<'_> {
    async fn block(&self, number: usize) -> Result<Block> {
        let began = CpuTimes::now(&self.world.pids())?;
        let mut blasts = self.plans(&format!("{number}a")).await?;
        let mut lists = self.lists().await?;
        lists.extend(self.lists().await?);
        blasts.extend(self.plans(&format!("{number}b")).await?);
        let all = CpuTimes::now(&self.world.pids())?.since(&began)?;
        Ok(Block {
            blast_p95: percentile(&blasts, 0.95).context("no plan was made")?,
            list_median: median(&lists).context("no list was read")?,
            noise: Noise::of(&all),
        })
    }

    /// Seconds of each blast radius, by the operator's clock.
    async fn plans(&self, leg: &str) -> Result<Vec<f64>> {
        let mut all = vec![];
        for number in 0..self.settings.plans {
            let before = self.clock().await?;
            let name = format!("blast-{leg}-{number}");
            self.asker
                .plan(&name, &format!("delete deployment {NAME}"))
                .await?;
            let after = self.clock().await?;
            ensure!(
                after.1 - before.1 == 1.0,
                "{} radii were computed",
                after.1 - before.1
            );
            all.push(after.0 - before.0);
        }
        Ok(all)
    }

    /// Sum and count of the operator's histogram.
    async fn clock(&self) -> Result<(f64, f64)> {
        let text = self.world.product.metrics_text(Part::Operator).await?;
        let value = |name: &str| {
            let name = format!("kubechat_blast_seconds_{name}{{when=\"plan\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            line.map_or(Ok(0.0), str::parse).context("a metric is no number")
        };
        Ok((value("sum")?, value("count")?))
    }

    /// Seconds of each list of the same pods as the same person; the bytes are not parsed.
    async fn lists(&self) -> Result<Vec<f64>> {
        let mut all = vec![];
        for _ in 0..self.settings.plans {
            let uri = format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3D{NAME}&limit=500");
            let start = Instant::now();
            let text = self
                .alice
                .request_text(Request::get(uri).body(Vec::new())?)
                .await?;
            all.push(start.elapsed().as_secs_f64());
            ensure!(text.len() > self.settings.pods, "the list is empty");
        }
        Ok(all)
    }
}
