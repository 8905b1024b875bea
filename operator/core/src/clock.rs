//! Whether a clock may be believed: expiry and age are judged by the operator's clock, stamps are made by the API server's.
//!
//! A clock that is behind lets expired plans go; one that runs ahead ends a freeze early and lets keys count before their
//! time. Neither is used.

use jiff::{SignedDuration, Timestamp};

/// How far clocks of machines that keep time may be apart. Creation times are cut to whole seconds.
pub const TOLERANCE: SignedDuration = SignedDuration::from_secs(5);

/// How far `now` is behind the newest time that the API server wrote; `None` when it is not, or not by more than
/// [`TOLERANCE`].
#[must_use]
pub fn behind(now: Timestamp, written: impl IntoIterator<Item = Timestamp>) -> Option<SignedDuration> {
    let newest = written.into_iter().max()?;
    let gap = newest.duration_since(now);
    (gap > TOLERANCE).then_some(gap)
}

/// How far this machine's clock is from the API server's: positive when ahead, negative when behind; `None` within
/// [`TOLERANCE`]. The API server wrote `stamped`, cut to whole seconds, between the two times of this machine.
#[must_use]
pub fn skew(asked: Timestamp, answered: Timestamp, stamped: Timestamp) -> Option<SignedDuration> {
    let second = SignedDuration::from_secs(1);
    let ahead = asked.duration_since(stamped) - second;
    let behind = stamped.duration_since(answered);
    if ahead > TOLERANCE {
        Some(ahead)
    } else {
        (behind > TOLERANCE).then(|| -behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_the_newest_stamp_is_not_believed() {
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        assert_eq!(behind(at(100), []), None);
        assert_eq!(behind(at(100), [at(40), at(100)]), None);
        assert_eq!(behind(at(100), [at(105)]), None);
        assert_eq!(
            behind(at(100), [at(3), at(106)]),
            Some(SignedDuration::from_secs(6))
        );
    }

    #[test]
    fn a_clock_is_believed_while_the_api_server_stamps_within_the_time_of_the_question() {
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        let (asked, answered) = (at(100), at(102));
        for (stamped, expected) in [
            (99, None),
            (100, None),
            (102, None),
            (94, None),
            (93, Some(6)),
            (40, Some(59)),
            (107, None),
            (108, Some(-6)),
            (3702, Some(-3600)),
        ] {
            let found = skew(asked, answered, at(stamped)).map(|gap| gap.as_secs());
            assert_eq!(found, expected, "{stamped}");
        }
    }
}
