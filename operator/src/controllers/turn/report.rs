//! Ending a turn that has no plan, and saying what stands in the way.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::controller::Action;
use kubechat_audit::{Draft, EventType, Outcome as Recorded};
use kubechat_core::lifecycle::OneShot;
use kubechat_core::{reason, secrets};
use kubechat_crds::condition::{find, types};
use kubechat_crds::{ChatRequest, ChatRequestStatus, RequestPhase};

use super::super::{reference, status};
use crate::audit::{actor, turn_ids};
use crate::compile::Halted;
use crate::context::Context;
use crate::error::Error;

/// Ends a turn that gets no plan. What KubeChat refused is recorded.
pub(super) async fn end(
    request: &ChatRequest,
    ctx: &Context,
    mut new: ChatRequestStatus,
    halted: Halted,
) -> Result<Action, Error> {
    let Halted {
        phase,
        reason,
        mut message,
        answer,
        blocked,
    } = halted;
    if let Some(reduced) =
        find(&new.conditions, types::RIGHTS_REDUCED).filter(|_| reason == reason::FORBIDDEN)
    {
        message = format!("{message}. {}", reduced.message);
    }
    let refused = matches!(
        phase,
        RequestPhase::Failed | RequestPhase::Blocked | RequestPhase::Expired | RequestPhase::Cancelled
    );
    let outcome = if refused {
        Recorded::Denied
    } else {
        Recorded::Success
    };
    let event = if reason == reason::FORBIDDEN {
        EventType::PermissionCheck
    } else {
        EventType::CommandGeneration
    };
    record(request, ctx, event, "plan", outcome, reason, &message).await?;
    new.answer = answer;
    new.blocked = blocked;
    finish(request, ctx, new, phase, reason, &message).await
}

/// Writes what became of a turn. Where another process writes of it too, only onto what was looked at: what that one says a
/// moment before must not stand there as if it had been judged.
pub(super) async fn write(
    request: &ChatRequest,
    ctx: &Context,
    new: &ChatRequestStatus,
) -> Result<(), Error> {
    let old = request.status.as_ref();
    if ctx.models.is_elsewhere() {
        status::write_onto(ctx, request, old, new).await.map(drop)
    } else {
        status::write(ctx, request, old, new).await
    }
}

pub(super) async fn finish(
    request: &ChatRequest,
    ctx: &Context,
    mut new: ChatRequestStatus,
    phase: RequestPhase,
    why: &str,
    message: &str,
) -> Result<Action, Error> {
    let now = Timestamp::now();
    new.phase = Some(phase);
    new.completion_time = Some(Time(now));
    let succeeded = phase == RequestPhase::Succeeded;
    let mut shot = OneShot {
        conditions: &mut new.conditions,
        generation: request.metadata.generation,
        now,
    };
    if why == reason::UNTRUSTED_ORIGIN {
        shot.stalled(why, message);
    } else {
        shot.finish(succeeded, why, message);
    }
    write(request, ctx, &new).await?;
    ctx.metrics.end("ChatRequest", why);
    // A refusal is told by who writes the status.
    if phase == RequestPhase::NeedsInput {
        ctx.events.tell(reference(request), false, why, message);
    }
    Ok(Action::await_change())
}

pub(super) async fn record(
    request: &ChatRequest,
    ctx: &Context,
    event: EventType,
    verb: &str,
    outcome: Recorded,
    why: &str,
    message: &str,
) -> Result<(), Error> {
    let who = request.spec.requester.clone().unwrap_or_default();
    let mut draft = Draft::new(event, actor(&who), verb, outcome, why);
    draft.ids = turn_ids(request);
    draft.message = message.to_owned();
    draft.impersonated = event == EventType::DataAccess;
    if secrets::find(&request.spec.prompt).is_empty() {
        // What may be a secret by its look alone is admitted, and is not kept for years.
        draft.payload = serde_json::json!({"prompt": kubechat_core::redact::shown(&request.spec.prompt)});
    }
    ctx.audit.record(draft).await?;
    Ok(())
}

/// Failed tries after which the turn says why it does not go on.
const TOLD_AFTER: u32 = 2;

/// Something stands in the way: said in the status, and tried again.
pub(super) async fn hold(request: &ChatRequest, ctx: &Context, error: Error) -> Result<Action, Error> {
    // A hiccup is over before anybody reads of it; what lasts is told.
    let lasting = matches!(error, Error::Audit(_) | Error::Dependency { .. })
        || super::super::tries(ctx, "ChatRequest", request) >= TOLD_AFTER;
    if lasting {
        let mut new = request.status.clone().unwrap_or_default();
        new.observed_generation = request.metadata.generation;
        new.phase = Some(RequestPhase::Pending);
        OneShot {
            conditions: &mut new.conditions,
            generation: request.metadata.generation,
            now: Timestamp::now(),
        }
        .working(
            error.reason(),
            &format!("not begun yet: {error}. It is tried again"),
        );
        status::write(ctx, request, request.status.as_ref(), &new).await?;
    }
    Err(error)
}
