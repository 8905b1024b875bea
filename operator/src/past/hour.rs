//! One turn at a time adds to a person's hour: from reading what counts of it until the plan made by it counts too, also
//! while the cache does not show that plan yet. Nobody waits for it where others could work: who comes second keeps a place in
//! line and comes back, and is served in the order of coming.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kubechat_crds::CommandPlan;
use tokio::time::Instant;

use super::{Past, Removed};

/// How long a plan counts that the cache does not show.
const UNSEEN: SignedDuration = SignedDuration::from_mins(5);
/// How long a turn keeps its place in line that does not come back: nobody told that it was removed.
const PLACE: Duration = Duration::from_secs(120);

/// Whose hours are taken, and plans that no cache shows yet.
#[derive(Debug, Default)]
pub(super) struct Hours {
    lines: Mutex<Lines>,
    made: Mutex<Vec<(Timestamp, Past)>>,
}

/// The lines of all people.
#[derive(Debug, Default)]
struct Lines {
    /// By username.
    of: HashMap<String, Line>,
    /// In whose line each turn waits.
    whose: HashMap<String, String>,
}

impl Lines {
    fn take(&mut self, username: &str, turn: &str, now: Instant) -> bool {
        let line = self.of.entry(username.to_owned()).or_default();
        line.come(turn, now);
        for gone in line.expire(now) {
            self.whose.remove(&gone);
        }
        let taken = line.take(turn);
        if taken {
            self.whose.remove(turn);
        } else {
            self.whose.insert(turn.to_owned(), username.to_owned());
        }
        taken
    }

    fn leave(&mut self, turn: &str) {
        let Some(username) = self.whose.remove(turn) else {
            return;
        };
        if let Some(line) = self.of.get_mut(&username) {
            line.waiting.retain(|(waiting, _)| waiting != turn);
            self.tidy(&username);
        }
    }

    fn give_back(&mut self, username: &str) {
        if let Some(line) = self.of.get_mut(username) {
            line.give_back();
            self.tidy(username);
        }
    }

    fn tidy(&mut self, username: &str) {
        let empty = |line: &Line| line.holder.is_none() && line.waiting.is_empty();
        if self.of.get(username).is_some_and(empty) {
            self.of.remove(username);
        }
    }
}

/// Turns of one person.
#[derive(Debug, Default)]
struct Line {
    /// The turn that has the hour, and how often it took it.
    holder: Option<(String, usize)>,
    /// Turns that wait for it, and when each was here last.
    waiting: VecDeque<(String, Instant)>,
}

impl Line {
    /// The turn is here: it keeps its place in line, or gets one.
    fn come(&mut self, turn: &str, now: Instant) {
        if self.is_held_by(turn) {
            return;
        }
        let place = self.waiting.iter_mut().find(|(waiting, _)| waiting == turn);
        match place {
            Some((_, seen)) => *seen = now,
            None => self.waiting.push_back((turn.to_owned(), now)),
        }
    }

    /// Takes the places of those that did not come back.
    fn expire(&mut self, now: Instant) -> Vec<String> {
        let mut gone = vec![];
        self.waiting.retain(|(turn, seen)| {
            let stays = now.saturating_duration_since(*seen) < PLACE;
            if !stays {
                gone.push(turn.clone());
            }
            stays
        });
        gone
    }

    fn is_held_by(&self, turn: &str) -> bool {
        self.holder.as_ref().is_some_and(|(holder, _)| holder == turn)
    }

    /// Whether the hour is this turn's now.
    fn take(&mut self, turn: &str) -> bool {
        if let Some((_, times)) = self.holder.as_mut().filter(|(holder, _)| holder == turn) {
            *times += 1;
            return true;
        }
        let next = self.waiting.front().is_some_and(|(first, _)| first == turn);
        if self.holder.is_some() || !next {
            return false;
        }
        self.waiting.pop_front();
        self.holder = Some((turn.to_owned(), 1));
        true
    }

    fn give_back(&mut self) {
        self.holder = self
            .holder
            .take()
            .map(|(turn, times)| (turn, times.saturating_sub(1)))
            .filter(|(_, times)| *times > 0);
    }
}

/// A person's hour is one turn's until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Hour {
    past: Arc<Removed>,
    username: String,
}

impl Drop for Hour {
    fn drop(&mut self) {
        self.past.lines().give_back(&self.username);
    }
}

/// Where a turn stands that may have come before.
#[derive(Debug)]
pub enum Standing {
    /// It waits for no hour.
    Free,
    /// Others come first.
    InLine,
    /// The hour is its own.
    Next(Hour),
}

impl Removed {
    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.hours.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a person's hour for a turn, by its UID. `None` while other turns of the same person come first: then this one is
    /// in line and comes back soon.
    pub fn hour(self: &Arc<Self>, username: &str, turn: &str) -> Option<Hour> {
        let taken = self.lines().take(username, turn, Instant::now());
        taken.then(|| Hour {
            past: Arc::clone(self),
            username: username.to_owned(),
        })
    }

    /// Whether a turn is in line since an earlier look, and if so, whether its time has come.
    #[must_use]
    pub fn in_line(self: &Arc<Self>, turn: &str) -> Standing {
        let username = self.lines().whose.get(turn).cloned();
        match username.map(|username| self.hour(&username, turn)) {
            None => Standing::Free,
            Some(None) => Standing::InLine,
            Some(Some(hour)) => Standing::Next(hour),
        }
    }

    /// Whether a turn waits behind others of the same person.
    #[must_use]
    pub fn waits_in_line(&self, turn: &str) -> bool {
        self.lines().whose.contains_key(turn)
    }

    /// A turn waits for no hour any more.
    pub fn leave_line(&self, turn: &str) {
        self.lines().leave(turn);
    }

    /// Keeps in mind a plan that was just made, or perhaps is: it counts before the cache shows it. Returns what was in mind of
    /// that turn's plan, for [`Self::not_made`].
    pub fn made(&self, plan: &CommandPlan, now: Timestamp) -> Before {
        let mut made = Past::of(plan);
        made.made.get_or_insert(now);
        let turn = made.turn.clone();
        let mut all = self.hours.made.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(at, _)| is_fresh(*at, now));
        let before = all.iter().position(|(_, past)| past.turn == turn);
        let before = before.map(|at| all.remove(at));
        all.push((now, made));
        Before { turn, before }
    }

    /// It was not made after all: what was in mind before stands again.
    pub fn not_made(&self, before: Before) {
        let mut all = self.hours.made.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, past)| past.turn != before.turn);
        all.extend(before.before);
    }

    /// The cache has shown this turn's plan, and what becomes of it is kept in mind elsewhere.
    pub(super) fn shown(&self, turn: &str) {
        let mut all = self.hours.made.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, past)| past.turn != turn);
    }

    /// The person's plans that were just made, without those whose turns are known by their plans.
    pub(super) fn unseen(&self, username: &str, known: &BTreeSet<String>, now: Timestamp) -> Vec<Past> {
        let mut all = self.hours.made.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(at, past)| is_fresh(*at, now) && !known.contains(&past.turn));
        let mine = all.iter().filter(|(_, past)| past.username == username);
        mine.map(|(_, past)| past.clone()).collect()
    }
}

/// What was in mind of a turn's plan before the last note of it.
#[derive(Debug)]
pub struct Before {
    turn: String,
    before: Option<(Timestamp, Past)>,
}

fn is_fresh(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at) < UNSEEN
}

#[cfg(test)]
#[path = "hour_tests.rs"]
mod tests;
