use kubechat_crds::command_plan::StepStatus;
use kubechat_crds::common::DecisionRecord;
use kubechat_crds::{
    ApprovalSummary, CommandPlanSpec, CommandPlanStatus, DecisionKind, StepState, Via, condition,
};

use super::super::testing::{delete, restart};
use super::*;

fn removes(name: &str) -> Vec<Step> {
    vec![restart("web"), delete("", "Namespace", name)]
}

/// A plan in a namespace that has ended or not, by break-glass or not, reviewed or not.
fn held(place: &str, ended: bool, glass: bool, reviewed: bool) -> CommandPlan {
    let mut plan = CommandPlan::new("p", CommandPlanSpec::default());
    plan.metadata.namespace = Some(place.to_owned());
    let mut status = CommandPlanStatus::default();
    let mut set = |kind: &str, value: &str| {
        let now = jiff::Timestamp::UNIX_EPOCH;
        condition::set(&mut status.conditions, kind, value, "R", "m", None, now);
    };
    set(
        condition::types::SUCCEEDED,
        if ended { "True" } else { "Unknown" },
    );
    if reviewed {
        set(condition::types::REVIEWED, "True");
    }
    status.steps = vec![StepStatus {
        state: StepState::Done,
        ..StepStatus::default()
    }];
    status.approvals = Some(ApprovalSummary {
        decisions: vec![DecisionRecord {
            via: if glass { Via::BreakGlass } else { Via::Direct },
            decision: DecisionKind::Approve,
            ..DecisionRecord::default()
        }],
        ..ApprovalSummary::default()
    });
    plan.status = Some(status);
    plan
}

#[test]
fn a_request_does_not_remove_the_namespace_it_stands_in() {
    let refused = check_home(&removes("demo"), "demo").unwrap_err();
    assert_eq!(refused.rule, "own-records");
    for words in [
        "namespace/demo holds the request itself",
        "Ask in another namespace",
        "No plan was made",
    ] {
        assert!(refused.to_string().contains(words), "{refused}");
    }
    assert_eq!(check_home(&removes("demo"), "ops"), Ok(()));
    // Nothing else of a namespace takes what is in it along.
    let mut label = delete("", "Namespace", "demo");
    (label.action, label.effect) = (Action::Label, Effect::Update);
    assert_eq!(check_home(&[label], "demo"), Ok(()));
    assert_eq!(
        check_home(&[delete("example.com", "Namespace", "demo")], "demo"),
        Ok(())
    );
    // What only calls itself something else is no other.
    let mut dressed = delete("", "Namespace", "demo");
    dressed.effect = Effect::Update;
    assert!(check_home(&[dressed], "demo").is_err());
    let mut dressed = delete("", "Other", "demo");
    dressed.targets[0].resource = "namespaces".into();
    assert!(check_home(&[dressed], "demo").is_err());
}

#[test]
fn a_namespace_with_a_plan_that_is_still_needed_is_not_removed() {
    for (ended, glass, reviewed, words) in [
        (false, false, false, Some("kubectl kubechat cancel p -n demo")),
        (true, true, false, Some("kubectl kubechat review p -n demo")),
        (true, true, true, None),
        (true, false, false, None),
    ] {
        let plan = held("demo", ended, glass, reviewed);
        let found = check_held(&removes("demo"), [&plan]);
        assert_eq!(found.is_err(), words.is_some(), "{found:?}");
        if let (Err(refused), Some(words)) = (found, words) {
            assert!(refused.text.contains(words), "{refused}");
        }
        // One that stands elsewhere stays.
        assert_eq!(check_held(&removes("other"), [&plan]), Ok(()));
    }
    let mut new = held("demo", false, false, false);
    new.status = None;
    assert!(check_held(&removes("demo"), [&held("demo", true, false, false), &new]).is_err());
}

#[test]
fn records_that_go_with_their_namespace_are_named() {
    let radius = |kinds: &[(&str, i64)]| BlastRadius {
        objects: kinds.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect(),
        ..BlastRadius::default()
    };
    let own = radius(&[
        ("Pod", 4),
        ("Approval.kubechat.io", 2),
        ("CommandPlan.kubechat.io", 1),
    ]);
    let told = records_lost(&removes("demo"), &own).unwrap();
    assert!(
        told.contains("namespace demo") && told.contains("2 Approval, 1 CommandPlan."),
        "{told}"
    );
    assert_eq!(records_lost(&removes("demo"), &radius(&[("Pod", 4)])), None);
    assert_eq!(records_lost(&[restart("web")], &own), None);
}
