//! A new turn: who asks, what it means, what becomes of it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use kubechat_audit::{Draft, EventType, Outcome as Recorded};
use kubechat_core::authz::{self, Acting};
use kubechat_core::lifecycle::OneShot;
use kubechat_core::lifecycle::command_plan::{Observed, Verdict, decide};
use kubechat_core::plan::Sidecar;
use kubechat_core::reason;
use kubechat_crds::chat_request::{Answer, InterpretationStatus, PlanRef, RiskSummary};
use kubechat_crds::condition::{set, types};
use kubechat_crds::intent::Intent;
use kubechat_crds::{
    AIProvider, ChatRequest, ChatRequestStatus, ChatSession, CommandPlan, CommandPlanSpec, PlanPhase, RequestPhase, SessionPhase, digest,
};

use super::chat_request::{mirrored, plan_name};
use super::{reference, status};
use crate::audit::{actor, turn_ids};
use crate::cluster::client::call;
use crate::cluster::objects::ClientDebug;
use crate::compile::{self, Bounds, Compiled, Halted, Outcome, Turn};
use crate::context::Context;
use crate::error::Error;

/// Earlier turns of a session whose intents an interpreter sees.
const MEMORY: usize = 5;
/// Plans of a person in the window of `changesPerUserPerHour`.
const WINDOW: Duration = Duration::from_secs(3600);
/// How long a turn that was just handled is not taken again while the cache catches up.
const HANDLED_FOR: Duration = Duration::from_secs(30);

/// Turns handled a moment ago, by UID.
#[derive(Debug, Default)]
pub struct Handled(Mutex<HashMap<String, Instant>>);

impl Handled {
    fn contains(&self, uid: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(uid).is_some_and(|at| at.elapsed() < HANDLED_FOR)
    }

    fn insert(&self, uid: &str) {
        let mut handled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if handled.len() > 10_000 {
            handled.retain(|_, at| at.elapsed() < HANDLED_FOR);
        }
        handled.insert(uid.to_owned(), Instant::now());
    }
}

/// Takes a turn that has no plan and no end yet.
pub(super) async fn take(request: &ChatRequest, ctx: &Context, current: ChatRequestStatus) -> Result<Action, Error> {
    let uid = request.uid().unwrap_or_default();
    if ctx.handled.contains(&uid) {
        return Ok(Action::requeue(HANDLED_FOR));
    }
    ctx.leadership.check()?;
    let began = Timestamp::now();
    let mut new = ChatRequestStatus { observed_generation: request.metadata.generation, ..current };
    new.start_time.get_or_insert(Time(began));
    let result = match admit(request, ctx).await? {
        Err(halted) => end(request, ctx, new, halted).await,
        Ok(admitted) => work(request, ctx, new, admitted, began).await,
    };
    match result {
        Ok(action) => {
            ctx.handled.insert(&uid);
            Ok(action)
        }
        Err(error) => hold(request, ctx, error).await,
    }
}

/// What is known of the asker before the sentence is read.
struct Admitted {
    acting: Acting,
    person: ClientDebug,
    session: Option<std::sync::Arc<ChatSession>>,
}

fn halt(phase: RequestPhase, reason: &'static str, message: impl Into<String>) -> Halted {
    Halted { phase, reason, message: message.into(), answer: None, blocked: None }
}

/// Checks everything that does not depend on the sentence.
async fn admit(request: &ChatRequest, ctx: &Context) -> Result<Result<Admitted, Halted>, Error> {
    let failed = |reason, message: String| Ok(Err(halt(RequestPhase::Failed, reason, message)));
    let stamp = request.spec.requester.as_ref();
    let sealed = ctx.sealed("ChatRequest", "chatrequests", &request.metadata, &request.spec, stamp).await?;
    let Some(who) = stamp.filter(|_| sealed) else {
        return failed(reason::UNTRUSTED_ORIGIN, "the ChatRequest carries no valid seal of KubeChat's webhook, so nobody knows who asked. Nothing was done. Delete it and create it again while the webhook runs".to_owned());
    };
    if request.spec.cancel {
        return Ok(Err(halt(RequestPhase::Cancelled, reason::CANCELLED, "withdrawn before it was begun; nothing was done")));
    }
    if request.spec.not_after.as_ref().is_some_and(|t| t.0 <= Timestamp::now()) {
        return Ok(Err(halt(RequestPhase::Expired, reason::EXPIRED, "the turn was not to be begun after its notAfter; nothing was done. Ask again")));
    }
    if request.spec.cluster_ref.is_some() {
        return failed(reason::NOT_SUPPORTED, "other clusters (clusterRef) are not supported in this version. Nothing was done".to_owned());
    }
    if let Some(problem) = provider(request, ctx).await? {
        return failed(reason::NOT_SUPPORTED, problem);
    }
    let acting = match authz::acting(who) {
        Ok(acting) => acting,
        Err(refused) => return failed(reason::REFUSED_IDENTITY, refused.to_string()),
    };
    let session = match session(request, ctx).await? {
        Ok(session) => session,
        Err(problem) => return failed(reason::SESSION_CLOSED, problem),
    };
    let person = match ctx.people.reader(&acting).await {
        Ok(client) => ClientDebug(client),
        Err(Error::Identity(why)) => return failed(reason::FORBIDDEN, why),
        Err(error) => return Err(error),
    };
    Ok(Ok(Admitted { acting, person, session }))
}

/// Why the named provider cannot interpret, if it cannot.
async fn provider(request: &ChatRequest, ctx: &Context) -> Result<Option<String>, Error> {
    let Some(named) = &request.spec.provider_ref else { return Ok(None) };
    let api: Api<AIProvider> = Api::all(ctx.client.clone());
    match call("read the provider", api.get(&named.name)).await {
        Ok(provider) => Ok(kubechat_core::lifecycle::ai_provider::verdict(&provider.spec).err().map(|(_, message)| format!("AIProvider {}: {message}. Nothing was done", named.name))),
        Err(error) if error.is_not_found() => Ok(Some(format!("there is no AIProvider {}. Nothing was done. Leave providerRef out to use the built-in rules", named.name))),
        Err(error) => Err(error),
    }
}

/// The session of the turn: there, of the same person, and open.
async fn session(request: &ChatRequest, ctx: &Context) -> Result<Result<Option<std::sync::Arc<ChatSession>>, String>, Error> {
    let Some(named) = &request.spec.session_ref else { return Ok(Ok(None)) };
    let namespace = request.namespace().unwrap_or_default();
    let session = match ctx.stores.sessions.get(&ObjectRef::new(&named.name).within(&namespace)) {
        Some(session) => session,
        None => {
            let api: Api<ChatSession> = Api::namespaced(ctx.client.clone(), &namespace);
            match call("read the session", api.get(&named.name)).await {
                Ok(session) => std::sync::Arc::new(session),
                Err(error) if error.is_not_found() => return Ok(Err(format!("there is no ChatSession {} in namespace {namespace}. Nothing was done", named.name))),
                Err(error) => return Err(error),
            }
        }
    };
    let owner = session.spec.requester.as_ref().map(|r| r.username.as_str());
    let sealed = ctx.sealed("ChatSession", "chatsessions", &session.metadata, &session.spec, session.spec.requester.as_ref()).await?;
    if !sealed || owner != request.spec.requester.as_ref().map(|r| r.username.as_str()) {
        return Ok(Err(format!("ChatSession {} is not yours. Nothing was done. Open your own", named.name)));
    }
    let phase = session.status.as_ref().and_then(|s| s.phase);
    if session.spec.closed || matches!(phase, Some(SessionPhase::Expired | SessionPhase::Terminated)) {
        return Ok(Err(format!("ChatSession {} takes no more turns (closed or expired). Nothing was done. Open another one", named.name)));
    }
    Ok(Ok(Some(session)))
}

/// Reads the sentence, compiles it, and reports.
async fn work(request: &ChatRequest, ctx: &Context, mut new: ChatRequestStatus, admitted: Admitted, began: Timestamp) -> Result<Action, Error> {
    let namespace = request.namespace().unwrap_or_default();
    let policies = ctx.policies();
    let kinds = ctx.discovery.kinds(&ctx.client).await?;
    let bounds = Bounds::of(ctx, request, &namespace, &policies).await?;
    let default_namespace = admitted.session.as_ref().and_then(|s| s.spec.defaults.as_ref()?.namespace.clone()).unwrap_or_else(|| namespace.clone());
    if !admitted.acting.dropped.is_empty() {
        let message = format!(
            "KubeChat does not act with {}. Bind the rights you need to you or another group: kubectl create rolebinding NAME --clusterrole=edit --user={} -n {namespace}",
            admitted.acting.dropped.join(", "),
            admitted.acting.username
        );
        set(&mut new.conditions, types::RIGHTS_REDUCED, "True", reason::PRIVILEGED_GROUPS_DROPPED, message, request.metadata.generation, began);
    }
    let (previous, session_plan) = history(request, ctx);
    let turn = Turn {
        ctx,
        request,
        namespace,
        acting: admitted.acting,
        person: admitted.person,
        kinds,
        policies,
        bounds,
        default_namespace,
        now: began,
    };
    let compiled = compile::run(&turn, &previous, session_plan).await?;
    new.interpretation = Some(interpretation(request, &compiled, began));
    match compiled.outcome {
        Outcome::Halt(halted) => end(request, ctx, new, halted).await,
        Outcome::Answer(answer) => {
            record(request, ctx, EventType::DataAccess, "read", Recorded::Success, reason::ANSWERED, &answer.first_line).await?;
            let message = if answer.first_line.is_empty() { "answered".to_owned() } else { answer.first_line.clone() };
            new.answer = Some(answer);
            finish(request, ctx, new, RequestPhase::Succeeded, reason::ANSWERED, &message).await
        }
        Outcome::Plan { spec, sidecars, answer } => {
            if let Some(over) = over_hourly_limit(&turn) {
                return end(request, ctx, new, halt(RequestPhase::Blocked, reason::LIMIT_EXCEEDED, over)).await;
            }
            make_plan(&turn, new, *spec, sidecars, answer).await
        }
    }
}

fn interpretation(request: &ChatRequest, compiled: &Compiled, began: Timestamp) -> InterpretationStatus {
    let took = Timestamp::now().duration_since(began).as_millis();
    InterpretationStatus {
        understood: compiled.understood.clone(),
        intents: compiled.intents.iter().take(64).cloned().collect(),
        provider: "rules".to_owned(),
        confidence: compiled.intents.iter().map(|i| i.confidence).min().unwrap_or(100),
        prompt_digest: digest::digest_of(&request.spec.prompt).map(|d| d.to_string()).unwrap_or_default(),
        duration_ms: i64::try_from(took).ok(),
        ..InterpretationStatus::default()
    }
}

/// Intents of the session's last turns, and its last plan that can be undone.
fn history(request: &ChatRequest, ctx: &Context) -> (Vec<Intent>, Option<String>) {
    let Some(session) = &request.spec.session_ref else { return (vec![], None) };
    let mut turns: Vec<_> = ctx
        .stores
        .requests
        .state()
        .into_iter()
        .filter(|r| {
            r.metadata.namespace == request.metadata.namespace
                && r.spec.session_ref.as_ref() == Some(session)
                && r.uid() != request.uid()
                && r.spec.requester.as_ref().map(|i| &i.username) == request.spec.requester.as_ref().map(|i| &i.username)
        })
        .collect();
    turns.sort_by_key(|r| r.creation_timestamp());
    let plan = turns.iter().rev().find_map(|r| {
        let status = r.status.as_ref()?;
        let done = matches!(status.phase, Some(RequestPhase::Succeeded | RequestPhase::Interrupted | RequestPhase::Failed));
        status.plan_ref.as_ref().filter(|_| done).map(|p| p.name.clone())
    });
    let from = turns.len().saturating_sub(MEMORY);
    let intents = turns.iter().skip(from).filter_map(|r| r.status.as_ref()?.interpretation.as_ref()).flat_map(|i| i.intents.clone()).collect();
    (intents, plan)
}

/// Whether the person has had as many plans this hour as a policy allows.
fn over_hourly_limit(turn: &Turn<'_>) -> Option<String> {
    let limit = turn.policies.as_ref().ok()?.changes_per_user_per_hour()?;
    let since = turn.now.checked_sub(jiff::SignedDuration::try_from(WINDOW).ok()?).ok()?;
    let mine = turn.ctx.stores.plans.state();
    let recent = mine.iter().filter(|p| p.spec.requester.username == turn.acting.username && p.creation_timestamp().is_some_and(|t| t.0 > since));
    let count = i32::try_from(recent.count()).unwrap_or(i32::MAX);
    (count >= limit).then(|| format!("{} has had {count} plans within the hour, the limit is {limit}. No plan was made. Ask later", turn.acting.username))
}

/// Records the plan, keeps its bytes, creates it, and reports that it waits.
async fn make_plan(turn: &Turn<'_>, mut new: ChatRequestStatus, spec: CommandPlanSpec, sidecars: Vec<Sidecar>, answer: Option<Answer>) -> Result<Action, Error> {
    let (request, ctx) = (turn.request, turn.ctx);
    let uid = request.uid().unwrap_or_default();
    for sidecar in sidecars {
        ctx.audit.keep(&uid, &sidecar.digest, sidecar.bytes).await?;
    }
    let name = plan_name(request);
    let mut draft = Draft::new(EventType::CommandGeneration, actor(&spec.requester), "plan", Recorded::Success, "PlanMade");
    draft.ids = turn_ids(request);
    draft.ids.plan = Some(name.clone());
    draft.risk = Some(kubechat_audit::Risk { level: spec.risk.level.as_str().to_owned(), score: u8::try_from(spec.risk.score).unwrap_or(100) });
    draft.target = spec.steps.first().and_then(|s| s.targets.first()).map(crate::audit::target);
    draft.message = spec.steps.first().map(|s| s.command.clone()).unwrap_or_default();
    draft.payload = serde_json::json!({"prompt": request.spec.prompt, "digest": spec.digest, "steps": spec.steps.len()});
    ctx.audit.record(draft).await?;
    let plan = create(request, ctx, &name, spec).await?;
    new.answer = answer;
    report_plan(request, ctx, &plan, new).await
}

/// Creates the plan, or finds the one an earlier try made.
async fn create(request: &ChatRequest, ctx: &Context, name: &str, spec: CommandPlanSpec) -> Result<CommandPlan, Error> {
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
    let params = PostParams { dry_run: false, field_manager: Some(kubechat_crds::FIELD_MANAGER.to_owned()) };
    ctx.leadership.check()?;
    match call("create the plan", api.create(&params, &plan)).await {
        Ok(made) => Ok(made),
        Err(error) if error.status().is_some_and(|s| s.reason == "AlreadyExists") => {
            let found = call("read the plan", api.get(name)).await?;
            if Some(&found.spec.chat_request_ref.uid) == request.uid().as_ref() {
                Ok(found)
            } else {
                Err(Error::Dependency { reason: reason::PROGRESSING, message: format!("another turn's plan {name} is still being removed") })
            }
        }
        Err(error) => Err(error),
    }
}

/// A plan that is there while the turn does not name it yet (the process that made it ended in between).
pub(super) async fn adopt(request: &ChatRequest, ctx: &Context, plan: &CommandPlan, current: ChatRequestStatus) -> Result<Action, Error> {
    if ctx.handled.contains(&request.uid().unwrap_or_default()) {
        return Ok(Action::requeue(Duration::from_secs(1)));
    }
    let new = mirrored(request, plan, current);
    status::write(ctx, request, request.status.as_ref(), &new).await?;
    Ok(Action::await_change())
}

/// Says that the plan waits, in the same words as the plan itself will.
async fn report_plan(request: &ChatRequest, ctx: &Context, plan: &CommandPlan, mut new: ChatRequestStatus) -> Result<Action, Error> {
    let policies = ctx.policies();
    let (verdict, approvals) = decide(&Observed {
        name: &plan.name_any(),
        namespace: &plan.namespace().unwrap_or_default(),
        plan: &plan.spec,
        approvals: &[],
        policies: policies.as_ref(),
        cancelled: false,
        stamped: request.creation_timestamp().map_or_else(Timestamp::now, |t| t.0),
        not_after: request.spec.not_after.as_ref().map(|t| t.0),
        now: Timestamp::now(),
    });
    new.plan_ref = Some(PlanRef { name: plan.name_any(), digest: plan.spec.digest.clone() });
    new.risk = Some(RiskSummary { level: plan.spec.risk.level, score: plan.spec.risk.score });
    new.approvals = Some(approvals);
    let now = Timestamp::now();
    let mut shot = OneShot { conditions: &mut new.conditions, generation: request.metadata.generation, now };
    match verdict {
        Verdict::Wait { reason, message } => {
            shot.awaiting(reason, &message);
            new.phase = Some(kubechat_core::lifecycle::chat_request::phase_of(PlanPhase::AwaitingApproval));
            ctx.events.tell(reference(request), false, reason, &message);
        }
        Verdict::PlanOnly | Verdict::Go | Verdict::End(_) => {
            shot.working(reason::PROGRESSING, "the plan is made; what becomes of it stands in the plan");
            new.phase = Some(RequestPhase::Planning);
        }
    }
    status::write(ctx, request, request.status.as_ref(), &new).await?;
    Ok(Action::await_change())
}

/// Ends a turn that gets no plan. What KubeChat refused is recorded.
async fn end(request: &ChatRequest, ctx: &Context, mut new: ChatRequestStatus, halted: Halted) -> Result<Action, Error> {
    let Halted { phase, reason, message, answer, blocked } = halted;
    let refused = matches!(phase, RequestPhase::Failed | RequestPhase::Blocked | RequestPhase::Expired | RequestPhase::Cancelled);
    let outcome = if refused { Recorded::Denied } else { Recorded::Success };
    let event = if reason == reason::FORBIDDEN { EventType::PermissionCheck } else { EventType::CommandGeneration };
    record(request, ctx, event, "plan", outcome, reason, &message).await?;
    new.answer = answer;
    new.blocked = blocked;
    finish(request, ctx, new, phase, reason, &message).await
}

async fn finish(request: &ChatRequest, ctx: &Context, mut new: ChatRequestStatus, phase: RequestPhase, why: &str, message: &str) -> Result<Action, Error> {
    let now = Timestamp::now();
    new.phase = Some(phase);
    new.completion_time = Some(Time(now));
    let succeeded = phase == RequestPhase::Succeeded;
    let mut shot = OneShot { conditions: &mut new.conditions, generation: request.metadata.generation, now };
    if why == reason::UNTRUSTED_ORIGIN {
        shot.stalled(why, message);
    } else {
        shot.finish(succeeded, why, message);
    }
    status::write(ctx, request, request.status.as_ref(), &new).await?;
    ctx.metrics.end("ChatRequest", why);
    if !succeeded {
        ctx.events.tell(reference(request), phase != RequestPhase::NeedsInput, why, message);
    }
    Ok(Action::await_change())
}

async fn record(request: &ChatRequest, ctx: &Context, event: EventType, verb: &str, outcome: Recorded, why: &str, message: &str) -> Result<(), Error> {
    let who = request.spec.requester.clone().unwrap_or_default();
    let mut draft = Draft::new(event, actor(&who), verb, outcome, why);
    draft.ids = turn_ids(request);
    draft.message = message.to_owned();
    draft.impersonated = event == EventType::DataAccess;
    draft.payload = serde_json::json!({"prompt": request.spec.prompt});
    ctx.audit.record(draft).await?;
    Ok(())
}

/// Something stands in the way: said in the status, and tried again.
async fn hold(request: &ChatRequest, ctx: &Context, error: Error) -> Result<Action, Error> {
    if matches!(error, Error::Audit(_) | Error::Dependency { .. }) {
        let mut new = request.status.clone().unwrap_or_default();
        new.observed_generation = request.metadata.generation;
        new.phase = Some(RequestPhase::Pending);
        OneShot { conditions: &mut new.conditions, generation: request.metadata.generation, now: Timestamp::now() }
            .working(error.reason(), &format!("not begun yet: {error}. It is tried again"));
        status::write(ctx, request, request.status.as_ref(), &new).await?;
    }
    Err(error)
}
