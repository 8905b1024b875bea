//! What people changed by plans that are removed: a turn that its author deletes takes its plan along, but not what was done.
//!
//! Kept in memory for the hour that limits and judgements look back; at the start it is read from the audit log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kubechat_audit::{Entry, EventType, Outcome};
use kubechat_core::reason;
use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::intent::Action;
use kubechat_crds::{CommandPlan, Mode, PlanPhase, StepState};
use serde_json::Value;

use crate::audit::Audit;
use crate::error::Error;
use crate::execute::did_something;

/// How far back a person's changes are added up.
pub const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// Plans of a person that are kept in mind one by one; those beyond are added up.
const MAX_KEPT: usize = 1_000;
/// Reason of the entry that tells of a plan that was made.
pub const PLAN_MADE: &str = "PlanMade";

/// An object: group, kind, namespace, name.
pub type Object = (String, String, Option<String>, String);

/// One plan, as far as it is added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// UID of the plan.
    pub plan: String,
    /// UID of its turn.
    pub turn: String,
    /// Who asked.
    pub username: String,
    /// When it was made; absent counts as just now.
    pub made: Option<Timestamp>,
    /// It changed something, or still may.
    pub effect: bool,
    /// What it changes.
    pub changed: BTreeSet<Object>,
    /// What it removes, by UID: the same name made and removed again and again is removed as often.
    pub deleted: BTreeSet<(Object, Option<String>)>,
    /// What it stands for, where it is no plan but many that found no room.
    pub many: Option<Many>,
}

/// Plans that are added up. An object that several of them change counts as often: rather too much than too little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Many {
    /// All of them.
    pub plans: usize,
    /// Those that changed something, or still may.
    pub effects: usize,
    /// Objects that those change.
    pub changed: usize,
    /// Objects that those remove.
    pub deleted: usize,
}

impl Many {
    /// And those.
    pub fn add(&mut self, other: Self) {
        self.plans = self.plans.saturating_add(other.plans);
        self.effects = self.effects.saturating_add(other.effects);
        self.changed = self.changed.saturating_add(other.changed);
        self.deleted = self.deleted.saturating_add(other.deleted);
    }
}

impl Past {
    /// A plan that is there.
    #[must_use]
    pub fn of(plan: &CommandPlan) -> Self {
        let mut past = Self {
            plan: plan.uid().unwrap_or_default(),
            turn: plan.spec.chat_request_ref.uid.clone(),
            username: plan.spec.requester.username.clone(),
            made: plan.creation_timestamp().map(|t| t.0),
            effect: may_have_effect(plan),
            ..Self::default()
        };
        for step in &plan.spec.steps {
            for target in &step.targets {
                past.touches(object(target), target.uid.clone(), step.effect == Effect::Delete);
            }
        }
        past
    }

    /// A plan that is being removed: what it did not begin, it never will.
    fn removed(plan: &CommandPlan) -> Self {
        Self {
            effect: says_begun(plan),
            ..Self::of(plan)
        }
    }

    /// What it adds up to.
    #[must_use]
    pub fn sum(&self) -> Many {
        let of = |set: usize| if self.effect { set } else { 0 };
        self.many.unwrap_or(Many {
            plans: 1,
            effects: of(1),
            changed: of(self.changed.len()),
            deleted: of(self.deleted.len()),
        })
    }

    fn touches(&mut self, object: Object, uid: Option<String>, removes: bool) {
        if removes {
            self.deleted.insert((object.clone(), uid));
        }
        self.changed.insert(object);
    }
}

/// Whether a plan's status says that a step of it was begun.
#[must_use]
pub fn says_begun(plan: &CommandPlan) -> bool {
    let untouched = |s: StepState| matches!(s, StepState::Pending | StepState::Skipped);
    let mut steps = plan.status.iter().flat_map(|s| &s.steps);
    steps.any(|s| !untouched(s.state))
}

fn object(target: &Target) -> Object {
    (
        target.group.clone(),
        target.kind.clone(),
        target.namespace.clone(),
        target.name.clone(),
    )
}

/// Whether a plan changed something, or still may: one that ended before its first step does not count.
fn may_have_effect(plan: &CommandPlan) -> bool {
    let Some(status) = &plan.status else {
        return plan.spec.mode != Mode::PlanOnly;
    };
    match status.phase {
        Some(PlanPhase::PlanOnly) => false,
        Some(
            PlanPhase::Failed
            | PlanPhase::Denied
            | PlanPhase::Blocked
            | PlanPhase::Expired
            | PlanPhase::Cancelled
            | PlanPhase::Stale
            | PlanPhase::Interrupted,
        ) => status.steps.iter().any(did_something),
        Some(
            PlanPhase::AwaitingApproval | PlanPhase::Approved | PlanPhase::Executing | PlanPhase::Succeeded,
        )
        | None => plan.spec.mode != Mode::PlanOnly,
    }
}

/// Plans that were removed within the hour, by requester.
#[derive(Debug, Default)]
pub struct Removed(Mutex<HashMap<String, Vec<Past>>>);

impl Removed {
    /// What the log tells of the last hour, page by page: at the start of a leader, who saw none of it. What of the log
    /// cannot be read, or is not what was recorded, is counted and keeps nobody from leading.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn read(audit: &Audit, now: Timestamp) -> Result<(Self, u64), Error> {
        let since = now.checked_sub(WINDOW).unwrap_or(Timestamp::MIN);
        let mut plans: HashMap<String, Past> = HashMap::new();
        let (mut end, mut unread) = (None, 0);
        loop {
            let page = audit.page(end).await?;
            unread += page.unread;
            for entry in page.entries.iter().filter(|entry| entry.time >= since) {
                let payload = if is_intent(entry) {
                    payload_of(audit, entry).await?
                } else {
                    Some(Value::Null)
                };
                unread += u64::from(payload.is_none());
                // Without it, the entry itself names one of its targets.
                read(&mut plans, entry, &payload.unwrap_or_default());
            }
            let reached = page.entries.first().is_some_and(|first| first.time < since);
            end = page.next.filter(|_| !reached);
            if end.is_none() {
                break;
            }
        }
        let all = Self::default();
        for past in plans.into_values() {
            all.keep(past, now);
        }
        Ok((all, unread))
    }

    /// Keeps a plan in mind that is begun: whoever removes it before its status says so does not undo what it does.
    pub fn begun(&self, plan: &CommandPlan, now: Timestamp) {
        let begun = Past {
            effect: true,
            ..Past::of(plan)
        };
        self.keep(begun, now);
    }

    /// Keeps a plan in mind that is being removed. Returns whether it was begun, by its status or by what is in mind of it.
    pub fn note(&self, plan: &CommandPlan, now: Timestamp) -> bool {
        self.keep(Past::removed(plan), now)
    }

    fn keep(&self, mut past: Past, now: Timestamp) -> bool {
        // What was made at no time would be of this hour for ever.
        past.made.get_or_insert(now);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, plans| {
            plans.retain(|p| is_recent(p, now));
            !plans.is_empty()
        });
        let plans = all.entry(past.username.clone()).or_default();
        // The log and the watch may both tell of it: what either saw begun, began.
        plans.retain(|p| {
            let same = p.plan == past.plan;
            past.effect |= same && p.effect;
            !same
        });
        let begun = past.effect;
        if is_recent(&past, now) {
            push(plans, past);
        }
        begun
    }

    /// The plans of a person within the hour: those that are there and those that were removed, each once.
    #[must_use]
    pub fn with<'a>(
        &self,
        there: impl Iterator<Item = &'a CommandPlan>,
        username: &str,
        now: Timestamp,
    ) -> Vec<Past> {
        let mine = there.filter(|p| p.spec.requester.username == username);
        let mut found: Vec<Past> = mine.map(Past::of).filter(|p| is_recent(p, now)).collect();
        let known: BTreeSet<String> = found.iter().map(|p| p.plan.clone()).collect();
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let removed = all.get(username).into_iter().flatten();
        found.extend(
            removed
                .filter(|p| is_recent(p, now) && (p.many.is_some() || !known.contains(&p.plan)))
                .cloned(),
        );
        found
    }
}

/// Adds a plan to those of its person. Where they are too many, it is added up with the others that were: it counts for as
/// long as the newest of them.
fn push(plans: &mut Vec<Past>, past: Past) {
    if plans.iter().filter(|p| p.many.is_none()).count() < MAX_KEPT {
        plans.push(past);
        return;
    }
    let sum = past.sum();
    match plans
        .iter_mut()
        .find_map(|p| Some((&mut p.made, p.many.as_mut()?)))
    {
        Some((made, many)) => {
            many.add(sum);
            *made = (*made).max(past.made);
        }
        None => plans.push(Past {
            username: past.username,
            made: past.made,
            effect: true,
            many: Some(sum),
            ..Past::default()
        }),
    }
}

fn is_recent(past: &Past, now: Timestamp) -> bool {
    let since = now.checked_sub(WINDOW).unwrap_or(Timestamp::MIN);
    past.made.is_none_or(|made| made > since)
}

fn is_intent(entry: &Entry) -> bool {
    entry.event_type == EventType::CommandExecution && entry.outcome == Outcome::Intent
}

/// The payload of an entry; `None` when it is not what was recorded.
async fn payload_of(audit: &Audit, entry: &Entry) -> Result<Option<Value>, Error> {
    match audit.payload(entry.seq).await {
        Ok(payload) => Ok(Some(payload)),
        Err(Error::Audit(kubechat_audit::Error::Integrity { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Adds what one entry tells of a plan.
fn read(plans: &mut HashMap<String, Past>, entry: &Entry, payload: &Value) {
    let made = entry.event_type == EventType::CommandGeneration && entry.reason == PLAN_MADE;
    let Some(uid) = entry.ids.plan_uid.clone().filter(|_| made || is_intent(entry)) else {
        return;
    };
    let past = plans.entry(uid.clone()).or_insert_with(|| Past {
        plan: uid,
        turn: entry.ids.request_uid.clone().unwrap_or_default(),
        username: entry.actor.username.clone(),
        made: Some(entry.time),
        ..Past::default()
    });
    // The newest entries are read first.
    past.made = past.made.min(Some(entry.time));
    if !is_intent(entry) {
        return;
    }
    past.effect = true;
    let Some(first) = &entry.target else { return };
    let group = first.group.clone().unwrap_or_default();
    let removes = entry.verb == Action::Delete.as_str();
    let mut touch = |kind: Option<&str>, namespace: Option<&str>, name: Option<&str>, uid: Option<&str>| {
        let object = (
            group.clone(),
            kind.unwrap_or_default().to_owned(),
            namespace.map(str::to_owned),
            name.unwrap_or_default().to_owned(),
        );
        past.touches(object, uid.map(str::to_owned), removes);
    };
    let listed = payload.pointer("/targets").and_then(Value::as_array);
    match listed.filter(|targets| !targets.is_empty()) {
        Some(targets) => {
            for target in targets {
                let text = |key: &str| target.get(key).and_then(Value::as_str);
                touch(text("kind"), text("namespace"), text("name"), text("uid"));
            }
        }
        // Where an AuditPolicy leaves the payload out, the entry itself names one.
        None => touch(
            first.kind.as_deref(),
            first.namespace.as_deref(),
            first.name.as_deref(),
            first.uid.as_deref(),
        ),
    }
}

/// A plan that somebody approved in an emergency and that, by the log, nobody has reviewed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emergency {
    /// UID of the plan.
    pub plan: String,
    /// Its name.
    pub name: String,
    /// Its namespace, where the entry tells it.
    pub namespace: Option<String>,
}

/// Verb of the entry that tells of a plan that was removed before its review.
pub const REMOVED_UNREVIEWED: &str = "remove";

/// The emergencies that the log leaves open: neither reviewed nor told as removed before their review.
///
/// # Errors
/// When the log does not answer, or an entry of a decision cannot be read.
pub async fn emergencies(audit: &Audit) -> Result<Vec<Emergency>, Error> {
    let mut open = BTreeMap::new();
    let mut since = 0;
    loop {
        let page = audit.of_type(EventType::Approval, since).await?;
        for entry in &page {
            decided(&mut open, entry);
        }
        match page.last() {
            Some(last) => since = last.seq + 1,
            None => return Ok(open.into_values().collect()),
        }
    }
}

/// What one entry about a decision tells of an emergency.
fn decided(open: &mut BTreeMap<String, Emergency>, entry: &Entry) {
    let Some(plan) = entry.ids.plan_uid.clone() else {
        return;
    };
    let counts = entry.outcome == Outcome::Success;
    if counts && entry.verb == "approve" && entry.reason == reason::BREAK_GLASS {
        let emergency = Emergency {
            plan: plan.clone(),
            name: entry.ids.plan.clone().unwrap_or_default(),
            namespace: entry.target.as_ref().and_then(|t| t.namespace.clone()),
        };
        open.insert(plan, emergency);
    } else if counts && entry.verb == "review" || entry.verb == REMOVED_UNREVIEWED {
        open.remove(&plan);
    }
}

#[cfg(test)]
#[path = "past_tests.rs"]
mod tests;
