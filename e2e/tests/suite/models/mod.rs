//! Turns that a model reads, against a server that speaks Ollama's wire format and remembers every byte it was sent: what leaves,
//! what is recorded, and who is held up.

mod apart;
mod injected;
mod midway;
mod ollama;
mod server;
mod streaming;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::chat_request::OutboundState;
use kubechat_crds::{ChatRequest, ChatRequestSpec, LocalRef, RequestPhase};
use kubechat_e2e::cluster::{Cluster, Options};
use kubechat_e2e::demo::DEPLOYMENT;
use kubechat_e2e::product::{self, Part, Product};
use kubechat_e2e::wait::eventually;
use serde_json::{Value, json};

use super::tools::{ends_as, entries_of, object, raw, says_prompt, status_of, texts};
use super::turn::{LATER, ask_with, ended_turn, run, says, waiting_plan};
use crate::runner::{Test, own, with_product};
use apart::a_process_of_its_own_asks_models_and_holds_no_other_right;
use injected::what_a_model_is_made_to_say_changes_nothing;
use midway::whatever_ends_midway_nothing_leaves_unrecorded_and_nothing_is_lost;
use server::{ANSWERS, BRAGS, FAILS, Model, SILENT};
use streaming::how_far_an_answer_is_is_told_at_most_once_a_second_without_its_words;

pub(crate) fn tests() -> Vec<Test> {
    let mut all = own![
        a_model_reads_turns_and_only_what_may_leave_leaves,
        what_a_model_is_made_to_say_changes_nothing,
        a_process_of_its_own_asks_models_and_holds_no_other_right,
        whatever_ends_midway_nothing_leaves_unrecorded_and_nothing_is_lost,
    ];
    all.extend(ollama::tests());
    all
}

/// A key that only the model server may see, in a header.
const KEY: &str = "canary-key-Qz7Lw2Vx9Rt4";
/// Random letters that a prompt may hold and nobody else gets.
const CANARY: &str = "Zx8Kq2LmW9vTr4Yp6BnD1sGf7HjC3uEa5Xo0";

async fn a_model_reads_turns_and_only_what_may_leave_leaves() -> Result<()> {
    with_product(Options::default(), in_development(), async |cluster, product| {
        let (model, admin, alice) = (
            Model::default(),
            cluster.client("admin").await?,
            cluster.client("alice").await?,
        );
        let endpoint = model.serve().await?;
        keep_key(&admin, KEY).await?;
        provide(&admin, &endpoint, "small", json!({})).await?;
        provide(
            &admin,
            &endpoint,
            "careful",
            json!({"fallback": {"name": "rules"}}),
        )
        .await?;
        let world = World {
            cluster,
            product,
            model: &model,
            alice: &alice,
        };
        world.a_change_is_planned_and_recorded_before_it_leaves().await?;
        world.what_is_for_the_rules_is_sent_to_nobody().await?;
        world.what_a_model_makes_up_or_says_beside_is_not_used().await?;
        world.a_failing_provider_falls_back_to_the_rules().await?;
        provide(&admin, &endpoint, "patient", json!({"timeout": "60s"})).await?;
        how_far_an_answer_is_is_told_at_most_once_a_second_without_its_words(&model, &alice, "patient")
            .await?;
        world.nothing_of_a_canary_is_anywhere(&admin).await?;
        world.a_stuck_provider_holds_up_nobody_else().await?;
        world.a_budget_holds_over_a_restart(&admin, &endpoint).await
    })
    .await
}

/// The product with an operator that reaches models on this machine.
fn in_development() -> product::Options {
    product::Options {
        operator_args: vec!["--development".to_owned()],
        ..product::Options::default()
    }
}

fn secrets(admin: &Client) -> Api<Secret> {
    Api::namespaced(admin.clone(), "kubechat-credentials")
}

/// Makes the Secret that holds the providers' key.
async fn keep_key(admin: &Client, key: &str) -> Result<()> {
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "model", "annotations": {"kubechat.io/allowed-host": "127.0.0.1"}},
        "type": "kubechat.io/credential", "stringData": {"key": key},
    }))?;
    secrets(admin).create(&PostParams::default(), &secret).await?;
    Ok(())
}

/// Makes a provider, with these fields beside the usual ones, and waits until it is ready.
async fn provide(admin: &Client, endpoint: &str, name: &str, more: Value) -> Result<()> {
    let mut spec = json!({
        "type": "Ollama", "endpoint": endpoint, "model": "tiny:1b", "timeout": "3s",
        "secretRef": {"name": "model", "key": "key"},
    });
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    raw(admin, "AIProvider", "")
        .create(&PostParams::default(), &object("AIProvider", name, &spec)?)
        .await?;
    is_ready(admin, name).await
}

async fn is_ready(admin: &Client, name: &str) -> Result<()> {
    let providers = raw(admin, "AIProvider", "");
    eventually(LATER, "the provider passes its probe", || async {
        let found = providers.get(name).await?;
        let status = &found.data["status"];
        ensure!(
            status["conditions"][0]["status"] == "True" && status["probe"]["score"] == 100,
            "it is {status}"
        );
        Ok(())
    })
    .await
}

fn by(provider: &str, prompt: &str) -> ChatRequestSpec {
    ChatRequestSpec {
        provider_ref: Some(LocalRef::new(provider)),
        ..says_prompt(prompt)
    }
}

/// Turns that ask a provider which does not answer.
const STUCK: usize = 50;
/// The one of them that is withdrawn: it waits for its place.
const WITHDRAWN: usize = 9;

/// How long the slowest of some reads takes that the built-in rules understand.
async fn reads(person: &Client) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let began = Instant::now();
        let asked = says_prompt("list pods");
        ends_as(person, "demo", asked, RequestPhase::Succeeded, "Answered").await?;
        slowest = slowest.max(began.elapsed());
    }
    Ok(slowest)
}

struct World<'a> {
    cluster: &'a Cluster,
    product: &'a Product,
    model: &'a Model,
    alice: &'a Client,
}

impl World<'_> {
    async fn a_change_is_planned_and_recorded_before_it_leaves(&self) -> Result<()> {
        let prompt = format!("I would so love to see 4 copies of \"{DEPLOYMENT}\" in demo, ticket {CANARY}");
        let turn = ask_with(self.alice, "demo", by("small", &prompt)).await?;
        let plan = waiting_plan(self.alice, &turn).await?;
        let step = plan.spec.steps.first().context("it has no step")?;
        ensure!(
            step.command.contains("--replicas=4") && step.command.contains(DEPLOYMENT),
            "{}",
            step.command
        );
        ensure!(
            plan.spec.risk.factors.iter().any(|f| f.id.contains("untrusted")),
            "{:?}",
            plan.spec.risk.factors
        );
        let turns: Api<ChatRequest> = Api::namespaced(self.alice.clone(), "demo");
        let status = status_of(&turns.get(&turn.name_any()).await?);
        let said = status.interpretation.context("not said what was understood")?;
        ensure!(
            said.provider == "small" && said.model.as_deref() == Some("tiny:1b"),
            "{said:?}"
        );
        ensure!(
            said.tokens == Some(120) && said.redactions.values().sum::<i64>() == 1,
            "{said:?}"
        );
        let used = status.usage.clone().unwrap_or_default();
        ensure!((used.tokens_in, used.tokens_out) == (100, 20), "{used:?}");
        let [call] = status.outbound.as_slice() else {
            anyhow::bail!("{:?}", status.outbound)
        };
        ensure!(call.state == OutboundState::Done, "{call:?}");
        let entries = entries_of(self.product, &turn).await?;
        let outbound: Vec<&Value> = entries.iter().filter(|e| e["eventType"] == "outbound").collect();
        let short: Vec<_> = outbound
            .iter()
            .map(|e| (e["outcome"].as_str(), e["reason"].as_str()))
            .collect();
        ensure!(
            short
                == [
                    (Some("intent"), Some("OutboundIntended")),
                    (Some("success"), Some("OutboundDone"))
                ],
            "{entries:#?}"
        );
        ensure!(
            outbound
                .first()
                .is_some_and(|e| e["seq"].as_i64() == call.audit_seq),
            "{call:?} {outbound:#?}"
        );
        let db = self.product.audit_db().display().to_string();
        let listed = run(self.product, ["egress", "list", "--db", &db, "--user", "alice"]).await?;
        let (out, err) = texts(&listed);
        ensure!(listed.status.success(), "{out}{err}");
        let body = self
            .model
            .heard()
            .into_iter()
            .find(|b| b.contains("love"))
            .context("no body arrived")?;
        let digest = {
            use sha2::Digest as _;
            hex::encode(sha2::Sha256::digest(body.as_bytes()))
        };
        // The table cuts long cells; the whole digest stands in the log.
        says(
            &outbound
                .first()
                .map(|e| e["message"].to_string())
                .unwrap_or_default(),
            &[&digest, &body.len().to_string()],
        )?;
        says(&out, &["OutboundIntended", "OutboundDone", "aiprovider/small"])
    }

    async fn what_is_for_the_rules_is_sent_to_nobody(&self) -> Result<()> {
        let before = self.model.heard().len();
        let asked = by(
            "small",
            &format!("what happens if I delete deployment {DEPLOYMENT}"),
        );
        let (turn, _) = ends_as(self.alice, "demo", asked, RequestPhase::Succeeded, "Answered").await?;
        let status = status_of(&turn);
        let said = status.interpretation.context("not said what was understood")?;
        ensure!(said.provider == "rules" && said.only_asked, "{said:?}");
        ensure!(
            status.outbound.is_empty() && self.model.heard().len() == before,
            "something left"
        );
        Ok(())
    }

    async fn what_a_model_makes_up_or_says_beside_is_not_used(&self) -> Result<()> {
        let (_, message) = ends_as(
            self.alice,
            "demo",
            by("small", "please invent something"),
            RequestPhase::NeedsInput,
            "NeedsInput",
        )
        .await?;
        says(&message, &["target.names", "Nothing was done"])?;
        self.model.does(BRAGS);
        let (turn, message) = ends_as(
            self.alice,
            "demo",
            by("small", "kindly list what there is"),
            RequestPhase::NeedsInput,
            "NeedsInput",
        )
        .await?;
        says(
            &message,
            &[
                "not exactly one JSON object",
                "built-in rules",
                "Nothing was done",
            ],
        )?;
        ensure!(
            status_of(&turn).outbound.len() == 2,
            "one repair, and no more: {:?}",
            status_of(&turn).outbound
        );
        self.model.does(ANSWERS);
        Ok(())
    }

    async fn a_failing_provider_falls_back_to_the_rules(&self) -> Result<()> {
        self.model.does(FAILS);
        let (turn, _) = ends_as(
            self.alice,
            "demo",
            by("careful", "list pods"),
            RequestPhase::Succeeded,
            "Answered",
        )
        .await?;
        let said = status_of(&turn)
            .interpretation
            .context("not said what was understood")?;
        ensure!(said.provider == "rules", "{said:?}");
        ensure!(
            status_of(&turn)
                .outbound
                .iter()
                .all(|o| o.state == OutboundState::Failed),
            "{turn:?}"
        );
        self.model.does(ANSWERS);
        Ok(())
    }

    async fn nothing_of_a_canary_is_anywhere(&self, admin: &Client) -> Result<()> {
        for body in self.model.heard() {
            for canary in [KEY, CANARY, "demo"] {
                ensure!(!body.contains(canary), "{canary} left in a body: {body}");
            }
        }
        let logs = ["operator", "webhook"].map(|part| self.product.log(part));
        let folder = self
            .product
            .audit_db()
            .parent()
            .context("the log has no folder")?
            .to_owned();
        let audit = std::fs::read_dir(folder)?
            .map(|file| Ok(file?.path()))
            .collect::<Result<Vec<_>>>()?;
        for file in logs.iter().chain(&audit) {
            let bytes = std::fs::read(file)?;
            for canary in [KEY, CANARY] {
                let found = bytes.windows(canary.len()).any(|w| w == canary.as_bytes());
                ensure!(!found, "{canary} is in {}", file.display());
            }
        }
        let mut texts = vec![];
        for part in [Part::Operator, Part::Webhook] {
            texts.push(self.product.metrics_text(part).await?);
        }
        for (kind, namespace) in [
            ("ChatRequest", "demo"),
            ("CommandPlan", "demo"),
            ("AIProvider", ""),
        ] {
            let found = raw(admin, kind, namespace).list(&Default::default()).await?;
            texts.extend(found.items.iter().map(|o| format!("{}", o.data["status"])));
        }
        let events: Api<k8s_openapi::api::events::v1::Event> = Api::all(admin.clone());
        texts.push(serde_json::to_string(
            &events.list(&Default::default()).await?.items,
        )?);
        for text in texts {
            ensure!(
                !text.contains(KEY) && !text.contains(CANARY),
                "a canary is in {text}"
            );
        }
        Ok(())
    }

    async fn a_stuck_provider_holds_up_nobody_else(&self) -> Result<()> {
        let dave = self.cluster.client("dave").await?;
        let alone = reads(&dave).await?;
        self.model.does(SILENT);
        let mut stuck = vec![];
        for n in 0..STUCK {
            let asked = by("small", &format!("have a look at pods number {n}"));
            let turn = ask_with(self.alice, "demo", asked).await?;
            if n == WITHDRAWN {
                let turns: Api<ChatRequest> = Api::namespaced(self.alice.clone(), "demo");
                let withdrawn = Patch::Merge(json!({"spec": {"cancel": true}}));
                turns
                    .patch(&turn.name_any(), &PatchParams::default(), &withdrawn)
                    .await?;
            }
            stuck.push(turn);
        }
        let withdrawn = stuck.get(WITHDRAWN).context("nobody asked")?;
        let withdrawn = ended_turn(self.alice, withdrawn).await?;
        ensure!(
            status_of(&withdrawn).phase == Some(RequestPhase::Cancelled),
            "{:?}",
            withdrawn.status
        );
        // Waiting for a busy machine is no slowdown: what is ruled out is to wait for the provider (3 s a try).
        let beside = reads(&dave).await?;
        ensure!(
            beside < alone * 3 + Duration::from_secs(2),
            "the slowest read took {beside:?} beside a stuck provider, and {alone:?} without"
        );
        for turn in &stuck {
            let turn = ended_turn(self.alice, turn).await?;
            let phase = status_of(&turn).phase;
            ensure!(
                matches!(phase, Some(RequestPhase::NeedsInput | RequestPhase::Cancelled)),
                "{:?}",
                turn.status
            );
        }
        self.model.does(ANSWERS);
        Ok(())
    }

    async fn a_budget_holds_over_a_restart(&self, admin: &Client, endpoint: &str) -> Result<()> {
        let few = json!({"budget": {"tokensPerUserPerDay": 100}});
        provide(admin, endpoint, "dear", few).await?;
        let ask = |words: &str| by("dear", words);
        let asked = ask("would you show me the pods there are");
        ends_as(self.alice, "demo", asked, RequestPhase::Succeeded, "Answered").await?;
        self.product.stop(Part::Operator).await?;
        self.product.resume(Part::Operator).await?;
        is_ready(admin, "dear").await?;
        let before = self.model.heard().len();
        let asked = ask("would you show me the pods once more");
        let (turn, message) =
            ends_as(self.alice, "demo", asked, RequestPhase::NeedsInput, "NeedsInput").await?;
        says(
            &message,
            &[
                "120 of its tokens",
                "its budget is 100",
                "built-in rules",
                "Nothing was done",
            ],
        )?;
        ensure!(
            status_of(&turn).outbound.is_empty() && self.model.heard().len() == before,
            "it was asked"
        );
        // So has he a rate of his own, which says when to ask again.
        provide(admin, endpoint, "slow", json!({"rateLimit": 1})).await?;
        let asked = by("slow", "would you show me the pods first");
        ends_as(self.alice, "demo", asked, RequestPhase::Succeeded, "Answered").await?;
        let asked = by("slow", "would you show me the pods second");
        let (_, message) = ends_as(self.alice, "demo", asked, RequestPhase::NeedsInput, "NeedsInput").await?;
        says(&message, &["its rateLimit", "Ask again in", "Nothing was done"])?;
        // Another person has a budget of his own.
        let dave = self.cluster.client("dave").await?;
        let asked = ask("would you show me the pods too");
        ends_as(&dave, "demo", asked, RequestPhase::Succeeded, "Answered").await?;
        Ok(())
    }
}
