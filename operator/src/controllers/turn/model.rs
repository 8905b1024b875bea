//! A turn whose provider asks a model: its job is begun, waited for, and what it came to is taken up.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kubechat_core::interpret::{self, Earlier, Lexicon};
use kubechat_core::lifecycle::OneShot;
use kubechat_core::models::clerk::is_open;
use kubechat_core::models::is_for_the_rules;
use kubechat_core::reason;
use kubechat_crds::chat_request::{Reading, ReadingState};
use kubechat_crds::{AIProvider, ChatRequest, ChatRequestStatus, RequestPhase};

use super::super::status::{self, Written};
use crate::context::Context;
use crate::error::Error;
use crate::models::{self, Done, Read, Standing, Task};

/// How often a turn whose job is at work is looked at; the job's end is told at once.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How long another process may take over a turn; its own limit is shorter.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

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
    if let Some(reading) = current.reading.clone() {
        let (current, read) = if ctx.models.is_elsewhere() {
            elsewhere(request, &reading, current)
        } else {
            // It was begun when another process asked models. What that one says is not taken up: it is asked again.
            let fresh = ChatRequestStatus {
                reading: None,
                interpretation: None,
                ..current
            };
            (fresh, None)
        };
        return Left::Go(Box::new(current), read);
    }
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

/// What another process made of a sentence, `None` while it is at it; and the status, with nothing of what that one says but
/// what it understood, in this one's words.
fn elsewhere(
    request: &ChatRequest,
    reading: &Reading,
    mut current: ChatRequestStatus,
) -> (ChatRequestStatus, Option<Read>) {
    let said = current.interpretation.take();
    let read = match reading.state {
        ReadingState::Asked => None,
        ReadingState::Rules => Some(Read::Rules),
        // An answer whose call has no end is none.
        ReadingState::Understood if current.outbound.iter().any(is_open) => Some(models::nothing(
            "The process that asked the model did not say what became of its call",
        )),
        ReadingState::Understood => said.map(|said| {
            let said = models::retold(&request.spec.prompt, reading, said);
            let intents = said.intents.clone();
            current.interpretation = Some(said);
            Read::Intents(intents)
        }),
        ReadingState::Nothing => Some(models::nothing(
            reading.message.as_deref().unwrap_or("No model answered"),
        )),
    };
    (current, read)
}

/// The status with nothing of what another process says but what it understood, in this one's words.
pub(super) fn in_own_words(request: &ChatRequest, current: ChatRequestStatus) -> ChatRequestStatus {
    match current.reading.clone() {
        Some(reading) => elsewhere(request, &reading, current).0,
        None => current,
    }
}

/// Does the operator's part for a turn that another process reads: what it intends is recorded, and nothing it says is used
/// before what became of its calls is recorded too. `None` when nothing is owed and it has ended.
pub(super) async fn attend(
    request: &ChatRequest,
    ctx: &Context,
    current: &ChatRequestStatus,
    read: Option<&Read>,
) -> Result<Option<Action>, Error> {
    let Some(_) = current.reading.as_ref().filter(|_| ctx.models.is_elsewhere()) else {
        return Ok(None);
    };
    let new = models::of_turn(ctx, request, current).await?;
    if new != *current {
        if status::write_onto(ctx, request, Some(current), &new).await? == Written::Gone {
            models::forget(ctx, request, &new).await?;
        }
        // The interpreter goes on by what it sees in the status.
        return Ok(Some(Action::requeue(LOOK_AGAIN)));
    }
    let began = current.start_time.as_ref().map_or_else(Timestamp::now, |t| t.0);
    let late = Timestamp::now().duration_since(began) > PATIENCE;
    if read.is_some() {
        return Ok(None);
    }
    if late {
        // Not by a clock that is not the API server's.
        ctx.admission.check(ctx).await?;
        return Ok(None);
    }
    Ok(Some(Action::requeue(LOOK_AGAIN)))
}

/// Says that nobody reads what models are to read.
pub(super) fn unattended() -> Read {
    models::nothing(
        "No interpreter process (kubechat interpreter) asked the provider in time. Tell whoever runs KubeChat, or leave providerRef out to use the built-in rules",
    )
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
    if ctx.models.is_elsewhere() {
        new.reading = Some(Reading {
            state: ReadingState::Asked,
            provider: provider.name_any(),
            namespace: default_namespace,
            message: None,
        });
        status::write(ctx, request, request.status.as_ref(), &new).await?;
        return Ok(Some(Action::requeue(LOOK_AGAIN)));
    }
    status::write(ctx, request, request.status.as_ref(), &new).await?;
    let task = Task {
        request: request.clone(),
        status: new,
        provider,
        rules,
        earlier,
        default_namespace,
    };
    if models::start(&ctx.models, task) {
        return Ok(Some(Action::requeue(LOOK_AGAIN)));
    }
    Err(Error::Dependency {
        reason: reason::LIMIT_EXCEEDED,
        message: "too many turns wait for models".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::process::{Fuse, World};

    fn read(state: &str) -> ChatRequest {
        serde_json::from_value(json!({
            "apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequest",
            "metadata": {"name": "ask", "namespace": "demo", "uid": "u1"},
            "spec": {"prompt": "show me the pods"},
            "status": {
                "reading": {"state": state, "provider": "small", "namespace": "demo"},
                "interpretation": {"understood": "harmless", "provider": "rules", "onlyAsked": true,
                    "confidence": 1, "promptDigest": "sha256:00",
                    "intents": [{"action": "list", "target": {"kind": "Pod"}, "params": {}, "confidence": 90,
                        "span": {"start": 0, "end": 1}}]},
            },
        }))
        .unwrap()
    }

    async fn left_of(state: &str, apart: bool) -> (ChatRequestStatus, Option<Read>) {
        let mut world = World::new();
        world.elsewhere = apart;
        let process = world.start(Fuse::long()).await;
        let turn = read(state);
        match left(&turn, &process.ctx, turn.status.clone().unwrap()) {
            Left::Go(status, read) => (*status, read),
            Left::Wait(_) | Left::Held(_) => panic!("{state}"),
        }
    }

    #[tokio::test]
    async fn what_another_process_says_of_a_turn_is_retold_and_only_where_that_one_is_to_ask() {
        for (state, apart, taken) in [
            ("Understood", true, true),
            ("Asked", true, false),
            ("Nothing", true, false),
            ("Rules", true, false),
            ("Understood", false, false),
        ] {
            let (status, read) = left_of(state, apart).await;
            assert_eq!(matches!(read, Some(Read::Intents(_))), taken, "{state} {apart}");
            assert_eq!(status.interpretation.is_some(), taken, "{state} {apart}");
            assert_eq!(status.reading.is_some(), apart, "{state}");
            if let Some(said) = status.interpretation {
                assert_ne!(said.understood, "harmless");
                assert_eq!((said.provider.as_str(), said.only_asked), ("small", false));
            }
            assert_eq!(
                read.is_none(),
                state == "Asked" || !apart,
                "it is asked, or asked again: {state} {apart}"
            );
        }
    }
}
