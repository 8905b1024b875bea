//! B24: how long a plan takes in a cluster with many pods, against one list of all those pods.
//!
//! A block is four legs, A B B A: plans, lists, lists, plans. Plans are asked for at fixed times (open loop), so a slow one
//! does not hide by delaying the next; lists are read one after the other, page by page, and their bytes are not even
//! parsed within the time that counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::load::open_loop;
use super::machine::{CpuTimes, CpuUse, cpu_each};
use super::noise::{self, Noise};
use super::stats::{Estimate, estimate, median, percentile};
use super::turns::Asker;
use super::{NAMESPACE, Protocol, World};
use crate::demo;
use crate::wait::eventually;

/// Objects of a page, for us and for the limit.
const PAGE: usize = 500;
/// Pods of a Deployment that a person asks about.
const SMALL: usize = 10;
/// Deployments of that size; the other pods belong to larger ones.
const SMALL_COUNT: usize = 20;
/// Pods of a larger Deployment.
const LARGE: usize = 120;
/// Longest wait for all pods to run.
pub(super) const PODS_DEADLINE: Duration = Duration::from_secs(240);
/// Deployments created at once.
const CREATORS: usize = 8;

/// How B24 is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Pods in the cluster.
    pub(super) pods: usize,
    /// Blocks wanted.
    pub(super) blocks: usize,
    /// Plans of a leg.
    pub(super) plans: usize,
    /// Time between two plans.
    pub(super) pause: Duration,
    /// Lists of a leg.
    pub(super) lists: usize,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Latency {
    /// B24.
    pub(super) ratio: Estimate,
    /// Pods that ran.
    pub(super) pods: usize,
    /// Bytes of one list of them.
    pub(super) list_bytes: usize,
    /// Seconds of one list (median of all).
    pub(super) list_seconds: f64,
    /// Seconds of a plan over all legs.
    pub(super) plan_p50: f64,
    pub(super) plan_p95: f64,
    /// The same for each sentence.
    pub(super) sentences: Vec<Sentence>,
    /// CPU seconds of each process per plan.
    pub(super) cpu_per_plan: BTreeMap<String, f64>,
    pub(super) blocks: Vec<Block>,
    pub(super) left_out: usize,
}

/// A sentence of the mix and how long its plans took.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sentence {
    text: String,
    p50: f64,
    p95: f64,
}

/// Four legs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Block {
    plan_p95: f64,
    list_median: f64,
    ratio: f64,
    pub(super) noise: Noise,
    #[serde(skip)]
    plans: Vec<f64>,
    #[serde(skip)]
    lists: Vec<f64>,
    #[serde(skip)]
    cpu: CpuUse,
}

struct Bench<'a> {
    world: &'a World,
    settings: Settings,
    asker: Asker,
    admin: Client,
    /// One pod to ask about by name.
    pod: String,
    next: AtomicU64,
}

/// Fills the cluster and measures B24.
pub(super) async fn measure(world: &World, settings: Settings, protocol: &Protocol) -> Result<Latency> {
    let admin = world.cluster.client("admin").await?;
    demo::make_namespace(&admin, NAMESPACE).await?;
    let step = world.progress.step(format!("starting {} pods", settings.pods));
    fill(&admin, settings.pods).await?;
    step.done();
    let bench = Bench::new(world, settings, admin).await?;
    let listed = list(&bench.admin).await?;
    bench.plan_leg().await?;
    let step = world.progress.step("measuring B24: plans against lists");
    let all = noise::gather(
        settings.blocks,
        protocol,
        |_| bench.block(),
        |block: &Block| &block.noise,
    )
    .await?;
    step.done();
    bench.report(all, &listed, protocol)
}

/// Creates Deployments for this many pods and waits until all run.
async fn fill(admin: &Client, pods: usize) -> Result<()> {
    let api: Api<Deployment> = Api::namespaced(admin.clone(), NAMESPACE);
    let (params, api) = (PostParams::default(), &api);
    let make = |(name, replicas): (String, usize)| {
        let params = &params;
        async move {
            api.create(params, &deployment(&name, replicas)?)
                .await
                .with_context(|| format!("Deployment {name}"))
        }
    };
    futures::stream::iter(sizes(pods))
        .map(make)
        .buffer_unordered(CREATORS)
        .try_collect::<Vec<_>>()
        .await?;
    eventually(PODS_DEADLINE, &format!("{pods} pods run"), || async {
        let deployments = api.list(&ListParams::default()).await?;
        let ready: i32 = deployments
            .iter()
            .filter_map(|one| one.status.as_ref()?.ready_replicas)
            .sum();
        ensure!(usize::try_from(ready).unwrap_or(0) >= pods, "{ready} do");
        Ok(())
    })
    .await
}

/// Names and replicas of Deployments with this many pods together.
fn sizes(pods: usize) -> Vec<(String, usize)> {
    let small = SMALL_COUNT.min(pods / SMALL);
    let mut sizes: Vec<_> = (0..small).map(|number| (small_name(number), SMALL)).collect();
    let mut rest = pods - small * SMALL;
    while rest > 0 {
        let replicas = rest.min(LARGE);
        sizes.push((format!("large-{}", sizes.len() - small), replicas));
        rest -= replicas;
    }
    sizes
}

fn small_name(number: usize) -> String {
    format!("small-{number}")
}

pub(super) fn deployment(name: &str, replicas: usize) -> Result<Deployment> {
    let labels = json!({"app": name});
    let container = json!({
        "name": "web", "image": "nginx:1.27", "ports": [{"containerPort": 80}],
        "env": [{"name": "NAME", "value": name}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    });
    let object: Value = json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    });
    serde_json::from_value(object).context("a Deployment of the bench is malformed")
}

/// What is asked: the commonest changes of one object each, and one of every pod of a Deployment.
const SENTENCES: usize = 5;

fn sentence(kind: usize, number: u64, pod: &str) -> String {
    let app = small_name(usize::try_from(number).unwrap_or(0) % SMALL_COUNT);
    match kind {
        0 => format!("scale {app} to 3 replicas"),
        1 => format!("restart deployment {app}"),
        2 => format!("set image of deployment {app} to nginx:1.28"),
        3 => format!("delete pod {pod}"),
        _ => format!("label pods -l app={app} tier=web"),
    }
}

/// The parts of a page that are needed to ask for the next one.
#[derive(Deserialize)]
struct Page {
    metadata: PageMeta,
    items: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct PageMeta {
    #[serde(default, rename = "continue")]
    next: String,
}

/// One list of all pods.
#[derive(Clone, Copy, Debug, Default)]
struct Listed {
    seconds: f64,
    bytes: usize,
    pods: usize,
}

async fn list(client: &Client) -> Result<Listed> {
    let (mut listed, mut next) = (Listed::default(), String::new());
    loop {
        let uri = format!("/api/v1/pods?limit={PAGE}&continue={next}");
        let start = Instant::now();
        let text = client
            .request_text(Request::get(uri).body(Vec::new())?)
            .await
            .context("the pods were not listed")?;
        listed.seconds += start.elapsed().as_secs_f64();
        let page: Page = serde_json::from_str(&text).context("a page of pods cannot be read")?;
        listed.bytes += text.len();
        listed.pods += page.items.len();
        next = page.metadata.next;
        if next.is_empty() {
            return Ok(listed);
        }
    }
}

impl<'a> Bench<'a> {
    async fn new(world: &'a World, settings: Settings, admin: Client) -> Result<Self> {
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(admin.clone(), NAMESPACE);
        let some = pods
            .list(&ListParams::default().labels("app=large-0").limit(1))
            .await?;
        let pod = some
            .items
            .into_iter()
            .find_map(|pod| pod.metadata.name)
            .context("no pod runs")?;
        Ok(Self {
            world,
            settings,
            asker: Asker::new(world.cluster.client("alice").await?, NAMESPACE).await?,
            admin,
            pod,
            next: AtomicU64::new(0),
        })
    }

    async fn block(&self) -> Result<Block> {
        let began = CpuTimes::now(&self.world.pids())?;
        let (mut plans, cpu) = self.plan_leg().await?;
        let mut lists = self.list_leg().await?;
        lists.extend(self.list_leg().await?);
        plans.extend(self.plan_leg().await?.0);
        let all = CpuTimes::now(&self.world.pids())?.since(&began)?;
        let plan_p95 = percentile(&plans, 0.95).context("no plan was made")?;
        let list_median = median(&lists).context("no list was read")?;
        ensure!(list_median > 0.0, "a list of all pods took no time");
        Ok(Block {
            plan_p95,
            list_median,
            ratio: plan_p95 / list_median,
            noise: Noise::of(&all),
            plans,
            lists,
            cpu,
        })
    }

    /// Seconds of each plan, and the CPU they took. Sentences take turns.
    async fn plan_leg(&self) -> Result<(Vec<f64>, CpuUse)> {
        let began = CpuTimes::now(&self.world.pids())?;
        let work = |kind: usize| async move {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let prompt = sentence(kind % SENTENCES, number, &self.pod);
            self.asker
                .plan(&format!("plan-{number:06}"), &prompt)
                .await
                .map(drop)
        };
        let plans = open_loop(self.settings.plans, self.settings.pause, work).await?;
        Ok((plans, CpuTimes::now(&self.world.pids())?.since(&began)?))
    }

    async fn list_leg(&self) -> Result<Vec<f64>> {
        let mut seconds = Vec::new();
        for _ in 0..self.settings.lists {
            let listed = list(&self.admin).await?;
            ensure!(
                listed.pods >= self.settings.pods,
                "only {} pods are left",
                listed.pods
            );
            seconds.push(listed.seconds);
        }
        Ok(seconds)
    }

    fn report(&self, all: noise::Gathered<Block>, listed: &Listed, protocol: &Protocol) -> Result<Latency> {
        let blocks = all.kept;
        let ratios: Vec<f64> = blocks.iter().map(|block| block.ratio).collect();
        let plans: Vec<f64> = blocks.iter().flat_map(|block| block.plans.clone()).collect();
        let lists: Vec<f64> = blocks.iter().flat_map(|block| block.lists.clone()).collect();
        let of_sentence = |kind: usize| {
            let legs = blocks
                .iter()
                .flat_map(|block| block.plans.chunks(self.settings.plans));
            let its: Vec<f64> = legs
                .flat_map(|leg| leg.iter().skip(kind).step_by(SENTENCES).copied())
                .collect();
            let (p50, p95) = (percentile(&its, 0.5)?, percentile(&its, 0.95)?);
            Some(Sentence {
                text: sentence(kind, 0, "NAME"),
                p50,
                p95,
            })
        };
        let first_legs = blocks.iter().map(|block| (&block.cpu, self.settings.plans));
        let part = |part| percentile(&plans, part).context("no plan was made");
        Ok(Latency {
            ratio: estimate(&ratios, protocol.seed).context("no block was measured")?,
            pods: listed.pods,
            list_bytes: listed.bytes,
            list_seconds: median(&lists).context("no list was read")?,
            plan_p50: part(0.5)?,
            plan_p95: part(0.95)?,
            sentences: (0..SENTENCES).filter_map(of_sentence).collect(),
            cpu_per_plan: cpu_each(first_legs),
            blocks,
            left_out: all.left_out,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deployments_have_exactly_the_pods_asked_for() {
        for pods in [0, 9, 10, 205, 500, 5_000] {
            let sizes = sizes(pods);
            assert_eq!(sizes.iter().map(|(_, replicas)| replicas).sum::<usize>(), pods);
            let names: std::collections::BTreeSet<_> = sizes.iter().map(|(name, _)| name).collect();
            assert_eq!(names.len(), sizes.len());
        }
    }

    #[test]
    fn a_page_is_read_for_its_size_and_the_next_page_only() {
        let page: Page =
            serde_json::from_str(r#"{"metadata":{"continue":"abc"},"items":[{"a":1},{}]}"#).unwrap();
        assert_eq!((page.metadata.next.as_str(), page.items.len()), ("abc", 2));
        let last: Page = serde_json::from_str(r#"{"metadata":{},"items":[]}"#).unwrap();
        assert!(last.metadata.next.is_empty());
    }
}
