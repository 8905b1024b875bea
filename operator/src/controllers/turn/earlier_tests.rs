//! Turns of one session that come at once: which is waited for, which is not, and what of them is remembered.

use jiff::Timestamp;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;
use crate::testing::process::{Fuse, World};

/// A turn of session `talk`: its second, who asked, the prompt, its status.
fn turn(name: &str, second: i64, who: &str, prompt: &str, status: &Value) -> ChatRequest {
    let at = Timestamp::from_second(second).unwrap();
    serde_json::from_value(json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequest",
        "metadata": {"name": name, "namespace": "demo", "uid": format!("uid-{name}"), "creationTimestamp": at.to_string()},
        "spec": {"prompt": prompt, "sessionRef": {"name": "talk"}, "requester": {"username": who, "groups": []}},
        "status": status,
    }))
    .unwrap()
}

fn scaled() -> Value {
    json!({"action": "scale", "target": {"names": ["web"]}, "params": {"replicas": 3}, "confidence": 100})
}

fn understood(intents: &[Value], phase: &str) -> Value {
    json!({"phase": phase, "interpretation": {"understood": "", "intents": intents, "provider": "rules", "confidence": 100, "promptDigest": ""}})
}

async fn told(turns: &[ChatRequest]) -> (World, std::sync::Arc<Context>) {
    let mut world = World::new();
    for turn in turns {
        let path = format!(
            "/apis/kubechat.io/v1beta1/namespaces/demo/chatrequests/{}",
            turn.name_any()
        );
        world.server.put(&path, serde_json::to_value(turn).unwrap());
    }
    let process = world.start(Fuse::long()).await;
    for turn in turns {
        process.ctx.talks.see(&Event::Apply(turn.clone()));
    }
    (world, process.ctx)
}

fn waited(request: &ChatRequest, unread: Option<&str>, seconds: u64) -> Option<Before> {
    waits(request, unread?, &Lexicon::builtin(), || {
        Duration::from_secs(seconds)
    })
}

#[tokio::test]
async fn a_turn_that_refers_to_an_unread_one_waits_and_at_last_asks() {
    let first = turn("first", 100, "alice", "scale web to 3", &json!({}));
    let second = turn("second", 100, "alice", "now make it 7", &json!({}));
    let other = turn("third", 101, "alice", "list pods", &json!({}));
    let (_world, ctx) = told(&[first, second.clone(), other.clone()]).await;
    let (_, unread) = gathered(&second, &ctx);
    assert_eq!(unread.as_deref(), Some("first"));
    assert!(matches!(
        waited(&second, unread.as_deref(), 1),
        Some(Before::Wait(_))
    ));
    let Some(Before::Stuck(halted)) = waited(&second, unread.as_deref(), 15) else {
        panic!("it waits for ever");
    };
    assert_eq!(halted.phase, RequestPhase::NeedsInput);
    assert!(halted.message.contains("turn first"), "{}", halted.message);
    // Who asks for something whole waits for nobody.
    let (_, unread) = gathered(&other, &ctx);
    assert_eq!(unread.as_deref(), Some("second"));
    assert!(waited(&other, unread.as_deref(), 1).is_none());
}

#[tokio::test]
async fn a_turn_knows_the_ones_before_it_of_the_same_person_and_none_after_it() {
    let read = understood(&[scaled()], "Succeeded");
    let turns = [
        turn("mine", 100, "alice", "scale web to 3", &read),
        turn("his", 101, "bob", "scale api to 3", &read),
        turn("later", 103, "alice", "scale db to 3", &read),
        turn("new", 102, "alice", "make it 7", &json!({})),
    ];
    let (_world, ctx) = told(&turns).await;
    let (history, unread) = gathered(&turns[3], &ctx);
    assert_eq!(unread, None);
    assert_eq!(history.earlier.len(), 1);
    assert_eq!(history.earlier[0].intents[0].target.names, ["web"]);
}

#[tokio::test]
async fn of_a_long_session_only_the_last_turns_are_read() {
    let mut turns: Vec<ChatRequest> = (0..500)
        .map(|n| {
            turn(
                &format!("t{n}"),
                n,
                "alice",
                "list pods",
                &understood(&[], "Succeeded"),
            )
        })
        .collect();
    turns.push(turn("new", 500, "alice", "make it 7", &json!({})));
    let (_world, ctx) = told(&turns).await;
    assert_eq!(gathered(&turns[500], &ctx).0.earlier.len(), MEMORY);
    // As many look-ups as turns that are remembered, each once, however many there are.
    let mut read = vec![];
    let names = ctx.talks.before(&turns[500], MEMORY);
    remembered(&turns[500], names, |name| {
        read.push(name.to_owned());
        stored(&turns[500], &ctx, name)
    });
    assert_eq!(read, ["t495", "t496", "t497", "t498", "t499"]);
}

#[tokio::test]
async fn a_change_that_was_only_asked_about_is_remembered_as_that() {
    let candidates = json!({"phase": "NeedsInput", "answer": {"candidates": ["deployment/web"]},
        "interpretation": understood(&[scaled()], "")["interpretation"]});
    let planned = {
        let mut status = understood(&[scaled()], "Succeeded");
        status["planRef"] = json!({"name": "p", "digest": "d"});
        status
    };
    let wondered = |phase: &str| {
        let mut status = understood(&[scaled()], phase);
        status["interpretation"]["onlyAsked"] = json!(true);
        status
    };
    let cases = [
        (wondered("Succeeded"), true, 0),
        // Also where the question could not be answered.
        (wondered("NeedsInput"), true, 0),
        (wondered("Failed"), true, 0),
        // It has three replicas already: a request all the same.
        (understood(&[scaled()], "Succeeded"), false, 0),
        (understood(&[scaled()], "Failed"), false, 0),
        (planned, false, 0),
        (candidates, false, 1),
    ];
    for (status, only_asked, candidates) in cases {
        let data = as_data(&turn("t", 1, "alice", "x", &status));
        assert_eq!(
            (data.only_asked, data.candidates.len()),
            (only_asked, candidates),
            "{status}"
        );
    }
}

#[tokio::test]
async fn nothing_refers_past_words_that_nobody_understood() {
    let web = understood(&[scaled()], "Succeeded");
    let adopted = json!({"phase": "AwaitingApproval", "planRef": {"name": "p", "digest": "d"}});
    // What stands between the request and what refers to it; how many turns are still spoken of.
    for (between, left) in [
        (understood(&[], "NeedsInput"), 0),
        (
            json!({"phase": "Failed", "conditions": [{"type": "Succeeded", "status": "False", "reason": "x",
            "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}),
            0,
        ),
        (adopted, 0),
        // An answer in words.
        (understood(&[], "Succeeded"), 2),
        (understood(&[scaled()], "NeedsInput"), 2),
    ] {
        let turns = [
            turn("first", 100, "alice", "delete web", &web),
            turn("second", 101, "alice", "x", &between),
            turn("new", 102, "alice", "same for redis", &json!({})),
        ];
        let (_world, ctx) = told(&turns).await;
        let (history, unread) = gathered(&turns[2], &ctx);
        assert_eq!((history.earlier.len(), unread), (left, None), "{between}");
    }
}

#[tokio::test]
async fn the_plan_of_undo_that_is_the_newest_and_is_named_while_it_is_under_way() {
    let ended = json!([{"type": "Succeeded", "status": "True", "reason": "x", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let with_plan = |name: &str, phase: &str, conditions: &Value| json!({"phase": phase, "planRef": {"name": name, "digest": "d"}, "conditions": conditions});
    let old = turn(
        "old",
        100,
        "alice",
        "scale web to 3",
        &with_plan("plan-old", "Succeeded", &ended),
    );
    let open = turn(
        "open",
        101,
        "alice",
        "scale web to 4",
        &with_plan("plan-open", "AwaitingApproval", &json!([])),
    );
    let undo = turn("undo", 102, "alice", "undo that", &json!({}));
    let (_world, ctx) = told(&[old.clone(), undo.clone()]).await;
    assert_eq!(plan(&undo, &ctx), Ok("plan-old".to_owned()));
    let (_world, ctx) = told(&[old, open, undo.clone()]).await;
    let why = plan(&undo, &ctx).unwrap_err();
    assert!(
        why.contains("plan-open") && why.contains("kubechat cancel open"),
        "{why}"
    );
    let (_world, ctx) = told(std::slice::from_ref(&undo)).await;
    assert!(plan(&undo, &ctx).unwrap_err().contains("kubechat rollback"));
}

#[tokio::test]
async fn what_another_process_says_of_a_turn_that_nobody_judged_is_not_what_later_words_mean() {
    let ended = json!([{"type": "Succeeded", "status": "False", "reason": "Cancelled", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let reading = |state: &str, phase: &str, conditions: &Value| {
        let mut status = understood(&[scaled()], phase);
        status["reading"] = json!({"state": state, "provider": "small", "namespace": "demo"});
        status["conditions"] = conditions.clone();
        status
    };
    let none = json!([]);
    let mut planned = reading("Understood", "AwaitingApproval", &none);
    planned["planRef"] = json!({"name": "p", "digest": "d"});
    for (status, spoken_of, waits) in [
        (reading("Asked", "Interpreting", &none), 0, true),
        (reading("Asked", "Cancelled", &ended), 0, false),
        (reading("Understood", "Interpreting", &none), 0, true),
        (reading("Nothing", "Interpreting", &none), 0, true),
        (reading("Understood", "Failed", &ended), 1, false),
        (planned, 1, false),
    ] {
        let turns = [
            turn("first", 100, "alice", "look after it", &status),
            turn("new", 101, "alice", "delete it", &json!({})),
        ];
        let (_world, ctx) = told(&turns).await;
        let (history, unread) = gathered(&turns[1], &ctx);
        assert_eq!(
            (history.earlier.len(), unread.is_some()),
            (spoken_of, waits),
            "{status}"
        );
    }
}

#[tokio::test]
async fn what_another_process_wrote_a_moment_before_a_turn_ended_does_not_stay() {
    let mut world = World::new();
    world.elsewhere = true;
    let process = world.start(Fuse::long()).await;
    let path = "/apis/kubechat.io/v1beta1/namespaces/demo/chatrequests/first";
    let asked = json!({"phase": "Interpreting", "reading": {"state": "Asked", "provider": "small", "namespace": "demo"}});
    let object = turn("first", 100, "alice", "look after it", &asked);
    world.server.put(path, serde_json::to_value(&object).unwrap());
    let stale: ChatRequest = serde_json::from_value(world.server.get(path).unwrap()).unwrap();
    let mut planted = world.server.get(path).unwrap();
    planted["status"]["interpretation"] = understood(&[scaled()], "")["interpretation"].clone();
    world.server.put(path, planted);
    let fresh: ChatRequest = serde_json::from_value(world.server.get(path).unwrap()).unwrap();
    // It has no seal, so it ends at once.
    let look = |turn: ChatRequest| {
        let ctx = std::sync::Arc::clone(&process.ctx);
        async move {
            let current = turn.status.clone().unwrap_or_default();
            super::super::take(&turn, &ctx, current).await
        }
    };
    let late = look(stale).await;
    assert!(late.is_err(), "{late:?}");
    look(fresh).await.unwrap();
    let now = world.server.get(path).unwrap();
    assert_eq!(now["status"]["interpretation"], Value::Null, "{now}");
    assert_ne!(now["status"]["phase"], json!("Interpreting"), "{now}");
}
