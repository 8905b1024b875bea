//! CREATE Approval: who may decide on what. The judgement is the operator's own ([`judge`]); here the plan is read and
//! rights are asked of the API server, so that the person hears at once why a decision would not count.
//! **Invariant:** nobody is refused by a plan that was not read fresh, and nothing is asked twice for that: the plan is read
//! again, and judged again only if it is another by then.

use kube::Api;
use kubechat_core::decider::{Origin, decider, trusted_applier, untrusted};
use kubechat_core::lifecycle::approval::{Facts, NotCounted, Terms, breaks, counts_for, judge};
use kubechat_core::lifecycle::review as reviews;
use kubechat_core::sshsig::Keyring;
use kubechat_core::{authz, reason as core_reason, shown};
use kubechat_crds::command_plan::{Requirement, StepStatus};
use kubechat_crds::condition::is_finished;
use kubechat_crds::{
    ApprovalSpec, ApproverKey, CommandPlan, DecisionKind, Identity, Mode, PlanPhase, StepState, Via,
};

use crate::access::{self, Age};
use crate::early::Asked;
use crate::refusal::Refusal;
use crate::review::{Allowed, Review, Verdict, identity};
use crate::state::State;

const NOT_RECORDED: &str = "The Approval was not stored";

/// Judges a new decision.
pub(super) async fn create(state: &State, review: &Review) -> Verdict {
    let mut spec: ApprovalSpec = Review::typed(review.spec()?)?;
    let by = identity(review.user());
    if by.is_service_account() {
        return brought(state, review, &by);
    }
    if by.username.is_empty() || by.username.starts_with("system:") {
        return Err(refusal(
            core_reason::NOT_A_PERSON,
            &format!(
                "only people decide on plans, and {} is a service account or system user. Log in as a person",
                shown::identity(&by.username)
            ),
        ));
    }
    spec.submitted_by = Some(by);
    let plan = async {
        match waiting(state, review, &spec, Age::Recent).await {
            Err(refusal) if refusal.code != Refusal::UNAVAILABLE => {
                Ok((waiting(state, review, &spec, Age::Fresh).await?, Age::Fresh))
            }
            found => Ok::<_, Refusal>((found?, Age::Recent)),
        }
    };
    // At the same time; what is wrong with the plan is said first.
    let asked = async { Ok::<_, Refusal>(Asked::early(state, review, &spec.plan_digest).await) };
    let keys = async { Ok::<_, Refusal>(keys(state, &spec).await) };
    let ((plan, age), mut asked, keys) = futures::try_join!(plan, asked, keys)?;
    let keys = keys?;
    match judged(state, review, (&spec, &plan, &keys), &mut asked).await {
        Err(refusal) if refusal.code != Refusal::UNAVAILABLE && age == Age::Recent => {
            let fresh = waiting(state, review, &spec, Age::Fresh).await?;
            if same(&plan, &fresh) {
                return Err(refusal);
            }
            judged(state, review, (&spec, &fresh, &keys), &mut asked).await
        }
        verdict => verdict,
    }
}

/// Whether these are one state of one object, so that a judgement by the one is a judgement by the other.
fn same(one: &CommandPlan, other: &CommandPlan) -> bool {
    let version = |plan: &CommandPlan| (plan.metadata.uid.clone(), plan.metadata.resource_version.clone());
    one.metadata.resource_version.is_some() && version(one) == version(other)
}

/// The plan that the decision names, if it waits for such a decision. Of a recent one the spec is what is stored, for it never
/// changes, and a plan of the same name has another digest; what was done with it since is judged where the decision counts.
async fn waiting(
    state: &State,
    review: &Review,
    spec: &ApprovalSpec,
    age: Age,
) -> Result<CommandPlan, Refusal> {
    let plan = stored_plan(state, review.namespace(), spec, age).await?;
    if spec.decision != DecisionKind::Review {
        waits(&plan, spec.decision)?;
    }
    Ok(plan)
}

/// Judges by this plan. What is asked of the API server stays in `asked`.
async fn judged(
    state: &State,
    review: &Review,
    (spec, plan, keys): (&ApprovalSpec, &CommandPlan, &Keyring),
    asked: &mut Asked,
) -> Verdict {
    let by = identity(review.user());
    let policies = state.effective()?;
    let now = State::now();
    let origin = Origin {
        namespace: review.namespace(),
        policies: policies.as_ref(),
        keys,
        now,
    };
    let decider = decider(&plan.spec, spec, &by, &origin);
    let terms = Terms::of(&plan.spec, policies.as_ref(), now);
    let mut facts = Facts {
        refused: None,
        stands: None,
        name: review.name().to_owned(),
        uid: String::new(),
        spec: spec.clone(),
        created: now,
        sealed: true,
        decider,
        right: None,
    };
    // Who confirms his own plan needs no more than to create this very object, which the API server has just allowed.
    facts.right = facts.confirms_own(&plan.spec).then_some(Ok(()));
    let facts = with_right(state, review, plan, &terms, (facts, asked)).await?;
    if facts.spec.decision != DecisionKind::Review {
        needed(plan, &terms, &facts)?;
    }
    Ok(Allowed::default())
}

/// What a trusted applier brings is stored whatever it says, so that a sync never breaks for ever; the controller judges it
/// and says so in `Accepted`. The schema bounds it, and the API server its namespace.
fn brought(state: &State, review: &Review, by: &Identity) -> Verdict {
    let policies = state.policies()?;
    if trusted_applier(policies.iter().map(|p| &p.spec), by, review.namespace()) {
        return Ok(Allowed::default());
    }
    Err(refusal(
        core_reason::UNTRUSTED_APPLIER,
        &untrusted(by, review.namespace()),
    ))
}

/// All registered keys, where it is signed: whether a key is one person's only, only all of them say.
async fn keys(state: &State, spec: &ApprovalSpec) -> Result<Keyring, Refusal> {
    if spec.signature.is_none() {
        return Ok(Keyring::default());
    }
    let api: Api<ApproverKey> = Api::all(state.client.0.clone());
    Ok(Keyring::new(&access::list(&api).await?))
}

/// The plan, whatever its state.
async fn stored_plan(
    state: &State,
    namespace: &str,
    spec: &ApprovalSpec,
    age: Age,
) -> Result<CommandPlan, Refusal> {
    let name = &spec.plan_ref.name;
    let api: Api<CommandPlan> = Api::namespaced(state.client.0.clone(), namespace);
    access::get_of(&api, name, age).await?.ok_or_else(|| {
        refusal(
            core_reason::PLAN_NOT_FOUND,
            &format!(
                "there is no CommandPlan {name} in namespace {namespace}. kubectl get commandplans -n {namespace} lists them"
            ),
        )
    })
}

/// Whether the plan still takes this decision: while it waits any, while it is executed a Deny, which stops it.
fn waits(plan: &CommandPlan, decision: DecisionKind) -> Result<(), Refusal> {
    let name = plan.metadata.name.as_deref().unwrap_or_default();
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
        // Where all is done and only its effect is waited for, a Deny would stop nothing.
        let done = |s: &StepStatus| s.state == StepState::Done;
        if decision == DecisionKind::Deny && (status.steps.is_empty() || !status.steps.iter().all(done)) {
            return Ok(());
        }
        return no(
            core_reason::EXECUTING,
            format!(
                "plan {name} is being executed and takes no more approvals. To stop what is not yet sent: kubechat deny {name}, or kubechat cancel {name}"
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
    Ok(())
}

/// Judges without asking the API server where that suffices; else asks for the right in every touched namespace.
async fn with_right(
    state: &State,
    review: &Review,
    plan: &CommandPlan,
    terms: &Terms,
    (mut facts, asked): (Facts, &mut Asked),
) -> Result<Facts, Refusal> {
    let judged = |facts: &Facts| match facts.spec.decision {
        DecisionKind::Review => {
            let status = plan.status.clone().unwrap_or_default();
            reviews::judge(&plan.spec, &status, facts, State::now())
        }
        DecisionKind::Approve | DecisionKind::Deny => judge(&plan.spec, terms, facts, State::now()),
    };
    match judged(&facts) {
        Ok(Via::Self_ | Via::Direct | Via::GitOps | Via::BreakGlass) => return Ok(facts),
        Err(NotCounted {
            unknown: true,
            reason: core_reason::UNREACHABLE,
            ..
        }) => {}
        Err(NotCounted { reason, message, .. }) => return Err(refusal(reason, &message)),
    }
    let questions = authz::approver_questions(&plan.spec);
    facts.right = Some(asked.all(state, review.user(), questions).await?);
    match judged(&facts) {
        Ok(_) => Ok(facts),
        Err(NotCounted { reason, message, .. }) => Err(refusal(reason, &message)),
    }
}

/// A decision of somebody whom no entry of the requirement names would count for nothing.
fn needed(plan: &CommandPlan, terms: &Terms, facts: &Facts) -> Result<(), Refusal> {
    let requirement = &terms.requirement;
    let counts = |entry: &Requirement| counts_for(entry, &plan.spec, facts) || breaks(entry, terms, facts);
    if requirement.is_empty() || facts.spec.decision == DecisionKind::Deny || requirement.iter().any(counts) {
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
