//! Two hundred times `kill -9`: the operator dies at seeded random moments while many plans of every kind of change are
//! made, approved and executed, and comes back at once. Afterwards the API server's own audit log, the objects and
//! KubeChat's log must tell the same story: nothing was done twice, nothing was done without a record, no record is lost.
//!
//! The seed is printed; `KUBECHAT_SEED` sets it. It fixes the moments and the changes, not how the machine interleaves them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::chat_request::Scope;
use kubechat_crds::condition::is_finished;
use kubechat_crds::{ChatRequest, ChatRequestSpec, CommandPlan, PlanPhase, StepState};
use kubechat_e2e::accounts::{DEMO, OPS, SYSTEM};
use kubechat_e2e::apply::Applier;
use kubechat_e2e::cluster::{Cluster, Options};
use kubechat_e2e::product::{self, Part, Product};
use kubechat_e2e::wait::eventually;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::correlation::{self, Write};
use super::slow_hook::{Mood, SlowHook, rules};
use super::tools::says_prompt;
use super::turn::{
    SOON, approve_as_asked, ask_with, audit_entries, conditions, leads, phase, steps, verdict,
};
use crate::runner::{Test, own, with_product};

const KILLS: usize = 200;
/// Shortest and longest life of an operator, in milliseconds from its start. The shortest ends before it leads.
const LIFE: std::ops::Range<u64> = 100..1300;
/// Turns that are under way together.
const BATCH: usize = 24;
/// How long the API server holds a write before it stores it, in milliseconds.
const SLOW: u64 = 30;
/// Between looks at the plans.
const LOOK: Duration = Duration::from_millis(300);
/// How long a batch may take while operators die.
const BATCH_DEADLINE: Duration = Duration::from_secs(280);
/// The whole test. It takes about 200 s on two cores.
const DEADLINE: Duration = Duration::from_secs(480);

pub(crate) fn tests() -> Vec<Test> {
    own![two_hundred_random_kills_leave_no_double_effect_and_no_lost_audit_entry]
        .into_iter()
        .map(|test| test.within(DEADLINE))
        .collect()
}

async fn two_hundred_random_kills_leave_no_double_effect_and_no_lost_audit_entry() -> Result<()> {
    let seed = match std::env::var("KUBECHAT_SEED") {
        Ok(seed) => seed.parse().context("KUBECHAT_SEED is no number")?,
        Err(_) => rand::random::<u32>().into(),
    };
    println!("the kills of this run come from seed {seed}: KUBECHAT_SEED={seed} repeats them");
    let cluster_options = Options {
        audit_log: true,
        ..Options::default()
    };
    // Whoever kills it starts it again.
    let product_options = product::Options {
        restart: false,
        ..product::Options::default()
    };
    with_product(cluster_options, product_options, async |cluster, product| {
        let told = run(cluster, product, seed).await;
        told.with_context(|| format!("seed {seed}"))
    })
    .await
}

async fn run(cluster: &Cluster, product: &Product, seed: u64) -> Result<()> {
    let admin = cluster.client("admin").await?;
    let _hook = SlowHook::start(&admin, Mood::Allow(SLOW), rules()).await?;
    let over = AtomicBool::new(false);
    let (kills, plans) = tokio::try_join!(
        kill(product, &admin, StdRng::seed_from_u64(seed), &over),
        work(cluster, StdRng::seed_from_u64(seed.wrapping_add(1)), &over),
    )?;
    println!("{kills} kills; {} plans", plans.len());
    let story = Story::read(cluster, product, plans).await?;
    story.check()?;
    story.generations(&admin).await?;
    story.is_worth_telling()
}

/// Kills the operator again and again, and starts the next one at once.
async fn kill(product: &Product, admin: &Client, mut random: StdRng, over: &AtomicBool) -> Result<usize> {
    let leases: Api<Lease> = Api::namespaced(admin.clone(), SYSTEM);
    // Whoever knows that the holder is dead may say so; nobody has to wait for the lease to run out.
    let free = Patch::Merge(json!({"spec": {"holderIdentity": ""}}));
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(random.random_range(LIFE))).await;
        product.destroy(Part::Operator).await?;
        leases
            .patch("kubechat-operator", &PatchParams::default(), &free)
            .await?;
        product.launch(Part::Operator)?;
    }
    over.store(true, Ordering::SeqCst);
    leads(product, Part::Operator).await?;
    Ok(KILLS)
}

/// A change that is asked for, on objects of its own.
struct Change {
    kind: usize,
    at: usize,
}

/// How many kinds of change there are.
const KINDS: usize = 9;

impl Change {
    /// The sentence.
    fn prompt(&self) -> String {
        let Self { kind, at } = self;
        match kind {
            0 => format!("label configmap settings-{at} tier=web"),
            1 => format!("annotate configmap settings-{at} owner=alice"),
            2 => format!("delete configmap settings-{at}"),
            3 => format!("scale web-{at} to 1 replica"),
            4 => format!("restart web-{at}"),
            5 => format!("set the image of web-{at} to nginx:1.28"),
            6 => format!("kubectl set resources deployment/web-{at} --requests=cpu=20m"),
            7 => format!("create namespace team-{at}"),
            _ => format!("restart web-{at} and scale web-{at} to 1 replica"),
        }
    }

    fn is_wide(&self) -> bool {
        self.kind == 7
    }

    /// What must be there before.
    fn object(&self) -> Option<Value> {
        let at = self.at;
        match self.kind {
            0..=2 => Some(
                json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"},
                "metadata": {"name": format!("settings-{at}"), "namespace": DEMO}}),
            ),
            7 => None,
            _ => {
                let (name, labels) = (format!("web-{at}"), json!({"app": format!("web-{at}")}));
                Some(json!({"apiVersion": "apps/v1", "kind": "Deployment",
                    "metadata": {"name": name, "namespace": DEMO},
                    "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                        "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]}}}}))
            }
        }
    }
}

/// A turn from `ops` about things without a namespace.
fn cluster_wide(prompt: &str) -> ChatRequestSpec {
    ChatRequestSpec {
        scope: Some(Scope {
            cluster_scoped: true,
            ..Scope::default()
        }),
        ..says_prompt(prompt)
    }
}

/// Batch after batch of turns, from the question to the end of its plan, until the killing is over.
async fn work(cluster: &Cluster, mut random: StdRng, over: &AtomicBool) -> Result<Vec<CommandPlan>> {
    let people = People::of(cluster).await?;
    let applier = Applier::new(people.admin.clone());
    let mut done = vec![];
    while !over.load(Ordering::SeqCst) {
        let first = done.len();
        let changes: Vec<Change> = (first..first + BATCH)
            .map(|at| Change {
                kind: if at < KINDS {
                    at
                } else {
                    random.random_range(0..KINDS)
                },
                at,
            })
            .collect();
        let objects: Vec<Value> = changes.iter().filter_map(Change::object).collect();
        applier.create_all(&objects).await?;
        eventually(SOON, "controllers have seen the Deployments", || people.settled()).await?;
        let mut turns = vec![];
        for change in &changes {
            turns.push(people.ask(change).await?);
        }
        let ended = tokio::time::timeout(BATCH_DEADLINE, people.see_through(&turns)).await;
        done.extend(ended.context("a batch of plans did not end in time")??);
    }
    Ok(done)
}

struct People {
    admin: Client,
    alice: Client,
    erin: Client,
    bob: Client,
    carol: Client,
}

impl People {
    async fn of(cluster: &Cluster) -> Result<Self> {
        Ok(Self {
            admin: cluster.client("admin").await?,
            alice: cluster.client("alice").await?,
            erin: cluster.client("erin").await?,
            bob: cluster.client("bob").await?,
            carol: cluster.client("carol").await?,
        })
    }

    /// Their controllers have put their notes on all Deployments: from now on nobody but KubeChat changes them.
    async fn settled(&self) -> Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.admin.clone(), DEMO);
        for one in deployments.list(&ListParams::default()).await? {
            let noted = one
                .annotations()
                .contains_key("deployment.kubernetes.io/revision");
            let seen = one.status.as_ref().and_then(|status| status.observed_generation);
            ensure!(
                noted && seen == one.metadata.generation,
                "{} is new",
                one.name_any()
            );
        }
        Ok(())
    }

    async fn ask(&self, change: &Change) -> Result<ChatRequest> {
        let prompt = change.prompt();
        if change.is_wide() {
            ask_with(&self.erin, OPS, cluster_wide(&prompt)).await
        } else {
            ask_with(&self.alice, DEMO, says_prompt(&prompt)).await
        }
    }

    /// Approves the plans of these turns as soon as they wait, and returns them when all have ended.
    async fn see_through(&self, turns: &[ChatRequest]) -> Result<Vec<CommandPlan>> {
        let mine: BTreeSet<String> = turns.iter().filter_map(ResourceExt::uid).collect();
        let mut approved: BTreeSet<String> = BTreeSet::new();
        loop {
            let mut ended = vec![];
            for plan in self.plans().await? {
                if !mine.contains(&plan.spec.chat_request_ref.uid) {
                    continue;
                }
                if is_finished(conditions(&plan)) {
                    ended.push(plan);
                } else if phase(&plan) == Some(PlanPhase::AwaitingApproval)
                    && approved.insert(plan.name_any())
                {
                    approve_as_asked(&[&self.bob, &self.carol], &plan).await?;
                }
            }
            if ended.len() == turns.len() {
                return Ok(ended);
            }
            self.none_ended_without_a_plan(&mine).await?;
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn plans(&self) -> Result<Vec<CommandPlan>> {
        let api: Api<CommandPlan> = Api::all(self.admin.clone());
        Ok(api.list(&ListParams::default()).await?.items)
    }

    async fn none_ended_without_a_plan(&self, mine: &BTreeSet<String>) -> Result<()> {
        let api: Api<ChatRequest> = Api::all(self.admin.clone());
        for turn in api.list(&ListParams::default()).await? {
            let status = turn.status.clone().unwrap_or_default();
            let ended = is_finished(&status.conditions) && status.plan_ref.is_none();
            let is_mine = turn.uid().is_some_and(|uid| mine.contains(&uid));
            ensure!(
                !(ended && is_mine),
                "{:?} became no plan: {:?}",
                turn.spec.prompt,
                status.conditions
            );
        }
        Ok(())
    }
}

/// A step as KubeChat's log tells it.
#[derive(Debug)]
struct Step {
    intent: Value,
    results: Vec<Value>,
}

impl Step {
    fn outcome(&self) -> &str {
        self.results
            .first()
            .and_then(|r| r["outcome"].as_str())
            .unwrap_or_default()
    }
}

/// Whether the answer means that nothing was stored. One who asked and is gone gets none, or 499.
fn is_refusal(code: u64) -> bool {
    (400..500).contains(&code) && !matches!(code, 408 | 499)
}

/// What all logs say when it is over.
struct Story {
    plans: Vec<CommandPlan>,
    /// By step id.
    steps: BTreeMap<String, Step>,
    /// As the API server tells them.
    writes: Vec<Write>,
}

impl Story {
    async fn read(cluster: &Cluster, product: &Product, plans: Vec<CommandPlan>) -> Result<Self> {
        let log = std::fs::read_to_string(cluster.api_audit_log())?;
        // Reads fill it; what names no plan is none of our writes.
        let of_plans = log.lines().filter(|line| line.contains("kubechat.io/plan"));
        let events: Vec<Value> = of_plans.map(serde_json::from_str).collect::<Result<_, _>>()?;
        let mut steps: BTreeMap<String, Step> = BTreeMap::new();
        // The chain is proven on the way.
        for entry in audit_entries(product).await? {
            let Some(id) = entry["ids"]["stepId"].as_str().map(str::to_owned) else {
                continue;
            };
            if entry["outcome"] == "intent" {
                let intent = entry.clone();
                let before = steps.insert(
                    id,
                    Step {
                        intent,
                        results: vec![],
                    },
                );
                ensure!(before.is_none(), "a second intent: {entry}");
            } else {
                let step = steps
                    .get_mut(&id)
                    .with_context(|| format!("a result without an intent: {entry}"))?;
                step.results.push(entry);
            }
        }
        Ok(Self {
            plans,
            steps,
            writes: correlation::writes(&events)?,
        })
    }

    /// Writes of one step, in order.
    fn writes_of(&self, id: &str) -> Vec<&Write> {
        let mut found: Vec<&Write> = self.writes.iter().filter(|write| write.step() == id).collect();
        found.sort_by_key(|write| write.time);
        found
    }

    fn check(&self) -> Result<()> {
        let ids: BTreeSet<&str> = self.writes.iter().map(|write| write.audit_id.as_str()).collect();
        ensure!(ids.len() == self.writes.len(), "two requests of one id");
        for write in &self.writes {
            let step = self.steps.get(write.step());
            let intent = &step
                .with_context(|| format!("written without an intent: {write:?}"))?
                .intent;
            let intended: Timestamp = intent["time"].as_str().unwrap_or_default().parse()?;
            let same = intent["ids"]["planDigest"] == write.plan.as_str()
                && intent["actor"]["username"] == write.user.as_str();
            ensure!(same && intended <= write.time, "{write:?} is not of {intent}");
        }
        for (id, step) in &self.steps {
            let sent = self.writes_of(id);
            let what = || format!("step {id}: {step:?}\n{sent:?}");
            ensure!(
                step.results.len() == 1,
                "an intent without its one result: {}",
                what()
            );
            // Only after an answer that means "not done" there may be another try.
            let (last, earlier) = match sent.split_last() {
                Some((last, earlier)) => (Some(last), earlier),
                None => (None, &[][..]),
            };
            let again = earlier.iter().all(|write| matches!(write.code, 409 | 429));
            ensure!(again, "written twice, {}", what());
            let done = last.is_some_and(|write| write.accepted);
            let refused = last.is_none_or(|write| is_refusal(write.code));
            match step.outcome() {
                "success" => ensure!(!refused, "recorded as done, {}", what()),
                "failure" => ensure!(!done, "recorded as failed, {}", what()),
                "unknown" => {}
                other => bail!("{other:?}, {}", what()),
            }
        }
        self.plans.iter().try_for_each(|plan| self.tells(plan))
    }

    /// The plan says what the log says.
    fn tells(&self, plan: &CommandPlan) -> Result<()> {
        let uid = plan.uid().unwrap_or_default();
        let of_plan = |step: &&Step| step.intent["ids"]["planUid"] == uid.as_str();
        let mut recorded: Vec<&str> = self.steps.values().filter(of_plan).map(Step::outcome).collect();
        let mut told = vec![];
        for state in steps(plan) {
            match state {
                StepState::Done => told.push("success"),
                StepState::Unknown => told.push("unknown"),
                StepState::Failed => told.push("failure"),
                StepState::Skipped => {}
                StepState::Pending | StepState::Sent => {
                    bail!("not an end: {:?}", plan.status)
                }
            }
        }
        recorded.sort_unstable();
        told.sort_unstable();
        ensure!(recorded == told, "the log says {recorded:?}: {:?}", plan.status);
        let ended = verdict(plan)?;
        match phase(plan) {
            Some(PlanPhase::Succeeded) => ensure!(!told.contains(&"unknown"), "{:?}", plan.status),
            Some(PlanPhase::Interrupted) => ensure!(ended.reason == "OutcomeUnknown", "{ended:?}"),
            other => bail!("{} ended as {other:?}: {ended:?}", plan.spec.steps[0].command),
        }
        Ok(())
    }

    /// Each write of a Deployment's spec is a generation: an account of its own of how often it was changed.
    async fn generations(&self, admin: &Client) -> Result<()> {
        let api: Api<Deployment> = Api::namespaced(admin.clone(), DEMO);
        let deployments = api.list(&ListParams::default()).await?;
        for plan in &self.plans {
            let target = &plan.spec.steps[0].targets[0];
            let Some(found) = deployments.iter().find(|one| one.uid() == target.uid) else {
                continue;
            };
            let changes = found.metadata.generation.unwrap_or_default() - 1;
            let most = i64::try_from(plan.spec.steps.len())?;
            let is_done = phase(plan) == Some(PlanPhase::Succeeded);
            ensure!(
                changes <= most && (!is_done || changes == most),
                "{} was changed {changes} times: {:?}",
                found.name_any(),
                plan.status
            );
        }
        Ok(())
    }

    /// The kills hit something.
    fn is_worth_telling(&self) -> Result<()> {
        let count = |outcome: &str| {
            self.steps
                .values()
                .filter(|step| step.outcome() == outcome)
                .count()
        };
        let results = || self.steps.values().flat_map(|step| &step.results);
        let says = |entry: &&Value| {
            entry["message"]
                .as_str()
                .is_some_and(|m| m.contains("by its mark"))
        };
        let recognised = results().filter(says).count();
        println!(
            "{} steps and {} writes: {} done ({recognised} of them recognised by the next operator), {} unknown, {} failed",
            self.steps.len(),
            self.writes.len(),
            count("success"),
            count("unknown"),
            count("failure"),
        );
        ensure!(
            self.plans.len() >= BATCH && count("success") > 0,
            "hardly anything was done"
        );
        ensure!(recognised + count("unknown") > 0, "no kill hit a step under way");
        Ok(())
    }
}
