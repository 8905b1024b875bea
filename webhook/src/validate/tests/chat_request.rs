use std::sync::Arc;

use serde_json::{Value, json};

use crate::testing::{Answer, Fixture, access, alice, baseline, create, not_found, nothing};

fn request(spec: &Value) -> Value {
    create("ChatRequest", &alice(), spec)
}

fn object(kind: &str, spec: &Value, status: &Value) -> (u16, Value) {
    let metadata = json!({"name": "it", "namespace": "demo", "labels": {"ops": "yes"}});
    let version = if kind == "Namespace" {
        "v1"
    } else {
        "kubechat.io/v1beta1"
    };
    (
        200,
        json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, "status": status}),
    )
}

/// An API server that has one object at a path, and allows what alice asks for.
fn having(at: &'static str, kind: &'static str, spec: Value, status: Value) -> Answer {
    Arc::new(move |method, path, body| match (method, path) {
        ("POST", _) => (201, access(body["spec"]["user"] == "alice")),
        (_, path) if path == at => object(kind, &spec, &status),
        _ => not_found(),
    })
}

#[tokio::test]
async fn allows_ordinary_turns() {
    let fixture = Fixture::new(&[baseline()], nothing());
    for spec in [
        json!({"prompt": "scale nginx to 5 replicas"}),
        json!({"prompt": "list\r\n\tpods"}),
        json!({"prompt": "show the secret db-password", "mode": "PlanOnly"}),
        json!({"prompt": "x", "scope": {"namespaces": ["demo"], "clusterScoped": false}}),
        json!({"prompt": "x", "scope": {}}),
        json!({"prompt": "x", "notAfter": "2999-01-01T00:00:00Z"}),
        json!({"prompt": "ä".repeat(8192)}),
    ] {
        assert_eq!(fixture.reason(&request(&spec)).await, "", "{spec}");
    }
    assert!(
        fixture.asked.lock().unwrap().is_empty(),
        "an ordinary turn asks the API server nothing"
    );
}

#[tokio::test]
async fn refuses_bad_turns_with_the_reason() {
    let fixture = Fixture::new(&[baseline()], nothing());
    for (spec, reason) in [
        (json!({"prompt": ""}), "Invalid"),
        (json!({"prompt": " \n\t"}), "Invalid"),
        (json!({"prompt": "a\u{0}b"}), "Invalid"),
        (json!({"prompt": "a\u{1b}[31m"}), "Invalid"),
        (json!({"prompt": "ä".repeat(8193)}), "Invalid"),
        (json!({"prompt": 5}), "Invalid"),
        (json!({"prompt": "the password is Tr0ub4dor&3"}), "SecretFound"),
        (json!({"prompt": "x", "cancel": true}), "Invalid"),
        (
            json!({"prompt": "x", "clusterRef": {"name": "c"}}),
            "NotSupported",
        ),
        (
            json!({"prompt": "x", "notAfter": "2020-01-01T00:00:00Z"}),
            "Expired",
        ),
        (
            json!({"prompt": "x", "scope": {"namespaces": ["other"]}}),
            "ScopeNotAllowed",
        ),
        (
            json!({"prompt": "x", "scope": {"namespaces": ["demo", "*"]}}),
            "ScopeNotAllowed",
        ),
        (
            json!({"prompt": "x", "scope": {"clusterScoped": true}}),
            "ScopeNotAllowed",
        ),
        (
            json!({"prompt": "x", "scope": {"namespaces": ["Not/A/Name"]}}),
            "Invalid",
        ),
        (
            json!({"prompt": "x", "sessionRef": {"name": "none"}}),
            "SessionNotFound",
        ),
        (
            json!({"prompt": "x", "providerRef": {"name": "none"}}),
            "ProviderNotAllowed",
        ),
        (
            json!({"prompt": "", "rollbackOf": {"name": "none"}}),
            "RollbackNotAllowed",
        ),
    ] {
        assert_eq!(fixture.reason(&request(&spec)).await, reason, "{spec}");
    }
}

#[tokio::test]
async fn the_message_about_a_secret_says_class_and_place_and_never_the_value() {
    let fixture = Fixture::new(&[], nothing());
    let spec = json!({"prompt": "é: set password=hunter2 please"});
    let response = fixture.review("/validate", &request(&spec)).await;
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("password at bytes 17 to 24"), "{message}");
    assert!(!response.to_string().contains("hunter2"));
}

#[tokio::test]
async fn who_may_ask() {
    let fixture = Fixture::new(&[], nothing());
    let soon = k8s_openapi::jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 6);
    let late = soon + jiff::SignedDuration::from_hours(48);
    let robot = "system:serviceaccount:flux-system:kustomize-controller";
    for (user, not_after, reason) in [
        (json!({"username": robot}), None, "NotAfterRequired"),
        (json!({"username": robot}), Some(late), "NotAfterRequired"),
        (json!({"username": robot}), Some(soon), ""),
        (json!({"username": "system:admin"}), None, "RefusedIdentity"),
        (
            json!({"username": "system:node:n1", "groups": ["system:nodes"]}),
            None,
            "RefusedIdentity",
        ),
        (json!({"username": "system:anonymous"}), None, "RefusedIdentity"),
        (
            json!({"username": "eve", "groups": ["system:unauthenticated"]}),
            None,
            "RefusedIdentity",
        ),
        (json!({}), None, "RefusedIdentity"),
        (json!({"username": "eve"}), None, ""),
    ] {
        let mut spec = json!({"prompt": "x"});
        if let Some(time) = not_after {
            spec["notAfter"] = json!(time.to_string());
        }
        assert_eq!(
            fixture.reason(&create("ChatRequest", &user, &spec)).await,
            reason,
            "{user}"
        );
    }
}

#[tokio::test]
async fn a_wide_scope_needs_a_ready_policy_that_selects_the_namespace() {
    let wide = request(&json!({"prompt": "x", "scope": {"namespaces": ["*"], "clusterScoped": true}}));
    let namespace = || having("/api/v1/namespaces/demo", "Namespace", json!({}), json!({}));
    let mut unselected = baseline();
    unselected["spec"]["wideScopeFrom"]["matchLabels"]["ops"] = json!("no");
    let mut not_ready = baseline();
    not_ready["metadata"]["name"] = json!("half");
    not_ready["spec"]["notifiers"] =
        json!([{"name": "n", "type": "Webhook", "endpoint": "https://hooks.example.org"}]);
    for (policies, answer, reason) in [
        (vec![baseline()], namespace(), ""),
        (vec![unselected], namespace(), "ScopeNotAllowed"),
        (vec![baseline(), not_ready], namespace(), "ScopeNotAllowed"),
        (vec![], namespace(), "ScopeNotAllowed"),
        (vec![baseline()], nothing(), "ScopeNotAllowed"),
        (
            vec![baseline()],
            Arc::new(|_: &str, _: &str, _: &Value| (500, json!({}))),
            "Unreachable",
        ),
    ] {
        assert_eq!(Fixture::new(&policies, answer).reason(&wide).await, reason);
    }
}

#[tokio::test]
async fn a_session_must_be_ones_own_and_open() {
    let turn = request(&json!({"prompt": "x", "sessionRef": {"name": "it"}}));
    let own = json!({"closed": false, "requester": {"username": "alice"}});
    for (spec, status, reason) in [
        (own.clone(), json!({"turns": 0}), ""),
        (
            own.clone(),
            json!({"turns": 0, "phase": "Processing", "expiresAt": "2999-01-01T00:00:00Z"}),
            "",
        ),
        (
            json!({"closed": false, "requester": {"username": "bob"}}),
            json!({"turns": 0}),
            "SessionNotFound",
        ),
        (json!({"closed": false}), json!({"turns": 0}), "SessionNotFound"),
        (
            json!({"closed": true, "requester": {"username": "alice"}}),
            json!({"turns": 0}),
            "SessionClosed",
        ),
        (
            own.clone(),
            json!({"turns": 0, "phase": "Expired"}),
            "SessionClosed",
        ),
        (
            own.clone(),
            json!({"turns": 0, "expiresAt": "2020-01-01T00:00:00Z"}),
            "SessionClosed",
        ),
    ] {
        let at = "/apis/kubechat.io/v1beta1/namespaces/demo/chatsessions/it";
        let fixture = Fixture::new(&[], having(at, "ChatSession", spec, status));
        assert_eq!(fixture.reason(&turn).await, reason);
    }
}

#[tokio::test]
async fn a_provider_must_serve_the_namespace() {
    let turn = request(&json!({"prompt": "x", "providerRef": {"name": "it"}}));
    for (spec, reason) in [
        (json!({"type": "Rules"}), ""),
        (json!({"type": "Rules", "allowedNamespaces": ["demo"]}), ""),
        (
            json!({"type": "Rules", "allowedNamespaces": ["other"]}),
            "ProviderNotAllowed",
        ),
    ] {
        let at = "/apis/kubechat.io/v1beta1/aiproviders/it";
        assert_eq!(
            Fixture::new(&[], having(at, "AIProvider", spec, json!({})))
                .reason(&turn)
                .await,
            reason
        );
    }
}

#[tokio::test]
async fn a_rollback_asks_for_the_right_before_it_looks() {
    let spec = json!({"prompt": "", "rollbackOf": {"name": "it"}});
    let fixture = Fixture::new(&[], nothing());
    assert_eq!(fixture.reason(&request(&spec)).await, "RollbackNotAllowed");
    let asked: Vec<_> = fixture.asked.lock().unwrap().iter().cloned().collect();
    assert_eq!(asked, ["POST /apis/authorization.k8s.io/v1/subjectaccessreviews"]);
    let at = "/apis/kubechat.io/v1beta1/namespaces/demo/commandplans/it";
    let plan = super::command_plan::plan();
    let fixture = Fixture::new(&[], having(at, "CommandPlan", plan, json!({})));
    assert_eq!(fixture.reason(&request(&spec)).await, "");
    let bob = create("ChatRequest", &json!({"username": "bob"}), &spec);
    assert_eq!(fixture.reason(&bob).await, "RollbackNotAllowed");
}

#[tokio::test]
async fn the_smallest_rate_of_all_policies_binds_and_dry_runs_and_refusals_do_not_count() {
    let limited = |name: &str, limit: i32| {
        json!({
            "apiVersion": "kubechat.io/v1beta1", "kind": "RiskPolicy", "metadata": {"name": name},
            "spec": {"limits": {"turnsPerUserPerMinute": limit}}
        })
    };
    let fixture = Fixture::new(&[limited("a", 2), limited("b", 9)], nothing());
    let turn = request(&json!({"prompt": "x"}));
    let mut dry = turn.clone();
    dry["dryRun"] = json!(true);
    for _ in 0..5 {
        assert_eq!(fixture.reason(&dry).await, "");
        assert_eq!(fixture.reason(&request(&json!({"prompt": ""}))).await, "Invalid");
    }
    assert_eq!(fixture.reason(&turn).await, "");
    assert_eq!(fixture.reason(&turn).await, "");
    assert_eq!(fixture.reason(&turn).await, "LimitExceeded");
    assert_eq!(
        fixture
            .reason(&create(
                "ChatRequest",
                &json!({"username": "bob"}),
                &json!({"prompt": "x"})
            ))
            .await,
        ""
    );
}

#[tokio::test]
async fn refuses_every_turn_until_the_policies_are_read() {
    let fixture = Fixture::unready(nothing());
    assert_eq!(
        fixture.reason(&request(&json!({"prompt": "x"}))).await,
        "NotReady"
    );
}
