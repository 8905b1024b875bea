//! CREATE Approval: who may decide on what. The judgement is the operator's own ([`judge`]); here the plan is read fresh
//! and rights are asked of the API server, so that the person hears at once why a decision would not count.

use kube::Api;
use kubechat_core::authz;
use kubechat_core::lifecycle::approval::{Facts, NotCounted, counts_for, judge};
use kubechat_core::lifecycle::command_plan::binding_requirement;
use kubechat_core::policy::Effective;
use kubechat_core::reason as core_reason;
use kubechat_crds::command_plan::Requirement;
use kubechat_crds::condition::is_finished;
use kubechat_crds::{ApprovalSpec, CommandPlan, Mode, PlanPhase, Via};

use crate::access;
use crate::refusal::Refusal;
use crate::review::{Allowed, Review, Verdict, identity};
use crate::state::State;

const NOT_RECORDED: &str = "The Approval was not stored";

/// Judges a new decision.
pub(super) async fn create(state: &State, review: &Review) -> Verdict {
    let mut spec: ApprovalSpec = Review::typed(review.spec()?)?;
    let by = identity(review.user());
    if by.username.is_empty() || by.username.starts_with("system:") {
        return Err(Refusal::forbidden(
            core_reason::NOT_A_PERSON,
            format!(
                "{NOT_RECORDED}: only people decide on plans, and {} is a service account or system user. Log in as a person",
                by.username
            ),
        ));
    }
    spec.submitted_by = Some(by);
    let plan = waiting_plan(state, review.namespace(), &spec).await?;
    let requirement = live_requirement(state, &plan)?;
    let facts = Facts {
        refused: None,
        name: review.name().to_owned(),
        spec,
        created: State::now(),
        sealed: true,
        right: None,
    };
    let facts = with_right(state, review, &plan, &requirement, facts).await?;
    needed(&plan, &requirement, &facts)?;
    Ok(Allowed::default())
}

/// The plan, if it still waits for a decision.
async fn waiting_plan(state: &State, namespace: &str, spec: &ApprovalSpec) -> Result<CommandPlan, Refusal> {
    let name = &spec.plan_ref.name;
    let api: Api<CommandPlan> = Api::namespaced(state.client.0.clone(), namespace);
    let Some(plan) = access::get(&api, name).await? else {
        return Err(Refusal::forbidden(
            core_reason::PLAN_NOT_FOUND,
            format!(
                "{NOT_RECORDED}: there is no CommandPlan {name} in namespace {namespace}. kubectl get commandplans -n {namespace} lists them"
            ),
        ));
    };
    let no = |reason, why: String| Err(Refusal::forbidden(reason, format!("{NOT_RECORDED}: {why}")));
    if plan.spec.mode == Mode::PlanOnly {
        return no(
            core_reason::PLAN_ONLY,
            format!(
                "plan {name} is PlanOnly and is never executed. Ask again without PlanOnly: kubechat again"
            ),
        );
    }
    let status = plan.status.clone().unwrap_or_default();
    if is_finished(&status.conditions) || plan.metadata.deletion_timestamp.is_some() {
        let phase = status
            .phase
            .map(|phase| format!(" ({phase:?})"))
            .unwrap_or_default();
        return no(
            core_reason::PLAN_FINISHED,
            format!(
                "plan {name} is finished{phase} and takes no decision. To have it done again, ask again: kubechat again {name}"
            ),
        );
    }
    if status.phase == Some(PlanPhase::Executing) {
        return no(
            core_reason::EXECUTING,
            format!(
                "plan {name} is being executed and takes no decision. To stop what is not yet sent: kubechat cancel {name}"
            ),
        );
    }
    if plan
        .spec
        .expires_at
        .parse()
        .map_or(true, |at: k8s_openapi::jiff::Timestamp| State::now() >= at)
    {
        return no(
            core_reason::EXPIRED,
            format!(
                "plan {name} expired at {}. Ask again: kubechat again {name}",
                plan.spec.expires_at
            ),
        );
    }
    Ok(plan)
}

fn live_requirement(state: &State, plan: &CommandPlan) -> Result<Vec<Requirement>, Refusal> {
    let policies = Effective::from_policies(&state.policies()?);
    Ok(binding_requirement(&plan.spec, policies.as_ref(), State::now()))
}

/// Judges without asking the API server where that suffices; else asks for the right in every touched namespace.
async fn with_right(
    state: &State,
    review: &Review,
    plan: &CommandPlan,
    requirement: &[Requirement],
    mut facts: Facts,
) -> Result<Facts, Refusal> {
    match judge(&plan.spec, requirement, &facts, State::now()) {
        Ok(Via::Self_ | Via::Direct | Via::GitOps | Via::BreakGlass) => return Ok(facts),
        Err(NotCounted {
            unknown: false,
            reason,
            message,
        }) => return Err(refusal(reason, &message)),
        Err(NotCounted { unknown: true, .. }) => {}
    }
    let questions = authz::approver_questions(&plan.spec);
    facts.right = Some(access::all_allowed(state, review.user(), questions).await?);
    match judge(&plan.spec, requirement, &facts, State::now()) {
        Ok(_) => Ok(facts),
        Err(NotCounted { reason, message, .. }) => Err(refusal(reason, &message)),
    }
}

/// A decision of somebody whom no entry of the requirement names would count for nothing.
fn needed(plan: &CommandPlan, requirement: &[Requirement], facts: &Facts) -> Result<(), Refusal> {
    if requirement.is_empty()
        || requirement
            .iter()
            .any(|entry| counts_for(entry, &plan.spec, facts))
    {
        return Ok(());
    }
    let who: Vec<String> = requirement.iter().map(describe).collect();
    let name = plan.metadata.name.as_deref().unwrap_or_default();
    Err(refusal(
        core_reason::NOT_ELIGIBLE,
        &format!(
            "plan {name} waits for other people: {}. Ask one of them",
            who.join("; and ")
        ),
    ))
}

fn describe(entry: &Requirement) -> String {
    let mut of = vec![];
    if !entry.groups.is_empty() {
        of.push(format!("members of {}", entry.groups.join(", ")));
    }
    if !entry.users.is_empty() {
        of.push(entry.users.join(", "));
    }
    let who = if of.is_empty() {
        "people with the right".to_owned()
    } else {
        of.join(" who are among ")
    };
    let signed = if entry.signature { ", signed" } else { "" };
    format!("{} of {who}{signed} (RiskPolicy {})", entry.count, entry.policy)
}

fn refusal(reason: &'static str, message: &str) -> Refusal {
    Refusal::forbidden(reason, format!("{NOT_RECORDED}: {message}"))
}
