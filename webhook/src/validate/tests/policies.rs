use serde_json::{Value, json};

use crate::testing::{Fixture, alice, baseline, create, nothing, update};

const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl bob@example.org";

async fn reason(kind: &str, spec: &Value) -> String {
    Fixture::unready(nothing())
        .reason(&create(kind, &alice(), spec))
        .await
}

async fn warnings(kind: &str, old: &Value, new: &Value) -> Vec<String> {
    let mut request = update(kind, &alice(), old, new);
    request["object"]["metadata"]["name"] = json!("default");
    let response = Fixture::unready(nothing()).review("/validate", &request).await;
    assert_eq!(response["allowed"], true, "{response}");
    let list = response
        .get("warnings")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    list.iter().map(|w| w.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn judges_risk_policies() {
    let rule = |name: &str, effect: &str| json!({"name": name, "when": "true", "effect": effect});
    let mut allow_requires = rule("a", "Allow");
    allow_requires["require"] = json!({"count": 1});
    for (spec, expected) in [
        (json!({}), ""),
        (
            json!({"approvals": {"caution": {"count": 1, "selfConfirm": true}, "destructive": {"count": 2}}}),
            "",
        ),
        (
            json!({"approvals": {"destructive": {"count": 1, "selfConfirm": true}}}),
            "Invalid",
        ),
        (json!({"maxPlanAge": {"caution": "0s"}}), "Invalid"),
        (json!({"maxIdentityAge": {"destructive": "soon"}}), "Invalid"),
        (
            json!({"wideScopeFrom": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}),
            "Invalid",
        ),
        (
            json!({"rules": [rule("a", "Deny"), rule("a", "Deny")]}),
            "Invalid",
        ),
        (json!({"rules": [allow_requires]}), "Invalid"),
        (
            json!({"freezes": [{"effect": "Allow", "cron": "0 0 * * *", "duration": "1h"}]}),
            "Invalid",
        ),
        (
            json!({"freezes": [{"effect": "Deny", "from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}]}),
            "Invalid",
        ),
        (
            json!({"gitops": {"trustedAppliers": [{"serviceAccount": "flux", "namespaces": ["a"]}]}}),
            "Invalid",
        ),
        (
            json!({"notifiers": [{"name": "n", "type": "Webhook", "endpoint": "http://169.254.169.254/"}]}),
            "EndpointNotAllowed",
        ),
        (
            json!({"notifiers": [{"name": "n", "type": "Email", "endpoint": "ops@example.org"}]}),
            "",
        ),
        (
            json!({"notifiers": [{"name": "n", "type": "Slack", "endpoint": format!("https://hooks.slack.com/services/T0/B0/{}", "aB3".repeat(8))}]}),
            "SecretFound",
        ),
        (json!({"suspend": "yes"}), "Invalid"),
    ] {
        assert_eq!(reason("RiskPolicy", &spec).await, expected, "{spec}");
    }
}

#[tokio::test]
async fn warns_when_a_risk_policy_asks_for_less_and_only_then() {
    let strict = json!({
        "suspend": true,
        "approvals": {"caution": {"count": 2, "groups": ["sre"]}, "destructive": {"count": 2}},
        "limits": {"stepsPerPlan": 5}, "maxPlanAge": {"caution": "1h"}
    });
    let with = |at: &str, value: Value| {
        let mut changed = strict.clone();
        *changed.pointer_mut(at).unwrap() = value;
        changed
    };
    for (new, about) in [
        (with("/suspend", json!(false)), "suspend"),
        (
            with("/approvals/caution", json!({"count": 1, "groups": ["sre"]})),
            "approvals.caution.count",
        ),
        (
            with(
                "/approvals/caution",
                json!({"count": 2, "groups": ["sre"], "selfConfirm": true}),
            ),
            "selfConfirm",
        ),
        (with("/approvals/caution", json!({"count": 2})), "groups"),
        (
            with(
                "/approvals/caution",
                json!({"count": 2, "groups": ["sre", "all"]}),
            ),
            "groups",
        ),
        (
            with("/approvals", json!({"caution": {"count": 2, "groups": ["sre"]}})),
            "approvals.destructive.count",
        ),
        (with("/limits", json!({})), "limits.stepsPerPlan"),
        (with("/limits/stepsPerPlan", json!(6)), "limits.stepsPerPlan"),
        (with("/maxPlanAge/caution", json!("2h")), "maxPlanAge.caution"),
    ] {
        let told = warnings("RiskPolicy", &strict, &new).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("weaker than before: ") && told[0].contains(about),
            "{told:?}"
        );
    }
    for stricter in [
        strict.clone(),
        with("/approvals/destructive/count", json!(3)),
        with("/limits/stepsPerPlan", json!(1)),
        with("/maxPlanAge/caution", json!("30m")),
        with(
            "/approvals/caution",
            json!({"count": 2, "groups": ["sre"], "users": ["carol", "dave"]}),
        ),
    ] {
        assert_eq!(
            warnings("RiskPolicy", &strict, &stricter).await,
            Vec::<String>::new()
        );
    }
}

#[tokio::test]
async fn warns_of_fields_that_keep_a_risk_policy_from_being_ready() {
    let later =
        json!({"notifiers": [{"name": "n", "type": "Webhook", "endpoint": "https://hooks.example.org"}]});
    let told: Vec<_> = warnings("RiskPolicy", &later, &later).await;
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("not supported yet"), "{told:?}");
}

#[tokio::test]
async fn refuses_rules_and_freezes_that_cannot_be_used_and_says_where() {
    let rule = |when: &str| json!({"rules": [{"name": "a", "when": when, "effect": "Deny"}]});
    let freeze = |freeze: Value| json!({"freezes": [freeze]});
    let costly = "requester.groups.all(a, requester.groups.all(b, requester.groups.all(c, a == b)))";
    for (spec, words) in [
        (rule("plan.level =="), "rule a: when, 1:14"),
        (
            rule("plan.level == 'x' &&\n step.acton == 'y'"),
            "2:7: step has no field acton",
        ),
        (rule(costly), "costs too much"),
        (rule("plan.level"), "not true or false"),
        (rule("plan.steps[7].action == 'x'"), "can never be judged"),
        (
            freeze(json!({"cron": "0 0 * *", "duration": "1h", "effect": "Deny"})),
            "freeze 1: cron",
        ),
        (
            freeze(json!({"cron": "0 0 * * *", "duration": "1h", "timeZone": "Mars/X", "effect": "Deny"})),
            "no IANA time zone",
        ),
    ] {
        let request = create("RiskPolicy", &alice(), &spec);
        let response = Fixture::unready(nothing()).review("/validate", &request).await;
        let message = response["status"]["message"].as_str().unwrap_or_default();
        assert_eq!(response["allowed"], false, "{spec}");
        assert!(
            message.contains(words) && message.contains("Nothing was stored"),
            "{spec}: {message}"
        );
    }
}

#[tokio::test]
async fn warns_when_rules_ask_for_less_and_only_then() {
    let pack = |rules: Value| json!({"rules": rules});
    let rule = |when: &str, effect: &str| json!({"name": "a", "when": when, "effect": effect});
    let two = |count: i32| json!({"name": "a", "when": "plan.protected", "effect": "RequireApproval", "require": {"count": count}});
    let mut raised = rule("plan.protected", "RequireApproval");
    raised["atLeast"] = json!("destructive");
    let ask = || rule("plan.protected", "RequireApproval");
    let glass = |within: &str| json!({"breakGlass": {"groups": ["sre"], "reviewWithin": within}});
    for (old, new, expected) in [
        (
            pack(json!([ask()])),
            pack(json!([rule("plan.protected", "Deny")])),
            "",
        ),
        (pack(json!([ask()])), pack(json!([raised.clone()])), ""),
        (pack(json!([two(1)])), pack(json!([two(2)])), ""),
        (pack(json!([ask()])), pack(json!([two(2)])), ""),
        (pack(json!([])), pack(json!([ask()])), ""),
        (
            pack(json!([rule("plan.protected", "Allow")])),
            pack(json!([])),
            "",
        ),
        (glass("24h"), glass("8h"), ""),
        (
            pack(json!([rule("plan.protected", "Deny")])),
            pack(json!([ask()])),
            "rule a",
        ),
        (pack(json!([raised])), pack(json!([ask()])), "rule a"),
        (pack(json!([two(2)])), pack(json!([two(1)])), "rule a"),
        (pack(json!([two(2)])), pack(json!([ask()])), "rule a"),
        (
            pack(json!([ask()])),
            pack(json!([rule("plan.incident", "RequireApproval")])),
            "rule a",
        ),
        (pack(json!([ask()])), pack(json!([])), "rule a"),
        (
            pack(json!([])),
            pack(json!([rule("plan.protected", "Allow")])),
            "rule a allows",
        ),
        (glass("8h"), glass("24h"), "breakGlass.reviewWithin"),
        (json!({}), glass("24h"), "breakGlass.groups"),
    ] {
        let told = warnings("RiskPolicy", &old, &new).await;
        match expected {
            "" => assert_eq!(told, Vec::<String>::new(), "{new}"),
            about => assert!(told.len() == 1 && told[0].contains(about), "{new}: {told:?}"),
        }
    }
}

#[tokio::test]
async fn judges_providers() {
    let ollama = |endpoint: &str| json!({"type": "Ollama", "endpoint": endpoint});
    for (spec, expected) in [
        (json!({"type": "Rules"}), ""),
        (ollama("http://ollama.ai.svc:11434"), ""),
        (ollama("https://api.example.org"), "EndpointNotAllowed"),
        (ollama("http://user:hunter2@ollama.ai.svc"), "SecretFound"),
        (ollama("http://user@ollama.ai.svc"), "EndpointNotAllowed"),
        (
            json!({"type": "OpenAICompatible", "endpoint": "https://api.example.org/v1", "egress": "External"}),
            "",
        ),
        (
            json!({"type": "OpenAICompatible", "endpoint": "https://169.254.169.254/v1", "egress": "External"}),
            "EndpointNotAllowed",
        ),
        (
            json!({"type": "OpenAICompatible", "endpoint": "https://api.example.org/v1", "egress": "External", "model": concat!("sk-", "proj-", "Zx8Kq2LmW9vTr4Yp6BnD1sGf7HjC3uEa5Xo0")}),
            "SecretFound",
        ),
        (
            json!({"type": "Gemini", "endpoint": "http://api.example.org", "egress": "External"}),
            "EndpointNotAllowed",
        ),
        (json!({"type": "Oracle"}), "Invalid"),
        (json!({}), "Invalid"),
    ] {
        assert_eq!(reason("AIProvider", &spec).await, expected, "{spec}");
    }
    let old = json!({"type": "Ollama", "endpoint": "http://ollama.ai.svc", "allowedNamespaces": ["a"]});
    let new = json!({"type": "Ollama", "endpoint": "https://api.example.org", "egress": "External", "disclosure": "Findings"});
    let told = warnings("AIProvider", &old, &new).await;
    assert_eq!(
        told.iter()
            .filter(|w| w.starts_with("weaker than before"))
            .count(),
        4,
        "{told:?}"
    );
    let told = warnings("AIProvider", &new, &new).await;
    assert!(
        told.len() == 1 && told[0].contains("disclosure: Findings is not supported"),
        "{told:?}"
    );
}

#[tokio::test]
async fn who_writes_a_provider_outside_hears_that_no_policy_names_its_host_yet() {
    let outside = json!({"type": "Anthropic", "endpoint": "https://api.example.org", "egress": "External", "model": "m"});
    let mut naming = baseline();
    naming["spec"]["egressHosts"] = json!(["API.example.org"]);
    for (policies, named) in [(vec![baseline()], false), (vec![naming], true)] {
        let fixture = Fixture::new(&policies, nothing());
        let response = fixture
            .review("/validate", &create("AIProvider", &alice(), &outside))
            .await;
        assert_eq!(response["allowed"], true, "{response}");
        let told = response["warnings"].to_string();
        assert_eq!(
            told.contains("no RiskPolicy names api.example.org"),
            !named,
            "{told}"
        );
    }
}

#[tokio::test]
async fn judges_the_audit_policy() {
    let named = |name: &str, spec: &Value| {
        let mut request = create("AuditPolicy", &alice(), spec);
        request["object"]["metadata"]["name"] = json!(name);
        request
    };
    for (name, spec, expected) in [
        ("default", json!({}), ""),
        (
            "default",
            json!({"levels": {"data_access": "Metadata"}, "retention": "8760h"}),
            "",
        ),
        ("other", json!({}), "Invalid"),
        ("default", json!({"levels": {"everything": "Off"}}), "Invalid"),
        (
            "default",
            json!({"sinks": [{"name": "s", "endpoint": "http://metadata.google.internal/"}]}),
            "EndpointNotAllowed",
        ),
        (
            "default",
            json!({"witnesses": ["ftp://w.example.org"]}),
            "EndpointNotAllowed",
        ),
        (
            "default",
            json!({"sinks": [{"name": "s", "endpoint": "https://u:p4ssw0rd@siem.example.org"}]}),
            "SecretFound",
        ),
    ] {
        assert_eq!(
            Fixture::unready(nothing()).reason(&named(name, &spec)).await,
            expected,
            "{spec}"
        );
    }
    let old = json!({"legalHold": true, "sinks": [{"name": "s"}], "witnesses": ["https://w.example.org"]});
    let new = json!({"retention": "24h", "levels": {"data_access": "Off"}});
    assert_eq!(warnings("AuditPolicy", &old, &new).await.len(), 5);
    assert_eq!(warnings("AuditPolicy", &new, &old).await, Vec::<String>::new());
}

#[tokio::test]
async fn judges_approver_keys() {
    let with = |key: &str| json!({"username": "bob", "publicKey": key});
    let private = format!("-----BEGIN OPENSSH {} KEY-----\nb3BlbnNzaC1rZXk", "PRIVATE");
    for (spec, expected) in [
        (with(PUBLIC_KEY), ""),
        (with(&PUBLIC_KEY[..40]), "Invalid"),
        (with("ssh-rsa AAAA"), "Invalid"),
        (with(&private), "SecretFound"),
        (
            json!({"username": "bob", "publicKey": PUBLIC_KEY, "notBefore": "2027-01-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00Z"}),
            "Invalid",
        ),
        (json!({"username": "bob"}), "Invalid"),
    ] {
        assert_eq!(reason("ApproverKey", &spec).await, expected, "{spec}");
    }
}
