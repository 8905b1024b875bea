//! ApproverKey: whether what it signs counts.

use jiff::Timestamp;
use kubechat_crds::ApproverKeySpec;

use crate::{reason, shown, sshsig};

/// Whose decisions its signatures are, and with which groups.
///
/// # Errors
/// Reason and message of `Ready=False`.
pub fn verdict(spec: &ApproverKeySpec, now: Timestamp) -> Result<String, (&'static str, String)> {
    let key = sshsig::public_key(&spec.public_key).map_err(|why| {
        let message = format!("spec.publicKey {why}; no signature by it counts. Create another ApproverKey");
        (reason::INVALID, message)
    })?;
    sshsig::usable(spec, now).map_err(|(reason, why)| {
        let message = format!("the key {why}; no signature by it counts");
        (reason, message)
    })?;
    Ok(format!(
        "signatures by {} are decisions of {}",
        sshsig::fingerprint(&key),
        shown::identity(&spec.username)
    ))
}

/// When the verdict changes by itself.
#[must_use]
pub fn changes_at(spec: &ApproverKeySpec, now: Timestamp) -> Option<Timestamp> {
    [&spec.not_before, &spec.not_after, &spec.revoked_at]
        .into_iter()
        .filter_map(|t| t.as_ref().map(|t| t.0))
        .filter(|t| *t > now)
        .min()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    const PUBLIC: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl bob@example.org";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_key_is_ready_between_its_times_and_until_it_is_revoked() {
        let time = |second| Some(Time(at(second)));
        let good = ApproverKeySpec {
            username: "bob".into(),
            public_key: PUBLIC.into(),
            not_before: time(10),
            not_after: time(30),
            ..Default::default()
        };
        let said = verdict(&good, at(10)).unwrap();
        assert!(
            said.contains("SHA256:") && said.ends_with("decisions of bob"),
            "{said}"
        );
        let reason = |spec: &ApproverKeySpec, now| verdict(spec, at(now)).unwrap_err().0;
        assert_eq!(reason(&good, 9), reason::KEY_NOT_VALID);
        assert_eq!(reason(&good, 30), reason::KEY_NOT_VALID);
        let revoked = ApproverKeySpec {
            revoked_at: time(20),
            ..good.clone()
        };
        assert!(verdict(&revoked, at(19)).is_ok());
        assert_eq!(reason(&revoked, 20), reason::KEY_REVOKED);
        assert_eq!(
            [5, 15, 25, 35].map(|now| changes_at(&revoked, at(now))),
            [Some(at(10)), Some(at(20)), Some(at(30)), None]
        );
        let broken = ApproverKeySpec {
            public_key: "ssh-ed25519 AAAA".into(),
            ..good.clone()
        };
        assert_eq!(reason(&broken, 15), reason::INVALID);
        let system = ApproverKeySpec {
            username: "system:admin".into(),
            ..good
        };
        assert_eq!(reason(&system, 15), reason::NOT_A_PERSON);
    }
}
