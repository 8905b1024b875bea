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

#[test]
fn a_seal_is_of_its_time_for_five_minutes_around_it() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let sealed = |nonce: String| Identity {
        seal: Some(Seal {
            nonce,
            ..Seal::default()
        }),
        ..Identity::default()
    };
    let who = sealed(nonce(
        "0123456789abcdef0123456789abcdef",
        at("2026-05-01T10:00:00Z"),
    ));
    assert!(who.seal.as_ref().unwrap().nonce.len() <= 64);
    for (then, holds) in [
        ("2026-05-01T10:00:00Z", true),
        ("2026-05-01T10:05:00Z", true),
        ("2026-05-01T09:55:00Z", true),
        ("2026-05-01T10:05:01Z", false),
        ("2026-05-01T09:54:59Z", false),
        ("2027-05-01T10:00:00Z", false),
    ] {
        assert_eq!(is_of_its_time(&who, at(then)), holds, "{then}");
    }
    let now = at("2026-05-01T10:00:00Z");
    for bad in [
        "",
        "-",
        "0123",
        "0123-",
        "0123-zz",
        "0123--1",
        "0123-ffffffffffffffff",
        "0123-7fffffffffffffff",
    ] {
        assert!(!is_of_its_time(&sealed(bad.into()), now), "{bad}");
        assert!(!is_of_this_write(&sealed(bad.into()), now), "{bad}");
    }
    assert!(!is_of_its_time(&Identity::default(), now));
    assert!(!is_of_this_write(&Identity::default(), now));
}

#[test]
fn seals_stand_in_the_order_in_which_they_were_made_to_the_millisecond() {
    let sealed = |nonce: String| Identity {
        seal: Some(Seal {
            nonce,
            ..Seal::default()
        }),
        ..Identity::default()
    };
    let at = |millis| Timestamp::from_millisecond(millis).unwrap();
    let order: Vec<_> = [999, 1_000, 1_001, 1_015, 1_016, 1_255, 1_999, 2_000]
        .into_iter()
        .map(|millis| sealed_in_order(&sealed(nonce("00ff", at(millis)))))
        .collect();
    assert!(
        order.iter().all(Option::is_some) && order.is_sorted(),
        "{order:?}"
    );
    assert!(order.windows(2).all(|two| two[0] != two[1]), "{order:?}");
    // A seal of before says only its second.
    assert_eq!(sealed_in_order(&sealed("00ff-2".into())), Some((2, 0)));
    assert_eq!(sealed_in_order(&sealed("00ff".into())), None);
    assert_eq!(sealed_in_order(&Identity::default()), None);
}

#[test]
fn a_seal_is_of_a_write_under_way_for_half_a_minute() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let who = Identity {
        seal: Some(Seal {
            nonce: nonce("0123456789abcdef", at("2026-05-01T10:00:00Z")),
            ..Seal::default()
        }),
        ..Identity::default()
    };
    for (now, holds) in [
        ("2026-05-01T10:00:00Z", true),
        ("2026-05-01T10:00:30Z", true),
        ("2026-05-01T09:59:30Z", true),
        ("2026-05-01T10:00:31Z", false),
        ("2026-05-01T09:59:29Z", false),
        ("2026-05-01T10:04:00Z", false),
    ] {
        assert_eq!(is_of_this_write(&who, at(now)), holds, "{now}");
    }
}
