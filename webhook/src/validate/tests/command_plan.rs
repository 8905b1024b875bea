use kubechat_crds::CommandPlanSpec;
use serde_json::{Value, json};

use crate::testing::{Fixture, baseline, create, nothing};

/// A caution plan by alice that touches namespace `demo`, without its digest.
fn draft() -> Value {
    json!({
        "chatRequestRef": {"name": "a", "uid": "u"}, "requester": {"username": "alice"}, "mode": "Auto",
        "clusterUID": "c", "digest": "", "expiresAt": "2999-01-01T00:00:00Z",
        "risk": {"level": "caution", "score": 28},
        "facts": {"namespaces": [{"name": "demo"}]},
        "blastRadius": {
            "objects": {"Deployment": 1}, "podsLost": 0, "podsTotal": 0, "podsPercent": 0, "nodesPercent": 0, "servicesAtZero": [],
            "pdbsViolated": [], "pvcs": [], "outsideNamespace": 0, "undoneBy": [], "complete": true
        },
        "requirement": [{"policy": "baseline", "count": 1, "selfConfirm": true}],
        "steps": [{
            "id": "s1", "action": "scale", "effect": "update", "command": "kubectl scale", "level": "caution",
            "params": {"replicas": 5}, "rollback": {"kind": "Inverse", "action": "scale", "params": {"replicas": 2}, "why": "test"},
            "patch": "{\"spec\":{\"replicas\":5}}",
            "targets": [{"group": "apps", "version": "v1", "kind": "Deployment", "resource": "deployments",
                         "name": "nginx", "namespace": "demo", "uid": "u1"}]
        }]
    })
}

/// With the digest of its content.
pub(super) fn digested(mut spec: Value) -> Value {
    let typed: CommandPlanSpec = serde_json::from_value(spec.clone()).unwrap();
    spec["digest"] = json!(typed.compute_digest().unwrap());
    spec
}

pub(super) fn plan() -> Value {
    digested(draft())
}

pub(super) fn destructive() -> Value {
    let mut spec = draft();
    spec["steps"][0]["action"] = json!("delete");
    spec["steps"][0]["effect"] = json!("delete");
    spec["steps"][0]["level"] = json!("destructive");
    spec["risk"] = json!({"level": "destructive", "score": 70});
    spec["requirement"] = json!([{"policy": "baseline", "count": 1}]);
    digested(spec)
}

fn with(mut spec: Value, at: &str, value: Value) -> Value {
    let (parent, key) = at.rsplit_once('/').unwrap();
    match spec.pointer_mut(parent).unwrap() {
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
        parent => parent[key] = value,
    }
    digested(spec)
}

fn operator() -> Value {
    json!({"username": "system:serviceaccount:kubechat-system:kubechat-operator"})
}

async fn reason(fixture: &Fixture, spec: &Value) -> String {
    fixture.reason(&create("CommandPlan", &operator(), spec)).await
}

#[tokio::test]
async fn allows_plans_that_are_at_least_as_strict_as_the_live_policies() {
    let fixture = Fixture::new(&[baseline()], nothing());
    for spec in [
        plan(),
        destructive(),
        with(plan(), "/risk/score", json!(69)),
        with(plan(), "/requirement/0/count", json!(3)),
        with(plan(), "/requirement/0/selfConfirm", json!(false)),
        with(destructive(), "/steps/0/level", json!("caution")),
    ] {
        assert_eq!(reason(&fixture, &spec).await, "");
    }
}

#[tokio::test]
async fn refuses_plans_that_lower_the_judgement() {
    let fixture = Fixture::new(&[baseline()], nothing());
    let mut stale = plan();
    stale["steps"][0]["params"]["replicas"] = json!(6);
    let mut prefix = plan();
    prefix["digest"] = json!(prefix["digest"].as_str().unwrap()[..20]);
    let mut none = plan();
    none["digest"] = json!("");
    for (spec, expected) in [
        (stale, "DigestMismatch"),
        (prefix, "DigestMismatch"),
        (none, "DigestMismatch"),
        (with(plan(), "/risk/level", json!("safe")), "RiskTooLow"),
        (with(plan(), "/risk/score", json!(24)), "RiskTooLow"),
        (with(plan(), "/risk/score", json!(27)), "RiskTooLow"),
        // The facts a judgement rests on are part of it: a namespace nothing is known of counts as protected.
        (with(plan(), "/facts/namespaces", json!([])), "RiskTooLow"),
        (with(plan(), "/blastRadius", Value::Null), "RiskTooLow"),
        (
            with(
                plan(),
                "/facts/namespaces/0",
                json!({"name": "demo", "protected": true}),
            ),
            "RiskTooLow",
        ),
        (with(plan(), "/facts/incident", json!(true)), "RiskTooLow"),
        (
            with(destructive(), "/risk", json!({"level": "caution", "score": 69})),
            "RiskTooLow",
        ),
        (
            with(plan(), "/risk", json!({"level": "destructive", "score": 30})),
            "RiskTooLow",
        ),
        (with(plan(), "/requirement", json!([])), "RequirementTooLow"),
        (
            with(plan(), "/requirement/0/policy", json!("other")),
            "RequirementTooLow",
        ),
        (
            with(
                destructive(),
                "/requirement/0",
                json!({"policy": "baseline", "count": 1, "selfConfirm": true}),
            ),
            "RequirementTooLow",
        ),
        (json!({"steps": "none"}), "Invalid"),
        (json!({}), "Invalid"),
    ] {
        assert_eq!(reason(&fixture, &spec).await, expected, "{spec}");
    }
}

#[tokio::test]
async fn refuses_plans_made_for_an_installation_in_another_namespace() {
    let fixture = Fixture::new(&[baseline()], nothing());
    let here = with(plan(), "/facts/ownNamespace", json!("kubechat-system"));
    assert_eq!(reason(&fixture, &here).await, "");
    for other in ["chat", ""] {
        let there = with(plan(), "/facts/ownNamespace", json!(other));
        assert_eq!(reason(&fixture, &there).await, "ForbiddenClass", "{other}");
    }
}

#[tokio::test]
async fn refuses_a_plan_that_removes_the_namespace_it_is_made_in() {
    let fixture = Fixture::new(&[baseline()], nothing());
    let removes = |name: &str| {
        let target = json!({"group": "", "version": "v1", "kind": "Namespace", "resource": "namespaces", "name": name, "uid": "u1"});
        let spec = with(destructive(), "/facts/namespaces", json!([{"name": name}]));
        let spec = with(spec, "/risk", json!({"level": "destructive", "score": 100}));
        let spec = with(spec, "/requirement/0/count", json!(2));
        with(spec, "/steps/0/targets", json!([target]))
    };
    // It is made in `demo`.
    assert_eq!(reason(&fixture, &removes("demo")).await, "ForbiddenClass");
    assert_eq!(reason(&fixture, &removes("other")).await, "");
}

#[tokio::test]
async fn refuses_plans_that_touch_the_namespace_of_the_keys_that_it_was_started_with() {
    let fixture = Fixture::new(&[baseline()], nothing());
    for (namespace, expected) in [
        ("keys", "ForbiddenClass"),
        ("kubechat-credentials", "ForbiddenClass"),
    ] {
        let there = with(plan(), "/steps/0/targets/0/namespace", json!(namespace));
        assert_eq!(reason(&fixture, &there).await, expected, "{namespace}");
    }
}

#[tokio::test]
async fn refuses_changes_until_the_policies_are_read() {
    let fixture = Fixture::unready(nothing());
    assert_eq!(reason(&fixture, &plan()).await, "NotReady");
}

#[tokio::test]
async fn a_plan_without_any_policy_is_stored_because_it_waits_but_its_risk_is_still_enforced() {
    let fixture = Fixture::new(&[], nothing());
    assert_eq!(
        reason(&fixture, &with(plan(), "/requirement", json!([]))).await,
        ""
    );
    assert_eq!(
        reason(
            &fixture,
            &with(plan(), "/risk", json!({"level": "safe", "score": 0}))
        )
        .await,
        "RiskTooLow"
    );
}

#[tokio::test]
async fn a_service_accounts_plan_needs_its_own_namespace_and_a_signature() {
    let fixture = Fixture::new(&[baseline()], nothing());
    let by = |account: &str| with(plan(), "/requester/username", json!(account));
    let own = "system:serviceaccount:demo:deployer";
    let signed = json!([
        {"policy": "baseline", "count": 1, "selfConfirm": true},
        {"policy": "kubechat", "rule": "signed-by-a-person", "count": 1, "signature": true}
    ]);
    let mut unsigned = signed.clone();
    unsigned[1]["signature"] = json!(false);
    let flux = "system:serviceaccount:flux-system:kustomize-controller";
    for (account, requirement, expected) in [
        (own, signed.clone(), ""),
        (own, json!([signed[0]]), "RequirementTooLow"),
        (own, unsigned, "RequirementTooLow"),
        (flux, signed.clone(), "ApplierIdentity"),
        ("system:serviceaccount:demo", signed, "ApplierIdentity"),
    ] {
        let spec = with(by(account), "/requirement", requirement);
        assert_eq!(reason(&fixture, &spec).await, expected, "{account}: {spec}");
    }
}

#[tokio::test]
async fn refuses_what_a_live_policy_denies_or_makes_more_dangerous_and_what_nobody_may_do() {
    let rule = |effect: &str, at_least: Option<&str>| {
        let mut rule = json!({"name": "nginx", "when": "target.name == 'nginx'", "effect": effect, "message": "hands off nginx"});
        if let Some(level) = at_least {
            rule["atLeast"] = json!(level);
        }
        let mut pack = baseline();
        pack["spec"]["rules"] = json!([rule]);
        pack
    };
    let own = with(
        destructive(),
        "/steps/0/targets/0",
        json!({"group": "kubechat.io", "version": "v1beta1", "kind": "RiskPolicy", "resource": "riskpolicies",
               "name": "baseline"}),
    );
    let own = with(own, "/risk/score", json!(100));
    for (pack, spec, expected, words) in [
        (rule("Deny", None), plan(), "PolicyDenied", "hands off nginx"),
        (
            rule("RequireApproval", Some("destructive")),
            plan(),
            "RiskTooLow",
            "the RiskPolicies make it destructive",
        ),
        (baseline(), own, "ForbiddenClass", "never changes its own judge"),
    ] {
        let fixture = Fixture::new(&[pack], nothing());
        let review = create("CommandPlan", &operator(), &spec);
        assert_eq!(fixture.reason(&review).await, expected);
        let answer = fixture.review("/validate", &review).await;
        let said = answer["status"]["message"].as_str().unwrap_or_default();
        assert!(said.contains(words), "{said}");
    }
    // The same rule leaves another object alone.
    let other = with(plan(), "/steps/0/targets/0/name", json!("other"));
    let fixture = Fixture::new(&[rule("Deny", None)], nothing());
    assert_eq!(reason(&fixture, &other).await, "");
}
