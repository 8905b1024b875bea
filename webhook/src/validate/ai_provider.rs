//! CREATE and UPDATE AIProvider: an endpoint that may be reached and no secret in the object. Who would be asked for nothing
//! yet, because no policy names his host, is told so.

use kubechat_core::lifecycle::ai_provider::unsupported;
use kubechat_core::models::egress;
use kubechat_crds::AIProviderSpec;
use kubechat_crds::ai_provider::{Disclosure, Egress};

use super::endpoint::{self, Reach};
use super::inline_secret::refuse_inline;
use super::weaker::{Weaker, has_more, stored};
use crate::refusal::{Refusal, reason};
use crate::review::{Allowed, Review, Verdict};
use crate::state::State;

/// Judges a provider.
pub(super) fn write(state: &State, review: &Review) -> Verdict {
    let raw = review.spec()?;
    let spec: AIProviderSpec = Review::typed(raw)?;
    refuse_inline(raw)?;
    if let Some(url) = &spec.endpoint {
        let reach = match spec.egress {
            Egress::ClusterLocal => Reach::Cluster,
            Egress::External => Reach::Anywhere,
        };
        endpoint::check("spec.endpoint", url, reach)?;
        if reach == Reach::Anywhere && !url.starts_with("https:") {
            return Err(Refusal::invalid(
                reason::ENDPOINT_NOT_ALLOWED,
                "spec.endpoint is not https, while egress is External. Nothing was stored. Nothing leaves the cluster in the clear: write it as https://host[:port]/path",
            ));
        }
    }
    let mut warnings = stored(review).map(|old| weaker(&old, &spec)).unwrap_or_default();
    warnings.extend(unsupported(&spec).map(str::to_owned));
    warnings.extend(not_yet(state, &spec));
    Ok(Allowed {
        patch: None,
        warnings,
    })
}

/// Why nothing would be sent to it as the policies are now. It may be written before the policy that names its host.
fn not_yet(state: &State, spec: &AIProviderSpec) -> Option<String> {
    let policies = state
        .policies()
        .ok()
        .filter(|_| spec.egress == Egress::External)?;
    let hosts: Vec<String> = policies
        .iter()
        .flat_map(|p| p.spec.egress_hosts.clone())
        .collect();
    egress::destination(spec, true, &hosts).err().map(|(_, why)| why)
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
