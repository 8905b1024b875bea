//! A new turn: who asks, what it means, what becomes of it.

mod admit;
mod earlier;
mod model;
mod plan;
mod report;

pub(super) use plan::{adopt, told};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
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

use crate::compile::dry_run::is_modified;
use crate::compile::{self, Bounds, Compiled, History, OUT_OF_SCOPE, Outcome, Turn};
use crate::context::Context;
use crate::error::Error;
use crate::models::{self, Done, Read};
use crate::past::Standing;

use admit::{Admitted, admit, halt};
use earlier::Before;
use plan::make_plan;
use report::{end, finish, hold, record};
/// How often a turn is compiled anew because its objects changed meanwhile.
const CONFLICTS: u32 = 5;
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
    ctx: &Arc<Context>,
    current: ChatRequestStatus,
) -> Result<Action, Error> {
    let uid = request.uid().unwrap_or_default();
    if ctx.handled.contains(&uid) {
        return Ok(Action::requeue(HANDLED_FOR));
    }
    // Taken before anything is read again; a turn that is withdrawn waits for nobody.
    let _hour = match ctx.past.in_line(&uid) {
        Standing::InLine if !request.spec.cancel => return Err(Error::InLine),
        Standing::InLine | Standing::Free => None,
        Standing::Next(hour) => Some(hour),
    };
    let (current, read) = match model::left(request, ctx, current) {
        model::Left::Wait(action) => return Ok(action),
        model::Left::Held(problem) => return hold(request, ctx, problem).await,
        model::Left::Go(current, read) => (*current, read),
    };
    // What another process reads stands in the status.
    let apart = current.reading.is_some();
    let kept = read.clone().filter(|_| !apart).map(|read| Done {
        status: current.clone(),
        read,
    });
    let admitted = match ctx.leadership.check() {
        Ok(()) => admit(request, ctx).await,
        Err(error) => Err(error),
    };
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(error) => {
            ctx.models.keep(&uid, kept);
            return match error {
                Error::NotLeader => Err(error),
                error => hold(request, ctx, error).await,
            };
        }
    };
    let read = if admitted.is_err() {
        read
    } else {
        let attended = match model::attend(request, ctx, &current, read.as_ref()).await {
            Err(error @ Error::Dependency { .. }) => return hold(request, ctx, error).await,
            attended => attended?,
        };
        match attended {
            Some(wait) => return Ok(wait),
            None if read.is_none() && current.reading.is_some() && ctx.models.is_elsewhere() => {
                Some(model::unattended())
            }
            None => read,
        }
    };
    let began = Timestamp::now();
    let mut new = ChatRequestStatus {
        observed_generation: request.metadata.generation,
        // What comes in has come in.
        partial: None,
        ..current
    };
    new.start_time.get_or_insert(Time(began));
    let unread = |mut new: ChatRequestStatus| {
        // Nobody judged what another process says that it means, and nobody will.
        if apart {
            new.interpretation = None;
        }
        new
    };
    let result = match admitted {
        Err(halted) => end(request, ctx, unread(new), halted).await,
        Ok(admitted) => match earlier::turns(request, ctx).await {
            Ok(Before::Wait(pause)) => {
                ctx.models.keep(&uid, kept);
                return Ok(Action::requeue(pause));
            }
            Ok(Before::Stuck(halted)) => end(request, ctx, unread(new), *halted).await,
            Ok(Before::Read(past)) => match work(request, ctx, new, admitted, past, began, read).await {
                Ok(Step::Rests(action)) => Ok(action),
                Ok(Step::Interprets(action)) => return Ok(action),
                Err(error) => Err(error),
            },
            Err(error) => {
                ctx.models.keep(&uid, kept);
                return Err(error);
            }
        },
    };
    match result {
        Ok(action) => {
            ctx.handled.insert(&uid);
            ctx.past.leave_line(&uid);
            Ok(action)
        }
        Err(Error::InLine) => {
            ctx.models.keep(&uid, kept);
            Err(Error::InLine)
        }
        Err(error) if changes_all_the_time(request, ctx, &error) => {
            let message = format!(
                "what was to be changed was changed by others whenever it was looked at: {error}. Nothing was done. Ask again when less is going on, or for fewer objects at a time"
            );
            let new = request.status.clone().unwrap_or_default();
            let halted = halt(RequestPhase::Failed, reason::DRY_RUN_FAILED, message);
            let ended = end(request, ctx, unread(new), halted).await?;
            ctx.handled.insert(&uid);
            ctx.past.leave_line(&uid);
            Ok(ended)
        }
        Err(error) => {
            // The model is not asked again for what stands in the way of something else.
            ctx.models.keep(&uid, kept);
            hold(request, ctx, error).await
        }
    }
}

/// Whether a dry-run met a newer version of its object again and again. A write of a status may too, of which that is not true.
fn changes_all_the_time(request: &ChatRequest, ctx: &Context, error: &Error) -> bool {
    let own = |status: &kube::core::Status| status.message.contains(kubechat_crds::GROUP);
    let modified = error.status().is_some_and(|s| is_modified(s) && !own(s));
    modified && super::tries(ctx, "ChatRequest", request) >= CONFLICTS
}

/// How far a look at a turn came.
enum Step {
    /// It has its end or its plan.
    Rests(Action),
    /// A model is asked.
    Interprets(Action),
}

/// Reads the sentence, compiles it, and reports.
async fn work(
    request: &ChatRequest,
    ctx: &Arc<Context>,
    mut new: ChatRequestStatus,
    admitted: Admitted,
    past: History,
    began: Timestamp,
    read: Option<Read>,
) -> Result<Step, Error> {
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
    let given = match (admitted.provider, read) {
        // An undo has nothing to be read.
        (None, _) | (Some(_), Some(Read::Rules)) => None,
        (Some(_), _) if request.spec.rollback_of.is_some() => None,
        (Some(provider), Some(Read::Intents(intents))) => {
            let said = models::Sentence {
                prompt: &request.spec.prompt,
                lexicon: &kinds.lexicon,
                earlier: &past.earlier,
                namespaces: [&default_namespace, &namespace],
            };
            let by = new.interpretation.as_ref().map(|said| said.provider.clone());
            let by = by.unwrap_or_else(|| provider.name_any());
            match models::refused(said, &by, &intents).map(|why| models::nothing(&why)) {
                Some(Read::Nothing(halted)) => {
                    new.interpretation = None;
                    return end(request, ctx, new, *halted).await.map(Step::Rests);
                }
                Some(Read::Intents(_) | Read::Rules) | None => Some(intents),
            }
        }
        (Some(_), Some(Read::Nothing(halted))) => {
            return end(request, ctx, new, *halted).await.map(Step::Rests);
        }
        (Some(provider), None) => {
            let asked = model::Asked {
                provider,
                earlier: past.earlier.clone(),
                default_namespace: default_namespace.clone(),
            };
            match model::begin(request, ctx, new.clone(), asked, &kinds.lexicon).await? {
                Some(asks) => return Ok(Step::Interprets(asks)),
                None => None,
            }
        }
    };
    let by_model = given.is_some();
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
        given,
        session: admitted.session,
        now: began,
        hour: OnceLock::new(),
    };
    let mut compiled = compile::run(&turn, &past).await?;
    let outside = matches!(&compiled.outcome, Outcome::Halt(halted) if halted.reason == OUT_OF_SCOPE);
    if outside && request.spec.scope.is_none() {
        // Whether a policy would let it ask for more decides between a suggestion and a refusal.
        turn.bounds = Bounds::of(ctx, request, &turn.namespace, &turn.policies).await?;
        compiled = compile::run(&turn, &past).await?;
    }
    if !by_model {
        new.interpretation = Some(interpretation(request, &compiled, began));
    } else if let Some(said) = &mut new.interpretation {
        let since = new.start_time.as_ref().map_or(began, |t| t.0);
        said.duration_ms = i64::try_from(Timestamp::now().duration_since(since).as_millis()).ok();
    }
    compiled_to(&turn, new, compiled.outcome).await.map(Step::Rests)
}

/// Reports what the sentence came to.
async fn compiled_to(turn: &Turn<'_>, mut new: ChatRequestStatus, outcome: Outcome) -> Result<Action, Error> {
    let (request, ctx) = (turn.request, turn.ctx);
    match outcome {
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
            if let Some(over) = over_hourly_limit(turn) {
                return end(
                    request,
                    ctx,
                    new,
                    halt(RequestPhase::Blocked, reason::LIMIT_EXCEEDED, over),
                )
                .await;
            }
            make_plan(turn, new, *spec, sidecars, answer).await
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
    let mut recent = turn.ctx.plans_within_the_hour(&turn.acting.username, turn.now);
    // An earlier try of this turn may have made its plan.
    let own = turn.request.metadata.uid.as_deref().unwrap_or_default();
    recent.retain(|past| past.turn != own);
    // One that waited for longer and was begun within the hour was not had in it.
    let new = recent.iter().filter(|past| past.is_new(turn.now));
    let all = new.map(|past| past.sum().plans);
    let count = i32::try_from(all.fold(0, usize::saturating_add)).unwrap_or(i32::MAX);
    (count >= limit).then(|| {
        format!(
            "{} has had {count} plans within the hour, the limit is {limit}. No plan was made. Ask later",
            turn.acting.username
        )
    })
}

#[cfg(test)]
mod line_tests;
