//! Plans that are removed, by whomever: what must still be told or kept in mind of them.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kubechat_audit::{EventType, Outcome};
use kubechat_core::lifecycle::review;
use kubechat_core::reason;
use kubechat_crds::CommandPlan;
use serde_json::json;
use tokio::sync::mpsc;

use super::reference;
use crate::audit::{Audit, about_plan};
use crate::context::Context;
use crate::error::Error;
use crate::metrics::GlassLabels;
use crate::past::Removed;

/// Removed plans that wait to be told of.
const MAX_WAITING: usize = 4_096;

/// Takes what the watches see leave.
#[derive(Clone)]
pub struct Leaving {
    queue: mpsc::Sender<Box<CommandPlan>>,
    /// What is kept in mind.
    pub(crate) past: Arc<Removed>,
}

/// What has left and was not told of yet.
pub struct Waiting(mpsc::Receiver<Box<CommandPlan>>);

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
    let past = Arc::new(Removed::read(audit, Timestamp::now()).await?);
    let (queue, waiting) = mpsc::channel(MAX_WAITING);
    Ok((Leaving { queue, past }, Waiting(waiting)))
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
    /// Tells of each, until the watches end.
    pub async fn tell(mut self, ctx: Arc<Context>) {
        while let Some(plan) = self.0.recv().await {
            plan_gone(&plan, &ctx).await;
        }
    }
}

/// An emergency that nobody can review any more is told, as loudly as a review that does not come.
pub(crate) async fn plan_gone(plan: &CommandPlan, ctx: &Context) {
    let Some(status) = &plan.status else { return };
    let Some(message) = review::removed(&plan.name_any(), status) else {
        return;
    };
    let what = reason::REVIEW_OVERDUE;
    ctx.metrics.break_glass.get_or_create(&GlassLabels { what }).inc();
    ctx.events.tell(reference(plan), true, what, &message);
    let mut draft = about_plan(plan, EventType::Approval, "review", Outcome::Denied, what);
    draft.message = message;
    draft.payload = json!({"digest": plan.spec.digest, "removed": true, "approvals": status.approvals});
    if let Err(problem) = ctx.audit.record(draft).await {
        tracing::error!(%problem, plan = %plan.name_any(), "the removal of a plan before its review was not recorded");
    }
}

#[cfg(test)]
#[path = "removed_tests.rs"]
mod tests;
