//! Approval: says whether a decision counts, and records it.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use kubechat_audit::{Actor, Draft, EventType, Outcome, Target};
use kubechat_core::lifecycle::approval::{NotCounted, judge, rests_on_policies};
use kubechat_core::lifecycle::chat_request::is_tracked;
use kubechat_core::lifecycle::decisions::recorded;
use kubechat_core::lifecycle::retention::{Retention, retention};
use kubechat_core::lifecycle::review;
use kubechat_core::policy::{Effective, PolicyProblem};
use kubechat_core::{reason, shown};
use kubechat_crds::condition::{find, is_finished, set, types};
use kubechat_crds::{Approval, ApprovalStatus, CommandPlan, DecisionKind, StepState, Via};

use super::{at, reference, resync, status};
use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;
use crate::execute::gather::{self, Bench};
use crate::metrics::GlassLabels;

/// Judges a decision until the judgement is final.
///
/// # Errors
/// What is worth trying again.
pub async fn reconcile(approval: Arc<Approval>, ctx: Arc<Context>) -> Result<Action, Error> {
    if approval.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let old = approval.status.clone().unwrap_or_default();
    if find(&old.conditions, types::ACCEPTED).is_some_and(|c| c.status != "Unknown") {
        return expire(&approval, &ctx).await;
    }
    // The judgement may be made and recorded while the cache does not show it yet; it is recorded once.
    let uid = approval.uid().unwrap_or_default();
    if ctx.handled.contains(&uid) {
        return Ok(resync());
    }
    let namespace = approval.namespace().unwrap_or_default();
    let reference = ObjectRef::new(&approval.spec.plan_ref.name).within(&namespace);
    let Some(plan) = find_plan(&ctx, &reference).await? else {
        let message = format!(
            "there is no plan {} in namespace {namespace} (yet); judged again when it appears",
            approval.spec.plan_ref.name
        );
        let unknown = NotCounted {
            reason: reason::PLAN_NOT_FOUND,
            message,
            unknown: true,
        };
        return report(&approval, &ctx, Err(unknown), None).await;
    };
    let counted = plan.status.as_ref().and_then(|s| s.approvals.as_ref());
    let verdict = match recorded(counted, &uid, approval.spec.decision) {
        Some(record) => Ok((record.via, record.username.clone())),
        None if approval.spec.decision != DecisionKind::Review
            && plan.status.as_ref().is_some_and(|s| is_finished(&s.conditions)) =>
        {
            Err(NotCounted::no(
                reason::PLAN_FINISHED,
                "the plan had ended when this was looked at, so it decides nothing",
            ))
        }
        // A Deny still stops the targets of a step that are not written yet.
        None if approval.spec.decision == DecisionKind::Approve && is_all_begun(&plan) => {
            Err(NotCounted::no(
                reason::PLAN_FINISHED,
                "every step of the plan had been begun when this was looked at, so it lets nothing go any more",
            ))
        }
        None => judged(&approval, &ctx, &plan).await?,
    };
    report(&approval, &ctx, verdict, Some(&plan)).await
}

/// Whether no step of a plan waits for anybody's word any more. On whose word the last one was begun stands in the status with it.
fn is_all_begun(plan: &CommandPlan) -> bool {
    let steps = plan
        .status
        .as_ref()
        .map(|s| s.steps.as_slice())
        .unwrap_or_default();
    let is_begun = |state| !matches!(state, StepState::Pending | StepState::Skipped);
    !steps.is_empty() && steps.iter().all(|step| is_begun(step.state))
}

/// Whether it counts, and for whom. Nobody is refused for good by policies that a cache holds: it may be behind.
async fn judged(
    approval: &Approval,
    ctx: &Context,
    plan: &CommandPlan,
) -> Result<Result<(Via, String), NotCounted>, Error> {
    let found = judged_by(approval, ctx, plan, ctx.policies()).await?;
    match &found {
        Err(no) if !no.unknown && rests_on_policies(no.reason) => {
            judged_by(approval, ctx, plan, gather::policies(ctx).await?).await
        }
        Ok(_) | Err(_) => Ok(found),
    }
}

async fn judged_by(
    approval: &Approval,
    ctx: &Context,
    plan: &CommandPlan,
    policies: Result<Effective, PolicyProblem>,
) -> Result<Result<(Via, String), NotCounted>, Error> {
    let namespace = approval.namespace().unwrap_or_default();
    let only = std::slice::from_ref(approval);
    let mut bench = Bench::open(ctx, &namespace, &plan.spec, policies.as_ref(), only).await?;
    let facts = bench.facts(approval).await?;
    let now = jiff::Timestamp::now();
    let via = match approval.spec.decision {
        DecisionKind::Review => {
            let status = plan.status.clone().unwrap_or_default();
            review::judge(&plan.spec, &status, &facts, now)
        }
        DecisionKind::Approve | DecisionKind::Deny => judge(&plan.spec, bench.terms(), &facts, now),
    };
    let verdict = via.map(|via| (via, facts.username().unwrap_or_default().to_owned()));
    match verdict {
        // Nobody is refused for good by a clock that is not the API server's.
        Err(no) if by_the_clock(&no) => Ok(Err(match ctx.admission.check(ctx).await {
            Ok(()) => no,
            Err(problem) => NotCounted {
                reason: problem.reason(),
                message: problem.to_string(),
                unknown: true,
            },
        })),
        verdict => Ok(verdict),
    }
}

/// Whether the time of day may have brought it.
fn by_the_clock(no: &NotCounted) -> bool {
    !no.unknown && [reason::EXPIRED, reason::KEY_NOT_VALID, reason::KEY_REVOKED].contains(&no.reason)
}

/// The plan from the cache, else as it is stored.
async fn find_plan(
    ctx: &Context,
    reference: &ObjectRef<CommandPlan>,
) -> Result<Option<Arc<CommandPlan>>, Error> {
    if let Some(plan) = ctx.stores.plans.get(reference) {
        return Ok(Some(plan));
    }
    let api: Api<CommandPlan> = Api::namespaced(
        ctx.client.clone(),
        reference.namespace.as_deref().unwrap_or_default(),
    );
    match call("read the plan", api.get(&reference.name)).await {
        Ok(plan) => Ok(Some(Arc::new(plan))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn report(
    approval: &Approval,
    ctx: &Context,
    verdict: Result<(Via, String), NotCounted>,
    plan: Option<&CommandPlan>,
) -> Result<Action, Error> {
    let by = approval.spec.submitted_by.clone().unwrap_or_default();
    let mut new = ApprovalStatus {
        observed_generation: approval.metadata.generation,
        ..approval.status.clone().unwrap_or_default()
    };
    let (word, why, message, final_) = match &verdict {
        Ok((via, person)) => {
            new.effective_approver = Some(person.clone());
            new.via = Some(*via);
            (
                "True",
                reason::ACCEPTED,
                format!("counts as the decision of {}", shown::identity(person)),
                true,
            )
        }
        Err(no) if no.unknown => ("Unknown", no.reason, no.message.clone(), false),
        Err(no) => ("False", no.reason, no.message.clone(), true),
    };
    if final_ {
        // Who brought it and who decided are two, where a trusted applier brought a signed decision.
        let actor = match &verdict {
            Ok((_, person)) if *person != by.username => Actor::named(person),
            Ok(_) | Err(_) if by.username.is_empty() => Actor::named("(unstamped)"),
            Ok(_) | Err(_) => crate::audit::actor(&by),
        };
        let verb = match approval.spec.decision {
            DecisionKind::Approve => "approve",
            DecisionKind::Deny => "deny",
            DecisionKind::Review => "review",
        };
        let outcome = if verdict.is_ok() {
            Outcome::Success
        } else {
            Outcome::Denied
        };
        // An emergency stands out in the log by its reason.
        let why = if new.via == Some(Via::BreakGlass) {
            reason::BREAK_GLASS
        } else {
            why
        };
        let mut draft = Draft::new(EventType::Approval, actor, verb, outcome, why);
        draft.ids.approval = approval.metadata.name.clone();
        draft.ids.plan = Some(approval.spec.plan_ref.name.clone());
        draft.ids.plan_digest = Some(approval.spec.plan_digest.clone());
        draft.ids.plan_uid = plan.and_then(|p| p.metadata.uid.clone());
        draft.target = plan.map(decided_on);
        draft.ids.request = plan.map(|p| p.spec.chat_request_ref.name.clone());
        draft.ids.request_uid = plan.map(|p| p.spec.chat_request_ref.uid.clone());
        draft.message.clone_from(&message);
        draft.payload = serde_json::json!({
            "digest": approval.spec.plan_digest, "reason": approval.spec.reason, "ticket": approval.spec.ticket,
            "submittedBy": by.username, "via": new.via, "signature": approval.spec.signature,
            "incident": approval.spec.break_glass.as_ref().map(|b| &b.incident),
        });
        ctx.audit.record(draft).await?;
    }
    let now = jiff::Timestamp::now();
    set(
        &mut new.conditions,
        types::ACCEPTED,
        word,
        why,
        message,
        approval.metadata.generation,
        now,
    );
    status::write(ctx, approval, approval.status.as_ref(), &new).await?;
    if final_ {
        ctx.metrics.end("Approval", why);
    }
    if let (Ok((Via::BreakGlass, person)), Some(plan)) = (&verdict, plan) {
        shout(approval, ctx, plan, person);
    }
    if final_ {
        ctx.handled.insert(&approval.uid().unwrap_or_default());
    }
    Ok(if final_ {
        resync()
    } else {
        Action::requeue(std::time::Duration::from_secs(30))
    })
}

/// The plan, as an entry of the log names it.
fn decided_on(plan: &CommandPlan) -> Target {
    Target {
        group: Some(kubechat_crds::GROUP.to_owned()),
        version: Some(kubechat_crds::VERSION.to_owned()),
        kind: Some("CommandPlan".to_owned()),
        namespace: plan.namespace(),
        name: Some(plan.name_any()),
        uid: plan.uid(),
    }
}

/// An emergency approval is heard of: Event and metric, beside the entry of the log.
fn shout(approval: &Approval, ctx: &Context, plan: &CommandPlan, person: &str) {
    let incident = approval
        .spec
        .break_glass
        .as_ref()
        .map(|b| shown::identity(&b.incident))
        .unwrap_or_default();
    let what = reason::BREAK_GLASS;
    ctx.metrics.break_glass.get_or_create(&GlassLabels { what }).inc();
    let note = format!(
        "{} approved by break-glass, incident {incident}. It must be reviewed afterwards: kubectl kubechat review {}",
        shown::identity(person),
        plan.name_any()
    );
    ctx.events.tell(reference(plan), true, what, &note);
}

/// Removes a decision long after its plan is gone. The plan's own deletion brings it back here.
async fn expire(approval: &Approval, ctx: &Context) -> Result<Action, Error> {
    let namespace = approval.namespace().unwrap_or_default();
    let reference = ObjectRef::new(&approval.spec.plan_ref.name).within(&namespace);
    let tracked = is_tracked(approval.labels(), approval.annotations());
    let there = tracked || find_plan(ctx, &reference).await?.is_some();
    let old = approval.status.clone().unwrap_or_default();
    let gone = old.plan_gone_since.as_ref().map(|t| t.0);
    let (since, action) = match retention(tracked, there, gone, jiff::Timestamp::now()) {
        Retention::Stays => (None, Action::await_change()),
        Retention::Until { since, end } => (Some(Time(since)), at(end)),
        Retention::Over => return remove(approval, ctx).await,
    };
    let new = ApprovalStatus {
        plan_gone_since: since,
        ..old.clone()
    };
    status::write(ctx, approval, Some(&old), &new).await?;
    Ok(action)
}

async fn remove(approval: &Approval, ctx: &Context) -> Result<Action, Error> {
    // Nothing is removed by a clock that is not the API server's.
    ctx.admission.check(ctx).await?;
    ctx.leadership.check()?;
    let api: Api<Approval> = Api::namespaced(ctx.client.clone(), &approval.namespace().unwrap_or_default());
    let params = kube::api::DeleteParams::default().preconditions(kube::api::Preconditions {
        uid: approval.uid(),
        resource_version: None,
    });
    match call(
        "remove an old approval",
        api.delete(&approval.name_any(), &params),
    )
    .await
    {
        Ok(_) => Ok(Action::await_change()),
        Err(error) if error.is_not_found() => Ok(Action::await_change()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "approval_retention_tests.rs"]
mod retention_tests;
#[cfg(test)]
#[path = "approval_tests.rs"]
mod tests;
