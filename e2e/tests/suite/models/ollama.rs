//! A real Ollama with a real small model reads turns: what it says becomes a typed intent that goes the way of every sentence, or
//! the person is asked; never another change. And what KubeChat adds to the model's own time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use kube::api::{PostParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::chat_request::OutboundState;
use kubechat_crds::condition::is_finished;
use kubechat_crds::{ChatRequest, CommandPlan, RequestPhase};
use kubechat_e2e::build::{OllamaBinaries, WEIGHTS_VARIABLE};
use kubechat_e2e::cluster::Options;
use kubechat_e2e::demo::DEPLOYMENT;
use kubechat_e2e::ollama::{MODEL, Measured, Meter, Ollama};
use kubechat_e2e::product::Product;
use kubechat_e2e::progress::Progress;
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};
use sha2::Digest as _;

use super::super::tools::{entries_of, object, raw, status_of};
use super::super::turn::ask_with;
use super::{by, in_development};
use crate::runner::{Test, own, with_product};

/// How long it may take until a probe is passed. A model this small passes some and fails some, for names leave as other random
/// tokens each time; one that fails is made again half a minute later.
const PROBED: Duration = Duration::from_secs(12 * 60);
/// Longest wait for a turn: two calls of the longest time a provider may take, and as much again.
const READ: Duration = Duration::from_secs(240);
/// All of it.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// What the way over KubeChat may take, as a multiple of the model's own time.
const OVERHEAD: f64 = 1.5;

/// Sentences that are asked, and how the deployment is to be scaled if they are understood; `None`: they only read. The
/// built-in rules have no words for those that change something.
const ASKED: &[(&str, Option<&str>)] = &[
    ("I would so love to see 4 copies of DEPLOYMENT", Some("4")),
    (
        "it would be lovely to have 3 copies of DEPLOYMENT around",
        Some("3"),
    ),
    (
        "could we get by with 2 copies of DEPLOYMENT, what do you think",
        Some("2"),
    ),
    ("DEPLOYMENT wants to become 5 copies strong", Some("5")),
    ("let me see the pods", None),
    ("would you show me the deployments there are", None),
];

/// Empty unless there are weights: `make e2e-ollama` fetches them.
pub(super) fn tests() -> Vec<Test> {
    if std::env::var_os(WEIGHTS_VARIABLE).is_none() {
        return vec![];
    }
    let build = || -> futures::future::BoxFuture<'static, Result<()>> {
        Box::pin(async { OllamaBinaries::ensure(&Progress::for_people()).await.map(drop) })
    };
    own![what_a_real_model_says_is_a_typed_intent_or_a_question_and_kubechat_adds_little_to_its_time]
        .into_iter()
        .map(|test| test.within(LONGEST).after(build))
        .collect()
}

async fn what_a_real_model_says_is_a_typed_intent_or_a_question_and_kubechat_adds_little_to_its_time()
-> Result<()> {
    with_product(Options::default(), in_development(), async |cluster, product| {
        let folder = cluster.folder().join("ollama");
        let ollama = Ollama::start(&folder, &Progress::Silent).await?;
        let (meter, endpoint) = ollama.meter().await?;
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        is_probed(&admin, &endpoint).await?;
        let probe = meter.take();
        println!("probe: {} calls of the model", probe.len());
        let real = Real {
            product,
            alice,
            meter,
        };
        let (mut ratios, mut understood) = (vec![], 0);
        for (words, replicas) in ASKED {
            let prompt = words.replace("DEPLOYMENT", &format!("\"{DEPLOYMENT}\""));
            let (ratio, is_understood) = real.reads(&prompt, *replicas).await?;
            ratios.push(ratio);
            understood += usize::from(is_understood);
        }
        ensure!(understood > 0, "of no sentence it made an intent: then nothing of that way was shown");
        ratios.sort_by(f64::total_cmp);
        let middle = ratios.get(ratios.len() / 2).copied().unwrap_or(f64::MAX);
        println!(
            "model path over the model's own time (B24): middle {middle:.3} of {} turns, best {:.3}, worst {:.3}; wanted <= {OVERHEAD}, aim 1.05",
            ratios.len(),
            ratios.first().copied().unwrap_or_default(),
            ratios.last().copied().unwrap_or_default(),
        );
        ensure!(middle <= OVERHEAD, "KubeChat takes {middle:.2} times as long as the model: {ratios:?}");
        Ok(())
    })
    .await
}

/// A provider of type Ollama, and what its probe says.
async fn is_probed(admin: &Client, endpoint: &str) -> Result<()> {
    let spec =
        json!({"type": "Ollama", "endpoint": endpoint, "model": MODEL, "timeout": "120s", "maxTokens": 200});
    let providers = raw(admin, "AIProvider", "");
    providers
        .create(&PostParams::default(), &object("AIProvider", "real", &spec)?)
        .await?;
    let status = eventually(PROBED, "the provider is probed well", || async {
        let status = providers.get("real").await?.data["status"].clone();
        ensure!(status["conditions"][0]["status"] == "True", "{status}");
        Ok(status)
    })
    .await?;
    let probe = &status["probe"];
    println!("probe: {probe}");
    ensure!(
        probe["score"]
            .as_i64()
            .is_some_and(|score| (75..=100).contains(&score)),
        "{status}"
    );
    for measured in ["tokensPerSecond", "p50Ms", "p95Ms"] {
        ensure!(
            probe[measured].as_i64().is_some_and(|n| n > 0),
            "{measured}: {status}"
        );
    }
    Ok(())
}

struct Real<'a> {
    product: &'a Product,
    alice: Client,
    meter: Meter,
}

impl Real<'_> {
    /// Asks, and says how many times the model's own time the turn took, and whether the model made an intent of it.
    async fn reads(&self, prompt: &str, replicas: Option<&str>) -> Result<(f64, bool)> {
        let turns: Api<ChatRequest> = Api::namespaced(self.alice.clone(), "demo");
        let began = Instant::now();
        let turn = ask_with(&self.alice, "demo", by("real", prompt)).await?;
        let turn = read(&turns, &turn).await?;
        let took = began.elapsed();
        let (status, calls) = (status_of(&turn), self.meter.take());
        ensure!(!calls.is_empty(), "{prompt:?} went to no model: {status:?}");
        let model: Duration = calls.iter().map(|call| call.model).sum();
        let ratio = took.as_secs_f64() / model.as_secs_f64();
        let understood = self.is_right(&turn, replicas).await?;
        self.is_in_the_ledger(&turn, &calls).await?;
        let tokens = calls
            .iter()
            .fold((0, 0), |all, call| (all.0 + call.tokens.0, all.1 + call.tokens.1));
        println!(
            "{prompt:?}: {:?}; {} calls, {} tokens read and {} written in {} ms by the model ({} ms by Ollama), {} ms for the turn: {ratio:.3}",
            status.phase,
            calls.len(),
            tokens.0,
            tokens.1,
            model.as_millis(),
            calls.iter().map(|call| call.ollama).sum::<Duration>().as_millis(),
            took.as_millis(),
        );
        Ok((ratio, understood))
    }

    /// It is what was asked for, or it is a question: never another change.
    async fn is_right(&self, turn: &ChatRequest, replicas: Option<&str>) -> Result<bool> {
        let status = status_of(turn);
        let plans: Api<CommandPlan> = Api::namespaced(self.alice.clone(), "demo");
        if let Some(plan) = &status.plan_ref {
            let plan = plans.get(&plan.name).await?;
            let wanted =
                replicas.with_context(|| format!("a change of a question: {:?}", plan.spec.steps))?;
            let [step] = plan.spec.steps.as_slice() else {
                anyhow::bail!("more than was asked for: {:?}", plan.spec.steps)
            };
            ensure!(
                step.command.contains(&format!("--replicas={wanted}")) && step.command.contains(DEPLOYMENT),
                "another change: {}",
                step.command
            );
        } else {
            ensure!(
                matches!(
                    status.phase,
                    Some(RequestPhase::NeedsInput | RequestPhase::Succeeded)
                ),
                "{status:?}"
            );
        }
        let said = status.interpretation;
        let by_model = said
            .as_ref()
            .is_some_and(|said| said.provider == "real" && !said.intents.is_empty());
        ensure!(
            by_model || status.phase == Some(RequestPhase::NeedsInput),
            "neither an intent of the model nor a question: {said:?}"
        );
        Ok(by_model)
    }

    /// What was sent stands in the status and in the log, with its size, its hash and its tokens.
    async fn is_in_the_ledger(&self, turn: &ChatRequest, calls: &[Measured]) -> Result<()> {
        let status = status_of(turn);
        ensure!(status.outbound.len() == calls.len(), "{:?}", status.outbound);
        let entries = entries_of(self.product, turn).await?;
        let outbound: Vec<&Value> = entries.iter().filter(|e| e["eventType"] == "outbound").collect();
        ensure!(outbound.len() == 2 * calls.len(), "{outbound:#?}");
        for (call, told) in calls.iter().zip(&status.outbound) {
            let digest = hex::encode(sha2::Sha256::digest(call.body.as_bytes()));
            ensure!(
                matches!(told.state, OutboundState::Done | OutboundState::Failed)
                    && told.digest == format!("sha256:{digest}"),
                "{told:?}"
            );
            let named = |entry: &&&Value| {
                entry["message"]
                    .as_str()
                    .is_some_and(|text| text.contains(&digest))
            };
            ensure!(outbound.iter().filter(named).count() >= 2, "{outbound:#?}");
            ensure!(!call.body.contains(DEPLOYMENT), "a name left: {}", call.body);
        }
        // An answer that was cut off counts for nobody.
        let whole = calls.iter().zip(&status.outbound);
        let whole = whole.filter(|(_, told)| told.state == OutboundState::Done);
        let (read, written) = whole.fold((0, 0), |all, (call, _)| {
            (all.0 + call.tokens.0, all.1 + call.tokens.1)
        });
        let used = status.usage.unwrap_or_default();
        ensure!(
            (u64::try_from(used.tokens_in)?, u64::try_from(used.tokens_out)?) == (read, written),
            "{used:?}: {calls:?}"
        );
        Ok(())
    }
}

/// The turn when it has a plan or an end, seen at once.
async fn read(turns: &Api<ChatRequest>, turn: &ChatRequest) -> Result<ChatRequest> {
    let params = WatchParams::default().fields(&format!("metadata.name={}", turn.name_any()));
    let version = turn.resource_version().unwrap_or_default();
    let mut events = std::pin::pin!(turns.watch(&params, &version).await?);
    let rests = async {
        while let Some(event) = events.next().await {
            if let WatchEvent::Modified(turn) = event? {
                let status = status_of(&turn);
                if status.plan_ref.is_some() || is_finished(&status.conditions) {
                    return Ok(turn);
                }
            }
        }
        anyhow::bail!("the watch of {} ended", turn.name_any())
    };
    tokio::time::timeout(READ, rests)
        .await
        .with_context(|| format!("{} has neither a plan nor an end", turn.name_any()))?
}
