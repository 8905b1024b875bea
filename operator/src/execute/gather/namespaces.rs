//! Reading the namespaces anew: the touched ones as the requester, for their labels decide what is protected and what rules
//! match; and the plan's own, whose labels decide whether it may reach further.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kubechat_core::authz;
use kubechat_core::lifecycle::namespaces::stricter;
use kubechat_core::policy::Effective;

use super::Fresh;
use crate::cluster::client::call;
use crate::cluster::objects::ClientDebug;
use crate::compile::facts;
use crate::context::Context;
use crate::error::Error;

/// Why the plan would be judged more strictly with its namespaces as they are now, or would not be made at all.
///
/// # Errors
/// When the API server does not answer; then nothing is executed.
pub(crate) async fn outgrown(ctx: &Context, fresh: &Fresh) -> Result<Option<String>, Error> {
    let spec = &fresh.plan.spec;
    // Nobody to read as, or no policy to judge by: then nothing is sent anyway, and the caller says why.
    let (Ok(acting), Ok(policies)) = (authz::acting(&spec.requester), &fresh.policies) else {
        return Ok(None);
    };
    if let Some(narrowed) = narrowed(ctx, fresh, policies).await? {
        return Ok(Some(narrowed));
    }
    let person = match ctx.people.reader(&acting).await {
        Ok(person) => ClientDebug(person),
        Err(Error::Identity(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let namespaces = facts::namespaces(&person, &spec.steps, Some(policies)).await?;
    Ok(stricter(spec, &namespaces, policies, fresh.now))
}

/// Why the plan may not reach beyond its own namespace any more. A namespace that is gone lets nothing.
async fn narrowed(ctx: &Context, fresh: &Fresh, policies: &Effective) -> Result<Option<String>, Error> {
    let own = fresh.plan.metadata.namespace.as_deref().unwrap_or_default();
    if !authz::reaches_beyond(&fresh.plan.spec, own) {
        return Ok(None);
    }
    let api: Api<Namespace> = Api::all(ctx.client.clone());
    let wide = match call("read the plan's namespace", api.get(own)).await {
        Ok(namespace) => policies.allows_wide_scope(&namespace.metadata.labels.unwrap_or_default()),
        Err(error) if error.is_not_found() => false,
        Err(error) => return Err(error),
    };
    Ok((!wide).then(|| {
        format!("it reaches beyond namespace {own}, and no RiskPolicy lets that namespace ask for more now (wideScopeFrom)")
    }))
}
