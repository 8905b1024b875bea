//! What a step does to each of its targets.

use kubechat_crds::Step;
use kubechat_crds::command_plan::Effect;
use kubechat_crds::intent::Action;

use super::graph::{Facts, Key, Node};
use crate::catalogue::{self, Make, Pods};
use crate::plan::scaling;

/// How many ready pods a workload loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Scaled down.
    Down {
        /// From so many replicas.
        from: i64,
        /// To so many.
        to: i64,
        /// Its controller takes pods that are not ready first.
        unready_first: bool,
    },
    /// So many at once, while pods are replaced.
    AtMost(i64),
    /// All of them.
    All,
}

impl Loss {
    /// Ready pods lost of so many.
    #[must_use]
    pub fn of(self, ready: i64) -> i64 {
        let lost = match self {
            Self::Down {
                to,
                unready_first: true,
                ..
            } => ready - to,
            Self::Down { from, to, .. } => from - to,
            Self::AtMost(n) => n,
            Self::All => ready,
        };
        lost.clamp(0, ready)
    }
}

/// What happens to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impact {
    /// It comes into being: nothing is hit.
    Made,
    /// It changes and nothing else does.
    Still,
    /// A pod that other selectors select from now on.
    Moved,
    /// It loses pods.
    Lossy(Loss),
    /// It is removed.
    Gone,
}

/// What the step does to the target. `node` is `None` when the target was not read: then the worst is taken.
#[must_use]
pub fn impact(step: &Step, node: Option<&Node>) -> Impact {
    match step.effect {
        Effect::Create => return Impact::Made,
        Effect::Read => return Impact::Still,
        Effect::Delete => return Impact::Gone,
        Effect::Update => {}
    }
    let Some(change) = catalogue::change(step.action) else {
        return Impact::Gone;
    };
    if !matches!(change.make, Make::Of(_) | Make::Given) {
        return Impact::Gone;
    }
    match (change.pods)(step) {
        // Of an autoscaler the plan itself says how many pods go: they are not the autoscaler's.
        Pods::Scaled if step.action == Action::Autoscale => Impact::Still,
        Pods::Scaled => match (step.params.replicas.map(i64::from), replicas(step, node)) {
            (Some(to), Some(from)) if to >= from => Impact::Still,
            (Some(to), Some(from)) => Impact::Lossy(Loss::Down {
                from,
                to,
                unready_first: node.is_some_and(takes_unready_first),
            }),
            (_, None) | (None, _) => Impact::Lossy(Loss::All),
        },
        Pods::Replaced => match node.map(|n| &n.facts) {
            Some(Facts::Workload { at_once, .. }) => Impact::Lossy(at_once.map_or(Loss::All, Loss::AtMost)),
            Some(_) | None => Impact::Lossy(Loss::All),
        },
        Pods::Moved => Impact::Moved,
        Pods::Kept | Pods::Made => Impact::Still,
        Pods::Ended => Impact::Lossy(Loss::All),
        Pods::Gone => Impact::Gone,
    }
}

/// How many replicas a scaled object has. Of a kind that is not Kubernetes' own only its Scale says so, which the step
/// recorded as what undoes it; a field of that name may mean anything there.
fn replicas(step: &Step, node: Option<&Node>) -> Option<i64> {
    let node = node?;
    let shown = match &node.facts {
        Facts::Workload { replicas, .. } => Some(*replicas),
        Facts::Plain
        | Facts::Pod { .. }
        | Facts::Service(_)
        | Facts::Budget { .. }
        | Facts::Policy(_)
        | Facts::Route(_)
        | Facts::Grant(_)
        | Facts::Claim(_)
        | Facts::Volume { .. }
        | Facts::Autoscaler { .. }
        | Facts::Definition { .. } => None,
    };
    if scaling::in_spec(&node.key.group, &node.key.kind) {
        return shown;
    }
    let place = step.targets.iter().position(|t| Key::of(t) == node.key);
    let recorded = place.and_then(|at| step.rollback.undo_of(at)?.params.replicas);
    recorded.map(i64::from).or(shown)
}

/// Whether what the step does depends on facts of the target.
#[must_use]
pub fn needs_target(step: &Step) -> bool {
    step.action == Action::Scale || !matches!(impact(step, None), Impact::Made | Impact::Still)
}

fn takes_unready_first(node: &Node) -> bool {
    let kind = (node.key.group.as_str(), node.key.kind.as_str());
    [
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("", "ReplicationController"),
    ]
    .contains(&kind)
}
