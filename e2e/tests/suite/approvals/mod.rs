//! Decisions beyond the plain yes: signed ones, through Git, in an emergency, and many of them; and who may still decide.

mod eligible;
mod emergency;
pub(super) mod keys;
mod signed;

use crate::runner::Test;

/// Every test of this subject.
pub(super) fn tests() -> Vec<Test> {
    [eligible::tests(), signed::tests(), emergency::tests()].concat()
}
