//! What becomes of a plan's blast radius until it is executed.

use jiff::Timestamp;
use kubechat_crds::CommandPlanSpec;
use kubechat_crds::command_plan::BlastRadius;

use super::namespaces::asked_more;
use crate::policy::Effective;
use crate::{blast, risk};

/// Why a plan is not what was approved by what it would hit now: more of it, the same but harder, what could be read and
/// cannot any more, or what makes it more dangerous or needs more approvals. `None` where nobody approved less.
#[must_use]
pub fn outgrown(
    plan: &CommandPlanSpec,
    planned: &BlastRadius,
    now: &BlastRadius,
    policies: &Effective,
    at: Timestamp,
) -> Option<String> {
    let unseen = blast::lost_sight(planned, now);
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
        // The shares of the cluster are counted for the plan alone; what is not counted is told as all of it.
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

/// The share of the pods that is lost by the share that was counted for the plan: of more pods it is as much more, and where
/// none were lost, so that nothing was counted, it may be all.
fn pods_percent(planned: &BlastRadius, now: &BlastRadius) -> i32 {
    let (before, after) = (planned.pods_lost, now.pods_lost);
    if after <= before {
        return planned.pods_percent;
    }
    if before <= 0 {
        return 100;
    }
    let share = i64::from(planned.pods_percent).saturating_mul(after);
    i32::try_from(share.saturating_add(before - 1) / before).map_or(100, |share| share.min(100))
}

#[cfg(test)]
#[path = "radius_tests.rs"]
mod tests;
