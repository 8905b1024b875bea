//! The seal: proof that KubeChat's webhook wrote an identity stamp.
//!
//! A seal is an HMAC-SHA256 over the canonical JSON (RFC 8785) of what was stamped and what it was stamped on: kind,
//! namespace, name (or generateName, while the API server has not yet made the name), the immutable part of the spec,
//! the identity and a nonce. Only the webhook and the operator hold the key.
//!
//! The nonce holds the time of sealing ([`nonce`], [`is_of_its_time`]). The API server gives an object its UID and its time
//! of creation after admission, so a seal cannot bind the UID; but an old object that somebody creates again while nobody
//! seals (a backup restored before the webhook is there) is younger than its seal, and is not acted on.
//!
//! **Invariant:** the webhook seals and the operator verifies the *raw* JSON of `spec`, never a typed copy of it, because
//! re-serialising may write the same time or an absent field differently. The schema defaults are applied by the API
//! server before admission and are stored, so both see the same JSON. Numbers in sealed specs are integers below 2^53.
//!
//! Called by the webhook (seal, and verify to stay idempotent) and by every controller before it acts (verify).

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use kubechat_crds::{Identity, Seal, canonical};
use serde_json::{Value, json};
use sha2::Sha256;

/// Name of the Secret, in KubeChat's own namespace, that holds the keys.
pub const SECRET_NAME: &str = "kubechat-seal";
/// Data key of the Secret: id of the key that seals.
pub const CURRENT_ID: &str = "current.id";
/// Data key of the Secret: the 32 bytes of the key that seals.
pub const CURRENT_KEY: &str = "current.key";
/// Data key of the Secret: id of the key before, still valid while a rotation is under way.
pub const PREVIOUS_ID: &str = "previous.id";
/// Data key of the Secret: the 32 bytes of the key before.
pub const PREVIOUS_KEY: &str = "previous.key";

/// How far the time of sealing and the API server's time of creation may lie apart: clocks differ, admission takes seconds.
const NEAR: SignedDuration = SignedDuration::from_mins(5);
/// How long a seal stays that of a write under way. The API server calls a mutating webhook again within one admission
/// (`reinvocationPolicy`), five seconds each and other webhooks between them: what comes later is another write, which gets
/// its own seal.
const ONE_WRITE: SignedDuration = SignedDuration::from_secs(30);
/// First field of every sealed document, so that a MAC made for this purpose serves no other.
const PURPOSE: &str = "kubechat.io/seal/v1";
/// Longest id of a key, as the schema of [`Seal`] bounds it.
const MAX_KEY_ID: usize = 64;
/// What the API server keeps of a long generateName before it adds its five random characters.
const GENERATED_PREFIX: usize = 58;

/// A key and its id.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey {
    /// Id, written into every seal.
    pub id: String,
    /// The key.
    pub bytes: [u8; 32],
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealKey")
            .field("id", &self.id)
            .field("bytes", &"redacted")
            .finish()
    }
}

/// The keys in use: one seals, both verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealKeys {
    /// Seals and verifies.
    pub current: SealKey,
    /// Verifies only, while a rotation is under way.
    pub previous: Option<SealKey>,
}

/// A Secret that holds no usable keys. Never says a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// A data key is not there.
    #[error(
        "Secret kubechat-seal has no data key {0}: no seal can be made or checked. The operator writes the Secret; delete it to have it made anew"
    )]
    Missing(&'static str),
    /// A data key holds something else.
    #[error(
        "Secret kubechat-seal: {0} must hold {1}: no seal can be made or checked. The operator writes the Secret; delete it to have it made anew"
    )]
    Malformed(&'static str, &'static str),
}

impl SealKeys {
    /// Reads the keys from the data of Secret [`SECRET_NAME`].
    ///
    /// # Errors
    /// When the current key is missing, or a key is malformed; both halves of the previous key must be there or none.
    pub fn from_secret_data(data: &BTreeMap<String, ByteString>) -> Result<Self, KeysError> {
        let current = read_key(data, CURRENT_ID, CURRENT_KEY)?.ok_or(KeysError::Missing(CURRENT_ID))?;
        Ok(Self {
            current,
            previous: read_key(data, PREVIOUS_ID, PREVIOUS_KEY)?,
        })
    }

    /// Whether one of them has this id.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    fn find(&self, id: &str) -> Option<&SealKey> {
        std::iter::once(&self.current)
            .chain(&self.previous)
            .find(|key| key.id == id)
    }
}

/// One key of the Secret; `None` when neither its id nor its bytes are there.
fn read_key(
    data: &BTreeMap<String, ByteString>,
    id_at: &'static str,
    key_at: &'static str,
) -> Result<Option<SealKey>, KeysError> {
    let (id, bytes) = match (data.get(id_at), data.get(key_at)) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(KeysError::Missing(id_at)),
        (Some(_), None) => return Err(KeysError::Missing(key_at)),
        (Some(id), Some(bytes)) => (id, bytes),
    };
    let good_id = |id: &&str| !id.is_empty() && id.len() <= MAX_KEY_ID;
    let id = std::str::from_utf8(&id.0)
        .ok()
        .filter(good_id)
        .ok_or(KeysError::Malformed(id_at, "1 to 64 bytes of text"))?;
    let bytes = bytes
        .0
        .as_slice()
        .try_into()
        .map_err(|_| KeysError::Malformed(key_at, "exactly 32 bytes"))?;
    Ok(Some(SealKey {
        id: id.to_owned(),
        bytes,
    }))
}

/// What a seal covers beside the identity.
#[derive(Clone, Copy, Debug)]
pub struct Sealable<'a> {
    /// Kind of the object.
    pub kind: &'a str,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: &'a str,
    /// `metadata.name`; empty at admission when the API server is still to make it.
    pub name: &'a str,
    /// `metadata.generateName`; empty for none.
    pub generate_name: &'a str,
    /// The raw `spec`.
    pub spec: &'a Value,
}

/// Why no seal was made.
#[derive(Debug, thiserror::Error)]
#[error("the object cannot be sealed, nothing was stamped: {0}")]
pub struct CannotSeal(#[from] serde_json::Error);

/// Why a seal does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is none.
    #[error(
        "the object carries no seal: KubeChat's webhook never saw it. It is not acted on; create it anew while the webhook runs"
    )]
    Missing,
    /// Made with a key that is not in use.
    #[error(
        "the seal was made with key {0}, which is no longer in use. The object is not acted on; create it anew"
    )]
    UnknownKey(String),
    /// Not the seal of this object and identity.
    #[error(
        "the seal does not belong to this object as it stands: it was forged, copied or changed. It is not acted on; create it anew"
    )]
    Mismatch,
}

/// The field of `spec` that holds the stamp of a sealed kind.
#[must_use]
pub fn stamp_field(kind: &str) -> &'static str {
    if kind == "Approval" {
        "submittedBy"
    } else {
        "requester"
    }
}

/// A nonce: random hex digits and the time of sealing, its milliseconds first: they only put in order what was sealed within
/// one second.
#[must_use]
pub fn nonce(random: &str, now: Timestamp) -> String {
    format!(
        "{random}-{:x}-{:x}",
        now.subsec_millisecond().max(0),
        now.as_second().max(0)
    )
}

/// When it was sealed, to the millisecond where the seal says so. For an order that every process finds again; the API
/// server keeps whole seconds. Never for a judgement.
#[must_use]
pub fn sealed_in_order(identity: &Identity) -> Option<(i64, i64)> {
    let seconds = sealed_at(identity)?.as_second();
    let (rest, _) = identity.seal.as_ref()?.nonce.rsplit_once('-')?;
    let millis = rest
        .rsplit_once('-')
        .and_then(|(_, millis)| i64::from_str_radix(millis, 16).ok());
    Some((seconds, millis.unwrap_or(0)))
}

/// Whether the seal was made about then. Asked beside [`verify`], which proves the time.
#[must_use]
pub fn is_of_its_time(identity: &Identity, then: Timestamp) -> bool {
    sealed_at(identity).is_some_and(|sealed| then.duration_since(sealed).abs() <= NEAR)
}

/// Whether the seal was made so shortly before that it is of the same write. Another webhook's clock may have made it; where
/// the two differ by more, the object is sealed anew, which is right as well.
#[must_use]
pub fn is_of_this_write(identity: &Identity, now: Timestamp) -> bool {
    sealed_at(identity).is_some_and(|sealed| now.duration_since(sealed).abs() <= ONE_WRITE)
}

/// The time in the nonce.
fn sealed_at(identity: &Identity) -> Option<Timestamp> {
    let (_, time) = identity.seal.as_ref()?.nonce.rsplit_once('-')?;
    Timestamp::from_second(i64::from_str_radix(time, 16).ok()?).ok()
}

/// Seals an identity onto an object with the current key. An existing seal in `identity` is ignored.
///
/// # Errors
/// When the spec cannot be written as canonical JSON.
pub fn seal(
    keys: &SealKeys,
    object: &Sealable<'_>,
    identity: &Identity,
    nonce: &str,
) -> Result<Seal, CannotSeal> {
    let (field, name) = if object.name.is_empty() {
        ("generateName", object.generate_name)
    } else {
        ("name", object.name)
    };
    let mac = mac(&keys.current, &document(object, (field, name), identity, nonce)?);
    Ok(Seal {
        key_id: keys.current.id.clone(),
        nonce: nonce.to_owned(),
        mac: hex::encode(mac.finalize().into_bytes()),
    })
}

/// Checks the seal that `identity` carries, in constant time.
///
/// # Errors
/// When there is no seal, its key is not in use, or it belongs to something else.
pub fn verify(keys: &SealKeys, object: &Sealable<'_>, identity: &Identity) -> Result<(), SealError> {
    let seal = identity.seal.as_ref().ok_or(SealError::Missing)?;
    let key = keys
        .find(&seal.key_id)
        .ok_or_else(|| SealError::UnknownKey(seal.key_id.clone()))?;
    let claimed = hex::decode(&seal.mac).map_err(|_| SealError::Mismatch)?;
    let holds = |field: &str, name: &str| {
        document(object, (field, name), identity, &seal.nonce)
            .is_ok_and(|bytes| mac(key, &bytes).verify_slice(&claimed).is_ok())
    };
    if !object.name.is_empty() && holds("name", object.name) {
        return Ok(());
    }
    if name_was_generated(object) && holds("generateName", object.generate_name) {
        return Ok(());
    }
    Err(SealError::Mismatch)
}

/// Whether the name is one that the API server makes from the generateName (or is still to make).
fn name_was_generated(object: &Sealable<'_>) -> bool {
    let wanted = object.generate_name;
    let kept = wanted.get(..GENERATED_PREFIX).unwrap_or(wanted);
    !wanted.is_empty() && (object.name.is_empty() || object.name.starts_with(kept))
}

fn mac(key: &SealKey, document: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new(&hmac_key(key));
    mac.update(document);
    mac
}

/// The key padded to HMAC's block size, as RFC 2104 pads a shorter key.
fn hmac_key(key: &SealKey) -> hmac::digest::Key<Hmac<Sha256>> {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    for (to, from) in block.iter_mut().zip(key.bytes) {
        *to = from;
    }
    block
}

/// The sealed bytes. Every value has its own key, so none can slide into another.
fn document(
    object: &Sealable<'_>,
    (field, name): (&str, &str),
    identity: &Identity,
    nonce: &str,
) -> Result<Vec<u8>, serde_json::Error> {
    canonical(&json!({
        "purpose": PURPOSE,
        "kind": object.kind,
        "namespace": object.namespace,
        (field): name,
        "spec": immutable_part(object.kind, object.spec),
        "username": identity.username,
        "uid": identity.uid,
        "groups": identity.groups,
        "extra": identity.extra,
        "nonce": nonce,
    }))
}

/// The part of a spec that never changes: all but the stamp itself and what its owner may change later.
fn immutable_part(kind: &str, spec: &Value) -> Value {
    if kind == "ChatSession" {
        return json!({});
    }
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove(stamp_field(kind));
        if kind == "ChatRequest" {
            fields.remove("cancel");
        }
    }
    spec
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
