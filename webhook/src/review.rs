//! AdmissionReviews: reading them strictly and answering them.

use json_patch::Patch;
use k8s_openapi::api::authentication::v1::UserInfo;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};
use kube::core::response::StatusSummary;
use kube::core::{DynamicObject, TypeMeta};
use kubechat_core::reason as core_reason;
use kubechat_crds::{GROUP, Identity};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::refusal::{Refusal, reason};

/// Audit annotation of a refusal; the API server puts the webhook's name before it.
const AUDIT_REFUSED: &str = "refused";
/// Longest warning that clients show in full.
const MAX_WARNING: usize = 250;

/// The kinds that admission knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    ChatRequest,
    ChatSession,
    Approval,
    CommandPlan,
    RiskPolicy,
    AuditPolicy,
    AIProvider,
    ApproverKey,
}

impl Kind {
    fn parse(kind: &str) -> Option<Self> {
        Some(match kind {
            "ChatRequest" => Self::ChatRequest,
            "ChatSession" => Self::ChatSession,
            "Approval" => Self::Approval,
            "CommandPlan" => Self::CommandPlan,
            "RiskPolicy" => Self::RiskPolicy,
            "AuditPolicy" => Self::AuditPolicy,
            "AIProvider" => Self::AIProvider,
            "ApproverKey" => Self::ApproverKey,
            _ => return None,
        })
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ChatRequest => "ChatRequest",
            Self::ChatSession => "ChatSession",
            Self::Approval => "Approval",
            Self::CommandPlan => "CommandPlan",
            Self::RiskPolicy => "RiskPolicy",
            Self::AuditPolicy => "AuditPolicy",
            Self::AIProvider => "AIProvider",
            Self::ApproverKey => "ApproverKey",
        }
    }
}

/// A review that could be read. Kind and operation are still to be judged.
#[derive(Clone, Debug)]
pub(crate) struct Review {
    pub(crate) request: AdmissionRequest<DynamicObject>,
    /// `None`: no kind of ours.
    pub(crate) kind: Option<Kind>,
}

/// What is allowed, with what goes along.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowed {
    pub(crate) patch: Option<Patch>,
    pub(crate) warnings: Vec<String>,
}

/// The judgement of a review.
pub(crate) type Verdict = Result<Allowed, Refusal>;

impl Review {
    /// Reads a review; whatever is not exactly one is refused.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let bad = |why: &str| Refusal {
            reason: reason::MALFORMED,
            code: 400,
            message: format!("{why}. Nothing was judged. Send an admission.k8s.io/v1 AdmissionReview"),
        };
        let review: AdmissionReview<DynamicObject> =
            serde_json::from_slice(body).map_err(|_| bad("the body is no AdmissionReview"))?;
        let TypeMeta { api_version, kind } = &review.types;
        if api_version != kube::core::admission::META_API_VERSION_V1
            || kind != kube::core::admission::META_KIND
        {
            return Err(bad("the body is another kind or version of object"));
        }
        let request: AdmissionRequest<DynamicObject> = review
            .try_into()
            .map_err(|_| bad("the AdmissionReview holds no request"))?;
        if request.uid.is_empty() {
            return Err(bad("the request has no uid"));
        }
        let ours =
            request.kind.group == GROUP && request.sub_resource.as_deref().unwrap_or_default().is_empty();
        let kind = ours.then(|| Kind::parse(&request.kind.kind)).flatten();
        Ok(Self { request, kind })
    }

    pub(crate) fn user(&self) -> &UserInfo {
        &self.request.user_info
    }

    pub(crate) fn namespace(&self) -> &str {
        self.request.namespace.as_deref().unwrap_or_default()
    }

    /// The object's name; empty while the API server is still to make it.
    pub(crate) fn name(&self) -> &str {
        let object = self.request.object.as_ref().or(self.request.old_object.as_ref());
        object
            .and_then(|o| o.metadata.name.as_deref())
            .unwrap_or(&self.request.name)
    }

    /// The raw `spec` of the new object.
    pub(crate) fn spec(&self) -> Result<&Value, Refusal> {
        spec_of(self.request.object.as_ref())
    }

    /// The raw `spec` of the stored object.
    pub(crate) fn old_spec(&self) -> Result<&Value, Refusal> {
        spec_of(self.request.old_object.as_ref())
    }

    /// The spec as its type. What does not fit is not echoed: it may hold anything.
    pub(crate) fn typed<T: DeserializeOwned>(spec: &Value) -> Result<T, Refusal> {
        T::deserialize(spec).map_err(|_| {
            Refusal::invalid(
                core_reason::INVALID,
                "spec does not have the form of kubechat.io/v1beta1. Nothing was stored. Compare it with kubectl explain",
            )
        })
    }

    /// Label of the operation in metrics and messages.
    pub(crate) const fn operation(&self) -> &'static str {
        match self.request.operation {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }

    /// Label of the kind in metrics: only names we know.
    pub(crate) fn kind_label(&self) -> &'static str {
        self.kind.map_or("other", Kind::as_str)
    }

    /// The refusal of what has no rule.
    pub(crate) fn unknown(&self) -> Refusal {
        Refusal::forbidden(
            reason::UNKNOWN_KIND,
            "KubeChat's webhook has no rule for this kind and operation, so it was refused. The webhook configuration and the webhook are of different releases: apply crds/manifests/20-admission.yaml of this release",
        )
    }

    /// The answer that the API server gets.
    pub(crate) fn answer(&self, verdict: Verdict) -> AdmissionReview<DynamicObject> {
        let mut response = AdmissionResponse::from(&self.request);
        let refused = match verdict {
            Ok(Allowed {
                patch: None,
                warnings,
            }) => {
                response.warnings = clipped(warnings);
                None
            }
            Ok(Allowed {
                patch: Some(patch),
                warnings,
            }) => match response.clone().with_patch(patch) {
                Ok(mut patched) => {
                    patched.warnings = clipped(warnings);
                    response = patched;
                    None
                }
                Err(_) => Some(Refusal::unavailable(
                    core_reason::INVALID,
                    "the stamp could not be written. Nothing was stored. Try again",
                )),
            },
            Err(refusal) => Some(refusal),
        };
        if let Some(Refusal {
            reason,
            code,
            message,
        }) = refused
        {
            response = response.deny(message);
            response.result.status = Some(StatusSummary::Failure);
            response.result.reason = reason.to_owned();
            response.result.code = code;
            response
                .audit_annotations
                .insert(AUDIT_REFUSED.to_owned(), reason.to_owned());
        }
        response.into_review()
    }
}

fn spec_of(object: Option<&DynamicObject>) -> Result<&Value, Refusal> {
    let missing = || {
        Refusal::invalid(
            core_reason::INVALID,
            "the object has no spec. Nothing was stored. Add one (kubectl explain shows its fields)",
        )
    };
    object
        .and_then(|o| o.data.get("spec"))
        .filter(|spec| spec.is_object())
        .ok_or_else(missing)
}

fn clipped(warnings: Vec<String>) -> Option<Vec<String>> {
    let clip = |warning| kubechat_crds::condition::clip(warning, MAX_WARNING);
    (!warnings.is_empty()).then(|| warnings.into_iter().map(clip).collect())
}

/// The identity that the API server authenticated, without a seal.
pub(crate) fn identity(user: &UserInfo) -> Identity {
    Identity {
        username: user.username.clone().unwrap_or_default(),
        uid: user.uid.clone().unwrap_or_default(),
        groups: user.groups.clone().unwrap_or_default(),
        extra: user.extra.clone().unwrap_or_default().into_iter().collect(),
        seal: None,
    }
}
