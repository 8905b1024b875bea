//! Plans that this process is executing at this moment: of what becomes of them the log has not said all yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::Removed;

/// Namespace and name of a plan.
type Key = (String, String);

/// Plans under way.
#[derive(Debug, Default)]
pub(super) struct Plans {
    all: Mutex<HashMap<Key, usize>>,
    ended: Notify,
}

/// A plan is under way until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct UnderWay {
    past: Arc<Removed>,
    plan: Key,
}

impl Removed {
    /// From now on a plan is under way. Said before it is read: so whoever sees it removed afterwards knows that a step of it
    /// may be begun all the same.
    pub fn under_way(self: &Arc<Self>, namespace: &str, name: &str) -> UnderWay {
        let plan = (namespace.to_owned(), name.to_owned());
        let mut all = self.under_way.all.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry(plan.clone()).or_default() += 1;
        UnderWay {
            past: Arc::clone(self),
            plan,
        }
    }

    /// Whether a plan is under way.
    #[must_use]
    pub fn is_under_way(&self, namespace: &str, name: &str) -> bool {
        let all = self.under_way.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.contains_key(&(namespace.to_owned(), name.to_owned()))
    }

    /// Whether a plan of this name is under way in any namespace.
    #[must_use]
    pub fn is_any_under_way(&self, name: &str) -> bool {
        let all = self.under_way.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.keys().any(|(_, known)| known == name)
    }

    /// Waits until a plan is under way no more; at once where that happened since the last time.
    pub async fn one_ended(&self) {
        self.under_way.ended.notified().await;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let plans = &self.past.under_way;
        {
            let mut all = plans.all.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(times) = all.get_mut(&self.plan) {
                *times -= 1;
                if *times == 0 {
                    all.remove(&self.plan);
                }
            }
        }
        plans.ended.notify_one();
    }
}
