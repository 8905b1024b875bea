//! What was found over a plan, as requirement, denial and records that a person can act on.

use jiff::Timestamp;
use kubechat_crds::command_plan::{BlastRadius, PolicyRecord, Requirement};
use kubechat_crds::condition::clip;
use kubechat_crds::risk_policy::{ApprovalRule, RuleEffect};
use kubechat_crds::{CommandPlanSpec, Level};

use super::decide::{At, Found};
use super::pack::{Pack, Rule};
use super::{Denial, Effective, Evaluation};
use crate::gitops;

/// Entries of a requirement at most, as the schema has it.
const MAX_REQUIREMENT: usize = 64;
/// Records of policies at most, as the schema has it.
const MAX_RECORDS: usize = 64;
/// What is left to do for who was denied.
const ADVICE: &str =
    "Nothing was done. Ask for something that the policy lets through, or ask whoever keeps it";

/// Everything that was found, to be put into words.
pub(super) struct Judged<'a> {
    pub(super) all: &'a Effective,
    pub(super) plan: &'a CommandPlanSpec,
    pub(super) now: Timestamp,
    pub(super) level: Level,
    pub(super) found: Found,
    pub(super) too_long: Option<&'static str>,
}

/// A freeze that holds.
struct Frozen {
    pack: usize,
    name: String,
    effect: RuleEffect,
    until: Option<Timestamp>,
    why: String,
}

impl Judged<'_> {
    pub(super) fn evaluation(&self) -> Evaluation {
        let frozen = self.frozen();
        let mut denials = self.denials(&frozen);
        let mut requirement = vec![];
        let asked = self.rules(RuleEffect::RequireApproval).next().is_some()
            || frozen.iter().any(|f| f.effect == RuleEffect::RequireApproval);
        for (p, pack) in self.all.packs.iter().enumerate() {
            let waived = self.allows(p) && !asked && self.level <= Level::Caution;
            let own = of_level(pack, self.level);
            if !waived {
                requirement.extend(own.iter().map(|r| entry(pack, None, r, self.level)));
            }
            for rule in self
                .rules(RuleEffect::RequireApproval)
                .filter(|(at, _)| at.0 == p)
            {
                let more = rule.1.rule.require.as_ref();
                requirement.extend(more.map(|r| entry(pack, Some(&rule.1.rule.name), r, self.level)));
            }
            for freeze in frozen
                .iter()
                .filter(|f| f.pack == p && f.effect == RuleEffect::RequireApproval)
            {
                let other = ApprovalRule {
                    self_confirm: false,
                    ..own.clone().unwrap_or(ONE)
                };
                requirement.push(entry(pack, Some(&freeze.name), &other, self.level));
            }
        }
        requirement.extend(gitops::requirement(&self.plan.requester));
        if requirement.len() > MAX_REQUIREMENT {
            denials.push(Denial {
                policy: self.all.packs.first().map(|p| p.name.clone()).unwrap_or_default(),
                rule: "requirement".to_owned(),
                message: format!(
                    "the RiskPolicies together ask for more than {MAX_REQUIREMENT} approvals, which no plan can hold. {ADVICE}"
                ),
            });
            requirement.truncate(MAX_REQUIREMENT);
        }
        let denied = self.first(denials);
        Evaluation {
            level: self.level,
            requirement,
            notes: self.notes(asked),
            records: self.records(&frozen),
            denied,
        }
    }

    /// Rules of this effect that matched.
    fn rules(&self, effect: RuleEffect) -> impl Iterator<Item = (At, &Rule)> {
        let at = |at: &At| Some((*at, self.all.packs.get(at.0)?.compiled.rules.get(at.1)?));
        self.found
            .matched
            .iter()
            .chain(&self.found.allowing)
            .filter_map(at)
            .filter(move |(_, rule)| rule.rule.effect == effect)
    }

    /// Whether the pack allows every step and target.
    fn allows(&self, pack: usize) -> bool {
        !self.found.uncovered.contains(&pack) && self.too_long.is_none()
    }

    fn pack(&self, index: usize) -> &str {
        self.all.packs.get(index).map_or("", |p| p.name.as_str())
    }

    fn frozen(&self) -> Vec<Frozen> {
        let mut all = vec![];
        for (p, pack) in self.all.packs.iter().enumerate() {
            for (i, window) in pack.compiled.freezes.iter().enumerate() {
                let (effect, until, why) = match window.active(self.now) {
                    Ok(None) => continue,
                    Ok(Some(until)) => (window.effect, Some(until), window.text.clone()),
                    Err(why) => (RuleEffect::Deny, None, why),
                };
                all.push(Frozen {
                    pack: p,
                    name: format!("freeze-{}", i + 1),
                    effect,
                    until,
                    why,
                });
            }
        }
        all
    }

    fn denials(&self, frozen: &[Frozen]) -> Vec<Denial> {
        let mut all: Vec<Denial> = vec![];
        if let Some(what) = self.too_long {
            for pack in self.all.packs.iter() {
                all.push(Denial {
                    policy: pack.name.clone(),
                    rule: "limits".to_owned(),
                    message: format!(
                        "{what} is longer than rules may look through, so RiskPolicy {} cannot judge the plan. {ADVICE}",
                        pack.name
                    ),
                });
            }
        }
        for (at, rule) in self.rules(RuleEffect::Deny) {
            let own = match rule.rule.message.trim_end_matches('.') {
                "" => String::new(),
                text => format!(": {text}"),
            };
            all.push(Denial {
                policy: self.pack(at.0).to_owned(),
                rule: rule.rule.name.clone(),
                message: format!(
                    "RiskPolicy {}, rule {} denies it{own}. {ADVICE}",
                    self.pack(at.0),
                    rule.rule.name
                ),
            });
        }
        for (at, why) in &self.found.failed {
            let name = self.all.packs.get(at.0).and_then(|p| p.compiled.rules.get(at.1));
            let name = name.map_or("", |r| r.rule.name.as_str());
            all.push(Denial {
                policy: self.pack(at.0).to_owned(),
                rule: name.to_owned(),
                message: format!(
                    "RiskPolicy {}, rule {name} cannot be judged for this plan ({why}), so it denies it. Nothing was done. Ask whoever keeps the policy to correct the rule",
                    self.pack(at.0)
                ),
            });
        }
        for freeze in frozen.iter().filter(|f| f.effect == RuleEffect::Deny) {
            let again = freeze.until.map_or_else(
                || "Ask whoever keeps the policy".to_owned(),
                |t| format!("Ask again after {t}"),
            );
            all.push(Denial {
                policy: self.pack(freeze.pack).to_owned(),
                rule: freeze.name.clone(),
                message: format!(
                    "RiskPolicy {} freezes all changes now ({}, {}). Nothing was done. {again}",
                    self.pack(freeze.pack),
                    freeze.name,
                    freeze.why
                ),
            });
        }
        all.extend(self.shares());
        all.extend(self.sizes());
        all
    }

    /// Packs that let a plan have fewer steps, or a step fewer targets. The planner says so before; the limits may have
    /// become narrower since.
    fn sizes(&self) -> Vec<Denial> {
        let steps = self.plan.steps.len();
        let targets = self.plan.steps.iter().map(|s| s.targets.len()).max().unwrap_or(0);
        let over = |n: usize, limit: &i32| i32::try_from(n).map_or(true, |n| n > *limit);
        let mut all = vec![];
        for pack in self.all.packs.iter() {
            let Some(limits) = pack.spec().limits.as_ref() else {
                continue;
            };
            let mut deny = |field: &str, what: String| {
                all.push(Denial {
                    policy: pack.name.clone(),
                    rule: format!("limits.{field}"),
                    message: format!(
                        "RiskPolicy {} {what} (limits.{field}). Nothing was done. Ask for less at a time",
                        pack.name
                    ),
                });
            };
            if let Some(limit) = limits.steps_per_plan.filter(|limit| over(steps, limit)) {
                deny(
                    "stepsPerPlan",
                    format!("lets a plan have at most {limit} steps, and this one has {steps}"),
                );
            }
            if let Some(limit) = limits.targets_per_step.filter(|limit| over(targets, limit)) {
                deny(
                    "targetsPerStep",
                    format!("lets a step change at most {limit} objects, and one of these changes {targets}"),
                );
            }
        }
        all
    }

    /// Packs whose share of the cluster the plan exceeds, or may.
    fn shares(&self) -> Vec<Denial> {
        let shares = self.all.packs.iter().filter_map(|pack| {
            let share = pack.spec().limits.as_ref()?.cluster_share?;
            over_share(self.plan.blast_radius.as_ref(), share).map(|why| (pack, share, why))
        });
        shares
            .map(|(pack, share, why)| Denial {
                policy: pack.name.clone(),
                rule: "limits.clusterShare".to_owned(),
                message: format!(
                    "RiskPolicy {} lets one plan hit at most {share} % of the cluster (limits.clusterShare): {why}. Nothing was done. Ask for less at a time",
                    pack.name
                ),
            })
            .collect()
    }

    /// The first denial, with what else denies it and who would have allowed it.
    fn first(&self, denials: Vec<Denial>) -> Option<Denial> {
        let mut all = denials.into_iter();
        let mut first = all.next()?;
        let also: Vec<String> = all
            .take(3)
            .map(|d| format!("{} ({})", d.policy, d.rule))
            .collect();
        if !also.is_empty() {
            first
                .message
                .push_str(&format!(". Denied as well by {}", also.join(", ")));
        }
        let allowing: Vec<String> = self
            .rules(RuleEffect::Allow)
            .map(|(at, rule)| format!("RiskPolicy {}, rule {}", self.pack(at.0), rule.rule.name))
            .collect();
        if !allowing.is_empty() {
            first.message.push_str(&format!(
                ". {} would allow it; the stricter one wins",
                allowing.join(" and ")
            ));
        }
        first.message = clip(first.message, 1024);
        Some(first)
    }

    /// What a reviewer should know: an Allow that does not count because another rule asks for more.
    fn notes(&self, asked: bool) -> Vec<String> {
        if self.level > Level::Caution || !asked {
            return vec![];
        }
        let stricter: Vec<String> = self
            .rules(RuleEffect::RequireApproval)
            .map(|(at, rule)| format!("RiskPolicy {}, rule {}", self.pack(at.0), rule.rule.name))
            .collect();
        let by = if stricter.is_empty() {
            "a freeze".to_owned()
        } else {
            stricter.join(" and ")
        };
        self.rules(RuleEffect::Allow)
            .map(|(at, rule)| {
                let text = format!(
                    "RiskPolicy {}, rule {} allows it without approval, but {by} asks for one: the stricter wins",
                    self.pack(at.0),
                    rule.rule.name
                );
                clip(text, 1024)
            })
            .collect()
    }

    fn records(&self, frozen: &[Frozen]) -> Vec<PolicyRecord> {
        let mut all = vec![];
        for (p, pack) in self.all.packs.iter().enumerate() {
            all.push(pack.record(None, "RequireApproval"));
            let mut rules: Vec<(At, &Rule)> =
                [RuleEffect::Deny, RuleEffect::RequireApproval, RuleEffect::Allow]
                    .into_iter()
                    .flat_map(|effect| self.rules(effect))
                    .filter(|(at, _)| at.0 == p)
                    .collect();
            rules.sort_by_key(|(at, _)| *at);
            all.extend(
                rules.iter().map(|(_, rule)| {
                    pack.record(Some(rule.rule.name.clone()), effect_name(rule.rule.effect))
                }),
            );
            all.extend(
                frozen
                    .iter()
                    .filter(|f| f.pack == p)
                    .map(|f| pack.record(Some(f.name.clone()), effect_name(f.effect))),
            );
        }
        all.truncate(MAX_RECORDS);
        all
    }
}

fn effect_name(effect: RuleEffect) -> &'static str {
    match effect {
        RuleEffect::Allow => "Allow",
        RuleEffect::RequireApproval => "RequireApproval",
        RuleEffect::Deny => "Deny",
    }
}

/// One person.
const ONE: ApprovalRule = ApprovalRule {
    count: 1,
    groups: vec![],
    users: vec![],
    self_confirm: false,
    signature: false,
};

/// What the pack asks for a level where no rule says otherwise.
fn of_level(pack: &Pack, level: Level) -> Option<ApprovalRule> {
    let approvals = pack.spec().approvals.as_ref();
    match level {
        Level::Safe => None,
        Level::Caution => Some(approvals.and_then(|a| a.caution.clone()).unwrap_or(ApprovalRule {
            self_confirm: true,
            ..ONE
        })),
        Level::Destructive => Some(approvals.and_then(|a| a.destructive.clone()).unwrap_or(ONE)),
    }
}

fn entry(pack: &Pack, rule: Option<&str>, asked: &ApprovalRule, level: Level) -> Requirement {
    Requirement {
        policy: pack.name.clone(),
        rule: rule.map(str::to_owned),
        count: asked.count.max(1),
        groups: asked.groups.clone(),
        users: asked.users.clone(),
        self_confirm: rule.is_none() && asked.self_confirm && level <= Level::Caution,
        signature: asked.signature,
        break_glass: pack
            .spec()
            .break_glass
            .as_ref()
            .map(|glass| glass.groups.clone())
            .unwrap_or_default(),
    }
}

/// Why the plan exceeds this share of the cluster, or is not known to stay below it.
fn over_share(blast: Option<&BlastRadius>, share: i32) -> Option<String> {
    let Some(blast) = blast else {
        return Some("how much it hits is not known".to_owned());
    };
    if blast.pods_percent > share {
        return Some(format!("it hits {} % of the pods", blast.pods_percent));
    }
    if blast.nodes_percent > share {
        return Some(format!("it hits {} % of the nodes", blast.nodes_percent));
    }
    (!blast.complete).then(|| "what it hits could not be counted to the end".to_owned())
}
