//! Reading everything anew before an execution: plan, turn, decisions and their authors' rights, policies.

use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use kubechat_core::authz::approver_questions;
use kubechat_core::lifecycle::approval::Facts;
use kubechat_core::lifecycle::command_plan::Observed;
use kubechat_core::policy::{Effective, PolicyProblem};
use kubechat_core::reason;
use kubechat_crds::condition::{find, types};
use kubechat_crds::{Approval, ChatRequest, CommandPlan, CommandPlanSpec, RiskPolicy};

use crate::cluster::access::{Subject, first_refused};
use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;

/// Decisions on one plan looked at; more cannot change the outcome of any sane requirement.
const MAX_APPROVALS: u32 = 500;

/// What the API server says now.
#[derive(Debug)]
pub struct Fresh {
    /// The plan.
    pub plan: CommandPlan,
    /// Decisions on it.
    pub approvals: Vec<Facts>,
    /// Policies.
    pub policies: Result<Effective, PolicyProblem>,
    /// The turn was withdrawn, or is gone or another one now.
    pub cancelled: bool,
    /// When the requester was stamped.
    pub stamped: Timestamp,
    /// `notAfter` of the turn.
    pub not_after: Option<Timestamp>,
    /// When this was read.
    pub now: Timestamp,
}

impl Fresh {
    /// As the decision takes it.
    #[must_use]
    pub fn observed(&self) -> Observed<'_> {
        Observed {
            name: self.plan.metadata.name.as_deref().unwrap_or_default(),
            namespace: self.plan.metadata.namespace.as_deref().unwrap_or_default(),
            plan: &self.plan.spec,
            approvals: &self.approvals,
            policies: self.policies.as_ref(),
            cancelled: self.cancelled,
            stamped: self.stamped,
            not_after: self.not_after,
            now: self.now,
        }
    }
}

/// Reads it all.
///
/// # Errors
/// When the API server does not answer; then nothing is executed.
pub async fn fresh(ctx: &Context, name: &str, namespace: &str) -> Result<Fresh, Error> {
    let plans: Api<CommandPlan> = Api::namespaced(ctx.client.clone(), namespace);
    let approvals: Api<Approval> = Api::namespaced(ctx.client.clone(), namespace);
    let policies: Api<RiskPolicy> = Api::all(ctx.client.clone());
    let of_plan = ListParams::default()
        .fields(&format!("spec.planRef.name={name}"))
        .limit(MAX_APPROVALS);
    let all = ListParams::default().limit(MAX_APPROVALS);
    let (plan, decisions, packs) = tokio::try_join!(
        call("read the plan", plans.get(name)),
        call("list approvals", approvals.list(&of_plan)),
        call("list policies", policies.list(&all)),
    )?;
    if [&decisions.metadata, &packs.metadata]
        .iter()
        .any(|m| m.continue_.as_ref().is_some_and(|c| !c.is_empty()))
    {
        return Err(Error::Dependency {
            reason: reason::LIMIT_EXCEEDED,
            message: format!(
                "more than {MAX_APPROVALS} Approvals of one plan, or RiskPolicies, are not judged; nothing is executed. Remove what is not needed"
            ),
        });
    }
    let request = turn(ctx, &plan, namespace).await?;
    let mut facts = vec![];
    let mut sorted = decisions.items;
    sorted.sort_by_key(ResourceExt::creation_timestamp);
    for approval in sorted {
        facts.push(judge_rights(ctx, &plan.spec, &approval).await?);
    }
    let same_turn = request
        .as_ref()
        .is_some_and(|r| r.metadata.uid.as_deref() == Some(plan.spec.chat_request_ref.uid.as_str()));
    let sealed = match &request {
        Some(r) => {
            ctx.sealed(
                "ChatRequest",
                "chatrequests",
                &r.metadata,
                &r.spec,
                r.spec.requester.as_ref(),
            )
            .await?
        }
        None => false,
    };
    let same_person = request
        .as_ref()
        .is_some_and(|r| r.spec.requester.as_ref() == Some(&plan.spec.requester));
    Ok(Fresh {
        cancelled: !same_turn
            || !sealed
            || !same_person
            || request
                .as_ref()
                .is_none_or(|r| r.spec.cancel || r.metadata.deletion_timestamp.is_some()),
        stamped: request
            .as_ref()
            .and_then(ResourceExt::creation_timestamp)
            .map_or(Timestamp::UNIX_EPOCH, |t| t.0),
        not_after: request
            .as_ref()
            .and_then(|r| r.spec.not_after.as_ref().map(|t| t.0)),
        policies: Effective::from_policies(&packs.items),
        approvals: facts,
        plan,
        now: Timestamp::now(),
    })
}

async fn turn(ctx: &Context, plan: &CommandPlan, namespace: &str) -> Result<Option<ChatRequest>, Error> {
    let requests: Api<ChatRequest> = Api::namespaced(ctx.client.clone(), namespace);
    match call("read the turn", requests.get(&plan.spec.chat_request_ref.name)).await {
        Ok(request) => Ok(Some(request)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A decision with its seal checked and its author's rights asked.
///
/// # Errors
/// When the API server does not answer.
pub async fn judge_rights(
    ctx: &Context,
    plan: &CommandPlanSpec,
    approval: &Approval,
) -> Result<Facts, Error> {
    let by = approval.spec.submitted_by.as_ref();
    let sealed = ctx
        .sealed("Approval", "approvals", &approval.metadata, &approval.spec, by)
        .await?;
    let right = match by {
        // The requester's own decision needs no verb; whether it counts is the policy's to say.
        Some(person) if sealed && person.username != plan.requester.username => {
            let questions = approver_questions(plan);
            let refused = first_refused(&ctx.client, &Subject::stamped(person), &questions).await?;
            Some(refused.map_or(Ok(()), |q| Err(q.describe())))
        }
        Some(_) | None => None,
    };
    let conditions = approval
        .status
        .as_ref()
        .map(|s| s.conditions.as_slice())
        .unwrap_or_default();
    let refused = find(conditions, types::ACCEPTED)
        .filter(|c| c.status == "False")
        .map(|c| c.message.clone());
    Ok(Facts {
        refused,
        name: approval.name_any(),
        spec: approval.spec.clone(),
        created: approval
            .creation_timestamp()
            .map_or(Timestamp::UNIX_EPOCH, |t| t.0),
        sealed: sealed && approval.metadata.deletion_timestamp.is_none(),
        right,
    })
}
