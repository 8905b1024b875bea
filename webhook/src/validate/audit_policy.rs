//! CREATE and UPDATE AuditPolicy: one object, named `default`; a change that records less is warned about.

use kubechat_core::{duration, reason as core_reason};
use kubechat_crds::AuditPolicySpec;
use kubechat_crds::audit_policy::AuditLevel;

use super::endpoint::{self, Reach};
use super::inline_secret::refuse_inline;
use super::weaker::{Weaker, has_more, stored};
use crate::refusal::Refusal;
use crate::review::{Allowed, Review, Verdict};

/// The only name.
const ONLY_NAME: &str = "default";
/// Event types that may be given a level.
const EVENT_TYPES: &[&str] = &[
    "authentication",
    "command_generation",
    "command_execution",
    "permission_check",
    "data_access",
    "configuration_change",
    "approval",
    "outbound",
    "export",
    "system",
];

/// Judges the audit policy.
pub(super) fn write(review: &Review) -> Verdict {
    let raw = review.spec()?;
    let spec: AuditPolicySpec = Review::typed(raw)?;
    if review.name() != ONLY_NAME {
        return Err(Refusal::invalid(
            core_reason::INVALID,
            "there is one AuditPolicy, named default. Nothing was stored. Name it default",
        ));
    }
    if let Some(unknown) = spec
        .levels
        .keys()
        .find(|key| !EVENT_TYPES.contains(&key.as_str()))
    {
        return Err(Refusal::invalid(
            core_reason::INVALID,
            format!(
                "spec.levels names {unknown:?}, which is no event type. Nothing was stored. The types are: {}",
                EVENT_TYPES.join(", ")
            ),
        ));
    }
    refuse_inline(raw)?;
    for (i, url) in spec
        .sinks
        .iter()
        .enumerate()
        .filter_map(|(i, sink)| Some((i, sink.endpoint.as_ref()?)))
    {
        endpoint::check(&format!("spec.sinks[{i}].endpoint"), url, Reach::Anywhere)?;
    }
    for (i, url) in spec.witnesses.iter().enumerate() {
        endpoint::check(&format!("spec.witnesses[{i}]"), url, Reach::Anywhere)?;
    }
    let warnings = stored(review).map(|old| weaker(&old, &spec)).unwrap_or_default();
    Ok(Allowed {
        patch: None,
        warnings,
    })
}

fn weaker(old: &AuditPolicySpec, new: &AuditPolicySpec) -> Vec<String> {
    let mut found = Weaker::default();
    for key in EVENT_TYPES {
        found.when(
            detail(new, key) < detail(old, key),
            format!("less is recorded of {key}"),
        );
    }
    let kept = |spec: &AuditPolicySpec| spec.retention.as_deref().and_then(duration::parse);
    let shorter = match (kept(old), kept(new)) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(after)) => after < before,
    };
    found.when(shorter, "retention: payloads are kept for a shorter time");
    found.when(
        old.legal_hold && !new.legal_hold,
        "legalHold: what was held may now be pruned",
    );
    found.when(
        has_more(&new.sinks, &old.sinks),
        "sinks: one was removed or changed",
    );
    found.when(
        has_more(&new.witnesses, &old.witnesses),
        "witnesses: one was removed",
    );
    found.warnings()
}

/// How much of an event type is recorded, as a number to compare.
fn detail(spec: &AuditPolicySpec, event_type: &str) -> u8 {
    match spec.levels.get(event_type).copied().unwrap_or_default() {
        AuditLevel::Off => 0,
        AuditLevel::Metadata => 1,
        AuditLevel::Full => 2,
    }
}
