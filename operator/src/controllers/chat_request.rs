//! ChatRequest: answers it or makes its plan, then mirrors the plan; removes it when it is done with.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use kubechat_core::lifecycle::chat_request::{is_tracked, phase_of, removal};
use kubechat_core::lifecycle::review;
use kubechat_core::models::clerk::{give_up, given_up_at, owes};
use kubechat_crds::chat_request::{PlanRef, RiskSummary};
use kubechat_crds::condition::{self, is_finished, types};
use kubechat_crds::{ChatRequest, ChatRequestStatus, CommandPlan};

use super::{at, resync, status, turn};
use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;
use crate::models::{forget, of_turn};

/// Name of the plan of a turn: deterministic, so that a second try finds the first one's plan.
#[must_use]
pub fn plan_name(request: &ChatRequest) -> String {
    let uid = request.uid().unwrap_or_default();
    let hash = kubechat_crds::sha256_hex(uid.as_bytes());
    let name: String = request.name_any().chars().take(200).collect();
    format!("{}-{}", name.trim_end_matches(['-', '.']), &hash[..8])
}

/// One look at a turn.
///
/// # Errors
/// What is worth trying again.
pub async fn reconcile(request: Arc<ChatRequest>, ctx: Arc<Context>) -> Result<Action, Error> {
    if request.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let current = request.status.clone().unwrap_or_default();
    if is_finished(&current.conditions) {
        ctx.past.leave_line(&request.uid().unwrap_or_default());
        // A late `cancel` changes nothing, but whoever waits for the new generation (kstatus) must see it was looked at.
        let seen = ChatRequestStatus {
            observed_generation: request.metadata.generation,
            ..current.clone()
        };
        status::write(&ctx, &*request, Some(&current), &seen).await?;
        // A call that another process made for it may end later than the turn.
        if let Some(later) = settle(&request, &ctx, &seen).await? {
            return Ok(later);
        }
        return retire(&request, &ctx, &seen).await;
    }
    let namespace = request.namespace().unwrap_or_default();
    let reference = ObjectRef::new(&plan_name(&request)).within(&namespace);
    match ctx.stores.plans.get(&reference) {
        Some(plan) if Some(&plan.spec.chat_request_ref.uid) == request.uid().as_ref() => {
            // It has what it was in line for.
            ctx.past.leave_line(&request.uid().unwrap_or_default());
            mirror(&request, &ctx, &plan, current).await
        }
        Some(_) | None => turn::take(&request, &ctx, current).await,
    }
}

/// Records how the calls ended that another process made for a turn that has ended; `None` when nothing is owed. It may be
/// gone, or the turn: who waits for ever tells nobody.
async fn settle(
    request: &ChatRequest,
    ctx: &Context,
    current: &ChatRequestStatus,
) -> Result<Option<Action>, Error> {
    if !ctx.models.is_elsewhere() {
        return Ok(None);
    }
    let completed = current.completion_time.as_ref();
    let completed = completed.map_or_else(Timestamp::now, |t| t.0);
    let mut said = current.clone();
    let waits = given_up_at(&current.outbound, completed);
    if waits.is_some_and(|until| until <= Timestamp::now()) {
        give_up(
            &mut said.outbound,
            "the interpreter did not say what became of it",
        );
    }
    if owes(&said.outbound) {
        let new = of_turn(ctx, request, &said).await?;
        if status::write_onto(ctx, request, Some(current), &new).await? == status::Written::Gone {
            forget(ctx, request, &new).await?;
        }
        // Written onto what was looked at: the rest follows from what is there then.
        return Ok(Some(Action::await_change()));
    }
    Ok(waits.map(at))
}

/// Copies the plan's progress.
async fn mirror(
    request: &ChatRequest,
    ctx: &Context,
    plan: &CommandPlan,
    current: ChatRequestStatus,
) -> Result<Action, Error> {
    let Some(progress) = &plan.status else {
        return Ok(Action::await_change());
    };
    let Some(phase) = progress.phase else {
        return Ok(Action::await_change());
    };
    if current.plan_ref.is_none() {
        turn::told(request, ctx, plan).await?;
    }
    if current.plan_ref.is_none() && !is_finished(&progress.conditions) {
        // The turn's own first report (interpretation, plan) is on its way, or was lost with the process that made it.
        return turn::adopt(request, ctx, plan, current).await;
    }
    let new = mirrored(request, plan, current);
    status::write(ctx, request, request.status.as_ref(), &new).await?;
    if is_finished(&new.conditions) {
        let reason = condition::find(&new.conditions, types::SUCCEEDED)
            .map(|c| c.reason.clone())
            .unwrap_or_default();
        ctx.metrics.end("ChatRequest", &reason);
        return retire(request, ctx, &new).await;
    }
    tracing::debug!(request = %request.name_any(), ?phase, "mirrored");
    Ok(Action::await_change())
}

/// The turn's status with its plan's progress copied.
#[must_use]
pub fn mirrored(request: &ChatRequest, plan: &CommandPlan, current: ChatRequestStatus) -> ChatRequestStatus {
    let progress = plan.status.clone().unwrap_or_default();
    let mut new = ChatRequestStatus {
        observed_generation: request.metadata.generation,
        phase: progress.phase.map(phase_of),
        plan_ref: Some(PlanRef {
            name: plan.name_any(),
            digest: plan.spec.digest.clone(),
        }),
        risk: Some(RiskSummary {
            level: plan.spec.risk.level,
            score: plan.spec.risk.score,
        }),
        approvals: progress.approvals,
        ..current
    };
    let now = Timestamp::now();
    for kind in [
        types::SUCCEEDED,
        types::AWAITING_APPROVAL,
        types::RECONCILING,
        types::STALLED,
    ] {
        match condition::find(&progress.conditions, kind) {
            Some(c) => condition::set(
                &mut new.conditions,
                kind,
                &c.status,
                &c.reason,
                c.message.clone(),
                request.metadata.generation,
                now,
            ),
            None => condition::remove(&mut new.conditions, kind),
        }
    }
    if is_finished(&new.conditions) && new.completion_time.is_none() {
        new.completion_time = progress.completion_time.or(Some(Time(now)));
    }
    new
}

/// Removes a finished turn after its time; its plan goes with it, and what was kept to undo that ([`super::kept`]).
async fn retire(request: &ChatRequest, ctx: &Context, status: &ChatRequestStatus) -> Result<Action, Error> {
    let tracked = is_tracked(request.labels(), request.annotations());
    let completed = status
        .completion_time
        .as_ref()
        .map_or_else(Timestamp::now, |t| t.0);
    let Some(end) = removal(completed, request.spec.ttl_seconds_after_finished, tracked) else {
        return Ok(Action::await_change());
    };
    if Timestamp::now() < end {
        return Ok(at(end));
    }
    if review_awaited(request, ctx).await? {
        // Looked at again when the plan changes.
        return Ok(resync());
    }
    // Nothing is removed by a clock that is not the API server's. Nothing is wrong with the turn, so it is no failure of it,
    // and it need not come back before those that wait for an answer.
    if let Err(problem) = ctx.admission.check(ctx).await {
        tracing::debug!(request = %request.name_any(), %problem, "not removed yet");
        return Ok(resync());
    }
    ctx.leadership.check()?;
    let api: Api<ChatRequest> = Api::namespaced(ctx.client.clone(), &request.namespace().unwrap_or_default());
    let params = kube::api::DeleteParams::background().preconditions(kube::api::Preconditions {
        uid: request.uid(),
        resource_version: None,
    });
    match call("remove a finished turn", api.delete(&request.name_any(), &params)).await {
        Ok(_) => Ok(Action::await_change()),
        Err(error) if error.is_not_found() => Ok(Action::await_change()),
        Err(error) => Err(error),
    }
}

/// Whether its plan was executed by break-glass and waits for its review, which its requester does not make impossible by a
/// short life of the turn.
async fn review_awaited(request: &ChatRequest, ctx: &Context) -> Result<bool, Error> {
    let api: Api<CommandPlan> = Api::namespaced(ctx.client.clone(), &request.namespace().unwrap_or_default());
    let plan = match call("read the plan", api.get(&plan_name(request))).await {
        Ok(plan) => plan,
        Err(error) if error.is_not_found() => return Ok(false),
        Err(error) => return Err(error),
    };
    let own = Some(&plan.spec.chat_request_ref.uid) == request.uid().as_ref();
    Ok(own && plan.status.as_ref().is_some_and(review::awaited))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::plans::{Verb, turn_path};
    use crate::testing::process::{Fuse, World};
    use crate::testing::store::Luck;

    #[tokio::test]
    async fn a_plan_whose_making_was_not_recorded_is_recorded_once_by_whoever_finds_it() {
        for ended in [false, true] {
            let mut world = World::new();
            world.propose(&[Verb::Label]).await;
            let request: ChatRequest =
                serde_json::from_value(world.server.get(&turn_path()).unwrap()).unwrap();
            let process = world.start(Fuse::long()).await;
            let plan = if ended {
                process.finish(&world).await
            } else {
                let mut plan = world.plan();
                plan.status = Some(kubechat_crds::CommandPlanStatus {
                    phase: Some(kubechat_crds::PlanPhase::AwaitingApproval),
                    ..kubechat_crds::CommandPlanStatus::default()
                });
                plan
            };
            let current = request.status.clone().unwrap_or_default();
            // While the log takes nothing the turn does not go on as if it did.
            process.store.luck(|_| Luck::Away);
            let refused = mirror(&request, &process.ctx, &plan, current.clone()).await;
            assert!(matches!(refused, Err(Error::Audit(_))), "{refused:?}");
            process.store.luck(|_| Luck::Good);
            for _ in 0..3 {
                mirror(&request, &process.ctx, &plan, current.clone())
                    .await
                    .unwrap();
            }
            let entries = world.entries().await;
            let made = entries.iter().filter(|e| e.reason == "PlanMade");
            assert_eq!(made.count(), 1, "{:?}", World::short(&entries));
        }
    }

    #[tokio::test]
    async fn what_nobody_says_of_a_call_of_an_ended_turn_is_waited_for_a_while_and_then_recorded_as_unknown()
    {
        use kubechat_crds::chat_request::OutboundState;
        for (minutes, recorded) in [(1, 0), (10, 1)] {
            let mut world = World::new();
            world.elsewhere = true;
            world.propose(&[Verb::Label]).await;
            let process = world.start(Fuse::long()).await;
            let mut turn = world.server.get(&turn_path()).unwrap();
            let completed = Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
            turn["status"] = serde_json::json!({
                "completionTime": completed.to_string(),
                "outbound": [{"id": "small-1", "state": "Committed", "auditSeq": 3, "bytes": 1}],
            });
            world.server.put(&turn_path(), turn);
            let request: ChatRequest =
                serde_json::from_value(world.server.get(&turn_path()).unwrap()).unwrap();
            let current = request.status.clone().unwrap();
            let waits = settle(&request, &process.ctx, &current).await.unwrap();
            assert!(waits.is_some(), "{minutes}");
            let now: ChatRequest = serde_json::from_value(world.server.get(&turn_path()).unwrap()).unwrap();
            let call = now.status.unwrap().outbound.remove(0);
            assert_eq!(call.state == OutboundState::Failed, recorded == 1, "{call:?}");
            let entries = world.entries().await;
            let unknown = entries.iter().filter(|e| e.reason == "OutboundUnknown");
            assert_eq!(unknown.count(), recorded, "{:?}", World::short(&entries));
        }
    }
}
