//! The operator's metrics. Labels are fixed words: never names of objects or users.

use std::fmt::Write as _;
use std::sync::Mutex;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Kind and outcome of a reconcile.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReconcileLabels {
    /// Kind.
    pub kind: &'static str,
    /// `ok`, or the reason of the error.
    pub outcome: &'static str,
}

/// How a turn or plan ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EndLabels {
    /// Kind.
    pub kind: &'static str,
    /// Reason constant.
    pub reason: String,
}

/// What was refused or held back, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusalLabels {
    /// Kind.
    pub kind: String,
    /// Reason constant.
    pub reason: String,
}

/// What became of an emergency approval.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct GlassLabels {
    /// Reason constant: `BreakGlass`, `Reviewed`, `ReviewOverdue`.
    pub what: &'static str,
}

/// What a blast radius was computed for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BlastLabels {
    /// `plan` or `execute`.
    pub when: &'static str,
}

/// How a call of a model ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// `answered` or `failed`.
    pub outcome: &'static str,
}

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Reconciles by kind and outcome.
    pub reconciles: Family<ReconcileLabels, Counter>,
    /// Seconds of a reconcile, by kind.
    pub reconcile_seconds: Family<ReconcileLabels, Histogram>,
    /// Turns and plans that ended, by reason.
    pub ended: Family<EndLabels, Counter>,
    /// Refusals and what holds objects back, counted when their status begins to say so.
    pub refusals: Family<RefusalLabels, Counter>,
    /// Seconds of a blast radius, reads and all.
    pub blast_seconds: Family<BlastLabels, Histogram>,
    /// Calls of models.
    pub model_calls: Family<CallLabels, Counter>,
    /// Seconds of a call of a model.
    pub model_seconds: Histogram,
    /// Tokens of models, read and written.
    pub model_tokens: Counter,
    /// Turns that wait for a place at a provider.
    pub model_waiting: Gauge,
    /// Steps sent to the API server.
    pub steps_sent: Counter,
    /// Emergency approvals, and what became of their reviews.
    pub break_glass: Family<GlassLabels, Counter>,
    /// 1 while admission stamps and seals.
    pub admission_healthy: Gauge,
    /// 1 while the audit log takes entries.
    pub audit_healthy: Gauge,
    /// Entries of the audit log that could not be read back, or are not what was recorded.
    pub audit_unreadable: Counter,
    /// 1 while this process leads.
    pub leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("kubechat");
        let made = Self {
            registry: Mutex::default(),
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 2.0, 14))
            }),
            ended: Family::default(),
            refusals: Family::default(),
            blast_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 2.0, 12))
            }),
            model_calls: Family::default(),
            model_seconds: Histogram::new(exponential_buckets(0.01, 2.0, 14)),
            model_tokens: Counter::default(),
            model_waiting: Gauge::default(),
            steps_sent: Counter::default(),
            break_glass: Family::default(),
            admission_healthy: Gauge::default(),
            audit_healthy: Gauge::default(),
            audit_unreadable: Counter::default(),
            leader: Gauge::default(),
        };
        registry.register(
            "reconciles",
            "Reconciles by kind and outcome",
            made.reconciles.clone(),
        );
        registry.register(
            "reconcile_seconds",
            "Duration of reconciles",
            made.reconcile_seconds.clone(),
        );
        registry.register(
            "ended",
            "Turns and plans that ended, by reason",
            made.ended.clone(),
        );
        registry.register(
            "refusals",
            "What was refused or held back, by kind and reason, counted once each time a status begins to say so",
            made.refusals.clone(),
        );
        registry.register(
            "blast_seconds",
            "Duration of computing a blast radius, reads and all",
            made.blast_seconds.clone(),
        );
        registry.register(
            "model_calls",
            "Calls of models, by how they ended",
            made.model_calls.clone(),
        );
        registry.register(
            "model_seconds",
            "Duration of calls of models",
            made.model_seconds.clone(),
        );
        registry.register(
            "model_tokens",
            "Tokens of models, read and written",
            made.model_tokens.clone(),
        );
        registry.register(
            "model_waiting",
            "Turns that wait for a place at a provider",
            made.model_waiting.clone(),
        );
        registry.register(
            "steps_sent",
            "Steps sent to the API server",
            made.steps_sent.clone(),
        );
        registry.register(
            "break_glass",
            "Plans approved in an emergency, reviewed afterwards, or not reviewed in time",
            made.break_glass.clone(),
        );
        registry.register(
            "admission_healthy",
            "1 while admission stamps and seals",
            made.admission_healthy.clone(),
        );
        registry.register(
            "audit_healthy",
            "1 while the audit log takes entries",
            made.audit_healthy.clone(),
        );
        registry.register(
            "audit_unreadable",
            "Entries of the audit log that could not be read back, or are not what was recorded",
            made.audit_unreadable.clone(),
        );
        registry.register("leader", "1 while this process leads", made.leader.clone());
        Self {
            registry: Mutex::new(registry),
            ..made
        }
    }
}

impl Metrics {
    /// OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self
            .registry
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
            text.clear();
            let _ = writeln!(text, "# metrics could not be encoded");
        }
        text
    }

    /// Notes how long a blast radius took.
    pub fn blast(&self, when: &'static str, took: std::time::Duration) {
        let labels = BlastLabels { when };
        self.blast_seconds
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// Counts a refusal.
    pub fn refused(&self, kind: &str, reason: &str) {
        let labels = RefusalLabels {
            kind: kind.to_owned(),
            reason: reason.to_owned(),
        };
        self.refusals.get_or_create(&labels).inc();
    }

    /// Counts an ending.
    pub fn end(&self, kind: &'static str, reason: &str) {
        self.ended
            .get_or_create(&EndLabels {
                kind,
                reason: reason.to_owned(),
            })
            .inc();
    }
}
