//! The queue before a provider: bounded, and fair between people. Who asks much waits behind himself, not before others.

use std::collections::{BTreeMap, VecDeque};

/// Turns that wait for one provider at most.
pub const MAX_WAITING: usize = 256;
/// Turns of one person that wait for one provider at most.
pub const MAX_OF_ONE: usize = 16;

/// Why a turn cannot wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// This person's turns.
    #[error("{MAX_OF_ONE} turns of yours wait for this provider already")]
    Own,
    /// Everybody's.
    #[error("{MAX_WAITING} turns wait for this provider already")]
    All,
}

/// What waits, by person; people take turns.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: BTreeMap<String, VecDeque<T>>,
    turns: VecDeque<String>,
    length: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            turns: VecDeque::new(),
            length: 0,
        }
    }
}

impl<T> Queue<T> {
    /// Lets something of a person wait.
    ///
    /// # Errors
    /// When there is no room; it is given back.
    pub fn push(&mut self, who: &str, what: T) -> Result<(), (Full, T)> {
        let own = self.waiting.get(who).map_or(0, VecDeque::len);
        if own >= MAX_OF_ONE {
            return Err((Full::Own, what));
        }
        if self.length >= MAX_WAITING {
            return Err((Full::All, what));
        }
        if own == 0 {
            self.turns.push_back(who.to_owned());
        }
        self.waiting.entry(who.to_owned()).or_default().push_back(what);
        self.length += 1;
        Ok(())
    }

    /// The next: the oldest of the person who has waited longest for his turn.
    pub fn pop(&mut self) -> Option<T> {
        let who = self.turns.pop_front()?;
        let own = self.waiting.get_mut(&who)?;
        let next = own.pop_front();
        if own.is_empty() {
            self.waiting.remove(&who);
        } else {
            self.turns.push_back(who);
        }
        self.length -= usize::from(next.is_some());
        next
    }

    /// How many wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether none waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_asks_much_does_not_hold_up_others() {
        let mut queue = Queue::default();
        for n in 0..10 {
            queue.push("alice", ("alice", n)).unwrap();
        }
        queue.push("bob", ("bob", 0)).unwrap();
        assert_eq!((queue.pop(), queue.pop()), (Some(("alice", 0)), Some(("bob", 0))));
        assert_eq!(queue.pop(), Some(("alice", 1)), "in his own order");
    }

    #[test]
    fn there_is_room_for_so_many_of_one_and_of_all() {
        let mut queue = Queue::default();
        for n in 0..MAX_OF_ONE {
            queue.push("alice", n).unwrap();
        }
        assert_eq!(queue.push("alice", 99), Err((Full::Own, 99)));
        for n in queue.len()..MAX_WAITING {
            queue.push(&format!("user{n}"), n).unwrap();
        }
        assert_eq!(queue.push("zoe", 99), Err((Full::All, 99)));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nobody_waits_longer_than_one_round(people in prop::collection::vec(0_u8..6, 0..80)) {
            let mut queue = Queue::default();
            let mut taken = 0;
            for who in &people {
                taken += usize::from(queue.push(&who.to_string(), *who).is_ok());
            }
            prop_assert_eq!(queue.len(), taken);
            let served: Vec<u8> = std::iter::from_fn(|| queue.pop()).collect();
            prop_assert_eq!(served.len(), taken);
            prop_assert!(queue.is_empty());
            // Everybody who waits is served once before anybody is served twice.
            let distinct: std::collections::BTreeSet<u8> = people.iter().copied().collect();
            let first: std::collections::BTreeSet<u8> = served.iter().take(distinct.len()).copied().collect();
            prop_assert_eq!(first, distinct);
        }
    }
}
