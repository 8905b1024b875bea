//! What makes a pack unusable, said before it is used.

use kubechat_crds::RiskPolicySpec;
use kubechat_crds::risk_policy::{ApprovalRule, BreakGlassPolicy, LevelDurations, PolicyRule, RuleEffect};

use super::decide::{BUDGET, ROUNDS};
use super::expression::{CelProblem, Program};
use super::freeze::Window;
use super::sample;
use crate::duration;

/// Steps of a large plan: as many as there may be.
const MANY_STEPS: u64 = 64;
/// Objects of a large plan.
const LARGE_PLAN: u64 = 500;

/// Fields of a pack that this release cannot honour. A pack that uses one is not Ready, and nothing is approved while it
/// stands: the stricter reading of a policy that is only half understood.
#[must_use]
pub fn unsupported(spec: &RiskPolicySpec) -> Vec<&'static str> {
    let checks = [(!spec.notifiers.is_empty(), "notifiers")];
    checks
        .into_iter()
        .filter_map(|(used, name)| used.then_some(name))
        .collect()
}

/// Mistakes that make a pack unusable, each with its place.
#[must_use]
pub fn invalid(spec: &RiskPolicySpec) -> Vec<String> {
    let mut problems = contradictions(spec);
    for rule in &spec.rules {
        match Program::compile(&rule.when) {
            Err(problem) => problems.push(rule_problem(rule, &problem)),
            Ok(program) => problems.extend(sample::never_works(&program).map(|why| {
                format!(
                    "rule {}: when {:?} can never be judged: {why}",
                    rule.name, rule.when
                )
            })),
        }
    }
    for (index, freeze) in spec.freezes.iter().enumerate() {
        if let Err(problem) = Window::compile(freeze) {
            problems.push(format!("freeze {}: {problem}", index + 1));
        }
    }
    problems
}

/// What is allowed, but will surprise: one line each.
#[must_use]
pub fn doubtful(spec: &RiskPolicySpec) -> Vec<String> {
    let mut found = vec![];
    let mut cost = 0_u64;
    for rule in &spec.rules {
        let Ok(program) = Program::compile(&rule.when) else {
            continue;
        };
        let times = if program.uses.target || program.uses.namespace {
            LARGE_PLAN
        } else if program.uses.step {
            MANY_STEPS
        } else {
            1
        };
        cost = cost.saturating_add(program.cost.saturating_mul(times));
        if let Some((example, why)) = sample::sometimes_fails(&program) {
            found.push(format!(
                "rule {} cannot be judged for {example} ({why}): such plans are denied. Ask has(..) or \"key\" in map first",
                rule.name
            ));
        }
        if rule.effect == RuleEffect::Deny && sample::always(&program) {
            found.push(format!("rule {} denies every plan there is", rule.name));
        }
    }
    // A level that a rule raises is put to all rules again.
    let raises = spec.rules.iter().any(|rule| rule.at_least.is_some());
    let cost = cost.saturating_mul(if raises { ROUNDS } else { 1 });
    if cost > BUDGET {
        found.push(format!(
            "a plan of {MANY_STEPS} steps and {LARGE_PLAN} objects may cost up to {cost} steps by these rules, and the limit of all packs together is {BUDGET}: it would be denied. Loop in fewer rules that read step, target or namespaceObject"
        ));
    }
    found
}

fn rule_problem(rule: &PolicyRule, problem: &CelProblem) -> String {
    format!("rule {}: when, {problem}", rule.name)
}

/// What contradicts itself, beside expressions and windows.
fn contradictions(spec: &RiskPolicySpec) -> Vec<String> {
    let mut problems = vec![];
    rules(spec, &mut problems);
    ages(spec, &mut problems);
    approvals(spec, &mut problems);
    selectors(spec, &mut problems);
    for applier in spec.gitops.iter().flat_map(|gitops| &gitops.trusted_appliers) {
        let halves = applier.service_account.split_once('/');
        if !halves.is_some_and(|(ns, name)| !ns.is_empty() && !name.is_empty() && !name.contains('/')) {
            problems.push("gitops.trustedAppliers: serviceAccount is written NAMESPACE/NAME".to_owned());
        }
    }
    problems
}

fn rules(spec: &RiskPolicySpec, problems: &mut Vec<String>) {
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
        if rule.require.as_ref().is_some_and(|r| r.self_confirm) {
            problems.push(format!(
                "rule {}: require.selfConfirm: what a rule asks for in addition is never given by the requester",
                rule.name
            ));
        }
    }
}

fn ages(spec: &RiskPolicySpec, problems: &mut Vec<String>) {
    let not_positive = |text: &str| duration::parse(text).is_none_or(|d| d.is_zero());
    let ages = [
        ("maxPlanAge", &spec.max_plan_age),
        ("maxIdentityAge", &spec.max_identity_age),
    ];
    for (field, durations) in ages {
        let Some(LevelDurations { caution, destructive }) = durations else {
            continue;
        };
        for (level, text) in [("caution", caution), ("destructive", destructive)] {
            if text.as_deref().is_some_and(not_positive) {
                problems.push(format!("{field}.{level} is no positive duration like 4h or 90m"));
            }
        }
    }
    if let Some(BreakGlassPolicy {
        groups,
        review_within,
    }) = &spec.break_glass
    {
        if not_positive(review_within) {
            problems.push("breakGlass.reviewWithin is no positive duration like 24h".to_owned());
        }
        if groups.is_empty() {
            problems.push("breakGlass.groups names nobody: take breakGlass out instead".to_owned());
        }
    }
}

fn approvals(spec: &RiskPolicySpec, problems: &mut Vec<String>) {
    let level = |pick: fn(&kubechat_crds::risk_policy::LevelApprovals) -> Option<&ApprovalRule>| {
        spec.approvals.as_ref().and_then(pick)
    };
    if level(|a| a.destructive.as_ref()).is_some_and(|r| r.self_confirm) {
        problems.push(
            "approvals.destructive.selfConfirm: nobody confirms a destructive plan of his own".to_owned(),
        );
    }
    let of_rules = spec
        .rules
        .iter()
        .filter_map(|r| Some((r.name.as_str(), r.require.as_ref()?)));
    let of_levels = [
        ("approvals.caution", level(|a| a.caution.as_ref())),
        ("approvals.destructive", level(|a| a.destructive.as_ref())),
    ];
    let all = of_levels
        .into_iter()
        .filter_map(|(name, r)| Some((name, r?)))
        .chain(of_rules);
    for (name, asked) in all {
        let named = i32::try_from(asked.users.len()).unwrap_or(i32::MAX);
        if named > 0 && named < asked.count {
            problems.push(format!(
                "{name} asks for {} people out of {named}: nothing could ever be approved",
                asked.count
            ));
        }
    }
}

fn selectors(spec: &RiskPolicySpec, problems: &mut Vec<String>) {
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
}
