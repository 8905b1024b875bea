//! What the catalogue says of one change.

use jiff::Timestamp;
use kubechat_crds::Step;
use kubechat_crds::command_plan::Target;
use kubechat_crds::intent::Intent;
use serde_json::Value;

use super::make::NewKind;
use crate::plan::{Draft, Found, Refusal, Revision};
use crate::risk::floors::Floor;
use crate::risk::weights::Weight;

/// Kinds by group and kind.
pub type Kinds = &'static [(&'static str, &'static str)];

/// Kinds that own pods and roll them out.
pub(crate) const WORKLOADS: Kinds = &[
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
];
/// Kinds people mostly mean.
pub(crate) const USUAL: Kinds = &[
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("", "Pod"),
    ("", "Service"),
    ("", "ConfigMap"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("networking.k8s.io", "Ingress"),
];
/// A node.
pub(crate) const NODE: Kinds = &[("", "Node")];

/// One change of the catalogue: all that any part of KubeChat knows of it.
#[derive(Debug)]
pub struct Change {
    /// Kinds that a name without a kind may mean.
    pub kinds: Kinds,
    /// Parameters it reads, as the API names them.
    pub params: &'static [&'static str],
    /// Sentences and kubectl lines that mean it; each is read back in a test.
    pub says: &'static [&'static str],
    /// How its steps come about.
    pub make: Make,
    /// What the shell reads besides the object itself.
    pub reads: Reads,
    /// The floor of a step.
    pub floor: fn(&Step) -> Floor,
    /// Every floor it can have, for the documentation.
    pub floors: &'static [Floor],
    /// The kind whose own floor it replaces: a cordon is no other change of a node.
    pub instead: Option<(&'static str, &'static str)>,
    /// What the verb weighs.
    pub weight: fn(&Step) -> Weight,
    /// What happens to pods.
    pub pods: fn(&Step) -> Pods,
    /// Nothing undoes it, and nothing is lost by that.
    pub harmless: bool,
    /// What follows `kubectl`.
    pub line: fn(&Step, &Line) -> String,
    /// What undoes it, for the documentation.
    pub undo: &'static str,
    /// By what a restarted executor recognises its own work, for the documentation.
    pub mark: Mark,
}

/// How the steps of a change come about.
#[derive(Debug)]
pub enum Make {
    /// From one object that exists.
    Of(fn(&Asked<'_>) -> Result<Draft, Refusal>),
    /// Something new that rests on no object.
    New,
    /// What a manifest says: something new, or a change of the object there is.
    Given,
    /// An object of this kind.
    Object(&'static NewKind),
    /// Of steps of other actions.
    Parts,
    /// From what a deletion recorded; no prompt makes it.
    Kept,
}

/// What the shell reads besides the object itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Nothing.
    Nothing,
    /// Its Scale, where only that says how many replicas it has.
    Scale,
    /// Its earlier revisions.
    Revisions,
    /// All objects of another kind in its namespace.
    List(&'static str, &'static str),
}

/// What a step does to pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    /// Nothing.
    Kept,
    /// Their number changes.
    Scaled,
    /// The workload replaces them.
    Replaced,
    /// Other selectors may select them.
    Moved,
    /// All of them may end.
    Ended,
    /// What they live on goes.
    Gone,
    /// New ones may come.
    Made,
}

/// By what a restarted executor recognises its own work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The step's id in an annotation of the object.
    StepId,
    /// The number reached, last written by KubeChat.
    Reached,
    /// The object of that UID is gone.
    Gone,
}

impl Mark {
    /// In words.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::StepId => "the step's id in the annotation `kubechat.io/step-id`",
            Self::Reached => {
                "the number of replicas reached, a generation that moved, and KubeChat as the field's last writer"
            }
            Self::Gone => "the object of that UID is gone, or on its way out",
        }
    }
}

/// What the shell read besides the object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// Its Scale, of kinds that are not Kubernetes' own.
    pub scale: Option<&'a Value>,
    /// Earlier revisions.
    pub revisions: &'a [Revision],
    /// Objects of [`Reads::List`].
    pub related: &'a [Found],
    /// Bytes kept for the undoing of another step, as JSON. They may hold values of the cluster.
    pub kept: Option<&'a Value>,
}

/// What an action's draft is made from.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What the person asked for.
    pub intent: &'a Intent,
    /// The object.
    pub found: &'a Found,
    /// What was read besides.
    pub beside: Beside<'a>,
    /// The plan's time.
    pub now: Timestamp,
}

/// The targets of a step as a kubectl line names them.
#[derive(Clone, Debug)]
pub struct Line {
    /// The kind, in lower case.
    pub kind: String,
    /// `deployment/web deployment/api`.
    pub objects: String,
    /// `web api`.
    pub names: String,
}

impl Line {
    /// Of a step's targets.
    pub(super) fn of(first: &Target, targets: &[Target]) -> Self {
        let kind = first.kind.to_lowercase();
        let names: Vec<&str> = targets.iter().map(|t| t.name.as_str()).collect();
        let objects: Vec<String> = names.iter().map(|n| format!("{kind}/{n}")).collect();
        Self {
            objects: objects.join(" "),
            names: names.join(" "),
            kind,
        }
    }
}

/// `kubectl` lists: `a=1,b=2`.
pub(crate) fn pairs(map: &std::collections::BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = map.iter().map(|(k, v)| format!("{k}={v}")).collect();
    pairs.join(",")
}
