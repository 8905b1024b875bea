//! The circuit breaker of a provider: one that fails again and again is left alone for a while, then asked by one turn.

/// Failures in a row after which a provider is left alone.
pub const FAILURES: u32 = 3;
/// First time it is left alone, in milliseconds; doubles with each further failure.
const FIRST_PAUSE: u64 = 5_000;
/// Longest time it is left alone.
const LONGEST_PAUSE: u64 = 300_000;
/// After so long without a word from the one turn that tries, another may.
const TRIAL: u64 = 180_000;

/// A provider's breaker. Times are milliseconds of one monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    open_until: u64,
    trial_until: u64,
}

/// How a call went, as far as the breaker minds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// It answered in its own form, whatever the answer is worth.
    Answered,
    /// It did not, or with an error.
    Failed,
    /// It asked for a pause of so many milliseconds.
    Busy(u64),
    /// It was not asked: what happened says nothing about it.
    NotMade,
}

impl Breaker {
    /// Whether a turn may ask now; the milliseconds to wait if not.
    ///
    /// # Errors
    /// How long it is left alone yet.
    pub fn admit(&mut self, now: u64) -> Result<(), u64> {
        if now < self.open_until {
            return Err(self.open_until - now);
        }
        if self.failures >= FAILURES {
            if now < self.trial_until {
                return Err(self.trial_until - now);
            }
            self.trial_until = now.saturating_add(TRIAL);
        }
        Ok(())
    }

    /// Takes note of how a call went.
    pub fn note(&mut self, call: Call, now: u64) {
        self.trial_until = 0;
        match call {
            Call::Answered => *self = Self::default(),
            Call::Failed => {
                self.failures = self.failures.saturating_add(1);
                if let Some(more) = self.failures.checked_sub(FAILURES) {
                    let pause = FIRST_PAUSE.saturating_mul(1 << more.min(16)).min(LONGEST_PAUSE);
                    self.open_until = now.saturating_add(pause);
                }
            }
            Call::Busy(pause) => {
                self.open_until = self.open_until.max(now.saturating_add(pause.min(LONGEST_PAUSE)));
            }
            Call::NotMade => {}
        }
    }

    /// Whether it is left alone now.
    #[must_use]
    pub const fn is_open(&self, now: u64) -> bool {
        now < self.open_until
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn after_three_failures_it_is_left_alone_and_then_asked_by_one() {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert_eq!(breaker.admit(0), Ok(()));
            breaker.note(Call::Failed, 0);
        }
        assert_eq!(breaker.admit(1), Err(FIRST_PAUSE - 1));
        assert_eq!(breaker.admit(FIRST_PAUSE), Ok(()), "one tries");
        assert!(breaker.admit(FIRST_PAUSE).is_err(), "and only one");
        breaker.note(Call::Failed, FIRST_PAUSE);
        assert_eq!(
            breaker.admit(FIRST_PAUSE),
            Err(2 * FIRST_PAUSE),
            "longer each time"
        );
        breaker.note(Call::Answered, 9 * FIRST_PAUSE);
        assert_eq!(breaker, Breaker::default());
    }

    #[test]
    fn a_trial_that_never_reports_does_not_block_for_ever() {
        let mut breaker = Breaker::default();
        (0..FAILURES).for_each(|_| breaker.note(Call::Failed, 0));
        assert_eq!(breaker.admit(FIRST_PAUSE), Ok(()));
        assert_eq!(breaker.admit(FIRST_PAUSE + TRIAL), Ok(()));
    }

    #[test]
    fn a_busy_server_is_asked_when_it_said_and_that_is_no_failure() {
        let mut breaker = Breaker::default();
        breaker.note(Call::Busy(7_000), 0);
        assert_eq!((breaker.admit(6_999), breaker.admit(7_000)), (Err(1), Ok(())));
        breaker.note(Call::Busy(u64::MAX), 0);
        assert_eq!(
            breaker.admit(0),
            Err(LONGEST_PAUSE),
            "no server stops us for longer"
        );
    }

    proptest! {
        #[test]
        fn it_always_opens_again(calls in prop::collection::vec((0_u64..10_000, 0_u8..4), 0..60)) {
            let (mut breaker, mut now) = (Breaker::default(), 0);
            for (later, what) in calls {
                now += later;
                let call = [Call::Answered, Call::Failed, Call::Busy(later), Call::NotMade][usize::from(what)];
                breaker.note(call, now);
            }
            let _ = breaker.admit(now);
            prop_assert_eq!(breaker.admit(now + LONGEST_PAUSE.max(TRIAL)), Ok(()));
        }
    }
}
