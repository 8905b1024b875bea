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

/// What is lost now that nothing said would be lost: the same objects may be hit harder.
#[must_use]
pub fn worse(planned: &BlastRadius, now: &BlastRadius) -> Option<String> {
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

/// What a list names, and how many more it left out where it was cut.
fn listed(list: &[String]) -> (&[String], usize) {
    let cut = list.split_last().and_then(|(last, named)| {
        let more = last.strip_prefix("and ")?.strip_suffix(" more")?;
        Some((named, more.parse().ok()?))
    });
    cut.unwrap_or((list, 0))
}

/// Names that were not there before. Of a list that was cut what comes after its last name may have been among those it left
/// out: it is new only as far as there are more of them.
fn new(before: &[String], after: &[String]) -> Vec<String> {
    let ((was, cut), (is, more)) = (listed(before), listed(after));
    let hidden = |one: &String| cut > 0 && was.last().is_none_or(|last| one > last);
    let names = is.iter().filter(|one| !was.contains(one) && !hidden(one));
    let mut new: Vec<String> = names.cloned().collect();
    let grown = (is.len() + more).saturating_sub(was.len() + cut + new.len());
    if grown > 0 {
        new.push(format!("{grown} more"));
    }
    new
}

/// How a gap is named: `pods in demo`.
fn named(gap: &str) -> &str {
    gap.split_once(": ").map_or(gap, |(what, _)| what)
}

/// Whether a plan counts objects of the kind that a gap is about, so that some of it could be read. They are not counted by
/// namespace: where others than `home` are hit too, nothing is known of any one of them.
fn counts(planned: &BlastRadius, what: &str, home: &str) -> bool {
    let (resource, place) = what
        .split_once(" in ")
        .map_or((what, None), |(resource, place)| (resource, Some(place)));
    place.is_none_or(|place| place == home && planned.outside_namespace == 0) && counts_any(planned, resource)
}

/// Whether a plan counts objects of this kind, wherever they are.
fn counts_any(planned: &BlastRadius, resource: &str) -> bool {
    planned.objects.keys().any(|kind| {
        let kind = kind.split('.').next().unwrap_or_default().to_lowercase();
        let ies = kind.strip_suffix('y').map(|stem| format!("{stem}ies"));
        resource
            .strip_prefix(kind.as_str())
            .is_some_and(|end| matches!(end, "" | "s" | "es"))
            || ies.as_deref() == Some(resource)
    })
}

/// Whether a gap is one that the plan was approved with. Of a list that was cut nobody knows what else was missing, but what
/// was counted was seen.
fn approved(planned: &BlastRadius, what: &str, home: &str) -> bool {
    let (gaps, more) = listed(&planned.missing);
    !planned.complete
        && (gaps.iter().any(|gap| named(gap) == what) || (more > 0 && !counts(planned, what, home)))
}

/// What could be read for the plan and cannot now, however that came. `home` is the plan's namespace.
#[must_use]
pub fn lost_sight(planned: &BlastRadius, now: &BlastRadius, home: &str) -> Vec<String> {
    let ((known, cut), (gaps, more)) = (listed(&planned.missing), listed(&now.missing));
    let new = gaps.iter().filter(|gap| !approved(planned, named(gap), home));
    let mut new: Vec<String> = new.cloned().collect();
    // What is not named is only counted.
    let grown = (gaps.len() + more).saturating_sub(known.len() + cut + new.len());
    if grown > 0 && cut + more > 0 {
        new.push(format!("{grown} more"));
    }
    new
}

/// Whether what does not answer now may have been read for the plan, so that nobody approved not knowing it: then it is
/// waited for. Of a list that was cut whatever is of a kind that was counted, in whatever namespace, may have been.
#[must_use]
pub fn was_seen(planned: &BlastRadius, what: &str) -> bool {
    let (gaps, more) = listed(&planned.missing);
    let resource = what.split(' ').next().unwrap_or_default();
    let hidden = more > 0 && !counts_any(planned, resource);
    planned.complete || !(hidden || gaps.iter().any(|gap| named(gap) == what))
}

#[cfg(test)]
#[path = "growth_tests.rs"]
mod tests;
