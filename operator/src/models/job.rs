//! A turn's job: ask the provider, those it falls back to, and leave what came of it for the turn's controller.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use kube::{Api, ResourceExt};
use kubechat_ai::{
    Ask, Call as Sent, Chain, End, Failure, Interpreted, Interpreter, Ledger, Outcome, Progress,
};
use kubechat_core::interpret::{self, Earlier, Understood};
use kubechat_core::lifecycle::ai_provider;
use kubechat_core::models::breaker::Call;
use kubechat_core::models::changes_a_question;
use kubechat_core::reason;
use kubechat_core::redact::names::{Kind, Session};
use kubechat_crds::ai_provider::ProviderType;
use kubechat_crds::chat_request::InterpretationStatus;
use kubechat_crds::{AIProvider, ChatRequest, ChatRequestStatus, RequestPhase, condition, digest};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use super::connect::connect;
use super::given::changed_a_question;
use super::ledger::{Book, Page};
use super::{Done, Gate, Models, Read, names};
use crate::cluster::client::call;
use crate::compile::{Halted, needs_input};
use crate::error::Error;

/// Providers of a chain at most.
const MAX_CHAIN: usize = 4;
/// Longest job, waiting and all providers together.
const LONGEST: Duration = Duration::from_secs(300);

/// What a job needs to know of its turn.
pub(crate) struct Task {
    pub(crate) request: ChatRequest,
    /// As the API server has it.
    pub(crate) status: ChatRequestStatus,
    pub(crate) provider: AIProvider,
    /// What the built-in rules make of the prompt: a hint at what its names are, nothing else.
    pub(crate) rules: Understood,
    pub(crate) earlier: Vec<Earlier>,
    pub(crate) default_namespace: String,
}

/// Begins a turn's job; false when there is one already, or no room.
pub(crate) fn start(models: &Arc<Models>, task: Task) -> bool {
    let uid = task.request.uid().unwrap_or_default();
    let Some(stop) = models.begin(&uid) else {
        return false;
    };
    let models = Arc::clone(models);
    tokio::spawn(async move {
        let mut underway = Underway {
            models: &models,
            request: &task.request,
            came_to: None,
        };
        let page = Arc::new(Page::new(
            Arc::clone(&models),
            task.request.clone(),
            task.status.clone(),
        ));
        let read = tokio::select! {
            biased;
            () = stop.cancelled() => Err("the turn was withdrawn"),
            read = tokio::time::timeout(LONGEST, ask(&page, &task)) => read.map_err(|_| "it took too long"),
        };
        let done = match read {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(problem)) => Err(problem),
            Err(why) => page
                .settle(why)
                .await
                .map(|()| nothing(&format!("No answer of a model was used: {why}"))),
        };
        underway.came_to = Some(done.map(|read| Done {
            status: page.status(),
            read,
        }));
    });
    true
}

/// A job at work. However it ends, its turn is told and does not wait for it any more.
struct Underway<'a> {
    models: &'a Models,
    request: &'a ChatRequest,
    came_to: Option<Result<Done, Error>>,
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        let unexpected = || {
            let what = "reading the sentence ended unexpectedly".to_owned();
            std::thread::panicking().then(|| Err(Error::Internal(what)))
        };
        let came_to = self.came_to.take().or_else(unexpected);
        self.models.end(self.request, came_to);
    }
}

/// Asks the chain.
async fn ask(page: &Arc<Page>, task: &Task) -> Result<Read, Error> {
    page.settle("the process that made it ended").await?;
    let request = &task.request;
    let namespace = request.namespace().unwrap_or_default();
    let (links, ends_in_rules) = chain(&page.models, &task.provider, &namespace).await?;
    let known = names::of(
        &request.spec.prompt,
        &task.rules,
        &task.earlier,
        &[&task.default_namespace, &namespace],
    );
    let known: Vec<(Kind, &str)> = known.iter().map(|(kind, name)| (*kind, name.as_str())).collect();
    let conversation = request.spec.session_ref.as_ref().map_or_else(
        || request.uid().unwrap_or_default(),
        |s| format!("{namespace}/{}", s.name),
    );
    let models: Vec<(String, Option<String>)> = links
        .iter()
        .map(|link| (link.name_any(), link.spec.model.clone()))
        .collect();
    let links = links
        .into_iter()
        .map(|provider| {
            let link: Box<dyn Interpreter> = Box::new(Link {
                page: Arc::clone(page),
                provider: provider.clone(),
            });
            (provider.name_any(), link)
        })
        .collect();
    let (progress, seen) = watch::channel(Progress::default());
    let asked = async {
        let ask = Ask {
            prompt: &request.spec.prompt,
            known: &known,
            session: Session::new(page.models.key_of(&conversation)),
            ledger: &Shut,
            progress: Some(&progress),
        };
        let outcome = Chain::new(links).interpret(ask).await;
        // So that nobody follows it any longer.
        drop(progress);
        outcome
    };
    let (outcome, ()) = tokio::join!(asked, page.follow(seen));
    match outcome {
        Outcome::Understood {
            provider,
            interpreted,
        } if changes_a_question(&task.rules.interpretation, &interpreted.intents) => {
            Ok(nothing(&changed_a_question(&provider)))
        }
        Outcome::Understood {
            provider,
            interpreted,
        } => {
            let model = models
                .iter()
                .find(|(name, _)| *name == provider)
                .and_then(|(_, model)| model.clone());
            page.change(|status| {
                status.interpretation = Some(interpretation(request, provider, model, &interpreted));
            })
            .await?;
            Ok(Read::Intents(interpreted.intents))
        }
        // What could not be recorded is no answer, and no reason to give up.
        Outcome::NeedsInput { tried }
            if tried
                .iter()
                .any(|(_, why)| matches!(why, Some(Failure::Unrecorded))) =>
        {
            Err(Error::Dependency {
                reason: reason::AUDIT_UNAVAILABLE,
                message: "a call of a model could not be recorded, so it was not made".to_owned(),
            })
        }
        Outcome::NeedsInput { tried } => Ok(unanswered(&tried, ends_in_rules)),
    }
}

/// What a turn ends with when no model understood it.
fn unanswered(tried: &[(String, Option<Failure>)], ends_in_rules: bool) -> Read {
    let kept_back =
        |(_, why): &(String, Option<Failure>)| matches!(why, Some(Failure::Blocked(_) | Failure::Stopped(_)));
    let unclear = tried.iter().any(|(_, why)| why.is_none());
    if ends_in_rules && !unclear {
        return Read::Rules;
    }
    let told: Vec<String> = tried
        .iter()
        .map(|(name, why)| match why {
            Some(why) => format!("{name}: {why}"),
            None => format!("{name} found no request in it that it could be sure of"),
        })
        .collect();
    let help = if tried.iter().any(kept_back) {
        "Take out what looks like a secret"
    } else {
        "Say it more simply, ask again later, or leave providerRef out to use the built-in rules"
    };
    nothing(&format!(
        "No model answered with intents ({}). {help}",
        told.join("; ")
    ))
}

/// A reading that came to nothing: the turn ends and asks.
pub(crate) fn nothing(message: &str) -> Read {
    let why = message
        .trim_end_matches('.')
        .trim_end_matches(". Nothing was done");
    let message = condition::clip(format!("{why}. Nothing was done"), 2000);
    Read::Nothing(Box::new(Halted {
        phase: RequestPhase::NeedsInput,
        reason: reason::NEEDS_INPUT,
        answer: Some(needs_input(&message, vec![])),
        message,
        blocked: None,
    }))
}

fn interpretation(
    request: &ChatRequest,
    provider: String,
    model: Option<String>,
    interpreted: &Interpreted,
) -> InterpretationStatus {
    let tokens = interpreted.tokens.0.saturating_add(interpreted.tokens.1);
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    InterpretationStatus {
        understood: condition::clip(interpret::say(&interpreted.intents), 2000),
        intents: interpreted.intents.iter().take(64).cloned().collect(),
        provider,
        model,
        confidence: interpreted
            .intents
            .iter()
            .map(|i| i.confidence)
            .min()
            .unwrap_or(0),
        prompt_digest: digest::digest_of(&request.spec.prompt)
            .map(|d| d.to_string())
            .unwrap_or_default(),
        redactions: interpreted
            .redactions
            .iter()
            .map(|(class, n)| ((*class).to_owned(), count(*n)))
            .collect(),
        tokens: i64::try_from(tokens).ok(),
        duration_ms: None,
        only_asked: false,
    }
}

/// The provider and those it falls back to, as they are now; whether the built-in rules come last.
pub(super) async fn chain(
    models: &Models,
    first: &AIProvider,
    namespace: &str,
) -> Result<(Vec<AIProvider>, bool), Error> {
    let api: Api<AIProvider> = Api::all(models.client.clone());
    let mut links = vec![first.clone()];
    loop {
        let next = links.last().and_then(|link| link.spec.fallback.clone());
        let Some(next) = next.filter(|_| links.len() < MAX_CHAIN) else {
            return Ok((links, false));
        };
        // A circle ends where it began.
        if links.iter().any(|link| link.name_any() == next.name) {
            return Ok((links, false));
        }
        match call("read the fallback provider", api.get(&next.name)).await {
            Ok(link) if !ai_provider::serves(&link.spec, namespace) => return Ok((links, false)),
            Ok(link) if link.spec.type_ == ProviderType::Rules => return Ok((links, true)),
            Ok(link) => links.push(link),
            Err(error) if error.is_not_found() => return Ok((links, false)),
            Err(error) => return Err(error),
        }
    }
}

/// One provider of a turn's chain, behind its gate.
struct Link {
    page: Arc<Page>,
    provider: AIProvider,
}

impl Link {
    async fn run(&self, ask: Ask<'_>) -> Result<Interpreted, Failure> {
        let models = &self.page.models;
        // Nobody waits for a provider that is not used.
        if let Some(why) = ai_provider::not_ready(&self.provider) {
            return Err(Failure::NotAsked(why));
        }
        let gate = models.gate(&self.provider);
        let who = self
            .page
            .request
            .spec
            .requester
            .as_ref()
            .map(|r| r.username.clone())
            .unwrap_or_default();
        let waits = Waits::begin(&models.metrics.model_waiting);
        let place = gate.enter(&who, &self.provider.spec, models.now()).await;
        drop(waits);
        let _place = place.map_err(Failure::NotAsked)?;
        let provider = self.as_it_is_now().await.map_err(Failure::NotAsked)?;
        let connected = connect(models, &provider, true)
            .await
            .map_err(|(_, why)| Failure::NotAsked(why))?;
        gate.admit(models.now()).map_err(Failure::NotAsked)?;
        let mut trial = Trial {
            gate: Arc::clone(&gate),
            page: Arc::clone(&self.page),
            call: Call::NotMade,
        };
        let book = Book::new(Arc::clone(&self.page), &provider, gate);
        let found = connected.provider.interpret(Ask { ledger: &book, ..ask }).await;
        trial.call = went(&found);
        found
    }

    /// The provider as the API server has it: what an administrator took away while the turn waited is gone.
    async fn as_it_is_now(&self) -> Result<AIProvider, String> {
        let request = &self.page.request;
        let api: Api<AIProvider> = Api::all(self.page.models.client.clone());
        let now = match call("read the provider", api.get(&self.provider.name_any())).await {
            Ok(now) => Some(now),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.to_string()),
        };
        let namespace = request.namespace().unwrap_or_default();
        match ai_provider::meanwhile(&self.provider, now.as_ref(), &namespace) {
            Some(why) => Err(why),
            None => now.ok_or_else(String::new),
        }
    }
}

/// A turn that waits for its place, counted until it has one, or is withdrawn.
struct Waits<'a>(&'a Gauge);

impl<'a> Waits<'a> {
    fn begin(all: &'a Gauge) -> Self {
        all.inc();
        Self(all)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Tells the breaker how it went, also when the turn was stopped midway.
struct Trial {
    gate: Arc<Gate>,
    page: Arc<Page>,
    call: Call,
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.gate.note(self.call, self.page.models.now());
    }
}

/// What a call says of the server. A wrong answer of the model is an answer.
fn went(found: &Result<Interpreted, Failure>) -> Call {
    match found {
        Ok(found) if found.calls == 0 => Call::NotMade,
        Ok(_) | Err(Failure::Rejected(_) | Failure::Forged(_) | Failure::Invented(_)) => Call::Answered,
        Err(Failure::Busy { after }) => {
            Call::Busy(after.map_or(1000, |after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)))
        }
        Err(
            Failure::Refused(_)
            | Failure::Unreachable(_)
            | Failure::Timeout(_)
            | Failure::TooLong(_)
            | Failure::Status(_)
            | Failure::Form(_),
        ) => Call::Failed,
        // One person's prompts are no reason to keep a provider from all others.
        Err(
            Failure::Blocked(_)
            | Failure::Stopped(_)
            | Failure::Declined(_)
            | Failure::Unrecorded
            | Failure::NotAsked(_),
        ) => Call::NotMade,
    }
}

impl Interpreter for Link {
    fn interpret<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<Interpreted, Failure>> {
        Box::pin(self.run(ask))
    }
}

/// A ledger that takes nothing: each link brings its own.
#[derive(Debug)]
struct Shut;

impl Ledger for Shut {
    fn intend<'a>(&'a self, _: &'a Sent) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(async { Err(Failure::Unrecorded) })
    }

    fn done<'a>(&'a self, _: u64, _: &'a Sent, _: &'a End) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async { Err(Failure::Unrecorded) })
    }
}

#[cfg(test)]
mod tests {
    use kubechat_ai::Reject;
    use kubechat_core::redact::second::Stop;

    use super::*;

    fn tried(why: Option<Failure>) -> Vec<(String, Option<Failure>)> {
        vec![("small".to_owned(), why)]
    }

    #[test]
    fn a_failure_goes_to_the_rules_where_they_come_last_and_an_honest_no_does_not() {
        assert!(matches!(
            unanswered(&tried(Some(Failure::Status(500))), true),
            Read::Rules
        ));
        for (why, rules, says) in [
            (
                Some(Failure::Status(500)),
                false,
                "small: the model server answered with HTTP status 500",
            ),
            (None, true, "small found no request in it"),
            (
                Some(Failure::Stopped(Stop::Unreadable)),
                false,
                "Take out what looks like a secret",
            ),
        ] {
            let Read::Nothing(halted) = unanswered(&tried(why), rules) else {
                panic!("{says}")
            };
            assert_eq!(
                (halted.phase, halted.reason),
                (RequestPhase::NeedsInput, reason::NEEDS_INPUT)
            );
            let message = &halted.message;
            assert!(
                message.contains(says) && message.ends_with("Nothing was done"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_wrong_answer_is_no_fault_of_the_server_and_what_was_not_sent_says_nothing_of_it() {
        for (failure, call) in [
            (Failure::Rejected(Reject::NotJson), Call::Answered),
            (Failure::Invented("target.names"), Call::Answered),
            (Failure::Status(500), Call::Failed),
            (Failure::Declined("the model refused"), Call::NotMade),
            (Failure::Timeout(Duration::from_secs(1)), Call::Failed),
            (
                Failure::Busy {
                    after: Some(Duration::from_secs(7)),
                },
                Call::Busy(7000),
            ),
            (Failure::NotAsked(String::new()), Call::NotMade),
            (Failure::Unrecorded, Call::NotMade),
        ] {
            let said = format!("{failure:?}");
            assert_eq!(went(&Err(failure)), call, "{said}");
        }
    }
}
