//! What the API server counted: writes of turns, all requests by kind, calls of webhooks, waits in its queues.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::cluster::{Cluster, RequestTotals, Sample};
use crate::wait::eventually;

const WEBHOOKS: &str = "apiserver_admission_webhook_request_total";
const QUEUE_SECONDS: &str = "apiserver_flowcontrol_request_wait_duration_seconds_sum";
const QUEUED: &str = "apiserver_flowcontrol_request_wait_duration_seconds_count";
/// Nothing more is written when nothing was for so long.
const REST: Duration = Duration::from_millis(400);
/// Longest wait for the last writes about turns that are over.
const REST_DEADLINE: Duration = Duration::from_secs(20);
/// The target of the benched turns.
const TARGET: &str = "configmaps";

/// Counters at one moment, or between two.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    requests: RequestTotals,
    webhooks: RequestTotals,
    queue_seconds: RequestTotals,
    queued: RequestTotals,
}

impl Counters {
    /// Now.
    pub(super) async fn now(cluster: &Cluster) -> Result<Self> {
        let text = cluster.metrics_text().await?;
        Ok(Self {
            requests: RequestTotals::parse(&text),
            webhooks: RequestTotals::parse_metric(&text, WEBHOOKS),
            queue_seconds: RequestTotals::parse_metric(&text, QUEUE_SECONDS),
            queued: RequestTotals::parse_metric(&text, QUEUED),
        })
    }

    /// As soon as nothing is written about turns any more.
    pub(super) async fn at_rest(cluster: &Cluster) -> Result<Self> {
        let last = tokio::sync::Mutex::new((-1.0, Instant::now()));
        eventually(
            REST_DEADLINE,
            "nothing is written about turns any more",
            || async {
                let counters = Self::now(cluster).await?;
                let (writes, mut last) = (counters.turn_writes(), last.lock().await);
                if last.0 != writes {
                    *last = (writes, Instant::now());
                }
                let quiet = last.1.elapsed();
                ensure!(quiet >= REST, "{writes} writes, none for {quiet:?}");
                Ok(counters)
            },
        )
        .await
    }

    /// What was added since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.since(&earlier.requests),
            webhooks: self.webhooks.since(&earlier.webhooks),
            queue_seconds: self.queue_seconds.since(&earlier.queue_seconds),
            queued: self.queued.since(&earlier.queued),
        }
    }

    /// Persisted writes on KubeChat's kinds and on the targets of the turns.
    pub(super) fn turn_writes(&self) -> f64 {
        self.requests
            .persisted_writes(|group, resource| group == kubechat_crds::GROUP || resource == TARGET)
    }

    /// Mean time that a request of anybody but the exempt waited in the API server's own queues, in milliseconds.
    pub(super) fn queue_ms(&self) -> f64 {
        let limited = |sample: &Sample| sample.label("priority_level") != "exempt";
        let (seconds, count) = (self.queue_seconds.sum(limited), self.queued.sum(limited));
        if count > 0.0 {
            seconds / count * 1000.0
        } else {
            0.0
        }
    }

    /// Requests per turn by what they were, most frequent first.
    pub(super) fn breakdown(&self, turns: usize) -> Vec<Line> {
        let mut sums: BTreeMap<(String, bool), f64> = BTreeMap::new();
        for sample in self.requests.samples() {
            *sums.entry((describe(sample), is_kept(sample))).or_default() += sample.value;
        }
        for sample in self.webhooks.samples() {
            *sums
                .entry((format!("webhook call {}", sample.label("name")), false))
                .or_default() += sample.value;
        }
        let line = |((request, write), sum)| Line {
            request,
            write,
            per_turn: sum / turns.max(1) as f64,
        };
        let mut lines: Vec<Line> = sums
            .into_iter()
            .map(line)
            .filter(|line| line.per_turn >= 0.005)
            .collect();
        lines.sort_by(|a, b| b.per_turn.total_cmp(&a.per_turn));
        lines
    }
}

/// One kind of request and how often a turn made it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    pub(super) request: String,
    /// Whether it was a write that was kept.
    pub(super) write: bool,
    pub(super) per_turn: f64,
}

/// Reviews are posted, answered and forgotten.
fn is_kept(sample: &Sample) -> bool {
    sample.is_persisted_write() && !sample.label("resource").ends_with("reviews")
}

fn describe(sample: &Sample) -> String {
    let slash = if sample.label("subresource").is_empty() {
        ""
    } else {
        "/"
    };
    let dry = if sample.label("dry_run").is_empty() {
        ""
    } else {
        " (dry-run)"
    };
    let code = sample.label("code");
    let code = if code.starts_with('2') {
        String::new()
    } else {
        format!(" -> {code}")
    };
    format!(
        "{} {}{slash}{}{dry}{code}",
        sample.label("verb"),
        sample.label("resource"),
        sample.label("subresource")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(text: &str) -> Counters {
        Counters {
            requests: RequestTotals::parse(text),
            webhooks: RequestTotals::parse_metric(text, WEBHOOKS),
            queue_seconds: RequestTotals::parse_metric(text, QUEUE_SECONDS),
            queued: RequestTotals::parse_metric(text, QUEUED),
        }
    }

    const TEXT: &str = r#"
apiserver_request_total{code="201",group="kubechat.io",resource="chatrequests",verb="POST"} 10
apiserver_request_total{code="200",group="kubechat.io",resource="chatrequests",subresource="status",verb="PATCH"} 20
apiserver_request_total{code="200",group="",resource="configmaps",verb="PATCH"} 10
apiserver_request_total{code="200",dry_run="All",group="",resource="configmaps",verb="PATCH"} 30
apiserver_request_total{code="409",group="",resource="configmaps",verb="PATCH"} 1
apiserver_request_total{code="201",group="authorization.k8s.io",resource="subjectaccessreviews",verb="POST"} 40
apiserver_request_total{code="201",group="events.k8s.io",resource="events",verb="POST"} 10
apiserver_admission_webhook_request_total{name="stamp.kubechat.io",code="200"} 20
apiserver_flowcontrol_request_wait_duration_seconds_sum{priority_level="global-default"} 0.5
apiserver_flowcontrol_request_wait_duration_seconds_count{priority_level="global-default"} 100
apiserver_flowcontrol_request_wait_duration_seconds_sum{priority_level="exempt"} 9
apiserver_flowcontrol_request_wait_duration_seconds_count{priority_level="exempt"} 1
"#;

    #[test]
    fn writes_of_turns_leave_out_dry_runs_refusals_reviews_and_events() {
        assert_eq!(counters(TEXT).turn_writes(), 40.0);
    }

    #[test]
    fn the_breakdown_is_per_turn_and_most_frequent_first() {
        let lines = counters(TEXT).breakdown(10);
        let line = |request: &str, write, per_turn| Line {
            request: request.to_owned(),
            write,
            per_turn,
        };
        assert_eq!(lines[0], line("POST subjectaccessreviews", false, 4.0));
        assert!(lines.contains(&line("PATCH configmaps (dry-run)", false, 3.0)));
        assert!(lines.contains(&line("PATCH chatrequests/status", true, 2.0)));
        assert!(lines.contains(&line("PATCH configmaps -> 409", false, 0.1)));
        assert!(lines.contains(&line("webhook call stamp.kubechat.io", false, 2.0)));
    }

    #[test]
    fn queueing_counts_for_everybody_who_can_be_queued() {
        assert_eq!(counters(TEXT).queue_ms(), 5.0);
        assert_eq!(counters("").queue_ms(), 0.0);
    }
}
