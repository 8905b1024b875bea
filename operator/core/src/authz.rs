//! Who may act and who may decide: identities and rights, as data. The shell asks the API server.

use std::collections::{BTreeMap, BTreeSet};

use kubechat_crds::{CommandPlanSpec, GROUP, Identity, Level};

use crate::shown;

/// Namespaces and cluster scope a plan touches: where an approver must hold the verb.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Every namespace with a target.
    pub namespaces: BTreeSet<String>,
    /// Whether a target is cluster-scoped.
    pub cluster_scoped: bool,
}

/// What a plan touches. A plan with no step (never made) would touch the cluster: the stricter reading.
#[must_use]
pub fn touched(plan: &CommandPlanSpec) -> Touched {
    let mut touched = Touched::default();
    for target in plan.steps.iter().flat_map(|step| &step.targets) {
        match &target.namespace {
            Some(namespace) => {
                touched.namespaces.insert(namespace.clone());
            }
            None => touched.cluster_scoped = true,
        }
    }
    if touched.namespaces.is_empty() {
        touched.cluster_scoped = true;
    }
    touched
}

/// Whether a plan reaches beyond this namespace, which only a policy lets it.
#[must_use]
pub fn reaches_beyond(plan: &CommandPlanSpec, namespace: &str) -> bool {
    let touched = touched(plan);
    touched.cluster_scoped || touched.namespaces.iter().any(|n| n != namespace)
}

/// One question to the API server's authorizer (SubjectAccessReview).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    /// Verb.
    pub verb: String,
    /// API group.
    pub group: String,
    /// Resource (plural).
    pub resource: String,
    /// Subresource; empty for none.
    pub subresource: String,
    /// Namespace; `None` asks cluster-wide.
    pub namespace: Option<String>,
    /// Object name; `None` asks for all names.
    pub name: Option<String>,
}

impl Question {
    /// `verb resource[/subresource][.group]` and where, as a person reads it.
    #[must_use]
    pub fn describe(&self) -> String {
        let place = self
            .namespace
            .as_ref()
            .map_or_else(|| "cluster-wide".to_owned(), |n| format!("in namespace {n}"));
        format!("{} {} {place}", self.verb, self.resource_text())
    }

    /// `resource[/subresource][.group]`.
    #[must_use]
    pub fn resource_text(&self) -> String {
        let mut text = self.resource.clone();
        if !self.subresource.is_empty() {
            text = format!("{text}/{}", self.subresource);
        }
        if !self.group.is_empty() {
            text = format!("{text}.{}", self.group);
        }
        text
    }
}

/// The questions whose answers must all be yes for a person to approve or deny a plan.
#[must_use]
pub fn approver_questions(plan: &CommandPlanSpec) -> Vec<Question> {
    let touched = touched(plan);
    let ask = |namespace| approver_question(plan.risk.level, namespace);
    let mut questions: Vec<_> = touched.namespaces.iter().map(|n| ask(Some(n.clone()))).collect();
    if touched.cluster_scoped {
        questions.push(ask(None));
    }
    questions
}

/// The question about who confirms his own plan: whether he may decide in its namespace at all.
#[must_use]
pub fn confirm_question(namespace: &str) -> Question {
    Question {
        verb: "create".to_owned(),
        group: GROUP.to_owned(),
        resource: "approvals".to_owned(),
        subresource: String::new(),
        namespace: Some(namespace.to_owned()),
        name: None,
    }
}

/// What is mostly asked about plans of a namespace: they reach no further, and are of one level or the other.
#[must_use]
pub fn usual_questions(namespace: &str) -> Vec<Question> {
    [Level::Caution, Level::Destructive]
        .map(|level| approver_question(level, Some(namespace.to_owned())))
        .into()
}

fn approver_question(level: Level, namespace: Option<String>) -> Question {
    Question {
        verb: level.approve_verb().to_owned(),
        group: GROUP.to_owned(),
        resource: "commandplans".to_owned(),
        subresource: String::new(),
        namespace,
        name: None,
    }
}

/// An identity KubeChat may act as, after privileged groups were dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acting {
    /// User.
    pub username: String,
    /// UID; empty for none.
    pub uid: String,
    /// Groups that are kept, sorted; without `system:authenticated`, which the API server adds itself.
    pub groups: Vec<String>,
    /// Groups that were dropped because they are privileged.
    pub dropped: Vec<String>,
    /// What else its authentication says of it: an authorizer is asked with it, so that rights that it narrows stay narrow.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Acting {
    /// The groups it has when the API server acts as it: those that are asked for, and those the server adds itself.
    #[must_use]
    pub fn groups_in_effect(&self) -> Vec<String> {
        let mut groups = self.groups.clone();
        groups.push("system:authenticated".to_owned());
        let account = self.username.strip_prefix("system:serviceaccount:");
        if let Some((namespace, _)) = account.and_then(|a| a.split_once(':')) {
            groups.push("system:serviceaccounts".to_owned());
            groups.push(format!("system:serviceaccounts:{namespace}"));
        }
        groups
    }
}

/// Why an identity is not acted as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityRefused {
    /// `system:*` that is no service account.
    #[error(
        "KubeChat does not act as {}: it is a system user. Nothing was done. Ask as a person or a service account, and bind the rights you need to that one: kubectl create rolebinding NAME --clusterrole=edit --user=PERSON -n NAMESPACE (or --serviceaccount=NAMESPACE:NAME)",
        shown::identity(.0)
    )]
    SystemUser(String),
    /// Logged in with narrowed rights, which KubeChat could not keep to.
    #[error(
        "KubeChat does not act for {} with a token whose rights are narrowed ({}): it would act with all rights of that person. Nothing was done. Log in without narrowed rights and ask again",
        shown::identity(.0),
        shown::identity(.1)
    )]
    Scoped(String, String),
    /// Anonymous or empty.
    #[error("KubeChat does not act for unauthenticated users. Nothing was done. Log in and ask again")]
    Anonymous,
}

/// Groups whose members pass every check; never impersonated.
fn is_privileged_group(group: &str) -> bool {
    group == "system:masters" || group == "system:nodes" || group.starts_with("system:kube-")
}

/// Groups the API server adds to an impersonated user by itself, which therefore are not asked for: RBAC could not limit
/// them by value for every namespace.
fn added_by_server(identity: &Identity, group: &str) -> bool {
    group == "system:authenticated"
        || identity.is_service_account() && group.starts_with("system:serviceaccounts")
}

/// The identity to act as. Rights only shrink: privileged groups are dropped, system users refused.
///
/// # Errors
/// When nobody may be acted for: system users and anonymous ones.
pub fn acting(identity: &Identity) -> Result<Acting, IdentityRefused> {
    let name = identity.username.as_str();
    if name.is_empty()
        || name == "system:anonymous"
        || identity.groups.iter().any(|g| g == "system:unauthenticated")
    {
        return Err(IdentityRefused::Anonymous);
    }
    if name.starts_with("system:") && !identity.is_service_account() {
        return Err(IdentityRefused::SystemUser(name.to_owned()));
    }
    if let Some((key, _)) = identity.extra.iter().find(|(key, values)| narrows(key, values)) {
        return Err(IdentityRefused::Scoped(name.to_owned(), key.clone()));
    }
    let (dropped, kept): (BTreeSet<String>, BTreeSet<String>) = identity
        .groups
        .iter()
        .filter(|g| !added_by_server(identity, g))
        .cloned()
        .partition(|g| is_privileged_group(g));
    Ok(Acting {
        username: name.to_owned(),
        uid: identity.uid.clone(),
        groups: kept.into_iter().collect(),
        dropped: dropped.into_iter().collect(),
        extra: identity.extra.clone(),
    })
}

/// Scopes of OpenShift's tokens. They add up, so one that grants everything narrows nothing; an ordinary login has it.
const OPENSHIFT_SCOPES: (&str, &str) = ("scopes.authorization.openshift.io", "user:full");

/// Whether an extra of an identity narrows its rights, as far as its name tells. Others are told for information, as
/// `authentication.kubernetes.io/credential-id` is.
fn narrows(key: &str, values: &[String]) -> bool {
    let (scopes, full) = OPENSHIFT_SCOPES;
    let all = key == scopes && values.iter().any(|value| value == full);
    !all && key.to_ascii_lowercase().contains("scope")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, groups: &[&str]) -> Identity {
        Identity {
            username: name.into(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            ..Identity::default()
        }
    }

    #[test]
    fn privileged_groups_are_dropped_and_named() {
        let acting = acting(&person(
            "admin",
            &[
                "system:masters",
                "team",
                "system:authenticated",
                "system:kube-x",
                "system:nodes",
            ],
        ))
        .unwrap();
        assert_eq!(acting.groups, ["team"]);
        assert_eq!(
            acting.dropped,
            ["system:kube-x", "system:masters", "system:nodes"]
        );
    }

    #[test]
    fn refuses_system_users_and_nobody() {
        for bad in ["system:admin", "system:node:n1", "system:kube-controller-manager"] {
            let refused = acting(&person(bad, &[])).unwrap_err();
            assert_eq!(refused, IdentityRefused::SystemUser(bad.to_owned()));
            let help = refused.to_string();
            assert!(
                help.contains(bad) && help.contains("kubectl create rolebinding"),
                "{help}"
            );
        }
        for nobody in ["", "system:anonymous"] {
            assert_eq!(acting(&person(nobody, &[])), Err(IdentityRefused::Anonymous));
        }
        assert_eq!(
            acting(&person("eve", &["system:unauthenticated"])),
            Err(IdentityRefused::Anonymous)
        );
    }

    #[test]
    fn nobody_is_acted_for_whose_rights_his_token_narrows_and_other_extra_is_kept_for_the_authorizer() {
        let with = |key: &str, value: &str| {
            let extra = BTreeMap::from([(key.to_owned(), vec!["user:info".to_owned(), value.to_owned()])]);
            acting(&Identity {
                extra,
                ..person("alice", &[])
            })
        };
        for (key, value) in [
            ("scopes.authorization.openshift.io", "role:view:demo"),
            ("scopes.authorization.openshift.io", "user:full:not"),
            ("example.org/Scope", "user:full"),
        ] {
            let refused = with(key, value).unwrap_err();
            assert_eq!(
                refused,
                IdentityRefused::Scoped("alice".to_owned(), key.to_owned())
            );
            assert!(refused.to_string().contains(key), "{refused}");
        }
        for (key, value) in [
            ("authentication.kubernetes.io/credential-id", "JTI=1"),
            ("arn", "scope"),
            ("scopes.authorization.openshift.io", "user:full"),
        ] {
            assert!(with(key, value).unwrap().extra.contains_key(key), "{key}");
        }
    }

    #[test]
    fn service_accounts_may_be_acted_as() {
        assert!(acting(&person("system:serviceaccount:a:b", &["system:serviceaccounts"])).is_ok());
    }

    #[test]
    fn an_identity_has_the_groups_that_the_api_server_adds() {
        let groups = |name: &str, groups: &[&str]| acting(&person(name, groups)).unwrap().groups_in_effect();
        assert_eq!(groups("alice", &["team"]), ["team", "system:authenticated"]);
        let stamped = [
            "system:serviceaccounts",
            "system:serviceaccounts:a",
            "system:authenticated",
        ];
        let added = [
            "system:authenticated",
            "system:serviceaccounts",
            "system:serviceaccounts:a",
        ];
        assert_eq!(groups("system:serviceaccount:a:b", &stamped), added);
        // Never those of another namespace, whatever the stamp says.
        assert_eq!(
            groups(
                "system:serviceaccount:a:b",
                &["system:serviceaccounts:kube-system"]
            ),
            added
        );
    }

    #[test]
    fn a_plan_that_touches_nothing_known_needs_the_verb_cluster_wide() {
        let questions = approver_questions(&CommandPlanSpec::default());
        assert_eq!(questions.len(), 1);
        assert_eq!(questions[0].namespace, None);
    }
}
