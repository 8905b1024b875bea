//! What stamping writes, and what it refuses to write.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use kubechat_core::seal::{self, Sealable};
use kubechat_crds::Identity;
use serde_json::{Value, json};

use crate::testing::{Fixture, alice, create, keys, nothing, update};

const SEALED: [(&str, &str); 3] = [
    ("ChatRequest", "requester"),
    ("ChatSession", "requester"),
    ("Approval", "submittedBy"),
];
const POLICIES: [&str; 4] = ["RiskPolicy", "AuditPolicy", "AIProvider", "ApproverKey"];

/// The object as the API server has it after the patch, and whether there was one.
async fn stamped(fixture: &Fixture, request: &Value) -> (Value, bool) {
    let response = fixture.review("/mutate", request).await;
    assert_eq!(response["allowed"], true, "{response}");
    let mut object = request["object"].clone();
    let Some(patch) = response.get("patch") else {
        return (object, false);
    };
    assert_eq!(response["patchType"], "JSONPatch");
    let bytes: Vec<u8> = match patch {
        Value::Array(numbers) => numbers
            .iter()
            .map(|n| u8::try_from(n.as_u64().unwrap()).unwrap())
            .collect(),
        text => STANDARD.decode(text.as_str().unwrap()).unwrap(),
    };
    let patch: json_patch::Patch = serde_json::from_slice(&bytes).unwrap();
    json_patch::patch(&mut object, &patch).unwrap();
    (object, true)
}

fn ready() -> Fixture {
    Fixture::new(&[], nothing())
}

fn verifies(kind: &str, object: &Value) -> bool {
    let field = seal::stamp_field(kind);
    let identity: Identity = serde_json::from_value(object["spec"][field].clone()).unwrap();
    let text = |at: &str| object["metadata"][at].as_str().unwrap_or_default().to_owned();
    let (namespace, name, generate_name) = (text("namespace"), text("name"), text("generateName"));
    let sealable = Sealable {
        kind,
        namespace: &namespace,
        name: &name,
        generate_name: &generate_name,
        spec: &object["spec"],
    };
    seal::verify(&keys(), &sealable, &identity).is_ok()
}

#[tokio::test]
async fn a_forged_stamp_is_overwritten_with_the_caller_and_sealed() {
    let forged = json!({"username": "root", "groups": ["system:masters"], "seal": {"keyId": "k1", "nonce": "0", "mac": "00"}});
    let fixture = ready();
    for (kind, field) in SEALED {
        for stamp in [None, Some(&forged), Some(&json!(5)), Some(&Value::Null)] {
            let mut spec = json!({"prompt": "list pods", "mode": "Auto", "cancel": false});
            if let Some(stamp) = stamp {
                spec[field] = stamp.clone();
            }
            let (object, _) = stamped(&fixture, &create(kind, &alice(), &spec)).await;
            let written = &object["spec"][field];
            for part in ["username", "uid", "groups", "extra"] {
                assert_eq!(written[part], alice()[part], "{kind} {part}");
            }
            assert!(verifies(kind, &object), "{kind}");
        }
    }
}

#[tokio::test]
async fn a_stamp_of_a_user_without_groups_uid_or_extra_has_none() {
    let spec = json!({"prompt": "x", "requester": {"username": "eve", "groups": ["system:masters"]}});
    let (object, _) = stamped(
        &ready(),
        &create("ChatRequest", &json!({"username": "eve"}), &spec),
    )
    .await;
    let stamp = object["spec"]["requester"].as_object().unwrap();
    assert_eq!(stamp.keys().collect::<Vec<_>>(), ["seal", "username"]);
}

#[tokio::test]
async fn a_generated_name_verifies_once_the_api_server_has_made_it() {
    let mut request = create("ChatRequest", &alice(), &json!({"prompt": "x"}));
    request["object"]["metadata"] = json!({"generateName": "ask-", "namespace": "demo"});
    request["name"] = json!("");
    let (mut object, _) = stamped(&ready(), &request).await;
    object["metadata"]["name"] = json!("ask-x7k2p");
    assert!(verifies("ChatRequest", &object));
    object["metadata"]["name"] = json!("other");
    assert!(!verifies("ChatRequest", &object));
}

#[tokio::test]
async fn stamping_twice_is_stamping_once_but_a_copied_seal_is_replaced() {
    let fixture = ready();
    let (first, _) = stamped(
        &fixture,
        &create("ChatRequest", &alice(), &json!({"prompt": "x"})),
    )
    .await;
    let (again, patched) = stamped(&fixture, &create("ChatRequest", &alice(), &first["spec"])).await;
    assert!(!patched && again == first);
    let bob = json!({"username": "bob", "groups": ["approvers"]});
    let (stolen, patched) = stamped(&fixture, &create("ChatRequest", &bob, &first["spec"])).await;
    assert!(patched && stolen["spec"]["requester"]["username"] == "bob" && verifies("ChatRequest", &stolen));
    let mut changed = first["spec"].clone();
    changed["prompt"] = json!("delete everything");
    let (resealed, patched) = stamped(&fixture, &create("ChatRequest", &alice(), &changed)).await;
    assert!(patched && verifies("ChatRequest", &resealed));
}

#[tokio::test]
async fn the_seal_of_an_earlier_write_is_replaced_when_the_same_is_created_again() {
    let fixture = ready();
    let (first, _) = stamped(
        &fixture,
        &create("ChatRequest", &alice(), &json!({"prompt": "x"})),
    )
    .await;
    let mut identity: Identity = serde_json::from_value(first["spec"]["requester"].clone()).unwrap();
    let text = |at: &str| first["metadata"][at].as_str().unwrap_or_default();
    let object = Sealable {
        kind: "ChatRequest",
        namespace: text("namespace"),
        name: text("name"),
        generate_name: text("generateName"),
        spec: &first["spec"],
    };
    for (seconds, kept) in [(0, true), (60, false), (240, false), (-240, false)] {
        let then = Timestamp::now()
            .checked_sub(SignedDuration::from_secs(seconds))
            .unwrap();
        let nonce = seal::nonce("0123456789abcdef", then);
        identity.seal = Some(seal::seal(&keys(), &object, &identity, &nonce).unwrap());
        let mut spec = first["spec"].clone();
        spec["requester"] = serde_json::to_value(&identity).unwrap();
        let (again, patched) = stamped(&fixture, &create("ChatRequest", &alice(), &spec)).await;
        assert!(
            patched != kept && verifies("ChatRequest", &again),
            "{seconds} s ago"
        );
    }
}

#[tokio::test]
async fn an_update_puts_the_stored_stamp_back_whoever_writes() {
    let fixture = ready();
    let bob = json!({"username": "bob"});
    let stamp = json!({"username": "alice", "seal": {"keyId": "k0", "nonce": "1", "mac": "2"}});
    for (kind, field) in SEALED {
        let old = json!({"prompt": "x", (field): stamp});
        for new in [
            json!({"prompt": "x"}),
            json!({"prompt": "x", (field): {"username": "bob"}}),
            json!({"prompt": "y", (field): 1}),
        ] {
            let (object, patched) = stamped(&fixture, &update(kind, &bob, &old, &new)).await;
            assert!(patched && object["spec"][field] == stamp, "{kind}");
        }
        let (_, patched) = stamped(&fixture, &update(kind, &bob, &old, &old)).await;
        assert!(!patched, "{kind}: nothing to restore");
        let never_stamped = json!({"prompt": "x"});
        let (object, _) = stamped(&fixture, &update(kind, &bob, &never_stamped, &old)).await;
        assert!(
            object["spec"].get(field).is_none(),
            "{kind}: a stamp cannot be added later"
        );
    }
}

#[tokio::test]
async fn configuration_names_who_changed_its_spec_last() {
    let fixture = ready();
    let bob = json!({"username": "bob"});
    let by = |user: &Value| json!({"username": user["username"]});
    for kind in POLICIES {
        let forged = json!({"suspend": false, "changedBy": {"username": "root"}});
        let (object, _) = stamped(&fixture, &create(kind, &bob, &forged)).await;
        assert_eq!(object["spec"]["changedBy"], by(&bob), "{kind}");
        let old = object["spec"].clone();
        let carol = json!({"username": "carol"});
        let same = json!({"suspend": false, "changedBy": {"username": "carol"}});
        let (object, _) = stamped(&fixture, &update(kind, &carol, &old, &same)).await;
        assert_eq!(
            object["spec"]["changedBy"],
            by(&bob),
            "{kind}: the spec did not change"
        );
        let (object, _) = stamped(&fixture, &update(kind, &carol, &old, &json!({"suspend": true}))).await;
        assert_eq!(object["spec"]["changedBy"], by(&carol), "{kind}");
    }
}

#[tokio::test]
async fn refuses_to_stamp_what_it_cannot_stamp_in_full() {
    let fixture = ready();
    let many: Vec<String> = (0..257).map(|i| format!("g{i}")).collect();
    let extra: serde_json::Map<String, Value> = (0..33).map(|i| (format!("k{i}"), json!([]))).collect();
    let spec = json!({"prompt": "x"});
    let mut no_spec = create("ChatRequest", &alice(), &spec);
    no_spec["object"].as_object_mut().unwrap().remove("spec");
    let mut no_object = create("ChatRequest", &alice(), &spec);
    no_object["object"] = Value::Null;
    let cases = [
        (
            create("ChatRequest", &json!({"username": "eve", "groups": many}), &spec),
            "RefusedIdentity",
        ),
        (
            create("ChatRequest", &json!({"username": "eve", "extra": extra}), &spec),
            "RefusedIdentity",
        ),
        (
            create("ChatRequest", &json!({"username": "e".repeat(1025)}), &spec),
            "RefusedIdentity",
        ),
        (
            create("ChatRequest", &json!({"groups": ["a"]}), &spec),
            "RefusedIdentity",
        ),
        (
            create("RiskPolicy", &json!({"username": ""}), &spec),
            "RefusedIdentity",
        ),
        (create("ChatRequest", &alice(), &json!("text")), "Invalid"),
        (no_spec, "Invalid"),
        (no_object, "Invalid"),
        (create("CommandPlan", &alice(), &spec), "UnknownKind"),
    ];
    for (request, reason) in cases {
        let response = fixture.review("/mutate", &request).await;
        assert_eq!(response["allowed"], false, "{reason}");
        assert_eq!(response["status"]["reason"], reason);
        assert!(response.get("patch").is_none());
    }
}

#[tokio::test]
async fn refuses_creation_while_there_is_no_key_but_still_restores_stamps() {
    let fixture = Fixture::unready(nothing());
    let spec = json!({"prompt": "x"});
    let response = fixture
        .review("/mutate", &create("ChatRequest", &alice(), &spec))
        .await;
    assert_eq!(
        (&response["allowed"], &response["status"]["code"]),
        (&json!(false), &json!(503))
    );
    let old = json!({"prompt": "x", "requester": {"username": "alice"}});
    let (object, _) = stamped(&fixture, &update("ChatRequest", &alice(), &old, &spec)).await;
    assert_eq!(object["spec"], old);
}
