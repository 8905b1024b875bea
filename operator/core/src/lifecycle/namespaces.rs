//! What becomes of the namespaces a plan touches: since it was made, and by the plan itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kubechat_crds::command_plan::NamespaceFact;
use kubechat_crds::intent::Action;
use kubechat_crds::{CommandPlanSpec, Step};

use super::command_plan::binding_requirement;
use crate::policy::{Effective, at_least};
use crate::risk;

/// Labels of a namespace that a plan holds; one with more counts as unread.
const MAX_LABELS: usize = 64;
/// Namespaces that a message names.
const MAX_NAMED: usize = 5;

/// What a plan records of a namespace: protected where a policy says so, and where nobody can say (labels unread, or no
/// policy that can be honoured).
#[must_use]
pub fn fact(
    name: &str,
    labels: Option<BTreeMap<String, String>>,
    policies: Option<&Effective>,
) -> NamespaceFact {
    let labels = labels.filter(|l| l.len() <= MAX_LABELS);
    let protected = match (&labels, policies) {
        (Some(labels), Some(policies)) => policies.protects_labels(labels),
        (None, _) | (_, None) => true,
    };
    NamespaceFact {
        name: name.to_owned(),
        labels: labels.unwrap_or_default(),
        protected,
    }
}

/// Why a plan would stop itself: a step changes labels of a namespace by which the steps after it are judged more strictly
/// than the plan was, and before each step it is judged again. `None` where no step comes after such a change.
#[must_use]
pub fn stops_itself(plan: &CommandPlanSpec, policies: &Effective, now: Timestamp) -> Option<String> {
    let mut facts = plan.facts.namespaces.clone();
    let (_, earlier) = plan.steps.split_last()?;
    for step in earlier {
        for target in relabelled(step) {
            let touched = facts.iter_mut().filter(|fact| fact.name == target);
            for found in touched {
                *found = fact(target, Some(labels_after(step, found)), Some(policies));
            }
        }
        if let Some(why) = why_stricter(plan, &facts, policies, now) {
            let names: Vec<&str> = relabelled(step).take(MAX_NAMED).collect();
            return Some(format!(
                "step {} changes the labels of namespace {}, and with them what comes after it is judged more strictly: {why}. So the plan would stop midway",
                step.id,
                names.join(", ")
            ));
        }
    }
    None
}

/// Namespaces whose labels a step changes.
fn relabelled(step: &Step) -> impl Iterator<Item = &str> {
    let labels = step.action == Action::Label;
    let is_namespace = |group: &str, kind: &str| group.is_empty() && kind == "Namespace";
    step.targets
        .iter()
        .filter(move |t| labels && is_namespace(&t.group, &t.kind))
        .map(|t| t.name.as_str())
}

fn labels_after(step: &Step, before: &NamespaceFact) -> BTreeMap<String, String> {
    let mut labels = before.labels.clone();
    labels.extend(step.params.set.clone());
    labels.retain(|key, _| !step.params.remove.contains(key));
    labels
}

/// Why a plan would be judged more strictly with its namespaces as they are now, by the policies in force; `None` where
/// what it records binds at least as much. What became less strict changes nothing.
#[must_use]
pub fn stricter(
    plan: &CommandPlanSpec,
    namespaces: &[NamespaceFact],
    policies: &Effective,
    now: Timestamp,
) -> Option<String> {
    let why = why_stricter(plan, namespaces, policies, now)?;
    let changed = changed(&plan.facts.namespaces, namespaces);
    Some(format!("{changed} changed since it was planned: {why}"))
}

/// Why a plan is judged more strictly with these namespaces than it was.
fn why_stricter(
    plan: &CommandPlanSpec,
    namespaces: &[NamespaceFact],
    policies: &Effective,
    now: Timestamp,
) -> Option<String> {
    if plan.facts.namespaces == namespaces {
        return None;
    }
    let mut fresh = plan.clone();
    fresh.facts.namespaces = namespaces.to_vec();
    let planned = &plan.risk;
    let judged = risk::judge(&fresh);
    if judged.level > planned.level || judged.score > planned.score {
        return Some(format!(
            "it is {} (score {}), and was {} (score {})",
            judged.level, judged.score, planned.level, planned.score
        ));
    }
    asked_more(plan, &fresh, policies, now)
}

/// What the policies ask of a plan as it stands in the cluster now beyond what binds it already.
pub(super) fn asked_more(
    plan: &CommandPlanSpec,
    fresh: &CommandPlanSpec,
    policies: &Effective,
    now: Timestamp,
) -> Option<String> {
    let planned = &plan.risk;
    let found = policies.evaluate(fresh, now);
    if let Some(denial) = found.denied {
        return Some(denial.message);
    }
    if found.level > planned.level {
        return Some(format!(
            "the RiskPolicies make it {}, and it was {}",
            found.level, planned.level
        ));
    }
    let binding = binding_requirement(plan, Ok(policies), now);
    (!at_least(&binding, &found.requirement)).then(|| "the RiskPolicies ask for more approvals".to_owned())
}

/// The namespaces of which something else is known now, in words.
fn changed(before: &[NamespaceFact], after: &[NamespaceFact]) -> String {
    let names: Vec<&str> = after
        .iter()
        .filter(|fact| !before.contains(fact))
        .map(|fact| fact.name.as_str())
        .take(MAX_NAMED)
        .collect();
    if names.is_empty() {
        "the namespaces it touches".to_owned()
    } else {
        format!("the labels or the protection of namespace {}", names.join(", "))
    }
}

#[cfg(test)]
#[path = "namespaces_tests.rs"]
mod tests;
