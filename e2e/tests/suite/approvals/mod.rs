//! Decisions beyond the plain yes: signed ones, through Git, in an emergency, and many of them.

mod emergency;
pub(super) mod keys;
mod signed;

use crate::runner::Test;

/// Every test of this subject.
pub(super) fn tests() -> Vec<Test> {
    [signed::tests(), emergency::tests()].concat()
}
