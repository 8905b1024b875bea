//! CREATE and UPDATE RiskPolicy: contradictions are refused, a change that asks for less is warned about.

use std::time::Duration;

use kubechat_core::{policy, reason as core_reason};
use kubechat_crds::risk_policy::{ApprovalRule, Limits, PolicyRule, RuleEffect, UnsignedClaims};
use kubechat_crds::{Level, RiskPolicy, RiskPolicySpec};

use super::endpoint::{self, Reach};
use super::inline_secret::refuse_inline;
use crate::refusal::Refusal;
use crate::review::{Allowed, Review, Verdict};

/// Judges a policy pack.
pub(super) fn write(review: &Review) -> Verdict {
    let raw = review.spec()?;
    let spec: RiskPolicySpec = Review::typed(raw)?;
    refuse_inline(raw)?;
    let mut problems = policy::invalid(&spec);
    problems.extend(contradictions(&spec));
    if !problems.is_empty() {
        return Err(Refusal::invalid(
            core_reason::INVALID,
            format!(
                "the RiskPolicy contradicts itself: {}. Nothing was stored. Correct it",
                problems.join("; ")
            ),
        ));
    }
    for (i, notifier) in spec
        .notifiers
        .iter()
        .enumerate()
        .filter(|(_, n)| n.endpoint.contains("://"))
    {
        endpoint::check(
            &format!("spec.notifiers[{i}].endpoint"),
            &notifier.endpoint,
            Reach::Anywhere,
        )?;
    }
    let mut warnings: Vec<String> = policy::unsupported(&spec)
        .into_iter()
        .map(|field| format!("{field} is not supported yet: while this policy stands it is not Ready, and no plan is approved or executed"))
        .collect();
    let old: Option<RiskPolicySpec> = review.old_spec().ok().and_then(|old| Review::typed(old).ok());
    warnings.extend(old.map(|old| weaker(&old, &spec)).unwrap_or_default());
    Ok(Allowed {
        patch: None,
        warnings,
    })
}

fn contradictions(spec: &RiskPolicySpec) -> Vec<String> {
    let mut problems = vec![];
    for (i, rule) in spec.rules.iter().enumerate() {
        if spec.rules.iter().take(i).any(|other| other.name == rule.name) {
            problems.push(format!("two rules are named {}", rule.name));
        }
        if rule.require.is_some() && rule.effect != RuleEffect::RequireApproval {
            problems.push(format!(
                "rule {} has require, which only effect RequireApproval reads",
                rule.name
            ));
        }
    }
    for freeze in &spec.freezes {
        if freeze.effect == RuleEffect::Allow {
            problems.push("a freeze has effect Allow; it is RequireApproval or Deny".to_owned());
        }
        if let (Some(from), Some(to)) = (&freeze.from, &freeze.to)
            && from.0 >= to.0
        {
            problems.push("a freeze ends before it begins".to_owned());
        }
    }
    for applier in spec.gitops.iter().flat_map(|gitops| &gitops.trusted_appliers) {
        let halves = applier.service_account.split_once('/');
        if !halves.is_some_and(|(ns, name)| !ns.is_empty() && !name.is_empty() && !name.contains('/')) {
            problems.push("gitops.trustedAppliers: serviceAccount is written NAMESPACE/NAME".to_owned());
        }
    }
    problems
}

/// What a change takes back, one line each.
fn weaker(old: &RiskPolicySpec, new: &RiskPolicySpec) -> Vec<String> {
    let mut found = vec![];
    for level in [Level::Caution, Level::Destructive] {
        found.extend(weaker_approvals(
            level,
            &approvals(old, level),
            &approvals(new, level),
        ));
        if let (Some((old_plan, old_identity)), Some((plan, identity))) = (ages(old, level), ages(new, level))
        {
            let checks = [
                (plan > old_plan, "maxPlanAge"),
                (identity > old_identity, "maxIdentityAge"),
            ];
            found.extend(
                checks
                    .into_iter()
                    .filter_map(|(yes, what)| yes.then(|| format!("{what}.{level} is longer"))),
            );
        }
    }
    found.extend(weaker_limits(
        &old.limits.clone().unwrap_or_default(),
        &new.limits.clone().unwrap_or_default(),
    ));
    let gone = |rule: &PolicyRule| rule.effect != RuleEffect::Allow && !new.rules.iter().any(|r| r == rule);
    found.extend(
        old.rules
            .iter()
            .filter(|r| gone(r))
            .map(|r| format!("rule {} was removed or changed", r.name)),
    );
    let appliers = |spec: &RiskPolicySpec| {
        spec.gitops
            .as_ref()
            .map(|g| g.trusted_appliers.clone())
            .unwrap_or_default()
    };
    let claims = |spec: &RiskPolicySpec| {
        spec.gitops
            .as_ref()
            .map(|g| g.unsigned_claims)
            .unwrap_or_default()
    };
    let glass = |spec: &RiskPolicySpec| {
        spec.break_glass
            .as_ref()
            .map(|b| b.groups.clone())
            .unwrap_or_default()
    };
    let checks = [
        (
            old.suspend && !new.suspend,
            "suspend was turned off: waiting plans may be executed",
        ),
        (
            old.freezes.iter().any(|f| !new.freezes.contains(f)),
            "a freeze was removed or changed",
        ),
        (
            old.protected_namespaces.is_some() && old.protected_namespaces != new.protected_namespaces,
            "protectedNamespaces changed",
        ),
        (
            new.wide_scope_from.is_some() && old.wide_scope_from != new.wide_scope_from,
            "wideScopeFrom selects other namespaces",
        ),
        (
            has_more(&old.egress_hosts, &new.egress_hosts),
            "egressHosts has more hosts",
        ),
        (
            has_more(&appliers(old), &appliers(new)),
            "gitops.trustedAppliers has more appliers",
        ),
        (
            claims(old) == UnsignedClaims::None && claims(new) == UnsignedClaims::Caution,
            "gitops.unsignedClaims counts unsigned claims",
        ),
        (
            has_more(&glass(old), &glass(new)),
            "breakGlass.groups has more groups",
        ),
    ];
    found.extend(
        checks
            .into_iter()
            .filter_map(|(yes, what)| yes.then(|| what.to_owned())),
    );
    found
        .into_iter()
        .map(|what| format!("weaker than before: {what}"))
        .collect()
}

fn has_more<T: PartialEq>(old: &[T], new: &[T]) -> bool {
    new.iter().any(|item| !old.contains(item))
}

/// What the pack asks for a level, with the defaults that bind where it says nothing.
fn approvals(spec: &RiskPolicySpec, level: Level) -> ApprovalRule {
    let given = spec.approvals.as_ref().and_then(|approvals| match level {
        Level::Safe => None,
        Level::Caution => approvals.caution.clone(),
        Level::Destructive => approvals.destructive.clone(),
    });
    given.unwrap_or(ApprovalRule {
        count: 1,
        self_confirm: level == Level::Caution,
        ..ApprovalRule::default()
    })
}

fn weaker_approvals(level: Level, old: &ApprovalRule, new: &ApprovalRule) -> Vec<String> {
    let opened = |old: &[String], new: &[String]| !old.is_empty() && (new.is_empty() || has_more(old, new));
    let checks = [
        (new.count < old.count, "count is lower"),
        (new.self_confirm && !old.self_confirm, "selfConfirm was turned on"),
        (
            old.signature && !new.signature,
            "signature is no longer asked for",
        ),
        (opened(&old.groups, &new.groups), "groups has more people"),
        (opened(&old.users, &new.users), "users has more people"),
    ];
    checks
        .into_iter()
        .filter_map(|(yes, what)| yes.then(|| format!("approvals.{level}.{what}")))
        .collect()
}

/// How long a plan may wait and how old its requester's stamp may be, with the defaults that bind where the pack says nothing.
fn ages(spec: &RiskPolicySpec, level: Level) -> Option<(Duration, Duration)> {
    let only = RiskPolicySpec {
        max_plan_age: spec.max_plan_age.clone(),
        max_identity_age: spec.max_identity_age.clone(),
        ..RiskPolicySpec::default()
    };
    let pack = policy::Effective::from_policies(&[RiskPolicy::new("ages", only)]).ok()?;
    Some((pack.max_plan_age(level), pack.max_identity_age(level)))
}

fn weaker_limits(old: &Limits, new: &Limits) -> Vec<String> {
    let raised = |old: Option<i32>, new: Option<i32>| old.is_some_and(|old| new.is_none_or(|new| new > old));
    let Limits {
        steps_per_plan,
        targets_per_step,
        cluster_share,
        turns_per_user_per_minute,
        changes_per_user_per_hour,
    } = new;
    let checks = [
        (raised(old.steps_per_plan, *steps_per_plan), "stepsPerPlan"),
        (raised(old.targets_per_step, *targets_per_step), "targetsPerStep"),
        (raised(old.cluster_share, *cluster_share), "clusterShare"),
        (
            raised(old.turns_per_user_per_minute, *turns_per_user_per_minute),
            "turnsPerUserPerMinute",
        ),
        (
            raised(old.changes_per_user_per_hour, *changes_per_user_per_hour),
            "changesPerUserPerHour",
        ),
    ];
    checks
        .into_iter()
        .filter_map(|(yes, what)| yes.then(|| format!("limits.{what} is higher or gone")))
        .collect()
}
