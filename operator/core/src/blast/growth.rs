//! Whether a blast radius outgrew the one that was approved.

use std::collections::BTreeSet;

use kubechat_crds::command_plan::BlastRadius;

use super::radius::MAX_MISSING;

/// Growth in percent that is let pass.
const PERCENT: i64 = 10;
/// Objects more that are let pass, where the percentage is less.
const OBJECTS: i64 = 3;

/// What grew beyond what an approval may stand for: more than 10 % or 3 objects, or a kind that was not hit before.
#[must_use]
pub fn grown(planned: &BlastRadius, now: &BlastRadius) -> Option<String> {
    let (before, after): (i64, i64) = (planned.objects.values().sum(), now.objects.values().sum());
    let new: Vec<String> = now
        .objects
        .iter()
        .filter(|(kind, _)| !planned.objects.contains_key(*kind))
        .map(|(kind, n)| format!("{n} {kind}"))
        .collect();
    let allowed = before + (before.saturating_mul(PERCENT) / 100).max(OBJECTS);
    if after > allowed {
        let more = now.objects.iter().filter_map(|(kind, n)| {
            let was = planned.objects.get(kind).copied().unwrap_or(0);
            (*n > was).then(|| format!("{kind} from {was} to {n}"))
        });
        return Some(format!(
            "the blast radius grew from {before} to {after} objects ({})",
            more.collect::<Vec<_>>().join(", ")
        ));
    }
    (!new.is_empty()).then(|| format!("the blast radius grew: the plan now also hits {}", new.join(", ")))
}

/// What is lost now that nothing said would be lost: the same objects may be hit harder.
#[must_use]
pub fn worse(planned: &BlastRadius, now: &BlastRadius) -> Option<String> {
    let new = |before: &[String], after: &[String]| -> Vec<String> {
        after
            .iter()
            .filter(|one| !before.contains(one))
            .cloned()
            .collect()
    };
    let found = [
        (
            "would be lost with their data",
            new(&planned.unrecoverable_volumes, &now.unrecoverable_volumes),
        ),
        (
            "would be left without a ready pod",
            new(&planned.services_at_zero, &now.services_at_zero),
        ),
        (
            "would be violated",
            new(&planned.pdbs_violated, &now.pdbs_violated),
        ),
    ];
    let told: Vec<String> = found
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{} {what}", names.join(", ")))
        .collect();
    (!told.is_empty()).then(|| {
        format!(
            "what the plan hits changed since it was planned: now {}",
            told.join("; ")
        )
    })
}

/// What could be read for the plan and cannot now, however that came.
#[must_use]
pub fn lost_sight(planned: &BlastRadius, now: &BlastRadius) -> Vec<String> {
    let named = |line: &str| line.split_once(": ").map_or(line, |(what, _)| what).to_owned();
    let known: BTreeSet<String> = planned.missing.iter().map(|line| named(line)).collect();
    // Of a list that was cut nobody knows what else was missing.
    if !planned.complete && planned.missing.len() >= MAX_MISSING {
        return vec![];
    }
    let gaps = now.missing.iter();
    gaps.filter(|line| planned.complete || !known.contains(&named(line)))
        .cloned()
        .collect()
}

/// Whether what cannot be read now could be read for the plan, so that nobody approved not knowing it. `what` is how the
/// gap is named.
#[must_use]
pub fn was_seen(planned: &BlastRadius, what: &str) -> bool {
    let gap = |line: &String| line.strip_prefix(what).is_some_and(|rest| rest.starts_with(": "));
    planned.complete || !planned.missing.iter().any(gap)
}

#[cfg(test)]
#[path = "growth_tests.rs"]
mod tests;
