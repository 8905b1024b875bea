//! CREATE and UPDATE ApproverKey: a person's public key that OpenSSH could read, of an algorithm that is verified.

use kubechat_core::{reason as core_reason, secrets, shown, sshsig};
use kubechat_crds::ApproverKeySpec;

use crate::refusal::{Refusal, reason};
use crate::review::{Allowed, Review, Verdict};

/// Judges a key.
pub(super) fn write(review: &Review) -> Verdict {
    let spec: ApproverKeySpec = Review::typed(review.spec()?)?;
    if !secrets::find(&spec.public_key).is_empty() {
        return Err(Refusal::invalid(
            reason::SECRET_FOUND,
            "spec.publicKey holds a secret. Nothing was stored. Give the public half only (the .pub file), and change the private key if others may have seen it",
        ));
    }
    let no = |message: String| Err(Refusal::invalid(core_reason::INVALID, message));
    if let Err(why) = sshsig::public_key(&spec.public_key) {
        return no(format!(
            "spec.publicKey {why}. Nothing was stored. Give the line of the .pub file that ssh-keygen wrote, for example of ssh-keygen -t ed25519"
        ));
    }
    if spec.username.trim() != spec.username || spec.username.contains(char::is_control) {
        return no(format!(
            "spec.username {} holds a blank at its ends or a control character. Nothing was stored. Give the name as the API server knows it (kubectl auth whoami)",
            shown::identity(&spec.username)
        ));
    }
    if spec.username.is_empty() || spec.username.starts_with("system:") {
        return no("spec.username is no person. Nothing was stored. Give the name of the person as the API server knows it (kubectl auth whoami)".to_owned());
    }
    if let Some(group) = spec.groups.iter().find(|g| g.starts_with("system:")) {
        return no(format!(
            "spec.groups holds {}, which would pass every question about rights. Nothing was stored. Leave groups of the control plane out",
            shown::identity(group)
        ));
    }
    if let (Some(from), Some(to)) = (&spec.not_before, &spec.not_after)
        && from.0 >= to.0
    {
        return no("spec.notBefore is not before spec.notAfter, so the key would never be valid. Nothing was stored. Correct the times".to_owned());
    }
    Ok(Allowed::default())
}
