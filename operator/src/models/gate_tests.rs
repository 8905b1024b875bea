use kubechat_core::models::breaker::FAILURES;
use kubechat_core::models::queue::MAX_OF_ONE;
use kubechat_crds::ai_provider::Budget;

use super::*;

fn one_at_a_time() -> AIProviderSpec {
    AIProviderSpec {
        max_concurrent: Some(1),
        ..AIProviderSpec::default()
    }
}

#[tokio::test]
async fn people_take_turns_and_a_place_is_never_lost() {
    let (gate, spec) = (Arc::new(Gate::default()), one_at_a_time());
    let first = gate.enter("alice", &spec, 0).await.unwrap();
    let order = Arc::new(Mutex::new(vec![]));
    let mut waiting = vec![];
    for (n, who) in ["alice", "alice", "bob"].into_iter().enumerate() {
        let (gate, spec, order) = (Arc::clone(&gate), spec.clone(), Arc::clone(&order));
        waiting.push(tokio::spawn(async move {
            let place = gate.enter(who, &spec, 0).await.unwrap();
            order.lock().unwrap().push((who, n));
            drop(place);
        }));
        tokio::task::yield_now().await;
    }
    // One who gives up waiting holds up nobody.
    let gone = tokio::time::timeout(Duration::from_millis(5), gate.enter("carol", &spec, 0)).await;
    assert!(gone.is_err());
    drop(first);
    for task in waiting {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [("alice", 0), ("bob", 2), ("alice", 1)]);
    drop(gate.enter("dave", &spec, 0).await.unwrap());
    assert_eq!(gate.state().running, 0);
}

#[tokio::test]
async fn who_has_too_many_waiting_hears_of_it_at_once() {
    let (gate, spec) = (Arc::new(Gate::default()), one_at_a_time());
    let _place = gate.enter("alice", &spec, 0).await.unwrap();
    for _ in 0..MAX_OF_ONE {
        let (gate, spec) = (Arc::clone(&gate), spec.clone());
        tokio::spawn(async move { gate.enter("alice", &spec, 0).await });
        tokio::task::yield_now().await;
    }
    let refused = gate.enter("alice", &spec, 0).await.unwrap_err();
    assert!(
        refused.contains("turns of yours wait") && refused.contains("Ask again later"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_provider_that_fails_is_left_alone_and_nobody_waits_for_it() {
    let (gate, spec) = (Arc::new(Gate::default()), one_at_a_time());
    for _ in 0..FAILURES {
        gate.note(Call::Failed, 0);
    }
    assert!(
        gate.enter("alice", &spec, 1)
            .await
            .unwrap_err()
            .contains("left alone")
    );
    let place = gate.enter("alice", &spec, 100_000).await.unwrap();
    assert_eq!(gate.admit(100_000), Ok(()));
    drop(place);
}

#[tokio::test]
async fn budgets_and_rates_are_each_persons_own_and_say_what_to_do() {
    let gate = Arc::new(Gate::default());
    let spec = AIProviderSpec {
        rate_limit: Some(1),
        budget: Some(Budget {
            tokens_per_user_per_day: Some(100),
        }),
        ..AIProviderSpec::default()
    };
    drop(gate.enter("alice", &spec, 0).await.unwrap());
    let often = gate.enter("alice", &spec, 1000).await.unwrap_err();
    assert!(
        often.contains("rateLimit") && often.contains("Ask again in 59 s"),
        "{often}"
    );
    gate.spend("alice", (90, 20), 2000);
    let much = gate.enter("alice", &spec, 70_000).await.unwrap_err();
    assert!(
        much.contains("110 of its tokens") && much.contains("built-in rules"),
        "{much}"
    );
    drop(gate.enter("bob", &spec, 70_000).await.unwrap());
}
