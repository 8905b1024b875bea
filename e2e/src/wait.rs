//! Waiting for something to become true, with a deadline and a message that says what was seen last.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout_at};

/// The pause between two looks grows from the first to the second value.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Calls `probe` until it succeeds and returns its value.
///
/// An `Err` of the probe means "not yet, because ...". After `deadline` the last of these reasons becomes
/// part of the error, so write probes with `ensure!(ready == 2, "{ready} of 2 replicas are ready")`.
///
/// # Errors
/// When the deadline passes; a probe that hangs counts as not yet.
pub async fn eventually<T, P, F>(deadline: Duration, what: &str, mut probe: P) -> Result<T>
where
    P: FnMut() -> F,
    F: Future<Output = Result<T>>,
{
    let end = Instant::now() + deadline;
    let mut pause = FIRST_PAUSE;
    let mut last = anyhow!("the first look did not come back");
    while let Ok(looked) = timeout_at(end, probe()).await {
        match looked {
            Ok(value) => return Ok(value),
            Err(reason) => last = reason,
        }
        if Instant::now() + pause >= end {
            break;
        }
        sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
    Err(last.context(format!(
        "waited {} s for this in vain: {what}",
        deadline.as_secs()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{bail, ensure};

    #[tokio::test]
    async fn returns_the_value_of_the_first_success() {
        let mut looks = 0;
        let value = eventually(Duration::from_secs(5), "three looks", || {
            looks += 1;
            let seen = looks;
            async move {
                ensure!(seen == 3, "look {seen}");
                Ok(seen)
            }
        })
        .await;
        assert_eq!(value.unwrap(), 3);
    }

    #[tokio::test]
    async fn names_the_wish_and_the_last_reason_at_the_deadline() {
        let result: Result<()> = eventually(Duration::from_secs(1), "a miracle", || async {
            bail!("1 of 2 replicas are ready")
        })
        .await;
        let text = format!("{:#}", result.unwrap_err());
        assert_eq!(
            text,
            "waited 1 s for this in vain: a miracle: 1 of 2 replicas are ready"
        );
    }

    #[tokio::test]
    async fn a_probe_that_hangs_does_not_hang_the_waiter() {
        let result: Result<()> =
            eventually(Duration::from_millis(300), "an answer", std::future::pending).await;
        assert!(format!("{:#}", result.unwrap_err()).contains("did not come back"));
    }
}
