//! What must hold before the sentence is read: who asks, in which session, by which provider.

use jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use kubechat_core::authz::{self, Acting};
use kubechat_core::lifecycle::{ai_provider, chat_session};
use kubechat_core::{gitops, reason, secrets};
use kubechat_crds::{AIProvider, ChatRequest, ChatSession, LocalRef, RequestPhase, SessionPhase};

use crate::cluster::client::call;
use crate::cluster::objects::ClientDebug;
use crate::compile::Halted;
use crate::context::Context;
use crate::error::Error;

/// How far the clocks of API server, webhook and operator may be apart.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(1);

/// What is known of the asker before the sentence is read.
pub(super) struct Admitted {
    pub(super) acting: Acting,
    pub(super) person: ClientDebug,
    pub(super) session: Option<std::sync::Arc<ChatSession>>,
    /// The provider that asks a model, where one was named.
    pub(super) provider: Option<AIProvider>,
}

pub(super) fn halt(phase: RequestPhase, reason: &'static str, message: impl Into<String>) -> Halted {
    Halted {
        phase,
        reason,
        message: message.into(),
        answer: None,
        blocked: None,
    }
}

/// Checks everything that does not depend on the sentence.
pub(super) async fn admit(request: &ChatRequest, ctx: &Context) -> Result<Result<Admitted, Halted>, Error> {
    let failed = |reason, message: String| Ok(Err(halt(RequestPhase::Failed, reason, message)));
    let stamp = request.spec.requester.as_ref();
    let sealed = ctx
        .sealed(
            "ChatRequest",
            "chatrequests",
            &request.metadata,
            &request.spec,
            stamp,
        )
        .await?;
    let Some(who) = stamp.filter(|_| sealed) else {
        return failed(reason::UNTRUSTED_ORIGIN, "the ChatRequest carries no valid seal of KubeChat's webhook, or one of another time, so nobody knows who asked. Nothing was done. Delete it and create it again while the webhook runs; if that does not help, compare the clocks of the webhook and of the API server".to_owned());
    };
    if request.spec.cancel {
        return Ok(Err(halt(
            RequestPhase::Cancelled,
            reason::CANCELLED,
            "withdrawn before it was begun; nothing was done",
        )));
    }
    if request
        .spec
        .not_after
        .as_ref()
        .is_some_and(|t| t.0 <= Timestamp::now())
    {
        // Not by a clock that is not the API server's.
        ctx.admission.check(ctx).await?;
        return Ok(Err(halt(
            RequestPhase::Expired,
            reason::EXPIRED,
            "the turn was not to be begun after its notAfter; nothing was done. Ask again",
        )));
    }
    // Creation is stored in whole seconds, and admission looked at its own clock.
    let created = request
        .creation_timestamp()
        .map_or(Timestamp::UNIX_EPOCH, |t| t.0)
        .saturating_add(CLOCKS_APART)
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let not_after = request.spec.not_after.as_ref().map(|t| t.0);
    if let Err(why) = gitops::ends_in_time(who, not_after, created) {
        return failed(
            reason::NOT_AFTER_REQUIRED,
            format!("{why}. Nothing was done. Create it again with it"),
        );
    }
    // Admission refuses these; what came another way is refused here, and never written down.
    if let Some(hit) = secrets::find(&request.spec.prompt).first() {
        return failed(
            reason::INVALID,
            format!(
                "the prompt holds a secret ({} at byte {}). Nothing was done. Delete this turn, change that secret, and ask without it",
                hit.class, hit.start
            ),
        );
    }
    let acting = match authz::acting(who) {
        Ok(acting) => acting,
        Err(refused) => return failed(reason::REFUSED_IDENTITY, refused.to_string()),
    };
    let session = match session(request, ctx).await? {
        Ok(session) => session,
        Err(problem) => return failed(reason::SESSION_CLOSED, problem),
    };
    if let Some(unsupported) = session.as_ref().and_then(|s| chat_session::unsupported(&s.spec)) {
        let name = session.as_ref().map(|s| s.name_any()).unwrap_or_default();
        let message = format!("ChatSession {name}: {unsupported}. Nothing was done");
        return failed(reason::NOT_SUPPORTED, message);
    }
    if request.spec.cluster_ref.is_some() {
        let message = "other clusters (clusterRef) are not supported in this version. Nothing was done";
        return failed(reason::NOT_SUPPORTED, message.to_owned());
    }
    let defaults = session.as_ref().and_then(|s| s.spec.defaults.as_ref());
    let named = request
        .spec
        .provider_ref
        .as_ref()
        .or_else(|| defaults?.provider_ref.as_ref());
    let namespace = request.namespace().unwrap_or_default();
    let provider = match provider(named, &namespace, ctx).await? {
        Ok(provider) => provider,
        Err((why, problem)) => return failed(why, problem),
    };
    let person = match ctx.people.reader(&acting).await {
        Ok(client) => ClientDebug(client),
        Err(Error::Identity(why)) => return failed(reason::FORBIDDEN, why),
        Err(error) => return Err(error),
    };
    Ok(Ok(Admitted {
        acting,
        person,
        session,
        provider,
    }))
}

/// The named provider, if it asks a model; why it may not interpret: reason and message.
async fn provider(
    named: Option<&LocalRef>,
    namespace: &str,
    ctx: &Context,
) -> Result<Result<Option<AIProvider>, (&'static str, String)>, Error> {
    let Some(LocalRef { name }) = named else {
        return Ok(Ok(None));
    };
    let api: Api<AIProvider> = Api::all(ctx.client.clone());
    let provider = match call("read the provider", api.get(name)).await {
        Ok(provider) => provider,
        Err(error) if error.is_not_found() => {
            let message = format!(
                "there is no AIProvider {name}. Nothing was done. Leave providerRef out to use the built-in rules"
            );
            return Ok(Err((reason::PROVIDER_NOT_ALLOWED, message)));
        }
        Err(error) => return Err(error),
    };
    if !ai_provider::serves(&provider.spec, namespace) {
        let message = format!(
            "AIProvider {name} does not serve namespace {namespace} (its allowedNamespaces). Nothing was done. Leave providerRef out to use the built-in rules"
        );
        return Ok(Err((reason::PROVIDER_NOT_ALLOWED, message)));
    }
    Ok(Ok(
        Some(provider).filter(|p| ai_provider::built_in(&p.spec).is_none())
    ))
}

/// The session of the turn: there, of the same person, and open.
async fn session(
    request: &ChatRequest,
    ctx: &Context,
) -> Result<Result<Option<std::sync::Arc<ChatSession>>, String>, Error> {
    let Some(named) = &request.spec.session_ref else {
        return Ok(Ok(None));
    };
    let namespace = request.namespace().unwrap_or_default();
    let session = match ctx
        .stores
        .sessions
        .get(&ObjectRef::new(&named.name).within(&namespace))
    {
        Some(session) => session,
        None => {
            let api: Api<ChatSession> = Api::namespaced(ctx.client.clone(), &namespace);
            match call("read the session", api.get(&named.name)).await {
                Ok(session) => std::sync::Arc::new(session),
                Err(error) if error.is_not_found() => {
                    return Ok(Err(format!(
                        "there is no ChatSession {} in namespace {namespace}. Nothing was done",
                        named.name
                    )));
                }
                Err(error) => return Err(error),
            }
        }
    };
    let owner = session.spec.requester.as_ref().map(|r| r.username.as_str());
    let sealed = ctx
        .sealed(
            "ChatSession",
            "chatsessions",
            &session.metadata,
            &session.spec,
            session.spec.requester.as_ref(),
        )
        .await?;
    if !sealed || owner != request.spec.requester.as_ref().map(|r| r.username.as_str()) {
        return Ok(Err(format!(
            "ChatSession {} is not yours. Nothing was done. Open your own",
            named.name
        )));
    }
    let phase = session.status.as_ref().and_then(|s| s.phase);
    if session.spec.closed || matches!(phase, Some(SessionPhase::Expired | SessionPhase::Terminated)) {
        return Ok(Err(format!(
            "ChatSession {} takes no more turns (closed or expired). Nothing was done. Open another one",
            named.name
        )));
    }
    Ok(Ok(Some(session)))
}

#[cfg(test)]
#[path = "admit_tests.rs"]
mod tests;
