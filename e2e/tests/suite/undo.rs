//! Undoing: of a plan that failed midway, and by bytes that are kept beside the cluster.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::command_plan::RollbackKind;
use kubechat_crds::{ChatRequest, CommandPlan, PlanPhase, StepState};
use kubechat_e2e::accounts::DEMO;
use kubechat_e2e::cluster::Options;
use kubechat_e2e::product::{Part, Product};
use kubechat_e2e::wait::eventually;
use nix::sys::signal::Signal;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use super::cli::Caller;
use super::crash::short_lease;
use super::tools::{at, freeze, nginx, undo_of, undo_plan};
use super::turn::{
    LATER, SOON, approve, approve_as_asked, ask_with, ended_as, ended_turn, leads, plan_for, read, says,
    steps, verdict,
};
use crate::runner::{Ctx, Test, own, shared, with_product};

pub(crate) fn tests() -> Vec<Test> {
    [
        shared![
            what_a_plan_did_before_it_failed_is_undone_in_reverse_and_nothing_else,
            what_a_plan_made_is_undone_though_kubechat_changed_it_since_and_another_one_is_left_alone,
        ],
        own![what_undoes_a_plan_outlives_the_operator_and_goes_with_the_turn_whoever_deletes_it],
    ]
    .concat()
}

async fn config_map(person: &Client, namespace: &str, name: &str, size: usize) -> Result<ConfigMap> {
    let made =
        serde_json::from_value(json!({"metadata": {"name": name}, "data": {"text": "x".repeat(size)}}))?;
    let api: Api<ConfigMap> = Api::namespaced(person.clone(), namespace);
    Ok(api.create(&PostParams::default(), &made).await?)
}

async fn what_a_plan_did_before_it_failed_is_undone_in_reverse_and_nothing_else(ctx: Arc<Ctx>) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("midway").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    for name in ["alpha", "frozen"] {
        config_map(&alice, &namespace, name, 1).await?;
    }
    let prompt =
        "scale nginx to 3, label configmap alpha tier=web, label configmap frozen tier=web and restart nginx";
    let plan = plan_for(&alice, &namespace, prompt).await?;
    let actions: Vec<&str> = plan.spec.steps.iter().map(|step| step.action.as_str()).collect();
    ensure!(actions == ["scale", "label", "label", "restart"], "{actions:?}");

    // What cannot be undone is said before anybody approves.
    let restart = &plan.spec.steps[3].rollback;
    ensure!(
        restart.kind == RollbackKind::None && !restart.why.is_empty(),
        "{restart:?}"
    );
    let caller = Caller::new(&ctx, "bob", &namespace);
    let name = plan.name_any();
    let (shown, _) = caller.ends(&["explain", &name], 0).await?;
    says(&shown, &["undo: nothing", &restart.why, "scale back to 2"])?;

    freeze(&ctx.client("admin").await?, &namespace, "frozen").await?;
    approve_as_asked(&[&bob, &ctx.client("carol").await?], &plan).await?;
    let plan = ended_as(&alice, &plan, PlanPhase::Failed).await?;
    ensure!(
        steps(&plan)
            == [
                StepState::Done,
                StepState::Done,
                StepState::Failed,
                StepState::Skipped
            ],
        "{:?}",
        plan.status
    );
    says(
        &verdict(&plan)?.message,
        &[
            "step s3 is Failed",
            "only in earnest is it refused",
            "Done: s1, s2",
            "1 later step(s) were not sent",
            &format!("kubechat rollback {name}"),
        ],
    )?;
    let maps: Api<ConfigMap> = Api::namespaced(alice.clone(), &namespace);
    let labelled = async |name: &str| anyhow::Ok(maps.get(name).await?.labels().contains_key("tier"));
    let now = nginx(&alice, &namespace).await?;
    ensure!(at(&now, "/spec/replicas") == 3 && labelled("alpha").await? && !labelled("frozen").await?);

    let caller = Caller::new(&ctx, "alice", &namespace);
    let (shown, _) = caller.ends(&["rollback", &name, "--yes"], 0).await?;
    says(&shown, &["Done: 2 of 2 steps"])?;
    let plans: Api<CommandPlan> = Api::namespaced(alice.clone(), &namespace);
    let all = plans.list(&kube::api::ListParams::default()).await?.items;
    let undone = all
        .iter()
        .find(|one| one.spec.rollback_of.as_ref().is_some_and(|of| of.name == name))
        .context("no plan undoes it")?;
    let reverse: Vec<(&str, &str)> = undone
        .spec
        .steps
        .iter()
        .map(|step| (step.action.as_str(), step.targets[0].name.as_str()))
        .collect();
    ensure!(reverse == [("label", "alpha"), ("scale", "nginx")], "{reverse:?}");
    let now = nginx(&alice, &namespace).await?;
    ensure!(at(&now, "/spec/replicas") == 2 && !labelled("alpha").await? && !labelled("frozen").await?);
    let restarted = at(
        &now,
        "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt",
    );
    ensure!(restarted.is_null(), "it was restarted");
    Ok(())
}

async fn what_a_plan_made_is_undone_though_kubechat_changed_it_since_and_another_one_is_left_alone(
    ctx: Arc<Ctx>,
) -> Result<()> {
    ctx.product().await?;
    let namespace = ctx.namespace("made").await?;
    let (alice, bob) = (ctx.client("alice").await?, ctx.client("bob").await?);
    let carol = ctx.client("carol").await?;
    let maps: Api<ConfigMap> = Api::namespaced(alice.clone(), &namespace);
    let done = async |prompt: &str| {
        let plan = plan_for(&alice, &namespace, prompt).await?;
        approve_as_asked(&[&alice, &bob, &carol], &plan).await?;
        ended_as(&alice, &plan, PlanPhase::Succeeded).await
    };
    let made = done("create configmap settings with mode=fast").await?;
    let uid = maps.get("settings").await?.uid();
    let status = made.status.as_ref().context("no status")?;
    ensure!(
        uid.is_some() && status.steps[0].made == uid,
        "{status:?} and not {uid:?}"
    );
    done("label configmap settings tier=web").await?;
    ensure!(maps.get("settings").await?.labels().contains_key("tier"));

    let undo = undo_plan(&alice, &made).await?;
    ensure!(undo.spec.steps.len() == 1, "{:?}", undo.spec.steps);
    ensure!(undo.spec.steps[0].action.as_str() == "delete" && undo.spec.steps[0].targets[0].uid == uid);
    approve_as_asked(&[&bob, &carol], &undo).await?;
    ended_as(&alice, &undo, PlanPhase::Succeeded).await?;
    ensure!(maps.get_opt("settings").await?.is_none(), "it is still there");

    // One that somebody made again under the name is not the plan's.
    config_map(&alice, &namespace, "settings", 1).await?;
    let again = ended_turn(&alice, &ask_with(&alice, &namespace, undo_of(&made)).await?).await?;
    says(&format!("{:?}", again.status), &["another object by now"])?;
    ensure!(maps.get_opt("settings").await?.is_some(), "it was removed");
    Ok(())
}

/// UIDs of turns for which the audit database keeps bytes.
fn kept(product: &Product) -> Result<Vec<String>> {
    let db = Connection::open_with_flags(product.audit_db(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut all = db.prepare("SELECT DISTINCT plan_uid FROM rollback_data")?;
    let all = all.query_map([], |row| row.get(0))?;
    Ok(all.collect::<Result<_, _>>()?)
}

async fn is_kept(product: &Product, turns: &[&CommandPlan]) -> Result<()> {
    let mut wanted: Vec<String> = turns
        .iter()
        .map(|p| p.spec.chat_request_ref.uid.clone())
        .collect();
    wanted.sort();
    eventually(
        LATER,
        "the bytes of these turns are kept, and no others",
        || async {
            let mut found = kept(product)?;
            found.sort();
            ensure!(
                found == wanted,
                "they are kept of {found:?} instead of {wanted:?}"
            );
            Ok(())
        },
    )
    .await
}

async fn what_undoes_a_plan_outlives_the_operator_and_goes_with_the_turn_whoever_deletes_it() -> Result<()> {
    with_product(Options::default(), short_lease(), async |cluster, product| {
        let (alice, bob) = (cluster.client("alice").await?, cluster.client("bob").await?);
        let carol = cluster.client("carol").await?;
        let mut plans = vec![];
        // Too long to stand in a plan.
        for name in ["alpha", "beta", "gamma"] {
            config_map(&alice, DEMO, name, 40_000).await?;
            let plan = plan_for(&alice, DEMO, &format!("delete configmap {name}")).await?;
            approve_as_asked(&[&bob, &carol], &plan).await?;
            plans.push(ended_as(&alice, &plan, PlanPhase::Succeeded).await?);
        }
        let [one, two, three] =
            <[CommandPlan; 3]>::try_from(plans).map_err(|all| anyhow::anyhow!("{all:?}"))?;
        is_kept(product, &[&one, &two, &three]).await?;

        let turns: Api<ChatRequest> = Api::namespaced(alice.clone(), DEMO);
        let delete = async |plan: &CommandPlan| {
            let name = &plan.spec.chat_request_ref.name;
            turns.delete(name, &DeleteParams::background()).await
        };
        delete(&one).await?;
        is_kept(product, &[&two, &three]).await?;

        // While nobody looks; and the next operator begins with empty caches.
        product.stop(Part::Operator).await?;
        delete(&two).await?;
        product.resume(Part::Operator).await?;
        leads(product, Part::Operator).await?;
        is_kept(product, &[&three]).await?;
        product.kill(Part::Operator, Signal::SIGKILL)?;
        leads(product, Part::Operator).await?;

        let undo = eventually(SOON, "the third can still be undone", || {
            undo_plan(&alice, &three)
        })
        .await?;
        approve(&alice, &undo).await?;
        ended_as(&alice, &undo, PlanPhase::Succeeded).await?;
        let maps: Api<ConfigMap> = Api::namespaced(alice.clone(), DEMO);
        let again = maps.get("gamma").await?.data.context("it is empty")?;
        ensure!(again["text"].len() == 40_000, "it is not what it was");
        ensure!(read(&alice, &three).await.is_ok());
        Ok(())
    })
    .await
}
