//! What the operator writes to the audit log: levels of the AuditPolicy applied, the actor taken from the stamp.
//!
//! **Invariant:** whoever gets an error here must not act. Executions, approvals, outbound calls and configuration changes
//! are recorded whatever a policy says.

mod calls;
mod pages;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use kubechat_audit::store::Filter;
use kubechat_audit::{
    Actor, AuditStore, ChainKey, Draft, EventType, Ids, IntentOutcome, Outcome, ResultOutcome, Risk, Spool,
    SqliteOptions, SqliteStore, Target,
};
use kubechat_crds::audit_policy::AuditLevel;
use kubechat_crds::{AuditPolicySpec, ChatRequest, CommandPlan, Identity};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use crate::error::Error;
use crate::metrics::Metrics;
use crate::past::Execution;

pub use pages::{Onward, Page};

/// How many objects a step is of, in the payload of its intent, which does not name them all.
pub const TARGETS_TOTAL: &str = "targetsTotal";
/// How many steps a plan has, in the payload of the intent of each: so the log tells whether its execution ended.
pub const STEPS_TOTAL: &str = "stepsTotal";
/// The namespace of a plan, in the payload of the intent of each step.
pub const PLAN_NAMESPACE: &str = "planNamespace";
/// What its plan calls a step, in the payload of its intent.
pub const STEP: &str = "step";

/// What of an execution's payload is kept at every level: it is no content, and what became of a plan, and what a person
/// changed within the hour, is read from it.
const KEPT: [&str; 4] = [TARGETS_TOTAL, STEPS_TOTAL, PLAN_NAMESPACE, STEP];

/// The file of a store as the command line names it.
///
/// # Errors
/// When it names no store of this version.
pub(crate) fn path(store: &str) -> anyhow::Result<PathBuf> {
    match store.split_once(':') {
        Some(("sqlite", file)) if !file.is_empty() => Ok(PathBuf::from(file)),
        _ => anyhow::bail!(
            "--audit-store {store} is not known: this version keeps the audit log in sqlite:FILE"
        ),
    }
}

/// Opens the log with a fence above every earlier writer's, also after the cluster's state was put back from a backup.
pub(crate) async fn open(
    path: PathBuf,
    key: ChainKey,
    fence: u64,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Audit> {
    let spool = Spool::beside(&path, key.clone());
    let store = SqliteStore::open(SqliteOptions::new(path, key, fence))
        .await
        .context("the audit log cannot be opened; nothing will be executed")?;
    let head = store.head().await?;
    if head.fence >= fence {
        store.raise_fence(head.fence + 1).await?;
    }
    let audit = Audit::new(Arc::new(store), Arc::clone(metrics)).with_spool(spool);
    audit
        .catch_up()
        .await
        .context("results of an earlier run cannot be recorded")?;
    Ok(audit)
}

/// The audit log as the operator uses it.
#[derive(Clone)]
pub struct Audit {
    store: Arc<dyn AuditStore>,
    /// Where results wait that the store could not take.
    spool: Option<Spool>,
    levels: Arc<RwLock<AuditPolicySpec>>,
    metrics: Arc<Metrics>,
    /// Held while somebody says of a plan, once, that it is gone.
    parting: Arc<Mutex<()>>,
    /// Held while somebody makes an entry of a call, once.
    calls: Arc<Mutex<()>>,
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Audit")
    }
}

impl Audit {
    /// Over a store; everything is recorded in full until a policy says otherwise.
    #[must_use]
    pub fn new(store: Arc<dyn AuditStore>, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            spool: None,
            levels: Arc::default(),
            metrics,
            parting: Arc::default(),
            calls: Arc::default(),
        }
    }

    /// With a file beside the store for results that it cannot take.
    #[must_use]
    pub fn with_spool(self, spool: Spool) -> Self {
        Self {
            spool: Some(spool),
            ..self
        }
    }

    /// Records the results that wait beside the store. Cheap when there are none.
    ///
    /// # Errors
    /// When they cannot be recorded: then what became of a step is not known, and nothing is decided by the log.
    pub async fn catch_up(&self) -> Result<(), Error> {
        match &self.spool {
            Some(spool) if !spool.is_empty() => self.told(spool.replay(&*self.store).await).map(drop),
            Some(_) | None => Ok(()),
        }
    }

    /// Passes on what came of a write, and notes in the metrics whether the log takes entries.
    fn told<T>(&self, result: Result<T, kubechat_audit::Error>) -> Result<T, Error> {
        let sick = |e: &kubechat_audit::Error| {
            e.is_unavailable() || matches!(e, kubechat_audit::Error::Integrity { .. })
        };
        let healthy = !result.as_ref().is_err_and(sick);
        self.metrics.audit_healthy.set(i64::from(healthy));
        Ok(result?)
    }

    /// Takes the levels of the AuditPolicy.
    pub fn honour(&self, policy: &AuditPolicySpec) {
        *self.levels.write().unwrap_or_else(PoisonError::into_inner) = policy.clone();
    }

    /// Records an event, as far as the policy wants it. Returns its number, or `None` where it is switched off.
    ///
    /// # Errors
    /// When it cannot be committed: then what it tells of must not happen.
    pub async fn record(&self, draft: Draft) -> Result<Option<u64>, Error> {
        let Some(draft) = self.level(draft) else {
            return Ok(None);
        };
        let made = self.told(self.store.append(vec![draft]).await)?;
        Ok(made.first().map(|a| a.seq))
    }

    /// Records the intent of a step: the execution lock.
    ///
    /// # Errors
    /// When it cannot be committed: then the step must not be sent.
    pub async fn intent(&self, draft: Draft, step_id: &str) -> Result<IntentOutcome, Error> {
        self.told(self.store.append_intent(self.leveled(draft), step_id).await)
    }

    /// Records the result of a step. When the store does not take it, it is kept beside it, on the disk, before the error is
    /// returned: so it is not lost with this process.
    ///
    /// # Errors
    /// When it cannot be committed; it is safe to try again.
    pub async fn result(&self, draft: Draft) -> Result<ResultOutcome, Error> {
        let draft = self.leveled(draft);
        let recorded = self.store.append_result(draft.clone()).await;
        if let (Err(error), Some(spool)) = (&recorded, self.spool.clone())
            && is_worth_keeping(error)
        {
            let kept = tokio::task::spawn_blocking(move || spool.keep(&draft)).await;
            match kept {
                Ok(Ok(())) => tracing::warn!(%error, "a result waits for the audit store"),
                Ok(Err(problem)) => {
                    tracing::error!(%error, %problem, "a result could be kept neither in the audit store nor beside it");
                }
                Err(problem) => tracing::error!(%problem, "a result could not be kept"),
            }
        }
        self.told(recorded)
    }

    /// The recorded intent of a step and its result, if any.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn known(&self, step_id: &str) -> Result<Option<kubechat_audit::store::StepRecord>, Error> {
        self.catch_up().await?;
        Ok(self.store.intent(step_id).await?)
    }

    /// Whether the log tells that a plan was made.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn tells_of(&self, plan: &CommandPlan) -> Result<bool, Error> {
        let filter = Filter {
            plan: plan.metadata.uid.clone(),
            ..Filter::default()
        };
        let entries = self.store.list(filter).await?;
        Ok(entries
            .iter()
            .any(|e| e.event_type == EventType::CommandGeneration))
    }

    /// Keeps bytes that undo a step, under the turn's UID and their digest.
    ///
    /// # Errors
    /// When the store does not take them: then the plan must not be made.
    pub async fn keep(&self, request_uid: &str, digest: &str, bytes: Vec<u8>) -> Result<(), Error> {
        Ok(self.store.put_rollback(request_uid, digest, bytes).await?)
    }

    /// The bytes kept under a digest, proven to be those; `None` when they are gone.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn kept(&self, request_uid: &str, digest: &str) -> Result<Option<Vec<u8>>, Error> {
        let bytes = self.store.rollback(request_uid, digest).await?;
        Ok(bytes.filter(|b| format!("sha256:{}", kubechat_crds::sha256_hex(b)) == digest))
    }

    /// UIDs of all turns for which bytes are kept.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn kept_for(&self) -> Result<Vec<String>, Error> {
        let mut all: Vec<String> = vec![];
        loop {
            let page = self
                .store
                .rollback_plans(all.last().map_or("", String::as_str))
                .await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Forgets the bytes of a turn.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn forget(&self, request_uid: &str) -> Result<(), Error> {
        self.store.delete_rollback(request_uid, None).await?;
        Ok(())
    }

    /// Proves that the store takes entries from this process, without writing one.
    ///
    /// # Errors
    /// When it does not: then nothing may be executed.
    pub async fn writable(&self) -> Result<(), Error> {
        // Raising the fence to less than it is changes nothing, but goes the way of every write.
        self.told(self.store.raise_fence(0).await).map(drop)
    }

    /// The head of the log: proves that the store answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn head(&self) -> Result<kubechat_audit::Head, Error> {
        Ok(self.store.head().await?)
    }

    /// Records that a plan is gone whose execution was begun, as `words` make it of what the log tells of that. Whoever comes
    /// second records nothing, and nothing is recorded of a plan of which the log has no step: it was only looked at. Returns
    /// the message of the first.
    ///
    /// # Errors
    /// When the store does not answer, or an entry about the plan cannot be read.
    pub async fn parted(
        &self,
        plan_uid: &str,
        words: impl FnOnce(&Execution) -> Option<Draft> + Send,
    ) -> Result<Option<String>, Error> {
        let _alone = self.parting.lock().await;
        let execution = self.execution(plan_uid).await?;
        if execution.is_told() || !execution.is_begun() {
            return Ok(None);
        }
        let Some(draft) = words(&execution) else {
            return Ok(None);
        };
        let message = draft.message.clone();
        self.record(draft).await?;
        Ok(Some(message))
    }

    /// The payload of an entry; null where it has none.
    ///
    /// # Errors
    /// When the store does not answer, or the payload is not what was recorded.
    pub async fn payload(&self, seq: u64) -> Result<Value, Error> {
        Ok(self.store.payload(seq).await?.unwrap_or_default())
    }

    fn level(&self, draft: Draft) -> Option<Draft> {
        let draft = self.leveled(draft);
        let off = self.of(draft.event_type) == AuditLevel::Off && draft.event_type.can_be_switched_off();
        (!off).then_some(draft)
    }

    fn leveled(&self, mut draft: Draft) -> Draft {
        // Words of the API server and of clusters stand in it; the log is kept for years and read by others.
        draft.message = kubechat_core::redact::shown(&draft.message);
        // Of a call of a model the payload is where to, bytes, hash and tokens, never content; budgets are read from it.
        let kept = draft.event_type == EventType::Outbound;
        if self.of(draft.event_type) != AuditLevel::Full && !kept {
            let executed = draft.event_type == EventType::CommandExecution;
            let keys = KEPT.iter().filter(|_| executed);
            let kept = keys.filter_map(|key| Some(((*key).to_owned(), draft.payload.get(key)?.clone())));
            let kept: Map<String, Value> = kept.collect();
            draft.payload = if kept.is_empty() {
                Value::Null
            } else {
                Value::Object(kept)
            };
        }
        draft
    }

    fn of(&self, event: EventType) -> AuditLevel {
        let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
        levels.levels.get(event.as_str()).copied().unwrap_or_default()
    }
}

/// Whether a result that met this error may be recorded later by the same draft.
fn is_worth_keeping(error: &kubechat_audit::Error) -> bool {
    use kubechat_audit::Error as E;
    match error {
        E::Unavailable { .. }
        | E::Overloaded(_)
        | E::Timeout(_)
        | E::Unconfirmed { .. }
        | E::Integrity { .. }
        | E::NotALog { .. }
        | E::Spool { .. } => true,
        // Another leader has taken over and settles the step by what it finds.
        E::Fenced { .. } | E::Invalid(_) | E::NotCanonical(_) | E::NoIntent { .. } | E::Rollback { .. } => {
            false
        }
    }
}

/// A person as actor.
#[must_use]
pub fn actor(identity: &Identity) -> Actor {
    if identity.username.is_empty() {
        return Actor::named("(unstamped)");
    }
    Actor {
        username: identity.username.clone(),
        uid: Some(identity.uid.clone()).filter(|u| !u.is_empty()),
        groups: identity.groups.clone(),
        extra: identity.extra.clone(),
    }
}

/// What a turn's entries refer to.
#[must_use]
pub fn turn_ids(request: &ChatRequest) -> Ids {
    Ids {
        session: request.spec.session_ref.as_ref().map(|s| s.name.clone()),
        request: request.metadata.name.clone(),
        request_uid: request.metadata.uid.clone(),
        ..Ids::default()
    }
}

/// What a plan's entries refer to.
#[must_use]
pub fn plan_ids(plan: &CommandPlan) -> Ids {
    Ids {
        request: Some(plan.spec.chat_request_ref.name.clone()),
        request_uid: Some(plan.spec.chat_request_ref.uid.clone()),
        plan: plan.metadata.name.clone(),
        plan_uid: plan.metadata.uid.clone(),
        plan_digest: Some(plan.spec.digest.clone()),
        ..Ids::default()
    }
}

/// An entry about a plan.
#[must_use]
pub fn about_plan(plan: &CommandPlan, event: EventType, verb: &str, outcome: Outcome, reason: &str) -> Draft {
    let mut draft = Draft::new(event, actor(&plan.spec.requester), verb, outcome, reason);
    draft.ids = plan_ids(plan);
    draft.risk = Some(Risk {
        level: plan.spec.risk.level.as_str().to_owned(),
        score: u8::try_from(plan.spec.risk.score).unwrap_or(100).min(100),
    });
    draft
}

/// A target of a step.
#[must_use]
pub fn target(target: &kubechat_crds::command_plan::Target) -> Target {
    Target {
        group: Some(target.group.clone()).filter(|g| !g.is_empty()),
        version: Some(target.version.clone()),
        kind: Some(target.kind.clone()),
        namespace: target.namespace.clone(),
        name: Some(target.name.clone()),
        uid: target.uid.clone(),
    }
}
