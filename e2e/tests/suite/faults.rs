//! What does not work must stop KubeChat, say so, and let it go on by itself afterwards: webhook, audit store, changed
//! objects, shutdown.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::condition::{find, types};
use kubechat_crds::{ChatRequest, CommandPlan, DecisionKind, PlanPhase, StepState};
use kubechat_e2e::cluster::Options;
use kubechat_e2e::demo::{self, DEPLOYMENT};
use kubechat_e2e::product::{self, Part, Product};
use kubechat_e2e::wait::eventually;
use nix::sys::signal::Signal;
use serde_json::json;

use super::crash::{config_map, short_lease};
use super::slow_hook::{Mood, SlowHook, rules};
use super::turn::{
    LATER, SOON, approve, ask, audit_entries, decide, ended_as, ended_turn, held_up, leads, metric, plan_for,
    refused, says, step_entries, steps, verdict,
};
use crate::runner::{Ctx, Test, own, shared, with_product};

const DEMO: &str = "demo";

pub(crate) fn tests() -> Vec<Test> {
    let own = own![
        nothing_executes_while_the_webhook_is_down_and_it_goes_on_afterwards,
        nothing_executes_while_the_audit_log_is_read_only_and_it_goes_on_afterwards,
        a_write_whose_result_could_not_be_recorded_is_recognised_when_the_log_is_back,
        an_operator_whose_audit_log_cannot_be_written_refuses_to_start,
        a_stopping_operator_records_the_write_under_way_and_ends,
        a_stopping_operator_gives_up_a_write_that_hangs_and_says_so,
    ];
    let shared = shared![
        a_plan_is_stale_when_its_object_is_not_what_was_approved,
        a_plan_is_not_stale_when_only_the_status_of_its_object_changed,
    ];
    [own, shared].concat()
}

/// Short lease, and guards that are looked at every two seconds.
pub(crate) fn watchful() -> product::Options {
    let mut options = short_lease();
    options
        .operator_args
        .extend(["--check-seconds", "2"].map(str::to_owned));
    options
}

async fn nothing_executes_while_the_webhook_is_down_and_it_goes_on_afterwards() -> Result<()> {
    with_product(Options::default(), watchful(), async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        let plan = plan_for(&alice, DEMO, "scale nginx to 3 replicas").await?;
        // Approved while nobody can execute, so that the webhook is gone before anybody can.
        product.stop(Part::Operator).await?;
        approve(&alice, &plan).await?;
        product.stop(Part::Webhook).await?;
        product.resume(Part::Operator).await?;

        let held = held_up(&alice, &plan, "AdmissionUnhealthy").await?;
        says(
            &held.message,
            &["approved, but not executed yet", "Check that the webhook runs"],
        )?;
        ensure!(metric(product, Part::Operator, "kubechat_admission_healthy").await? == 0.0);
        ensure!(metric(product, Part::Operator, "kubechat_steps_sent_total").await? == 0.0);
        for refusal in [
            refused(decide(&alice, &plan, DecisionKind::Approve).await)?,
            refused(ask(&alice, DEMO, "list pods").await)?,
        ] {
            says(&refusal, &["failed calling webhook", "stamp.kubechat.io"])?;
        }
        others_are_not_asked(&admin).await?;
        ensure!(replicas(&admin, DEMO).await? == Some(2), "it was executed");

        product.resume(Part::Webhook).await?;
        ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
        ensure!(metric(product, Part::Operator, "kubechat_admission_healthy").await? == 1.0);
        demo::wait_ready(&alice, DEMO, DEPLOYMENT, 3).await?;

        // Proven again and again, also while nothing is to be executed.
        for (stops, healthy) in [(true, 0.0), (false, 1.0)] {
            if stops {
                product.stop(Part::Webhook).await?;
            } else {
                product.resume(Part::Webhook).await?;
            }
            eventually(LATER, "admission is looked at again", || async {
                let found = metric(product, Part::Operator, "kubechat_admission_healthy").await?;
                ensure!(found == healthy, "healthy {found}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
    .await
}

/// Objects of other groups are never sent to KubeChat's webhook.
async fn others_are_not_asked(admin: &Client) -> Result<()> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "free"}, "spec": {"containers": [{"name": "c", "image": "i"}]},
    }))?;
    let pods: Api<Pod> = Api::namespaced(admin.clone(), DEMO);
    pods.create(&PostParams::default(), &pod).await?;
    let labelled = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    pods.patch("free", &PatchParams::default(), &labelled).await?;
    pods.delete("free", &DeleteParams::default()).await?;
    config_map(admin, "free").await?;
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "free"}}))?;
    let namespaces: Api<Namespace> = Api::all(admin.clone());
    namespaces.create(&PostParams::default(), &namespace).await?;
    Ok(())
}

async fn replicas(client: &Client, namespace: &str) -> Result<Option<i32>> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    Ok(deployments
        .get(DEPLOYMENT)
        .await?
        .spec
        .and_then(|spec| spec.replicas))
}

async fn nothing_executes_while_the_audit_log_is_read_only_and_it_goes_on_afterwards() -> Result<()> {
    with_product(Options::default(), watchful(), async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        let db = product.audit_db().to_owned();
        let folder = db.parent().context("the log has no folder")?.to_owned();
        let ways = [
            (Closed::mode(&db, 0o444, 0o600), "read-only"),
            (Closed::mode(&folder, 0o555, 0o700), "read-only"),
            (Closed::away(&db), "No such file"),
        ];
        for (at, (closed, expected)) in ways.into_iter().enumerate() {
            let name = format!("settings-{at}");
            config_map(&admin, &name).await?;
            let plan = plan_for(&alice, DEMO, &format!("label configmap {name} tier=web")).await?;
            let sent = metric(product, Part::Operator, "kubechat_steps_sent_total").await?;
            closed.close()?;
            approve(&alice, &plan).await?;
            let held = held_up(&alice, &plan, "AuditUnavailable").await?;
            says(
                &held.message,
                &[expected, "nothing may be executed", "--audit-store"],
            )?;
            let turn = ask(&alice, DEMO, "list pods").await?;
            turns_say(&alice, &turn, &plan).await?;
            ensure!(metric(product, Part::Operator, "kubechat_audit_healthy").await? == 0.0);
            ensure!(metric(product, Part::Operator, "kubechat_steps_sent_total").await? == sent);
            drop(closed);
            ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
            ended_turn(&alice, &turn).await?;
            ensure!(metric(product, Part::Operator, "kubechat_audit_healthy").await? == 1.0);
            let found = step_entries(&audit_entries(product).await?, &plan);
            ensure!(found.len() == 2, "{found:?}");
        }
        Ok(())
    })
    .await
}

/// The log goes away between the write and its result.
async fn a_write_whose_result_could_not_be_recorded_is_recognised_when_the_log_is_back() -> Result<()> {
    with_product(Options::default(), watchful(), async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        config_map(&admin, "settings").await?;
        let plan = plan_for(&alice, DEMO, "label configmap settings tier=web").await?;
        let hook = SlowHook::start(&admin, Mood::Hold, rules()).await?;
        approve(&alice, &plan).await?;
        hook.wait_for(1).await?;
        let closed = Closed::mode(product.audit_db(), 0o444, 0o600);
        closed.close()?;
        hook.set(Mood::Allow(0));
        let held = held_up(&alice, &plan, "AuditUnavailable").await?;
        says(&held.message, &["under way, but it cannot go on", "read-only"])?;
        drop(closed);
        let plan = ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
        ensure!(steps(&plan) == [StepState::Done], "{:?}", plan.status);
        ensure!(hook.writes_to("settings") == 1, "{:?}", hook.writes());
        let found = step_entries(&audit_entries(product).await?, &plan);
        ensure!(found.len() == 2, "{found:?}");
        Ok(())
    })
    .await
}

/// A read turn is not answered, and the plan's turn says why it stands still.
async fn turns_say(person: &Client, read: &ChatRequest, plan: &CommandPlan) -> Result<()> {
    let turns: Api<ChatRequest> = Api::namespaced(person.clone(), DEMO);
    for name in [&read.name_any(), &plan.spec.chat_request_ref.name] {
        eventually(LATER, "the turn says that the audit log is not there", || async {
            let status = turns.get(name).await?.status.unwrap_or_default();
            let found = find(&status.conditions, types::RECONCILING).context("it says nothing")?;
            ensure!(found.reason == "AuditUnavailable", "it says {found:?}");
            ensure!(status.answer.is_none(), "it was answered");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// A way to take the log away; dropping it puts everything back, also when the test fails.
enum Closed {
    Mode { path: PathBuf, closed: u32, open: u32 },
    Away { path: PathBuf, away: PathBuf },
}

impl Closed {
    fn mode(path: &Path, closed: u32, open: u32) -> Self {
        Self::Mode {
            path: path.to_owned(),
            closed,
            open,
        }
    }

    fn away(path: &Path) -> Self {
        Self::Away {
            path: path.to_owned(),
            away: path.with_extension("away"),
        }
    }

    fn close(&self) -> Result<()> {
        match self {
            Self::Mode { path, closed, .. } => set_mode(path, *closed),
            Self::Away { path, away } => Ok(std::fs::rename(path, away)?),
        }
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        let _was_never_closed = match self {
            Self::Mode { path, open, .. } => set_mode(path, *open),
            Self::Away { path, away } => std::fs::rename(away, path).map_err(Into::into),
        };
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let set = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    set.with_context(|| format!("the mode of {}", path.display()))
}

async fn an_operator_whose_audit_log_cannot_be_written_refuses_to_start() -> Result<()> {
    let options = product::Options {
        restart: false,
        ..watchful()
    };
    with_product(Options::default(), options, async |cluster, product| {
        let alice = cluster.client("alice").await?;
        let plan = plan_for(&alice, DEMO, "scale nginx to 3 replicas").await?;
        product.stop(Part::Operator).await?;
        approve(&alice, &plan).await?;
        let closed = Closed::mode(product.audit_db(), 0o444, 0o600);
        closed.close()?;
        refuses_to_start(
            product,
            &[
                "the audit log cannot be opened; nothing will be executed",
                "read-only",
            ],
        )
        .await?;
        ensure!(replicas(&alice, DEMO).await? == Some(2), "it was executed");
        let leases: Api<Lease> = Api::namespaced(cluster.client("admin").await?, "kubechat-system");
        let lease = leases.get("kubechat-operator").await?.spec.unwrap_or_default();
        ensure!(
            lease.holder_identity.unwrap_or_default().is_empty(),
            "it kept the lease"
        );
        drop(closed);
        product.resume(Part::Operator).await?;
        ended_as(&alice, &plan, PlanPhase::Succeeded).await.map(drop)
    })
    .await
}

/// Starts the operator, which must end by itself and say this.
pub(crate) async fn refuses_to_start(product: &Product, words: &[&str]) -> Result<()> {
    let log = product.log(Part::Operator.name());
    let before = std::fs::metadata(&log).map_or(0, |about| about.len());
    // It may stand by, and so be ready, before it opens the log.
    let _may_be_ready = product.resume(Part::Operator).await;
    eventually(SOON, "the operator ends", || async {
        let pid = product.pid(Part::Operator);
        ensure!(pid.is_none(), "it runs");
        Ok(())
    })
    .await?;
    let text = std::fs::read(&log)?;
    let said = text.get(usize::try_from(before)?..).unwrap_or_default();
    says(&String::from_utf8_lossy(said), words)
}

async fn a_stopping_operator_records_the_write_under_way_and_ends() -> Result<()> {
    with_product(Options::default(), short_lease(), async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        config_map(&admin, "settings").await?;
        let plan = plan_for(&alice, DEMO, "label configmap settings tier=web").await?;
        let hook = SlowHook::start(&admin, Mood::Hold, rules()).await?;
        approve(&alice, &plan).await?;
        hook.wait_for(1).await?;
        let pid = product.pid(Part::Operator);
        product.kill(Part::Operator, Signal::SIGTERM)?;
        hook.set(Mood::Allow(0));
        eventually(SOON, "the operator ends", || async {
            let now = product.pid(Part::Operator);
            ensure!(now != pid, "it runs");
            Ok(())
        })
        .await?;
        ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
        ensure!(hook.writes_to("settings") == 1, "{:?}", hook.writes());
        let entries = audit_entries(product).await?;
        ensure!(step_entries(&entries, &plan).len() == 2);
        // Whoever comes later can only recognise it by its mark.
        let recognised = entries
            .iter()
            .any(|e| e["message"].as_str().unwrap_or_default().contains("recognised"));
        ensure!(
            !recognised,
            "the result was not recorded by the operator that sent it"
        );
        leads(product, Part::Operator).await
    })
    .await
}

async fn a_stopping_operator_gives_up_a_write_that_hangs_and_says_so() -> Result<()> {
    with_product(Options::default(), short_lease(), async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        config_map(&admin, "settings").await?;
        let plan = plan_for(&alice, DEMO, "label configmap settings tier=web").await?;
        let hook = SlowHook::start(&admin, Mood::Hold, rules()).await?;
        approve(&alice, &plan).await?;
        hook.wait_for(1).await?;
        let pid = product.pid(Part::Operator);
        product.kill(Part::Operator, Signal::SIGTERM)?;
        eventually(SOON, "the operator ends", || async {
            let now = product.pid(Part::Operator);
            ensure!(now != pid, "it runs");
            Ok(())
        })
        .await?;
        let plan = ended_as(&alice, &plan, PlanPhase::Interrupted).await?;
        ensure!(steps(&plan) == [StepState::Unknown], "{:?}", plan.status);
        // Who was there says what happened; who came later would say that it was interrupted.
        says(
            &verdict(&plan)?.message,
            &["did not answer within", "not sent again"],
        )?;
        ensure!(hook.writes_to("settings") == 1, "{:?}", hook.writes());
        Ok(())
    })
    .await
}

/// What is done to an object between its plan and the approval.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    Changed,
    Relabelled,
    Deleted,
    Recreated,
}

async fn a_plan_is_stale_when_its_object_is_not_what_was_approved(ctx: Arc<Ctx>) -> Result<()> {
    use Meanwhile::{Changed, Deleted, Recreated, Relabelled};
    let product = ctx.product().await?;
    let namespace = ctx.namespace("stale").await?;
    let (admin, alice, bob) = (
        ctx.client("admin").await?,
        ctx.client("alice").await?,
        ctx.client("bob").await?,
    );
    let maps: Api<ConfigMap> = Api::namespaced(admin, &namespace);
    let cases = [
        ("label configmap", " tier=web", Changed, "was changed since"),
        ("label configmap", " tier=web", Relabelled, "was changed since"),
        ("label configmap", " tier=web", Deleted, "is gone"),
        (
            "label configmap",
            " tier=web",
            Recreated,
            "was deleted and created again",
        ),
        ("delete configmap", "", Changed, "was changed since"),
        ("delete configmap", "", Recreated, "was deleted and created again"),
    ];
    for (at, (verb, rest, meanwhile, expected)) in cases.into_iter().enumerate() {
        let name = format!("settings-{at}");
        let made: ConfigMap =
            serde_json::from_value(json!({"metadata": {"name": name}, "data": {"a": "b"}}))?;
        maps.create(&PostParams::default(), &made).await?;
        let plan = plan_for(&alice, &namespace, &format!("{verb} {name}{rest}")).await?;
        let patch = match meanwhile {
            Changed => json!({"data": {"a": "c"}}),
            Relabelled => json!({"metadata": {"labels": {"other": "x"}}}),
            Deleted | Recreated => json!({}),
        };
        maps.patch(&name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        if matches!(meanwhile, Deleted | Recreated) {
            maps.delete(&name, &DeleteParams::default()).await?;
        }
        if matches!(meanwhile, Recreated) {
            maps.create(&PostParams::default(), &made).await?;
        }
        let approver = if verb.starts_with("delete") { &bob } else { &alice };
        approve(approver, &plan).await?;
        let plan = ended_as(&alice, &plan, PlanPhase::Stale)
            .await
            .with_context(|| format!("{meanwhile:?}"))?;
        let verdict = verdict(&plan)?;
        ensure!(verdict.reason == "Stale", "{verdict:?}");
        says(
            &verdict.message,
            &[&name, expected, &format!("kubechat again {}", plan.name_any())],
        )?;
        ensure!(steps(&plan) == [StepState::Skipped], "{:?}", plan.status);
        let left = maps.get_opt(&name).await?;
        ensure!(
            left.is_some() != matches!(meanwhile, Deleted),
            "{meanwhile:?}: {left:?}"
        );
        ensure!(
            left.is_none_or(|map| !map.labels().contains_key("tier")),
            "{meanwhile:?}: it was labelled"
        );
        let entries = audit_entries(product).await?;
        ensure!(step_entries(&entries, &plan).is_empty(), "a step was begun");
        let told = entries.iter().any(|e| {
            e["ids"]["planUid"] == plan.uid().unwrap_or_default().as_str()
                && e["outcome"] == "denied"
                && e["reason"] == "Stale"
        });
        ensure!(told, "the audit log does not say that it was stale");
    }
    Ok(())
}

async fn a_plan_is_not_stale_when_only_the_status_of_its_object_changed(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("churn").await?;
    let (admin, alice) = (ctx.client("admin").await?, ctx.client("alice").await?);
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    let deployments: Api<Deployment> = Api::namespaced(admin, &namespace);
    let before = deployments.get(DEPLOYMENT).await?.resource_version();
    let observed = Patch::Merge(json!({"status": {"collisionCount": 1}}));
    deployments
        .patch_status(DEPLOYMENT, &PatchParams::default(), &observed)
        .await?;
    ensure!(
        deployments.get(DEPLOYMENT).await?.resource_version() != before,
        "nothing changed"
    );
    approve(&alice, &plan).await?;
    ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
    demo::wait_ready(&alice, &namespace, DEPLOYMENT, 3).await
}
