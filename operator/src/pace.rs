//! How long work goes on in one piece. An execution is never cut off from outside, between an intent and its result: it is
//! asked to stop, and stops where it is known what was done.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// How long one plan keeps its place; then others have their turn, and it goes on with its next step.
const TURN: Duration = Duration::from_secs(600);
/// How long a step under way may go on after the process was asked to end; then it stops between two targets. With the
/// last write and its result it must fit into the time that the process has for ending.
const WIND_UP: Duration = if cfg!(test) {
    Duration::ZERO
} else {
    Duration::from_secs(5)
};

/// Tells an execution when to stop.
#[derive(Clone, Debug)]
pub struct Pace {
    stop: CancellationToken,
    asked: Arc<OnceLock<Instant>>,
    turn: Duration,
}

impl Pace {
    /// Of a process that is asked to end by this token.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            asked: Arc::default(),
            turn: TURN,
        }
    }

    /// As it is, with another time in one piece.
    #[cfg(test)]
    pub(crate) fn with_turn(self, turn: Duration) -> Self {
        Self { turn, ..self }
    }

    /// Whether nothing new may begin, because the process was asked to end.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until the process is asked to end.
    pub async fn asked_to_end(&self) {
        self.stop.cancelled().await;
    }

    /// Whether what is under way must stop, because the process was asked to end a while ago.
    #[must_use]
    pub fn must_stop(&self) -> bool {
        self.stopping() && self.asked.get_or_init(Instant::now).elapsed() >= WIND_UP
    }

    /// Whether work that began then has had its time.
    #[must_use]
    pub fn spent(&self, began: Instant) -> bool {
        began.elapsed() >= self.turn
    }

    /// Waits, but not beyond the request to end.
    pub async fn sleep(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.cancelled() => {}
        }
    }
}
