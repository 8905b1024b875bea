//! Events that leave a trace of refusals and of deleted policies in KubeChat's namespace. The operator turns them into
//! audit entries. Best effort and rate limited: what is not written is counted. **Invariant:** never on a dry-run, and
//! never with a prompt, secret or key.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;
use kubechat_crds::condition::clip;
use kubechat_crds::install::admission::{
    EVENT_OPERATION, EVENT_REFUSAL, EVENT_REPORTER, EVENT_USER, REASON_ADMISSION_REFUSED,
    REASON_POLICY_DELETED,
};
use kubechat_crds::{GROUP, VERSION};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::refusal::Refusal;
use crate::review::Review;
use crate::state::State;

/// Longest wait for the API server to take one.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// At most one Event in this time, on average.
const PACE: Duration = Duration::from_millis(500);
/// Longest `note` that the API server takes.
const MAX_NOTE: usize = 1024;

/// What happened, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    event_reason: &'static str,
    refusal: &'static str,
    operation: &'static str,
    kind: &'static str,
    namespace: String,
    name: String,
    user: String,
    note: String,
}

impl Record {
    /// A refusal at admission.
    pub(crate) fn refused(review: &Review, refusal: &Refusal) -> Self {
        Self {
            event_reason: REASON_ADMISSION_REFUSED,
            refusal: refusal.reason,
            note: format!("{}: {}", refusal.reason, refusal.message),
            ..Self::of(review)
        }
    }

    /// The deletion of a policy object.
    pub(crate) fn deleted(review: &Review) -> Self {
        let of = Self::of(review);
        Self {
            event_reason: REASON_POLICY_DELETED,
            note: format!("{} {} was deleted by {}", of.kind, of.name, of.user),
            ..of
        }
    }

    fn of(review: &Review) -> Self {
        Self {
            event_reason: "",
            refusal: "",
            operation: review.operation(),
            kind: review.kind_label(),
            namespace: review.namespace().to_owned(),
            name: review.name().to_owned(),
            user: review.user().username.clone().unwrap_or_default(),
            note: String::new(),
        }
    }

    /// The Event object. It regards KubeChat's namespace, because an Event must lie where its subject does.
    fn event(self, own: &str, instance: &str) -> Event {
        let deleted = self.event_reason == REASON_POLICY_DELETED;
        let annotation = |key: &str, value: &str| {
            (!value.is_empty()).then(|| (key.to_owned(), clip(value.to_owned(), 1024)))
        };
        let annotations = [
            annotation(EVENT_USER, &self.user),
            annotation(EVENT_REFUSAL, self.refusal),
            annotation(EVENT_OPERATION, self.operation),
        ];
        Event {
            metadata: ObjectMeta {
                name: Some(format!(
                    "kubechat-admission-{}",
                    hex::encode(rand::random::<[u8; 8]>())
                )),
                namespace: Some(own.to_owned()),
                annotations: Some(annotations.into_iter().flatten().collect()),
                ..ObjectMeta::default()
            },
            action: Some(if deleted { "Delete" } else { "Refuse" }.to_owned()),
            event_time: Some(MicroTime(State::now())),
            note: Some(clip(self.note, MAX_NOTE)),
            reason: Some(self.event_reason.to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Namespace".to_owned()),
                name: Some(own.to_owned()),
                namespace: Some(own.to_owned()),
                ..ObjectReference::default()
            }),
            related: Some(ObjectReference {
                api_version: Some(format!("{GROUP}/{VERSION}")),
                kind: Some(self.kind.to_owned()),
                name: Some(self.name),
                namespace: (!self.namespace.is_empty()).then_some(self.namespace),
                ..ObjectReference::default()
            }),
            reporting_controller: Some(EVENT_REPORTER.to_owned()),
            reporting_instance: Some(instance.to_owned()),
            type_: Some(if deleted { "Normal" } else { "Warning" }.to_owned()),
            ..Event::default()
        }
    }
}

/// Where requests leave their records; never waits.
#[derive(Debug)]
pub(crate) struct Sink(mpsc::Sender<Record>);

impl Sink {
    pub(crate) const fn new(sender: mpsc::Sender<Record>) -> Self {
        Self(sender)
    }

    /// Hands a record over; false when the queue is full.
    pub(crate) fn offer(&self, record: Record) -> bool {
        self.0.try_send(record).is_ok()
    }
}

/// Writes records as Events until stopped.
pub(crate) async fn deliver(
    client: kube::Client,
    state: Arc<State>,
    mut records: mpsc::Receiver<Record>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let instance = std::env::var("HOSTNAME").unwrap_or_else(|_| "kubechat-webhook".to_owned());
    let instance = clip(instance, 128);
    let api: Api<Event> = Api::namespaced(client, &state.namespace);
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let record = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            record = records.recv() => record,
        };
        let Some(record) = record else { return Ok(()) };
        let event = record.event(&state.namespace, &instance);
        let parameters = PostParams::default();
        let written = tokio::time::timeout(WRITE_DEADLINE, api.create(&parameters, &event)).await;
        if !matches!(written, Ok(Ok(_))) {
            state.metrics.event_dropped();
            tracing::warn!("an Event about admission could not be written");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = pace.tick() => {}
        }
    }
}
