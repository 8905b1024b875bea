//! Validation, one file a kind. Everything here is judged again by the controllers; admission is where people hear of it
//! at once. **Invariant:** a kind or operation without a rule is refused.

mod ai_provider;
mod approval;
mod approver_key;
mod audit_policy;
mod chat_request;
mod command_plan;
mod endpoint;
mod inline_secret;
mod risk_policy;
mod weaker;

use kube::core::admission::Operation;

use crate::events::Record;
use crate::review::{Allowed, Kind, Review, Verdict};
use crate::state::State;

/// Judges one object.
pub(crate) async fn validate(state: &State, review: &Review) -> Verdict {
    let Some(kind) = review.kind else {
        return Err(review.unknown());
    };
    match (kind, &review.request.operation) {
        (Kind::CommandPlan, Operation::Create) => command_plan::create(state, review),
        (Kind::Approval, Operation::Create) => approval::create(state, review).await,
        (Kind::ChatRequest, Operation::Create) => chat_request::create(state, review).await,
        (Kind::RiskPolicy, Operation::Create | Operation::Update) => risk_policy::write(review),
        (Kind::AuditPolicy, Operation::Create | Operation::Update) => audit_policy::write(review),
        (Kind::AIProvider, Operation::Create | Operation::Update) => ai_provider::write(state, review),
        (Kind::ApproverKey, Operation::Create | Operation::Update) => approver_key::write(review),
        (Kind::RiskPolicy | Kind::AuditPolicy | Kind::AIProvider | Kind::ApproverKey, Operation::Delete) => {
            Ok(deleted(state, review))
        }
        (Kind::ChatSession, _)
        | (Kind::CommandPlan | Kind::Approval | Kind::ChatRequest, Operation::Update | Operation::Delete)
        | (_, Operation::Connect) => Err(review.unknown()),
    }
}

/// Deleting configuration is allowed to whoever has the right, and leaves a record.
fn deleted(state: &State, review: &Review) -> Allowed {
    if !review.request.dry_run && !state.events.offer(Record::deleted(review)) {
        state.metrics.event_dropped();
    }
    Allowed::default()
}

#[cfg(test)]
mod tests;
