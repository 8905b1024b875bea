//! Probes: whether a provider understands sentences whose meaning is known.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kubechat_ai::{Ask, Failure, Interpreter};
use kubechat_core::models::breaker::Call;
use kubechat_core::models::probe::{self, CANNED, PASSES};
use kubechat_core::reason;
use kubechat_core::redact::names::{Kind, Session};
use kubechat_crds::ai_provider::ProbeStatus;
use kubechat_crds::{AIProvider, AIProviderStatus};

use super::Models;
use super::connect::connect;
use super::probing::Probing;

/// Longest probe; a provider that needs longer for a few sentences is of no use.
const LONGEST: Duration = Duration::from_secs(150);

/// What a probe came to.
pub(crate) struct Examined {
    /// The provider's status as the API server has it after the calls.
    pub(crate) status: AIProviderStatus,
    /// What was measured.
    pub(crate) probe: ProbeStatus,
    /// Whether that is enough; reason and message if not.
    pub(crate) verdict: Result<String, (&'static str, String)>,
}

/// What a probe found, and whether that is enough.
pub(crate) async fn examine(models: &Arc<Models>, provider: &AIProvider) -> Examined {
    let book = Probing::new(models, provider);
    let asked = tokio::time::timeout(LONGEST, ask(models, provider, &book)).await;
    let asked = asked.unwrap_or_else(|_| {
        let why = format!("the probe was not through within {} s", LONGEST.as_secs());
        Err((reason::PROBE_FAILED, why))
    });
    let answered = book.measured();
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
            models.gate(provider).note(Call::Answered, models.now());
            Ok(of)
        } else {
            Err((
                reason::PROBE_FAILED,
                format!("{of}, which is too few. Turns are not given to it: use a larger model"),
            ))
        }
    });
    Examined {
        status: book.status(),
        probe: status,
        verdict,
    }
}

/// How many sentences of the probe a provider understood.
async fn ask(
    models: &Models,
    provider: &AIProvider,
    book: &Probing,
) -> Result<usize, (&'static str, String)> {
    let connected = connect(models, provider, false).await?;
    let settled = book.settle().await;
    settled.map_err(|problem| (reason::AUDIT_UNAVAILABLE, problem.to_string()))?;
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
