//! Stamp and seal of ChatRequest, ChatSession and Approval.

use jiff::Timestamp;
use json_patch::Patch;
use kubechat_core::reason as core_reason;
use kubechat_core::seal::{self, SealKeys, Sealable};
use kubechat_crds::Identity;
use serde::Deserialize as _;
use serde_json::Value;

use crate::refusal::Refusal;
use crate::review::{Kind, Review};

/// Bytes of a nonce.
const NONCE_BYTES: usize = 16;

/// Overwrites whatever stamp the client sent with the caller's own, sealed.
pub(super) fn on_create(review: &Review, kind: Kind, keys: &SealKeys) -> Result<Option<Patch>, Refusal> {
    let spec = review.spec()?;
    let field = seal::stamp_field(kind.as_str());
    let metadata = review.request.object.as_ref().map(|object| &object.metadata);
    let object = Sealable {
        kind: kind.as_str(),
        namespace: review.namespace(),
        name: metadata.and_then(|m| m.name.as_deref()).unwrap_or_default(),
        generate_name: metadata
            .and_then(|m| m.generate_name.as_deref())
            .unwrap_or_default(),
        spec,
    };
    let mut identity = super::identity(review)?;
    let now = Timestamp::now();
    if is_ours_already(keys, &object, spec.get(field), &identity, now) {
        return Ok(None);
    }
    let nonce = seal::nonce(&hex::encode(rand::random::<[u8; NONCE_BYTES]>()), now);
    let made = seal::seal(keys, &object, &identity, &nonce)
        .map_err(|error| Refusal::invalid(core_reason::INVALID, format!("{error}. Send plain JSON")))?;
    identity.seal = Some(made);
    Ok(super::patch(
        field,
        spec.get(field),
        Some(&super::to_value(&identity)?),
    ))
}

/// Whether the stamp is the caller's own with a seal of the current key and of this write: then this is a second call for it.
/// An older seal is another write's, as when somebody creates an object again from its own manifest.
fn is_ours_already(
    keys: &SealKeys,
    object: &Sealable<'_>,
    stamp: Option<&Value>,
    caller: &Identity,
    now: Timestamp,
) -> bool {
    let Some(stamped) = stamp.and_then(|stamp| Identity::deserialize(stamp).ok()) else {
        return false;
    };
    let current = stamped
        .seal
        .as_ref()
        .is_some_and(|seal| seal.key_id == keys.current.id);
    let same = Identity {
        seal: None,
        ..stamped.clone()
    } == *caller;
    current && same && seal::is_of_this_write(&stamped, now) && seal::verify(keys, object, &stamped).is_ok()
}

/// Puts the stored stamp back, present or absent.
pub(super) fn on_update(review: &Review, kind: Kind) -> Result<Option<Patch>, Refusal> {
    let field = seal::stamp_field(kind.as_str());
    Ok(super::patch(
        field,
        review.spec()?.get(field),
        review.old_spec()?.get(field),
    ))
}
