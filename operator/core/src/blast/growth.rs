//! Whether a blast radius outgrew the one that was approved.

use kubechat_crds::command_plan::BlastRadius;

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
