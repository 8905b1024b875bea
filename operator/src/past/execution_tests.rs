use jiff::Timestamp;
use kubechat_audit::{Actor, Draft};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use super::*;

/// One thing that the log may tell of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    /// A step begins.
    Intent(u8),
    /// How it ended.
    Result(u8, Outcome),
    /// It was not sent, because the plan was gone.
    Unsent(u8),
    /// The plan itself ended.
    End,
    /// It is said that it is gone.
    Gone,
}

impl Tells {
    fn entry(self, seq: u64) -> Entry {
        let (step, outcome, why) = match self {
            Self::Intent(step) => (Some(step), Outcome::Intent, reason::EXECUTING),
            Self::Result(step, outcome) => (Some(step), outcome, reason::STEP_FAILED),
            Self::Unsent(step) => (Some(step), Outcome::Failure, reason::PLAN_GONE),
            Self::End => (None, Outcome::Denied, reason::INTERRUPTED),
            Self::Gone => (None, Outcome::Denied, reason::PLAN_GONE),
        };
        let mut draft = Draft::new(
            EventType::CommandExecution,
            Actor::named("alice"),
            "label",
            outcome,
            why,
        );
        draft.ids.plan = Some("plan".into());
        draft.ids.plan_uid = Some("uid".into());
        draft.ids.step_id = step.map(id);
        Entry::seal(draft, seq, Timestamp::UNIX_EPOCH, [0; 16])
            .unwrap()
            .entry
    }
}

fn id(step: u8) -> String {
    format!("id-{step}")
}

fn numbered(log: &[Tells]) -> Vec<Entry> {
    (1..).zip(log).map(|(seq, tells)| tells.entry(seq)).collect()
}

/// What these entries tell of a plan of so many steps (none: an earlier version wrote them).
fn of(entries: &[Entry], total: Option<u64>) -> Execution {
    let mut execution = Execution::default();
    entries.iter().for_each(|entry| execution.tells(entry));
    for (step, _) in execution.intents() {
        let name = step.replace("id-", "s");
        let payload = total.map_or(
            Value::Null,
            |total| json!({"stepsTotal": total, "planNamespace": "demo", "step": name}),
        );
        execution.adds(&step, &payload);
    }
    execution
}

fn is_open(log: &[Tells], total: Option<u64>) -> bool {
    of(&numbered(log), total).is_open()
}

#[test]
fn an_execution_is_open_until_each_step_was_done_or_the_log_tells_of_another_end() {
    use Outcome::{Denied, Failure, Success, Unknown};
    use Tells::{End, Gone, Intent, Result, Unsent};
    let two = Some(2);
    let cases: &[(&[Tells], Option<u64>, bool)] = &[
        // Nothing was begun.
        (&[], two, false),
        (&[End], two, false),
        (&[Gone], two, false),
        // Its end is not known.
        (&[Intent(1)], two, true),
        (&[Intent(1)], None, true),
        (&[Intent(1), Result(1, Success), Intent(2)], two, true),
        (&[Intent(1), Result(1, Success), Intent(2)], None, true),
        // Something is left to do.
        (&[Intent(1), Result(1, Success)], two, true),
        // That nothing was sent of a step is no end of the plan.
        (&[Intent(1), Unsent(1)], two, true),
        (&[Intent(1), Unsent(1)], None, true),
        (&[Intent(1), Result(1, Success), Intent(2), Unsent(2)], two, true),
        // All was done; as far as an earlier version tells.
        (&[Intent(1), Result(1, Success)], Some(1), false),
        (&[Intent(1), Result(1, Success)], None, false),
        (
            &[Intent(1), Result(1, Success), Intent(2), Result(2, Success)],
            two,
            false,
        ),
        // The first step that is not done ends it.
        (&[Intent(1), Result(1, Failure)], two, false),
        (&[Intent(1), Result(1, Unknown)], two, false),
        (&[Intent(1), Result(1, Denied)], two, false),
        // It was stopped between two steps, or with a step that nobody will settle.
        (&[Intent(1), Result(1, Success), End], two, false),
        (&[Intent(1), Result(1, Success), Gone], two, false),
        (&[Intent(1), Gone], two, false),
        (&[Intent(1), Unsent(1), Gone], two, false),
        // Ended, as somebody thought, who could not report it; so another one went on.
        (&[End, Intent(1)], two, true),
        (&[Intent(1), Result(1, Success), End, Intent(2)], two, true),
        (&[End, Intent(1), Result(1, Success)], two, true),
        // What is told once is never told again.
        (&[Intent(1), Gone, Intent(2)], two, false),
        // The intent cannot be read.
        (&[Result(1, Failure)], None, false),
    ];
    for (log, total, open) in cases {
        assert_eq!(is_open(log, *total), *open, "{log:?} of {total:?}");
    }
}

#[test]
fn what_is_told_names_the_steps_by_what_came_of_them_and_says_how_many_it_cannot_name() {
    use Outcome::{Failure, Success, Unknown};
    use Tells::{Intent, Result, Unsent};
    let log = [
        Intent(2),
        Result(2, Success),
        Intent(1),
        Result(1, Success),
        Intent(3),
        Intent(4),
        Result(4, Unknown),
        Intent(5),
        Result(5, Failure),
        Intent(6),
        Unsent(6),
    ];
    let entries = numbered(&log);
    let known = of(&entries, Some(7)).account(|_| None);
    assert!(
        known.starts_with("Done before: s2, s1. The plan that says how"),
        "{known}"
    );
    assert!(known.contains("ended without being done: s5."), "{known}");
    assert!(known.contains("not known to be done: s3, s4."), "{known}");
    let unnamed = of(&entries, None).account(|_| None);
    assert!(
        unnamed.contains("Done before: 2 step(s) whose names the audit log does not tell"),
        "{unnamed}"
    );
    let first = id(2);
    let half = of(&entries, None).account(|step| (step == first).then(|| "mine".to_owned()));
    assert!(
        half.contains("Done before: mine, 1 step(s) whose names"),
        "{half}"
    );
    let none = of(&numbered(&[Intent(1), Unsent(1)]), Some(1));
    assert_eq!(none.account(|_| None), "No step was done");
    assert_eq!(
        (none.namespace(), none.about().map(|e| e.seq)),
        (Some("demo"), Some(1))
    );
}

#[test]
fn entries_of_other_types_tell_nothing_of_an_execution() {
    let mut entry = Tells::Intent(1).entry(1);
    entry.event_type = EventType::Approval;
    assert_eq!(of(&[entry], Some(1)), Execution::default());
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Success),
        1 => Just(Outcome::Failure),
        1 => Just(Outcome::Unknown),
        1 => Just(Outcome::Denied),
    ]
}

fn tells() -> impl Strategy<Value = Tells> {
    prop_oneof![
        4 => (0..4_u8).prop_map(Tells::Intent),
        4 => (0..4_u8, outcome()).prop_map(|(step, outcome)| Tells::Result(step, outcome)),
        1 => (0..4_u8).prop_map(Tells::Unsent),
        1 => Just(Tells::End),
        1 => Just(Tells::Gone),
    ]
}

fn log() -> impl Strategy<Value = Vec<Tells>> {
    prop::collection::vec(tells(), 0..12)
}

fn total() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(1..5_u64)
}

/// What ends something.
fn end() -> impl Strategy<Value = Tells> {
    prop_oneof![
        (0..4_u8, outcome()).prop_map(|(step, outcome)| Tells::Result(step, outcome)),
        Just(Tells::End),
        Just(Tells::Gone),
    ]
}

proptest! {
    #[test]
    fn in_which_order_entries_are_read_and_how_often_makes_no_difference(
        log in log(), total in total(), seed in prop::collection::vec(any::<Index>(), 12), again in any::<Index>()
    ) {
        let entries = numbered(&log);
        let mut shuffled = entries.clone();
        for (at, with) in seed.iter().enumerate().take(shuffled.len()) {
            let with = with.index(shuffled.len());
            shuffled.swap(at, with);
        }
        if !shuffled.is_empty() {
            shuffled.push(shuffled[again.index(shuffled.len())].clone());
        }
        prop_assert_eq!(of(&shuffled, total), of(&entries, total));
    }

    #[test]
    fn an_end_never_opens_what_had_ended(log in log(), total in total(), end in end()) {
        let mut longer = log.clone();
        longer.push(end);
        if !is_open(&log, total) && of(&numbered(&log), total).is_begun() {
            prop_assert!(!is_open(&longer, total), "{:?} after {:?}", end, log);
        }
    }

    #[test]
    fn an_end_of_the_plan_itself_ends_it_whatever_came_before(log in log(), total in total(), gone in any::<bool>()) {
        let mut longer = log;
        longer.push(if gone { Tells::Gone } else { Tells::End });
        prop_assert!(!is_open(&longer, total));
    }

    #[test]
    fn a_step_that_begins_opens_what_was_never_told_as_gone(log in log(), total in total()) {
        let mut longer = log.clone();
        longer.push(Tells::Intent(9));
        prop_assert_eq!(is_open(&longer, total), !log.contains(&Tells::Gone));
    }

    #[test]
    fn to_know_how_many_steps_there_are_closes_nothing_but_what_was_all_done(log in log(), total in 1..5_u64) {
        let entries = numbered(&log);
        let (with, without) = (of(&entries, Some(total)), of(&entries, None));
        // What is not known to be open without it is dropped only where the log cannot tell.
        if without.is_open() {
            prop_assert!(with.is_open());
        }
        if with.is_open() {
            prop_assert!(without.may_be_open());
        }
    }
}
