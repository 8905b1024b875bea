//! KubeChat's own objects in a namespace that a plan removes. They are what says who asked, who approved and what was done,
//! and they go with their namespace though no step names them.

use std::collections::BTreeSet;

use kubechat_crds::command_plan::{BlastRadius, Effect};
use kubechat_crds::condition::is_finished;
use kubechat_crds::intent::Action;
use kubechat_crds::{CommandPlan, GROUP, Step};

use super::Forbidden;
use crate::lifecycle::review;

/// The rule as the documentation shows it.
pub(super) const RULE: (&str, &str) = (
    "own-records",
    "deleting a namespace that holds the request itself, a plan that has not ended, or one that was executed by break-glass and is not reviewed yet",
);

/// The namespaces that these steps remove.
#[must_use]
pub fn namespaces_removed(steps: &[Step]) -> BTreeSet<&str> {
    let removes = |step: &&Step| step.effect == Effect::Delete || step.action == Action::Delete;
    let targets = steps.iter().filter(removes).flat_map(|step| &step.targets);
    targets
        .filter(|target| {
            target.group.is_empty() && (target.kind == "Namespace" || target.resource == "namespaces")
        })
        .map(|target| target.name.as_str())
        .collect()
}

/// Whether steps of a request in this namespace leave the request where it is.
///
/// # Errors
/// The rule that forbids them.
pub fn check_home(steps: &[Step], home: &str) -> Result<(), Forbidden> {
    if !namespaces_removed(steps).contains(home) {
        return Ok(());
    }
    Err(forbidden(format!(
        "namespace/{home} holds the request itself: its plan, its approvals and all that says what was done would go with it. Ask in another namespace"
    )))
}

/// Whether steps leave every plan that is still needed where it is. `plans` are those of the namespaces that go.
///
/// # Errors
/// The rule that forbids them.
pub fn check_held<'a>(
    steps: &[Step],
    plans: impl IntoIterator<Item = &'a CommandPlan>,
) -> Result<(), Forbidden> {
    let removed = namespaces_removed(steps);
    for plan in plans {
        let (name, place) = (&plan.metadata.name, &plan.metadata.namespace);
        let (name, place) = (
            name.as_deref().unwrap_or_default(),
            place.as_deref().unwrap_or_default(),
        );
        if !removed.contains(place) {
            continue;
        }
        let conditions = plan.status.as_ref().map(|s| s.conditions.as_slice());
        if !is_finished(conditions.unwrap_or_default()) {
            return Err(forbidden(format!(
                "namespace/{place} holds plan {name}, which has not ended. Wait for its end, or withdraw it: kubectl kubechat cancel {name} -n {place}"
            )));
        }
        if plan.status.as_ref().is_some_and(review::awaited) {
            return Err(forbidden(format!(
                "namespace/{place} holds plan {name}, which was executed by break-glass and is not reviewed yet. Have it reviewed first: kubectl kubechat review {name} -n {place}"
            )));
        }
    }
    Ok(())
}

fn forbidden(text: String) -> Forbidden {
    Forbidden { rule: RULE.0, text }
}

/// What of KubeChat's own a plan takes along, in words for who approves it.
#[must_use]
pub fn records_lost(steps: &[Step], radius: &BlastRadius) -> Option<String> {
    let removed: Vec<&str> = namespaces_removed(steps).into_iter().collect();
    let suffix = format!(".{GROUP}");
    let own: Vec<String> = radius
        .objects
        .iter()
        .filter_map(|(kind, count)| Some(format!("{count} {}", kind.strip_suffix(&suffix)?)))
        .collect();
    (!own.is_empty() && !removed.is_empty()).then(|| {
        format!(
            "KubeChat's own records in namespace {} go with it: {}. What they said stays in the audit log only",
            removed.join(", "),
            own.join(", ")
        )
    })
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
