//! A turn whose provider asks a model: its job is begun, waited for, and what it came to is taken up.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kubechat_core::interpret::{self, Earlier, Lexicon};
use kubechat_core::lifecycle::OneShot;
use kubechat_core::models::is_for_the_rules;
use kubechat_core::reason;
use kubechat_crds::{AIProvider, ChatRequest, ChatRequestStatus, RequestPhase};

use super::super::status;
use crate::context::Context;
use crate::error::Error;
use crate::models::{self, Done, Read, Standing, Task};

/// How often a turn whose job is at work is looked at; the job's end is told at once.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What is left of an earlier look at a turn.
pub(super) enum Left {
    /// Its job is at work.
    Wait(Action),
    /// Its status, and what a model made of it, if one was asked.
    Go(Box<ChatRequestStatus>, Option<Read>),
    /// Something stood in its job's way.
    Held(Error),
}

/// Where a turn's interpretation stands.
pub(super) fn left(request: &ChatRequest, ctx: &Context, current: ChatRequestStatus) -> Left {
    let uid = request.uid().unwrap_or_default();
    match ctx.models.standing(&uid) {
        Standing::Running => {
            if request.spec.cancel {
                ctx.models.cancel(&uid);
            }
            Left::Wait(Action::requeue(LOOK_AGAIN))
        }
        Standing::Done(done) => {
            let Done { status, read } = *done;
            Left::Go(Box::new(status), Some(read))
        }
        Standing::Failed(problem) => Left::Held(problem),
        // A model answered and the process ended before the turn went on: only KubeChat writes this status.
        Standing::None => {
            let said = current
                .interpretation
                .as_ref()
                .filter(|said| said.provider != interpret::RULES);
            let read = said.map(|said| Read::Intents(said.intents.clone()));
            Left::Go(Box::new(current), read)
        }
    }
}

/// Who is asked, and what of.
pub(super) struct Asked {
    pub(super) provider: AIProvider,
    pub(super) earlier: Vec<Earlier>,
    pub(super) default_namespace: String,
}

/// Says that a model is asked, and has it asked; `None` where the sentence is for the built-in rules.
pub(super) async fn begin(
    request: &ChatRequest,
    ctx: &Arc<Context>,
    mut new: ChatRequestStatus,
    asked: Asked,
    lexicon: &Lexicon,
) -> Result<Option<Action>, Error> {
    let Asked {
        provider,
        earlier,
        default_namespace,
    } = asked;
    let context = interpret::Context {
        lexicon,
        previous: &earlier,
    };
    let rules = interpret::interpret(&request.spec.prompt, &context);
    if is_for_the_rules(&request.spec.prompt, &rules.interpretation) {
        return Ok(None);
    }
    new.phase = Some(RequestPhase::Interpreting);
    OneShot {
        conditions: &mut new.conditions,
        generation: request.metadata.generation,
        now: Timestamp::now(),
    }
    .working(
        reason::INTERPRETING,
        &format!("AIProvider {} reads the sentence", provider.name_any()),
    );
    status::write(ctx, request, request.status.as_ref(), &new).await?;
    let task = Task {
        request: request.clone(),
        status: new,
        provider,
        rules,
        earlier,
        default_namespace,
    };
    if models::start(ctx, task) {
        return Ok(Some(Action::requeue(LOOK_AGAIN)));
    }
    Err(Error::Dependency {
        reason: reason::LIMIT_EXCEEDED,
        message: "too many turns wait for models".to_owned(),
    })
}
