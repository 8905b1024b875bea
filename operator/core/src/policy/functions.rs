//! What rules may call beside the operators and macros of CEL.
//!
//! Times are whole seconds since 1970 (UTC), as `int(timestamp)` gives them in CEL, so they compare, add and subtract as
//! numbers do; the `get..` functions take an IANA time zone.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::common::ast::operators;
use cel::extractors::{Arguments, This};
use cel::{Context, ExecutionError, Value};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use regex::Regex;

/// `text.matches(pattern)`.
pub(super) const MATCHES: &str = "matches";

/// Functions and operators of the standard library that rules may use.
const STANDARD: &[&str] = &[
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "int",
    "uint",
    "double",
    "string",
    "bool",
    "type",
    operators::NOT_STRICTLY_FALSE,
    operators::IN,
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
];

/// One part of a time.
type Part = fn(&Zoned) -> i64;

/// Parts of a time, counted as CEL counts them.
const PARTS: &[(&str, Part)] = &[
    ("getFullYear", |t| i64::from(t.year())),
    ("getMonth", |t| i64::from(t.month()) - 1),
    ("getDate", |t| i64::from(t.day())),
    ("getDayOfWeek", |t| i64::from(t.weekday().to_sunday_zero_offset())),
    ("getHours", |t| i64::from(t.hour())),
    ("getMinutes", |t| i64::from(t.minute())),
];

/// Whether a rule may call this.
pub(super) fn known(name: &str) -> bool {
    STANDARD.contains(&name) || is_own(name)
}

/// What a call of one of the functions here costs beside its arguments.
pub(super) const OWN_COST: u64 = 40;

/// Whether it is one of the functions here.
pub(super) fn is_own(name: &str) -> bool {
    [MATCHES, "timestamp", "duration"].contains(&name) || PARTS.iter().any(|(part, _)| *part == name)
}

/// An IANA time zone of the bundled database, so that every machine means the same by it.
pub(super) fn time_zone(name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| format!("{name:?} is no IANA time zone (like Europe/Berlin or UTC)"))
}

fn failed(function: &str, message: impl Into<String>) -> ExecutionError {
    ExecutionError::FunctionError {
        function: function.to_owned(),
        message: message.into(),
    }
}

/// Adds them. A name that the interpreter has already would be refused by it, and the rule that calls it then errs.
pub(super) fn add(context: &mut Context<'_, '_>, patterns: &Arc<BTreeMap<String, Regex>>) {
    let patterns = Arc::clone(patterns);
    let matches =
        move |This(text): This<Arc<String>>, pattern: Arc<String>| -> Result<bool, ExecutionError> {
            patterns
                .get(pattern.as_str())
                .map(|p| p.is_match(&text))
                .ok_or_else(|| failed(MATCHES, "the pattern was not compiled"))
        };
    let timestamp = |text: Arc<String>| -> Result<i64, ExecutionError> {
        text.parse::<Timestamp>()
            .map(Timestamp::as_second)
            .map_err(|_| failed("timestamp", "not a time like 2026-12-24T00:00:00Z"))
    };
    let duration = |text: Arc<String>| -> Result<i64, ExecutionError> {
        crate::duration::parse(&text)
            .and_then(|d| i64::try_from(d.as_secs()).ok())
            .ok_or_else(|| failed("duration", "not a duration like 4h or 90m"))
    };
    let _ = context.add_function(MATCHES, matches);
    let _ = context.add_function("timestamp", timestamp);
    let _ = context.add_function("duration", duration);
    for (name, part) in PARTS {
        let (name, part) = (*name, *part);
        let function = move |This(at): This<i64>, Arguments(all): Arguments| -> Result<i64, ExecutionError> {
            part_of(name, part, at, all.last())
        };
        let _ = context.add_function(name, function);
    }
}

fn part_of(name: &str, part: Part, at: i64, zone: Option<&Value>) -> Result<i64, ExecutionError> {
    let zone = match zone {
        Some(Value::String(zone)) => time_zone(zone).map_err(|e| failed(name, e))?,
        Some(_) | None => TimeZone::UTC,
    };
    let at = Timestamp::from_second(at).map_err(|_| failed(name, "not a time"))?;
    Ok(part(&at.to_zoned(zone)))
}
