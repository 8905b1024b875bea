//! AIProvider: probes those that ask a model, and reports whether they may be used.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kubechat_ai::{Ask, Failure, Interpreter};
use kubechat_core::lifecycle::{ai_provider, ready};
use kubechat_core::models::breaker::Call;
use kubechat_core::models::probe::{self, CANNED, PASSES};
use kubechat_core::reason;
use kubechat_core::redact::names::{Kind, Session};
use kubechat_crds::ai_provider::ProbeStatus;
use kubechat_crds::{AIProvider, AIProviderStatus};

use super::{at, resync, status};
use crate::context::Context;
use crate::error::Error;
use crate::models::{Probing, connect};

/// Longest probe; a provider that needs longer for a few sentences is of no use.
const LONGEST: Duration = Duration::from_secs(150);

/// Probes and reports `Ready`.
///
/// # Errors
/// What is worth trying again.
pub async fn reconcile(object: Arc<AIProvider>, ctx: Arc<Context>) -> Result<Action, Error> {
    let current = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation;
    let mut new = AIProviderStatus {
        observed_generation: generation,
        ..current.clone()
    };
    super::configuration(
        &ctx,
        &*object,
        current.observed_generation,
        object.spec.changed_by.as_ref(),
    )
    .await?;
    let verdict = if let Some(says) = ai_provider::built_in(&object.spec) {
        new.probe = None;
        Ok(says.to_owned())
    } else {
        let next = ai_provider::probe_at(&current, generation, Timestamp::now());
        if next > Timestamp::now() {
            return Ok(at(next));
        }
        let (probe, verdict) = examine(&ctx, &object).await;
        new.probe = Some(probe);
        verdict
    };
    let said = verdict.as_ref().map(String::as_str).map_err(Clone::clone);
    ready(&mut new.conditions, said, generation, Timestamp::now());
    status::write_cluster(&ctx, &*object, object.status.as_ref(), &new).await?;
    Ok(match ai_provider::built_in(&object.spec) {
        Some(_) => resync(),
        None => at(ai_provider::probe_at(&new, generation, Timestamp::now())),
    })
}

/// What a probe found, and whether that is enough.
async fn examine(
    ctx: &Arc<Context>,
    provider: &AIProvider,
) -> (ProbeStatus, Result<String, (&'static str, String)>) {
    let book = Probing {
        ctx: Arc::clone(ctx),
        provider: provider.name_any(),
        answered: Mutex::default(),
    };
    let asked = tokio::time::timeout(LONGEST, ask(ctx, provider, &book)).await;
    let asked = asked.unwrap_or_else(|_| {
        let why = format!("the probe was not through within {} s", LONGEST.as_secs());
        Err((reason::PROBE_FAILED, why))
    });
    let answered = book
        .answered
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let took: Vec<u64> = answered.iter().map(|(took, _)| *took).collect();
    let milliseconds = took.iter().fold(0_u64, |all, n| all.saturating_add(*n));
    let tokens = answered.iter().fold(0_u64, |all, (_, n)| all.saturating_add(*n));
    let number = |n: u64| i64::try_from(n).ok();
    let measured = |n: u64| number(n).filter(|_| !answered.is_empty());
    let status = ProbeStatus {
        time: Time(Timestamp::now()),
        score: asked.as_ref().map_or(0, |right| probe::score(*right)),
        tokens_per_second: measured(tokens.saturating_mul(1000) / milliseconds.max(1)),
        p50_ms: measured(probe::quantile(&took, 0.5)),
        p95_ms: measured(probe::quantile(&took, 0.95)),
    };
    let verdict = asked.and_then(|right| {
        let of = format!(
            "it understood {right} of the {} sentences of the probe",
            CANNED.len()
        );
        if status.score >= PASSES {
            ctx.models.gate(provider).note(Call::Answered, ctx.models.now());
            Ok(of)
        } else {
            Err((
                reason::PROBE_FAILED,
                format!("{of}, which is too few. Turns are not given to it: use a larger model"),
            ))
        }
    });
    (status, verdict)
}

/// How many sentences of the probe a provider understood.
async fn ask(
    ctx: &Arc<Context>,
    provider: &AIProvider,
    book: &Probing,
) -> Result<usize, (&'static str, String)> {
    let connected = connect(ctx, provider, false).await?;
    let mut right = 0;
    for canned in CANNED {
        let known: Vec<(Kind, &str)> = canned.names.iter().map(|name| (Kind::Name, *name)).collect();
        let found = connected
            .provider
            .interpret(Ask {
                prompt: canned.prompt,
                known: &known,
                session: Session::new(rand::random()),
                ledger: book,
                progress: None,
            })
            .await;
        match found {
            Ok(found) => right += usize::from(probe::is_right(canned, &found.intents)),
            Err(Failure::Rejected(_) | Failure::Forged(_) | Failure::Invented(_)) => {}
            Err(failure) => {
                return Err((
                    reason::PROBE_FAILED,
                    format!(
                        "the probe of model {} was stopped: {failure}. It is tried again",
                        connected.model
                    ),
                ));
            }
        }
    }
    Ok(right)
}
