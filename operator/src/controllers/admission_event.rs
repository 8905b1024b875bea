//! Events that the webhook leaves (a refusal at admission, a deleted policy) become entries of the audit log: best effort,
//! as the Events are.
//!
//! **Invariants:** what such an Event says is believed, because only the webhook's account may create one (admission policy
//! `reserved-events`); an Event is marked with the number of its entry once that is committed, so that a later leader does
//! not record it again.

use futures::Stream;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, ResourceExt};
use kubechat_audit::{Actor, Draft, EventType, Outcome, Target};
use kubechat_crds::install::admission::{
    EVENT_ENTRY, EVENT_OPERATION, EVENT_REFUSAL, EVENT_REPORTER, EVENT_USER, REASON_ADMISSION_REFUSED,
    REASON_POLICY_DELETED,
};
use serde_json::json;

use crate::cluster::client::call;
use crate::context::Context;
use crate::error::Error;

/// Events a page of a list holds while the watch starts.
const PAGE_SIZE: u32 = 500;
/// Stands where the Event does not say who it was.
const UNKNOWN: &str = "(unknown)";

/// The Events of the webhook.
pub fn watched(
    client: Client,
    namespace: &str,
) -> impl Stream<Item = Result<Event, watcher::Error>> + Send + 'static + use<> {
    let api: Api<Event> = Api::namespaced(client, namespace);
    let config = watcher::Config::default()
        .fields(&format!("reportingController={EVENT_REPORTER}"))
        .page_size(PAGE_SIZE);
    watcher(api, config).default_backoff().applied_objects()
}

/// Records an Event, unless it was recorded before. What cannot be recorded is logged: nothing depends on it.
pub async fn record(event: &Event, ctx: &Context) {
    if event.annotations().contains_key(EVENT_ENTRY) {
        return;
    }
    let Some(draft) = draft(event) else { return };
    if let Err(problem) = commit(event, draft, ctx).await {
        tracing::warn!(event = %event.name_any(), %problem, "a refusal at admission was not recorded");
    }
}

async fn commit(event: &Event, draft: Draft, ctx: &Context) -> Result<(), Error> {
    ctx.leadership.check()?;
    let seq = ctx.audit.record(draft).await?;
    // Where a policy wants no entry, the mark says so.
    let mark = seq.map_or_else(|| "none".to_owned(), |seq| seq.to_string());
    let api: Api<Event> = Api::namespaced(ctx.client.clone(), &ctx.namespace);
    let patch = Patch::Merge(json!({"metadata": {"annotations": {EVENT_ENTRY: mark}}}));
    let params = PatchParams {
        field_manager: Some(kubechat_crds::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    call(
        "mark an Event as recorded",
        api.patch(&event.name_any(), &params, &patch),
    )
    .await?;
    Ok(())
}

/// The entry for an Event of the webhook; `None` for any other.
fn draft(event: &Event) -> Option<Draft> {
    let said = |key: &str| {
        event
            .annotations()
            .get(key)
            .map(String::as_str)
            .unwrap_or_default()
    };
    let about = event.related.clone().unwrap_or_default();
    let kind = about.kind.as_deref().unwrap_or_default();
    let user = Some(said(EVENT_USER))
        .filter(|user| !user.is_empty())
        .unwrap_or(UNKNOWN);
    let (event_type, outcome, reason) = match event.reason.as_deref()? {
        REASON_POLICY_DELETED => (
            EventType::ConfigurationChange,
            Outcome::Success,
            REASON_POLICY_DELETED,
        ),
        REASON_ADMISSION_REFUSED => (type_of(kind), Outcome::Denied, said(EVENT_REFUSAL)),
        _ => return None,
    };
    let verb = Some(said(EVENT_OPERATION).to_lowercase()).filter(|verb| !verb.is_empty());
    let mut draft = Draft::new(
        event_type,
        Actor::named(user),
        verb.unwrap_or_else(|| "write".to_owned()),
        outcome,
        Some(reason)
            .filter(|reason| !reason.is_empty())
            .unwrap_or(REASON_ADMISSION_REFUSED),
    );
    draft.message = event.note.clone().unwrap_or_default();
    draft.target = Some(Target {
        group: Some(kubechat_crds::GROUP.to_owned()),
        version: Some(kubechat_crds::VERSION.to_owned()),
        kind: about.kind.clone(),
        namespace: about.namespace.clone(),
        name: about.name.filter(|name| !name.is_empty()),
        uid: None,
    });
    draft.payload = json!({"admission": said(EVENT_OPERATION), "event": event.name_any()});
    Some(draft)
}

/// What a refused write of this kind would have been.
fn type_of(kind: &str) -> EventType {
    match kind {
        "Approval" => EventType::Approval,
        "ChatSession" => EventType::Authentication,
        "ChatRequest" | "CommandPlan" => EventType::CommandGeneration,
        _ => EventType::ConfigurationChange,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(reason: &str, kind: &str, annotations: &[(&str, &str)]) -> Event {
        let annotations: std::collections::BTreeMap<_, _> = annotations.iter().copied().collect();
        serde_json::from_value(json!({
            "metadata": {"name": "e", "annotations": annotations}, "eventTime": null, "reason": reason,
            "note": "DigestMismatch: another digest",
            "related": {"kind": kind, "namespace": "demo", "name": "approve-1"},
        }))
        .unwrap()
    }

    #[test]
    fn a_refused_decision_is_an_approval_that_was_denied_to_its_author() {
        let said = [
            (EVENT_USER, "alice"),
            (EVENT_REFUSAL, "DigestMismatch"),
            (EVENT_OPERATION, "CREATE"),
        ];
        let made = draft(&event(REASON_ADMISSION_REFUSED, "Approval", &said)).unwrap();
        assert_eq!(
            (made.event_type, made.outcome),
            (EventType::Approval, Outcome::Denied)
        );
        assert_eq!(
            (
                made.actor.username.as_str(),
                made.verb.as_str(),
                made.reason.as_str()
            ),
            ("alice", "create", "DigestMismatch")
        );
        assert_eq!(made.target.as_ref().unwrap().name.as_deref(), Some("approve-1"));
        made.check().unwrap();
    }

    #[test]
    fn a_deleted_policy_is_a_change_of_configuration() {
        let said = [(EVENT_USER, "erin"), (EVENT_OPERATION, "DELETE")];
        let made = draft(&event(REASON_POLICY_DELETED, "RiskPolicy", &said)).unwrap();
        assert_eq!(
            (made.event_type, made.outcome),
            (EventType::ConfigurationChange, Outcome::Success)
        );
        assert_eq!(
            (made.verb.as_str(), made.reason.as_str()),
            ("delete", "PolicyDeleted")
        );
        made.check().unwrap();
    }

    #[test]
    fn an_event_that_says_little_still_makes_an_entry_and_others_make_none() {
        draft(&event(REASON_ADMISSION_REFUSED, "", &[]))
            .unwrap()
            .check()
            .unwrap();
        assert!(draft(&event("Executed", "CommandPlan", &[])).is_none());
    }
}
