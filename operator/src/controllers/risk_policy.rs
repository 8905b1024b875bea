//! RiskPolicy: reports whether it is honoured.

use std::sync::Arc;

use kube::runtime::controller::Action;
use kubechat_core::lifecycle::{self, ready};
use kubechat_crds::{RiskPolicy, RiskPolicyStatus};

use super::{resync, status};
use crate::context::Context;
use crate::error::Error;

/// Reports `Ready`.
///
/// # Errors
/// What is worth trying again.
pub async fn reconcile(object: Arc<RiskPolicy>, ctx: Arc<Context>) -> Result<Action, Error> {
    let mut new = RiskPolicyStatus {
        observed_generation: object.metadata.generation,
        ..object.status.clone().unwrap_or_default()
    };
    let verdict = lifecycle::risk_policy::verdict(&object.spec);
    let seen = object.status.as_ref().and_then(|s| s.observed_generation);
    super::configuration(&ctx, &*object, seen, object.spec.changed_by.as_ref()).await?;
    ready(
        &mut new.conditions,
        verdict,
        object.metadata.generation,
        jiff::Timestamp::now(),
    );
    status::write_cluster(&ctx, &*object, object.status.as_ref(), &new).await?;
    Ok(resync())
}
