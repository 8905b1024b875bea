use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kube::client::Body;
use serde_json::json;

use super::*;

#[tokio::test]
async fn every_write_that_has_a_field_manager_names_kubechat_and_so_does_its_dry_run() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        seen.lock().unwrap().push(request.uri().to_string());
        async { Ok::<_, std::io::Error>(Response::new(Body::from(b"{}".to_vec()))) }
    });
    let client = ClientDebug(Client::new(service, "demo"));
    let kind = KindRef {
        version: "v1".into(),
        kind: "Pod".into(),
        resource: "pods".into(),
        namespaced: true,
        ..KindRef::default()
    };
    let api = Objects::new(&client, &kind, Some("demo"));
    for earnest in [Earnest::No, Earnest::Yes { audit_id: "id" }] {
        api.create(&json!({}), earnest).await.unwrap();
        api.patch("p", None, &json!({}), earnest).await.unwrap();
        api.patch("p", Some("scale"), &json!([]), earnest).await.unwrap();
        api.apply("p", &json!({}), false, earnest).await.unwrap();
        api.evict("p", "u", None, earnest).await.unwrap();
    }
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 10);
    for (at, uri) in asked.iter().enumerate() {
        let named = uri.split(['?', '&']).any(|part| part == "fieldManager=kubechat");
        assert!(named, "{uri}");
        assert_eq!(uri.contains("dryRun=All"), at < 5, "{uri}");
    }
}
