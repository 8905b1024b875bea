//! The tests, one file per subject. A new file gets a `tests()` and a line here.

mod admission;
mod api;
mod approvals;
mod audit;
mod bad_input;
mod blast;
mod cli;
mod correlation;
mod crash;
mod custom;
mod edges;
mod examples;
mod faults;
mod gc;
mod gitops;
mod guard;
mod harness;
mod kills;
mod kubelet;
mod leader;
mod lookups;
mod make_run;
mod models;
mod policy;
mod product;
mod readme;
mod reads;
mod restore;
mod rights;
mod risk;
mod slow_hook;
mod story;
mod terminal;
mod tls;
mod tools;
mod turn;
mod undo;

use crate::runner::Test;

/// Every test there is.
pub(crate) fn all() -> Vec<Test> {
    [
        // The longest one first, so that nothing waits for it alone at the end.
        kills::tests(),
        admission::tests(),
        api::tests(),
        approvals::tests(),
        audit::tests(),
        bad_input::tests(),
        blast::tests(),
        cli::tests(),
        correlation::tests(),
        crash::tests(),
        custom::tests(),
        edges::tests(),
        examples::tests(),
        faults::tests(),
        gc::tests(),
        gitops::tests(),
        guard::tests(),
        harness::tests(),
        leader::tests(),
        models::tests(),
        make_run::tests(),
        policy::tests(),
        product::tests(),
        readme::tests(),
        lookups::tests(),
        reads::tests(),
        restore::tests(),
        rights::tests(),
        risk::tests(),
        story::tests(),
        terminal::tests(),
        tls::tests(),
        undo::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
