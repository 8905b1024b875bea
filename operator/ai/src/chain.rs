//! A provider and those asked when it fails.

use crate::failure::Failure;
use crate::provider::{Ask, Interpreted, Interpreter};

/// Providers asked after each other at most.
const MAX_TRIES: usize = 4;

/// Providers in the order in which they are asked.
pub struct Chain {
    links: Vec<(String, Box<dyn Interpreter>)>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.links.iter().map(|(name, _)| name))
            .finish()
    }
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// One of them understood.
    Understood {
        /// Its name.
        provider: String,
        /// What it understood.
        interpreted: Interpreted,
    },
    /// None did: the person is asked.
    NeedsInput {
        /// Who was asked and why that led nowhere; one without a failure understood nothing.
        tried: Vec<(String, Option<Failure>)>,
    },
}

impl Chain {
    /// A chain; more links than four are never asked.
    #[must_use]
    pub const fn new(links: Vec<(String, Box<dyn Interpreter>)>) -> Self {
        Self { links }
    }

    /// Asks until one understands.
    pub async fn interpret(&self, ask: Ask<'_>) -> Outcome {
        let mut tried = vec![];
        for (name, link) in self.links.iter().take(MAX_TRIES) {
            match link.interpret(ask.clone()).await {
                Ok(interpreted) if !interpreted.intents.is_empty() => {
                    return Outcome::Understood {
                        provider: name.clone(),
                        interpreted,
                    };
                }
                // An honest "I do not understand" is an answer; a guess by another model is none.
                Ok(_) => {
                    tried.push((name.clone(), None));
                    break;
                }
                Err(failure) => {
                    let leaks = matches!(
                        failure,
                        Failure::Blocked(_) | Failure::Stopped(_) | Failure::Unrecorded
                    );
                    tried.push((name.clone(), Some(failure)));
                    // What must not go to one must not go to the next.
                    if leaks {
                        break;
                    }
                }
            }
        }
        Outcome::NeedsInput { tried }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use futures::future::BoxFuture;
    use kubechat_core::redact::{names::Session, second::Stop};
    use kubechat_crds::intent::{Action, Intent, IntentParams, IntentTarget, Span};

    use super::*;
    use crate::testing::Book;

    struct Fixed(Mutex<Option<Result<usize, Failure>>>, Arc<AtomicUsize>);

    impl Interpreter for Fixed {
        fn interpret<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<Interpreted, Failure>> {
            self.1.fetch_add(1, Ordering::SeqCst);
            let answer = self.0.lock().unwrap().take().unwrap();
            let intent = Intent {
                action: Action::List,
                target: IntentTarget::default(),
                params: IntentParams::default(),
                confidence: 90,
                span: Span::default(),
            };
            Box::pin(async move {
                Ok(Interpreted {
                    intents: vec![intent; answer?],
                    session: ask.session,
                    tokens: (1, 1),
                    redactions: Default::default(),
                    calls: 1,
                })
            })
        }
    }

    async fn asked(answers: Vec<Result<usize, Failure>>) -> (Outcome, usize) {
        let count = Arc::new(AtomicUsize::new(0));
        let links = answers.into_iter().enumerate().map(|(n, answer)| {
            let link: Box<dyn Interpreter> = Box::new(Fixed(Mutex::new(Some(answer)), Arc::clone(&count)));
            (format!("p{n}"), link)
        });
        let chain = Chain::new(links.collect());
        let ask = Ask {
            prompt: "list pods",
            known: &[],
            session: Session::new([1; 32]),
            ledger: &Book::default(),
            progress: None,
        };
        (chain.interpret(ask).await, count.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn the_next_one_is_asked_when_one_fails() {
        let (outcome, count) = asked(vec![
            Err(Failure::Status(500)),
            Err(Failure::Unreachable("x")),
            Ok(1),
        ])
        .await;
        assert!(matches!(outcome, Outcome::Understood { provider, .. } if provider == "p2"));
        assert_eq!(count, 3);
    }

    #[tokio::test]
    async fn when_all_fail_the_person_is_asked_and_hears_of_each() {
        let (outcome, _) = asked(vec![Err(Failure::Status(500)), Err(Failure::Form("x"))]).await;
        let Outcome::NeedsInput { tried } = outcome else {
            panic!()
        };
        assert_eq!(tried.len(), 2);
    }

    #[tokio::test]
    async fn what_must_not_leave_goes_to_no_other_provider() {
        let (outcome, count) = asked(vec![Err(Failure::Stopped(Stop::Unreadable)), Ok(1)]).await;
        assert!(matches!(outcome, Outcome::NeedsInput { .. }));
        assert_eq!(count, 1);
    }

    #[tokio::test]
    async fn no_intents_is_a_question_not_a_reason_to_ask_another() {
        let (outcome, count) = asked(vec![Ok(0), Ok(1)]).await;
        assert!(matches!(outcome, Outcome::NeedsInput { tried } if tried[0].1.is_none()));
        assert_eq!(count, 1);
    }

    #[tokio::test]
    async fn an_endless_chain_ends() {
        let (_, count) = asked((0..9).map(|_| Err(Failure::Status(500))).collect()).await;
        assert_eq!(count, MAX_TRIES);
    }
}
