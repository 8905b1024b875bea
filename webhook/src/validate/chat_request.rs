//! CREATE ChatRequest: what a person (or service account) may ask, before anything reads the sentence.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kubechat_core::authz::{self, Question};
use kubechat_core::lifecycle::ai_provider;
use kubechat_core::{gitops, reason as core_reason, secrets};
use kubechat_crds::{
    AIProvider, ChatRequestSpec, ChatSession, CommandPlan, GROUP, Identity, LocalRef, SessionPhase,
};

use crate::access;
use crate::refusal::{Refusal, reason};
use crate::review::{Allowed, Review, Verdict, identity};
use crate::state::State;

/// Longest prompt in bytes; the schema counts characters.
const MAX_PROMPT: usize = 16 * 1024;

/// Judges a new turn: cheap and local first, then what the API server must say, the rate last.
pub(super) async fn create(state: &State, review: &Review) -> Verdict {
    let spec: ChatRequestSpec = Review::typed(review.spec()?)?;
    let requester = identity(review.user());
    let now = State::now();
    person(&requester)?;
    prompt(&spec)?;
    form(&spec)?;
    time(&spec, &requester, now)?;
    scope(state, review.namespace(), &spec).await?;
    session(state, review.namespace(), &spec, &requester, now).await?;
    provider(state, review.namespace(), spec.provider_ref.as_ref()).await?;
    rollback(state, review, spec.rollback_of.as_ref()).await?;
    rate(state, &requester, review.request.dry_run)?;
    Ok(Allowed::default())
}

fn person(requester: &Identity) -> Result<(), Refusal> {
    authz::acting(requester)
        .map(|_| ())
        .map_err(|error| Refusal::forbidden(core_reason::REFUSED_IDENTITY, error.to_string()))
}

fn prompt(spec: &ChatRequestSpec) -> Result<(), Refusal> {
    let text = &spec.prompt;
    let no = |reason, why: String| Err(Refusal::invalid(reason, why));
    if text.trim().is_empty() && spec.rollback_of.is_none() {
        return no(
            core_reason::INVALID,
            "spec.prompt is empty. No turn was created. Say what to do".to_owned(),
        );
    }
    if text.len() > MAX_PROMPT {
        return no(
            core_reason::INVALID,
            format!(
                "spec.prompt has {} bytes, more than {MAX_PROMPT}. No turn was created. Say it shorter, or in several turns",
                text.len()
            ),
        );
    }
    if let Some((at, bad)) = text.char_indices().find(|(_, c)| is_control(*c)) {
        return no(
            core_reason::INVALID,
            format!(
                "spec.prompt holds the control character U+{:04X} at byte {at}. No turn was created. Remove it",
                u32::from(bad)
            ),
        );
    }
    let hits = secrets::find(text);
    let Some(first) = hits.first() else { return Ok(()) };
    let more = if hits.len() > 1 {
        format!(" and {} more", hits.len() - 1)
    } else {
        String::new()
    };
    no(
        reason::SECRET_FOUND,
        format!(
            "spec.prompt holds a secret: {} at bytes {} to {}{more}. No turn was created and nothing was stored. Take it out (and change it, if others may have seen it); name a Kubernetes Secret instead",
            first.class, first.start, first.end
        ),
    )
}

/// C0 controls and DEL, except what pasted text is made of.
fn is_control(c: char) -> bool {
    c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t')
}

fn form(spec: &ChatRequestSpec) -> Result<(), Refusal> {
    if spec.cancel {
        return Err(Refusal::invalid(
            core_reason::INVALID,
            "spec.cancel is true in a new ChatRequest. No turn was created. Leave it out",
        ));
    }
    if spec.cluster_ref.is_some() {
        return Err(Refusal::invalid(
            core_reason::NOT_SUPPORTED,
            "spec.clusterRef is not supported in this version. No turn was created. Leave it out: the turn is then about the cluster KubeChat runs in",
        ));
    }
    Ok(())
}

fn time(spec: &ChatRequestSpec, requester: &Identity, now: Timestamp) -> Result<(), Refusal> {
    let not_after = spec.not_after.as_ref().map(|time| time.0);
    if let Some(past) = not_after.filter(|at| *at <= now) {
        return Err(Refusal::invalid(
            core_reason::EXPIRED,
            format!("spec.notAfter ({past}) is past. No turn was created. Set a later time, or leave it out"),
        ));
    }
    gitops::ends_in_time(requester, not_after, now).map_err(|why| {
        Refusal::invalid(
            core_reason::NOT_AFTER_REQUIRED,
            format!("{why}. No turn was created. Set it"),
        )
    })
}

async fn scope(state: &State, namespace: &str, spec: &ChatRequestSpec) -> Result<(), Refusal> {
    let Some(scope) = &spec.scope else { return Ok(()) };
    if let Some(bad) = scope
        .namespaces
        .iter()
        .find(|name| *name != "*" && !is_dns_label(name))
    {
        return Err(Refusal::invalid(
            core_reason::INVALID,
            format!(
                "spec.scope.namespaces holds {bad:?}, which is no name of a namespace. No turn was created. Write names, or * for all"
            ),
        ));
    }
    if !scope.cluster_scoped && scope.namespaces.iter().all(|name| name == namespace) {
        return Ok(());
    }
    let api: Api<Namespace> = Api::all(state.client.0.clone());
    let policies = state.effective()?;
    let allowed = match policies {
        Ok(policies) => {
            let found = access::get(&api, namespace).await?;
            found.is_some_and(|found| policies.allows_wide_scope(&found.metadata.labels.unwrap_or_default()))
        }
        Err(_) => false,
    };
    if allowed {
        return Ok(());
    }
    Err(Refusal::forbidden(
        reason::SCOPE_NOT_ALLOWED,
        format!(
            "a turn in namespace {namespace} may only be about {namespace} itself. No turn was created. Ask in the namespace you mean, or in one that a RiskPolicy selects by wideScopeFrom"
        ),
    ))
}

fn is_dns_label(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(good)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// The session must be the requester's own and still take turns. Another's is told apart from none by nothing.
async fn session(
    state: &State,
    namespace: &str,
    spec: &ChatRequestSpec,
    requester: &Identity,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Some(LocalRef { name }) = &spec.session_ref else {
        return Ok(());
    };
    let api: Api<ChatSession> = Api::namespaced(state.client.0.clone(), namespace);
    let found = access::get(&api, name).await?;
    let own = |session: &ChatSession| {
        session
            .spec
            .requester
            .as_ref()
            .is_some_and(|r| r.username == requester.username)
    };
    let Some(session) = found.filter(own) else {
        return Err(Refusal::forbidden(
            reason::SESSION_NOT_FOUND,
            format!(
                "you have no ChatSession {name} in namespace {namespace}. No turn was created. Create one, or leave sessionRef out"
            ),
        ));
    };
    let status = session.status.unwrap_or_default();
    let over = session.spec.closed
        || session.metadata.deletion_timestamp.is_some()
        || matches!(
            status.phase,
            Some(SessionPhase::Expired | SessionPhase::Terminated)
        )
        || status.expires_at.is_some_and(|at| at.0 <= now);
    if over {
        return Err(Refusal::forbidden(
            core_reason::SESSION_CLOSED,
            format!(
                "ChatSession {name} is closed or expired and takes no more turns. No turn was created. Create another session, or leave sessionRef out"
            ),
        ));
    }
    Ok(())
}

async fn provider(state: &State, namespace: &str, wanted: Option<&LocalRef>) -> Result<(), Refusal> {
    let Some(LocalRef { name }) = wanted else {
        return Ok(());
    };
    let api: Api<AIProvider> = Api::all(state.client.0.clone());
    let found = access::get(&api, name).await?;
    let open = |p: &AIProvider| ai_provider::serves(&p.spec, namespace);
    if found.as_ref().is_some_and(open) {
        return Ok(());
    }
    let why = match found {
        Some(_) => format!("AIProvider {name} does not serve namespace {namespace}"),
        None => format!("there is no AIProvider {name}"),
    };
    Err(Refusal::forbidden(
        core_reason::PROVIDER_NOT_ALLOWED,
        format!(
            "{why}. No turn was created. kubectl get aiproviders lists them; without providerRef the built-in rules interpret"
        ),
    ))
}

/// The requester must be allowed to read the plan to be undone; that is asked before whether there is one.
async fn rollback(state: &State, review: &Review, wanted: Option<&LocalRef>) -> Result<(), Refusal> {
    let Some(LocalRef { name }) = wanted else {
        return Ok(());
    };
    let namespace = review.namespace();
    let question = Question {
        verb: "get".to_owned(),
        group: GROUP.to_owned(),
        resource: "commandplans".to_owned(),
        subresource: String::new(),
        namespace: Some(namespace.to_owned()),
        name: Some(name.clone()),
    };
    let api: Api<CommandPlan> = Api::namespaced(state.client.0.clone(), namespace);
    if access::allowed(state, review.user(), &question).await? && access::get(&api, name).await?.is_some() {
        return Ok(());
    }
    Err(Refusal::forbidden(
        reason::ROLLBACK_NOT_ALLOWED,
        format!(
            "spec.rollbackOf names CommandPlan {name}, which you cannot read in namespace {namespace} or which is not there. No turn was created. kubectl get commandplans -n {namespace} lists the plans"
        ),
    ))
}

fn rate(state: &State, requester: &Identity, dry_run: bool) -> Result<(), Refusal> {
    let policies = state.policies()?;
    let limits = policies
        .iter()
        .filter_map(|policy| policy.spec.limits.as_ref()?.turns_per_user_per_minute);
    let Some(limit) = limits.min().and_then(|limit| u32::try_from(limit).ok()) else {
        return Ok(());
    };
    if state
        .turns
        .admit(&requester.username, limit, std::time::Instant::now(), !dry_run)
    {
        return Ok(());
    }
    Err(Refusal::too_many(
        core_reason::LIMIT_EXCEEDED,
        format!(
            "you asked more than {limit} times within a minute (RiskPolicy limits.turnsPerUserPerMinute). No turn was created. Wait a minute and try again"
        ),
    ))
}
