//! Reading everything anew before an execution: plan, turn, decisions and their authors' rights, policies.

use std::sync::Arc;

use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use kubechat_core::holders::Holders;
use kubechat_core::lifecycle::approval::Facts;
use kubechat_core::lifecycle::brakes::Shown;
use kubechat_core::lifecycle::command_plan::{Observed, Withdrawn};
use kubechat_core::policy::{Effective, PolicyProblem};
use kubechat_crds::{Approval, ChatRequest, CommandPlan, RiskPolicy};

use super::brakes::Before;
use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;

mod decisions;
pub(super) mod namespaces;

pub use decisions::Bench;
use decisions::{read_all, read_decisions};

/// What the API server says now.
#[derive(Debug)]
pub struct Fresh {
    /// The plan.
    pub plan: CommandPlan,
    /// Decisions on it.
    pub approvals: Vec<Facts>,
    /// Policies.
    pub policies: Result<Effective, PolicyProblem>,
    /// Who holds the approve verbs, to name whom to ask; nothing is decided by it.
    pub holders: Option<Arc<Holders>>,
    /// Why the turn does not ask for it any more, if it does not.
    pub withdrawn: Option<Withdrawn>,
    /// When the requester was stamped.
    pub stamped: Timestamp,
    /// `notAfter` of the turn.
    pub not_after: Option<Timestamp>,
    /// What of it the caches held before it was read.
    pub shown: Shown,
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
            holders: self.holders.as_deref(),
            withdrawn: self.withdrawn,
            stamped: self.stamped,
            planned: self
                .plan
                .creation_timestamp()
                .map_or(Timestamp::UNIX_EPOCH, |t| t.0),
            not_after: self.not_after,
            now: self.now,
        }
    }
}

/// The policies as they are stored, together.
///
/// # Errors
/// When the API server does not answer.
pub(crate) async fn policies(ctx: &Context) -> Result<Result<Effective, PolicyProblem>, Error> {
    let api: Api<RiskPolicy> = Api::all(ctx.client.clone());
    let packs = read_all("list RiskPolicies", &api, ListParams::default()).await?;
    Ok(Effective::from_policies(&packs))
}

/// Reads it all.
///
/// # Errors
/// When the API server does not answer; then nothing is executed.
pub async fn fresh(ctx: &Context, name: &str, namespace: &str) -> Result<Fresh, Error> {
    let plans: Api<CommandPlan> = Api::namespaced(ctx.client.clone(), namespace);
    let approvals: Api<Approval> = Api::namespaced(ctx.client.clone(), namespace);
    let before = Before::look(ctx, namespace, name);
    let (plan, mut decisions, policies) = tokio::try_join!(
        call("read the plan", plans.get(name)),
        read_decisions(&approvals, name),
        policies(ctx),
    )?;
    let shown = before.shown(ctx, &plan);
    let request = turn(ctx, &plan, namespace).await?;
    decisions.sort_by_key(ResourceExt::creation_timestamp);
    let mut bench = Bench::open(ctx, namespace, &plan.spec, policies.as_ref(), &decisions).await?;
    let mut facts = vec![];
    for approval in &decisions {
        facts.push(bench.facts(approval).await?);
    }
    let withdrawn = withdrawn(ctx, &plan, request.as_ref()).await?;
    Ok(Fresh {
        withdrawn,
        stamped: request
            .as_ref()
            .and_then(ResourceExt::creation_timestamp)
            .map_or(Timestamp::UNIX_EPOCH, |t| t.0),
        not_after: request
            .as_ref()
            .and_then(|r| r.spec.not_after.as_ref().map(|t| t.0)),
        policies,
        holders: ctx.holders.now(),
        approvals: facts,
        shown,
        plan,
        now: Timestamp::now(),
    })
}

/// Whether the turn still asks for the plan, and if not, why not.
async fn withdrawn(
    ctx: &Context,
    plan: &CommandPlan,
    request: Option<&ChatRequest>,
) -> Result<Option<Withdrawn>, Error> {
    let same = |r: &&ChatRequest| r.metadata.uid.as_deref() == Some(plan.spec.chat_request_ref.uid.as_str());
    let Some(turn) = request
        .filter(same)
        .filter(|r| r.metadata.deletion_timestamp.is_none())
    else {
        return Ok(Some(Withdrawn::TurnGone));
    };
    let by = turn.spec.requester.as_ref();
    let sealed = ctx
        .sealed("ChatRequest", "chatrequests", &turn.metadata, &turn.spec, by)
        .await?;
    Ok(if !sealed {
        Some(Withdrawn::Untrusted)
    } else if by != Some(&plan.spec.requester) {
        Some(Withdrawn::AnotherRequester)
    } else if turn.spec.cancel {
        Some(Withdrawn::Cancelled)
    } else {
        None
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
