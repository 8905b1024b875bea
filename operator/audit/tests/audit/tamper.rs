//! What the verifier says about logs that somebody with the file has changed.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use kubechat_audit::chain::Leaf;
use kubechat_audit::{ChainKey, Error, Filter, Report, Verdict, VerifyExit, list_file, verify_file};
use proptest::prelude::*;
use rusqlite::{Connection, params};

use crate::common::{FILLED, Log, event, fill, raw};

/// A filled log, made once.
struct Template {
    bytes: Vec<u8>,
    key: ChainKey,
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let make = async {
            let log = Log::new();
            fill(&log.open(1).await).await;
            let whole = log.dir.path().join("whole.db");
            let db = Connection::open(&log.path).unwrap();
            db.execute("VACUUM INTO ?1", [whole.to_str().unwrap()]).unwrap();
            Template {
                bytes: fs::read(whole).unwrap(),
                key: log.key,
            }
        };
        // A thread of its own: the first test to come here may run inside a runtime.
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
        };
        std::thread::spawn(move || runtime().block_on(make))
            .join()
            .unwrap()
    })
}

fn copy() -> Log {
    let log = Log {
        key: template().key.clone(),
        ..Log::new()
    };
    fs::write(&log.path, &template().bytes).unwrap();
    log
}

/// The report on a copy of the log after this change.
fn after(change: impl FnOnce(&Connection)) -> Report {
    let log = copy();
    change(&log.raw());
    log.verify()
}

fn found(report: &Report) -> (VerifyExit, Option<u64>) {
    (report.exit(), report.verdict.first_bad_seq())
}

fn sql(statement: &'static str) -> impl FnOnce(&Connection) {
    move |db| db.execute_batch(statement).unwrap()
}

/// Rewrites the header of an entry, with its leaf hash and search columns where they are asked for.
fn rewrite_header(db: &Connection, seq: u64, from: &str, to: &str) {
    let header: String = db
        .query_row("SELECT header FROM entries WHERE seq = ?1", [seq], |row| {
            row.get(0)
        })
        .unwrap();
    let changed = header.replace(from, to);
    assert_ne!(header, changed);
    let leaf = Leaf::of(changed.as_bytes()).0;
    db.execute(
        "UPDATE entries SET header = ?1, leaf = ?2 WHERE seq = ?3",
        params![changed, leaf, seq],
    )
    .unwrap();
}

/// Makes every link from `seq` on anew with this key, as somebody would who does not have the right one.
fn seal_again(db: &Connection, seq: u64, key: &ChainKey) {
    let origin: String = db
        .query_row("SELECT origin FROM head", [], |row| row.get(0))
        .unwrap();
    let mac_of = |seq: u64| {
        db.query_row("SELECT mac FROM entries WHERE seq = ?1", [seq], |row| row.get(0))
            .unwrap()
    };
    let mut mac = if seq == 1 {
        key.genesis(&origin)
    } else {
        kubechat_audit::chain::ChainMac(mac_of(seq - 1))
    };
    for seq in seq..=FILLED {
        let leaf = db
            .query_row("SELECT leaf FROM entries WHERE seq = ?1", [seq], |row| row.get(0))
            .unwrap();
        mac = key.link(mac, Leaf(leaf));
        db.execute("UPDATE entries SET mac = ?1 WHERE seq = ?2", params![mac.0, seq])
            .unwrap();
    }
    db.execute("UPDATE head SET mac = ?1", [mac.0]).unwrap();
}

#[test]
fn an_honest_log_is_valid_and_its_report_says_so() {
    let report = copy().verify();
    assert_eq!(found(&report), (VerifyExit::Valid, None));
    assert_eq!(
        (report.entries, report.first_seq, report.last_seq),
        (FILLED, Some(1), Some(FILLED))
    );
    let text = report.to_string();
    assert!(text.starts_with("valid:") && text.contains("seq 1 to 8") && text.contains(template().key.id()));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        (json["verdict"].as_str(), json["entries"].as_u64()),
        (Some("valid"), Some(FILLED))
    );
}

#[tokio::test]
async fn an_empty_log_is_valid_with_its_own_key_only() {
    let log = Log::new();
    drop(log.open(1).await);
    assert!(log.verify().is_valid());
    let other = verify_file(&log.path, &ChainKey::generate()).unwrap();
    assert_eq!(other.exit(), VerifyExit::Chain);
}

#[test]
fn exit_codes_are_those_of_the_documentation() {
    let codes = [
        VerifyExit::Valid,
        VerifyExit::Usage,
        VerifyExit::Tampered,
        VerifyExit::Truncated,
        VerifyExit::Chain,
    ]
    .map(VerifyExit::code);
    assert_eq!(codes, [0, 2, 10, 11, 13]);
}

#[test]
fn finds_what_contradicts_itself_and_names_the_first_bad_entry() {
    use VerifyExit::{Tampered, Truncated};
    let cases: [(VerifyExit, u64, &'static str); 24] = [
        (
            Tampered,
            2,
            "UPDATE entries SET header = replace(header, 'user-2', 'user-9') WHERE seq = 2",
        ),
        (
            Tampered,
            2,
            "UPDATE entries SET username = 'user-9' WHERE seq = 2",
        ),
        (Tampered, 2, "UPDATE entries SET plan = NULL WHERE seq = 2"),
        (
            Tampered,
            2,
            "UPDATE entries SET time_us = time_us - 1 WHERE seq = 2",
        ),
        (
            Tampered,
            3,
            "UPDATE entries SET key_id = '00000000' WHERE seq = 3",
        ),
        (
            Tampered,
            3,
            "UPDATE payloads SET payload = '{\"count\":4}' WHERE seq = 3",
        ),
        (Tampered, 3, "DELETE FROM payloads WHERE seq = 3"),
        (Tampered, 1, "DELETE FROM entries WHERE seq = 1"),
        (Tampered, 4, "DELETE FROM entries WHERE seq = 4"),
        (Tampered, 2, "DELETE FROM entries WHERE seq BETWEEN 2 AND 7"),
        (
            Tampered,
            5,
            "DELETE FROM entries WHERE seq = 5; UPDATE entries SET seq = seq - 1 WHERE seq > 5;
             DELETE FROM payloads WHERE seq = 5; UPDATE payloads SET seq = seq - 1 WHERE seq > 5;
             UPDATE step_intents SET seq = seq - 1 WHERE seq > 5; DELETE FROM step_results;
             UPDATE head SET seq = 7",
        ),
        (
            Tampered,
            2,
            "UPDATE entries SET seq = -1 WHERE seq = 2; UPDATE entries SET seq = 2 WHERE seq = 3;
             UPDATE entries SET seq = 3 WHERE seq = -1",
        ),
        (
            Tampered,
            9,
            "INSERT INTO entries SELECT 9, header, leaf, mac, key_id, time_us, event_type, outcome, username,
             request, request_uid, plan, plan_uid, step_id FROM entries WHERE seq = 8",
        ),
        (Tampered, 6, "UPDATE head SET seq = 5"),
        (Tampered, 9, "DELETE FROM head"),
        (Tampered, 4, "DELETE FROM step_intents WHERE step_id = 'step-a'"),
        (
            Tampered,
            6,
            "UPDATE step_intents SET step_id = 'step-c' WHERE step_id = 'step-b'",
        ),
        (Tampered, 5, "DELETE FROM step_results"),
        (Tampered, 1, "INSERT INTO step_intents VALUES ('step-c', 1, 0)"),
        (Tampered, 6, "INSERT INTO step_results VALUES ('step-b', 6)"),
        (Tampered, 20, "INSERT INTO step_intents VALUES ('step-c', 20, 0)"),
        (Truncated, 8, "DELETE FROM entries WHERE seq = 8"),
        (Truncated, 1, "DELETE FROM entries"),
        (Truncated, 9, "UPDATE head SET seq = 100"),
    ];
    for (exit, first_bad, change) in cases {
        let report = after(sql(change));
        assert_eq!(found(&report), (exit, Some(first_bad)), "{change}\n{report}");
        assert!(
            report.to_string().contains(&format!("seq {first_bad}")),
            "{report}"
        );
    }
}

#[test]
fn a_replaced_entry_is_found_also_when_its_leaf_was_computed_anew() {
    for seq in 1..=FILLED {
        let report = after(|db| rewrite_header(db, seq, "\"reason\":\"", "\"reason\":\"X"));
        assert_eq!(found(&report), (VerifyExit::Tampered, Some(seq)), "{report}");
    }
}

#[test]
fn a_log_rewritten_from_an_entry_on_without_the_key_is_found_there() {
    let forger = ChainKey::generate();
    for seq in 2..=FILLED {
        let report = after(|db| {
            rewrite_header(db, seq, "\"reason\":\"", "\"reason\":\"X");
            seal_again(db, seq, &forger);
        });
        assert_eq!(found(&report), (VerifyExit::Tampered, Some(seq)), "{report}");
    }
}

#[test]
fn another_key_or_a_log_written_anew_with_one_breaks_the_chain_at_its_start() {
    let other = ChainKey::generate();
    let wrong_key = verify_file(&copy().path, &other).unwrap();
    assert_eq!(found(&wrong_key), (VerifyExit::Chain, Some(1)), "{wrong_key}");
    let anew = after(|db| seal_again(db, 1, &other));
    assert_eq!(found(&anew), (VerifyExit::Chain, Some(1)), "{anew}");
    let honest_id = after(|db| {
        seal_again(db, 1, &other);
        db.execute("UPDATE entries SET key_id = ?1", [other.id()])
            .unwrap();
    });
    assert_eq!(found(&honest_id), (VerifyExit::Chain, Some(1)), "{honest_id}");
}

#[test]
fn content_that_contradicts_itself_goes_before_a_wrong_key() {
    let log = copy();
    log.raw()
        .execute("UPDATE entries SET username = 'x' WHERE seq = 6", [])
        .unwrap();
    let report = verify_file(&log.path, &ChainKey::generate()).unwrap();
    assert_eq!(found(&report), (VerifyExit::Tampered, Some(6)), "{report}");
}

#[test]
fn only_a_changed_link_is_a_broken_chain() {
    for seq in 1..=FILLED {
        let report = after(|db| {
            db.execute("UPDATE entries SET mac = zeroblob(32) WHERE seq = ?1", [seq])
                .unwrap();
        });
        assert_eq!(found(&report), (VerifyExit::Chain, Some(seq)), "{report}");
    }
    let short = after(sql("UPDATE entries SET mac = x'00' WHERE seq = 4"));
    assert_eq!(found(&short), (VerifyExit::Chain, Some(4)));
    let head = after(sql("UPDATE head SET mac = zeroblob(32)"));
    assert_eq!(found(&head), (VerifyExit::Chain, Some(FILLED)));
}

#[test]
fn a_log_under_another_name_is_not_valid() {
    assert!(!after(sql("UPDATE head SET origin = 'kubechat/other'")).is_valid());
}

#[test]
fn bytes_changed_in_the_file_itself_are_found() {
    let log = copy();
    let mut bytes = template().bytes.clone();
    let at = |needle: &[u8], bytes: &[u8]| bytes.windows(needle.len()).position(|found| found == needle);
    let mut places = 0;
    while let Some(start) = at(b"user-3", &bytes) {
        bytes[start + 5] = b'X';
        places += 1;
    }
    assert!(places >= 2, "in the header and in the search column");
    fs::write(&log.path, bytes).unwrap();
    assert_eq!(found(&log.verify()), (VerifyExit::Tampered, Some(3)));
}

#[test]
fn a_page_that_is_no_page_is_tampering_and_not_a_crash() {
    let after_entries = FILLED + 1;
    let cases = [
        ("entries", 1),
        ("payloads", 1),
        ("step_intents", 4),
        ("step_results", 5),
        ("head", after_entries),
    ];
    for (table, first_bad) in cases {
        let log = copy();
        let root: u64 = log
            .raw()
            .query_row(
                "SELECT rootpage FROM sqlite_schema WHERE name = ?1",
                [table],
                |row| row.get(0),
            )
            .unwrap();
        let mut bytes = template().bytes.clone();
        let start = usize::try_from((root - 1) * 4096).unwrap();
        bytes[start..start + 4096].fill(0xff);
        fs::write(&log.path, bytes).unwrap();
        let report = log.verify();
        assert_eq!(report.exit(), VerifyExit::Tampered, "{table}: {report}");
        assert_eq!(
            report.verdict.first_bad_seq(),
            Some(first_bad),
            "{table}: {report}"
        );
    }
}

#[tokio::test]
async fn verifies_while_the_operator_writes_and_on_plain_copies() {
    let log = Log::new();
    let store = log.open(1).await;
    fill(&store).await;
    let writing = tokio::spawn(async move {
        for n in 0..50 {
            kubechat_audit::AuditStore::append(&store, vec![event(n)])
                .await
                .unwrap();
        }
    });
    while !writing.is_finished() {
        let report = log.verify();
        assert!(report.is_valid(), "{report}");
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
    assert_eq!(log.verify().entries, FILLED + 50);
    let plain = copy();
    let before = fs::read(&plain.path).unwrap();
    assert!(plain.verify().is_valid());
    assert_eq!(fs::read(&plain.path).unwrap(), before);
}

#[test]
fn verifies_a_copy_where_no_helper_file_can_be_made() {
    let log = Log {
        key: template().key.clone(),
        ..Log::new()
    };
    let path = log.dir.path().join("odd name?#%41.db");
    fs::write(&path, &template().bytes).unwrap();
    fs::create_dir(log.dir.path().join("odd name?#%41.db-shm")).unwrap();
    assert!(verify_file(&path, &log.key).unwrap().is_valid());
    assert_eq!(list_file(&path, &Filter::default()).unwrap().len() as u64, FILLED);
    fs::write(
        log.dir.path().join("odd name?#%41.db-wal"),
        "entries that nobody can read here",
    )
    .unwrap();
    let refused = verify_file(&path, &log.key).unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
}

/// Where one byte may be changed: table, column, whether it is text.
const PLACES: [(&str, &str, bool); 12] = [
    ("entries", "header", true),
    ("entries", "leaf", false),
    ("entries", "mac", false),
    ("entries", "key_id", true),
    ("entries", "event_type", true),
    ("entries", "outcome", true),
    ("entries", "username", true),
    ("entries", "plan", true),
    ("entries", "request_uid", true),
    ("payloads", "payload", true),
    ("payloads", "salt", false),
    ("step_intents", "step_id", true),
];

fn flip(path: &Path, place: (&str, &str, bool), seq: u64, at: usize, mask: u8) -> bool {
    let (table, column, is_text) = place;
    let db = raw(path);
    let read = format!("SELECT CAST({column} AS BLOB) FROM {table} WHERE seq = ?1 AND {column} IS NOT NULL");
    let Ok(mut bytes) = db.query_row(&read, [seq], |row| row.get::<_, Vec<u8>>(0)) else {
        return false;
    };
    let length = bytes.len();
    bytes[at % length] ^= mask;
    let value = if is_text { "CAST(?1 AS TEXT)" } else { "?1" };
    let write = format!("UPDATE {table} SET {column} = {value} WHERE seq = ?2");
    db.execute(&write, params![bytes, seq]).unwrap();
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_changed_byte_of_any_entry_is_found_at_that_entry(
        place in prop::sample::select(&PLACES[..]),
        seq in 1..=FILLED,
        at in any::<usize>(),
        mask in 1_u8..,
    ) {
        let log = copy();
        if flip(&log.path, place, seq, at, mask) {
            let report = log.verify();
            prop_assert!(!report.is_valid());
            prop_assert_eq!(report.verdict.first_bad_seq(), Some(seq), "{:?} {}", place, report);
        }
    }

    #[test]
    fn any_removed_run_of_entries_is_found_at_its_start(first in 1..=FILLED, length in 1..=FILLED) {
        let last = (first + length - 1).min(FILLED);
        let report = after(|db| {
            db.execute("DELETE FROM entries WHERE seq BETWEEN ?1 AND ?2", [first, last]).unwrap();
        });
        prop_assert_eq!(report.verdict.first_bad_seq(), Some(first));
        let cut = matches!(report.verdict, Verdict::Truncated { .. });
        prop_assert_eq!(cut, last == FILLED);
    }

    #[test]
    fn any_two_entries_in_each_others_place_are_found_at_the_first(one in 1..=FILLED, other in 1..=FILLED) {
        prop_assume!(one != other);
        let report = after(|db| {
            for table in ["entries", "payloads", "step_intents", "step_results"] {
                for (from, to) in [(one as i64, -1_i64), (other as i64, one as i64), (-1, other as i64)] {
                    db.execute(&format!("UPDATE {table} SET seq = ?2 WHERE seq = ?1"), [from, to]).unwrap();
                }
            }
        });
        prop_assert_eq!(found(&report), (VerifyExit::Tampered, Some(one.min(other))));
    }
}
