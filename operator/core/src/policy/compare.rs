//! Selectors, and which of two requirements is the stricter.

use kubechat_crds::command_plan::Requirement;

/// Whether a label selector selects these labels. An unknown operator selects nothing.
#[must_use]
pub fn selects(
    selector: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector,
    labels: &std::collections::BTreeMap<String, String>,
) -> bool {
    let equal = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(k, v)| labels.get(k) == Some(v));
    let expressions = selector.match_expressions.iter().flatten().all(|e| {
        let value = labels.get(&e.key);
        let listed = value.is_some_and(|v| e.values.iter().flatten().any(|x| x == v));
        match e.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    equal && expressions
}

/// Whether a recorded requirement is at least as strict as the live one: each live entry is covered by a recorded entry
/// of the same policy that asks for no less.
#[must_use]
pub fn at_least(recorded: &[Requirement], live: &[Requirement]) -> bool {
    live.iter().all(|l| recorded.iter().any(|r| covers(r, l)))
}

fn covers(recorded: &Requirement, live: &Requirement) -> bool {
    let narrower = |mine: &[String], theirs: &[String]| {
        theirs.is_empty() || (!mine.is_empty() && mine.iter().all(|m| theirs.contains(m)))
    };
    recorded.policy == live.policy
        && recorded.rule == live.rule
        && recorded.count >= live.count
        && (!recorded.self_confirm || live.self_confirm)
        && (recorded.signature || !live.signature)
        && narrower(&recorded.groups, &live.groups)
        && narrower(&recorded.users, &live.users)
        && recorded.break_glass.iter().all(|g| live.break_glass.contains(g))
}
