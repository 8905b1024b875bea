//! Objects that need the same write share a step.

use kubechat_crds::Step;
use kubechat_crds::intent::Action;

use super::{Draft, MAX_WHY};

/// Evictions of one step at most. Between steps everything is read anew and judged, and each eviction may wait for a budget.
pub const MAX_EVICTIONS: usize = 10;

/// Adds a draft, to the last one where both need the same write.
pub fn join(drafts: &mut Vec<Draft>, next: Draft) {
    match drafts
        .last_mut()
        .filter(|last| same_write(&last.step, &next.step))
    {
        Some(last) => merge(last, next),
        None => drafts.push(next),
    }
}

fn same_write(a: &Step, b: &Step) -> bool {
    a.action == b.action
        && a.params == b.params
        && a.patch == b.patch
        && a.subresource == b.subresource
        && a.manifest.is_none()
        && b.manifest.is_none()
        && a.rollback.kind == b.rollback.kind
        && a.rollback.action == b.rollback.action
        && a.targets.first().map(|t| (&t.kind, &t.namespace))
            == b.targets.first().map(|t| (&t.kind, &t.namespace))
        && (a.action != Action::Evict || evicted_together(a, b))
}

/// Evictions are few a step, and what each of them loses is told in full.
fn evicted_together(a: &Step, b: &Step) -> bool {
    let why = joined(&a.rollback.why, &b.rollback.why);
    a.targets.len() + b.targets.len() <= MAX_EVICTIONS && why.len() <= MAX_WHY
}

/// Both reasons; one that stands there already is not told twice.
fn joined(told: &str, more: &str) -> String {
    let within = |text: &str| format!("; {text}; ");
    if within(told).contains(&within(more)) {
        return told.to_owned();
    }
    format!("{told}; {more}")
}

fn merge(into: &mut Draft, next: Draft) {
    let undo = |step: &Step| -> Vec<_> {
        (0..step.targets.len())
            .filter_map(|i| step.rollback.undo_of(i))
            .collect()
    };
    let (mine, others) = (undo(&into.step), undo(&next.step));
    into.step.rollback.params = None;
    let why = &mut into.step.rollback.why;
    // Beyond what a plan holds it is cut, which its end shows.
    if why.len() <= MAX_WHY {
        *why = joined(why, &next.step.rollback.why);
    }
    into.step.rollback.undo = mine.into_iter().chain(others).collect();
    into.step.targets.extend(next.step.targets);
    into.sidecars.extend(next.sidecars);
    into.before.extend(next.before);
}
