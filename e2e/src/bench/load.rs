//! The load generators: closed loops for throughput, fixed arrival times for latency.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use tokio::time::{Instant, sleep_until};

/// A closed loop with its measured part. Work that began before the end is finished, so that nothing of it
/// falls into what is measured next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loop {
    /// How many work at once.
    pub(super) workers: usize,
    /// Time before the measured part, in which all workers get going.
    pub(super) warm: Duration,
    /// The measured part.
    pub(super) window: Duration,
}

/// What a closed loop did.
#[derive(Clone, Debug)]
pub(super) struct Done<T, S> {
    /// What each piece of work gave that ended within the measured part.
    pub(super) measured: Vec<T>,
    /// Pieces of work from beginning to end, outside the measured part too.
    pub(super) all: usize,
    /// Length of the measured part.
    pub(super) seconds: f64,
    /// What was looked at when the measured part began and ended.
    pub(super) edges: (S, S),
}

impl Loop {
    /// Lets every worker repeat `work` (given its number); `look` is called at both edges of the measured
    /// part.
    pub(super) async fn run<T, S, F>(
        self,
        work: impl Fn(usize) -> F,
        look: impl Fn() -> Result<S>,
    ) -> Result<Done<T, S>>
    where
        F: Future<Output = Result<T>>,
    {
        let begin = Instant::now() + self.warm;
        let end = begin + self.window;
        let results = RefCell::new((Vec::new(), 0));
        let worker = async |number: usize| -> Result<()> {
            while Instant::now() < end {
                let result = work(number).await?;
                let (measured, all) = &mut *results.borrow_mut();
                *all += 1;
                if (begin..end).contains(&Instant::now()) {
                    measured.push(result);
                }
            }
            Ok(())
        };
        let edges = async {
            sleep_until(begin).await;
            let first = (Instant::now(), look()?);
            sleep_until(end).await;
            Ok((first, (Instant::now(), look()?)))
        };
        let workers = try_join_all((0..self.workers).map(worker));
        let (_, ((began, first), (ended, last))) = tokio::try_join!(workers, edges)?;
        let (measured, all) = results.into_inner();
        Ok(Done {
            measured,
            all,
            seconds: (ended - began).as_secs_f64(),
            edges: (first, last),
        })
    }
}

/// Does `work` `count` times, begun at fixed times whether or not earlier ones have ended, and returns the
/// seconds from each one's due time to its end (so a stall is seen by everything it delays).
pub(super) async fn open_loop<F>(count: usize, pause: Duration, work: impl Fn(usize) -> F) -> Result<Vec<f64>>
where
    F: Future<Output = Result<()>>,
{
    let start = Instant::now();
    let one = async |number: usize| -> Result<f64> {
        let due = start + pause * u32::try_from(number).unwrap_or(u32::MAX);
        sleep_until(due).await;
        work(number).await?;
        Ok(due.elapsed().as_secs_f64())
    };
    try_join_all((0..count).map(one)).await
}

#[cfg(test)]
mod tests {
    use anyhow::{bail, ensure};
    use tokio::time::sleep;

    use super::*;

    const TENTH: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn counts_only_what_ends_within_the_measured_part_and_finishes_the_rest() {
        let load = Loop {
            workers: 3,
            warm: TENTH * 10,
            window: TENTH * 20,
        };
        let work = |_| async {
            sleep(Duration::from_millis(350)).await;
            Ok(())
        };
        let done = load.run(work, || Ok(Instant::now())).await.unwrap();
        // Ends at 0.35, 0.70, ..., 3.15 s; those of 1.05 to 2.80 s count.
        assert_eq!((done.measured.len(), done.all), (3 * 6, 3 * 9));
        assert_eq!(done.edges.1 - done.edges.0, load.window);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_piece_of_work_ends_the_loop() {
        let load = Loop {
            workers: 2,
            warm: TENTH,
            window: TENTH,
        };
        let work = |number: usize| async move {
            sleep(TENTH / 4).await;
            ensure!(number == 0, "worker {number} failed");
            Ok(())
        };
        let failed = load.run(work, || Ok(())).await;
        assert_eq!(failed.unwrap_err().to_string(), "worker 1 failed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_counts_for_everything_it_delays() {
        let busy = tokio::sync::Mutex::new(());
        let work = |number: usize| {
            let busy = &busy;
            async move {
                let _turn = busy.lock().await;
                sleep(if number == 0 { TENTH * 3 } else { Duration::ZERO }).await;
                Ok(())
            }
        };
        let seconds = open_loop(3, TENTH, work).await.unwrap();
        for (found, expected) in seconds.iter().zip([0.3, 0.2, 0.1]) {
            assert!((found - expected).abs() < 0.01, "{seconds:?}");
        }
        let failing = open_loop(2, TENTH, |_| async { bail!("no") }).await;
        assert!(failing.is_err());
    }
}
