//! Whether a clock may be believed: expiry and age are judged by the operator's clock, stamps are made by the API server's.
//!
//! A clock that runs ahead only lets plans expire early. One that is behind would let expired plans go, so it is not used.

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
}
