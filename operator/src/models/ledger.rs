//! The outbound ledger: before a body leaves, the turn's status says so, and the audit log has committed it; afterwards both
//! say what came of it.
//!
//! **Invariant:** status Intended -> audit entry -> status Committed -> call -> audit entry -> status Done or Failed. A call
//! whose end nobody recorded is told as Unknown by whoever finds it.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use kube::ResourceExt;
use kubechat_ai::{Call, End, Failure, Ledger};
use kubechat_audit::{Actor, Draft, EventType, Ids, Outcome, Target};
use kubechat_core::reason;
use kubechat_crds::chat_request::{Outbound, OutboundState, Usage};
use kubechat_crds::{AIProvider, ChatRequest, ChatRequestStatus};
use serde_json::{Value, json};

use super::Gate;
use crate::audit::{actor, turn_ids};
use crate::context::Context;
use crate::controllers::status;
use crate::error::Error;
use crate::metrics::CallLabels;

/// What entries about a turn's calls say was asked for.
pub(super) const VERB: &str = "interpret";
/// Calls that a turn's status holds; a turn makes at most two for each of four providers.
const MAX_OUTBOUND: usize = 16;

/// A turn's page of the ledger, shared by all providers that it asks.
#[derive(Debug)]
pub(crate) struct Page {
    pub(super) ctx: Arc<Context>,
    pub(super) request: ChatRequest,
    /// As the API server has it. One thing after the other is written: a chain asks one provider at a time.
    status: Mutex<ChatRequestStatus>,
}

impl Page {
    pub(super) fn new(ctx: Arc<Context>, request: ChatRequest, status: ChatRequestStatus) -> Self {
        Self {
            ctx,
            request,
            status: Mutex::new(status),
        }
    }

    /// The status as it was written last.
    pub(super) fn status(&self) -> ChatRequestStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the turn's status, and writes it.
    pub(super) async fn change(&self, change: impl FnOnce(&mut ChatRequestStatus)) -> Result<(), Error> {
        let old = self.status();
        let mut new = old.clone();
        change(&mut new);
        if new == old {
            return Ok(());
        }
        // For a turn that is gone nothing is asked any more.
        if !status::write_if_there(&self.ctx, &self.request, Some(&old), &new).await? {
            return Err(Error::Invalid("the turn was deleted".to_owned()));
        }
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn draft(&self, provider: &str, outcome: Outcome, why: &str) -> Draft {
        let who = self.request.spec.requester.clone().unwrap_or_default();
        let mut draft = Draft::new(EventType::Outbound, actor(&who), VERB, outcome, why);
        draft.ids = turn_ids(&self.request);
        draft.target = Some(target(provider));
        draft
    }

    /// Tells of calls whose end nobody recorded: the process that made them ended, or the turn was stopped.
    pub(super) async fn settle(&self, why: &str) -> Result<(), Error> {
        let open = |o: &&Outbound| matches!(o.state, OutboundState::Intended | OutboundState::Committed);
        let lost: Vec<Outbound> = self.status().outbound.iter().filter(open).cloned().collect();
        for call in lost {
            // One that was never committed was never made.
            if call.state == OutboundState::Committed {
                let provider = call
                    .id
                    .rsplit_once('-')
                    .map_or(call.id.as_str(), |(name, _)| name);
                let mut draft = self.draft(provider, Outcome::Unknown, reason::OUTBOUND_UNKNOWN);
                draft.message = format!(
                    "what became of the call of entry {} is not known: {why}",
                    call.audit_seq.unwrap_or_default()
                );
                draft.payload = json!({ "of": call.audit_seq });
                self.ctx.audit.record(draft).await?;
            }
            self.change(|status| put(status, &call.id, OutboundState::Failed, None))
                .await?;
        }
        Ok(())
    }
}

fn put(status: &mut ChatRequestStatus, id: &str, state: OutboundState, audit_seq: Option<i64>) {
    match status.outbound.iter_mut().find(|o| o.id == id) {
        Some(found) => {
            found.state = state;
            found.audit_seq = audit_seq.or(found.audit_seq);
        }
        None => {
            if status.outbound.len() >= MAX_OUTBOUND {
                status.outbound.remove(0);
            }
            status.outbound.push(Outbound {
                id: id.to_owned(),
                state,
                audit_seq,
            });
        }
    }
}

fn target(provider: &str) -> Target {
    Target {
        group: Some(kubechat_crds::GROUP.to_owned()),
        version: Some(kubechat_crds::VERSION.to_owned()),
        kind: Some("AIProvider".to_owned()),
        name: Some(provider.to_owned()),
        ..Target::default()
    }
}

fn told(call: &Call) -> String {
    let mut text = format!(
        "{} bytes to {} for model {}: {}",
        call.bytes, call.endpoint, call.model, call.digest
    );
    if !call.redactions.is_empty() {
        let of: Vec<String> = call
            .redactions
            .iter()
            .map(|(class, n)| format!("{class} {n}"))
            .collect();
        text.push_str(&format!("; taken out before: {}", of.join(", ")));
    }
    text
}

fn payload(call: &Call) -> Value {
    json!({
        "endpoint": call.endpoint, "model": call.model, "bytes": call.bytes, "sha256": call.digest,
        "redactions": call.redactions,
    })
}

fn ended(call: &Call, end: &End, of: u64) -> (Outcome, &'static str, String, Value) {
    let mut about = payload(call);
    about["of"] = json!(of);
    about["sent"] = json!(end.sent);
    about["tokensIn"] = json!(end.tokens.0);
    about["tokensOut"] = json!(end.tokens.1);
    about["milliseconds"] = json!(u64::try_from(end.took.as_millis()).unwrap_or(u64::MAX));
    match &end.failure {
        None => {
            let text = format!(
                "{}; answered, {} tokens read and {} written",
                told(call),
                end.tokens.0,
                end.tokens.1
            );
            (Outcome::Success, reason::OUTBOUND_DONE, text, about)
        }
        Some(why) => {
            about["failure"] = json!(why);
            (
                Outcome::Failure,
                reason::OUTBOUND_FAILED,
                format!("{}; {why}", told(call)),
                about,
            )
        }
    }
}

/// One provider's calls for a turn.
#[derive(Debug)]
pub(crate) struct Book {
    page: Arc<Page>,
    provider: String,
    gate: Arc<Gate>,
}

impl Book {
    pub(super) fn new(page: Arc<Page>, provider: &AIProvider, gate: Arc<Gate>) -> Self {
        Self {
            page,
            provider: provider.name_any(),
            gate,
        }
    }

    async fn write_intent(&self, call: &Call) -> Result<u64, Error> {
        let page = &self.page;
        let id = id(&self.provider, &page.status().outbound);
        page.change(|status| put(status, &id, OutboundState::Intended, None))
            .await?;
        let mut draft = page.draft(&self.provider, Outcome::Intent, reason::OUTBOUND_INTENDED);
        draft.message = told(call);
        draft.payload = payload(call);
        let seq = page.ctx.audit.record(draft).await?.unwrap_or_default();
        let number = i64::try_from(seq).unwrap_or(i64::MAX);
        page.change(|status| put(status, &id, OutboundState::Committed, Some(number)))
            .await?;
        Ok(seq)
    }

    async fn write_end(&self, number: u64, call: &Call, end: &End) -> Result<(), Error> {
        let page = &self.page;
        let (outcome, why, message, payload) = ended(call, end, number);
        let mut draft = page.draft(&self.provider, outcome, why);
        (draft.message, draft.payload) = (message, payload);
        page.ctx.audit.record(draft).await?;
        let of = i64::try_from(number).unwrap_or(i64::MAX);
        let state = if end.failure.is_none() {
            OutboundState::Done
        } else {
            OutboundState::Failed
        };
        page.change(|status| {
            let found = status
                .outbound
                .iter()
                .find(|o| o.audit_seq == Some(of))
                .map(|o| o.id.clone());
            if let Some(id) = found {
                put(status, &id, state, None);
            }
            let used = status.usage.get_or_insert_with(Usage::default);
            let add = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            used.tokens_in = used.tokens_in.saturating_add(add(end.tokens.0));
            used.tokens_out = used.tokens_out.saturating_add(add(end.tokens.1));
        })
        .await
    }
}

/// The id of a turn's next call: the provider, as far as there is room, and a number that none before it had.
fn id(provider: &str, before: &[Outbound]) -> String {
    let number = |o: &Outbound| o.id.rsplit_once('-')?.1.parse::<u32>().ok();
    let next = before
        .iter()
        .filter_map(number)
        .max()
        .unwrap_or(0)
        .saturating_add(1);
    let name: String = provider.chars().take(50).collect();
    format!("{name}-{next}")
}

impl Ledger for Book {
    fn intend<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(async move {
            self.write_intent(call).await.map_err(|problem| {
                tracing::warn!(%problem, "a call of a model was not made: it could not be recorded");
                Failure::Unrecorded
            })
        })
    }

    fn done<'a>(&'a self, number: u64, call: &'a Call, end: &'a End) -> BoxFuture<'a, Result<(), Failure>> {
        let ctx = &self.page.ctx;
        let who = self
            .page
            .request
            .spec
            .requester
            .as_ref()
            .map(|r| r.username.clone())
            .unwrap_or_default();
        // Counted whatever becomes of the record: they were used.
        self.gate.spend(&who, end.tokens, ctx.models.now());
        count(ctx, end);
        Box::pin(async move {
            self.write_end(number, call, end).await.map_err(|problem| {
                tracing::warn!(%problem, "a model's answer is not used: the call's end could not be recorded");
                Failure::Unrecorded
            })
        })
    }
}

fn count(ctx: &Context, end: &End) {
    let outcome = if end.failure.is_none() {
        "answered"
    } else {
        "failed"
    };
    ctx.metrics
        .model_calls
        .get_or_create(&CallLabels { outcome })
        .inc();
    ctx.metrics.model_seconds.observe(end.took.as_secs_f64());
    ctx.metrics
        .model_tokens
        .inc_by(end.tokens.0.saturating_add(end.tokens.1));
}

/// The ledger of a provider's probe: no turn, nobody's words.
#[derive(Debug)]
pub(crate) struct Probing {
    pub(crate) ctx: Arc<Context>,
    pub(crate) provider: String,
    /// Milliseconds and written tokens of each call that was answered.
    pub(crate) answered: Mutex<Vec<(u64, u64)>>,
}

impl Probing {
    fn draft(&self, outcome: Outcome, why: &str) -> Draft {
        let operator = Actor::named(format!(
            "system:serviceaccount:{}:kubechat-operator",
            self.ctx.namespace
        ));
        let mut draft = Draft::new(EventType::Outbound, operator, "probe", outcome, why);
        draft.ids = Ids::default();
        draft.target = Some(target(&self.provider));
        draft
    }
}

impl Ledger for Probing {
    fn intend<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(async move {
            self.ctx.leadership.check().map_err(|_| Failure::Unrecorded)?;
            let mut draft = self.draft(Outcome::Intent, reason::OUTBOUND_INTENDED);
            (draft.message, draft.payload) = (told(call), payload(call));
            let seq = self
                .ctx
                .audit
                .record(draft)
                .await
                .map_err(|_| Failure::Unrecorded)?;
            Ok(seq.unwrap_or_default())
        })
    }

    fn done<'a>(&'a self, number: u64, call: &'a Call, end: &'a End) -> BoxFuture<'a, Result<(), Failure>> {
        count(&self.ctx, end);
        if end.failure.is_none() {
            let took = u64::try_from(end.took.as_millis()).unwrap_or(u64::MAX);
            let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
            answered.push((took, end.tokens.1));
        }
        Box::pin(async move {
            let (outcome, why, message, payload) = ended(call, end, number);
            let mut draft = self.draft(outcome, why);
            (draft.message, draft.payload) = (message, payload);
            self.ctx
                .audit
                .record(draft)
                .await
                .map(drop)
                .map_err(|_| Failure::Unrecorded)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turns_calls_are_bounded_and_each_has_its_own_id() {
        let mut status = ChatRequestStatus::default();
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..40 {
            let id = id(&"p".repeat(253), &status.outbound);
            assert!(id.len() <= 64 && seen.insert(id.clone()), "{id}");
            put(&mut status, &id, OutboundState::Intended, None);
            put(&mut status, &id, OutboundState::Committed, Some(n));
            put(&mut status, &id, OutboundState::Done, None);
            assert!(status.outbound.len() <= MAX_OUTBOUND);
            let last = status.outbound.last().unwrap();
            assert_eq!((last.state, last.audit_seq), (OutboundState::Done, Some(n)));
        }
    }

    #[test]
    fn the_record_of_a_call_has_its_size_hash_and_classes_and_nothing_of_its_content() {
        let call = Call {
            endpoint: "http://127.0.0.1:1".to_owned(),
            model: "m".to_owned(),
            bytes: 7,
            digest: "sha256:00".to_owned(),
            redactions: [("github-token", 2)].into(),
        };
        assert_eq!(
            told(&call),
            "7 bytes to http://127.0.0.1:1 for model m: sha256:00; taken out before: github-token 2"
        );
        let end = End {
            failure: Some("the model server is busy".to_owned()),
            sent: true,
            tokens: (0, 0),
            took: std::time::Duration::from_millis(5),
        };
        let (outcome, why, message, about) = ended(&call, &end, 9);
        assert_eq!((outcome, why), (Outcome::Failure, reason::OUTBOUND_FAILED));
        assert!(message.ends_with("the model server is busy"), "{message}");
        assert_eq!(
            (about["of"].as_u64(), about["sent"].as_bool()),
            (Some(9), Some(true))
        );
    }
}
