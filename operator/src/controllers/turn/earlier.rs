//! What a turn may refer to: the few turns of its session before it, and its last plan. A turn that can only be understood
//! with one that is still being read waits for it.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use kubechat_core::interpret::{self, Earlier, Lexicon, MEMORY};
use kubechat_core::reason;
use kubechat_crds::chat_request::{InterpretationStatus, ReadingState};
use kubechat_crds::condition::is_finished;
use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};
use kubechat_crds::{ChatRequest, ChatRequestStatus, ObjectId, RequestPhase};

use super::admit::halt;
use crate::compile::{Halted, History};
use crate::context::Context;
use crate::error::Error;

/// How soon it is looked again whether an earlier turn has been read.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a turn waits for an earlier one to be read: that takes less than a second, unless something is in its way.
const PATIENCE: Duration = Duration::from_secs(15);

/// The turns before one.
#[derive(Debug)]
pub(super) enum Before {
    /// As far as they matter, they have been read.
    Read(History),
    /// It refers to one that has not been read; look again.
    Wait(Duration),
    /// As `Wait`, and it has waited long enough.
    Stuck(Box<Halted>),
}

/// The last turns of the session before this one, of the same person.
pub(super) async fn turns(request: &ChatRequest, ctx: &Context) -> Result<Before, Error> {
    let (history, unread) = gathered(request, ctx);
    if let Some(name) = unread {
        // One that waits behind others is read when they are planned, however long that takes.
        let uid = stored(request, ctx, &name).and_then(|turn| turn.uid());
        if uid.is_some_and(|uid| ctx.past.waits_in_line(&uid)) {
            ctx.talks.waits_anew(request);
        }
        let kinds = ctx.discovery.kinds(&ctx.client).await?;
        if let Some(wait) = waits(request, &name, &kinds.lexicon, || ctx.talks.waited(request)) {
            return Ok(wait);
        }
    }
    Ok(Before::Read(history))
}

/// What the caches show, and the newest turn before this one that has not been read.
fn gathered(request: &ChatRequest, ctx: &Context) -> (History, Option<String>) {
    let names = ctx.talks.before(request, MEMORY);
    let (earlier, unread) = remembered(request, names, |name| stored(request, ctx, name));
    let plan = plan(request, ctx);
    (History { earlier, plan }, unread)
}

/// What the turns of these names asked for, and the newest of them that has not been read. Each is looked up once.
fn remembered(
    request: &ChatRequest,
    names: Vec<String>,
    mut stored: impl FnMut(&str) -> Option<Arc<ChatRequest>>,
) -> (Vec<Earlier>, Option<String>) {
    let (mut earlier, mut unread) = (vec![], None);
    for name in names {
        match stored(&name) {
            Some(turn) if !is_of_same_person(request, &turn) => {}
            // What was said before words that nobody understood is not what words after them mean.
            Some(turn) if is_unclear(&turn) => earlier.clear(),
            Some(turn) if is_read(&turn) => earlier.push(as_data(&turn)),
            // It has not been read, or the cache does not show it yet.
            Some(_) | None => unread = Some(name),
        }
    }
    earlier.extend(selected(request));
    (earlier, unread)
}

/// Whether the turn has to wait for one that has not been read: only where nobody can tell what it means without.
fn waits(
    request: &ChatRequest,
    unread: &str,
    lexicon: &Lexicon,
    waited: impl FnOnce() -> Duration,
) -> Option<Before> {
    let chosen = selected(request);
    let previous = chosen.as_slice();
    let context = interpret::Context { lexicon, previous };
    if request.spec.rollback_of.is_some() || interpret::stands_alone(&request.spec.prompt, &context) {
        return None;
    }
    Some(if waited() < PATIENCE {
        Before::Wait(PAUSE)
    } else {
        Before::Stuck(Box::new(stuck(unread)))
    })
}

fn stuck(name: &str) -> Halted {
    halt(
        RequestPhase::NeedsInput,
        reason::NEEDS_INPUT,
        format!(
            "this turn can only be understood with turn {name} before it, which has not been read yet. Nothing was done. Look at that one (kubechat get {name}), or say the whole request"
        ),
    )
}

/// "that" of "undo that" is the newest plan; while it is under way there is nothing to undo, and an older one is not meant.
fn plan(request: &ChatRequest, ctx: &Context) -> Result<String, String> {
    let turn = ctx
        .talks
        .last_plan(request)
        .and_then(|name| stored(request, ctx, &name))
        .filter(|turn| is_of_same_person(request, turn));
    let status = turn.as_ref().and_then(|turn| turn.status.as_ref());
    let Some((status, plan)) = status.and_then(|s| Some((s, s.plan_ref.as_ref()?))) else {
        return Err(
            "What should be undone? Name the plan: kubechat rollback PLAN (kubechat plans --all lists them)"
                .to_owned(),
        );
    };
    if is_finished(&status.conditions) {
        return Ok(plan.name.clone());
    }
    let turn = turn.as_ref().map(|t| t.name_any()).unwrap_or_default();
    Err(format!(
        "The last change of this session, plan {}, has not ended, so there is nothing to undo yet. Withdraw it: kubechat cancel {turn}",
        plan.name
    ))
}

fn stored(request: &ChatRequest, ctx: &Context, name: &str) -> Option<Arc<ChatRequest>> {
    let namespace = request.namespace().unwrap_or_default();
    let key = ObjectRef::new(name).within(&namespace);
    ctx.stores.requests.get(&key)
}

fn is_of_same_person(request: &ChatRequest, turn: &ChatRequest) -> bool {
    let username = |r: &ChatRequest| r.spec.requester.as_ref().map(|i| i.username.clone());
    username(turn) == username(request)
}

/// What the operator itself knows that a turn asked for. While another process reads it, and where it ended meanwhile, nobody
/// judged what stands there; that one's word counts only once the turn was taken up with it.
fn judged(status: &ChatRequestStatus) -> Option<&InterpretationStatus> {
    let state = status.reading.as_ref().map(|reading| reading.state);
    let is_judged = match state {
        None => true,
        Some(ReadingState::Asked) => false,
        Some(ReadingState::Understood | ReadingState::Rules | ReadingState::Nothing) => {
            status.plan_ref.is_some() || is_finished(&status.conditions)
        }
    };
    status.interpretation.as_ref().filter(|_| is_judged)
}

/// Whether it is known what it asked for, or that nothing comes of it.
fn is_read(turn: &ChatRequest) -> bool {
    turn.status
        .as_ref()
        .is_some_and(|s| judged(s).is_some() || s.plan_ref.is_some() || is_finished(&s.conditions))
}

/// Whether it came to something, or to an end, of which no typed request is known: it was not understood, or what was
/// understood was lost with the process that read it. A plain answer is none of these.
fn is_unclear(turn: &ChatRequest) -> bool {
    let status = turn.status.as_ref().filter(|_| is_read(turn));
    status.is_some_and(|s| {
        let intents = judged(s).map_or(0, |i| i.intents.len());
        let answered = s.phase == Some(RequestPhase::Succeeded) && s.plan_ref.is_none();
        intents == 0 && !answered
    })
}

/// A turn as the interpreter sees it.
fn as_data(turn: &ChatRequest) -> Earlier {
    let Some(status) = &turn.status else {
        return Earlier::default();
    };
    let read = judged(status).cloned().unwrap_or_default();
    Earlier {
        only_asked: read.only_asked,
        candidates: status
            .answer
            .as_ref()
            .filter(|_| status.phase == Some(RequestPhase::NeedsInput))
            .map(|a| a.candidates.clone())
            .unwrap_or_default(),
        intents: read.intents,
    }
}

/// What the person selected, as the newest thing spoken of: "it" and "these" then mean it. Only things of one kind and place
/// can be meant by one word.
fn selected(request: &ChatRequest) -> Option<Earlier> {
    let references = &request.spec.references;
    let first = references.first()?;
    let alike =
        |r: &&ObjectId| r.group == first.group && r.kind == first.kind && r.namespace == first.namespace;
    if !references.iter().all(|r| alike(&r)) {
        return None;
    }
    let target = IntentTarget {
        kind: Some(first.kind.clone()),
        group: Some(first.group.clone()).filter(|g| !g.is_empty()),
        names: references.iter().map(|r| r.name.clone()).collect(),
        namespace: first.namespace.clone(),
        ..IntentTarget::default()
    };
    Some(Earlier::of(vec![Intent {
        action: Action::Get,
        target,
        params: IntentParams::default(),
        confidence: 100,
        span: Span::default(),
    }]))
}

#[cfg(test)]
#[path = "earlier_tests.rs"]
mod tests;
