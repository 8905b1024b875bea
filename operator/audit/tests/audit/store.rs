//! What a store promises while nothing is broken.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use kubechat_audit::store::MAX_ROLLBACK_BYTES;
use kubechat_audit::{
    Actor, AuditStore, Draft, Error, EventType, Filter, IntentOutcome, Outcome, ResultOutcome, SqliteOptions,
    SqliteStore, list_file,
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::common::{FILLED, Log, event, execution, fill, result};

#[tokio::test]
async fn numbers_begin_at_one_and_every_answer_is_in_the_file() {
    let log = Log::new();
    let store = log.open(1).await;
    for n in 1..=3 {
        let appended = store.append(vec![event(n)]).await.unwrap();
        assert_eq!(appended.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [n]);
        assert_eq!(list_file(&log.path, &Filter::default()).unwrap().len() as u64, n);
    }
    assert_eq!(store.append(Vec::new()).await.unwrap(), []);
    let head = store.head().await.unwrap();
    assert_eq!((head.seq, head.fence), (3, 1));
    assert_eq!(log.verify().head_mac, head.mac.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_leave_no_gap_even_from_two_handles() {
    let log = Log::new();
    let stores = [log.open(1).await, log.open(1).await];
    let mut tasks = JoinSet::new();
    for task in 0..40_usize {
        let store = stores[task % 2].clone();
        tasks.spawn(async move {
            let mut seqs = Vec::new();
            for n in 0..5 {
                let appended = store.append(vec![event(n), event(n)]).await.unwrap();
                assert_eq!(
                    appended[0].seq + 1,
                    appended[1].seq,
                    "a call's entries stand together"
                );
                seqs.extend(appended.into_iter().map(|entry| entry.seq));
            }
            seqs
        });
    }
    let seqs: BTreeSet<u64> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(seqs, (1..=400).collect());
    assert!(log.verify().is_valid());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_begin_the_same_step_exactly_one_may_send_it() {
    let log = Log::new();
    let stores = [log.open(1).await, log.open(1).await];
    let mut tasks = JoinSet::new();
    for task in 0..32_usize {
        let store = stores[task % 2].clone();
        tasks.spawn(async move {
            store
                .append_intent(execution(Outcome::Intent), "step")
                .await
                .unwrap()
        });
    }
    let outcomes = tasks.join_all().await;
    let winners = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, IntentOutcome::Recorded { .. }))
        .count();
    assert_eq!(winners, 1);
    assert_eq!(stores[0].head().await.unwrap().seq, 1);
}

#[tokio::test]
async fn an_intent_that_is_there_comes_back_with_its_result() {
    let log = Log::new();
    let store = log.open(4).await;
    let again = || store.append_intent(execution(Outcome::Intent), "step");
    assert_eq!(store.intent("step").await.unwrap(), None);
    assert_eq!(again().await.unwrap(), IntentOutcome::Recorded { seq: 1 });
    assert_eq!(
        again().await.unwrap(),
        IntentOutcome::AlreadyThere { seq: 1, result: None }
    );
    let ended = store
        .append_result(result("step", Outcome::Failure))
        .await
        .unwrap();
    assert_eq!(ended, ResultOutcome::Recorded { seq: 2 });
    let IntentOutcome::AlreadyThere {
        seq: 1,
        result: Some(known),
    } = again().await.unwrap()
    else {
        panic!("the result is known");
    };
    assert_eq!((known.seq, known.outcome), (2, Outcome::Failure));
    let record = store.intent("step").await.unwrap().unwrap();
    assert_eq!((record.seq, record.fence, record.result), (1, 4, Some(known)));
    assert_eq!(store.head().await.unwrap().seq, 2);
}

#[tokio::test]
async fn the_first_result_of_a_step_stands_even_when_it_is_unknown() {
    let log = Log::new();
    let store = log.open(1).await;
    for first in [Outcome::Success, Outcome::Failure, Outcome::Unknown] {
        let step = format!("step-{first}");
        store
            .append_intent(execution(Outcome::Intent), &step)
            .await
            .unwrap();
        store.append_result(result(&step, first)).await.unwrap();
        for second in [Outcome::Success, Outcome::Failure, Outcome::Unknown] {
            match store.append_result(result(&step, second)).await.unwrap() {
                ResultOutcome::AlreadyThere { result, .. } => assert_eq!(result.outcome, first),
                ResultOutcome::Recorded { seq } => panic!("{first} was followed by {second} at {seq}"),
            }
        }
    }
    assert_eq!(store.head().await.unwrap().seq, 6);
    assert!(log.verify().is_valid());
}

#[tokio::test]
async fn refuses_what_would_get_around_the_lock() {
    let log = Log::new();
    let store = log.open(1).await;
    let approval = Draft::new(
        EventType::Approval,
        Actor::named("bob"),
        "approve",
        Outcome::Intent,
        "Approved",
    );
    let refused = [
        store
            .append(vec![result("step", Outcome::Intent)])
            .await
            .unwrap_err(),
        store
            .append(vec![event(1), result("step", Outcome::Success)])
            .await
            .unwrap_err(),
        store
            .append_intent(execution(Outcome::Success), "step")
            .await
            .unwrap_err(),
        store.append_intent(approval, "step").await.unwrap_err(),
        store
            .append_intent(execution(Outcome::Intent), "")
            .await
            .unwrap_err(),
        store
            .append_intent(execution(Outcome::Intent), &"s".repeat(257))
            .await
            .unwrap_err(),
        store
            .append_result(execution(Outcome::Success))
            .await
            .unwrap_err(),
        store
            .append_result(result("step", Outcome::Denied))
            .await
            .unwrap_err(),
        store
            .append_result(result("step", Outcome::Intent))
            .await
            .unwrap_err(),
        store.append((0..=256).map(event).collect()).await.unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, Error::Invalid(_)), "{error}");
        assert!(!error.is_unavailable() && error.to_string().contains("nothing was written"));
    }
    let never_begun = store
        .append_result(result("step", Outcome::Success))
        .await
        .unwrap_err();
    assert!(matches!(never_begun, Error::NoIntent { .. }), "{never_begun}");
    assert_eq!(store.head().await.unwrap().seq, 0);
    store.append(vec![result("step", Outcome::Denied)]).await.unwrap();
}

#[tokio::test]
async fn one_refused_call_does_not_spoil_the_batch_it_is_in() {
    let log = Log::new();
    let store = log.open(1).await;
    let (good, bad, also_good) = tokio::join!(
        store.append(vec![event(1)]),
        store.append_result(result("never-begun", Outcome::Success)),
        store.append(vec![event(2)]),
    );
    assert!(matches!(bad, Err(Error::NoIntent { .. })));
    assert_eq!([good.unwrap()[0].seq, also_good.unwrap()[0].seq], [1, 2]);
    assert!(log.verify().is_valid());
}

#[tokio::test]
async fn a_lower_fence_writes_nothing_any_more() {
    let log = Log::new();
    let old = log.open(1).await;
    fill(&old).await;
    let new = log.open(2).await;
    let refused = [
        old.append(vec![event(9)]).await.unwrap_err(),
        old.append_intent(execution(Outcome::Intent), "step-c")
            .await
            .unwrap_err(),
        old.append_intent(execution(Outcome::Intent), "step-a")
            .await
            .unwrap_err(),
        old.append_result(result("step-b", Outcome::Success))
            .await
            .unwrap_err(),
        old.put_rollback("plan", "step", vec![1]).await.unwrap_err(),
        old.delete_rollback("plan", None).await.unwrap_err(),
        old.raise_fence(1).await.unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, Error::Fenced { mine: 1, stored: 2 }), "{error}");
    }
    assert_eq!(new.head().await.unwrap().seq, FILLED);
    new.append(vec![event(9)]).await.unwrap();
    assert_eq!(old.raise_fence(7).await.unwrap(), 7);
    assert!(matches!(
        new.append(vec![event(10)]).await,
        Err(Error::Fenced { mine: 2, stored: 7 })
    ));
    assert_eq!(old.append(vec![event(10)]).await.unwrap()[0].seq, 10);
    assert!(log.verify().is_valid());
}

#[tokio::test]
async fn opening_with_a_lower_fence_can_read_and_not_write() {
    let log = Log::new();
    fill(&log.open(9).await).await;
    let late = log.open(3).await;
    assert_eq!(late.head().await.unwrap().fence, 9);
    assert!(late.intent("step-a").await.unwrap().is_some());
    assert!(matches!(
        late.append(vec![event(1)]).await,
        Err(Error::Fenced { mine: 3, stored: 9 })
    ));
}

#[tokio::test]
async fn time_rises_even_when_the_clock_goes_back() {
    let log = Log::new();
    let now = Arc::new(AtomicI64::new(1_000_000));
    let shown = Arc::clone(&now);
    let clock = Arc::new(move || Timestamp::from_microsecond(shown.load(Ordering::SeqCst)).unwrap());
    let store = SqliteStore::open(SqliteOptions {
        clock,
        ..log.options(1)
    })
    .await
    .unwrap();
    let mut times = Vec::new();
    for at in [1_000_000, 1_000_000, 5, 2_000_000, 1_999_999] {
        now.store(at, Ordering::SeqCst);
        times.push(
            store.append(vec![event(1)]).await.unwrap()[0]
                .time
                .as_microsecond(),
        );
    }
    assert_eq!(times, [1_000_000, 1_000_001, 1_000_002, 2_000_000, 2_000_001]);
    drop(store);
    now.store(7, Ordering::SeqCst);
    let shown = Arc::clone(&now);
    let clock = Arc::new(move || Timestamp::from_microsecond(shown.load(Ordering::SeqCst)).unwrap());
    let reopened = SqliteStore::open(SqliteOptions {
        clock,
        ..log.options(1)
    })
    .await
    .unwrap();
    assert_eq!(
        reopened.append(vec![event(1)]).await.unwrap()[0]
            .time
            .as_microsecond(),
        2_000_002
    );
    assert!(log.verify().is_valid());
}

#[tokio::test]
async fn list_returns_what_fits_every_filter_by_rising_number() {
    let log = Log::new();
    let store = log.open(1).await;
    fill(&store).await;
    let some = |text: &str| Some(text.to_owned());
    let all = Filter::default;
    let cases = [
        (all(), vec![1, 2, 3, 4, 5, 6, 7, 8]),
        (
            Filter {
                since_seq: 7,
                ..all()
            },
            vec![7, 8],
        ),
        (
            Filter {
                since_seq: 3,
                limit: 2,
                ..all()
            },
            vec![3, 4],
        ),
        (Filter { limit: 0, ..all() }, vec![]),
        (
            Filter {
                since_seq: 9,
                ..all()
            },
            vec![],
        ),
        (
            Filter {
                event_type: Some(EventType::CommandExecution),
                ..all()
            },
            vec![4, 5, 6],
        ),
        (
            Filter {
                plan: some("plan-2"),
                ..all()
            },
            vec![2],
        ),
        (
            Filter {
                request: some("request-uid-7"),
                ..all()
            },
            vec![7],
        ),
        (
            Filter {
                user: some("alice"),
                since_seq: 5,
                ..all()
            },
            vec![5, 6],
        ),
        (
            Filter {
                user: some("alice"),
                plan: some("plan-2"),
                ..all()
            },
            vec![],
        ),
        (
            Filter {
                user: some("' OR 1=1 --"),
                ..all()
            },
            vec![],
        ),
    ];
    for (filter, expected) in cases {
        let seqs = |entries: Vec<kubechat_audit::Entry>| entries.iter().map(|e| e.seq).collect::<Vec<_>>();
        assert_eq!(
            seqs(store.list(filter.clone()).await.unwrap()),
            expected,
            "{filter:?}"
        );
        assert_eq!(
            seqs(list_file(&log.path, &filter).unwrap()),
            expected,
            "{filter:?}"
        );
    }
}

#[tokio::test]
async fn one_list_never_returns_more_than_its_limit() {
    let log = Log::new();
    let store = log.open(1).await;
    for _ in 0..5 {
        store.append((0..250).map(event).collect()).await.unwrap();
    }
    assert_eq!(
        store
            .list(Filter {
                limit: usize::MAX,
                ..Filter::default()
            })
            .await
            .unwrap()
            .len(),
        1000
    );
    assert!(log.verify().is_valid());
}

#[tokio::test]
async fn payload_comes_back_and_a_changed_one_is_refused() {
    let log = Log::new();
    let store = log.open(1).await;
    fill(&store).await;
    assert_eq!(store.payload(2).await.unwrap(), Some(json!({ "count": 2 })));
    assert_eq!(store.payload(99).await.unwrap(), None);
    log.raw()
        .execute("UPDATE payloads SET payload = '{\"count\":3}' WHERE seq = 2", [])
        .unwrap();
    assert!(matches!(store.payload(2).await, Err(Error::Integrity { .. })));
}

#[tokio::test]
async fn rollback_data_is_kept_until_it_is_deleted_and_never_changed() {
    let log = Log::new();
    let store = log.open(1).await;
    for step in ["a", "b"] {
        store.put_rollback("plan-1", step, vec![1, 2]).await.unwrap();
    }
    store.put_rollback("plan-2", "a", vec![3]).await.unwrap();
    store.put_rollback("plan-1", "a", vec![1, 2]).await.unwrap();
    let other = store.put_rollback("plan-1", "a", vec![9]).await.unwrap_err();
    assert!(matches!(other, Error::Rollback { .. }), "{other}");
    let large = store
        .put_rollback("plan-1", "c", vec![0; MAX_ROLLBACK_BYTES + 1])
        .await
        .unwrap_err();
    assert!(large.to_string().contains("8 MiB"), "{large}");
    assert!(matches!(
        store.put_rollback("", "a", vec![]).await,
        Err(Error::Invalid(_))
    ));
    assert_eq!(store.rollback("plan-1", "a").await.unwrap(), Some(vec![1, 2]));
    assert_eq!(store.rollback("plan-1", "c").await.unwrap(), None);
    assert_eq!(store.rollback_plans("").await.unwrap(), ["plan-1", "plan-2"]);
    assert_eq!(store.rollback_plans("plan-1").await.unwrap(), ["plan-2"]);
    assert!(store.rollback_plans("plan-2").await.unwrap().is_empty());
    assert_eq!(store.delete_rollback("plan-1", Some("a")).await.unwrap(), 1);
    assert_eq!(store.delete_rollback("plan-1", None).await.unwrap(), 1);
    assert_eq!(store.rollback("plan-1", "b").await.unwrap(), None);
    assert_eq!(store.rollback("plan-2", "a").await.unwrap(), Some(vec![3]));
    log.raw()
        .execute("UPDATE rollback_data SET bytes = x'04'", [])
        .unwrap();
    let changed = store.rollback("plan-2", "a").await.unwrap_err();
    assert!(changed.to_string().contains("must not be used"), "{changed}");
    assert!(log.verify().is_valid(), "rollback data is not part of the log");
}
