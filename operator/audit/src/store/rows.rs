//! SQL of the log's tables: one function per statement, no decisions.
//!
//! Rows are read without trusting their types: what cannot be an entry comes back as [`UnreadableRow`].

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, ToSql, params};
use sha2::{Digest, Sha256};

use super::{Filter, Head, MAX_LIST, StepRecord};
use crate::chain::{ChainMac, Leaf};
use crate::entry::{Entry, Sealed};
use crate::error::Error;
use crate::record::EventType;
use crate::verify::{Columns, Ending, Row, UnreadableRow, Verifier};

const SELECT_ROWS: &str = "
    SELECT e.seq, e.header, e.leaf, e.mac, e.key_id, e.time_us, e.event_type, e.outcome, e.username,
           e.request, e.request_uid, e.plan, e.plan_uid, e.step_id, p.salt, p.payload, i.step_id, r.step_id
    FROM entries e
    LEFT JOIN payloads p ON p.seq = e.seq
    LEFT JOIN step_intents i ON i.seq = e.seq
    LEFT JOIN step_results r ON r.seq = e.seq
    WHERE e.seq > ?1 ORDER BY e.seq";

/// The head row. That it is missing or misshapen is an integrity failure.
pub(super) fn head(db: &Connection) -> Result<Head, Error> {
    let sql = "SELECT origin, seq, mac, fence FROM head WHERE id = 1";
    let head = db.prepare_cached(sql)?.query_row([], |row| {
        Ok(Head {
            origin: row.get(0)?,
            seq: row.get(1)?,
            mac: ChainMac(row.get(2)?),
            fence: row.get(3)?,
        })
    });
    head.optional()?
        .ok_or_else(|| Error::integrity("the head row is missing"))
}

pub(super) fn insert_head(db: &Connection, head: &Head) -> Result<(), Error> {
    db.execute(
        "INSERT INTO head (id, origin, seq, mac, fence) VALUES (1, ?1, ?2, ?3, ?4)",
        params![head.origin, head.seq, head.mac.0, head.fence],
    )?;
    Ok(())
}

/// Moves the head forward, from exactly where this transaction found it.
pub(super) fn update_head(db: &Connection, from: &Head, to: &Head) -> Result<(), Error> {
    let changed = db
        .prepare_cached(
            "UPDATE head SET seq = ?1, mac = ?2, fence = ?3 WHERE id = 1 AND seq = ?4 AND fence = ?5",
        )?
        .execute(params![to.seq, to.mac.0, to.fence, from.seq, from.fence])?;
    if changed == 1 {
        Ok(())
    } else {
        Err(Error::integrity("the head row changed inside a transaction"))
    }
}

/// Time of an entry, by its search column; the column is compared with the header on verification.
pub(super) fn time_of(db: &Connection, seq: u64) -> Result<Option<Timestamp>, Error> {
    let sql = "SELECT time_us FROM entries WHERE seq = ?1";
    let micros: Option<i64> = db
        .prepare_cached(sql)?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    micros
        .map(|micros| {
            Timestamp::from_microsecond(micros).map_err(|error| Error::integrity(error.to_string()))
        })
        .transpose()
}

/// Stored link of an entry.
pub(super) fn mac_of(db: &Connection, seq: u64) -> Result<Option<ChainMac>, Error> {
    let sql = "SELECT mac FROM entries WHERE seq = ?1";
    Ok(db
        .query_row(sql, [seq], |row| row.get(0).map(ChainMac))
        .optional()?)
}

pub(super) fn insert_entry(
    db: &Connection,
    sealed: &Sealed,
    mac: ChainMac,
    key_id: &str,
) -> Result<(), Error> {
    let Columns {
        time_us,
        event_type,
        outcome,
        username,
        request,
        request_uid,
        plan,
        plan_uid,
        step_id,
    } = Columns::of(&sealed.entry);
    let seq = sealed.entry.seq;
    db.prepare_cached(
        "INSERT INTO entries (seq, header, leaf, mac, key_id, time_us, event_type, outcome, username, request,
            request_uid, plan, plan_uid, step_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        seq,
        text(&sealed.header),
        Leaf::of(&sealed.header).0,
        mac.0,
        key_id,
        time_us,
        event_type,
        outcome,
        username,
        request,
        request_uid,
        plan,
        plan_uid,
        step_id,
    ])?;
    db.prepare_cached("INSERT INTO payloads (seq, salt, payload) VALUES (?1, ?2, ?3)")?
        .execute(params![seq, sealed.salt, text(&sealed.payload)])?;
    Ok(())
}

fn text(bytes: &[u8]) -> rusqlite::types::ToSqlOutput<'_> {
    rusqlite::types::ToSqlOutput::Borrowed(ValueRef::Text(bytes))
}

pub(super) fn insert_intent(db: &Connection, step_id: &str, seq: u64, fence: u64) -> Result<(), Error> {
    db.prepare_cached("INSERT INTO step_intents (step_id, seq, fence) VALUES (?1, ?2, ?3)")?
        .execute(params![step_id, seq, fence])?;
    Ok(())
}

pub(super) fn insert_result(db: &Connection, step_id: &str, seq: u64) -> Result<(), Error> {
    db.prepare_cached("INSERT INTO step_results (step_id, seq) VALUES (?1, ?2)")?
        .execute(params![step_id, seq])?;
    Ok(())
}

/// What is known of a step.
pub(super) fn step(db: &Connection, step_id: &str) -> Result<Option<StepRecord>, Error> {
    let found: Option<(u64, u64, Option<u64>)> = db
        .prepare_cached(
            "SELECT i.seq, i.fence, r.seq FROM step_intents i
             LEFT JOIN step_results r ON r.step_id = i.step_id WHERE i.step_id = ?1",
        )?
        .query_row([step_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((seq, fence, result_seq)) = found else {
        return Ok(None);
    };
    let result = match result_seq {
        Some(seq) => {
            Some(Box::new(entry(db, seq)?.ok_or_else(|| {
                Error::integrity(format!("entry {seq} is missing"))
            })?))
        }
        None => None,
    };
    Ok(Some(StepRecord { seq, fence, result }))
}

/// One entry.
pub(super) fn entry(db: &Connection, seq: u64) -> Result<Option<Entry>, Error> {
    let sql = "SELECT header FROM entries WHERE seq = ?1";
    let header: Option<String> = db
        .prepare_cached(sql)?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    header.map(|header| parse(seq, &header)).transpose()
}

fn parse(seq: u64, header: &str) -> Result<Entry, Error> {
    Entry::parse(header.as_bytes()).map_err(|why| Error::integrity(format!("entry {seq}: {why}")))
}

/// Salt and payload of an entry.
pub(super) fn payload(db: &Connection, seq: u64) -> Result<Option<(Vec<u8>, String)>, Error> {
    let sql = "SELECT salt, payload FROM payloads WHERE seq = ?1";
    Ok(db
        .query_row(sql, [seq], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// The statement of a filter; its values are numbered in the order of the fields that are set.
fn list_sql(filter: &Filter) -> String {
    let Filter {
        event_type,
        plan,
        request,
        user,
        since_seq: _,
        limit: _,
    } = filter;
    // A plan or turn has few entries. Left to itself, SQLite would rather read all entries of the type or user in order.
    let few = plan.is_some() || request.is_some();
    let aside = if few { "+" } else { "" };
    let mut sql = "SELECT seq, header FROM entries WHERE seq >= ?1".to_owned();
    let mut at = 1;
    let mut also = |is_set: bool, sql: &mut String, condition: &dyn Fn(usize) -> String| {
        if is_set {
            at += 1;
            sql.push_str(&format!(" AND {}", condition(at)));
        }
    };
    also(event_type.is_some(), &mut sql, &|at| {
        format!("{aside}event_type = ?{at}")
    });
    also(plan.is_some(), &mut sql, &|at| {
        format!("(plan = ?{at} OR plan_uid = ?{at})")
    });
    also(request.is_some(), &mut sql, &|at| {
        format!("(request = ?{at} OR request_uid = ?{at})")
    });
    also(user.is_some(), &mut sql, &|at| format!("{aside}username = ?{at}"));
    sql.push_str(&format!(" ORDER BY seq LIMIT ?{}", at + 1));
    sql
}

/// Entries by filter, by rising number.
pub(super) fn list(db: &Connection, filter: &Filter) -> Result<Vec<Entry>, Error> {
    let event_type = filter.event_type.map(EventType::as_str);
    let limit = filter.limit.min(MAX_LIST);
    let mut values: Vec<&dyn ToSql> = vec![&filter.since_seq];
    values.extend(event_type.iter().map(|value| value as &dyn ToSql));
    for value in [&filter.plan, &filter.request, &filter.user] {
        values.extend(value.iter().map(|value| value as &dyn ToSql));
    }
    values.push(&limit);
    let mut statement = db.prepare(&list_sql(filter))?;
    let mut rows = statement.query(values.as_slice())?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(parse(row.get(0)?, &row.get::<_, String>(1)?)?);
    }
    Ok(entries)
}

/// Gives every entry after `seq` to the verifier. Pages that are no pages are tampering, not an error.
pub(super) fn feed(db: &Connection, seq: u64, verifier: &mut Verifier<'_>) -> Result<(), Error> {
    let mut statement = db.prepare(SELECT_ROWS)?;
    let mut rows = statement.query([seq])?;
    loop {
        match rows.next().map_err(Error::from) {
            Ok(Some(row)) => verifier.push(read(row)),
            Ok(None) => return Ok(()),
            Err(Error::Integrity { why }) => {
                verifier.push(Err(UnreadableRow { seq: None, why }));
                return Ok(());
            }
            Err(other) => return Err(other),
        }
    }
}

/// What the store says beside the entries after `seq`.
pub(super) fn ending(db: &Connection, seq: u64) -> Result<Ending, Error> {
    let head = match head(db) {
        Ok(head) => Some((head.seq, head.mac.0.to_vec())),
        Err(Error::Integrity { .. }) => None,
        Err(other) => return Err(other),
    };
    let smallest = db.query_row(
        "SELECT min(seq) FROM (
            SELECT seq FROM payloads UNION ALL SELECT seq FROM step_intents UNION ALL SELECT seq FROM step_results
         ) AS pointer WHERE seq > ?1 AND NOT EXISTS (SELECT 1 FROM entries WHERE entries.seq = pointer.seq)",
        [seq],
        |row| row.get(0),
    );
    let orphan = match smallest.map_err(Error::from) {
        Ok(orphan) => Ok(orphan),
        Err(Error::Integrity { why }) => Err(why),
        Err(other) => return Err(other),
    };
    Ok(Ending { head, orphan })
}

fn read(row: &rusqlite::Row<'_>) -> Result<Row, UnreadableRow> {
    let seq = row.get(0).ok();
    let unreadable = |why: String| UnreadableRow { seq, why };
    let bytes = |at: usize, name: &str, is_text: bool| match row.get_ref(at) {
        Ok(ValueRef::Text(bytes)) if is_text => Ok(bytes.to_vec()),
        Ok(ValueRef::Blob(bytes)) if !is_text => Ok(bytes.to_vec()),
        Ok(_) | Err(_) => Err(unreadable(format!("its {name} is missing or not of its type"))),
    };
    let text = |at: usize, name: &str| -> Result<Option<String>, UnreadableRow> {
        row.get(at)
            .map_err(|_| unreadable(format!("its {name} is not text")))
    };
    let required =
        |at: usize, name: &str| text(at, name)?.ok_or_else(|| unreadable(format!("its {name} is missing")));
    Ok(Row {
        seq: seq.ok_or_else(|| unreadable("its number is not a number".to_owned()))?,
        header: bytes(1, "header", true)?,
        leaf: bytes(2, "leaf hash", false)?,
        mac: bytes(3, "link", false)?,
        key_id: required(4, "key id")?,
        columns: Columns {
            time_us: row
                .get(5)
                .map_err(|_| unreadable("its time is not a number".to_owned()))?,
            event_type: required(6, "event type")?,
            outcome: required(7, "outcome")?,
            username: required(8, "username")?,
            request: text(9, "request")?,
            request_uid: text(10, "request uid")?,
            plan: text(11, "plan")?,
            plan_uid: text(12, "plan uid")?,
            step_id: text(13, "step id")?,
        },
        salt: bytes(14, "payload salt", false)?,
        payload: bytes(15, "payload", true)?,
        intent_lock: text(16, "intent lock")?,
        result_lock: text(17, "result lock")?,
    })
}

/// Digest and bytes that undo a step. `None` for bytes that do not have their digest any more.
pub(super) fn rollback(
    db: &Connection,
    plan_uid: &str,
    step_id: &str,
) -> Result<Option<Option<Vec<u8>>>, Error> {
    let sql = "SELECT sha256, bytes FROM rollback_data WHERE plan_uid = ?1 AND step_id = ?2";
    let found: Option<(Vec<u8>, Vec<u8>)> = db
        .query_row(sql, [plan_uid, step_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.map(|(digest, bytes)| (digest == Sha256::digest(&bytes).as_slice()).then_some(bytes)))
}

pub(super) fn insert_rollback(
    db: &Connection,
    plan_uid: &str,
    step_id: &str,
    bytes: &[u8],
) -> Result<(), Error> {
    db.execute(
        "INSERT INTO rollback_data (plan_uid, step_id, sha256, bytes) VALUES (?1, ?2, ?3, ?4)",
        params![plan_uid, step_id, Sha256::digest(bytes).as_slice(), bytes],
    )?;
    Ok(())
}

/// Plans with bytes, behind this one.
pub(super) fn rollback_plans(db: &Connection, after: &str) -> Result<Vec<String>, Error> {
    let sql = "SELECT DISTINCT plan_uid FROM rollback_data WHERE plan_uid > ?1 ORDER BY plan_uid LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let found = statement.query_map(params![after, MAX_LIST], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn delete_rollback(db: &Connection, plan_uid: &str, step_id: Option<&str>) -> Result<u64, Error> {
    let sql = "DELETE FROM rollback_data WHERE plan_uid = ?1 AND (?2 IS NULL OR step_id = ?2)";
    let deleted = db.execute(sql, params![plan_uid, step_id])?;
    Ok(u64::try_from(deleted).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_by_plan_or_turn_reads_only_the_entries_of_that_plan_or_turn() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("schema.sql")).unwrap();
        let some = || Some("x".to_owned());
        for (event_type, user) in [
            (None, None),
            (Some(EventType::CommandExecution), None),
            (None, some()),
            (Some(EventType::Outbound), some()),
        ] {
            for (plan, request) in [(some(), None), (None, some())] {
                let filter = Filter {
                    event_type,
                    plan,
                    request,
                    user: user.clone(),
                    ..Filter::default()
                };
                let mut explained = db
                    .prepare(&format!("EXPLAIN QUERY PLAN {}", list_sql(&filter)))
                    .unwrap();
                let many = explained.parameter_count();
                let values = rusqlite::params_from_iter(vec!["x"; many]);
                let steps = explained.query_map(values, |row| row.get::<_, String>(3));
                let steps: Vec<String> = steps.unwrap().collect::<Result<_, _>>().unwrap();
                let searched: Vec<_> = steps.iter().filter(|step| step.starts_with("SEARCH")).collect();
                let by_it =
                    |step: &&String| step.contains("entries_by_plan") || step.contains("entries_by_request");
                assert_eq!(
                    searched.iter().filter(|s| by_it(s)).count(),
                    2,
                    "{filter:?}: {steps:?}"
                );
                assert_eq!(searched.len(), 2, "{filter:?}: {steps:?}");
            }
        }
    }
}
