//! One turn at a time adds to a person's hour: from reading what counts of it until the plan made by it counts too, also
//! while the cache does not show that plan yet.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kubechat_crds::CommandPlan;
use tokio::sync::OwnedMutexGuard;

use super::{Past, Removed};

/// How long a plan counts that the cache does not show.
const UNSEEN: SignedDuration = SignedDuration::from_mins(5);

/// Whose hours are taken, and plans that no cache shows yet.
#[derive(Debug, Default)]
pub(super) struct Hours {
    taken: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    made: Mutex<Vec<(Timestamp, Past)>>,
}

/// A person's hour is one turn's until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Hour(#[expect(dead_code, reason = "held, not used")] OwnedMutexGuard<()>);

impl Removed {
    /// Takes a person's hour; waits while another turn of the same person has it.
    pub async fn hour(&self, username: &str) -> Hour {
        let one = {
            let mut all = self.hours.taken.lock().unwrap_or_else(PoisonError::into_inner);
            // There are never more than turns that are worked on.
            all.retain(|_, one| Arc::strong_count(one) > 1);
            Arc::clone(all.entry(username.to_owned()).or_default())
        };
        Hour(one.lock_owned().await)
    }

    /// Keeps in mind a plan that was just made, or perhaps was: it counts before the cache shows it.
    pub fn made(&self, plan: &CommandPlan, now: Timestamp) {
        let mut made = Past::of(plan);
        made.made.get_or_insert(now);
        let mut all = self.hours.made.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(at, past)| is_fresh(*at, now) && past.turn != made.turn);
        all.push((now, made));
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

fn is_fresh(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at) < UNSEEN
}
