use k8s_openapi::api::rbac::v1::{self, PolicyRule, RoleRef};
use kubechat_crds::command_plan::{Risk, Target};
use kubechat_crds::{ApprovalSpec, GROUP, Identity, Step};

use super::*;
use crate::decider::Decider;
use crate::holders::{Binding, Grants, Place, Row};

/// Alice's plan in these namespaces.
fn plan(level: Level, namespaces: &[&str]) -> CommandPlanSpec {
    let mut step: Step = serde_json::from_value(serde_json::json!({
        "id": "s", "action": "scale", "effect": "update", "level": level, "command": "", "targets": [],
        "rollback": {"kind": "None", "why": ""}
    }))
    .unwrap();
    step.targets = namespaces
        .iter()
        .map(|namespace| Target {
            namespace: Some((*namespace).to_owned()),
            ..Target::default()
        })
        .collect();
    CommandPlanSpec {
        requester: Identity {
            username: "alice".into(),
            ..Identity::default()
        },
        risk: Risk {
            level,
            ..Risk::default()
        },
        steps: vec![step],
        ..CommandPlanSpec::default()
    }
}

/// These subjects hold both verbs in namespace `prod`, as the baseline's administrators do everywhere.
fn holders(subjects: &[(&str, &str)]) -> Holders {
    let mut holders = Holders::default();
    let rule = PolicyRule {
        api_groups: Some(vec![GROUP.into()]),
        resources: Some(vec!["*".into()]),
        verbs: vec!["*".into()],
        ..PolicyRule::default()
    };
    let mut put = |namespace: Option<&str>, name: &str, row| {
        let place = Place {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        };
        holders.put(&place, row);
    };
    put(None, "approver", Row::Role(Grants::of(&[rule])));
    let role = RoleRef {
        kind: "ClusterRole".into(),
        name: "approver".into(),
        ..RoleRef::default()
    };
    let mut bind = |namespace: Option<&str>, number: usize, (kind, name): (&str, &str)| {
        let subject = v1::Subject {
            kind: kind.into(),
            name: name.into(),
            ..v1::Subject::default()
        };
        put(
            namespace,
            &number.to_string(),
            Row::Binding(Binding::of(namespace, &role, Some(&[subject]))),
        );
    };
    for (number, subject) in subjects.iter().enumerate() {
        bind(Some("prod"), number, *subject);
    }
    bind(None, 0, ("Group", "system:masters"));
    holders
}

fn one() -> Requirement {
    Requirement {
        policy: "baseline".into(),
        count: 1,
        ..Requirement::default()
    }
}

fn approved(name: &str) -> Facts {
    Facts {
        name: "a".into(),
        uid: "u".into(),
        spec: ApprovalSpec::default(),
        created: jiff::Timestamp::UNIX_EPOCH,
        sealed: true,
        refused: None,
        stands: None,
        decider: Ok(Decider {
            person: Identity {
                username: name.into(),
                ..Identity::default()
            },
            ..Decider::default()
        }),
        right: Some(Ok(())),
    }
}

const PEOPLE: &[(&str, &str)] = &[
    ("User", "alice"),
    ("User", "bob"),
    ("User", "carol"),
    ("Group", "approvers"),
    ("ServiceAccount", "robot"),
];

#[test]
fn those_who_hold_the_verb_are_named_and_neither_the_requester_nor_who_approved_already() {
    let prod = plan(Level::Destructive, &["prod"]);
    let held = holders(PEOPLE);
    let named = |approved: &[&Facts]| eligible(&prod, &[&one()], approved, Some(&held));
    assert_eq!(
        named(&[]),
        [
            "group approvers",
            "user bob",
            "user carol",
            "group system:masters"
        ]
    );
    assert_eq!(
        named(&[&approved("bob")]),
        ["group approvers", "user carol", "group system:masters"]
    );
    let both = plan(Level::Destructive, &["prod", "other"]);
    assert_eq!(
        eligible(&both, &[&one()], &[], Some(&held)),
        ["group system:masters"]
    );
}

#[test]
fn where_rbac_cannot_be_read_the_right_is_described() {
    let prod = plan(Level::Destructive, &["prod"]);
    let said = "anyone who may approve-destructive commandplans.kubechat.io in namespace prod";
    assert_eq!(eligible(&prod, &[&one()], &[], None), [said]);
}

#[test]
fn where_nobody_else_holds_it_the_binding_to_make_is_said() {
    let other = plan(Level::Caution, &["other"]);
    let mut held = Holders::default();
    let found = eligible(&other, &[&one()], &[], Some(&held));
    assert_eq!(
        found,
        [
            "nobody else that RBAC names: bind role kubechat-approver-caution to somebody, so that he may approve-caution commandplans.kubechat.io in namespace other"
        ]
    );
    held = holders(&[]);
    assert_eq!(
        eligible(&other, &[&one()], &[], Some(&held)),
        ["group system:masters"]
    );
}

#[test]
fn what_the_policy_names_goes_before_what_rbac_says() {
    let prod = plan(Level::Destructive, &["prod"]);
    let held = holders(PEOPLE);
    let of = |entry: Requirement, approved: &[&Facts]| eligible(&prod, &[&entry], approved, Some(&held));
    let groups = Requirement {
        groups: vec!["approvers".into(), "security".into()],
        ..one()
    };
    assert_eq!(
        of(groups.clone(), &[]),
        [
            "group approvers",
            "group security (those of it who may approve-destructive)"
        ]
    );
    assert_eq!(
        eligible(&prod, &[&groups], &[], None),
        ["group approvers", "group security"]
    );
    let users = Requirement {
        users: vec!["bob".into(), "erin".into(), "alice".into()],
        ..one()
    };
    assert_eq!(of(users, &[&approved("erin")]), ["user bob"]);
}

#[test]
fn the_requester_is_named_where_he_may_confirm_and_only_there() {
    let entry = Requirement {
        self_confirm: true,
        ..one()
    };
    let held = holders(&[("User", "bob")]);
    let of = |level, approved: &[&Facts]| {
        let plan = plan(level, &["prod"]);
        eligible(&plan, &[&entry], approved, Some(&held))
    };
    let requester = "user alice (the requester)";
    assert_eq!(
        of(Level::Caution, &[]),
        [requester, "user bob", "group system:masters"]
    );
    assert_eq!(
        of(Level::Caution, &[&approved("alice")]),
        ["user bob", "group system:masters"]
    );
    assert_eq!(of(Level::Destructive, &[]), ["user bob", "group system:masters"]);
}

#[test]
fn the_requester_is_named_only_for_an_entry_that_his_own_word_would_meet() {
    let confirm = Requirement {
        self_confirm: true,
        ..one()
    };
    let robot = "system:serviceaccount:prod:robot";
    let of = |entry: &Requirement, who: &str| {
        let mut plan = plan(Level::Caution, &["prod"]);
        plan.requester.username = who.into();
        plan.requester.groups = vec!["oncall".into()];
        let found = eligible(&plan, &[entry], &[], Some(&holders(PEOPLE)));
        let own = if entry.signature {
            "(the requester, signed)"
        } else {
            "(the requester)"
        };
        plan.requirement = vec![entry.clone()];
        let named = found.iter().any(|name| name.contains(own));
        assert_eq!(named, found.iter().any(|name| name.contains("the requester")));
        // What nobody signed does not count where a signature is asked for.
        assert_eq!(may_self_confirm(&plan), named && !entry.signature, "{entry:?}");
        named
    };
    type Change = fn(&mut Requirement);
    let entries: [(Change, bool); 6] = [
        (|_| {}, true),
        (|e| e.signature = true, true),
        (|e| e.users = vec!["bob".into(), "alice".into()], true),
        (|e| e.users = vec!["bob".into()], false),
        (|e| e.groups = vec!["security".into(), "oncall".into()], true),
        (|e| e.groups = vec!["security".into()], false),
    ];
    for (change, named) in entries {
        let mut entry = confirm.clone();
        change(&mut entry);
        assert_eq!(of(&entry, "alice"), named, "{entry:?}");
        // A service account's own word never counts, whatever the entry names.
        entry.users.iter_mut().for_each(|user| *user = robot.into());
        assert!(!of(&entry, robot), "{entry:?}");
        entry.self_confirm = false;
        assert!(!of(&entry, "alice"), "{entry:?}");
    }
}

#[test]
fn twenty_are_named_each_of_bounded_length() {
    let long = "x".repeat(900);
    let names: Vec<String> = (0..40).map(|n| format!("p{n:02}-{long}")).collect();
    let subjects: Vec<_> = names.iter().map(|name| ("User", name.as_str())).collect();
    let found = eligible(
        &plan(Level::Caution, &["prod"]),
        &[&one()],
        &[],
        Some(&holders(&subjects)),
    );
    assert_eq!(found.len(), 20);
    assert!(found.iter().all(|name| name.chars().count() <= 300), "{found:?}");
}
