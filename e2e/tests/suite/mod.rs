//! The tests, one file per subject. A new file gets a `tests()` and a line here.

mod harness;
mod product;
mod rights;

use crate::runner::Test;

/// Every test there is.
pub(crate) fn all() -> Vec<Test> {
    [harness::tests(), product::tests(), rights::tests()]
        .into_iter()
        .flatten()
        .collect()
}
