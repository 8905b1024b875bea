//! Metrics of admission. **Invariant:** labels come from fixed lists; names of objects and users are never labels.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the latency buckets, in seconds; the API server waits 5 s.
const LATENCY_SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 4.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AdmissionLabels {
    kind: &'static str,
    operation: &'static str,
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PathLabels {
    path: &'static str,
}

/// The webhook's metrics and the registry that serves them.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    admissions: Family<AdmissionLabels, Counter>,
    latency: Family<PathLabels, Histogram>,
    events_dropped: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let admissions = Family::<AdmissionLabels, Counter>::default();
        let latency = Family::<PathLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(LATENCY_SECONDS.iter().copied())
        });
        let events_dropped = Counter::default();
        registry.register(
            "kubechat_admission",
            "Admission reviews by kind, operation, outcome and reason",
            admissions.clone(),
        );
        registry.register(
            "kubechat_admission_duration_seconds",
            "Time from the arrival of a review to its answer",
            latency.clone(),
        );
        registry.register(
            "kubechat_admission_events_dropped",
            "Events of refusals that were not written: queue full, rate reached or API server away",
            events_dropped.clone(),
        );
        Self {
            registry,
            admissions,
            latency,
            events_dropped,
        }
    }
}

impl Metrics {
    /// Counts one answer. `reason` is empty where it was allowed.
    pub(crate) fn answered(&self, kind: &'static str, operation: &'static str, reason: &'static str) {
        let outcome = if reason.is_empty() { "allowed" } else { "refused" };
        self.admissions
            .get_or_create(&AdmissionLabels {
                kind,
                operation,
                outcome,
                reason,
            })
            .inc();
    }

    /// Records how long an answer took.
    pub(crate) fn took(&self, path: &'static str, time: Duration) {
        self.latency
            .get_or_create(&PathLabels { path })
            .observe(time.as_secs_f64());
    }

    /// Counts an Event that was not written.
    pub(crate) fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// All metrics in the OpenMetrics text format.
    pub(crate) fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}
