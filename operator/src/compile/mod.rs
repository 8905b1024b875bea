//! From intents to an answer or a plan: names, rights, dry-run and diff against the cluster, as the requester.
//!
//! **Invariant:** nothing here changes the cluster; every read and dry-run goes through the requester's client. What a step
//! is and how dangerous, `kubechat_core` decides.

mod adopts;
mod answer;
mod apply;
mod beside;
pub mod blast;
mod blast_answer;
mod blast_kinds;
mod change;
mod drain;
pub(crate) mod dry_run;
pub mod facts;
mod reads;
pub(crate) mod records;
mod resolve;
mod rollback;
mod scope;
mod selected;

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use kubechat_core::authz::Acting;
use kubechat_core::interpret::{self, Earlier, Interpretation, Understood};
use kubechat_core::plan::{Refusal, Sidecar};
use kubechat_core::policy::{Effective, PolicyProblem};
use kubechat_core::reason;
use kubechat_crds::chat_request::{Answer, Blocked};
use kubechat_crds::intent::Intent;
use kubechat_crds::{ChatRequest, ChatSession, CommandPlanSpec, RequestPhase, condition};

use crate::cluster::discovery::Kinds;
use crate::cluster::objects::ClientDebug;
use crate::context::Context;
use crate::error::Error;
use crate::past::Hour;
pub use answer::{needs_input, text};
pub use scope::{Bounds, OUT_OF_SCOPE};

/// One turn being worked on.
pub struct Turn<'a> {
    /// Shared things.
    pub ctx: &'a Context,
    /// The turn.
    pub request: &'a ChatRequest,
    /// Its namespace.
    pub namespace: String,
    /// The person as KubeChat acts as him.
    pub acting: Acting,
    /// Client of the person.
    pub person: ClientDebug,
    /// Kinds of the cluster.
    pub kinds: Arc<Kinds>,
    /// Policies in force, or why they are not.
    pub policies: Result<Effective, PolicyProblem>,
    /// What the turn may touch.
    pub bounds: Bounds,
    /// Namespace that names without one mean.
    pub default_namespace: String,
    /// What a model understood; without it the built-in rules read the sentence.
    pub given: Option<Vec<Intent>>,
    /// The session it is of.
    pub session: Option<Arc<ChatSession>>,
    /// Now.
    pub now: Timestamp,
    /// The person's hour, once it was read: nobody else adds to it before this turn has its plan or its end.
    pub hour: OnceLock<Hour>,
}

/// What a turn came to.
#[derive(Debug)]
pub struct Compiled {
    /// What was understood, in one sentence.
    pub understood: String,
    /// The typed intents.
    pub intents: Vec<Intent>,
    /// It only asked what they would do.
    pub only_asked: bool,
    /// The outcome.
    pub outcome: Outcome,
}

/// Where a turn ends, or goes on.
#[derive(Debug)]
pub enum Outcome {
    /// An answer, and nothing else.
    Answer(Answer),
    /// A plan, perhaps beside an answer.
    Plan {
        /// The plan, complete with digest.
        spec: Box<CommandPlanSpec>,
        /// Bytes to keep beside it.
        sidecars: Vec<Sidecar>,
        /// Answer to the reads of the same prompt.
        answer: Option<Answer>,
    },
    /// It ends without a plan.
    Halt(Halted),
}

/// A turn that ends without a plan.
#[derive(Clone, Debug)]
pub struct Halted {
    /// Phase.
    pub phase: RequestPhase,
    /// Reason constant.
    pub reason: &'static str,
    /// What happened and what to do.
    pub message: String,
    /// Candidates, suggestion.
    pub answer: Option<Answer>,
    /// The policy that blocked it.
    pub blocked: Option<Blocked>,
}

/// Why compiling stopped: the turn ends, or it is tried again.
#[derive(Debug)]
pub enum Stop {
    /// It ends.
    Halt(Box<Halted>),
    /// Tried again.
    Retry(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match &error {
            Error::Identity(message) => Self::failed(reason::FORBIDDEN, message.clone()),
            Error::Invalid(message) => Self::failed(reason::INVALID, message.clone()),
            _ => match error.status().map(|s| s.code) {
                Some(403) => Self::failed(
                    reason::FORBIDDEN,
                    format!(
                        "{error}. Nothing was done. Ask for that right, or ask about something you may see"
                    ),
                ),
                _ => Self::Retry(error),
            },
        }
    }
}

impl Stop {
    /// Ends as Failed.
    pub fn failed(reason: &'static str, message: impl Into<String>) -> Self {
        Self::halt(RequestPhase::Failed, reason, message.into(), None)
    }

    /// Ends as NeedsInput.
    pub fn needs_input(message: impl Into<String>, candidates: Vec<String>) -> Self {
        let message = message.into();
        let answer = needs_input(&message, candidates);
        Self::halt(
            RequestPhase::NeedsInput,
            reason::NEEDS_INPUT,
            message,
            Some(answer),
        )
    }

    /// Ends as Blocked.
    pub fn blocked(reason: &'static str, policy: &str, rule: &str, message: impl Into<String>) -> Self {
        Self::Halt(Box::new(Halted {
            phase: RequestPhase::Blocked,
            reason,
            message: message.into(),
            answer: None,
            blocked: Some(Blocked {
                policy: policy.to_owned(),
                rule: rule.to_owned(),
            }),
        }))
    }

    fn halt(phase: RequestPhase, reason: &'static str, message: String, answer: Option<Answer>) -> Self {
        Self::Halt(Box::new(Halted {
            phase,
            reason,
            message,
            answer,
            blocked: None,
        }))
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NeedsInput { message, candidates } => Self::needs_input(message, candidates),
            Refusal::Invalid(message) => {
                Self::failed(reason::INVALID, format!("{message}. Nothing was done"))
            }
            Refusal::Nothing(message) => {
                let answer = text(&message);
                Self::Halt(Box::new(Halted {
                    phase: RequestPhase::Succeeded,
                    reason: reason::ANSWERED,
                    message,
                    answer: Some(answer),
                    blocked: None,
                }))
            }
        }
    }
}

/// What a turn may refer to.
#[derive(Clone, Debug)]
pub struct History {
    /// The last turns of the session, newest last.
    pub earlier: Vec<Earlier>,
    /// The plan that "undo that" means, or why there is none.
    pub plan: Result<String, String>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            earlier: vec![],
            plan: Err(String::new()),
        }
    }
}

/// Interprets and compiles a turn.
///
/// # Errors
/// Only what is worth trying again; everything else is an [`Outcome::Halt`].
pub async fn run(turn: &Turn<'_>, history: &History) -> Result<Compiled, Error> {
    let mut understood = String::new();
    let (mut intents, mut only_asked) = (vec![], false);
    let kept = (&mut intents, &mut only_asked);
    let outcome = match work(turn, history, &mut understood, kept).await {
        Ok(outcome) => outcome,
        Err(Stop::Halt(halted)) => Outcome::Halt(*halted),
        Err(Stop::Retry(error)) => return Err(error),
    };
    Ok(Compiled {
        understood: condition::clip(understood, 2000),
        intents,
        only_asked,
        outcome,
    })
}

async fn work(
    turn: &Turn<'_>,
    history: &History,
    understood: &mut String,
    (kept, only_asked): (&mut Vec<Intent>, &mut bool),
) -> Result<Outcome, Stop> {
    if let Some(plan) = &turn.request.spec.rollback_of {
        *understood = format!("Undo plan {}.", plan.name);
        return rollback::plan(turn, &plan.name).await;
    }
    let context = interpret::Context {
        lexicon: &turn.kinds.lexicon,
        previous: &history.earlier,
    };
    let read = match &turn.given {
        // Typed intents are compiled alike, whoever understood them.
        Some(intents) => Understood {
            interpretation: Interpretation::Intents(intents.clone()),
            understood: interpret::say(intents),
        },
        None => interpret::interpret(&turn.request.spec.prompt, &context),
    };
    *understood = read
        .understood
        .strip_prefix("Understood: ")
        .map_or_else(|| read.understood.clone(), str::to_owned);
    match read.interpretation {
        Interpretation::NeedsInput {
            message, candidates, ..
        } => Err(Stop::needs_input(message, candidates)),
        Interpretation::Chat { text: words } => Ok(Outcome::Answer(text(&words))),
        Interpretation::UndoPrevious => match &history.plan {
            Ok(plan) => rollback::plan(turn, plan).await,
            Err(why) => Err(Stop::needs_input(why, vec![])),
        },
        Interpretation::WhatIf(intents) => {
            kept.clone_from(&intents);
            *only_asked = true;
            change::what_if(turn, &intents).await
        }
        Interpretation::Intents(intents) => {
            kept.clone_from(&intents);
            let (reads, changes): (Vec<_>, Vec<_>) = intents.into_iter().partition(|i| i.action.is_read());
            // A change is compiled before any read is answered: if a part is unclear, nothing of the turn happens.
            let plan = if changes.is_empty() {
                None
            } else {
                Some(change::plan(turn, &changes).await?)
            };
            let answer = if reads.is_empty() {
                None
            } else {
                Some(reads::answer(turn, &reads).await?)
            };
            match (plan, answer) {
                (Some((spec, sidecars)), answer) => Ok(Outcome::Plan {
                    spec: Box::new(spec),
                    sidecars,
                    answer,
                }),
                (None, Some(answer)) => Ok(Outcome::Answer(answer)),
                (None, None) => Err(Stop::needs_input(
                    "Nothing to do was found in the sentence. What should be done?",
                    vec![],
                )),
            }
        }
    }
}
