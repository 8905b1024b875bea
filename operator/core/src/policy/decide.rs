//! What all packs say of one plan.
//!
//! Every rule is asked for every step and target, or once per step or plan where it reads no more than that. A Deny
//! that matches anywhere binds; a RequireApproval that matches anywhere adds; an Allow counts only if every step and
//! target is allowed by a rule of that pack, and no RequireApproval matched in any pack. A rule that cannot be judged
//! denies. A level that a rule raised is put to all rules again, so that what was recorded is what is found later.

use std::collections::{BTreeMap, BTreeSet};

use cel::Context;
use jiff::Timestamp;
use kubechat_crds::command_plan::NamespaceFact;
use kubechat_crds::risk_policy::RuleEffect;
use kubechat_crds::{CommandPlanSpec, Level};

use super::expression::{self, Uses};
use super::pack::{Pack, Rule};
use super::vars::{self, TooLong};
use super::words::Judged;
use super::{Effective, Evaluation};

/// What judging one plan may cost at most, in steps of [`super::bounds`], all rules, steps and targets together.
pub(super) const BUDGET: u64 = 1_000_000;
/// How often all rules are asked at most. Three levels: a third round is the first that changes nothing.
pub(super) const ROUNDS: u64 = 3;
/// A rule by its pack and its place there.
pub(super) type At = (usize, usize);

/// What was found over all rounds.
#[derive(Default)]
pub(super) struct Found {
    /// Rules with effect RequireApproval or Deny that matched.
    pub(super) matched: BTreeSet<At>,
    /// Rules with effect Allow that matched somewhere.
    pub(super) allowing: BTreeSet<At>,
    /// Why a rule could not be judged.
    pub(super) failed: BTreeMap<At, String>,
    /// Packs that did not allow every step and target.
    pub(super) uncovered: BTreeSet<usize>,
    /// The highest `atLeast` of the rules that matched.
    at_least: Level,
    spent: u64,
}

pub(super) fn evaluate(all: &Effective, plan: &CommandPlanSpec, now: Timestamp) -> Evaluation {
    let (mut level, mut score) = (plan.risk.level, plan.risk.score);
    let mut found = Found::default();
    let mut too_long = None;
    for _ in 0..ROUNDS {
        if let Err(TooLong(what)) = round(all, plan, level, score, now, &mut found) {
            too_long = Some(what);
            break;
        }
        if found.at_least <= level {
            break;
        }
        level = found.at_least;
        score = score.max(level.score_floor());
    }
    Judged {
        all,
        plan,
        now,
        level,
        found,
        too_long,
    }
    .evaluation()
}

/// Asks every rule once for this level.
fn round(
    all: &Effective,
    plan: &CommandPlanSpec,
    level: Level,
    score: i32,
    now: Timestamp,
    found: &mut Found,
) -> Result<(), TooLong> {
    let packs: &[Pack] = &all.packs;
    let mut uses = Uses::default();
    let mut any = false;
    for rule in packs.iter().flat_map(|p| &p.compiled.rules) {
        any = true;
        uses.step |= rule.program.uses.step;
        uses.target |= rule.program.uses.target;
        uses.namespace |= rule.program.uses.namespace;
    }
    if !any {
        found.uncovered.extend(0..packs.len());
        return Ok(());
    }
    let facts: BTreeMap<&str, &NamespaceFact> = plan
        .facts
        .namespaces
        .iter()
        .map(|f| (f.name.as_str(), f))
        .collect();
    let protected = |name: &str| facts.get(name).is_none_or(|f| all.protects(f));
    let touched: BTreeSet<&str> = plan
        .steps
        .iter()
        .flat_map(|s| &s.targets)
        .filter_map(vars::namespace_of)
        .collect();
    let some_protected = touched.iter().any(|name| protected(name));

    let mut root = expression::context(&all.patterns);
    root.add_variable_from_value("plan", vars::plan(plan, level, score, some_protected)?);
    root.add_variable_from_value("requester", vars::requester(&plan.requester)?);
    root.add_variable_from_value("now", vars::now(now));
    let mut asked = Asked {
        packs,
        found,
        covered: BTreeSet::new(),
    };
    asked.ask(&root, |uses| !uses.step && !uses.target && !uses.namespace);
    for step in &plan.steps {
        let outer = asked.covered.clone();
        let mut of_step = root.new_inner_scope();
        if uses.step {
            of_step.add_variable_from_value("step", vars::step(step)?);
        }
        asked.ask(&of_step, |uses| uses.step && !uses.target && !uses.namespace);
        let in_step = asked.covered.clone();
        let mut seen = BTreeSet::new();
        for target in &step.targets {
            let name = vars::namespace_of(target).unwrap_or_default();
            let mut of_target = of_step.new_inner_scope();
            if uses.target {
                of_target.add_variable_from_value("target", vars::target(target)?);
            }
            // Rules that read no more than the namespace are asked once for each.
            let first = seen.insert(name);
            if uses.namespace {
                let view = vars::NamespaceView {
                    name,
                    fact: facts.get(name).copied(),
                    protected: !name.is_empty() && protected(name),
                };
                of_target.add_variable_from_value("namespaceObject", vars::namespace(&view)?);
            }
            // What allows by the namespace alone must be asked again for the next target of it.
            asked.ask(&of_target, |uses| uses.target || (uses.namespace && first));
            asked.ask_allowing(&of_target, |uses| !uses.target && uses.namespace && !first);
            asked.close_target();
            asked.covered.clone_from(&in_step);
        }
        if step.targets.is_empty() {
            asked.close_target();
        }
        asked.covered = outer;
    }
    if plan.steps.is_empty() {
        asked.close_target();
    }
    Ok(())
}

/// One round under way.
struct Asked<'a> {
    packs: &'a [Pack],
    found: &'a mut Found,
    /// Packs that allow what is looked at now.
    covered: BTreeSet<usize>,
}

impl Asked<'_> {
    fn ask(&mut self, context: &Context<'_, '_>, wanted: impl Fn(Uses) -> bool) {
        self.each(context, wanted, |_| true);
    }

    fn ask_allowing(&mut self, context: &Context<'_, '_>, wanted: impl Fn(Uses) -> bool) {
        self.each(context, wanted, |effect| effect == RuleEffect::Allow);
    }

    fn each(
        &mut self,
        context: &Context<'_, '_>,
        wanted: impl Fn(Uses) -> bool,
        effects: impl Fn(RuleEffect) -> bool,
    ) {
        for (p, pack) in self.packs.iter().enumerate() {
            for (r, rule) in pack.compiled.rules.iter().enumerate() {
                if wanted(rule.program.uses) && effects(rule.rule.effect) && !self.settled((p, r), rule) {
                    self.run((p, r), rule, context);
                }
            }
        }
    }

    /// Whether asking again could change nothing.
    fn settled(&self, at: At, rule: &Rule) -> bool {
        self.found.failed.contains_key(&at)
            || match rule.rule.effect {
                RuleEffect::Deny | RuleEffect::RequireApproval => self.found.matched.contains(&at),
                RuleEffect::Allow => {
                    let known = rule.rule.at_least.is_none() || self.found.allowing.contains(&at);
                    known && (self.found.uncovered.contains(&at.0) || self.covered.contains(&at.0))
                }
            }
    }

    fn run(&mut self, at: At, rule: &Rule, context: &Context<'_, '_>) {
        self.found.spent = self.found.spent.saturating_add(rule.program.cost);
        if self.found.spent > BUDGET {
            let why = "the plan is too large to be judged: ask for less at a time".to_owned();
            self.found.failed.insert(at, why);
            return;
        }
        match rule.program.run(context) {
            Err(why) => {
                self.found.failed.insert(at, why);
            }
            Ok(false) => {}
            Ok(true) => {
                self.found.at_least = self.found.at_least.max(rule.rule.at_least.unwrap_or_default());
                match rule.rule.effect {
                    RuleEffect::Deny | RuleEffect::RequireApproval => {
                        self.found.matched.insert(at);
                    }
                    RuleEffect::Allow => {
                        self.found.allowing.insert(at);
                        self.covered.insert(at.0);
                    }
                }
            }
        }
    }

    /// Notes which packs did not allow the target.
    fn close_target(&mut self) {
        let open = (0..self.packs.len()).filter(|p| !self.covered.contains(p));
        self.found.uncovered.extend(open);
    }
}
