use kubechat_audit::Entry;
use kubechat_core::reason;
use kubechat_crds::chat_request::{Reading, ReadingState};
use serde_json::{Value, json};

use super::*;
use crate::testing::people::person;
use crate::testing::process::{Fuse, Process, World};

const ENDPOINT: &str = "http://ollama.ai.svc:11434";

fn provide(world: &World, ready: &str) {
    let time = "2026-01-01T00:00:00Z";
    let provider = json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "AIProvider",
        "metadata": {"name": "small", "generation": 1},
        "spec": {"type": "Ollama", "endpoint": ENDPOINT, "model": "m", "budget": {"tokensPerUserPerDay": 100}},
        "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": ready, "reason": "Probed",
            "message": "", "lastTransitionTime": time}]},
    });
    world
        .server
        .put("/apis/kubechat.io/v1beta1/aiproviders/small", provider);
}

pub(in crate::models) async fn apart(ready: &str) -> (World, Process) {
    let mut world = World::new();
    world.elsewhere = true;
    provide(&world, ready);
    let process = world.start(Fuse::long()).await;
    (world, process)
}

pub(in crate::models) fn turn(outbound: &Value) -> ChatRequest {
    let status = json!({"reading": {"state": "Asked", "provider": "small", "namespace": "demo"},
        "outbound": [outbound]});
    serde_json::from_value(json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "ChatRequest",
        "metadata": {"name": "ask", "namespace": "demo", "uid": "u1"},
        "spec": {"prompt": "list pods", "requester": person("alice", &[])}, "status": status,
    }))
    .unwrap()
}

pub(in crate::models) fn intended() -> Value {
    json!({"id": "small-1", "state": "Intended", "provider": "small", "endpoint": ENDPOINT, "model": "m",
        "bytes": 7, "digest": format!("sha256:{}", "0a".repeat(32))})
}

pub(in crate::models) fn status(turn: &ChatRequest) -> ChatRequestStatus {
    turn.status.clone().unwrap()
}

pub(in crate::models) fn reasons(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|e| e.reason.as_str()).collect()
}

#[tokio::test]
async fn each_call_is_committed_once_and_its_end_recorded_once_however_old_the_cache_is() {
    let (mut world, process) = apart("True").await;
    let turn = turn(&intended());
    let first = of_turn(&process.ctx, &turn, &status(&turn)).await.unwrap();
    let again = of_turn(&process.ctx, &turn, &status(&turn)).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(first.outbound[0].state, OutboundState::Committed);
    assert!(first.outbound[0].audit_seq.is_some());
    let mut done = first.clone();
    done.outbound[0].state = OutboundState::Done;
    done.outbound[0].end = Some(OutboundEnd {
        sent: true,
        tokens_in: 60,
        tokens_out: 50,
        ..OutboundEnd::default()
    });
    let ended = of_turn(&process.ctx, &turn, &done).await.unwrap();
    assert_eq!(ended, of_turn(&process.ctx, &turn, &done).await.unwrap());
    assert!(ended.outbound[0].end.as_ref().unwrap().audit_seq.is_some());
    // What it used counts once, and the next call is beyond the budget.
    let mut next = ended.clone();
    let mut call = first.outbound[0].clone();
    (call.id, call.state, call.audit_seq) = ("small-2".to_owned(), OutboundState::Intended, None);
    next.outbound.push(call);
    let next = of_turn(&process.ctx, &turn, &next).await.unwrap();
    let why = next.outbound[1].end.clone().unwrap().failure.unwrap();
    assert!(why.contains("110 of its tokens"), "{why}");
    assert_eq!(next.outbound[1].state, OutboundState::Failed);
    assert_eq!(
        reasons(&world.entries().await),
        [reason::OUTBOUND_INTENDED, reason::OUTBOUND_DONE]
    );
}

#[tokio::test]
async fn a_call_that_may_not_be_made_is_not_committed_and_says_why() {
    type Spoil = fn(&mut ChatRequestStatus);
    let kept: Spoil = |_| {};
    let ended: Spoil = |status| {
        let time = "2026-01-01T00:00:00Z";
        status.conditions = serde_json::from_value(json!([{"type": "Succeeded", "status": "False",
            "reason": "Cancelled", "message": "", "lastTransitionTime": time}]))
        .unwrap();
    };
    let read: Spoil = |status| {
        status.reading = Some(Reading {
            state: ReadingState::Understood,
            ..Reading::default()
        });
    };
    let elsewhere: Spoil = |status| status.outbound[0].endpoint = "http://evil.example".to_owned();
    let unknown: Spoil = |status| status.outbound[0].provider = "large".to_owned();
    let deleted: Spoil = |status| status.reading.as_mut().unwrap().provider = "none".to_owned();
    let told: Spoil = |status| status.outbound[0].redactions = [("my words".to_owned(), 1)].into();
    for (ready, spoil, says) in [
        ("True", kept, ""),
        ("True", ended, "the turn has ended"),
        ("True", read, "read already"),
        ("True", elsewhere, "another endpoint"),
        ("True", unknown, "does not fall back to it"),
        ("True", deleted, "it was deleted"),
        ("True", told, "what it sends"),
        ("False", kept, "not Ready"),
    ] {
        let (mut world, process) = apart(ready).await;
        let turn = turn(&intended());
        let mut before = status(&turn);
        spoil(&mut before);
        let after = of_turn(&process.ctx, &turn, &before).await.unwrap();
        let call = &after.outbound[0];
        let why = call.end.clone().and_then(|end| end.failure).unwrap_or_default();
        assert!(why.contains(says), "{says}: {call:?}");
        assert_eq!(
            call.state == OutboundState::Committed,
            says.is_empty(),
            "{call:?}"
        );
        assert_eq!(
            world.entries().await.len(),
            usize::from(says.is_empty()),
            "{says}"
        );
    }
}

#[tokio::test]
async fn a_call_that_the_log_has_is_committed_whatever_stands_in_its_way_by_now() {
    let (mut world, process) = apart("True").await;
    let turn = turn(&intended());
    // Its status was not written: somebody else wrote of the turn first.
    let lost = of_turn(&process.ctx, &turn, &status(&turn)).await.unwrap();
    let mut cancelled = status(&turn);
    let time = "2026-01-01T00:00:00Z";
    cancelled.conditions = serde_json::from_value(json!([{"type": "Succeeded", "status": "False",
        "reason": "Cancelled", "message": "", "lastTransitionTime": time}]))
    .unwrap();
    let again = of_turn(&process.ctx, &turn, &cancelled).await.unwrap();
    assert_eq!(again.outbound, lost.outbound, "its end is owed");
    assert_eq!(reasons(&world.entries().await), [reason::OUTBOUND_INTENDED]);
}

#[tokio::test]
async fn another_leader_or_one_that_was_not_told_makes_no_entry_twice() {
    use crate::testing::store::Luck;
    let (mut world, process) = apart("True").await;
    let turn = turn(&intended());
    process.store.luck(|_| Luck::Unconfirmed);
    let lost = of_turn(&process.ctx, &turn, &status(&turn)).await;
    assert!(matches!(lost, Err(Error::Audit(_))), "{lost:?}");
    process.store.luck(|_| Luck::Good);
    let first = of_turn(&process.ctx, &turn, &status(&turn)).await.unwrap();
    let next = world.start(Fuse::long()).await;
    assert_eq!(of_turn(&next.ctx, &turn, &status(&turn)).await.unwrap(), first);
    let mut done = first.clone();
    done.outbound[0].state = OutboundState::Done;
    done.outbound[0].end = Some(OutboundEnd {
        sent: true,
        tokens_in: 60,
        ..OutboundEnd::default()
    });
    let ended = of_turn(&next.ctx, &turn, &done).await.unwrap();
    let third = world.start(Fuse::long()).await;
    assert_eq!(of_turn(&third.ctx, &turn, &done).await.unwrap(), ended);
    // A call of the same id that says something else is another one.
    let mut other = status(&turn);
    other.outbound[0].bytes = 8;
    let other = of_turn(&third.ctx, &turn, &other).await.unwrap();
    assert_ne!(other.outbound[0].audit_seq, first.outbound[0].audit_seq);
    assert_eq!(
        reasons(&world.entries().await),
        [
            reason::OUTBOUND_INTENDED,
            reason::OUTBOUND_DONE,
            reason::OUTBOUND_INTENDED
        ]
    );
}

#[tokio::test]
async fn calls_of_a_probe_are_known_by_their_provider_also_to_the_next_leader() {
    let (mut world, process) = apart("True").await;
    let provider = |uid: &str| -> AIProvider {
        serde_json::from_value(json!({
            "apiVersion": "kubechat.io/v1beta1", "kind": "AIProvider",
            "metadata": {"name": "small", "uid": uid, "generation": 2},
            "spec": {"type": "Ollama", "endpoint": ENDPOINT, "model": "m"},
            "status": {"outbound": [intended()]},
        }))
        .unwrap()
    };
    let current = provider("p1").status.unwrap();
    let first = of_provider(&process.ctx, &provider("p1"), &current)
        .await
        .unwrap();
    assert_eq!(first.outbound[0].state, OutboundState::Committed);
    let next = world.start(Fuse::long()).await;
    let again = of_provider(&next.ctx, &provider("p1"), &current).await.unwrap();
    assert_eq!(first, again);
    let other = of_provider(&next.ctx, &provider("p2"), &current).await.unwrap();
    assert_ne!(first.outbound[0].audit_seq, other.outbound[0].audit_seq);
    assert_eq!(world.entries().await.len(), 2);
}

#[tokio::test]
async fn a_turn_has_no_more_calls_committed_than_a_chain_may_need() {
    let (mut world, process) = apart("True").await;
    let turn = turn(&intended());
    for n in 1..=MAX_CALLS + 1 {
        let mut now = status(&turn);
        now.outbound[0].id = format!("small-{n}");
        let after = of_turn(&process.ctx, &turn, &now).await.unwrap();
        let is_made = after.outbound[0].state == OutboundState::Committed;
        assert_eq!(is_made, n <= MAX_CALLS, "{n}: {:?}", after.outbound);
    }
    assert_eq!(world.entries().await.len(), MAX_CALLS);
}

#[tokio::test]
async fn a_probe_that_is_not_due_has_no_call_committed() {
    for (minutes_ago, committed) in [(11, true), (5, false)] {
        let (mut world, process) = apart("True").await;
        let time = Timestamp::now() - SignedDuration::from_mins(minutes_ago);
        let provider: AIProvider = serde_json::from_value(json!({
            "apiVersion": "kubechat.io/v1beta1", "kind": "AIProvider",
            "metadata": {"name": "small", "uid": "p1", "generation": 2},
            "spec": {"type": "Ollama", "endpoint": ENDPOINT, "model": "m"},
            "status": {"outbound": [intended()], "observedGeneration": 2,
                "probe": {"time": time.to_string(), "score": 100},
                "conditions": [{"type": "Ready", "status": "True", "reason": "Probed", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        }))
        .unwrap();
        let current = provider.status.clone().unwrap();
        let after = of_provider(&process.ctx, &provider, &current).await.unwrap();
        let is_made = after.outbound[0].state == OutboundState::Committed;
        assert_eq!(is_made, committed, "{minutes_ago}: {:?}", after.outbound);
        assert_eq!(world.entries().await.len(), usize::from(committed));
    }
}

#[tokio::test]
async fn what_another_process_says_of_a_calls_end_is_recorded_without_secrets_and_without_negative_numbers() {
    let (mut world, process) = apart("True").await;
    let turn = turn(&intended());
    let mut now = of_turn(&process.ctx, &turn, &status(&turn)).await.unwrap();
    now.outbound[0].state = OutboundState::Failed;
    now.outbound[0].end = Some(OutboundEnd {
        sent: true,
        tokens_in: -5,
        failure: Some("refused: ghp_Zx8Kq2LmW9vTr4Yp6BnD1sGf7HjC3uEa5Xo0".to_owned()),
        ..OutboundEnd::default()
    });
    let after = of_turn(&process.ctx, &turn, &now).await.unwrap();
    let end = after.outbound[0].end.clone().unwrap();
    assert_eq!(end.tokens_in, 0);
    let said = process.ctx.audit.payload(2).await.unwrap().to_string();
    assert!(said.contains("REDACTED") && !said.contains("ghp_"), "{said}");
    assert!(!world.entries().await[1].message.contains("ghp_"));
}
