//! ChatSession: counts turns, expires.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kubechat_audit::{Actor, Draft, EventType, Ids, Outcome};
use kubechat_core::lifecycle::chat_session::{decide, unsupported};
use kubechat_core::lifecycle::ready;
use kubechat_core::reason;
use kubechat_crds::condition::{find, types};
use kubechat_crds::{ChatSession, ChatSessionStatus, SessionPhase};

use super::{at, status};
use crate::context::Context;
use crate::error::Error;

/// Reports phase, turns and expiry. The first visit is the audit log's authentication entry.
///
/// # Errors
/// What is worth trying again.
pub async fn reconcile(session: Arc<ChatSession>, ctx: Arc<Context>) -> Result<Action, Error> {
    let now = jiff::Timestamp::now();
    let old = session.status.clone().unwrap_or_default();
    let mut new = ChatSessionStatus {
        observed_generation: session.metadata.generation,
        ..old.clone()
    };
    let stamp = session.spec.requester.as_ref();
    if !ctx
        .sealed(
            "ChatSession",
            "chatsessions",
            &session.metadata,
            &session.spec,
            stamp,
        )
        .await?
    {
        let message = "the session carries no valid seal of KubeChat's webhook; no turn of it is taken. Delete it and create it again";
        let told = find(&old.conditions, types::READY).is_some_and(|c| c.reason == reason::UNTRUSTED_ORIGIN);
        if !told {
            // Nobody knows whose it is: what stands in the stamp is a claim.
            record(
                &session,
                &ctx,
                Actor::named("(unstamped)"),
                Outcome::Denied,
                reason::UNTRUSTED_ORIGIN,
                message,
            )
            .await?;
        }
        ready(
            &mut new.conditions,
            Err((reason::UNTRUSTED_ORIGIN, message.to_owned())),
            session.metadata.generation,
            now,
        );
        status::write(&ctx, &*session, session.status.as_ref(), &new).await?;
        return Ok(super::resync());
    }
    let created = session.creation_timestamp().map_or(now, |t| t.0);
    let namespace = session.namespace().unwrap_or_default();
    let turns = ctx.talks.turns(&namespace, &session.name_any());
    let verdict = decide(&session.spec, created, old.phase, turns, now);
    if verdict.phase == SessionPhase::Expired && old.phase != Some(SessionPhase::Expired) {
        // Not by a clock that is not the API server's.
        ctx.admission.check(&ctx).await?;
    }
    if old.phase.is_none() {
        let actor = stamp.map(crate::audit::actor).unwrap_or_default();
        record(&session, &ctx, actor, Outcome::Success, "SessionOpened", "").await?;
    }
    new.phase = Some(verdict.phase);
    // Turns that were removed after their TTL still count.
    new.turns = verdict.turns.max(old.turns);
    new.last_activity = Some(Time(
        verdict
            .last_activity
            .max(old.last_activity.map_or(verdict.last_activity, |t| t.0)),
    ));
    new.expires_at = Some(Time(verdict.expires_at));
    let words = match verdict.phase {
        SessionPhase::Active => Ok("takes turns"),
        SessionPhase::Processing => Ok("a turn is under way"),
        SessionPhase::Expired => Err((
            reason::EXPIRED,
            "nothing was asked for the length of its ttl; open another session".to_owned(),
        )),
        SessionPhase::Terminated => Err((reason::SESSION_CLOSED, "closed; open another session".to_owned())),
    };
    let words = words.and_then(|words| match unsupported(&session.spec) {
        None => Ok(words),
        Some(what) => Err((reason::NOT_SUPPORTED, what)),
    });
    ready(&mut new.conditions, words, session.metadata.generation, now);
    status::write(&ctx, &*session, session.status.as_ref(), &new).await?;
    Ok(match verdict.phase {
        SessionPhase::Active | SessionPhase::Processing => at(verdict.expires_at),
        SessionPhase::Expired | SessionPhase::Terminated => super::resync(),
    })
}

async fn record(
    session: &ChatSession,
    ctx: &Context,
    actor: Actor,
    outcome: Outcome,
    why: &str,
    message: &str,
) -> Result<(), Error> {
    let mut draft = Draft::new(EventType::Authentication, actor, "create", outcome, why);
    draft.ids = Ids {
        session: session.metadata.name.clone(),
        ..Ids::default()
    };
    draft.message = message.to_owned();
    ctx.audit.record(draft).await?;
    Ok(())
}

#[cfg(test)]
#[path = "chat_session_tests.rs"]
mod tests;
