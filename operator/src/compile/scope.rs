//! What a turn may touch: its own namespace, and more only where a policy lets its namespace ask for more.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kubechat_core::policy::{Effective, PolicyProblem};
use kubechat_crds::chat_request::Scope;
use kubechat_crds::{ChatRequest, RequestPhase};
use serde_json::json;

use super::{Halted, Stop, needs_input};
use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;
use kubechat_core::reason;

/// Reason of a turn that reaches for more than it may ask for.
pub const OUT_OF_SCOPE: &str = "OutOfScope";

/// The bound of a turn.
#[derive(Clone, Debug)]
pub struct Bounds {
    own: String,
    /// `None` is every namespace.
    namespaces: Option<BTreeSet<String>>,
    cluster: bool,
    /// Whether a policy would allow a wider scope.
    wide: bool,
}

impl Bounds {
    /// The bound of a request. A wider scope than a policy allows (any more) is not used.
    ///
    /// # Errors
    /// When the namespace cannot be read.
    pub async fn of(
        ctx: &Context,
        request: &ChatRequest,
        own: &str,
        policies: &Result<Effective, PolicyProblem>,
    ) -> Result<Self, Error> {
        let api: Api<Namespace> = Api::all(ctx.client.clone());
        let namespace = call("read the request's namespace", api.get(own)).await?;
        let labels: BTreeMap<String, String> = namespace.metadata.labels.unwrap_or_default();
        let wide = policies.as_ref().is_ok_and(|p| p.allows_wide_scope(&labels));
        Ok(Self::from_scope(own, request.spec.scope.as_ref(), wide))
    }

    /// The bound of a turn that asks for no more than its own namespace.
    #[must_use]
    pub fn own(own: &str) -> Self {
        Self::from_scope(own, None, false)
    }

    fn from_scope(own: &str, scope: Option<&Scope>, wide: bool) -> Self {
        let scope = scope.filter(|_| wide).cloned().unwrap_or_default();
        let all = scope.namespaces.iter().any(|n| n == "*");
        let namespaces = (!all).then(|| scope.namespaces.into_iter().chain([own.to_owned()]).collect());
        Self {
            own: own.to_owned(),
            namespaces,
            cluster: scope.cluster_scoped,
            wide,
        }
    }

    fn allows(&self, namespace: Option<&str>) -> bool {
        match (namespace, &self.namespaces) {
            (Some(_), None) => true,
            (Some(namespace), Some(some)) => some.contains(namespace),
            (None, _) => self.cluster,
        }
    }

    /// Whether every namespace is in bounds.
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        self.namespaces.is_none()
    }

    /// Fails when an object of this namespace (`None`: cluster-scoped) is out of bounds.
    ///
    /// # Errors
    /// NeedsInput with the corrected manifest where a policy would allow it, else Blocked.
    pub fn check(&self, request: &ChatRequest, namespace: Option<&str>, what: &str) -> Result<(), Stop> {
        if self.allows(namespace) {
            Ok(())
        } else {
            Err(self.outside(request, namespace, what))
        }
    }

    /// Fails unless every namespace is in bounds.
    ///
    /// # Errors
    /// As [`Bounds::check`].
    pub fn check_everywhere(&self, request: &ChatRequest) -> Result<(), Stop> {
        if self.is_everywhere() {
            Ok(())
        } else {
            Err(self.outside(request, Some("*"), "all namespaces"))
        }
    }

    fn outside(&self, request: &ChatRequest, namespace: Option<&str>, what: &str) -> Stop {
        let own = &self.own;
        if !self.wide {
            let message = format!(
                "{what} is outside the scope of a ChatRequest in namespace {own}, and no RiskPolicy lets that namespace ask for more (wideScopeFrom). Nothing was done. Ask in a ChatRequest of the namespace concerned"
            );
            return Stop::blocked(OUT_OF_SCOPE, "kubechat", "scope", message);
        }
        let mut scope = request.spec.scope.clone().unwrap_or_default();
        match namespace {
            Some(namespace) => scope.namespaces.push(namespace.to_owned()),
            None => scope.cluster_scoped = true,
        }
        let manifest = json!({
            "apiVersion": "kubechat.io/v1beta1",
            "kind": "ChatRequest",
            "metadata": {"generateName": "ask-", "namespace": own},
            "spec": {"prompt": request.spec.prompt, "scope": scope},
        });
        let message = format!(
            "{what} is outside the scope of this turn. Create it again with the scope in the suggestion"
        );
        let mut answer = needs_input(&message, vec![]);
        answer.suggestion = serde_saphyr::to_string(&manifest).ok();
        Stop::Halt(Box::new(Halted {
            phase: RequestPhase::NeedsInput,
            reason: reason::NEEDS_INPUT,
            message,
            answer: Some(answer),
            blocked: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_counts_only_where_a_policy_allows_it() {
        let scope = Scope {
            namespaces: vec!["prod".into()],
            cluster_scoped: true,
        };
        let narrow = Bounds::from_scope("demo", Some(&scope), false);
        assert!(narrow.allows(Some("demo")) && !narrow.allows(Some("prod")) && !narrow.allows(None));
        let wide = Bounds::from_scope("ops", Some(&scope), true);
        assert!(
            wide.allows(Some("ops"))
                && wide.allows(Some("prod"))
                && wide.allows(None)
                && !wide.allows(Some("other"))
        );
        let all = Bounds::from_scope(
            "ops",
            Some(&Scope {
                namespaces: vec!["*".into()],
                cluster_scoped: false,
            }),
            true,
        );
        assert!(all.is_everywhere() && !all.allows(None));
        assert!(!Bounds::from_scope("ops", None, true).allows(Some("prod")));
    }

    #[test]
    fn out_of_scope_is_blocked_or_comes_with_the_manifest_that_would_do() {
        let request = ChatRequest::new(
            "r",
            kubechat_crds::ChatRequestSpec {
                prompt: "p".into(),
                ..Default::default()
            },
        );
        let Err(Stop::Halt(blocked)) =
            Bounds::from_scope("demo", None, false).check(&request, Some("prod"), "namespace prod")
        else {
            panic!()
        };
        assert_eq!(blocked.phase, RequestPhase::Blocked);
        let Err(Stop::Halt(asked)) = Bounds::from_scope("ops", None, true).check(&request, None, "node n1")
        else {
            panic!()
        };
        assert_eq!(asked.phase, RequestPhase::NeedsInput);
        assert!(
            asked
                .answer
                .unwrap()
                .suggestion
                .unwrap()
                .contains("clusterScoped: true")
        );
    }
}
