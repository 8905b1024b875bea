//! AIProvider: probes those that ask a model, or records what another process does who probes them, and reports whether they
//! may be used.

use std::sync::Arc;

use jiff::Timestamp;
use kube::runtime::controller::Action;
use kubechat_core::lifecycle::{ai_provider, ready};
use kubechat_crds::{AIProvider, AIProviderStatus};

use super::{at, resync, status};
use crate::context::Context;
use crate::error::Error;
use crate::models::{examine, of_provider};

/// Probes and reports `Ready`.
///
/// # Errors
/// What is worth trying again.
pub async fn reconcile(object: Arc<AIProvider>, ctx: Arc<Context>) -> Result<Action, Error> {
    let current = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation;
    let by = object.spec.changed_by.as_ref();
    let says = ai_provider::built_in(&object.spec);
    if says.is_none() && ctx.models.is_elsewhere() {
        if current.recorded_generation != generation {
            super::configuration(&ctx, &*object, current.recorded_generation, by).await?;
            // By itself, whatever a probe writes meanwhile: what was recorded is not recorded again.
            let new = AIProviderStatus {
                recorded_generation: generation,
                ..current.clone()
            };
            status::write_cluster(&ctx, &*object, object.status.as_ref(), &new).await?;
            return Ok(resync());
        }
        let new = of_provider(&ctx, &object, &current).await?;
        status::write_cluster_onto(&ctx, &*object, object.status.as_ref(), &new).await?;
        return Ok(resync());
    }
    super::configuration(&ctx, &*object, current.observed_generation, by).await?;
    let mut new = AIProviderStatus {
        observed_generation: generation,
        ..current.clone()
    };
    let verdict = if let Some(says) = says {
        new.probe = None;
        Ok(says.to_owned())
    } else {
        let next = ai_provider::probe_at(&current, generation, Timestamp::now());
        if next > Timestamp::now() {
            return Ok(at(next));
        }
        let examined = examine(&ctx.models, &object).await;
        new.probe = Some(examined.probe);
        examined.verdict
    };
    let said = verdict.as_ref().map(String::as_str).map_err(Clone::clone);
    ready(&mut new.conditions, said, generation, Timestamp::now());
    status::write_cluster(&ctx, &*object, object.status.as_ref(), &new).await?;
    Ok(match says {
        Some(_) => resync(),
        None => at(ai_provider::probe_at(&new, generation, Timestamp::now())),
    })
}
