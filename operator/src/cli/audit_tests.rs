//! Tests of the audit commands, on real files.

use super::*;
use kubechat_audit::{Actor, AuditStore, Draft, EventType, Outcome, SqliteOptions, SqliteStore};
use std::path::PathBuf;

const LOOK: Look = Look {
    width: None,
    color: false,
};

struct Log {
    _dir: tempfile::TempDir,
    db: PathBuf,
    key: PathBuf,
}

async fn log() -> Log {
    let dir = tempfile::tempdir().unwrap();
    let (db, key) = (dir.path().join("audit.db"), dir.path().join("audit.key"));
    let (said, exit) = init(&LOOK, &key).unwrap();
    assert!(
        said.starts_with("Made audit key ") && exit == Exit::Done,
        "{said}"
    );
    let store = SqliteStore::open(SqliteOptions::new(db.clone(), read_key(&key).unwrap(), 1))
        .await
        .unwrap();
    let mut draft = Draft::new(
        EventType::Approval,
        Actor::named("bob\u{1b}[2J"),
        "approve",
        Outcome::Success,
        "Approved",
    );
    draft.message = "bob approved ask-1-plan".into();
    store.append(vec![draft]).await.unwrap();
    drop(store);
    Log { _dir: dir, db, key }
}

#[tokio::test]
async fn a_whole_log_verifies_with_its_key_and_not_with_another() {
    let log = log().await;
    for (output, said) in [
        (AuditFormat::Table, "valid: "),
        (AuditFormat::Json, "\"verdict\": \"valid\""),
    ] {
        let (text, exit) = verify(&LOOK, &log.db, Some(&log.key), output).unwrap();
        assert_eq!(exit.code(), 0);
        assert!(text.contains(said), "{text}");
    }
    let other = log.key.with_file_name("other.key");
    init(&LOOK, &other).unwrap();
    let (text, exit) = verify(&LOOK, &log.db, Some(&other), AuditFormat::Table).unwrap();
    assert_eq!(exit.code(), 13);
    assert!(
        text.starts_with("CHAIN BROKEN: first bad entry is seq 1"),
        "{text}"
    );
}

#[tokio::test]
async fn what_cannot_be_verified_is_wrong_usage_and_says_why() {
    let log = log().await;
    let missing = log.db.with_file_name("none");
    for (db, key, said) in [
        (&log.db, None, "--key"),
        (&log.db, Some(&missing), "cannot read the audit key"),
        (&missing, Some(&log.key), "cannot be used as audit log"),
    ] {
        let error = verify(&LOOK, db, key.map(PathBuf::as_path), AuditFormat::Table).unwrap_err();
        assert_eq!(error.exit().code(), 2);
        assert!(error.to_string().contains(said), "{error}");
    }
    assert!(
        init(&LOOK, &log.key)
            .unwrap_err()
            .to_string()
            .contains("never overwritten")
    );
}

#[tokio::test]
async fn a_listed_entry_is_one_safe_line() {
    let log = log().await;
    let entries = list_file(&log.db, &Filter::default()).unwrap();
    let shown = rows(&LOOK, &entries);
    let line = shown.lines().last().unwrap();
    assert!(
        line.contains("approval") && line.contains("success (Approved)") && line.contains("bob\\u{1b}[2J"),
        "{shown}"
    );
    assert!(line.contains("bob approved ask-1-plan"), "{shown}");
}

#[tokio::test]
async fn a_log_that_is_not_valid_is_not_listed_when_it_is_to_be_verified() {
    let log = log().await;
    let other = log.key.with_file_name("other.key");
    init(&LOOK, &other).unwrap();
    let mut args = AuditListArgs {
        db: log.db.clone(),
        key: Some(other),
        event_type: None,
        plan: None,
        request: None,
        user: None,
        since_seq: 0,
        limit: 10,
        output: AuditFormat::Table,
    };
    let (text, exit) = list(&LOOK, &args).unwrap();
    assert!(exit.code() == 13 && !text.contains("bob approved"), "{text}");
    args.key = None;
    let (text, exit) = list(&LOOK, &args).unwrap();
    assert!(exit == Exit::Done && text.contains("bob approved"), "{text}");
}
