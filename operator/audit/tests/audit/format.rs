//! The format's fixed bytes. If one of these tests fails, old logs can no longer be verified: do not change the
//! expected values, add a format version. They were computed with Python's json, hashlib and hmac modules.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kubechat_audit::chain::{KEY_BYTES, Leaf};
use kubechat_audit::{Actor, ChainKey, Draft, Entry, EventType, Ids, Outcome, Risk, Source, Target};
use serde_json::json;
use zeroize::Zeroizing;

fn full() -> Draft {
    let some = |text: &str| Some(text.to_owned());
    Draft {
        event_type: EventType::CommandExecution,
        actor: Actor {
            username: "alice".to_owned(),
            uid: some("u-1"),
            groups: vec!["developers".to_owned(), "system:authenticated".to_owned()],
            extra: BTreeMap::from([("scopes".to_owned(), vec!["a".to_owned(), "b".to_owned()])]),
        },
        impersonated: true,
        ids: Ids {
            session: some("s"),
            request: some("r"),
            plan: some("p"),
            approval: some("a"),
            step_id: some("0123abcd"),
            request_uid: some("ru"),
            plan_uid: some("pu"),
            plan_digest: some("pd"),
        },
        target: Some(Target {
            group: some("apps"),
            version: some("v1"),
            kind: some("Deployment"),
            namespace: some("demo"),
            name: some("nginx"),
            uid: some("tu"),
        }),
        verb: "scale".to_owned(),
        risk: Some(Risk {
            level: "caution".to_owned(),
            score: 25,
        }),
        outcome: Outcome::Success,
        reason: "Scaled".to_owned(),
        message: "nginx ✓ \"5\"\n".to_owned(),
        api_audit_id: some("aid"),
        source: Some(Source {
            address: some("10.0.0.1"),
            user_agent: some("kubectl"),
        }),
        payload: json!({ "z": 1, "a": [true, null, 1.5], "ü": "\u{7}" }),
    }
}

const FULL: &str = r#"{"actor":{"extra":{"scopes":["a","b"]},"groups":["developers","system:authenticated"],"uid":"u-1","username":"alice"},"apiAuditId":"aid","eventType":"command_execution","groupsHash":"ba0569e3455044d793e6b39af16b2a3c2d9c3bf5724c1a9ae21fe39f2a02883d","ids":{"approval":"a","plan":"p","planDigest":"pd","planUid":"pu","request":"r","requestUid":"ru","session":"s","stepId":"0123abcd"},"impersonated":true,"message":"nginx ✓ \"5\"\n","outcome":"success","payloadCommitment":"381c7a671ea8cdc05ce318ba112da8e74cbdfdc4bb6822b505105a2088324b5a","reason":"Scaled","risk":{"level":"caution","score":25},"seq":9,"source":{"address":"10.0.0.1","userAgent":"kubectl"},"target":{"group":"apps","kind":"Deployment","name":"nginx","namespace":"demo","uid":"tu","version":"v1"},"time":"2026-01-02T03:04:05.000600Z","v":1,"verb":"scale"}"#;
const BARE: &str = r#"{"actor":{"username":"kubechat"},"eventType":"system","groupsHash":"4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945","ids":{},"impersonated":false,"message":"","outcome":"success","payloadCommitment":"d610bc7501b1677896409b3d13018ef55f0c395d5951aa9d596bf038cb51c2fa","reason":"Started","seq":1,"time":"1970-01-01T00:00:00.000000Z","v":1,"verb":"start"}"#;

fn key() -> ChainKey {
    ChainKey::new(Zeroizing::new([7; KEY_BYTES]))
}

#[test]
fn header_bytes_are_those_of_format_version_1() {
    let time: Timestamp = "2026-01-02T03:04:05.000600Z".parse().unwrap();
    let sealed = Entry::seal(full(), 9, time, [0xab; 16]).unwrap();
    assert_eq!(String::from_utf8(sealed.header).unwrap(), FULL);
    assert_eq!(
        String::from_utf8(sealed.payload).unwrap(),
        r#"{"a":[true,null,1.5],"z":1,"ü":"\u0007"}"#
    );
}

#[test]
fn header_bytes_leave_out_what_is_not_known() {
    let bare = Draft::new(
        EventType::System,
        Actor::named("kubechat"),
        "start",
        Outcome::Success,
        "Started",
    );
    let sealed = Entry::seal(bare, 1, Timestamp::UNIX_EPOCH, [0; 16]).unwrap();
    assert_eq!(String::from_utf8(sealed.header).unwrap(), BARE);
    assert_eq!(sealed.payload, b"null");
}

#[test]
fn chain_is_that_of_format_version_1() {
    let start = key().genesis("kubechat/test/1");
    let one = key().link(start, Leaf::of(BARE.as_bytes()));
    let two = key().link(one, Leaf::of(FULL.as_bytes()));
    assert_eq!(key().id(), "e632ce7b");
    assert_eq!(
        hex::encode(Leaf::of(FULL.as_bytes()).0),
        "371503089adb34b0f6a0ede245b9b09ddaf6cffa07b96e98410ba642b76093d5"
    );
    assert_eq!(
        start.to_string(),
        "5ad3b0c9c8a13852d11d3a29f959632a60d56caf918c407b6e2f85474fc981b0"
    );
    assert_eq!(
        one.to_string(),
        "bfbe3453ae71c6bdab3b3234a93d2370d6a492ea0bef80eb7558647ea258be10"
    );
    assert_eq!(
        two.to_string(),
        "cbbd5c0d4d4f4ba640e7c50b3a4d9d1f4d9dd93c1f73f4ef854bece6670c9495"
    );
}
