//! Whether a NetworkPolicy opens a network: allows all traffic of a direction, or nearly all, however it says so.

use serde_json::{Map, Value};

/// Directions of traffic, and where a rule names who is at its other end.
const DIRECTIONS: &[(&str, &str)] = &[("ingress", "from"), ("egress", "to")];
/// Ports that there are.
const PORTS: u64 = 65_535;
/// So many of them count as all.
const MANY_PORTS: u64 = 32_768;
/// Addresses that count as everybody's, of 2^32 parts of all: as a /7 of IPv4 has (the private ranges together have about half
/// of it), and as a /6 of IPv6 has (its private range is a /7).
const MANY_OF_V4: u64 = 1 << 25;
const MANY_OF_V6: u64 = 1 << 26;

/// Whether one of its rules, or several together, are for nearly anybody and nearly any port.
#[must_use]
pub(super) fn opens(policy: &Value) -> bool {
    DIRECTIONS.iter().any(|(direction, peers)| {
        let rules: Vec<&Value> = list(policy.pointer(&format!("/spec/{direction}"))).collect();
        let of = |test: &dyn Fn(&[&Value]) -> bool| -> Vec<&Value> {
            rules.iter().copied().filter(|rule| test(&[*rule])).collect()
        };
        // What several rules let anybody in by, and whom several rules let in by any port.
        let for_anybody = of(&|rules| anybody(rules, peers));
        let by_any_port = of(&any_port);
        any_port(&for_anybody) || anybody(&by_any_port, peers)
    })
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn blank(value: Option<&Value>) -> bool {
    let empty =
        |v: &Value| v.as_object().is_some_and(Map::is_empty) || v.as_array().is_some_and(Vec::is_empty);
    value.is_none_or(|value| value.is_null() || empty(value))
}

/// Whether these rules together are for nearly all ports. What no port can be read from counts as all.
fn any_port(rules: &[&Value]) -> bool {
    let mut ranges = vec![];
    for rule in rules {
        if blank(rule.get("ports")) {
            return true;
        }
        for entry in list(rule.get("ports")) {
            let first = match entry.get("port") {
                Some(Value::String(_)) => continue,
                Some(port) => port.as_u64(),
                None => None,
            };
            let Some(first) = first else { return true };
            let last = match entry.get("endPort") {
                None | Some(Value::Null) => first,
                Some(last) => last.as_u64().unwrap_or(PORTS),
            };
            ranges.push((first, last));
        }
    }
    ranges.sort_unstable();
    let (mut open, mut next) = (0_u64, 0_u64);
    for (first, last) in ranges {
        let (first, end) = (first.max(next), last.saturating_add(1));
        open = open.saturating_add(end.saturating_sub(first));
        next = next.max(end);
    }
    open >= MANY_PORTS
}

/// Whether these rules together are for nearly anybody.
fn anybody(rules: &[&Value], peers: &str) -> bool {
    if rules.iter().any(|rule| blank(rule.get(peers))) {
        return true;
    }
    let (mut v4, mut v6) = (0_u64, 0_u64);
    for peer in rules.iter().flat_map(|rule| list(rule.get(peers))) {
        let everywhere = peer
            .get("namespaceSelector")
            .is_some_and(|namespaces| !namespaces.is_null() && nearly_all(Some(namespaces)));
        if everywhere && nearly_all(peer.get("podSelector")) {
            return true;
        }
        let Some(block) = peer.get("ipBlock").filter(|block| !block.is_null()) else {
            continue;
        };
        let cidr = block.get("cidr").and_then(Value::as_str).unwrap_or_default();
        // What is no address range counts as all of them.
        let prefix = cidr.rsplit_once('/').and_then(|(_, n)| n.parse::<u32>().ok());
        let parts = 1_u64 << 32_u32.saturating_sub(prefix.unwrap_or(0));
        let sum = if cidr.contains(':') { &mut v6 } else { &mut v4 };
        *sum = sum.saturating_add(parts);
    }
    v4 >= MANY_OF_V4 || v6 >= MANY_OF_V6
}

/// Whether a selector asks for no value: it is empty, or only for labels that are there, or that are not so.
fn nearly_all(selector: Option<&Value>) -> bool {
    let Some(selector) = selector else { return true };
    let values = list(selector.get("matchExpressions"))
        .any(|expression| expression.get("operator").and_then(Value::as_str) == Some("In"));
    blank(selector.get("matchLabels")) && !values
}

#[cfg(test)]
#[path = "opens_tests.rs"]
mod tests;
