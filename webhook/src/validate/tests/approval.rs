use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::command_plan::{destructive, digested, plan};
use crate::testing::{Answer, Fixture, access, baseline, create, not_found};

pub(super) fn bob() -> Value {
    json!({"username": "bob", "uid": "3", "groups": ["approvers"], "extra": {"scopes": ["a"]}})
}

pub(super) fn alice() -> Value {
    json!({"username": "alice"})
}

pub(super) fn decision(user: &Value, plan: &Value, decision: &str) -> Value {
    create(
        "Approval",
        user,
        &json!({"planRef": {"name": "it"}, "planDigest": plan["digest"], "decision": decision}),
    )
}

/// The body of every SubjectAccessReview that was asked.
pub(super) type Reviews = Arc<Mutex<Vec<Value>>>;

/// An API server with one plan, where people hold their verbs in these namespaces only (`*`: cluster-wide).
pub(super) fn cluster(plan: &Value, status: Value, held_in: &'static [&'static str]) -> (Answer, Reviews) {
    let reviews = Reviews::default();
    let (seen, plan) = (reviews.clone(), plan.clone());
    let answer: Answer = Arc::new(move |method, path, body| match (method, path) {
        ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews") => {
            seen.lock().unwrap().push(body["spec"].clone());
            let asked = body["spec"]["resourceAttributes"]["namespace"]
                .as_str()
                .unwrap_or("*");
            (201, access(held_in.contains(&asked)))
        }
        ("GET", "/apis/kubechat.io/v1beta1/namespaces/demo/commandplans/it") => {
            let metadata = json!({"name": "it", "namespace": "demo", "uid": "u"});
            (
                200,
                json!({"apiVersion": "kubechat.io/v1beta1", "kind": "CommandPlan", "metadata": metadata, "spec": plan, "status": status}),
            )
        }
        _ => not_found(),
    });
    (answer, reviews)
}

async fn reason(spec: &Value, held_in: &'static [&'static str], request: &Value) -> String {
    let (answer, _) = cluster(spec, json!({}), held_in);
    Fixture::new(&[baseline()], answer).reason(request).await
}

#[tokio::test]
async fn a_person_with_the_verb_in_every_touched_namespace_may_decide() {
    let spec = destructive();
    let (answer, reviews) = cluster(&spec, json!({"phase": "AwaitingApproval"}), &["demo"]);
    let fixture = Fixture::new(&[baseline()], answer);
    seen(&fixture, &spec);
    for what in ["Approve", "Deny"] {
        assert_eq!(fixture.reason(&decision(&bob(), &spec, what)).await, "");
    }
    let asked = reviews.lock().unwrap()[0].clone();
    assert_eq!(
        (&asked["user"], &asked["uid"], &asked["groups"], &asked["extra"]),
        (
            &json!("bob"),
            &json!("3"),
            &json!(["approvers"]),
            &json!({"scopes": ["a"]})
        )
    );
    assert_eq!(
        asked["resourceAttributes"],
        json!({"verb": "approve-destructive", "group": "kubechat.io", "resource": "commandplans", "namespace": "demo"})
    );
}

/// Seen by this webhook when it was made.
pub(super) fn seen(fixture: &Fixture, plan: &Value) {
    fixture
        .state
        .hints
        .remember(&serde_json::from_value(plan.clone()).unwrap());
}

#[tokio::test]
async fn refuses_a_person_who_lacks_the_verb_in_one_namespace_or_cluster_wide() {
    let mut two = plan();
    let mut other = two["steps"][0]["targets"][0].clone();
    other["namespace"] = json!("other");
    two["steps"][0]["targets"].as_array_mut().unwrap().push(other);
    let two = digested(two);
    let mut node = plan();
    node["steps"][0]["targets"][0]
        .as_object_mut()
        .unwrap()
        .remove("namespace");
    let node = digested(node);
    for (spec, held_in, expected) in [
        (&two, ["demo"].as_slice(), "Forbidden"),
        (&two, &["demo", "other"], ""),
        (&two, &[], "Forbidden"),
        (&node, &["demo"], "Forbidden"),
        (&node, &["*"], ""),
    ] {
        assert_eq!(
            reason(spec, held_in, &decision(&bob(), spec, "Approve")).await,
            expected
        );
    }
}

#[tokio::test]
async fn the_requester_confirms_only_what_the_policy_leaves_to_him_and_withdraws_by_cancel() {
    let (caution, dangerous) = (plan(), destructive());
    let mut strict = plan();
    strict["requirement"][0]["selfConfirm"] = json!(false);
    let strict = digested(strict);
    for (spec, what, expected) in [
        (&caution, "Approve", ""),
        (&dangerous, "Approve", "SelfApproval"),
        (&strict, "Approve", "SelfApproval"),
        (&caution, "Deny", "SelfApproval"),
    ] {
        assert_eq!(
            reason(spec, &["demo"], &decision(&alice(), spec, what)).await,
            expected,
            "{what}"
        );
    }
}

#[tokio::test]
async fn confirming_ones_own_plan_asks_for_no_verb() {
    let spec = plan();
    let (answer, reviews) = cluster(&spec, json!({}), &[]);
    let fixture = Fixture::new(&[baseline()], answer);
    seen(&fixture, &spec);
    assert_eq!(fixture.reason(&decision(&alice(), &spec, "Approve")).await, "");
    assert!(reviews.lock().unwrap().is_empty());
}

#[tokio::test]
async fn refuses_decisions_by_anything_but_a_person() {
    let spec = plan();
    for (name, expected) in [
        (
            "system:serviceaccount:flux-system:kustomize-controller",
            "UntrustedApplier",
        ),
        (
            "system:serviceaccount:kubechat-system:kubechat-operator",
            "UntrustedApplier",
        ),
        ("system:admin", "NotAPerson"),
        ("system:anonymous", "NotAPerson"),
        ("", "NotAPerson"),
    ] {
        let request = decision(
            &json!({"username": name, "groups": ["system:masters"]}),
            &spec,
            "Approve",
        );
        assert_eq!(reason(&spec, &["demo"], &request).await, expected, "{name}");
    }
}

/// A policy that trusts Flux in namespace `demo`.
fn trusting() -> Value {
    let mut policy = baseline();
    policy["metadata"]["name"] = json!("git");
    policy["spec"]["gitops"] = json!({"trustedAppliers": [
        {"serviceAccount": "flux-system/kustomize-controller", "namespaces": ["demo"]}
    ]});
    policy
}

#[tokio::test]
async fn what_a_trusted_applier_brings_is_stored_whatever_it_says_and_asks_nothing() {
    let spec = destructive();
    let user = |name: &str| json!({"username": format!("system:serviceaccount:{name}")});
    let flux = user("flux-system:kustomize-controller");
    let broken: Answer = Arc::new(|_, _, _| (500, json!({})));
    let fixture = Fixture::new(&[baseline(), trusting()], broken);
    let mut odd = decision(&flux, &spec, "Approve");
    odd["object"]["spec"] = json!({
        "planRef": {"name": "not-there-yet"}, "planDigest": format!("sha256:{}", "0".repeat(64)), "decision": "Review",
        "approver": {"username": "carol"}, "signature": {"format": "sshsig", "value": "nonsense"},
        "expiresAt": "2020-01-01T00:00:00Z", "breakGlass": {"incident": "-"}
    });
    for request in [&decision(&flux, &spec, "Approve"), &odd] {
        assert_eq!(fixture.reason(request).await, "");
    }
    assert!(fixture.asked.lock().unwrap().is_empty());
    // Its schema and its namespace are looked at.
    let mut unread = odd.clone();
    unread["object"]["spec"]["signature"] = json!({"format": "pgp", "value": "x"});
    assert_eq!(fixture.reason(&unread).await, "Invalid");
    let mut elsewhere = odd.clone();
    elsewhere["namespace"] = json!("prod");
    elsewhere["object"]["metadata"]["namespace"] = json!("prod");
    assert_eq!(fixture.reason(&elsewhere).await, "UntrustedApplier");
    for other in [
        "flux-system:other",
        "demo:kustomize-controller",
        "x:flux-system/kustomize-controller",
    ] {
        let request = decision(&user(other), &spec, "Approve");
        assert_eq!(fixture.reason(&request).await, "UntrustedApplier", "{other}");
    }
}

/// What `ssh-keygen -Y sign` made with the key of [`KEY`], over something else.
const SIGNATURE: &str = "-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgknBBvtvEKqBHJWW4uAvERO2Z3h\nobjipAOnrquo3VMqgAAAARa3ViZWNoYXQtYXBwcm92YWwAAAAAAAAABnNoYTUxMgAAAFMA\nAAALc3NoLWVkMjU1MTkAAABA0r1n5w3Xr/qYtC+OLjOXqOXwv+ND87UBWO10Qt7qnP2pBE\n9LO0z9IX9/FrKF7hT926YCoQk+/yvb95Y3es/GDg==\n-----END SSH SIGNATURE-----\n";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJJwQb7bxCqgRyVluLgLxETtmd4aG44qQDp66rqN1TKo";

#[tokio::test]
async fn a_person_hears_at_once_that_his_signature_does_not_hold() {
    let spec = plan();
    for (keys, value, expected) in [
        (json!([]), SIGNATURE, "UnknownKey"),
        (
            json!([{"username": "bob", "publicKey": KEY}]),
            SIGNATURE,
            "SignatureInvalid",
        ),
        (
            json!([{"username": "bob", "publicKey": KEY, "revokedAt": "2020-01-01T00:00:00Z"}]),
            SIGNATURE,
            "KeyRevoked",
        ),
        (json!([]), "nonsense", "SignatureInvalid"),
    ] {
        let (answer, _) = cluster(&spec, json!({}), &["demo"]);
        let items: Vec<Value> = keys
            .as_array()
            .unwrap()
            .iter()
            .map(|spec| json!({"metadata": {"name": "k"}, "spec": spec}))
            .collect();
        let with_keys: Answer = Arc::new(move |method, path, body| match path {
            "/apis/kubechat.io/v1beta1/approverkeys" => (200, json!({"metadata": {}, "items": items})),
            _ => answer(method, path, body),
        });
        let mut request = decision(&bob(), &spec, "Approve");
        request["object"]["spec"]["signature"] = json!({"format": "sshsig", "value": value});
        let fixture = Fixture::new(&[baseline()], with_keys);
        assert_eq!(fixture.reason(&request).await, expected);
    }
}

#[tokio::test]
async fn every_registered_key_is_looked_at_however_many_pages_they_fill() {
    let spec = plan();
    let key =
        |username: &str| json!({"metadata": {"name": "k"}, "spec": {"username": username, "publicKey": KEY}});
    for (first, second, expected) in [
        // The person's own key stands on the second page.
        (json!([]), json!([key("bob")]), "SignatureInvalid"),
        // A key that somebody else registered too is nobody's.
        (json!([key("bob")]), json!([key("carol")]), "UnknownKey"),
    ] {
        let (answer, _) = cluster(&spec, json!({}), &["demo"]);
        let with_keys: Answer = Arc::new(move |method, path, body| match path {
            "/apis/kubechat.io/v1beta1/approverkeys" => {
                let next = body.as_str().is_some_and(|query| query.contains("continue=next"));
                let page = |rest: Value, items: &Value| (200, json!({"metadata": rest, "items": items}));
                if next {
                    page(json!({}), &second)
                } else {
                    page(json!({"continue": "next"}), &first)
                }
            }
            _ => answer(method, path, body),
        });
        let mut request = decision(&bob(), &spec, "Approve");
        request["object"]["spec"]["signature"] = json!({"format": "sshsig", "value": SIGNATURE});
        let fixture = Fixture::new(&[baseline()], with_keys);
        assert_eq!(fixture.reason(&request).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn more_keys_than_can_be_looked_through_are_no_proof() {
    let spec = plan();
    let (answer, _) = cluster(&spec, json!({}), &["demo"]);
    let many: Vec<Value> = (0..500)
        .map(|i| json!({"metadata": {"name": format!("k{i}")}, "spec": {"username": "x", "publicKey": KEY}}))
        .collect();
    let endless: Answer = Arc::new(move |method, path, body| match path {
        "/apis/kubechat.io/v1beta1/approverkeys" => {
            (200, json!({"metadata": {"continue": "next"}, "items": many}))
        }
        _ => answer(method, path, body),
    });
    let mut request = decision(&bob(), &spec, "Approve");
    request["object"]["spec"]["signature"] = json!({"format": "sshsig", "value": SIGNATURE});
    let fixture = Fixture::new(&[baseline()], endless);
    assert_eq!(fixture.reason(&request).await, "LimitExceeded");
    // Nor does anybody wait for all of them longer than the API server waits.
    *fixture.pause.lock().unwrap() = Duration::from_millis(1_500);
    let began = tokio::time::Instant::now();
    assert_eq!(fixture.reason(&request).await, "Timeout");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn refuses_decisions_on_another_digest_or_a_prefix_of_it() {
    let spec = plan();
    let whole = spec["digest"].as_str().unwrap();
    for digest in [
        &whole[..30],
        "sha256:",
        "",
        &whole.to_uppercase(),
        &format!("{whole}0"),
        &format!("sha256:{}", "0".repeat(64)),
    ] {
        let mut request = decision(&bob(), &spec, "Approve");
        request["object"]["spec"]["planDigest"] = json!(digest);
        assert_eq!(
            reason(&spec, &["demo"], &request).await,
            "DigestMismatch",
            "{digest}"
        );
    }
}

#[tokio::test]
async fn refuses_decisions_on_plans_that_do_not_wait() {
    let finished = |status: &str| json!({"phase": "Failed", "conditions": [{"type": "Succeeded", "status": status, "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    let mut plan_only = plan();
    plan_only["mode"] = json!("PlanOnly");
    let mut expired = plan();
    expired["expiresAt"] = json!("2020-01-01T00:00:00Z");
    let mut unreadable = plan();
    unreadable["expiresAt"] = json!("tomorrow");
    for (spec, status, expected) in [
        (plan(), finished("True"), "PlanFinished"),
        (plan(), finished("False"), "PlanFinished"),
        (plan(), finished("Unknown"), ""),
        (plan(), Value::Null, ""),
        (digested(plan_only), json!({}), "PlanOnly"),
        (digested(expired), json!({}), "Expired"),
        (digested(unreadable), json!({}), "Expired"),
    ] {
        let (answer, _) = cluster(&spec, status, &["demo"]);
        let fixture = Fixture::new(&[baseline()], answer);
        for what in ["Approve", "Deny"] {
            assert_eq!(
                fixture.reason(&decision(&bob(), &spec, what)).await,
                expected,
                "{what}"
            );
        }
    }
}

#[tokio::test]
async fn while_a_plan_is_executed_only_a_deny_is_taken_which_stops_what_is_left() {
    let under_way = |states: &[&str]| {
        let steps: Vec<Value> = states
            .iter()
            .map(|state| json!({"id": "s1", "state": state}))
            .collect();
        json!({"phase": "Executing", "steps": steps})
    };
    let mut late = plan();
    late["expiresAt"] = json!("2020-01-01T00:00:00Z");
    let late = digested(late);
    for (spec, states, user, what, held_in, expected) in [
        (
            plan(),
            ["Done", "Sent"],
            bob(),
            "Approve",
            ["demo"].as_slice(),
            "Executing",
        ),
        (plan(), ["Done", "Sent"], bob(), "Review", &["demo"], "Executing"),
        (plan(), ["Done", "Sent"], bob(), "Deny", &["demo"], ""),
        (plan(), ["Sent", "Pending"], bob(), "Deny", &["demo"], ""),
        (late.clone(), ["Sent", "Pending"], bob(), "Deny", &["demo"], ""),
        (
            late,
            ["Sent", "Pending"],
            bob(),
            "Approve",
            &["demo"],
            "Executing",
        ),
        // Who has no right stops nothing, the requester cancels, and what is done is done.
        (plan(), ["Done", "Sent"], bob(), "Deny", &[], "Forbidden"),
        (
            plan(),
            ["Done", "Sent"],
            alice(),
            "Deny",
            &["demo"],
            "SelfApproval",
        ),
        (plan(), ["Done", "Done"], bob(), "Deny", &["demo"], "Executing"),
    ] {
        let (answer, _) = cluster(&spec, under_way(&states), held_in);
        let fixture = Fixture::new(&[baseline()], answer);
        let found = fixture.reason(&decision(&user, &spec, what)).await;
        assert_eq!(found, expected, "{what} {states:?} {user}");
    }
}

#[tokio::test]
async fn refuses_what_counts_for_nothing_and_what_is_past() {
    let spec = plan();
    for (field, value, expected) in [
        ("decision", json!("Review"), "Executing"),
        ("breakGlass", json!({"incident": "INC-1"}), "NotEligible"),
        ("approver", json!({"username": "carol"}), "ClaimMismatch"),
        ("expiresAt", json!("2020-01-01T00:00:00Z"), "Expired"),
        ("planRef", json!({"name": "none"}), "PlanNotFound"),
        ("decision", json!("Maybe"), "Invalid"),
    ] {
        let mut request = decision(&bob(), &spec, "Approve");
        request["object"]["spec"][field] = value;
        assert_eq!(reason(&spec, &["demo"], &request).await, expected, "{field}");
    }
}

#[tokio::test]
async fn refuses_people_whom_no_requirement_names_and_says_who_is_needed() {
    let mut spec = plan();
    spec["requirement"] = json!([
        {"policy": "baseline", "count": 1, "selfConfirm": true, "groups": ["sre"]},
        {"policy": "strict", "count": 2, "users": ["carol"]}
    ]);
    let spec = digested(spec);
    let (answer, _) = cluster(&spec, json!({}), &["demo"]);
    let fixture = Fixture::new(&[baseline()], answer);
    let response = fixture
        .review("/validate", &decision(&bob(), &spec, "Approve"))
        .await;
    assert_eq!(response["status"]["reason"], "NotEligible");
    let message = response["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("members of sre") && message.contains("2 of carol"),
        "{message}"
    );
    for good in [
        json!({"username": "dora", "groups": ["sre"]}),
        json!({"username": "carol"}),
    ] {
        assert_eq!(fixture.reason(&decision(&good, &spec, "Approve")).await, "");
    }
    // One Deny by a person with the right ends a plan, whoever else is waited for.
    assert_eq!(fixture.reason(&decision(&bob(), &spec, "Deny")).await, "");
}

#[tokio::test]
async fn an_api_server_that_fails_is_a_refusal() {
    let spec = plan();
    let broken: Answer = Arc::new(|_, _, _| (500, json!({})));
    assert_eq!(
        Fixture::new(&[baseline()], broken)
            .reason(&decision(&bob(), &spec, "Approve"))
            .await,
        "Unreachable"
    );
    let (answer, _) = cluster(&spec, json!({}), &["demo"]);
    let half: Answer = Arc::new(move |method, path, body| {
        if method == "POST" {
            (403, json!({}))
        } else {
            answer(method, path, body)
        }
    });
    assert_eq!(
        Fixture::new(&[baseline()], half)
            .reason(&decision(&bob(), &spec, "Approve"))
            .await,
        "Unreachable"
    );
}
