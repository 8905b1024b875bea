//! The people of the cluster and what each of them may do. Pure: objects and text, no API calls.
//!
//! | account | group | rights |
//! |---|---|---|
//! | admin | system:masters | everything |
//! | alice | developers | edit and kubechat-requester in a work namespace |
//! | bob, carol | approvers | view in a work namespace; kubechat-approver-destructive there and cluster-wide |
//! | dave | none | view and kubechat-requester in a work namespace: may ask, may change nothing |
//! | erin | platform | cluster-admin by binding, kubechat-requester in `ops` |
//!
//! `demo` is a work namespace; the tests make more of them. The ClusterRoles `kubechat-*` are those that
//! ship.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kubechat_crds::install::policies::WIDE_SCOPE_LABEL;

/// The namespace where alice works.
pub const DEMO: &str = "demo";
/// The namespace erin asks from; the baseline policy allows it a wider scope.
pub const OPS: &str = "ops";
/// The namespace of KubeChat itself.
pub const SYSTEM: &str = "kubechat-system";
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// One person in the API server's token file and in the kubeconfig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// User name and kubeconfig context.
    pub name: &'static str,
    /// Stable user id.
    pub uid: &'static str,
    /// Groups, besides system:authenticated.
    pub groups: &'static [&'static str],
    /// The namespace of the kubeconfig context.
    pub namespace: &'static str,
    /// One line for the person who reads the list of contexts.
    pub about: &'static str,
}

/// Everyone, in the order of the kubeconfig's contexts.
pub const ACCOUNTS: [Account; 6] = [
    Account {
        name: "admin",
        uid: "8f4b1c9e-0000-4000-8000-000000000000",
        groups: &["system:masters"],
        namespace: DEMO,
        about: "may do everything",
    },
    Account {
        name: "alice",
        uid: "8f4b1c9e-0000-4000-8000-000000000001",
        groups: &["developers"],
        namespace: DEMO,
        about: "asks for changes in demo, where she may edit",
    },
    Account {
        name: "bob",
        uid: "8f4b1c9e-0000-4000-8000-000000000002",
        groups: &["approvers"],
        namespace: DEMO,
        about: "approves",
    },
    Account {
        name: "carol",
        uid: "8f4b1c9e-0000-4000-8000-000000000003",
        groups: &["approvers"],
        namespace: DEMO,
        about: "approves",
    },
    Account {
        name: "dave",
        uid: "8f4b1c9e-0000-4000-8000-000000000004",
        groups: &[],
        namespace: DEMO,
        about: "may ask in demo, may change nothing",
    },
    Account {
        name: "erin",
        uid: "8f4b1c9e-0000-4000-8000-000000000005",
        groups: &["platform"],
        namespace: OPS,
        about: "runs the platform, asks from ops",
    },
];

/// The context a new kubeconfig starts with.
pub const CURRENT: &str = "alice";

/// One line of the API server's token file.
#[must_use]
pub fn token_line(token: &str, user: &str, uid: &str, groups: &[&str]) -> String {
    if groups.is_empty() {
        format!("{token},{user},{uid}\n")
    } else {
        format!("{token},{user},{uid},\"{}\"\n", groups.join(","))
    }
}

/// The namespaces every cluster of ours has.
#[must_use]
pub fn namespaces() -> Vec<Namespace> {
    let plain = |name: &str| Namespace {
        metadata: named(name, None),
        ..Namespace::default()
    };
    let mut ops = plain(OPS);
    // The baseline policy's `wideScopeFrom` selects this label.
    ops.metadata.labels = Some([(WIDE_SCOPE_LABEL.to_owned(), "true".to_owned())].into());
    vec![plain(DEMO), ops, plain(SYSTEM)]
}

/// The bindings of people that hold in the whole cluster.
#[must_use]
pub fn cluster_bindings() -> Vec<ClusterRoleBinding> {
    let bind = |group: &str, role: &str| ClusterRoleBinding {
        metadata: named(&format!("{group}-{role}"), None),
        role_ref: cluster_role(role),
        subjects: Some(vec![subject("Group", group)]),
    };
    vec![
        bind("approvers", "kubechat-approver-destructive"),
        bind("platform", "cluster-admin"),
    ]
}

/// The bindings of people in namespace `ops`.
#[must_use]
pub fn ops_bindings() -> Vec<RoleBinding> {
    vec![bind(OPS, "Group", "platform", "kubechat-requester")]
}

/// The bindings of people in a work namespace.
#[must_use]
pub fn work_bindings(namespace: &str) -> Vec<RoleBinding> {
    [
        ("Group", "developers", "edit"),
        ("Group", "developers", "kubechat-requester"),
        ("Group", "approvers", "view"),
        ("Group", "approvers", "kubechat-approver-destructive"),
        ("User", "dave", "view"),
        ("User", "dave", "kubechat-requester"),
    ]
    .map(|(kind, name, role)| bind(namespace, kind, name, role))
    .into()
}

fn bind(namespace: &str, kind: &str, name: &str, role: &str) -> RoleBinding {
    RoleBinding {
        metadata: named(&format!("{name}-{role}"), Some(namespace)),
        role_ref: cluster_role(role),
        subjects: Some(vec![subject(kind, name)]),
    }
}

fn cluster_role(name: &str) -> RoleRef {
    RoleRef {
        api_group: RBAC_GROUP.to_owned(),
        kind: "ClusterRole".to_owned(),
        name: name.to_owned(),
    }
}

fn subject(kind: &str, name: &str) -> Subject {
    let (kind, name) = (kind.to_owned(), name.to_owned());
    Subject {
        api_group: Some(RBAC_GROUP.to_owned()),
        kind,
        name,
        namespace: None,
    }
}

fn named(name: &str, namespace: Option<&str>) -> ObjectMeta {
    let (name, namespace) = (Some(name.to_owned()), namespace.map(str::to_owned));
    ObjectMeta {
        name,
        namespace,
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaching(account: &Account, subjects: &Option<Vec<Subject>>) -> bool {
        subjects
            .iter()
            .flatten()
            .any(|subject| match subject.kind.as_str() {
                "User" => subject.name == account.name,
                "Group" => account.groups.contains(&subject.name.as_str()),
                _ => false,
            })
    }

    #[test]
    fn everyone_has_exactly_the_roles_of_the_table() {
        type Roles = &'static [&'static str];
        let table: [(&str, Roles, Roles, Roles); 6] = [
            ("admin", &[], &[], &[]),
            ("alice", &["edit", "kubechat-requester"], &[], &[]),
            (
                "bob",
                &["view", "kubechat-approver-destructive"],
                &[],
                &["kubechat-approver-destructive"],
            ),
            (
                "carol",
                &["view", "kubechat-approver-destructive"],
                &[],
                &["kubechat-approver-destructive"],
            ),
            ("dave", &["view", "kubechat-requester"], &[], &[]),
            ("erin", &[], &["kubechat-requester"], &["cluster-admin"]),
        ];
        for (account, (name, work, ops, cluster)) in ACCOUNTS.iter().zip(table) {
            let roles = |bindings: Vec<RoleBinding>| -> Vec<String> {
                let mine = bindings
                    .into_iter()
                    .filter(|binding| reaching(account, &binding.subjects));
                mine.map(|binding| binding.role_ref.name).collect()
            };
            assert_eq!(account.name, name);
            assert_eq!(roles(work_bindings(DEMO)), work, "{name} in a work namespace");
            assert_eq!(roles(ops_bindings()), ops, "{name} in ops");
            let mine = cluster_bindings()
                .into_iter()
                .filter(|binding| reaching(account, &binding.subjects));
            assert_eq!(
                mine.map(|binding| binding.role_ref.name).collect::<Vec<_>>(),
                cluster,
                "{name} everywhere"
            );
        }
    }

    #[test]
    fn user_names_and_ids_are_unique() {
        for (at, account) in ACCOUNTS.iter().enumerate() {
            let others = &ACCOUNTS[at + 1..];
            assert!(
                others
                    .iter()
                    .all(|other| other.name != account.name && other.uid != account.uid)
            );
        }
    }

    #[test]
    fn token_lines_follow_the_api_servers_format() {
        assert_eq!(token_line("t", "erin", "5", &["a", "b"]), "t,erin,5,\"a,b\"\n");
        assert_eq!(token_line("t", "dave", "4", &[]), "t,dave,4\n");
    }

    #[test]
    fn only_ops_may_ask_for_a_wider_scope() {
        let wide = |namespace: &Namespace| namespace.metadata.labels.is_some();
        let names: Vec<_> = namespaces()
            .into_iter()
            .filter(wide)
            .filter_map(|found| found.metadata.name)
            .collect();
        assert_eq!(names, [OPS]);
    }
}
