//! Checks of single values of the command line: names are Kubernetes names, texts are bounded.

use std::time::Duration;

/// An RFC 1123 label: names of namespaces and services.
pub(super) fn label(text: &str) -> Result<String, String> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    if bytes.len() <= 63 && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| inner(*b)) {
        return Ok(text.to_owned());
    }
    Err("not a Kubernetes name: lower-case letters, digits and '-', at most 63".to_owned())
}

/// An RFC 1123 subdomain: names of objects.
pub(super) fn subdomain(text: &str) -> Result<String, String> {
    if text.len() <= 253 && text.split('.').all(|part| label(part).is_ok()) {
        return Ok(text.to_owned());
    }
    Err("not a Kubernetes name: lower-case letters, digits, '-' and '.', at most 253".to_owned())
}

pub(super) fn scope_namespace(text: &str) -> Result<String, String> {
    if text == "*" {
        Ok(text.to_owned())
    } else {
        label(text)
    }
}

pub(super) fn reason(text: &str) -> Result<String, String> {
    if text.chars().count() <= 1024 {
        Ok(text.to_owned())
    } else {
        Err("longer than 1024 characters".to_owned())
    }
}

/// An incident's id: one line that a signature can hold.
pub(super) fn incident(text: &str) -> Result<String, String> {
    if text.is_empty() || text == "-" || text.len() > 253 || text.contains(char::is_control) {
        return Err("an incident is one line of at most 253 bytes, and not \"-\"".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match kubechat_core::duration::parse(text) {
        Some(length) if !length.is_zero() => Ok(length),
        Some(_) | None => Err("write it like 30s, 10m or 1h30m".to_owned()),
    }
}
