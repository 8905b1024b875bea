//! The factors of the score: which of [`super::weights`] apply to a plan, and on what evidence.

use std::collections::BTreeMap;

use kubechat_crds::command_plan::{BlastRadius, Effect, NamespaceFact, RollbackKind};
use kubechat_crds::intent::Action;
use kubechat_crds::{CommandPlanSpec, Step};

use super::floors::{Replicas, autoscale_lost, subresource};
use super::kinds::{self, Class};
use super::weights::{self, Weight, banded};
use super::{Factors, Found, changing, combination, name, namespaces_changed, place, security};
use crate::catalogue;

/// Words by which a namespace says that it is production.
const PRODUCTION: &[&str] = &["prod", "production", "prd", "live"];
/// Last parts of label keys that say what a namespace is for.
const STAGE_KEYS: &[&str] = &["env", "environment", "stage", "tier"];

/// Every factor of a plan.
pub(super) fn of(plan: &CommandPlanSpec) -> BTreeMap<&'static str, Found> {
    let mut found = Factors::default();
    // What changes nothing has no risk, wherever it looks.
    if changing(plan).next().is_none() {
        return found.0;
    }
    for step in changing(plan) {
        of_step(step, &mut found);
    }
    reach(plan, &mut found);
    namespaces(plan, &mut found);
    availability(plan, &mut found);
    amounts(plan, &mut found);
    context(plan, &mut found);
    for guard in combination::guards_used(&plan.steps) {
        // Once the plan has removed a budget, nothing violates it any more: it counts as violated all the same.
        if guard.starts_with("poddisruptionbudget/") {
            found.add(weights::PDB_VIOLATED, guard.clone());
        }
        found.add(weights::GUARD_THEN_USE, guard);
    }
    for node in combination::without_room(&plan.steps) {
        found.add(weights::NO_ROOM, node);
    }
    found.0
}

/// What a step does, to what, and whether it can be undone.
fn of_step(step: &Step, found: &mut Factors) {
    for weight in verbs(step) {
        if step.targets.is_empty() {
            found.add(weight, format!("step {}", step.id));
        }
        for target in &step.targets {
            found.add(weight, name(target));
        }
    }
    for target in &step.targets {
        found.add(kinds::of(target).weight(), name(target));
        if place(target).is_none() || kinds::of(target) == Class::Namespace {
            found.add(weights::CLUSTER_SCOPE, name(target));
        }
    }
    let told = || format!("step {}: {}", step.id, reason(&step.rollback.why));
    match step.rollback.kind {
        RollbackKind::Inverse => {}
        RollbackKind::Recreate if step.targets.iter().any(|t| kinds::of(t) == Class::Unknown) => {
            found.add(weights::RECREATED_UNKNOWN, told());
        }
        RollbackKind::Recreate => found.add(weights::RECREATED, told()),
        // A restart has nothing to undo: the pods are new ones of the same template. More room is no loss either.
        RollbackKind::None if harmless(step) => {}
        RollbackKind::None => found.add(weights::IRREVERSIBLE, told()),
    }
    if let Some(selector) = &step.selector {
        let kind = step
            .targets
            .first()
            .map_or("object", |t| t.kind.as_str())
            .to_lowercase();
        let which = if selector == "*" {
            String::new()
        } else {
            format!(" with {selector}")
        };
        found.add(weights::SELECTOR, format!("every {kind}{which}"));
    }
    for (weight, evidence) in security::added(step) {
        found.add(weight, evidence);
    }
    for owner in step.owners.iter().filter(|o| o.will_be_undone) {
        found.add(
            weights::UNDONE,
            format!("{} writes {}", owner.manager, owner.field),
        );
    }
    for right in step.access.iter().filter(|a| !a.allowed) {
        found.add(
            weights::INCOMPLETE,
            format!("no right to {} {}", right.verb, right.resource),
        );
    }
    if let Some(unread) = security::unread(step) {
        found.add(weights::INCOMPLETE, unread);
    }
    for by in step.selected_by.iter().filter(|by| by.starts_with("unreadable")) {
        found.add(weights::INCOMPLETE, by.clone());
    }
}

/// Whether nothing is lost by that nothing undoes it.
fn harmless(step: &Step) -> bool {
    step.effect == Effect::Update && catalogue::change(step.action).is_some_and(|change| change.harmless)
}

fn reason(why: &str) -> &str {
    if why.is_empty() {
        "no reason is recorded"
    } else {
        why
    }
}

/// What the action of a step weighs. More than one where it is not what it says.
fn verbs(step: &Step) -> Vec<Weight> {
    let verb = catalogue::change(step.action).map_or(weights::UNKNOWN_VERB, |change| (change.weight)(step));
    let mut all = vec![verb];
    if step.effect == Effect::Delete && step.action != Action::Delete && !kinds::is_eviction(step) {
        all.push(weights::DELETE);
    }
    if step.effect == Effect::Read || subresource(step).is_some() {
        all.push(weights::UNKNOWN_VERB);
    }
    all
}

/// How far the plan reaches.
fn reach(plan: &CommandPlanSpec, found: &mut Factors) {
    let touched = namespaces_changed(&plan.steps);
    let count = i64::try_from(touched.len()).unwrap_or(i64::MAX);
    let bands = [
        (2, weights::NAMESPACES_2),
        (4, weights::NAMESPACES_4),
        (8, weights::NAMESPACES_8),
    ];
    if let Some(weight) = banded(count, &bands) {
        for namespace in &touched {
            found.add(weight, *namespace);
        }
    }
    let Some(blast) = &plan.blast_radius else {
        found.add(weights::INCOMPLETE, "no blast radius is recorded");
        return;
    };
    if blast.outside_namespace > 0 {
        let told = format!("{} objects outside the turn's namespace", blast.outside_namespace);
        found.add(weights::NAMESPACES_2, told);
    }
    let nodes = changing(plan)
        .flat_map(|s| &s.targets)
        .any(|t| kinds::of(t) == Class::Node);
    if nodes && blast.nodes_percent > 0 {
        found.add(
            nodes_share(blast.nodes_percent),
            format!("{} % of the nodes", blast.nodes_percent),
        );
    }
    for by in &blast.undone_by {
        found.add(weights::UNDONE, by.clone());
    }
    if !blast.complete {
        found.add(weights::INCOMPLETE, "a limit was reached or a list was refused");
        for what in &blast.missing {
            found.add(weights::INCOMPLETE, what.clone());
        }
    }
}

/// Linear up to 70 for all nodes, in steps of five.
fn nodes_share(percent: i32) -> Weight {
    let linear = percent.clamp(0, 100) * 70 / 100 / 5 * 5;
    Weight {
        percent: u8::try_from(linear.max(5)).unwrap_or(70),
        ..weights::NODES
    }
}

/// What the touched namespaces are. The targets count, never where the request lives.
fn namespaces(plan: &CommandPlanSpec, found: &mut Factors) {
    for name in namespaces_changed(&plan.steps) {
        if kinds::is_system(name, &plan.facts.own_namespace) {
            found.add(weights::SYSTEM, name);
        }
        let facts: Vec<&NamespaceFact> = plan.facts.namespaces.iter().filter(|f| f.name == name).collect();
        if facts.is_empty() {
            found.add(weights::UNKNOWN_NAMESPACE, name);
        }
        if facts.iter().any(|f| f.protected) {
            found.add(weights::PROTECTED, name);
        }
        if is_production_word(name) {
            found.add(weights::PRODUCTION, name);
        }
        for (key, value) in facts.iter().flat_map(|f| &f.labels) {
            let last = key.rsplit('/').next().unwrap_or(key);
            if STAGE_KEYS.contains(&last) && is_production_word(value) {
                found.add(weights::PRODUCTION, format!("{name} ({key}={value})"));
            }
        }
    }
}

fn is_production_word(text: &str) -> bool {
    text.split(['-', '_', '.'])
        .any(|word| PRODUCTION.iter().any(|p| word.eq_ignore_ascii_case(p)))
}

/// What stops, and what is lost.
fn availability(plan: &CommandPlanSpec, found: &mut Factors) {
    let none = BlastRadius::default();
    let blast = plan.blast_radius.as_ref().unwrap_or(&none);
    let bands = [
        (1, weights::LOST_1),
        (5, weights::LOST_5),
        (20, weights::LOST_20),
        (100, weights::LOST_100),
        (500, weights::LOST_500),
    ];
    let lost = blast.pods_lost.max(pods_stopped(plan));
    if let Some(weight) = banded(lost, &bands) {
        found.add(weight, format!("{lost} pods"));
    }
    for service in &blast.services_at_zero {
        found.add(weights::SERVICE_AT_ZERO, service.clone());
    }
    for budget in &blast.pdbs_violated {
        found.add(weights::PDB_VIOLATED, budget.clone());
    }
    if let Some(left) = blast.pdb_headroom.filter(|left| *left <= 0) {
        found.add(weights::PDB_NO_HEADROOM, format!("{left} disruptions left"));
    }
    for workload in &blast.single_replicas {
        found.add(weights::SINGLE_REPLICA, workload.clone());
    }
    for claim in &blast.pvcs {
        found.add(weights::CLAIM_LOST, claim.clone());
    }
    for volume in &blast.unrecoverable_volumes {
        found.add(weights::VOLUME_LOST, volume.clone());
    }
    let deleted = changing(plan)
        .filter(|s| s.effect == Effect::Delete)
        .flat_map(|s| &s.targets);
    for claim in deleted.filter(|t| t.group.is_empty() && t.kind.starts_with("PersistentVolume")) {
        found.add(weights::CLAIM_LOST, name(claim));
    }
}

/// Pods that the steps themselves say they stop for good.
fn pods_stopped(plan: &CommandPlanSpec) -> i64 {
    let stopped = |step: &Step| {
        let pods = step
            .targets
            .iter()
            .filter(|t| t.group.is_empty() && t.kind == "Pod");
        if step.effect == Effect::Delete {
            i64::try_from(pods.count()).unwrap_or(i64::MAX)
        } else if step.action == Action::Scale {
            Replicas::of(step).lost()
        } else if step.action == Action::Autoscale {
            // An unknown number counts as one.
            autoscale_lost(step).unwrap_or(1)
        } else {
            0
        }
    };
    changing(plan).map(stopped).fold(0, i64::saturating_add)
}

/// How much it is, together with what the same person changed within the hour: many small changes are a large one.
fn amounts(plan: &CommandPlanSpec, found: &mut Factors) {
    let targets = |step: &Step| i64::try_from(step.targets.len()).unwrap_or(i64::MAX);
    let window = &plan.facts.window;
    let own = changing(plan).map(targets).fold(0, i64::saturating_add);
    let removed = changing(plan)
        .filter(|s| s.effect == Effect::Delete || s.action == Action::Delete)
        .map(targets)
        .fold(0, i64::saturating_add);
    let objects = [
        (20, weights::OBJECTS_20),
        (50, weights::OBJECTS_50),
        (150, weights::OBJECTS_150),
        (500, weights::OBJECTS_500),
    ];
    if let Some(weight) = banded(own.saturating_add(window.objects), &objects) {
        found.add(
            weight,
            format!("{own} now, {} in the hour before", window.objects),
        );
    }
    let plans = [(100, weights::PLANS_100), (300, weights::PLANS_300)];
    if let Some(weight) = banded(i64::from(window.plans), &plans) {
        found.add(weight, format!("{} plans", window.plans));
    }
    let deletes = [
        (5, weights::DELETES_5),
        (20, weights::DELETES_20),
        (50, weights::DELETES_50),
    ];
    let all = removed.saturating_add(window.deleted);
    if let Some(weight) = banded(all, &deletes).filter(|_| removed > 0) {
        found.add(
            weight,
            format!("{removed} now, {} in the hour before", window.deleted),
        );
    }
}

/// What is going on around it.
fn context(plan: &CommandPlanSpec, found: &mut Factors) {
    if plan.facts.incident {
        found.add(weights::INCIDENT, "an emergency that nobody has reviewed yet");
    }
    if plan.facts.untrusted_text {
        found.add(
            weights::UNTRUSTED,
            "characters that nobody sees or types, or a model's words",
        );
    }
}
