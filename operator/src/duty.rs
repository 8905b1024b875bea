//! What a leader does again and again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// First pause after a duty that failed; doubles up to the duty's period.
const RETRY: Duration = Duration::from_secs(1);

/// Repeats a duty; its failure is told and tried again.
pub(crate) async fn every<F, Fut>(
    period: Duration,
    shutdown: CancellationToken,
    duty: F,
    name: &'static str,
) -> anyhow::Result<()>
where
    F: Fn() -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let (mut wait, mut pause) = (Duration::from_millis(100), RETRY);
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        wait = match duty().await {
            Ok(()) => {
                pause = RETRY;
                period
            }
            Err(problem) => {
                tracing::warn!(duty = name, %problem, "did not succeed; trying again");
                let now = pause;
                pause = (now * 2).min(period);
                now
            }
        };
    }
}
