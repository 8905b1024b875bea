//! CREATE and UPDATE ApproverKey: a public key that OpenSSH could read, of an algorithm that is strong enough.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubechat_core::{reason as core_reason, secrets};
use kubechat_crds::ApproverKeySpec;

use crate::refusal::{Refusal, reason};
use crate::review::{Allowed, Review, Verdict};

/// Algorithms of signatures that are accepted (RFC 4253, RFC 5656, RFC 8709, OpenSSH PROTOCOL.u2f).
const ALGORITHMS: &[&str] = &[
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    RSA,
];
const RSA: &str = "ssh-rsa";
/// Fewest bytes of an RSA modulus (2048 bits).
const MIN_RSA_MODULUS: usize = 256;
/// Bytes of an Ed25519 public key.
const ED25519_KEY: usize = 32;

/// Judges a key.
pub(super) fn write(review: &Review) -> Verdict {
    let spec: ApproverKeySpec = Review::typed(review.spec()?)?;
    if !secrets::find(&spec.public_key).is_empty() {
        return Err(Refusal::invalid(
            reason::SECRET_FOUND,
            "spec.publicKey holds a secret. Nothing was stored. Give the public half only (the .pub file), and change the private key if others may have seen it",
        ));
    }
    let no = |why: &str| {
        Err(Refusal::invalid(
            core_reason::INVALID,
            format!(
                "spec.publicKey {why}. Nothing was stored. Give the line of the .pub file that ssh-keygen wrote, for example of ssh-keygen -t ed25519"
            ),
        ))
    };
    if let Err(why) = public_key(&spec.public_key) {
        return no(why);
    }
    if let (Some(from), Some(to)) = (&spec.not_before, &spec.not_after)
        && from.0 >= to.0
    {
        return Err(Refusal::invalid(
            core_reason::INVALID,
            "spec.notBefore is not before spec.notAfter, so the key would never be valid. Nothing was stored. Correct the times",
        ));
    }
    Ok(Allowed::default())
}

/// Reads an OpenSSH public key line.
fn public_key(line: &str) -> Result<(), &'static str> {
    let mut words = line.split(' ');
    let (Some(algorithm), Some(blob)) = (words.next(), words.next()) else {
        return Err("is no OpenSSH public key line");
    };
    if !ALGORITHMS.contains(&algorithm) {
        return Err("is of an algorithm that is not accepted (ed25519, ecdsa, their sk forms, or rsa)");
    }
    let blob = STANDARD.decode(blob).map_err(|_| "is not base64")?;
    let (inner, rest) = field(&blob).ok_or("is cut off")?;
    if inner != algorithm.as_bytes() {
        return Err("names one algorithm and holds a key of another");
    }
    let (first, rest) = field(rest).ok_or("is cut off")?;
    match algorithm {
        "ssh-ed25519" if first.len() != ED25519_KEY || !rest.is_empty() => Err("is no Ed25519 key"),
        RSA => {
            let (modulus, _) = field(rest).ok_or("is cut off")?;
            let leading = modulus.iter().take_while(|byte| **byte == 0).count();
            if modulus.len() - leading < MIN_RSA_MODULUS {
                Err("is an RSA key of less than 2048 bits")
            } else {
                Ok(())
            }
        }
        _ => Ok(()),
    }
}

/// One length-prefixed field of the SSH wire format (RFC 4251 section 5) and what follows it.
fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(fields: &[&[u8]]) -> String {
        let mut out = vec![];
        for field in fields {
            out.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
            out.extend_from_slice(field);
        }
        STANDARD.encode(out)
    }

    #[test]
    fn reads_keys_as_openssh_writes_them() {
        let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl bob@example.org";
        assert_eq!(public_key(line), Ok(()));
        assert_eq!(
            public_key(&format!(
                "ssh-rsa {}",
                wire(&[b"ssh-rsa", &[1, 0, 1], &[[0].as_slice(), &[9; 256]].concat()])
            )),
            Ok(())
        );
        assert_eq!(
            public_key(&format!(
                "ecdsa-sha2-nistp256 {}",
                wire(&[b"ecdsa-sha2-nistp256", b"nistp256", &[4; 65]])
            )),
            Ok(())
        );
    }

    #[test]
    fn refuses_what_is_no_strong_public_key() {
        let bad = [
            "ssh-ed25519".to_owned(),
            "ssh-ed25519 not*base64".to_owned(),
            "ssh-ed25519 AAAA".to_owned(),
            format!("ssh-dss {}", wire(&[b"ssh-dss", &[1; 128]])),
            format!("ssh-ed25519 {}", wire(&[b"ssh-rsa", &[1; 32]])),
            format!("ssh-ed25519 {}", wire(&[b"ssh-ed25519", &[1; 31]])),
            format!("ssh-ed25519 {}", wire(&[b"ssh-ed25519", &[1; 32], b"more"])),
            format!("ssh-ed25519 {}", STANDARD.encode([0xff_u8; 12])),
            format!("ssh-rsa {}", wire(&[b"ssh-rsa", &[1, 0, 1], &[9; 128]])),
            format!(
                "ssh-rsa {}",
                wire(&[
                    b"ssh-rsa",
                    &[1, 0, 1],
                    &[[0_u8; 200].as_slice(), &[9; 128]].concat()
                ])
            ),
        ];
        for line in bad {
            assert!(public_key(&line).is_err(), "{line}");
        }
    }
}
