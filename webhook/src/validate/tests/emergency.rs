use serde_json::{Value, json};

use super::approval::{cluster, decision};
use super::command_plan::{destructive, digested};
use crate::testing::{Fixture, baseline};

/// A plan that bob approved by break-glass and that was executed.
pub(super) fn executed() -> Value {
    json!({
        "phase": "Succeeded",
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "Executed", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "steps": [{"id": "s1", "state": "Done"}],
        "approvals": {"summary": "1/1", "required": 1, "received": 1, "decisions": [
            {"name": "a", "username": "bob", "via": "BreakGlass", "decision": "Approve", "time": "2026-01-01T00:00:00Z"}
        ]}
    })
}

#[tokio::test]
async fn who_neither_asked_nor_approved_reviews_what_was_executed_by_break_glass() {
    let spec = destructive();
    let who = |name: &str| json!({"username": name});
    for (user, status, held_in, expected) in [
        (who("carol"), executed(), ["demo"].as_slice(), ""),
        (who("carol"), executed(), &[], "Forbidden"),
        (who("bob"), executed(), &["demo"], "NotEligible"),
        (who("alice"), executed(), &["demo"], "SelfApproval"),
        (
            who("carol"),
            json!({"phase": "AwaitingApproval"}),
            &["demo"],
            "Executing",
        ),
    ] {
        let (answer, _) = cluster(&spec, status, held_in);
        let fixture = Fixture::new(&[baseline()], answer);
        let found = fixture.reason(&decision(&user, &spec, "Review")).await;
        assert_eq!(found, expected, "{user}");
    }
}

#[tokio::test]
async fn only_members_of_a_policys_groups_break_the_glass_and_only_with_the_right() {
    let mut spec = destructive();
    spec["requirement"][0]["breakGlass"] = json!(["oncall"]);
    let spec = digested(spec);
    let before = destructive();
    let mut policy = baseline();
    policy["spec"]["breakGlass"] = json!({"groups": ["oncall"], "reviewWithin": "24h"});
    let who = |name: &str, group: &str| json!({"username": name, "groups": [group]});
    for (user, held_in, what, expected, spec) in [
        (who("bob", "oncall"), ["demo"].as_slice(), "Approve", "", &spec),
        (who("bob", "oncall"), &[], "Approve", "Forbidden", &spec),
        (who("bob", "sre"), &["demo"], "Approve", "NotEligible", &spec),
        (
            who("alice", "oncall"),
            &["demo"],
            "Approve",
            "SelfApproval",
            &spec,
        ),
        (who("bob", "oncall"), &["demo"], "Deny", "Invalid", &spec),
        // Made before the policy let anybody.
        (who("bob", "oncall"), &["demo"], "Approve", "NotEligible", &before),
    ] {
        let (answer, _) = cluster(spec, json!({}), held_in);
        let fixture = Fixture::new(std::slice::from_ref(&policy), answer);
        let mut request = decision(&user, spec, what);
        request["object"]["spec"]["breakGlass"] = json!({"incident": "INC-1"});
        assert_eq!(fixture.reason(&request).await, expected, "{user} {what}");
    }
}
