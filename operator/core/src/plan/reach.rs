//! Which targets of a step were changed, for whoever undoes it.

use kubechat_crds::StepState;
use kubechat_crds::command_plan::StepStatus;

/// Whether a step changed one of its targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It did.
    Changed,
    /// It did not: it was refused, or never sent.
    Untouched,
    /// Nobody knows.
    Unknown,
}

/// Whether a step changed target number `index` of those with these labels. Targets are sent one after the other, and the
/// first that does not get through ends the step. `traced` is whether the object bears the step's mark now.
#[must_use]
pub fn reached(step: &StepStatus, labels: &[String], index: usize, traced: bool) -> Reached {
    let done = usize::try_from(step.done).unwrap_or(0);
    let before = index < done;
    let named = step
        .failed
        .iter()
        .position(|name| Some(name) == labels.get(index));
    // The done ones are the first ones, so the order tells of the others.
    let in_order = !step.failed.is_empty() && labels.get(done) == step.failed.first();
    match step.state {
        StepState::Done => Reached::Changed,
        // It was counted as not done, so a mark cannot be this step's.
        StepState::Failed if before && named.is_none() => Reached::Changed,
        StepState::Failed => Reached::Untouched,
        StepState::Unknown if traced || before && named.is_none() => Reached::Changed,
        // The first one that is not known to be done is the one whose answer never came; later ones were not sent.
        StepState::Unknown if in_order && index > done => Reached::Untouched,
        StepState::Unknown => Reached::Unknown,
        StepState::Pending | StepState::Sent | StepState::Skipped => Reached::Untouched,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(state: StepState, done: i32, failed: &[&str]) -> Vec<Reached> {
        let step = StepStatus {
            state,
            done,
            failed: failed.iter().map(|n| (*n).to_owned()).collect(),
            ..StepStatus::default()
        };
        let labels = ["a", "b", "c", "d"].map(str::to_owned);
        (0..4)
            .map(|index| reached(&step, &labels, index, false))
            .collect()
    }

    #[test]
    fn only_targets_that_were_sent_are_changed() {
        use Reached::{Changed as C, Unknown as U, Untouched as N};
        use StepState::{Done, Failed, Pending, Skipped, Unknown};
        for (state, done, failed, expected) in [
            (Done, 4, &[][..], [C, C, C, C]),
            (Failed, 0, &["a", "b", "c", "d"], [N, N, N, N]),
            (Failed, 2, &["c", "d"], [C, C, N, N]),
            // As a restart counts them, by their marks.
            (Failed, 2, &["b", "d"], [C, N, N, N]),
            (Unknown, 2, &["c", "d"], [C, C, U, N]),
            (Unknown, 0, &["a", "b", "c", "d"], [U, N, N, N]),
            (Unknown, 3, &["b"], [C, U, C, U]),
            (Unknown, 2, &["b", "d"], [C, U, U, U]),
            (Unknown, 0, &[], [U, U, U, U]),
            (Pending, 0, &[], [N, N, N, N]),
            (Skipped, 0, &[], [N, N, N, N]),
        ] {
            assert_eq!(of(state, done, failed), expected, "{state:?} {done} {failed:?}");
        }
    }

    #[test]
    fn a_mark_that_is_there_proves_what_was_not_known() {
        let step = StepStatus {
            state: StepState::Unknown,
            done: 1,
            failed: vec!["b".into(), "c".into()],
            ..StepStatus::default()
        };
        let labels = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(reached(&step, &labels, 1, true), Reached::Changed);
        assert_eq!(reached(&step, &labels, 1, false), Reached::Unknown);
        assert_eq!(reached(&step, &labels, 2, true), Reached::Changed);
    }
}
