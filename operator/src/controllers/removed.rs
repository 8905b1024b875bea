//! Plans that are removed, by whomever: what must still be told or kept in mind of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Api, ResourceExt};
use kubechat_audit::{Draft, EventType, Outcome};
use kubechat_core::lifecycle::review;
use kubechat_core::reason;
use kubechat_crds::CommandPlan;
use serde_json::json;
use tokio::sync::mpsc;

use super::reference;
use crate::audit::{Audit, about_plan};
use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;
use crate::leader::LEASE;
use crate::metrics::GlassLabels;
use crate::past::{Emergency, REMOVED_UNREVIEWED, Removed, emergencies};

/// Removed plans that wait to be told of.
const MAX_WAITING: usize = 4_096;
/// Until what happened while nobody led is looked for again, where that could not be done.
const AGAIN: Duration = Duration::from_secs(5);

/// Takes what the watches see leave.
#[derive(Clone)]
pub struct Leaving {
    queue: mpsc::Sender<Box<CommandPlan>>,
    /// What is kept in mind.
    pub(crate) past: Arc<Removed>,
}

/// What has left and was not told of yet.
pub struct Waiting {
    queue: mpsc::Receiver<Box<CommandPlan>>,
    /// Entries of the last hour of the log that could not be read.
    unread: u64,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}

impl std::fmt::Debug for Leaving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leaving")
    }
}

/// The two ends, and in mind what the log tells of the last hour.
///
/// # Errors
/// When the log does not answer.
pub async fn begin(audit: &Audit) -> Result<(Leaving, Waiting), Error> {
    let (past, unread) = Removed::read(audit, Timestamp::now()).await?;
    let (past, (queue, waiting)) = (Arc::new(past), mpsc::channel(MAX_WAITING));
    let waiting = Waiting {
        queue: waiting,
        unread,
    };
    Ok((Leaving { queue, past }, waiting))
}

impl Leaving {
    /// A plan was removed. It is in mind before the cache forgets it: there is no moment in which it does not count.
    pub fn plan(&self, plan: &CommandPlan) {
        self.past.note(plan, Timestamp::now());
        if self.queue.try_send(Box::new(plan.clone())).is_err() {
            tracing::error!("too much is removed at once: of some of it nothing is told");
        }
    }
}

impl Waiting {
    /// Tells of what left while nobody led, and then of each that leaves, until the watches end.
    pub async fn tell(mut self, ctx: Arc<Context>) {
        if self.unread > 0 {
            let many = self.unread;
            let what = format!(
                "{many} entries of its last hour cannot be read or are not what was recorded, so what they tell of may count for less in the limits and the judgement of an hour"
            );
            damaged(&ctx, many, &what);
        }
        let told = loop {
            match meanwhile(&ctx).await {
                Ok(told) => break told,
                Err(Error::Audit(kubechat_audit::Error::Integrity { why })) => {
                    let what = format!(
                        "{why}, so it cannot be said which plans were removed before their review while no operator led"
                    );
                    damaged(&ctx, 1, &what);
                    break BTreeSet::new();
                }
                Err(problem) => {
                    tracing::warn!(%problem, "what was removed while no operator led is not known yet; trying again");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        while let Some(plan) = self.queue.recv().await {
            if !plan.uid().is_some_and(|uid| told.contains(&uid)) {
                plan_gone(&plan, &ctx).await;
            }
        }
    }
}

/// A part of the audit log is not as it was written: heard of as an Event on the operator's Lease and in the metrics.
fn damaged(ctx: &Context, many: u64, what: &str) {
    let note = format!(
        "the audit log is damaged: {what}. Execution goes on by what can be read. Keep a copy of the file, and find what was changed: kubechat audit verify"
    );
    tracing::error!("{note}");
    ctx.metrics.audit_unreadable.inc_by(many);
    let lease = ObjectReference {
        api_version: Some("coordination.k8s.io/v1".to_owned()),
        kind: Some("Lease".to_owned()),
        namespace: Some(ctx.namespace.clone()),
        name: Some(LEASE.to_owned()),
        ..ObjectReference::default()
    };
    ctx.events.tell(lease, true, reason::AUDIT_DAMAGED, &note);
}

/// Tells of emergencies whose plans were removed while no operator led, as the log and the cluster show it. Returns the UIDs
/// of those plans.
pub(crate) async fn meanwhile(ctx: &Context) -> Result<BTreeSet<String>, Error> {
    let open = emergencies(&ctx.audit).await?;
    ctx.stores.ready().await?;
    let plans = ctx.stores.plans.state();
    let there: BTreeSet<String> = plans.iter().filter_map(|plan| plan.uid()).collect();
    let mut told = BTreeSet::new();
    for emergency in open {
        if there.contains(&emergency.plan) || is_there(ctx, &emergency).await? {
            continue;
        }
        // What was never begun needs no review.
        let Some(begun) = ctx.audit.begun(&emergency.plan).await? else {
            continue;
        };
        let mut draft = Draft::new(
            EventType::Approval,
            begun.actor,
            REMOVED_UNREVIEWED,
            Outcome::Denied,
            reason::REVIEW_OVERDUE,
        );
        draft.ids = begun.ids;
        draft.ids.step_id = None;
        draft.risk = begun.risk;
        draft.payload = json!({"removed": true, "unseen": true});
        let plan = ObjectReference {
            api_version: Some(format!("{}/{}", kubechat_crds::GROUP, kubechat_crds::VERSION)),
            kind: Some("CommandPlan".to_owned()),
            namespace: Some(emergency.namespace.unwrap_or_else(|| ctx.namespace.clone())),
            name: Some(emergency.name.clone()),
            uid: Some(emergency.plan.clone()),
            ..ObjectReference::default()
        };
        unreviewed(ctx, plan, review::unreviewable(&emergency.name), draft).await?;
        told.insert(emergency.plan);
    }
    Ok(told)
}

/// Whether the API server has the plan, also where the cache leaves it out because it cannot be read.
async fn is_there(ctx: &Context, emergency: &Emergency) -> Result<bool, Error> {
    let Some(namespace) = &emergency.namespace else {
        return Ok(false);
    };
    let api: Api<CommandPlan> = Api::namespaced(ctx.client.clone(), namespace);
    match call("read the plan", api.get_metadata(&emergency.name)).await {
        Ok(found) => Ok(found.metadata.uid.as_ref() == Some(&emergency.plan)),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// An emergency that nobody can review any more is told, as loudly as a review that does not come.
pub(crate) async fn plan_gone(plan: &CommandPlan, ctx: &Context) {
    let Some(status) = &plan.status else { return };
    let Some(message) = review::removed(&plan.name_any(), status) else {
        return;
    };
    let mut draft = about_plan(
        plan,
        EventType::Approval,
        REMOVED_UNREVIEWED,
        Outcome::Denied,
        reason::REVIEW_OVERDUE,
    );
    draft.payload = json!({"digest": plan.spec.digest, "removed": true, "approvals": status.approvals});
    if let Err(problem) = unreviewed(ctx, reference(plan), message, draft).await {
        tracing::error!(%problem, plan = %plan.name_any(), "the removal of a plan before its review was not recorded; the next leader finds it in the log");
    }
}

/// Recorded first: what is in the log is told once.
async fn unreviewed(
    ctx: &Context,
    plan: ObjectReference,
    message: String,
    mut draft: Draft,
) -> Result<(), Error> {
    let what = reason::REVIEW_OVERDUE;
    draft.message.clone_from(&message);
    let recorded = ctx.audit.record(draft).await;
    ctx.metrics.break_glass.get_or_create(&GlassLabels { what }).inc();
    ctx.events.tell(plan, true, what, &message);
    recorded.map(drop)
}

#[cfg(test)]
#[path = "removed_tests.rs"]
mod tests;
