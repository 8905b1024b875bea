use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kubechat_crds::LocalRef;
use kubechat_crds::approval::BreakGlass;
use proptest::prelude::*;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::public::SkEd25519;

use super::*;

/// What `ssh-keygen -Y sign -n kubechat-approval` made of [`signed_elsewhere`], by algorithm: public key, signature.
const BY_SSH_KEYGEN: &[(&str, &str)] = &[
    (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJJwQb7bxCqgRyVluLgLxETtmd4aG44qQDp66rqN1TKo ed25519",
        "-----BEGIN SSH SIGNATURE-----\n\
         U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgknBBvtvEKqBHJWW4uAvERO2Z3h\n\
         objipAOnrquo3VMqgAAAARa3ViZWNoYXQtYXBwcm92YWwAAAAAAAAABnNoYTUxMgAAAFMA\n\
         AAALc3NoLWVkMjU1MTkAAABA0r1n5w3Xr/qYtC+OLjOXqOXwv+ND87UBWO10Qt7qnP2pBE\n\
         9LO0z9IX9/FrKF7hT926YCoQk+/yvb95Y3es/GDg==\n\
         -----END SSH SIGNATURE-----",
    ),
    (
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBANRyxtfivn336faIBgBsFPmHTxVXbIGj2Q6jXeFVNoKUfTXG6Vv2mjiBG2N62s8xu0wJorKnF3LKoud3Ec11Gc= ecdsa-b256",
        "-----BEGIN SSH SIGNATURE-----\n\
         U1NIU0lHAAAAAQAAAGgAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAAhuaXN0cDI1NgAAAE\n\
         EEA1HLG1+K+fffp9ogGAGwU+YdPFVdsgaPZDqNd4VU2gpR9NcbpW/aaOIEbY3razzG7TAm\n\
         isqcXcsqi53cRzXUZwAAABFrdWJlY2hhdC1hcHByb3ZhbAAAAAAAAAAGc2hhNTEyAAAAZA\n\
         AAABNlY2RzYS1zaGEyLW5pc3RwMjU2AAAASQAAACEA2nEc2I3tfBDRzkVNEdU00/XhPHrR\n\
         MeXoLwhvTWuZRn0AAAAgQji4drIc1AmT+xsfdXW1lcXDjAnNbMw57jYh+6wUrKM=\n\
         -----END SSH SIGNATURE-----",
    ),
    (
        "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBB5ptueUf9w7b9p4gSM1T/QVhgs4UcJKB7INsq+SrJ2VHJaf/zLJv7FFp3BPkfPFy14geA+ZhhEC/cB/uMxjC1fhR7VHfy34aLXpFnrj3wcNLpfM23f2vok4kiXZhhlu5g== ecdsa-b384",
        "-----BEGIN SSH SIGNATURE-----\n\
         U1NIU0lHAAAAAQAAAIgAAAATZWNkc2Etc2hhMi1uaXN0cDM4NAAAAAhuaXN0cDM4NAAAAG\n\
         EEHmm255R/3Dtv2niBIzVP9BWGCzhRwkoHsg2yr5KsnZUclp//Msm/sUWncE+R88XLXiB4\n\
         D5mGEQL9wH+4zGMLV+FHtUd/LfhotekWeuPfBw0ul8zbd/a+iTiSJdmGGW7mAAAAEWt1Ym\n\
         VjaGF0LWFwcHJvdmFsAAAAAAAAAAZzaGE1MTIAAACFAAAAE2VjZHNhLXNoYTItbmlzdHAz\n\
         ODQAAABqAAAAMQC93bR1Hwrjxl5l6bCqhEIpYf+YBhFRMBu8MP2+VxWF6su1i75Bj3aHLa\n\
         i/n0nOwQcAAAAxAIBBulTPO9FNxkr1eAob8zs3hhwl+VXPFT4ZBujov8CnNHe16+iglQd/\n\
         Ij3pX/Tm/g==\n\
         -----END SSH SIGNATURE-----",
    ),
    (
        "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBABLIAzZ6ftml6h2RAD8wnmPm9m0NwLMaegAu5eDWWy8FcbWA/ooKCYVneo7vbaGDOcyrI8xjD0XdZ9cVjsKJjXgtgDVIq8wYmiejcsQrcVimkCccYxygXF9qzKMYy0Qzw8d9Gr5BPP0Zfdfr9eR9H58X0J/xpqF3RxDt5VRznPyT8rgng== ecdsa-b521",
        "-----BEGIN SSH SIGNATURE-----\n\
         U1NIU0lHAAAAAQAAAKwAAAATZWNkc2Etc2hhMi1uaXN0cDUyMQAAAAhuaXN0cDUyMQAAAI\n\
         UEAEsgDNnp+2aXqHZEAPzCeY+b2bQ3Asxp6AC7l4NZbLwVxtYD+igoJhWd6ju9toYM5zKs\n\
         jzGMPRd1n1xWOwomNeC2ANUirzBiaJ6NyxCtxWKaQJxxjHKBcX2rMoxjLRDPDx30avkE8/\n\
         Rl91+v15H0fnxfQn/GmoXdHEO3lVHOc/JPyuCeAAAAEWt1YmVjaGF0LWFwcHJvdmFsAAAA\n\
         AAAAAAZzaGE1MTIAAACmAAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAACLAAAAQgDmubkk3I\n\
         U3dcKke3jLVkhhWVKsUyNo6Frk4ZXZrKu7xHXL2MWUqsnP2HxDjWYdkckzrAeam0tourJS\n\
         NnXvXzqwzgAAAEFlPY+Id0tvHOYUYX7s6EtXhjZDj45uhCJImylG3tn76wg+GHxWWcKlSo\n\
         znDLN7nEk/j65HQk1c0Q5xxwyT2Rjpfw==\n\
         -----END SSH SIGNATURE-----",
    ),
];
const RSA: (&str, &str) = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDBRXvHsZdfrf1SxQAyQKhsI9m1uyT5kAUD3WAaf3A3SU2kT0Whs+LyGn1fl1TQUgm0bRshqzTuT5Bg2NDKp+WLNKuvG9B8iLkPfG2YZxpsNfrgKJWY39mpBnQ8gdA+hr2Lp1cG1QmEBQdfF29yDvxhV7fdmUxx3lKfTIpOVwdN9nTTEEB4/AIvis1wKsu0327UvqKzfgPBqQHzXM8TYAl4zlgpaYnx+Il2dwJ+xefU7D7cdecE3AkkFX4v4MhyG51pMojpU4FdKvAPtg9ipf2FKOZgRbIp2m+xLpXBAj+oBmYWVSXNOIMgNO3XgMQF1Gxw7T8dPZrl7B493SLEsOgj rsa-b2048",
    "-----BEGIN SSH SIGNATURE-----\n\
     U1NIU0lHAAAAAQAAARcAAAAHc3NoLXJzYQAAAAMBAAEAAAEBAMFFe8exl1+t/VLFADJAqG\n\
     wj2bW7JPmQBQPdYBp/cDdJTaRPRaGz4vIafV+XVNBSCbRtGyGrNO5PkGDY0Mqn5Ys0q68b\n\
     0HyIuQ98bZhnGmw1+uAolZjf2akGdDyB0D6GvYunVwbVCYQFB18Xb3IO/GFXt92ZTHHeUp\n\
     9Mik5XB032dNMQQHj8Ai+KzXAqy7TfbtS+orN+A8GpAfNczxNgCXjOWClpifH4iXZ3An7F\n\
     59TsPtx15wTcCSQVfi/gyHIbnWkyiOlTgV0q8A+2D2Kl/YUo5mBFsinab7EulcECP6gGZh\n\
     ZVJc04gyA07deAxAXUbHDtPx09muXsHj3dIsSw6CMAAAARa3ViZWNoYXQtYXBwcm92YWwA\n\
     AAAAAAAABnNoYTUxMgAAARQAAAAMcnNhLXNoYTItNTEyAAABADhcNAGFOLtkl2a00I/8qz\n\
     +X5oEXA07RGTU+L/nPDy/H0oQ1erFWOcTCTCmkak5ai398b1NPS7my33gaART/symlrcRc\n\
     7yfLH76OKrZmVmjNa2mW2Qr320UEt8ma4RPIf8ZFne0CfPif/FU0U+E4zM8eHyqx7UXxLs\n\
     8WrisTCByXNoCY0VoQFFmTql/El878kWPzL9m4113T0BCtBTXS/1LjfRx3uV7d4Ptfo+z5\n\
     PTrwelPlNNQFVo661SCNGPmbv9z1q7db7IWhrjx9IGMuyv5XgF5OJWkn8PTwIPmJKlitc4\n\
     lEnetDA2T5Ak2SsQ3G4tXkStLMiZtQjKCGAt0lVnE=\n\
     -----END SSH SIGNATURE-----",
);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A private key file, and its public line; the same for the same number.
pub(crate) fn key_files(seed: u8) -> (String, String) {
    let pair = Ed25519Keypair::from_seed(&[seed; 32]);
    let key = PrivateKey::new(KeypairData::Ed25519(pair), "test").unwrap();
    let public = key.public_key().to_openssh().unwrap();
    (key.to_openssh(LineEnding::LF).unwrap().to_string(), public)
}

/// An ApproverKey of this person.
pub(crate) fn registered(username: &str, seed: u8) -> ApproverKey {
    let spec = ApproverKeySpec {
        username: username.into(),
        public_key: key_files(seed).1,
        ..Default::default()
    };
    ApproverKey::new(&format!("{username}-{seed}"), spec)
}

fn decision(digest: &str) -> ApprovalSpec {
    ApprovalSpec {
        plan_ref: LocalRef::new("p"),
        plan_digest: digest.into(),
        decision: DecisionKind::Approve,
        ..Default::default()
    }
}

fn signed_elsewhere() -> String {
    let digest = format!("sha256:{}", "ab".repeat(32));
    statement("c-uid", "demo", &decision(&digest)).unwrap()
}

fn reason_of(keys: &[ApproverKey], statement: &str, signature: &str, now: i64) -> &'static str {
    Keyring::new(keys)
        .verify(statement, signature, at(now))
        .map_or_else(|no| no.reason, |_| "")
}

#[test]
fn signs_exactly_these_bytes() {
    let mut spec = decision("sha256:d");
    assert_eq!(
        statement("c", "demo", &spec).unwrap(),
        "kubechat.io/approval/v1\nc\ndemo/p\nsha256:d\nApprove\n-\n-\n"
    );
    spec.decision = DecisionKind::Deny;
    spec.expires_at = Some(Time(at(1_700_000_000)));
    spec.break_glass = Some(BreakGlass {
        incident: "INC-1 fire".into(),
    });
    assert_eq!(
        statement("c", "demo", &spec).unwrap(),
        "kubechat.io/approval/v1\nc\ndemo/p\nsha256:d\nDeny\n2023-11-14T22:13:20Z\nINC-1 fire\n"
    );
}

#[test]
fn refuses_to_sign_what_reads_like_another_decision() {
    let with = |incident: &str| ApprovalSpec {
        break_glass: Some(BreakGlass {
            incident: incident.into(),
        }),
        ..decision("sha256:d")
    };
    assert_eq!(statement("c", "demo", &with("-")), Err(Unsignable::IncidentDash));
    for bad in ["INC\n-", "INC\r", "\u{0}", "INC\u{85}"] {
        let refused = statement("c", "demo", &with(bad)).unwrap_err();
        assert_eq!(refused, Unsignable::ControlCharacter("incident"));
    }
    assert!(statement("c\nd", "demo", &with("INC")).is_err());
    assert!(statement("c", "demo", &decision("sha256:d\nApprove")).is_err());
}

#[test]
fn what_ssh_keygen_signed_is_verified_for_every_accepted_algorithm() {
    for (i, (public, signature)) in BY_SSH_KEYGEN.iter().enumerate() {
        let mut key = registered("bob", 1);
        key.spec.public_key = (*public).to_owned();
        let keys = [registered("carol", 2), key];
        assert_eq!(reason_of(&keys, &signed_elsewhere(), signature, 0), "", "{i}");
        let windows = signature.replace('\n', "\r\n");
        assert_eq!(reason_of(&keys, &signed_elsewhere(), &windows, 0), "", "{i}");
        let other = signed_elsewhere().replace("Approve", "Deny");
        assert_eq!(
            reason_of(&keys, &other, signature, 0),
            reason::SIGNATURE_INVALID,
            "{i}"
        );
    }
}

#[test]
fn rsa_is_not_accepted() {
    assert_eq!(public_key(RSA.0), Err(BadKey::Algorithm));
    let mut key = registered("bob", 1);
    key.spec.public_key = RSA.0.to_owned();
    assert_eq!(
        reason_of(&[key], &signed_elsewhere(), RSA.1, 0),
        reason::UNKNOWN_KEY
    );
}

#[test]
fn only_a_signature_by_a_registered_and_valid_key_counts() {
    let text = signed_elsewhere();
    let signature = sign(&key_files(1).0, &text).unwrap();
    let time = |second| Some(Time(at(second)));
    let change = |f: &dyn Fn(&mut ApproverKeySpec)| {
        let mut key = registered("bob", 1);
        f(&mut key.spec);
        key
    };
    let revoked_twin = {
        let mut twin = registered("bob", 1);
        twin.metadata.name = Some("older".into());
        twin.spec.revoked_at = time(5);
        twin
    };
    let cases: Vec<(&str, Vec<ApproverKey>, &str)> = vec![
        ("good", vec![registered("bob", 1)], ""),
        ("none", vec![], reason::UNKNOWN_KEY),
        ("another's", vec![registered("bob", 2)], reason::UNKNOWN_KEY),
        (
            "revoked",
            vec![change(&|k| k.revoked_at = time(10))],
            reason::KEY_REVOKED,
        ),
        ("revoked later", vec![change(&|k| k.revoked_at = time(11))], ""),
        (
            "not yet",
            vec![change(&|k| k.not_before = time(11))],
            reason::KEY_NOT_VALID,
        ),
        (
            "no more",
            vec![change(&|k| k.not_after = time(10))],
            reason::KEY_NOT_VALID,
        ),
        (
            "of two people",
            vec![registered("bob", 1), registered("carol", 1)],
            reason::UNKNOWN_KEY,
        ),
        (
            "twice of one",
            vec![registered("bob", 1), registered("bob", 1)],
            "",
        ),
        (
            "revoked under another name",
            vec![registered("bob", 1), revoked_twin],
            reason::KEY_REVOKED,
        ),
        (
            "of a system user",
            vec![registered("system:admin", 1)],
            reason::NOT_A_PERSON,
        ),
    ];
    for (what, keys, expected) in cases {
        assert_eq!(reason_of(&keys, &text, &signature, 10), expected, "{what}");
    }
}

#[test]
fn a_signature_for_another_purpose_or_of_nothing_counts_for_nothing() {
    let text = signed_elsewhere();
    let key = PrivateKey::from_openssh(key_files(1).0).unwrap();
    let for_git = key.sign("git", HashAlg::Sha512, text.as_bytes()).unwrap();
    let keys = [registered("bob", 1)];
    let armoured = for_git.to_pem(LineEnding::LF).unwrap();
    assert_eq!(reason_of(&keys, &text, &armoured, 0), reason::SIGNATURE_INVALID);
    let good = sign(&key_files(1).0, &text).unwrap();
    for bad in [
        String::new(),
        "x".repeat(8192),
        good.replace("SSH SIGNATURE", "PGP SIGNATURE"),
        good.replace('\n', " "),
        good.get(..120).unwrap().to_owned(),
        good.replacen("U1NI", "AAAA", 1),
    ] {
        assert_eq!(
            reason_of(&keys, &text, &bad, 0),
            reason::SIGNATURE_INVALID,
            "{bad}"
        );
    }
}

fn raw_signature(key: &impl ssh_key::SigningKey, message: &[u8]) -> ssh_key::Signature {
    key.try_sign(message).unwrap()
}

#[test]
fn a_security_key_must_have_been_touched() {
    let (private, _) = key_files(1);
    let key = PrivateKey::from_openssh(private).unwrap();
    let data = KeyData::SkEd25519(SkEd25519::new(
        *key.public_key().key_data().ed25519().unwrap(),
        "ssh:",
    ));
    let mut registered = registered("bob", 1);
    registered.spec.public_key = PublicKey::from(data.clone()).to_openssh().unwrap();
    for (flags, expected) in [(0, reason::SIGNATURE_INVALID), (1, ""), (5, "")] {
        // PROTOCOL.u2f: what is signed is the hash of the application, flags, counter and the hash of the message.
        let message = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, signed_elsewhere().as_bytes()).unwrap();
        let digest = |bytes: &[u8]| hex::decode(kubechat_crds::sha256_hex(bytes)).unwrap();
        let counter = [0, 0, 0, 7];
        let signed = [digest(b"ssh:"), vec![flags], counter.to_vec(), digest(&message)].concat();
        let raw = raw_signature(&key, &signed);
        let with_trailer = [raw.as_bytes(), &[flags], &counter].concat();
        let made = ssh_key::Signature::new(Algorithm::SkEd25519, with_trailer).unwrap();
        let armoured = SshSig::new(data.clone(), NAMESPACE, HashAlg::Sha512, made)
            .unwrap()
            .to_pem(LineEnding::LF)
            .unwrap();
        let keys = [registered.clone()];
        assert_eq!(reason_of(&keys, &signed_elsewhere(), &armoured, 0), expected);
    }
}

#[test]
fn a_private_key_that_cannot_sign_says_why() {
    assert_eq!(sign("nonsense", "x"), Err(CannotSign::Unreadable));
    let public = key_files(1).1;
    assert_eq!(sign(&public, "x"), Err(CannotSign::Unreadable));
}

fn specs() -> impl Strategy<Value = (String, String, ApprovalSpec)> {
    let text = "[a-b\\-/]{0,3}";
    let when = prop_oneof![Just(None), (0_i64..3).prop_map(Some)];
    let incident = prop_oneof![Just(None), "[a-b\\-]{1,2}".prop_map(Some)];
    let what = prop_oneof![
        Just(DecisionKind::Approve),
        Just(DecisionKind::Deny),
        Just(DecisionKind::Review)
    ];
    // Names of Kubernetes hold no slash.
    (
        "[a-b]{1,2}",
        "[a-b]{1,2}",
        "[a-b]{1,2}",
        text,
        what,
        when,
        incident,
    )
        .prop_map(|(cluster, namespace, plan, digest, decision, when, incident)| {
            let spec = ApprovalSpec {
                plan_ref: LocalRef::new(plan),
                plan_digest: digest,
                decision,
                expires_at: when.map(|t| Time(at(t))),
                break_glass: incident.map(|incident| BreakGlass { incident }),
                ..Default::default()
            };
            (cluster, namespace, spec)
        })
}

proptest! {
    #[test]
    fn two_decisions_never_have_the_same_bytes(a in specs(), b in specs()) {
        let (one, two) = (statement(&a.0, &a.1, &a.2), statement(&b.0, &b.1, &b.2));
        if let (Ok(one), Ok(two)) = (one, two) {
            prop_assert_eq!(one == two, a == b);
        }
    }

    #[test]
    fn no_text_is_a_signature_and_none_panics(text in ".{0,200}", armour in any::<bool>()) {
        let text = if armour {
            format!("-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n")
        } else {
            text
        };
        prop_assert_ne!(reason_of(&[registered("bob", 1)], "x", &text, 0), "");
        let _ = public_key(&text);
    }
}
