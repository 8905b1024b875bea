//! Emergencies whose plans are gone before their review, as the log and the cluster show them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use kubechat_audit::{Actor, Draft, EventType, Outcome};
use kubechat_core::lifecycle::review;
use kubechat_core::reason;
use kubechat_crds::CommandPlan;
use serde_json::json;

use super::super::reference;
use super::look::{Looked, is_there, plan};
use crate::audit::about_plan;
use crate::context::Context;
use crate::error::Error;
use crate::metrics::GlassLabels;
use crate::past::{Emergencies, Emergency, REMOVED_UNREVIEWED, Removed};

/// What is believed of a plan being there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trusted {
    /// The cache, and the API server where that has none.
    Cache,
    /// The API server alone: the cache has not forgotten yet what the watch has just told of.
    Nothing,
}

/// Tells of emergencies whose plans were removed while no operator led, or otherwise unseen.
///
/// # Errors
/// When the log does not answer.
pub(super) async fn meanwhile(
    ctx: &Context,
    past: &Removed,
    known: &mut Emergencies,
    trusted: Trusted,
) -> Result<Looked, Error> {
    known.learn(&ctx.audit).await?;
    ctx.stores.ready().await?;
    let plans = match trusted {
        Trusted::Cache => ctx.stores.plans.state(),
        Trusted::Nothing => vec![],
    };
    let there: BTreeSet<String> = plans.iter().filter_map(|plan| plan.uid()).collect();
    let mut looked = Looked::default();
    for emergency in known.open() {
        if known.was_told(&emergency.plan) || there.contains(&emergency.plan) {
            continue;
        }
        // One that fails is tried again, and silences none of the others.
        match judged(ctx, past, &emergency).await {
            Ok(Fate::There) => {}
            Ok(Fate::UnderWay) => looked.waits = true,
            Ok(Fate::NeverBegun) => known.close(&emergency.plan),
            Ok(Fate::Told) => known.tell(&emergency.plan),
            Err(problem) => looked.failed(&emergency.plan, &emergency.name, problem),
        }
    }
    Ok(looked)
}

/// What became of an emergency that the log leaves open.
enum Fate {
    /// Its plan is there.
    There,
    /// What it began is perhaps not sent, and its end will say so.
    UnderWay,
    /// Its plan is gone and was never begun.
    NeverBegun,
    /// Its plan is gone, which is told by now.
    Told,
}

/// Looks at one emergency, and tells of it if its plan is gone.
async fn judged(ctx: &Context, past: &Removed, emergency: &Emergency) -> Result<Fate, Error> {
    let namespace = emergency.namespace.as_deref();
    // Of one whose namespace an earlier version did not record nothing is found.
    if namespace.is_some() && is_there(ctx, namespace, &emergency.name, &emergency.plan).await? {
        return Ok(Fate::There);
    }
    if past.is_under_way(namespace.unwrap_or_default(), &emergency.name) {
        return Ok(Fate::UnderWay);
    }
    let Some((draft, message)) = last_word(ctx, emergency).await? else {
        return Ok(Fate::NeverBegun);
    };
    let plan = plan(
        ctx,
        emergency.namespace.as_deref(),
        &emergency.name,
        &emergency.plan,
    );
    unreviewed(ctx, plan, message, draft).await?;
    Ok(Fate::Told)
}

/// What is to be told of an emergency whose plan is gone; `None` of one that was never begun, which needs no review.
async fn last_word(ctx: &Context, emergency: &Emergency) -> Result<Option<(Draft, String)>, Error> {
    let (who, ids, risk, message) = match ctx.audit.begun(&emergency.plan).await {
        Ok(Some(begun)) => (
            begun.actor,
            begun.ids,
            begun.risk,
            review::unreviewable(&emergency.name),
        ),
        Ok(None) => return Ok(None),
        // Something of its execution is on record, and not to be read: so it counts as begun.
        Err(Error::Audit(kubechat_audit::Error::Integrity { .. })) => (
            Actor::named("(unreadable)"),
            emergency.ids.clone(),
            None,
            review::unreadable(&emergency.name),
        ),
        Err(error) => return Err(error),
    };
    let mut draft = Draft::new(
        EventType::Approval,
        who,
        REMOVED_UNREVIEWED,
        Outcome::Denied,
        reason::REVIEW_OVERDUE,
    );
    draft.ids = ids;
    draft.ids.step_id = None;
    draft.risk = risk;
    draft.payload = json!({"removed": true, "unseen": true});
    Ok(Some((draft, message)))
}

/// An emergency that nobody can review any more, as far as that is told.
pub(super) struct Unreviewed {
    uid: Option<String>,
    plan: ObjectReference,
    message: String,
    draft: Draft,
}

impl Unreviewed {
    /// What is to be told of a removed plan; `None` where no review was to come.
    pub(super) fn of(plan: &CommandPlan) -> Option<Self> {
        let status = plan.status.as_ref()?;
        let message = review::removed(&plan.name_any(), status)?;
        let mut draft = about_plan(
            plan,
            EventType::Approval,
            REMOVED_UNREVIEWED,
            Outcome::Denied,
            reason::REVIEW_OVERDUE,
        );
        draft.payload = json!({"digest": plan.spec.digest, "removed": true, "approvals": status.approvals});
        Some(Self {
            uid: plan.uid(),
            plan: reference(plan),
            message,
            draft,
        })
    }

    /// UID of the plan.
    pub(super) fn uid(&self) -> &str {
        self.uid.as_deref().unwrap_or_default()
    }

    /// Name of the plan.
    pub(super) fn name(&self) -> &str {
        self.plan.name.as_deref().unwrap_or_default()
    }

    /// Tells it, as loudly as a review that does not come.
    ///
    /// # Errors
    /// When it is not recorded: worth trying again.
    pub(super) async fn tell(&self, ctx: &Context) -> Result<(), Error> {
        let (plan, message) = (self.plan.clone(), self.message.clone());
        unreviewed(ctx, plan, message, self.draft.clone()).await
    }
}

/// Recorded first: what is in the log is told once, and what is not is tried again.
async fn unreviewed(
    ctx: &Context,
    plan: ObjectReference,
    message: String,
    mut draft: Draft,
) -> Result<(), Error> {
    // The next leader finds it in the log.
    ctx.leadership.check()?;
    let what = reason::REVIEW_OVERDUE;
    draft.message.clone_from(&message);
    ctx.audit.record(draft).await?;
    ctx.metrics.break_glass.get_or_create(&GlassLabels { what }).inc();
    ctx.events.tell(plan, true, what, &message);
    Ok(())
}
