//! What the controllers refuse, with the words people read and the entry the audit log keeps.

mod changed;
mod policies;
mod sentences;
mod sessions;
mod sizes;

use crate::runner::Test;

pub(crate) fn tests() -> Vec<Test> {
    [
        changed::tests(),
        policies::tests(),
        sentences::tests(),
        sessions::tests(),
        sizes::tests(),
    ]
    .concat()
}
