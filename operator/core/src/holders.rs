//! Who holds the verbs `approve-caution` and `approve-destructive`: RBAC's roles and bindings, narrowed to what says that.
//!
//! **Invariants:** it names people for messages and grants nothing: whether a decision counts is asked of the API server.
//! Service accounts and the control plane's own users are never named, because they never count as approvers. Rules of an
//! aggregated ClusterRole are those that the API server's controller has written into it.
//!
//! Called by the operator, which keeps it up to date, and by [`crate::lifecycle`], which asks it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::rbac::v1::{self, PolicyRule, RoleRef};
use kubechat_crds::{GROUP, VERB_APPROVE_CAUTION, VERB_APPROVE_DESTRUCTIVE};

use crate::authz::Question;
use crate::shown;

/// The resource the verbs are on.
const RESOURCE: &str = "commandplans";
/// Most bindings with people in them that are kept; of a cluster with more, nobody is named.
pub const MAX_BINDINGS: usize = 50_000;
/// Groups of the control plane that people are members of.
const SYSTEM_GROUPS: &[&str] = &["system:masters", "system:authenticated"];

/// Somebody a binding names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// All members of a group.
    Group(String),
    /// One user.
    User(String),
}

impl Subject {
    /// The subject, if it is people.
    fn of(subject: &v1::Subject) -> Option<Self> {
        let name = &subject.name;
        match subject.kind.as_str() {
            "User" => (!name.starts_with("system:")).then(|| Self::User(name.clone())),
            "Group" => (!name.starts_with("system:") || SYSTEM_GROUPS.contains(&name.as_str()))
                .then(|| Self::Group(name.clone())),
            _ => None,
        }
    }

    /// Whether it is a group that every cluster has; named after all others.
    #[must_use]
    pub fn is_system(&self) -> bool {
        let (Self::Group(name) | Self::User(name)) = self;
        name.starts_with("system:")
    }
}

impl fmt::Display for Subject {
    /// `group approvers`, `user bob`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(name) => write!(f, "group {}", shown::identity(name)),
            Self::User(name) => write!(f, "user {}", shown::identity(name)),
        }
    }
}

/// Which of the two verbs a role grants, on all plans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    caution: bool,
    destructive: bool,
}

impl Grants {
    /// What these rules grant. A rule for single names grants nothing here: the verbs are asked of all names.
    #[must_use]
    pub fn of(rules: &[PolicyRule]) -> Self {
        let has = |list: &Option<Vec<String>>, wanted: &str| {
            list.iter().flatten().any(|item| item == wanted || item == "*")
        };
        let on_plans = |rule: &&PolicyRule| {
            has(&rule.api_groups, GROUP)
                && has(&rule.resources, RESOURCE)
                && rule.resource_names.as_ref().is_none_or(Vec::is_empty)
        };
        let grants = |verb| {
            rules
                .iter()
                .filter(on_plans)
                .any(|rule| has(&Some(rule.verbs.clone()), verb))
        };
        Self {
            caution: grants(VERB_APPROVE_CAUTION),
            destructive: grants(VERB_APPROVE_DESTRUCTIVE),
        }
    }

    fn holds(self, verb: &str) -> bool {
        match verb {
            VERB_APPROVE_CAUTION => self.caution,
            VERB_APPROVE_DESTRUCTIVE => self.destructive,
            _ => false,
        }
    }

    fn any(self) -> bool {
        self.caution || self.destructive
    }
}

/// A role or binding by namespace (`None`: cluster-wide) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Namespace; `None` for ClusterRole and ClusterRoleBinding.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

/// A binding: whom it gives which role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    role: Place,
    subjects: Vec<Subject>,
}

impl Binding {
    /// A binding in a namespace, or cluster-wide, as far as it is about people.
    #[must_use]
    pub fn of(namespace: Option<&str>, role: &RoleRef, subjects: Option<&[v1::Subject]>) -> Self {
        let within = namespace.filter(|_| role.kind == "Role").map(str::to_owned);
        Self {
            role: Place {
                namespace: within,
                name: role.name.clone(),
            },
            subjects: subjects
                .unwrap_or_default()
                .iter()
                .filter_map(Subject::of)
                .collect(),
        }
    }
}

/// What a role or binding says, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A Role or ClusterRole.
    Role(Grants),
    /// A RoleBinding or ClusterRoleBinding.
    Binding(Binding),
}

/// The kinds that say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ClusterRole.
    ClusterRole,
    /// Role.
    Role,
    /// ClusterRoleBinding.
    ClusterRoleBinding,
    /// RoleBinding.
    RoleBinding,
}

/// Roles and bindings, as far as they say who holds the verbs.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    /// Roles that grant one of the verbs.
    roles: BTreeMap<Place, Grants>,
    /// Bindings with people in them, by namespace and name.
    bindings: BTreeMap<Option<String>, BTreeMap<String, Binding>>,
    count: usize,
    /// Some were left out.
    overflown: bool,
}

impl Holders {
    /// Takes a role or binding as it stands now; says whether that may have changed who holds a verb.
    pub fn put(&mut self, place: &Place, row: Row) -> bool {
        match row {
            Row::Role(grants) => {
                let before = if grants.any() {
                    self.roles.insert(place.clone(), grants)
                } else {
                    self.roles.remove(place)
                };
                before.unwrap_or_default() != grants
            }
            Row::Binding(binding) if binding.subjects.is_empty() => self.remove_binding(place),
            Row::Binding(binding) => {
                let relevant = self.roles.contains_key(&binding.role);
                let known = self.bindings.entry(place.namespace.clone()).or_default();
                if !known.contains_key(&place.name) {
                    if self.count >= MAX_BINDINGS {
                        self.overflown = true;
                        return false;
                    }
                    self.count += 1;
                }
                match known.insert(place.name.clone(), binding) {
                    Some(before) => {
                        known.get(&place.name) != Some(&before)
                            && (relevant || self.roles.contains_key(&before.role))
                    }
                    None => relevant,
                }
            }
        }
    }

    /// Forgets a role or binding; says whether that may have changed who holds a verb.
    pub fn remove(&mut self, kind: Kind, place: &Place) -> bool {
        match kind {
            Kind::ClusterRole | Kind::Role => self.roles.remove(place).is_some(),
            Kind::ClusterRoleBinding | Kind::RoleBinding => self.remove_binding(place),
        }
    }

    /// What is known of a kind.
    #[must_use]
    pub fn places(&self, kind: Kind) -> BTreeSet<Place> {
        let roles = |namespaced: bool| {
            let of_kind = |place: &&Place| place.namespace.is_some() == namespaced;
            self.roles.keys().filter(of_kind).cloned().collect()
        };
        let bindings = |namespaced: bool| {
            self.bindings
                .iter()
                .filter(|(namespace, _)| namespace.is_some() == namespaced)
                .flat_map(|(namespace, of_namespace)| of_namespace.keys().map(move |name| (namespace, name)))
                .map(|(namespace, name)| Place {
                    namespace: namespace.clone(),
                    name: name.clone(),
                })
                .collect()
        };
        match kind {
            Kind::ClusterRole => roles(false),
            Kind::Role => roles(true),
            Kind::ClusterRoleBinding => bindings(false),
            Kind::RoleBinding => bindings(true),
        }
    }

    fn remove_binding(&mut self, place: &Place) -> bool {
        let Some(of_namespace) = self.bindings.get_mut(&place.namespace) else {
            return false;
        };
        let gone = of_namespace.remove(&place.name);
        if of_namespace.is_empty() {
            self.bindings.remove(&place.namespace);
        }
        gone.is_some_and(|binding| {
            self.count -= 1;
            self.roles.contains_key(&binding.role)
        })
    }

    /// Who holds what all these questions ask for, each by himself; `None` where not all bindings are known. Somebody who
    /// holds one right as a user and another as member of a group is not found: RBAC does not say who is in a group.
    #[must_use]
    pub fn of(&self, questions: &[Question]) -> Option<BTreeSet<Subject>> {
        if self.overflown {
            return None;
        }
        let mut questions = questions.iter().map(|question| self.of_one(question));
        let first = questions.next().unwrap_or_default();
        let all = questions.fold(first, |held, next| held.intersection(&next).copied().collect());
        Some(all.into_iter().cloned().collect())
    }

    fn of_one(&self, question: &Question) -> BTreeSet<&Subject> {
        let everywhere = self.bindings.get(&None);
        let here = question
            .namespace
            .as_ref()
            .and_then(|_| self.bindings.get(&question.namespace));
        everywhere
            .into_iter()
            .chain(here)
            .flat_map(BTreeMap::values)
            .filter(|binding| {
                self.roles
                    .get(&binding.role)
                    .is_some_and(|role| role.holds(&question.verb))
            })
            .flat_map(|binding| &binding.subjects)
            .collect()
    }
}

#[cfg(test)]
#[path = "holders_tests.rs"]
mod tests;
