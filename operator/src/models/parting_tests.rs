use serde_json::json;

use super::super::clerk::of_provider;
use super::super::clerk::tests::{apart, intended, reasons, status, turn};
use super::*;

#[tokio::test]
async fn of_a_turn_that_is_removed_midway_the_log_says_that_the_end_of_its_call_is_not_known() {
    let (mut world, process) = apart("True").await;
    let mut committed = intended();
    (committed["state"], committed["auditSeq"]) = (json!("Committed"), json!(7));
    let (leaving, left) = leaving();
    for (name, call) in [("one", committed), ("other", intended())] {
        let mut turn = turn(&call);
        turn.metadata.uid = Some(name.to_owned());
        leaving.see(&Event::Apply(turn.clone()));
        leaving.see(&Event::Delete(turn));
    }
    drop(leaving);
    of_removed(left, Arc::clone(&process.ctx), CancellationToken::new())
        .await
        .unwrap();
    let entries = world.entries().await;
    assert_eq!(reasons(&entries), [reason::OUTBOUND_UNKNOWN]);
    assert!(
        entries[0].message.contains("of entry 7 is not known"),
        "{}",
        entries[0].message
    );
}

#[tokio::test]
async fn of_a_turn_that_is_removed_before_its_status_told_of_an_entry_the_log_says_that_its_end_is_not_known()
{
    let (mut world, process) = apart("True").await;
    let turn = turn(&intended());
    of_turn(&process.ctx, &turn, &status(&turn)).await.unwrap();
    let (leaving, left) = leaving();
    leaving.see(&Event::Delete(turn));
    drop(leaving);
    of_removed(left, Arc::clone(&process.ctx), CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(
        reasons(&world.entries().await),
        [reason::OUTBOUND_INTENDED, reason::OUTBOUND_UNKNOWN]
    );
}

#[tokio::test]
async fn what_nobody_saw_leave_is_found_in_the_log_once_it_is_overdue() {
    for (is_there, minutes, told) in [(false, 11, 1), (false, 9, 0), (true, 11, 0)] {
        let (mut world, process) = apart("True").await;
        let turn = turn(&intended());
        if is_there {
            let path = "/apis/kubechat.io/v1beta1/namespaces/demo/chatrequests/ask";
            world.server.put(path, serde_json::to_value(&turn).unwrap());
        }
        of_turn(&process.ctx, &turn, &status(&turn)).await.unwrap();
        // The next leader begins, and knows nothing.
        let next = world.start(crate::testing::process::Fuse::long()).await;
        let later = Timestamp::now() + SignedDuration::from_mins(minutes);
        let mut open = Open::default();
        for _ in 0..2 {
            open.compare(&next.ctx, later).await.unwrap();
        }
        let entries = world.entries().await;
        let unknown = entries.iter().filter(|e| e.reason == reason::OUTBOUND_UNKNOWN);
        assert_eq!(unknown.count(), told, "{is_there} {minutes}: {entries:?}");
    }
}

#[tokio::test]
async fn of_a_probe_whose_provider_is_gone_the_log_says_that_the_end_of_its_call_is_not_known() {
    // The provider on the server has no UID: it was made again.
    let (mut world, process) = apart("True").await;
    let provider: AIProvider = serde_json::from_value(json!({
        "apiVersion": "kubechat.io/v1beta1", "kind": "AIProvider",
        "metadata": {"name": "small", "uid": "p-old", "generation": 2},
        "spec": {"type": "Ollama", "endpoint": "http://ollama.ai.svc:11434", "model": "m"},
        "status": {"outbound": [intended()]},
    }))
    .unwrap();
    of_provider(&process.ctx, &provider, &provider.status.clone().unwrap())
        .await
        .unwrap();
    let later = Timestamp::now() + SignedDuration::from_mins(11);
    Open::default().compare(&process.ctx, later).await.unwrap();
    let entries = world.entries().await;
    assert_eq!(
        reasons(&entries),
        [reason::OUTBOUND_INTENDED, reason::OUTBOUND_UNKNOWN]
    );
    assert!(
        entries[1].message.contains("its provider was deleted"),
        "{}",
        entries[1].message
    );
}
