//! How long work goes on in one piece. An execution is never cut off from outside, between an intent and its result: it is
//! asked to stop, and stops where it is known what was done.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long one plan keeps its place; then others have their turn, and it goes on with its next step.
const TURN: Duration = Duration::from_secs(600);
/// How long a step under way may go on after the process was asked to end; then it stops between two targets. With the
/// last write and its result it must fit into the time that the process has for ending. What stops a step otherwise is seen
/// until then: the watches outlive what is under way ([`Pace::wound_up`]).
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
    settled: CancellationToken,
    /// All that reconciles.
    lanes: TaskTracker,
    turn: Duration,
    wind_up: Duration,
}

impl Pace {
    /// Of a process that is asked to end by this token.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            asked: Arc::default(),
            settled: CancellationToken::new(),
            lanes: TaskTracker::new(),
            turn: TURN,
            wind_up: WIND_UP,
        }
    }

    /// Notes when the process is asked to end: the time of a step under way runs from then, however late it asks.
    pub async fn clocked(self) {
        self.stop.cancelled().await;
        self.asked.get_or_init(Instant::now);
    }

    /// Is cancelled when nothing is under way any more after the process was asked to end.
    #[must_use]
    pub const fn settled(&self) -> &CancellationToken {
        &self.settled
    }

    /// Keeps [`Self::idle`] from being reached until this has ended.
    pub fn works<F: Future>(&self, reconciles: F) -> impl Future<Output = F::Output> + use<F> {
        self.lanes.track_future(reconciles)
    }

    /// Waits until the process was asked to end, and nothing is reconciled any more.
    pub async fn idle(&self) {
        self.stop.cancelled().await;
        self.lanes.close();
        self.lanes.wait().await;
    }

    /// Nothing is under way any more, and nothing will be.
    pub fn wound_up(&self) {
        self.settled.cancel();
    }

    /// As it is, with another time in one piece.
    #[cfg(test)]
    pub(crate) fn with_turn(self, turn: Duration) -> Self {
        Self { turn, ..self }
    }

    /// As it is, with another time for winding up.
    #[cfg(test)]
    fn with_wind_up(self, wind_up: Duration) -> Self {
        Self { wind_up, ..self }
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
        self.stopping() && self.asked.get_or_init(Instant::now).elapsed() >= self.wind_up
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_time_of_a_step_under_way_runs_from_the_request_to_end_and_not_from_its_first_question() {
        let (stop, wind_up) = (CancellationToken::new(), Duration::from_millis(20));
        let pace = Pace::new(stop.clone()).with_wind_up(wind_up);
        let clock = tokio::spawn(pace.clone().clocked());
        assert!(!pace.stopping() && !pace.must_stop());
        stop.cancel();
        clock.await.unwrap();
        let noted = Instant::now();
        while noted.elapsed() < wind_up {
            tokio::time::sleep(wind_up).await;
        }
        assert!(pace.must_stop());
    }

    #[tokio::test]
    async fn nothing_is_idle_before_all_that_reconciles_has_ended_and_the_process_was_asked_to() {
        let stop = CancellationToken::new();
        let pace = Pace::new(stop.clone());
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let lane = tokio::spawn(pace.works(ended));
        let idle = pace.idle();
        let mut idle = std::pin::pin!(idle);
        assert!(futures::poll!(&mut idle).is_pending());
        stop.cancel();
        assert!(futures::poll!(&mut idle).is_pending(), "a lane works");
        end.send(()).unwrap();
        lane.await.unwrap().unwrap();
        idle.await;
    }
}
