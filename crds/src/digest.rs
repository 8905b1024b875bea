//! Canonical JSON (RFC 8785) and SHA-256 digests over it.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// RFC 8785 canonical JSON of a value.
///
/// # Errors
/// When the value cannot be written as JSON (a map with non-string keys, a non-finite number).
pub fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json_canonicalizer::to_vec(value)
}

/// Lower-case hex SHA-256 (64 digits).
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// `sha256:<64 hex>` over the canonical JSON of a value.
///
/// # Errors
/// As [`canonical`].
pub fn digest_of<T: Serialize>(value: &T) -> Result<PlanDigest, serde_json::Error> {
    Ok(PlanDigest(format!("sha256:{}", sha256_hex(&canonical(value)?))))
}

/// A digest in the form `sha256:<64 lower-case hex digits>`. Constructed only from a computation or a checked parse.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PlanDigest(String);

/// A text that is no digest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a digest: it must read sha256: and 64 lower-case hex digits, in full (no prefix of it)")]
pub struct NotADigest;

impl PlanDigest {
    /// The digest as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for PlanDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for PlanDigest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let hex = text.strip_prefix("sha256:").ok_or(NotADigest)?;
        let good = hex.len() == 64
            && hex
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        good.then(|| Self(text.to_owned())).ok_or(NotADigest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_over_canonical_json_so_key_order_does_not_matter() {
        let a = digest_of(&serde_json::json!({"b": 1, "a": [1, "x"]})).unwrap();
        let b: serde_json::Value = serde_json::from_str(r#"{ "a": [1,"x"], "b":1 }"#).unwrap();
        assert_eq!(a, digest_of(&b).unwrap());
        assert_eq!(canonical(&b).unwrap(), br#"{"a":[1,"x"],"b":1}"#);
    }

    #[test]
    fn refuses_prefixes_upper_case_and_other_algorithms() {
        let good = digest_of(&"x").unwrap();
        assert_eq!(good.as_str().parse::<PlanDigest>(), Ok(good.clone()));
        for bad in [
            &good.as_str()[..20],
            &good.as_str().to_uppercase(),
            "sha512:00",
            "",
            &good.as_str()[7..],
        ] {
            assert_eq!(bad.parse::<PlanDigest>(), Err(NotADigest), "{bad}");
        }
    }
}
