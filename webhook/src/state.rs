//! What all requests share. **Invariant:** keys, certificate and policies are replaced as a whole and never taken away
//! again, so that a Secret or watch that vanishes leaves the last good ones in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::{self, Store};
use kubechat_core::policy::{Effective, Live, PolicyProblem};
use kubechat_core::seal::SealKeys;
use kubechat_crds::RiskPolicy;
use rustls::ServerConfig;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::early::Early;
use crate::events::{Record, Sink};
use crate::hint::Hints;
use crate::limit::TurnLimit;
use crate::metrics::Metrics;
use crate::refusal::{Refusal, reason};

/// Most reviews judged at once; more are refused at once instead of waiting past the API server's patience.
const MAX_IN_FLIGHT: usize = 256;
/// Most Events waiting to be written.
const MAX_EVENTS: usize = 256;

/// Shared state of the webhook.
#[derive(Debug)]
pub struct State {
    pub(crate) client: Questions,
    pub(crate) metrics: Metrics,
    pub(crate) turns: TurnLimit,
    pub(crate) events: Sink,
    pub(crate) in_flight: Semaphore,
    /// KubeChat's own namespace.
    pub(crate) namespace: String,
    /// Where the keys are that AIProviders name.
    pub(crate) credentials: String,
    keys: watch::Sender<Option<Arc<SealKeys>>>,
    tls: watch::Sender<Option<Arc<ServerConfig>>>,
    /// What is asked of decisions on the plans admitted last.
    pub(crate) hints: Hints,
    /// The decisions whose rights are being asked.
    pub(crate) early: Early,
    policies: Store<RiskPolicy>,
    live: Live,
    policies_synced: AtomicBool,
}

/// The client, without its noise in debug output.
#[derive(Clone)]
pub(crate) struct Questions(pub(crate) kube::Client);

impl std::fmt::Debug for Questions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// The ends of the state that background tasks hold.
pub struct Background {
    pub(crate) policies: reflector::store::Writer<RiskPolicy>,
    pub(crate) events: mpsc::Receiver<Record>,
}

impl std::fmt::Debug for Background {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Background")
    }
}

impl State {
    /// A state that knows no keys, certificate or policies yet.
    #[must_use]
    pub fn new(client: kube::Client, namespace: &str, credentials: &str) -> (Arc<Self>, Background) {
        let (policies, writer) = reflector::store();
        let (sender, receiver) = mpsc::channel(MAX_EVENTS);
        let state = Self {
            client: Questions(client),
            metrics: Metrics::default(),
            turns: TurnLimit::default(),
            events: Sink::new(sender),
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
            namespace: namespace.to_owned(),
            credentials: credentials.to_owned(),
            keys: watch::Sender::new(None),
            tls: watch::Sender::new(None),
            hints: Hints::default(),
            early: Early::default(),
            policies,
            live: Live::default(),
            policies_synced: AtomicBool::new(false),
        };
        (
            Arc::new(state),
            Background {
                policies: writer,
                events: receiver,
            },
        )
    }

    pub(crate) fn set_keys(&self, keys: SealKeys) {
        self.keys.send_replace(Some(Arc::new(keys)));
    }

    pub(crate) fn set_tls(&self, config: Arc<ServerConfig>) {
        self.tls.send_replace(Some(config));
    }

    pub(crate) fn set_policies_synced(&self) {
        self.policies_synced.store(true, Ordering::Release);
    }

    /// The seal keys, or the refusal that says they are not here yet.
    pub(crate) fn keys(&self) -> Result<Arc<SealKeys>, Refusal> {
        self.keys.borrow().clone().ok_or_else(|| {
            Refusal::unavailable(
                reason::NOT_READY,
                "KubeChat's webhook has no seal key yet, so nothing can be stamped and nothing was stored. Start the operator (it makes Secret kubechat-seal) and try again",
            )
        })
    }

    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.borrow().clone()
    }

    /// The live RiskPolicies, or the refusal that says they are not read yet.
    pub(crate) fn policies(&self) -> Result<Vec<Arc<RiskPolicy>>, Refusal> {
        if !self.policies_synced.load(Ordering::Acquire) {
            return Err(Refusal::unavailable(
                reason::NOT_READY,
                "KubeChat's webhook has not read the RiskPolicies yet, so nothing can be judged and nothing was stored. Try again in a few seconds",
            ));
        }
        Ok(self.policies.state())
    }

    /// The live RiskPolicies together, compiled; put together anew only after one of them has changed.
    pub(crate) fn effective(&self) -> Result<Result<Effective, PolicyProblem>, Refusal> {
        Ok(self.live.together(self.policies()?))
    }

    /// What is still missing before requests can be answered.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let checks = [
            (self.keys.borrow().is_none(), "seal keys (Secret kubechat-seal)"),
            (
                self.tls.borrow().is_none(),
                "certificate (Secret kubechat-webhook-tls)",
            ),
            (!self.policies_synced.load(Ordering::Acquire), "RiskPolicies"),
        ];
        checks
            .into_iter()
            .filter_map(|(missing, what)| missing.then_some(what))
            .collect()
    }

    /// The time, in one place.
    pub(crate) fn now() -> Timestamp {
        Timestamp::now()
    }
}
