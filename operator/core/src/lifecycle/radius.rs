//! What becomes of a plan's blast radius until it is executed.

use jiff::Timestamp;
use kubechat_crds::CommandPlanSpec;
use kubechat_crds::command_plan::BlastRadius;

use super::namespaces::asked_more;
use crate::policy::Effective;
use crate::{blast, risk};

/// Why a plan is not what was approved by what it would hit now: more of it, the same but harder, what could be read and
/// cannot any more, or what makes it more dangerous or needs more approvals. `None` where nobody approved less. `home` is the
/// plan's namespace.
#[must_use]
pub fn outgrown(
    plan: &CommandPlanSpec,
    home: &str,
    planned: &BlastRadius,
    now: &BlastRadius,
    policies: &Effective,
    at: Timestamp,
) -> Option<String> {
    let unseen = blast::lost_sight(planned, now, home);
    if !unseen.is_empty() {
        return Some(format!(
            "what the plan hits cannot be seen any more ({})",
            unseen.join("; ")
        ));
    }
    blast::grown(planned, now)
        .or_else(|| blast::worse(planned, now))
        .or_else(|| stricter(plan, planned, now, policies, at))
}

/// Why it is judged more strictly by what it hits now. A score that grew within its level is within what growth is let pass,
/// unless a policy asks for more by it.
fn stricter(
    plan: &CommandPlanSpec,
    planned: &BlastRadius,
    now: &BlastRadius,
    policies: &Effective,
    at: Timestamp,
) -> Option<String> {
    let mut fresh = plan.clone();
    fresh.blast_radius = Some(BlastRadius {
        // The nodes are counted for the plan alone; what is not counted is told as all of it.
        pods_percent: pods_percent(planned, now),
        nodes_percent: planned.nodes_percent,
        ..now.clone()
    });
    let judged = risk::judge(&fresh);
    if judged.level > plan.risk.level {
        let new: Vec<String> = judged
            .factors
            .iter()
            .filter(|factor| !plan.risk.factors.contains(factor))
            .map(risk::told)
            .collect();
        return Some(format!(
            "by what it hits now it is {}, and was {} ({})",
            judged.level,
            plan.risk.level,
            new.join("; ")
        ));
    }
    fresh.risk.score = judged.score.max(plan.risk.score);
    asked_more(plan, &fresh, policies, at)
        .map(|why| format!("what it hits changed since it was planned: {why}"))
}

/// The share of the pods that is lost: what was approved, unless more of them are lost now.
fn pods_percent(planned: &BlastRadius, now: &BlastRadius) -> i32 {
    if now.pods_lost > planned.pods_lost {
        now.pods_percent
    } else {
        planned.pods_percent
    }
}

#[cfg(test)]
#[path = "radius_tests.rs"]
mod tests;
