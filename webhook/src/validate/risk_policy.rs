//! CREATE and UPDATE RiskPolicy: what cannot be used is refused with its place, a change that asks for
//! less is warned about.

use std::time::Duration;

use kubechat_core::{policy, reason as core_reason};
use kubechat_crds::risk_policy::{ApprovalRule, Limits, PolicyRule, RuleEffect, UnsignedClaims};
use kubechat_crds::{Level, RiskPolicy, RiskPolicySpec};

use super::endpoint::{self, Reach};
use super::inline_secret::refuse_inline;
use super::weaker::{Weaker, has_more, stored};
use crate::refusal::Refusal;
use crate::review::{Allowed, Review, Verdict};

/// Judges a policy pack.
pub(super) fn write(review: &Review) -> Verdict {
    let raw = review.spec()?;
    let spec: RiskPolicySpec = Review::typed(raw)?;
    refuse_inline(raw)?;
    let problems = policy::invalid(&spec);
    if !problems.is_empty() {
        return Err(Refusal::invalid(
            core_reason::INVALID,
            format!(
                "the RiskPolicy cannot be used: {}. Nothing was stored. Correct it",
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
    warnings.extend(policy::doubtful(&spec));
    warnings.extend(stored(review).map(|old| weaker(&old, &spec)).unwrap_or_default());
    Ok(Allowed {
        patch: None,
        warnings,
    })
}

/// What a change takes back, one line each.
fn weaker(old: &RiskPolicySpec, new: &RiskPolicySpec) -> Vec<String> {
    let mut found = Weaker::default();
    for level in [Level::Caution, Level::Destructive] {
        weaker_approvals(&mut found, level, &approvals(old, level), &approvals(new, level));
        if let (Some(before), Some(after)) = (ages(old, level), ages(new, level)) {
            found.when(after.0 > before.0, format!("maxPlanAge.{level} is longer"));
            found.when(after.1 > before.1, format!("maxIdentityAge.{level} is longer"));
        }
    }
    weaker_limits(
        &mut found,
        &old.limits.clone().unwrap_or_default(),
        &new.limits.clone().unwrap_or_default(),
    );
    weaker_rules(&mut found, old, new);
    weaker_trust(&mut found, old, new);
    found.warnings()
}

fn weaker_rules(found: &mut Weaker, old: &RiskPolicySpec, new: &RiskPolicySpec) {
    for rule in &old.rules {
        let kept = new.rules.iter().any(|other| no_less(rule, other));
        let binds = rule.effect != RuleEffect::Allow || rule.at_least.is_some();
        found.when(
            binds && !kept,
            format!("rule {} was removed or changed", rule.name),
        );
    }
    for rule in new.rules.iter().filter(|r| r.effect == RuleEffect::Allow) {
        found.when(
            !old.rules.contains(rule),
            format!(
                "rule {} allows without approval what was not allowed so before",
                rule.name
            ),
        );
    }
}

/// Whether a rule asks for no less than another did, wherever that one matched.
fn no_less(old: &PolicyRule, new: &PolicyRule) -> bool {
    let rank = |effect: RuleEffect| match effect {
        RuleEffect::Allow => 0,
        RuleEffect::RequireApproval => 1,
        RuleEffect::Deny => 2,
    };
    let people = match (&old.require, &new.require) {
        _ if new.effect == RuleEffect::Deny => true,
        (None, _) => true,
        (Some(_), None) => false,
        (Some(before), Some(after)) => {
            let mut less = Weaker::default();
            weaker_approvals(&mut less, Level::Caution, before, after);
            less.warnings().is_empty()
        }
    };
    old.when == new.when && rank(old.effect) <= rank(new.effect) && old.at_least <= new.at_least && people
}

fn weaker_trust(found: &mut Weaker, old: &RiskPolicySpec, new: &RiskPolicySpec) {
    found.when(
        old.suspend && !new.suspend,
        "suspend was turned off: waiting plans may be executed",
    );
    found.when(
        has_more(&new.freezes, &old.freezes),
        "a freeze was removed or changed",
    );
    let protection =
        old.protected_namespaces.is_some() && old.protected_namespaces != new.protected_namespaces;
    found.when(protection, "protectedNamespaces changed");
    let scope = new.wide_scope_from.is_some() && old.wide_scope_from != new.wide_scope_from;
    found.when(scope, "wideScopeFrom selects other namespaces");
    found.when(
        has_more(&old.egress_hosts, &new.egress_hosts),
        "egressHosts has more hosts",
    );
    let (before, after) = (
        old.gitops.clone().unwrap_or_default(),
        new.gitops.clone().unwrap_or_default(),
    );
    let appliers = has_more(&before.trusted_appliers, &after.trusted_appliers);
    found.when(appliers, "gitops.trustedAppliers has more appliers");
    let claims =
        before.unsigned_claims == UnsignedClaims::None && after.unsigned_claims == UnsignedClaims::Caution;
    found.when(claims, "gitops.unsignedClaims counts unsigned claims");
    let (before, after) = (
        old.break_glass.clone().unwrap_or_default(),
        new.break_glass.clone().unwrap_or_default(),
    );
    found.when(
        has_more(&before.groups, &after.groups),
        "breakGlass.groups has more groups",
    );
    let within = |text: &str| kubechat_core::duration::parse(text);
    let later = old.break_glass.is_some() && within(&after.review_within) > within(&before.review_within);
    found.when(later, "breakGlass.reviewWithin is longer");
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

fn weaker_approvals(found: &mut Weaker, level: Level, old: &ApprovalRule, new: &ApprovalRule) {
    let opened = |old: &[String], new: &[String]| !old.is_empty() && (new.is_empty() || has_more(old, new));
    found.when(new.count < old.count, format!("approvals.{level}.count is lower"));
    let confirms = new.self_confirm && !old.self_confirm;
    found.when(confirms, format!("approvals.{level}.selfConfirm was turned on"));
    let unsigned = old.signature && !new.signature;
    found.when(
        unsigned,
        format!("approvals.{level}.signature is no longer asked for"),
    );
    found.when(
        opened(&old.groups, &new.groups),
        format!("approvals.{level}.groups has more people"),
    );
    found.when(
        opened(&old.users, &new.users),
        format!("approvals.{level}.users has more people"),
    );
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

fn weaker_limits(found: &mut Weaker, old: &Limits, new: &Limits) {
    let Limits {
        steps_per_plan,
        targets_per_step,
        cluster_share,
        turns_per_user_per_minute,
        changes_per_user_per_hour,
    } = old;
    let pairs = [
        ("stepsPerPlan", *steps_per_plan, new.steps_per_plan),
        ("targetsPerStep", *targets_per_step, new.targets_per_step),
        ("clusterShare", *cluster_share, new.cluster_share),
        (
            "turnsPerUserPerMinute",
            *turns_per_user_per_minute,
            new.turns_per_user_per_minute,
        ),
        (
            "changesPerUserPerHour",
            *changes_per_user_per_hour,
            new.changes_per_user_per_hour,
        ),
    ];
    for (name, before, after) in pairs {
        let raised = before.is_some_and(|before| after.is_none_or(|after| after > before));
        found.when(raised, format!("limits.{name} is higher or gone"));
    }
}
