//! RiskPolicies together: what all packs of the cluster ask for, and whether they can be honoured at all.

use std::time::Duration;

use jiff::Timestamp;
use kubechat_crds::command_plan::{PolicyRecord, Requirement};
use kubechat_crds::risk_policy::{ApprovalRule, LevelDurations};
use kubechat_crds::{CommandPlanSpec, Level, RiskPolicy, RiskPolicySpec};

use crate::{duration, gitops, reason};

/// Default life of a caution plan and of its requester's stamp.
const CAUTION_AGE: Duration = Duration::from_secs(8 * 3600);
/// Default life of a destructive plan and of its requester's stamp.
const DESTRUCTIVE_AGE: Duration = Duration::from_secs(4 * 3600);
/// Steps of a plan where no policy says less.
pub const MAX_STEPS: i32 = 64;
/// Targets of a step where no policy says less.
pub const MAX_TARGETS: i32 = 500;

/// Why nothing may be approved now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PolicyProblem {
    /// `NoPolicy` or `PolicyNotReady`.
    pub reason: &'static str,
    /// What to do.
    pub message: String,
}

/// Fields of a pack that this release cannot honour. A pack that uses one is not Ready, and nothing is approved while it
/// stands: the stricter reading of a policy that is only half understood.
#[must_use]
pub fn unsupported(spec: &RiskPolicySpec) -> Vec<&'static str> {
    let checks = [
        (!spec.rules.is_empty(), "rules (CEL)"),
        (!spec.freezes.is_empty(), "freezes"),
        (spec.break_glass.is_some(), "breakGlass"),
        (!spec.notifiers.is_empty(), "notifiers"),
        (!spec.egress_hosts.is_empty(), "egressHosts"),
        (
            spec.limits.as_ref().is_some_and(|l| l.cluster_share.is_some()),
            "limits.clusterShare",
        ),
    ];
    checks
        .into_iter()
        .filter_map(|(used, name)| used.then_some(name))
        .collect()
}

/// Mistakes that make a pack unusable.
#[must_use]
pub fn invalid(spec: &RiskPolicySpec) -> Vec<String> {
    let mut problems = vec![];
    let ages = [
        ("maxPlanAge", &spec.max_plan_age),
        ("maxIdentityAge", &spec.max_identity_age),
    ];
    for (field, durations) in ages {
        let Some(LevelDurations { caution, destructive }) = durations else {
            continue;
        };
        for (level, text) in [("caution", caution), ("destructive", destructive)] {
            if text
                .as_ref()
                .is_some_and(|t| duration::parse(t).is_none_or(|d| d.is_zero()))
            {
                problems.push(format!("{field}.{level} is no positive duration like 4h or 90m"));
            }
        }
    }
    if spec
        .approvals
        .as_ref()
        .and_then(|a| a.destructive.as_ref())
        .is_some_and(|r| r.self_confirm)
    {
        problems.push(
            "approvals.destructive.selfConfirm: nobody confirms a destructive plan of his own".to_owned(),
        );
    }
    for selector in [&spec.protected_namespaces, &spec.wide_scope_from]
        .into_iter()
        .flatten()
    {
        for requirement in selector.match_expressions.iter().flatten() {
            if !matches!(
                requirement.operator.as_str(),
                "In" | "NotIn" | "Exists" | "DoesNotExist"
            ) {
                problems.push(format!("selector operator {} is unknown", requirement.operator));
            }
        }
    }
    problems
}

/// What the packs say of one plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The plan's level, raised where a rule says so; never lowered.
    pub level: Level,
    /// Every entry must be met; empty: nobody need approve.
    pub requirement: Vec<Requirement>,
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

/// All packs of the cluster, ready to be asked.
#[derive(Clone, Debug)]
pub struct Effective {
    packs: Vec<RiskPolicy>,
}

impl Effective {
    /// The packs together; refuses when there is none or one of them cannot be honoured.
    ///
    /// # Errors
    /// `NoPolicy` or `PolicyNotReady`, with what to do.
    pub fn from_policies(policies: &[RiskPolicy]) -> Result<Self, PolicyProblem> {
        if policies.is_empty() {
            return Err(PolicyProblem {
                reason: reason::NO_POLICY,
                message: "There is no RiskPolicy in the cluster, so nothing is approved or executed. Apply one (crds/manifests/30-policies.yaml holds the baseline)".to_owned(),
            });
        }
        for pack in policies {
            let mut problems: Vec<String> = unsupported(&pack.spec)
                .into_iter()
                .map(|f| format!("{f} is not supported yet"))
                .collect();
            problems.extend(invalid(&pack.spec));
            if !problems.is_empty() {
                let name = pack.metadata.name.as_deref().unwrap_or_default();
                return Err(PolicyProblem {
                    reason: reason::POLICY_NOT_READY,
                    message: format!(
                        "RiskPolicy {name} cannot be honoured ({}), so nothing is approved or executed. Correct or remove it",
                        problems.join("; ")
                    ),
                });
            }
        }
        let mut packs = policies.to_vec();
        packs.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        Ok(Self { packs })
    }

    /// The packs, by name.
    #[must_use]
    pub fn packs(&self) -> &[RiskPolicy] {
        &self.packs
    }

    /// What all packs say of a plan: a Deny binds over everything, requirements add up.
    #[must_use]
    pub fn evaluate(&self, plan: &CommandPlanSpec, _now: Timestamp) -> Evaluation {
        let level = plan.risk.level;
        let mut requirement = self.requirement(level);
        requirement.extend(gitops::requirement(&plan.requester));
        Evaluation {
            level,
            requirement,
            denied: None,
            records: self.records(),
        }
    }

    /// What a plan of this level must have: one entry a pack, none for safe.
    #[must_use]
    fn requirement(&self, level: Level) -> Vec<Requirement> {
        self.packs
            .iter()
            .filter_map(|pack| {
                let approvals = pack.spec.approvals.clone().unwrap_or_default();
                let rule = match level {
                    Level::Safe => return None,
                    Level::Caution => approvals.caution.unwrap_or(ApprovalRule {
                        count: 1,
                        self_confirm: true,
                        ..ApprovalRule::default()
                    }),
                    Level::Destructive => approvals.destructive.unwrap_or(ApprovalRule {
                        count: 1,
                        ..ApprovalRule::default()
                    }),
                };
                Some(Requirement {
                    policy: pack.metadata.name.clone().unwrap_or_default(),
                    rule: None,
                    count: rule.count.max(1),
                    groups: rule.groups,
                    users: rule.users,
                    self_confirm: rule.self_confirm && level <= Level::Caution,
                    signature: rule.signature,
                })
            })
            .collect()
    }

    /// The packs as a plan records them.
    #[must_use]
    fn records(&self) -> Vec<PolicyRecord> {
        self.packs
            .iter()
            .map(|pack| PolicyRecord {
                name: pack.metadata.name.clone().unwrap_or_default(),
                uid: pack.metadata.uid.clone().unwrap_or_default(),
                generation: pack.metadata.generation.unwrap_or_default(),
                hash: kubechat_crds::digest::digest_of(&pack.spec)
                    .map(|d| d.to_string())
                    .unwrap_or_default(),
                rule: None,
                effect: "RequireApproval".to_owned(),
            })
            .collect()
    }

    /// The pack whose kill switch is on.
    #[must_use]
    pub fn suspended_by(&self) -> Option<&str> {
        self.packs
            .iter()
            .find(|p| p.spec.suspend)
            .and_then(|p| p.metadata.name.as_deref())
    }

    /// Whether requests of a namespace with these labels may ask for a wider scope: some pack selects it.
    #[must_use]
    pub fn allows_wide_scope(&self, labels: &std::collections::BTreeMap<String, String>) -> bool {
        self.packs.iter().any(|p| {
            p.spec
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
            .map(|p| field(&p.spec).and_then(of).unwrap_or(default))
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
            .filter_map(|p| p.spec.limits.as_ref()?.changes_per_user_per_hour)
            .min()
    }

    /// Most turns a person creates in a minute, where a pack says so.
    #[must_use]
    pub fn turns_per_user_per_minute(&self) -> Option<i32> {
        self.packs
            .iter()
            .filter_map(|p| p.spec.limits.as_ref()?.turns_per_user_per_minute)
            .min()
    }

    fn limit(&self, ceiling: i32, field: impl Fn(&kubechat_crds::risk_policy::Limits) -> Option<i32>) -> i32 {
        self.packs
            .iter()
            .filter_map(|p| field(p.spec.limits.as_ref()?))
            .chain([ceiling])
            .min()
            .unwrap_or(ceiling)
    }
}

/// Whether a label selector selects these labels. An unknown operator selects nothing.
#[must_use]
pub fn selects(
    selector: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector,
    labels: &std::collections::BTreeMap<String, String>,
) -> bool {
    let equal = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(k, v)| labels.get(k) == Some(v));
    let expressions = selector.match_expressions.iter().flatten().all(|e| {
        let value = labels.get(&e.key);
        let listed = value.is_some_and(|v| e.values.iter().flatten().any(|x| x == v));
        match e.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    equal && expressions
}

/// Whether a recorded requirement is at least as strict as the live one: each live entry is covered by a recorded entry
/// of the same policy that asks for no less.
#[must_use]
pub fn at_least(recorded: &[Requirement], live: &[Requirement]) -> bool {
    live.iter().all(|l| recorded.iter().any(|r| covers(r, l)))
}

fn covers(recorded: &Requirement, live: &Requirement) -> bool {
    let narrower = |mine: &[String], theirs: &[String]| {
        theirs.is_empty() || (!mine.is_empty() && mine.iter().all(|m| theirs.contains(m)))
    };
    recorded.policy == live.policy
        && recorded.rule == live.rule
        && recorded.count >= live.count
        && (!recorded.self_confirm || live.self_confirm)
        && (recorded.signature || !live.signature)
        && narrower(&recorded.groups, &live.groups)
        && narrower(&recorded.users, &live.users)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kubechat_crds::risk_policy::{Freeze, LevelApprovals, Limits, PolicyRule};

    fn pack(name: &str, spec: RiskPolicySpec) -> RiskPolicy {
        RiskPolicy::new(name, spec)
    }

    #[test]
    fn no_policy_means_nothing_is_approved() {
        assert_eq!(
            Effective::from_policies(&[]).unwrap_err().reason,
            reason::NO_POLICY
        );
    }

    #[test]
    fn refuses_packs_it_can_only_half_honour() {
        let specs = [
            RiskPolicySpec {
                rules: vec![PolicyRule::default()],
                ..Default::default()
            },
            RiskPolicySpec {
                freezes: vec![Freeze::default()],
                ..Default::default()
            },
            RiskPolicySpec {
                break_glass: Some(Default::default()),
                ..Default::default()
            },
            RiskPolicySpec {
                max_plan_age: Some(LevelDurations {
                    caution: Some("soon".into()),
                    destructive: None,
                }),
                ..Default::default()
            },
            RiskPolicySpec {
                approvals: Some(LevelApprovals {
                    caution: None,
                    destructive: Some(ApprovalRule {
                        count: 1,
                        self_confirm: true,
                        ..Default::default()
                    }),
                }),
                ..Default::default()
            },
        ];
        for spec in specs {
            let good = pack("good", RiskPolicySpec::default());
            let problem = Effective::from_policies(&[good, pack("bad", spec)]).unwrap_err();
            assert_eq!(problem.reason, reason::POLICY_NOT_READY);
            assert!(problem.message.contains("RiskPolicy bad"), "{problem}");
        }
    }

    #[test]
    fn every_pack_adds_an_entry_and_the_smallest_limit_binds() {
        let strict = RiskPolicySpec {
            limits: Some(Limits {
                targets_per_step: Some(3),
                ..Default::default()
            }),
            max_plan_age: Some(LevelDurations {
                caution: Some("10m".into()),
                destructive: None,
            }),
            ..Default::default()
        };
        let all =
            Effective::from_policies(&[pack("b", strict), pack("a", RiskPolicySpec::default())]).unwrap();
        let entries = all.requirement(Level::Caution);
        assert_eq!(
            entries
                .iter()
                .map(|r| (r.policy.as_str(), r.count, r.self_confirm))
                .collect::<Vec<_>>(),
            [("a", 1, true), ("b", 1, true)]
        );
        assert!(all.requirement(Level::Safe).is_empty());
        assert!(
            all.requirement(Level::Destructive)
                .iter()
                .all(|r| !r.self_confirm)
        );
        assert_eq!((all.max_targets(), all.max_steps()), (3, 64));
        assert_eq!(all.max_plan_age(Level::Caution), Duration::from_secs(600));
        assert_eq!(all.max_plan_age(Level::Destructive), DESTRUCTIVE_AGE);
    }

    #[test]
    fn a_recorded_requirement_below_the_live_one_is_seen() {
        let live = Requirement {
            policy: "p".into(),
            count: 1,
            groups: vec!["a".into(), "b".into()],
            ..Default::default()
        };
        let ok = Requirement {
            groups: vec!["a".into()],
            count: 2,
            ..live.clone()
        };
        assert!(at_least(std::slice::from_ref(&ok), std::slice::from_ref(&live)));
        let weaker = [
            vec![],
            vec![Requirement {
                count: 0,
                ..ok.clone()
            }],
            vec![Requirement {
                groups: vec![],
                ..ok.clone()
            }],
            vec![Requirement {
                groups: vec!["c".into()],
                ..ok.clone()
            }],
            vec![Requirement {
                self_confirm: true,
                ..ok.clone()
            }],
            vec![Requirement {
                policy: "other".into(),
                ..ok
            }],
        ];
        for recorded in weaker {
            assert!(!at_least(&recorded, std::slice::from_ref(&live)), "{recorded:?}");
        }
    }
}
