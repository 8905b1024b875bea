//! ApproverKey: reports whether its signatures count.

use std::sync::Arc;

use kube::runtime::controller::Action;
use kubechat_core::lifecycle::{self, ready};
use kubechat_crds::{ApproverKey, ApproverKeyStatus};

use super::{at, resync, status};
use crate::context::Context;
use crate::error::Error;

/// Reports `Ready`.
///
/// # Errors
/// What is worth trying again.
pub async fn reconcile(object: Arc<ApproverKey>, ctx: Arc<Context>) -> Result<Action, Error> {
    let mut new = ApproverKeyStatus {
        observed_generation: object.metadata.generation,
        ..object.status.clone().unwrap_or_default()
    };
    let now = jiff::Timestamp::now();
    let verdict = lifecycle::approver_key::verdict(&object.spec, now);
    let seen = object.status.as_ref().and_then(|s| s.observed_generation);
    super::configuration(&ctx, &*object, seen, object.spec.changed_by.as_ref()).await?;
    ready(
        &mut new.conditions,
        verdict.as_deref().map_err(Clone::clone),
        object.metadata.generation,
        now,
    );
    status::write_cluster(&ctx, &*object, object.status.as_ref(), &new).await?;
    Ok(lifecycle::approver_key::changes_at(&object.spec, now).map_or_else(resync, at))
}
