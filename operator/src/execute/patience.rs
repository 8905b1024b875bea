//! How long a write that the API server does not take now is asked for again.

use std::time::Duration;

use kubechat_core::plan::actions::evict::PATIENCE;
use kubechat_crds::Step;
use kubechat_crds::intent::Action;

use crate::error::Error;

/// How often a write that met a conflict, or too many requests, is tried.
pub(super) const MAX_CONFLICTS: u32 = 4;
/// First wait after the API server said that there are too many requests.
const TOO_MANY: Duration = if cfg!(test) {
    Duration::from_millis(1)
} else {
    Duration::from_secs(1)
};
/// Longest wait that the API server may ask for, in seconds.
const MAX_PAUSE: u32 = 10;

/// What is left of the time in which one write may be asked for again.
#[derive(Debug)]
pub(super) struct Patience {
    tries: u32,
    /// Of an eviction: a disruption budget may forbid it for a while.
    left: Option<Duration>,
}

impl Patience {
    /// For one target of a step.
    pub(super) fn of(step: &Step) -> Self {
        if step.action != Action::Evict {
            return Self {
                tries: MAX_CONFLICTS,
                left: None,
            };
        }
        let seconds = step.params.timeout_seconds.unwrap_or(PATIENCE).clamp(1, 300);
        let seconds = u32::try_from(seconds).unwrap_or(1);
        Self {
            // The n-th pause is n seconds up to the fifth, and five from then on.
            tries: MAX_CONFLICTS + seconds.saturating_sub(10).div_ceil(5),
            left: Some(Duration::from_secs(seconds.into())),
        }
    }

    /// How often it is tried at most.
    pub(super) const fn tries(&self) -> u32 {
        self.tries
    }

    /// How long to wait after a 429: as long as the API server asks for, within bounds. `None` when there is no time left.
    pub(super) fn pause(&mut self, error: &Error, attempt: u32) -> Option<Duration> {
        let asked = error
            .status()
            .and_then(|s| s.details.as_ref())
            .map_or(0, |d| d.retry_after_seconds.min(MAX_PAUSE));
        let pause = Duration::from_secs(asked.into()).max(TOO_MANY * (attempt.min(MAX_CONFLICTS) + 1));
        let Some(left) = &mut self.left else {
            return Some(pause);
        };
        let pause = pause.min(*left);
        *left -= pause;
        (!pause.is_zero()).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use kubechat_core::plan::actions::create_namespace;

    use super::*;

    fn waited(action: Action, timeout: Option<i64>) -> (usize, Duration) {
        let mut step = create_namespace::draft("x", 0).step;
        step.action = action;
        step.params.timeout_seconds = timeout;
        let status = kube::core::Status::failure("the budget forbids it", "TooManyRequests").with_code(429);
        let details = serde_json::from_value(serde_json::json!({"retryAfterSeconds": 99})).unwrap();
        let error = Error::Api {
            what: "evict pod x".into(),
            source: kube::Error::Api(status.with_details(details).boxed()),
        };
        let mut patience = Patience::of(&step);
        let pauses: Vec<Duration> = (0..patience.tries())
            .map_while(|n| patience.pause(&error, n))
            .collect();
        (pauses.len(), pauses.iter().sum())
    }

    #[test]
    fn an_eviction_is_waited_for_as_long_as_said_and_no_longer_whatever_the_server_asks_for() {
        for (said, seconds) in [(None, 60), (Some(2), 2), (Some(25), 25), (Some(9999), 300)] {
            assert_eq!(
                waited(Action::Evict, said).1,
                Duration::from_secs(seconds),
                "{said:?}"
            );
        }
        assert_eq!(waited(Action::Scale, None), (4, Duration::from_secs(40)));
    }
}
