use serde_json::json;

use super::*;

fn body(text: &str) -> Vec<u8> {
    json!({"model": "m", "messages": [{"role": "user", "content": text}]})
        .to_string()
        .into_bytes()
}

const RANDOM: &str = "Zx8Kq2LmW9vTr4Yp6BnD1sGf7HjC3uEa5Xo0";

#[test]
fn what_the_first_detector_would_have_missed_stops_the_body() {
    let hex = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
    for (what, text) in [
        ("vendor token", format!("clone with ghp_{RANDOM}")),
        ("unknown vendor", format!("use zzq-{RANDOM} for it")),
        (
            "split by dashes",
            format!("zz-{}-{}", &RANDOM[..20], &RANDOM[20..]),
        ),
        ("lower case token", "token k3v9x2m7q1w8z5r4t6y0".to_owned()),
        ("armour", format!("-----BEGIN OPENSSH {} KEY-----", "PRIVATE")),
        ("password given", "the password is hunter2x".to_owned()),
        ("password assigned", "db_password=c0rrect-horse".to_owned()),
        ("password of a flag", "mysql --password S3cr3tPw".to_owned()),
        ("userinfo", "amqp://app:winter@mq:5672/".to_owned()),
        ("hex key", format!("api key: {hex}")),
        (
            "base64 of an assignment",
            format!("see {}", "cGFzc3dvcmQ9aHVudGVyMiBhbmQgbW9yZQ=="),
        ),
        ("gzip", "H4sIAAAAAAAAA0vOzy0oSi0u".to_owned()),
        ("percent codes", format!("x%3Dghp%5F{RANDOM}")),
        (
            "unseen characters",
            format!("ghp_{}\u{200b}{}", &RANDOM[..18], &RANDOM[18..]),
        ),
        ("manifest", "kind: Secret\ndata:\n  k: aGVsbG8=\n".to_owned()),
        ("JSON in a string", json!({"password": "hunter22"}).to_string()),
        (
            "Secret in a string",
            json!({"kind": "Secret", "data": {"k": "aGVsbG8="}}).to_string(),
        ),
        (
            "JWT",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
                .to_owned(),
        ),
    ] {
        let answer = judge(&body(&text));
        assert!(matches!(answer, Err(Stop::Suspicious(_))), "{what}: {answer:?}");
    }
}

#[test]
fn what_only_looks_like_a_mark_hides_nothing() {
    for text in [
        format!("[REDACTED:ghp_{RANDOM}"),
        format!("[REDACTED:{RANDOM}:1]"),
        "[REDACTED:k3v9x2m7q1w8z5r4t6y0:1]".to_owned(),
    ] {
        let answer = judge(&body(&text));
        assert!(matches!(answer, Err(Stop::Suspicious(_))), "{text}: {answer:?}");
    }
    let object = json!({"kind": "Secret", "data": {"k": "[REDACTED] hunter2"}});
    assert!(judge(object.to_string().as_bytes()).is_err());
}

#[test]
fn a_token_hides_nothing_that_stands_beside_it() {
    for text in [
        "look at https://KCID_HOST_4T7KQ2X/x/7gk2q9xw4bn8tz3m",
        "use KCID_NAME_4T7KQ20.k3v9x2m7q1w8z5r4t6y0",
        "use k3v9x2m7q1w8z5r4t6y0_KCID_NAME_4T7KQ20",
    ] {
        let answer = judge(&body(text));
        assert!(matches!(answer, Err(Stop::Suspicious(_))), "{text}: {answer:?}");
    }
    for text in [
        // A short value of small letters, on either side, behind every sign that may stand in one.
        "password: KCID_NAME_4T7KQ20/s3cr3t99",
        "password: KCID_NAME_4T7KQ20$s3cr3t99",
        "password=KCID_NAME_4T7KQ20.s3cr3t99",
        "password=KCID_NAME_4T7KQ20%s3cr3t99",
        "the password is s3cr3t99/KCID_NAME_4T7KQ20",
        "password: KCID_NAME_4T7KQ20:s3cr3t99",
        "password:KCID_NAME_4T7KQ20:KCID_NAME_0Z8YX3Y:KCID_HOST_4T7KQ2X:Hunter2x",
        "the password is KCID_NAME_4T7KQ20=KCID_NAME_0Z8YX3Y=KCID_HOST_4T7KQ2X=KCID_NAME_4T7KQ20=Hunter2x",
        "password: s3c/KCID_NAME_4T7KQ20/r3t99x",
        "db_password=KCID_HOST_4T7KQ2X-c0rrect",
        // What only looks like a token is a value.
        "password=KCKCID_NAME_4T7KQ20ID_s3cr3t99",
        "password: KCID_NAME_4T7KQ20s3cr3t",
        "password: KCID_NAME_4T7KQ21",
        "token: KCID_PASS_S3CR3T9",
        "password: KCID_s3cr3t99",
        // No sign beside a token is part of an encoding.
        "see KCID_NAME_4T7KQ20/cGFzc3dvcmQ9aHVudGVyMiBhbmQgbW9yZQ==",
    ] {
        let answer = judge(&body(text));
        assert!(matches!(answer, Err(Stop::Suspicious(_))), "{text}: {answer:?}");
    }
    let field = json!({"password": "KCID_NAME_4T7KQ20/s3cr3t99"});
    assert!(judge(field.to_string().as_bytes()).is_err());
    for text in [
        "password: KCID_NAME_4T7KQ20",
        "the secret is KCID_NAME_4T7KQ20/KCID_HOST_4T7KQ2X",
        "token: KCID_NAME_4T7KQ20-PROD",
        "the credential KCID_NAME_4T7KQ20, and its password is in KCID_HOST_4T7KQ2X:8443",
    ] {
        assert_eq!(judge(&body(text)), Ok(()), "{text}");
    }
    let whole = "see https://KCID_HOST_4T7KQ2X/runbooks/KCID_NAME_0Z8YX3Y?page=2";
    assert_eq!(judge(&body(whole)), Ok(()));
}

#[test]
fn ordinary_bodies_pass() {
    let digest = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
    for text in [
        "scale KCID_NAME_4T7KQ20 to 5 replicas in KCID_NS_0Z8YX3Y",
        "set image of KCID_NAME_4T7KQ20 to nginx:1.27.1",
        "restart everything labelled tier=cache,app.kubernetes.io/name=web",
        "the password is [REDACTED:password:1] and the token is wrong",
        "password: <password>, token=$TOKEN, secret: ${SECRET}",
        "show the secret db-credentials in namespace payments",
        "pod nginx-7c5ddbdf54-abcde with uid 123e4567-e89b-12d3-a456-426614174000",
        "why does the horizontalPodAutoscaler not scale? progressDeadlineExceeded",
        "see https://wiki.example.org/runbooks/scale?page=2",
        "what does serviceAccountName do, and automountServiceAccountToken?",
    ] {
        assert_eq!(judge(&body(text)), Ok(()), "{text}");
    }
    assert_eq!(
        judge(&body(&format!(
            "set image to registry.example.org/app@sha256:{digest}"
        ))),
        Ok(())
    );
    let object = json!({"kind": "Secret", "metadata": {"name": "db"}, "data": {"k": "[REDACTED:kubernetes-secret:1]"}});
    assert_eq!(judge(object.to_string().as_bytes()), Ok(()));
}

#[test]
fn what_cannot_be_read_or_is_too_long_is_not_sent() {
    assert_eq!(judge(b"\xff\xfe"), Err(Stop::Unreadable));
    assert_eq!(judge(b"no json"), Err(Stop::Unreadable));
    assert_eq!(judge(&body(&"x".repeat(MAX_BODY))), Err(Stop::TooLong));
}

#[test]
fn a_body_full_of_beginnings_of_marks_is_read_once() {
    // A mark was looked for up to the end of the body from each of these: hours for the longest body.
    let body = serde_json::json!({"text": "[REDACTED:a:".repeat(MAX_BODY / 16)}).to_string();
    assert_eq!(judge(body.as_bytes()), Ok(()));
}

#[test]
fn neither_detector_uses_the_other() {
    let this = include_str!("second.rs");
    assert!(!this.contains("super::") && !this.contains("crate::"));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/redact");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".rs") && !name.starts_with("second") {
            assert!(
                !std::fs::read_to_string(&path).unwrap().contains("second::"),
                "{name}"
            );
        }
    }
}
