//! Mutation: who wrote it. People's objects get a sealed stamp, configuration gets the name of its last changer.
//!
//! **Invariants:** what a client writes into a stamp never survives; an UPDATE never changes a stamp, so applying the same
//! manifest again neither fails nor drifts; stamping twice is stamping once.

mod changed_by;
mod sealed;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation};
use kube::core::admission::Operation;
use kubechat_core::reason as core_reason;
use kubechat_crds::Identity;
use serde_json::Value;

use crate::refusal::Refusal;
use crate::review::{Allowed, Kind, Review, Verdict};
use crate::state::State;

/// Most groups of a stamp, as the schema bounds it.
const MAX_GROUPS: usize = 256;
/// Most extra keys of a stamp, and most values of one.
const MAX_EXTRA: usize = 32;
/// Longest text of a stamp, in characters.
const MAX_TEXT: usize = 1024;

/// Stamps one object.
pub(crate) fn stamp(state: &State, review: &Review) -> Verdict {
    let Some(kind) = review.kind else {
        return Err(review.unknown());
    };
    let patch = match (kind, &review.request.operation) {
        (Kind::ChatRequest | Kind::ChatSession | Kind::Approval, Operation::Create) => {
            let keys = state.keys()?;
            sealed::on_create(review, kind, &keys)?
        }
        (Kind::ChatRequest | Kind::ChatSession | Kind::Approval, Operation::Update) => {
            sealed::on_update(review, kind)?
        }
        (Kind::RiskPolicy | Kind::AuditPolicy | Kind::AIProvider | Kind::ApproverKey, Operation::Create) => {
            changed_by::on_create(review)?
        }
        (Kind::RiskPolicy | Kind::AuditPolicy | Kind::AIProvider | Kind::ApproverKey, Operation::Update) => {
            changed_by::on_update(review)?
        }
        (Kind::CommandPlan, _) | (_, Operation::Delete | Operation::Connect) => return Err(review.unknown()),
    };
    Ok(Allowed {
        patch,
        warnings: vec![],
    })
}

/// The patch that makes `spec.<field>` what it must be; none where it already is.
fn patch(field: &str, now: Option<&Value>, wanted: Option<&Value>) -> Option<Patch> {
    let path = || PointerBuf::from_tokens(["spec", field]);
    let operation = match (now, wanted) {
        (now, wanted) if now == wanted => return None,
        (_, Some(wanted)) => PatchOperation::Add(AddOperation {
            path: path(),
            value: wanted.clone(),
        }),
        (_, None) => PatchOperation::Remove(RemoveOperation { path: path() }),
    };
    Some(Patch(vec![operation]))
}

/// The caller's identity, if the schema can hold it. Leaving a part out would stamp somebody else.
fn identity(review: &Review) -> Result<Identity, Refusal> {
    let identity = crate::review::identity(review.user());
    let short = |text: &String| text.chars().count() <= MAX_TEXT;
    let fits = !identity.username.is_empty()
        && [&identity.username, &identity.uid]
            .into_iter()
            .chain(&identity.groups)
            .all(short)
        && identity.groups.len() <= MAX_GROUPS
        && identity.extra.len() <= MAX_EXTRA
        && identity
            .extra
            .values()
            .all(|values| values.len() <= MAX_EXTRA && values.iter().all(short));
    if fits {
        return Ok(identity);
    }
    Err(Refusal::forbidden(
        core_reason::REFUSED_IDENTITY,
        format!(
            "your identity cannot be recorded in full (at most {MAX_GROUPS} groups, {MAX_EXTRA} extra keys and {MAX_TEXT} characters a name). Nothing was stored. Ask as a user with fewer groups"
        ),
    ))
}

fn to_value(identity: &Identity) -> Result<Value, Refusal> {
    serde_json::to_value(identity).map_err(|_| {
        Refusal::invalid(
            core_reason::REFUSED_IDENTITY,
            "your identity cannot be written as JSON. Nothing was stored. Ask as another user",
        )
    })
}

#[cfg(test)]
mod tests;
