//! Signed decisions: what a person signs, and whose key signed it (OpenSSH's SSHSIG, PROTOCOL.sshsig).
//!
//! **Invariants:** two different decisions never have the same bytes; a signature counts only for the namespace
//! [`NAMESPACE`], by exactly one person's registered key that is valid now and revoked nowhere.
//!
//! Called by the judgement of Approvals ([`crate::decider`]), by admission and the controller of ApproverKey, and by
//! `kubechat approve --git`.

use jiff::Timestamp;
use kubechat_crds::{ApprovalSpec, ApproverKey, ApproverKeySpec, DecisionKind};
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};

use crate::{reason, shown};

/// Namespace of the signatures (`ssh-keygen -Y sign -n`): a signature made for another purpose never counts here.
pub const NAMESPACE: &str = "kubechat-approval";
/// First line of what is signed.
const VERSION_LINE: &str = "kubechat.io/approval/v1";
/// Bytes after the signature proper of a security key: one of flags, four of a counter (PROTOCOL.u2f).
const TRAILER: usize = 5;
/// Flag of a security key: somebody touched it.
const USER_PRESENT: u8 = 1;

/// Why a decision cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsignable {
    /// `-` stands for "none".
    #[error("an incident is not called \"-\": that is how a signed decision says that there is none")]
    IncidentDash,
    /// A line break would look like another field.
    #[error("the {0} holds a line break or control character, which a signed decision never has")]
    ControlCharacter(&'static str),
}

/// The exact bytes that are signed for a decision.
///
/// # Errors
/// When another decision could have the same bytes.
pub fn statement(cluster_uid: &str, namespace: &str, spec: &ApprovalSpec) -> Result<String, Unsignable> {
    let incident = spec.break_glass.as_ref().map(|b| b.incident.as_str());
    if incident == Some("-") {
        return Err(Unsignable::IncidentDash);
    }
    let plan = &spec.plan_ref.name;
    for (field, text) in [
        ("cluster UID", cluster_uid),
        ("namespace", namespace),
        ("plan's name", plan),
        ("digest", &spec.plan_digest),
        ("incident", incident.unwrap_or_default()),
    ] {
        if text.contains(char::is_control) {
            return Err(Unsignable::ControlCharacter(field));
        }
    }
    let decision = match spec.decision {
        DecisionKind::Approve => "Approve",
        DecisionKind::Deny => "Deny",
        DecisionKind::Review => "Review",
    };
    let expires = spec
        .expires_at
        .as_ref()
        .map_or_else(|| "-".to_owned(), |t| t.0.to_string());
    let (digest, incident) = (&spec.plan_digest, incident.unwrap_or("-"));
    Ok(format!(
        "{VERSION_LINE}\n{cluster_uid}\n{namespace}/{plan}\n{digest}\n{decision}\n{expires}\n{incident}\n"
    ))
}

/// Why a public key is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not what ssh-keygen writes.
    #[error("is no OpenSSH public key line")]
    Unreadable,
    /// RSA, DSA, a certificate, or something unheard of.
    #[error("is of an algorithm that is not accepted (ed25519, ecdsa and their sk forms are)")]
    Algorithm,
}

/// Reads the line of a `.pub` file.
///
/// # Errors
/// Why it is not taken; the text goes behind "spec.publicKey".
pub fn public_key(line: &str) -> Result<PublicKey, BadKey> {
    let key = PublicKey::from_openssh(line.trim()).map_err(|_| BadKey::Unreadable)?;
    match key.algorithm() {
        Algorithm::Ed25519
        | Algorithm::Ecdsa { .. }
        | Algorithm::SkEd25519
        | Algorithm::SkEcdsaSha2NistP256 => Ok(key),
        // The crate may learn more algorithms; none is accepted before somebody looked at it.
        _ => Err(BadKey::Algorithm),
    }
}

/// `SHA256:..`, as ssh-keygen shows it.
#[must_use]
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Why a key does not prove anything now.
///
/// # Errors
/// Reason and text.
pub fn usable(spec: &ApproverKeySpec, now: Timestamp) -> Result<(), (&'static str, String)> {
    if let Some(at) = spec.revoked_at.as_ref().filter(|t| t.0 <= now) {
        return Err((reason::KEY_REVOKED, format!("was revoked at {}", at.0)));
    }
    if let Some(at) = spec.not_before.as_ref().filter(|t| t.0 > now) {
        return Err((reason::KEY_NOT_VALID, format!("is not valid before {}", at.0)));
    }
    if let Some(at) = spec.not_after.as_ref().filter(|t| t.0 <= now) {
        return Err((reason::KEY_NOT_VALID, format!("is not valid after {}", at.0)));
    }
    if spec.username.is_empty() || spec.username.starts_with("system:") {
        return Err((reason::NOT_A_PERSON, "belongs to no person".to_owned()));
    }
    Ok(())
}

/// All registered keys, read once for many signatures.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    keys: Vec<Registered>,
}

#[derive(Clone, Debug)]
struct Registered {
    name: String,
    spec: ApproverKeySpec,
    data: KeyData,
}

/// Why a signature proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unproven {
    /// Reason constant.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl Keyring {
    /// The keys that can be read; one that cannot verifies nothing.
    #[must_use]
    pub fn new(keys: &[ApproverKey]) -> Self {
        let read = |key: &ApproverKey| {
            Some(Registered {
                name: key.metadata.name.clone().unwrap_or_default(),
                data: public_key(&key.spec.public_key).ok()?.key_data().clone(),
                spec: key.spec.clone(),
            })
        };
        Self {
            keys: keys.iter().filter_map(read).collect(),
        }
    }

    /// Whose key signed exactly this.
    ///
    /// # Errors
    /// Why the signature proves nothing.
    pub fn verify(
        &self,
        statement: &str,
        armoured: &str,
        now: Timestamp,
    ) -> Result<&ApproverKeySpec, Unproven> {
        let no = |reason, message: String| Err(Unproven { reason, message });
        let Ok(signature) = SshSig::from_pem(armoured.trim()) else {
            return no(
                reason::SIGNATURE_INVALID,
                "the signature cannot be read: it is no armoured SSH signature. Sign again: kubechat approve --git".to_owned(),
            );
        };
        if signature.namespace() != NAMESPACE
            || !signature.reserved().is_empty()
            || signature.version() != SshSig::VERSION
        {
            return no(
                reason::SIGNATURE_INVALID,
                format!(
                    "the signature was made for another purpose. Sign with: ssh-keygen -Y sign -n {NAMESPACE}"
                ),
            );
        }
        let found = self.owner(signature.public_key(), now)?;
        let public = PublicKey::from(found.data.clone());
        if public
            .verify(NAMESPACE, statement.as_bytes(), &signature)
            .is_err()
        {
            return no(
                reason::SIGNATURE_INVALID,
                format!(
                    "the signature by ApproverKey {} is not over this decision: cluster, plan, digest, decision, expiry or incident differ from what was signed. Sign again: kubechat approve --git",
                    found.name
                ),
            );
        }
        if !touched(&signature) {
            return no(
                reason::SIGNATURE_INVALID,
                format!(
                    "the security key of ApproverKey {} signed without being touched",
                    found.name
                ),
            );
        }
        Ok(&found.spec)
    }

    /// The one registered key that holds this public key.
    fn owner(&self, data: &KeyData, now: Timestamp) -> Result<&Registered, Unproven> {
        let same: Vec<&Registered> = self.keys.iter().filter(|k| &k.data == data).collect();
        let print = PublicKey::from(data.clone()).fingerprint(HashAlg::Sha256);
        let no = |reason, message: String| Err(Unproven { reason, message });
        // Revoked once is revoked, under whatever name the key stands elsewhere.
        let bad = |wanted| {
            same.iter().find_map(|k| {
                usable(&k.spec, now)
                    .err()
                    .filter(|(r, _)| *r == wanted)
                    .map(|e| (k, e))
            })
        };
        if let Some((key, (reason, why))) = bad(reason::KEY_REVOKED) {
            return no(
                reason,
                format!(
                    "ApproverKey {} {why}, so what it signed counts no longer. Sign with a key that is valid",
                    key.name
                ),
            );
        }
        let mut people: Vec<&str> = same.iter().map(|k| k.spec.username.as_str()).collect();
        people.sort_unstable();
        people.dedup();
        if people.len() > 1 {
            let people: Vec<_> = people.iter().map(|p| shown::identity(p)).collect();
            return no(
                reason::UNKNOWN_KEY,
                format!(
                    "the key {print} is registered for several people ({}), so nobody can be held to it. Remove all but one ApproverKey",
                    people.join(", ")
                ),
            );
        }
        if let Some(key) = same.iter().find(|k| usable(&k.spec, now).is_ok()) {
            return Ok(key);
        }
        match same.first().map(|k| (k, usable(&k.spec, now))) {
            Some((key, Err((reason, why)))) => no(
                reason,
                format!("ApproverKey {} {why}. Sign with a key that is valid", key.name),
            ),
            Some((_, Ok(()))) | None => no(
                reason::UNKNOWN_KEY,
                format!(
                    "no ApproverKey holds the key {print} that signed. Ask who keeps the ApproverKeys to register it, then sign again"
                ),
            ),
        }
    }
}

/// Whether somebody touched the security key; other keys know no touch.
fn touched(signature: &SshSig) -> bool {
    match signature.algorithm() {
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => signature
            .signature_bytes()
            .iter()
            .rev()
            .nth(TRAILER - 1)
            .is_some_and(|flags| flags & USER_PRESENT != 0),
        _ => true,
    }
}

/// Why a private key does not sign here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// Not what ssh-keygen writes.
    #[error("it is no OpenSSH private key")]
    Unreadable,
    /// Needs a passphrase, which KubeChat never asks for.
    #[error("it is protected by a passphrase")]
    Encrypted,
    /// RSA, or a security key.
    #[error("its algorithm is not one KubeChat signs with (ed25519 and ecdsa are)")]
    Algorithm,
}

/// Signs a statement with the text of a private key file; the armoured signature.
///
/// # Errors
/// Why it cannot; `ssh-keygen -Y sign` may.
pub fn sign(private_key: &str, statement: &str) -> Result<String, CannotSign> {
    let key = PrivateKey::from_openssh(private_key).map_err(|_| CannotSign::Unreadable)?;
    if key.is_encrypted() {
        return Err(CannotSign::Encrypted);
    }
    let signed = key
        .sign(NAMESPACE, HashAlg::Sha512, statement.as_bytes())
        .map_err(|_| CannotSign::Algorithm)?;
    signed.to_pem(LineEnding::LF).map_err(|_| CannotSign::Unreadable)
}

#[cfg(test)]
#[path = "sshsig_tests.rs"]
pub(crate) mod tests;
