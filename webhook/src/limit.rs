//! How many turns a person may create a minute: a sliding window a user, in memory. Each replica counts for itself, so
//! several replicas together allow more; the limit guards against loops, it is no quota.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Length of the window.
const WINDOW: Duration = Duration::from_secs(60);
/// Most people remembered at once. When there are more, the one seen longest ago is forgotten.
const MAX_PEOPLE: usize = 10_000;

/// Turns of one person in the current window and the one before. The sliding count is estimated from both.
#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    count: u32,
    before: u32,
}

impl Window {
    /// The window moved on to `now`.
    fn at(self, now: Instant) -> Self {
        let passed = now.saturating_duration_since(self.began);
        if passed < WINDOW {
            self
        } else if passed < WINDOW * 2 {
            Self {
                began: self.began + WINDOW,
                count: 0,
                before: self.count,
            }
        } else {
            Self {
                began: now,
                count: 0,
                before: 0,
            }
        }
    }

    /// Turns within the last minute, taking those of the window before as evenly spread.
    fn estimate(self, now: Instant) -> f64 {
        let left = 1.0 - now.saturating_duration_since(self.began).as_secs_f64() / WINDOW.as_secs_f64();
        f64::from(self.count) + f64::from(self.before) * left.clamp(0.0, 1.0)
    }
}

/// The windows of all people.
#[derive(Debug, Default)]
pub(crate) struct TurnLimit {
    people: Mutex<HashMap<String, Window>>,
}

impl TurnLimit {
    /// Whether one more turn fits; it is counted only where `consume` is set (a dry-run is not).
    pub(crate) fn admit(&self, username: &str, limit: u32, now: Instant, consume: bool) -> bool {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Window {
            began: now,
            count: 0,
            before: 0,
        };
        let window = people.get(username).copied().unwrap_or(fresh).at(now);
        if window.estimate(now) + 1.0 > f64::from(limit) {
            return false;
        }
        if consume {
            make_room(&mut people, username);
            people.insert(
                username.to_owned(),
                Window {
                    count: window.count.saturating_add(1),
                    ..window
                },
            );
        }
        true
    }
}

fn make_room(people: &mut HashMap<String, Window>, username: &str) {
    if people.len() < MAX_PEOPLE || people.contains_key(username) {
        return;
    }
    let oldest = people
        .iter()
        .min_by_key(|(_, window)| window.began)
        .map(|(name, _)| name.clone());
    if let Some(oldest) = oldest {
        people.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_more_turns_a_minute_than_the_limit_and_only_for_that_person() {
        let (limit, start) = (TurnLimit::default(), Instant::now());
        for _ in 0..3 {
            assert!(limit.admit("alice", 3, start, true));
        }
        assert!(!limit.admit("alice", 3, start + Duration::from_secs(59), true));
        assert!(limit.admit("bob", 3, start, true));
    }

    #[test]
    fn the_window_slides_instead_of_opening_at_once() {
        let (limit, start) = (TurnLimit::default(), Instant::now());
        for _ in 0..10 {
            assert!(limit.admit("alice", 10, start, true));
        }
        let admitted = |at: u64| {
            (0..20)
                .filter(|_| limit.admit("alice", 10, start + Duration::from_secs(at), true))
                .count()
        };
        assert_eq!(
            admitted(61),
            0,
            "nearly all turns of the window before still count"
        );
        assert_eq!(admitted(90), 5);
        assert_eq!(admitted(300), 10);
    }

    #[test]
    fn a_dry_run_consumes_nothing() {
        let (limit, now) = (TurnLimit::default(), Instant::now());
        assert!((0..5).all(|_| limit.admit("alice", 1, now, false)));
        assert!(limit.admit("alice", 1, now, true));
        assert!(!limit.admit("alice", 1, now, false));
    }

    #[test]
    fn memory_is_bounded_whoever_asks() {
        let (limit, now) = (TurnLimit::default(), Instant::now());
        for number in 0..MAX_PEOPLE + 50 {
            assert!(limit.admit(&format!("user-{number}"), 1, now, true));
        }
        assert_eq!(limit.people.lock().unwrap().len(), MAX_PEOPLE);
    }
}
