//! The tests, one file per subject. A new file gets a `tests()` and a line here.

mod crash;
mod harness;
mod product;
mod rights;
mod slow_hook;
mod turn;

use crate::runner::Test;

/// Every test there is.
pub(crate) fn all() -> Vec<Test> {
    [
        crash::tests(),
        harness::tests(),
        product::tests(),
        rights::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
