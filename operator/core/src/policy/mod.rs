//! RiskPolicies together: what all packs of the cluster ask for, and whether they can be honoured at all.
//!
//! A pack is compiled once ([`pack`]): its rules ([`expression`], over what [`vars`] shows them) and its freezes ([`freeze`]).
//! [`Effective::evaluate`] is the only way a plan meets the packs ([`decide`]). docs/policies.md tells people the rules.

mod bounds;
mod check;
mod compare;
mod decide;
mod expression;
mod freeze;
mod functions;
mod glass;
mod live;
mod pack;
mod pattern;
mod sample;
mod vars;
mod words;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kubechat_crds::command_plan::{NamespaceFact, PolicyRecord, Requirement};
use kubechat_crds::risk_policy::LevelDurations;
use kubechat_crds::{CommandPlanSpec, Level, RiskPolicy, RiskPolicySpec};
use regex::Regex;

pub use bounds::MAX_COST;
pub use check::{doubtful, invalid, unsupported};
pub use compare::{at_least, selects};
pub use expression::{CelProblem, MAX_LENGTH};
pub use glass::BreakGlass;
pub use live::Live;

use crate::{duration, reason};
use pack::Pack;

/// Default life of a caution plan and of its requester's stamp.
const CAUTION_AGE: Duration = Duration::from_secs(8 * 3600);
/// Default life of a destructive plan and of its requester's stamp.
const DESTRUCTIVE_AGE: Duration = Duration::from_secs(4 * 3600);
/// Steps of a plan where no policy says less.
pub const MAX_STEPS: i32 = 64;
/// Targets of a step where no policy says less.
pub const MAX_TARGETS: i32 = 500;

/// What a problem with the policies means to a plan that waits, and to none that was begun.
pub(crate) const HOLDS_ALL: &str = ", so nothing is approved or executed";

/// Why nothing may be approved now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PolicyProblem {
    /// `NoPolicy` or `PolicyNotReady`.
    pub reason: &'static str,
    /// What to do.
    pub message: String,
}

/// What the packs say of one plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The plan's level, raised where a rule says so; never lowered.
    pub level: Level,
    /// Every entry must be met; empty: nobody need approve.
    pub requirement: Vec<Requirement>,
    /// Where packs contradict each other: which one wins.
    pub notes: Vec<String>,
    /// The rule that forbids it, if one does.
    pub denied: Option<Denial>,
    /// The packs and the rules that fired, as the plan records them.
    pub records: Vec<PolicyRecord>,
}

/// A rule or freeze that forbids a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The pack.
    pub policy: String,
    /// The rule, or the freeze.
    pub rule: String,
    /// What a person reads: why, and what to do.
    pub message: String,
}

/// All packs of the cluster, ready to be asked. Cheap to clone: what was compiled is shared.
#[derive(Clone, Debug)]
pub struct Effective {
    /// By name.
    packs: Arc<[Pack]>,
    /// All patterns of all rules.
    patterns: Arc<BTreeMap<String, Regex>>,
}

impl Effective {
    /// The packs together; refuses when there is none or one of them cannot be honoured.
    ///
    /// # Errors
    /// `NoPolicy` or `PolicyNotReady`, with what to do.
    pub fn from_policies<P: Borrow<RiskPolicy>>(policies: &[P]) -> Result<Self, PolicyProblem> {
        if policies.is_empty() {
            return Err(PolicyProblem {
                reason: reason::NO_POLICY,
                message: format!(
                    "There is no RiskPolicy in the cluster{HOLDS_ALL}. Apply one (crds/manifests/30-policies.yaml holds the baseline)"
                ),
            });
        }
        let mut packs = Vec::with_capacity(policies.len());
        for policy in policies {
            let policy = policy.borrow();
            packs.push(Pack::new(policy).map_err(|problems| {
                let name = policy.metadata.name.as_deref().unwrap_or_default();
                PolicyProblem {
                    reason: reason::POLICY_NOT_READY,
                    message: format!(
                        "RiskPolicy {name} cannot be honoured ({}){HOLDS_ALL}. Correct or remove it",
                        problems.join("; ")
                    ),
                }
            })?);
        }
        packs.sort_by(|a, b| a.name.cmp(&b.name));
        let patterns = match packs.as_slice() {
            [only] => Arc::clone(&only.compiled.patterns),
            all => Arc::new(
                all.iter()
                    .flat_map(|p| p.compiled.patterns.iter())
                    .map(|(text, pattern)| (text.clone(), pattern.clone()))
                    .collect(),
            ),
        };
        Ok(Self {
            packs: packs.into(),
            patterns,
        })
    }

    /// The specs of the packs, in order of their names.
    pub fn specs(&self) -> impl Iterator<Item = &RiskPolicySpec> {
        self.packs.iter().map(Pack::spec)
    }

    /// What all packs say of a plan: a Deny binds over everything, requirements add up.
    #[must_use]
    pub fn evaluate(&self, plan: &CommandPlanSpec, now: Timestamp) -> Evaluation {
        decide::evaluate(self, plan, now)
    }

    /// Whether a namespace is protected: it was when the plan was made, or some pack selects its labels now.
    #[must_use]
    pub fn protects(&self, namespace: &NamespaceFact) -> bool {
        namespace.protected || self.protects_labels(&namespace.labels)
    }

    /// Whether some pack protects namespaces with these labels.
    #[must_use]
    pub fn protects_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut selectors = self
            .packs
            .iter()
            .filter_map(|p| p.spec().protected_namespaces.as_ref());
        selectors.any(|s| selects(s, labels))
    }

    /// Who may break the glass, where some pack lets anybody.
    #[must_use]
    pub fn break_glass(&self) -> Option<BreakGlass> {
        BreakGlass::of(&self.packs)
    }

    /// The pack whose kill switch is on.
    #[must_use]
    pub fn suspended_by(&self) -> Option<&str> {
        self.packs
            .iter()
            .find(|p| p.spec().suspend)
            .map(|p| p.name.as_str())
    }

    /// Whether requests of a namespace with these labels may ask for a wider scope: some pack selects it.
    #[must_use]
    pub fn allows_wide_scope(&self, labels: &BTreeMap<String, String>) -> bool {
        self.packs.iter().any(|p| {
            p.spec()
                .wide_scope_from
                .as_ref()
                .is_some_and(|s| selects(s, labels))
        })
    }

    /// How long a plan of this level may wait: the shortest of all packs.
    #[must_use]
    pub fn max_plan_age(&self, level: Level) -> Duration {
        self.shortest(level, |spec| spec.max_plan_age.as_ref())
    }

    /// How old the requester's stamp may be at execution: the shortest of all packs.
    #[must_use]
    pub fn max_identity_age(&self, level: Level) -> Duration {
        self.shortest(level, |spec| spec.max_identity_age.as_ref())
    }

    fn shortest(&self, level: Level, field: impl Fn(&RiskPolicySpec) -> Option<&LevelDurations>) -> Duration {
        let default = if level == Level::Destructive {
            DESTRUCTIVE_AGE
        } else {
            CAUTION_AGE
        };
        let of = |durations: &LevelDurations| {
            let text = if level == Level::Destructive {
                &durations.destructive
            } else {
                &durations.caution
            };
            text.as_deref().and_then(duration::parse)
        };
        self.packs
            .iter()
            .map(|p| field(p.spec()).and_then(of).unwrap_or(default))
            .min()
            .unwrap_or(default)
    }

    /// Most steps of a plan.
    #[must_use]
    pub fn max_steps(&self) -> i32 {
        self.limit(MAX_STEPS, |l| l.steps_per_plan)
    }

    /// Most targets of a step.
    #[must_use]
    pub fn max_targets(&self) -> i32 {
        self.limit(MAX_TARGETS, |l| l.targets_per_step)
    }

    /// Most plans a person gets in an hour, where a pack says so.
    #[must_use]
    pub fn changes_per_user_per_hour(&self) -> Option<i32> {
        self.packs
            .iter()
            .filter_map(|p| p.spec().limits.as_ref()?.changes_per_user_per_hour)
            .min()
    }

    /// Most turns a person creates in a minute, where a pack says so.
    #[must_use]
    pub fn turns_per_user_per_minute(&self) -> Option<i32> {
        self.packs
            .iter()
            .filter_map(|p| p.spec().limits.as_ref()?.turns_per_user_per_minute)
            .min()
    }

    fn limit(&self, ceiling: i32, field: impl Fn(&kubechat_crds::risk_policy::Limits) -> Option<i32>) -> i32 {
        self.packs
            .iter()
            .filter_map(|p| field(p.spec().limits.as_ref()?))
            .chain([ceiling])
            .min()
            .unwrap_or(ceiling)
    }
}

#[cfg(test)]
mod tests;
