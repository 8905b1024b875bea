//! Proof that admission stamps and seals: a dry-run create, at least once a minute and again before an execution when the
//! last proof is older than a few seconds. Without the proof nothing executes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use kubechat_crds::{ChatRequest, ChatRequestSpec};

use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;
use crate::metrics::Metrics;
use kubechat_core::{clock, reason};

/// How old a proof may be when something is executed.
const FRESH: Duration = Duration::from_secs(5);

/// The last proof.
#[derive(Debug)]
pub struct Admission {
    proven: Mutex<Option<Instant>>,
    metrics: Arc<Metrics>,
}

impl Admission {
    /// Nothing is proven yet.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            proven: Mutex::default(),
            metrics,
        }
    }

    /// Fails when admission cannot be shown to work now.
    ///
    /// # Errors
    /// [`reason::ADMISSION_UNHEALTHY`], with what to do.
    pub async fn check(&self, ctx: &Context) -> Result<(), Error> {
        let fresh = self
            .proven
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|at| at.elapsed() < FRESH);
        if fresh { Ok(()) } else { self.prove(ctx).await }
    }

    /// Proves it now.
    ///
    /// # Errors
    /// As [`Admission::check`].
    pub async fn prove(&self, ctx: &Context) -> Result<(), Error> {
        let stamped = stamps(&ctx.client, ctx).await;
        self.metrics.admission_healthy.set(i64::from(stamped.is_ok()));
        let result = match stamped {
            Ok(skew) => timely(skew),
            Err(problem) => Err(Error::Dependency {
                reason: reason::ADMISSION_UNHEALTHY,
                message: format!(
                    "KubeChat's admission does not stamp and seal ({problem}), so nothing is executed. Check that the webhook runs and that its configuration is in place"
                ),
            }),
        };
        *self.proven.lock().unwrap_or_else(PoisonError::into_inner) = result.is_ok().then(Instant::now);
        result
    }
}

/// Whether this machine's clock may be believed.
fn timely(skew: Option<SignedDuration>) -> Result<(), Error> {
    let Some(gap) = skew else {
        return Ok(());
    };
    let side = if gap.is_negative() { "behind" } else { "ahead of" };
    Err(Error::Dependency {
        reason: reason::CLOCK_SKEW,
        message: format!(
            "the operator's clock is {} s {side} the API server's, so neither expiry nor freezes can be judged and nothing is sent. Set the clock of its machine (NTP)",
            gap.unsigned_abs().as_secs()
        ),
    })
}

/// Whether admission stamps and seals, and how far this machine's clock is from the API server's.
async fn stamps(client: &Client, ctx: &Context) -> Result<Option<SignedDuration>, String> {
    let api: Api<ChatRequest> = Api::namespaced(client.clone(), &ctx.namespace);
    let probe_until = Timestamp::now()
        .checked_add(SignedDuration::from_hours(1))
        .map_err(|e| e.to_string())?;
    let spec = ChatRequestSpec {
        prompt: "list pods".to_owned(),
        not_after: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(probe_until)),
        ..ChatRequestSpec::default()
    };
    let probe = ChatRequest::new("kubechat-selfcheck", spec);
    let params = PostParams {
        dry_run: true,
        field_manager: Some(kubechat_crds::FIELD_MANAGER.to_owned()),
    };
    let asked = Timestamp::now();
    let made = call("dry-run a ChatRequest", api.create(&params, &probe))
        .await
        .map_err(|e| e.to_string())?;
    let stamp = made
        .spec
        .requester
        .as_ref()
        .ok_or("the object came back without a stamp")?;
    ctx.learn_key_of(stamp).await.map_err(|e| e.to_string())?;
    let spec = serde_json::to_value(&made.spec).map_err(|e| e.to_string())?;
    let created = made.creation_timestamp().map(|t| t.0);
    let created = created.ok_or("the object came back without the time of its creation")?;
    let skew = clock::skew(asked, Timestamp::now(), created);
    // By a clock that is not believed, no seal is of its time either.
    if skew.is_some() || ctx.holds("ChatRequest", &made.metadata, &spec, stamp) {
        Ok(skew)
    } else {
        Err("the seal is not valid".to_owned())
    }
}

#[cfg(test)]
#[path = "selfcheck_tests.rs"]
mod tests;
