use kubechat_crds::Level;
use proptest::prelude::*;

use super::*;

fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(texts(groups)),
        resources: Some(texts(resources)),
        verbs: texts(verbs),
        ..PolicyRule::default()
    }
}

fn place(namespace: Option<&str>, name: &str) -> Place {
    Place {
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    }
}

fn binding(namespace: Option<&str>, role: (&str, &str), subjects: &[(&str, &str)]) -> Row {
    let role = RoleRef {
        kind: role.0.to_owned(),
        name: role.1.to_owned(),
        ..RoleRef::default()
    };
    let subjects: Vec<_> = subjects
        .iter()
        .map(|(kind, name)| v1::Subject {
            kind: (*kind).to_owned(),
            name: (*name).to_owned(),
            ..v1::Subject::default()
        })
        .collect();
    Row::Binding(Binding::of(namespace, &role, Some(&subjects)))
}

fn question(level: Level, namespace: Option<&str>) -> Question {
    Question {
        verb: level.approve_verb().to_owned(),
        group: GROUP.to_owned(),
        resource: RESOURCE.to_owned(),
        subresource: String::new(),
        namespace: namespace.map(str::to_owned),
        name: None,
    }
}

fn named(holders: &Holders, level: Level, namespaces: &[Option<&str>]) -> Vec<String> {
    let questions: Vec<_> = namespaces.iter().map(|n| question(level, *n)).collect();
    let found = holders.of(&questions).unwrap();
    found.iter().map(ToString::to_string).collect()
}

/// Cluster role `approver` grants both verbs.
fn with(rows: &[(Option<&str>, &str, Row)]) -> Holders {
    let mut holders = Holders::default();
    let both = [rule(
        &[GROUP],
        &[RESOURCE],
        &[VERB_APPROVE_CAUTION, VERB_APPROVE_DESTRUCTIVE],
    )];
    holders.put(&place(None, "approver"), Row::Role(Grants::of(&both)));
    for (namespace, name, row) in rows {
        holders.put(&place(*namespace, name), row.clone());
    }
    holders
}

const APPROVER: (&str, &str) = ("ClusterRole", "approver");

#[test]
fn a_rule_grants_by_name_or_wildcard_and_never_for_single_names_or_other_things() {
    let both = (true, true);
    let caution = (true, false);
    let none = (false, false);
    for (groups, resources, verbs, expected) in [
        (&[GROUP], &[RESOURCE], &[VERB_APPROVE_CAUTION], caution),
        (&[GROUP], &[RESOURCE], &[VERB_APPROVE_DESTRUCTIVE], (false, true)),
        (&[GROUP], &[RESOURCE], &["*"], both),
        (&["*"], &["*"], &["*"], both),
        (&["*"], &[RESOURCE], &[VERB_APPROVE_CAUTION], caution),
        (&["apps"], &[RESOURCE], &["*"], none),
        (&[""], &["*"], &["*"], none),
        (&[GROUP], &["approvals"], &["*"], none),
        (&[GROUP], &["commandplans/status"], &["*"], none),
        (&[GROUP], &["*/status"], &["*"], none),
        (&[GROUP], &[RESOURCE], &["approve"], none),
    ] {
        let found = Grants::of(&[rule(groups, resources, verbs)]);
        assert_eq!(
            (found.caution, found.destructive),
            expected,
            "{groups:?} {resources:?} {verbs:?}"
        );
        let mut single = rule(groups, resources, verbs);
        single.resource_names = Some(texts(&["one"]));
        assert_eq!(Grants::of(&[single]), Grants::default());
    }
    let urls = PolicyRule {
        non_resource_urls: Some(texts(&["*"])),
        verbs: texts(&["*"]),
        ..PolicyRule::default()
    };
    assert_eq!(Grants::of(&[urls]), Grants::default());
    // Half of the right in each of two rules is no right.
    let halves = [
        rule(&[GROUP], &["approvals"], &["*"]),
        rule(&["apps"], &[RESOURCE], &["*"]),
    ];
    assert_eq!(Grants::of(&halves), Grants::default());
}

#[test]
fn a_binding_counts_in_its_namespace_and_cluster_wide_everywhere() {
    let holders = with(&[
        (Some("a"), "b1", binding(Some("a"), APPROVER, &[("User", "bob")])),
        (None, "b2", binding(None, APPROVER, &[("Group", "sre")])),
    ]);
    let level = Level::Destructive;
    assert_eq!(named(&holders, level, &[Some("a")]), ["group sre", "user bob"]);
    assert_eq!(named(&holders, level, &[Some("b")]), ["group sre"]);
    assert_eq!(named(&holders, level, &[None]), ["group sre"]);
    assert_eq!(named(&holders, level, &[Some("a"), Some("b")]), ["group sre"]);
    assert_eq!(named(&holders, level, &[Some("a"), None]), ["group sre"]);
}

#[test]
fn service_accounts_and_the_control_plane_are_never_named() {
    let holders = with(&[(
        None,
        "b",
        binding(
            None,
            APPROVER,
            &[
                ("ServiceAccount", "default"),
                ("User", "system:serviceaccount:a:b"),
                ("User", "system:kube-scheduler"),
                ("Group", "system:serviceaccounts"),
                ("Group", "system:nodes"),
                ("Group", "system:unauthenticated"),
                ("Group", "system:masters"),
                ("Robot", "bob"),
                ("User", "bob\u{202e}"),
            ],
        ),
    )]);
    assert_eq!(
        named(&holders, Level::Caution, &[Some("a")]),
        ["group system:masters", "user bob\\u{202e}"]
    );
}

#[test]
fn a_role_of_a_namespace_is_not_the_cluster_role_of_the_same_name() {
    let mut holders = with(&[
        (
            Some("a"),
            "b",
            binding(Some("a"), ("Role", "approver"), &[("User", "bob")]),
        ),
        (
            Some("a"),
            "c",
            binding(Some("a"), ("ClusterRole", "gone"), &[("User", "carol")]),
        ),
    ]);
    assert!(named(&holders, Level::Caution, &[Some("a")]).is_empty());
    let all = Row::Role(Grants::of(&[rule(&["*"], &["*"], &["*"])]));
    assert!(!holders.put(&place(Some("b"), "approver"), Row::Role(Grants::default())));
    assert!(holders.put(&place(Some("a"), "approver"), all));
    assert_eq!(named(&holders, Level::Caution, &[Some("a")]), ["user bob"]);
}

#[test]
fn what_changes_who_holds_a_verb_is_told_and_nothing_else() {
    let mut holders = with(&[]);
    let at = place(Some("a"), "b");
    let bob = || binding(Some("a"), APPROVER, &[("User", "bob")]);
    let other = binding(Some("a"), ("ClusterRole", "view"), &[("User", "bob")]);
    assert!(!holders.put(&at, other.clone()), "another role");
    assert!(holders.put(&at, bob()));
    assert!(!holders.put(&at, bob()), "the same again");
    assert!(holders.put(&at, other), "it gave the verb before");
    assert!(!holders.remove(Kind::RoleBinding, &at));
    assert!(holders.put(&at, bob()));
    assert!(
        holders.put(&at, binding(Some("a"), APPROVER, &[("ServiceAccount", "x")])),
        "nobody is left"
    );
    assert!(!holders.remove(Kind::RoleBinding, &at));
    assert!(
        holders.put(&at, bob())
            && holders.remove(Kind::RoleBinding, &at)
            && !holders.remove(Kind::RoleBinding, &at)
    );
    let role = place(None, "approver");
    assert!(holders.remove(Kind::ClusterRole, &role) && !holders.remove(Kind::ClusterRole, &role));
}

#[test]
fn what_is_known_of_a_kind_is_listed_by_place() {
    let mut holders = with(&[
        (Some("a"), "b1", binding(Some("a"), APPROVER, &[("User", "bob")])),
        (None, "b2", binding(None, APPROVER, &[("Group", "sre")])),
        (Some("a"), "nobody", binding(Some("a"), APPROVER, &[])),
    ]);
    let all = Row::Role(Grants::of(&[rule(&["*"], &["*"], &["*"])]));
    holders.put(&place(Some("a"), "r"), all);
    for (kind, expected) in [
        (Kind::ClusterRole, place(None, "approver")),
        (Kind::Role, place(Some("a"), "r")),
        (Kind::ClusterRoleBinding, place(None, "b2")),
        (Kind::RoleBinding, place(Some("a"), "b1")),
    ] {
        assert_eq!(
            holders.places(kind),
            BTreeSet::from([expected.clone()]),
            "{kind:?}"
        );
        holders.remove(kind, &expected);
        assert!(holders.places(kind).is_empty(), "{kind:?}");
    }
}

#[test]
fn of_more_bindings_than_are_kept_nobody_is_named() {
    let mut holders = with(&[]);
    for number in 0..=MAX_BINDINGS {
        let row = binding(Some("a"), APPROVER, &[("User", "bob")]);
        holders.put(&place(Some("a"), &format!("b{number}")), row);
    }
    assert_eq!(holders.of(&[question(Level::Caution, Some("a"))]), None);
    assert_eq!(holders.count, MAX_BINDINGS);
}

type Bound = (Option<&'static str>, usize, usize);

const NAMESPACES: [Option<&str>; 3] = [None, Some("a"), Some("b")];
const ROLES: [&[&str]; 4] = [
    &[VERB_APPROVE_CAUTION],
    &[VERB_APPROVE_DESTRUCTIVE],
    &[VERB_APPROVE_CAUTION, VERB_APPROVE_DESTRUCTIVE],
    &["get"],
];
const PEOPLE: [&str; 3] = ["bob", "carol", "dave"];

proptest! {
    #[test]
    fn exactly_those_are_found_who_hold_the_verb_everywhere(
        bound in prop::collection::vec((prop::sample::select(NAMESPACES.to_vec()), 0..ROLES.len(), 0..PEOPLE.len()), 0..12),
        gone in prop::collection::vec(any::<bool>(), 12),
        asked in prop::collection::btree_set(prop::sample::select(NAMESPACES.to_vec()), 1..4),
        level in prop_oneof![Just(Level::Caution), Just(Level::Destructive)],
    ) {
        let mut holders = Holders::default();
        // Bindings may come before their roles.
        for (number, (namespace, role, person)) in bound.iter().enumerate() {
            let row = binding(*namespace, ("ClusterRole", &role.to_string()), &[("User", PEOPLE[*person])]);
            holders.put(&place(*namespace, &number.to_string()), row);
        }
        for (number, verbs) in ROLES.iter().enumerate() {
            let grants = Grants::of(&[rule(&[GROUP], &[RESOURCE], verbs)]);
            holders.put(&place(None, &number.to_string()), Row::Role(grants));
        }
        let mut left: Vec<Bound> = vec![];
        for (number, one) in bound.iter().enumerate() {
            if gone[number] {
                holders.remove(Kind::RoleBinding, &place(one.0, &number.to_string()));
            } else {
                left.push(*one);
            }
        }
        let holds = |person: usize, at: Option<&str>| left.iter().any(|(namespace, role, who)| {
            *who == person && (namespace.is_none() || *namespace == at) && ROLES[*role].contains(&level.approve_verb())
        });
        let expected: Vec<String> = (0..PEOPLE.len())
            .filter(|person| asked.iter().all(|at| holds(*person, *at)))
            .map(|person| format!("user {}", PEOPLE[person]))
            .collect();
        let asked: Vec<_> = asked.into_iter().collect();
        prop_assert_eq!(named(&holders, level, &asked), expected);
    }
}
