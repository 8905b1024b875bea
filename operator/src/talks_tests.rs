//! The order of turns, and that asking for the few before one does not cost more in a long conversation.

use kubechat_crds::chat_request::PlanRef;
use kubechat_crds::{ChatRequestSpec, ChatRequestStatus, Identity, LocalRef, RequestPhase, Seal};

use super::*;

fn turn(session: &str, name: &str, second: i64) -> ChatRequest {
    let mut turn = ChatRequest::new(
        name,
        ChatRequestSpec {
            session_ref: Some(LocalRef::new(session)),
            ..ChatRequestSpec::default()
        },
    );
    turn.metadata.namespace = Some("demo".into());
    turn.metadata.uid = Some(format!("uid-{session}-{name}"));
    let at = Timestamp::from_second(second).unwrap();
    turn.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
    turn
}

fn with(mut turn: ChatRequest, phase: RequestPhase, plan: Option<&str>) -> ChatRequest {
    turn.status = Some(ChatRequestStatus {
        phase: Some(phase),
        plan_ref: plan.map(|name| PlanRef {
            name: name.into(),
            digest: String::new(),
        }),
        ..ChatRequestStatus::default()
    });
    turn
}

/// Sealed so many milliseconds after 1970.
fn sealed(mut turn: ChatRequest, millis: i64) -> ChatRequest {
    let nonce = seal::nonce("00ff", Timestamp::from_millisecond(millis).unwrap());
    turn.spec.requester = Some(Identity {
        seal: Some(Seal {
            nonce,
            ..Seal::default()
        }),
        ..Identity::default()
    });
    turn
}

#[test]
fn turns_of_one_second_stand_in_the_order_they_were_sealed_however_they_come_in() {
    let all = [
        sealed(turn("a", "z", 5), 4_990),
        sealed(turn("a", "y", 5), 5_008),
        sealed(turn("b", "x", 5), 5_001),
        sealed(turn("a", "w", 4), 4_500),
        sealed(turn("a", "v", 5), 5_100),
    ];
    // As the watch brings them, as a list does (by name), and the other way round.
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [3, 4, 0, 2, 1]] {
        let talks = Talks::default();
        for at in order {
            talks.see(&Event::Apply(all[at].clone()));
        }
        assert_eq!(talks.before(&all[4], 9), ["w", "z", "y"], "{order:?}");
        assert_eq!(talks.before(&all[1], 9), ["w", "z"], "{order:?}");
    }
    // One that nobody saw yet has its place too.
    let talks = Talks::default();
    all[..2]
        .iter()
        .for_each(|one| talks.see(&Event::Apply(one.clone())));
    assert_eq!(talks.before(&sealed(turn("a", "new", 5), 5_000), 9), ["z"]);
}

#[test]
fn a_turn_of_the_name_of_one_that_was_removed_stays_when_that_is_told_late() {
    let talks = Talks::default();
    let (old, mut new) = (turn("a", "x", 5), turn("a", "x", 5));
    new.metadata.uid = Some("another".into());
    let last = turn("a", "z", 6);
    for one in [&old, &new, &last] {
        talks.see(&Event::Apply(one.clone()));
    }
    talks.see(&Event::Delete(old));
    assert_eq!(talks.before(&last, 9), ["x"]);
}

#[test]
fn turns_of_one_second_without_a_time_of_sealing_stand_in_the_order_of_their_names() {
    let talks = Talks::default();
    let all = [
        turn("a", "m", 5),
        turn("a", "n", 5),
        turn("b", "x", 5),
        turn("a", "w", 4),
    ];
    for one in all.iter().rev() {
        talks.see(&Event::Apply(one.clone()));
    }
    // What is said of a turn later changes nothing about its place.
    talks.see(&Event::Apply(with(all[0].clone(), RequestPhase::Succeeded, None)));
    assert_eq!(talks.before(&all[1], 9), ["w", "m"]);
    assert_eq!(talks.before(&all[0], 9), ["w"]);
    assert_eq!(talks.before(&all[1], 1), ["m"]);
    assert!(talks.before(&all[2], 9).is_empty() && talks.before(&all[3], 9).is_empty());
    assert_eq!(talks.before(&turn("a", "new", 6), 9), ["w", "m", "n"]);
}

#[test]
fn what_was_removed_is_gone_also_where_the_watch_missed_it() {
    let talks = Talks::default();
    let (one, two, three) = (turn("a", "one", 1), turn("a", "two", 2), turn("a", "three", 3));
    for turn in [&one, &two, &three] {
        talks.see(&Event::Apply(turn.clone()));
    }
    talks.see(&Event::Delete(one));
    assert_eq!(talks.before(&three, 9), ["two"]);
    talks.see(&Event::Init);
    talks.see(&Event::InitApply(three.clone()));
    // A list that is not complete forgets nothing.
    assert_eq!(talks.before(&three, 9), ["two"]);
    talks.see(&Event::InitDone);
    assert!(talks.before(&three, 9).is_empty());
    assert_eq!(talks.turns("demo", "a").count, 1);
    talks.see(&Event::Delete(three));
    assert_eq!(talks.turns("demo", "a"), Turns::default());
}

#[test]
fn a_session_works_while_a_turn_does_and_its_last_plan_is_found() {
    let talks = Talks::default();
    let (plan, read, new) = (turn("a", "plan", 1), turn("a", "read", 2), turn("a", "new", 3));
    talks.see(&Event::Apply(plan.clone()));
    assert!(talks.turns("demo", "a").working);
    talks.see(&Event::Apply(with(
        plan,
        RequestPhase::AwaitingApproval,
        Some("plan-1"),
    )));
    talks.see(&Event::Apply(with(read.clone(), RequestPhase::Succeeded, None)));
    let state = talks.turns("demo", "a");
    assert!(!state.working && state.newest == Timestamp::from_second(2).ok());
    assert_eq!(talks.last_plan(&new).as_deref(), Some("plan"));
    assert_eq!(talks.last_plan(&read).as_deref(), Some("plan"));
    assert_eq!(talks.last_plan(&turn("b", "other", 9)), None);
}

/// A session of 500 turns among 50,000 others: were all turns gone through for each question, this would take minutes.
#[test]
fn a_question_about_a_long_session_goes_through_none_of_the_other_turns() {
    let talks = Talks::default();
    for session in 0..100 {
        let name = format!("s{session}");
        for at in 0..500 {
            let phase = with(turn(&name, &format!("t{at}"), at), RequestPhase::Succeeded, None);
            talks.see(&Event::Apply(phase));
        }
    }
    let new = turn("s7", "new", 500);
    for _ in 0..10_000 {
        assert_eq!(talks.before(&new, 5).len(), 5);
        assert_eq!(talks.turns("demo", "s7").count, 500);
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_waits_from_when_somebody_was_there_to_read() {
    let talks = Talks::default();
    // Created long ago, while nobody led.
    let (first, second) = (turn("a", "x", 5), turn("a", "y", 5));
    assert_eq!(talks.waited(&first), Duration::ZERO, "it was not seen yet");
    for one in [&first, &second] {
        talks.see(&Event::Apply(one.clone()));
    }
    assert_eq!(talks.waited(&first), Duration::ZERO);
    tokio::time::advance(Duration::from_secs(9)).await;
    talks.see(&Event::Apply(first.clone()));
    assert_eq!(talks.waited(&first), Duration::from_secs(9));
    assert_eq!(talks.waited(&second), Duration::ZERO);
}
