//! CREATE and UPDATE AIProvider: an endpoint that may be reached and no secret in the object.

use kubechat_crds::AIProviderSpec;
use kubechat_crds::ai_provider::{Disclosure, Egress};

use super::endpoint::{self, Reach};
use super::inline_secret::refuse_inline;
use super::weaker::{Weaker, has_more, stored};
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
    let warnings = stored(review).map(|old| weaker(&old, &spec)).unwrap_or_default();
    Ok(Allowed {
        patch: None,
        warnings,
    })
}

fn weaker(old: &AIProviderSpec, new: &AIProviderSpec) -> Vec<String> {
    let mut found = Weaker::default();
    let left = old.egress == Egress::ClusterLocal && new.egress == Egress::External;
    found.when(left, "egress: prompts may now leave the cluster");
    let told = old.disclosure == Disclosure::PromptOnly && new.disclosure == Disclosure::Findings;
    found.when(told, "disclosure: findings are now sent too");
    let (before, after) = (&old.allowed_namespaces, &new.allowed_namespaces);
    let opened = !before.is_empty() && (after.is_empty() || has_more(before, after));
    found.when(opened, "allowedNamespaces: more namespaces may use it");
    let moved = old.endpoint.is_some() && old.endpoint != new.endpoint;
    found.when(moved, "endpoint: prompts now go somewhere else");
    found.warnings()
}
