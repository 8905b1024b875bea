//! ChatRequest: what its plan's progress means for the turn, and when a finished turn is removed.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use kubechat_crds::{PlanPhase, RequestPhase};

/// Life of a finished turn where it does not say.
pub const DEFAULT_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// The turn's phase while its plan is in this one.
#[must_use]
pub fn phase_of(plan: PlanPhase) -> RequestPhase {
    match plan {
        PlanPhase::AwaitingApproval => RequestPhase::AwaitingApproval,
        PlanPhase::Approved => RequestPhase::Approved,
        PlanPhase::Executing => RequestPhase::Executing,
        PlanPhase::Succeeded | PlanPhase::PlanOnly => RequestPhase::Succeeded,
        PlanPhase::Failed => RequestPhase::Failed,
        PlanPhase::Denied => RequestPhase::Denied,
        PlanPhase::Blocked => RequestPhase::Blocked,
        PlanPhase::Expired => RequestPhase::Expired,
        PlanPhase::Cancelled => RequestPhase::Cancelled,
        PlanPhase::Stale => RequestPhase::Stale,
        PlanPhase::Interrupted => RequestPhase::Interrupted,
    }
}

/// Whether a turn in this phase rests: it is finished or waits for a person.
#[must_use]
pub fn rests(phase: Option<RequestPhase>) -> bool {
    match phase {
        None
        | Some(
            RequestPhase::Pending
            | RequestPhase::Interpreting
            | RequestPhase::Planning
            | RequestPhase::Approved
            | RequestPhase::Executing,
        ) => false,
        Some(
            RequestPhase::NeedsInput
            | RequestPhase::AwaitingApproval
            | RequestPhase::Succeeded
            | RequestPhase::Failed
            | RequestPhase::Denied
            | RequestPhase::Blocked
            | RequestPhase::Expired
            | RequestPhase::Cancelled
            | RequestPhase::Stale
            | RequestPhase::Interrupted,
        ) => true,
    }
}

/// Whether Argo CD, Flux or Helm tracks the object: removing it would make them create it again.
#[must_use]
pub fn is_tracked(labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> bool {
    let marks = [
        "argocd.argoproj.io/tracking-id",
        "argocd.argoproj.io/instance",
        // Argo CD's label where it tracks by label, and Helm's.
        "app.kubernetes.io/instance",
        "meta.helm.sh/release-name",
        "kustomize.toolkit.fluxcd.io/name",
        "helm.toolkit.fluxcd.io/name",
    ];
    marks
        .iter()
        .any(|m| labels.contains_key(*m) || annotations.contains_key(*m))
}

/// When a finished turn is removed; `None` never.
#[must_use]
pub fn removal(completed: Timestamp, ttl_seconds: Option<i64>, tracked: bool) -> Option<Timestamp> {
    if tracked {
        return None;
    }
    let default = i64::try_from(DEFAULT_TTL.as_secs()).unwrap_or(i64::MAX);
    completed
        .checked_add(jiff::SignedDuration::from_secs(
            ttl_seconds.unwrap_or(default).max(0),
        ))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracked_turns_are_never_removed() {
        let completed = Timestamp::UNIX_EPOCH;
        assert_eq!(
            removal(completed, Some(60), false),
            Timestamp::from_second(60).ok()
        );
        assert_eq!(
            removal(completed, None, false),
            Timestamp::from_second(604_800).ok()
        );
        assert_eq!(removal(completed, Some(60), true), None);
    }

    #[test]
    fn whatever_git_or_helm_applied_is_tracked() {
        for mark in [
            "argocd.argoproj.io/tracking-id",
            "argocd.argoproj.io/instance",
            "app.kubernetes.io/instance",
            "meta.helm.sh/release-name",
            "kustomize.toolkit.fluxcd.io/name",
            "helm.toolkit.fluxcd.io/name",
        ] {
            let marked = [(mark.to_owned(), "x".to_owned())].into();
            assert!(is_tracked(&marked, &BTreeMap::new()), "label {mark}");
            assert!(is_tracked(&BTreeMap::new(), &marked), "annotation {mark}");
        }
        let other = [("app.kubernetes.io/name".to_owned(), "x".to_owned())].into();
        assert!(!is_tracked(&other, &other));
    }
}
