//! An audit store that can fail, and before and after whose answers a process can end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use kubechat_audit::store::StoreFuture;
use kubechat_audit::{
    Appended, AuditStore, Draft, Entry, Error, Filter, Head, IntentOutcome, ResultOutcome, SqliteStore,
    StepRecord,
};
use serde_json::Value;

use super::process::Fuse;

/// What becomes of a write to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Luck {
    /// It is done.
    Good,
    /// It is not done.
    Away,
    /// It is done, but the store cannot say so.
    Unconfirmed,
}

type Chooser = Box<dyn FnMut(&'static str) -> Luck + Send>;

/// The real store behind a fuse.
#[derive(Clone)]
pub(crate) struct FaultyStore {
    store: SqliteStore,
    fuse: Arc<Fuse>,
    luck: Arc<Mutex<Chooser>>,
    damaged: Arc<Mutex<Damaged>>,
}

/// What somebody changed in the file, by number.
#[derive(Debug, Default)]
struct Damaged {
    entries: BTreeSet<u64>,
    payloads: BTreeSet<u64>,
}

fn integrity<T>(seq: u64) -> Result<T, Error> {
    Err(Error::Integrity {
        why: format!("entry {seq} was changed"),
    })
}

impl FaultyStore {
    pub(crate) fn new(store: SqliteStore, fuse: Arc<Fuse>) -> Self {
        Self {
            store,
            fuse,
            luck: Arc::new(Mutex::new(Box::new(|_| Luck::Good))),
            damaged: Arc::default(),
        }
    }

    /// Has somebody change an entry.
    pub(crate) fn damage_entry(&self, seq: u64) {
        self.damage().entries.insert(seq);
    }

    /// Has somebody change what stands beside an entry.
    pub(crate) fn damage_payload(&self, seq: u64) {
        self.damage().payloads.insert(seq);
    }

    fn damage(&self) -> std::sync::MutexGuard<'_, Damaged> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What decides the luck of each write; it is told which: `intent`, `result`, `entry`, `forget`.
    pub(crate) fn luck(&self, luck: impl FnMut(&'static str) -> Luck + Send + 'static) {
        *self.luck.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(luck);
    }

    async fn write<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.fuse.burn().await;
        let luck = {
            let mut luck = self.luck.lock().unwrap_or_else(PoisonError::into_inner);
            (*luck)(what)
        };
        if luck == Luck::Away {
            return Err(Error::Unavailable {
                why: "told to be away".into(),
            });
        }
        let done = call.await;
        self.fuse.burn().await;
        match (luck, done) {
            (Luck::Unconfirmed, Ok(_)) => Err(Error::Unconfirmed {
                why: "told so".into(),
            }),
            (_, done) => done,
        }
    }
}

impl AuditStore for FaultyStore {
    fn append(&self, drafts: Vec<Draft>) -> StoreFuture<'_, Vec<Appended>> {
        Box::pin(self.write("entry", self.store.append(drafts)))
    }

    fn append_intent<'a>(&'a self, draft: Draft, step_id: &'a str) -> StoreFuture<'a, IntentOutcome> {
        Box::pin(self.write("intent", self.store.append_intent(draft, step_id)))
    }

    fn append_result(&self, draft: Draft) -> StoreFuture<'_, ResultOutcome> {
        Box::pin(self.write("result", self.store.append_result(draft)))
    }

    fn intent<'a>(&'a self, step_id: &'a str) -> StoreFuture<'a, Option<StepRecord>> {
        self.store.intent(step_id)
    }

    fn head(&self) -> StoreFuture<'_, Head> {
        self.store.head()
    }

    fn raise_fence(&self, fence: u64) -> StoreFuture<'_, u64> {
        self.store.raise_fence(fence)
    }

    fn list(&self, filter: Filter) -> StoreFuture<'_, Vec<Entry>> {
        Box::pin(async move {
            let found = self.store.list(filter).await?;
            let changed = found.iter().find(|e| self.damage().entries.contains(&e.seq));
            changed.map_or(Ok(()), |e| integrity(e.seq))?;
            Ok(found)
        })
    }

    fn payload(&self, seq: u64) -> StoreFuture<'_, Option<Value>> {
        Box::pin(async move {
            if self.damage().payloads.contains(&seq) {
                return integrity(seq);
            }
            self.store.payload(seq).await
        })
    }

    fn put_rollback<'a>(
        &'a self,
        plan_uid: &'a str,
        step_id: &'a str,
        bytes: Vec<u8>,
    ) -> StoreFuture<'a, ()> {
        self.store.put_rollback(plan_uid, step_id, bytes)
    }

    fn rollback<'a>(&'a self, plan_uid: &'a str, step_id: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> {
        self.store.rollback(plan_uid, step_id)
    }

    fn rollback_plans<'a>(&'a self, after: &'a str) -> StoreFuture<'a, Vec<String>> {
        self.store.rollback_plans(after)
    }

    fn delete_rollback<'a>(&'a self, plan_uid: &'a str, step_id: Option<&'a str>) -> StoreFuture<'a, u64> {
        Box::pin(self.write("forget", self.store.delete_rollback(plan_uid, step_id)))
    }
}
