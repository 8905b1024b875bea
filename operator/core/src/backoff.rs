//! How long until an object is looked at again, by class of error.

use std::time::Duration;

/// Why a reconcile did not succeed, which decides when it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The object itself is wrong: only a change of it helps.
    Invalid,
    /// Somebody else wrote first.
    Conflict,
    /// Something else has to come first.
    Dependency,
    /// The network, the API server, the store.
    Transient,
}

/// Longest wait after transient errors.
pub const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// Wait after success: a safety net for missed events.
pub const RESYNC: Duration = Duration::from_secs(600);

/// The wait before the next try; `None` waits for a change of the object. `attempt` counts from 1, `jitter` is in 0..1.
#[must_use]
pub fn requeue(class: Class, attempt: u32, jitter: f64) -> Option<Duration> {
    match class {
        Class::Invalid => None,
        Class::Conflict => Some(Duration::from_secs(1)),
        Class::Dependency => Some(spread(Duration::from_secs(30), jitter)),
        Class::Transient => {
            let seconds = 1u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
            Some(Duration::from_secs(seconds).min(MAX_BACKOFF))
        }
    }
}

/// ±20 % around a duration, so that many objects do not come back at once.
#[must_use]
pub fn spread(base: Duration, jitter: f64) -> Duration {
    base.mul_f64(0.4f64.mul_add(jitter.clamp(0.0, 1.0), 0.8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_errors_back_off_exponentially_to_five_minutes() {
        let waits: Vec<u64> = [1, 2, 3, 9, 10, 64, 1000]
            .iter()
            .map(|n| requeue(Class::Transient, *n, 0.5).unwrap().as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 256, 300, 300, 300]);
        assert_eq!(requeue(Class::Invalid, 1, 0.5), None);
    }

    #[test]
    fn a_conflict_waits_a_second_and_what_must_come_first_half_a_minute_a_fifth_more_or_less() {
        for attempt in [1, 2, 50] {
            assert_eq!(
                requeue(Class::Conflict, attempt, 0.9),
                Some(Duration::from_secs(1))
            );
            for (jitter, wait) in [(0.0, 24), (0.5, 30), (1.0, 36)] {
                let waits = requeue(Class::Dependency, attempt, jitter);
                assert_eq!(waits, Some(Duration::from_secs(wait)));
            }
        }
    }

    #[test]
    fn spread_stays_within_a_fifth() {
        assert_eq!(spread(Duration::from_secs(10), 0.0), Duration::from_secs(8));
        assert_eq!(spread(Duration::from_secs(10), 1.0), Duration::from_secs(12));
    }
}
