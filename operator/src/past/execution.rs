//! What the audit log tells of one plan's execution: what was begun, what came of it, and whether that was its end. Pure.

use std::collections::BTreeMap;

use kubechat_audit::{Entry, EventType, Outcome};
use kubechat_core::reason;
use serde_json::Value;

use crate::audit::{PLAN_NAMESPACE, STEP, STEPS_TOTAL};

/// One plan's execution, as far as the log tells it. In which order its entries are read makes no difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Execution {
    steps: BTreeMap<String, Begun>,
    /// The entry of a step with the lowest number: who, which plan.
    about: Option<Entry>,
    /// Number of the last intent.
    last_intent: u64,
    /// Number of the last entry that tells of an end of the plan itself.
    last_end: u64,
    /// It was said that the plan is gone.
    is_told: bool,
    total: Option<u64>,
    namespace: Option<String>,
}

/// A step that was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Begun {
    /// Number of its first entry, and of its intent.
    first: Option<u64>,
    intent: Option<u64>,
    name: Option<String>,
    result: Came,
}

/// What came of a step, the later the more it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    /// Nobody said.
    #[default]
    Open,
    /// Nothing of it was sent, because the plan was gone: which is to be said of the plan.
    Unsent,
    /// It was done.
    Done,
    /// It was not, or nobody knows: the plan ends with it.
    Stopped,
    /// Nobody knows: the plan ends with it.
    Unknown,
}

impl Came {
    fn of(result: &Entry) -> Self {
        match result.outcome {
            Outcome::Intent => Self::Open,
            Outcome::Success => Self::Done,
            Outcome::Unknown => Self::Unknown,
            Outcome::Failure | Outcome::Denied if result.reason == reason::PLAN_GONE => Self::Unsent,
            Outcome::Failure | Outcome::Denied => Self::Stopped,
        }
    }
}

impl Execution {
    /// Adds what an entry about the plan tells.
    pub fn tells(&mut self, entry: &Entry) {
        if entry.event_type != EventType::CommandExecution {
            return;
        }
        let Some(id) = &entry.ids.step_id else {
            if entry.outcome != Outcome::Intent {
                self.last_end = self.last_end.max(entry.seq);
                self.is_told |= entry.reason == reason::PLAN_GONE;
            }
            return;
        };
        if self.about.as_ref().is_none_or(|known| entry.seq < known.seq) {
            self.about = Some(entry.clone());
        }
        let step = self.steps.entry(id.clone()).or_default();
        step.first = Some(step.first.map_or(entry.seq, |seq| seq.min(entry.seq)));
        if entry.outcome == Outcome::Intent {
            step.intent = Some(step.intent.map_or(entry.seq, |seq| seq.min(entry.seq)));
            self.last_intent = self.last_intent.max(entry.seq);
        } else {
            step.result = step.result.max(Came::of(entry));
        }
    }

    /// Adds what stands beside the intent of a step.
    pub fn adds(&mut self, step_id: &str, payload: &Value) {
        let text = |key: &str| payload.get(key).and_then(Value::as_str).map(str::to_owned);
        self.total = self.total.max(payload.get(STEPS_TOTAL).and_then(Value::as_u64));
        if self.namespace.is_none() {
            self.namespace = text(PLAN_NAMESPACE);
        }
        if let Some(step) = self.steps.get_mut(step_id)
            && step.name.is_none()
        {
            step.name = text(STEP);
        }
    }

    /// Intents: ids of the steps and numbers of the entries.
    #[must_use]
    pub fn intents(&self) -> Vec<(String, u64)> {
        let steps = self.steps.iter();
        let intents = steps.filter_map(|(id, step)| Some((id.clone(), step.intent?)));
        intents.collect()
    }

    /// Whether a step of it was begun.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Whether it was said that its plan is gone.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.is_told
    }

    /// Whether a step of it was begun and its end is not on record. Where the log does not tell how many steps the plan has
    /// (an earlier version wrote it), those that were begun count as all.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.may_be_open() && !(self.is_done_so_far() && self.total.is_none())
    }

    /// Whether it is open, unless the log does not tell how many steps the plan has.
    #[must_use]
    pub fn may_be_open(&self) -> bool {
        // Who ended it and could not report that began another step: then that end was none.
        if !self.is_begun() || self.is_told || self.last_end > self.last_intent {
            return false;
        }
        if self.any(Came::Open) || self.any(Came::Unsent) {
            return true;
        }
        let done = u64::try_from(self.steps.len()).unwrap_or(u64::MAX);
        self.is_done_so_far() && self.total.is_none_or(|total| done < total)
    }

    /// Whether each step that was begun was done: only how many there are says whether that was all.
    #[must_use]
    pub fn is_done_so_far(&self) -> bool {
        self.steps.values().all(|step| step.result == Came::Done)
    }

    fn any(&self, came: Came) -> bool {
        self.steps.values().any(|step| step.result == came)
    }

    /// Whether how many steps there are makes a difference and is not known.
    #[must_use]
    pub fn lacks_total(&self) -> bool {
        self.total.is_none() && self.is_done_so_far() && self.may_be_open()
    }

    /// The first entry of a step.
    #[must_use]
    pub fn about(&self) -> Option<&Entry> {
        self.about.as_ref()
    }

    /// Namespace of the plan, where the log tells it.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// What was done and what is not known to be, in words. `named` knows names of steps that the log does not tell.
    pub fn account(&self, named: impl Fn(&str) -> Option<String>) -> String {
        let of = |wanted: &[Came]| {
            let mut steps: Vec<_> = self
                .steps
                .iter()
                .filter(|(_, s)| wanted.contains(&s.result))
                .collect();
            steps.sort_by_key(|(_, step)| step.first);
            let known = |(id, step): &(&String, &Begun)| named(id).or_else(|| step.name.clone());
            let names: Vec<String> = steps.iter().filter_map(known).collect();
            list(&names, steps.len() - names.len())
        };
        let mut text = match of(&[Came::Done]) {
            Some(done) => format!(
                "Done before: {done}. The plan that says how to undo it is gone: ask for the opposite"
            ),
            None => "No step was done".to_owned(),
        };
        if let Some(stopped) = of(&[Came::Stopped]) {
            text.push_str(&format!(
                ". Begun, and ended without being done: {stopped}. Its result in the audit log says how far it came"
            ));
        }
        if let Some(open) = of(&[Came::Open, Came::Unknown]) {
            text.push_str(&format!(
                ". Begun, and not known to be done: {open}. Look at its objects"
            ));
        }
        text
    }
}

/// Names, and how many more there are; `None` of none.
fn list(names: &[String], unnamed: usize) -> Option<String> {
    let more = (unnamed > 0)
        .then(|| format!("{unnamed} step(s) whose names the audit log does not tell, only their ids"));
    let all: Vec<String> = names.iter().cloned().chain(more).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

#[cfg(test)]
#[path = "execution_tests.rs"]
mod tests;
