//! What an interpreter of its own may write, as an expression that the API server asks of each of its writes. It reads what
//! models say, so it is trusted with nothing that it need not do: of a turn that the operator has it read, what it intends to
//! send, what became of that and what it understood; of a provider, what its probe found. Never an end, a plan or a time, nor
//! that the audit log holds anything.
//!
//! **Invariant:** a field of a status that is not named here is not its to write, also one that is added later.

use kube::CustomResourceExt;
use serde_json::Value;

use crate::{AIProvider, ChatRequest};

/// Fields of a turn's status that it writes.
const OF_TURNS: &[&str] = &["interpretation", "outbound", "partial", "reading", "usage"];
/// Fields of a provider's status that it writes.
const OF_PROVIDERS: &[&str] = &["conditions", "observedGeneration", "outbound", "probe"];
/// What a call says of itself: said once.
const OF_CALLS: &[&str] = &[
    "auditSeq",
    "bytes",
    "digest",
    "endpoint",
    "model",
    "provider",
    "redactions",
];

/// True for what it may write.
pub(super) fn writes(username: &str) -> String {
    format!(
        "(request.userInfo.username == '{username}' && request.operation == 'UPDATE' && has(object.status) && has(oldObject.status) && ({} || {}))",
        of_turns(),
        of_providers()
    )
}

/// A turn that it is to read, and only what it sends for one that has ended meanwhile.
fn of_turns() -> String {
    let mut all = vec![
        "request.resource.resource == 'chatrequests'".to_owned(),
        "has(oldObject.status.reading) && oldObject.status.reading.state == 'Asked'".to_owned(),
        "has(object.status.reading) && object.status.reading.provider == oldObject.status.reading.provider && object.status.reading.namespace == oldObject.status.reading.namespace".to_owned(),
        // Nothing is understood while it is not known what became of a call.
        "(object.status.reading.state != 'Understood' || !has(object.status.outbound) || object.status.outbound.all(c, !(c.state in ['Intended', 'Committed'])))".to_owned(),
        format!(
            "(!has(oldObject.status.completionTime) || ({} && {} && !has(object.status.partial)))",
            stays("status.interpretation"),
            stays("status.reading")
        ),
    ];
    all.extend(others::<ChatRequest>(OF_TURNS));
    all.push(calls());
    format!("({})", all.join(" && "))
}

/// A provider that asks a model.
fn of_providers() -> String {
    let mut all = vec![
        "request.resource.resource == 'aiproviders'".to_owned(),
        "object.spec.type != 'Rules'".to_owned(),
    ];
    all.extend(others::<AIProvider>(OF_PROVIDERS));
    all.push(calls());
    format!("({})", all.join(" && "))
}

/// All other fields of the status are as they were.
fn others<K: CustomResourceExt>(open: &[&str]) -> Vec<String> {
    let crd = serde_json::to_value(K::crd()).unwrap_or_default();
    let fields = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties");
    let fields = fields.and_then(Value::as_object).into_iter().flatten();
    let kept = fields.filter(|(field, _)| !open.contains(&field.as_str()));
    kept.map(|(field, _)| stays(&format!("status.{field}"))).collect()
}

fn stays(field: &str) -> String {
    same(&format!("object.{field}"), &format!("oldObject.{field}"))
}

/// Both are absent, or both are there and equal.
fn same(new: &str, old: &str) -> String {
    format!("has({new}) == has({old}) && (!has({new}) || {new} == {old})")
}

/// Calls begin as intended; their place in the audit log is the operator's to say, and what became of one is said once, of a
/// committed one: one that was not is the operator's to refuse. None leaves the list while its end is owed.
fn calls() -> String {
    let list = |of: &str| format!("(has({of}.status.outbound) ? {of}.status.outbound : [])");
    let (new, old) = (list("object"), list("oldObject"));
    let stated: Vec<String> = OF_CALLS
        .iter()
        .map(|field| same(&format!("c.{field}"), &format!("o.{field}")))
        .collect();
    let goes_on = "(c.state == o.state || (o.state == 'Committed' && c.state in ['Done', 'Failed']))";
    let end = "(has(o.end) ? (has(c.end) && c.end == o.end) : (!has(c.end) || !has(c.end.auditSeq)))";
    let ended = "has(c.end) == (c.state in ['Done', 'Failed'])";
    let known = format!(
        "{old}.exists(o, o.id == c.id && {} && {goes_on} && {ended} && {end})",
        stated.join(" && ")
    );
    let begins = format!(
        "(!{old}.exists(o, o.id == c.id) && c.state == 'Intended' && !has(c.auditSeq) && !has(c.end))"
    );
    let settled = "(has(o.end) && (!has(o.auditSeq) || has(o.end.auditSeq)))";
    // One write holds each id once.
    format!(
        "{new}.all(c, {new}.exists_one(x, x.id == c.id) && ({begins} || {known})) && {old}.all(o, {settled} || {new}.exists(c, c.id == o.id))"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_status_is_kept_but_those_that_it_writes() {
        let turns = of_turns();
        for kept in [
            "phase",
            "planRef",
            "conditions",
            "approvals",
            "answer",
            "risk",
            "blocked",
            "signals",
            "startTime",
            "completionTime",
            "observedGeneration",
        ] {
            assert!(
                turns.contains(&format!("object.status.{kept} == oldObject.status.{kept}")),
                "{kept}: {turns}"
            );
        }
        let providers = of_providers();
        assert!(
            providers.contains("object.status.recordedGeneration == oldObject.status.recordedGeneration"),
            "{providers}"
        );
        for open in OF_PROVIDERS {
            assert!(!providers.contains(&format!("object.status.{open} ==")), "{open}");
        }
        for open in ["outbound", "partial", "usage"] {
            assert!(!turns.contains(&format!("object.status.{open} ==")), "{open}");
        }
    }
}
