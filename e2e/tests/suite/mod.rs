//! The tests, one file per subject. A new file gets a `tests()` and a line here.

mod crash;
mod faults;
mod harness;
mod leader;
mod product;
mod restore;
mod rights;
mod slow_hook;
mod tls;
mod turn;

use crate::runner::Test;

/// Every test there is.
pub(crate) fn all() -> Vec<Test> {
    [
        crash::tests(),
        faults::tests(),
        harness::tests(),
        leader::tests(),
        product::tests(),
        restore::tests(),
        rights::tests(),
        tls::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
