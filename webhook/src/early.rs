//! The rights that a decision will be asked about, asked of the API server before they are needed: when the decision is
//! stamped, or at the latest while its plan is read.
//!
//! **Invariant:** an answer counts for the very identity it was asked for (all groups and extra), for one decision, at most
//! [`FRESH`] after it was asked, and only for exactly the questions of the plan as it was then read. Whatever is missing
//! is asked anew.
//! **Invariant:** no more than [`MAX_BEGUN`] tasks ask, however slow the answers are; one whose answers nobody can take any
//! more ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::authentication::v1::UserInfo;
use kube::core::admission::Operation;
use kubechat_core::authz::Question;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use crate::access;
use crate::refusal::Refusal;
use crate::review::{Kind, Review, identity};
use crate::state::State;

/// Longest time between asking and judging: both sides of one admission follow each other in milliseconds.
const FRESH: Duration = Duration::from_secs(1);
/// Most decisions between their two sides, and most tasks that ask for them; of more, rights are asked when they are judged.
const MAX_BEGUN: usize = 256;
/// Longest digest, as the schema bounds it: what is stamped has not been held against the schema yet.
const MAX_DIGEST: usize = 71;

/// The decisions that were stamped and not yet judged.
#[derive(Debug)]
pub(crate) struct Early {
    begun: Mutex<Vec<Begun>>,
    /// Places of the tasks: where the API server is slow, a task may outlive its decision's place among those above.
    asking: Arc<Semaphore>,
}

impl Default for Early {
    fn default() -> Self {
        Self {
            begun: Mutex::default(),
            asking: Arc::new(Semaphore::new(MAX_BEGUN)),
        }
    }
}

#[derive(Debug)]
struct Begun {
    user: UserInfo,
    digest: String,
    at: Instant,
    answers: oneshot::Receiver<Asked>,
}

/// What the API server was asked, and what it said.
#[derive(Debug)]
pub(crate) struct Asked(Vec<(Question, Result<bool, Refusal>)>);

impl Early {
    /// Begins to ask what the decision in this review will need. Does nothing for other objects.
    pub(crate) fn begin(state: &Arc<State>, review: &Review) {
        let decides = review.kind == Some(Kind::Approval) && review.request.operation == Operation::Create;
        let Some(digest) = review.spec().ok().and_then(|spec| spec["planDigest"].as_str()) else {
            return;
        };
        if !decides || digest.len() > MAX_DIGEST || identity(review.user()).is_service_account() {
            return;
        }
        let (user, digest) = (review.user().clone(), digest.to_owned());
        let (mut answer, answers) = oneshot::channel();
        let at = Instant::now();
        let place = {
            let mut begun = state.early.begun.lock().unwrap_or_else(PoisonError::into_inner);
            begun.retain(|one| one.at.elapsed() < FRESH);
            if begun.len() >= MAX_BEGUN {
                return;
            }
            let Ok(place) = state.early.asking.clone().try_acquire_owned() else {
                return;
            };
            begun.push(Begun {
                user: user.clone(),
                digest: digest.clone(),
                at,
                answers,
            });
            place
        };
        let (state, namespace) = (state.clone(), review.namespace().to_owned());
        tokio::spawn(async move {
            let asked = tokio::select! {
                asked = Asked::of(&state, &user, &digest, &namespace) => asked,
                // The object was refused in between, or its place was given to another.
                () = answer.closed() => return,
            };
            drop(place);
            let _ = answer.send(asked);
        });
    }

    /// The answers begun for this person's decision, once.
    fn take(&self, user: &UserInfo, digest: &str) -> Option<oneshot::Receiver<Asked>> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |one: &Begun| one.digest == digest && one.user == *user && one.at.elapsed() < FRESH;
        let at = begun.iter().position(same)?;
        Some(begun.swap_remove(at).answers)
    }
}

impl Asked {
    /// What was begun when the decision was stamped, or else asked now. Never fails: whether an answer counts is not known
    /// before the plan is read.
    pub(crate) async fn early(state: &State, review: &Review, digest: &str) -> Self {
        if let Some(begun) = state.early.take(review.user(), digest)
            && let Ok(asked) = begun.await
        {
            return asked;
        }
        Self::of(state, review.user(), digest, review.namespace()).await
    }

    async fn of(state: &State, user: &UserInfo, digest: &str, namespace: &str) -> Self {
        let by = user.username.as_deref().unwrap_or_default();
        let ask = |question: Question| async move {
            let answer = access::allowed(state, user, &question).await;
            (question, answer)
        };
        Self(join_all(state.hints.of(digest, by, namespace).into_iter().map(ask)).await)
    }

    /// The answer to all of these; what was not asked yet is asked now, and kept. `Err` inside names the first right that is
    /// missing.
    pub(crate) async fn all(
        &mut self,
        state: &State,
        user: &UserInfo,
        questions: Vec<Question>,
    ) -> Result<Result<(), String>, Refusal> {
        let questions = access::bounded(questions);
        let open: Vec<Question> = questions
            .iter()
            .filter(|question| self.answer(question).is_none())
            .cloned()
            .collect();
        let ask = |question: Question| async move {
            let answer = access::allowed(state, user, &question).await;
            (question, answer)
        };
        let mut answers = stream::iter(open).map(ask).buffered(access::CONCURRENT);
        while let Some(one) = answers.next().await {
            let go_on = matches!(one.1, Ok(true));
            self.0.push(one);
            if !go_on {
                break;
            }
        }
        for question in &questions {
            match self.answer(question) {
                Some(Ok(true)) => {}
                // Only what comes after a right that is missing stays unasked.
                Some(Ok(false)) | None => return Ok(Err(question.describe())),
                Some(Err(refusal)) => return Err(refusal.clone()),
            }
        }
        Ok(Ok(()))
    }

    fn answer(&self, question: &Question) -> Option<&Result<bool, Refusal>> {
        let found = self.0.iter().find(|(asked, _)| asked == question);
        found.map(|(_, answer)| answer)
    }
}
