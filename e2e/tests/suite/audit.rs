//! The audit log seen from outside: tampering is found, a tampered log is not written on, levels are honoured.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use kubechat_crds::condition::{is_true, types};
use kubechat_crds::{AuditPolicy, ChatRequest, PlanPhase};
use kubechat_e2e::cluster::Options;
use kubechat_e2e::product::{self, Part, Product};
use kubechat_e2e::wait::eventually;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::crash::config_map;
use super::faults::{refuses_to_start, watchful};
use super::turn::{
    SOON, approve, ask, audit_entries, ended_as, ended_turn, plan_for, refused, run, says, step_entries,
};
use crate::runner::{Ctx, Test, own, shared, with_product};

const DEMO: &str = "demo";
/// The program that verifies says with its exit code what it found.
const VALID: i32 = 0;
const USAGE: i32 = 2;
const TAMPERED: i32 = 10;
const TRUNCATED: i32 = 11;
const CHAIN: i32 = 13;

pub(crate) fn tests() -> Vec<Test> {
    let own = own![
        an_operator_does_not_write_on_a_log_that_is_tampered_with_or_not_its_own,
        levels_of_the_audit_policy_are_honoured_and_decisions_are_always_recorded,
    ];
    [own, shared![tampering_is_found_with_the_first_bad_entry]].concat()
}

/// A copy of the log as it is now, also while the operator writes.
fn copy_of(product: &Product, to: &Path) -> Result<()> {
    let db = Connection::open_with_flags(product.audit_db(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.execute("VACUUM INTO ?1", [to.display().to_string()])?;
    Ok(())
}

/// Changes a log behind the program's back: without its triggers and its foreign keys.
fn tamper(db: &Path, sql: &str) -> Result<()> {
    let db = Connection::open(db)?;
    db.pragma_update(None, "foreign_keys", false)?;
    let triggers: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for trigger in triggers {
        db.execute_batch(&format!("DROP TRIGGER {trigger}"))?;
    }
    db.execute_batch(sql).with_context(|| sql.to_owned())
}

async fn tampering_is_found_with_the_first_bad_entry(ctx: Arc<Ctx>) -> Result<()> {
    let product = ctx.product().await?;
    let namespace = ctx.namespace("tamper").await?;
    let alice = ctx.client("alice").await?;
    let plan = plan_for(&alice, &namespace, "scale nginx to 3 replicas").await?;
    approve(&alice, &plan).await?;
    ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
    let folder = TempDir::new()?;
    let whole = folder.path().join("whole.db");
    copy_of(product, &whole)?;
    let last = Connection::open(&whole)?.query_row("SELECT max(seq) FROM entries", [], |row| row.get(0))?;
    let intent: i64 =
        Connection::open(&whole)?.query_row("SELECT seq FROM step_intents LIMIT 1", [], |row| row.get(0))?;
    ensure!(last > 4, "the log has {last} entries only");

    // (what somebody with the file does, exit code, first bad entry)
    let cases: [(&str, i32, Option<i64>); 13] = [
        ("SELECT 1", VALID, None),
        (
            "UPDATE entries SET header = replace(header, '\"v\":1', '\"v\":2') WHERE seq = 3",
            TAMPERED,
            Some(3),
        ),
        (
            "UPDATE entries SET header = header || ' ' WHERE seq = 4",
            TAMPERED,
            Some(4),
        ),
        (
            "UPDATE entries SET username = 'mallory' WHERE seq = 2",
            TAMPERED,
            Some(2),
        ),
        (
            "UPDATE payloads SET payload = '{\"a\":1}' WHERE seq = 3",
            TAMPERED,
            Some(3),
        ),
        ("DELETE FROM entries WHERE seq = 2", TAMPERED, Some(2)),
        ("DELETE FROM entries WHERE seq = 1", TAMPERED, Some(1)),
        ("DELETE FROM step_intents", TAMPERED, Some(intent)),
        ("DELETE FROM payloads WHERE seq = 2", TAMPERED, Some(2)),
        ("DELETE FROM entries WHERE seq > 3", TRUNCATED, Some(4)),
        (
            "UPDATE entries SET mac = randomblob(32) WHERE seq = 3",
            CHAIN,
            Some(3),
        ),
        ("UPDATE head SET mac = randomblob(32)", CHAIN, Some(last)),
        ("DELETE FROM head", TAMPERED, Some(last + 1)),
    ];
    for (at, (sql, exit, first)) in cases.into_iter().enumerate() {
        let copy = folder.path().join(format!("{at}.db"));
        std::fs::copy(&whole, &copy)?;
        tamper(&copy, sql)?;
        let (code, report) = verify(product, &copy, Some(&product.audit_key())).await?;
        ensure!(code == Some(exit), "{sql}: exit {code:?}: {report}");
        let found: Value = serde_json::from_str(&report)?;
        ensure!(found["firstBadSeq"].as_i64() == first, "{sql}: {report}");
    }
    without_the_right_key(product, &folder, &whole).await
}

async fn without_the_right_key(product: &Product, folder: &TempDir, log: &Path) -> Result<()> {
    let (other, none) = (folder.path().join("other.key"), folder.path().join("none"));
    let made = run(
        product,
        [Path::new("audit"), Path::new("init"), Path::new("--key"), &other],
    )
    .await?;
    ensure!(made.status.success(), "{made:?}");
    let key = product.audit_key();
    let cases = [
        (log, Some(&other), CHAIN, "no link verifies with key"),
        (log, None, USAGE, "without its key the chain cannot be checked"),
        (log, Some(&none), USAGE, "none"),
        (none.as_path(), Some(&key), USAGE, "cannot be used as audit log"),
        (other.as_path(), Some(&key), USAGE, "it is not a database"),
    ];
    for (log, key, exit, expected) in cases {
        let (code, said) = verify(product, log, key.map(PathBuf::as_path)).await?;
        ensure!(code == Some(exit), "{expected}: exit {code:?}: {said}");
        says(&said, &[expected])?;
    }
    Ok(())
}

/// Exit code and output (the report, else the message) of `kubechat audit verify -o json`.
async fn verify(product: &Product, db: &Path, key: Option<&Path>) -> Result<(Option<i32>, String)> {
    let mut args = ["audit", "verify", "-o", "json", "--db"]
        .map(PathBuf::from)
        .to_vec();
    args.push(db.to_owned());
    if let Some(key) = key {
        args.extend([PathBuf::from("--key"), key.to_owned()]);
    }
    let output = run(product, args).await?;
    let said = if output.stdout.is_empty() {
        output.stderr
    } else {
        output.stdout
    };
    Ok((output.status.code(), String::from_utf8(said)?))
}

async fn an_operator_does_not_write_on_a_log_that_is_tampered_with_or_not_its_own() -> Result<()> {
    let options = product::Options {
        restart: false,
        ..watchful()
    };
    with_product(Options::default(), options, async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        config_map(&admin, "settings").await?;
        let plan = plan_for(&alice, DEMO, "label configmap settings tier=web").await?;
        product.stop(Part::Operator).await?;
        approve(&alice, &plan).await?;
        let db = product.audit_db();
        let folder = TempDir::new()?;
        let whole = folder.path().join("whole.db");
        copy_of(product, &whole)?;
        for (sql, expected) in [
            (
                "UPDATE entries SET header = header || ' ' WHERE seq = (SELECT max(seq) FROM entries)",
                "integrity check",
            ),
            (
                "DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)",
                "integrity check",
            ),
            ("PRAGMA user_version = 99", "another version of kubechat"),
        ] {
            tamper(db, sql)?;
            refuses_to_start(
                product,
                &[
                    "the audit log cannot be opened; nothing will be executed",
                    expected,
                ],
            )
            .await?;
            put_back(&whole, db)?;
        }
        std::fs::write(
            db,
            "no database, but long enough to look like a file with a header of SQLite",
        )
        .context("spoiling")?;
        refuses_to_start(product, &["it is not a database"]).await?;
        put_back(&whole, db)?;

        let key = product.audit_key();
        let (kept, other) = (folder.path().join("kept.key"), folder.path().join("other.key"));
        std::fs::rename(&key, &kept)?;
        refuses_to_start(product, &["the audit key", "kubechat audit init makes one"]).await?;
        let made = run(
            product,
            [Path::new("audit"), Path::new("init"), Path::new("--key"), &other],
        )
        .await?;
        ensure!(made.status.success(), "{made:?}");
        std::fs::rename(&other, &key)?;
        refuses_to_start(
            product,
            &["integrity check", "this is not the key that sealed the log"],
        )
        .await?;
        std::fs::rename(&kept, &key)?;

        product.resume(Part::Operator).await?;
        ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
        ensure!(step_entries(&audit_entries(product).await?, &plan).len() == 2);
        Ok(())
    })
    .await
}

/// Puts a whole copy in the place of a log that nobody has open.
fn put_back(whole: &Path, db: &Path) -> Result<()> {
    for helper in ["-wal", "-shm"] {
        let mut path = db.as_os_str().to_owned();
        path.push(helper);
        let _none = std::fs::remove_file(path);
    }
    std::fs::copy(whole, db)?;
    Ok(())
}

async fn levels_of_the_audit_policy_are_honoured_and_decisions_are_always_recorded() -> Result<()> {
    with_product(Options::default(), watchful(), async |cluster, product| {
        let (admin, alice) = (cluster.client("admin").await?, cluster.client("alice").await?);
        config_map(&admin, "settings").await?;
        let read = answered(&alice, "list pods").await?;
        ensure!(recorded(product, "data_access", &read).await? == [true], "with its payload");

        let less = json!({"data_access": "Off", "command_generation": "Metadata", "approval": "Metadata", "command_execution": "Metadata"});
        set_levels(&admin, less).await?;
        let read = answered(&alice, "list deployments").await?;
        let plan = plan_for(&alice, DEMO, "label configmap settings tier=web").await?;
        approve(&alice, &plan).await?;
        ended_as(&alice, &plan, PlanPhase::Succeeded).await?;
        ensure!(recorded(product, "data_access", &read).await?.is_empty(), "it was recorded");
        let turn: Api<ChatRequest> = Api::namespaced(alice.clone(), DEMO);
        let turn = turn.get(&plan.spec.chat_request_ref.name).await?;
        ensure!(recorded(product, "command_generation", &turn).await? == [false], "without its payload");
        eventually(SOON, "the decision is recorded", || async {
            let found = recorded(product, "approval", &turn).await?;
            ensure!(found == [false], "{found:?}");
            Ok(())
        })
        .await?;
        // Of the intent, what says how far the plan is when it is gone, and how many objects its step is of.
        let kept = payloads(product, "command_execution", &turn).await?;
        let kept: Vec<Value> = kept.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>()?;
        let told = json!({"planNamespace": DEMO, "step": plan.spec.steps[0].id, "stepsTotal": 1, "targetsTotal": 1});
        ensure!(kept == [told, Value::Null], "{kept:?}");

        for always in ["command_execution", "approval", "outbound", "configuration_change"] {
            let refusal = refused(set_levels(&admin, json!({always: "Off"})).await)?;
            says(&refusal, &["are always recorded"])?;
        }
        set_levels(&admin, json!({"data_access": "Full"})).await?;
        let read = answered(&alice, "list services").await?;
        ensure!(recorded(product, "data_access", &read).await? == [true], "with its payload");
        // Without a policy everything is recorded.
        set_levels(&admin, json!({"data_access": "Off"})).await?;
        let policies: Api<AuditPolicy> = Api::all(admin.clone());
        policies.delete("default", &DeleteParams::default()).await?;
        eventually(SOON, "a deleted policy switches nothing off", || async {
            let read = answered(&alice, "list services").await?;
            ensure!(recorded(product, "data_access", &read).await? == [true], "it is");
            Ok(())
        })
        .await
    })
    .await
}

async fn answered(alice: &Client, prompt: &str) -> Result<ChatRequest> {
    ended_turn(alice, &ask(alice, DEMO, prompt).await?).await
}

/// Changes the levels, and waits until the operator honours them.
async fn set_levels(admin: &Client, levels: Value) -> Result<()> {
    let api: Api<AuditPolicy> = Api::all(admin.clone());
    // Of a merge patch only null takes the other levels away.
    let cleared = Patch::Merge(json!({"spec": {"levels": null}}));
    api.patch("default", &PatchParams::default(), &cleared).await?;
    let patch = Patch::Merge(json!({"spec": {"levels": levels}}));
    let generation = api
        .patch("default", &PatchParams::default(), &patch)
        .await?
        .metadata
        .generation;
    eventually(SOON, "the operator honours the levels", || async {
        let status = api.get("default").await?.status.unwrap_or_default();
        ensure!(status.observed_generation == generation, "{status:?}");
        ensure!(is_true(&status.conditions, types::READY), "{status:?}");
        Ok(())
    })
    .await
}

/// The entries of this type about a turn: of each, whether its payload was kept.
async fn recorded(product: &Product, event: &str, turn: &ChatRequest) -> Result<Vec<bool>> {
    let payloads = payloads(product, event, turn).await?;
    Ok(payloads.into_iter().map(|payload| payload != "null").collect())
}

/// The payloads of the entries of this type about a turn.
async fn payloads(product: &Product, event: &str, turn: &ChatRequest) -> Result<Vec<String>> {
    let uid = turn.uid().unwrap_or_default();
    let entries = audit_entries(product).await?;
    let db = Connection::open_with_flags(product.audit_db(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let of_turn = entries
        .iter()
        .filter(|e| e["eventType"] == event && e["ids"]["requestUid"] == uid.as_str());
    of_turn
        .map(|entry| {
            let payload = db.query_row(
                "SELECT payload FROM payloads WHERE seq = ?1",
                [entry["seq"].as_i64()],
                |row| row.get(0),
            );
            Ok(payload?)
        })
        .collect()
}
