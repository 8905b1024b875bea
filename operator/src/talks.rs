//! The turns of each session in their order, kept from the watch: a turn is read with the few before it in hand, however long
//! the conversation and however many turns the cluster holds. Per turn, a name and two numbers are kept, never its text.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::watcher::Event;
use kubechat_core::lifecycle::chat_request::rests;
use kubechat_core::lifecycle::chat_session::Turns;
use kubechat_core::seal;
use kubechat_crds::ChatRequest;
use tokio::time::Instant;

/// Namespace and name of a session.
type Session = (String, String);
/// A turn's place: when it was created, in whole seconds as the API server keeps it; of those of one second, when each was
/// sealed; then its name. All of it stands in the turn, so that every process finds the same order, after a restart too.
type Place = (Timestamp, Option<(i64, i64)>, String);

/// The order of the turns of all sessions.
#[derive(Debug, Default)]
pub struct Talks(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Counts the lists: what the newest one lacks is gone.
    lists: u64,
    sessions: HashMap<Session, Talk>,
}

#[derive(Debug, Default)]
struct Talk {
    /// Their UIDs.
    turns: BTreeMap<Place, String>,
    /// By UID.
    seen: HashMap<String, Seen>,
    /// Turns under way.
    working: BTreeSet<Place>,
    /// Turns that have a plan.
    plans: BTreeSet<Place>,
}

#[derive(Clone, Debug)]
struct Seen {
    place: Place,
    list: u64,
    /// Since when it waits for an earlier one, in this process: the time nobody was there to read does not count.
    waits_since: Option<Instant>,
}

impl Talks {
    /// How long this turn has waited for earlier ones; the first question begins it.
    #[must_use]
    pub fn waited(&self, turn: &ChatRequest) -> Duration {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let talk = session_of(turn).and_then(|session| inner.sessions.get_mut(&session));
        let seen = talk.and_then(|talk| talk.seen.get_mut(&turn.uid().unwrap_or_default()));
        // One that is not seen yet is looked at again.
        seen.map_or(Duration::ZERO, |seen| {
            seen.waits_since.get_or_insert_with(Instant::now).elapsed()
        })
    }

    /// What this turn has waited so far does not count.
    pub fn waits_anew(&self, turn: &ChatRequest) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let talk = session_of(turn).and_then(|session| inner.sessions.get_mut(&session));
        if let Some(seen) = talk.and_then(|talk| talk.seen.get_mut(&turn.uid().unwrap_or_default())) {
            seen.waits_since = None;
        }
    }

    /// Takes what the watch says, before the cache shows it.
    pub fn see(&self, event: &Event<ChatRequest>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Apply(turn) | Event::InitApply(turn) => inner.note(turn),
            Event::Delete(turn) => inner.forget(turn),
            Event::Init => inner.lists += 1,
            Event::InitDone => inner.sweep(),
        }
    }

    /// Names of the last turns before this one, oldest first.
    #[must_use]
    pub fn before(&self, turn: &ChatRequest, most: usize) -> Vec<String> {
        self.of(turn, |talk, place| {
            let earlier = talk.turns.range(..place).rev().take(most);
            let mut names: Vec<String> = earlier.map(|((_, _, name), _)| name.clone()).collect();
            names.reverse();
            names
        })
        .unwrap_or_default()
    }

    /// Name of the last turn before this one that has a plan.
    #[must_use]
    pub fn last_plan(&self, turn: &ChatRequest) -> Option<String> {
        self.of(turn, |talk, place| {
            talk.plans
                .range(..place)
                .next_back()
                .map(|(_, _, name)| name.clone())
        })
        .flatten()
    }

    /// What there is of a session.
    #[must_use]
    pub fn turns(&self, namespace: &str, session: &str) -> Turns {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let talk = inner.sessions.get(&(namespace.to_owned(), session.to_owned()));
        talk.map_or_else(Turns::default, |talk| Turns {
            count: i64::try_from(talk.turns.len()).unwrap_or(i64::MAX),
            newest: talk.turns.last_key_value().map(|((at, ..), _)| *at),
            working: !talk.working.is_empty(),
        })
    }

    /// Asks about the turns before this one, whether it was seen yet or not.
    fn of<T>(&self, turn: &ChatRequest, ask: impl FnOnce(&Talk, Place) -> T) -> Option<T> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let talk = inner.sessions.get(&session_of(turn)?)?;
        Some(ask(talk, place_of(turn)))
    }
}

impl Inner {
    fn note(&mut self, turn: &ChatRequest) {
        let (Some(session), Some(uid)) = (session_of(turn), turn.uid()) else {
            return;
        };
        let list = self.lists;
        let talk = self.sessions.entry(session).or_default();
        let place = match talk.seen.get_mut(&uid) {
            Some(seen) => {
                seen.list = list;
                seen.place.clone()
            }
            None => {
                let place = place_of(turn);
                let seen = Seen {
                    place: place.clone(),
                    list,
                    waits_since: None,
                };
                talk.seen.insert(uid.clone(), seen);
                talk.turns.insert(place.clone(), uid);
                place
            }
        };
        let status = turn.status.as_ref();
        keep(&mut talk.working, &place, !rests(status.and_then(|s| s.phase)));
        keep(
            &mut talk.plans,
            &place,
            status.is_some_and(|s| s.plan_ref.is_some()),
        );
    }

    fn forget(&mut self, turn: &ChatRequest) {
        let (Some(session), Some(uid)) = (session_of(turn), turn.uid()) else {
            return;
        };
        if let Some(talk) = self.sessions.get_mut(&session) {
            talk.remove(&uid);
            if talk.turns.is_empty() {
                self.sessions.remove(&session);
            }
        }
    }

    /// Drops what the list did not hold: its removal was missed.
    fn sweep(&mut self) {
        let list = self.lists;
        for talk in self.sessions.values_mut() {
            let gone: Vec<String> = talk
                .seen
                .iter()
                .filter(|(_, seen)| seen.list != list)
                .map(|(uid, _)| uid.clone())
                .collect();
            gone.iter().for_each(|uid| talk.remove(uid));
        }
        self.sessions.retain(|_, talk| !talk.turns.is_empty());
    }
}

impl Talk {
    fn remove(&mut self, uid: &str) {
        if let Some(seen) = self.seen.remove(uid) {
            // One of the same name that was made since may stand there.
            if self.turns.get(&seen.place).is_some_and(|there| there != uid) {
                return;
            }
            self.turns.remove(&seen.place);
            self.working.remove(&seen.place);
            self.plans.remove(&seen.place);
        }
    }
}

fn keep(places: &mut BTreeSet<Place>, place: &Place, is: bool) {
    if is {
        places.insert(place.clone());
    } else {
        places.remove(place);
    }
}

fn session_of(turn: &ChatRequest) -> Option<Session> {
    let name = turn.spec.session_ref.as_ref()?.name.clone();
    Some((turn.namespace().unwrap_or_default(), name))
}

fn place_of(turn: &ChatRequest) -> Place {
    let created = turn.creation_timestamp().map_or(Timestamp::MAX, |t| t.0);
    let sealed = turn.spec.requester.as_ref().and_then(seal::sealed_in_order);
    (created, sealed, turn.name_any())
}

#[cfg(test)]
#[path = "talks_tests.rs"]
mod tests;
