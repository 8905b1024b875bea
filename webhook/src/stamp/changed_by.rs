//! `spec.changedBy` of configuration kinds: who created the object or changed its spec last. Not sealed: nothing acts on
//! it, it is evidence.

use json_patch::Patch;
use serde_json::Value;

use crate::refusal::Refusal;
use crate::review::Review;

const FIELD: &str = "changedBy";

/// Stamps the creator.
pub(super) fn on_create(review: &Review) -> Result<Option<Patch>, Refusal> {
    let caller = super::to_value(&super::identity(review)?)?;
    Ok(super::patch(FIELD, review.spec()?.get(FIELD), Some(&caller)))
}

/// Stamps the caller where the spec changes; else puts the stored stamp back.
pub(super) fn on_update(review: &Review) -> Result<Option<Patch>, Refusal> {
    let (new, old) = (review.spec()?, review.old_spec()?);
    if without_stamp(new) == without_stamp(old) {
        return Ok(super::patch(FIELD, new.get(FIELD), old.get(FIELD)));
    }
    on_create(review)
}

fn without_stamp(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove(FIELD);
    }
    spec
}
