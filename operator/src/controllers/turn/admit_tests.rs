//! What the controller looks at again although admission has: an older webhook, or none, may have let it through.

use jiff::SignedDuration;
use kubechat_crds::Identity;
use serde_json::{Value, json};

use super::*;
use crate::testing::people::{person, stamped};
use crate::testing::process::{Fuse, World};
use crate::testing::server::{Asked, Fate};

const OURS: &str = "/apis/kubechat.io/v1beta1/namespaces/demo";
const PROVIDERS: &str = "/apis/kubechat.io/v1beta1/aiproviders";

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "kubechat.io/v1beta1", "kind": kind,
        "metadata": {"name": name, "namespace": "demo"}, "spec": spec})
}

/// Sealed as admission leaves it, and changed afterwards.
fn sealed(world: &World, kind: &str, spec: &Value, who: &Identity, spoil: fn(&mut Value)) -> Value {
    let (plural, name) = match kind {
        "ChatSession" => ("chatsessions", "talk"),
        _ => ("chatrequests", "turn"),
    };
    let collection = format!("{OURS}/{plural}");
    let mut made = stamped(&world.seal, &collection, object(kind, name, spec), who);
    spoil(&mut made);
    world.server.put(&format!("{collection}/{name}"), made)
}

fn kept(_: &mut Value) {}

/// Phase, reason and message of the turn's end, or whom it is done as.
async fn looked_at(
    world: &mut World,
    who: &Identity,
    spec: &Value,
    spoil: fn(&mut Value),
) -> Result<String, (RequestPhase, &'static str, String)> {
    let turn = sealed(world, "ChatRequest", spec, who, spoil);
    let request: ChatRequest = serde_json::from_value(turn).unwrap();
    let process = world.start(Fuse::long()).await;
    match admit(&request, &process.ctx).await.unwrap() {
        Ok(admitted) => Ok(admitted.acting.username),
        Err(halted) => Err((halted.phase, halted.reason, halted.message)),
    }
}

fn in_days(days: i64) -> String {
    let at = Timestamp::now().checked_add(SignedDuration::from_hours(24 * days));
    at.unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[tokio::test]
async fn a_turn_that_should_not_be_there_is_refused_whoever_let_it_through() {
    let alice = person("alice", &["developers"]);
    let robot = person("system:serviceaccount:demo:deployer", &[]);
    let prompt = json!({"prompt": "list pods"});
    let with = |field: &str, value: Value| {
        let mut spec = prompt.clone();
        spec[field] = value;
        spec
    };
    type Spoil = fn(&mut Value);
    let unsealed: Spoil = |turn| turn["spec"]["requester"]["seal"] = Value::Null;
    let unstamped: Spoil = |turn| drop(turn["spec"].as_object_mut().unwrap().remove("requester"));
    let another: Spoil = |turn| turn["spec"]["prompt"] = json!("delete deployment web");
    let raised: Spoil = |turn| turn["spec"]["requester"]["groups"] = json!(["platform"]);
    let withdrawn: Spoil = |turn| turn["spec"]["cancel"] = json!(true);
    for (who, spec, spoil, expected) in [
        (&alice, prompt.clone(), unsealed, "UntrustedOrigin"),
        (&alice, prompt.clone(), unstamped, "UntrustedOrigin"),
        (&alice, prompt.clone(), another, "UntrustedOrigin"),
        (&alice, prompt.clone(), raised, "UntrustedOrigin"),
        (&alice, prompt.clone(), withdrawn, "Cancelled"),
        (
            &alice,
            with("notAfter", json!("2020-01-01T00:00:00Z")),
            kept,
            "Expired",
        ),
        (&robot, prompt.clone(), kept, "NotAfterRequired"),
        (
            &robot,
            with("notAfter", json!(in_days(8))),
            kept,
            "NotAfterRequired",
        ),
        (
            &alice,
            with("prompt", json!("the password is Tr0ub4dor&3")),
            kept,
            "Invalid",
        ),
        (
            &alice,
            with("clusterRef", json!({"name": "east"})),
            kept,
            "NotSupported",
        ),
        (
            &person("system:admin", &["system:masters"]),
            prompt.clone(),
            kept,
            "RefusedIdentity",
        ),
        (
            &person("system:node:n1", &["system:nodes"]),
            prompt.clone(),
            kept,
            "RefusedIdentity",
        ),
        (&person("", &[]), prompt.clone(), kept, "RefusedIdentity"),
        (
            &person("eve", &["system:unauthenticated"]),
            prompt.clone(),
            kept,
            "RefusedIdentity",
        ),
    ] {
        let (phase, reason, said) = looked_at(&mut World::new(), who, &spec, spoil).await.unwrap_err();
        assert_eq!(reason, expected, "{} {spec}: {said}", who.username);
        let ended = match expected {
            "Cancelled" => RequestPhase::Cancelled,
            "Expired" => RequestPhase::Expired,
            _ => RequestPhase::Failed,
        };
        assert_eq!(phase, ended, "{said}");
        assert!(said.to_lowercase().contains("nothing was done"), "{said}");
        assert!(!said.contains("Tr0ub4dor"), "{said}");
    }
    for (who, spec) in [
        (&alice, prompt.clone()),
        (&robot, with("notAfter", json!(in_days(6)))),
    ] {
        let found = looked_at(&mut World::new(), who, &spec, kept).await;
        assert_eq!(found, Ok(who.username.clone()));
    }
}

#[tokio::test]
async fn a_session_that_is_not_ones_own_sealed_and_open_takes_no_turn() {
    let (alice, bob) = (person("alice", &[]), person("bob", &[]));
    let turn = json!({"prompt": "list pods", "sessionRef": {"name": "talk"}});
    type Spoil = fn(&mut Value);
    let unsealed: Spoil = |session| session["spec"]["requester"]["seal"] = Value::Null;
    let stolen: Spoil = |session| session["spec"]["requester"]["username"] = json!("alice");
    let expired: Spoil = |session| session["status"] = json!({"turns": 0, "phase": "Expired"});
    let ended: Spoil = |session| session["status"] = json!({"turns": 0, "phase": "Terminated"});
    for (owner, spec, spoil, expected) in [
        (&alice, json!({}), kept as Spoil, ""),
        (&bob, json!({}), kept, "SessionClosed"),
        (&bob, json!({}), stolen, "SessionClosed"),
        (&alice, json!({}), unsealed, "SessionClosed"),
        (&alice, json!({}), expired, "SessionClosed"),
        (&alice, json!({}), ended, "SessionClosed"),
        (&alice, json!({"closed": true}), kept, "SessionClosed"),
        (&alice, json!({"defaults": {"confirm": "Always"}}), kept, ""),
        (
            &alice,
            json!({"defaults": {"clusterRef": {"name": "east"}}}),
            kept,
            "NotSupported",
        ),
    ] {
        let mut world = World::new();
        sealed(&world, "ChatSession", &spec, owner, spoil);
        let found = looked_at(&mut world, &alice, &turn, kept).await;
        let reason = found.as_ref().map_or_else(|(_, reason, _)| *reason, |_| "");
        assert_eq!(reason, expected, "{spec}: {found:?}");
    }
    let found = looked_at(&mut World::new(), &alice, &turn, kept).await;
    assert_eq!(found.unwrap_err().1, "SessionClosed", "there is none");
}

#[tokio::test]
async fn a_provider_serves_only_the_namespaces_it_names_however_it_is_chosen() {
    let alice = person("alice", &[]);
    for (spec, expected) in [
        (json!({"type": "Rules"}), ""),
        (json!({"type": "Rules", "allowedNamespaces": ["demo"]}), ""),
        (
            json!({"type": "Rules", "allowedNamespaces": ["other"]}),
            "ProviderNotAllowed",
        ),
        (
            json!({"type": "Ollama", "endpoint": "http://ollama.ai.svc:11434", "allowedNamespaces": ["demo"]}),
            "",
        ),
        (
            json!({"type": "Ollama", "endpoint": "http://ollama.ai.svc:11434", "allowedNamespaces": ["other"]}),
            "ProviderNotAllowed",
        ),
        (Value::Null, "ProviderNotAllowed"),
    ] {
        for by_session in [false, true] {
            let mut world = World::new();
            if !spec.is_null() {
                world
                    .server
                    .put(&format!("{PROVIDERS}/mine"), object("AIProvider", "mine", &spec));
            }
            let mut turn = json!({"prompt": "list pods"});
            if by_session {
                let defaults = json!({"defaults": {"providerRef": {"name": "mine"}}});
                sealed(&world, "ChatSession", &defaults, &alice, kept);
                turn["sessionRef"] = json!({"name": "talk"});
            } else {
                turn["providerRef"] = json!({"name": "mine"});
            }
            let found = looked_at(&mut world, &alice, &turn, kept).await;
            let reason = found.as_ref().map_or_else(|(_, reason, _)| *reason, |_| "");
            assert_eq!(reason, expected, "{spec} by session {by_session}: {found:?}");
        }
    }
}

#[tokio::test]
async fn whom_kubechat_may_not_act_as_gets_nothing_and_who_cannot_be_asked_about_waits() {
    let alice = person("alice", &[]);
    let prompt = json!({"prompt": "list pods", "sessionRef": {"name": "talk"}});
    for (part, code, expected) in [
        ("selfsubjectreviews", 403, Some("Forbidden")),
        ("selfsubjectreviews", 500, None),
        ("chatsessions", 500, None),
    ] {
        let mut world = World::new();
        // No watch has told of the session yet.
        let process = world.start(Fuse::long()).await;
        sealed(&world, "ChatSession", &json!({}), &alice, kept);
        let turn = sealed(&world, "ChatRequest", &prompt, &alice, kept);
        let request: ChatRequest = serde_json::from_value(turn).unwrap();
        world.server.fates(move |asked: &Asked| {
            if asked.path.contains(part) {
                Fate::Refused(code)
            } else {
                Fate::Answered
            }
        });
        let found = admit(&request, &process.ctx).await;
        let reason = match &found {
            Ok(Ok(_)) => Some("admitted"),
            Ok(Err(halted)) => Some(halted.reason),
            Err(_) => None,
        };
        assert_eq!(reason, expected, "{part} {code}");
    }
}
