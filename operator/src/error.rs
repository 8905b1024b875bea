//! Why a reconcile did not succeed, and with that when it is tried again.

use kubechat_core::backoff::Class;
use kubechat_core::reason;

/// An error of the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server answered with an error, or not at all.
    #[error("{what}: {}", api_message(source))]
    Api {
        /// What was tried.
        what: String,
        /// The client's error.
        #[source]
        source: kube::Error,
    },
    /// No answer in time.
    #[error("{what}: the API server did not answer within {seconds} s")]
    Timeout {
        /// What was tried.
        what: String,
        /// The deadline.
        seconds: u64,
    },
    /// The audit log could not be written, so nothing was done.
    #[error("the audit log cannot be used ({0}). Check the store given by --audit-store")]
    Audit(#[from] kubechat_audit::Error),
    /// This process does not lead (any more).
    #[error("this operator is not the leader (any more); nothing was sent")]
    NotLeader,
    /// Something has to come first.
    #[error("{message}")]
    Dependency {
        /// Reason constant.
        reason: &'static str,
        /// What is missing.
        message: String,
    },
    /// Another turn of the same person comes first.
    #[error("another turn of the same person is being planned; this one comes after it")]
    InLine,
    /// What the watches told and what the API server says differ: a moment later they do not.
    #[error("{0}")]
    Unsettled(String),
    /// The API server does not let the requester act, or the operator act for him.
    #[error("{0}")]
    Identity(String),
    /// What was asked for cannot be.
    #[error("{0}")]
    Invalid(String),
    /// A programming error or an object that cannot be written as JSON.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// When it is tried again.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Api {
                source: kube::Error::Api(status),
                ..
            } if status.code == 409 => Class::Conflict,
            Self::InLine => Class::Conflict,
            Self::Invalid(_) => Class::Invalid,
            Self::Api { .. }
            | Self::Timeout { .. }
            | Self::Audit(_)
            | Self::NotLeader
            | Self::Unsettled(_)
            | Self::Internal(_) => Class::Transient,
            Self::Dependency { .. } => Class::Dependency,
            Self::Identity(_) => Class::Invalid,
        }
    }

    /// The reason in conditions, Events and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Api {
                source: kube::Error::Api(status),
                ..
            } if status.code == 403 => reason::FORBIDDEN,
            Self::Api {
                source: kube::Error::Api(status),
                ..
            } if (400..500).contains(&status.code) && status.code != 429 => reason::INVALID,
            Self::Api { .. } | Self::Timeout { .. } => reason::UNREACHABLE,
            Self::Audit(_) => reason::AUDIT_UNAVAILABLE,
            Self::NotLeader | Self::InLine | Self::Unsettled(_) => reason::PROGRESSING,
            Self::Dependency { reason, .. } => reason,
            Self::Identity(_) => reason::FORBIDDEN,
            Self::Invalid(_) | Self::Internal(_) => reason::INVALID,
        }
    }

    /// The API server's status, if it gave one.
    #[must_use]
    pub fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Api {
                source: kube::Error::Api(status),
                ..
            } => Some(status),
            Self::Api { .. }
            | Self::Timeout { .. }
            | Self::Audit(_)
            | Self::NotLeader
            | Self::InLine
            | Self::Dependency { .. }
            | Self::Unsettled(_)
            | Self::Identity(_)
            | Self::Invalid(_)
            | Self::Internal(_) => None,
        }
    }

    /// Whether the API server said that there is no such object.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(|s| s.code == 404)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(format!("not JSON: {error}"))
    }
}

/// The API server's own words where it gave some, without the values it repeats from what it was sent.
fn api_message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => kubechat_core::redact::shown(&status.message),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::core::Status;
    use kubechat_core::backoff::requeue;

    use super::*;

    fn api(code: u16) -> Error {
        Error::Api {
            what: "read it".to_owned(),
            source: kube::Error::Api(Status::failure("told so", "Test").with_code(code).boxed()),
        }
    }

    #[test]
    fn the_class_of_an_error_says_when_it_is_tried_again() {
        let text = || "x".to_owned();
        let dependency = Error::Dependency {
            reason: reason::NO_POLICY,
            message: text(),
        };
        let timeout = Error::Timeout {
            what: text(),
            seconds: 5,
        };
        let seconds = |s: f64| Some(Duration::from_secs_f64(s));
        // Of the first try and of the fourth, in the middle of what is spread.
        for (error, first, fourth) in [
            (api(409), seconds(1.0), seconds(1.0)),
            (dependency, seconds(30.0), seconds(30.0)),
            (Error::Invalid(text()), None, None),
            (Error::Identity(text()), None, None),
            (api(404), seconds(1.0), seconds(8.0)),
            (api(429), seconds(1.0), seconds(8.0)),
            (api(500), seconds(1.0), seconds(8.0)),
            (timeout, seconds(1.0), seconds(8.0)),
            (Error::NotLeader, seconds(1.0), seconds(8.0)),
            (Error::InLine, seconds(1.0), seconds(1.0)),
            (Error::Unsettled(text()), seconds(1.0), seconds(8.0)),
            (Error::Internal(text()), seconds(1.0), seconds(8.0)),
        ] {
            let waits = [1, 4].map(|attempt| requeue(error.class(), attempt, 0.5));
            assert_eq!(waits, [first, fourth], "{error}");
        }
    }
}
