//! What became of the namespaces a plan touches since it was made.

use jiff::Timestamp;
use kubechat_crds::CommandPlanSpec;
use kubechat_crds::command_plan::NamespaceFact;

use super::command_plan::binding_requirement;
use crate::policy::{Effective, at_least};
use crate::risk;

/// Why a plan would be judged more strictly with its namespaces as they are now, by the policies in force; `None` where
/// what it records binds at least as much. What became less strict changes nothing.
#[must_use]
pub fn stricter(
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
    let changed = changed(&plan.facts.namespaces, namespaces);
    let planned = &plan.risk;
    let judged = risk::judge(&fresh);
    if judged.level > planned.level || judged.score > planned.score {
        return Some(format!(
            "{changed} changed since it was planned: it is {} (score {}) now, and was {} (score {})",
            judged.level, judged.score, planned.level, planned.score
        ));
    }
    let found = policies.evaluate(&fresh, now);
    if let Some(denial) = found.denied {
        return Some(format!(
            "{changed} changed since it was planned: {}",
            denial.message
        ));
    }
    if found.level > planned.level {
        return Some(format!(
            "{changed} changed since it was planned: the RiskPolicies make it {} now, and it was {}",
            found.level, planned.level
        ));
    }
    let binding = binding_requirement(plan, Ok(policies), now);
    (!at_least(&binding, &found.requirement)).then(|| {
        format!("{changed} changed since it was planned: the RiskPolicies ask for more approvals there")
    })
}

/// The namespaces of which something else is known now, in words.
fn changed(before: &[NamespaceFact], after: &[NamespaceFact]) -> String {
    let names: Vec<&str> = after
        .iter()
        .filter(|fact| !before.contains(fact))
        .map(|fact| fact.name.as_str())
        .take(5)
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
