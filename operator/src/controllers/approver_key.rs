//! ApproverKey: reports whether it is honoured.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kubechat_core::lifecycle::{self, ready};
use kubechat_crds::{ApproverKey, ApproverKeyStatus};

use super::{resync, status};
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
    let verdict = lifecycle::approver_key::verdict(&object.spec, jiff::Timestamp::now());
    let changed = object.status.as_ref().and_then(|s| s.observed_generation) != object.metadata.generation;
    if changed {
        super::configuration(
            &ctx,
            "ApproverKey",
            &object.name_any(),
            object.metadata.generation,
            object.spec.changed_by.as_ref(),
        )
        .await?;
    }
    ready(
        &mut new.conditions,
        verdict,
        object.metadata.generation,
        jiff::Timestamp::now(),
    );
    status::write_cluster(&ctx, &*object, object.status.as_ref(), &new).await?;
    Ok(resync())
}
