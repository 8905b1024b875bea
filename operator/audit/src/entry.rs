//! An entry of the log: the header that is hashed, and the payload that stands beside it.
//!
//! Invariants: the header's canonical bytes (RFC 8785) are made once, here, stored verbatim and hashed; nobody
//! serialises a header again to verify it. Whatever people control is bounded here, visibly (a cut text says
//! that it was cut and carries the hash of the whole). Called by the stores (sealing) and by the verifier
//! (parsing).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::draft::{Draft, MAX_ID_BYTES};
use crate::record::{Actor, EventType, Ids, Outcome, Risk, Source, Target};

/// Version of the header format, its field `v`.
pub const FORMAT_VERSION: u8 = 1;
/// Longest message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1024;
/// Longest username, in bytes.
pub const MAX_USERNAME_BYTES: usize = 1024;
/// Groups kept in the header; the hash covers all.
pub const MAX_GROUPS: usize = 64;
/// Largest canonical form of the actor's extra attributes, in bytes.
pub const MAX_EXTRA_BYTES: usize = 4096;
/// Largest canonical payload, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024;
/// Bytes of the random salt before each payload.
pub const SALT_BYTES: usize = 16;
/// RFC 8785 writes numbers as doubles: integers beyond this lose digits.
const MAX_EXACT_INTEGER: u64 = (1 << 53) - 1;

/// The header of one entry, as everyone may read it. Field order and names are the format `v` 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Format version.
    pub v: u8,
    /// Number: 1, 2, 3 without gaps.
    pub seq: u64,
    /// Time in UTC, microseconds; strictly increasing.
    #[serde(with = "micros")]
    pub time: Timestamp,
    /// Kind of event.
    pub event_type: EventType,
    /// Who.
    pub actor: Actor,
    /// SHA-256 (hex) of the canonical list of all the actor's groups, also those beyond the first 64.
    pub groups_hash: String,
    /// Whether KubeChat acted as the actor.
    pub impersonated: bool,
    /// What it belongs to.
    pub ids: Ids,
    /// About which object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What was done or asked for.
    pub verb: String,
    /// How dangerous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// How it ended.
    pub outcome: Outcome,
    /// Fixed PascalCase reason.
    pub reason: String,
    /// One sentence for people. Untrusted text: escape it before a terminal sees it.
    pub message: String,
    /// `Audit-ID` of the last write in the API server's own audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_audit_id: Option<String>,
    /// Claimed origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// SHA-256 (hex) of the salt followed by the canonical payload.
    pub payload_commitment: String,
}

/// An entry ready to be stored: its header bytes and what stands beside it.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The header, parsed.
    pub entry: Entry,
    /// The header's canonical bytes: what is stored and hashed.
    pub header: Vec<u8>,
    /// Salt of the payload commitment.
    pub salt: [u8; SALT_BYTES],
    /// Canonical payload bytes.
    pub payload: Vec<u8>,
}

/// A value that cannot be written in canonical JSON.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the audit entry has no canonical JSON form: {0}; nothing was written")]
pub struct NotCanonical(String);

impl Entry {
    /// Makes the entry with this number, time and salt, and its canonical bytes.
    pub fn seal(
        draft: Draft,
        seq: u64,
        time: Timestamp,
        salt: [u8; SALT_BYTES],
    ) -> Result<Sealed, NotCanonical> {
        let payload = bounded_payload(draft.payload)?;
        let groups_hash = sha256_hex(&canonical(&draft.actor.groups)?);
        let entry = Self {
            v: FORMAT_VERSION,
            seq,
            time,
            event_type: draft.event_type,
            actor: bounded_actor(draft.actor)?,
            groups_hash,
            impersonated: draft.impersonated,
            ids: draft.ids,
            target: draft.target.map(bounded_target),
            verb: draft.verb,
            risk: draft.risk,
            outcome: draft.outcome,
            reason: draft.reason,
            message: bounded(draft.message, MAX_MESSAGE_BYTES),
            api_audit_id: draft.api_audit_id,
            source: draft.source.map(bounded_source),
            payload_commitment: commitment(&salt, &payload),
        };
        let header = canonical(&entry)?;
        Ok(Sealed {
            entry,
            header,
            salt,
            payload,
        })
    }

    /// Reads a stored header. The bytes must be a header of a version this program knows.
    pub fn parse(header: &[u8]) -> Result<Self, String> {
        let entry: Self =
            serde_json::from_slice(header).map_err(|error| format!("unreadable header: {error}"))?;
        if entry.v == FORMAT_VERSION {
            Ok(entry)
        } else {
            Err(format!(
                "header format {} is not known to this version of kubechat",
                entry.v
            ))
        }
    }
}

/// The time for the next entry: now, but always after the one before, whatever the clock does.
pub fn next_time(previous: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    let after =
        |previous: Timestamp| Timestamp::from_microsecond(previous.as_microsecond().saturating_add(1));
    match previous.map(after) {
        Some(Ok(earliest)) => now.max(earliest),
        Some(Err(_)) | None => now,
    }
}

/// SHA-256 of salt and payload, in hex.
pub fn commitment(salt: &[u8], payload: &[u8]) -> String {
    hex::encode(Sha256::new().chain_update(salt).chain_update(payload).finalize())
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, NotCanonical> {
    serde_json_canonicalizer::to_vec(value).map_err(|error| NotCanonical(error.to_string()))
}

fn bounded_payload(payload: Value) -> Result<Vec<u8>, NotCanonical> {
    let bytes = canonical(&exact(payload))?;
    if bytes.len() <= MAX_PAYLOAD_BYTES {
        return Ok(bytes);
    }
    canonical(&json!({ "truncated": true, "bytes": bytes.len(), "sha256": sha256_hex(&bytes) }))
}

/// Writes integers that a double cannot hold as text, so that canonical JSON never rounds a number silently.
fn exact(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            match size {
                Some(size) if size > MAX_EXACT_INTEGER => Value::String(number.to_string()),
                Some(_) | None => Value::Number(number),
            }
        }
        Value::Array(items) => Value::Array(items.into_iter().map(exact).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| (key, exact(value)))
                .collect(),
        ),
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

fn bounded_actor(actor: Actor) -> Result<Actor, NotCanonical> {
    let Actor {
        username,
        uid,
        groups,
        extra,
    } = actor;
    let size = canonical(&extra)?;
    let extra = if size.len() <= MAX_EXTRA_BYTES {
        extra
    } else {
        BTreeMap::from([(
            "truncated".to_owned(),
            vec![format!("sha256:{}", sha256_hex(&size))],
        )])
    };
    Ok(Actor {
        username: bounded(username, MAX_USERNAME_BYTES),
        uid: uid.map(|uid| bounded(uid, MAX_ID_BYTES)),
        groups: groups
            .into_iter()
            .take(MAX_GROUPS)
            .map(|group| bounded(group, MAX_ID_BYTES))
            .collect(),
        extra,
    })
}

fn bounded_target(target: Target) -> Target {
    let cut = |text: Option<String>| text.map(|text| bounded(text, MAX_ID_BYTES));
    let Target {
        group,
        version,
        kind,
        namespace,
        name,
        uid,
    } = target;
    Target {
        group: cut(group),
        version: cut(version),
        kind: cut(kind),
        namespace: cut(namespace),
        name: cut(name),
        uid: cut(uid),
    }
}

fn bounded_source(source: Source) -> Source {
    let cut = |text: Option<String>| text.map(|text| bounded(text, MAX_ID_BYTES));
    let Source { address, user_agent } = source;
    Source {
        address: cut(address),
        user_agent: cut(user_agent),
    }
}

/// Cuts a text that is too long; the rest is replaced by its length and the hash of the whole.
fn bounded(text: String, max: usize) -> String {
    if text.len() <= max {
        return text;
    }
    let mark = format!(
        "...[cut, {} bytes, sha256:{}]",
        text.len(),
        sha256_hex(text.as_bytes())
    );
    let end = text.floor_char_boundary(max.saturating_sub(mark.len()));
    format!("{}{mark}", text.get(..end).unwrap_or_default())
}

/// Times as RFC 3339 in UTC with exactly six digits of fraction, so that equal times have equal bytes.
mod micros {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{time:.6}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft::new(
            EventType::DataAccess,
            Actor::named("alice"),
            "list",
            Outcome::Success,
            "Answered",
        )
    }

    fn sealed(draft: Draft) -> Sealed {
        Entry::seal(draft, 1, Timestamp::UNIX_EPOCH, [0; SALT_BYTES]).unwrap()
    }

    #[test]
    fn header_parses_back_to_the_same_entry() {
        let sealed = sealed(draft());
        assert_eq!(Entry::parse(&sealed.header).unwrap(), sealed.entry);
    }

    #[test]
    fn refuses_headers_it_does_not_know() {
        let good = String::from_utf8(sealed(draft()).header).unwrap();
        let cases = [
            String::new(),
            "{}".to_owned(),
            good.replace("\"v\":1", "\"v\":2"),
            good.replace("\"v\":1", "\"v\":1,\"hidden\":true"),
            good.replace("1970-01-01T", "yesterday"),
            good.replace("data_access", "something_else"),
            format!("{good} trailing"),
        ];
        for bad in cases {
            assert!(Entry::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn texts_that_are_too_long_are_cut_visibly_and_never_inside_a_character() {
        let mut long = draft();
        long.message = "ä".repeat(2000);
        long.actor.username = "u".repeat(5000);
        long.actor.groups = (0..100).map(|n| format!("group-{n}")).collect();
        long.actor.extra = BTreeMap::from([("k".to_owned(), vec!["v".repeat(5000)])]);
        long.target = Some(Target {
            name: Some("n".repeat(300)),
            ..Target::default()
        });
        let whole_groups = long.actor.groups.clone();
        let entry = sealed(long).entry;
        assert!(
            entry.message.len() <= MAX_MESSAGE_BYTES && entry.message.contains("[cut, 4000 bytes, sha256:")
        );
        assert!(entry.actor.username.len() <= MAX_USERNAME_BYTES);
        assert_eq!(entry.actor.groups.len(), MAX_GROUPS);
        assert_eq!(entry.groups_hash, sha256_hex(&canonical(&whole_groups).unwrap()));
        assert!(entry.actor.extra.contains_key("truncated"));
        assert!(entry.target.unwrap().name.unwrap().len() <= MAX_ID_BYTES);
    }

    #[test]
    fn oversize_payload_is_replaced_by_its_hash() {
        let mut large = draft();
        large.payload = json!({ "text": "x".repeat(MAX_PAYLOAD_BYTES) });
        let whole = canonical(&large.payload).unwrap();
        let stored: Value = serde_json::from_slice(&sealed(large).payload).unwrap();
        assert_eq!(
            stored,
            json!({ "truncated": true, "bytes": whole.len(), "sha256": sha256_hex(&whole) })
        );
    }

    #[test]
    fn integers_that_a_double_cannot_hold_are_kept_as_text() {
        let mut draft = draft();
        draft.payload =
            json!({ "big": u64::MAX, "low": i64::MIN, "ok": 9_007_199_254_740_991_u64, "n": [1.5] });
        let payload = String::from_utf8(sealed(draft).payload).unwrap();
        assert_eq!(
            payload,
            r#"{"big":"18446744073709551615","low":"-9223372036854775808","n":[1.5],"ok":9007199254740991}"#
        );
    }

    #[test]
    fn the_same_payload_with_another_salt_has_another_commitment() {
        let one = Entry::seal(draft(), 1, Timestamp::UNIX_EPOCH, [1; SALT_BYTES]).unwrap();
        let two = Entry::seal(draft(), 1, Timestamp::UNIX_EPOCH, [2; SALT_BYTES]).unwrap();
        assert_ne!(one.entry.payload_commitment, two.entry.payload_commitment);
    }

    #[test]
    fn time_never_stands_still_or_goes_back() {
        let at = |us| Timestamp::from_microsecond(us).unwrap();
        let cases = [
            (None, 10, 10),
            (Some(5), 10, 10),
            (Some(10), 10, 11),
            (Some(90), 10, 91),
        ];
        for (previous, now, expected) in cases {
            assert_eq!(next_time(previous.map(at), at(now)), at(expected));
        }
    }
}
