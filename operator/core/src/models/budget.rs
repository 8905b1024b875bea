//! What one person may use of a provider: calls a minute, tokens a day. Counted where the calls are made.

use std::collections::{BTreeMap, VecDeque};

/// People that are remembered; beyond it, those who used nothing for a day are forgotten.
const MAX_PEOPLE: usize = 10_000;
const MINUTE: u64 = 60;
const DAY: u64 = 24 * 3600;

/// Limits as the provider's spec says them; none is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Calls a minute, of one person.
    pub calls_a_minute: Option<u64>,
    /// Tokens within a day, of one person.
    pub tokens_a_day: Option<u64>,
}

/// Who has had enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    /// Too many calls.
    #[error("you asked it {0} times within a minute, its rateLimit. Ask again in {1} s")]
    Calls(u64, u64),
    /// Too many tokens.
    #[error(
        "you used {0} of its tokens within a day, its budget is {1}. Ask again later, or without it (the built-in rules cost nothing)"
    )]
    Tokens(u64, u64),
}

#[derive(Clone, Debug, Default)]
struct Person {
    calls: VecDeque<u64>,
    tokens: VecDeque<(u64, u64)>,
}

impl Person {
    fn forget(&mut self, now: u64) {
        while self.calls.front().is_some_and(|at| at + MINUTE <= now) {
            self.calls.pop_front();
        }
        while self.tokens.front().is_some_and(|(at, _)| at + DAY <= now) {
            self.tokens.pop_front();
        }
    }
}

/// What people used of one provider. Times are seconds of one clock.
#[derive(Clone, Debug, Default)]
pub struct Used {
    people: BTreeMap<String, Person>,
}

impl Used {
    /// Counts a call, if the person may make one.
    ///
    /// # Errors
    /// Which limit stands in the way.
    pub fn call(&mut self, who: &str, limits: Limits, now: u64) -> Result<(), Over> {
        if self.people.len() >= MAX_PEOPLE {
            self.people.retain(|_, person| {
                person.forget(now);
                !(person.calls.is_empty() && person.tokens.is_empty())
            });
        }
        let person = self.people.entry(who.to_owned()).or_default();
        person.forget(now);
        let tokens = person
            .tokens
            .iter()
            .fold(0_u64, |all, (_, n)| all.saturating_add(*n));
        if let Some(limit) = limits.tokens_a_day.filter(|limit| tokens >= *limit) {
            return Err(Over::Tokens(tokens, limit));
        }
        let calls = u64::try_from(person.calls.len()).unwrap_or(u64::MAX);
        if let Some(limit) = limits.calls_a_minute.filter(|limit| calls >= *limit) {
            let wait = person
                .calls
                .front()
                .map_or(MINUTE, |at| (at + MINUTE).saturating_sub(now));
            return Err(Over::Calls(limit, wait));
        }
        // Without a limit nothing has to be remembered.
        if limits.calls_a_minute.is_some() {
            person.calls.push_back(now);
        }
        Ok(())
    }

    /// Counts tokens that a call used.
    pub fn spend(&mut self, who: &str, tokens: u64, now: u64) {
        let person = self.people.entry(who.to_owned()).or_default();
        person.forget(now);
        // Those of one minute are one item: a day has 1,440.
        match person.tokens.back_mut() {
            Some((at, count)) if *at + MINUTE > now => *count = count.saturating_add(tokens),
            Some(_) | None => person.tokens.push_back((now, tokens)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_a_minute_and_by_person() {
        let (mut used, limits) = (
            Used::default(),
            Limits {
                calls_a_minute: Some(2),
                tokens_a_day: None,
            },
        );
        assert_eq!(
            [used.call("a", limits, 0), used.call("a", limits, 30)],
            [Ok(()), Ok(())]
        );
        assert_eq!(used.call("a", limits, 40), Err(Over::Calls(2, 20)));
        assert_eq!(
            used.call("b", limits, 40),
            Ok(()),
            "somebody else's limit is his own"
        );
        assert_eq!(used.call("a", limits, 60), Ok(()));
        assert_eq!(
            used.call("a", limits, 61),
            Err(Over::Calls(2, 29)),
            "refusals do not count"
        );
    }

    #[test]
    fn tokens_are_counted_a_day_also_what_went_over() {
        let (mut used, limits) = (
            Used::default(),
            Limits {
                calls_a_minute: None,
                tokens_a_day: Some(100),
            },
        );
        used.spend("a", 99, 0);
        assert_eq!(used.call("a", limits, 10), Ok(()));
        used.spend("a", 500, 10);
        assert_eq!(used.call("a", limits, 11), Err(Over::Tokens(599, 100)));
        assert_eq!(used.call("a", limits, DAY + 11), Ok(()));
        used.spend("a", u64::MAX, DAY + 12);
        used.spend("a", u64::MAX, DAY + 13);
        assert!(
            used.call("a", limits, DAY + 14).is_err(),
            "a server that lies about tokens stops only that person"
        );
        assert_eq!(used.call("b", limits, DAY + 14), Ok(()));
    }

    #[test]
    fn people_who_use_nothing_are_forgotten() {
        let mut used = Used::default();
        for n in 0..MAX_PEOPLE + 50 {
            used.call(&n.to_string(), Limits::default(), 0).unwrap();
        }
        assert!(used.people.len() <= MAX_PEOPLE);
    }
}
