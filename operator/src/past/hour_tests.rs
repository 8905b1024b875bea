use kubechat_crds::StepState;
use proptest::prelude::*;

use super::super::tests::{plan, uids};
use super::*;

fn all() -> Arc<Removed> {
    Arc::default()
}

#[tokio::test(start_paused = true)]
async fn turns_of_one_person_are_served_in_the_order_of_coming_whoever_comes_back_first() {
    let past = all();
    let first = past.hour("alice", "first").unwrap();
    for turn in ["second", "third", "fourth"] {
        assert!(past.hour("alice", turn).is_none(), "{turn}");
        assert!(matches!(past.in_line(turn), Standing::InLine), "{turn}");
    }
    assert!(matches!(past.in_line("first"), Standing::Free));
    drop(first);
    assert!(matches!(past.in_line("third"), Standing::InLine));
    assert!(past.hour("alice", "new").is_none());
    let Standing::Next(second) = past.in_line("second") else {
        panic!("it was next");
    };
    drop(second);
    assert!(matches!(past.in_line("fourth"), Standing::InLine));
    // Who was withdrawn holds up nobody.
    past.leave_line("third");
    let Standing::Next(fourth) = past.in_line("fourth") else {
        panic!("it was next");
    };
    drop(fourth);
    assert!(past.hour("alice", "new").is_some());
    let lines = past.lines();
    assert!(lines.of.is_empty() && lines.whose.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_hour_is_that_turns_which_has_it_until_it_has_given_it_back_as_often_and_nobody_elses() {
    let past = all();
    let (one, two) = (past.hour("alice", "a").unwrap(), past.hour("alice", "a").unwrap());
    drop(one);
    assert!(past.hour("alice", "b").is_none());
    // Another person waits for neither.
    assert!(past.hour("bob", "c").is_some());
    drop(two);
    assert!(past.hour("alice", "b").is_some());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_come_back_loses_the_place_in_line_and_who_does_keeps_it() {
    let past = all();
    let held = past.hour("alice", "first").unwrap();
    assert!(past.hour("alice", "removed").is_none());
    assert!(past.hour("alice", "waits").is_none());
    for _ in 0..3 {
        tokio::time::advance(PLACE / 2).await;
        assert!(matches!(past.in_line("waits"), Standing::InLine));
    }
    drop(held);
    assert!(matches!(past.in_line("waits"), Standing::Next(_)));
}

#[test]
fn a_plan_that_was_not_made_leaves_what_was_in_mind_before() {
    let (past, now) = (all(), Timestamp::now());
    let mine = || past.with(std::iter::empty(), "alice", now);
    let mut one = plan("one", 0, StepState::Pending);
    one.metadata.creation_timestamp = None;
    let before = past.made(&one, now);
    assert_eq!(uids(&mine()), ["one"]);
    past.not_made(before);
    assert!(mine().is_empty());
    // An earlier try whose answer was lost may have made it.
    past.made(&one, now);
    let before = past.made(&one, now);
    past.not_made(before);
    assert_eq!(uids(&mine()), ["one"]);
}

proptest! {
    /// Each of some turns comes again and again, in any order, and ends some time after it got the hour.
    #[test]
    fn nobody_is_served_before_who_came_earlier_and_the_hour_is_one_turns_at_a_time(
        looks in prop::collection::vec((0..6usize, any::<bool>()), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let past = all();
        let (mut came, mut has): (Vec<usize>, Option<(usize, Hour)>) = (vec![], None);
        for (turn, ends) in looks {
            if let Some((holder, hour)) = has.take() {
                if holder == turn && ends {
                    drop(hour);
                    continue;
                }
                has = Some((holder, hour));
                if holder == turn {
                    continue;
                }
            }
            if !came.contains(&turn) {
                came.push(turn);
            }
            let got = past.hour("alice", &turn.to_string());
            let is_next = has.is_none() && came.first() == Some(&turn);
            prop_assert_eq!(got.is_some(), is_next);
            if let Some(hour) = got {
                came.remove(0);
                has = Some((turn, hour));
            }
        }
    }
}
