//! What every controller works with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use kube::Client;
use kube::api::ObjectMeta;
use kube::runtime::reflector::Store;
use kubechat_core::plan::KindRef;
use kubechat_core::policy::{Effective, Live, PolicyProblem};
use kubechat_core::risk::Guarded;
use kubechat_core::seal::{SealKeys, Sealable, is_of_its_time, verify};
use kubechat_crds::{Approval, ChatRequest, ChatSession, CommandPlan, Identity, RiskPolicy};
use serde::Serialize;
use serde_json::Value;

use crate::audit::Audit;
use crate::cluster::discovery::Discovery;
use crate::cluster::impersonate::Impersonator;
use crate::cluster::objects::{ClientDebug, Objects};
use crate::cluster::watch::Filled;
use crate::controllers::holders::Known;
use crate::error::Error;
use crate::events::Events;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::models::Models;
use crate::pace::Pace;
use crate::past::{Past, Removed};
use crate::selfcheck::Admission;
use crate::talks::Talks;

/// Shared by all controllers of the leader.
#[derive(Clone)]
pub struct Context {
    /// The operator's own rights.
    pub client: Client,
    /// Acts as people.
    pub people: Arc<Impersonator>,
    /// The audit log.
    pub audit: Audit,
    /// Keys of the seal.
    pub seal: Arc<RwLock<SealKeys>>,
    /// KubeChat's namespace.
    pub namespace: String,
    /// UID of namespace kube-system.
    pub cluster_uid: String,
    /// Kinds of the cluster.
    pub discovery: Arc<Discovery>,
    /// Whether this process still leads.
    pub leadership: Leadership,
    /// Whether admission still stamps.
    pub admission: Arc<Admission>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Caches.
    pub stores: Stores,
    /// The cached policies together.
    pub live: Arc<Live>,
    /// Who holds the approve verbs, as RBAC says.
    pub holders: Arc<Known>,
    /// Plans of the last hour that the caches hold no more.
    pub past: Arc<Removed>,
    /// The turns of each session in their order.
    pub talks: Arc<Talks>,
    /// Events, sent in the background.
    pub events: Events,
    /// Turns handled a moment ago.
    pub handled: Arc<crate::controllers::Handled>,
    /// Turns that models interpret.
    pub models: Arc<Models>,
    /// When work under way has to stop.
    pub pace: Pace,
    /// Failed tries in a row, by kind and object.
    pub attempts: Arc<Mutex<HashMap<String, u32>>>,
}

/// Caches of our own kinds.
#[derive(Clone)]
pub struct Stores {
    /// Turns.
    pub requests: Store<ChatRequest>,
    /// Plans.
    pub plans: Store<CommandPlan>,
    /// Decisions.
    pub approvals: Store<Approval>,
    /// Sessions.
    pub sessions: Store<ChatSession>,
    /// Policies.
    pub policies: Store<RiskPolicy>,
    /// Of each of them, whether it holds what the API server has.
    pub filled: Vec<Filled>,
}

impl Stores {
    /// Waits until every cache holds what the API server has.
    ///
    /// # Errors
    /// When a watch has ended, which ends the process anyway.
    pub async fn ready(&self) -> Result<(), Error> {
        for cache in &self.filled {
            let gone = |_| Error::Internal("a watch has ended".to_owned());
            cache.clone().wait_for(|filled| *filled).await.map_err(gone)?;
        }
        Ok(())
    }
}

impl Context {
    /// All policies of the cluster together, from the cache.
    ///
    /// # Errors
    /// `NoPolicy` or `PolicyNotReady`.
    pub fn policies(&self) -> Result<Effective, PolicyProblem> {
        self.live.together(self.stores.policies.state())
    }

    /// Namespaces that no plan changes anything in.
    #[must_use]
    pub fn guarded(&self) -> Guarded<'_> {
        Guarded {
            own: &self.namespace,
            credentials: self.models.credentials(),
        }
    }

    /// A person's plans that were made or begun within the last hour, also those that were removed since.
    #[must_use]
    pub fn plans_within_the_hour(&self, username: &str, now: jiff::Timestamp) -> Vec<Past> {
        let there = self.stores.plans.state();
        self.past.with(there.iter().map(AsRef::as_ref), username, now)
    }

    /// Whether an object carries a valid seal of the webhook for this stamp. The cached object may write a time in another
    /// form than the person did, so one that does not verify is read once more as it is stored.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn sealed<S: Serialize>(
        &self,
        kind: &str,
        resource: &str,
        metadata: &ObjectMeta,
        spec: &S,
        stamp: Option<&Identity>,
    ) -> Result<bool, Error> {
        let Some(stamp) = stamp.filter(|s| s.seal.is_some()) else {
            return Ok(false);
        };
        self.learn_key_of(stamp).await?;
        if self.holds(kind, metadata, &serde_json::to_value(spec)?, stamp) {
            return Ok(true);
        }
        let kind_ref = KindRef {
            group: kubechat_crds::GROUP.to_owned(),
            version: kubechat_crds::VERSION.to_owned(),
            kind: kind.to_owned(),
            resource: resource.to_owned(),
            namespaced: true,
            scalable: false,
        };
        let client = ClientDebug(self.client.clone());
        let api = Objects::new(&client, &kind_ref, metadata.namespace.as_deref());
        let stored = api.find(metadata.name.as_deref().unwrap_or_default()).await?;
        let same = stored
            .as_ref()
            .filter(|o| o.pointer("/metadata/uid").and_then(Value::as_str) == metadata.uid.as_deref());
        Ok(same
            .and_then(|o| o.get("spec"))
            .is_some_and(|raw| self.holds(kind, metadata, raw, stamp)))
    }

    /// Reads the seal keys anew if the stamp is sealed with one that is not known here: after a rotation the webhook may have
    /// been told first.
    ///
    /// # Errors
    /// When the Secret cannot be read.
    pub async fn learn_key_of(&self, stamp: &Identity) -> Result<(), Error> {
        let unknown = stamp.seal.as_ref().is_some_and(|seal| {
            let keys = self.seal.read().unwrap_or_else(PoisonError::into_inner);
            !keys.knows(&seal.key_id)
        });
        if unknown {
            crate::setup::seal::refresh(self).await?;
        }
        Ok(())
    }

    /// Whether the seal holds for exactly this spec.
    #[must_use]
    pub fn holds(&self, kind: &str, metadata: &ObjectMeta, spec: &Value, stamp: &Identity) -> bool {
        let keys = self.seal.read().unwrap_or_else(PoisonError::into_inner).clone();
        let object = Sealable {
            kind,
            namespace: metadata.namespace.as_deref().unwrap_or_default(),
            name: metadata.name.as_deref().unwrap_or_default(),
            generate_name: metadata.generate_name.as_deref().unwrap_or_default(),
            spec,
        };
        let created = metadata.creation_timestamp.as_ref();
        created.is_some_and(|created| is_of_its_time(stamp, created.0))
            && verify(&keys, &object, stamp).is_ok()
    }
}
