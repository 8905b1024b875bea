//! The outbound ledger of a provider's probe. Where this process holds the audit log, the calls stand there and nowhere else.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use kubechat_ai::{Call, End, Failure, Ledger};
use kubechat_crds::chat_request::{Outbound, OutboundEnd, OutboundState};
use kubechat_crds::{AIProvider, AIProviderStatus};

use super::Models;
use super::ledger::{Log, add, answered, close, commit, count, find, id, lost, named, open, settled, until};
use super::record::{About, ended, intended};
use crate::controllers::status;
use crate::error::Error;

/// The ledger of a provider's probe: no turn, nobody's words.
#[derive(Debug)]
pub(crate) struct Probing {
    models: Arc<Models>,
    provider: AIProvider,
    about: About,
    /// As the API server has it, where another process makes the entries; otherwise the calls of this probe.
    status: Mutex<AIProviderStatus>,
    /// Milliseconds and written tokens of each call that was answered.
    answered: Mutex<Vec<(u64, u64)>>,
}

impl Probing {
    pub(super) fn new(models: &Arc<Models>, provider: &AIProvider) -> Self {
        Self {
            models: Arc::clone(models),
            provider: provider.clone(),
            about: About::probe(&models.namespace, &provider.uid().unwrap_or_default()),
            status: Mutex::new(provider.status.clone().unwrap_or_default()),
            answered: Mutex::default(),
        }
    }

    /// Milliseconds and written tokens of each call that was answered.
    pub(super) fn measured(&self) -> Vec<(u64, u64)> {
        self.answered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The provider's status as it was written last.
    pub(super) fn status(&self) -> AIProviderStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells of calls of an earlier probe whose end nobody recorded, where that one's process was another.
    pub(super) async fn settle(&self) -> Result<(), Error> {
        let Log::Operators { providers, .. } = &self.models.log else {
            return Ok(());
        };
        for call in open(&self.status().outbound) {
            if call.state == OutboundState::Intended {
                self.until(providers, |calls| answered(calls, &call.id).map(drop))
                    .await?;
            }
            let now = find(&self.status().outbound, &call.id).cloned();
            if let Some(call) = now.filter(|call| call.state == OutboundState::Committed) {
                let end = lost(&call, "the process that made it ended");
                self.write_end(call, end).await?;
            }
        }
        Ok(())
    }

    async fn change(&self, change: impl FnOnce(&mut Vec<Outbound>)) -> Result<(), Error> {
        let old = self.status();
        let mut new = old.clone();
        change(&mut new.outbound);
        if matches!(self.models.log, Log::Operators { .. }) {
            status::write_cluster(&*self.models, &self.provider, Some(&old), &new).await?;
        }
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    async fn until<T>(
        &self,
        providers: &Store<AIProvider>,
        found: impl Fn(&[Outbound]) -> Option<T>,
    ) -> Result<T, Error> {
        let (reference, uid) = (ObjectRef::from_obj(&self.provider), self.provider.uid());
        let current = || {
            let provider = providers.get(&reference).filter(|found| found.uid() == uid)?;
            provider.status.clone()
        };
        let (status, what) = until(current, |status: &AIProviderStatus| found(&status.outbound)).await?;
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
        Ok(what)
    }

    async fn write_intent(&self, call: &Call) -> Result<Result<u64, String>, Error> {
        self.models.leadership.check()?;
        let name = self.provider.name_any();
        let id = id(&name, &self.status().outbound);
        let call = intended(id.clone(), &name, call);
        self.change(|calls| add(calls, call.clone())).await?;
        match &self.models.log {
            Log::Own(audit) => {
                let number = audit.record(self.about.intent(&call)).await?.unwrap_or_default();
                self.change(|calls| commit(calls, &id, number)).await?;
                Ok(Ok(number))
            }
            Log::Operators { providers, .. } => self.until(providers, |calls| answered(calls, &id)).await,
        }
    }

    async fn write_end(&self, call: Outbound, end: OutboundEnd) -> Result<(), Error> {
        match &self.models.log {
            Log::Own(audit) => audit.record(self.about.end(&call, &end)).await.map(drop),
            Log::Operators { providers, .. } => {
                self.change(|calls| close(calls, &call.id, end)).await?;
                self.until(providers, |calls| settled(calls, &call.id)).await
            }
        }
    }
}

impl Ledger for Probing {
    fn intend<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(async move {
            match self.write_intent(call).await {
                Ok(Ok(number)) => Ok(number),
                Ok(Err(why)) => Err(Failure::NotAsked(why)),
                Err(_) => Err(Failure::Unrecorded),
            }
        })
    }

    fn done<'a>(&'a self, number: u64, _: &'a Call, end: &'a End) -> BoxFuture<'a, Result<(), Failure>> {
        count(&self.models.metrics, end);
        if end.failure.is_none() {
            let took = u64::try_from(end.took.as_millis()).unwrap_or(u64::MAX);
            let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
            answered.push((took, end.tokens.1));
        }
        Box::pin(async move {
            let Some(call) = named(&self.status().outbound, number) else {
                return Err(Failure::Unrecorded);
            };
            let written = self.write_end(call, ended(end)).await;
            written.map_err(|_| Failure::Unrecorded)
        })
    }
}
