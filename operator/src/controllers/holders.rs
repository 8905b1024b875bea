//! Keeps what RBAC says of the approve verbs up to date, so that a waiting plan names whom to ask. Read-only, narrowed as
//! it arrives; while it cannot be read, plans describe the right instead and nothing else changes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures::StreamExt;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use kube::runtime::watcher::Event;
use kubechat_core::authz::touched;
use kubechat_core::holders::{Binding, Grants, Holders, Kind, Place, Row};
use kubechat_crds::CommandPlan;
use kubechat_crds::condition::is_finished;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::lane::Lane;
use crate::cluster::watch::{Watched, guarded};

/// All four kinds are there.
const FILLED: u8 = 0b1111;

/// What RBAC says, as far as it is known.
#[derive(Debug, Default)]
pub struct Known {
    holders: RwLock<Arc<Holders>>,
    filled: AtomicU8,
}

/// Whose plans may have to name others now.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Changed {
    Nothing,
    Namespace(String),
    Everywhere,
}

/// The kinds that are watched.
trait Rbac: Watched + Default {
    const KIND: Kind;
    fn row(&self) -> Row;
}

impl Rbac for ClusterRole {
    const KIND: Kind = Kind::ClusterRole;
    fn row(&self) -> Row {
        Row::Role(Grants::of(self.rules.as_deref().unwrap_or_default()))
    }
}

impl Rbac for Role {
    const KIND: Kind = Kind::Role;
    fn row(&self) -> Row {
        Row::Role(Grants::of(self.rules.as_deref().unwrap_or_default()))
    }
}

impl Rbac for ClusterRoleBinding {
    const KIND: Kind = Kind::ClusterRoleBinding;
    fn row(&self) -> Row {
        Row::Binding(Binding::of(None, &self.role_ref, self.subjects.as_deref()))
    }
}

impl Rbac for RoleBinding {
    const KIND: Kind = Kind::RoleBinding;
    fn row(&self) -> Row {
        let namespace = self.metadata.namespace.as_deref();
        Row::Binding(Binding::of(namespace, &self.role_ref, self.subjects.as_deref()))
    }
}

impl Known {
    /// Who holds the verbs; `None` until all of it was read.
    #[must_use]
    pub fn now(&self) -> Option<Arc<Holders>> {
        if self.filled.load(Ordering::Acquire) != FILLED {
            return None;
        }
        let holders = self.holders.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&holders))
    }

    /// Takes an event of a watch. `stale` is what was known before the watch listed anew and was not listed yet.
    fn take<K: Rbac>(&self, event: Event<K>, stale: &mut BTreeSet<Place>) -> Changed {
        let mut guard = self.holders.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => {
                *stale = guard.places(K::KIND);
                Changed::Nothing
            }
            Event::InitApply(object) | Event::Apply(object) => {
                let place = place(&object);
                stale.remove(&place);
                let changed = Arc::make_mut(&mut guard).put(&place, object.row());
                self.of(changed, place)
            }
            Event::Delete(object) => {
                let place = place(&object);
                let changed = Arc::make_mut(&mut guard).remove(K::KIND, &place);
                self.of(changed, place)
            }
            Event::InitDone => {
                let mut changed = false;
                for place in std::mem::take(stale) {
                    changed |= Arc::make_mut(&mut guard).remove(K::KIND, &place);
                }
                let bit = 1 << K::KIND as u8;
                let before = self.filled.fetch_or(bit, Ordering::AcqRel);
                let completed = before != FILLED && before | bit == FILLED;
                if completed || changed && before == FILLED {
                    Changed::Everywhere
                } else {
                    Changed::Nothing
                }
            }
        }
    }

    /// Nothing is said before everything is known: then all plans are looked at.
    fn of(&self, changed: bool, place: Place) -> Changed {
        match place.namespace {
            _ if !changed || self.filled.load(Ordering::Acquire) != FILLED => Changed::Nothing,
            Some(namespace) => Changed::Namespace(namespace),
            None => Changed::Everywhere,
        }
    }
}

fn place<K: Rbac>(object: &K) -> Place {
    Place {
        namespace: object.namespace(),
        name: object.name_any(),
    }
}

/// Watches all four kinds until shutdown.
pub(crate) fn keep(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    client: &kube::Client,
    known: &Arc<Known>,
    shutdown: &CancellationToken,
    plans: (&Lane<CommandPlan>, &Store<CommandPlan>),
) {
    keep_one::<ClusterRole>(tasks, client, known, shutdown, plans);
    keep_one::<Role>(tasks, client, known, shutdown, plans);
    keep_one::<ClusterRoleBinding>(tasks, client, known, shutdown, plans);
    keep_one::<RoleBinding>(tasks, client, known, shutdown, plans);
}

fn keep_one<K: Rbac>(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    client: &kube::Client,
    known: &Arc<Known>,
    shutdown: &CancellationToken,
    (lane, waiting): (&Lane<CommandPlan>, &Store<CommandPlan>),
) {
    let events = guarded::<K>(client.clone());
    let (known, until) = (Arc::clone(known), shutdown.clone());
    let (lane, waiting) = (lane.clone(), waiting.clone());
    tasks.spawn(async move {
        let mut events = std::pin::pin!(events.take_until(until.cancelled()));
        let mut stale = BTreeSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => match known.take(event, &mut stale) {
                    Changed::Nothing => {}
                    changed => look_again(&changed, &lane, &waiting).await,
                },
                Err(problem) => {
                    tracing::warn!(kind = %K::kind(&()), %problem, "watch interrupted; it is begun again");
                }
            }
        }
        if until.is_cancelled() {
            Ok(())
        } else {
            Err(anyhow::anyhow!("the watch of {} ended", K::kind(&())))
        }
    });
}

/// Has the waiting plans looked at that may have to name others now.
async fn look_again(changed: &Changed, lane: &Lane<CommandPlan>, waiting: &Store<CommandPlan>) {
    for plan in waiting.state() {
        let open = plan.status.as_ref().is_none_or(|s| !is_finished(&s.conditions));
        let concerned = match changed {
            Changed::Nothing => false,
            Changed::Namespace(namespace) => touched(&plan.spec).namespaces.contains(namespace),
            Changed::Everywhere => true,
        };
        if open && concerned {
            lane.same(&*plan).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use kubechat_core::authz::Question;
    use serde_json::json;

    use super::*;

    fn role() -> ClusterRole {
        let rules = json!([{"apiGroups": ["kubechat.io"], "resources": ["commandplans"], "verbs": ["approve-caution"]}]);
        serde_json::from_value(json!({"metadata": {"name": "approver"}, "rules": rules})).unwrap()
    }

    fn bound(namespace: &str, name: &str, user: &str) -> RoleBinding {
        let role =
            json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "approver"});
        let subjects = json!([{"kind": "User", "name": user}]);
        let metadata = json!({"name": name, "namespace": namespace});
        serde_json::from_value(json!({"metadata": metadata, "roleRef": role, "subjects": subjects})).unwrap()
    }

    fn named(known: &Known, namespace: &str) -> Option<Vec<String>> {
        let question = Question {
            verb: "approve-caution".into(),
            group: "kubechat.io".into(),
            resource: "commandplans".into(),
            subresource: String::new(),
            namespace: Some(namespace.into()),
            name: None,
        };
        let found = known.now()?.of(&[question])?;
        Some(found.iter().map(ToString::to_string).collect())
    }

    fn listed<K: Rbac>(known: &Known, objects: Vec<K>) -> Changed {
        let mut stale = BTreeSet::new();
        assert_eq!(known.take(Event::<K>::Init, &mut stale), Changed::Nothing);
        for object in objects {
            known.take(Event::InitApply(object), &mut stale);
        }
        known.take(Event::<K>::InitDone, &mut stale)
    }

    #[test]
    fn nobody_is_named_before_all_four_kinds_were_read_and_then_all_plans_are_looked_at() {
        let known = Known::default();
        assert_eq!(listed(&known, vec![bound("a", "b", "bob")]), Changed::Nothing);
        assert_eq!(listed(&known, vec![role()]), Changed::Nothing);
        assert_eq!(listed(&known, Vec::<Role>::new()), Changed::Nothing);
        assert_eq!(named(&known, "a"), None);
        assert_eq!(
            listed(&known, Vec::<ClusterRoleBinding>::new()),
            Changed::Everywhere
        );
        assert_eq!(named(&known, "a").unwrap(), ["user bob"]);
    }

    #[test]
    fn a_change_concerns_its_namespace_and_a_new_list_forgets_what_is_not_in_it() {
        let known = Known::default();
        listed(&known, Vec::<Role>::new());
        listed(&known, Vec::<ClusterRoleBinding>::new());
        listed(&known, vec![role()]);
        listed(&known, vec![bound("a", "b", "bob"), bound("a", "c", "carol")]);
        let mut stale = BTreeSet::new();
        let at = |namespace: &str| Changed::Namespace(namespace.to_owned());
        assert_eq!(
            known.take(Event::Apply(bound("b", "x", "dave")), &mut stale),
            at("b")
        );
        assert_eq!(
            known.take(Event::Apply(bound("b", "x", "dave")), &mut stale),
            Changed::Nothing
        );
        assert_eq!(
            known.take(Event::Delete(bound("b", "x", "dave")), &mut stale),
            at("b")
        );
        // Until the new list is complete, what was known stands.
        known.take(Event::<RoleBinding>::Init, &mut stale);
        assert_eq!(named(&known, "a").unwrap(), ["user bob", "user carol"]);
        known.take(Event::InitApply(bound("a", "c", "carol")), &mut stale);
        assert_eq!(
            known.take(Event::<RoleBinding>::InitDone, &mut stale),
            Changed::Everywhere
        );
        assert_eq!(named(&known, "a").unwrap(), ["user carol"]);
        assert_eq!(known.take(Event::Delete(role()), &mut stale), Changed::Everywhere);
        assert!(named(&known, "a").unwrap().is_empty());
    }
}
