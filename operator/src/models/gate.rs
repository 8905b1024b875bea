//! The gate before a provider: how many ask it at once, who is next, who has had enough, and whether it is asked at all. The
//! decisions are `kubechat_core::models`'; here they get a clock and people who wait.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kubechat_core::models::breaker::{Breaker, Call};
use kubechat_core::models::budget::{Limits, Used};
use kubechat_core::models::queue::Queue;
use kubechat_crds::AIProviderSpec;
use tokio::sync::oneshot;

/// Turns that ask a provider at once where it does not say.
const DEFAULT_AT_ONCE: u32 = 4;
/// Longest wait for a turn's place.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// One provider's gate.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    used: Arc<Mutex<Used>>,
}

#[derive(Debug, Default)]
struct State {
    running: u32,
    queue: Queue<oneshot::Sender<Place>>,
    breaker: Breaker,
}

/// A place among those who ask; given on when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Option<Arc<Gate>>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.give_on();
        }
    }
}

impl Gate {
    /// A gate that goes on counting what people used already.
    pub(super) fn new(used: Arc<Mutex<Used>>) -> Self {
        Self {
            state: Mutex::default(),
            used,
        }
    }

    fn used(&self) -> std::sync::MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place; says what stands in the way if there is none.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        who: &str,
        spec: &AIProviderSpec,
        now: u64,
    ) -> Result<Place, String> {
        let number = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
        let limits = Limits {
            calls_a_minute: number(spec.rate_limit.map(i64::from)),
            tokens_a_day: number(spec.budget.as_ref().and_then(|b| b.tokens_per_user_per_day)),
        };
        let at_once = spec
            .max_concurrent
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(DEFAULT_AT_ONCE);
        let waiting = {
            let mut state = self.state();
            // What is not asked uses nothing up.
            if state.breaker.is_open(now) {
                return Err(left_alone());
            }
            self.used()
                .call(who, limits, now / 1000)
                .map_err(|over| over.to_string())?;
            if state.running < at_once && state.queue.is_empty() {
                state.running += 1;
                return Ok(Place(Some(Arc::clone(self))));
            }
            let (give, waiting) = oneshot::channel();
            state
                .queue
                .push(who, give)
                .map_err(|(full, _)| format!("{full}. Ask again later"))?;
            waiting
        };
        match tokio::time::timeout(MAX_WAIT, waiting).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(format!(
                "it is busy: no place became free within {} s. Ask again later",
                MAX_WAIT.as_secs()
            )),
        }
    }

    /// Gives a place on to whoever waits; those who gave up waiting are passed over.
    fn give_on(self: Arc<Self>) {
        loop {
            let next = {
                let mut state = self.state();
                let next = state.queue.pop();
                if next.is_none() {
                    state.running = state.running.saturating_sub(1);
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(Place(Some(Arc::clone(&self)))) {
                Ok(()) => return,
                // Not dropped as a place: it is still ours to give.
                Err(mut place) => place.0 = None,
            }
        }
    }

    /// Whether it may be asked right now.
    pub(crate) fn admit(&self, now: u64) -> Result<(), String> {
        self.state().breaker.admit(now).map_err(|_| left_alone())
    }

    /// Notes how a call went.
    pub(crate) fn note(&self, call: Call, now: u64) {
        self.state().breaker.note(call, now);
    }

    /// Counts tokens a person used.
    pub(crate) fn spend(&self, who: &str, tokens: (u64, u64), now: u64) {
        self.used()
            .spend(who, tokens.0.saturating_add(tokens.1), now / 1000);
    }
}

fn left_alone() -> String {
    "it failed several times in a row and is left alone for a while".to_owned()
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
