//! What is asked before it is needed, and what the API server remembers, never makes an answer another one.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::approval::{alice, bob, cluster, decision, seen};
use super::command_plan::{destructive, digested, plan};
use super::emergency::executed;
use crate::testing::{Answer, Fixture, access, baseline, create, not_found};

#[tokio::test(start_paused = true)]
async fn rights_asked_at_the_stamp_count_once_and_soon_and_for_the_same_person_and_plan() {
    let spec = destructive();
    let questions = |fixture: &Fixture| {
        let asked = fixture.asked.lock().unwrap();
        asked.iter().filter(|one| one.starts_with("POST")).count()
    };
    let mut same_name = bob();
    same_name["groups"] = json!(["approvers", "more"]);
    let another = plan();
    // What is no digest of a plan is neither kept nor asked about before the schema has judged it.
    let fixture = Fixture::new(&[baseline()], cluster(&spec, json!({}), &["demo"]).0);
    let mut long = decision(&bob(), &spec, "Approve");
    long["object"]["spec"]["planDigest"] = json!("x".repeat(1 << 20));
    fixture.review("/mutate", &long).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(questions(&fixture), 0);
    // Who decides after how long on which plan, after bob's decision was stamped; how often rights are asked in all.
    for (who, late, of, expected) in [
        (bob(), 0, &spec, 1),
        (bob(), 2, &spec, 2),
        (same_name, 0, &spec, 2),
        (bob(), 0, &another, 2),
    ] {
        let (answer, _) = cluster(of, json!({}), &["demo"]);
        let fixture = Fixture::new(&[baseline()], answer);
        seen(&fixture, &spec);
        seen(&fixture, &another);
        let stamped = fixture
            .review("/mutate", &decision(&bob(), &spec, "Approve"))
            .await;
        assert_eq!(stamped["allowed"], true, "{stamped}");
        tokio::time::advance(Duration::from_secs(late)).await;
        let request = decision(&who, of, "Approve");
        assert_eq!(fixture.reason(&request).await, "");
        assert_eq!(questions(&fixture), expected, "{who} {late}");
        assert_eq!(fixture.reason(&request).await, "");
        assert_eq!(questions(&fixture), expected + 1, "an answer counts once");
    }
}

#[tokio::test(start_paused = true)]
async fn more_decisions_than_are_remembered_are_judged_all_the_same() {
    let spec = destructive();
    let (answer, reviews) = cluster(&spec, json!({}), &["demo"]);
    let fixture = Fixture::new(&[baseline()], answer);
    seen(&fixture, &spec);
    let request = decision(&bob(), &spec, "Approve");
    for _ in 0..300 {
        fixture.review("/mutate", &request).await;
    }
    // The clock stands until no task has anything left to do.
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(reviews.lock().unwrap().len(), 256);
    for _ in 0..300 {
        assert_eq!(fixture.reason(&request).await, "");
    }
    assert_eq!(reviews.lock().unwrap().len(), 300);
}

/// Tasks of this runtime that have not ended.
fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn however_slow_the_answers_no_more_tasks_ask_than_decisions_are_kept() {
    let spec = destructive();
    let silent: Answer = Arc::new(|_, _, _| (0, Value::Null));
    let fixture = Fixture::new(&[baseline()], silent);
    seen(&fixture, &spec);
    let request = decision(&bob(), &spec, "Approve");
    let before = tasks();
    for round in 0..3 {
        let mut most = 0;
        for _ in 0..300 {
            fixture.review("/mutate", &request).await;
            most = most.max(tasks() - before);
        }
        assert!(most <= 256, "{most} in round {round}");
        // The clock stands until no task has anything left to do: those whose places were given away have ended.
        tokio::time::sleep(Duration::from_millis(1)).await;
        fixture.review("/mutate", &request).await;
        assert!(tasks() > before, "places come back in round {round}");
        // Past the time for which an answer counts, not past that for which one is waited for.
        tokio::time::advance(Duration::from_millis(1100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_on_asking_for_a_decision_that_was_refused() {
    let spec = destructive();
    let no_plan: Answer = Arc::new(|method, _, _| match method {
        "POST" => (0, Value::Null),
        _ => not_found(),
    });
    let fixture = Fixture::new(&[baseline()], no_plan);
    seen(&fixture, &spec);
    let request = decision(&bob(), &spec, "Approve");
    let before = tasks();
    fixture.review("/mutate", &request).await;
    assert_eq!(tasks(), before + 1);
    assert_eq!(fixture.reason(&request).await, "PlanNotFound");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(tasks(), before);
}

#[tokio::test]
async fn for_a_refusal_the_plan_is_read_again_and_nothing_else_is_asked_twice() {
    let spec = destructive();
    let carol = json!({"username": "carol"});
    let (waiting, executing) = (json!({}), json!({"phase": "Executing"}));
    let of = |status: &Value, version: &'static str, held: &'static [&'static str]| -> Answer {
        let stored = cluster(&spec, status.clone(), held).0;
        Arc::new(move |method, path, body| {
            let (code, mut found) = stored(method, path, body);
            if found["kind"] == "CommandPlan" {
                found["metadata"]["resourceVersion"] = json!(version);
            }
            (code, found)
        })
    };
    // What is remembered, what is stored (status and version), what carol decides, where she holds the right, whether it is
    // signed with nonsense, and what she hears.
    for (recent, fresh, what, held, signed, expected) in [
        (
            (&waiting, "7"),
            (&waiting, "7"),
            "Approve",
            [].as_slice(),
            false,
            "Forbidden",
        ),
        (
            (&waiting, "7"),
            (&waiting, "8"),
            "Approve",
            &[],
            false,
            "Forbidden",
        ),
        (
            (&waiting, "7"),
            (&waiting, "7"),
            "Approve",
            &["demo"],
            true,
            "SignatureInvalid",
        ),
        (
            (&waiting, "7"),
            (&waiting, "8"),
            "Approve",
            &["demo"],
            true,
            "SignatureInvalid",
        ),
        (
            (&waiting, "7"),
            (&executing, "8"),
            "Approve",
            &[],
            false,
            "Executing",
        ),
        (
            (&executing, "7"),
            (&waiting, "8"),
            "Approve",
            &["demo"],
            false,
            "",
        ),
        (
            (&waiting, "7"),
            (&waiting, "7"),
            "Review",
            &["demo"],
            false,
            "Executing",
        ),
        (
            (&waiting, "7"),
            (&executed(), "8"),
            "Review",
            &["demo"],
            false,
            "",
        ),
    ] {
        let (remembered, stored) = (of(recent.0, recent.1, held), of(fresh.0, fresh.1, held));
        let answer: Answer = Arc::new(move |method, path, body| {
            let recent = body
                .as_str()
                .is_some_and(|query| query.contains("resourceVersion=0"));
            match path {
                "/apis/kubechat.io/v1beta1/approverkeys" => (200, json!({"metadata": {}, "items": []})),
                _ if recent => remembered(method, path, body),
                _ => stored(method, path, body),
            }
        });
        let fixture = Fixture::new(&[baseline()], answer);
        seen(&fixture, &spec);
        let mut request = decision(&carol, &spec, what);
        if signed {
            request["object"]["spec"]["signature"] = json!({"format": "sshsig", "value": "nonsense"});
        }
        let case = format!("{what} {recent:?} {fresh:?}");
        assert_eq!(fixture.reason(&request).await, expected, "{case}");
        let asked = fixture.asked.lock().unwrap();
        let count = |of: &str| asked.iter().filter(|one| one.contains(of)).count();
        assert_eq!(count("subjectaccessreviews"), 1, "{case}");
        assert_eq!(count("approverkeys"), usize::from(signed), "{case}");
        assert_eq!(count("commandplans/it"), 2, "{case}");
    }
}

/// A plan in two namespaces.
fn wide() -> Value {
    let mut wide = destructive();
    let mut other = wide["steps"][0]["targets"][0].clone();
    other["namespace"] = json!("other");
    wide["steps"][0]["targets"].as_array_mut().unwrap().push(other);
    digested(wide)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_heard_in_time_where_the_api_server_is_slow() {
    let wide = wide();
    let fixture = Fixture::new(&[baseline()], cluster(&wide, json!({}), &["demo"]).0);
    *fixture.pause.lock().unwrap() = Duration::from_millis(1_200);
    let heard = fixture.reason(&decision(&bob(), &wide, "Approve")).await;
    assert_eq!(heard, "Forbidden");
}

#[tokio::test]
async fn of_many_rights_only_those_are_asked_that_were_not_asked_early() {
    let wide = wide();
    for (held, expected) in [
        (["demo", "other"].as_slice(), ""),
        (&["demo"], "Forbidden"),
        (&["other"], "Forbidden"),
    ] {
        let (answer, reviews) = cluster(&wide, json!({}), held);
        // This webhook has not seen the plan: the rights of both levels in its namespace are asked early.
        let fixture = Fixture::new(&[baseline()], answer);
        let heard = fixture.reason(&decision(&bob(), &wide, "Approve")).await;
        assert_eq!(heard, expected, "{held:?}");
        assert_eq!(reviews.lock().unwrap().len(), 3, "{held:?}");
    }
}

#[tokio::test]
async fn nobody_is_refused_by_what_the_api_server_remembers_and_past_plans_take_no_decision() {
    let spec = destructive();
    let finished = json!({"conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded",
        "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    let is_recent = |query: &Value| {
        query
            .as_str()
            .is_some_and(|query| query.contains("resourceVersion=0"))
    };
    // What is remembered, what is stored, what the person hears, how often the plan is read.
    for (recent, fresh, expected, reads) in [
        (Some(json!({})), Some(json!({})), "", 1),
        (None, Some(json!({})), "", 2),
        (Some(finished.clone()), Some(json!({})), "", 2),
        (Some(finished.clone()), Some(finished), "PlanFinished", 2),
        (None, None, "PlanNotFound", 2),
    ] {
        let of = |status: &Option<Value>| status.clone().map(|status| cluster(&spec, status, &["demo"]).0);
        let (remembered, stored, rights) = (of(&recent), of(&fresh), cluster(&spec, json!({}), &["demo"]).0);
        let answer: Answer = Arc::new(move |method, path, body| {
            let plan = if is_recent(body) { &remembered } else { &stored };
            match (method, plan) {
                ("GET", Some(plan)) => plan(method, path, body),
                ("GET", None) => not_found(),
                _ => rights(method, path, body),
            }
        });
        let fixture = Fixture::new(&[baseline()], answer);
        let heard = fixture.reason(&decision(&bob(), &spec, "Approve")).await;
        assert_eq!(heard, expected, "{recent:?}");
        let asked = fixture.asked.lock().unwrap();
        let plans = asked.iter().filter(|one| one.starts_with("GET")).count();
        assert_eq!(plans, reads, "{recent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rights_are_asked_while_the_plan_is_read_and_of_the_requester_none() {
    let spec = destructive();
    let no_plan_in_time: Answer = Arc::new(|method, _, _| match method {
        "POST" => (201, access(true)),
        _ => (0, json!({})),
    });
    // Of a plan this webhook has not seen, the rights of both levels.
    for (known, by, asked) in [(true, bob(), 2), (false, bob(), 3), (true, alice(), 1)] {
        let fixture = Fixture::new(&[baseline()], no_plan_in_time.clone());
        if known {
            let made = create("CommandPlan", &bob(), &spec);
            assert_eq!(fixture.reason(&made).await, "");
        }
        let request = decision(&by, &spec, "Approve");
        assert_eq!(fixture.reason(&request).await, "Unreachable");
        assert_eq!(fixture.asked.lock().unwrap().len(), asked, "{known} {by}");
    }
}

#[tokio::test]
async fn a_right_that_was_asked_early_is_never_more_than_the_plan_as_stored_needs() {
    let small = plan();
    let mut wide = plan();
    let mut other = wide["steps"][0]["targets"][0].clone();
    other["namespace"] = json!("other");
    wide["steps"][0]["targets"].as_array_mut().unwrap().push(other);
    // No plan has another's digest; if one had, its own questions would be asked.
    wide["digest"] = small["digest"].clone();
    let mut dangerous = destructive();
    dangerous["digest"] = small["digest"].clone();
    for (spec, held, expected) in [
        (&small, "approve-caution", ""),
        (&wide, "approve-caution", "Forbidden"),
        (&dangerous, "approve-caution", "Forbidden"),
        (&dangerous, "approve-destructive", ""),
        (&small, "approve-destructive", "Forbidden"),
    ] {
        for known in [true, false] {
            let (stored, reviews) = cluster(spec, json!({}), &["demo"]);
            let answer: Answer = Arc::new(move |method, path, body| {
                let (code, answer) = stored(method, path, body);
                let asked = &body["spec"]["resourceAttributes"]["verb"];
                if asked.is_string() && asked != held {
                    return (201, access(false));
                }
                (code, answer)
            });
            let fixture = Fixture::new(&[baseline()], answer);
            if known {
                seen(&fixture, &small);
            }
            let request = decision(&bob(), &small, "Approve");
            assert_eq!(fixture.reason(&request).await, expected, "{held} {known} {spec}");
            assert!(!reviews.lock().unwrap().is_empty());
        }
    }
}
