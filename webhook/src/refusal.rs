//! A refusal: a fixed reason for programs and metrics, an HTTP code, and a message for people that says what happened,
//! what did not, and what to do. **Invariant:** reasons are constants; messages never hold prompts, secrets or keys.

/// Reasons that only admission gives; the others are those of `kubechat_core::reason`.
pub(crate) mod reason {
    /// The review is no AdmissionReview.
    pub(crate) const MALFORMED: &str = "Malformed";
    /// A kind or operation that has no rule here.
    pub(crate) const UNKNOWN_KIND: &str = "UnknownKind";
    /// Keys or policies are not read yet.
    pub(crate) const NOT_READY: &str = "NotReady";
    /// The judgement took too long.
    pub(crate) const TIMEOUT: &str = "Timeout";
    /// Too many reviews at once.
    pub(crate) const OVERLOADED: &str = "Overloaded";
    /// The prompt or policy holds a secret.
    pub(crate) const SECRET_FOUND: &str = "SecretFound";
    /// Wider scope than the namespace may ask for.
    pub(crate) const SCOPE_NOT_ALLOWED: &str = "ScopeNotAllowed";
    /// `rollbackOf` names no plan that the requester may read.
    pub(crate) const ROLLBACK_NOT_ALLOWED: &str = "RollbackNotAllowed";
    /// The session is not the requester's.
    pub(crate) const SESSION_NOT_FOUND: &str = "SessionNotFound";
    /// The plan's risk is below what its steps say.
    pub(crate) const RISK_TOO_LOW: &str = "RiskTooLow";
    /// The plan's requirement is below what the policies ask.
    pub(crate) const REQUIREMENT_TOO_LOW: &str = "RequirementTooLow";
    /// A URL that must not be reached.
    pub(crate) const ENDPOINT_NOT_ALLOWED: &str = "EndpointNotAllowed";
    /// All of them.
    #[cfg(test)]
    pub(crate) const ALL: &[&str] = &[
        MALFORMED,
        UNKNOWN_KIND,
        NOT_READY,
        TIMEOUT,
        OVERLOADED,
        SECRET_FOUND,
        SCOPE_NOT_ALLOWED,
        ROLLBACK_NOT_ALLOWED,
        SESSION_NOT_FOUND,
        RISK_TOO_LOW,
        REQUIREMENT_TOO_LOW,
        ENDPOINT_NOT_ALLOWED,
    ];
}

/// Why something is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static str,
    pub(crate) code: u16,
    pub(crate) message: String,
}

impl Refusal {
    /// Code of what cannot be judged now.
    pub(crate) const UNAVAILABLE: u16 = 503;

    /// The person may not (403).
    pub(crate) fn forbidden(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            code: 403,
            message: message.into(),
        }
    }

    /// The object is wrong as it stands (422).
    pub(crate) fn invalid(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            code: 422,
            message: message.into(),
        }
    }

    /// Too much at once (429).
    pub(crate) fn too_many(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            code: 429,
            message: message.into(),
        }
    }

    /// KubeChat cannot judge now (503).
    pub(crate) fn unavailable(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            code: Self::UNAVAILABLE,
            message: message.into(),
        }
    }
}
