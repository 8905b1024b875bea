//! Proof that admission stamps and seals: a dry-run create, at least once a minute and again before an execution when the
//! last proof is older than a few seconds. Without the proof nothing executes.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use kubechat_crds::{ChatRequest, ChatRequestSpec};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;
use crate::metrics::Metrics;
use kubechat_core::{clock, reason};

/// How old a proof may be when something is executed.
const FRESH: Duration = Duration::from_secs(5);
/// How long a failure is believed, so that those who come one after the other do not each wait for a webhook that hangs.
/// Shorter than [`FRESH`]: what is mended is soon seen.
const FAILED: Duration = Duration::from_secs(2);

/// The last proof. There is one at a time: who comes while one is under way waits for it and takes its outcome.
#[derive(Debug)]
pub struct Admission {
    last: Mutex<Option<Proof>>,
    failed: Duration,
    metrics: Arc<Metrics>,
}

/// How a proof ended.
#[derive(Debug)]
struct Proof {
    at: Instant,
    outcome: Result<(), Failure>,
}

/// Why nothing is executed.
#[derive(Clone, Debug)]
struct Failure {
    reason: &'static str,
    message: String,
}

impl Admission {
    /// Nothing is proven yet.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            last: Mutex::default(),
            failed: FAILED,
            metrics,
        }
    }

    /// One that forgets a failure at once, for tests that mend what failed and go on.
    #[cfg(test)]
    pub(crate) fn forgetful(metrics: Arc<Metrics>) -> Self {
        Self {
            failed: Duration::ZERO,
            ..Self::new(metrics)
        }
    }

    /// Fails when admission cannot be shown to work now.
    ///
    /// # Errors
    /// [`reason::ADMISSION_UNHEALTHY`] or [`reason::CLOCK_SKEW`], with what to do.
    pub async fn check(&self, ctx: &Context) -> Result<(), Error> {
        let failed = self.failed;
        self.known_or_proven(ctx, |proof| {
            let good_for = if proof.outcome.is_ok() { FRESH } else { failed };
            proof.at.elapsed() < good_for
        })
        .await
    }

    /// Proves it now.
    ///
    /// # Errors
    /// As [`Admission::check`].
    pub async fn prove(&self, ctx: &Context) -> Result<(), Error> {
        self.known_or_proven(ctx, |_| false).await
    }

    /// The outcome of the last proof if that is still good, or ended while this one waited for it; else of a new one.
    async fn known_or_proven(
        &self,
        ctx: &Context,
        is_good: impl Fn(&Proof) -> bool + Send,
    ) -> Result<(), Error> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        let known = last.as_ref().filter(|proof| proof.at > asked || is_good(proof));
        let outcome = match known {
            Some(proof) => proof.outcome.clone(),
            None => {
                let outcome = self.proven(ctx).await;
                *last = Some(Proof {
                    at: Instant::now(),
                    outcome: outcome.clone(),
                });
                outcome
            }
        };
        drop(last);
        outcome.map_err(|Failure { reason, message }| Error::Dependency { reason, message })
    }

    async fn proven(&self, ctx: &Context) -> Result<(), Failure> {
        let stamped = stamps(&ctx.client, ctx).await;
        self.metrics.admission_healthy.set(i64::from(stamped.is_ok()));
        match stamped {
            Ok(skew) => timely(skew),
            Err(problem) => Err(Failure {
                reason: reason::ADMISSION_UNHEALTHY,
                message: format!(
                    "KubeChat's admission does not stamp and seal ({problem}), so nothing is executed. Check that the webhook runs and that its configuration is in place"
                ),
            }),
        }
    }
}

/// Whether this machine's clock may be believed.
fn timely(skew: Option<SignedDuration>) -> Result<(), Failure> {
    let Some(gap) = skew else {
        return Ok(());
    };
    let side = if gap.is_negative() { "behind" } else { "ahead of" };
    Err(Failure {
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
