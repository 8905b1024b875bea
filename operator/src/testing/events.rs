//! An API server that takes Events and nothing else.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use kube::runtime::events::{Recorder, Reporter};
use serde_json::Value;

/// The Events that were sent.
pub(crate) type Sent = Arc<Mutex<Vec<Value>>>;

/// Records there.
pub(crate) fn recorder() -> (Recorder, Sent) {
    let sent = Sent::default();
    let seen = Arc::clone(&sent);
    let service = tower::service_fn(move |request: Request<Body>| {
        let seen = Arc::clone(&seen);
        async move {
            let bytes = request.into_body().collect_bytes().await.unwrap();
            seen.lock().unwrap().push(serde_json::from_slice(&bytes).unwrap());
            Ok::<_, std::convert::Infallible>(
                Response::builder()
                    .status(201)
                    .body(Body::from(bytes.to_vec()))
                    .unwrap(),
            )
        }
    });
    (over(Client::new(service, "default")), sent)
}

/// Records over this client.
pub(crate) fn over(client: Client) -> Recorder {
    let reporter = Reporter {
        controller: "test".into(),
        instance: None,
    };
    Recorder::new(client, reporter)
}
