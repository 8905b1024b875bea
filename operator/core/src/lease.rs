//! Leader election, decided: what to do with a Lease, given what it says. The shell reads and replaces it with its
//! resourceVersion, so that of two writers one loses.

use std::time::Duration;

use jiff::Timestamp;

/// What the Lease object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Who holds it; empty after a release.
    pub holder: String,
    /// How often the holder changed: the fence of the audit log.
    pub transitions: i64,
    /// Last renewal.
    pub renewed: Timestamp,
    /// How long a renewal is good for.
    pub duration: Duration,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Create the Lease as its first holder.
    Create,
    /// Renew the own Lease.
    Renew,
    /// Take over a lost or released Lease, with this many transitions.
    TakeOver(i64),
    /// Somebody else leads.
    Follow(String),
}

/// Decides. `observed_since` is how long this very record was seen unchanged by the local monotonic clock. It alone
/// counts: times in the record are of another machine's clock, which may be ahead or behind by hours.
#[must_use]
pub fn evaluate(me: &str, seen: Option<&Seen>, observed_since: Duration) -> Step {
    let Some(seen) = seen else { return Step::Create };
    if seen.holder == me {
        return Step::Renew;
    }
    if seen.holder.is_empty() {
        return Step::TakeOver(seen.transitions + 1);
    }
    if observed_since >= seen.duration {
        return Step::TakeOver(seen.transitions + 1);
    }
    Step::Follow(seen.holder.clone())
}

/// Whether a leader may still act: it must stop before another one may start, even when its own renewals hang.
#[must_use]
pub fn may_act(since_last_renewal: Duration, lease: Duration) -> bool {
    since_last_renewal < lease.mul_f64(0.7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(holder: &str, renewed: i64) -> Seen {
        Seen {
            holder: holder.into(),
            transitions: 3,
            renewed: Timestamp::from_second(renewed).unwrap(),
            duration: Duration::from_secs(15),
        }
    }

    #[test]
    fn follows_a_live_leader_and_takes_over_a_dead_one() {
        let s = Duration::from_secs;
        let cases = [
            (None, s(0), Step::Create),
            (Some(seen("me", 0)), s(0), Step::Renew),
            (Some(seen("", 99)), s(0), Step::TakeOver(4)),
            (Some(seen("other", 80)), s(0), Step::Follow("other".into())),
            (Some(seen("other", 80)), s(14), Step::Follow("other".into())),
            (Some(seen("other", 80)), s(15), Step::TakeOver(4)),
            // Whatever the clock of the dead leader said.
            (Some(seen("other", 99)), s(60), Step::TakeOver(4)),
            (Some(seen("other", 99_999_999)), s(15), Step::TakeOver(4)),
            (
                Some(seen("other", 99_999_999)),
                s(14),
                Step::Follow("other".into()),
            ),
        ];
        for (record, observed, want) in cases {
            assert_eq!(
                evaluate("me", record.as_ref(), observed),
                want,
                "{record:?} {observed:?}"
            );
        }
    }

    #[test]
    fn a_leader_stops_acting_before_another_may_take_over() {
        let lease = Duration::from_secs(15);
        assert!(may_act(Duration::from_secs(10), lease));
        assert!(!may_act(Duration::from_secs(11), lease));
    }
}
