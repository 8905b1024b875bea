//! A new turn: who asks, what it means, what becomes of it.

mod admit;
mod earlier;
mod plan;
mod report;

pub(super) use plan::{adopt, told};

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kubechat_audit::{EventType, Outcome as Recorded};
use kubechat_core::{interpret, reason};
use kubechat_crds::chat_request::InterpretationStatus;
use kubechat_crds::condition::{set, types};
use kubechat_crds::{ChatRequest, ChatRequestStatus, RequestPhase, digest};

use crate::compile::{self, Bounds, Compiled, History, OUT_OF_SCOPE, Outcome, Turn};
use crate::context::Context;
use crate::error::Error;

use admit::{Admitted, admit, halt};
use earlier::Before;
use plan::make_plan;
use report::{end, finish, hold, record};
/// How long a turn that was just handled is not taken again while the cache catches up.
const HANDLED_FOR: Duration = Duration::from_secs(30);

/// Turns, decisions and ends of plans handled a moment ago, by UID: the cache may not show it yet.
#[derive(Debug, Default)]
pub struct Handled(Mutex<HashMap<String, Instant>>);

impl Handled {
    pub(crate) fn contains(&self, uid: &str) -> bool {
        self.within(uid, HANDLED_FOR)
    }

    /// Whether it was handled no longer ago than this.
    pub(crate) fn within(&self, uid: &str, time: Duration) -> bool {
        let handled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        handled.get(uid).is_some_and(|at| at.elapsed() < time)
    }

    pub(crate) fn insert(&self, uid: &str) {
        let mut handled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if handled.len() > 10_000 {
            handled.retain(|_, at| at.elapsed() < HANDLED_FOR);
        }
        handled.insert(uid.to_owned(), Instant::now());
    }
}

/// Takes a turn that has no plan and no end yet.
pub(super) async fn take(
    request: &ChatRequest,
    ctx: &Context,
    current: ChatRequestStatus,
) -> Result<Action, Error> {
    let uid = request.uid().unwrap_or_default();
    if ctx.handled.contains(&uid) {
        return Ok(Action::requeue(HANDLED_FOR));
    }
    ctx.leadership.check()?;
    let began = Timestamp::now();
    let mut new = ChatRequestStatus {
        observed_generation: request.metadata.generation,
        ..current
    };
    new.start_time.get_or_insert(Time(began));
    let result = match admit(request, ctx).await? {
        Err(halted) => end(request, ctx, new, halted).await,
        Ok(admitted) => match earlier::turns(request, ctx).await? {
            Before::Wait(pause) => return Ok(Action::requeue(pause)),
            Before::Stuck(halted) => end(request, ctx, new, *halted).await,
            Before::Read(past) => work(request, ctx, new, admitted, past, began).await,
        },
    };
    match result {
        Ok(action) => {
            ctx.handled.insert(&uid);
            Ok(action)
        }
        Err(error) => hold(request, ctx, error).await,
    }
}

/// Reads the sentence, compiles it, and reports.
async fn work(
    request: &ChatRequest,
    ctx: &Context,
    mut new: ChatRequestStatus,
    admitted: Admitted,
    past: History,
    began: Timestamp,
) -> Result<Action, Error> {
    let namespace = request.namespace().unwrap_or_default();
    let policies = ctx.policies();
    let kinds = ctx.discovery.kinds(&ctx.client).await?;
    // Only a turn that asks for more than its own namespace is about the namespace's labels.
    let bounds = match request.spec.scope {
        Some(_) => Bounds::of(ctx, request, &namespace, &policies).await?,
        None => Bounds::own(&namespace),
    };
    let default_namespace = admitted
        .session
        .as_ref()
        .and_then(|s| s.spec.defaults.as_ref()?.namespace.clone())
        .unwrap_or_else(|| namespace.clone());
    if !admitted.acting.dropped.is_empty() {
        let message = format!(
            "KubeChat does not act with {}. Bind the rights you need to you or another group: kubectl create rolebinding NAME --clusterrole=edit --user={} -n {namespace}",
            admitted.acting.dropped.join(", "),
            admitted.acting.username
        );
        set(
            &mut new.conditions,
            types::RIGHTS_REDUCED,
            "True",
            reason::PRIVILEGED_GROUPS_DROPPED,
            message,
            request.metadata.generation,
            began,
        );
    }
    let mut turn = Turn {
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
    let mut compiled = compile::run(&turn, &past).await?;
    let outside = matches!(&compiled.outcome, Outcome::Halt(halted) if halted.reason == OUT_OF_SCOPE);
    if outside && request.spec.scope.is_none() {
        // Whether a policy would let it ask for more decides between a suggestion and a refusal.
        turn.bounds = Bounds::of(ctx, request, &turn.namespace, &turn.policies).await?;
        compiled = compile::run(&turn, &past).await?;
    }
    new.interpretation = Some(interpretation(request, &compiled, began));
    match compiled.outcome {
        Outcome::Halt(halted) => end(request, ctx, new, halted).await,
        Outcome::Answer(answer) => {
            record(
                request,
                ctx,
                EventType::DataAccess,
                "read",
                Recorded::Success,
                reason::ANSWERED,
                &answer.first_line,
            )
            .await?;
            let message = if answer.first_line.is_empty() {
                "answered".to_owned()
            } else {
                answer.first_line.clone()
            };
            new.answer = Some(answer);
            finish(
                request,
                ctx,
                new,
                RequestPhase::Succeeded,
                reason::ANSWERED,
                &message,
            )
            .await
        }
        Outcome::Plan {
            spec,
            sidecars,
            answer,
        } => {
            if let Some(over) = over_hourly_limit(&turn) {
                return end(
                    request,
                    ctx,
                    new,
                    halt(RequestPhase::Blocked, reason::LIMIT_EXCEEDED, over),
                )
                .await;
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
        only_asked: compiled.only_asked,
        provider: interpret::RULES.to_owned(),
        confidence: compiled.intents.iter().map(|i| i.confidence).min().unwrap_or(100),
        prompt_digest: digest::digest_of(&request.spec.prompt)
            .map(|d| d.to_string())
            .unwrap_or_default(),
        duration_ms: i64::try_from(took).ok(),
        ..InterpretationStatus::default()
    }
}

/// Whether the person has had as many plans this hour as a policy allows; those that were removed since are among them.
fn over_hourly_limit(turn: &Turn<'_>) -> Option<String> {
    let limit = turn.policies.as_ref().ok()?.changes_per_user_per_hour()?;
    let recent = turn.ctx.plans_within_the_hour(&turn.acting.username, turn.now);
    let count = i32::try_from(recent.len()).unwrap_or(i32::MAX);
    (count >= limit).then(|| {
        format!(
            "{} has had {count} plans within the hour, the limit is {limit}. No plan was made. Ask later",
            turn.acting.username
        )
    })
}
