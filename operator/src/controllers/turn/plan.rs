//! Making the plan of a turn, once.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use kubechat_audit::{EventType, Outcome as Recorded};
use kubechat_core::lifecycle::OneShot;
use kubechat_core::lifecycle::command_plan::{Observed, Verdict, decide};
use kubechat_core::plan::Sidecar;
use kubechat_core::reason;
use kubechat_crds::chat_request::{Answer, PlanRef, RiskSummary};
use kubechat_crds::{ChatRequest, ChatRequestStatus, CommandPlan, CommandPlanSpec, PlanPhase, RequestPhase};

use super::super::chat_request::{mirrored, plan_name};
use super::super::reference;
use super::admit::halt;
use super::model::in_own_words;
use super::report::{end, write};
use crate::audit::{about_plan, turn_ids};
use crate::cluster::client::call;
use crate::compile::Turn;
use crate::context::Context;
use crate::error::Error;
use crate::past::PLAN_MADE;

/// How often a plan that the API server refuses is tried again before the turn ends.
const PLAN_TRIES: u32 = 2;

/// Records the plan, keeps its bytes, creates it, and reports that it waits.
pub(super) async fn make_plan(
    turn: &Turn<'_>,
    mut new: ChatRequestStatus,
    spec: CommandPlanSpec,
    sidecars: Vec<Sidecar>,
    answer: Option<Answer>,
) -> Result<Action, Error> {
    let (request, ctx) = (turn.request, turn.ctx);
    let uid = request.uid().unwrap_or_default();
    for sidecar in sidecars {
        ctx.audit.keep(&uid, &sidecar.digest, sidecar.bytes).await?;
    }
    let name = plan_name(request);
    let plan = match create(request, ctx, &name, spec).await {
        Ok(plan) => plan,
        Err(error) => match refused_for_good(request, ctx, &error) {
            Some(message) => {
                return end(
                    request,
                    ctx,
                    new,
                    halt(RequestPhase::Failed, reason::INVALID, message),
                )
                .await;
            }
            None => return Err(error),
        },
    };
    record_plan(request, ctx, &plan).await?;
    new.answer = answer;
    report_plan(request, ctx, &plan, new).await
}

/// The API server's words when it refused the plan itself, and again after a few tries (a policy may just have changed).
fn refused_for_good(request: &ChatRequest, ctx: &Context, error: &Error) -> Option<String> {
    let status = error
        .status()
        .filter(|s| matches!(s.code, 400 | 403 | 413 | 422))?;
    let tries = super::super::tries(ctx, "ChatRequest", request);
    (tries >= PLAN_TRIES).then(|| {
        let message = kubechat_crds::condition::clip(kubechat_core::redact::shown(&status.message), 1500);
        format!(
            "the API server refused the plan: {message}. Nothing was done. Ask for less, or in another way"
        )
    })
}

async fn record_plan(request: &ChatRequest, ctx: &Context, plan: &CommandPlan) -> Result<(), Error> {
    let spec = &plan.spec;
    let mut draft = about_plan(
        plan,
        EventType::CommandGeneration,
        "plan",
        Recorded::Success,
        PLAN_MADE,
    );
    draft.ids.session = turn_ids(request).session;
    draft.target = spec
        .steps
        .first()
        .and_then(|s| s.targets.first())
        .map(crate::audit::target);
    draft.message = spec.steps.first().map(|s| s.command.clone()).unwrap_or_default();
    let prompt = kubechat_core::redact::shown(&request.spec.prompt);
    draft.payload = serde_json::json!({"prompt": prompt, "digest": spec.digest, "steps": spec.steps.len()});
    ctx.audit.record(draft).await?;
    Ok(())
}

/// Creates the plan, or finds the one an earlier try made.
async fn create(
    request: &ChatRequest,
    ctx: &Context,
    name: &str,
    spec: CommandPlanSpec,
) -> Result<CommandPlan, Error> {
    let namespace = request.namespace().unwrap_or_default();
    let api: Api<CommandPlan> = Api::namespaced(ctx.client.clone(), &namespace);
    let mut plan = CommandPlan::new(name, spec);
    plan.metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace),
        owner_references: Some(vec![OwnerReference {
            api_version: format!("{}/{}", kubechat_crds::GROUP, kubechat_crds::VERSION),
            kind: "ChatRequest".to_owned(),
            name: request.name_any(),
            uid: request.uid().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: None,
        }]),
        ..ObjectMeta::default()
    };
    let params = PostParams {
        dry_run: false,
        field_manager: Some(kubechat_crds::FIELD_MANAGER.to_owned()),
    };
    ctx.leadership.check()?;
    // It counts before it is sent: whoever cuts this off, and whatever answer is lost, the plan may be there.
    let before = ctx.past.made(&plan, Timestamp::now());
    match call("create the plan", api.create(&params, &plan)).await {
        Ok(made) => {
            ctx.past.made(&made, Timestamp::now());
            Ok(made)
        }
        Err(error) if error.status().is_some_and(|s| s.reason == "AlreadyExists") => {
            let found = call("read the plan", api.get(name)).await?;
            if Some(&found.spec.chat_request_ref.uid) == request.uid().as_ref() {
                ctx.past.made(&found, Timestamp::now());
                Ok(found)
            } else {
                ctx.past.not_made(before);
                Err(Error::Dependency {
                    reason: reason::PROGRESSING,
                    message: format!("another turn's plan {name} is still being removed"),
                })
            }
        }
        Err(error) => {
            if is_refusal(&error) {
                ctx.past.not_made(before);
            }
            Err(error)
        }
    }
}

/// Whether the API server said no, so that nothing was made by this. A proxy that waited too long (408) does not know.
fn is_refusal(error: &Error) -> bool {
    error
        .status()
        .is_some_and(|s| (400..500).contains(&s.code) && s.code != 408)
}

/// Sees to it that the log tells of a plan that the turn does not name yet: the process that made it may have ended, or
/// lost its audit log, right after.
pub(in crate::controllers) async fn told(
    request: &ChatRequest,
    ctx: &Context,
    plan: &CommandPlan,
) -> Result<(), Error> {
    // Whoever made it a moment ago has recorded it; the cache of the turn is only late.
    if ctx.handled.contains(&request.uid().unwrap_or_default()) || ctx.audit.tells_of(plan).await? {
        return Ok(());
    }
    record_plan(request, ctx, plan).await
}

/// A plan that is there while the turn does not name it yet (the process that made it ended in between).
pub(in crate::controllers) async fn adopt(
    request: &ChatRequest,
    ctx: &Context,
    plan: &CommandPlan,
    current: ChatRequestStatus,
) -> Result<Action, Error> {
    if ctx.handled.contains(&request.uid().unwrap_or_default()) {
        return Ok(Action::requeue(Duration::from_secs(1)));
    }
    let new = mirrored(request, plan, in_own_words(request, current));
    write(request, ctx, &new).await?;
    Ok(Action::await_change())
}

/// Says that the plan waits, in the same words as the plan itself will.
pub(super) async fn report_plan(
    request: &ChatRequest,
    ctx: &Context,
    plan: &CommandPlan,
    mut new: ChatRequestStatus,
) -> Result<Action, Error> {
    let policies = ctx.policies();
    let holders = ctx.holders.now();
    let (verdict, approvals) = decide(&Observed {
        name: &plan.name_any(),
        namespace: &plan.namespace().unwrap_or_default(),
        plan: &plan.spec,
        approvals: &[],
        policies: policies.as_ref(),
        holders: holders.as_deref(),
        withdrawn: None,
        stamped: request.creation_timestamp().map_or_else(Timestamp::now, |t| t.0),
        planned: plan.creation_timestamp().map_or_else(Timestamp::now, |t| t.0),
        not_after: request.spec.not_after.as_ref().map(|t| t.0),
        now: Timestamp::now(),
    });
    new.plan_ref = Some(PlanRef {
        name: plan.name_any(),
        digest: plan.spec.digest.clone(),
    });
    new.risk = Some(RiskSummary {
        level: plan.spec.risk.level,
        score: plan.spec.risk.score,
    });
    new.approvals = Some(approvals);
    let now = Timestamp::now();
    let mut shot = OneShot {
        conditions: &mut new.conditions,
        generation: request.metadata.generation,
        now,
    };
    match verdict {
        Verdict::Wait { reason, message } => {
            shot.awaiting(reason, &message);
            new.phase = Some(kubechat_core::lifecycle::chat_request::phase_of(
                PlanPhase::AwaitingApproval,
            ));
            if !reason::is_refusal(reason) {
                let first_line = message.lines().next().unwrap_or_default();
                ctx.events.tell(
                    reference(request),
                    false,
                    reason,
                    first_line.trim_end_matches(", or:"),
                );
            }
        }
        Verdict::PlanOnly | Verdict::Go | Verdict::End(_) => {
            shot.working(
                reason::PROGRESSING,
                "the plan is made; what becomes of it stands in the plan",
            );
            new.phase = Some(RequestPhase::Planning);
        }
    }
    write(request, ctx, &new).await?;
    Ok(Action::await_change())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
