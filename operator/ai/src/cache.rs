//! Answers that were understood, kept for a while in memory: the same words to the same provider need not leave again. What
//! is kept has tokens for names, and is read as strictly each time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Answers that are kept at most.
const MAX_KEPT: usize = 1024;

/// Answers by their key ([`kubechat_core::models::cache_key`]).
pub struct Cache {
    life: Duration,
    kept: Mutex<HashMap<[u8; 32], (Instant, String)>>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl Cache {
    /// A cache whose answers live so long.
    #[must_use]
    pub fn new(life: Duration) -> Self {
        Self {
            life,
            kept: Mutex::default(),
        }
    }

    pub(crate) fn get(&self, key: &[u8; 32]) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key)
            .filter(|(since, _)| since.elapsed() < self.life)
            .map(|(_, words)| words.clone())
    }

    pub(crate) fn put(&self, key: [u8; 32], words: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, (since, _)| since.elapsed() < self.life);
        }
        if kept.len() < MAX_KEPT {
            kept.insert(key, (Instant::now(), words.to_owned()));
        }
    }
}
