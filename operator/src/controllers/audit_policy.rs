//! AuditPolicy: honours its levels and reports on the log.

use std::sync::Arc;

use kube::runtime::controller::Action;
use kubechat_core::lifecycle::{audit_policy, ready};
use kubechat_core::reason;
use kubechat_crds::condition::{set, types};
use kubechat_crds::{AuditPolicy, AuditPolicyStatus};

use super::status;
use crate::context::Context;
use crate::error::Error;

/// How often the log is asked whether it still takes entries.
const CHECK: std::time::Duration = std::time::Duration::from_secs(60);

/// Takes the levels, reports `Ready` and `AuditIntegrity`.
///
/// # Errors
/// What is worth trying again.
pub async fn reconcile(policy: Arc<AuditPolicy>, ctx: Arc<Context>) -> Result<Action, Error> {
    let now = jiff::Timestamp::now();
    let generation = policy.metadata.generation;
    let seen = policy.status.as_ref().and_then(|s| s.observed_generation);
    super::configuration(&ctx, &*policy, seen, policy.spec.changed_by.as_ref()).await?;
    ctx.audit.honour(&policy.spec);
    let mut new = AuditPolicyStatus {
        observed_generation: generation,
        ..policy.status.clone().unwrap_or_default()
    };
    ready(
        &mut new.conditions,
        audit_policy::verdict(&policy.spec),
        generation,
        now,
    );
    let (whole, why, message) = match ctx.audit.writable().await {
        Ok(()) => (
            "True",
            reason::READY,
            "the log takes entries and its newest entries verify; `kubechat audit verify` checks all"
                .to_owned(),
        ),
        Err(error) => ("False", reason::AUDIT_UNAVAILABLE, error.to_string()),
    };
    set(
        &mut new.conditions,
        types::AUDIT_INTEGRITY,
        whole,
        why,
        message,
        generation,
        now,
    );
    status::write_cluster(&ctx, &*policy, policy.status.as_ref(), &new).await?;
    Ok(Action::requeue(CHECK))
}
