//! Who may write what: each row of the admission table, by people who try.

mod approvals;
mod guards;
mod policies;
mod requests;
mod stamps;
mod traces;
mod unguarded;

use crate::runner::Test;

pub(crate) fn tests() -> Vec<Test> {
    [
        approvals::tests(),
        guards::tests(),
        policies::tests(),
        requests::tests(),
        stamps::tests(),
        traces::tests(),
        unguarded::tests(),
    ]
    .concat()
}
