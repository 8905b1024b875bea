//! What steps amount to together. The order of the steps does not matter: an approver reads a plan as a whole.

use kubechat_crds::Step;
use kubechat_crds::command_plan::{Effect, Target};
use kubechat_crds::intent::Action;

use crate::catalogue::{self, Pods};

use super::floors::Replicas;
use super::kinds::{self, Class};
use super::{changes, name, place};

/// Guards that the plan takes away or weakens while another step does what they guard against.
pub(super) fn guards_used(steps: &[Step]) -> Vec<String> {
    let mut found = vec![];
    for (at, step) in steps.iter().enumerate() {
        for guard in weakened(step) {
            let used = steps
                .iter()
                .enumerate()
                .filter(|(other, step)| *other != at && disturbs(step))
                .flat_map(|(_, step)| &step.targets)
                .filter(|target| covers(guard, target))
                .map(name)
                .min();
            found.extend(used.map(|target| format!("{} guards {target}", name(guard))));
        }
    }
    found
}

/// Nodes taken out of scheduling while pods are replaced.
pub(super) fn without_room(steps: &[Step]) -> Vec<String> {
    let cordons = steps.iter().filter(|s| changes(s) && closes_a_node(s));
    let replaced = steps.iter().any(disturbs);
    cordons
        .filter(|_| replaced)
        .flat_map(|s| s.targets.iter().map(name))
        .collect()
}

/// Whether a step keeps pods off a node, or may.
fn closes_a_node(step: &Step) -> bool {
    let node = || step.targets.iter().any(|t| kinds::of(t) == Class::Node);
    matches!(step.action, Action::Cordon | Action::Taint) || (may_change_any_field(step) && node())
}

/// The guards among a step's targets that it removes or weakens: an object whose kind guards others, or one whose
/// guarding label or annotation is changed.
fn weakened(step: &Step) -> Vec<&Target> {
    let removes = changes(step) && (step.effect == Effect::Delete || step.action == Action::Delete);
    let guard = |target: &Target| matches!(kinds::of(target), Class::Guard | Class::Admission);
    // A patch of a namespace may be one of its labels, and all that reads them.
    let labels = changes(step)
        && (matches!(step.action, Action::Label | Action::Annotate) || may_change_any_field(step));
    let marks = labels && (!kinds::guard_keys(step).is_empty() || !step.selected_by.is_empty());
    // Any field of a guard may be what makes it one.
    let rewrites = may_change_any_field(step);
    step.targets
        .iter()
        .filter(|t| {
            ((removes || rewrites) && guard(t)) || marks || (labels && kinds::of(t) == Class::Namespace)
        })
        .collect()
}

/// Whether a step may change any field of an object that is there.
fn may_change_any_field(step: &Step) -> bool {
    step.action == Action::Patch || (step.action == Action::Apply && step.effect != Effect::Create)
}

/// Whether a step stops or replaces pods, or what they live on.
fn disturbs(step: &Step) -> bool {
    if !changes(step) {
        return false;
    }
    if step.effect == Effect::Delete {
        return true;
    }
    match catalogue::change(step.action).map(|change| (change.pods)(step)) {
        Some(Pods::Kept | Pods::Moved) => false,
        Some(Pods::Scaled) => !Replicas::of(step).adds(),
        // What makes an object may need what a webhook or a quota would have refused.
        Some(Pods::Replaced | Pods::Ended | Pods::Gone | Pods::Made) | None => true,
    }
}

/// Whether a guard may cover a target: the same namespace, or one of both belongs to the whole cluster. Another guard
/// is no target: removing two guards is not using one of them.
fn covers(guard: &Target, target: &Target) -> bool {
    if matches!(kinds::of(target), Class::Guard | Class::Admission) {
        return false;
    }
    match (place(guard), place(target)) {
        (Some(guard), Some(target)) => guard == target,
        (None, _) | (_, None) => true,
    }
}
