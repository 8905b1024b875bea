//! CREATE and UPDATE AIProvider: an endpoint that may be reached and no secret in the object.

use kubechat_crds::AIProviderSpec;
use kubechat_crds::ai_provider::{Disclosure, Egress};

use super::endpoint::{self, Reach};
use super::inline_secret::refuse_inline;
use crate::review::{Allowed, Review, Verdict};

/// Judges a provider.
pub(super) fn write(review: &Review) -> Verdict {
    let raw = review.spec()?;
    let spec: AIProviderSpec = Review::typed(raw)?;
    refuse_inline(raw)?;
    if let Some(url) = &spec.endpoint {
        let reach = match spec.egress {
            Egress::ClusterLocal => Reach::Cluster,
            Egress::External => Reach::Anywhere,
        };
        endpoint::check("spec.endpoint", url, reach)?;
    }
    let old: Option<AIProviderSpec> = review.old_spec().ok().and_then(|old| Review::typed(old).ok());
    Ok(Allowed {
        patch: None,
        warnings: old.map(|old| weaker(&old, &spec)).unwrap_or_default(),
    })
}

fn weaker(old: &AIProviderSpec, new: &AIProviderSpec) -> Vec<String> {
    let restricted = |spec: &AIProviderSpec| !spec.allowed_namespaces.is_empty();
    let added = new
        .allowed_namespaces
        .iter()
        .any(|name| !old.allowed_namespaces.contains(name));
    let checks = [
        (
            old.egress == Egress::ClusterLocal && new.egress == Egress::External,
            "egress: prompts may now leave the cluster",
        ),
        (
            old.disclosure == Disclosure::PromptOnly && new.disclosure == Disclosure::Findings,
            "disclosure: findings are now sent too",
        ),
        (
            restricted(old) && (!restricted(new) || added),
            "allowedNamespaces: more namespaces may use it",
        ),
        (
            old.endpoint.is_some() && old.endpoint != new.endpoint,
            "endpoint: prompts now go somewhere else",
        ),
    ];
    checks
        .into_iter()
        .filter_map(|(yes, what)| yes.then(|| format!("weaker than before: {what}")))
        .collect()
}
