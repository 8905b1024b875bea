//! Events of Kubernetes, sent in the background.
//!
//! An Event is a courtesy and not the record: where too many wait, or the API server does not take one, it is dropped.

use std::pin::pin;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use kubechat_core::redact;
use kubechat_crds::condition::clip;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cluster::client::DEADLINE;

/// Events that wait to be sent; more are dropped.
const MAX_WAITING: usize = 256;
/// How long those may take that wait when nothing is told any more: within the time that the process has for ending.
const LAST: Duration = Duration::from_secs(5);

/// Where Events are told.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<(Event, ObjectReference)>,
}

/// What was told and is to be sent.
pub struct Outbox {
    recorder: Recorder,
    waiting: mpsc::Receiver<(Event, ObjectReference)>,
}

impl Events {
    /// Where they are told, and what sends them.
    #[must_use]
    pub fn new(recorder: Recorder) -> (Self, Outbox) {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        (Self { queue }, Outbox { recorder, waiting })
    }

    /// Tells of something; dropped when too many wait.
    pub fn tell(&self, about: ObjectReference, warning: bool, reason: &str, note: &str) {
        let event = Event {
            type_: if warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: reason.to_owned(),
            note: Some(clip(redact::shown(note), 1000)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if self.queue.try_send((event, about)).is_err() {
            tracing::debug!(reason, "an Event was dropped: too many wait");
        }
    }
}

impl Outbox {
    /// Sends what is told until all was told; then what waits, for a few seconds at most.
    pub async fn until(mut self, all_told: impl Future<Output = ()> + Send) {
        let mut all_told = pin!(all_told);
        let mut end = None;
        loop {
            let next = tokio::select! {
                biased;
                () = &mut all_told, if end.is_none() => {
                    self.waiting.close();
                    end = Some(Instant::now() + LAST);
                    continue;
                }
                next = self.waiting.recv() => next,
            };
            let Some((event, about)) = next else { return };
            let limit = Instant::now() + DEADLINE;
            let limit = end.map_or(limit, |end| limit.min(end));
            match tokio::time::timeout_at(limit, self.recorder.publish(&event, &about)).await {
                Ok(Ok(())) => {}
                Ok(Err(problem)) => tracing::debug!(%problem, "an Event was not taken"),
                Err(_) => tracing::debug!("an Event was not taken in time"),
            }
        }
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
