//! What arrives through Git: which changes a service account may ask for, until when, and who must sign them.
//!
//! **Invariant:** the webhook, the planner and the controllers ask these functions; a change that a service account asked
//! for is executed only with a signed approval of a person.

use jiff::{SignedDuration, Timestamp};
use kubechat_crds::Identity;
use kubechat_crds::command_plan::Requirement;

/// How far ahead a service account's `notAfter` may lie.
pub const MAX_NOT_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Stands as the policy of what KubeChat asks for whatever the packs say.
pub const BUILT_IN: &str = "kubechat";
/// The rule that a service account's changes are signed.
pub const SIGNED: &str = "signed-by-a-person";
/// The rule that a service account changes things only as one of the request's own namespace.
pub const APPLIER_IDENTITY: &str = "applier-identity";

/// Whether this requester may ask for changes in a request of this namespace: a person may, a service account only if it
/// is one of that namespace. Otherwise whoever may commit a file for one namespace could use the rights of an applier
/// that works for all of them.
///
/// # Errors
/// What happened and how to set the applier up.
pub fn may_change(requester: &Identity, namespace: &str) -> Result<(), String> {
    if !requester.is_service_account() {
        return Ok(());
    }
    let (home, name) = requester.service_account().unwrap_or_default();
    if home == namespace && !name.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} is no service account of namespace {namespace}, where the request stands, so it gets answers but no changes. Nothing was done. Let Git be applied by an account of {namespace} which may make the change: Flux: spec.serviceAccountName in a Kustomization of namespace {namespace}; Argo CD: destinationServiceAccounts of the AppProject",
        requester.username
    ))
}

/// Whether the request of this requester ends in time: nobody withdraws a service account's request, so it must say until
/// when it is meant. `from` is when it is (or was) created.
///
/// # Errors
/// What to set.
pub fn ends_in_time(
    requester: &Identity,
    not_after: Option<Timestamp>,
    from: Timestamp,
) -> Result<(), &'static str> {
    let near = not_after.is_some_and(|at| at.duration_since(from) <= MAX_NOT_AFTER);
    if !requester.is_service_account() || near {
        return Ok(());
    }
    Err(
        "a service account must set spec.notAfter, at most 7 days ahead, because nobody else ends its requests",
    )
}

/// What a service account's plan needs besides what the packs ask for: one signed decision of a person.
#[must_use]
pub fn requirement(requester: &Identity) -> Option<Requirement> {
    requester.is_service_account().then(|| Requirement {
        policy: BUILT_IN.to_owned(),
        rule: Some(SIGNED.to_owned()),
        count: 1,
        signature: true,
        ..Requirement::default()
    })
}

#[cfg(test)]
mod tests {
    use kubechat_crds::command_plan::Risk;
    use kubechat_crds::{ApprovalSpec, CommandPlanSpec, DecisionKind, Level, PlanPhase, RiskPolicy};

    use super::*;
    use crate::decider::Decider;
    use crate::lifecycle::approval::Facts;
    use crate::lifecycle::command_plan::{Observed, Verdict, decide};
    use crate::policy::Effective;

    fn who(username: &str) -> Identity {
        Identity {
            username: username.to_owned(),
            ..Identity::default()
        }
    }

    #[test]
    fn a_service_account_changes_things_only_from_its_own_namespace() {
        let cases = [
            ("alice", true),
            ("system:serviceaccount:prod:deployer", true),
            ("system:serviceaccount:flux-system:kustomize-controller", false),
            ("system:serviceaccount:prod-2:deployer", false),
            ("system:serviceaccount:prod", false),
            ("system:serviceaccount:prod:", false),
            ("system:serviceaccount::prod", false),
            ("system:serviceaccount:", false),
        ];
        for (name, allowed) in cases {
            assert_eq!(may_change(&who(name), "prod").is_ok(), allowed, "{name}");
        }
        assert!(may_change(&who("system:serviceaccount:prod"), "").is_err());
        let says = may_change(&who("system:serviceaccount:a:b"), "prod").unwrap_err();
        for word in [
            "system:serviceaccount:a:b",
            "spec.serviceAccountName",
            "destinationServiceAccounts",
            "namespace prod",
        ] {
            assert!(says.contains(word), "{says}");
        }
    }

    #[test]
    fn a_service_accounts_request_ends_within_seven_days() {
        let robot = who("system:serviceaccount:prod:deployer");
        let now = Timestamp::UNIX_EPOCH;
        let after = |seconds| Timestamp::from_second(seconds).ok();
        let week = 7 * 24 * 3600;
        assert!(ends_in_time(&robot, None, now).is_err());
        assert!(ends_in_time(&robot, after(week), now).is_ok());
        assert!(ends_in_time(&robot, after(week + 1), now).is_err());
        assert!(ends_in_time(&who("alice"), None, now).is_ok());
        assert!(ends_in_time(&who("alice"), after(week + 1), now).is_ok());
    }

    #[test]
    fn a_service_accounts_plan_needs_one_signature_and_a_persons_none() {
        assert_eq!(requirement(&who("alice")), None);
        let needed = requirement(&who("system:serviceaccount:prod:deployer")).unwrap();
        assert!(
            needed.signature && needed.count == 1 && !needed.self_confirm,
            "{needed:?}"
        );
    }

    const DAY: i64 = 24 * 3600;

    /// A plan of a service account of `prod`, stamped at 0, looked at after two days, with bob's unsigned consent.
    fn verdict_in(namespace: &str, after: i64) -> Verdict {
        let at = |second| Timestamp::from_second(second).unwrap();
        let policies = Effective::from_policies(&[RiskPolicy::new("baseline", Default::default())]).unwrap();
        let mut plan = CommandPlanSpec {
            requester: who("system:serviceaccount:prod:deployer"),
            risk: Risk {
                level: Level::Caution,
                ..Risk::default()
            },
            expires_at: at(3 * DAY).to_string(),
            ..CommandPlanSpec::default()
        };
        plan.requirement = policies.evaluate(&plan, at(0)).requirement;
        let bob = Facts {
            name: "a".to_owned(),
            uid: "u".to_owned(),
            spec: ApprovalSpec {
                decision: DecisionKind::Approve,
                submitted_by: Some(who("bob")),
                ..ApprovalSpec::default()
            },
            created: at(1),
            sealed: true,
            refused: None,
            stands: None,
            decider: Ok(Decider {
                person: who("bob"),
                ..Decider::default()
            }),
            right: Some(Ok(())),
        };
        let seen = Observed {
            name: "p",
            namespace,
            plan: &plan,
            approvals: &[bob],
            policies: Ok(&policies),
            holders: None,
            withdrawn: None,
            stamped: at(0),
            planned: at(0),
            not_after: Some(at(3 * DAY)),
            now: at(after),
        };
        decide(&seen).0
    }

    #[test]
    fn a_service_accounts_plan_waits_for_a_signature_until_its_not_after() {
        assert!(matches!(verdict_in("prod", 2 * DAY), Verdict::Wait { .. }));
        let phase = |verdict| match verdict {
            Verdict::End(ending) => Some(ending.phase),
            Verdict::PlanOnly | Verdict::Wait { .. } | Verdict::Go => None,
        };
        assert_eq!(phase(verdict_in("prod", 3 * DAY)), Some(PlanPhase::Expired));
        assert_eq!(phase(verdict_in("other", 2 * DAY)), Some(PlanPhase::Blocked));
    }
}
