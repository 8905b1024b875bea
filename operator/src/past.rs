//! What people changed by plans that are removed: a turn that its author deletes takes its plan along, but not what was done.
//!
//! Kept in memory for the hour that limits and judgements look back; at the start it is read from the audit log
//! ([`Removed::read`]). [`Emergencies`] are what the log tells of break-glass, [`Executions`] what it leaves open of executions, and
//! [`UnderWay`] are the plans of this moment.

mod emergency;
mod execution;
mod executions;
mod hour;
mod log;
mod under_way;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::{CommandPlan, Mode, PlanPhase, StepState};

use crate::execute::did_something;

pub use emergency::{Emergencies, Emergency, REMOVED_UNREVIEWED};
pub use execution::Execution;
pub use executions::Executions;
pub(crate) use executions::beside;
pub use hour::{Before, Hour, Standing};
pub use log::PLAN_MADE;
pub use under_way::UnderWay;

/// How far back a person's changes are added up.
pub const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// Plans of a person that are kept in mind one by one; those beyond are added up.
const MAX_KEPT: usize = 1_000;

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
    /// When a step of it was last begun: it may have waited for hours before.
    pub begun: Option<Timestamp>,
    /// It changed something, or still may.
    pub effect: bool,
    /// What it changes.
    pub changed: BTreeSet<Object>,
    /// What it removes, by UID: the same name made and removed again and again is removed as often.
    pub deleted: BTreeSet<(Object, Option<String>)>,
    /// What it changes and removes beyond those, where the log does not name them all.
    pub unnamed: Many,
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
            begun: last_begun(plan),
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
        if let Some(many) = self.many {
            return many;
        }
        let mut sum = Many {
            plans: 1,
            ..Many::default()
        };
        if self.effect {
            sum.add(Many {
                plans: 0,
                effects: 1,
                changed: self.changed.len(),
                deleted: self.deleted.len(),
            });
            sum.add(self.unnamed);
        }
        sum
    }

    /// Whether it was made within the hour. Of many that are added up nobody knows any more.
    #[must_use]
    pub fn is_new(&self, now: Timestamp) -> bool {
        self.many.is_some() || self.made.is_none_or(|made| made > hour_before(now))
    }

    /// When it last was something to be counted.
    fn last(&self) -> Option<Timestamp> {
        self.made.max(self.begun)
    }

    fn touches(&mut self, object: Object, uid: Option<String>, removes: bool) {
        if removes {
            self.deleted.insert((object.clone(), uid));
        }
        self.changed.insert(object);
    }
}

fn is_begun(state: StepState) -> bool {
    !matches!(state, StepState::Pending | StepState::Skipped)
}

/// Whether a plan's status says that a step of it was begun.
#[must_use]
pub fn says_begun(plan: &CommandPlan) -> bool {
    let mut steps = plan.status.iter().flat_map(|s| &s.steps);
    steps.any(|s| is_begun(s.state))
}

/// When a step of it was last begun or ended, as its status says: the last of its targets may have been written long after the
/// first (an eviction waits for a budget).
fn last_begun(plan: &CommandPlan) -> Option<Timestamp> {
    let steps = plan.status.iter().flat_map(|s| &s.steps);
    let begun = steps.filter(|s| is_begun(s.state));
    let times = begun.flat_map(|s| [s.start_time.as_ref(), s.end_time.as_ref()]);
    times.flatten().map(|t| t.0).max()
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

/// Plans that were removed within the hour, by requester, and those that are under way.
#[derive(Debug, Default)]
pub struct Removed {
    plans: Mutex<HashMap<String, Vec<Past>>>,
    under_way: under_way::Plans,
    hours: hour::Hours,
}

impl Removed {
    /// Keeps a plan in mind of which a step is begun now: whoever removes it before its status says so does not undo what it
    /// does, and however long it had waited, it counts from now on.
    pub fn begun(&self, plan: &CommandPlan, now: Timestamp) {
        let begun = Past {
            effect: true,
            begun: Some(now),
            ..Past::of(plan)
        };
        self.keep(begun, now);
    }

    /// Keeps a plan in mind that is being removed. Returns whether it was begun, by its status or by what is in mind of it, or
    /// may be at this moment.
    pub fn note(&self, plan: &CommandPlan, now: Timestamp) -> bool {
        let begun = self.keep(Past::removed(plan), now);
        self.shown(&plan.spec.chat_request_ref.uid);
        begun || self.is_under_way(&plan.namespace().unwrap_or_default(), &plan.name_any())
    }

    fn keep(&self, mut past: Past, now: Timestamp) -> bool {
        // What was made at no time would be of this hour for ever, and what is to come for longer than an hour.
        past.made = Some(past.made.map_or(now, |made| made.min(now)));
        past.begun = past.begun.map(|begun| begun.min(now));
        let mut all = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, plans| {
            plans.retain(|p| is_recent(p, now));
            !plans.is_empty()
        });
        let plans = all.entry(past.username.clone()).or_default();
        // The log and the watch may both tell of it: what either saw begun, began, and when it last did.
        plans.retain(|p| {
            let same = p.many.is_none() && p.plan == past.plan;
            if same {
                past.effect |= p.effect;
                past.begun = past.begun.max(p.begun);
            }
            !same
        });
        let begun = past.effect;
        if is_recent(&past, now) {
            push(plans, past);
        }
        begun
    }

    /// The plans of a person that were made or begun within the hour: those that are there, those that were removed, and
    /// those just made, each once.
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
        let all = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let removed = all.get(username).into_iter().flatten();
        found.extend(
            removed
                .filter(|p| is_recent(p, now) && (p.many.is_some() || !known.contains(&p.plan)))
                .cloned(),
        );
        drop(all);
        let turns: BTreeSet<String> = found.iter().map(|p| p.turn.clone()).collect();
        found.extend(self.unseen(username, &turns, now));
        found
    }
}

/// Adds a plan to those of its person. Where they are too many, the one that is forgotten first is added up with the others
/// of its minute, and counts for as long as the last of them: so there are at most as many sums as an hour has minutes, and
/// each ends, however busy the person is.
fn push(plans: &mut Vec<Past>, past: Past) {
    plans.push(past);
    let one_by_one = plans.iter().enumerate().filter(|(_, p)| p.many.is_none());
    if one_by_one.clone().count() <= MAX_KEPT {
        return;
    }
    let Some((at, _)) = one_by_one.min_by_key(|(_, p)| p.last()) else {
        return;
    };
    let oldest = plans.remove(at);
    let (last, sum) = (oldest.last(), oldest.sum());
    let of_its_minute = |p: &&mut Past| minute(p.last()) == minute(last);
    let mut sums = plans.iter_mut().filter(|p| p.many.is_some());
    match sums
        .find(of_its_minute)
        .and_then(|p| Some((&mut p.made, p.many.as_mut()?)))
    {
        Some((made, many)) => {
            many.add(sum);
            *made = (*made).max(last);
        }
        None => plans.push(Past {
            username: oldest.username,
            made: last,
            effect: true,
            many: Some(sum),
            ..Past::default()
        }),
    }
}

fn minute(time: Option<Timestamp>) -> Option<i64> {
    time.map(|t| t.as_second().div_euclid(60))
}

fn hour_before(now: Timestamp) -> Timestamp {
    now.checked_sub(WINDOW).unwrap_or(Timestamp::MIN)
}

fn is_recent(past: &Past, now: Timestamp) -> bool {
    past.last().is_none_or(|last| last > hour_before(now))
}

#[cfg(test)]
#[path = "past_tests.rs"]
mod tests;
