//! How long a decision is kept: it is evidence of a plan, so it outlives it, by a set time and no more.

use jiff::{SignedDuration, Timestamp};

/// A decision outlives its plan by so long.
pub const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What becomes of a decision that was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// It stays; only a change of it or of its plan can alter that.
    Stays,
    /// Its plan is gone; it goes at `end`. `since` is when the plan was first found gone, to be kept with it.
    Until {
        /// When the plan was first found gone.
        since: Timestamp,
        /// When the decision goes.
        end: Timestamp,
    },
    /// Its time is over.
    Over,
}

/// Decides. A plan goes with its turn, after the turn's own TTL; from then on the time of its decisions is counted. What Git
/// tracks stays: it would only be created again, and again.
#[must_use]
pub fn retention(
    tracked: bool,
    plan_is_there: bool,
    gone_since: Option<Timestamp>,
    now: Timestamp,
) -> Retention {
    if tracked || plan_is_there {
        return Retention::Stays;
    }
    let since = gone_since.unwrap_or(now);
    match since.checked_add(KEPT) {
        Ok(end) if end <= now => Retention::Over,
        Ok(end) => Retention::Until { since, end },
        Err(_) => Retention::Stays,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_goes_thirty_days_after_its_plan_and_never_before() {
        let at = |days: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * days);
        let until = |since, end| Retention::Until {
            since: at(since),
            end: at(end),
        };
        let cases = [
            // However old, as long as the plan is there.
            (false, true, None, 900, Retention::Stays),
            (false, true, Some(at(1)), 900, Retention::Stays),
            (false, false, None, 900, until(900, 930)),
            (false, false, Some(at(900)), 901, until(900, 930)),
            (false, false, Some(at(900)), 929, until(900, 930)),
            (false, false, Some(at(900)), 930, Retention::Over),
            (false, false, Some(at(900)), 2000, Retention::Over),
            (true, false, Some(at(900)), 2000, Retention::Stays),
            (true, false, None, 2000, Retention::Stays),
        ];
        for (tracked, there, since, now, expected) in cases {
            let found = retention(tracked, there, since, at(now));
            assert_eq!(found, expected, "{tracked} {there} {since:?} {now}");
        }
        let never = retention(false, false, Some(Timestamp::MAX), Timestamp::MAX);
        assert_eq!(never, Retention::Stays);
    }
}
