//! CREATE CommandPlan: the risk policy, enforced. Digest, level, score and requirement are computed again from the steps
//! and the live policies with the functions that the planner used; a plan below them is refused, whoever made it.

use kubechat_core::policy::at_least;
use kubechat_core::{gitops, reason as core_reason, risk};
use kubechat_crds::CommandPlanSpec;

use crate::refusal::{Refusal, reason};
use crate::review::{Allowed, Review, Verdict};
use crate::state::State;

const REPORT: &str = "The plan was not stored. Operator and webhook are of different releases, or the policies have just changed: ask again, and if it stays, look at their versions";

/// Judges a new plan.
pub(super) fn create(state: &State, review: &Review) -> Verdict {
    let plan: CommandPlanSpec = Review::typed(review.spec()?)?;
    digest(&plan)?;
    forbidden(state, &plan, review.namespace())?;
    gitops::may_change(&plan.requester, review.namespace())
        .map_err(|why| Refusal::forbidden(core_reason::APPLIER_IDENTITY, why))?;
    risk_of(&plan)?;
    requirement(state, &plan)?;
    state.hints.remember(&plan);
    Ok(Allowed::default())
}

fn digest(plan: &CommandPlanSpec) -> Result<(), Refusal> {
    let derived = plan
        .compute_digest()
        .map(|digest| digest.to_string())
        .unwrap_or_default();
    if derived == plan.digest {
        return Ok(());
    }
    Err(Refusal::invalid(
        core_reason::DIGEST_MISMATCH,
        format!(
            "spec.digest is {}, but the digest of the plan's content is {derived}. {REPORT}",
            plan.digest
        ),
    ))
}

/// What nobody gets a plan for, whoever made it.
fn forbidden(state: &State, plan: &CommandPlanSpec, home: &str) -> Result<(), Refusal> {
    let guarded = risk::Guarded {
        own: &state.namespace,
        credentials: &state.credentials,
    };
    risk::check_plan(plan, guarded)
        .and_then(|()| risk::check_home(&plan.steps, home))
        .map_err(|forbidden| Refusal::forbidden(core_reason::FORBIDDEN_CLASS, forbidden.to_string()))
}

fn risk_of(plan: &CommandPlanSpec) -> Result<(), Refusal> {
    let judged = risk::judge(plan);
    let low = |what: String| {
        Err(Refusal::forbidden(
            reason::RISK_TOO_LOW,
            format!("{what}. {REPORT}"),
        ))
    };
    if plan.risk.level < judged.level {
        return low(format!(
            "spec.risk.level is {}, but the steps are {}",
            plan.risk.level, judged.level
        ));
    }
    if plan.risk.score < judged.score {
        return low(format!(
            "spec.risk.score is {}, but the steps amount to {}",
            plan.risk.score, judged.score
        ));
    }
    if plan.risk.score < plan.risk.level.score_floor() {
        return low(format!(
            "spec.risk.score is {}, which is below the band of level {}",
            plan.risk.score, plan.risk.level
        ));
    }
    Ok(())
}

/// While no policy can be honoured there is nothing to be below of: such a plan waits, and the operator, which sees the
/// same policies, executes nothing.
fn requirement(state: &State, plan: &CommandPlanSpec) -> Result<(), Refusal> {
    let Ok(live) = state.effective()? else {
        return Ok(());
    };
    let found = live.evaluate(plan, State::now());
    if let Some(denial) = found.denied {
        return Err(Refusal::forbidden(core_reason::POLICY_DENIED, denial.message));
    }
    if plan.risk.level < found.level {
        return Err(Refusal::forbidden(
            reason::RISK_TOO_LOW,
            format!(
                "spec.risk.level is {}, but the RiskPolicies make it {}. {REPORT}",
                plan.risk.level, found.level
            ),
        ));
    }
    let live = found.requirement;
    if at_least(&plan.requirement, &live) {
        return Ok(());
    }
    let asked: Vec<String> = live
        .iter()
        .map(|r| {
            let rule = r
                .rule
                .as_deref()
                .map(|r| format!(", rule {r}"))
                .unwrap_or_default();
            format!("{}{rule} asks for {}", r.policy, r.count)
        })
        .collect();
    Err(Refusal::forbidden(
        reason::REQUIREMENT_TOO_LOW,
        format!(
            "spec.requirement is below what the RiskPolicies ask for a {} plan ({}). {REPORT}",
            plan.risk.level,
            asked.join(", ")
        ),
    ))
}
