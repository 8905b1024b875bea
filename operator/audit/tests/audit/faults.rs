//! What a store does when the disk, another process or somebody with the file is against it: nothing half, and
//! nothing that looks recorded and is not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use kubechat_audit::{
    AuditStore, ChainKey, Error, IntentOutcome, Outcome, SqliteOptions, SqliteStore, verify_file,
};
use rusqlite::Connection;

use crate::common::{FILLED, Log, event, execution, fill, raw, result};

#[tokio::test]
async fn what_was_answered_survives_a_kill_without_close() {
    let log = Log::new();
    let store = log.open(1).await;
    fill(&store).await;
    // What a kill -9 or a power cut leaves: the file and its write-ahead log as they are now.
    let image = Log {
        key: log.key.clone(),
        ..Log::new()
    };
    fs::copy(&log.path, &image.path).unwrap();
    fs::copy(
        log.dir.path().join("audit.db-wal"),
        image.dir.path().join("audit.db-wal"),
    )
    .unwrap();
    let reopened = image.open(2).await;
    assert_eq!(reopened.head().await.unwrap().seq, FILLED);
    let again = reopened
        .append_intent(execution(Outcome::Intent), "step-b")
        .await
        .unwrap();
    assert_eq!(again, IntentOutcome::AlreadyThere { seq: 6, result: None });
    assert_eq!(reopened.append(vec![event(9)]).await.unwrap()[0].seq, 9);
    assert!(image.verify().is_valid());
}

#[tokio::test]
async fn dropped_and_opened_again_goes_on_where_it_was() {
    let log = Log::new();
    fill(&log.open(1).await).await;
    let store = log.open(1).await;
    assert_eq!(store.append(vec![event(9)]).await.unwrap()[0].seq, 9);
    assert!(log.verify().is_valid());
}

#[tokio::test]
async fn a_read_only_file_takes_nothing_until_it_is_writable_again() {
    let log = Log::new();
    let store = log.open(1).await;
    fill(&store).await;
    let before = store.head().await.unwrap();
    for path in [
        log.path.clone(),
        log.dir.path().to_owned(),
        log.dir.path().join("audit.db-wal"),
    ] {
        let usual = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, Permissions::from_mode(0o555)).unwrap();
        let refused = store
            .append_intent(execution(Outcome::Intent), "step-c")
            .await
            .unwrap_err();
        assert!(
            refused.is_unavailable() && !refused.may_have_been_written(),
            "{refused}"
        );
        assert!(refused.to_string().contains("read-only"), "{refused}");
        fs::set_permissions(&path, usual).unwrap();
        assert_eq!(store.head().await.unwrap(), before);
        assert_eq!(store.intent("step-c").await.unwrap(), None);
    }
    let now = store
        .append_intent(execution(Outcome::Intent), "step-c")
        .await
        .unwrap();
    assert_eq!(now, IntentOutcome::Recorded { seq: FILLED + 1 });
}

#[tokio::test]
async fn refuses_to_open_a_read_only_file_for_writing() {
    let log = Log::new();
    fill(&log.open(1).await).await;
    fs::set_permissions(&log.path, Permissions::from_mode(0o444)).unwrap();
    assert!(
        SqliteStore::open(log.options(1))
            .await
            .unwrap_err()
            .is_unavailable()
    );
    assert!(log.verify().is_valid());
}

#[tokio::test]
async fn a_file_that_was_moved_or_replaced_takes_nothing() {
    let log = Log::new();
    let store = log.open(1).await;
    fill(&store).await;
    let aside = log.dir.path().join("aside.db");
    fs::rename(&log.path, &aside).unwrap();
    assert!(store.append(vec![event(9)]).await.unwrap_err().is_unavailable());
    fs::copy(&aside, &log.path).unwrap();
    let replaced = store.append(vec![event(9)]).await.unwrap_err();
    assert!(replaced.to_string().contains("another file"), "{replaced}");
    fs::rename(&aside, &log.path).unwrap();
    assert_eq!(store.append(vec![event(9)]).await.unwrap()[0].seq, FILLED + 1);
    assert!(log.verify().is_valid());
}

#[tokio::test]
async fn a_locked_database_is_unavailable_and_then_comes_back() {
    let log = Log::new();
    let store = log.open_impatient().await;
    fill(&store).await;
    let other = Connection::open(&log.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..2 {
        let refused = store.append(vec![event(9)]).await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
    }
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.append(vec![event(9)]).await.unwrap()[0].seq, FILLED + 1);
    assert!(log.verify().is_valid());
}

#[tokio::test]
async fn a_full_disk_takes_nothing_and_spoils_nothing() {
    let log = Log::new();
    let store = log.open(1).await;
    fill(&store).await;
    // The trigger stands for any failure in the middle of a transaction: entry 9 is in, entry 10 fails.
    let other = Connection::open(&log.path).unwrap();
    let fail = "CREATE TRIGGER full BEFORE INSERT ON entries WHEN NEW.seq = 10
                BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END";
    other.execute_batch(fail).unwrap();
    assert!(store.append(vec![event(9), event(10)]).await.is_err());
    assert_eq!(store.head().await.unwrap().seq, FILLED);
    other.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(store.append(vec![event(9), event(10)]).await.unwrap().len(), 2);
    assert!(log.verify().is_valid());
}

#[tokio::test]
async fn a_call_that_timed_out_is_not_done_later_behind_the_callers_back() {
    let log = Log::new();
    let options = SqliteOptions {
        deadline: Duration::from_secs(1),
        busy_timeout: Duration::from_secs(60),
        ..log.options(1)
    };
    let store = SqliteStore::open(options).await.unwrap();
    let other = Connection::open(&log.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let late = store
        .append_intent(execution(Outcome::Intent), "step")
        .await
        .unwrap_err();
    assert!(
        matches!(late, Error::Timeout(_)) && late.is_unavailable() && late.may_have_been_written(),
        "{late}"
    );
    other.execute_batch("ROLLBACK").unwrap();
    let record = loop {
        match store.intent("step").await {
            Ok(record) => break record,
            Err(error) => assert!(matches!(error, Error::Timeout(_)), "{error}"),
        }
    };
    assert_eq!(record, None, "nobody waited for it any more");
    let again = store
        .append_intent(execution(Outcome::Intent), "step")
        .await
        .unwrap();
    assert_eq!(again, IntentOutcome::Recorded { seq: 1 });
}

#[tokio::test]
async fn refuses_to_go_on_after_the_log_was_put_back_to_an_older_state() {
    let log = Log::new();
    let store = log.open(1).await;
    fill(&store).await;
    let back = "DELETE FROM payloads WHERE seq = 8; DELETE FROM entries WHERE seq = 8;
                UPDATE head SET seq = 7, mac = (SELECT mac FROM entries WHERE seq = 7)";
    log.raw().execute_batch(back).unwrap();
    for _ in 0..2 {
        let refused = store.append(vec![event(9)]).await.unwrap_err();
        assert!(matches!(refused, Error::Integrity { .. }), "{refused}");
        assert!(
            refused.to_string().contains("went back from entry 8 to entry 7"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn refuses_to_write_to_a_log_that_does_not_verify() {
    let spoils = [
        "UPDATE entries SET header = replace(header, 'user-7', 'user-0') WHERE seq = 7",
        "UPDATE entries SET mac = zeroblob(32) WHERE seq = 3",
        "DELETE FROM entries WHERE seq = 8",
        "DELETE FROM step_intents WHERE step_id = 'step-b'",
        "UPDATE head SET mac = zeroblob(32)",
        "UPDATE head SET seq = 9",
        "DELETE FROM head",
    ];
    for spoil in spoils {
        let log = Log::new();
        fill(&log.open(1).await).await;
        log.raw().execute_batch(spoil).unwrap();
        let refused = SqliteStore::open(log.options(5)).await.unwrap_err();
        assert!(matches!(refused, Error::Integrity { .. }), "{spoil}: {refused}");
        let fence: Option<u64> = log
            .raw()
            .query_row("SELECT max(fence) FROM head", [], |row| row.get(0))
            .unwrap();
        assert_ne!(fence, Some(5), "{spoil}: something was written");
    }
}

#[tokio::test]
async fn refuses_to_write_with_another_key_even_to_an_empty_log() {
    for filled in [false, true] {
        let log = Log::new();
        let store = log.open(1).await;
        if filled {
            fill(&store).await;
        }
        drop(store);
        let options = SqliteOptions {
            key: ChainKey::generate(),
            ..log.options(2)
        };
        let refused = SqliteStore::open(options).await.unwrap_err();
        assert!(matches!(refused, Error::Integrity { .. }), "{refused}");
        assert_eq!(log.open(1).await.head().await.unwrap().fence, 1);
    }
}

#[tokio::test]
async fn verifies_only_the_last_entries_when_it_opens_a_long_log() {
    let log = Log::new();
    let store = log.open(1).await;
    for _ in 0..5 {
        store.append((0..250).map(event).collect()).await.unwrap();
    }
    drop(store);
    log.raw()
        .execute("UPDATE entries SET username = 'x' WHERE seq = 100", [])
        .unwrap();
    assert!(SqliteStore::open(log.options(1)).await.is_ok());
    assert_eq!(log.verify().verdict.first_bad_seq(), Some(100));
    log.raw()
        .execute("UPDATE entries SET username = 'x' WHERE seq = 251", [])
        .unwrap();
    let refused = SqliteStore::open(log.options(1)).await.unwrap_err();
    assert!(refused.to_string().contains("seq 251"), "{refused}");
}

#[tokio::test]
async fn refuses_files_that_are_no_log_of_ours_and_leaves_them_as_they_are() {
    let log = Log::new();
    let stranger = log.dir.path().join("stranger.db");
    Connection::open(&stranger)
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    let text = log.dir.path().join("text.db");
    fs::write(&text, "not a database, but long enough to be asked. ".repeat(40)).unwrap();
    let newer = log.dir.path().join("newer.db");
    fill(
        &SqliteStore::open(SqliteOptions {
            path: newer.clone(),
            ..log.options(1)
        })
        .await
        .unwrap(),
    )
    .await;
    raw(&newer)
        .execute_batch("PRAGMA user_version = 2; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    for path in [stranger, text, newer] {
        let before = fs::read(&path).unwrap();
        let refused = SqliteStore::open(SqliteOptions {
            path: path.clone(),
            ..log.options(1)
        })
        .await
        .unwrap_err();
        assert!(matches!(refused, Error::NotALog { .. }), "{refused}");
        assert!(matches!(verify_file(&path, &log.key), Err(Error::NotALog { .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    for path in [log.dir.path().join("none.db"), log.dir.path().to_owned()] {
        assert!(matches!(verify_file(&path, &log.key), Err(Error::NotALog { .. })));
        assert!(!log.dir.path().join("none.db").exists(), "reading makes no file");
    }
    let nowhere = SqliteOptions {
        path: log.dir.path().join("no/such/dir.db"),
        ..log.options(1)
    };
    assert!(SqliteStore::open(nowhere).await.unwrap_err().is_unavailable());
}

#[tokio::test]
async fn a_log_keeps_its_name() {
    let log = Log::new();
    let named = |name: &str| SqliteOptions {
        origin: Some(name.to_owned()),
        ..log.options(1)
    };
    for bad in ["", "two words", "line\nbreak", &"x".repeat(201)] {
        assert!(
            matches!(SqliteStore::open(named(bad)).await, Err(Error::NotALog { .. })),
            "{bad:?}"
        );
    }
    let store = SqliteStore::open(named("kubechat/one/1")).await.unwrap();
    assert_eq!(store.head().await.unwrap().origin, "kubechat/one/1");
    let other = SqliteStore::open(named("kubechat/two/1")).await.unwrap_err();
    assert!(matches!(other, Error::NotALog { .. }), "{other}");
    assert_eq!(log.open(1).await.head().await.unwrap().origin, "kubechat/one/1");
}

#[tokio::test]
async fn only_its_owner_can_read_a_new_log() {
    let log = Log::new();
    let store = log.open(1).await;
    fill(&store).await;
    for name in ["audit.db", "audit.db-wal"] {
        let mode = fs::metadata(log.dir.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn the_database_refuses_to_change_or_remove_what_was_recorded() {
    let log = Log::new();
    let store = log.open(1).await;
    fill(&store).await;
    let db = Connection::open(&log.path).unwrap();
    let refused = [
        "UPDATE entries SET username = 'x' WHERE seq = 1",
        "DELETE FROM entries WHERE seq = 8",
        "INSERT OR REPLACE INTO entries SELECT * FROM entries WHERE seq = 1",
        "INSERT INTO entries SELECT 10, header, leaf, mac, key_id, time_us, event_type, outcome, username, request,
            request_uid, plan, plan_uid, step_id FROM entries WHERE seq = 8",
        "UPDATE payloads SET payload = '{}'",
        "DELETE FROM payloads",
        "INSERT OR REPLACE INTO payloads VALUES (1, zeroblob(16), '{}')",
        "UPDATE step_intents SET fence = 0",
        "DELETE FROM step_intents",
        "INSERT OR REPLACE INTO step_intents VALUES ('step-a', 1, 0)",
        "INSERT OR REPLACE INTO step_intents VALUES ('step-x', 4, 0)",
        "UPDATE step_results SET seq = 1",
        "DELETE FROM step_results",
        "INSERT OR REPLACE INTO step_results VALUES ('step-a', 1)",
        "UPDATE head SET seq = 1",
        "UPDATE head SET fence = 0",
        "UPDATE head SET origin = 'x'",
        "DELETE FROM head",
        "INSERT OR REPLACE INTO head SELECT 1, origin, 0, mac, 0 FROM head",
    ];
    for sql in refused {
        assert!(db.execute(sql, []).is_err(), "{sql}");
    }
    assert!(log.verify().is_valid());
    store
        .append_result(result("step-b", Outcome::Unknown))
        .await
        .unwrap();
}
