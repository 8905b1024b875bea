//! What a status begins to refuse is told, for every reason there is.

use super::*;
use crate::testing::events::{Sent, recorder};

fn events() -> (Events, Sent) {
    let (recorder, sent) = recorder();
    let (events, outbox) = Events::new(recorder);
    tokio::spawn(outbox.until(std::future::pending()));
    (events, sent)
}

fn about(number: usize) -> ObjectReference {
    ObjectReference {
        api_version: Some("kubechat.io/v1beta1".into()),
        kind: Some("CommandPlan".into()),
        name: Some(format!("p{number}")),
        namespace: Some("demo".into()),
        uid: Some(format!("u{number}")),
        ..ObjectReference::default()
    }
}

fn status(reason: &str) -> Value {
    let condition =
        |kind, message| json!({"type": kind, "status": "Unknown", "reason": reason, "message": message});
    json!({"conditions": [condition("Succeeded", "short"), condition("AwaitingApproval", "in more words")]})
}

fn counted(metrics: &Metrics, reason: &str) -> bool {
    let line = format!("kubechat_refusals_total{{kind=\"CommandPlan\",reason=\"{reason}\"}} 1\n");
    metrics.text().contains(&line)
}

#[tokio::test]
async fn every_refusal_has_one_event_and_one_metric_with_its_reason_and_nothing_else_has() {
    let (events, sent) = events();
    let metrics = Metrics::default();
    let pending = status(reason::PROGRESSING);
    for (number, reason) in reason::ALL.iter().enumerate() {
        let now = status(reason);
        tell(&events, &metrics, &about(number), (&pending, &now));
        // Said already: a later write of the same reason tells nothing.
        tell(&events, &metrics, &about(number), (&now, &now));
        assert_eq!(counted(&metrics, reason), reason::is_refusal(reason), "{reason}");
    }
    let refusals: Vec<&&str> = reason::ALL.iter().filter(|r| reason::is_refusal(r)).collect();
    for _ in 0..10_000 {
        if sent.lock().unwrap().len() == refusals.len() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let sent = sent.lock().unwrap();
    let told: Vec<&str> = sent.iter().filter_map(|event| event["reason"].as_str()).collect();
    assert_eq!(told, refusals.iter().map(|r| **r).collect::<Vec<_>>());
    for event in sent.iter() {
        assert_eq!(
            (event["type"].as_str(), event["note"].as_str()),
            (Some("Warning"), Some("in more words"))
        );
    }
}

#[tokio::test]
async fn a_refusal_that_was_over_and_comes_again_is_told_again() {
    let (events, _) = events();
    let metrics = Metrics::default();
    let (held, fine) = (status(reason::SUSPENDED), status(reason::AWAITING_APPROVAL));
    tell(&events, &metrics, &about(0), (&json!({}), &held));
    tell(&events, &metrics, &about(0), (&held, &fine));
    tell(&events, &metrics, &about(0), (&fine, &held));
    assert!(
        metrics.text().contains("reason=\"Suspended\"} 2"),
        "{}",
        metrics.text()
    );
}

#[tokio::test]
async fn of_a_status_that_is_refused_its_core_is_written_and_where_it_has_none_nothing_stands() {
    use kubechat_crds::chat_request::Usage;
    use kubechat_crds::{ChatRequest, RequestPhase};

    use crate::testing::plans::{Verb, turn_path};
    use crate::testing::process::{Fuse, World};
    use crate::testing::server::{Asked, Fate};

    for (phase, stands) in [(Some(RequestPhase::Interpreting), true), (None, false)] {
        let mut world = World::new();
        world.propose(&[Verb::Label]).await;
        let process = world.start(Fuse::long()).await;
        let request: ChatRequest = serde_json::from_value(world.server.get(&turn_path()).unwrap()).unwrap();
        let old = request.status.clone().unwrap_or_default();
        let mut new = old.clone();
        new.usage = Some(Usage::default());
        new.phase = phase.or(old.phase);
        let mut refused = 0;
        world.server.fates(move |asked: &Asked| {
            let first = asked.method == http::Method::PATCH && refused == 0;
            refused += usize::from(first);
            if first { Fate::Refused(422) } else { Fate::Answered }
        });
        let written = write_if_there(&*process.ctx, &request, Some(&old), &new).await;
        assert_eq!(written.is_ok_and(|stands| stands), stands, "{phase:?}");
    }
}
