//! Whether what of KubeChat's own stands in namespaces that steps remove may go. Read with the operator's own rights, which
//! it holds for its own kinds, and fresh: an execution rests on no watch.

use kube::Api;
use kube::api::ListParams;
use kubechat_core::risk::{self, Forbidden};
use kubechat_crds::{CommandPlan, Step};

use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;

/// Plans one list call returns; each may be large.
const PAGE: u32 = 100;

/// What forbids these steps of a request in namespace `home`, if anything does.
///
/// # Errors
/// When the plans that would go with their namespace cannot be read now.
pub(crate) async fn forbidden(ctx: &Context, steps: &[Step], home: &str) -> Result<Option<Forbidden>, Error> {
    if let Err(forbidden) = risk::check_home(steps, home) {
        return Ok(Some(forbidden));
    }
    for namespace in risk::namespaces_removed(steps) {
        let api: Api<CommandPlan> = Api::namespaced(ctx.client.clone(), namespace);
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let found = call(format!("list the plans of {namespace}"), api.list(&page)).await?;
            if let Err(forbidden) = risk::check_held(steps, &found.items) {
                return Ok(Some(forbidden));
            }
            match found.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => break,
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
