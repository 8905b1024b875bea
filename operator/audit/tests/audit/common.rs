//! A log in a temporary folder, drafts, and raw access to the database behind the store's back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kubechat_audit::{
    Actor, AuditStore, ChainKey, Draft, EventType, IntentOutcome, Outcome, Report, SqliteOptions,
    SqliteStore, verify_file,
};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

pub(crate) struct Log {
    pub(crate) dir: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) key: ChainKey,
}

impl Log {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.db");
        Self {
            dir,
            path,
            key: ChainKey::generate(),
        }
    }

    pub(crate) fn options(&self, fence: u64) -> SqliteOptions {
        SqliteOptions::new(&self.path, self.key.clone(), fence)
    }

    pub(crate) async fn open(&self, fence: u64) -> SqliteStore {
        SqliteStore::open(self.options(fence)).await.unwrap()
    }

    /// Opens with a short wait for locks, for tests that hold one.
    pub(crate) async fn open_impatient(&self) -> SqliteStore {
        let options = SqliteOptions {
            busy_timeout: Duration::from_millis(20),
            ..self.options(1)
        };
        SqliteStore::open(options).await.unwrap()
    }

    pub(crate) fn verify(&self) -> Report {
        verify_file(&self.path, &self.key).unwrap()
    }

    /// The database as somebody with the file sees it, guards removed.
    pub(crate) fn raw(&self) -> Connection {
        raw(&self.path)
    }
}

pub(crate) fn raw(path: &Path) -> Connection {
    let db = Connection::open(path).unwrap();
    db.execute_batch(
        "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;
                      PRAGMA synchronous = OFF",
    )
    .unwrap();
    let mut find = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap();
    let names: Vec<String> = find
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    drop(find);
    for name in names {
        db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    db
}

pub(crate) fn event(n: u64) -> Draft {
    let mut draft = Draft::new(
        EventType::DataAccess,
        Actor::named(format!("user-{n}")),
        "list",
        Outcome::Success,
        "Answered",
    );
    draft.ids.plan = Some(format!("plan-{n}"));
    draft.ids.request_uid = Some(format!("request-uid-{n}"));
    draft.message = format!("listed the pods of namespace demo for the {n}th time");
    draft.payload = json!({ "count": n });
    draft
}

pub(crate) fn execution(outcome: Outcome) -> Draft {
    Draft::new(
        EventType::CommandExecution,
        Actor::named("alice"),
        "scale",
        outcome,
        "Sent",
    )
}

pub(crate) fn result(step: &str, outcome: Outcome) -> Draft {
    let mut draft = execution(outcome);
    draft.ids.step_id = Some(step.to_owned());
    draft
}

/// Eight entries: 1 to 3 events, 4 an intent, 5 its result, 6 an intent without one, 7 and 8 events.
pub(crate) async fn fill(store: &SqliteStore) {
    store.append((1..=3).map(event).collect()).await.unwrap();
    let intent = store
        .append_intent(execution(Outcome::Intent), "step-a")
        .await
        .unwrap();
    assert_eq!(intent, IntentOutcome::Recorded { seq: 4 });
    store
        .append_result(result("step-a", Outcome::Success))
        .await
        .unwrap();
    store
        .append_intent(execution(Outcome::Intent), "step-b")
        .await
        .unwrap();
    store.append((7..=8).map(event).collect()).await.unwrap();
}

pub(crate) const FILLED: u64 = 8;
