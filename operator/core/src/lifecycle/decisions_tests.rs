use kubechat_crds::Via;

use super::*;

fn record(uid: &str, username: &str) -> DecisionRecord {
    DecisionRecord {
        name: "a1".into(),
        uid: uid.into(),
        username: username.into(),
        via: Via::Direct,
        decision: DecisionKind::Approve,
        time: String::new(),
    }
}

fn listing(decisions: Vec<DecisionRecord>) -> ApprovalSummary {
    ApprovalSummary {
        decisions,
        ..Default::default()
    }
}

#[test]
fn a_decision_counts_without_another_look_only_as_the_very_object_that_was_counted() {
    let summary = listing(vec![record("u-bob", "bob")]);
    let found = |uid: &str, decision| recorded(Some(&summary), uid, decision).map(|d| d.username.as_str());
    assert_eq!(found("u-bob", DecisionKind::Approve), Some("bob"));
    // Another object under the name of the first one.
    assert_eq!(found("another", DecisionKind::Approve), None);
    assert_eq!(found("u-bob", DecisionKind::Deny), None);
    assert_eq!(found("u-bob", DecisionKind::Review), None);
    assert_eq!(recorded(None, "u-bob", DecisionKind::Approve), None);
    // What an older release recorded names no UID, and no object is without one.
    let old = listing(vec![record("", "bob")]);
    assert_eq!(recorded(Some(&old), "", DecisionKind::Approve), None);
}

#[test]
fn a_review_is_judged_each_time_whatever_a_record_says() {
    let mut said = record("u-bob", "bob");
    said.decision = DecisionKind::Review;
    let summary = listing(vec![said]);
    assert_eq!(recorded(Some(&summary), "u-bob", DecisionKind::Review), None);
    assert_eq!(recorded(Some(&summary), "u-bob", DecisionKind::Approve), None);
}
