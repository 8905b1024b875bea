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

fn many(username: &str, from: usize, count: usize) -> Vec<DecisionRecord> {
    (from..from + count)
        .map(|i| record(&format!("u{i}"), username))
        .collect()
}

#[test]
fn nobody_who_decided_is_pushed_out_by_somebody_who_decided_often() {
    let mut all = many("bob", 0, 1000);
    all.push(record("u-carol", "carol"));
    all.extend(many("dave", 2000, 100));
    let mut emergency = record("u-erin", "erin");
    emergency.via = Via::BreakGlass;
    all.push(emergency.clone());
    let kept = listed(all);
    assert_eq!(kept.len(), 64);
    for who in ["bob", "carol", "dave", "erin"] {
        assert!(kept.iter().any(|d| d.username == who), "{who}");
    }
    // In the order of their creation.
    assert_eq!((kept[0].uid.as_str(), &kept[63]), ("u0", &emergency));
    // Where not even all people fit, an emergency does.
    let mut people: Vec<_> = (0..100).map(|i| record("u", &format!("p{i}"))).collect();
    people.push(emergency);
    assert!(listed(people).iter().any(|d| d.username == "erin"));
    assert_eq!(listed(many("bob", 0, 64)).len(), 64);
}

#[test]
fn a_plan_under_way_never_forgets_on_whose_word_it_began() {
    let mut glass = record("u-bob", "bob");
    glass.via = Via::BreakGlass;
    let began = listing(vec![glass.clone(), record("u-carol", "carol")]);
    let now = ApprovalSummary {
        summary: "2/2".into(),
        decisions: vec![record("u-carol", "carol"), record("u-dave", "dave")],
        ..Default::default()
    };
    let united_now = united(Some(&began), now.clone());
    let uids: Vec<&str> = united_now.decisions.iter().map(|d| d.uid.as_str()).collect();
    assert_eq!(uids, ["u-bob", "u-carol", "u-dave"]);
    assert_eq!(
        (united_now.summary.as_str(), &united_now.decisions[0]),
        ("2/2", &glass)
    );
    assert_eq!(united(None, now.clone()), now);
    // However many come later.
    let flood = listing(many("dave", 0, 1000));
    assert!(united(Some(&began), flood).decisions.contains(&glass));
}
