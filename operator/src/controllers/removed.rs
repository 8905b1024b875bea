//! Plans that are removed, by whomever: what must still be told or kept in mind of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Api, ResourceExt};
use kubechat_audit::{Actor, Draft, EventType, Outcome};
use kubechat_core::lifecycle::review;
use kubechat_core::reason;
use kubechat_crds::CommandPlan;
use kubechat_crds::condition::is_finished;
use serde_json::json;
use tokio::sync::mpsc;

use super::reference;
use crate::audit::{Audit, about_plan};
use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;
use crate::execute;
use crate::leader::LEASE;
use crate::metrics::GlassLabels;
use crate::past::{Emergencies, Emergency, REMOVED_UNREVIEWED, Removed, says_begun};

/// Removals that wait to be told of. What finds no room is looked for in the log.
const MAX_WAITING: usize = 256;
/// Until what happened while nobody led is looked for again, where that could not be done.
const AGAIN: Duration = Duration::from_secs(5);

/// What is to be done about a removal.
enum Left {
    /// It is told.
    Unreviewed(Box<Unreviewed>),
    /// The log is asked what was removed unreviewed.
    Unsaid,
    /// It was begun and had not ended.
    Midway(Box<CommandPlan>),
}

/// Takes what the watches see leave.
#[derive(Clone)]
pub struct Leaving {
    queue: mpsc::Sender<Left>,
    /// Something found no room.
    missed: Arc<AtomicBool>,
    /// What is kept in mind.
    pub(crate) past: Arc<Removed>,
}

/// What has left and was not told of yet.
pub struct Waiting {
    queue: mpsc::Receiver<Left>,
    missed: Arc<AtomicBool>,
    /// What is kept in mind.
    past: Arc<Removed>,
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
    let missed: Arc<AtomicBool> = Arc::default();
    let waiting = Waiting {
        queue: waiting,
        missed: Arc::clone(&missed),
        past: Arc::clone(&past),
        unread,
    };
    Ok((Leaving { queue, missed, past }, waiting))
}

impl Leaving {
    /// A plan was removed. It is in mind before the cache forgets it: there is no moment in which it does not count.
    pub fn plan(&self, plan: &CommandPlan) {
        let begun = self.past.note(plan, Timestamp::now());
        match Unreviewed::of(plan) {
            Some(unreviewed) => self.leave(Left::Unreviewed(Box::new(unreviewed))),
            // Its status did not get to say what was begun, nor on whose word; or that is being found out at this moment.
            None if begun && !says_begun(plan) => self.leave(Left::Unsaid),
            None => {}
        }
        let ended = plan.status.as_ref().is_some_and(|s| is_finished(&s.conditions));
        if begun && !ended {
            self.leave(Left::Midway(Box::new(plan.clone())));
        }
    }

    /// A plan was removed that could not be read: only the log tells what became of it.
    pub fn unread(&self) {
        self.leave(Left::Unsaid);
    }

    fn leave(&self, left: Left) {
        if self.queue.try_send(left).is_err() {
            self.missed.store(true, Ordering::SeqCst);
            tracing::error!(
                "more than {MAX_WAITING} removed plans wait to be told of; the others are looked for in the audit log"
            );
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
        let (past, mut known) = (Arc::clone(&self.past), Emergencies::default());
        let mut waits = look(&ctx, &past, &mut known, Trusted::Cache).await;
        let mut midway: Vec<Box<CommandPlan>> = vec![];
        loop {
            let left = tokio::select! {
                left = self.queue.recv() => Some(left),
                () = past.one_ended(), if waits || !midway.is_empty() => None,
            };
            let over = matches!(left, Some(None));
            let unsaid = match left {
                Some(None) => false,
                Some(Some(Left::Unreviewed(one))) => {
                    let uid = one.uid.as_deref().unwrap_or_default();
                    !is_settled(&ctx, &mut known, uid).await && !one.tell(&ctx).await
                }
                Some(Some(Left::Unsaid)) => true,
                Some(Some(Left::Midway(plan))) => {
                    midway.push(plan);
                    false
                }
                None => waits,
            };
            // Of one that is under way the log says the rest when it is no more.
            for plan in midway.extract_if(.., |plan| !is_under_way(&past, plan)) {
                abandon(&ctx, &plan).await;
            }
            if over {
                return;
            }
            let missed = self.queue.is_empty() && self.missed.swap(false, Ordering::SeqCst);
            if unsaid || missed {
                waits = look(&ctx, &past, &mut known, Trusted::Nothing).await;
            }
        }
    }
}

fn is_under_way(past: &Removed, plan: &CommandPlan) -> bool {
    past.is_under_way(&plan.namespace().unwrap_or_default(), &plan.name_any())
}

/// Whether the removal of this plan was told, or its review is on record, which its status did not get to say.
async fn is_settled(ctx: &Context, known: &mut Emergencies, plan: &str) -> bool {
    if let Err(problem) = known.learn(&ctx.audit).await {
        tracing::warn!(%problem, "whether a removed plan was reviewed is not known, so it counts as not reviewed");
    }
    known.was_told(plan) || known.was_reviewed(plan)
}

/// What is believed of a plan being there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trusted {
    /// The cache, and the API server where that has none.
    Cache,
    /// The API server alone: the cache has not forgotten yet what the watch has just told of.
    Nothing,
}

/// As [`meanwhile`], until it is known.
async fn look(ctx: &Context, past: &Removed, known: &mut Emergencies, trusted: Trusted) -> bool {
    loop {
        let looked = meanwhile(ctx, past, known, trusted).await;
        let unread = known.unread();
        if unread > 0 {
            let what = format!(
                "{unread} entries cannot be read, so decisions or reviews may be among them that are not known: of plans executed by break-glass it cannot be said for sure which were removed before their review"
            );
            damaged(ctx, unread, &what);
        }
        match looked {
            Ok(waits) => return waits,
            Err(Error::Audit(kubechat_audit::Error::Integrity { why })) => {
                let what = format!(
                    "{why}, so it cannot be said which plans were removed before their review while nobody saw it"
                );
                damaged(ctx, 1, &what);
                return false;
            }
            Err(problem) => {
                tracing::warn!(%problem, "what was removed while nobody saw it is not known yet; trying again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Says that a plan is gone that was begun, until it is said. Whoever executes it at this moment may have said so.
async fn abandon(ctx: &Context, plan: &CommandPlan) {
    loop {
        match execute::abandoned(ctx, plan).await {
            Ok(()) => return,
            Err(Error::Audit(kubechat_audit::Error::Integrity { why })) => {
                let what = format!(
                    "{why}, so it is not told what became of plan {}, which was removed while it was executed",
                    plan.name_any()
                );
                return damaged(ctx, 1, &what);
            }
            Err(problem) => {
                tracing::warn!(%problem, "the removal of a plan under way is not recorded yet; trying again");
                tokio::time::sleep(AGAIN).await;
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

/// Tells of emergencies whose plans were removed while no operator led, or otherwise unseen, as the log and the cluster show
/// it. Returns whether one of them is under way yet, so that the log does not say all of it.
pub(crate) async fn meanwhile(
    ctx: &Context,
    past: &Removed,
    known: &mut Emergencies,
    trusted: Trusted,
) -> Result<bool, Error> {
    known.learn(&ctx.audit).await?;
    ctx.stores.ready().await?;
    let plans = match trusted {
        Trusted::Cache => ctx.stores.plans.state(),
        Trusted::Nothing => vec![],
    };
    let there: BTreeSet<String> = plans.iter().filter_map(|plan| plan.uid()).collect();
    let (mut waits, mut failed) = (false, None);
    for emergency in known.open() {
        if known.was_told(&emergency.plan) || there.contains(&emergency.plan) {
            continue;
        }
        // One that fails is tried again, and silences none of the others.
        match judged(ctx, past, &emergency).await {
            Ok(Fate::There) => {}
            Ok(Fate::UnderWay) => waits = true,
            Ok(Fate::NeverBegun) => known.close(&emergency.plan),
            Ok(Fate::Told) => known.tell(&emergency.plan),
            Err(problem) => failed = failed.or(Some(problem)),
        }
    }
    failed.map_or(Ok(waits), Err)
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
    if is_there(ctx, emergency).await? {
        return Ok(Fate::There);
    }
    let namespace = emergency.namespace.as_deref().unwrap_or_default();
    if past.is_under_way(namespace, &emergency.name) {
        return Ok(Fate::UnderWay);
    }
    let Some((draft, message)) = last_word(ctx, emergency).await? else {
        return Ok(Fate::NeverBegun);
    };
    let plan = ObjectReference {
        api_version: Some(format!("{}/{}", kubechat_crds::GROUP, kubechat_crds::VERSION)),
        kind: Some("CommandPlan".to_owned()),
        namespace: Some(
            emergency
                .namespace
                .clone()
                .unwrap_or_else(|| ctx.namespace.clone()),
        ),
        name: Some(emergency.name.clone()),
        uid: Some(emergency.plan.clone()),
        ..ObjectReference::default()
    };
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

/// An emergency that nobody can review any more, as far as that is told.
struct Unreviewed {
    uid: Option<String>,
    plan: ObjectReference,
    message: String,
    draft: Draft,
}

impl Unreviewed {
    /// What is to be told of a removed plan; `None` where no review was to come.
    fn of(plan: &CommandPlan) -> Option<Self> {
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

    /// Tells it, as loudly as a review that does not come. Returns whether it is recorded.
    async fn tell(self, ctx: &Context) -> bool {
        let name = self.plan.name.clone().unwrap_or_default();
        let told = unreviewed(ctx, self.plan, self.message, self.draft).await;
        if let Err(problem) = &told {
            tracing::error!(%problem, plan = %name, "the removal of a plan before its review was not recorded; it is looked for in the log");
        }
        told.is_ok()
    }
}

/// Recorded first: what is in the log is told once, and what is not is tried again.
async fn unreviewed(
    ctx: &Context,
    plan: ObjectReference,
    message: String,
    mut draft: Draft,
) -> Result<(), Error> {
    let what = reason::REVIEW_OVERDUE;
    draft.message.clone_from(&message);
    ctx.audit.record(draft).await?;
    ctx.metrics.break_glass.get_or_create(&GlassLabels { what }).inc();
    ctx.events.tell(plan, true, what, &message);
    Ok(())
}

#[cfg(test)]
#[path = "removed_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "removed_midway_tests.rs"]
mod midway_tests;
