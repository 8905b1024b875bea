//! Reading the touched namespaces anew, as the requester: their labels decide what is protected and what rules match.

use kubechat_core::authz;
use kubechat_core::lifecycle::namespaces::stricter;

use super::Fresh;
use crate::cluster::objects::ClientDebug;
use crate::compile::facts;
use crate::context::Context;
use crate::error::Error;

/// Why the plan would be judged more strictly with its namespaces as they are now.
///
/// # Errors
/// When the API server does not answer; then nothing is executed.
pub(crate) async fn outgrown(ctx: &Context, fresh: &Fresh) -> Result<Option<String>, Error> {
    let spec = &fresh.plan.spec;
    // Nobody to read as, or no policy to judge by: then nothing is sent anyway, and the caller says why.
    let (Ok(acting), Ok(policies)) = (authz::acting(&spec.requester), &fresh.policies) else {
        return Ok(None);
    };
    let person = match ctx.people.reader(&acting).await {
        Ok(person) => ClientDebug(person),
        Err(Error::Identity(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let namespaces = facts::namespaces(&person, &spec.steps, Some(policies)).await?;
    Ok(stricter(spec, &namespaces, policies, fresh.now))
}
