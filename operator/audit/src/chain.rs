//! Leaf hashes and the HMAC chain over them. Pure.
//!
//! `leaf = SHA256(0x00 || header)` is the leaf hash of RFC 6962, ready for a Merkle tree.
//! `mac_n = HMAC-SHA256(key, mac_{n-1} || leaf_n)`; `mac_0` covers a fixed label and the log's origin, so that
//! rows of one log never fit into another. Both inputs have a fixed length, so that no two pairs have the same
//! bytes. Called by the stores and by the verifier.
//!
//! The chain finds what was changed by somebody without the key. It says nothing against somebody who has it,
//! and nothing about a log that was cut together with its head row: that takes a copy elsewhere.

use std::fmt;

use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of a chain key.
pub const KEY_BYTES: usize = 32;
/// Block size of SHA-256: HMAC fills shorter keys up with zeros.
const BLOCK_BYTES: usize = 64;
const GENESIS_LABEL: &[u8] = b"kubechat.io/audit/v1\n";
const KEY_ID_LABEL: &[u8] = b"kubechat.io/audit/key-id/v1\n";
const SPOOL_LABEL: &[u8] = b"kubechat.io/audit/spool/v1\n";
const LEAF_PREFIX: [u8; 1] = [0];

/// Hash of one entry's header bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Leaf(pub [u8; 32]);

impl Leaf {
    /// The RFC 6962 leaf hash of these bytes.
    pub fn of(header: &[u8]) -> Self {
        Self(
            Sha256::new()
                .chain_update(LEAF_PREFIX)
                .chain_update(header)
                .finalize()
                .into(),
        )
    }
}

/// One link of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainMac(pub [u8; 32]);

impl fmt::Display for ChainMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The secret key of the chain. Wiped from memory when dropped; never printed.
#[derive(Clone)]
pub struct ChainKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    id: String,
}

impl ChainKey {
    /// A key of these bytes.
    pub fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let digest = Sha256::new()
            .chain_update(KEY_ID_LABEL)
            .chain_update(bytes.as_slice())
            .finalize();
        let id = hex::encode(digest).chars().take(8).collect();
        Self { bytes, id }
    }

    /// A fresh random key.
    pub fn generate() -> Self {
        Self::new(Zeroizing::new(rand::random()))
    }

    /// Public name of the key: eight hex digits of a hash of it. Stands in every row.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }

    /// `mac_0` of the log with this origin.
    pub fn genesis(&self, origin: &str) -> ChainMac {
        self.mac(&[GENESIS_LABEL, origin.as_bytes()])
    }

    /// `mac_n` from `mac_{n-1}` and the leaf of entry n.
    pub fn link(&self, previous: ChainMac, leaf: Leaf) -> ChainMac {
        self.mac(&[&previous.0, &leaf.0])
    }

    /// The proof of a line that waits beside the log. Its label keeps it from being a link of any chain.
    pub(crate) fn spool_line(&self, line: &[u8]) -> ChainMac {
        self.mac(&[SPOOL_LABEL, line])
    }

    fn mac(&self, parts: &[&[u8]]) -> ChainMac {
        let mut block = Zeroizing::new([0_u8; BLOCK_BYTES]);
        for (to, from) in block.iter_mut().zip(self.bytes.iter()) {
            *to = *from;
        }
        let mac = Hmac::<Sha256>::new((&*block).into());
        ChainMac(
            parts
                .iter()
                .fold(mac, Mac::chain_update)
                .finalize()
                .into_bytes()
                .into(),
        )
    }
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Compares two links without telling by its duration where they differ.
pub fn same_mac(one: ChainMac, other: ChainMac) -> bool {
    CtOutput::<Hmac<Sha256>>::new(one.0.into()) == CtOutput::new(other.0.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> ChainKey {
        ChainKey::new(Zeroizing::new([byte; KEY_BYTES]))
    }

    #[test]
    fn leaf_is_the_rfc_6962_leaf_hash() {
        // The leaf hash of the empty string, from RFC 6962's reference test vectors.
        let expected = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(hex::encode(Leaf::of(b"").0), expected);
    }

    #[test]
    fn chain_is_plain_hmac_sha256() {
        // The message of RFC 4231, test case 1, under a 32-byte key; computed with Python's hmac module.
        let mac = key(0x0b).mac(&[b"Hi ", b"There"]);
        assert_eq!(
            mac.to_string(),
            "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7"
        );
    }

    #[test]
    fn another_key_origin_order_or_leaf_gives_another_link() {
        let start = key(1).genesis("kubechat/a");
        let leaf = Leaf::of(b"header");
        assert_ne!(start, key(1).genesis("kubechat/b"));
        assert_ne!(start, key(2).genesis("kubechat/a"));
        assert_ne!(key(1).link(start, leaf), key(2).link(start, leaf));
        assert_ne!(key(1).link(start, leaf), key(1).link(start, Leaf::of(b"Header")));
        assert_ne!(
            key(1).link(start, leaf),
            key(1).link(ChainMac(leaf.0), Leaf(start.0))
        );
    }

    #[test]
    fn a_key_shows_its_id_and_never_its_bytes() {
        let shown = format!("{:?}", key(0x41));
        assert!(
            shown.contains(key(0x41).id()) && !shown.contains("AAAA") && !shown.contains("65"),
            "{shown}"
        );
        assert_eq!(key(0x41).id().len(), 8);
        assert_ne!(key(0x41).id(), key(0x42).id());
    }

    #[test]
    fn macs_are_equal_only_when_every_byte_is() {
        let one = key(1).genesis("x");
        assert!(same_mac(one, one));
        for at in 0..32 {
            let mut other = one;
            other.0[at] ^= 1;
            assert!(!same_mac(one, other));
        }
    }
}
