//! The seal: proof that KubeChat's webhook wrote an identity stamp.
//!
//! A seal is an HMAC-SHA256 over the canonical JSON (RFC 8785) of what was stamped and what it was stamped on: kind,
//! namespace, name (or generateName, while the API server has not yet made the name), the immutable part of the spec,
//! the identity and a nonce. Only the webhook and the operator hold the key.
//!
//! **Invariant:** the webhook seals and the operator verifies the *raw* JSON of `spec`, never a typed copy of it, because
//! re-serialising may write the same time or an absent field differently. The schema defaults are applied by the API
//! server before admission and are stored, so both see the same JSON. Numbers in sealed specs are integers below 2^53.
//!
//! Called by the webhook (seal, and verify to stay idempotent) and by every controller before it acts (verify).

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(id: &str, byte: u8) -> SealKey {
        SealKey {
            id: id.to_owned(),
            bytes: [byte; 32],
        }
    }

    fn keys() -> SealKeys {
        SealKeys {
            current: key("k2", 2),
            previous: Some(key("k1", 1)),
        }
    }

    fn alice() -> Identity {
        Identity {
            username: "alice".into(),
            uid: "2".into(),
            groups: vec!["developers".into(), "system:authenticated".into()],
            extra: BTreeMap::from([("scopes".to_owned(), vec!["a".to_owned(), "b".to_owned()])]),
            seal: None,
        }
    }

    fn spec() -> Value {
        json!({"prompt": "scale nginx to 5", "mode": "Auto", "cancel": false, "ttlSecondsAfterFinished": 600})
    }

    fn request<'a>(name: &'a str, generate_name: &'a str, spec: &'a Value) -> Sealable<'a> {
        Sealable {
            kind: "ChatRequest",
            namespace: "demo",
            name,
            generate_name,
            spec,
        }
    }

    fn sealed(object: &Sealable<'_>, mut identity: Identity) -> Identity {
        identity.seal = Some(seal(&keys(), object, &identity, "00ff").unwrap());
        identity
    }

    #[test]
    fn golden_seal_stays_what_it_is() {
        let spec = spec();
        let identity = sealed(&request("scale", "", &spec), alice());
        let seal = identity.seal.unwrap();
        assert_eq!((seal.key_id.as_str(), seal.nonce.as_str()), ("k2", "00ff"));
        assert_eq!(
            seal.mac,
            "21cda0a910d5eb0880cecc06f9e9835efcd4ccf56cf9ad2f7893f8ae895aed78"
        );
    }

    #[test]
    fn accepts_the_stored_object_with_defaults_and_its_stamp() {
        let spec = spec();
        let identity = sealed(&request("scale", "", &spec), alice());
        let mut stored = spec;
        stored["requester"] = serde_json::to_value(&identity).unwrap();
        assert_eq!(verify(&keys(), &request("scale", "", &stored), &identity), Ok(()));
        stored["cancel"] = json!(true);
        assert_eq!(
            verify(&keys(), &request("scale", "", &stored), &identity),
            Ok(()),
            "cancel may change"
        );
    }

    #[test]
    fn accepts_a_name_that_was_made_from_the_sealed_generate_name() {
        let spec = spec();
        let long = "a".repeat(70);
        let short_name = format!("{}x7k2p", "a".repeat(58));
        for (generate, name) in [("scale-", "scale-x7k2p"), (long.as_str(), short_name.as_str())] {
            let identity = sealed(&request("", generate, &spec), alice());
            assert_eq!(
                verify(&keys(), &request(name, generate, &spec), &identity),
                Ok(())
            );
        }
        let identity = sealed(&request("", "scale-", &spec), alice());
        for (name, generate) in [
            ("other-x7k2p", "scale-"),
            ("scale-x7k2p", ""),
            ("other-1", "other-"),
        ] {
            let got = verify(&keys(), &request(name, generate, &spec), &identity);
            assert_eq!(got, Err(SealError::Mismatch), "{name} {generate}");
        }
    }

    #[test]
    fn a_seal_over_a_name_is_not_one_over_the_same_generate_name() {
        let spec = spec();
        let identity = sealed(&request("", "scale", &spec), alice());
        assert_eq!(
            verify(&keys(), &request("scale", "", &spec), &identity),
            Err(SealError::Mismatch)
        );
    }

    #[test]
    fn both_keys_verify_during_a_rotation_and_an_older_one_is_refused() {
        let spec = spec();
        let object = request("scale", "", &spec);
        let identity = sealed(&object, alice());
        let rotated = SealKeys {
            current: key("k3", 3),
            previous: Some(key("k2", 2)),
        };
        assert_eq!(verify(&rotated, &object, &identity), Ok(()));
        let gone = SealKeys {
            current: key("k4", 4),
            previous: Some(key("k3", 3)),
        };
        assert_eq!(
            verify(&gone, &object, &identity),
            Err(SealError::UnknownKey("k2".into()))
        );
        let same_id = SealKeys {
            current: key("k2", 9),
            previous: None,
        };
        assert_eq!(verify(&same_id, &object, &identity), Err(SealError::Mismatch));
    }

    #[test]
    fn refuses_a_missing_or_malformed_seal() {
        let spec = spec();
        let object = request("scale", "", &spec);
        assert_eq!(verify(&keys(), &object, &alice()), Err(SealError::Missing));
        for mac in ["", "zz", "00", &"0".repeat(64), &"f".repeat(66)] {
            let seal = Seal {
                key_id: "k2".into(),
                nonce: "00ff".into(),
                mac: mac.to_owned(),
            };
            let identity = Identity {
                seal: Some(seal),
                ..alice()
            };
            assert_eq!(
                verify(&keys(), &object, &identity),
                Err(SealError::Mismatch),
                "{mac}"
            );
        }
    }

    #[test]
    fn session_fields_may_change_but_not_its_owner_or_name() {
        let (before, after) = (json!({"title": "a", "closed": false}), json!({"closed": true}));
        let session = |spec, name| Sealable {
            kind: "ChatSession",
            namespace: "demo",
            name,
            generate_name: "",
            spec,
        };
        let identity = sealed(&session(&before, "s"), alice());
        assert_eq!(verify(&keys(), &session(&after, "s"), &identity), Ok(()));
        assert!(verify(&keys(), &session(&after, "t"), &identity).is_err());
        let other = Identity {
            username: "bob".into(),
            ..identity
        };
        assert!(verify(&keys(), &session(&after, "s"), &other).is_err());
    }

    #[test]
    fn reads_keys_from_the_secret_and_refuses_halves_of_them() {
        let bytes = |b: &[u8]| ByteString(b.to_vec());
        let data = |list: &[(&str, &[u8])]| list.iter().map(|(k, v)| ((*k).to_owned(), bytes(v))).collect();
        let full: BTreeMap<_, _> = data(&[
            (CURRENT_ID, b"k2"),
            (CURRENT_KEY, &[2; 32]),
            (PREVIOUS_ID, b"k1"),
            (PREVIOUS_KEY, &[1; 32]),
        ]);
        assert_eq!(SealKeys::from_secret_data(&full), Ok(keys()));
        let bad: Vec<(BTreeMap<_, _>, KeysError)> = vec![
            (data(&[]), KeysError::Missing(CURRENT_ID)),
            (data(&[(CURRENT_ID, b"k")]), KeysError::Missing(CURRENT_KEY)),
            (data(&[(CURRENT_KEY, &[2; 32])]), KeysError::Missing(CURRENT_ID)),
            (
                data(&[(CURRENT_ID, b"k"), (CURRENT_KEY, &[2; 31])]),
                KeysError::Malformed(CURRENT_KEY, "exactly 32 bytes"),
            ),
            (
                data(&[(CURRENT_ID, b""), (CURRENT_KEY, &[2; 32])]),
                KeysError::Malformed(CURRENT_ID, "1 to 64 bytes of text"),
            ),
            (
                data(&[(CURRENT_ID, &[255]), (CURRENT_KEY, &[2; 32])]),
                KeysError::Malformed(CURRENT_ID, "1 to 64 bytes of text"),
            ),
            (
                data(&[(CURRENT_ID, b"k"), (CURRENT_KEY, &[2; 32]), (PREVIOUS_ID, b"j")]),
                KeysError::Missing(PREVIOUS_KEY),
            ),
        ];
        for (data, error) in bad {
            assert_eq!(SealKeys::from_secret_data(&data), Err(error));
        }
    }

    #[test]
    fn debug_never_shows_a_key() {
        let text = format!("{:?}", keys());
        assert!(text.contains("redacted") && !text.contains("2, 2"), "{text}");
    }

    /// Everything a seal covers, as one value that a test may change in one place.
    #[derive(Clone, Debug, PartialEq)]
    struct Covered {
        kind: String,
        namespace: String,
        name: String,
        spec: Value,
        identity: Identity,
        nonce: String,
    }

    fn covered() -> impl Strategy<Value = Covered> {
        let text = "[a-z\"\\\\{}:,é]{0,6}";
        let identity = (
            text,
            text,
            prop::collection::vec(text, 0..3),
            prop::collection::btree_map(text, prop::collection::vec(text, 0..2), 0..2),
        );
        (
            prop::sample::select(vec!["ChatRequest", "Approval"]),
            text,
            "[a-z]{1,6}",
            text,
            0..9_i64,
            identity,
            text,
        )
            .prop_map(
                |(kind, namespace, name, prompt, ttl, (username, uid, groups, extra), nonce)| Covered {
                    kind: kind.to_owned(),
                    namespace,
                    name,
                    spec: json!({"prompt": prompt, "ttlSecondsAfterFinished": ttl}),
                    identity: Identity {
                        username,
                        uid,
                        groups,
                        extra,
                        seal: None,
                    },
                    nonce,
                },
            )
    }

    fn object(covered: &Covered) -> Sealable<'_> {
        Sealable {
            kind: &covered.kind,
            namespace: &covered.namespace,
            name: &covered.name,
            generate_name: "",
            spec: &covered.spec,
        }
    }

    proptest! {
        #[test]
        fn any_change_of_a_covered_field_breaks_the_seal(a in covered(), b in covered()) {
            let made = seal(&keys(), &object(&a), &a.identity, &a.nonce).unwrap();
            let moved = Seal { nonce: b.nonce.clone(), ..made };
            let identity = Identity { seal: Some(moved), ..b.identity.clone() };
            let holds = verify(&keys(), &object(&b), &identity).is_ok();
            prop_assert_eq!(holds, a == b);
        }

        #[test]
        fn one_changed_field_is_enough(a in covered(), which in 0..10_usize) {
            let mut b = a.clone();
            match which {
                0 => b.kind.push('x'),
                1 => b.namespace.push('x'),
                2 => b.name.push('x'),
                3 => b.spec["prompt"] = json!("another"),
                4 => b.spec["ttlSecondsAfterFinished"] = json!(10),
                5 => b.spec["extraField"] = json!(1),
                6 => b.identity.username.push('x'),
                7 => b.identity.uid.push('x'),
                8 => b.identity.groups.push("system:masters".into()),
                _ => { b.identity.extra.insert("another".into(), vec![]); }
            }
            let made = seal(&keys(), &object(&a), &a.identity, &a.nonce).unwrap();
            let identity = Identity { seal: Some(made), ..b.identity.clone() };
            prop_assert_eq!(verify(&keys(), &object(&b), &identity), Err(SealError::Mismatch));
        }
    }
}
