//! Requests that are committed to Git: who asks, what they get, how Flux sees them, and how they go.

use anyhow::{Context as _, Result, ensure};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use kubechat_crds::condition::{find, is_true, types};
use kubechat_crds::{ChatRequest, CommandPlan, PlanPhase, RequestPhase};
use kubechat_e2e::flux::pipeline::{Pipeline, Settings};
use kubechat_e2e::flux::{self, APPLIER};
use kubechat_e2e::wait::eventually;
use serde_json::json;

use super::{DEPLOYER, SHOP, gone, made, request, with_flux};
use crate::runner::{Test, own};
use crate::suite::tools::{raw, status_of};
use crate::suite::turn::{SOON, approve, ended_turn, phase, read, says, waiting_plan};

const DEMO: &str = "demo";

pub(super) fn tests() -> Vec<Test> {
    own![
        an_appliers_request_is_answered_but_changes_nothing_outside_its_own_namespace,
        a_waiting_request_is_healthy_never_drifts_and_is_another_one_when_made_again,
    ]
}

/// Flux's own account asks in other people's namespaces: it gets answers, no changes, and must say until when.
async fn an_appliers_request_is_answered_but_changes_nothing_outside_its_own_namespace() -> Result<()> {
    with_flux(async |cluster, _, flux| {
        let admin = cluster.client("admin").await?;
        let settings = Settings {
            service_account: None,
            wait: true,
        };
        let pipeline = Pipeline::create(flux, &admin, flux::NAMESPACE, "fleet", settings).await?;
        let files = pipeline.repository();

        files.write(
            "read.yaml",
            &request(DEMO, "look", "list deployments")?.to_string(),
        )?;
        files.write(
            "change.yaml",
            &request(DEMO, "scale", "scale nginx to 5 replicas")?.to_string(),
        )?;
        pipeline.push("ask").await?.healthy()?;
        let look = ended_turn(&admin, &made(&admin, DEMO, "look").await?).await?;
        ensure!(
            status_of(&look).phase == Some(RequestPhase::Succeeded),
            "{:?}",
            look.status
        );
        let by = look.spec.requester.clone().context("it carries no stamp")?;
        ensure!(by.username == APPLIER, "{by:?}");
        let table = status_of(&look).answer.and_then(|answer| answer.table);
        ensure!(
            table.is_some_and(|table| format!("{:?}", table.rows).contains("nginx")),
            "{:?}",
            look.status
        );

        let change = ended_turn(&admin, &made(&admin, DEMO, "scale").await?).await?;
        let status = status_of(&change);
        let end = find(&status.conditions, types::SUCCEEDED).context("it has no verdict")?;
        ensure!(
            status.phase == Some(RequestPhase::Blocked) && end.reason == "ApplierIdentity",
            "{status:?}"
        );
        let blocked = status.blocked.clone().context("it does not say what blocks it")?;
        ensure!(
            blocked.policy == "kubechat" && blocked.rule == "applier-identity",
            "{blocked:?}"
        );
        says(
            &end.message,
            &[
                APPLIER,
                "no service account of namespace demo",
                "Nothing was done",
                "spec.serviceAccountName",
                "destinationServiceAccounts",
            ],
        )?;
        // A request that was refused is no failure of the sync.
        pipeline.apply("again").await?.healthy()?;

        let mut endless = request(DEMO, "endless", "list pods")?;
        for end in [None, Some(super::days_ahead(8)?)] {
            endless["spec"] = json!({"prompt": "list pods"});
            if let Some(end) = end {
                endless["spec"]["notAfter"] = json!(end);
            }
            files.write("endless.yaml", &endless.to_string())?;
            let synced = pipeline.push("ask for ever").await?;
            ensure!(!synced.ready, "it was applied");
            says(
                &synced.message,
                &["spec.notAfter, at most 7 days ahead", "No turn was created"],
            )?;
        }
        endless["spec"]["notAfter"] = json!(super::days_ahead(6)?);
        files.write("endless.yaml", &endless.to_string())?;
        pipeline.push("ask until next week").await?.healthy()?;
        Ok(())
    })
    .await
}

async fn a_waiting_request_is_healthy_never_drifts_and_is_another_one_when_made_again() -> Result<()> {
    with_flux(async |cluster, _, flux| {
        let admin = cluster.client("admin").await?;
        let settings = Settings {
            service_account: Some(DEPLOYER),
            wait: true,
        };
        let pipeline = Pipeline::create(flux, &admin, SHOP, "requests", settings).await?;
        let files = pipeline.repository();
        let scale = request(SHOP, "scale", "scale nginx to 5 replicas")?;
        files.write("scale.yaml", &scale.to_string())?;
        // With `wait` this is healthy only once kstatus calls the waiting request Current.
        pipeline.push("ask").await?.healthy()?;
        let turn = made(&admin, SHOP, "scale").await?;
        let plan = waiting_plan(&admin, &turn).await?;
        waits_for_a_signature(&turn, &plan)?;

        // A person with the right consents, but without a signature.
        approve(&cluster.client("bob").await?, &plan).await?;
        eventually(SOON, "the decision is counted", || async {
            let plan = read(&admin, &plan).await?;
            let approvals = plan
                .status
                .and_then(|status| status.approvals)
                .unwrap_or_default();
            ensure!(approvals.decisions.len() == 1, "{approvals:?}");
            Ok(())
        })
        .await?;
        let plan = read(&admin, &plan).await?;
        ensure!(
            phase(&plan) == Some(PlanPhase::AwaitingApproval),
            "{:?}",
            plan.status
        );

        // Its turn says so too; from then on nothing happens that is told.
        let turns: Api<ChatRequest> = Api::namespaced(admin.clone(), SHOP);
        eventually(SOON, "the turn shows the decision", || async {
            let status = turns.get(&turn.name_any()).await?.status.unwrap_or_default();
            let approvals = status.approvals.unwrap_or_default();
            ensure!(approvals.decisions.len() == 1, "{approvals:?}");
            Ok(())
        })
        .await?;
        let versions = versions(&admin, &turn).await?;
        for token in ["second", "third"] {
            pipeline.apply(token).await?.healthy()?;
        }
        ensure!(
            self::versions(&admin, &turn).await? == versions,
            "a sync changed what was admitted"
        );

        files.remove("scale.yaml")?;
        pipeline.push("never mind").await?.healthy()?;
        gone(&raw(&admin, "ChatRequest", SHOP), "scale").await?;
        gone(&raw(&admin, "CommandPlan", SHOP), &plan.name_any()).await?;
        files.write("scale.yaml", &scale.to_string())?;
        pipeline.push("after all").await?.healthy()?;
        let again = made(&admin, SHOP, "scale").await?;
        let other = waiting_plan(&admin, &again).await?;
        ensure!(
            again.uid() != turn.uid()
                && other.name_any() != plan.name_any()
                && other.spec.digest != plan.spec.digest,
            "the request that was made again has the plan of the first one"
        );
        outlives_its_ttl(&admin, &pipeline).await
    })
    .await
}

fn waits_for_a_signature(turn: &ChatRequest, plan: &CommandPlan) -> Result<()> {
    let by = plan.spec.requester.username.as_str();
    ensure!(by == "system:serviceaccount:shop:deployer", "{by}");
    ensure!(
        plan.spec
            .requirement
            .iter()
            .any(|one| one.signature && one.count == 1),
        "{:?}",
        plan.spec.requirement
    );
    let not_after = turn.spec.not_after.clone().context("it has no end")?;
    ensure!(
        plan.spec.expires_at == not_after.0.to_string(),
        "{}",
        plan.spec.expires_at
    );
    let conditions = status_of(turn).conditions;
    ensure!(
        is_true(&conditions, types::AWAITING_APPROVAL)
            && find(&conditions, types::RECONCILING).is_none()
            && find(&conditions, types::STALLED).is_none(),
        "{conditions:?}"
    );
    Ok(())
}

/// Version and generation of the turn, and all of its spec.
async fn versions(admin: &Client, turn: &ChatRequest) -> Result<serde_json::Value> {
    let turns: Api<ChatRequest> = Api::namespaced(admin.clone(), SHOP);
    let turn = turns.get(&turn.name_any()).await?;
    Ok(json!([
        turn.resource_version(),
        turn.metadata.generation,
        turn.spec
    ]))
}

/// What Git holds is not removed after its time: Flux would make it again and it would be asked again. A person's is.
async fn outlives_its_ttl(admin: &Client, pipeline: &Pipeline) -> Result<()> {
    let mut short = request(SHOP, "short", "list deployments")?;
    short["spec"]["ttlSecondsAfterFinished"] = json!(1);
    pipeline.repository().write("short.yaml", &short.to_string())?;
    pipeline.push("a question").await?.healthy()?;
    let tracked = ended_turn(admin, &made(admin, SHOP, "short").await?).await?;
    short["metadata"]["name"] = json!("persons");
    let turns: Api<ChatRequest> = Api::namespaced(admin.clone(), SHOP);
    turns
        .create(&PostParams::default(), &serde_json::from_value(short)?)
        .await?;
    gone(&raw(admin, "ChatRequest", SHOP), "persons").await?;
    let still = turns.get("short").await?;
    ensure!(still.uid() == tracked.uid(), "it was made again");
    Ok(())
}
