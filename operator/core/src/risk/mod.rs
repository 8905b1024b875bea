//! How dangerous a plan is. One function for planner, webhook and executor; deterministic, pure, and resting on nothing
//! but the plan: its steps, its blast radius and its recorded facts.
//!
//! The level is the higher of two: the floor (rules that a change is at least so dangerous, [`floors`]) and the band of
//! the score, `round(100 * (1 - prod(1 - w)))` over explained factors ([`factors`], [`weights`]). What nobody gets a plan
//! for at all is in [`forbidden`].
//!
//! **Invariant:** more never means less: no further step, target, namespace, past change or worse fact lowers a score or
//! a level, and the order of steps does not matter. Hence a factor counts once, with its heaviest case, and nothing is
//! a share of the plan's own size.

mod admission;
mod combination;
pub mod docs;
mod factors;
pub mod floors;
mod forbidden;
mod kinds;
mod pods;
mod records;
mod security;
pub mod weights;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use kubechat_crds::command_plan::{Effect, Risk, RiskFactor, Target};
use kubechat_crds::condition::clip;
use kubechat_crds::{CommandPlanSpec, Level, Step};

pub use floors::floor_level;
pub use forbidden::{Forbidden, Guarded, check_forbidden, check_plan, forbidden_undo};
pub use records::{check_held, check_home, namespaces_removed, records_lost};
pub(crate) use security::nested;
use weights::Weight;

/// Longest evidence of a factor, in bytes.
const MAX_EVIDENCE: usize = 500;
/// Pieces of evidence of a factor that are named; more are counted.
const MAX_NAMED: usize = 5;
/// Factors whose score is computed exactly: 20^27 parts of a hundred fit 128 bits.
const MAX_EXACT: u32 = 27;

/// The judgement of a plan.
#[must_use]
pub fn judge(plan: &CommandPlanSpec) -> Risk {
    let floors = floors::of(plan);
    let found = factors::of(plan);
    let weighed = score(found.values().map(|f| f.weight.percent));
    let floor = floors
        .values()
        .map(|f| f.floor.level)
        .max()
        .unwrap_or(Level::Safe);
    let level = floor.max(band(weighed));
    let mut factors: Vec<RiskFactor> = found.into_values().map(Found::told).collect();
    factors.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.id.cmp(&b.id)));
    // What sets the level is told first; a floor below it explains nothing.
    let mut told: Vec<RiskFactor> = floors
        .into_values()
        .filter(|f| f.floor.level == level && (level != Level::Caution || weighed < level.score_floor()))
        .map(floors::Fired::told)
        .collect();
    told.append(&mut factors);
    Risk {
        level,
        score: weighed.max(level.score_floor()),
        factors: told,
    }
}

/// A factor in one line: what it weighs or that it sets the level, what it says, and what it rests on.
#[must_use]
pub fn told(factor: &RiskFactor) -> String {
    let weight = if factor.weight == 0 {
        "sets the level".to_owned()
    } else {
        format!("weight {}", factor.weight)
    };
    let evidence = if factor.evidence.is_empty() {
        String::new()
    } else {
        format!(": {}", factor.evidence)
    };
    format!("{}{evidence} ({weight})", factor.text)
}

/// Whether KubeChat knows what objects of a kind are to others.
#[must_use]
pub(crate) fn is_known_kind(group: &str, kind: &str) -> bool {
    kinds::class(group, kind) != kinds::Class::Unknown
}

/// Namespaces in which these steps change something; a Namespace that is changed itself counts too.
#[must_use]
pub fn namespaces_changed(steps: &[Step]) -> BTreeSet<&str> {
    steps
        .iter()
        .filter(|step| changes(step))
        .flat_map(|step| &step.targets)
        .filter_map(place)
        .collect()
}

/// The level whose band a score lies in.
fn band(score: i32) -> Level {
    [Level::Destructive, Level::Caution]
        .into_iter()
        .find(|level| score >= level.score_floor())
        .unwrap_or(Level::Safe)
}

/// `round(100 * (1 - prod(1 - w)))` (halves upwards), exactly, in twentieths: so it neither depends on the order of the
/// weights nor on rounding. More reasons than can be computed exactly are 100.
fn score(weights: impl Iterator<Item = u8>) -> i32 {
    let (mut left, mut all, mut count) = (1_u128, 1_u128, 0);
    for percent in weights.filter(|w| *w > 0) {
        count += 1;
        if count > MAX_EXACT {
            return 100;
        }
        left *= u128::from(100_u8.saturating_sub(percent) / 5);
        all *= 20;
    }
    i32::try_from((200 * (all - left) + all) / (2 * all)).unwrap_or(100)
}

/// A factor that applies, with all that speaks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    weight: Weight,
    evidence: BTreeSet<String>,
}

impl Found {
    fn told(self) -> RiskFactor {
        RiskFactor {
            id: self.weight.factor.to_owned(),
            weight: i32::from(self.weight.percent),
            text: self.weight.text.to_owned(),
            evidence: tell(&self.evidence),
        }
    }
}

/// The factors that apply, each with its heaviest case.
#[derive(Debug, Default)]
struct Factors(BTreeMap<&'static str, Found>);

impl Factors {
    fn add(&mut self, weight: Weight, evidence: impl Into<String>) {
        let evidence = evidence.into();
        let found = self.0.entry(weight.factor).or_insert_with(|| Found {
            weight,
            evidence: BTreeSet::new(),
        });
        match weight.percent.cmp(&found.weight.percent) {
            Ordering::Less => return,
            Ordering::Greater => {
                *found = Found {
                    weight,
                    evidence: BTreeSet::new(),
                }
            }
            // Two cases of one weight: the one that sorts first is told, so that the order of steps does not show.
            Ordering::Equal if weight.case < found.weight.case => found.weight = weight,
            Ordering::Equal => {}
        }
        found.evidence.insert(evidence);
    }
}

/// Evidence in words, bounded.
fn tell(evidence: &BTreeSet<String>) -> String {
    let mut named: Vec<String> = evidence.iter().take(MAX_NAMED).cloned().collect();
    if evidence.len() > MAX_NAMED {
        named.push(format!("and {} more", evidence.len() - MAX_NAMED));
    }
    clip(named.join(", "), MAX_EVIDENCE)
}

/// Whether a step changes anything; what only calls itself a read is not believed.
fn changes(step: &Step) -> bool {
    !(step.action.is_read() && step.effect == Effect::Read)
}

/// The steps of a plan that change something.
fn changing(plan: &CommandPlanSpec) -> impl Iterator<Item = &Step> {
    plan.steps.iter().filter(|step| changes(step))
}

/// A target as people read it.
fn name(target: &Target) -> String {
    format!("{}/{}", target.kind.to_lowercase(), target.name)
}

/// The namespace a target lies in; a Namespace lies in itself.
fn place(target: &Target) -> Option<&str> {
    if target.group.is_empty() && target.kind == "Namespace" {
        return Some(&target.name);
    }
    target.namespace.as_deref()
}

#[cfg(test)]
mod admission_tests;
#[cfg(test)]
mod attacks_inside_tests;
#[cfg(test)]
mod attacks_tests;
#[cfg(test)]
mod factors_tests;
#[cfg(test)]
mod floors_tests;
#[cfg(test)]
mod forbidden_tests;
#[cfg(test)]
mod kinds_tests;
#[cfg(test)]
mod pods_takes_tests;
#[cfg(test)]
mod pods_tests;
#[cfg(test)]
mod properties_tests;
#[cfg(test)]
mod security_tests;
#[cfg(test)]
pub(crate) mod testing;
