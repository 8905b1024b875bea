//! Every PascalCase reason KubeChat gives: condition reason, Event reason and metric label are the same word.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*
        /// All of them, for documentation and for metrics that list their labels.
        pub const ALL: &[&str] = &[$($text),*];
    };
}

reasons! {
    /// The turn was answered.
    ANSWERED = "Answered";
    /// Unclear: the answer says what is needed.
    NEEDS_INPUT = "NeedsInput";
    /// The requester lacks a right.
    FORBIDDEN = "Forbidden";
    /// The API server's dry-run refused a step.
    DRY_RUN_FAILED = "DryRunFailed";
    /// The change makes no sense for the object.
    INVALID = "Invalid";
    /// Not in this release.
    NOT_SUPPORTED = "NotSupported";
    /// Never allowed, whoever asks.
    FORBIDDEN_CLASS = "ForbiddenClass";
    /// An object that would be deleted is protected from it.
    DELETE_PROTECTED = "DeleteProtected";
    /// The provider does not serve the namespace.
    PROVIDER_NOT_ALLOWED = "ProviderNotAllowed";
    /// A policy limit was reached.
    LIMIT_EXCEEDED = "LimitExceeded";
    /// A person is waited for.
    AWAITING_APPROVAL = "AwaitingApproval";
    /// There is no RiskPolicy, so nothing is approved.
    NO_POLICY = "NoPolicy";
    /// A RiskPolicy is not usable, so nothing is approved.
    POLICY_NOT_READY = "PolicyNotReady";
    /// A rule or freeze of a RiskPolicy forbids the plan.
    POLICY_DENIED = "PolicyDenied";
    /// The requirement grew after the approval.
    REQUIREMENT_CHANGED = "RequirementChanged";
    /// All approvals are there.
    APPROVED = "Approved";
    /// Steps are being sent.
    EXECUTING = "Executing";
    /// The steps were sent; their effect is waited for.
    WAITING_FOR_EFFECT = "WaitingForEffect";
    /// All steps were done.
    EXECUTED = "Executed";
    /// A step failed.
    STEP_FAILED = "StepFailed";
    /// A step's outcome cannot be known.
    OUTCOME_UNKNOWN = "OutcomeUnknown";
    /// Stopped midway.
    INTERRUPTED = "Interrupted";
    /// The effect did not come within the wait.
    EFFECT_TIMED_OUT = "EffectTimedOut";
    /// A person refused.
    DENIED = "Denied";
    /// Withdrawn by `spec.cancel` of its turn: by the requester, or by somebody who may decide on plans.
    CANCELLED = "Cancelled";
    /// The turn that asked for it is gone.
    TURN_GONE = "TurnGone";
    /// The plan was removed while it was executed; what was not sent by then is not.
    PLAN_GONE = "PlanGone";
    /// The turn names another requester than its plan.
    ANOTHER_REQUESTER = "AnotherRequester";
    /// Time ran out.
    EXPIRED = "Expired";
    /// What was approved is not what stands there now.
    STALE = "Stale";
    /// PlanOnly was asked for.
    PLAN_ONLY = "PlanOnly";
    /// The object does not carry a valid seal.
    UNTRUSTED_ORIGIN = "UntrustedOrigin";
    /// The kind of user may not act.
    REFUSED_IDENTITY = "RefusedIdentity";
    /// A service account may not make this change.
    APPLIER_IDENTITY = "ApplierIdentity";
    /// A service account asked without a near `notAfter`.
    NOT_AFTER_REQUIRED = "NotAfterRequired";
    /// Privileged groups were dropped before acting.
    PRIVILEGED_GROUPS_DROPPED = "PrivilegedGroupsDropped";
    /// The audit log cannot be written.
    AUDIT_UNAVAILABLE = "AuditUnavailable";
    /// A part of the audit log cannot be read, or is not what was recorded.
    AUDIT_DAMAGED = "AuditDamaged";
    /// Admission does not stamp, so nothing executes.
    ADMISSION_UNHEALTHY = "AdmissionUnhealthy";
    /// A RiskPolicy's kill switch is on.
    SUSPENDED = "Suspended";
    /// The plan's digest is not that of its content.
    DIGEST_MISMATCH = "DigestMismatch";
    /// The operator's clock is behind the API server's, so no expiry can be judged.
    CLOCK_SKEW = "ClockSkew";
    /// The API server did not answer in time.
    UNREACHABLE = "Unreachable";
    /// The session does not take turns any more.
    SESSION_CLOSED = "SessionClosed";
    /// The decision counts.
    ACCEPTED = "Accepted";
    /// There is no such plan.
    PLAN_NOT_FOUND = "PlanNotFound";
    /// The plan does not wait for a decision any more.
    PLAN_FINISHED = "PlanFinished";
    /// The requester decided on a plan that needs somebody else.
    SELF_APPROVAL = "SelfApproval";
    /// The person is in none of the required groups or lists.
    NOT_ELIGIBLE = "NotEligible";
    /// A service account decided.
    NOT_A_PERSON = "NotAPerson";
    /// A service account that no policy trusts submitted the decision.
    UNTRUSTED_APPLIER = "UntrustedApplier";
    /// A decision through Git carries no signature.
    SIGNATURE_MISSING = "SignatureMissing";
    /// The signature is not over this decision, or cannot be read.
    SIGNATURE_INVALID = "SignatureInvalid";
    /// No ApproverKey holds the key that signed, or several people's do.
    UNKNOWN_KEY = "UnknownKey";
    /// The key that signed was revoked.
    KEY_REVOKED = "KeyRevoked";
    /// The key that signed is not valid yet, or not any more.
    KEY_NOT_VALID = "KeyNotValid";
    /// The decision names another person than its signature.
    CLAIM_MISMATCH = "ClaimMismatch";
    /// Somebody approved in an emergency, by a policy's breakGlass.
    BREAK_GLASS = "BreakGlass";
    /// A plan that was executed by break-glass has not been reviewed yet.
    REVIEW_DUE = "ReviewDue";
    /// A plan that was executed by break-glass was reviewed.
    REVIEWED = "Reviewed";
    /// The review of a plan that was executed by break-glass did not come in time.
    REVIEW_OVERDUE = "ReviewOverdue";
    /// A Review of a plan that was not executed by break-glass.
    NOT_BREAK_GLASS = "NotBreakGlass";
    /// The operator made a new seal key.
    SEAL_KEY_ROTATED = "SealKeyRotated";
    /// A model reads the sentence.
    INTERPRETING = "Interpreting";
    /// The provider's endpoint is not one that its egress allows.
    EGRESS_NOT_ALLOWED = "EgressNotAllowed";
    /// The provider's Secret may not be used for its endpoint.
    CREDENTIAL_INVALID = "CredentialInvalid";
    /// The provider did not understand enough sentences of the probe, or did not answer.
    PROBE_FAILED = "ProbeFailed";
    /// A body is about to be sent to a model.
    OUTBOUND_INTENDED = "OutboundIntended";
    /// A body was sent to a model, and it answered.
    OUTBOUND_DONE = "OutboundDone";
    /// A body was not sent, or not answered.
    OUTBOUND_FAILED = "OutboundFailed";
    /// Nobody recorded what became of a call.
    OUTBOUND_UNKNOWN = "OutboundUnknown";
    /// Usable.
    READY = "Ready";
    /// Under way.
    PROGRESSING = "Progressing";
}

/// Reasons of what goes on, went well, or is only asked.
const NO_REFUSAL: &[&str] = &[
    ANSWERED,
    NEEDS_INPUT,
    AWAITING_APPROVAL,
    APPROVED,
    EXECUTING,
    WAITING_FOR_EFFECT,
    EXECUTED,
    PLAN_ONLY,
    PRIVILEGED_GROUPS_DROPPED,
    ACCEPTED,
    BREAK_GLASS,
    REVIEW_DUE,
    REVIEWED,
    SEAL_KEY_ROTATED,
    INTERPRETING,
    OUTBOUND_INTENDED,
    OUTBOUND_DONE,
    READY,
    PROGRESSING,
];

/// Whether something is refused, held back or ended without being done, for this reason. Every refusal is told by an Event
/// and a metric; a reason that is not known here counts as one.
#[must_use]
pub fn is_refusal(reason: &str) -> bool {
    !NO_REFUSAL.contains(&reason)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_not_known_counts_as_a_refusal() {
        assert!(super::is_refusal("SomethingNew") && super::is_refusal(super::DENIED));
        assert!(!super::is_refusal(super::EXECUTED));
    }

    #[test]
    fn reasons_are_pascal_case_and_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for reason in super::ALL {
            let pascal = reason.starts_with(|c: char| c.is_ascii_uppercase())
                && reason.chars().all(|c| c.is_ascii_alphanumeric());
            assert!(pascal, "{reason}");
            assert!(seen.insert(reason), "{reason} stands twice");
        }
    }
}
