//! What of the cluster the judgement of a plan rests on, beside its steps and its blast radius: gathered once, recorded
//! in the plan, and from then on the same for planner, webhook and executor.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kubechat_core::interpret::{self, RULES};
use kubechat_core::lifecycle::namespaces::fact;
use kubechat_core::lifecycle::review;
use kubechat_core::plan::KindRef;
use kubechat_core::{policy, risk};
use kubechat_crds::Step;
use kubechat_crds::command_plan::{NamespaceFact, PlanFacts, WindowFact};
use kubechat_crds::intent::Action;
use kubechat_crds::{ChatRequest, CommandPlan};
use serde_json::Value;

use super::{Stop, Turn};
use crate::cluster::objects::{ClientDebug, Objects};
use crate::error::Error;
use crate::past::{Many, Past};

/// How long an emergency that nobody reviewed counts as under way.
const EMERGENCY: SignedDuration = SignedDuration::from_hours(24);

/// The facts for these steps.
pub(super) async fn gather(turn: &Turn<'_>, steps: &[Step]) -> Result<PlanFacts, Stop> {
    let namespaces = namespaces(&turn.person, steps, turn.policies.as_ref().ok()).await?;
    let own = turn.request.metadata.uid.as_deref().unwrap_or_default();
    // Before it is read, and until the turn has its plan: of two turns at once the second sees the first.
    if turn.hour.get().is_none() {
        let hour = turn.ctx.past.hour(&turn.acting.username, own);
        // Only this turn sets it.
        let _ = turn.hour.set(hour.ok_or(Error::InLine)?);
    }
    let mut plans = turn.ctx.plans_within_the_hour(&turn.acting.username, turn.now);
    plans.retain(|plan| plan.turn != own);
    let window = window(&plans);
    let touched = risk::namespaces_changed(steps);
    let there = turn.ctx.stores.plans.state();
    let incident = there.iter().any(|plan| is_emergency(plan, &touched, turn.now));
    Ok(PlanFacts {
        own_namespace: turn.ctx.namespace.clone(),
        namespaces,
        window,
        untrusted_text: turn.given.is_some() || is_untrusted(turn.request),
        incident,
    })
}

/// The namespaces that these steps touch, read as the requester, for the planner and again for the executor.
///
/// # Errors
/// When the API server does not answer; a namespace that may not be read counts as protected instead.
pub async fn namespaces(
    person: &ClientDebug,
    steps: &[Step],
    policies: Option<&policy::Effective>,
) -> Result<Vec<NamespaceFact>, Error> {
    let mut found = vec![];
    for name in risk::namespaces_changed(steps) {
        found.push(namespace(person, steps, name, policies));
    }
    // No more at a time than a plan has steps.
    let mut found = try_join_all(found).await?;
    found.sort();
    Ok(found)
}

/// One touched namespace. What cannot be read counts as protected.
async fn namespace(
    person: &ClientDebug,
    steps: &[Step],
    name: &str,
    policies: Option<&policy::Effective>,
) -> Result<NamespaceFact, Error> {
    if is_new(steps, name) {
        // It is not there yet; the API server gives it this label and no other.
        let labels = [(NAME_LABEL.to_owned(), name.to_owned())].into();
        return Ok(fact(name, Some(labels), policies));
    }
    let kind = KindRef {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        resource: "namespaces".to_owned(),
        namespaced: false,
        scalable: false,
    };
    let labels = match Objects::new(person, &kind, None).find(name).await {
        Ok(object) => object.as_ref().and_then(labels_of),
        Err(error) if error.status().is_some_and(|s| s.code == 403) => None,
        Err(error) => return Err(error),
    };
    Ok(fact(name, labels, policies))
}

/// The label by which a namespace bears its own name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

fn labels_of(object: &Value) -> Option<BTreeMap<String, String>> {
    let labels = object.pointer("/metadata/labels");
    labels.map_or_else(
        || Some(BTreeMap::new()),
        |l| serde_json::from_value(l.clone()).ok(),
    )
}

/// Whether a step makes this namespace.
fn is_new(steps: &[Step], name: &str) -> bool {
    steps
        .iter()
        .filter(|s| s.action == Action::CreateNamespace)
        .flat_map(|s| &s.targets)
        .any(|t| t.name == name)
}

/// Whether an incident is under way by this plan: the glass was broken for one of these namespaces, with the id of an
/// incident, less than a day ago, and nobody has reviewed it since.
fn is_emergency(plan: &CommandPlan, touched: &BTreeSet<&str>, now: Timestamp) -> bool {
    let since = now.checked_sub(EMERGENCY).unwrap_or(Timestamp::MIN);
    plan.creation_timestamp().is_none_or(|t| t.0 > since)
        && plan.status.as_ref().is_some_and(review::is_open)
        && !touched.is_disjoint(&risk::namespaces_changed(&plan.spec.steps))
}

/// Whether text that no person wrote took part: characters that its reader cannot see, as they come with pasted text, or
/// an interpreter other than the built-in rules.
fn is_untrusted(request: &ChatRequest) -> bool {
    let status = request.status.as_ref();
    let by_model = status
        .and_then(|s| s.interpretation.as_ref())
        .is_some_and(|i| i.provider != RULES);
    by_model || interpret::hides_text(&request.spec.prompt)
}

/// What one person changed, or still may change, by these plans. Objects changed twice count once: many small changes of
/// one object reach no further than one.
fn window(plans: &[Past]) -> WindowFact {
    let (mut all, mut changed, mut deleted) = (Many::default(), BTreeSet::new(), BTreeSet::new());
    for plan in plans.iter().filter(|plan| plan.effect) {
        match plan.many {
            Some(many) => all.add(many),
            None => {
                all.effects += 1;
                all.add(plan.unnamed);
            }
        }
        changed.extend(&plan.changed);
        deleted.extend(&plan.deleted);
    }
    let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    WindowFact {
        plans: i32::try_from(all.effects).unwrap_or(i32::MAX),
        objects: whole(all.changed.saturating_add(changed.len())),
        deleted: whole(all.deleted.saturating_add(deleted.len())),
    }
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
