use http::{Request, Response};
use kube::Client;
use kube::client::Body;

use super::*;
use crate::testing::events::{over, recorder};

fn tell(events: &Events, number: usize) {
    let about = ObjectReference {
        kind: Some("CommandPlan".into()),
        name: Some(format!("p{number}")),
        namespace: Some("demo".into()),
        uid: Some(format!("u{number}")),
        ..ObjectReference::default()
    };
    events.tell(about, true, "PlanGone", "it was removed");
}

#[tokio::test]
async fn what_was_told_until_the_end_is_sent_though_the_end_has_come() {
    let (recorder, sent) = recorder();
    let (events, outbox) = Events::new(recorder);
    (0..20).for_each(|number| tell(&events, number));
    // As in a process that ends: whoever may tell is still there.
    outbox.until(std::future::ready(())).await;
    let sent = sent.lock().unwrap();
    let names = sent.iter().map(|e| e["regarding"]["name"].as_str().unwrap());
    let all: Vec<String> = (0..20).map(|n| format!("p{n}")).collect();
    assert!(names.eq(all.iter().map(String::as_str)), "{sent:?}");
    drop(events);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_holds_up_the_end_for_a_few_seconds_only() {
    let service = tower::service_fn(|_: Request<Body>| {
        std::future::pending::<Result<Response<Body>, std::convert::Infallible>>()
    });
    let (events, outbox) = Events::new(over(Client::new(service, "default")));
    (0..MAX_WAITING).for_each(|number| tell(&events, number));
    let began = Instant::now();
    outbox.until(std::future::ready(())).await;
    assert!(
        began.elapsed() <= LAST + Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    drop(events);
}
