//! label: set, change and remove labels by a merge patch.

use super::annotate;
use super::change::{Change, Make, Mark, Pods, Reads, USUAL};
use crate::risk::{floors, weights};

pub(super) const CHANGE: Change = Change {
    kinds: USUAL,
    params: &["set", "remove", "overwrite"],
    says: &[
        "label deployment web tier=front",
        "remove the label tier from deployment web",
        "kubectl label deployment web tier=front --overwrite",
    ],
    make: Make::Of(|asked| annotate::metadata_map(asked, "labels")),
    reads: Reads::Nothing,
    floor: |_| floors::LABEL,
    floors: &[floors::LABEL],
    instead: None,
    weight: |_| weights::LABEL,
    pods: |step| {
        if step.selected_by.is_empty() {
            Pods::Kept
        } else {
            Pods::Moved
        }
    },
    harmless: false,
    line: annotate::line,
    undo: "the labels before",
    mark: Mark::StepId,
};
