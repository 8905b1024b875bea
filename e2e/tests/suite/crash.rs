//! The operator killed between intent and result: one effect or `Unknown`, never two.
//!
//! The window is made with [`SlowHook`]: the write hangs in the API server's admission. To let it land without the
//! operator hearing of it, the operator is stopped first, so that the answer waits for nobody.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::chat_request::Scope;
use kubechat_crds::{ChatRequest, ChatRequestSpec, CommandPlan, PlanPhase, StepState};
use kubechat_e2e::cluster::{Cluster, Component, Options};
use kubechat_e2e::demo::DEPLOYMENT;
use kubechat_e2e::product::{self, Part, Product};
use kubechat_e2e::wait::eventually;
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::slow_hook::{Mood, SlowHook, rules};
use super::turn::{
    LATER, SOON, approve, ask, ask_with, audit_entries, conditions, ended, ended_as, leads, phase, plan_for,
    says, step_entries, steps, verdict, waiting_plan,
};
use crate::runner::{Test, own, with_product};

const DEMO: &str = "demo";
/// Rounds of the loop that kills the operator twice in each.
const ROUNDS: usize = 3;
/// Turns of a round.
const MANY: usize = 5;

pub(crate) fn tests() -> Vec<Test> {
    own![
        a_write_that_landed_before_the_operator_was_killed_is_recognised_and_not_sent_again,
        a_write_that_never_landed_is_unknown_after_a_kill_and_not_sent_again,
        a_write_without_an_answer_is_unknown_and_not_sent_again,
        an_api_server_that_dies_with_a_write_leaves_it_unknown_and_it_is_not_sent_again,
        no_object_is_changed_twice_however_often_the_operator_is_killed,
        a_step_that_the_audit_log_has_lost_is_unknown_and_not_sent_again,
        a_plan_that_is_removed_under_way_of_an_operator_that_is_killed_then_is_told_of_once_by_the_next_one,
    ]
}

/// An operator whose lease runs out soon, so that a new one leads soon.
pub(crate) fn short_lease() -> product::Options {
    product::Options {
        operator_args: ["--lease-seconds", "5"].map(str::to_owned).into(),
        ..product::Options::default()
    }
}

pub(crate) async fn config_map(admin: &Client, name: &str) -> Result<()> {
    let made: ConfigMap = serde_json::from_value(json!({"metadata": {"name": name}, "data": {"a": "b"}}))?;
    let api: Api<ConfigMap> = Api::namespaced(admin.clone(), DEMO);
    api.create(&PostParams::default(), &made).await?;
    Ok(())
}

/// People, and a plan of each kind of write, not approved yet.
struct Stage {
    admin: Client,
    alice: Client,
    bob: Client,
    erin: Client,
    label: CommandPlan,
    scale: CommandPlan,
    delete: CommandPlan,
    create: CommandPlan,
}

impl Stage {
    async fn set(cluster: &Cluster) -> Result<Self> {
        let admin = cluster.client("admin").await?;
        for name in ["settings", "doomed"] {
            config_map(&admin, name).await?;
        }
        let (alice, erin) = (cluster.client("alice").await?, cluster.client("erin").await?);
        let namespace = ChatRequestSpec {
            prompt: "create namespace team-blue".to_owned(),
            scope: Some(Scope {
                cluster_scoped: true,
                ..Scope::default()
            }),
            ..ChatRequestSpec::default()
        };
        // Admission may not have heard of the policy yet that was made a moment ago.
        let asked = || ask_with(&erin, "ops", namespace.clone());
        let namespace = eventually(SOON, "a turn of ops may be about the cluster", asked).await?;
        Ok(Self {
            label: plan_for(&alice, DEMO, "label configmap settings tier=web").await?,
            scale: plan_for(&alice, DEMO, "scale nginx to 4 replicas").await?,
            delete: plan_for(&alice, DEMO, "delete configmap doomed").await?,
            create: waiting_plan(&erin, &namespace).await?,
            bob: cluster.client("bob").await?,
            admin,
            alice,
            erin,
        })
    }

    /// The plans and the names of the objects they write.
    fn all(&self) -> [(&CommandPlan, &'static str); 4] {
        [
            (&self.label, "settings"),
            (&self.scale, DEPLOYMENT),
            (&self.delete, "doomed"),
            (&self.create, "team-blue"),
        ]
    }

    async fn approve_all(&self) -> Result<()> {
        approve(&self.alice, &self.label).await?;
        approve(&self.alice, &self.scale).await?;
        approve(&self.bob, &self.delete).await?;
        approve(&self.erin, &self.create).await
    }

    /// Which of the four changes stand in the cluster.
    async fn landed(&self) -> Result<[bool; 4]> {
        let maps: Api<ConfigMap> = Api::namespaced(self.admin.clone(), DEMO);
        let deployments: Api<Deployment> = Api::namespaced(self.admin.clone(), DEMO);
        let namespaces: Api<Namespace> = Api::all(self.admin.clone());
        let nginx = deployments.get(DEPLOYMENT).await?;
        Ok([
            maps.get("settings").await?.labels().contains_key("tier"),
            nginx.spec.and_then(|spec| spec.replicas) == Some(4),
            maps.get_opt("doomed").await?.is_none(),
            namespaces.get_opt("team-blue").await?.is_some(),
        ])
    }
}

async fn a_write_that_landed_before_the_operator_was_killed_is_recognised_and_not_sent_again() -> Result<()> {
    with_product(Options::default(), short_lease(), async |cluster, product| {
        let stage = Stage::set(cluster).await?;
        let hook = SlowHook::start(&stage.admin, Mood::Hold, rules()).await?;
        stage.approve_all().await?;
        hook.wait_for(4).await?;
        product.kill(Part::Operator, Signal::SIGSTOP)?;
        hook.set(Mood::Allow(0));
        eventually(SOON, "the held writes land", || async {
            let landed = stage.landed().await?;
            ensure!(landed == [true; 4], "{landed:?}");
            Ok(())
        })
        .await?;
        product.kill(Part::Operator, Signal::SIGKILL)?;
        for (plan, name) in stage.all() {
            let plan = ended_as(&stage.admin, plan, PlanPhase::Succeeded).await?;
            ensure!(steps(&plan) == [StepState::Done], "{name}: {:?}", plan.status);
            ensure!(hook.writes_to(name) == 1, "{:?}", hook.writes());
        }
        only_once(product, &stage, "success").await
    })
    .await
}

async fn a_write_that_never_landed_is_unknown_after_a_kill_and_not_sent_again() -> Result<()> {
    with_product(Options::default(), short_lease(), async |cluster, product| {
        let stage = Stage::set(cluster).await?;
        let hook = SlowHook::start(&stage.admin, Mood::Hold, rules()).await?;
        stage.approve_all().await?;
        hook.wait_for(4).await?;
        product.kill(Part::Operator, Signal::SIGKILL)?;
        unknown(&stage, &hook).await?;
        only_once(product, &stage, "unknown").await
    })
    .await
}

async fn a_write_without_an_answer_is_unknown_and_not_sent_again() -> Result<()> {
    with_product(Options::default(), short_lease(), async |cluster, product| {
        let stage = Stage::set(cluster).await?;
        let hook = SlowHook::start(&stage.admin, Mood::Hold, rules()).await?;
        stage.approve_all().await?;
        hook.wait_for(4).await?;
        hook.set(Mood::Cut);
        unknown(&stage, &hook).await?;
        only_once(product, &stage, "unknown").await
    })
    .await
}

/// Every plan is Interrupted with its step Unknown, says what to do, and nothing is written any more.
async fn unknown(stage: &Stage, hook: &SlowHook) -> Result<()> {
    for (plan, _) in stage.all() {
        let plan = ended_as(&stage.admin, plan, PlanPhase::Interrupted).await?;
        ensure!(steps(&plan) == [StepState::Unknown], "{:?}", plan.status);
        let verdict = verdict(&plan)?;
        ensure!(verdict.reason == "OutcomeUnknown", "{verdict:?}");
        says(
            &verdict.message,
            &[
                "not sent again",
                &format!("kubechat rollback {}", plan.name_any()),
            ],
        )?;
    }
    // Whoever would send again could do it now.
    hook.set(Mood::Allow(0));
    ensure!(stage.landed().await? == [false; 4], "something landed");
    for (_, name) in stage.all() {
        ensure!(hook.writes_to(name) == 1, "{:?}", hook.writes());
    }
    Ok(())
}

/// In the audit log each step has one intent and one result, this one.
async fn only_once(product: &Product, stage: &Stage, result: &str) -> Result<()> {
    let entries = audit_entries(product).await?;
    for (plan, name) in stage.all() {
        let found = step_entries(&entries, plan);
        let outcomes: Vec<&str> = found.iter().map(|(outcome, _)| outcome.as_str()).collect();
        ensure!(outcomes == ["intent", result], "{name}: {found:?}");
        ensure!(
            found.first().map(|f| &f.1) == found.last().map(|f| &f.1),
            "{name}: {found:?}"
        );
    }
    Ok(())
}

async fn no_object_is_changed_twice_however_often_the_operator_is_killed() -> Result<()> {
    let seed: u64 = rand::random();
    println!("the kills of this run come from seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    with_product(Options::default(), short_lease(), async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        let hook = SlowHook::start(&admin, Mood::Allow(0), rules()).await?;
        let mut plans = Vec::new();
        for round in 0..ROUNDS {
            let mut turns = Vec::new();
            for at in 0..MANY {
                config_map(&admin, &name(round, at)).await?;
                turns.push(
                    ask(
                        &alice,
                        DEMO,
                        &format!("label configmap {} tier=web", name(round, at)),
                    )
                    .await?,
                );
            }
            // Once while the plans are made, once while they are executed.
            kill_after(product, random.random_range(0..250)).await?;
            hook.set(Mood::Allow(random.random_range(0..300)));
            for turn in &turns {
                let plan = waiting_plan(&alice, turn).await?;
                approve(&alice, &plan).await?;
                plans.push(plan);
            }
            kill_after(product, random.random_range(0..500)).await?;
        }
        let mut unknown = 0;
        for (at, plan) in plans.iter().enumerate() {
            let plan = ended(&admin, plan).await?;
            match (phase(&plan), steps(&plan).as_slice()) {
                (Some(PlanPhase::Succeeded), [StepState::Done]) => {}
                (Some(PlanPhase::Interrupted), [StepState::Unknown]) => unknown += 1,
                other => bail!("seed {seed}: {other:?}: {:?}", conditions(&plan)),
            }
            let writes = hook.writes_to(&name(at / MANY, at % MANY));
            ensure!(writes <= 1, "seed {seed}: plan {at} wrote {writes} times");
        }
        println!("{unknown} of {} plans ended as Interrupted", plans.len());
        let made = Api::<CommandPlan>::namespaced(admin, DEMO)
            .list(&ListParams::default())
            .await?;
        ensure!(
            made.items.len() == plans.len(),
            "seed {seed}: {} plans were made",
            made.items.len()
        );
        let entries = audit_entries(product).await?;
        for plan in &plans {
            let found = step_entries(&entries, plan);
            let intents = found.iter().filter(|(outcome, _)| outcome == "intent").count();
            ensure!(found.len() == 2 && intents == 1, "seed {seed}: {found:?}");
        }
        Ok(())
    })
    .await
}

fn name(round: usize, at: usize) -> String {
    format!("settings-{round}-{at}")
}

/// Kills the operator after so many milliseconds, and waits for the next one to lead.
async fn kill_after(product: &Product, milliseconds: u64) -> Result<()> {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    product.kill(Part::Operator, Signal::SIGKILL)?;
    leads(product, Part::Operator).await
}

/// The API server is the one that dies: whether it stored the write, only the object can tell.
async fn an_api_server_that_dies_with_a_write_leaves_it_unknown_and_it_is_not_sent_again() -> Result<()> {
    with_product(Options::default(), short_lease(), async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        config_map(&admin, "settings").await?;
        let plan = plan_for(&alice, DEMO, "label configmap settings tier=web").await?;
        let hook = SlowHook::start(&admin, Mood::Hold, rules()).await?;
        approve(&alice, &plan).await?;
        hook.wait_for(1).await?;
        cluster.stop_process(Component::KubeApiserver).await?;
        cluster.start_process(Component::KubeApiserver).await?;
        hook.set(Mood::Allow(0));
        let admin = cluster.client("admin").await?;
        let plan = ended_as(&admin, &plan, PlanPhase::Interrupted).await?;
        ensure!(steps(&plan) == [StepState::Unknown], "{:?}", plan.status);
        ensure!(hook.writes_to("settings") == 1, "{:?}", hook.writes());
        let map = Api::<ConfigMap>::namespaced(admin, DEMO).get("settings").await?;
        ensure!(!map.labels().contains_key("tier"), "it was sent again");
        let found = step_entries(&audit_entries(product).await?, &plan);
        ensure!(found.len() == 2, "{found:?}");
        Ok(())
    })
    .await
}

/// The database is put back as it was before the execution began, while the plan says that its step was sent.
async fn a_step_that_the_audit_log_has_lost_is_unknown_and_not_sent_again() -> Result<()> {
    with_product(Options::default(), short_lease(), async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        config_map(&admin, "settings").await?;
        let plan = plan_for(&alice, DEMO, "label configmap settings tier=web").await?;
        let hook = SlowHook::start(&admin, Mood::Hold, rules()).await?;
        product.stop(Part::Operator).await?;
        let (log, copy) = (product.audit_db(), cluster.folder().join("audit.copy"));
        copy_log(log, &copy)?;
        product.resume(Part::Operator).await?;
        approve(&alice, &plan).await?;
        hook.wait_for(1).await?;
        product.stop(Part::Operator).await?;
        copy_log(&copy, log)?;
        product.resume(Part::Operator).await?;
        let plan = ended_as(&admin, &plan, PlanPhase::Interrupted).await?;
        ensure!(steps(&plan) == [StepState::Unknown], "{:?}", plan.status);
        says(&verdict(&plan)?.message, &["audit log", "not sent again"])?;
        ensure!(hook.writes_to("settings") == 1, "{:?}", hook.writes());
        Ok(())
    })
    .await
}

/// The turn goes while a step of its plan is sent, and with it the only operator that saw it.
async fn a_plan_that_is_removed_under_way_of_an_operator_that_is_killed_then_is_told_of_once_by_the_next_one()
-> Result<()> {
    with_product(Options::default(), short_lease(), async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        config_map(&admin, "settings").await?;
        let (turns, plans): (Api<ChatRequest>, Api<CommandPlan>) = (
            Api::namespaced(alice.clone(), DEMO),
            Api::namespaced(admin.clone(), DEMO),
        );
        let remove = async |plan: &CommandPlan| {
            let turn = &plan.spec.chat_request_ref.name;
            turns.delete(turn, &DeleteParams::background()).await?;
            eventually(LATER, "the plan goes with its turn", || async {
                ensure!(plans.get_opt(&plan.name_any()).await?.is_none(), "it is there");
                Ok(())
            })
            .await
        };
        // From then on the garbage collector knows our kinds, and a plan goes at once.
        remove(&plan_for(&alice, DEMO, "label configmap settings tier=old").await?).await?;
        let plan = plan_for(&alice, DEMO, "label configmap settings tier=web").await?;
        let hook = SlowHook::start(&admin, Mood::Hold, rules()).await?;
        approve(&alice, &plan).await?;
        hook.wait_for(1).await?;
        remove(&plan).await?;
        let told = async || {
            let uid = plan.uid().unwrap_or_default();
            let mut entries = audit_entries(product).await?;
            entries.retain(|e| {
                e["ids"]["planUid"] == uid.as_str()
                    && e["ids"]["stepId"].is_null()
                    && e["reason"] == "PlanGone"
            });
            anyhow::Ok(entries)
        };
        product.kill(Part::Operator, Signal::SIGKILL)?;
        let (early, found) = (told().await?, step_entries(&audit_entries(product).await?, &plan));
        ensure!(
            early.is_empty() && found.len() == 1,
            "its step was not being sent: {early:?} {found:?}"
        );
        hook.set(Mood::Allow(0));
        leads(product, Part::Operator).await?;
        let gone = eventually(SOON, "the next operator says that the plan is gone", || async {
            told().await?.pop().context("it does not")
        })
        .await?;
        let message = gone["message"].as_str().unwrap_or_default();
        says(message, &["the plan was removed", "not known to be done: s1"])?;
        // Nor does another one that begins say it again.
        product.kill(Part::Operator, Signal::SIGKILL)?;
        leads(product, Part::Operator).await?;
        let next = plan_for(&alice, DEMO, "label configmap settings tier=web").await?;
        approve(&alice, &next).await?;
        ended_as(&admin, &next, PlanPhase::Succeeded).await?;
        let all = told().await?;
        ensure!(all.len() == 1, "{all:?}");
        let found = step_entries(&audit_entries(product).await?, &plan);
        ensure!(found.len() == 1 && hook.writes_to("settings") <= 2, "{found:?}");
        Ok(())
    })
    .await
}

/// Copies a log that nobody has open: the database and what has not been moved into it yet.
fn copy_log(from: &Path, to: &Path) -> Result<()> {
    for part in ["", "-wal", "-shm"] {
        let (from, to) = (with(from, part), with(to, part));
        if to.exists() {
            std::fs::remove_file(&to)?;
        }
        if from.exists() {
            std::fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
