use super::*;

fn call(id: String) -> Outbound {
    Outbound {
        id,
        ..Outbound::default()
    }
}

#[test]
fn a_turns_calls_are_bounded_and_each_has_its_own_id() {
    let mut calls = vec![];
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..40 {
        let id = id(&"p".repeat(253), &calls);
        assert!(id.len() <= 64 && seen.insert(id.clone()), "{id}");
        add(&mut calls, call(id.clone()));
        assert_eq!(answered(&calls, &id), None);
        commit(&mut calls, &id, n);
        assert_eq!(answered(&calls, &id), Some(Ok(n)));
        assert_eq!(named(&calls, n).map(|call| call.id), Some(id.clone()));
        assert_eq!(settled(&calls, &id), None);
        let end = OutboundEnd {
            audit_seq: Some(1000),
            ..OutboundEnd::default()
        };
        close(&mut calls, &id, end);
        assert!(calls.len() <= MAX_OUTBOUND);
        let last = calls.last().unwrap();
        assert_eq!(
            (last.state, last.audit_seq),
            (OutboundState::Done, i64::try_from(n).ok())
        );
    }
}

#[test]
fn an_end_is_settled_once_the_log_has_it_and_a_refused_call_says_why() {
    let mut calls = vec![call("small-1".to_owned())];
    commit(&mut calls, "small-1", 7);
    let mut end = OutboundEnd {
        failure: Some("it is busy".to_owned()),
        ..OutboundEnd::default()
    };
    close(&mut calls, "small-1", end.clone());
    assert_eq!(calls[0].state, OutboundState::Failed);
    assert_eq!(settled(&calls, "small-1"), None, "its end is owed");
    end.audit_seq = Some(8);
    close(&mut calls, "small-1", end);
    assert_eq!(settled(&calls, "small-1"), Some(()));
    let mut refused = vec![call("small-2".to_owned())];
    let end = OutboundEnd {
        failure: Some("you used too much".to_owned()),
        ..OutboundEnd::default()
    };
    close(&mut refused, "small-2", end);
    assert_eq!(
        answered(&refused, "small-2"),
        Some(Err("you used too much".to_owned()))
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_operator_does_not_wait_for_ever() {
    let none = until(|| Some(1), |_: &i32| None::<()>).await;
    assert!(matches!(
        none,
        Err(Error::Dependency { reason, .. }) if reason == reason::AUDIT_UNAVAILABLE
    ));
    assert_eq!(until(|| Some(1), |n| Some(*n)).await.unwrap(), (1, 1));
}

#[test]
fn a_call_whose_end_is_owed_leaves_the_status_for_no_other() {
    let mut calls: Vec<Outbound> = (0..MAX_OUTBOUND).map(|n| call(format!("small-{n}"))).collect();
    commit(&mut calls, "small-0", 7);
    commit(&mut calls, "small-1", 8);
    close(&mut calls, "small-1", OutboundEnd::default());
    for n in 2..MAX_OUTBOUND {
        close(&mut calls, &format!("small-{n}"), OutboundEnd::default());
    }
    add(&mut calls, call("small-16".to_owned()));
    let ids: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!((ids[0], ids[1], ids[2]), ("small-0", "small-1", "small-3"));
    assert_eq!(calls.len(), MAX_OUTBOUND);
}
